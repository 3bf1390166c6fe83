//! What must hold of any bytes at all. The fuzzers look for a counterexample; `tests/corpus.rs` replays those
//! that were kept.

use hoist::diagnostic::{Diagnostic, render};
use hoist::fleet::{FileTree, TreeEntry, decode_manifest, load, print_manifest};
use hoist::language::{Condition, LanguageError, ParsedRoute, Query};
use hoist::model::Facts;
use hoist::resolve::{check, resolve};
use std::fmt::{Debug, Display};

/// A check of some bytes; it panics if they break a promise.
pub(crate) type Check = fn(&[u8]);

/// Every check, by the name of its fuzzer and of the folder of its corpus.
pub(crate) const CHECKS: &[(&str, Check)] =
    &[("condition", condition), ("fleet_file", fleet_file), ("query", query), ("route", route)];

/// A target condition.
pub(crate) fn condition(bytes: &[u8]) {
    round_trip(bytes, Condition::parse);
}

/// A query.
pub(crate) fn query(bytes: &[u8]) {
    round_trip(bytes, Query::parse);
}

/// A route.
pub(crate) fn route(bytes: &[u8]) {
    round_trip(bytes, ParsedRoute::parse);
}

/// A text that parses prints to one that parses to the same; of any other, each error lies inside it.
fn round_trip<T: Display + PartialEq + Debug>(
    bytes: &[u8],
    parse: impl Fn(&str) -> Result<T, Vec<LanguageError>>,
) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(parsed) => {
            let printed = parsed.to_string();
            let again = parse(&printed).unwrap_or_else(|errors| {
                panic!("{text:?} is printed as {printed:?}, which is refused: {errors:?}")
            });
            assert_eq!(again, parsed, "{text:?} is printed as {printed:?}");
            assert_eq!(again.to_string(), printed, "printing settles at once");
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "{text:?} is refused without a word");
            for error in errors {
                let (start, end) = (error.span.start as usize, error.span.end as usize);
                assert!(text.get(start..end).is_some(), "{error:?} does not lie in {text:?}");
                assert!(!error.message.is_empty());
            }
        }
    }
}

/// The same bytes as each kind of file of a fleet.
pub(crate) fn fleet_file(bytes: &[u8]) {
    let good = |text: &'static str| TreeEntry::File(text.into());
    for path in ["fleet.toml", "devices/a.toml", "deployments/a.toml"] {
        let mut tree = FileTree::default();
        tree.0.insert("fleet.toml".into(), good("name = \"towers\"\n"));
        tree.0.insert("devices/other.toml".into(), good("[tags]\nx = 1\n"));
        tree.0.insert(path.into(), TreeEntry::of(bytes));
        let loaded = load(&tree);
        loaded.diagnostics.iter().for_each(lies_in_its_file);
        let checked = check(&tree);
        checked.diagnostics.iter().for_each(lies_in_its_file);
        assert_eq!(checked.fleet.is_none(), checked.diagnostics.has_errors());
        let Some((fleet, _)) = checked.fleet else { continue };
        let resolution = resolve(&fleet, &Facts::none());
        for id in fleet.devices.keys() {
            let Some(Ok(manifest)) = resolution.manifest(&fleet, id) else { continue };
            let printed = print_manifest(&manifest, "");
            let again = decode_manifest(id, &printed)
                .unwrap_or_else(|found| panic!("{printed}\nis refused: {found:?}"));
            assert_eq!(print_manifest(&again, ""), printed, "a manifest prints back to itself");
        }
    }
}

fn lies_in_its_file(diagnostic: &Diagnostic) {
    let shown = render::text(diagnostic, |_, text| text.to_owned());
    assert!(!shown.contains(['\u{1b}', '\r', '\0']), "{shown:?}");
    let Some(place) = &diagnostic.place else { return };
    let (start, end) = (place.span().start as usize, place.span().end as usize);
    let text = &place.source().text;
    assert!(
        text.get(start..end).is_some(),
        "{start}..{end} of {} is no part of it: {shown}",
        text.len()
    );
}

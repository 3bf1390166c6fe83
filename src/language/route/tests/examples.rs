//! Examples: the user's reference, and routes and conditions of the original and of the field.

use super::{errors, route, with};
use crate::language::ParsedRoute;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Lines of fenced blocks in the user's reference, by the word that marks the fence.
fn reference(mark: &str) -> Vec<&'static str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in include_str!("../../../../grammar/README.md").lines() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = fence == mark;
        } else if inside && !line.trim().is_empty() {
            found.push(line);
        }
    }
    found
}

#[test]
fn every_example_of_the_reference_is_what_it_says() {
    let (right, wrong) = (reference("route"), reference("route-error"));
    assert!(right.len() >= 20 && wrong.len() >= 10, "{} and {}", right.len(), wrong.len());
    for text in right {
        assert_eq!(route(&route(text).to_string()), route(text));
    }
    for text in wrong {
        for error in errors(text) {
            assert!(error.help.is_some(), "{text}: {error}");
        }
    }
}

/// Where data shared between checkouts lies: `HOIST_SHARED`, or `shared` beside this checkout.
fn data() -> PathBuf {
    let folder = match std::env::var_os("HOIST_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    folder.join("data")
}

fn shared(file: &str) -> Option<String> {
    let found = std::fs::read_to_string(data().join(file)).ok();
    if found.is_none() {
        eprintln!("skipped: no shared/data/{file}; HOIST_SHARED names another folder");
    }
    found
}

/// Conditions of the original's own tests that it takes and that are refused here, with the reason.
const REFUSED_CONDITIONS: [(&str, &str); 1] =
    [("3", "a number alone is undefined for every message: it can only be a slip")];

/// `condition<TAB>what it gives<TAB>where it was found` a line.
#[test]
fn conditions_of_the_originals_tests_compile_where_they_compile_there() {
    let Some(lines) = shared("route-conditions.tsv") else { return };
    let (mut taken, mut refused, mut excused) = (0, 0, 0);
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let (text, gives) = (fields.next().unwrap(), fields.next().unwrap());
        if REFUSED_CONDITIONS.iter().any(|(condition, _)| *condition == text) {
            errors(&with(text));
            excused += 1;
            continue;
        }
        match (ParsedRoute::parse(&with(text)), gives == "COMPILE_ERROR") {
            (Ok(read), false) => {
                assert_eq!(route(&read.to_string()), read, "{text}");
                taken += 1;
            }
            (Err(errors), true) => {
                assert!(errors.iter().all(|error| error.help.is_some()), "{text}: {errors:#?}");
                refused += 1;
            }
            (read, _) => panic!("{line}: {read:#?}"),
        }
    }
    eprintln!("{taken} conditions taken, {refused} refused, {excused} excused");
    assert!(taken > 190 && refused > 90 && excused * 50 < taken + refused);
}

/// Routes that the original takes and that are refused here, by a part of them, with the reason.
const REFUSED_ROUTES: [(&str, &str); 6] = [
    ("from /modules/", "no message ever comes from there"),
    ("/modules/Azure.Iot.Edge.Modules.SecureAccess/", "no module of Hoist can have that name"),
    ("/modules/footfall-inference-module.arm32v7/", "no module of Hoist can have that name"),
    ("/modules/%MODULE%/", "a placeholder; no module of Hoist can have that name"),
    ("/modules/alert'Logic/", "no module of Hoist can have that name"),
    ("/modules/alert\"Logic/", "no module of Hoist can have that name"),
];

/// Routes that the original refuses, too.
fn is_wrong(text: &str, source: &str) -> bool {
    let test_of_refusal = source.contains("RouteFactoryTest.cs")
        && ["INTO \"/modules", "INTO /modules", "INTO upstream", "in\"\")", "(/modules"]
            .iter()
            .any(|part| text.contains(part));
    test_of_refusal || !text.to_lowercase().contains(" into ") || text.contains('{') || {
        text.matches('(').count() != text.matches(')').count()
    }
}

fn check_route(text: &str, source: &str, counts: &mut [usize; 3]) {
    let excused = REFUSED_ROUTES.iter().any(|(part, _)| text.contains(part));
    match (ParsedRoute::parse(text), is_wrong(text, source) || excused) {
        (Ok(read), false) => {
            assert_eq!(route(&read.to_string()), read, "{text}");
            counts[0] += 1;
        }
        (Err(errors), true) => {
            assert!(errors.iter().all(|error| error.help.is_some()), "{text}: {errors:#?}");
            counts[1 + usize::from(excused)] += 1;
        }
        (read, _) => panic!("{text} ({source}): {read:#?}"),
    }
}

/// `route<TAB>where it was found<TAB>…` a line.
#[test]
fn routes_from_the_field_are_taken_as_the_original_takes_them() {
    let Some(lines) = shared("routes.txt") else { return };
    let mut counts = [0; 3];
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        check_route(fields.next().unwrap(), fields.next().unwrap(), &mut counts);
    }
    let [taken, refused, excused] = counts;
    eprintln!("{taken} routes taken, {refused} refused, {excused} excused");
    assert!(taken > 125 && refused >= 7 && excused < 10);
}

/// The routes of whole manifests, in the text form and in the object form.
#[test]
fn routes_of_real_manifests_are_taken() {
    let Ok(folder) = std::fs::read_dir(data().join("manifests")) else {
        eprintln!("skipped: no shared/data/manifests; HOIST_SHARED names another folder");
        return;
    };
    let mut found = BTreeSet::new();
    for entry in folder {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(manifest) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        collect(&manifest, &mut found);
    }
    let mut counts = [0; 3];
    for text in &found {
        check_route(text, "a manifest", &mut counts);
    }
    let [taken, refused, excused] = counts;
    eprintln!(
        "{} routes of manifests: {taken} taken, {refused} refused, {excused} excused",
        found.len()
    );
    assert!(taken > 50, "{taken}");
}

/// Every text that stands where a route stands: below `routes`, or at `properties.desired.routes.…`.
fn collect(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                if key == "routes" {
                    for route in value.as_object().into_iter().flat_map(|routes| routes.values()) {
                        found.extend(route_text(route));
                    }
                } else if key.starts_with("properties.desired.routes.") {
                    found.extend(route_text(value));
                }
                collect(value, found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn route_text(value: &serde_json::Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("route")?.as_str())?;
    text.to_lowercase().contains("from").then(|| text.to_owned())
}

//! Whoever is named as the setter of a field really says it.

use crate::harness::{folder, root, valid_tree};
use hoist::fleet::{FileTree, Fleet};
use hoist::resolve::{Resolution, SetterKind, trace};
use hoist::review::fields_of;
use proptest::prelude::*;

/// For every field of every manifest: the winner's place holds the last key of the field, or of a table
/// that was set whole above it; and who is built in or a default is said by no deployment.
fn prove(fleet: &(Fleet, Resolution), check_values: bool) -> usize {
    let (fleet, resolution) = (&fleet.0, &fleet.1);
    let mut proved = 0;
    for id in fleet.devices.keys() {
        let Some(Ok(manifest)) = resolution.manifest(fleet, id) else { continue };
        let traces = trace(fleet, &manifest);
        for (name, module) in &manifest.modules {
            for (path, value) in fields_of(module) {
                let setter = traces[name].winner(&path);
                let applied: Vec<_> =
                    std::iter::once(&manifest.cohort.base).chain(&manifest.cohort.layers).collect();
                match &setter.kind {
                    SetterKind::Deployment(by) => {
                        assert!(applied.contains(&by), "{id} {name}.{path}: {by} isn't applied");
                        let place = setter.place.unwrap();
                        let span = place.span();
                        let text = &place.source().text[span.start as usize..span.end as usize];
                        let key = text.trim_matches(['"', '\'']);
                        // A key in the path, or a `desired-at` path that ends in one.
                        let said =
                            path.split('.').any(|segment| key == segment) || path.contains(key);
                        assert!(said, "{id} {name}.{path}: {place} says {text}");
                        if check_values {
                            let line = place.line_text();
                            let shown = value.to_json().to_string();
                            assert!(
                                line.contains(shown.trim_matches('"')),
                                "{id} {name}.{path} = {shown}: {place} says {line}"
                            );
                        }
                    }
                    SetterKind::Defaults => {
                        assert_eq!(setter.place.unwrap().file(), "fleet.toml");
                    }
                    SetterKind::BuiltIn => {
                        for by in applied {
                            let Some(entry) = fleet.deployments[by].modules.get(name) else {
                                continue;
                            };
                            assert!(
                                !entry.places.contains_key(&path)
                                    || applied_away(fleet, &manifest, name, &path),
                                "{id} {name}.{path}: {by} says it"
                            );
                        }
                    }
                }
                proved += 1;
            }
        }
    }
    proved
}

/// Whether a higher entry replaces or unsets a field that a lower one says.
fn applied_away(
    fleet: &Fleet,
    manifest: &hoist::model::Manifest,
    name: &hoist::model::ModuleName,
    path: &str,
) -> bool {
    manifest.cohort.layers.iter().any(|id| {
        fleet.deployments[id].modules.get(name).is_some_and(|entry| {
            entry.kind == hoist::model::EntryKind::Whole
                || entry.unset.iter().any(|unset| path.starts_with(&unset.0.join(".")))
        })
    })
}

#[test]
fn in_the_examples() {
    for (name, at_least) in [("buildings", 150), ("layered-twin", 10), ("one-host", 10)] {
        let fleet = valid_tree(&folder(&root().join("fleet-examples").join(name)));
        let proved = prove(&fleet, false);
        assert!(proved >= at_least, "{name}: only {proved} fields");
    }
}

#[test]
fn a_key_that_begins_like_another_takes_nothing_from_it() {
    let fleet = crate::harness::valid(
        "
        === devices/d.toml
        === deployments/b.toml
        target = '*'
        [modules.mm]
        image = 'm:1'
        labels = { 'com.example' = 'low' }
        === deployments/l.toml
        kind = 'layered'
        priority = 1
        target = '*'
        [modules.mm]
        patch = true
        labels = { com = 'high' }
        ",
    );
    prove(&fleet, true);
}

/// One line a statement, each with a value of its own, so that the place of a field shows its value.
fn entry(layer: usize) -> impl Strategy<Value = String> {
    let part = |lines: [&'static str; 3]| prop::sample::select(lines.to_vec());
    let v = layer;
    let statements = prop::sample::subsequence(
        vec![
            "version = \"v@\"",
            "user = \"v@\"",
            "hostname = \"v@\"",
            "env.A = \"v@\"",
            "env.B = \"v@\"",
            "labels.x = \"v@\"",
            "labels.\"x.y\" = \"v@\"",
            "extra-hosts.h = \"10.0.0.@\"",
            "create-options.WorkingDir = \"/v@\"",
            "create-options.HostConfig.Runtime = \"v@\"",
            "create-options.HostConfig.Sysctls.k = \"v@\"",
        ],
        0..11,
    );
    let twin = part(["", "desired.a = \"v@\"\ndesired.t.x = \"v@\"", "desired.b = \"v@\""]);
    let at = part(["", "desired-at.\"t.x\" = \"v@\"", "desired-at.a = \"v@\""]);
    let away = part(["", "unset = [\"env.A\"]", "unset = [\"labels\", \"desired.t\"]"]);
    let kind = prop::sample::select(vec!["whole", "patch", "twin"]);
    (kind, statements, twin, at, away).prop_map(move |(kind, statements, twin, at, away)| {
        let (twin, at) = (twin.to_owned(), at.to_owned());
        let body = match (kind, v) {
            ("whole", _) | (_, 0) => {
                let at = if v == 0 { String::new() } else { at };
                format!("image = \"v@:1\"\n{}\n{twin}\n{at}", statements.join("\n"))
            }
            ("patch", _) => {
                format!("patch = true\n{away}\n{}\n{twin}\n{at}", statements.join("\n"))
            }
            _ => format!("desired.c = \"v@\"\n{twin}\n{at}")
                .replace("desired.c = \"v@\"\n\n\n", "desired.c = \"v@\"\n"),
        };
        format!("[modules.mm]\n{}\n", body.replace('@', &v.to_string()))
    })
}

fn layered_fleet() -> impl Strategy<Value = FileTree> {
    (entry(0), entry(1), entry(2), entry(3)).prop_map(|(a, b, c, d)| {
        let mut files = vec![
            (
                "fleet.toml".to_owned(),
                "name = \"t\"\n[defaults]\nenv.A = \"v9\"\nuser_ = 1\n"
                    .replace("user_ = 1\n", "memory = \"9MiB\"\n"),
            ),
            ("devices/d.toml".to_owned(), String::new()),
        ];
        for (i, entry) in [a, b, c, d].into_iter().enumerate() {
            let kind = if i == 0 { "automatic" } else { "layered" };
            files.push((
                format!("deployments/l{i}.toml"),
                format!("kind = \"{kind}\"\ntarget = \"*\"\npriority = {i}\n{entry}"),
            ));
        }
        FileTree::from_texts(files.iter().map(|(p, t)| (p.as_str(), t.as_str())))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn in_generated_layers(tree in layered_fleet()) {
        prop_assert!(prove(&valid_tree(&tree), true) > 0);
    }
}

//! All real manifests at hand: those that are deployments are imported, with every placeholder set they are
//! valid, resolve for a device and are exported; what is broken has an error with its place.

use crate::bench::{
    errors, exported, import_all, real_manifests, request, schema_errors, tree_for_device,
};
use hoist::azure::{Imported, import};
use hoist::fleet::FileTree;
use std::collections::BTreeMap;

/// A value for a placeholder of this name, as somebody who deploys would have one.
pub(crate) fn value_for(name: &str) -> String {
    let low = name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
    let value = if low.starts_with("modules.") {
        "registry.example.com/module:1.0"
    } else if has(&["schema_version"]) {
        "1.1"
    } else if has(&["_bind"]) {
        "influx:/data"
    } else if has(&["ttl"]) {
        "7200"
    } else if has(&["version"]) {
        "1.2"
    } else if has(&["route"]) {
        "FROM /* INTO $upstream"
    } else if has(&["folder"]) {
        "/data/folder"
    } else if has(&["address", "server", "url", "upstream"]) {
        "registry.example.com"
    } else {
        "value"
    };
    value.to_owned()
}

/// Values for all placeholders of a text: what the errors and the report of an import ask for.
pub(crate) fn all_values(name: &str, text: &str) -> Option<(BTreeMap<String, String>, Imported)> {
    let mut values = BTreeMap::new();
    for _ in 0..4 {
        match import(&request(&[(name, text)], values.clone()), &FileTree::default()) {
            Ok(imported) if imported.report.placeholders.is_empty() => {
                return Some((values, imported));
            }
            Ok(imported) => {
                for left in &imported.report.placeholders {
                    values.insert(left.name.clone(), value_for(&left.name));
                }
            }
            Err(mistakes) => {
                let asked =
                    mistakes.iter().filter_map(|m| m.help.as_ref()?.split("--set '").nth(1));
                let asked: Vec<&str> = asked.filter_map(|rest| rest.split('=').next()).collect();
                if asked.is_empty() {
                    return None;
                }
                values.extend(asked.into_iter().map(|name| (name.to_owned(), value_for(name))));
            }
        }
    }
    panic!("{name}: its placeholders never end");
}

#[test]
fn every_real_deployment_goes_over_and_back() {
    let (mut whole, mut problems) = (0, Vec::new());
    let mut broken = Vec::new();
    for (name, text) in real_manifests() {
        let Some((values, imported)) = all_values(&name, &text) else {
            let mistakes = import_all(&[(&name, &text)]).expect_err("it is broken");
            for mistake in mistakes {
                let place = mistake.place.clone().unwrap_or_default();
                assert_eq!(
                    place.strip_prefix(&name).map(|p| p.split(':').count()),
                    Some(3),
                    "{mistake:?}"
                );
            }
            broken.push(name);
            continue;
        };
        // What is left of a template is no reason to refuse the import, but `validate` refuses it.
        if let Ok(raw) = import_all(&[(&name, &text)]) {
            let refused = raw.report.placeholders.iter().any(|left| left.refused);
            let errors = errors(&tree_for_device(&raw));
            if refused == errors.is_empty() {
                let left = &raw.report.placeholders;
                problems.push(format!("{name}: {errors:?}, left: {left:?}"));
            }
        }
        let tree = tree_for_device(&imported);
        let found = errors(&tree);
        if !found.is_empty() {
            problems.push(format!("{name} with {values:?}: {found:#?}"));
            continue;
        }
        let export = exported(&imported);
        for error in schema_errors(&export.json) {
            problems.push(format!("{name}: {error}"));
        }
        whole += 1;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!("{whole} real manifests go over and back; broken: {broken:?}");
}

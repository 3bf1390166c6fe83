//! Two small fleets a folder, `before.txt` and `after.txt`, and what a reviewer is shown of the change as
//! text, Markdown and JSON. `HOIST_BLESS=1` writes the expected files; then read them.

use crate::harness::{lines, root, tree};
use hoist::model::Facts;
use hoist::resolve::{Checked, check};
use hoist::review::{DiffOptions, FleetDiff, Side, diff, json, markdown, text};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("tests/core/scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

/// The comparison of a folder's fleets, warnings included.
fn compared(folder: &Path) -> FleetDiff {
    let checked = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let Checked { fleet, diagnostics } = check(&tree(&text));
        let shown = lines(&diagnostics);
        (fleet.unwrap_or_else(|| panic!("{}: {shown}", folder.display())), diagnostics)
    };
    let ((base, old), (head, new)) = (checked("before.txt"), checked("after.txt"));
    let old: Vec<_> = old.into_iter().collect();
    let new: Vec<_> = new.into_iter().collect();
    let facts = Facts::none();
    diff(
        Side::of_files("main", Some((&base.0, &base.1)), &facts, &old),
        Side::of_files("change", Some((&head.0, &head.1)), &facts, &new),
        &DiffOptions::default(),
    )
}

#[test]
fn each_change_is_shown_as_expected() {
    let bless = std::env::var_os("HOIST_BLESS").is_some();
    for folder in folders() {
        let diff = compared(&folder);
        for (name, shown) in [
            ("expected.txt", text(&diff, &|_, text| text.to_owned())),
            ("expected.md", markdown(&diff)),
            ("expected.json", format!("{:#}\n", json(&diff))),
        ] {
            let path = folder.join(name);
            if bless {
                fs::write(&path, &shown).unwrap();
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(shown, expected, "{}: HOIST_BLESS=1 writes it", path.display());
        }
    }
}

#[test]
fn every_action_cause_and_notice_has_a_scenario() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for folder in folders() {
        let json = json(&compared(&folder));
        let list = |of: &serde_json::Value, key: &str| of[key].as_array().unwrap().clone();
        for notice in list(&json, "notices") {
            seen.insert(format!("notice {}", notice["kind"].as_str().unwrap()));
        }
        for group in list(&json, "groups") {
            seen.insert(format!("membership {}", group["membership"].as_str().unwrap()));
            for cause in list(&group, "causes") {
                seen.insert(format!("cause {}", cause["kind"].as_str().unwrap()));
            }
            for change in list(&group, "changes") {
                seen.insert(format!("action {}", change["action"].as_str().unwrap()));
            }
        }
    }
    // Reported properties that change, what is held and what is in force need more than two fleets.
    for wanted in
        "action create|action recreate|action remove|action routes|action start|action stop|\
         action update|cause content-changed|cause created-changed|cause defaults-changed|\
         cause deployment-added|cause deployment-removed|cause device-joined|cause device-left|\
         cause device-renamed|cause kind-changed|cause outranked|cause priority-changed|\
         cause reported-changed|cause tags-changed|cause target-changed|membership joined|\
         membership left|membership renamed|membership retained|membership stays|\
         membership was-retained|notice device-renamed|notice engine-changed|notice fleet-forgotten|notice fleet-renamed|\
         notice guard-loosened|notice lint-loosened"
            .split('|')
    {
        assert!(seen.contains(wanted), "no scenario has {wanted}");
    }
}

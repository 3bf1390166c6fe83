//! The example fleets are valid, raise no warning, and merge to what the snapshots say.

use crate::harness::{folder, lines, root};
use hoist::fleet::print_manifest;
use hoist::resolve::check;
use std::fmt::Write as _;

fn manifests(name: &str) -> String {
    let checked = check(&folder(&root().join("fleet-examples").join(name)));
    assert_eq!(lines(&checked.diagnostics), "", "{name}");
    let (fleet, resolution) = checked.fleet.unwrap();
    let mut out = String::new();
    for id in fleet.devices.keys() {
        let manifest = resolution.manifest(&fleet, id).unwrap().unwrap();
        let _ = writeln!(out, "{}", print_manifest(&manifest, id.as_str()));
    }
    out
}

#[test]
fn buildings() {
    insta::assert_snapshot!(manifests("buildings"));
}

#[test]
fn layered_twin() {
    insta::assert_snapshot!(manifests("layered-twin"));
}

#[test]
fn one_host() {
    insta::assert_snapshot!(manifests("one-host"));
}

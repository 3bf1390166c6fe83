//! A revision that is checked after others is what it is alone.

use crate::harness::tree;
use hoist::fleet::FileTree;
use hoist::resolve::{CheckCache, check, check_after};
use proptest::prelude::*;
use std::fmt::Write as _;

/// By device its tags, by deployment its condition and whether it has a file.
type Wish = (Vec<(bool, u8, u8)>, Vec<(bool, u8)>);

const CONDITIONS: [&str; 8] = [
    "*",
    "tags.ring = 1",
    "tags.ring != 1 AND tags.place = 0",
    "STARTSWITH(deviceId, 'd1')",
    "NOT IS_DEFINED(tags.place)",
    "properties.reported.cpus > 1",
    "deviceId = 'd2'",
    "tags.gone = 1 OR tags.ring IN [0, 2]",
];

fn files((devices, deployments): &Wish) -> FileTree {
    let mut text = String::new();
    for (n, (is_there, ring, place)) in devices.iter().enumerate().filter(|(_, d)| d.0) {
        debug_assert!(is_there);
        let _ = writeln!(text, "=== devices/d{n}.toml\n[tags]\nring = {ring}");
        if *place < 2 {
            let _ = writeln!(text, "place = {place}\n[reported]\ncpus = {ring}");
        }
    }
    for (n, (is_there, condition)) in deployments.iter().enumerate() {
        let condition = CONDITIONS[usize::from(*condition)];
        if *is_there {
            let _ = writeln!(
                text,
                "=== deployments/l{n}.toml\nkind = \"layered\"\npriority = {}\ntarget = \"{condition}\"\n\
                 [modules.m{n}]\nimage = \"m:{n}\"\nenv = {{ P = \"${{device.tags.place:-none}}\" }}",
                n + 10
            );
        }
    }
    tree(&format!("{text}=== deployments/base.toml\ntarget = \"*\"\npriority = 1\n"))
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let device = (prop::bool::weighted(0.9), 0..3u8, 0..3u8);
    let deployment = (prop::bool::weighted(0.8), 0..8u8);
    let first = (prop::collection::vec(device, 12), prop::collection::vec(deployment, 4));
    // What follows differs in a little, as commits do.
    let edits =
        prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, 0..8u8, any::<bool>()), 1..8);
    (first, edits).prop_map(|(first, edits)| {
        let mut all = vec![first];
        for (at, value, condition, is_device) in edits {
            let mut next: Wish = all.last().cloned().unwrap();
            if is_device {
                let at = at.index(next.0.len());
                next.0[at] = (condition > 0, value, value);
            } else {
                let at = at.index(next.1.len());
                next.1[at] = (value > 0, condition);
            }
            all.push(next);
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn after_others_a_revision_is_what_it_is_alone(revisions in wishes()) {
        let mut cache = CheckCache::default();
        for revision in &revisions {
            let files = files(revision);
            let after = format!("{:?}", check_after(&files, &mut cache));
            prop_assert_eq!(after, format!("{:?}", check(&files)));
        }
    }
}

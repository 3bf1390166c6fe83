//! A going back that does not come to its end: what works stays up, however long that takes and whatever is over by then.

use crate::back::{KEPT, LOOPS, lines, web};
use crate::block_on;
use crate::world::{Cut, World, manifest};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{EngineError, EngineErrorKind};
use hoist::model::HashedManifest;
use hoist::plan::StepKind;
use std::sync::Arc;

/// A second version that passed its probation and now ends again and again.
async fn looping() -> (World, Arc<HashedManifest>) {
    let mut world = World::new();
    world.pass(&web("web:1", KEPT), None).await;
    let second = web("web:2", KEPT);
    world.control().behave("web:2", LOOPS).unwrap();
    world.pass(&second, None).await;
    world.wait(40);
    (world, second)
}

fn busy() -> Fault {
    Fault::Fail(EngineError::new(EngineErrorKind::Refused, "device or resource busy"))
}

/// The engine can't remove the version that failed: the one that works is not stopped for it, pass after pass.
#[test]
fn what_came_back_stays_up_where_the_failed_one_can_not_be_removed() {
    block_on(async {
        let (mut world, second) = looping().await;
        let both = ["hoist-old-web running web:1", "web exited web:2"];
        for _ in 0..2 {
            world.control().fault_next(CallKind::Step(StepKind::Remove), busy());
            assert!(world.pass(&second, None).await.failed());
            assert_eq!(world.containers().await, both);
            for _ in 0..5 {
                world.wait(50);
                let pass = world.pass(&second, None).await;
                assert_eq!(lines(&pass.plan), [""; 0]);
                assert_eq!(world.containers().await, both);
            }
            let words: Vec<_> = pass_words(&world, &second).await;
            assert_eq!(words.len(), 1, "{words:?}");
            assert!(words[0].starts_with("500 went back to the previous container"), "{words:?}");
            world.wait(60);
        }
        // Also after `keep-previous`, which has long been over.
        world.wait(600);
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, ["web running web:1"]);
    });
}

async fn pass_words(world: &World, manifest: &Arc<HashedManifest>) -> Vec<String> {
    let plan = world.plan(manifest).await;
    plan.blocked.values().map(|block| format!("{} {block}", block.code())).collect()
}

/// Whoever was to go on comes back when the pause of what failed, or `keep-previous` as well, is over.
#[test]
fn going_back_that_was_cut_off_is_taken_up_however_late() {
    block_on(async {
        for (seconds, call) in [70, 700].into_iter().flat_map(|s| (0..9).map(move |c| (s, c))) {
            for after in [false, true] {
                let (mut world, second) = looping().await;
                if !world.pass(&second, Some(Cut { call, after, gently: false })).await.was_cut {
                    continue;
                }
                let what = format!("call {call}, after {after}, {seconds} s later");
                let has_gone_back = !world.containers().await.iter().any(|c| c.ends_with("web:2"));
                world.wait(seconds);
                let pass = world.pass(&second, None).await;
                if has_gone_back {
                    // All that is left is a name; then the other version has its next try.
                    continue;
                }
                assert!(!pass.failed(), "{what}: {:#?}", pass.outcomes);
                assert_eq!(world.containers().await, ["web running web:1"], "{what}");
                world.wait(5);
                assert!(lines(&world.plan(&second).await).is_empty(), "{what}");
            }
        }
    });
}

/// A newer version comes first, when all pauses are over: the one that works stays until that one has come up.
#[test]
fn a_newer_version_takes_the_place_of_the_one_that_came_back() {
    block_on(async {
        let mut tried = 0;
        for (call, after) in (0..9).flat_map(|call| [(call, false), (call, true)]) {
            let (mut world, second) = looping().await;
            let cut = Cut { call, after, gently: false };
            world.pass(&second, Some(cut)).await;
            let there = world.containers().await;
            if !there.contains(&"web exited web:2".to_owned()) {
                continue;
            }
            tried += usize::from(there[0] == "hoist-old-web running web:1");
            world.wait(700);
            let third = web("web:3", KEPT);
            world.control().behave("web:3", Behaviour::Ends { code: 3, after: 0 }).unwrap();
            assert!(!world.pass(&third, None).await.failed());
            assert_eq!(world.containers().await, ["web running web:1"], "{call} {after}");
            assert!(world.pass(&third, None).await.failed());
            assert_eq!(world.containers().await, ["web running web:1"], "{call} {after}");
        }
        assert!(tried > 1, "{tried}");
    });
}

/// The new version's secret is gone meanwhile: what works is kept up, not what failed.
#[test]
fn what_was_gone_back_to_is_kept_up_while_a_secret_is_missing() {
    block_on(async {
        for (call, after) in (0..9).flat_map(|call| [(call, false), (call, true)]) {
            let (mut world, second) = looping().await;
            world.pass(&second, Some(Cut { call, after, gently: false })).await;
            if !world.containers().await.contains(&"web exited web:2".to_owned()) {
                continue;
            }
            let lacks = web("web:2", &format!("{KEPT}\nenv = {{ KEY = {{ secret = \"key\" }} }}"));
            for _ in 0..3 {
                world.wait(300);
                world.pass(&lacks, None).await;
                let both = ["hoist-old-web running web:1", "web exited web:2"];
                assert_eq!(world.containers().await, both, "{call} {after}");
            }
        }
    });
}

/// A failure of a try before the one that passed says nothing of what is in place.
#[test]
fn one_that_failed_and_then_passed_is_not_gone_back_from() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", KEPT), None).await;
        let second = web("web:2", KEPT);
        world.control().fault_next(CallKind::Step(StepKind::Start), busy());
        assert!(world.pass(&second, None).await.failed());
        world.wait(61);
        assert!(!world.pass(&second, None).await.failed());
        let both = ["hoist-old-web exited web:1", "web running web:2"];
        assert_eq!(world.containers().await, both);
        // It is stopped from here, and started again.
        let stopped = web("web:2", &format!("{KEPT}\nstatus = \"stopped\""));
        world.pass(&stopped, None).await;
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, both);
        world.wait(600);
        world.pass(&second, None).await;
        assert_eq!(world.containers().await, ["web running web:2"]);
    });
}

/// What leaves the manifest may be what the version that works needs: it goes once one has come up for good.
#[test]
fn nothing_is_removed_in_the_pass_that_goes_back() {
    block_on(async {
        let mut held = 0;
        for call in 0..20 {
            let mut world = World::new();
            let first = manifest(&format!(
                "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n{KEPT}\n[modules.gone]\nimage = \"gone:1\"\n"
            ));
            world.pass(&first, None).await;
            let second = web("web:2", KEPT);
            world.control().behave("web:2", LOOPS).unwrap();
            world.pass(&second, Some(Cut { call, after: true, gently: false })).await;
            let left = ["gone running gone:1", "hoist-old-web exited web:1", "web running web:2"];
            if world.containers().await != left {
                continue;
            }
            held += 1;
            world.wait(40);
            let pass = world.pass(&second, None).await;
            assert!(!pass.failed(), "{:#?}", pass.outcomes);
            let back = ["gone running gone:1", "web running web:1"];
            assert_eq!(world.containers().await, back, "call {call}");
            world.pass(&second, None).await;
            assert_eq!(world.containers().await, back, "call {call}");
        }
        assert!(held > 0, "no run was cut before the removal");
    });
}

/// An engine neither starts what it removed by half nor writes its settings: all that helps is to remove it once more.
#[test]
fn what_is_half_removed_is_made_anew() {
    block_on(async {
        for busy_once in [false, true] {
            let mut world = World::new();
            let first = web("web:1", "");
            world.pass(&first, None).await;
            world.control().leave_half_removed("web").unwrap();
            if busy_once {
                world.control().fault_next(CallKind::Step(StepKind::Remove), busy());
                assert!(world.pass(&first, None).await.failed());
                assert_eq!(world.containers().await, ["web dead web:1"]);
                world.wait(20);
            }
            let pass = world.pass(&first, None).await;
            assert!(!pass.failed(), "{:#?}", pass.outcomes);
            assert_eq!(world.containers().await, ["web running web:1"]);
            assert!(world.plan(&first).await.works.is_empty());
        }
    });
}

/// So it is where something else takes its place.
#[test]
fn what_is_half_removed_is_in_nobodys_way() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        world.control().leave_half_removed("web").unwrap();
        assert!(!world.pass(&web("web:2", ""), None).await.failed());
        assert_eq!(world.containers().await, ["web running web:2"]);

        let (mut world, second) = looping().await;
        world.control().leave_half_removed("web").unwrap();
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, ["hoist-old-web exited web:1", "web running web:2"]);

        // Where nothing else may come, nothing is tried in vain.
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        world.control().leave_half_removed("web").unwrap();
        world.control().drop_image("web:1").unwrap();
        let none = web("web:2", "image-pull-policy = \"never\"");
        let pass = world.pass(&none, None).await;
        assert!(!pass.failed(), "{:#?}", pass.outcomes);
        assert_eq!(pass.plan.blocked.len(), 1);
    });
}

/// Where nobody looks for long between two passes: what can't be started is tried once before its successor is, not for ever.
#[test]
fn a_successor_is_tried_again_though_the_one_before_it_can_not_be_started() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", KEPT), None).await;
        let second = web("web:2", KEPT);
        // Neither the new one starts nor the one that it was to replace.
        let fails = || world.control().fault_next(CallKind::Step(StepKind::Start), busy());
        fails();
        fails();
        assert!(world.pass(&second, None).await.failed());
        for _ in 0..2 {
            world.wait(3600);
            if lines(&world.plan(&second).await)[0].starts_with("▶ web   start ") {
                world.control().fault_next(CallKind::Step(StepKind::Start), busy());
                assert!(world.pass(&second, None).await.failed());
                assert_eq!(world.containers().await, ["web exited web:1"]);
            } else {
                assert!(!world.pass(&second, None).await.failed());
            }
        }
        let both = ["hoist-old-web exited web:1", "web running web:2"];
        assert_eq!(world.containers().await, both);
    });
}

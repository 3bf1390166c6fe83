//! What Hoist itself stopped did not end by itself: where its manifest wants it to run, it is started, whatever its policy says
//! of one that ends. And nothing is begun beside what could not be stopped for it.

use crate::back::lines;
use crate::block_on;
use crate::successors::{ENDS, PORT, SHARED, only};
use crate::taken_back::{calls, cut_in_probation};
use crate::world::{Cut, World, manifest};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{EngineError, EngineErrorKind};
use hoist::model::HashedManifest;
use hoist::plan::{Step, StepKind};
use std::sync::Arc;

const POLICIES: [&str; 2] = ["restart-policy = \"never\"", "restart-policy = \"on-failure\""];

fn both(one: &str, other: &str, more: &str) -> Arc<HashedManifest> {
    let module = |name: &str| format!("[modules.{name}]\nimage = \"{name}:1\"\n{more}\n");
    manifest(&format!("target = \"*\"\n{}{}", module(one), module(other)))
}

async fn runs_again(world: &mut World, former: &Arc<HashedManifest>) {
    let pass = world.pass(former, None).await;
    assert!(!pass.failed(), "{:#?}", pass.outcomes);
    let there = world.containers().await;
    assert_eq!(there, ["former running former:1"], "{:?}", lines(&pass.plan));
    assert!(world.plan(former).await.works.is_empty());
}

#[test]
fn what_made_room_runs_where_it_is_wanted_again() {
    block_on(async {
        for policy in POLICIES {
            let former = only("former", &[PORT, policy]);

            // Its successor came up, and something else did not.
            let mut world = World::new();
            world.pass(&former, None).await;
            world.control().behave("other:1", ENDS).unwrap();
            let other = "[modules.other]\nimage = \"other:1\"\n";
            let text = "[modules.next]\nimage = \"next:1\"";
            let next = manifest(&format!("target = \"*\"\n{text}\n{PORT}\n{other}"));
            assert!(world.pass(&next, None).await.failed());
            let there = world.containers().await;
            assert_eq!(there, ["former exited former:1", "next running next:1"]);
            runs_again(&mut world, &former).await;

            // The run was cut off in the probation of its successor.
            let mut world = World::new();
            world.pass(&former, None).await;
            cut_in_probation(&mut world, &only("next", &[PORT])).await;
            world.wait(2);
            runs_again(&mut world, &former).await;

            // And after it.
            let mut world = World::new();
            world.pass(&former, None).await;
            let next = only("next", &[PORT]);
            let plan = world.plan(&next).await;
            let call = calls(&plan).iter().position(|step| matches!(step, Step::Remove { .. }));
            let cut = Cut { call: call.unwrap(), after: false, gently: false };
            assert!(world.pass(&next, Some(cut)).await.was_cut);
            world.wait(3600);
            runs_again(&mut world, &former).await;
        }
    });
}

#[test]
fn what_was_to_be_stopped_runs_where_it_should_again() {
    block_on(async {
        for policy in POLICIES {
            let mut world = World::new();
            world.pass(&only("former", &[policy]), None).await;
            let stopped = only("former", &[policy, "status = \"stopped\""]);
            world.pass(&stopped, None).await;
            assert_eq!(world.containers().await, ["former exited former:1"]);
            world.pass(&stopped, None).await;
            world.wait(36_000);
            runs_again(&mut world, &only("former", &[policy])).await;
        }
    });
}

#[test]
fn what_ended_by_itself_does_not_run_again_for_that() {
    block_on(async {
        for policy in POLICIES {
            let mut world = World::new();
            let ends = Behaviour::Ends { code: 0, after: 60_000 };
            world.control().behave("former:1", ends).unwrap();
            let former = only("former", &[policy]);
            world.pass(&former, None).await;
            world.wait(120);
            assert_eq!(world.containers().await, ["former exited former:1"]);
            world.pass(&only("former", &[policy, "status = \"stopped\""]), None).await;
            let pass = world.pass(&former, None).await;
            assert_eq!(
                world.containers().await,
                ["former exited former:1"],
                "{:?}",
                lines(&pass.plan)
            );
        }
    });
}

#[test]
fn nothing_is_begun_beside_what_could_not_be_stopped_for_it() {
    let refusal = || Fault::Fail(EngineError::new(EngineErrorKind::Refused, "server error"));
    block_on(async {
        // What came is taken back first.
        let former = only("former", &[SHARED]);
        for then in [&former, &both("former", "later", SHARED)] {
            let mut world = World::new();
            world.pass(&former, None).await;
            cut_in_probation(&mut world, &only("next", &[SHARED])).await;
            world.wait(2);
            world.control().fault_next(CallKind::Step(StepKind::Stop), refusal());
            let pass = world.pass(then, None).await;
            let beside = ["former exited former:1", "next running next:1"];
            let there = world.containers().await;
            assert_eq!(there, beside, "{:?}\n{:#?}", lines(&pass.plan), pass.outcomes);
            assert!(!world.pass(then, None).await.failed());
            assert!(world.containers().await.contains(&"former running former:1".to_owned()));
        }

        // What goes is stopped first.
        let mut world = World::new();
        world.pass(&former, None).await;
        world.control().fault_next(CallKind::Step(StepKind::Stop), refusal());
        let next = only("next", &[SHARED]);
        assert!(world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["former running former:1"]);
        assert!(!world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["next running next:1"]);
    });
}

/// It makes room for all of them or none: where an image is not to be had, what goes is not disturbed.
#[test]
fn none_is_made_beside_what_makes_no_room_as_an_image_is_missing() {
    block_on(async {
        for more in [SHARED, PORT] {
            let (next, other) = match more {
                SHARED => (SHARED, SHARED),
                _ => (PORT, "ports = [\"8081:80\"]"),
            };
            let former = only("former", &["ports = [\"8080:80\", \"8081:80\"]", SHARED]);
            let text = |name: &str, more: &str| {
                format!("[modules.{name}]\nimage = \"{name}:1\"\n{more}\n")
            };
            let then = format!("target = \"*\"\n{}{}", text("next", next), text("other", other));
            let then = manifest(&then);
            let mut world = World::new();
            world.pass(&former, None).await;
            world.control().set_missing("other:1", true).unwrap();
            let pass = world.pass(&then, None).await;
            assert!(pass.failed());
            let there = world.containers().await;
            assert_eq!(there, ["former running former:1"], "{:?}", lines(&pass.plan));
            world.control().set_missing("other:1", false).unwrap();
            world.wait(3700);
            assert!(!world.pass(&then, None).await.failed());
            let there = world.containers().await;
            assert_eq!(there, ["next running next:1", "other running other:1"]);
        }
    });
}

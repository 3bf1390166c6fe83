//! A change whose engine is not reached any more in the middle of it, and answers again.

use crate::back::{policy, web};
use crate::block_on;
use crate::world::World;
use hoist::apply::{Outcome, Pace, Witness, run_noted};
use hoist::engine::simulated::{CallKind, Fault};
use hoist::engine::{EngineError, EngineErrorKind, SecretValues};
use hoist::plan::{Step, StepKind};
use std::collections::BTreeSet;

/// Each try stops what works: one that breaks off each time is not tried each time, whatever else the engine answers.
#[test]
fn what_works_is_stopped_ever_more_seldom_for_a_change_that_breaks_off() {
    block_on(async {
        for is_alone in [false, true] {
            let mut world = World::new();
            let second = web("web:2", "");
            if !is_alone {
                world.pass(&web("web:1", ""), None).await;
            }
            let (start, mut tries) = (world.now(), Vec::new());
            let mut in_pause = BTreeSet::new();
            while world.now() < start + 200 {
                world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Unreachable);
                let pass = world.pass(&second, None).await;
                let blocks = pass.plan.blocked.values();
                in_pause.extend(blocks.map(|block| {
                    (block.code(), block.to_string().contains("not tried again before"))
                }));
                if pass.failed() {
                    tries.push(world.now() - start);
                } else {
                    // Nothing was begun that could meet it.
                    world.control().calm();
                }
                if !is_alone {
                    assert_eq!(world.containers().await, ["web running web:1"]);
                }
                world.wait(1);
            }
            let pauses: Vec<i64> = tries.windows(2).map(|two| two[1] - two[0]).collect();
            assert!(pauses.len() <= 6 && pauses.is_sorted() && pauses[0] <= 5, "{tries:?}");
            assert_eq!(in_pause, [(406, true)].into());
            world.wait(300);
            assert!(!world.pass(&second, None).await.failed());
            assert_eq!(world.containers().await, ["web running web:2"]);
        }
    });
}

/// A stop of which nobody would know later is not done, and what was begun for it is taken back. It says nothing of the change.
#[test]
fn what_cant_be_noted_is_not_stopped() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        let plan = world.plan(&web("web:2", "")).await;
        world.control().forget_calls();
        let note = |step: &Step, _| match step {
            Step::Stop { .. } => Err(EngineError::new(EngineErrorKind::Unreachable, "no room")),
            _ => Ok(()),
        };
        let (pace, secrets) = (Pace::default(), SecretValues::default());
        let witness = Witness { events: &|_| {}, note: &note };
        let run = run_noted(&world.engine, &plan, &secrets, &pace, witness).await;
        let failed = run.outcomes.values().find_map(Outcome::failure_and_left_over).unwrap();
        assert!(failed.starts_with("stop ") && failed.ends_with(": no room"), "{failed}");
        assert!(run.was_cut_off() && run.counted.stopped.is_empty());
        assert_eq!(world.control().count(CallKind::Step(StepKind::Stop)), 0);
        assert_eq!(world.containers().await, ["web running web:1"]);
        assert_eq!(policy(&world).await, "always");
    });
}

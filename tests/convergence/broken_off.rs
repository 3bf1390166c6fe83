//! A change whose engine is not reached any more in the middle of it, and answers again.

use crate::back::{KEPT, LOOPS, lines, policy, web};
use crate::block_on;
use crate::passes::House;
use crate::successors::{SHARED, only};
use crate::world::World;
use hoist::apply::{Outcome, Pace, Witness, run_noted};
use hoist::engine::simulated::{CallKind, Fault, Simulated};
use hoist::engine::{EngineError, EngineErrorKind, SecretValues};
use hoist::model::{DeviceId, ModuleName};
use hoist::plan::{FailedChange, Step, StepKind};
use std::collections::BTreeSet;
use std::sync::Arc;

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
            assert_eq!(in_pause, [(202, true)].into());
            world.wait(300);
            assert!(!world.pass(&second, None).await.failed());
            assert_eq!(world.containers().await, ["web running web:2"]);
        }
    });
}

/// The engine falls silent at the next start, and answers again after the run.
pub(crate) fn falls_silent_at_a_start(world: &World) {
    world.control().fault_next(CallKind::Step(StepKind::Start), Fault::TimeOut { done: false });
    world.control().fault_next(CallKind::Answers, Fault::Unreachable);
}

/// It is away for longer than any pause, each time: what it left down runs in between, and the pause begins then.
#[test]
fn what_a_try_left_down_comes_up_before_the_next_one() {
    let left = ["hoist-new-web created web:2", "web exited web:1"];
    block_on(async {
        for away in [30, 1000] {
            let mut world = World::new();
            let second = web("web:2", "");
            world.pass(&web("web:1", ""), None).await;
            falls_silent_at_a_start(&world);
            assert!(world.pass(&second, None).await.failed());
            assert_eq!(world.containers().await, left);
            world.wait(away);
            // Once it may have been an engine that was restarted.
            falls_silent_at_a_start(&world);
            assert!(world.pass(&second, None).await.failed());
            for pause in [10, 20, 40] {
                assert_eq!(world.containers().await, left);
                world.wait(away);
                let up = world.now();
                let pass = world.pass(&second, None).await;
                assert!(!pass.failed(), "{:?}", lines(&pass.plan));
                assert_eq!(world.containers().await, ["web running web:1"], "away for {away} s");
                assert_eq!(pass.plan.due, Some(up + pause));
                world.wait(pause.unsigned_abs() - 2);
                assert!(world.pass(&second, None).await.plan.works.is_empty());
                world.wait(2);
                falls_silent_at_a_start(&world);
                assert!(world.pass(&second, None).await.failed());
            }
            world.wait(away);
            world.pass(&second, None).await;
            world.wait(300);
            assert!(!world.pass(&second, None).await.failed());
            assert_eq!(world.containers().await, ["web running web:2"]);
        }
    });
}

/// What it left down takes its time to be healthy again: the pause begins then.
#[test]
fn a_pause_begins_when_what_works_is_healthy() {
    let slow = "health = { command = [\"CMD\", \"ok\"], interval = \"30s\", retries = 1 }";
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", slow), None).await;
        let second = web("web:2", slow);
        for _ in 0..2 {
            falls_silent_at_a_start(&world);
            assert!(world.pass(&second, None).await.failed());
        }
        world.wait(1000);
        let begun = world.now();
        assert!(!world.pass(&second, None).await.failed());
        let up = world.now();
        assert!(up - begun >= 30);
        assert_eq!(world.containers().await, ["web running web:1"]);
        let pass = world.pass(&second, None).await;
        assert!(pass.plan.works.is_empty(), "{:?}", lines(&pass.plan));
        assert_eq!(pass.plan.due, Some(up + 10));
    });
}

/// Bringing up what it left down breaks off as well: that comes up all the same before the next try.
#[test]
fn what_broke_off_while_it_came_up_comes_up_before_the_next_try() {
    block_on(async {
        let mut world = World::new();
        let second = web("web:2", "");
        world.pass(&web("web:1", ""), None).await;
        for _ in 0..2 {
            falls_silent_at_a_start(&world);
            assert!(world.pass(&second, None).await.failed());
        }
        let mut holds_up = 0;
        // The last of these pauses of starts is longer than that of the change.
        for _ in 0..40 {
            world.wait(1);
            falls_silent_at_a_start(&world);
            let pass = world.pass(&second, None).await;
            world.control().calm();
            if pass.plan.works.is_empty() {
                continue;
            }
            holds_up += 1;
            assert!(pass.failed());
            assert!(lines(&pass.plan)[0].starts_with("▶ web   start"), "{:?}", lines(&pass.plan));
            assert_eq!(world.containers().await, ["web exited web:1"]);
        }
        assert!(holds_up >= 3, "{holds_up}");
        world.wait(100);
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, ["web running web:1"]);
    });
}

/// What was there can't be started any more: that holds up nothing for longer than its pause.
#[test]
fn what_cant_come_up_again_does_not_hold_up_the_next_try() {
    block_on(async {
        let mut world = World::new();
        let second = web("web:2", "");
        world.pass(&web("web:1", ""), None).await;
        for _ in 0..2 {
            falls_silent_at_a_start(&world);
            assert!(world.pass(&second, None).await.failed());
        }
        world.wait(1000);
        let refusal = EngineError::new(EngineErrorKind::Refused, "no");
        world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Fail(refusal));
        let pass = world.pass(&second, None).await;
        assert_eq!(
            lines(&pass.plan),
            [
                "▶ web   start   (left behind by a run that was cut off, it was stopped, and is not started again yet)"
            ]
        );
        assert!(pass.failed());
        world.wait(10);
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, ["web running web:2"]);
    });
}

/// Only the answer to a stop is lost, and the engine is still at it: what works comes up again once it is down.
#[test]
fn what_is_down_after_a_stop_of_which_nobody_knew_the_end_comes_up() {
    block_on(async {
        let never = "restart-policy = \"never\"";
        let mut world = World::new();
        world.pass(&web("web:1", never), None).await;
        world.control().fault_next(CallKind::Step(StepKind::Stop), Fault::Unreachable);
        assert!(world.pass(&web("web:2", never), None).await.failed());
        assert_eq!(world.containers().await, ["web running web:1"]);
        world.stop("web").await;
        world.pass(&web("web:1", never), None).await;
        assert_eq!(world.containers().await, ["web running web:1"]);
    });
}

/// The same where what works goes, and makes room for a new module: in the pause it runs.
#[test]
fn what_makes_room_is_stopped_ever_more_seldom_for_a_successor_that_breaks_off() {
    block_on(async {
        let mut world = World::new();
        world.pass(&only("former", &[SHARED]), None).await;
        let next = only("next", &[SHARED]);
        let (start, mut tries) = (world.now(), Vec::new());
        while world.now() < start + 200 {
            // Neither what was begun is taken back, nor what made room started again.
            if world.plan(&next).await.blocked.is_empty() {
                for step in [StepKind::Start, StepKind::Remove, StepKind::Start] {
                    world.control().fault_next(CallKind::Step(step), Fault::Unreachable);
                }
            }
            let pass = world.pass(&next, None).await;
            world.control().calm();
            if pass.failed() {
                tries.push(world.now() - start);
            } else {
                let there = world.containers().await;
                assert_eq!(there, ["former running former:1"], "{:?}", lines(&pass.plan));
            }
            world.wait(1);
        }
        let pauses: Vec<i64> = tries.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(pauses.len() <= 6 && pauses.is_sorted() && pauses[0] <= 5, "{tries:?}");
        world.wait(300);
        assert!(!world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["next running next:1"]);
        world.pass(&next, None).await;
        assert!(world.memory.modules.values().all(|module| module.failed.is_none()));
    });
}

/// The engine is away for longer than any pause at each try: what makes room comes up before the next one.
#[test]
fn what_made_room_comes_up_before_the_next_try() {
    block_on(async {
        let mut world = World::new();
        world.pass(&only("former", &[SHARED]), None).await;
        let next = only("next", &[SHARED]);
        for _ in 0..2 {
            falls_silent_at_a_start(&world);
            assert!(world.pass(&next, None).await.failed());
            assert_eq!(world.containers().await, ["former exited former:1", "next created next:1"]);
            world.wait(1000);
        }
        for pause in [10, 20] {
            let pass = world.pass(&next, None).await;
            assert!(!pass.failed(), "{:?}", lines(&pass.plan));
            assert_eq!(world.containers().await, ["former running former:1"]);
            world.wait(pause - 2);
            assert!(world.pass(&next, None).await.plan.works.is_empty());
            world.wait(2);
            falls_silent_at_a_start(&world);
            assert!(world.pass(&next, None).await.failed());
            world.wait(1000);
        }
        world.pass(&next, None).await;
        world.wait(300);
        assert!(!world.pass(&next, None).await.failed());
        world.pass(&next, None).await;
        assert_eq!(world.containers().await, ["next running next:1"]);
    });
}

/// That it was not reached in the middle says nothing of now: a device that answers is not called away while its change waits.
#[test]
fn a_device_that_answers_again_is_on_the_way_and_says_until_when_it_waits() {
    let mut house = House::new();
    let engine = Simulated::open(None, "d1").unwrap();
    let control = engine.control();
    house.given.insert(DeviceId::parse("d1").unwrap(), Arc::new(engine));
    house.apply(0);
    assert_eq!(house.words("d1").0, 200);
    house.write("deployments/base.toml", "target = \"*\"\n[modules.web]\nimage = \"web:2\"\n");
    let broke_off = "the engine is not reached";
    for in_pause in [false, true] {
        control.fault_next(CallKind::Step(StepKind::Start), Fault::Unreachable);
        house.apply(5);
        let (code, words) = house.words("d1");
        assert_eq!(code, 202, "{words}");
        assert!(words.contains(broke_off), "{words}");
        assert_eq!(words.starts_with("web: not tried again before "), in_pause, "{words}");
    }
    house.apply(1);
    let (code, words) = house.words("d1");
    assert_eq!(code, 202, "{words}");
    assert!(words.starts_with("web: not tried again before "), "{words}");
    assert!(words.contains(broke_off), "{words}");
    assert_eq!(house.store().load_devices().unwrap()["d1"].modules["web"].code, 202);

    house.apply_after(60, || control.set_unreachable(true));
    assert_eq!(house.words("d1").0, 406, "{:?}", house.words("d1"));
    control.set_unreachable(false);
    house.apply(600);
    assert_eq!(house.words("d1"), (200, "as desired".to_owned()));
}

/// What came up after its change had broken off, and fails then, has failed all the same.
#[test]
fn what_fails_after_it_broke_off_is_remembered_as_failed() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", KEPT), None).await;
        let second = web("web:2", KEPT);
        world.control().behave("web:2", LOOPS).unwrap();
        let pass = world.pass(&second, None).await;
        let name = ModuleName::parse("web").unwrap();
        // Its last step was done, and the engine did not come to say so.
        let failed = FailedChange {
            spec: pass.plan.specs[&name].clone(),
            at: world.now(),
            count: 6,
            code: 406,
            reason: "rename hoist-new-web: the connection broke".to_owned(),
            given_up: false,
            is_alone: false,
        };
        world.memory.modules.entry(name.clone()).or_default().failed = Some(failed);
        world.wait(40);
        world.pass(&second, None).await;
        assert_eq!(world.containers().await, ["web running web:1"]);
        let failed = world.memory.modules[&name].failed.clone().unwrap();
        assert_eq!((failed.code, failed.count, failed.not_before() - failed.at), (500, 1, 60));
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

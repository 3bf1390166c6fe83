//! What somebody else started is being taken over, and that breaks off: it is put back as it was, or left to whom it is.

use crate::back::{lines, web};
use crate::block_on;
use crate::broken_off::falls_silent_at_a_start;
use crate::world::World;
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{EngineError, EngineErrorKind};
use hoist::plan::StepKind;
use serde_json::json;

/// Somebody else started `web`.
fn with_foreign_web(policy: &str) -> World {
    let world = World::new();
    let body = json!({"Image": "web:0", "HostConfig": {"RestartPolicy": {"Name": policy}}});
    world.control().load_image("web:0", &Default::default()).unwrap();
    world.control().run_foreign("web", &body).unwrap();
    world
}

/// What somebody else started, and is taken over by a run that breaks off, runs again; and the consent was for that run.
#[test]
fn what_is_taken_over_comes_up_before_the_next_try() {
    block_on(async {
        for (was_up, blocks) in [(true, false), (false, false), (true, true)] {
            let mut world = with_foreign_web("unless-stopped");
            let wanted = web("web:1", "");
            if !was_up {
                world.stop("web").await;
            }
            let before = world.containers().await;
            world.consent.adopt = true;
            falls_silent_at_a_start(&world);
            assert!(world.pass(&wanted, None).await.failed());
            world.consent.adopt = false;
            assert_eq!(
                world.containers().await,
                ["hoist-new-web created web:1", "web exited web:0"]
            );
            assert_eq!(world.control().restart_policy("web").unwrap(), "no");
            if blocks {
                // It can't go on.
                let none = web("web:1", "image-pull-policy = \"never\"");
                world.control().drop_image("web:1").unwrap();
                world.pass(&none, None).await;
            } else {
                falls_silent_at_a_start(&world);
                assert!(world.pass(&wanted, None).await.failed());
                // Nothing is left down of one that was.
                world.wait(if was_up { 30 } else { 5 });
                world.pass(&wanted, None).await;
            }
            assert_eq!(world.containers().await, before);
            assert_eq!(world.control().restart_policy("web").unwrap(), "unless-stopped");
            world.wait(4000);
            let pass = world.pass(&wanted, None).await;
            assert!(pass.plan.works.is_empty(), "{:?}", lines(&pass.plan));
            assert_eq!(pass.plan.blocked.len(), 1, "it is somebody else's as before");
        }
    });
}

/// It ends by itself once it is put back: that is not for us to change, and the consent is over.
#[test]
fn what_is_not_taken_over_after_all_is_left_alone() {
    block_on(async {
        for ends in [true, false] {
            let mut world = with_foreign_web("no");
            let wanted = web("web:1", "");
            world.consent.adopt = true;
            falls_silent_at_a_start(&world);
            assert!(world.pass(&wanted, None).await.failed());
            world.consent.adopt = false;
            falls_silent_at_a_start(&world);
            assert!(world.pass(&wanted, None).await.failed());
            world.wait(30);
            if ends {
                world.control().behave("web:0", Behaviour::Ends { code: 0, after: 100 }).unwrap();
                world.pass(&wanted, None).await;
            } else {
                // Somebody was faster.
                world.start("web").await;
                world.stop("web").await;
            }
            world.control().behave("web:0", Behaviour::Runs).unwrap();
            for pause in [60, 4000] {
                world.wait(pause);
                let pass = world.pass(&wanted, None).await;
                let only_tidies =
                    lines(&pass.plan).iter().all(|line| line.starts_with("- web   tidy"));
                assert!(only_tidies, "{:?}", lines(&pass.plan));
                assert_eq!(world.containers().await, ["web exited web:0"]);
            }
        }
    });
}

/// The engine is still at its stop when it is looked at again: it comes up once it is down.
#[test]
fn what_is_taken_over_comes_up_also_where_its_stop_takes_long() {
    block_on(async {
        let mut world = with_foreign_web("no");
        let wanted = web("web:1", "");
        world.consent.adopt = true;
        for _ in 0..2 {
            let takes_long = Fault::TimeOut { done: false };
            world.control().fault_next(CallKind::Step(StepKind::Stop), takes_long);
            world.control().fault_next(CallKind::Answers, Fault::Unreachable);
            assert!(world.pass(&wanted, None).await.failed());
            world.consent.adopt = false;
        }
        world.wait(3);
        world.pass(&wanted, None).await;
        world.stop("web").await;
        world.wait(20);
        world.pass(&wanted, None).await;
        assert_eq!(world.containers().await, ["web running web:0"]);
    });
}

/// What was to take its place can't be removed at once: it is not kept up beside what somebody else has there.
#[test]
fn what_was_half_done_goes_from_beside_what_has_its_name() {
    block_on(async {
        for (done, state) in [(false, "created"), (true, "running")] {
            let mut world = with_foreign_web("no");
            let wanted = web("web:1", "");
            world.consent.adopt = true;
            world.control().fault_next(CallKind::Step(StepKind::Start), Fault::TimeOut { done });
            world.control().fault_next(CallKind::Answers, Fault::Unreachable);
            assert!(world.pass(&wanted, None).await.failed());
            world.consent.adopt = false;
            falls_silent_at_a_start(&world);
            world.pass(&wanted, None).await;
            world.control().calm();
            world.start("web").await;
            let half_done = world.containers().await[0].starts_with("hoist-new-web");
            assert!(half_done, "{state} {:?}", world.containers().await);
            for _ in 0..3 {
                let busy = EngineError::new(EngineErrorKind::Refused, "device or resource busy");
                world.control().fault_next(CallKind::Step(StepKind::Remove), Fault::Fail(busy));
                world.pass(&wanted, None).await;
                world.control().calm();
                let there = world.containers().await;
                assert_eq!(there.last().unwrap(), "web running web:0");
                world.wait(100);
            }
            world.pass(&wanted, None).await;
            assert_eq!(world.containers().await, ["web running web:0"], "{state}");
        }
    });
}

/// The answer to its stop is lost, twice, and the engine is at it.
#[test]
fn what_is_taken_over_comes_up_where_its_stop_ends_later() {
    block_on(async {
        let mut world = with_foreign_web("no");
        world.consent.adopt = true;
        for _ in 0..2 {
            world.control().fault_next(CallKind::Step(StepKind::Stop), Fault::Unreachable);
            assert!(world.pass(&web("web:1", ""), None).await.failed());
            world.consent.adopt = false;
        }
        assert_eq!(world.containers().await, ["web running web:0"]);
        world.stop("web").await;
        world.wait(20);
        world.pass(&web("web:1", ""), None).await;
        assert_eq!(world.containers().await, ["web running web:0"]);
    });
}

/// A stop takes longer than its limit while the engine answers, and ends after that.
#[test]
fn what_is_taken_over_comes_up_where_its_stop_outlasts_its_limit() {
    block_on(async {
        let mut world = with_foreign_web("no");
        world.consent.adopt = true;
        let stop = CallKind::Step(StepKind::Stop);
        world.control().fault_next(stop, Fault::TimeOut { done: false });
        assert!(world.pass(&web("web:1", ""), None).await.failed());
        world.consent.adopt = false;
        world.stop("web").await;
        world.wait(20);
        world.pass(&web("web:1", ""), None).await;
        assert_eq!(world.containers().await, ["web running web:0"]);
        world.wait(4000);
        let pass = world.pass(&web("web:1", ""), None).await;
        assert!(pass.plan.works.is_empty(), "it is somebody else's: {:?}", lines(&pass.plan));
    });
}

/// All is done but that the engine can't remove what was taken over: it goes later, and is in nobody's way.
#[test]
fn what_was_taken_over_goes_where_it_could_not_be_removed_at_first() {
    block_on(async {
        for was_up in [true, false] {
            let mut world = with_foreign_web("no");
            if !was_up {
                world.stop("web").await;
            }
            world.consent.adopt = true;
            for _ in 0..3 {
                let busy = EngineError::new(EngineErrorKind::Refused, "device or resource busy");
                world.control().fault_next(CallKind::Step(StepKind::Remove), Fault::Fail(busy));
                assert!(world.pass(&web("web:1", ""), None).await.failed());
                world.consent.adopt = false;
                let both = ["hoist-old-web exited web:0", "web running web:1"];
                assert_eq!(world.containers().await, both);
            }
            assert!(!world.pass(&web("web:1", ""), None).await.failed());
            assert_eq!(world.containers().await, ["web running web:1"]);
        }
    });
}

//! What Hoist itself stopped did not end by itself: where its manifest wants it to run, it is started, whatever its policy says
//! of one that ends; and once for each stop. Nothing is begun beside what could not be stopped for it.

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

/// A job that was stopped runs once more, and is not started over and over, whoever started it.
#[test]
fn a_short_job_that_was_stopped_runs_once_more() {
    block_on(async {
        for by_hand in [false, true] {
            for policy in POLICIES {
                let mut world = World::new();
                let former = only("former", &[policy]);
                world.pass(&former, None).await;
                world.pass(&only("former", &[policy, "status = \"stopped\""]), None).await;
                let ends = Behaviour::Ends { code: 0, after: 100 };
                world.control().behave("former:1", ends).unwrap();
                if by_hand {
                    world.start("former").await;
                } else {
                    assert!(!world.pass(&former, None).await.failed());
                }
                world.wait(5);
                let control = world.control();
                let starts = || control.count(CallKind::Step(StepKind::Start));
                let before = starts();
                for _ in 0..3 {
                    world.pass(&former, None).await;
                    world.wait(3600);
                }
                assert_eq!(starts(), before);
                assert_eq!(world.containers().await, ["former exited former:1"]);
                assert!(world.plan(&former).await.works.is_empty());
            }
        }
    });
}

/// What goes back to what was there starts it again only if it ran, or should.
#[test]
fn a_job_that_had_ended_does_not_run_again_as_its_successor_fails() {
    block_on(async {
        for policy in POLICIES {
            let mut world = World::new();
            world.control().behave("former:1", Behaviour::Ends { code: 0, after: 100 }).unwrap();
            let former = only("former", &[policy]);
            world.pass(&former, None).await;
            world.wait(5);
            world.control().behave("next:1", ENDS).unwrap();
            let text = format!("target = \"*\"\n[modules.former]\nimage = \"next:1\"\n{policy}\n");
            let pass = world.pass(&manifest(&text), None).await;
            assert!(pass.failed(), "{:?}", lines(&pass.plan));
            assert_eq!(world.containers().await, ["former exited former:1"]);
            let starts = world.control().count(CallKind::Step(StepKind::Start));
            assert_eq!(starts, 2, "one of each");
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

        // What stood beside it comes up anew, and it goes on as it was.
        for policy in ["", POLICIES[1]] {
            let module = |name: &str, more: &str| {
                format!("[modules.{name}]\nimage = \"{name}:1\"\n{SHARED}\n{policy}\n{more}\n")
            };
            let stays = module("stays", "");
            let former = manifest(&format!("target = \"*\"\n{}{stays}", module("former", "")));
            let stays = module("stays", "env.NEW = \"1\"");
            let next = manifest(&format!("target = \"*\"\n{}{stays}", module("next", "")));
            let mut world = World::new();
            world.pass(&former, None).await;
            let had = world.control().restart_policy("former").unwrap();
            world.control().fault_next(CallKind::Step(StepKind::Stop), refusal());
            let pass = world.pass(&next, None).await;
            assert!(pass.failed());
            let there = world.containers().await;
            let beside = ["former running former:1", "stays running stays:1"];
            assert_eq!(there, beside, "{:?}", lines(&pass.plan));
            assert_eq!(world.control().environment("stays").unwrap()["NEW"], "1");
            assert_eq!(world.control().restart_policy("former").unwrap(), had);
            assert!(!world.pass(&next, None).await.failed());
            assert_eq!(world.containers().await, ["next running next:1", "stays running stays:1"]);
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
            // Nothing was stopped, so that nothing is started again.
            let starts = world.control().count(CallKind::Step(StepKind::Start));
            assert_eq!(starts, 1);
            world.control().set_missing("other:1", false).unwrap();
            world.wait(3700);
            assert!(!world.pass(&then, None).await.failed());
            let there = world.containers().await;
            assert_eq!(there, ["next running next:1", "other running other:1"]);
        }
    });
}

/// What stood beside it before, on the same volume, has its room: it does not wait for a stop that is not begun.
#[test]
fn what_stood_beside_goes_on_while_an_image_is_missing() {
    block_on(async {
        let text = |modules: &[(&str, &str)]| {
            let module = |(name, image): &(&str, &str)| {
                format!("[modules.{name}]\nimage = \"{image}\"\n{SHARED}\n")
            };
            let modules: String = modules.iter().map(module).collect();
            manifest(&format!("target = \"*\"\n{modules}"))
        };
        for (then, is_down) in [("stays:2", false), ("stays:1", true)] {
            let mut world = World::new();
            world.pass(&text(&[("stays", "stays:1"), ("goes", "goes:1")]), None).await;
            world.control().set_missing("comes:1", true).unwrap();
            if is_down {
                world.stop("stays").await;
            }
            let then = text(&[("stays", then), ("comes", "comes:1")]);
            let pass = world.pass(&then, None).await;
            let there = world.containers().await;
            let stays = there.iter().find(|line| line.starts_with("stays ")).unwrap();
            assert!(stays.starts_with("stays running"), "{there:?}\n{:?}", lines(&pass.plan));
            assert!(there.contains(&"goes running goes:1".to_owned()), "{there:?}");
        }
    });
}

/// What is made and not started takes nobody's room.
#[test]
fn what_comes_stopped_does_not_keep_down_what_made_room_for_another() {
    block_on(async {
        let mut world = World::new();
        world.pass(&only("former", &[SHARED]), None).await;
        world.control().behave("next:1", ENDS).unwrap();
        let still = format!("{SHARED}\nstatus = \"stopped\"\n");
        let text =
            |name: &str, more: &str| format!("[modules.{name}]\nimage = \"{name}:1\"\n{more}\n");
        let then =
            manifest(&format!("target = \"*\"\n{}{}", text("next", SHARED), text("still", &still)));
        assert!(world.pass(&then, None).await.failed());
        let there = world.containers().await;
        assert_eq!(there, ["former running former:1", "still created still:1"]);
    });
}

/// A manifest of modules of these names, images and more lines.
pub(crate) fn of(modules: &[(&str, &str, &str)]) -> Arc<HashedManifest> {
    let module = |(name, image, more): &(&str, &str, &str)| {
        format!("[modules.{name}]\nimage = \"{image}\"\n{more}\n")
    };
    let modules: String = modules.iter().map(module).collect();
    manifest(&format!("target = \"*\"\n{modules}"))
}

/// One that comes needs the room of two, and one of these makes room for another whose image is missing.
#[test]
fn nothing_is_stopped_in_vain_while_an_image_is_missing() {
    block_on(async {
        let mut world = World::new();
        let two = "ports = [\"8081:80\", \"8082:80\"]";
        let before = [("one", "one:1", two), ("two", "two:1", "ports = [\"8083:80\"]")];
        world.pass(&of(&before), None).await;
        world.control().set_missing("other:1", true).unwrap();
        let next = "ports = [\"8081:80\", \"8083:80\"]";
        let then = of(&[("next", "next:1", next), ("other", "other:1", "ports = [\"8082:80\"]")]);
        world.control().forget_calls();
        for _ in 0..3 {
            assert!(world.pass(&then, None).await.failed());
            world.wait(3700);
        }
        assert_eq!(world.control().count(CallKind::Step(StepKind::Stop)), 0);
        assert_eq!(world.containers().await, ["one running one:1", "two running two:1"]);
    });
}

/// A job whose stop a run did not come to ended by itself.
#[test]
fn what_was_only_about_to_be_stopped_does_not_run_again() {
    block_on(async {
        for policy in POLICIES {
            let mut world = World::new();
            world.control().behave("job:1", Behaviour::Ends { code: 0, after: 60_000 }).unwrap();
            let runs = only("job", &[policy]);
            world.pass(&runs, None).await;
            let stopped = only("job", &[policy, "status = \"stopped\""]);
            let cut = Cut { call: 0, after: true, gently: false };
            assert!(world.pass(&stopped, Some(cut)).await.was_cut);
            world.pass(&runs, None).await;
            world.wait(100);
            for _ in 0..2 {
                world.pass(&runs, None).await;
            }
            assert_eq!(world.containers().await, ["job exited job:1"], "{policy}");
        }
    });
}

/// A replacement that is cut off once it has stopped what was there: that runs again, whatever comes of it.
#[test]
fn what_a_cut_off_replacement_stopped_runs_again() {
    block_on(async {
        for policy in POLICIES {
            for fails in [false, true] {
                let mut world = World::new();
                let former = of(&[("web", "web:1", policy)]);
                world.pass(&former, None).await;
                // As a look that has nothing to ask leaves it.
                world.pass(&former, None).await;
                let next = of(&[("web", "web:2", policy)]);
                let plan = world.plan(&next).await;
                let stop = calls(&plan).iter().position(|step| matches!(step, Step::Stop { .. }));
                let cut = Cut { call: stop.unwrap(), after: true, gently: false };
                assert!(world.pass(&next, Some(cut)).await.was_cut);
                if fails {
                    world.control().behave("web:2", ENDS).unwrap();
                    assert!(world.pass(&next, None).await.failed());
                } else {
                    world.pass(&former, None).await;
                }
                let there = world.containers().await;
                assert_eq!(there, ["web running web:1"], "{policy} {fails}");
            }
        }
    });
}

/// What crash-loops and goes may have any port: others do not wait for that.
#[test]
fn others_do_not_wait_for_an_image_because_something_else_crash_loops() {
    block_on(async {
        let own = "ports = [\"8085:80\"]";
        let stopped = format!("{own}\nstatus = \"stopped\"");
        let mut world = World::new();
        world.control().behave("goes:1", ENDS).unwrap();
        let before = [("goes", "goes:1", PORT), ("stays", "stays:1", &*stopped)];
        world.pass(&of(&before), None).await;
        world.wait(60);
        world.control().set_missing("comes:1", true).unwrap();
        let then = of(&[("comes", "comes:1", PORT), ("stays", "stays:1", own)]);
        for _ in 0..2 {
            world.pass(&then, None).await;
        }
        let there = world.containers().await;
        assert!(there.contains(&"stays running stays:1".to_owned()), "{there:?}");
    });
}

/// A run that is cut off after it took the policy away, and then an image that can't be had: the policy is given back.
#[test]
fn a_policy_that_a_cut_off_run_took_away_is_given_back_while_an_image_is_missing() {
    block_on(async {
        let mut world = World::new();
        world.pass(&only("former", &[PORT]), None).await;
        let next = only("next", &[PORT]);
        let plan = world.plan(&next).await;
        let stop = calls(&plan).iter().position(|step| matches!(step, Step::Stop { .. })).unwrap();
        let cut = Cut { call: stop, after: false, gently: false };
        assert!(world.pass(&next, Some(cut)).await.was_cut);
        assert_eq!(world.control().restart_policy("former").unwrap(), "no");
        let then = of(&[("next", "next:2", PORT)]);
        world.control().set_missing("next:2", true).unwrap();
        for _ in 0..2 {
            world.pass(&then, None).await;
            world.wait(3700);
        }
        assert_eq!(world.containers().await, ["former running former:1"]);
        assert_eq!(world.control().restart_policy("former").unwrap(), "always");
    });
}

/// The engine may still be at a stop when the run that asked for it is gone: what runs on at the next look goes down later.
#[test]
fn a_stop_that_ends_after_its_run_was_cut_off_is_not_taken_for_an_end() {
    block_on(async {
        for policy in POLICIES {
            let mut world = World::new();
            let former = of(&[("web", "web:1", policy)]);
            world.pass(&former, None).await;
            let next = of(&[("web", "web:2", policy)]);
            let plan = world.plan(&next).await;
            let stop = calls(&plan).iter().position(|step| matches!(step, Step::Stop { .. }));
            let cut = Cut { call: stop.unwrap(), after: false, gently: false };
            assert!(world.pass(&next, Some(cut)).await.was_cut);
            world.pass(&former, None).await;
            world.wait(5);
            world.stop("web").await;
            for _ in 0..2 {
                world.pass(&former, None).await;
            }
            assert_eq!(world.containers().await, ["web running web:1"], "{policy}");
        }
    });
}

//! What a run that was cut off made, and no run has seen come up: it is taken back where what made room for it can be started
//! again, and else it is a module like others. Nothing that works goes while what is to come is not possible.

use crate::back::lines;
use crate::block_on;
use crate::successors::{CHECKED, ENDS, PORT, SHARED, only, policy_of};
use crate::world::{Cut, World, manifest};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{EngineError, EngineErrorKind};
use hoist::model::HashedManifest;
use hoist::plan::{DevicePlan, HalfDone, PlanAction, Purpose, Step, StepKind, When, Work};
use std::sync::Arc;

/// The calls that a pass makes if nothing fails.
pub(crate) fn calls(plan: &DevicePlan) -> Vec<&Step> {
    let works = plan.works.iter().filter(|work| matches!(work.when, When::AllPassed(_)));
    works.flat_map(|work| &work.steps).collect()
}

pub(crate) async fn cut_before(
    world: &mut World,
    manifest: &Arc<HashedManifest>,
    which: impl Fn(&Step) -> bool,
) {
    let plan = world.plan(manifest).await;
    let call = calls(&plan).into_iter().position(which).unwrap();
    let cut = Cut { call, after: false, gently: false };
    assert!(world.pass(manifest, Some(cut)).await.was_cut);
}

pub(crate) async fn cut_in_probation(world: &mut World, manifest: &Arc<HashedManifest>) {
    cut_before(world, manifest, |step| matches!(step, Step::WaitRunning { .. })).await;
}

fn is_again(work: &Work) -> bool {
    matches!(work.purpose, Purpose::Module { action: PlanAction::StartAgain, .. })
}

/// The manifest with another `next`.
fn second(more: &[&str]) -> Arc<HashedManifest> {
    let more = more.join("\n");
    manifest(&format!("target = \"*\"\n[modules.next]\nimage = \"next:2\"\n{more}\n"))
}

const NEVER: &str = "image-pull-policy = \"never\"";
const SECRET: &str = "env = { P = { secret = \"none\" } }";

/// Where the manifest says another thing by the next run, what a run that was cut off made is taken back at once if what made
/// room for it stands by, and that runs again.
#[test]
fn what_no_run_has_seen_come_up_goes_where_what_made_room_for_it_stands_by() {
    let former = only("former", &[PORT]);
    let next = only("next", &[PORT]);
    let changed = |more: &str| {
        let image = "[modules.next]\nimage = \"next:2\"";
        manifest(&format!("target = \"*\"\n{image}\n{PORT}\n{more}\n"))
    };
    let never = changed("image-pull-policy = \"never\"");
    let secret = changed("env = { P = { secret = \"none\" } }");
    block_on(async {
        let (later, apart) = (only("later", &[PORT]), only("apart", &[]));
        for then in [&later, &apart, &changed(""), &never, &secret] {
            for missing in [false, true] {
                let mut world = World::new();
                world.pass(&former, None).await;
                for image in ["next:1", "next:2", "later:1", "apart:1"] {
                    world.control().behave(image, ENDS).unwrap();
                    world.control().set_missing(image, missing && image != "next:1").unwrap();
                }
                world.control().behave("next:1", Behaviour::Runs).unwrap();
                cut_in_probation(&mut world, &next).await;
                world.wait(2);
                let pass = world.pass(then, None).await;
                assert!(pass.failed() || !pass.plan.blocked.is_empty());
                assert_eq!(
                    world.containers().await,
                    ["former running former:1"],
                    "{:?}",
                    lines(&pass.plan)
                );
            }
        }
    });
}

/// Where nothing made room for it, it stays until its successor is known to be possible, however new it is.
#[test]
fn what_needed_nobodys_room_stays_until_its_successor_is_possible() {
    let thens = |more: &'static [&'static str]| {
        let with = |one: &'static str| [more, &[one]].concat();
        [second(more), second(&with(NEVER)), second(&with(SECRET)), only("later", more)]
    };
    block_on(async {
        for more in [&[][..], &[PORT], &[SHARED]] {
            for then in thens(more) {
                for wait in [2, 864_000] {
                    let mut world = World::new();
                    world.pass(&only("former", &[]), None).await;
                    cut_in_probation(&mut world, &only("next", more)).await;
                    for image in ["next:2", "later:1"] {
                        world.control().set_missing(image, true).unwrap();
                    }
                    world.wait(wait);
                    for _ in 0..2 {
                        let pass = world.pass(&then, None).await;
                        let there = world.containers().await;
                        let both = ["former running former:1", "next running next:1"];
                        assert_eq!(there, both, "{more:?} {wait}: {:?}", lines(&pass.plan));
                        world.wait(3700);
                    }
                    assert_eq!(policy_of(&world, "next"), "always");
                }
            }
        }
    });
}

/// The run was killed while something else was removed: what had come up by then is what works.
#[test]
fn what_had_come_up_when_the_run_was_cut_is_what_works() {
    let both = manifest(&format!(
        "target = \"*\"\n[modules.aformer]\nimage = \"aformer:1\"\n\
         [modules.zformer]\nimage = \"former:1\"\n{PORT}\n"
    ));
    block_on(async {
        for removed in [0, 1] {
            for then in [second(&[PORT]), second(&[PORT, SECRET]), only("later", &[PORT])] {
                for wait in [0, 36_000] {
                    let mut world = World::new();
                    world.pass(&both, None).await;
                    let next = only("next", &[PORT]);
                    let plan = world.plan(&next).await;
                    let calls = calls(&plan);
                    let removals = calls.iter().enumerate();
                    let mut removals = removals.filter(|(_, s)| matches!(s, Step::Remove { .. }));
                    let call = removals.nth(removed).unwrap().0;
                    let cut = Cut { call, after: false, gently: false };
                    assert!(world.pass(&next, Some(cut)).await.was_cut);
                    assert_eq!(world.memory.half_done, HalfDone::default());
                    // It is not up for as long as its probation takes any more.
                    world.control().restart_engine().unwrap();
                    world.wait(wait);
                    for image in ["next:2", "later:1"] {
                        world.control().set_missing(image, true).unwrap();
                    }
                    let pass = world.pass(&then, None).await;
                    let there = world.containers().await;
                    let next = "next running next:1".to_owned();
                    assert!(there.contains(&next), "{there:?}: {:?}", lines(&pass.plan));
                    let former = "zformer running former:1".to_owned();
                    assert!(!there.contains(&former), "{there:?}: {:?}", lines(&pass.plan));
                }
            }
        }
    });
}

/// What has been up for as long as its probation takes has come up, though no run saw that; not where it is unhealthy.
#[test]
fn what_has_been_up_for_its_probation_has_come_up() {
    block_on(async {
        for behaviour in [Behaviour::Runs, Behaviour::Unhealthy] {
            for then in [second(&[PORT]), second(&[PORT, SECRET]), only("later", &[PORT])] {
                let mut world = World::new();
                world.pass(&only("former", &[PORT]), None).await;
                world.control().behave("next:1", behaviour.clone()).unwrap();
                cut_in_probation(&mut world, &only("next", &[PORT, CHECKED])).await;
                world.wait(60);
                for image in ["next:2", "later:1"] {
                    world.control().set_missing(image, true).unwrap();
                }
                let pass = world.pass(&then, None).await;
                let expected: &[&str] = match behaviour {
                    Behaviour::Runs => &["former exited former:1", "next running next:1"],
                    _ => &["former running former:1"],
                };
                let there = world.containers().await;
                assert_eq!(there, expected, "{:?}", lines(&pass.plan));
                for image in ["next:2", "later:1"] {
                    world.control().set_missing(image, false).unwrap();
                }
            }
        }
    });
}

/// Where neither is wanted any more, what made room is not started to be stopped again.
#[test]
fn what_nobody_wants_is_not_started_again() {
    let with_other = |more: &str| {
        manifest(&format!("target = \"*\"\n[modules.other]\nimage = \"other:1\"\n{more}"))
    };
    let module = |name: &str| format!("[modules.{name}]\nimage = \"{name}:1\"\n{PORT}\n");
    block_on(async {
        let none = manifest("target = \"*\"\n[modules]\n");
        for then in [none, with_other("")] {
            let mut world = World::new();
            world.pass(&with_other(&module("former")), None).await;
            cut_in_probation(&mut world, &with_other(&module("next"))).await;
            world.wait(2);
            let pass = world.pass(&then, None).await;
            let again = pass.plan.works.iter().filter(|work| is_again(work)).count();
            assert_eq!(again, 0, "{:?}", lines(&pass.plan));
            assert!(!pass.failed());
            let there = world.containers().await;
            assert!(there.iter().all(|line| line.starts_with("other ")), "{there:?}");
        }
    });
}

/// What can't be taken back stands in the room of what would be started again.
#[test]
fn nothing_is_started_again_beside_what_could_not_be_taken_back() {
    let refusal = || Fault::Fail(EngineError::new(EngineErrorKind::Refused, "server error"));
    block_on(async {
        for then in [second(&[SHARED]), second(&[SHARED, SECRET])] {
            let mut world = World::new();
            world.pass(&only("former", &[SHARED]), None).await;
            cut_in_probation(&mut world, &only("next", &[SHARED])).await;
            world.wait(2);
            world.control().behave("next:2", ENDS).unwrap();
            world.control().fault_next(CallKind::Step(StepKind::Stop), refusal());
            let pass = world.pass(&then, None).await;
            let there = world.containers().await;
            let beside = ["former exited former:1", "next running next:1"];
            assert_eq!(there, beside, "{:?}\n{:#?}", lines(&pass.plan), pass.outcomes);
            let pass = world.pass(&then, None).await;
            let there = world.containers().await;
            assert_eq!(there, ["former running former:1"], "{:?}", lines(&pass.plan));
        }
    });
}

/// One that is to be stopped comes no more, and nothing of it is half done.
#[test]
fn what_should_be_stopped_by_now_does_not_come_any_more() {
    block_on(async {
        let mut world = World::new();
        world.pass(&only("former", &[PORT]), None).await;
        cut_in_probation(&mut world, &only("next", &[PORT])).await;
        world.wait(2);
        let pass = world.pass(&only("next", &[PORT, "status = \"stopped\""]), None).await;
        assert_eq!(world.containers().await, ["next exited next:1"], "{:?}", lines(&pass.plan));
        assert_eq!(world.memory.half_done, HalfDone::default());
    });
}

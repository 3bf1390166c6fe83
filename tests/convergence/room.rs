//! Who takes the room of what goes, and who only stands beside it.

use crate::back::lines;
use crate::block_on;
use crate::stopped::of;
use crate::successors::{ENDS, PORT, SHARED};
use crate::taken_back::{cut_before, cut_in_probation};
use crate::world::{Cut, World};
use hoist::apply::Outcome;
use hoist::engine::simulated::Behaviour;
use hoist::plan::Step;

/// Another that has nothing to do with its port fails: that takes it from nobody.
#[test]
fn nothing_is_started_again_beside_what_took_its_port() {
    let (goes, next, other) =
        (format!("{PORT}\n{SHARED}"), ("next", "next:1", PORT), ("other", "other:1", SHARED));
    let former = [("former", "former:1", &*goes)];
    block_on(async {
        for is_looping in [false, true] {
            let mut world = World::new();
            if is_looping {
                world.control().behave("former:1", ENDS).unwrap();
            }
            world.pass(&of(&former), None).await;
            if is_looping {
                world.wait(60);
            } else {
                cut_in_probation(&mut world, &of(&[next])).await;
                world.wait(2);
            }
            world.control().behave("other:1", ENDS).unwrap();
            let pass = world.pass(&of(&[next, other]), None).await;
            let failed = pass
                .outcomes
                .values()
                .filter(|outcome| matches!(outcome, Outcome::Failed { .. }))
                .count();
            assert_eq!(failed, 1, "{:?}\n{:#?}", lines(&pass.plan), pass.outcomes);
            let there = world.containers().await;
            assert!(there.contains(&"next running next:1".to_owned()), "{there:?}");
            assert!(!there.contains(&"former running former:1".to_owned()), "{there:?}");
        }
    });
}

/// A neighbour that stood beside it on the same volume, and is down, is no reason to leave it down.
#[test]
fn what_made_room_runs_again_beside_a_neighbour_that_was_revived() {
    block_on(async {
        let goes = format!("{PORT}\n{SHARED}");
        let other = ("other", "other:1", SHARED);
        let mut world = World::new();
        world.pass(&of(&[("former", "former:1", &*goes), other]), None).await;
        world.stop("other").await;
        world.control().behave("next:1", ENDS).unwrap();
        let pass = world.pass(&of(&[("next", "next:1", PORT), other]), None).await;
        assert!(pass.failed());
        let there = world.containers().await;
        let both = ["former running former:1", "other running other:1"];
        assert_eq!(there, both, "{:?}", lines(&pass.plan));
    });
}

/// It stood beside it on one volume, and comes to another one: that is a room of its own.
#[test]
fn nothing_comes_to_another_volume_beside_what_goes() {
    block_on(async {
        let former = ("former", "former:1", "volumes = [\"one:/one\", \"two:/two\"]");
        let mut world = World::new();
        let before = of(&[former, ("other", "other:1", "volumes = [\"one:/one\"]")]);
        world.pass(&before, None).await;
        world.control().behave("third:1", ENDS).unwrap();
        let then = of(&[("other", "other:2", former.2), ("third", "third:1", "")]);
        let pass = world.pass(&then, None).await;
        assert!(pass.failed());
        let there = world.containers().await;
        assert!(there.contains(&"other running other:2".to_owned()), "{there:?}");
        assert!(!there.contains(&"former running former:1".to_owned()), "{there:?}");
    });
}

/// A list shows no ports of what crash-loops: what it made room for is remembered.
#[test]
fn what_crash_looped_is_not_started_beside_what_it_made_room_for() {
    block_on(async {
        let mut world = World::new();
        world.control().behave("former:1", ENDS).unwrap();
        world.pass(&of(&[("former", "former:1", PORT)]), None).await;
        world.wait(60);
        let next = ("next", "next:1", PORT);
        cut_in_probation(&mut world, &of(&[next])).await;
        world.wait(2);
        world.control().behave("third:1", ENDS).unwrap();
        let pass = world.pass(&of(&[next, ("third", "third:1", "")]), None).await;
        let failed =
            pass.outcomes.values().filter(|outcome| matches!(outcome, Outcome::Failed { .. }));
        assert_eq!(failed.count(), 1, "{:?}\n{:#?}", lines(&pass.plan), pass.outcomes);
        assert!(world.containers().await.contains(&"next running next:1".to_owned()));
    });
}

/// It was stopped before the other one came: they never stood beside each other.
#[test]
fn what_was_stopped_for_long_is_not_started_beside_what_came_meanwhile() {
    block_on(async {
        let goes = format!("{PORT}\n{SHARED}");
        let stopped = format!("{SHARED}\nstatus = \"stopped\"");
        let back = ("back", "back:1", SHARED);
        let mut world = World::new();
        world.pass(&of(&[back]), None).await;
        world.pass(&of(&[("back", "back:1", &*stopped)]), None).await;
        world.wait(7200);
        let both = of(&[("back", "back:1", &*stopped), ("former", "former:1", &*goes)]);
        world.pass(&both, None).await;
        world.control().behave("next:1", ENDS).unwrap();
        for _ in 0..3 {
            world.pass(&of(&[("next", "next:1", PORT), back]), None).await;
            let there = world.containers().await;
            let running = there.iter().filter(|line| line.contains(" running ")).count();
            assert_eq!(running, 1, "{there:?}");
            world.wait(3700);
        }
    });
}

const BESIDE: (&str, &str, &str) = ("beside", "beside:1", SHARED);
const FORMER: (&str, &str, &str) = ("former", "former:1", SHARED);
const THIRD: (&str, &str, &str) = ("third", "third:1", "");

/// `former` goes, and what comes besides its neighbour fails: both work at the end, whatever was down or cut off before.
async fn both_work(mut world: World, comes: &[(&str, &str, &str)], what: &str) {
    for image in ["third:1", "next:1"] {
        world.control().behave(image, ENDS).unwrap();
    }
    for _ in 0..3 {
        let pass = world.pass(&of(comes), None).await;
        assert!(pass.failed() || !pass.plan.blocked.is_empty(), "{what}: {:?}", lines(&pass.plan));
        let there = world.containers().await;
        for name in ["former", "beside"] {
            let works = there.iter().any(|line| line.starts_with(&format!("{name} running ")));
            assert!(works, "{what}: {there:?}\n{:?}", lines(&pass.plan));
        }
        world.wait(3700);
    }
}

/// Who stood beside it on its volume, and is down for whatever reason, doesn't need its room.
#[test]
fn a_neighbour_that_is_down_takes_nobodys_room() {
    block_on(async {
        let mut world = World::new();
        world.pass(&of(&[FORMER, BESIDE]), None).await;
        world.stop("beside").await;
        both_work(world, &[BESIDE, THIRD], "stopped by hand").await;

        let stopped = format!("{SHARED}\nstatus = \"stopped\"");
        for reboots in [false, true] {
            let mut world = World::new();
            world.pass(&of(&[FORMER, BESIDE]), None).await;
            world.pass(&of(&[FORMER, ("beside", "beside:1", &*stopped)]), None).await;
            world.wait(7200);
            if reboots {
                world.control().restart_engine().unwrap();
            }
            both_work(world, &[BESIDE, THIRD], "stopped by its manifest").await;
        }

        let mut world = World::new();
        let next = ("beside", "beside:2", SHARED);
        world.pass(&of(&[FORMER, BESIDE]), None).await;
        let is_stop = |step: &Step| matches!(step, Step::Start { .. });
        cut_before(&mut world, &of(&[next, THIRD]), is_stop).await;
        both_work(world, &[next, THIRD], "its replacement was cut off").await;
    });
}

/// Wherever a run is cut off in which another one takes the port of what goes, and fails.
#[test]
fn a_neighbour_takes_nobodys_room_wherever_a_run_is_cut_off() {
    let (goes, changed) = (format!("{PORT}\n{SHARED}"), ("beside", "beside:2", SHARED));
    let comes = [changed, ("next", "next:1", PORT)];
    block_on(async {
        for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
            let mut world = World::new();
            world.pass(&of(&[("former", "former:1", &*goes), BESIDE]), None).await;
            world.control().behave("next:1", ENDS).unwrap();
            let cut = Cut { call, after, gently: false };
            if !world.pass(&of(&comes), Some(cut)).await.was_cut {
                break;
            }
            both_work(world, &comes, &format!("{cut:?}")).await;
        }
    });
}

/// What goes and is down, as somebody stopped it, is said to be down while it is held back.
#[test]
fn what_stays_and_is_down_is_said_to_be_down() {
    block_on(async {
        let mut world = World::new();
        world.pass(&of(&[FORMER]), None).await;
        world.control().behave("third:1", ENDS).unwrap();
        world.pass(&of(&[THIRD]), None).await;
        let plan = world.plan(&of(&[THIRD])).await;
        assert_eq!(plan.held_back.len(), 1);
        assert!(plan.held_back_down.is_empty());
        world.stop("former").await;
        let plan = world.plan(&of(&[THIRD])).await;
        assert_eq!(plan.held_back_down, plan.held_back);
    });
}

/// A job that had ended before the other one came, whatever Hoist knows of its end: the two never stood beside each other.
#[test]
fn what_had_ended_before_the_other_one_came_waits_for_its_room() {
    let never = format!("{SHARED}\nrestart-policy = \"never\"");
    let changed = format!("{never}\nenv = {{ V = \"2\" }}");
    let (job, writer) = (("job", "job:1", &*never), ("writer", "writer:1", SHARED));
    block_on(async {
        for is_known in [true, false] {
            let mut world = World::new();
            world.control().behave("job:1", Behaviour::Ends { code: 0, after: 3_000 }).unwrap();
            world.pass(&of(&[job]), None).await;
            world.wait(60);
            world.pass(&of(&[job, writer]), None).await;
            world.wait(60);
            if !is_known {
                world.pass(&of(&[job, writer]), None).await;
            }
            world.control().behave("job:1", Behaviour::Runs).unwrap();
            let pass = world.pass(&of(&[("job", "job:1", &*changed)]), None).await;
            let lines = lines(&pass.plan);
            assert!(
                lines.contains(&"\u{25a0} writer   stop   (makes room for job)".to_owned()),
                "{lines:?}"
            );
            assert!(!pass.failed());
            assert_eq!(world.containers().await, ["job running job:1"]);
        }
    });
}

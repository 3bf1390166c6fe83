//! Who takes the room of what goes, and who only stands beside it.

use crate::back::lines;
use crate::block_on;
use crate::stopped::of;
use crate::successors::{ENDS, PORT, SHARED};
use crate::taken_back::cut_in_probation;
use crate::world::World;
use hoist::apply::Outcome;

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

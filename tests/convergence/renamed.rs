//! Somebody gives the module's own container another name: it gets its name back, and goes for nothing that has not come up.

use crate::back::lines;
use crate::block_on;
use crate::put_back::{DATA, in_place, with_foreign_app};
use crate::strangers::{is_replaced, keeps, with, with_a_previous_one};
use crate::world::{Cut, World};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::plan::{Consent, StepKind};
use serde_json::json;

/// The previous one is kept as before, and takes nobody's place.
#[test]
fn the_modules_own_container_comes_before_its_previous_one() {
    let kept = ["app running app:2", "hoist-old-app exited app:1"];
    block_on(async {
        for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
            let mut world = with_a_previous_one().await;
            let id = id_of(&world, "app");
            world.control().rename("app", "app-bak").unwrap();
            let cut = Cut { call, after, gently: false };
            let was_cut = world.pass(&keeps("app:2"), Some(cut)).await.was_cut;
            is_replaced(&mut world, &keeps("app:2")).await;
            assert_eq!(id_of(&world, "app"), id, "{cut:?}");
            assert_eq!(world.containers().await, kept, "{cut:?}");
            if !was_cut {
                break;
            }
        }
        // Also where the next version can't be made, or somebody else has its name.
        let mut world = with_a_previous_one().await;
        let id = id_of(&world, "app");
        world.control().rename("app", "app-bak").unwrap();
        world.control().set_missing("app:3", true).unwrap();
        assert!(world.pass(&keeps("app:3"), None).await.failed());
        assert_eq!(
            (id_of(&world, "app"), world.containers().await),
            (id, kept.map(str::to_owned).into())
        );
        world.control().rename("app", "app-bak").unwrap();
        world.control().run_foreign("app", &json!({"Image": "app:1"})).unwrap();
        let there = world.containers().await;
        world.pass(&keeps("app:2"), None).await;
        assert_eq!(world.containers().await, there);
    });
}

/// What a run that was cut off was about to put in its place has not come up.
#[test]
fn the_modules_own_container_comes_before_what_was_to_follow_it() {
    block_on(async {
        for call in 3..6 {
            let mut world = World::new();
            world.pass(&with("app:1", DATA), None).await;
            let id = in_place(&world).0;
            world.control().behave("app:2", Behaviour::Ends { code: 1, after: 100 }).unwrap();
            let cut = Cut { call, after: false, gently: false };
            assert!(world.pass(&with("app:2", DATA), Some(cut)).await.was_cut);
            world.control().rename("app", "app-bak").unwrap();
            let pass = world.pass(&with("app:2", DATA), None).await;
            assert!(pass.failed(), "{call} {:?} {:?}", lines(&pass.plan), pass.plan.blocked);
            assert_eq!(world.containers().await, ["app running app:1"], "cut off at {call}");
            assert_eq!(in_place(&world).0, id);
        }
    });
}

/// Somebody goes back by hand: the version that is wanted comes up again as it was, and the former one is the way back.
#[test]
fn names_that_were_given_by_hand_are_those_of_before() {
    let kept = ["app running app:2", "hoist-old-app exited app:1"];
    block_on(async {
        for runs in ["app-bak", "app", ""] {
            for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
                let mut world = with_a_previous_one().await;
                let id = id_of(&world, "app");
                world.wait(60);
                world.control().rename("app", "app-bak").unwrap();
                world.control().rename("hoist-old-app", "app").unwrap();
                if runs != "app-bak" {
                    world.stop("app-bak").await;
                }
                if runs == "app" {
                    world.start("app").await;
                }
                let cut = Cut { call, after, gently: false };
                let was_cut = world.pass(&keeps("app:2"), Some(cut)).await.was_cut;
                world.pass(&keeps("app:2"), None).await;
                is_replaced(&mut world, &keeps("app:2")).await;
                assert_eq!(id_of(&world, "app"), id, "{runs:?} {cut:?}");
                assert_eq!(world.containers().await, kept, "{runs:?} {cut:?}");
                if !was_cut {
                    break;
                }
            }
        }
    });
}

/// What somebody renamed goes, and the engine falls silent: it is known all the same, and goes with the next look.
#[test]
fn what_goes_is_known_until_it_is_gone() {
    block_on(async {
        let mut world = with_a_previous_one().await;
        world.control().rename("hoist-old-app", "first").unwrap();
        let fault = Fault::TimeOut { done: false };
        world.control().fault_next(CallKind::Step(StepKind::Remove), fault);
        world.control().fault_next(CallKind::Answers, Fault::Unreachable);
        assert!(world.pass(&keeps("app:2"), None).await.failed());
        assert_eq!(world.containers().await, ["app running app:2", "first exited app:1"]);
        assert!(!world.pass(&keeps("app:2"), None).await.failed());
        assert_eq!(world.containers().await, ["app running app:2"]);
    });
}

/// What has taken another one's place has passed, and the run was cut off before it had the name.
#[test]
fn what_has_passed_goes_for_nothing_that_was_renamed() {
    block_on(async {
        for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
            let wanted = with("app:1", DATA);
            let (mut world, held) = with_foreign_app(&wanted).await;
            world.consent = Consent { adopt: true, ..Consent::default() };
            let cut = Cut { call, after, gently: false };
            let was_cut = world.pass(&wanted, Some(cut)).await.was_cut;
            is_replaced(&mut world, &wanted).await;
            assert_eq!(in_place(&world).1, held, "{cut:?}");
            assert_eq!(world.containers().await, ["app running app:1"], "{cut:?}");
            if !was_cut {
                break;
            }
        }
    });
}

/// Then another version is wanted, or the one that somebody went back to.
#[test]
fn what_somebody_went_back_to_by_hand_is_a_version_like_others() {
    block_on(async {
        for (image, kept) in [
            ("app:1", &["app running app:1"] as &[&str]),
            ("app:3", &["app running app:3", "hoist-old-app exited app:2"]),
        ] {
            for runs in ["app-bak", "app"] {
                let mut world = with_a_previous_one().await;
                world.wait(60);
                world.control().rename("app", "app-bak").unwrap();
                world.control().rename("hoist-old-app", "app").unwrap();
                if runs == "app" {
                    world.stop("app-bak").await;
                    world.start("app").await;
                    world.wait(60);
                }
                world.pass(&keeps(image), None).await;
                world.pass(&keeps(image), None).await;
                is_replaced(&mut world, &keeps(image)).await;
                if runs == "app" || image == "app:3" {
                    let there = world.containers().await;
                    let version = |line: &String| kept.iter().any(|k| k[..4] == line[..4]);
                    assert!(there.iter().all(version), "{image} {runs}: {there:?}");
                    assert_eq!(there[0], kept[0], "{image} {runs}: {there:?}");
                }
                assert!(!world.containers().await.iter().any(|c| c.starts_with("app-bak")));
            }
        }
    });
}

fn id_of(world: &World, name: &str) -> String {
    let seen = world.control().observed().unwrap();
    seen.containers.iter().find(|c| c.name == name).unwrap().id.clone()
}

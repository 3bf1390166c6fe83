//! Somebody gives a module's own container another name, and makes one in its place that bears its labels: the own one is put
//! back, and what it holds is not lost.

use crate::back::lines;
use crate::block_on;
use crate::strangers::{OTHER_VALUE, is_replaced, keeps, recreate_as, with, with_a_previous_one};
use crate::world::{Cut, World};
use hoist::apply::{Pace, run_device};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{EngineError, EngineErrorKind, SecretValues};
use hoist::model::HashedManifest;
use hoist::plan::{Consent, Step, StepKind};
use serde_json::{Value as Json, json};
use std::sync::Arc;

pub(crate) const DATA: &str = "create-options.Volumes = { \"/v\" = {} }";

/// Somebody put the module's own container aside, and made one that bears its name and labels. Says which the own one is, and what
/// it holds.
async fn put_aside(world: &World, manifest: &Arc<HashedManifest>) -> (String, String) {
    let (id, held, _) = in_place(world);
    world.stop("app").await;
    world.control().rename("app", "app-bak").unwrap();
    recreate_as(world, manifest, OTHER_VALUE).await;
    (id, held)
}

/// The same, and the own one runs on.
async fn put_beside(world: &World, manifest: &Arc<HashedManifest>) -> String {
    put_beside_of(world, manifest, "app:1").await
}

async fn put_beside_of(world: &World, manifest: &Arc<HashedManifest>, image: &str) -> String {
    let (id, ..) = in_place(world);
    world.control().rename("app", "app-bak").unwrap();
    world.control().load_image(image, &Default::default()).unwrap();
    let apart: &dyn Fn(&mut Json) = &|body| {
        OTHER_VALUE(body);
        body["Image"] = json!(image);
        body["HostConfig"]["PortBindings"] = json!({});
    };
    recreate_as(world, manifest, apart).await;
    id
}

/// Id, volume at `/v` and image of what is in place.
pub(crate) fn in_place(world: &World) -> (String, String, String) {
    let seen = world.control().observed().unwrap();
    let app = seen.containers.iter().find(|c| c.name == "app").unwrap();
    let held = app.mounts.iter().find(|mount| mount.target == "/v").unwrap();
    (app.id.clone(), held.volume.clone(), app.image.clone())
}

/// The module's own container takes its place again, with what it holds, wherever a run is cut off.
#[test]
fn the_modules_own_container_takes_its_place_again() {
    block_on(async {
        for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
            let mut world = World::new();
            let wanted = with("app:1", DATA);
            world.pass(&wanted, None).await;
            let (id, held) = put_aside(&world, &wanted).await;
            let cut = Cut { call, after, gently: false };
            let was_cut = world.pass(&wanted, Some(cut)).await.was_cut;
            is_replaced(&mut world, &wanted).await;
            assert_eq!(in_place(&world), (id, held, "app:1".to_owned()), "{cut:?}");
            assert_eq!(world.containers().await, ["app running app:1"], "{cut:?}");
            if !was_cut {
                break;
            }
        }
    });
}

/// It can't be started: what runs goes on, and then one is made that gets what it holds.
#[test]
fn what_the_modules_own_container_holds_is_not_lost() {
    block_on(async {
        let mut world = World::new();
        let wanted = with("app:1", DATA);
        world.pass(&wanted, None).await;
        let (id, held) = put_aside(&world, &wanted).await;
        let before = world.containers().await;
        let refusal = EngineError::new(EngineErrorKind::Refused, "no");
        world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Fail(refusal));
        assert!(world.pass(&wanted, None).await.failed());
        for _ in 0..2 {
            assert_eq!(world.containers().await, before);
            world.pass(&wanted, None).await;
        }
        world.wait(600);
        is_replaced(&mut world, &wanted).await;
        let (now, holds, _) = in_place(&world);
        assert_eq!(holds, held);
        assert_ne!(now, id);
        assert_eq!(world.containers().await, ["app running app:1"]);
    });
}

/// Another version is wanted by then: that one gets it, and nothing of it goes before that one has come up.
#[test]
fn the_next_version_gets_what_the_modules_own_container_holds() {
    block_on(async {
        let mut world = World::new();
        let next = with("app:2", DATA);
        world.pass(&with("app:1", DATA), None).await;
        let (_, held) = put_aside(&world, &with("app:1", DATA)).await;
        let before = world.containers().await;
        world.control().behave("app:2", Behaviour::Ends { code: 1, after: 100 }).unwrap();
        for _ in 0..2 {
            world.pass(&next, None).await;
            assert_eq!(world.containers().await, before);
        }
        world.control().behave("app:2", Behaviour::Runs).unwrap();
        world.wait(3700);
        is_replaced(&mut world, &next).await;
        let (_, holds, image) = in_place(&world);
        assert_eq!((holds, &*image), (held, "app:2"));
        assert_eq!(world.containers().await, ["app running app:2"]);
    });
}

/// A module that is stopped is so again, and its own container is in place.
#[test]
fn a_stopped_modules_own_container_takes_its_place_again_and_stays_down() {
    block_on(async {
        let mut world = World::new();
        let wanted = with("app:1", &format!("{DATA}\nstatus = \"stopped\""));
        world.pass(&wanted, None).await;
        let (id, held) = put_aside(&world, &wanted).await;
        is_replaced(&mut world, &wanted).await;
        assert_eq!(in_place(&world), (id, held, "app:1".to_owned()));
        assert_eq!(world.containers().await, ["app created app:1"]);
    });
}

/// Where it still runs it is not stopped for that, and nothing else of the module runs beside it, wherever a run is cut off.
#[test]
fn the_modules_own_container_that_still_runs_is_left_alone() {
    block_on(async {
        for (call, after) in (0..).flat_map(|call| [(call, false), (call, true)]) {
            let mut world = World::new();
            let wanted = with("app:1", DATA);
            world.pass(&wanted, None).await;
            let id = put_beside(&world, &wanted).await;
            let plan = world.plan(&wanted).await;
            let mut steps = plan.works.iter().flat_map(|work| &work.steps);
            let stops_it = |step: &Step| matches!(step, Step::Stop { container, .. } if container.as_str() == id);
            assert!(!steps.any(stops_it), "{:?}", lines(&plan));
            let cut = Cut { call, after, gently: false };
            let was_cut = world.pass(&wanted, Some(cut)).await.was_cut;
            is_replaced(&mut world, &wanted).await;
            assert_eq!(in_place(&world).0, id, "{cut:?}");
            assert_eq!(world.containers().await, ["app running app:1"], "{cut:?}");
            if !was_cut {
                break;
            }
        }
    });
}

/// What comes next can't be made, or fails: the module's own container runs on, whatever the stranger does.
#[test]
fn what_runs_is_not_stopped_for_a_stranger() {
    let ends = Behaviour::Ends { code: 1, after: 100 };
    block_on(async {
        for (stranger, is_missing, wait) in [
            (Behaviour::Runs, true, 0),
            (Behaviour::Runs, false, 0),
            (ends.clone(), true, 60),
            (ends.clone(), false, 60),
        ] {
            let mut world = World::new();
            let (wanted, next) = (with("app:1", DATA), with("app:2", DATA));
            world.pass(&wanted, None).await;
            world.wait(60);
            let id = put_beside_of(&world, &wanted, "app:0").await;
            world.control().behave("app:0", stranger).unwrap();
            world.wait(wait);
            world.control().behave("app:2", ends.clone()).unwrap();
            world.control().set_missing("app:2", is_missing).unwrap();
            for _ in 0..3 {
                world.pass(&next, None).await;
                assert_eq!(world.containers().await, ["app running app:1"]);
                assert_eq!(in_place(&world).0, id);
                world.wait(100);
            }
            world.control().set_missing("app:2", false).unwrap();
            world.control().behave("app:2", Behaviour::Runs).unwrap();
            world.wait(3700);
            is_replaced(&mut world, &next).await;
            assert_eq!(world.containers().await, ["app running app:2"]);
        }
    });
}

/// A copy that works is not stopped for one that ends again and again, or came up just now.
#[test]
fn what_works_is_not_stopped_for_what_does_not() {
    block_on(async {
        for ends in [false, true] {
            let mut world = World::new();
            let (wanted, next) = (with("app:1", DATA), with("app:2", DATA));
            world.pass(&wanted, None).await;
            let looping = Behaviour::Ends { code: 1, after: 15_000 };
            world.control().behave("app:1", if ends { looping } else { Behaviour::Runs }).unwrap();
            put_beside_of(&world, &wanted, "app:0").await;
            world.control().set_missing("app:2", true).unwrap();
            world.stop("app-bak").await;
            world.start("app-bak").await;
            if ends {
                world.wait(76);
            }
            for _ in 0..3 {
                world.pass(&next, None).await;
                assert_eq!(world.containers().await[0], "app running app:0", "{ends}");
            }
        }
    });
}

/// It is thawed, and not waited for in vain.
#[test]
fn the_modules_own_container_that_is_paused_is_put_back() {
    block_on(async {
        let mut world = World::new();
        let wanted = with("app:1", DATA);
        world.pass(&wanted, None).await;
        let id = put_beside(&world, &wanted).await;
        world.control().pause("app-bak").unwrap();
        is_replaced(&mut world, &wanted).await;
        assert_eq!(in_place(&world).0, id);
        assert_eq!(world.containers().await, ["app running app:1"]);
    });
}

/// The engine is just about to start the stranger once more.
#[test]
fn a_stranger_that_crash_loops_makes_way() {
    block_on(async {
        for waits in [0, 1, 60] {
            let mut world = World::new();
            let wanted = with("app:1", DATA);
            world.pass(&wanted, None).await;
            let ends = Behaviour::Ends { code: 1, after: 100 };
            world.control().behave("app:1", ends).unwrap();
            let (id, _) = put_aside(&world, &wanted).await;
            world.wait(waits);
            world.control().behave("app:1", Behaviour::Runs).unwrap();
            is_replaced(&mut world, &wanted).await;
            assert_eq!(in_place(&world).0, id);
            assert_eq!(world.containers().await, ["app running app:1"]);
        }
    });
}

/// An engine that was not reached says nothing of it.
#[test]
fn what_broke_off_puts_it_back_the_next_time() {
    block_on(async {
        let mut world = World::new();
        let wanted = with("app:1", DATA);
        world.pass(&wanted, None).await;
        let (id, _) = put_aside(&world, &wanted).await;
        world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Unreachable);
        assert!(world.pass(&wanted, None).await.failed());
        is_replaced(&mut world, &wanted).await;
        assert_eq!(in_place(&world).0, id);
    });
}

/// Somebody removes it before it is started: what was there runs again.
#[test]
fn the_stranger_is_started_again_where_the_modules_own_container_is_gone_meanwhile() {
    block_on(async {
        let mut world = World::new();
        let wanted = with("app:1", DATA);
        world.pass(&wanted, None).await;
        put_aside(&world, &wanted).await;
        let plan = world.plan(&wanted).await;
        world.control().remove("app-bak").unwrap();
        let (secrets, pace) = (SecretValues::default(), Pace::default());
        run_device(&world.engine, &plan, &secrets, &pace, &|_| {}).await;
        assert_eq!(world.containers().await, ["app running app:1"]);
        assert_eq!(world.control().restart_policy("app").unwrap(), "always");
        is_replaced(&mut world, &wanted).await;
    });
}

/// A job that ended is put back as it is, and does not run once more.
#[test]
fn a_job_that_ended_does_not_run_again() {
    block_on(async {
        let mut world = World::new();
        let wanted = with("app:1", &format!("{DATA}\nrestart-policy = \"never\""));
        world.pass(&wanted, None).await;
        let (id, _) = put_aside(&world, &wanted).await;
        is_replaced(&mut world, &wanted).await;
        assert_eq!(in_place(&world).0, id);
        assert_eq!(world.containers().await, ["app exited app:1"]);
    });
}

/// What runs is not stopped for one that could not be started.
#[test]
fn nothing_is_stopped_where_somebody_else_has_its_port() {
    block_on(async {
        let mut world = World::new();
        let wanted = with("app:1", DATA);
        world.pass(&wanted, None).await;
        let id = put_beside(&world, &wanted).await;
        world.stop("app-bak").await;
        let takes = json!({
            "Image": "app:1",
            "HostConfig": {"PortBindings": {"1/tcp": [{"HostPort": "8080"}]}},
        });
        world.control().run_foreign("other", &takes).unwrap();
        let plan = world.plan(&wanted).await;
        assert!(plan.works.is_empty(), "{:?}", lines(&plan));
        assert_eq!(plan.blocked.len(), 1);
        world.control().remove("other").unwrap();
        is_replaced(&mut world, &wanted).await;
        assert_eq!(in_place(&world).0, id);
    });
}

/// The module's own container is put aside, and somebody else's has its name. Says what that holds.
pub(crate) async fn with_foreign_app(wanted: &Arc<HashedManifest>) -> (World, String) {
    let mut world = World::new();
    world.pass(wanted, None).await;
    world.stop("app").await;
    world.control().rename("app", "app-bak").unwrap();
    let takes = json!({"Image": "app:1", "Volumes": {"/v": {}}});
    world.control().run_foreign("app", &takes).unwrap();
    let (_, held, _) = in_place(&world);
    (world, held)
}

/// What is taken over brings its own data; but the module's own container goes only when that has passed.
#[test]
fn the_modules_own_container_outlives_a_failed_adoption() {
    block_on(async {
        let wanted = with("app:1", DATA);
        let (mut world, held) = with_foreign_app(&wanted).await;
        let before = world.containers().await;
        world.consent = Consent { adopt: true, ..Consent::default() };
        let refusal = EngineError::new(EngineErrorKind::Refused, "no");
        world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Fail(refusal));
        assert!(world.pass(&wanted, None).await.failed());
        assert_eq!(world.containers().await, before);
        world.wait(3700);
        is_replaced(&mut world, &wanted).await;
        assert_eq!(in_place(&world).1, held);
        assert_eq!(world.containers().await, ["app running app:1"]);
    });
}

/// Somebody else has the name, and both of the module's containers run under others.
#[test]
fn only_one_is_kept_up_beside_a_foreign_name() {
    block_on(async {
        let mut world = with_a_previous_one().await;
        world.control().rename("app", "second").unwrap();
        world.control().rename("hoist-old-app", "first").unwrap();
        world.stop("second").await;
        world.start("first").await;
        world.control().run_foreign("app", &json!({"Image": "app:1"})).unwrap();
        world.pass(&keeps("app:2"), None).await;
        let there = world.containers().await;
        assert_eq!(there, ["app running app:1", "first exited app:1", "second running app:2"]);
    });
}

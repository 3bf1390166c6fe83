//! Runs that are called off: nothing is half done, nobody is waited for, and no two run that exclude each other.

use crate::world::{Cut, World, manifest};
use crate::{FIRST, SECOND, block_on};
use hoist::apply::{DeviceRun, Event, Pace, run_device};
use hoist::engine::SecretValues;
use hoist::engine::simulated::{CallKind, Fault};
use hoist::model::HashedManifest;
use hoist::plan::{Step, StepKind};
use std::sync::Arc;
use std::time::Duration;

/// The calls of a run from one manifest to the next that nobody calls off, and what is there then.
async fn uncut(first: &Arc<HashedManifest>, second: &Arc<HashedManifest>) -> (usize, Vec<String>) {
    let mut world = World::new();
    world.pass(first, None).await;
    let calls = world.pass(second, None).await.calls;
    (calls, world.containers().await)
}

/// A run that is called off at any call leaves every module as it was or as it should be, and running.
#[test]
fn a_run_that_is_called_off_leaves_no_module_half_done() {
    block_on(async {
        let (first, second) = (manifest(FIRST), manifest(SECOND));
        let (calls, whole) = uncut(&first, &second).await;
        for call in 0..calls {
            let mut world = World::new();
            world.pass(&first, None).await;
            let before = world.containers().await;
            let cut = Cut { call, after: false, gently: true };
            world.pass(&second, Some(cut)).await;
            for line in world.containers().await {
                // What goes may have been stopped to make room, and waits for its removal.
                let goes = line == "delta exited delta:1";
                let known = goes || before.contains(&line) || whole.contains(&line);
                assert!(known, "called off at {call}: {line}\n{before:#?}\n{whole:#?}");
            }
            assert!(!world.pass(&second, None).await.failed(), "called off at {call}");
            assert!(world.plan(&second).await.works.is_empty(), "called off at {call}");
            assert_eq!(world.containers().await, whole, "called off at {call}");
        }
    });
}

/// A run that is called off once it waits for a module, which hangs until then.
async fn called_off_while_waiting(world: &World, wanted: &Arc<HashedManifest>) -> DeviceRun {
    let pace = Pace::default();
    let plan = world.plan(wanted).await;
    world.control().fault_next(CallKind::Step(StepKind::Wait), Fault::Hang);
    let on_event = |event: Event<'_>| {
        if let Event::StepBegins { step: Step::WaitRunning { .. }, .. } = event {
            pace.call_off.now();
        }
    };
    let secrets = SecretValues::default();
    let run = run_device(&world.engine, &plan, &secrets, &pace, &on_event);
    tokio::time::timeout(Duration::from_secs(20), run).await.expect("an end")
}

/// Nobody waits for the end of a probation of which nothing depends any more: a replacement is taken back at once, and what
/// was made anew is looked at by the next run.
#[test]
fn a_run_that_is_called_off_waits_for_no_module() {
    let of =
        |image: &str| manifest(&format!("target = \"*\"\n[modules.web]\nimage = \"{image}\"\n"));
    block_on(async {
        for (had, left) in [(Some("web:1"), "web running web:1"), (None, "web running web:2")] {
            let mut world = World::new();
            if let Some(had) = had {
                world.pass(&of(had), None).await;
            }
            let second = of("web:2");
            let run = called_off_while_waiting(&world, &second).await;
            assert!(run.was_called_off() && !run.has_failures(), "{:?}", run.outcomes);
            assert_eq!(world.containers().await, [left]);
            world.pass(&second, None).await;
            assert!(world.plan(&second).await.works.is_empty());
            assert_eq!(world.containers().await, ["web running web:2"]);
        }
    });
}

/// Modules that start one after the other, all with the same volume.
fn sharing(modules: &[&str]) -> String {
    let mut text = "target = \"*\"\n".to_owned();
    for (order, name) in modules.iter().enumerate() {
        let shared = "volumes = [\"data:/d\"]";
        text +=
            &format!("[modules.{name}]\nimage = \"{name}:1\"\n{shared}\nstartup-order = {order}\n");
    }
    text
}

/// A module was stopped to make room for another one, which is in its probation: that one is taken back at once, and only
/// then the former started again.
#[test]
fn what_made_room_is_not_started_beside_what_it_made_room_for() {
    block_on(async {
        let mut world = World::new();
        world.pass(&manifest(&sharing(&["former"])), None).await;
        let second = manifest(&sharing(&["next"]));
        let run = called_off_while_waiting(&world, &second).await;
        let failed = run.outcomes.values().any(|outcome| outcome.failure().is_some());
        assert!(run.was_called_off() && !failed, "{:?}", run.outcomes);
        assert_eq!(world.containers().await, ["former running former:1"]);
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, ["next running next:1"]);
    });
}

/// Wherever it is called off: what made room runs again exactly where nothing that it made room for is up, be it made, started,
/// or the first of two.
#[test]
fn what_made_room_runs_or_what_it_made_room_for() {
    let stopped = |manifest: &str| manifest.replace("next:1\"", "next:1\"\nstatus = \"stopped\"");
    let made = (sharing(&["former"]), sharing(&["next"]));
    let started = (stopped(&sharing(&["former", "next"])), sharing(&["next"]));
    let two = (sharing(&["former"]), sharing(&["next", "later"]));
    block_on(async {
        for (first, second) in [made, started, two] {
            let (first, second) = (manifest(&first), manifest(&second));
            let (calls, whole) = uncut(&first, &second).await;
            for call in 0..calls {
                let mut world = World::new();
                world.pass(&first, None).await;
                world.pass(&second, Some(Cut { call, after: false, gently: true })).await;
                let all = world.containers().await;
                let is_up = |name| all.contains(&format!("{name} running {name}:1"));
                let came = is_up("next") || is_up("later");
                assert!(is_up("former") != came || all == whole, "called off at {call}: {all:#?}");
                assert!(!world.pass(&second, None).await.failed(), "called off at {call}");
                assert_eq!(world.containers().await, whole, "called off at {call}");
            }
        }
    });
}

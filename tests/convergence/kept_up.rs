//! What worked goes on working, whatever stands in the way of what should take its place.

use crate::back::{lines, policy, web};
use crate::block_on;
use crate::world::World;
use hoist::apply::{Outcome, Pace, run_device};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{Engine as _, SecretValues};
use hoist::model::{Hash, SecretName};
use hoist::plan::{ContainerRef, Step, StepKind};
use std::time::Duration;

/// The connection breaks while a failed change is taken back: that is tried again, and where it stays broken the words say
/// so, and the next run does it.
#[test]
fn taking_back_outlives_a_connection_that_breaks() {
    block_on(async {
        for (pauses, is_back) in [(2, true), (1, false)] {
            let mut world = World::new();
            world.pass(&web("web:1", ""), None).await;
            let second = web("web:2", "");
            world.control().behave("web:2", Behaviour::Ends { code: 3, after: 100 }).unwrap();
            let plan = world.plan(&second).await;
            for done in [false, true] {
                let remove = CallKind::Step(StepKind::Remove);
                world.control().fault_next(remove, Fault::Cut { done });
            }
            let pace = Pace { pauses_of_undo: &[Duration::ZERO; 2][..pauses], ..Pace::default() };
            let secrets = SecretValues::default();
            let run = run_device(&world.engine, &plan, &secrets, &pace, &|_| {}).await;
            let failed = run.outcomes.values().find(|outcome| outcome.failure().is_some()).unwrap();
            if is_back {
                assert_eq!(failed.left_over(), None);
            } else {
                insta::assert_snapshot!(failed.left_over().unwrap(), @"not taken back, which the next run does: could not remove hoist-new-web: the connection broke (simulated engine of d1) (and 2 more steps)");
                assert!(failed.failure_and_left_over().unwrap().contains("; not taken back"));
                world.pass(&second, None).await;
            }
            assert_eq!(world.containers().await, ["web running web:1"]);
            assert_eq!(policy(&world).await, "always");
        }
    });
}

/// Nobody can tell what it should be while the control host lacks a secret; what works goes on working.
#[test]
fn without_its_secret_a_module_is_kept_up_as_it_is() {
    block_on(async {
        let first = web("web:1", "env = { PASSWORD = { secret = \"pw\" } }");
        let name = SecretName::parse("pw").unwrap();
        let mut world = World::new();
        world.secrets.insert(name.clone(), Ok(Hash::of_texts("test", ["1"])));
        world.pass(&first, None).await;
        let remembered = world.memory.clone();
        world.secrets.insert(name.clone(), Err("the variable PW is not set".to_owned()));
        for manifest in [&first, &web("web:2", "env = { PASSWORD = { secret = \"pw\" } }")] {
            let quiet = world.plan(manifest).await;
            assert!(quiet.works.is_empty() && quiet.specs.is_empty(), "{:#?}", quiet.works);
            let id = world.observe(&Default::default()).await.containers[0].id.clone();
            let stop = Step::Stop { container: ContainerRef::Id(id), timeout: None };
            world.engine.execute(&stop, &SecretValues::default()).await.unwrap();
            let pass = world.pass(manifest, None).await;
            assert_eq!(lines(&pass.plan), ["▶ web   start   (it ended with code 137)"]);
            let blocked: Vec<_> =
                pass.plan.blocked.values().map(|b| (b.code(), b.to_string())).collect();
            assert_eq!(blocked, [(422, "the variable PW is not set".to_owned())]);
            assert_eq!(world.containers().await, ["web running web:1"]);
            world.wait(600);
        }
        world.secrets.insert(name, Ok(Hash::of_texts("test", ["1"])));
        assert!(world.plan(&first).await.works.is_empty());
        let settings = |memory: &hoist::plan::DeviceMemory| memory.containers.clone();
        assert_eq!(settings(&world.memory), settings(&remembered));
    });
}

/// Somebody stopped it, and the image of its successor can't be had.
#[test]
fn what_is_down_is_started_again_where_its_successor_has_no_image() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        world.control().set_missing("web:2", true).unwrap();
        let second = web("web:2", "");
        world.pass(&second, None).await;
        assert_eq!(world.containers().await, ["web running web:1"]);
        let id = world.observe(&Default::default()).await.containers[0].id.clone();
        let stop = Step::Stop { container: ContainerRef::Id(id), timeout: None };
        world.engine.execute(&stop, &SecretValues::default()).await.unwrap();
        let pass = world.pass(&second, None).await;
        let why = "it is down, and the image for its successor can't be had";
        let planned = [
            "± web   replace   (specification differs)".to_owned(),
            format!("▶ web   start again   ({why})   only if that fails"),
        ];
        assert_eq!(lines(&pass.plan), planned);
        assert!(pass.failed());
        assert_eq!(world.containers().await, ["web running web:1"]);
        assert_eq!(policy(&world).await, "always");

        // With its image it is replaced at once, and nothing is started for nothing.
        world.control().set_missing("web:2", false).unwrap();
        world.wait(600);
        let id = world.observe(&Default::default()).await.containers[0].id.clone();
        let stop = Step::Stop { container: ContainerRef::Id(id), timeout: None };
        world.engine.execute(&stop, &SecretValues::default()).await.unwrap();
        let pass = world.pass(&second, None).await;
        assert!(pass.outcomes.values().any(|outcome| *outcome == Outcome::NotNeeded));
        assert_eq!(world.containers().await, ["web running web:2"]);
    });
}

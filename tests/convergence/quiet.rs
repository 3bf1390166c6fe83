//! A quiet look is one list call, whatever went before it.

use crate::back::web;
use crate::block_on;
use crate::world::World;
use hoist::engine::simulated::{Behaviour, CallKind};
use hoist::model::{Hash, SecretName};

/// How many containers a look inspects.
async fn inspects(
    world: &mut World,
    manifest: &std::sync::Arc<hoist::model::HashedManifest>,
) -> usize {
    let before = world.control().count(CallKind::Inspect);
    let plan = world.plan(manifest).await;
    assert!(plan.works.is_empty(), "{:#?}", plan.works);
    world.memory = plan.kept_memory;
    world.control().count(CallKind::Inspect) - before
}

/// What was there before a change that failed is not asked each time whether it is what the change would have made.
#[test]
fn after_a_change_that_failed_what_works_is_inspected_once() {
    block_on(async {
        let name = SecretName::parse("pw").unwrap();
        for env in ["", "env = { PASSWORD = { secret = \"pw\" } }"] {
            let mut world = World::new();
            world.secrets.insert(name.clone(), Ok(Hash::of_texts("test", ["1"])));
            world.pass(&web("web:1", env), None).await;
            world.wait(60);
            let second = web("web:2", env);
            world.control().behave("web:2", Behaviour::Ends { code: 3, after: 100 }).unwrap();
            assert!(world.pass(&second, None).await.failed());
            world.wait(20);
            inspects(&mut world, &second).await;
            assert_eq!(inspects(&mut world, &second).await, 0, "{env}");
            // Without the secret nothing can be compared either.
            world.secrets.insert(name.clone(), Err("it is gone".to_owned()));
            assert_eq!(inspects(&mut world, &second).await, 0, "{env}");
        }
    });
}

/// Settings that change while the next version waits are written once the version that works is wanted again.
#[test]
fn settings_that_were_seen_and_not_written_are_written_later() {
    block_on(async {
        let limited = "memory = \"64MiB\"";
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        world.control().behave("web:2", Behaviour::Ends { code: 3, after: 100 }).unwrap();
        assert!(world.pass(&web("web:2", limited), None).await.failed());
        for _ in 0..2 {
            world.pass(&web("web:2", limited), None).await;
        }
        assert!(!world.pass(&web("web:1", limited), None).await.failed());
        let seen = world.observe(&Default::default()).await;
        assert_eq!(seen.containers[0].detail.as_ref().unwrap().memory, 64 << 20);
    });
}

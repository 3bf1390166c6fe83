//! A module of which there is nothing yet, and that can't be started: nothing is left of a try, and the next one waits.

use crate::back::{lines, web};
use crate::block_on;
use crate::world::World;
use hoist::engine::simulated::Behaviour;
use std::collections::BTreeSet;

/// Its pauses double, somebody's word ends them, and another specification has none.
#[test]
fn what_can_not_be_started_is_tried_again_with_pauses() {
    block_on(async {
        let mut world = World::new();
        let first = web("web:1", "");
        world.control().behave("web:1", Behaviour::BadCommand).unwrap();
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            let pass = world.pass(&first, None).await;
            assert!(pass.failed(), "{:#?}", pass.plan.works);
            assert_eq!(world.containers().await, Vec::<String>::new(), "nothing is left of it");
            let plan = world.plan(&first).await;
            assert_eq!(lines(&plan), [""; 0], "not at once");
            let words: Vec<String> = plan.blocked.values().map(ToString::to_string).collect();
            assert!(words[0].starts_with("not tried again before "), "{words:?}");
            world.wait(pause - 1);
            assert_eq!(lines(&world.plan(&first).await), [""; 0], "not within {pause} s");
            world.wait(2);
            assert_eq!(lines(&world.plan(&first).await).len(), 1, "after {pause} s");
        }
        world.pass(&first, None).await;
        let before = world.memory.clone();
        world.memory.end_pauses_but_of(&BTreeSet::new());
        assert_eq!(lines(&world.plan(&first).await).len(), 1, "somebody wants it now");
        world.memory = before;
        let second = web("web:2", "");
        assert!(!world.pass(&second, None).await.failed(), "another is tried at once");
        assert_eq!(world.containers().await, ["web running web:2"]);
        assert!(world.memory.modules.values().all(|module| module.failed.is_none()));
    });
}

/// What was started and ended is there, and is started again as ever.
#[test]
fn what_ends_at_once_is_there_and_started_again() {
    block_on(async {
        let mut world = World::new();
        let first = web("web:1", "restart-policy = \"on-failure\"");
        world.control().behave("web:1", Behaviour::Ends { code: 3, after: 0 }).unwrap();
        assert!(world.pass(&first, None).await.failed());
        assert_eq!(world.containers().await.len(), 1);
        world.pass(&first, None).await;
        assert!(world.memory.modules.values().all(|module| module.failed.is_none()));
        world.control().remove("web").unwrap();
        assert_eq!(lines(&world.plan(&first).await).len(), 1, "it is made at once where it went");
    });
}

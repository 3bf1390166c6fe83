//! A new module beside one that goes may be its successor under another name: until it has come up, what goes stays.

use crate::back::lines;
use crate::block_on;
use crate::world::{Cut, Hanging, World, manifest};
use hoist::apply::{Pace, run_device};
use hoist::engine::SecretValues;
use hoist::engine::simulated::Behaviour;
use hoist::model::HashedManifest;
use hoist::plan::Step;
use std::sync::{Arc, Mutex};

const SHARED: &str = "volumes = [\"data:/d\"]";
const PORT: &str = "ports = [\"8080:80\"]";
const CHECKED: &str = "health = { command = [\"CMD\", \"ok\"], interval = \"5s\", retries = 1 }";
const ENDS: Behaviour = Behaviour::Ends { code: 3, after: 2_000 };

fn only(module: &str, more: &[&str]) -> Arc<HashedManifest> {
    let more = more.join("\n");
    manifest(&format!("target = \"*\"\n[modules.{module}]\nimage = \"{module}:1\"\n{more}\n"))
}

/// What fails goes, what was there runs on alone, and stays however often it is tried.
#[test]
fn a_new_module_that_fails_leaves_what_it_would_follow() {
    let cases: [(&[&str], Behaviour); 5] = [
        (&[SHARED], ENDS),
        (&[PORT], ENDS),
        (&[SHARED, CHECKED], Behaviour::Unhealthy),
        (&[SHARED, "restart-policy = \"on-failure\""], ENDS),
        // They have nothing in common that could be seen.
        (&[], ENDS),
    ];
    block_on(async {
        for (more, behaviour) in cases {
            let mut world = World::new();
            world.pass(&only("former", &more[..more.len().min(1)]), None).await;
            let next = only("next", more);
            world.control().behave("next:1", behaviour.clone()).unwrap();
            for _ in 0..3 {
                let pass = world.pass(&next, None).await;
                assert!(pass.failed(), "{more:?} {behaviour:?}: {:#?}", pass.plan.works);
                assert_eq!(world.containers().await, ["former running former:1"], "{more:?}");
                // It is not tried over and over, and nothing goes meanwhile.
                let plan = world.plan(&next).await;
                assert!(plan.works.is_empty(), "{more:?}: {:#?}", plan.works);
                assert_eq!(plan.blocked.len(), 1, "{more:?}");
                assert_eq!(plan.held_back.len(), 1, "{more:?}");
                assert!(plan.due.is_some(), "{more:?}");
                world.wait(3700);
            }
            world.control().behave("next:1", Behaviour::Runs).unwrap();
            assert!(!world.pass(&next, None).await.failed());
            assert_eq!(world.containers().await, ["next running next:1"], "{more:?}");
            assert!(world.plan(&next).await.works.is_empty());
        }
    });
}

/// What was there already, stopped, and is started in the place of another goes down again if it does not come up.
#[test]
fn a_module_that_does_not_start_is_stopped_before_what_made_room_starts_again() {
    let both = |next: &str, former: &str| {
        manifest(&format!(
            "target = \"*\"\n[modules.next]\nimage = \"next:1\"\n{SHARED}\n{next}\n{former}"
        ))
    };
    let former = format!("[modules.former]\nimage = \"former:1\"\n{SHARED}\n");
    block_on(async {
        let mut world = World::new();
        world.pass(&both("status = \"stopped\"", &former), None).await;
        assert_eq!(world.containers().await, ["former running former:1", "next created next:1"]);
        world.control().behave("next:1", ENDS).unwrap();
        let next = both("", "");
        assert!(world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["former running former:1", "next exited next:1"]);
        let seen = world.control().observed().unwrap();
        let id = &seen.containers.iter().find(|c| c.name == "next").unwrap().id;
        assert_eq!(world.control().restart_policy(id).unwrap(), "no");
        // The former is not stopped for it over and over.
        let plan = world.plan(&next).await;
        let stops = plan.works.iter().flat_map(|work| &work.steps);
        assert!(
            !stops.into_iter().any(|step| matches!(step, Step::Stop { .. })),
            "{:?}",
            lines(&plan)
        );
        world.control().behave("next:1", Behaviour::Runs).unwrap();
        world.wait(3700);
        assert!(!world.pass(&next, None).await.failed());
        assert_eq!(world.containers().await, ["next running next:1"]);
    });
}

/// The run that made it was killed before it had come up: nothing goes until it has.
#[test]
fn what_no_run_has_seen_come_up_takes_nobodys_place() {
    block_on(async {
        for behaviour in [ENDS, Behaviour::Unhealthy] {
            let mut world = World::new();
            world.pass(&only("former", &[SHARED]), None).await;
            let next = only("next", &[SHARED, CHECKED]);
            world.control().behave("next:1", behaviour).unwrap();
            let plan = world.plan(&next).await;
            let steps = plan.works.iter().flat_map(|work| &work.steps);
            let wait = steps.into_iter().position(|step| matches!(step, Step::WaitRunning { .. }));
            let cut = Cut { call: wait.unwrap(), after: false, gently: false };
            assert!(world.pass(&next, Some(cut)).await.was_cut);
            world.wait(20);
            for _ in 0..3 {
                assert!(world.pass(&next, None).await.failed());
                let there = world.containers().await;
                assert!(there.iter().any(|line| line.starts_with("former")), "{there:?}");
                world.wait(700);
            }
            world.control().behave("next:1", Behaviour::Runs).unwrap();
            world.wait(700);
            for _ in 0..2 {
                world.pass(&next, None).await;
                world.wait(700);
            }
            assert_eq!(world.containers().await, ["next running next:1"]);
        }
    });
}

/// Of an engine that hangs nobody knows whether what came is there: what made room for it is not started beside it.
#[test]
fn nothing_is_started_again_on_an_engine_that_hangs() {
    block_on(async {
        let mut after = 0;
        loop {
            let mut world = World::new();
            world.pass(&only("former", &[SHARED]), None).await;
            let plan = world.plan(&only("next", &[SHARED])).await;
            let hanging = Hanging { engine: &world.engine, after, asked: Mutex::default() };
            let (secrets, pace) = (SecretValues::default(), Pace::default());
            run_device(&hanging, &plan, &secrets, &pace, &|_| {}).await;
            let asked = hanging.asked.into_inner().unwrap();
            if asked.len() <= after {
                assert!(after >= 4, "it hung in the middle too: {asked:?}");
                return;
            }
            assert_eq!(asked.len(), after + 1, "{asked:?}");
            after += 1;
        }
    });
}

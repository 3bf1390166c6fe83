//! The way back: what was replaced takes its place again where its successor fails, at once or later, and the
//! same is not tried again before its pause is over.

use crate::block_on;
use crate::world::{Cut, World, manifest};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{Engine as _, SecretValues};
use hoist::model::HashedManifest;
use hoist::plan::{ContainerRef, DevicePlan, Purpose, Step, StepKind, work_line};
use std::sync::Arc;

pub(crate) fn web(image: &str, more: &str) -> Arc<HashedManifest> {
    manifest(&format!("target = \"*\"\n[modules.web]\nimage = \"{image}\"\n{more}\n"))
}

pub(crate) const KEPT: &str = "keep-previous = \"10m\"\nports = [\"8080:80\"]";
pub(crate) const LOOPS: Behaviour = Behaviour::Ends { code: 3, after: 11_000 };

pub(crate) fn lines(plan: &DevicePlan) -> Vec<String> {
    plan.works
        .iter()
        .filter(|work| matches!(work.purpose, Purpose::Module { .. }))
        .map(work_line)
        .collect()
}

/// What is blocked, with times of day as `TIME`.
fn blocks(plan: &DevicePlan) -> Vec<String> {
    let words = plan.blocked.iter().map(|(name, block)| {
        let words = format!("{name} {} {block}", block.code());
        let at = words.find(" UTC").map_or(0, |at| at - "00:00:00".len());
        format!("{}TIME{}", &words[..at], &words[at + "00:00:00".len()..])
    });
    words.collect()
}

pub(crate) async fn policy(world: &World) -> String {
    let seen = world.observe(&Default::default()).await;
    let web = seen.containers.iter().find(|c| c.name == "web").unwrap();
    web.detail.as_ref().unwrap().restart_policy.clone()
}

#[test]
fn the_previous_container_is_kept_stopped_and_then_goes() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", KEPT), None).await;
        let second = web("web:2", KEPT);
        world.pass(&second, None).await;
        let both = ["hoist-old-web exited web:1", "web running web:2"];
        assert_eq!(world.containers().await, both);
        world.wait(570);
        let plan = world.plan(&second).await;
        assert!(plan.works.is_empty(), "{:#?}", plan.works);
        let next = lines(&world.plan(&web("web:3", KEPT)).await);
        let why = "the previous container makes way for a newer one, specification differs";
        assert_eq!(next, [format!("± web   replace   ({why})")]);
        world.wait(40);
        let pass = world.pass(&second, None).await;
        assert_eq!(lines(&pass.plan), ["- web   tidy   (kept long enough)"]);
        assert_eq!(world.containers().await, ["web running web:2"]);
    });
}

/// It comes up, passes its probation, and then ends again and again.
#[test]
fn a_crash_loop_within_keep_previous_goes_back_and_waits() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", KEPT), None).await;
        let second = web("web:2", KEPT);
        world.control().behave("web:2", LOOPS).unwrap();
        assert!(!world.pass(&second, None).await.failed());
        world.wait(40);
        let pass = world.pass(&second, None).await;
        assert!(!pass.failed(), "{:#?}", pass.outcomes);
        insta::assert_snapshot!(lines(&pass.plan).join("\n"), @"↩ web   go back   (goes back to the previous container: crash loop: the engine restarted it three times or more within 10 minutes)");
        assert_eq!(world.containers().await, ["web running web:1"]);
        assert_eq!(policy(&world).await, "always");
        let went_back = world.now();

        // Nothing is done, and the words say until when.
        world.wait(5);
        let plan = world.plan(&second).await;
        assert_eq!(lines(&plan), [""; 0]);
        insta::assert_snapshot!(blocks(&plan).join("\n"), @"web 500 not tried again before TIME UTC: went back to the previous container: crash loop: the engine restarted it three times or more within 10 minutes");
        assert!(
            plan.due.is_some_and(|due| (59..=61).contains(&(due - went_back))),
            "{:?}",
            plan.due
        );

        // Another specification is tried at once, and the same once the pause is over; the pause grows.
        assert_eq!(lines(&world.plan(&web("web:3", KEPT)).await).len(), 1);
        let mut pauses = Vec::new();
        for _ in 0..3 {
            let due = world.plan(&second).await.due.unwrap();
            world.wait(u64::try_from(due - world.now()).unwrap());
            pauses.push(lines(&world.pass(&second, None).await.plan));
            world.wait(40);
            world.pass(&second, None).await;
            assert_eq!(world.containers().await, ["web running web:1"]);
            let due = world.plan(&second).await.due.unwrap();
            pauses.push(vec![(due - world.now()).to_string()]);
        }
        let words: Vec<String> = pauses.concat();
        insta::assert_snapshot!(words.join("\n"));

        // What is right again stays, and is forgotten as a failure.
        world.control().behave("web:2", Behaviour::Runs).unwrap();
        world.wait(3600);
        world.pass(&second, None).await;
        world.wait(700);
        world.pass(&second, None).await;
        assert_eq!(world.containers().await, ["web running web:2"]);
        world.pass(&second, None).await;
        assert!(world.memory.modules.is_empty(), "{:?}", world.memory.modules);
    });
}

#[test]
fn a_health_check_that_fails_for_good_goes_back() {
    block_on(async {
        let health = format!(
            "{KEPT}\nhealth = {{ command = [\"CMD\", \"ok\"], interval = \"5s\", retries = 1 }}"
        );
        let mut world = World::new();
        world.pass(&web("web:1", &health), None).await;
        let second = web("web:2", &health);
        assert!(!world.pass(&second, None).await.failed());
        world.control().behave("web:2", Behaviour::Unhealthy).unwrap();
        world.wait(10);
        let pass = world.pass(&second, None).await;
        assert_eq!(
            lines(&pass.plan),
            ["↩ web   go back   (goes back to the previous container: unhealthy)"]
        );
        assert_eq!(world.containers().await, ["web running web:1"]);
    });
}

/// Without a container that is kept there is nothing to go back to: it is told, and nothing is done.
#[test]
fn without_keep_previous_a_crash_loop_stays() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        let second = web("web:2", "");
        world.control().behave("web:2", LOOPS).unwrap();
        world.pass(&second, None).await;
        world.wait(40);
        let plan = world.plan(&second).await;
        assert!(plan.works.is_empty() && plan.blocked.is_empty(), "{:#?}", plan.works);
    });
}

/// A replace that fails in its probation is not tried again at once; the container that works is kept up.
#[test]
fn what_failed_in_probation_waits_and_what_works_is_kept_up() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        let second = web("web:2", "");
        world.control().behave("web:2", Behaviour::Ends { code: 3, after: 0 }).unwrap();
        assert!(world.pass(&second, None).await.failed());
        let plan = world.plan(&second).await;
        assert!(plan.works.is_empty());
        insta::assert_snapshot!(blocks(&plan).join("\n"), @"web 500 not tried again before TIME UTC: web ends again and again, last with code 3");

        world.control().kill("web", 1).unwrap();
        world.control().update("web", Some("no"), None, None).unwrap();
        let pass = world.pass(&second, None).await;
        assert_eq!(lines(&pass.plan), ["▶ web   start   (it ended with code 1)"]);
        assert_eq!(world.containers().await, ["web running web:1"]);
        assert_eq!(policy(&world).await, "always");

        // The reason may have gone by itself.
        world.control().behave("web:2", Behaviour::Runs).unwrap();
        world.wait(120);
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, ["web running web:2"]);
        world.pass(&second, None).await;
        assert!(world.memory.modules.values().all(|m| m.failed.is_none()));
    });
}

/// A device that is not reached says nothing about a specification.
#[test]
fn an_engine_that_is_not_reached_is_no_failure_of_the_specification() {
    block_on(async {
        use hoist::engine::simulated::{CallKind, Fault};
        use hoist::plan::StepKind;
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Unreachable);
        let second = web("web:2", "");
        assert!(world.pass(&second, None).await.failed());
        assert!(!world.pass(&second, None).await.failed());
        assert_eq!(world.containers().await, ["web running web:2"]);
        assert!(world.plan(&second).await.works.is_empty());
        world.pass(&second, None).await;
        assert!(world.memory.modules.values().all(|m| m.failed.is_none()));
    });
}

/// Going back is cut off at any call, with what the store remembers and without: the next passes end where an
/// uncut one does, and never do two run.
#[test]
fn going_back_is_taken_up_where_it_was_cut_off() {
    block_on(async {
        for call in 0..9 {
            for (after, forget) in [(false, false), (true, false), (false, true), (true, true)] {
                let mut world = World::new();
                world.pass(&web("web:1", KEPT), None).await;
                let second = web("web:2", KEPT);
                world.control().behave("web:2", LOOPS).unwrap();
                world.pass(&second, None).await;
                world.wait(40);
                let what = format!("call {call}, after {after}, forget {forget}");
                if !world.pass(&second, Some(Cut { call, after, gently: false })).await.was_cut {
                    continue;
                }
                if forget {
                    world.memory = Default::default();
                }
                for _ in 0..2 {
                    world.pass(&second, None).await;
                }
                let now = world.containers().await;
                if forget {
                    // It may try the new one again; one of them runs.
                    assert_eq!(
                        now.iter().filter(|c| c.contains(" running ")).count(),
                        1,
                        "{what}: {now:?}"
                    );
                    continue;
                }
                assert_eq!(now, ["web running web:1"], "{what}");
                assert_eq!(policy(&world).await, "always", "{what}");
                assert!(world.plan(&second).await.works.is_empty(), "{what}");
            }
        }
    });
}

/// Where the previous container can't be started any more the new one runs on, and it is told.
#[test]
fn going_back_that_fails_leaves_the_new_one_and_waits() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", KEPT), None).await;
        let second = web("web:2", KEPT);
        world.control().behave("web:2", LOOPS).unwrap();
        world.pass(&second, None).await;
        world.control().behave("web:1", Behaviour::BadCommand).unwrap();
        world.wait(40);
        let pass = world.pass(&second, None).await;
        assert!(pass.failed());
        let both = ["hoist-old-web exited web:1", "web running web:2"];
        assert_eq!(world.containers().await, both);
        assert!(world.plan(&second).await.works.is_empty());
        world.wait(301);
        assert_eq!(lines(&world.plan(&second).await).len(), 1, "tried again five minutes later");
    });
}

/// The fix for what loops is put in place; should it fail too, the one that worked is still there.
#[test]
fn a_fix_for_what_loops_keeps_the_one_that_worked() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", KEPT), None).await;
        world.control().behave("web:2", LOOPS).unwrap();
        world.pass(&web("web:2", KEPT), None).await;
        world.wait(40);
        let third = web("web:3", KEPT);
        assert!(!world.pass(&third, None).await.failed());
        assert_eq!(world.containers().await, ["hoist-old-web exited web:1", "web running web:3"]);
        assert!(world.plan(&third).await.works.is_empty());
    });
}

/// Somebody starts the one that is kept: two of one module never run.
#[test]
fn a_kept_container_that_somebody_starts_is_stopped_again() {
    block_on(async {
        let mut world = World::new();
        let kept = "keep-previous = \"10m\"";
        world.pass(&web("web:1", kept), None).await;
        let second = web("web:2", kept);
        world.pass(&second, None).await;
        let old = hoist::plan::ContainerRef::Name("hoist-old-web".to_owned());
        let start = hoist::plan::Step::Start { container: old };
        hoist::engine::Engine::execute(&world.engine, &start, &Default::default()).await.unwrap();
        let plan = world.plan(&second).await;
        assert_eq!(lines(&plan), ["■ web   stop   (left behind by a run that was cut off)"]);
        let steps: Vec<String> = plan.works[0].steps.iter().map(ToString::to_string).collect();
        assert_eq!(steps.len(), 2, "{steps:?}");
    });
}

/// Starts of what is down: at once, then with pauses.
#[test]
fn what_somebody_stops_again_and_again_is_started_with_pauses() {
    block_on(async {
        let mut world = World::new();
        let first = web("web:1", "");
        world.pass(&first, None).await;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            world.control().update("web", Some("no"), None, None).unwrap();
            world.control().kill("web", 1).unwrap();
            let plan = world.plan(&first).await;
            let pause = plan.due.map_or(0, |due| due - world.now());
            pauses.push((lines(&plan).len(), pause));
            world.wait(u64::try_from(pause).unwrap());
            assert!(!world.pass(&first, None).await.failed());
            assert_eq!(world.containers().await, ["web running web:1"]);
        }
        assert_eq!(pauses, [(1, 0), (0, 10), (0, 20), (0, 40)]);
    });
}

/// A network that was removed and made again while its container was down needs a new container.
#[test]
fn a_network_made_anew_under_a_container_that_is_down_is_met_by_a_replace() {
    block_on(async {
        for remade in [false, true] {
            let mut world = World::new();
            let first = web("web:1", "networks = [\"one\"]");
            world.pass(&first, None).await;
            world.control().update("web", Some("no"), None, None).unwrap();
            world.control().kill("web", 1).unwrap();
            world.control().remove_network("one").unwrap();
            if remade {
                let step = hoist::plan::Step::CreateNetwork {
                    name: "one".to_owned(),
                    subnet: None,
                    labels: Default::default(),
                };
                let none = Default::default();
                hoist::engine::Engine::execute(&world.engine, &step, &none).await.unwrap();
            }
            let pass = world.pass(&first, None).await;
            assert!(!pass.failed(), "{:#?}", pass.outcomes);
            assert_eq!(
                lines(&pass.plan),
                ["± web   replace   (network one is not the one that it was made on)"]
            );
            assert_eq!(world.containers().await, ["web running web:1"]);
            assert!(world.plan(&first).await.works.is_empty());
        }
    });
}

fn two(first: &str, second: &str) -> Arc<HashedManifest> {
    manifest(&format!(
        "target = \"*\"\n[modules.aa]\nimage = \"aa:1\"\nports = [\"{first}:80\"]\nstartup-order = 2\n\
         [modules.bb]\nimage = \"bb:1\"\nports = [\"{second}:80\"]\nstartup-order = 1\n"
    ))
}

/// Two modules exchange their ports, or hand one on: both are stopped before either is started.
#[test]
fn ports_are_exchanged_and_handed_on_in_one_change() {
    block_on(async {
        let both = ["aa running aa:1", "bb running bb:1"];
        for (first, second) in [("9090", "8080"), ("8081", "8080"), ("9090", "9091")] {
            let mut world = World::new();
            world.pass(&two("8080", "9090"), None).await;
            let next = two(first, second);
            let calls = world.pass(&next, None).await;
            assert!(!calls.failed(), "{first} {second}: {:#?}", calls.outcomes);
            assert_eq!(world.containers().await, both);
            assert!(world.plan(&next).await.works.is_empty());
            for call in 0..calls.calls {
                for after in [false, true] {
                    let mut world = World::new();
                    world.pass(&two("8080", "9090"), None).await;
                    world.pass(&next, Some(Cut { call, after, gently: false })).await;
                    let pass = world.pass(&next, None).await;
                    assert!(
                        !pass.failed(),
                        "{first} {second} {call} {after}: {:#?}",
                        pass.outcomes
                    );
                    assert_eq!(world.containers().await, both, "{first} {second} {call} {after}");
                }
            }
        }
    });
}

/// One of the two fails: both have their old ports again, and neither is tried at once.
#[test]
fn an_exchange_of_ports_that_fails_goes_back_for_both() {
    block_on(async {
        let mut world = World::new();
        world.pass(&two("8080", "9090"), None).await;
        let next = two("9090", "8080");
        let before: Vec<String> =
            world.observe(&Default::default()).await.containers.into_iter().map(|c| c.id).collect();
        let kind = hoist::engine::simulated::CallKind::Step(hoist::plan::StepKind::Start);
        let refused = hoist::engine::EngineError::new(
            hoist::engine::EngineErrorKind::Refused,
            "no such device",
        );
        world.control().fault_next(kind, hoist::engine::simulated::Fault::Fail(refused));
        let pass = world.pass(&next, None).await;
        assert!(pass.failed());
        let after = world.observe(&Default::default()).await.containers;
        assert!(after.iter().all(|c| before.contains(&c.id)), "{after:#?}");
        assert_eq!(world.containers().await, ["aa running aa:1", "bb running bb:1"]);
        let plan = world.plan(&next).await;
        assert!(plan.works.is_empty());
        assert_eq!(plan.blocked.len(), 2, "{:?}", blocks(&plan));
        world.wait(61);
        assert!(!world.pass(&next, None).await.failed());
    });
}

/// A port that another module keeps is no reason to stop anything.
#[test]
fn a_port_that_another_module_keeps_blocks_and_stops_nothing() {
    block_on(async {
        let mut world = World::new();
        world.pass(&two("8080", "9090"), None).await;
        world.control().set_missing("aa:2", true).unwrap();
        world.control().behave("aa:3", Behaviour::BadCommand).unwrap();
        let moved = |image: &str| {
            manifest(&format!(
                "target = \"*\"\n[modules.aa]\nimage = \"{image}\"\nports = [\"8081:80\"]\n\
                 [modules.bb]\nimage = \"bb:1\"\nports = [\"8080:80\"]\n"
            ))
        };
        assert!(world.pass(&moved("aa:2"), None).await.failed());
        assert!(world.pass(&moved("aa:3"), None).await.failed());
        assert_eq!(world.containers().await, ["aa running aa:1", "bb running bb:1"]);
        let plan = world.plan(&moved("aa:3")).await;
        assert!(plan.works.is_empty(), "{:#?}", plan.works);
        assert_eq!(plan.blocked.len(), 2);
    });
}

/// A container that ends just when it should get its name can't be renamed: what worked has its name and runs.
#[test]
fn a_container_that_ends_between_probation_and_its_name_is_no_success() {
    block_on(async {
        let mut failed = 0;
        for after in (9_990..10_110).step_by(2) {
            let mut world = World::new();
            world.pass(&web("web:1", ""), None).await;
            let second = web("web:2", "");
            world.control().behave("web:2", Behaviour::Ends { code: 3, after }).unwrap();
            let pass = world.pass(&second, None).await;
            if pass.failed() {
                failed += 1;
                assert_eq!(world.containers().await, ["web running web:1"], "after {after}");
            }
            // The same where the run was cut off there.
            let mut world = World::new();
            world.pass(&web("web:1", ""), None).await;
            world.control().behave("web:2", Behaviour::Ends { code: 3, after }).unwrap();
            world.pass(&second, Some(Cut { call: 8, after: false, gently: false })).await;
            world.pass(&second, None).await;
            // It may end once more just then; the pass after that sees it.
            let pass = world.pass(&second, None).await;
            let now = world.containers().await;
            let is_there = now.iter().any(|c| c.starts_with("web "));
            assert!(is_there, "after {after}: {now:?} {:#?}", pass.outcomes);
        }
        assert!(failed > 2, "only {failed} failed");
    });
}

/// An engine that restarts starts what somebody stopped, as its policy says so: also between a look and a replace.
#[test]
fn what_the_engine_starts_again_never_runs_beside_its_successor() {
    block_on(async {
        let both = |tag: u8| {
            let gate = format!("[modules.gate]\nimage = \"gate:{tag}\"\nstartup-order = 0\n");
            manifest(&format!("target = \"*\"\n{gate}[modules.web]\nimage = \"web:{tag}\"\n"))
        };
        let mut world = World::new();
        world.pass(&both(1), None).await;
        let stop = Step::Stop { container: ContainerRef::Name("web".to_owned()), timeout: None };
        world.engine.execute(&stop, &SecretValues::default()).await.unwrap();
        let create = CallKind::Step(StepKind::Create);
        world.control().fault_next(create, Fault::Restart { done: false });
        // After every call of a pass it is looked at that no module runs twice.
        assert!(world.pass(&both(2), None).await.failed());
        assert_eq!(world.containers().await, ["gate running gate:1", "web running web:2"]);
    });
}

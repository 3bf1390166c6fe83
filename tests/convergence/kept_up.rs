//! What worked goes on working, whatever stands in the way of what should take its place.

use crate::back::{lines, policy, web};
use crate::block_on;
use crate::hanging::Hanging;
use crate::passes::House;
use crate::world::{Cut, World, manifest};
use hoist::apply::{Event, Outcome, Pace, run_device};
use hoist::engine::simulated::{Behaviour, CallKind, Control, Fault};
use hoist::engine::{Cause, Engine as _, EngineError, EngineErrorKind, SecretValues};
use hoist::model::{Hash, HashedManifest, SecretName};
use hoist::plan::{Block, ContainerRef, DevicePlan, Step, StepKind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Somebody stops a container.
async fn stop(world: &World, name: &str) {
    let seen = world.observe(&Default::default()).await.containers;
    let id = seen.iter().find(|container| container.name == name).unwrap().id.clone();
    let stop = Step::Stop { container: ContainerRef::Id(id), timeout: None };
    world.engine.execute(&stop, &SecretValues::default()).await.unwrap();
}

/// A container that is nobody's of this device, with a port.
fn run_foreign(control: &Control, name: &str, port: &str) {
    let bindings = serde_json::json!({"80/tcp": [{"HostIp": "", "HostPort": port}]});
    let body = serde_json::json!({"Image": "x:1", "HostConfig": {"PortBindings": bindings}});
    control.load_image("x:1", &BTreeMap::new()).unwrap();
    control.run_foreign(name, &body).unwrap();
}

fn blocks(plan: &DevicePlan) -> Vec<(u16, String)> {
    plan.blocked.values().map(|block| (block.code(), block.to_string())).collect()
}

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
                insta::assert_snapshot!(failed.left_over().unwrap(), @"not taken back, which the next run does: could not remove web (as hoist-new-web): the connection broke (simulated engine of d1) (and 2 more steps)");
                assert!(failed.failure_and_left_over().unwrap().contains("; not taken back"));
                world.pass(&second, None).await;
            }
            assert_eq!(world.containers().await, ["web running web:1"]);
            assert_eq!(policy(&world).await, "always");
        }
    });
}

/// The pause of a change that failed is for what was there: once that is gone there is nothing to lose.
#[test]
fn what_somebody_removes_is_made_anew_though_its_change_failed() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        let second = web("web:2", "");
        world.control().behave("web:2", Behaviour::Ends { code: 3, after: 100 }).unwrap();
        assert!(world.pass(&second, None).await.failed());
        assert!(world.plan(&second).await.works.is_empty());
        world.control().remove("web").unwrap();
        world.control().behave("web:2", Behaviour::Runs).unwrap();
        world.pass(&second, None).await;
        assert_eq!(world.containers().await, ["web running web:2"]);
    });
}

/// Each call to an engine that hangs waits for its own limit, of minutes: one is enough to know, and the next run does the rest.
#[test]
fn an_engine_that_hangs_is_asked_once_and_no_more() {
    block_on(async {
        let mut after = 0;
        loop {
            let mut world = World::new();
            world.pass(&web("web:1", ""), None).await;
            let second = web("web:2", "");
            let plan = world.plan(&second).await;
            let hanging = Hanging { engine: &world.engine, after, asked: Mutex::default() };
            let (secrets, pace) = (SecretValues::default(), Pace::default());
            let run = run_device(&hanging, &plan, &secrets, &pace, &|_| {}).await;
            let asked = hanging.asked.into_inner().unwrap();
            if asked.len() <= after {
                assert!(after >= 4, "it hung in the middle too: {asked:?}");
                return;
            }
            assert_eq!(asked.len(), after + 1, "{asked:?}");
            assert!(run.was_cut_off(), "{:?}", run.outcomes);
            let words = run.outcomes.values().find_map(Outcome::failure).unwrap();
            assert!(
                words.ends_with("no end within 120s, and the engine does not answer any more"),
                "{words}"
            );
            // It says nothing of the change, which is tried again at once.
            world.pass(&second, None).await;
            world.pass(&second, None).await;
            assert_eq!(world.containers().await, ["web running web:2"], "after {after}");
            after += 1;
        }
    });
}

/// An engine that is being restarted fails at a start before it falls silent: that says nothing of the module.
#[test]
fn what_an_engine_fails_at_that_goes_down_is_no_failure_of_a_module() {
    block_on(async {
        for goes_down in [true, false] {
            let mut world = World::new();
            let wanted = web("web:1", "");
            world.pass(&wanted, None).await;
            stop(&world, "web").await;
            let plan = world.plan(&wanted).await;
            let words = "could not start web: failed to update store: open : no such file";
            let error =
                EngineError::new(EngineErrorKind::Refused, words).because(Cause::EngineItself);
            world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Fail(error));
            if goes_down {
                world.control().fault_next(CallKind::Answers, Fault::Unreachable);
            }
            let (secrets, pace) = (SecretValues::default(), Pace::default());
            let run = run_device(&world.engine, &plan, &secrets, &pace, &|_| {}).await;
            assert_eq!(run.was_cut_off(), goes_down, "{:?}", run.outcomes);
            let said = run.outcomes.values().find_map(Outcome::failure).unwrap();
            let more = if goes_down { ", and the engine does not answer any more" } else { "" };
            assert_eq!(said, format!("{words}{more}"));
            world.pass(&wanted, None).await;
            assert_eq!(world.containers().await, ["web running web:1"]);
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
            stop(&world, "web").await;
            let pass = world.pass(manifest, None).await;
            assert_eq!(lines(&pass.plan), ["▶ web   start   (it ended with code 137)"]);
            assert_eq!(blocks(&pass.plan), [(422, "the variable PW is not set".to_owned())]);
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
        stop(&world, "web").await;
        let pass = world.pass(&second, None).await;
        let why = "it ended with code 137, its successor can't be made";
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
        stop(&world, "web").await;
        let pass = world.pass(&second, None).await;
        assert!(pass.outcomes.values().any(|outcome| *outcome == Outcome::NotNeeded));
        assert_eq!(world.containers().await, ["web running web:2"]);
    });
}

/// What stands in the way of its successor does not keep it down.
#[test]
fn what_is_down_is_started_again_whatever_is_in_its_successors_way() {
    block_on(async {
        let never = "image-pull-policy = \"never\"\nports = [\"8080:80\"]";
        for (foreign, second, code, said) in [
            (
                Some(("other", "9000")),
                web("web:1", "ports = [\"9000:80\"]"),
                409,
                "publishes port 9000/tcp",
            ),
            (Some(("hoist-new-web", "9000")), web("web:2", ""), 409, "has the name"),
            (None, web("web:2", never), 424, "the engine lacks image web:2"),
        ] {
            let mut world = World::new();
            world.pass(&web("web:1", "ports = [\"8080:80\"]"), None).await;
            if let Some((name, port)) = foreign {
                run_foreign(&world.control(), name, port);
            }
            let quiet = world.pass(&second, None).await.plan;
            assert!(quiet.works.is_empty(), "{:#?}", quiet.works);
            stop(&world, "web").await;
            let pass = world.pass(&second, None).await;
            assert_eq!(lines(&pass.plan), ["▶ web   start   (it ended with code 137)"]);
            assert!(!pass.failed());
            let (blocked, words) = blocks(&pass.plan).remove(0);
            assert!(blocked == code && words.contains(said), "{blocked} {words}");
            assert!(world.containers().await.contains(&"web running web:1".to_owned()));
            assert_eq!(policy(&world).await, "always");
            assert!(world.plan(&second).await.works.is_empty());
        }
    });
}

fn two(web: (&str, &str), other: (&str, &str), more: &str) -> Arc<HashedManifest> {
    let ((web, web_port), (other, other_port)) = (web, other);
    manifest(&format!(
        "target = \"*\"\n[modules.web]\nimage = \"{web}\"\nports = [\"{web_port}:80\"]\n\
         [modules.other]\nimage = \"{other}\"\nports = [\"{other_port}:80\"]\n{more}\n"
    ))
}

/// A stranger takes the module's own name between the two renames at a replacement's end.
#[test]
fn what_worked_runs_on_where_a_stranger_takes_its_name_while_it_is_put_aside() {
    block_on(async {
        let mut world = World::new();
        world.pass(&web("web:1", ""), None).await;
        let second = web("web:2", "");
        let (plan, control) = (world.plan(&second).await, world.control());
        let meets = |event: Event<'_>| {
            if let Event::StepBegins { step: Step::Rename { name, .. }, .. } = event
                && name == "web"
            {
                run_foreign(&control, "web", "9000");
            }
        };
        let (pace, secrets) = (Pace::default(), SecretValues::default());
        let run = run_device(&world.engine, &plan, &secrets, &pace, &meets).await;
        let failed = run.outcomes.values().find_map(Outcome::failure_and_left_over).unwrap();
        insta::assert_snapshot!(failed, @r#"could not rename web (as hoist-new-web) to web: Error when allocating new name: Conflict. The container name "/web" is already in use by container "0b8665194f2b"; not taken back, which the next run does: could not rename 756a813fc9ec to web: Error when allocating new name: Conflict. The container name "/web" is already in use by container "0b8665194f2b""#);
        let both = ["hoist-old-web running web:1", "web running x:1"];
        assert_eq!(world.containers().await, both);
        assert_eq!(control.restart_policy("hoist-old-web").unwrap(), "always");

        // As long as the name is taken it stays where it is, and is kept up there.
        let quiet = world.pass(&second, None).await.plan;
        assert!(quiet.works.is_empty(), "{:#?}", quiet.works);
        insta::assert_snapshot!(blocks(&quiet)[0].1, @"container web (0b8665194f2b) is not Hoist's and has the name; only `hoist adopt` touches it; the module's own is kept up as hoist-old-web until the name is free");
        stop(&world, "hoist-old-web").await;
        let pass = world.pass(&second, None).await;
        assert_eq!(lines(&pass.plan), ["▶ web   start   (it ended with code 137)"]);
        assert_eq!(blocks(&pass.plan)[0].0, 409);
        assert_eq!(world.containers().await, both);

        control.remove("web").unwrap();
        for _ in 0..2 {
            world.pass(&second, None).await;
        }
        assert_eq!(world.containers().await, ["web running web:2"]);
    });
}

/// A stranger has its name, and the control host has no secret for it any more: both are said.
#[test]
fn a_lacking_secret_is_said_beside_a_name_that_is_taken() {
    block_on(async {
        let first = web("web:1", "env = { PASSWORD = { secret = \"pw\" } }");
        let name = SecretName::parse("pw").unwrap();
        let mut world = World::new();
        world.secrets.insert(name.clone(), Ok(Hash::of_texts("test", ["1"])));
        world.pass(&first, None).await;
        world.control().rename("web", "hoist-old-web").unwrap();
        run_foreign(&world.control(), "web", "9000");
        world.secrets.insert(name, Err("the variable PW is not set".to_owned()));
        let blocked = blocks(&world.plan(&first).await);
        assert_eq!(blocked[0].0, 409);
        let words = &blocked[0].1;
        assert!(words.contains("has the name") && words.contains("hoist-old-web"), "{words}");
        assert!(words.ends_with("; besides, the variable PW is not set"), "{words}");
    });
}

/// The same where the process died there, whatever of the two then runs: one of them is brought up, and never both.
#[test]
fn what_a_cut_off_run_left_is_kept_up_where_a_stranger_has_its_name() {
    block_on(async {
        let second = web("web:2", "");
        for call in 0.. {
            let mut world = World::new();
            world.pass(&web("web:1", ""), None).await;
            let cut = Cut { call, after: true, gently: false };
            if !world.pass(&second, Some(cut)).await.was_cut {
                assert!(call > 5);
                break;
            }
            let control = world.control();
            if !world.containers().await.iter().any(|line| line.starts_with("web ")) {
                run_foreign(&control, "web", "9000");
                let ours = |lines: Vec<String>| {
                    lines.into_iter().filter(|line| line.contains(" web:")).collect::<Vec<_>>()
                };
                for name in ["hoist-new-web", "hoist-old-web"] {
                    let _ = control.kill(name, 1);
                }
                world.pass(&second, None).await;
                let running = ours(world.containers().await);
                assert_eq!(running.iter().filter(|line| line.contains(" running ")).count(), 1);
                assert!(world.containers().await.contains(&"web running x:1".to_owned()));
                control.remove("web").unwrap();
            }
            for _ in 0..2 {
                world.wait(600);
                world.pass(&second, None).await;
            }
            assert_eq!(world.containers().await, ["web running web:2"], "cut at {call}");
        }
    });
}

/// Two exchange their ports, and the other one can't be made: it keeps its port, and what is down is started as it is.
#[test]
fn what_is_down_is_started_again_where_another_module_can_not_give_up_its_port() {
    block_on(async {
        for (more, code) in [("image-pull-policy = \"never\"", Some(400)), ("", None)] {
            let mut world = World::new();
            world.pass(&two(("web:1", "8080"), ("other:1", "9000"), ""), None).await;
            world.control().set_missing("other:2", true).unwrap();
            stop(&world, "web").await;
            let second = two(("web:1", "9000"), ("other:2", "8080"), more);
            let pass = world.pass(&second, None).await;
            let web = pass.plan.blocked.get("web").map(Block::code);
            assert_eq!(web, code, "{:#?}", pass.plan.blocked);
            let running = world.containers().await;
            assert_eq!(running, ["other running other:1", "web running web:1"]);
            assert_eq!(policy(&world).await, "always");
        }
    });
}

/// The port that its successor needs is not needed for that.
#[test]
fn nothing_makes_room_for_what_is_only_kept_up() {
    block_on(async {
        let mut world = World::new();
        world.pass(&two(("web:1", "8080"), ("other:1", "9000"), ""), None).await;
        stop(&world, "web").await;
        let more = "image-pull-policy = \"never\"\nports = [\"9000:80\"]";
        let pass = world.pass(&web("web:2", more), None).await;
        assert_eq!(lines(&pass.plan), ["▶ web   start   (it ended with code 137)"]);
        assert_eq!(world.containers().await, ["other running other:1", "web running web:1"]);
    });
}

/// Somebody started the previous one by hand, and what took its place is down: the harness sees when both run.
#[test]
fn what_is_kept_up_does_not_run_beside_the_previous_one() {
    block_on(async {
        let kept = "keep-previous = \"10m\"";
        let mut world = World::new();
        world.pass(&web("web:1", kept), None).await;
        world.pass(&web("web:2", kept), None).await;
        stop(&world, "web").await;
        let seen = world.observe(&Default::default()).await.containers;
        let old = seen.iter().find(|container| container.name == "hoist-old-web").unwrap();
        let start = Step::Start { container: ContainerRef::Id(old.id.clone()) };
        world.engine.execute(&start, &SecretValues::default()).await.unwrap();
        run_foreign(&world.control(), "stranger", "9000");
        let third = web("web:3", &format!("{kept}\nports = [\"9000:80\"]"));
        world.pass(&third, None).await;
        let all = world.containers().await;
        assert!(all.contains(&"web running web:2".to_owned()), "{all:?}");
        assert!(all.iter().any(|line| line.starts_with("hoist-old-web exited")), "{all:?}");
    });
}

/// A power loss within a replacement, and the secret is gone since.
#[test]
fn without_its_secret_what_a_cut_off_run_left_is_settled() {
    block_on(async {
        let with_secret = |image| web(image, "env = { PASSWORD = { secret = \"pw\" } }");
        let name = SecretName::parse("pw").unwrap();
        let digest = Ok(Hash::of_texts("test", ["1"]));
        let second = with_secret("web:2");
        for call in 0.. {
            let mut world = World::new();
            world.secrets.insert(name.clone(), digest.clone());
            world.pass(&with_secret("web:1"), None).await;
            let cut = Cut { call, after: true, gently: false };
            if !world.pass(&second, Some(cut)).await.was_cut {
                assert!(call > 5);
                break;
            }
            world.secrets.insert(name.clone(), Err("the variable PW is not set".to_owned()));
            world.pass(&second, None).await;
            let all = world.containers().await;
            assert!(all.len() == 1 && all[0].starts_with("web running"), "cut at {call}: {all:?}");
        }
    });
}

/// A stranger took its port while it was down: both are said.
#[test]
fn what_is_blocked_and_down_says_both() {
    let mut house = House::new();
    let base = |image| {
        format!("target = \"*\"\n[modules.web]\nimage = \"{image}\"\nports = [\"8080:80\"]\n")
    };
    house.write("deployments/base.toml", &base("web:1"));
    house.apply(0);
    let control = house.control("d1");
    house.stop("d1", "web");
    run_foreign(&control, "stranger", "8080");
    house.write("deployments/base.toml", &base("web:2"));
    house.apply(60);
    let (code, words) = house.words("d1");
    assert_eq!(code, 409);
    insta::assert_snapshot!(words, @"web: container stranger publishes port 8080/tcp and is none of this device's modules; it is not touched; what it has: could not start 756a813fc9ec: Bind for 0.0.0.0:8080 failed: port is already allocated");
    house.apply(1);
    insta::assert_snapshot!(house.words("d1").1, @"web: container stranger publishes port 8080/tcp and is none of this device's modules; it is not touched; what it has: it ended with code 137; started again not before 08:01:11 UTC");
    // The same where the image is what is missing.
    house.write("deployments/base.toml", &base("web:3").replace("8080:80", "9000:80"));
    control.set_missing("web:3", true).unwrap();
    house.apply(60);
    insta::assert_snapshot!(house.words("d1").1, @"web: could not pull web:3: the registry has no such image or tag (manifest unknown); what it has: could not start 756a813fc9ec: Bind for 0.0.0.0:8080 failed: port is already allocated");
    // Between two tries to start it the image is asked for again and again.
    house.apply(1);
    insta::assert_snapshot!(house.words("d1").1, @"web: could not pull web:3: the registry has no such image or tag (manifest unknown); what it has: it ended with code 137; started again not before 08:02:22 UTC");
    control.remove("stranger").unwrap();
    control.set_missing("web:3", false).unwrap();
    house.apply(60);
    assert_eq!(house.words("d1").0, 200);
}

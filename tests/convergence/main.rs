//! Applying a plan to an engine leaves nothing to do: from any state, after any cut, and foreign containers
//! are never touched.

#![expect(clippy::unwrap_used, reason = "a test")]

mod back;
mod back_held;
mod begun;
mod broken_off;
mod called_off;
mod counts;
mod hanging;
mod kept_up;
mod mounts;
mod passes;
mod put_back;
mod quiet;
mod renamed;
mod room;
mod seeds;
mod stood;
mod stopped;
mod strangers;
mod successors;
mod taken_back;
mod taken_over;
mod told;
mod two_hosts;
mod wishes;
mod world;

use hoist::apply::Outcome;
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::plan::{ContainerRef, Step, StepKind};
use proptest::prelude::*;
use std::sync::Arc;
use world::{Cut, World, manifest};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const FIRST: &str = r#"
target = "*"
[modules.alpha]
image = "alpha:1"
startup-order = 1
ports = ["8080:80"]
[modules.alpha.desired]
n = 1
[modules.beta]
image = "beta:1"
networks = ["one", "two"]
restart-policy = "never"
[modules.gamma]
image = "gamma:1"
status = "stopped"
[modules.delta]
image = "delta:1"
ports = ["9090:80"]
"#;

/// Alpha is replaced, beta changes its networks, gamma starts, delta goes and epsilon takes its port.
const SECOND: &str = r#"
target = "*"
[modules.alpha]
image = "alpha:2"
startup-order = 1
ports = ["8080:80"]
[modules.alpha.desired]
n = 2
[modules.beta]
image = "beta:1"
networks = ["one", "three"]
restart-policy = "never"
memory = "64MiB"
[modules.gamma]
image = "gamma:1"
status = "running"
[modules.epsilon]
image = "epsilon:1"
ports = ["9090:80"]
"#;

const EXPECTED: [&str; 4] = [
    "alpha running alpha:2",
    "beta running beta:1",
    "epsilon running epsilon:1",
    "gamma running gamma:1",
];

#[test]
fn a_second_pass_has_nothing_to_do() {
    block_on(async {
        let mut world = World::new();
        for text in [FIRST, SECOND] {
            let manifest = manifest(text);
            let pass = world.pass(&manifest, None).await;
            assert!(!pass.failed(), "{:#?}", pass.outcomes);
            let again = world.plan(&manifest).await;
            assert!(again.works.is_empty() && again.blocked.is_empty(), "{again:#?}");
            world.memory = Default::default();
            let without_memory = world.plan(&manifest).await;
            assert!(without_memory.works.is_empty(), "{:#?}", without_memory.works);
        }
        assert_eq!(world.containers().await, EXPECTED);
        let networks: Vec<String> = world.networks().await.into_iter().collect();
        assert_eq!(networks, ["hoist-f", "one", "three"]);
    });
}

/// A run that is cut off before or after any call, with and without what the store remembers, ends in the
/// same state when it is run again.
#[test]
fn a_cut_at_any_call_is_mended_by_the_next_pass() {
    block_on(async {
        let (first, second) = (manifest(FIRST), manifest(SECOND));
        let mut probe = World::new();
        probe.pass(&first, None).await;
        let calls = probe.pass(&second, None).await.calls;
        assert!(calls > 20, "only {calls} calls");
        for (from, to, most) in [(None, &first, 40), (Some(&first), &second, calls)] {
            for call in 0..most {
                for (after, forget) in [(false, false), (false, true), (true, false), (true, true)]
                {
                    cut_and_mend(from, to, Cut { call, after, gently: false }, forget).await;
                }
            }
        }
    });
}

async fn cut_and_mend(
    from: Option<&Arc<hoist::model::HashedManifest>>,
    to: &Arc<hoist::model::HashedManifest>,
    cut: Cut,
    forget: bool,
) {
    let mut world = World::new();
    if let Some(from) = from {
        assert!(!world.pass(from, None).await.failed());
    }
    let pass = world.pass(to, Some(cut)).await;
    if !pass.was_cut {
        return;
    }
    if forget {
        world.memory = Default::default();
    }
    let again = world.pass(to, None).await;
    assert!(
        !again.failed(),
        "{cut:?} forget {forget}: {:#?}\n{:#?}",
        again.outcomes,
        again.plan.works
    );
    let rest = world.plan(to).await;
    assert!(rest.works.is_empty(), "{cut:?} forget {forget}: {:#?}", rest.works);
    let mut whole = World::new();
    if let Some(from) = from {
        whole.pass(from, None).await;
    }
    whole.pass(to, None).await;
    assert_eq!(world.containers().await, whole.containers().await, "{cut:?} forget {forget}");
    assert_eq!(world.networks().await, whole.networks().await, "{cut:?} forget {forget}");
    let anonymous = |world: &World| world.control().volumes().unwrap().len();
    assert_eq!(anonymous(&world), anonymous(&whole), "{cut:?} forget {forget}");
}

/// A replace that fails at any of its calls leaves the module that worked.
#[test]
fn a_failed_change_leaves_what_worked() {
    block_on(async {
        for behaviour in ["crash", "refuse"] {
            let mut world = World::new();
            let first = manifest(FIRST);
            assert!(!world.pass(&first, None).await.failed());
            let before = world.containers().await;
            let changed = manifest(&FIRST.replace("alpha:1", "alpha:bad"));
            match behaviour {
                "crash" => world
                    .control()
                    .behave(
                        "alpha:bad",
                        hoist::engine::simulated::Behaviour::Ends { code: 3, after: 0 },
                    )
                    .unwrap(),
                _ => world.control().set_missing("alpha:bad", true).unwrap(),
            }
            let pass = world.pass(&changed, None).await;
            assert!(pass.failed());
            assert_eq!(world.containers().await, before, "{behaviour}");
            let policy = world.observe(&Default::default()).await;
            let alpha = policy.containers.iter().find(|c| c.name == "alpha").unwrap();
            assert_eq!(alpha.detail.as_ref().unwrap().restart_policy, "always", "{behaviour}");
        }
    });
}

#[derive(Debug, Clone)]
enum Meddling {
    Kill(usize),
    Pause(usize),
    Remove(usize),
    Rename(usize),
    Update(usize),
    Disconnect(usize),
    Foreign(String),
}

fn meddling() -> impl Strategy<Value = Meddling> {
    prop_oneof![
        (0..4usize).prop_map(Meddling::Kill),
        (0..4usize).prop_map(Meddling::Pause),
        (0..4usize).prop_map(Meddling::Remove),
        (0..4usize).prop_map(Meddling::Rename),
        (0..4usize).prop_map(Meddling::Update),
        (0..4usize).prop_map(Meddling::Disconnect),
        "[a-z]{3,8}-foreign".prop_map(Meddling::Foreign),
        // Under a name of ours, where that is free.
        prop::sample::select(vec!["alpha", "epsilon", "hoist-new-alpha", "hoist-old-beta"])
            .prop_map(|name| Meddling::Foreign(name.to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_others_do_one_pass_repairs_it_and_touches_nothing_foreign(
        deeds in prop::collection::vec(meddling(), 1..6),
        forget in any::<bool>(),
        second in any::<bool>(),
    ) {
        block_on(async {
            let mut world = World::new();
            world.pass(&manifest(FIRST), None).await;
            let foreign = meddle(&world, &deeds).await;
            if forget {
                world.memory = Default::default();
            }
            let wanted = manifest(if second { SECOND } else { FIRST });
            let plan = world.plan(&wanted).await;
            let steps = plan.works.iter().flat_map(|work| &work.steps);
            for step in steps {
                let mut step: Step = step.clone();
                if let Some(ContainerRef::Id(id)) = step.container_mut().cloned() {
                    prop_assert!(!foreign.contains(&id), "{step} touches a foreign container");
                }
            }
            let pass = world.pass(&wanted, None).await;
            prop_assert!(!pass.failed(), "{deeds:?}: {:#?}", pass.outcomes);
            let there = world.observe(&Default::default()).await;
            let alive = |id: &String| there.containers.iter().any(|c| c.id == *id);
            prop_assert!(foreign.iter().all(alive), "{deeds:?}: a foreign container is gone");
            // What can't be seen without its memory (a renamed container) is left alone and blocks nothing.
            let rest = world.plan(&wanted).await;
            prop_assert!(rest.works.is_empty(), "{deeds:?}: {:#?}", rest.works);
            Ok(())
        })?;
    }
}

async fn meddle(world: &World, deeds: &[Meddling]) -> Vec<String> {
    let names = ["alpha", "beta", "gamma", "delta"];
    let control = world.control();
    control.load_image("foreign:1", &Default::default()).unwrap();
    for deed in deeds {
        // Somebody may meddle with what somebody else already took away.
        let _ = match deed {
            Meddling::Kill(i) => control.kill(names[*i], 137),
            Meddling::Pause(i) => control.pause(names[*i]),
            Meddling::Remove(i) => control.remove(names[*i]),
            Meddling::Rename(i) => control.rename(names[*i], &format!("{}-moved", names[*i])),
            Meddling::Update(i) => control.update(names[*i], Some("no"), None, None),
            Meddling::Disconnect(i) => control.disconnect(names[*i], "hoist-f"),
            Meddling::Foreign(name) => {
                control.run_foreign(name, &serde_json::json!({"Image": "foreign:1"}))
            }
        };
    }
    let observation = world.observe(&Default::default()).await;
    let foreign = observation.containers.iter().filter(|c| c.image == "foreign:1");
    foreign.map(|c| c.id.clone()).collect()
}

/// A module goes only when what may be its successor has passed.
#[test]
fn nothing_is_removed_while_something_is_blocked() {
    block_on(async {
        let mut world = World::new();
        world.pass(&manifest(FIRST), None).await;
        let renamed = FIRST.replace("[modules.delta]", "[modules.successor]");
        let renamed = renamed.replace(
            "image = \"delta:1\"",
            "image = \"delta:1\"\nenv = { P = { secret = \"none\" } }",
        );
        let pass = world.pass(&manifest(&renamed), None).await;
        assert_eq!(pass.plan.blocked.len(), 1, "{:#?}", pass.plan.works);
        let held: Vec<&str> = pass.plan.held_back.iter().map(AsRef::as_ref).collect();
        assert_eq!(held, ["delta"]);
        assert!(world.containers().await.contains(&"delta running delta:1".to_owned()));
    });
}

/// A network that the store remembers and somebody removed is made again.
#[test]
fn a_network_that_is_gone_is_made_again() {
    block_on(async {
        let mut world = World::new();
        let first = manifest(FIRST);
        world.pass(&first, None).await;
        world.memory.networks =
            Some(vec!["hoist-f".to_owned(), "one".to_owned(), "two".to_owned()]);
        for name in ["alpha", "beta", "gamma", "delta"] {
            world.control().remove(name).unwrap();
        }
        let labels = |network: &str| {
            [("hoist.fleet", "f"), ("hoist.device", "d1"), ("hoist.network", network)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        for network in ["hoist-f", "one", "two"] {
            let step = Step::RemoveNetwork { name: network.to_owned(), labels: labels(network) };
            hoist::engine::Engine::execute(&world.engine, &step, &Default::default())
                .await
                .unwrap();
        }
        assert!(world.networks().await.is_empty());
        let pass = world.pass(&first, None).await;
        assert!(!pass.failed(), "{:#?}", pass.outcomes);
        assert!(world.plan(&first).await.works.is_empty());
    });
}

/// The policy of a module that should be stopped is `no`; once it should run, it is its own again, also when
/// somebody started it meanwhile.
#[test]
fn a_module_that_was_stopped_gets_its_policy_back() {
    block_on(async {
        let mut world = World::new();
        let stopped =
            FIRST.replace("image = \"alpha:1\"", "image = \"alpha:1\"\nstatus = \"stopped\"");
        world.pass(&manifest(&stopped), None).await;
        let start = Step::Start { container: ContainerRef::Name("alpha".to_owned()) };
        hoist::engine::Engine::execute(&world.engine, &start, &Default::default()).await.unwrap();
        let first = manifest(FIRST);
        assert!(!world.pass(&first, None).await.failed());
        let seen = world.observe(&Default::default()).await;
        let alpha = seen.containers.iter().find(|c| c.name == "alpha").unwrap();
        assert_eq!(alpha.detail.as_ref().unwrap().restart_policy, "always");
    });
}

/// A foreign container on a port is told before anything is stopped, however the port is written.
#[test]
fn a_foreign_port_blocks_before_anything_is_stopped() {
    block_on(async {
        let options = "[modules.web]\nimage = \"web:1\"\n[modules.web.create-options]\n\
                       HostConfig = { PortBindings = { \"80/tcp\" = [{ HostPort = \"7070\" }] } }\n";
        for module in ["[modules.web]\nimage = \"web:1\"\nports = [\"7070:80\"]\n", options] {
            let mut world = World::new();
            let plain = "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n";
            world.pass(&manifest(plain), None).await;
            let body = serde_json::json!({
                "Image": "foreign:1",
                "ExposedPorts": {"80/tcp": {}},
                "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "7070"}]}},
            });
            world.control().load_image("foreign:1", &Default::default()).unwrap();
            world.control().run_foreign("stranger", &body).unwrap();
            let plan = world.plan(&manifest(&format!("target = \"*\"\n{module}"))).await;
            assert_eq!(plan.blocked.len(), 1, "{module}");
            assert!(plan.works.iter().all(|work| work.steps.is_empty()), "{:#?}", plan.works);
        }
    });
}

/// What a module keeps in a volume that nobody named outlives its container.
#[test]
fn an_anonymous_volume_is_carried_over_to_the_next_container() {
    block_on(async {
        let text = "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n\
                    create-options = { Volumes = { \"/data\" = {} } }\n";
        let mut world = World::new();
        let mut volumes = Vec::new();
        for text in
            [text.to_owned(), text.replace("web:1", "web:2"), text.replace("web:1", "web:3")]
        {
            assert!(!world.pass(&manifest(&text), None).await.failed());
            let seen = world.observe(&Default::default()).await;
            let web = seen.containers.iter().find(|c| c.name == "web").unwrap();
            let of =
                |path: &str| web.mounts.iter().find(|m| m.target == path).unwrap().volume.clone();
            volumes.push((of("/data"), of("/run/hoist")));
        }
        assert!(volumes.iter().all(|(data, _)| *data == volumes[0].0), "{volumes:?}");
        assert_ne!(volumes[0].1, volumes[1].1, "the twin's volume is each container's own");
        assert_eq!(world.control().volumes().unwrap().len(), 2, "nothing is left behind");
    });
}

/// A module that makes room for another is not stopped for one whose image can't be had.
#[test]
fn nothing_makes_room_for_an_image_that_is_not_to_be_had() {
    block_on(async {
        let mut world = World::new();
        world.pass(&manifest(FIRST), None).await;
        world.control().set_missing("epsilon:1", true).unwrap();
        let delta = "delta running delta:1".to_owned();
        let stops = |world: &World| {
            let changes = world.control().changes();
            changes.iter().filter(|change| change.starts_with("stop")).count()
        };
        world.control().forget_calls();
        assert!(world.pass(&manifest(SECOND), None).await.failed());
        assert!(world.containers().await.contains(&delta));
        assert_eq!(stops(&world), 2, "alpha and beta: {:?}", world.control().changes());
    });
}

#[test]
fn what_could_not_be_taken_back_is_said_once() {
    let of =
        |image: &str| manifest(&format!("target = \"*\"\n[modules.web]\nimage = \"{image}\"\n"));
    block_on(async {
        let mut world = World::new();
        world.pass(&of("web:1"), None).await;
        let control = world.control();
        control.behave("web:2", Behaviour::BadCommand).unwrap();
        control.fault_next(CallKind::Step(StepKind::Remove), Fault::Unreachable);
        let pass = world.pass(&of("web:2"), None).await;
        let undone = pass.outcomes.values().find_map(|outcome| match outcome {
            Outcome::Failed { undo_failed, .. } => Some(undo_failed.clone()),
            _ => None,
        });
        let first = undone.unwrap().remove(0);
        insta::assert_snapshot!(first, @"could not remove web (as hoist-new-web): the engine is not reached (simulated engine of d1)");
    });
}

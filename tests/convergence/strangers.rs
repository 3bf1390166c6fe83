//! Labels can be copied: a container that somebody made with those of a module's container, and otherwise not like it, is
//! replaced as one of another image is, and is not taken for right because it was looked at once.

use crate::back::lines;
use crate::block_on;
use crate::world::{World, manifest};
use hoist::engine::simulated::{Behaviour, CallKind, Fault};
use hoist::engine::{Engine, EngineError, EngineErrorKind, SecretValues};
use hoist::model::{Hash, HashedManifest, SecretName};
use hoist::plan::{ContainerRef, Step, StepKind};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn wanted() -> Arc<HashedManifest> {
    with("app:1", "")
}

pub(crate) fn with(image: &str, more: &str) -> Arc<HashedManifest> {
    manifest(&format!(
        "target = \"*\"\n[modules.app]\nimage = \"{image}\"\nenv.A = \"1\"\ncommand = [\"run\"]\n\
         volumes = [\"data:/data\"]\nports = [\"8080:80\"]\n{more}"
    ))
}

pub(crate) const OTHER_VALUE: &dyn Fn(&mut Json) = &|body| body["Env"] = json!(["A=2"]);

/// Somebody makes the container of `app` anew, with one change.
async fn recreate(world: &World, change: &dyn Fn(&mut Json)) {
    recreate_as(world, &wanted(), change).await;
}

pub(crate) async fn recreate_as(
    world: &World,
    manifest: &Arc<HashedManifest>,
    change: &dyn Fn(&mut Json),
) {
    recreate_with(world, manifest, &BTreeMap::new(), change).await;
}

async fn recreate_with(
    world: &World,
    manifest: &Arc<HashedManifest>,
    secrets: &BTreeMap<String, SecretName>,
    change: &dyn Fn(&mut Json),
) {
    let mut fresh = World::new();
    fresh.secrets.clone_from(&world.secrets);
    let plan = fresh.plan(manifest).await;
    let steps = plan.works.iter().flat_map(|work| &work.steps);
    let body = steps.into_iter().find_map(|step| match step {
        Step::Create { body, .. } => Some(body.clone()),
        _ => None,
    });
    let mut body = body.unwrap();
    change(&mut body);
    if world.control().observed().unwrap().containers.iter().any(|c| c.name == "app") {
        world.control().remove("app").unwrap();
    }
    let name = "app".to_owned();
    let start = Step::Start { container: ContainerRef::Name(name.clone()) };
    let mut values = SecretValues::default();
    for secret in secrets.values() {
        values.insert(secret, Ok("value".to_owned()));
    }
    for step in [Step::Create { name, body, secrets: secrets.clone() }, start] {
        world.engine.execute(&step, &values).await.unwrap();
    }
}

#[test]
fn what_only_bears_the_labels_is_replaced() {
    block_on(async {
        let bindings = json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}]});
        type Change<'a> = (&'a str, &'a dyn Fn(&mut Json));
        let changes: [Change<'_>; 6] = [
            ("environment", OTHER_VALUE),
            ("command", &|body| body["Cmd"] = json!(["walk"])),
            ("volumes", &|body| body["HostConfig"]["Binds"] = json!([])),
            ("volumes", &|body| body["HostConfig"]["Binds"] = json!(["other:/data"])),
            ("volumes", &|body| body["Volumes"] = json!({})),
            ("ports", &|body| body["HostConfig"]["PortBindings"] = bindings.clone()),
        ];
        for (word, change) in changes {
            let mut world = World::new();
            world.pass(&wanted(), None).await;
            recreate(&world, change).await;
            let said = lines(&world.plan(&wanted()).await).join("\n");
            assert!(said.contains(&format!("bears its labels: other {word}")), "{said}");

            // While nothing can take its place it is said each time.
            world.control().drop_image("app:1").unwrap();
            world.control().set_missing("app:1", true).unwrap();
            for _ in 0..2 {
                assert!(world.pass(&wanted(), None).await.failed(), "{word}");
                assert!(world.containers().await[0].starts_with("app running"), "{word}");
                let said = lines(&world.plan(&wanted()).await).join("\n");
                assert!(said.contains("bears its labels"), "{said}");
                world.wait(3700);
            }
            world.control().set_missing("app:1", false).unwrap();
            // What takes its place fails, and it is put back.
            world.control().behave("app:1", Behaviour::Ends { code: 1, after: 100 }).unwrap();
            assert!(world.pass(&wanted(), None).await.failed(), "{word}");
            world.control().behave("app:1", Behaviour::Runs).unwrap();
            world.wait(3700);
            let pass = world.pass(&wanted(), None).await;
            assert!(!pass.failed(), "{word}: {:?}", lines(&pass.plan));
            let env = world.control().environment("app").unwrap();
            assert_eq!(env["A"], "1", "{word}");
            let plan = world.plan(&wanted()).await;
            assert!(plan.works.is_empty(), "{word}: {:?}", lines(&plan));
        }
    });
}

/// Values of secrets are not told, but that they are there is.
#[test]
fn what_lacks_a_secret_or_a_volume_of_its_options_is_replaced() {
    block_on(async {
        let mounts = "[{ Type = \"volume\", Source = \"m\", Target = \"/m\" }]";
        let wanted = with(
            "app:1",
            &format!(
                "env.P = {{ secret = \"pw\" }}\ncreate-options = {{ HostConfig = {{ Mounts = {mounts} }} }}"
            ),
        );
        let secrets: BTreeMap<String, SecretName> =
            [("P".to_owned(), SecretName::parse("pw").unwrap())].into();
        let no_mounts: &dyn Fn(&mut Json) = &|body| body["HostConfig"]["Mounts"] = json!([]);
        for (given, change, word) in [
            (&secrets, &(|_: &mut Json| {}) as &dyn Fn(&mut Json), None),
            (&BTreeMap::new(), &|_: &mut Json| {}, Some("environment")),
            (&secrets, no_mounts, Some("volumes")),
        ] {
            let mut world = World::new();
            world.secrets.insert(secrets["P"].clone(), Ok(Hash::of_texts("test", ["1"])));
            world.pass(&wanted, None).await;
            recreate_with(&world, &wanted, given, change).await;
            let said = lines(&world.plan(&wanted).await).join("\n");
            match word {
                None => assert!(!said.contains("bears its labels"), "{said}"),
                Some(word) => {
                    assert!(said.contains(&format!("bears its labels: other {word}")), "{said}");
                }
            }
        }
    });
}

/// What could not be compared, or was found to be another, is not remembered as if it had been alike.
#[test]
fn what_could_not_be_compared_yet_is_compared_later() {
    block_on(async {
        // The value of a secret is missing meanwhile.
        let secret = with("app:1", "env.P = { secret = \"pw\" }");
        let name = SecretName::parse("pw").unwrap();
        let value = || Ok(Hash::of_texts("test", ["1"]));
        let mut world = World::new();
        world.secrets.insert(name.clone(), value());
        world.pass(&secret, None).await;
        recreate_as(&world, &secret, OTHER_VALUE).await;
        world.secrets.insert(name.clone(), Err("it is not set".to_owned()));
        world.pass(&secret, None).await;
        world.secrets.insert(name, value());
        is_replaced(&mut world, &secret).await;

        // Something else was to take its place, and failed.
        let mut world = World::new();
        world.pass(&wanted(), None).await;
        recreate(&world, OTHER_VALUE).await;
        let next = with("app:2", "");
        world.control().behave("app:2", Behaviour::Ends { code: 1, after: 100 }).unwrap();
        for _ in 0..2 {
            world.pass(&next, None).await;
        }
        is_replaced(&mut world, &wanted()).await;
    });
}

/// It is no former version to go back to.
#[test]
fn it_is_not_kept_as_the_previous_one() {
    block_on(async {
        for image in ["app:1", "app:2"] {
            let mut world = World::new();
            world.control().load_image("app:2", &BTreeMap::new()).unwrap();
            world.pass(&wanted(), None).await;
            recreate(&world, &|body| {
                OTHER_VALUE(body);
                body["Image"] = image.into();
            })
            .await;
            is_replaced(&mut world, &wanted()).await;
            assert_eq!(world.containers().await, ["app running app:1"]);
        }
    });
}

/// By way of the previous container it comes back, and is compared then.
#[test]
fn one_that_was_kept_as_the_previous_one_is_compared_once_it_is_back() {
    block_on(async {
        let mut world = World::new();
        world.pass(&wanted(), None).await;
        recreate(&world, OTHER_VALUE).await;
        let next = with("app:2", "keep-previous = \"1h\"");
        assert!(!world.pass(&next, None).await.failed());
        // It is gone, and the previous one is all there is.
        world.control().remove("app").unwrap();
        is_replaced(&mut world, &with("app:1", "keep-previous = \"1h\"")).await;
    });
}

pub(crate) fn keeps(image: &str) -> Arc<HashedManifest> {
    with(image, "keep-previous = \"1h\"")
}

/// `app:2` works, and `app:1` is kept.
pub(crate) async fn with_a_previous_one() -> World {
    let mut world = World::new();
    world.pass(&keeps("app:1"), None).await;
    world.pass(&keeps("app:2"), None).await;
    world
}

/// The former version stays the way back: nothing newer takes its place.
#[test]
fn the_previous_one_stays_where_a_stranger_goes() {
    block_on(async {
        let mut world = with_a_previous_one().await;
        let before = world.containers().await;
        recreate_as(&world, &keeps("app:2"), OTHER_VALUE).await;
        let pass = world.pass(&keeps("app:2"), None).await;
        assert!(!pass.failed());
        assert_eq!(world.containers().await, before, "{:?}", lines(&pass.plan));
        assert_eq!(world.control().environment("app").unwrap()["A"], "1");
    });
}

/// What is to take its place fails: it runs on, and nothing goes back to a former version.
#[test]
fn it_runs_on_where_its_replacement_fails() {
    block_on(async {
        let mut world = with_a_previous_one().await;
        recreate_as(&world, &keeps("app:2"), OTHER_VALUE).await;
        let before = world.containers().await;
        let refusal = EngineError::new(EngineErrorKind::Refused, "no");
        world.control().fault_next(CallKind::Step(StepKind::Start), Fault::Fail(refusal));
        assert!(world.pass(&keeps("app:2"), None).await.failed());
        for _ in 0..2 {
            assert_eq!(world.containers().await, before);
            world.pass(&keeps("app:2"), None).await;
        }
        world.wait(600);
        is_replaced(&mut world, &keeps("app:2")).await;
    });
}

/// What works is known by its id also after a change of it has failed: a name that somebody takes from it is given back.
#[test]
fn what_works_is_known_after_a_change_that_failed() {
    block_on(async {
        let mut world = World::new();
        world.pass(&wanted(), None).await;
        world.control().behave("app:2", Behaviour::Ends { code: 1, after: 100 }).unwrap();
        for _ in 0..3 {
            world.pass(&with("app:2", ""), None).await;
        }
        world.control().rename("app", "elsewhere").unwrap();
        assert!(!world.pass(&with("app:3", ""), None).await.failed());
        assert_eq!(world.containers().await, ["app running app:3"]);
    });
}

pub(crate) async fn is_replaced(world: &mut World, manifest: &Arc<HashedManifest>) {
    let pass = world.pass(manifest, None).await;
    assert!(!pass.failed(), "{:?}", lines(&pass.plan));
    assert_eq!(world.control().environment("app").unwrap()["A"], "1", "{:?}", lines(&pass.plan));
    let plan = world.plan(manifest).await;
    assert!(plan.works.is_empty(), "{:?}", lines(&plan));
}

/// Another control host, or one that lost its store, makes the same: that is as good.
#[test]
fn what_was_made_alike_stays() {
    block_on(async {
        let mut world = World::new();
        world.pass(&wanted(), None).await;
        let more: &dyn Fn(&mut Json) = &|body| {
            body["Env"].as_array_mut().unwrap().push("PATH=/of/the/image".into());
        };
        for change in [&|_: &mut Json| {}, more] {
            recreate(&world, change).await;
            let plan = world.plan(&wanted()).await;
            let said = lines(&plan).join("\n");
            assert!(!said.contains("replace"), "{said}");
        }
    });
}

/// It says nothing of the version whose labels it bears.
#[test]
fn a_stranger_that_crash_loops_is_no_reason_to_go_back() {
    block_on(async {
        let mut world = with_a_previous_one().await;
        let before = world.containers().await;
        let ends = Behaviour::Ends { code: 1, after: 100 };
        world.control().behave("app:2", ends.clone()).unwrap();
        recreate_as(&world, &keeps("app:2"), OTHER_VALUE).await;
        world.wait(60);
        world.control().behave("app:2", Behaviour::Runs).unwrap();
        let pass = world.pass(&keeps("app:2"), None).await;
        assert!(!pass.failed(), "{:?}", lines(&pass.plan));
        assert_eq!(world.containers().await, before, "{:?}", lines(&pass.plan));
        assert_eq!(world.control().environment("app").unwrap()["A"], "1");

        // The version itself fails too: what works is the former one.
        world.control().behave("app:2", ends).unwrap();
        recreate_as(&world, &keeps("app:2"), OTHER_VALUE).await;
        world.wait(60);
        for _ in 0..2 {
            world.pass(&keeps("app:2"), None).await;
        }
        assert_eq!(world.containers().await, ["app running app:1"]);
    });
}

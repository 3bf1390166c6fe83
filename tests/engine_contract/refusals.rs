//! What an engine will not do, and with which class of error it is told.

use crate::bench::{Bench, Does, body, named, policy, remove, rename, start, stop, wait};
use hoist::engine::{EngineErrorKind, SecretValues};
use hoist::model::{ContainerState, ImageReference, SecretName, label};
use hoist::plan::{Step, StepOutput};
use serde_json::{Value as Json, json};

fn create(name: &str, body: Json) -> Step {
    Step::Create { name: name.to_owned(), body, secrets: [].into() }
}

pub(crate) async fn bad_bodies_are_refused(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let with = |key: &str, value: Json| {
        let mut bad = body("test/runs:1");
        bad["HostConfig"][key] = value;
        bad
    };
    for bad in [
        create("cam", with("Memory", json!(1000))),
        create("cam", with("Memory", json!("much"))),
        create("cam", with("NanoCpus", json!(999_000_000_000_u64))),
        create("cam", with("PortBindings", json!({ "80/tcp": [{ "HostPort": "99999" }] }))),
        create("x", body("test/runs:1")),
        create("a b", body("test/runs:1")),
    ] {
        let error = bench.fails(bad).await;
        assert_eq!(error.kind, EngineErrorKind::Refused, "{error}");
        assert!(error.message.starts_with("could not create "), "{error}");
    }
    assert_eq!(bench.list().await.containers, []);
    // Keys that no engine knows are passed over, and case does not matter.
    let mut odd = body("test/runs:1");
    odd["Nonsense"] = json!({ "a": 1 });
    odd["hostconfig"] = json!({ "memory": 64 << 20, "networkmode": "none" });
    odd.as_object_mut().unwrap().remove("HostConfig");
    bench.create("cam", odd).await;
    assert_eq!(bench.detail("cam").await.memory, 64 << 20);
}

pub(crate) async fn names_are_unique(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let id = bench.create("cam", body("test/runs:1")).await;
    let error = bench.fails(create("cam", body("test/runs:1"))).await;
    assert_eq!(error.kind, EngineErrorKind::Conflict);
    assert!(error.message.contains("already in use"), "{error}");
    assert!(error.message.contains(&id[..12]) && !error.message.contains(&id), "{error}");
    bench.create("CAM", body("test/runs:1")).await;
    assert_eq!(bench.list().await.containers.len(), 2);
}

pub(crate) async fn a_create_that_is_made_again_finds_its_own_work(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let mut ours = body("test/runs:1");
    ours["Labels"] = json!({ label::SPEC: "v1:a", label::MODULE: "cam" });
    let id = bench.create("cam", ours.clone()).await;
    assert_eq!(bench.create("cam", ours.clone()).await, id);
    // Another specification, or a container that was used: somebody else's name.
    let mut other = ours.clone();
    other["Labels"][label::SPEC] = json!("v1:b");
    assert_eq!(bench.fails(create("cam", other)).await.kind, EngineErrorKind::Conflict);
    bench.run(start("cam")).await;
    assert_eq!(bench.fails(create("cam", ours)).await.kind, EngineErrorKind::Conflict);
}

pub(crate) async fn an_image_that_is_not_there(bench: &dyn Bench) {
    let error = bench.fails(create("cam", body("test/none:1"))).await;
    assert_eq!(error.kind, EngineErrorKind::NoImage);
    assert_eq!(error.message, "could not create cam: No such image: test/none:1");
}

pub(crate) async fn ports_conflict_only_at_start(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench
        .run(Step::CreateNetwork {
            name: "test-ports".to_owned(),
            subnet: None,
            labels: [("t".to_owned(), "ports".to_owned())].into(),
        })
        .await;
    let with_port = || {
        let mut with_port = body("test/runs:1");
        with_port["ExposedPorts"] = json!({ "80/tcp": {} });
        with_port["HostConfig"] = json!({
            "NetworkMode": "test-ports",
            "PortBindings": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "18931" }] },
        });
        with_port
    };
    bench.up("one", with_port()).await;
    let seen = bench.see("one").await;
    assert_eq!(seen.ports.len(), 1);
    assert_eq!(
        (seen.ports[0].ip.as_str(), seen.ports[0].host, seen.ports[0].protocol.as_str()),
        ("127.0.0.1", 18931, "tcp")
    );
    bench.create("two", with_port()).await;
    let error = bench.fails(start("two")).await;
    assert_eq!(error.kind, EngineErrorKind::Conflict);
    assert!(error.message.contains("port is already allocated"), "{error}");
    let seen = bench.see("two").await;
    assert_eq!((seen.state, seen.ports.len()), (ContainerState::Created, 0));
    bench.run(stop("one")).await;
    bench.run(start("two")).await;
    assert_eq!(bench.fails(start("one")).await.kind, EngineErrorKind::Conflict);
    assert!(matches!(bench.see("one").await.state, ContainerState::Exited(_)));
}

pub(crate) async fn nothing_is_found_where_nothing_is(bench: &dyn Bench) {
    for step in [
        start("nobody"),
        stop("nobody"),
        policy("nobody", "no"),
        rename("nobody", "somebody"),
        wait("nobody", 100, 300),
        Step::Unpause { container: named("nobody") },
        Step::Restart { container: named("nobody"), timeout: hoist::model::Duration::seconds(1) },
        Step::WriteFiles { container: named("nobody"), entries: vec![] },
    ] {
        let words = step.to_string();
        let error = bench.fails(step).await;
        assert_eq!(error.kind, EngineErrorKind::NotFound, "{words}: {error}");
    }
    assert_eq!(bench.run(remove("nobody")).await, StepOutput::Done);
    assert_eq!(bench.engine().read_file("nobody", "/run/hoist/x", 100).await, Ok(None));
}

pub(crate) async fn secrets_are_put_in_and_never_told(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let step = |body| Step::Create {
        name: "cam".to_owned(),
        body,
        secrets: [("TOKEN".to_owned(), SecretName::parse("api").unwrap())].into(),
    };
    let error = bench.fails(step(body("test/runs:1"))).await;
    assert_eq!(error.kind, EngineErrorKind::Refused);
    assert!(error.message.contains("the secret `api`"), "{error}");
    let mut secrets = SecretValues::default();
    secrets.insert(&SecretName::parse("api").unwrap(), Ok("s3cr3t".to_owned()));
    let mut bad = body("test/runs:1");
    bad["HostConfig"]["Memory"] = json!("s3cr3t");
    let error = bench.engine().execute(&step(bad), &secrets).await.unwrap_err();
    assert!(!format!("{error:?}{secrets:?}").contains("s3cr3t"), "{error}");
    bench.engine().execute(&step(body("test/runs:1")), &secrets).await.unwrap();
    bench.see("cam").await;
}

pub(crate) async fn pulls_that_fail(bench: &dyn Bench) {
    let missing = ImageReference::parse(&bench.missing_image()).unwrap();
    let pull = |image: &ImageReference, if_present_is_enough| Step::Pull {
        image: image.clone(),
        credentials: None,
        if_present_is_enough,
    };
    for enough in [false, true] {
        let error = bench.fails(pull(&missing, enough)).await;
        assert_eq!(error.kind, EngineErrorKind::NoImage, "{error}");
        assert!(error.message.starts_with("could not pull "), "{error}");
    }
    let there = ImageReference::parse("127.0.0.1:1/there:1").unwrap();
    bench.image(there.as_str(), Does::Runs, &[]);
    bench.unpublish(there.as_str());
    assert_eq!(bench.fails(pull(&there, false)).await.kind, EngineErrorKind::NoImage);
    match bench.run(pull(&there, true)).await {
        StepOutput::DoneWithWarning(words) => {
            assert!(words.ends_with("; the image that is there is used"), "{words}");
        }
        other => panic!("{other:?}"),
    }
    let unnamed = Step::Pull {
        image: missing,
        credentials: Some(SecretName::parse("puller").unwrap()),
        if_present_is_enough: false,
    };
    let error = bench.fails(unnamed).await;
    assert_eq!(error.kind, EngineErrorKind::NoImage);
    assert!(error.message.contains("`puller`"), "{error}");
}

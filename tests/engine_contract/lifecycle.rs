//! Containers from create to remove, and what happens to them between.

use crate::bench::{
    Bench, Does, body, check, named, policy, remove, rename, start, stop, wait, wait_for_end,
};
use hoist::engine::EngineErrorKind;
use hoist::model::{
    ContainerState, Duration, Health, MadeWith, ObservedMount, TwinFile, mounts_of_body, real_path,
};
use hoist::plan::{ContainerRef, Step, StepOutput};
use serde_json::{Value as Json, json};

pub(crate) async fn a_container_from_create_to_remove(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let facts = bench.engine().facts().await.unwrap();
    assert!(!facts.id.is_empty() && !facts.name.is_empty() && !facts.version.is_empty());
    assert!(facts.cpus > 0 && facts.memory > 0 && !facts.architecture.is_empty());
    assert_eq!(bench.list().await.containers, []);

    let id = bench.create("cam", body("test/runs:1")).await;
    let seen = bench.see("cam").await;
    assert_eq!((seen.id.as_str(), seen.id.len()), (id.as_str(), 64));
    assert_eq!(seen.state, ContainerState::Created);
    assert_eq!(seen.image, "test/runs:1");
    assert!(seen.image_id.starts_with("sha256:"));
    assert_eq!(seen.labels["hoist.module"], "m");
    assert_eq!((seen.network_mode.as_str(), seen.health), ("none", Health::None));
    assert!(seen.detail.is_none());

    bench.run(start("cam")).await;
    bench.run(wait("cam", 100, 5000)).await;
    assert_eq!(bench.see("cam").await.state, ContainerState::Running);
    let detail = bench.detail("cam").await;
    assert_eq!(detail.image, "test/runs:1");
    assert_eq!((detail.restart_policy.as_str(), detail.restart_count), ("no", 0));
    assert_eq!((detail.memory, detail.nano_cpus, detail.twin), (0, 0, TwinFile::Foreign));
    assert!(detail.started_at.starts_with("20"), "{}", detail.started_at);

    bench.run(stop("cam")).await;
    assert!(matches!(bench.see("cam").await.state, ContainerState::Exited(_)));
    bench.run(Step::Remove { container: ContainerRef::Id(id) }).await;
    assert_eq!(bench.list().await.containers, []);
}

/// Copied labels make no container that its module made: what it was made with comes back as it was said.
pub(crate) async fn what_a_container_was_made_with_is_told(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let mut body = body("test/runs:1");
    body["Env"] = json!(["A=1", "B=two = 2\n"]);
    body["Entrypoint"] = json!(["/bin/sh", "-c"]);
    body["Cmd"] = json!(["exec sleep 1000"]);
    body["Volumes"] = json!({"/run/hoist": {}});
    body["ExposedPorts"] = json!({"80/tcp": {}});
    let bindings = json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}]});
    body["HostConfig"]["PortBindings"] = bindings;
    body["HostConfig"]["Binds"] = json!(["made-with:/data/", "/tmp:/host:ro"]);
    let more = json!([{"Type": "volume", "Source": "made-with-too", "Target": "/more/"}]);
    body["HostConfig"]["Mounts"] = more;
    bench.create("cam", body.clone()).await;
    let made = |body: &Json| MadeWith::of_body(body);
    let seen = bench.detail("cam").await.made_with.expect("this engine says it");
    assert_eq!(made(&body).is_lacking_in(&seen), None);
    let mounts = bench.see("cam").await.mounts;
    for (path, volume) in mounts_of_body(&body) {
        let is_there = |m: &ObservedMount| {
            real_path(&m.target) == path && (volume.is_empty() || m.volume == volume)
        };
        assert!(mounts.iter().any(is_there), "{path:?} {volume}: {mounts:?}");
    }
    for (key, other, word) in [
        ("Env", json!(["A=2"]), "environment"),
        ("Cmd", json!(["exec sleep 1001"]), "command"),
        ("Entrypoint", json!(["/bin/sh"]), "entrypoint"),
    ] {
        let mut another = body.clone();
        another[key] = other;
        assert_eq!(made(&another).is_lacking_in(&seen), Some(word));
    }
    let mut another = body.clone();
    another["HostConfig"]["PortBindings"]["80/tcp"][0]["HostIp"] = "127.0.0.2".into();
    assert_eq!(made(&another).is_lacking_in(&seen), Some("ports"));
    bench.run(remove("cam")).await;
}

pub(crate) async fn steps_may_be_repeated(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.create("cam", body("test/runs:1")).await;
    for _ in 0..2 {
        assert_eq!(bench.run(stop("cam")).await, StepOutput::Done);
    }
    for _ in 0..2 {
        assert_eq!(bench.run(start("cam")).await, StepOutput::Done);
    }
    for _ in 0..2 {
        assert_eq!(bench.run(stop("cam")).await, StepOutput::Done);
    }
    for _ in 0..2 {
        assert_eq!(bench.run(remove("cam")).await, StepOutput::Done);
    }
}

pub(crate) async fn a_module_that_ends_fails_the_wait(bench: &dyn Bench) {
    bench.image("test/ends:3", Does::Ends(3, 200), &[]);
    bench.up("cam", body("test/ends:3")).await;
    let error = bench.fails(wait("cam", 2000, 9000)).await;
    assert_eq!(error.kind, EngineErrorKind::ModuleFailed);
    assert!(error.message.starts_with("cam ended with code 3"), "{error}");
    assert_eq!(bench.see("cam").await.state, ContainerState::Exited(3));
    let detail = bench.detail("cam").await;
    assert!(detail.finished_at.starts_with("20"), "{}", detail.finished_at);

    bench.create("neu", body("test/ends:3")).await;
    let error = bench.fails(wait("neu", 100, 9000)).await;
    assert_eq!(error.kind, EngineErrorKind::ModuleFailed);
    assert!(error.message.starts_with("neu was never started"), "{error}");
}

pub(crate) async fn a_module_that_may_end_must_end_well(bench: &dyn Bench) {
    bench.image("test/ends:0", Does::Ends(0, 200), &[]);
    bench.image("test/ends:3", Does::Ends(3, 200), &[]);
    bench.up("once", body("test/ends:0")).await;
    bench.run(wait_for_end("once")).await;
    bench.up("badly", body("test/ends:3")).await;
    let error = bench.fails(wait_for_end("badly")).await;
    assert_eq!(error.kind, EngineErrorKind::ModuleFailed);
}

pub(crate) async fn a_crash_loop_fails_the_wait_and_ends_with_its_policy(bench: &dyn Bench) {
    bench.image("test/ends:5", Does::Ends(5, 100), &[]);
    let mut with_policy = body("test/ends:5");
    with_policy["HostConfig"]["RestartPolicy"] = json!({ "Name": "always" });
    bench.up("cam", with_policy).await;
    let error = bench.fails(wait("cam", 5000, 9000)).await;
    assert_eq!(error.kind, EngineErrorKind::ModuleFailed);
    bench.run(policy("cam", "no")).await;
    bench.run(stop("cam")).await;
    bench.run(rename("cam", "hoist-old-cam")).await;
    let seen = bench.see("hoist-old-cam").await;
    assert_eq!(seen.state, ContainerState::Exited(5));
    assert_eq!(bench.detail("hoist-old-cam").await.restart_policy, "no");
}

pub(crate) async fn a_bad_command_fails_the_start(bench: &dyn Bench) {
    bench.image("test/bad:1", Does::BadCommand, &[]);
    bench.create("cam", body("test/bad:1")).await;
    let error = bench.fails(start("cam")).await;
    assert_eq!(error.kind, EngineErrorKind::Refused);
    assert!(error.message.contains("no such file or directory"), "{error}");
    assert!(error.message.starts_with("could not start cam: "), "{error}");
    assert_eq!(bench.see("cam").await.state, ContainerState::Created);
    assert!(bench.detail("cam").await.error.contains("no such file"));
    let error = bench.fails(wait("cam", 100, 9000)).await;
    assert!(error.message.starts_with("cam did not start: "), "{error}");
}

pub(crate) async fn health_decides_where_there_is_a_check(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.image("test/sick:1", Does::Unhealthy, &[]);
    let with_check = |image| {
        let mut with_check = body(image);
        with_check["Healthcheck"] = check();
        with_check
    };
    bench.up("well", with_check("test/runs:1")).await;
    assert_eq!(bench.see("well").await.health, Health::Starting);
    // Healthy ends the wait, however long it should run steadily.
    bench.run(wait("well", 600_000, 20_000)).await;
    assert_eq!(bench.see("well").await.health, Health::Healthy);

    bench.up("sick", with_check("test/sick:1")).await;
    let error = bench.fails(wait("sick", 100, 20_000)).await;
    assert_eq!(error.kind, EngineErrorKind::ModuleFailed);
    assert!(error.message.starts_with("sick is unhealthy"), "{error}");
    let seen = bench.see("sick").await;
    assert_eq!((seen.health, seen.state), (Health::Unhealthy, ContainerState::Running));

    bench.run(stop("well")).await;
    assert_eq!(bench.see("well").await.health, Health::None);
}

pub(crate) async fn a_wait_has_a_deadline(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.up("cam", body("test/runs:1")).await;
    let error = bench.fails(wait("cam", 60_000, 300)).await;
    assert_eq!(error.kind, EngineErrorKind::TimedOut);
    assert!(error.message.starts_with("cam did not come up within 300ms"), "{error}");
}

pub(crate) async fn paused_by_somebody(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.up("cam", body("test/runs:1")).await;
    let unpause = || Step::Unpause { container: named("cam") };
    bench.run(unpause()).await;
    bench.pause("cam");
    assert_eq!(bench.see("cam").await.state, ContainerState::Paused);
    assert_eq!(bench.fails(start("cam")).await.kind, EngineErrorKind::Refused);
    bench.run(rename("cam", "cold")).await;
    bench.run(rename("cold", "cam")).await;
    bench.run(unpause()).await;
    assert_eq!(bench.see("cam").await.state, ContainerState::Running);
    bench.pause("cam");
    bench.run(stop("cam")).await;
    assert!(matches!(bench.see("cam").await.state, ContainerState::Exited(_)));
    bench.run(unpause()).await;
}

pub(crate) async fn killed_by_somebody(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.up("cam", body("test/runs:1")).await;
    bench.kill("cam");
    assert_eq!(bench.see("cam").await.state, ContainerState::Exited(137));
    bench.run(start("cam")).await;
    assert_eq!(bench.see("cam").await.state, ContainerState::Running);
}

pub(crate) async fn rename_running_repeated_and_taken(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let id = bench.up("hoist-new-cam", body("test/runs:1")).await;
    let by_id = || Step::Rename { container: ContainerRef::Id(id.clone()), name: "cam".to_owned() };
    bench.run(by_id()).await;
    bench.run(by_id()).await;
    bench.run(rename("cam", "cam")).await;
    assert_eq!(bench.see("cam").await.id, id);
    bench.create("other", body("test/runs:1")).await;
    let error = bench.fails(rename("other", "cam")).await;
    assert_eq!(error.kind, EngineErrorKind::Conflict);
    assert!(!error.message.contains(&id), "{error}");
    assert_eq!(bench.fails(rename("other", "x")).await.kind, EngineErrorKind::Refused);
    assert_eq!(bench.see("other").await.state, ContainerState::Created);
}

/// Between two starts an engine can't rename it; what is the matter is that it ends.
pub(crate) async fn what_ends_again_and_again_is_told_so_where_it_is_renamed(bench: &dyn Bench) {
    bench.image("test/ends:5", Does::Ends(5, 100), &[]);
    let mut with_policy = body("test/ends:5");
    with_policy["HostConfig"]["RestartPolicy"] = json!({ "Name": "always" });
    bench.up("hoist-new-cam", with_policy).await;
    bench.fails(wait("hoist-new-cam", 5000, 9000)).await;
    // Its pauses grow: soon it is between two starts, and stays so for a while.
    let error = loop {
        if bench.see("hoist-new-cam").await.state != ContainerState::Restarting {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        }
        match bench.try_run(rename("hoist-new-cam", "cam")).await {
            Err(error) => break error,
            Ok(_) => bench.run(rename("cam", "hoist-new-cam")).await,
        };
    };
    assert_eq!(error.kind, EngineErrorKind::ModuleFailed, "{error}");
    assert_eq!(error.message, "cam ends again and again, last with code 5");
    assert_eq!(bench.see("hoist-new-cam").await.name, "hoist-new-cam");
}

pub(crate) async fn an_engine_that_hangs_gives_no_sign_of_life(bench: &dyn Bench) {
    bench.engine().answers().await.expect("a sign of life");
    bench.hang();
    let asked = bench.engine().answers();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(15), asked).await;
    bench.go_on();
    let error = answer.expect("an end within its limit").expect_err("it hangs");
    assert_eq!(error.kind, EngineErrorKind::TimedOut, "{error}");
    bench.engine().answers().await.expect("a sign of life");
}

pub(crate) async fn limits_and_policy_in_place(bench: &dyn Bench) {
    const MIB: u64 = 1 << 20;
    bench.image("test/runs:1", Does::Runs, &[]);
    bench.up("cam", body("test/runs:1")).await;
    let update = |policy: Option<&str>, memory, nano_cpus| Step::Update {
        container: named("cam"),
        restart_policy: policy.map(str::to_owned),
        memory,
        nano_cpus,
    };
    bench.run(update(Some("always"), Some(64 * MIB), Some(500_000_000))).await;
    // Beyond the swap limit that the first one set.
    bench.run(update(None, Some(512 * MIB), None)).await;
    let detail = bench.detail("cam").await;
    assert_eq!(detail.restart_policy, "always");
    assert_eq!((detail.memory, detail.memory_swap), (512 * MIB, 1024 * 1024 * 1024));
    assert_eq!(detail.nano_cpus, 500_000_000);
    bench.run(update(None, Some(0), Some(0))).await;
    assert_eq!(bench.detail("cam").await.memory, 512 * MIB);
    for bad in [
        update(Some("sometimes"), None, None),
        update(None, Some(1000), None),
        update(None, None, Some(999_000_000_000)),
    ] {
        assert_eq!(bench.fails(bad).await.kind, EngineErrorKind::Refused);
    }
    assert_eq!(bench.see("cam").await.state, ContainerState::Running);
}

pub(crate) async fn a_restart_keeps_the_container(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let id = bench.up("cam", body("test/runs:1")).await;
    let before = bench.detail("cam").await.started_at;
    let timeout = Duration { millis: 500 };
    bench.run(Step::Restart { container: named("cam"), timeout }).await;
    let seen = bench.see("cam").await;
    assert_eq!((seen.id, seen.state), (id, ContainerState::Running));
    let detail = bench.detail("cam").await;
    assert_ne!(detail.started_at, before);
    assert_eq!(detail.restart_count, 0);
}

pub(crate) async fn a_stop_with_policy_no_stays_down(bench: &dyn Bench) {
    bench.image("test/runs:1", Does::Runs, &[]);
    let mut with_policy = body("test/runs:1");
    with_policy["HostConfig"]["RestartPolicy"] = json!({ "Name": "always" });
    bench.up("cam", with_policy).await;
    bench.run(policy("cam", "no")).await;
    bench.run(stop("cam")).await;
    bench.run(policy("cam", "always")).await;
    assert!(matches!(bench.see("cam").await.state, ContainerState::Exited(_)));
    bench.run(start("cam")).await;
    bench.run(wait("cam", 100, 5000)).await;
}

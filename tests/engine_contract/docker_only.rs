//! What only a connection can show: versions, broken connections, limits, one list call, latency.

use crate::runtime;
use crate::testbed::proxy::{Proxy, Request, Trap, When};
use crate::testbed::{Dockerd, dockerds};
use hoist::engine::docker::Docker;
use hoist::engine::{Engine, EngineErrorKind, SecretValues, Wanted};
use hoist::model::{ContainerState, EngineAddress, ObservedContainer};
use hoist::plan::{ContainerRef, Step};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use tokio::time::Instant;

fn connect(address: &str) -> Docker {
    Docker::connect(&EngineAddress::parse(address).unwrap()).unwrap()
}

/// An engine that says one thing to everybody.
fn parrot(answer: &'static [u8]) -> (tempfile::TempDir, Docker) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer);
                if answer.ends_with(b"!") {
                    // It never ends.
                    while stream.write_all(&[b' '; 65536]).is_ok() {}
                }
            });
        }
    });
    let docker = connect(&format!("unix://{}", socket.display()));
    (dir, docker)
}

#[test]
fn engines_that_talk_nonsense_are_told_in_words() {
    let runtime = runtime();
    for (answer, words) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "the answer is no HTTP"),
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{[", "is not as expected"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"ApiVersion\":\"1.24\"}\n",
            "Docker 20.10",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "302",
        ),
        (
            b"HTTP/1.1 400 B\r\nContent-Length: 26\r\n\r\n{\"message\":\"an HTTPS one\"}",
            "an HTTPS one",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n!", "larger than any should be"),
    ] {
        let (_dir, docker) = parrot(answer);
        let error = runtime.block_on(docker.observe(&Wanted::list_only())).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Unreachable, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
    let nobody = connect("unix:///nonexistent/engine.sock");
    let error = runtime.block_on(nobody.observe(&Wanted::list_only())).unwrap_err();
    insta::assert_snapshot!(
        error,
        @"could not ask unix:///nonexistent/engine.sock for its version: the engine is not reached: there is no such socket"
    );
    let start = Step::Start { container: ContainerRef::Name("web".to_owned()) };
    let error = runtime.block_on(nobody.execute(&start, &SecretValues::default())).unwrap_err();
    insta::assert_snapshot!(
        error,
        @"could not start web: could not ask unix:///nonexistent/engine.sock for its version: the engine is not reached: there is no such socket"
    );
}

#[test]
fn the_connection_to_a_real_engine() {
    let Some(engines) = dockerds(1) else { return };
    let engine = &engines[0];
    runtime().block_on(async {
        one_list_call(engine).await;
        broken_connections(engine).await;
        a_name_that_is_being_freed(engine).await;
        latency(engine).await;
    });
}

async fn one_list_call(engine: &Dockerd) {
    let proxy = Proxy::before(&engine.socket());
    let docker = connect(&proxy.address());
    for _ in 0..3 {
        docker.observe(&Wanted::list_only()).await.unwrap();
    }
    let paths: Vec<String> = proxy.log().into_iter().map(|request| request.path).collect();
    let list = "/v1.41/containers/json?all=1";
    assert_eq!(paths, ["/_ping", list, list, list]);
    assert_eq!(docker.facts().await.unwrap().api_version, "1.41");
}

/// A kept connection that broke is replaced where the request can do no harm, and told where it could.
async fn broken_connections(engine: &Dockerd) {
    let proxy = Proxy::before(&engine.socket());
    let docker = connect(&proxy.address());
    docker.observe(&Wanted::list_only()).await.unwrap();
    let cut = |when| Trap { nth: 1, matches: Request::is_list, when, kill: None };
    for when in [When::Before, When::After] {
        // The version is agreed on anew after a break; then the connection needs a moment to be kept, so that
        // the list is the first request on a kept one. A new one that breaks is an error.
        docker.observe(&Wanted::list_only()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        proxy.set_trap(cut(when));
        docker.observe(&Wanted::list_only()).await.unwrap();
    }
    engine.load_image("test/proxy:1", &[], &["/bin/sleep", "100"]);
    let create = Step::Create {
        name: "proxied".to_owned(),
        body: serde_json::json!({ "Image": "test/proxy:1" }),
        secrets: [].into(),
    };
    proxy.set_trap(Trap { nth: 1, matches: Request::is_change, when: When::After, kill: None });
    let error = docker.execute(&create, &SecretValues::default()).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Unreachable, "{error}");
    // It was done nevertheless, once, and doing it again says so.
    proxy.forget();
    let error = docker.execute(&create, &SecretValues::default()).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Conflict, "{error}");
    assert_eq!(proxy.log().iter().filter(|request| request.is_change()).count(), 1);
}

/// `docker rm -f` tells that a container died before its name is free.
async fn a_name_that_is_being_freed(engine: &Dockerd) {
    engine.load_image("test/freed:1", &[], &["/bin/sleep", "100"]);
    let docker = connect(&engine.address());
    let secrets = SecretValues::default();
    let container = ContainerRef::Name("freed".to_owned());
    let body =
        serde_json::json!({ "Image": "test/freed:1", "HostConfig": { "NetworkMode": "none" } });
    let create = Step::Create { name: "freed".to_owned(), body, secrets: [].into() };
    let (start, remove) =
        (Step::Start { container: container.clone() }, Step::Remove { container });
    docker.execute(&create, &secrets).await.unwrap();
    for _ in 0..8 {
        docker.execute(&start, &secrets).await.unwrap();
        let once_it_ended = async {
            loop {
                let seen = docker.observe(&Wanted::list_only()).await.unwrap();
                let runs =
                    |c: &ObservedContainer| c.name == "freed" && c.state == ContainerState::Running;
                if !seen.containers.iter().any(runs) {
                    return docker.execute(&create, &secrets).await;
                }
            }
        };
        let (removed, made) = tokio::join!(docker.execute(&remove, &secrets), once_it_ended);
        removed.unwrap();
        made.unwrap();
    }
    docker.execute(&remove, &secrets).await.unwrap();
}

async fn latency(engine: &Dockerd) {
    const TIMES: u32 = 300;
    let docker = connect(&engine.address());
    docker.observe(&Wanted::list_only()).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        docker.observe(&Wanted::list_only()).await.unwrap();
        all.push(begun.elapsed());
    }
    all.sort();
    let at = |percent: usize| all[all.len() * percent / 100];
    println!("list of one container: p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
    assert!(at(50).as_millis() < 40, "connections are not kept: {:?}", at(50));
    let begun = Instant::now();
    docker.facts().await.unwrap();
    println!("facts: {:?}", begun.elapsed());
}

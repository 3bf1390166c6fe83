//! ssh: a private sshd with keys of its own, before a private dockerd.

use crate::control::ControlHost;
use crate::testbed::dockerds;
use crate::testbed::programs::{free_port, skip_without};
use crate::testbed::relay::Relay;
use crate::testbed::sshd::{self, Socket, Sshd};
use crate::{connect, list, median, refusal, runtime};
use futures_util::StreamExt as _;
use hoist::engine::docker::{Access, Docker};
use hoist::engine::{Cause, Engine, EventKind, LogsWanted, SecretValues};
use hoist::plan::{ContainerRef, Step};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

fn through(port: u16, config: PathBuf) -> Docker {
    let access = Access { tls: None, ssh_config: Some(config) };
    connect(&format!("ssh://root@127.0.0.1:{port}"), access)
}

#[test]
fn one_login_a_device() {
    if skip_without(sshd::missing()).is_none() {
        return;
    }
    let Some(engines) = dockerds(1) else { return };
    let engine = &engines[0];
    engine.load_image("test/speaks:1", &[], &["sh", "-c", "echo hello; exec sleep 100000"]);
    let sshd = Sshd::start(Socket::Of(&engine.socket()), "");
    let relay = Relay::before(sshd.port);
    let settings = sshd.settings("good", "client", Some("host"), relay.port);
    runtime().block_on(async {
        let docker = through(relay.port, settings.clone());
        let all = futures_util::future::join_all((0..30).map(|_| list(&docker))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        listen_and_work(&docker).await;
        println!("ssh: p50 {} µs a list", median(&docker).await);
        assert_eq!(relay.connections(), 1, "logins");

        relay.cut();
        tokio::time::sleep(Duration::from_millis(300)).await;
        list(&docker).await.unwrap();
        assert_eq!(relay.connections(), 2, "logins after the connection broke");

        assert_eq!(processes(relay.port), 2, "ssh and its supervisor");
        drop(docker);
        wait_until_gone(relay.port);

        let restricted = sshd.settings("with-restricted", "restricted", Some("host"), relay.port);
        list(&through(relay.port, restricted)).await.unwrap();
    });
    with_the_program(relay.port, &settings);
}

/// A stream of events and a log that is followed share the login with everything else.
async fn listen_and_work(docker: &Docker) {
    let mut events = docker.events(&["f".to_owned()]).await.unwrap();
    let secrets = SecretValues::default();
    let body = json!({ "Image": "test/speaks:1", "Labels": { "hoist.fleet": "f" } });
    let create = Step::Create { name: "cam".to_owned(), body, secrets: [].into() };
    docker.execute(&create, &secrets).await.unwrap();
    let cam = ContainerRef::Name("cam".to_owned());
    docker.execute(&Step::Start { container: cam.clone() }, &secrets).await.unwrap();
    let mut kinds = Vec::new();
    while kinds.last() != Some(&EventKind::Started) {
        let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
        let event = event.unwrap().unwrap().unwrap();
        if event.name == "cam" {
            kinds.push(event.kind);
        }
    }
    assert_eq!(kinds, [EventKind::Created, EventKind::Started]);
    let wanted = LogsWanted { follow: true, ..LogsWanted::default() };
    let mut logs = docker.logs("cam", &wanted).await.unwrap();
    let piece = tokio::time::timeout(Duration::from_secs(10), logs.next()).await;
    assert_eq!(piece.unwrap().unwrap().unwrap().bytes, b"hello\n");
    docker.execute(&Step::Remove { container: cam }, &secrets).await.unwrap();
}

/// How many processes have this port in their command line, as ssh and its supervisor have.
fn processes(port: u16) -> usize {
    let wanted = format!("\0-p\0{port}\0");
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&wanted))
        .count()
}

fn wait_until_gone(port: u16) {
    for _ in 0..100 {
        if processes(port) == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("ssh goes on");
}

fn with_the_program(port: u16, settings: &std::path::Path) {
    let control = ControlHost::new();
    control.write("fleet/devices/d1.toml", &format!("engine = \"ssh://root@127.0.0.1:{port}\"\n"));
    control.write(
        "fleet/deployments/base.toml",
        "target = \"deviceId = 'd1'\"\n[modules.app]\nimage = \"test/speaks:1\"\n",
    );
    let ssh = format!("[ssh]\nconfig = \"{}\"\n", settings.display());
    control.write("hoist.toml", &ssh);
    control.apply().expect(0);
    let said = control.hoist(&["logs", "d1", "app", "--worktree", "--tail", "1"]).expect(0);
    assert_eq!(said.stdout, "hello\n");
    wait_until_gone(port);
    killed_while_it_follows(&control, port);
    control.write("hoist.toml", &format!("[engines]\nallow = [\"ssh://*.example\"]\n{ssh}"));
    control.apply().expect(4);
    let status = control.device("d1")["status"].to_string();
    assert!(status.contains("not allowed by"), "{status}");
}

fn killed_while_it_follows(control: &ControlHost, port: u16) {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_hoist"))
        .args(["logs", "d1", "app", "--worktree", "--follow"])
        .current_dir(control.path("fleet"))
        .env("HOIST_STATE", control.path("state"))
        .env("HOIST_CONFIG", control.path("hoist.toml"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 6]).unwrap();
    assert_eq!(processes(port), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_gone(port);
}

#[test]
fn what_stands_in_the_way_of_ssh() {
    if skip_without(sshd::missing()).is_none() {
        return;
    }
    let sshd = Sshd::start(Socket::None, "");
    let port = sshd.port;
    let cause = |docker: Docker| async move { refusal(&docker).await.0 };
    runtime().block_on(async {
        let unknown = sshd.settings("unknown", "client", None, port);
        assert_eq!(cause(through(port, unknown)).await, Some(Cause::HostKeyUnknown));
        let changed = sshd.settings("changed", "client", Some("other-host"), port);
        assert_eq!(cause(through(port, changed)).await, Some(Cause::HostKeyChanged));
        let stranger = sshd.settings("stranger-settings", "stranger", Some("host"), port);
        assert_eq!(cause(through(port, stranger)).await, Some(Cause::LoginRefused));
        let good = sshd.settings("good", "client", Some("host"), port);
        let (none, words) = refusal(&through(port, good.clone())).await;
        assert_eq!(none, Some(Cause::NoEngineThere));
        assert!(words.contains("there is no /var/run/docker.sock on 127.0.0.1"), "{words}");
        let restricted = sshd.settings("with-restricted", "restricted", Some("host"), port);
        let (none, words) = refusal(&through(port, restricted)).await;
        assert_eq!(none, Some(Cause::NoEngineThere));
        assert!(words.contains("or root may not use it"), "{words}");

        let nobody = free_port();
        let settings = sshd.settings("nobody", "client", Some("host"), nobody);
        assert_eq!(cause(through(nobody, settings)).await, Some(Cause::NothingListens));
        let access = Access { tls: None, ssh_config: Some(good.clone()) };
        let nowhere = connect("ssh://root@nowhere.invalid", access);
        assert_eq!(cause(nowhere).await, Some(Cause::NameUnknown));
        let wrong = sshd.settings("wrong", "client", Some("host"), port);
        std::fs::write(&wrong, "Nonsense yes\n").unwrap();
        assert_eq!(cause(through(port, wrong)).await, Some(Cause::SshUnusable));

        let dead = Sshd::start(Socket::Dead, "");
        let settings = dead.settings("good", "client", Some("host"), dead.port);
        assert_eq!(cause(through(dead.port, settings)).await, Some(Cause::NothingListens));

        let closed = Sshd::start(Socket::Other, "AllowStreamLocalForwarding no");
        let settings = closed.settings("good", "client", Some("host"), closed.port);
        assert_eq!(cause(through(closed.port, settings)).await, Some(Cause::ForwardingRefused));

        // A server that says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let settings = sshd.settings("silent", "client", Some("host"), port);
        assert_eq!(cause(through(port, settings)).await, Some(Cause::NoAnswer));
    });
}

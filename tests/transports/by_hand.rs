//! `hoist logs` and `hoist restart` on a real engine.

use crate::control::ControlHost;
use crate::testbed::dockerds;
use std::io::Read as _;
use std::process::{Command, Stdio};

const BASE: &str = "target = \"deviceId = 'd1'\"\n[modules.app]\nimage = \"test/app:1\"\n\
    image-pull-policy = \"never\"\n\
    [modules.screen]\nimage = \"test/screen:1\"\nimage-pull-policy = \"never\"\n\
    [modules.screen.create-options]\nTty = true\n";

#[test]
fn logs_and_restart() {
    let Some(engines) = dockerds(1) else { return };
    let engine = &engines[0];
    let speaks = "trap 'exit 0' TERM; echo out; echo err >&2; while :; do sleep 1000 & wait; done";
    engine.load_image("test/app:1", &[], &["sh", "-c", speaks]);
    engine.load_image("test/screen:1", &[], &["sh", "-c", speaks]);
    let control = ControlHost::new();
    control.write("fleet/devices/d1.toml", &format!("engine = \"{}\"\n", engine.address()));
    control.write("fleet/deployments/base.toml", BASE);
    let restart =
        |rest: &[&str]| control.hoist(&[&["restart", "d1", "app", "--worktree"], rest].concat());
    let said = restart(&[]).expect(1);
    assert!(said.stderr.contains("nothing was applied to d1 from here yet"), "{}", said.stderr);
    control.apply().expect(0);

    let logs = |module: &str, rest: &[&str]| {
        control.hoist(&[&["logs", "d1", module, "--worktree"], rest].concat())
    };
    let said = logs("app", &[]).expect(0);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\n", "err\n"));
    // A module with a terminal has one stream, with the line ends of terminals.
    let said = logs("screen", &[]).expect(0);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("out\r\nerr\r\n", ""));
    assert_eq!(logs("screen", &["--tail", "1"]).expect(0).stdout, "err\r\n");
    assert_eq!(logs("app", &["--since", "2099-01-01T00:00:00Z"]).expect(0).stdout, "");
    assert_eq!(logs("app", &["--since", "1h"]).expect(0).stdout, "out\n");
    for (module, rest, words) in [
        ("nope", &[][..], "no container of module nope on d1"),
        ("app", &["--previous"], "no replaced container of module app is kept on d1"),
        ("app", &["--since", "soon"], "no span and no moment"),
    ] {
        let said = logs(module, rest).expect(1);
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }

    let id = engine.inspect("app")["Id"].clone();
    let started = engine.inspect("app")["State"]["StartedAt"].clone();
    assert_eq!(restart(&["--reason", "it hung"]).expect(0).stdout, "d1 app: restart done\n");
    assert_eq!(engine.inspect("app")["Id"], id);
    assert_ne!(engine.inspect("app")["State"]["StartedAt"], started);
    let said = restart(&["--format", "json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["outcome"], "done");
    let store = hoist::store::Store::open(&control.path("state")).unwrap();
    let history = store.history(&Default::default()).unwrap();
    let last: Vec<_> = history.iter().rev().take(2).rev().collect();
    assert_eq!((last[0].action.as_str(), last[0].reason.as_str()), ("restart", "it hung"));
    assert_eq!((last[1].outcome.as_str(), last[1].reason.as_str()), ("done", "by hand"));
    assert_eq!(last[0].from, last[0].to);

    let lock = store.lock().unwrap();
    let said = restart(&[]).expect(1);
    assert!(said.stderr.contains("process"), "{}", said.stderr);
    drop(lock);
    follow(&control, engine);
    previous(&control);
    nothing_foreign(&control, engine);
}

fn follow(control: &ControlHost, engine: &crate::testbed::Dockerd) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hoist"))
        .args(["logs", "d1", "app", "--worktree", "--follow"])
        .current_dir(control.path("fleet"))
        .env("HOIST_STATE", control.path("state"))
        .env("HOIST_CONFIG", control.path("hoist.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 4];
    child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"err\n");
    engine.raw("POST", "/containers/app/stop?t=1", None);
    assert!(child.wait().unwrap().success(), "following ends with the container");
    control.apply().expect(0);
}

/// The container that was replaced last is kept for a while.
fn previous(control: &ControlHost) {
    let kept =
        BASE.replacen("image-pull", "keep-previous = \"10m\"\nenv = { A = 1 }\nimage-pull", 1);
    control.write("fleet/deployments/base.toml", &kept);
    control.apply().expect(0);
    let said = control.hoist(&["logs", "d1", "app", "--worktree", "--previous"]).expect(0);
    assert!(said.stdout.starts_with("out\nout\n"), "{said:?}");
    let said = control.hoist(&["logs", "d1", "app", "--worktree"]).expect(0);
    assert_eq!(said.stdout, "out\n");
}

fn nothing_foreign(control: &ControlHost, engine: &crate::testbed::Dockerd) {
    engine.raw("DELETE", "/containers/app?force=1", None);
    let body = serde_json::json!({ "Image": "test/app:1" });
    engine.raw("POST", "/containers/create?name=app", Some(&body));
    for command in ["logs", "restart"] {
        let said = control.hoist(&[command, "d1", "app", "--worktree"]).expect(1);
        assert!(
            said.stderr.contains("the container app on d1 is not of this fleet"),
            "{}",
            said.stderr
        );
    }
    let stopped = BASE.replacen("image-pull", "status = \"stopped\"\nimage-pull", 1);
    engine.raw("DELETE", "/containers/app?force=1", None);
    control.write("fleet/deployments/base.toml", &stopped);
    control.apply().expect(0);
    let said = control.hoist(&["restart", "d1", "app", "--worktree"]).expect(1);
    assert!(said.stderr.contains("app is stopped on d1, as the fleet says"), "{}", said.stderr);
}

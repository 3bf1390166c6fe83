//! The daemon with real engines.

use crate::place::{Place, git_in};
use crate::testbed::programs::skip_without;
use crate::testbed::sshd::{self, Socket, Sshd};
use crate::testbed::{Dockerd, dockerds};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\nstop-timeout = \"1s\"\n";

fn base(image: &str) -> String {
    format!(
        "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:{image}\"\nimage-pull-policy = \"never\"\n"
    )
}

fn runs(engine: &Dockerd, image: &str) -> bool {
    let answer = engine.raw("GET", "/containers/web/json", None);
    answer.status == 200 && {
        let json = answer.json();
        json["Config"]["Image"] == format!("web:{image}") && json["State"]["Running"] == true
    }
}

/// Commits, drift that engines tell of, an engine that is away and comes back: all without waiting for a resync.
#[test]
fn three_engines_follow_the_branch_and_drift_comes_back_by_itself() {
    let Some(mut engines) = dockerds(3) else { return };
    for engine in &engines {
        for tag in ["1", "2", "3"] {
            engine.load_image(&format!("web:{tag}"), &[], &["/bin/sleep", "3600"]);
        }
    }
    let devices: Vec<(String, String)> = engines
        .iter()
        .enumerate()
        .map(|(number, engine)| {
            (format!("devices/till-{number}.toml"), format!("engine = \"{}\"\n", engine.address()))
        })
        .collect();
    let mut place = Place::new(&[("fleet.toml", FLEET), ("deployments/base.toml", &base("1"))]);
    place.simulated = false;
    let files: Vec<(&str, &str)> = devices.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    place.commit(&files);
    let allow: Vec<String> = engines.iter().map(|e| format!("\"{}\"", e.address())).collect();
    let allow = format!("[engines]\nallow = [{}]\n", allow.join(", "));
    std::fs::write(place.path("hoist.toml"), allow).expect("a file");
    // A resync that never comes while this runs: what is seen is told by engines.
    let daemon = place.watch(&["--resync", "1h"]);
    place.until("the first commit", || engines.iter().all(|engine| runs(engine, "1")));
    place.until("recorded", || (0..3).all(|n| place.has(&format!("till-{n}"), "web:1")));
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the second commit", || engines.iter().all(|engine| runs(engine, "2")));
    place.until("recorded", || (0..3).all(|n| place.has(&format!("till-{n}"), "web:2")));

    // By hand: removed, and a limit changed.
    assert_eq!(engines[0].raw("DELETE", "/containers/web?force=1", None).status, 204);
    place.until("it is there again", || runs(&engines[0], "2"));
    let limits = serde_json::json!({"Memory": 64 << 20, "MemorySwap": 128 << 20});
    assert_eq!(engines[1].raw("POST", "/containers/web/update", Some(&limits)).status, 200);
    place.until("the limit is taken away again", || {
        let answer = engines[1].raw("GET", "/containers/web/json", None);
        answer.status == 200 && answer.json()["HostConfig"]["Memory"] == 0
    });

    // One engine is away while a commit comes, and is served when it is back.
    let away = engines[2].raw("GET", "/info", None);
    assert_eq!(away.status, 200);
    engines[2].lose_power();
    place.commit(&[("deployments/base.toml", &base("3"))]);
    place.until("the third commit", || engines.iter().all(|engine| runs(engine, "3")));
    assert_eq!(daemon.stop(), 0);
    let containers = engines[0].raw("GET", "/containers/json?all=1", None).json();
    assert_eq!(containers.as_array().map(Vec::len), Some(1), "{containers}");
}

/// With a warm store a look that finds nothing to do is exactly one list call.
#[test]
fn a_quiet_look_is_one_list_call() {
    let Some(engines) = dockerds(1) else { return };
    engines[0].load_image("web:1", &[], &["/bin/sleep", "3600"]);
    let proxy = crate::testbed::proxy::Proxy::before(&engines[0].socket());
    let device = format!("engine = \"{}\"\n", proxy.address());
    let mut place = Place::new(&[
        ("fleet.toml", FLEET),
        ("deployments/base.toml", &base("1")),
        ("devices/till.toml", &device),
    ]);
    place.simulated = false;
    let allow = format!("[engines]\nallow = [\"{}\"]\n", proxy.address());
    std::fs::write(place.path("hoist.toml"), allow).expect("a file");
    let daemon = place.watch(&["--resync", "1h"]);
    place.until("the first commit", || place.has("till", "web:1"));
    // What the run itself made the engine tell is looked at first.
    std::thread::sleep(std::time::Duration::from_secs(2));
    proxy.forget();
    let till = hoist::model::DeviceId::parse("till").expect("an id");
    place.store_to_write().poke(&till).expect("written");
    place.until("a look", || !proxy.log().is_empty());
    std::thread::sleep(std::time::Duration::from_secs(1));
    let asked = proxy.log();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].is_list());
    daemon.stop();
}

/// Commits come and devices are reached by ssh alone, with a key for each; the repository locks us out for a while.
#[test]
fn the_repository_and_the_device_are_both_reached_by_ssh() {
    if skip_without(sshd::missing()).is_none() {
        return;
    }
    let Some(engines) = dockerds(1) else { return };
    let engine = &engines[0];
    for tag in ["1", "2", "3"] {
        engine.load_image(&format!("web:{tag}"), &[], &["/bin/sleep", "3600"]);
    }
    let sshd = Sshd::start(Socket::Of(&engine.socket()), "");
    let address = format!("ssh://root@127.0.0.1:{}", sshd.port);
    let mut place = Place::new(&[
        ("fleet.toml", FLEET),
        ("deployments/base.toml", &base("1")),
        ("devices/till.toml", &format!("engine = \"{address}\"\n")),
    ]);
    place.simulated = false;
    let bare = place.path("remote.git").display().to_string();
    git_in(&place.fleet(), &["init", "--quiet", "--bare", "--initial-branch=main", &bare]);
    place.git(&["push", "--quiet", &bare, "main"]);
    let for_devices = sshd.settings("devices", "restricted", Some("host"), sshd.port);
    let for_git = sshd.settings("git", "client", Some("host"), sshd.port);
    let settings = format!(
        "[engines]\nallow = [\"{address}\"]\n[ssh]\nconfig = \"{}\"\n",
        for_devices.display()
    );
    std::fs::write(place.path("hoist.toml"), settings).expect("a file");
    let ssh = format!("ssh -F {}", for_git.display());
    place.variables.push(("GIT_SSH_COMMAND".to_owned(), ssh));

    let daemon = place.watch_of(&format!("{address}{bare}"), &["--poll", "1s", "--resync", "1h"]);
    place.until("the first commit", || place.has("till", "web:1") && runs(engine, "1"));
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.git(&["push", "--quiet", &bare, "main"]);
    place.until("the second commit", || place.has("till", "web:2") && runs(engine, "2"));
    assert_eq!(engine.raw("DELETE", "/containers/web?force=1", None).status, 204);
    place.until("what the engine told of", || runs(engine, "2"));

    sshd.settings("git", "stranger", Some("host"), sshd.port);
    let log = || std::fs::read_to_string(place.path("log")).unwrap_or_default();
    place.until("the refusal", || log().contains("does not let us in"));
    place.commit(&[("deployments/base.toml", &base("3"))]);
    place.git(&["push", "--quiet", &bare, "main"]);
    assert_eq!(engine.raw("DELETE", "/containers/web?force=1", None).status, 204);
    place.until("what counts is kept up meanwhile", || runs(engine, "2"));
    sshd.settings("git", "client", Some("host"), sshd.port);
    place.until("what was pushed meanwhile", || place.has("till", "web:3") && runs(engine, "3"));
    assert_eq!(daemon.stop(), 0);
}

/// SIGTERM while a container is being replaced, before and while the old one is stopped: one of them runs, and the store
/// says which. With no time for that the next daemon sees to it.
#[test]
fn a_daemon_that_is_stopped_in_the_middle_leaves_no_module_half_done() {
    let Some(engines) = dockerds(1) else { return };
    let engine = &engines[0];
    for tag in ["1", "2", "3", "4"] {
        // As the first process of its container it does not hear SIGTERM: stopping it takes all of `stop-timeout`.
        engine.load_image(&format!("web:{tag}"), &[], &["/bin/sleep", "3600"]);
    }
    let mut place = Place::new(&[
        ("fleet.toml", &FLEET.replace("1s", "4s")),
        ("devices/till.toml", &format!("engine = \"{}\"\n", engine.address())),
        ("deployments/base.toml", &base("1")),
    ]);
    place.simulated = false;
    let all = || engine.raw("GET", "/containers/json?all=1", None).json();
    let count = || all().as_array().map_or(0, Vec::len);
    let mut before = "1";
    for (tag, after, limit) in [("2", 0, "60s"), ("3", 1500, "60s"), ("4", 1500, "1s")] {
        let daemon = place.watch(&["--stop-limit", limit]);
        place.until("what was before", || place.has("till", &format!("web:{before}")));
        place.commit(&[("deployments/base.toml", &base(tag))]);
        place.until("the new one is made", || count() == 2);
        std::thread::sleep(std::time::Duration::from_millis(after));
        assert_eq!(daemon.stop(), 0, "{tag}");
        if limit == "60s" {
            let ran = if runs(engine, tag) { tag } else { before };
            assert!(runs(engine, ran) && count() == 1, "{tag}: {}", all());
            let module = place.device("till").expect("recorded").modules["web"].clone();
            let id = engine.inspect("web")["Id"].clone();
            assert_eq!(module.container.as_deref(), id.as_str(), "{tag}: written down");
        }
        let daemon = place.watch(&[]);
        place.until("the next one does it", || place.has("till", &format!("web:{tag}")));
        assert!(runs(engine, tag) && count() == 1, "{tag}: {}", all());
        assert_eq!(daemon.stop(), 0);
        before = tag;
    }
}

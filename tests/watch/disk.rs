//! The daemon on a disk that is full, and with a store that is damaged or can't be written.

use crate::by_hand::hoist;
use crate::http::{get, said_address};
use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use crate::testbed::programs::skip_without;
use crate::testbed::{Dockerd, dockerds};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\nstop-timeout = \"1s\"\n";

fn manifest(tag: &str) -> String {
    format!(
        "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:{tag}\"\nimage-pull-policy = \"never\"\n"
    )
}

fn runs(engine: &Dockerd, tag: &str) -> bool {
    let answer = engine.raw("GET", "/containers/web/json", None);
    answer.status == 200 && {
        let json = answer.json();
        json["Config"]["Image"] == format!("web:{tag}") && json["State"]["Running"] == true
    }
}

/// Ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon whose store is on a small file system of its own, which only it and its children see.
fn on_a_small_disk(place: &Place, arguments: &[&str]) -> Ended {
    let state = place.path("state");
    fs::create_dir(&state).expect("a folder");
    let script = "mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\"";
    let log = fs::File::create(place.path("log")).expect("a log");
    let fleet = place.fleet().display().to_string();
    let daemon = place.hoist(&[&["watch", &fleet, "--poll", "1s"], arguments].concat());
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(&state).arg(daemon.get_program());
    command.args(daemon.get_args()).current_dir(place.path(""));
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let child = command.env("HOIST_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null());
    Ended(child.stderr(log).spawn().expect("unshare"))
}

/// What `hoist status` says where the daemon's disk is.
fn status(place: &Place, daemon: u32) -> String {
    let output = said_there(place, daemon, &["status", "--format", "json"]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said_there(place: &Place, daemon: u32, arguments: &[&str]) -> Output {
    let status = place.hoist(arguments);
    let mut command = Command::new("nsenter");
    command.args(["-m", "-t", &daemon.to_string(), "--"]).arg(status.get_program());
    command.args(status.get_args()).arg("-C").arg(place.fleet());
    for (name, value) in status.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.output().expect("nsenter")
}

fn may_mount() -> Option<()> {
    let mounts =
        Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let may = mounts.is_ok_and(|output| output.status.success());
    let missing = (!may).then(|| "a small disk needs root, and a mount namespace".to_owned());
    skip_without(missing)
}

#[test]
fn a_full_disk_changes_nothing_on_devices_and_is_waited_out() {
    let Some(()) = may_mount() else { return };
    let Some(engines) = dockerds(1) else { return };
    let engine = &engines[0];
    for tag in ["1", "2"] {
        engine.load_image(&format!("web:{tag}"), &[], &["/bin/sleep", "3600"]);
    }
    let device = format!("engine = \"{}\"\n", engine.address());
    let place = Place::new(&[
        ("fleet.toml", FLEET),
        ("devices/till.toml", &device),
        ("deployments/base.toml", &manifest("1")),
    ]);
    let daemon = on_a_small_disk(&place, &[]);
    place.until("the first commit", || runs(engine, "1"));
    let log = || fs::read_to_string(place.path("log")).unwrap_or_default();
    place.until("it is written down", || log().contains("as desired"));
    let before = engine.inspect("web")["Id"].clone();

    let seen = format!("/proc/{}/root{}", daemon.0.id(), place.path("state").display());
    let fill = format!("{seen}/fill");
    assert!(fs::write(&fill, vec![0; 2 << 20]).is_err(), "the disk is small");
    let second = place.commit(&[("deployments/base.toml", &manifest("2"))]);
    place.until("it is told", || log().contains("the disk is full: nothing was written"));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(engine.inspect("web")["Id"], before, "nothing is done that can't be written down");

    fs::remove_file(&fill).expect("room again");
    place.until("it goes on", || runs(engine, "2"));
    place.until("it is written down", || status(&place, daemon.0.id()).contains(&second));
}

/// Nothing happens on any device, and the next look at one is minutes away.
#[test]
fn a_full_disk_is_told_as_long_as_it_is_full_and_no_longer() {
    let Some(()) = may_mount() else { return };
    let place = shop();
    let daemon = on_a_small_disk(&place, &["--simulate", "--listen", "127.0.0.1:0"]);
    let log = || fs::read_to_string(place.path("log")).unwrap_or_default();
    place.until("the first commit", || log().matches("as desired").count() >= 3);
    let at = said_address(&place, "the page is at http://");
    let says = || get(&at, "/api/v1/fleet").json()["trouble"]["words"].as_str().map(str::to_owned);
    let full = || says().is_some_and(|words| words.contains("the disk is full"));
    let fill = format!("/proc/{}/root{}/fill", daemon.0.id(), place.path("state").display());
    assert!(fs::write(&fill, vec![0; 2 << 20]).is_err(), "the disk is small");
    place.commit(&[("README.md", "more\n")]);
    place.until("it is told", full);
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert!(full(), "it still is");
    let status = || {
        let said = said_there(&place, daemon.0.id(), &["status", "--simulate"]);
        String::from_utf8_lossy(&said.stderr).into_owned()
    };
    assert!(status().contains(" is full: what happens can't be written down"), "{}", status());
    fs::remove_file(&fill).expect("room again");
    place.until("it is over", || says().is_none());
    assert_eq!(status(), "");
}

#[test]
fn a_damaged_store_is_told_and_left_as_it_is() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let file = place.state_folder().join("state.db");
    let whole = fs::read(&file).expect("a store");
    let mut damaged = whole.clone();
    damaged[1024..].fill(0xa5);
    fs::write(&file, &damaged).expect("written");
    let (code, words) = place.watch(&[]).ends();
    assert_eq!(code, 1);
    assert!(words.contains(" is damaged: ") && words.contains("restore a backup"), "{words}");
    let said = hoist(&place, &["status", "--simulate"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains(" is damaged: "), "{}", said.err);
    assert_eq!(fs::read(&file).expect("a store"), damaged, "nothing was written to it");

    // As the words say: moved away, it is rebuilt from the devices, and nothing restarts.
    fs::rename(&file, place.path("damaged.db")).expect("moved");
    for rest in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(place.state_folder().join(rest));
    }
    let daemon = place.watch(&[]);
    place.until("recorded again", || all_have(&place, "web:1"));
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("and on", || all_have(&place, "web:2"));
    daemon.stop();
}

#[test]
fn a_store_that_can_not_be_made_is_told() {
    let place = shop();
    let state = place.path("state");
    fs::write(&state, "a file is in its place").expect("a file");
    let (code, words) = place.watch(&[]).ends();
    assert_eq!(code, 1);
    assert!(words.contains(&format!("cannot open the store at {}", state.display())), "{words}");
    fs::remove_file(&state).expect("removed");

    // Root writes everywhere but into what the kernel itself makes up.
    fs::create_dir(&state).expect("a folder");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o500)).expect("may not be written");
    if fs::write(state.join("probe"), "").is_err() {
        let (code, words) = place.watch(&[]).ends();
        assert_eq!(code, 1);
        assert!(words.contains("store"), "{words}");
    }
    let fleet = place.fleet().display().to_string();
    let said = hoist(&place, &["watch", &fleet, "--state", "/proc/self/task"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("/proc/self/task"), "{}", said.err);
}

/// As `docs/backup.md` has it: copied while the daemon runs, and put back.
#[test]
fn a_copy_made_beside_the_daemon_brings_back_what_people_ordered() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let paused = ["pause", "till-1", "--reason", "serviced", "--simulate"];
    assert_eq!(hoist(&place, &paused).code, 0);
    let is_paused =
        || place.device("till-1").is_some_and(|d| d.status.description.contains("serviced"));
    place.until("it is paused", is_paused);
    let file = place.state_folder().join("state.db");
    let copy = place.path("copy.db");
    let store = rusqlite::Connection::open(&file).expect("the store");
    store.execute("VACUUM INTO ?1", [copy.display().to_string()]).expect("copied");
    drop(store);
    let before = place.device("till-2").expect("recorded").modules["web"].container.clone();
    assert_eq!(hoist(&place, &["resume", "till-1", "--simulate"]).code, 0);
    // Whoever closes the store last takes its log away: the daemon still has it open.
    place.until("the daemon goes on in the same store", || place.has("till-1", "web:1"));
    daemon.stop();
    for rest in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(place.state_folder().join(rest));
    }
    fs::copy(&copy, &file).expect("put back");
    let daemon = place.watch(&[]);
    place.until("it is paused again", is_paused);
    place.until("the others are seen", || place.has("till-2", "web:1"));
    let after = place.device("till-2").expect("recorded").modules["web"].container.clone();
    assert_eq!(after, before, "nothing restarts");
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("and on", || place.has("till-2", "web:2") && place.has("till-3", "web:2"));
    assert!(place.device("till-1").is_some_and(|d| {
        d.in_force.is_some_and(|in_force| in_force.manifest.contains("web:1"))
    }));
    daemon.stop();
}

/// A machine remounts its disk read-only when that begins to fail: then people look.
#[test]
fn on_a_disk_that_can_not_be_written_one_can_look() {
    let Some(()) = may_mount() else { return };
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(daemon.stop(), 0);
    let on = |mount: &str, arguments: &[&str]| {
        let command = place.hoist(&[arguments, &["--simulate"]].concat());
        let mut unshare = Command::new("unshare");
        let script = format!("{mount} && shift && exec \"$@\"");
        unshare.args(["-m", "sh", "-c", &script]).arg(place.path("state")).arg("-");
        unshare.arg(command.get_program()).args(command.get_args()).current_dir(place.path(""));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => unshare.env(name, value),
                None => unshare.env_remove(name),
            };
        }
        let output = unshare.output().expect("unshare");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let read_only = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    let full = "cp -a \"$0\" \"$0.was\" && mount -t tmpfs -o size=1m none \"$0\" && cp -a \"$0.was/.\" \"$0\" && \
                { dd if=/dev/zero of=\"$0/fill\" bs=4k 2>/dev/null; rm -rf \"$0.was\"; true; }";
    for (mount, words) in [
        (read_only, "cannot write to the store"),
        (full, "the disk is full: nothing was written to"),
    ] {
        let (out, err) = on(mount, &["status"]);
        assert!(out.contains("\n3 devices: 3 as desired\n"), "{out}{err}");
        let (out, err) = on(mount, &["history", "till-1"]);
        assert!(out.contains("create web"), "{out}{err}");
        let (out, err) = on(mount, &["doctor", "till-1"]);
        assert!(out.starts_with("till-1\n✓ way "), "{out}{err}");
        let (out, err) = on(mount, &["rollout", "status"]);
        assert!(out.starts_with("no rollout: "), "{out}{err}");
        let (_, err) = on(mount, &["pause", "till-1", "--reason", "serviced"]);
        assert!(err.contains(words), "{err}");
    }
    // After a loss of power the index of what was written last may be lost.
    let daemon = place.watch(&[]);
    let file = |end: &str| place.state_folder().join(format!("state.db-{end}"));
    let size = |file| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    place.until("something is written", || size(file("wal")) > 0);
    daemon.kill();
    std::fs::remove_file(file("shm")).expect("removed");
    let (_, err) = on(read_only, &["status"]);
    assert!(err.contains("while it can't be written: whoever worked with it was killed"), "{err}");
    assert!(err.contains("look at a copy of the folder"), "{err}");
}

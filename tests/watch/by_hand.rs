//! What an operator types on the control host, in a folder that holds no fleet, with and without the daemon.

use crate::place::Place;
use crate::simulated::{all_have, base, shop};

pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn hoist(place: &Place, arguments: &[&str]) -> Said {
    let output = place.hoist(arguments).output().expect("hoist");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

#[track_caller]
pub(crate) fn done(place: &Place, arguments: &[&str]) -> String {
    let said = hoist(place, &[arguments, &["--simulate"]].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
    said.out
}

#[test]
fn orders_reach_a_running_daemon_and_wait_for_one_that_does_not_run() {
    let place = shop();
    let first = place.head();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert_eq!(
        done(&place, &["pause", "till-1", "--reason", "a lift is serviced"]),
        "till-1: paused until `hoist resume till-1`\n"
    );
    let nothing = ["pause", "till-1", "--reason", "a slip", "--for", "0s", "--simulate"];
    let said = hoist(&place, &nothing);
    assert!(said.code == 1 && said.err.contains("the least is 1s"), "{}", said.err);
    let out = done(&place, &["pin", &first[..8], "--where", "deviceId = 'till-2'", "--for", "8h"]);
    assert!(out.starts_with("devices where deviceId = 'till-2': pinned to "), "{out}");
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the third has it", || place.has("till-3", "web:2"));
    place.until("the first is paused", || {
        place.device("till-1").is_some_and(|d| d.status.description.contains("a lift is serviced"))
    });
    assert!(place.has("till-2", "web:1"));
    assert_eq!(done(&place, &["resume", "till-1"]), "till-1: goes on\n");
    place.until("the first goes on", || place.has("till-1", "web:2"));
    daemon.stop();

    // Without a daemon they are kept for the next one. What is typed is what was shown.
    let said = hoist(&place, &["unpin", "--simulate"]);
    let words = "; `hoist unpin --where \"deviceId = 'till-2'\"` ends it";
    assert!(said.code == 1 && said.err.contains(words), "{}", said.err);
    done(&place, &["unpin", "--where", "deviceId = 'till-2'"]);
    done(&place, &["pause", "--all", "--reason", "power is worked on", "--for", "1h"]);
    let history = done(&place, &["history"]);
    assert!(history.contains("power is worked on (until 2"), "a reason ends before: {history}");
    let again = hoist(&place, &["resume", "till-1", "--simulate"]);
    assert_eq!(again.code, 1);
    let words = "  paused: all devices (power is worked on); `hoist resume --all` ends it";
    assert!(again.err.contains(words), "{}", again.err);
    let fleet = place.fleet().display().to_string();
    let apply = hoist(&place, &["-C", &fleet, "apply", "--simulate", "--yes"]);
    assert_eq!(apply.code, 4, "{}", apply.out);
    assert!(apply.out.contains("power is worked on"), "apply leaves them alone too: {}", apply.out);
    done(&place, &["resume", "--all"]);
    let _daemon = place.watch(&[]);
    place.until("the pin is over", || all_have(&place, "web:2"));
}

#[test]
fn a_held_revision_is_approved_by_its_numbers_and_a_wrong_one_never() {
    let place = shop();
    let strict =
        "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n[guards]\nmax-modules-removed = 1\n";
    place.commit(&[("fleet.toml", strict)]);
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let without = "target = \"*\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n";
    let held = place.commit(&[("deployments/base.toml", without)]);
    place.until("held", || place.held().is_some());
    let out = done(&place, &["approve", &held]);
    assert_eq!(out, format!("  modules-removed: up to 3\n{} is approved\n", &held[..7]));
    place.until("it goes out", || place.held().is_none() && !all_have(&place, "meter:1"));
    assert!(done(&place, &["approve", &held]).contains("goes out by itself"));

    let wrong = place.commit(&[("deployments/base.toml", "target = 5\n")]);
    place.until("held", || place.held().is_some());
    let said = hoist(&place, &["approve", &wrong, "--simulate"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("can't be approved: it is not valid"), "{}", said.err);

    // What no daemon has read is held by nobody yet.
    assert_eq!(daemon.stop(), 0);
    let newer = place.commit(&[("deployments/base.toml", &base("3"))]);
    let said = hoist(&place, &["approve", &newer, "--simulate"]);
    let words = format!("{} is newer than {}, which was read last", &newer[..7], &wrong[..7]);
    assert!(said.code == 1 && said.err.contains(&words), "{}", said.err);
}

#[test]
fn a_poke_is_for_a_daemon_and_a_restart_for_whoever_works_on_the_devices() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    assert!(done(&place, &["poke", "till-1"]).starts_with("till-1: is looked at now"));
    let out = done(&place, &["restart", "till-1", "web", "--reason", "it hung"]);
    assert!(out.contains("is left to the daemon"), "{out}");
    let restarts = || {
        let history = place.store().expect("a store").history(&Default::default()).expect("read");
        history.into_iter().filter(|entry| entry.action == "restart").collect::<Vec<_>>()
    };
    place.until("the daemon restarts it", || !restarts().is_empty());
    assert_eq!(
        (restarts()[0].reason.as_str(), restarts()[0].outcome.as_str()),
        ("it hung", "done")
    );
    daemon.stop();
    let said = hoist(&place, &["poke", "till-1", "--simulate"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("hoist apply --device till-1"), "{}", said.err);
    assert_eq!(done(&place, &["restart", "till-1", "web"]), "till-1 web: restart done\n");
}

/// Who paused it knows that it is as it is: that is neither success nor failure.
#[test]
fn a_paused_device_is_held_and_no_failure() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    done(&place, &["pause", "till-1", "--reason", "serviced"]);
    place.until("it is held", || place.device("till-1").is_some_and(|d| d.status.code == 400));
    daemon.stop();
    let said = hoist(&place, &["status", "--simulate", "--not-converged"]);
    assert_eq!(said.code, 4, "{}", said.out);
    assert!(said.out.contains("1 device not as desired: 1 held\n"), "{}", said.out);
    place.commit(&[("deployments/base.toml", &base("2"))]);
    let fleet = place.fleet().display().to_string();
    let said = hoist(&place, &["-C", &fleet, "apply", "--yes", "--simulate"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert!(said.out.contains("3 devices: 2 as desired, 1 held\n"), "{}", said.out);
    assert!(place.has("till-2", "web:2"));
    let said = hoist(&place, &["-C", &fleet, "plan", "--simulate"]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
}

/// As somebody does in the moment between a daemon's taking the store and its listening for orders.
#[test]
fn what_was_ordered_while_a_daemon_began_is_done() {
    use hoist::model::{DeviceId, ModuleName};
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let store = hoist::store::Store::open(&place.state_folder()).expect("a store");
    let (device, module) = (DeviceId::parse("till-1"), ModuleName::parse("web"));
    let (who, reason) = ("somebody".to_owned(), "it hung".to_owned());
    let (device, module) = (device.expect("an id"), module.expect("a name"));
    store.wish_restart(&hoist::store::RestartWish { device, module, who, reason }).expect("kept");
    let _daemon = place.watch(&[]);
    place.until("it is restarted", || {
        let history = store.history(&Default::default()).expect("readable");
        history.iter().any(|entry| entry.action == "restart" && entry.outcome == "done")
    });
}

/// Whoever has to leave devices alone at night does not first repair a repository.
#[test]
fn orders_and_looks_need_no_repository() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let away = place.path("away");
    std::fs::rename(place.fleet(), &away).expect("a move");
    let note = "note: the fleet's repository can't be read: ";
    let said = hoist(&place, &["pause", "till-1", "--reason", "serviced", "--simulate"]);
    assert!(said.code == 0 && said.err.starts_with(note), "{}{}", said.out, said.err);
    assert_eq!(said.out, "till-1: paused until `hoist resume till-1`\n");
    place.until("the daemon heard it", || {
        place.device("till-1").is_some_and(|d| d.status.description.contains("serviced"))
    });
    let out = done(&place, &["status"]);
    assert!(out.starts_with("shop @ ") && out.contains("paused: till-1"), "{out}");
    assert!(out.contains("3 devices: 2 as desired, 1 "), "{out}");
    assert!(done(&place, &["status", "--device", "till-2"]).contains("web"));
    assert!(done(&place, &["poke", "till-2"]).starts_with("till-2: is looked at now"));
    assert!(done(&place, &["history", "till-1"]).contains("create web"));
    assert!(done(&place, &["doctor", "till-2"]).contains("modules  not compared"));
    assert!(done(&place, &["restart", "till-2", "web", "--reason", "it hung"]).contains("till-2"));
    done(&place, &["pause", "--where", "tags.role = 'x'", "--reason", "these too"]);
    done(&place, &["resume", "till-1"]);
    // What nobody can know is not answered with nothing.
    let said = hoist(&place, &["status", "--where", "tags.role = 'x'", "--simulate"]);
    assert!(said.code == 1 && said.err.contains("--where needs the fleet's files"), "{}", said.err);
    let said = hoist(&place, &["pause", "till-7", "--reason", "a slip", "--simulate"]);
    assert!(
        said.code == 1 && said.err.contains("the fleet has no device `till-7`"),
        "{}",
        said.err
    );
    daemon.stop();
    assert!(done(&place, &["status", "--not-converged"]).contains("every device is as desired"));

    // A repository whose commits are damaged is as good as none.
    std::fs::rename(&away, place.fleet()).expect("a move");
    let file = place.git(&["rev-parse", "HEAD:fleet.toml"]);
    let (folder, name) = file.split_at(2);
    let object = place.fleet().join(".git/objects").join(folder).join(name);
    std::fs::remove_file(object).expect("an object");
    done(&place, &["pause", "till-1", "--reason", "again"]);
    assert!(done(&place, &["status"]).contains("paused: till-1"));
}

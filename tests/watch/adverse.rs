//! Two control hosts, an engine that moved, facts that flap, a module whose report asks for what can't be.

use crate::by_hand::{done, hoist};
use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use crate::truth::engine;
use hoist::model::DeviceId;
use std::fs;

/// A second control host: a store of its own, and the same engines.
fn second_host(place: &Place) -> Place {
    let mut second = Place::new(&[("fleet.toml", "name = \"unused\"\n")]);
    second.variables = place.variables.clone();
    fs::create_dir_all(second.state_folder()).expect("a folder");
    let engines = place.state_folder().join("engines");
    std::os::unix::fs::symlink(engines, second.state_folder().join("engines")).expect("a link");
    second
}

#[test]
fn two_daemons_with_two_stores_that_want_the_same_disturb_nothing() {
    let place = shop();
    let fleet = place.fleet().display().to_string();
    let first = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let other = second_host(&place);
    let second = other.watch_of(&fleet, &[]);
    other.until("the second knows it too", || all_have(&other, "web:1"));
    let containers = |place: &Place| {
        let device = place.device("till-1").expect("recorded");
        device.modules.values().map(|module| module.container.clone()).collect::<Vec<_>>()
    };
    assert_eq!(containers(&place), containers(&other), "nothing was made anew");
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the second commit", || all_have(&place, "web:2") && all_have(&other, "web:2"));
    for device in ["till-1", "till-2", "till-3"] {
        let seen = engine(&place, device).control().observed().expect("seen");
        let mut names: Vec<&str> = seen.containers.iter().map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["meter", "web"], "{device}: no duplicate, no orphan");
    }
    assert_eq!((first.stop(), second.stop()), (0, 0));
}

/// Each undoes what the other does, until one of them stops and says so.
#[test]
fn two_daemons_that_want_different_things_do_not_fight_for_ever() {
    let place = shop();
    let fleet = place.fleet().display().to_string();
    place.git(&["checkout", "--quiet", "-b", "theirs"]);
    place.commit(&[("deployments/base.toml", &base("theirs"))]);
    let _first = place.watch(&["--resync", "2s"]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let other = second_host(&place);
    let _second = other.watch_of(&fleet, &["--branch", "theirs", "--resync", "2s"]);
    let has_stopped = |place: &Place| {
        place
            .device("till-1")
            .is_some_and(|d| d.status.code == 409 && d.status.description.contains("control host"))
    };
    place.until("one gives in", || has_stopped(&place) || has_stopped(&other));
}

#[test]
fn an_engine_that_is_another_devices_is_not_touched_until_it_is_back() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let file = |device: &str| place.state_folder().join(format!("engines/{device}.json"));
    let own = fs::read(file("till-1")).expect("an engine");
    let moved = fs::read(file("till-2")).expect("an engine");
    fs::write(file("till-1"), &moved).expect("written");
    let daemon = place.watch(&[]);
    place.commit(&[("deployments/base.toml", &base("2"))]);
    place
        .until("the others go on", || place.has("till-2", "web:2") && place.has("till-3", "web:2"));
    let is_blocked = || {
        place.device("till-1").is_some_and(|d| {
            d.status.code == 409 && d.status.description.contains("hoist accept-engine till-1")
        })
    };
    place.until("it is blocked", is_blocked);
    let images = |device| {
        let seen = engine(&place, device).control().observed().expect("seen");
        seen.containers.iter().map(|c| c.image.clone()).collect::<Vec<_>>()
    };
    assert!(images("till-1").iter().all(|image| image.ends_with(":1")), "nothing is touched");
    daemon.stop();
    fs::write(file("till-1"), own).expect("written");
    let daemon = place.watch(&[]);
    place.until("it catches up", || all_have(&place, "web:2"));
    daemon.stop();
}

/// Beside the daemon that says so: it goes on with that engine, and with no other.
#[test]
fn an_engine_is_accepted_beside_a_running_daemon() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let file = |device: &str| place.state_folder().join(format!("engines/{device}.json"));
    let moved = fs::read(file("till-2")).expect("an engine");
    let mut other: serde_json::Value = serde_json::from_slice(&moved).expect("JSON");
    (other["device"], other["containers"]) = ("elsewhere".into(), serde_json::json!({}));
    fs::write(file("till-1"), other.to_string()).expect("written");
    let daemon = place.watch(&[]);
    let is_held = |device: &str| place.device(device).is_some_and(|d| d.status.code == 409);
    place.until("another engine is told of", || is_held("till-1"));
    let before = place.device("till-1").and_then(|d| d.engine_id).expect("an engine");
    let out = done(&place, &["accept-engine", "till-1"]);
    assert!(out.contains("is accepted; it holds 0 containers"), "{out}");
    assert!(out.contains(&format!("if engine {before} is still there")), "{out}");
    let filters = "--filter 'label=hoist.fleet=shop' --filter 'label=hoist.device=till-1')";
    assert!(out.contains(filters), "{out}");
    place.until("it goes on there", || place.has("till-1", "web:1"));
    let accepted = place.device("till-1").and_then(|d| d.accepted_engine);
    assert!(accepted.is_some() && accepted != Some(before));
    let history = done(&place, &["history", "till-1"]);
    assert!(history.contains("accept-engine"), "{history}");
    daemon.stop();

    // What was accepted is one engine: where yet another one comes, it is told of.
    fs::write(file("till-1"), &moved).expect("written");
    let daemon = place.watch(&[]);
    place.until("the next one is told of", || is_held("till-1"));
    let said = hoist(&place, &["accept-engine", "nobody", "--simulate"]);
    assert!(said.code == 1 && said.err.contains("nobody"), "{}", said.err);
    daemon.stop();
}

/// The same machine may come with another id: what runs there is looked after, and is not to be removed.
#[test]
fn of_an_engine_that_has_another_id_and_the_same_modules_nothing_is_to_be_removed() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let file = place.state_folder().join("engines/till-1.json");
    let mut same: serde_json::Value =
        serde_json::from_slice(&fs::read(&file).expect("an engine")).expect("JSON");
    same["device"] = "by-another-id".into();
    fs::write(&file, same.to_string()).expect("written");
    let out = done(&place, &["accept-engine", "till-1"]);
    assert!(out.contains(", before ") && out.contains("it holds 2 containers"), "{out}");
    assert!(!out.contains("docker rm") && !out.contains("is still there"), "{out}");
}

const REPORTS: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n\
                       [reported-properties]\nmode = \"web.mode\"\n";
const PORT: &str = "[modules.web]\nimage = \"web:1\"\nports = [\"8080:80/tcp\"]\n";
/// For whoever reports `clash`: a second module on the same port.
const CLASH: &str = "kind = \"layered\"\ntarget = \"properties.reported.mode = 'clash'\"\n\
                     priority = 20\n[modules.extra]\nimage = \"extra:1\"\nports = [\"8080:80/tcp\"]\n";

fn reporting() -> Place {
    let place = shop();
    let base = format!("target = \"tags.environment = 'prod'\"\npriority = 10\n{PORT}");
    place.commit(&[
        ("fleet.toml", REPORTS),
        ("deployments/base.toml", &base),
        ("deployments/clash.toml", CLASH),
    ]);
    place
}

fn report(place: &Place, device: &str, mode: &str) {
    let json = format!("{{\"mode\": \"{mode}\"}}");
    let path = "/run/hoist/out/reported.json";
    engine(place, device).control().write_file("web", path, json.as_bytes()).expect("written");
}

/// What a device reports is made so many seconds older, while no daemon runs.
fn age(place: &Place, device: &str, seconds: i64) {
    let store = place.store_to_write();
    let mut stored = place.device(device).expect("recorded");
    for module in stored.modules.values_mut() {
        if let Some(report) = &mut module.report {
            report.looked_at -= seconds;
        }
    }
    if let Some(facts) = stored.facts.as_mut().map(std::sync::Arc::make_mut) {
        facts.since.seconds -= seconds;
        facts.held.values_mut().for_each(|held| held.since.seconds -= seconds);
    }
    store.record_device(&stored).expect("written");
}

fn mode(place: &Place, device: &str) -> Option<serde_json::Value> {
    let facts = place.device(device)?.facts?;
    facts.held.get(&vec!["mode".to_owned()])?.value.clone()
}

#[test]
fn a_report_that_makes_a_manifest_invalid_holds_that_device_alone() {
    let place = reporting();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    report(&place, "till-1", "clash");
    daemon.stop();
    age(&place, "till-1", 120);
    let daemon = place.watch(&[]);
    place.until("it is read", || mode(&place, "till-1") == Some("clash".into()));
    assert!(all_have(&place, "web:1"), "it has not held for long enough");
    daemon.stop();
    age(&place, "till-1", 700);
    let _daemon = place.watch(&[]);
    place.until("that device is held", || {
        place.device("till-1").is_some_and(|d| d.status.code == 400)
    });
    let words = place.device("till-1").expect("recorded").status.description;
    assert!(words.contains("8080") && words.contains("stays in force"), "{words}");
    assert!(place.held().is_none(), "no revision is held");
    place.commit(&[(
        "deployments/base.toml",
        &format!(
            "target = \"tags.environment = 'prod'\"\npriority = 10\n{}",
            PORT.replace("web:1", "web:2")
        ),
    )]);
    place
        .until("the others go on", || place.has("till-2", "web:2") && place.has("till-3", "web:2"));
    assert!(place.device("till-1").expect("recorded").modules.contains_key("web"));
}

#[test]
fn facts_that_flap_change_nothing() {
    let place = reporting();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.stop();
    let accepted = place.accepted();
    for mode_now in ["clash", "calm", "clash", "calm"] {
        report(&place, "till-2", mode_now);
        // Nearly long enough, each time.
        age(&place, "till-2", 550);
        let daemon = place.watch(&[]);
        place.until("it is read", || mode(&place, "till-2") == Some(mode_now.into()));
        daemon.stop();
        assert_eq!(place.device("till-2").expect("recorded").status.code, 200, "{mode_now}");
    }
    assert_eq!(place.accepted(), accepted);
    assert!(place.has("till-2", "web:1"));
    let history = done(&place, &["history", "till-2"]);
    assert!(!history.contains("extra"), "{history}");
}

/// The device itself pulls from a repository that only it reaches, and minds its own business only.
#[test]
fn a_device_that_pulls_needs_nothing_but_its_repository() {
    let place = shop();
    let bare = place.path("remote.git").display().to_string();
    crate::place::git_in(
        &place.fleet(),
        &["clone", "--quiet", "--bare", &place.fleet().display().to_string(), &bare],
    );
    // Gone from everywhere else.
    fs::rename(place.fleet(), place.path("gone")).expect("moved");
    let address = format!("file://{bare}");
    let daemon = place.watch_of(&address, &["--only", "till-2", "--poll", "1s"]);
    place.until("its own", || place.has("till-2", "web:1"));
    let copy = place.path("copy");
    fs::create_dir(&copy).expect("a folder");
    crate::place::git_in(&copy, &["clone", "--quiet", &address, "."]);
    fs::write(copy.join("deployments/base.toml"), base("2")).expect("a file");
    crate::place::git_in(&copy, &["commit", "--quiet", "--all", "--message", "a change"]);
    crate::place::git_in(&copy, &["push", "--quiet", "origin", "main"]);
    place.until("what was pushed", || place.has("till-2", "web:2"));
    assert_eq!(daemon.stop(), 0);
    let devices = place.store().expect("a store").load_devices().expect("read");
    let ids: Vec<&DeviceId> = devices.keys().collect();
    assert_eq!(ids, [&DeviceId::parse("till-2").expect("an id")]);
    let touched = fs::read_dir(place.state_folder().join("engines")).expect("engines");
    let names: Vec<String> = touched
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("till-1") || name.starts_with("till-3"))
        .collect();
    assert_eq!(names, [""; 0], "no other engine was asked");
}

//! What is told of devices is what is so: revisions, manifests, reasons, and where the store is.

use crate::by_hand::{done, hoist};
use crate::place::Place;
use crate::simulated::{all_have, base, shop};
use hoist::engine::simulated::Simulated;
use std::process::Stdio;

pub(crate) fn engine(place: &Place, device: &str) -> Simulated {
    let file = place.state_folder().join(format!("engines/{device}.json"));
    Simulated::open(Some(file), device).expect("an engine")
}

#[test]
fn a_device_that_a_commit_leaves_as_it_is_is_at_it_at_once() {
    let place = shop();
    let first = place.head();
    let daemon = place.watch(&["--resync", "1h"]);
    place.until("the first commit", || all_have(&place, "web:1"));
    done(&place, &["pin", &first, "--where", "deviceId = 'till-3'"]);
    let layer = "kind = \"layered\"\ntarget = \"deviceId = 'till-1'\"\npriority = 20\n\
                 [modules.extra]\nimage = \"extra:1\"\n";
    let second = place.commit(&[("deployments/extra.toml", layer)]);
    place.until("what it changes", || place.has("till-1", "extra:1"));
    let at = |device| place.device(device).and_then(|d| d.in_force).expect("it has").revision;
    assert_eq!((at("till-1"), at("till-2")), (second.clone(), second.clone()));
    assert_eq!(at("till-3"), first, "it is pinned");
    // A look that was under way puts nothing back.
    done(&place, &["poke", "till-2"]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(at("till-2"), second);
    daemon.stop();
}

#[test]
fn what_failed_is_not_in_force_and_history_says_what_failed() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    engine(&place, "till-1").control().set_missing("web:2", true).expect("written");
    let both = base("2").replace("meter:1", "meter:2");
    let second = place.commit(&[("deployments/base.toml", &both)]);
    place.until("it failed", || place.device("till-1").is_some_and(|d| d.status.code == 424));
    let has = place.device("till-1").and_then(|d| d.in_force).expect("it has");
    assert!(has.manifest.contains("web:1") && !has.manifest.contains("web:2"), "{}", has.manifest);
    assert!(has.manifest.contains("meter:2"), "the other module did change: {}", has.manifest);
    assert_eq!(has.revision, second);
    place.until("the others", || place.has("till-2", "web:2"));
    let out = done(&place, &["history", "till-1"]);
    assert!(out.contains("skipped because image web:2 failed: could not pull web:2"), "{out}");
    // It counts as failed for what was tried, and not as pending.
    let json = done(&place, &["status", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["deployments"][0]["failure"], 1, "{json}");
    assert_eq!(json["deployments"][0]["success"], 2);

    // Back to what runs: nothing is done, and all is said to be so.
    let before = place.device("till-1").expect("recorded").modules["web"].container.clone();
    place.commit(&[("deployments/base.toml", &both.replace("web:2", "web:1"))]);
    place.until("as before", || all_have(&place, "web:1"));
    assert_eq!(place.device("till-1").expect("recorded").modules["web"].container, before);
    daemon.stop();
}

#[test]
fn a_renamed_fleet_keeps_its_store_also_under_watch() {
    let mut place = shop();
    let states = place.path("states");
    let fleet = place.fleet().display().to_string();
    place.variables.push(("XDG_STATE_HOME".to_owned(), states.display().to_string()));
    let started = |place: &Place, name: &str| {
        let mut daemon = place
            .hoist(&["watch", &fleet, "--simulate", "--listen", "off"])
            .env_remove("HOIST_STATE")
            .stderr(std::fs::File::create(place.path("log")).expect("a log"))
            .stdout(Stdio::null())
            .spawn()
            .expect("a daemon");
        let folder = states.join("hoist").join(name).join("simulated");
        let devices = || hoist::store::Store::open_to_read(&folder).ok()??.load_devices().ok();
        let is_done =
            || devices().is_some_and(|d| d.len() == 3 && d.values().all(|d| d.status.code == 200));
        place.until("all is as desired", is_done);
        daemon.kill().expect("killed");
        daemon.wait().expect("it ends");
        let devices = devices().expect("read");
        devices.values().map(|d| d.modules["web"].container.clone()).collect::<Vec<_>>()
    };
    let before = started(&place, "shop");
    let renamed = "name = \"store\"\nformerly = [\"shop\"]\n[defaults]\nprobation = \"0s\"\n";
    place.commit(&[("fleet.toml", renamed)]);
    assert_eq!(started(&place, "store").len(), before.len());
    assert!(!states.join("hoist/shop").exists(), "it was renamed");
    let said = hoist(
        &place,
        &["history", "--simulate", "--state", &states.join("hoist/store").display().to_string()],
    );
    assert!(said.out.contains("create web"), "the history came along: {}{}", said.out, said.err);
}

//! The daemon with simulated engines.

use crate::place::Place;
use hoist::model::{ContainerState, DeviceId, manifest_hash};
use hoist::resolve::check;
use hoist::source::Repository;
use hoist::store::{Approval, OrderKind, Pause, Pin, Scope, fleet_key};

const FLEET: &str = "name = \"shop\"\n[defaults]\nprobation = \"0s\"\n";
pub(crate) const TILLS: &str = "[tags]\nenvironment = \"prod\"\n[[device]]\nid = \"till-1\"\n[[device]]\nid = \"till-2\"\n\
                     [[device]]\nid = \"till-3\"\n";

pub(crate) fn base(image: &str) -> String {
    format!(
        "target = \"tags.environment = 'prod'\"\npriority = 10\n[modules.web]\nimage = \"web:{image}\"\n\
         [modules.meter]\nimage = \"meter:1\"\n"
    )
}

pub(crate) fn shop() -> Place {
    Place::new(&[
        ("fleet.toml", FLEET),
        ("devices/tills.toml", TILLS),
        ("deployments/base.toml", &base("1")),
    ])
}

pub(crate) fn all_have(place: &Place, text: &str) -> bool {
    ["till-1", "till-2", "till-3"].iter().all(|device| place.has(device, text))
}

#[test]
fn every_commit_goes_out_and_a_wrong_one_is_held_until_a_good_one_comes() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let good = place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the second", || all_have(&place, "web:2"));
    assert_eq!(place.accepted().as_ref(), Some(&good));

    let wrong = place.commit(&[("deployments/base.toml", "target = 5\n")]);
    place.until("held", || place.held().is_some_and(|held| held["revision"] == wrong.as_str()));
    let reasons = place.held().expect("held")["reasons"][0].as_str().unwrap_or_default().to_owned();
    assert!(reasons.starts_with("deployments/base.toml:1:10: "), "{reasons}");
    assert_eq!(place.accepted(), Some(good));
    assert!(all_have(&place, "web:2"));

    place.commit(&[("deployments/base.toml", &base("3"))]);
    place.until("the next good one", || all_have(&place, "web:3") && place.held().is_none());
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_exceeds_a_guard_waits_for_an_approval_also_below_a_newer_head() {
    let strict = format!("{FLEET}[guards]\nmax-modules-removed = 1\n");
    let place = shop();
    place.commit(&[("fleet.toml", &strict)]);
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let without =
        "target = \"tags.environment = 'prod'\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n";
    let removing = place.commit(&[("deployments/base.toml", without)]);
    place.until("held", || place.held().is_some());
    assert_eq!(place.held().expect("held")["numbers"]["modules-removed"], 3);
    assert!(all_have(&place, "meter:1"), "nothing is removed");

    // A newer head on top of it is held as well, as it does the same and more.
    let newer = place.commit(&[("deployments/base.toml", &without.replace("web:1", "web:2"))]);
    place.until("the newer held", || {
        place.held().is_some_and(|held| held["revision"] == newer.as_str())
    });
    // An approval of fewer than are removed is none.
    let approve = |n| {
        let numbers = [("modules-removed".to_owned(), n)].into();
        let (revision, who) = (removing.clone(), "ada".to_owned());
        place
            .store_to_write()
            .approve(&Approval { revision, who, at: Place::now(), numbers })
            .expect("written");
    };
    approve(2);
    place.until("looked at", || {
        place.held().is_some_and(|held| held["revision"] == removing.as_str())
    });
    approve(3);
    place.until("both gone out", || all_have(&place, "web:2") && place.held().is_none());
    assert_eq!(place.accepted(), Some(newer));
    assert!(!all_have(&place, "meter:1"));
}

#[test]
fn one_daemon_a_store_and_no_apply_beside_it() {
    let place = shop();
    let first = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let (code, words) = place.watch(&[]).ends();
    assert_eq!(code, 1);
    assert!(words.contains("process "), "{words}");
    let fleet = place.fleet();
    let output = place
        .hoist(&["-C", &fleet.display().to_string(), "apply", "--simulate", "--yes"])
        .output()
        .expect("hoist");
    assert_eq!(output.status.code(), Some(1));
    drop(first);
}

#[test]
fn a_lost_store_is_rebuilt_from_what_runs() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    daemon.kill();
    let before = place.device("till-1").expect("recorded");
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(place.state_folder().join(file));
    }
    // While nothing is known, a commit removes more than its guard lets through.
    let strict = format!("{FLEET}[guards]\nmax-modules-removed = 1\n");
    let without =
        "target = \"tags.environment = 'prod'\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n";
    place.commit(&[("fleet.toml", &strict), ("deployments/base.toml", without)]);
    let daemon = place.watch(&[]);
    place.until("held by what runs", || place.held().is_some());
    assert_eq!(place.held().expect("held")["numbers"]["modules-removed"], 3);
    place.commit(&[("deployments/base.toml", &base("1"))]);
    place.until("recorded again", || all_have(&place, "web:1"));
    let after = place.device("till-1").expect("recorded");
    assert_eq!(after.modules["web"].container, before.modules["web"].container, "nothing restarts");
    daemon.stop();
}

/// What engines run is in no store then, and the daemon alone has judged by it.
#[test]
fn what_is_held_after_a_lost_store_is_approved_as_status_says() {
    for (has_daemon, head_itself) in [(true, true), (true, false), (false, true), (false, false)] {
        let place = shop();
        let daemon = place.watch(&[]);
        place.until("the first commit", || all_have(&place, "meter:1"));
        daemon.kill();
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(place.state_folder().join(file));
        }
        let strict = format!("{FLEET}[guards]\nmax-modules-removed = 1\n");
        let without = "target = \"tags.environment = 'prod'\"\npriority = 10\n[modules.web]\nimage = \"web:1\"\n";
        let below = place.commit(&[("fleet.toml", &strict), ("deployments/base.toml", without)]);
        let head = place.commit(&[("deployments/base.toml", &without.replace("web:1", "web:2"))]);
        let mut daemon = Some(place.watch(&[]));
        place.until("held by what runs", || place.held().is_some());
        if !has_daemon {
            daemon.take().expect("it runs").stop();
        }
        let fleet = place.fleet().display().to_string();
        let approve = |revision: &str| {
            let output = place.hoist(&["-C", &fleet, "approve", revision, "--simulate"]).output();
            let output = output.expect("hoist");
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            (output.status.code(), said)
        };
        let (code, said) = approve(if head_itself { &head } else { &below });
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("  modules-removed: up to 3\n"), "{said}");
        let _daemon = daemon.unwrap_or_else(|| place.watch(&[]));
        place.until("gone out", || all_have(&place, "web:2"));
        assert_eq!(place.accepted(), Some(head));
    }
}

#[test]
fn paused_devices_are_left_alone_and_pinned_ones_are_where_they_are_pinned() {
    let place = shop();
    let first = place.head();
    let _daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let till = |name: &str| Scope::Device(DeviceId::parse(name).expect("an id"));
    let (reason, who) = ("serviced".to_owned(), "ada".to_owned());
    let store = place.store_to_write();
    let pause =
        Pause { id: 0, scope: till("till-1"), reason, who, since: Place::now(), until: None };
    store.pause(&pause).expect("written");
    let (reason, who) = ("a demonstration".to_owned(), "ada".to_owned());
    let pin = Pin {
        id: 0,
        revision: first.clone(),
        scope: till("till-2"),
        reason,
        who,
        since: Place::now(),
        until: None,
    };
    store.pin(&pin).expect("written");
    let second = place.commit(&[("deployments/base.toml", &base("2"))]);
    place.until("the third has it", || place.has("till-3", "web:2"));
    place.until("the first says why not", || {
        place.device("till-1").is_some_and(|d| d.status.description == "paused by ada: serviced")
    });
    assert!(place.has("till-2", "web:1"));
    store.take_back(OrderKind::Pause, None, "ada", Place::now()).expect("written");
    store.take_back(OrderKind::Pin, None, "ada", Place::now()).expect("written");
    place.until("all have it", || all_have(&place, "web:2"));
    assert_eq!(
        place.device("till-2").expect("recorded").in_force.expect("it has").revision,
        second
    );
}

#[test]
fn a_device_keeps_what_it_has_without_a_base_and_under_another_name() {
    let place = shop();
    let daemon = place.watch(&[]);
    place.until("the first commit", || all_have(&place, "web:1"));
    let retained =
        TILLS.replace("id = \"till-3\"", "id = \"till-3\"\ntags = { environment = \"none\" }");
    place.commit(&[("devices/tills.toml", &retained)]);
    place.until("retained", || {
        place.device("till-3").is_some_and(|d| d.status.description.starts_with("retained"))
    });
    assert!(place.has("till-3", "web:1"));
    // A new base comes for it, and another one is renamed, in one commit.
    let renamed = TILLS.replace("id = \"till-1\"", "id = \"front\"\nformerly = [\"till-1\"]");
    place.commit(&[("devices/tills.toml", &renamed), ("deployments/base.toml", &base("2"))]);
    place.until("both have it", || place.has("till-3", "web:2") && place.has("front", "web:2"));
    assert!(place.device("till-1").is_none());
    daemon.stop();
    let store = place.store().expect("a store");
    assert_eq!(store.fleet_state(fleet_key::ACCEPTED).expect("read"), Some(place.head()));
}

/// Wherever it is killed, the next one goes on: in the end each device has what the last commit says.
#[test]
fn a_daemon_that_is_killed_again_and_again_loses_nothing() {
    let place = shop();
    for round in 0..100_u64 {
        let daemon = place.watch(&[]);
        place.commit(&[("deployments/base.toml", &base(&format!("r{round}")))]);
        std::thread::sleep(std::time::Duration::from_millis(37 * (round * 7 % 23)));
        daemon.kill();
    }
    let last = place.commit(&[("deployments/base.toml", &base("last"))]);
    let daemon = place.watch(&[]);
    place.until("the last commit", || all_have(&place, "web:last"));
    assert_eq!(place.accepted(), Some(last.clone()));
    daemon.stop();
    let repository = Repository::open(&place.fleet()).expect("a repository");
    let revision = repository.resolve(&last).expect("the last commit");
    let checked = check(&repository.read(&revision).expect("its files"));
    let (fleet, resolution) = checked.fleet.expect("it is valid");
    for device in ["till-1", "till-2", "till-3"] {
        let file = place.state_folder().join(format!("engines/{device}.json"));
        let engine =
            hoist::engine::simulated::Simulated::open(Some(file), device).expect("an engine");
        let seen = engine.control().observed().expect("seen");
        let mut names: Vec<&str> = seen.containers.iter().map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["meter", "web"], "{device}: no duplicate, no orphan");
        let id = DeviceId::parse(device).expect("an id");
        let wanted = resolution.manifest(&fleet, &id).expect("targeted").expect("whole");
        let stored = place.device(device).expect("recorded");
        let in_force = stored.in_force.expect("it has something");
        assert_eq!(
            (in_force.manifest_hash, in_force.revision),
            (manifest_hash(&wanted), last.clone()),
            "{device}: what was accepted is what it has"
        );
        for container in &seen.containers {
            let standing = &stored.modules[container.name.as_str()];
            assert_eq!(
                standing.container.as_deref(),
                Some(container.id.as_str()),
                "{device}: store and engine agree on {}",
                container.name
            );
            assert_eq!(container.state, ContainerState::Running, "{device}: {}", container.name);
        }
    }
}

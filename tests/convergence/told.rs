//! What stands in the way is told once in the history, and its end too.

use crate::passes::House;
use hoist::store::{HistoryFilter, StoredDevice};
use serde_json::json;
use std::collections::BTreeMap;

/// What the history says of a device, without what was done there.
fn trouble(house: &House) -> Vec<String> {
    let entries = house.store().history(&HistoryFilter::default()).unwrap();
    let of_d1 = entries
        .into_iter()
        .filter(|entry| entry.device.as_ref().is_some_and(|d| d.as_str() == "d1"));
    let words =
        of_d1.filter(|entry| !["create", "replace", "start"].contains(&entry.action.as_str()));
    words
        .map(|entry| {
            let module = entry.module.map_or(String::new(), |module| format!(" {module}"));
            format!("{}{module}: {}, {}", entry.action, entry.reason, entry.outcome)
        })
        .collect()
}

#[test]
fn a_block_is_told_once_and_so_is_its_end() {
    let mut house = House::new();
    house.control("d1").load_image("theirs:1", &BTreeMap::new()).unwrap();
    house.control("d1").run_foreign("web", &json!({"Image": "theirs:1"})).unwrap();
    house.apply(0);
    house.apply(60);
    house.apply(60);
    let told = trouble(&house);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("block web: , not done: container web ("), "{told:?}");

    house.control("d1").remove("web").unwrap();
    house.apply(60);
    house.apply(60);
    let told = trouble(&house);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("unblock web: no longer: container web ("), "{told:?}");
}

/// What it has goes on, and is down at times: that makes no other block of it.
#[test]
fn a_block_of_a_module_that_is_down_is_one_block() {
    let mut house = House::new();
    house.write("deployments/base.toml", "target = \"*\"\n[modules.web]\nimage = \"web:1\"\n");
    house.apply(0);
    let body = json!({"Image": "theirs:1", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}});
    house.control("d1").load_image("theirs:1", &BTreeMap::new()).unwrap();
    house.control("d1").run_foreign("theirs", &body).unwrap();
    house.write(
        "deployments/base.toml",
        "target = \"*\"\n[modules.web]\nimage = \"web:1\"\nports = [\"8080:80\"]\n",
    );
    for _ in 0..6 {
        // It may be down already, and wait.
        let _ = house.control("d1").kill("web", 3);
        house.apply(20);
    }
    let told = trouble(&house);
    assert_eq!(told.iter().filter(|told| told.starts_with("block web")).count(), 1, "{told:#?}");
}

/// Between two tries nothing stands in the plan: that is no end of what stood in the way.
#[test]
fn a_start_that_is_refused_is_not_told_to_be_over_while_it_waits_for_the_next_try() {
    let mut house = House::new();
    house.write(
        "deployments/base.toml",
        "target = \"*\"\n[modules.web]\nimage = \"web:1\"\nports = [\"8080:80\"]\n",
    );
    house.apply(0);
    house.stop("d1", "web");
    house.control("d1").set_occupied(8080, true).unwrap();
    house.apply(20);
    assert_eq!(house.words("d1").0, 409, "{:?}", house.words("d1"));
    for _ in 0..8 {
        house.apply(5);
    }
    assert_eq!(trouble(&house), Vec::<String>::new(), "it is down");
    house.control("d1").set_occupied(8080, false).unwrap();
    for _ in 0..3 {
        house.apply(400);
    }
    assert_eq!(house.words("d1").0, 200, "{:?}", house.words("d1"));
}

#[test]
fn a_device_that_is_held_is_told_of_and_so_is_that_it_goes_on() {
    let mut house = House::new();
    house.write(
        "deployments/layer.toml",
        "kind = \"layered\"\npriority = 5\ntarget = \"properties.reported.model = '4000x'\"\n\
         [modules.extra]\nimage = \"extra:1\"\nenv = { ZONE = \"${device.tags.zone}\" }\n",
    );
    house.apply(0);
    let json = br#"{"device": {"model": "4000x"}}"#;
    house.control("d1").write_file("web", "/run/hoist/out/reported.json", json).unwrap();
    for later in [61, 700, 60] {
        house.apply(later);
    }
    let held = "its manifest can't be filled: extra.env.ZONE: the device has no tag `zone`";
    assert_eq!(trouble(&house), [format!("leave alone: , not done: {held}")]);
    house.write("devices/d1.toml", "[tags]\na = 1\nzone = \"south\"\n");
    house.apply(60);
    house.apply(60);
    assert_eq!(
        trouble(&house)[1..],
        [format!("go on: no longer: {held}; what it had stays in force, done")]
    );
}

/// Away for a while, it is left alone for the same reason when it is back; and when that is over, it is told so.
#[test]
fn a_device_that_is_left_alone_and_away_meanwhile_is_told_of_once_and_so_is_its_end() {
    let mut house = House::new();
    house.apply(0);
    let engine = |house: &House, engine: &str| {
        let store = house.store();
        let d1 = store.load_devices().unwrap().remove("d1").unwrap();
        let other = StoredDevice { engine_id: Some(engine.to_owned()), ..(*d1).clone() };
        store.record_device(&other).unwrap();
    };
    let ours = house.store().load_devices().unwrap()["d1"].engine_id.clone().unwrap();
    engine(&house, "another");
    house.apply(60);
    for _ in 0..2 {
        assert_eq!(house.words("d1").0, 409, "{:?}", house.words("d1"));
        house.take_away("d1");
        house.apply(60);
        assert_eq!(house.words("d1").0, 406);
        house.bring_back("d1");
        house.apply(60);
    }
    house.take_away("d1");
    house.apply(60);
    engine(&house, &ours);
    house.bring_back("d1");
    house.apply(60);
    house.apply(60);
    assert_eq!(house.words("d1").0, 200);
    let told = trouble(&house);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("leave alone: , not done: "), "{told:#?}");
    let why = told[0].trim_start_matches("leave alone: , not done: ");
    assert_eq!(told[1], format!("go on: no longer: {why}, done"));
}

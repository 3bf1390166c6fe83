//! The saved state of a fleet: read strictly, and the same after a round.

use crate::harness::{manifest, valid};
use hoist::model::{DeviceId, FleetName, Table, Timestamp};
use hoist::review::{DeviceState, FleetState, InForceState, decode_state};
use serde_json::json;
use std::collections::BTreeMap;

fn state() -> FleetState {
    let fleet = valid(crate::hashes::FULL);
    let id = |text: &str| DeviceId::parse(text).unwrap();
    let known = DeviceState {
        reported: Some(Table::from([("model".to_owned(), "x".into()), ("n".to_owned(), 4.into())])),
        seen: Some(Timestamp { seconds: 1_767_603_600 }),
        in_force: Some(InForceState {
            revision: "3f2a9c1".repeat(5),
            manifest: manifest(&fleet, "d"),
        }),
    };
    let unknown = DeviceState { reported: None, seen: None, in_force: None };
    FleetState {
        fleet: FleetName::parse("test").unwrap(),
        revision: Some("3f2a9c1".to_owned()),
        devices: BTreeMap::from([(id("d"), known), (id("away"), unknown)]),
    }
}

#[test]
fn what_is_written_is_read() {
    let state = state();
    assert_eq!(decode_state(&state.to_json().to_string()).unwrap(), state);
    assert_eq!(state.facts().0.len(), 1);
    assert_eq!(state.in_force().len(), 1);
}

#[test]
fn a_later_version_may_say_more() {
    let mut json = state().to_json();
    json["new"] = json!({"a": 1});
    json["devices"]["d"]["new"] = json!(null);
    assert_eq!(decode_state(&json.to_string()).unwrap(), state());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let wrong = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut json = state().to_json();
        edit(&mut json);
        decode_state(&json.to_string()).unwrap_err().to_string()
    };
    let removed = |path: &str, key: &str| {
        wrong(&|json| {
            let object = json.pointer_mut(path).unwrap().as_object_mut().unwrap();
            object.remove(key).unwrap();
        })
    };
    let set = |path: &str, value: serde_json::Value| {
        wrong(&|json| *json.pointer_mut(path).unwrap() = value.clone())
    };
    for (found, expected) in [
        (decode_state("{").unwrap_err().to_string(), "no JSON"),
        (decode_state("[]").unwrap_err().to_string(), "is no object"),
        (removed("", "format"), "`format` is missing"),
        (set("/format", json!(2)), "`format` is not 1"),
        (set("/format", json!("1")), "`format` is not 1"),
        (removed("", "fleet"), "`fleet` is missing"),
        (set("/fleet", json!("No Name")), "`fleet` "),
        (removed("", "revision"), "`revision` is missing"),
        (set("/revision", json!(3)), "`revision` is no text"),
        (removed("", "devices"), "`devices` is missing"),
        (set("/devices", json!([])), "`devices` is no object"),
        (set("/devices", json!({"a b": {}})), "`devices.a b` "),
        (removed("/devices/d", "seen"), "`devices.d.seen` is missing"),
        (set("/devices/d/seen", json!("yesterday")), "`devices.d.seen` `yesterday` is no moment"),
        (set("/devices/d/reported", json!([1])), "`devices.d.reported` is no object"),
        (removed("/devices/d", "in_force"), "`devices.d.in_force` is missing"),
        (removed("/devices/d/in_force", "manifest"), "`devices.d.in_force.manifest` is missing"),
        (
            set("/devices/d/in_force/manifest", json!("base = 1")),
            "`devices.d.in_force.manifest` is no manifest",
        ),
    ] {
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }
}

//! A file in `deployments/`: one schema for its three kinds, which differ by what they take.

use super::fleet_file::rollout_settings;
use super::module::module;
use super::parts::{
    any_table, boolean, code, device_id, duration, integer, module_name, names_to, not_empty,
    route_name, table, table_with, text, word,
};
use serde_json::{Value as Json, json};

pub(super) fn deployment() -> Json {
    let created = json!({
        "type": "string",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)",
    });
    let mut target = code();
    target["examples"] = json!(["*", "tags.environment = 'prod'"]);
    let mut deployment = table([
        (
            "kind",
            "automatic (default) | layered | device",
            word(&["automatic", "layered", "device"]),
        ),
        ("target", "absent: no device", target),
        ("device", "the device that a deployment of kind `device` is for", device_id()),
        ("priority", "0 … 2147483647, default 0; larger wins", integer(0, i64::from(i32::MAX))),
        (
            "created",
            "breaks ties of priority, the newest wins; `hoist stamp FILE` writes it",
            created,
        ),
        ("labels", "free labels of the deployment", names_to(&not_empty(), &text())),
        ("modules", "what the devices run", names_to(&module_name(), &module())),
        ("routes", "ways of messages between modules", names_to(&route_name(), &route())),
        (
            "metrics",
            "queries; `hoist status` shows how many rows each gives",
            names_to(&not_empty(), &code()),
        ),
        ("phased", "false: at once on all devices, without the fleet's phases", boolean()),
        ("rollout", "tightens the fleet's rollout", table(rollout_settings())),
        ("azure", "opaque; kept for export", any_table()),
    ]);
    let says = |kind: &str| json!({"required": ["kind"], "properties": {"kind": {"const": kind}}});
    deployment["if"] = says("device");
    deployment["then"] = json!({
        "required": ["device"],
        "properties": {"target": false, "priority": false, "modules": each(&whole_module())},
    });
    deployment["else"] = json!({
        "properties": {"device": false},
        "if": says("layered"),
        "then": {"properties": {"modules": each(&entry_of_a_layer())}},
        "else": {"properties": {"modules": each(&whole_module())}},
    });
    deployment
}

fn each(module: &Json) -> Json {
    json!({"additionalProperties": module})
}

/// An entry that stands for itself.
fn whole_module() -> Json {
    json!({
        "required": ["image"],
        "properties": {"desired-at": false, "patch": false, "unset": false},
    })
}

/// An entry that replaces the module below (with an image), changes it, or touches its twin only.
fn entry_of_a_layer() -> Json {
    let unset_of_the_twin =
        json!({"items": {"type": "string", "pattern": r"^desired(\.|$)"}, "minItems": 1});
    json!({
        "if": {"required": ["patch"], "properties": {"patch": {"const": true}}},
        "else": {
            "anyOf": [
                {"required": ["image"], "not": {"required": ["unset"], "properties": {"unset": {"minItems": 1}}}},
                {
                    "propertyNames": {"enum": ["desired", "desired-at", "patch", "unset"]},
                    "properties": {"unset": {"items": unset_of_the_twin["items"]}},
                    "anyOf": [
                        {"required": ["desired"]},
                        {"required": ["desired-at"]},
                        {"required": ["unset"], "properties": {"unset": unset_of_the_twin}},
                    ],
                },
            ],
        },
    })
}

fn route() -> Json {
    let mut written = code();
    written["pattern"] = json!(r"\S");
    let with_more = table_with(
        &["route"],
        [
            ("route", "FROM … INTO …", written.clone()),
            ("priority", "0 … 9; smaller goes first", integer(0, 9)),
            ("time-to-live", "how long a message waits at most", duration()),
        ],
    );
    json!({"anyOf": [written, with_more]})
}

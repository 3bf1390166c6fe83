//! A file in `devices/`: one device, or a list with what all of it shares.

use super::parts::{
    Key, any_table, boolean, device_id, list, pattern, secret_name, table, table_with,
};
use serde_json::{Value as Json, json};

pub(super) fn devices() -> Json {
    let one = table_with(&["id"], device_keys());
    let more = ("device", "a list of devices; what stands on top is shared by all", list(&one));
    let mut file = table(device_keys().into_iter().chain([more]));
    file["definitions"] = json!({"tag": {
        "propertyNames": {"pattern": "^[^/;]+$"},
        "additionalProperties": {"$ref": "#/definitions/tag"},
        "items": {"$ref": "#/definitions/tag"},
    }});
    // Of a list only tags, reported and tls can be shared.
    file["if"] = json!({"required": ["device"]});
    file["then"] = json!({
        "properties": {"id": false, "engine": false, "reachable": false, "formerly": false},
    });
    file
}

fn device_keys() -> Vec<Key> {
    let tags = json!({
        "type": "object",
        "propertyNames": {"pattern": "^[^/;]+$"},
        "additionalProperties": {"$ref": "#/definitions/tag"},
    });
    vec![
        ("id", "its id, where the file's name can't be it", device_id()),
        (
            "engine",
            "unix:// | tcp://host:port | ssh://user@host[:port]; may be absent",
            pattern("^(unix:///.+|tcp://.+:[0-9]+|ssh://.+)$"),
        ),
        ("tls", "name of the client certificate and CA on the control host", secret_name()),
        ("formerly", "former ids whose containers are still this device's", list(&device_id())),
        ("reachable", "false: it is not reached by push", boolean()),
        ("tags", "strings, numbers, booleans, lists of these, nested tables", tags),
        ("reported", "what the device is taken to report until it does", any_table()),
    ]
}

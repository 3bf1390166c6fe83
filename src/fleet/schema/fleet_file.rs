//! `fleet.toml`.

use super::module::defaults;
use super::parts::{
    Key, amount, at_least, boolean, code, duration, fleet_name, list, longer_than_no_time,
    names_to, not_empty, pattern, secret_name, some_amount, some_share, table, table_with, word,
};
use crate::diagnostic::Code;
use crate::fleet::decode::DEFAULT_KEYS;
use crate::model::UNWRITTEN_PHASES;
use serde_json::{Map, Value as Json, json};

/// The words on lints are those that people read in the documentation.
const LINTS: &str = include_str!("../../../docs/lints.md");

pub(super) fn fleet() -> Json {
    let word_of_a_module = pattern(r"^[A-Za-z0-9][A-Za-z0-9_-]{1,62}(\.[^.]+)+$");
    table_with(
        &["name"],
        [
            ("name", "goes into every container's labels", fleet_name()),
            ("formerly", "former names whose containers are still ours", list(&fleet_name())),
            (
                "defaults",
                "filled into finished modules, after the merge, below everything",
                defaults(&DEFAULT_KEYS),
            ),
            (
                "registries",
                "registries that need credentials, by host and port",
                names_to(&json!({"pattern": r"^[^/\s]+$"}), &registry()),
            ),
            (
                "reported-properties",
                "which words of a module target conditions may read, and under which name",
                names_to(&not_empty(), &word_of_a_module),
            ),
            ("lints", "allow | warn | error", lints()),
            ("guards", "these values are built in; the stricter of two revisions counts", guards()),
            ("rollout", "how changes go out; absent: to all devices at once", rollout()),
            ("network", "the network that Hoist makes on a device", network()),
        ],
    )
}

fn registry() -> Json {
    table_with(
        &["credentials"],
        [("credentials", "a secret's name; what it is stands on the control host", secret_name())],
    )
}

fn lints() -> Json {
    let keys: Map<String, Json> = Code::ALL
        .iter()
        .filter(|code| code.is_lint())
        .map(|code| {
            let mut level = word(&["allow", "warn", "error"]);
            level["description"] = json!(words_on(*code));
            level["default"] = json!(code.default_level().as_str());
            (code.as_str().to_owned(), level)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": keys})
}

/// The first paragraph that the documentation has on a lint.
fn words_on(code: Code) -> &'static str {
    let section = LINTS.split("\n## ").find(|text| text.starts_with(&format!("`{code}`\n")));
    let paragraph = section.and_then(|text| text.split("\n\n").nth(1)).unwrap_or_default();
    paragraph.split_once(". ").map_or(paragraph, |(_default, words)| words)
}

fn guards() -> Json {
    table([
        (
            "max-devices-disrupted",
            "on which something is recreated, stopped or removed; never below 5",
            amount(),
        ),
        ("max-modules-removed", "modules that one change may remove", at_least(0)),
        ("allow-empty", "no device, or no deployment, where there was one", boolean()),
    ])
}

fn network() -> Json {
    table([(
        "subnet",
        "of the network that Hoist makes on a device; absent: the engine's choice",
        pattern("^[0-9A-Fa-f.:]+/[0-9]+$"),
    )])
}

fn rollout() -> Json {
    let phase = table(rollout_settings().into_iter().chain([
        ("name", "its name, in status and logs; `rest` is that of whoever is in no other", {
            let mut name = not_empty();
            name["not"] = json!({"enum": UNWRITTEN_PHASES});
            name
        }),
        ("target", "which devices, by condition", code()),
        ("share", "how much of them: \"25%\"", some_share()),
    ]));
    let mut phase = phase;
    phase["oneOf"] = json!([{"required": ["target"]}, {"required": ["share"]}]);
    table(rollout_settings().into_iter().chain([(
        "phases",
        "the phases before all other devices",
        list(&phase),
    )]))
}

/// Settings of a rollout, of one of its phases, and of a deployment.
pub(super) fn rollout_settings() -> Vec<Key> {
    vec![
        ("on-failure", "rollback (default) | halt", word(&["rollback", "halt"])),
        (
            "max-failures",
            "devices of a phase that may fail before the rollout stops: 5 or \"10%\"; default 0",
            amount(),
        ),
        (
            "min-success",
            "devices that must have succeeded before the next phase; default all of up to 10, else 90%",
            some_amount(),
        ),
        (
            "max-unavailable",
            "devices that may be changing at one time; default 10%, at least 1",
            some_amount(),
        ),
        ("soak", "how long a phase must stay good; default 10m", duration()),
        (
            "timeout",
            "a device that has not succeeded this long after its first step has failed; default 1h",
            longer_than_no_time(),
        ),
    ]
}

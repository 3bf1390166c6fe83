//! Settings of a module: in a deployment, and as defaults of a fleet.

use super::parts::{
    Key, any_case, any_table, at_least, boolean, bytes, duration, form, integer, list, names_to,
    not_empty, pattern, plain, secret_name, table, table_with, text, word,
};
use crate::model::{NetworkMode, PullPolicy, RestartPolicy, Status};
use serde_json::{Value as Json, json};

const LARGEST_COUNT: i64 = u32::MAX as i64;

/// One entry of `[modules]`. What depends on the kind of deployment is said there.
pub(super) fn module() -> Json {
    let mut module = table(keys().into_iter().chain(twin_keys()));
    module["not"] = json!({"required": ["networks", "network-mode"]});
    module
}

/// `[defaults]`: those of the keys that it takes.
pub(super) fn defaults(taken: &[&str]) -> Json {
    table(keys().into_iter().filter(|(key, ..)| taken.contains(key)))
}

fn keys() -> Vec<Key> {
    [what_runs(), how_it_runs(), what_it_reaches(), what_it_may(), what_it_is_told()].concat()
}

fn what_runs() -> Vec<Key> {
    vec![
        (
            "image",
            "NAME[:TAG][@sha256:…]",
            form(
                r"^(([A-Za-z0-9_\[][A-Za-z0-9_.:\[\]-]*|localhost)/)?[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$",
            ),
        ),
        ("version", "free text, shown in the twin; restarts nothing", plain()),
        ("status", "running (default) | stopped", word(Status::WORDS)),
        (
            "restart-policy",
            "always (default) | on-failure | on-unhealthy | never",
            word(RestartPolicy::WORDS),
        ),
        ("image-pull-policy", "on-create (default) | always | never", word(PullPolicy::WORDS)),
        ("startup-order", "0 … 4294967295, default last", integer(0, LARGEST_COUNT)),
        ("stop-timeout", "how long it may take to end before it is killed", duration()),
        ("probation", "how long a new container must stay up; default 10s", duration()),
        (
            "keep-previous",
            "how long the replaced container is kept, stopped; default 0s",
            duration(),
        ),
    ]
}

fn how_it_runs() -> Vec<Key> {
    vec![
        ("command", "the arguments, or the program and its arguments", list(&text())),
        ("entrypoint", "the program, instead of the image's", list(&text())),
        ("user", "user, or user and group, as which it runs", plain()),
        ("hostname", "its own host name", not_empty()),
        ("init", "whether a small init collects its ended processes", boolean()),
        ("log", "how its output is kept; at most 3 files of 10m each unless it says so", log()),
        ("health", "how to tell that it is well", health()),
        ("labels", "labels of its container", labels(&text())),
    ]
}

fn what_it_reaches() -> Vec<Key> {
    let network = json!({
        "type": "string",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]*$|\$\{",
        "not": {"enum": ["bridge", "default", "host", "none"]},
    });
    let mut networks = list(&network);
    networks["minItems"] = json!(1);
    vec![
        (
            "ports",
            "[ip:]host:container[/tcp|udp]",
            list(&form(r"^(\[[0-9A-Fa-f:.]+\]:|[0-9.]+:)?[0-9]+:[0-9]+(/(tcp|udp))?$")),
        ),
        (
            "volumes",
            "name:/path or /path/of/device:/path, with :ro if it may only read",
            list(&form("^([A-Za-z0-9][A-Za-z0-9_.-]+|/[^:]*):/[^:]*(:(ro|rw))?$")),
        ),
        (
            "tmpfs",
            "paths in the module that lie in memory",
            list(&json!({
                "type": "string", "pattern": "^/", "not": {"pattern": r"\$\{"},
            })),
        ),
        ("host-devices", "/dev/x[:/dev/y[:rwm]]", list(&form("^/[^:]*(:/[^:]*(:[rwm]+)?)?$"))),
        ("networks", "instead of the fleet's own; not `bridge`", networks),
        ("network-mode", "host | none, instead of networks", word(NetworkMode::WORDS)),
        ("extra-hosts", "host names and their addresses", names_to(&not_empty(), &plain())),
    ]
}

fn what_it_may() -> Vec<Key> {
    let gpus = json!({"anyOf": [{"const": "all"}, integer(1, LARGEST_COUNT)]});
    let cpus = json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000});
    vec![
        ("memory", "at most so many bytes of memory: \"256MiB\"", bytes()),
        ("cpus", "at most so many processors: 0.5", cpus),
        ("shm-size", "size of /dev/shm: \"64MiB\"", bytes()),
        ("gpus", "\"all\" or a number", gpus),
        ("privileged", "whether it can do anything on its device", boolean()),
        ("cap-add", "capabilities that it gets", list(&plain())),
        ("cap-drop", "capabilities that are taken from it", list(&plain())),
        ("read-only", "root file system", boolean()),
    ]
}

fn what_it_is_told() -> Vec<Key> {
    let variable = json!({
        "minLength": 1,
        "pattern": r"^[^=\s]+$",
        "not": {"enum": ["HOIST_DEVICE_ID", "HOIST_MODULE_ID", "HOIST_TWIN"]},
    });
    let secret = table_with(&["secret"], [("secret", "a secret's name", secret_name())]);
    let value = json!({"anyOf": [{"type": ["string", "number", "boolean"]}, secret]});
    vec![
        (
            "env",
            "strings, numbers, booleans, or { secret = \"NAME\" }",
            names_to(&variable, &value),
        ),
        (
            "create-options",
            "body of the engine's *create*, for what the keys above lack",
            create_options(),
        ),
        ("router", "whether this module carries the routes' messages", boolean()),
    ]
}

/// The twin, and how an entry of a layer meets what is below.
fn twin_keys() -> Vec<Key> {
    let path = json!({"minLength": 1, "pattern": r"^[^.]+(\.[^.]+)*$"});
    let names: Vec<&str> = keys().into_iter().map(|(key, ..)| key).collect();
    let whole: Vec<&str> = names.iter().copied().filter(|name| *name != "image").collect();
    let unset = pattern(&format!(
        r"^({})$|^(env|labels|extra-hosts|create-options|desired)\..+$",
        [whole, vec!["desired"]].concat().join("|")
    ));
    vec![
        ("desired", "the module twin's desired properties", any_table()),
        (
            "desired-at",
            "sets this one value of the desired properties, by path",
            json!({"type": "object", "propertyNames": path}),
        ),
        ("patch", "keeps the module below; only the keys given here change", boolean()),
        ("unset", "taken away first", list(&unset)),
    ]
}

fn log() -> Json {
    table([
        ("driver", "log driver, default json-file", plain()),
        ("max-size", "size of one file: 10m", pattern("^0*[1-9][0-9]*[kmg]?$")),
        ("max-file", "number of files", integer(1, LARGEST_COUNT)),
    ])
}

fn health() -> Json {
    let command = json!({
        "type": "array",
        "anyOf": [
            {"items": [{"const": "CMD"}], "additionalItems": text(), "minItems": 2},
            {"items": [{"const": "CMD-SHELL"}, text()], "minItems": 2, "maxItems": 2},
            {"items": [{"const": "NONE"}], "minItems": 1, "maxItems": 1},
        ],
    });
    table_with(
        &["command"],
        [
            ("command", "[\"CMD\", program, …], [\"CMD-SHELL\", line] or [\"NONE\"]", command),
            ("interval", "time between two probes, default 30s", duration()),
            ("timeout", "time that one probe may take, default 30s", duration()),
            ("retries", "failures in a row that make it unhealthy, default 3", at_least(1)),
            ("start-period", "time after start in which failures don't count", duration()),
        ],
    )
}

fn labels(value: &Json) -> Json {
    let own = format!("^{}", any_case("hoist."));
    names_to(&json!({"minLength": 1, "not": {"pattern": own}}), value)
}

/// Opaque, but for what Hoist sets itself. Engines take keys in any letter case.
fn create_options() -> Json {
    let exactly = |word| format!("^{}$", any_case(word));
    let without = |word| json!({"propertyNames": {"not": {"pattern": exactly(word)}}});
    let own = format!("^{}", any_case("hoist."));
    let mut options = without("Image");
    options["type"] = json!("object");
    options["patternProperties"] = json!({
        exactly("HostConfig"): without("RestartPolicy"),
        exactly("Labels"): {"propertyNames": {"not": {"pattern": own}}},
    });
    options
}

//! Pieces that schemas of several kinds of tables are made of: tables, words, names, durations, sizes.

use serde_json::{Map, Value as Json, json};

/// A key, what is said of it, and what it takes.
pub(super) type Key = (&'static str, &'static str, Json);

/// A table with these keys and no other.
pub(super) fn table(keys: impl IntoIterator<Item = Key>) -> Json {
    let properties: Map<String, Json> = keys
        .into_iter()
        .map(|(key, words, mut value)| {
            value["description"] = json!(words);
            (key.to_owned(), value)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// The same; some keys must be there.
pub(super) fn table_with(required: &[&str], keys: impl IntoIterator<Item = Key>) -> Json {
    let mut table = table(keys);
    table["required"] = json!(required);
    table
}

/// A table whose keys are names; `name` says which.
pub(super) fn names_to(name: &Json, value: &Json) -> Json {
    json!({"type": "object", "propertyNames": name, "additionalProperties": value})
}

/// A table of anything.
pub(super) fn any_table() -> Json {
    json!({"type": "object"})
}

/// Any text; most may hold templates.
pub(super) fn text() -> Json {
    json!({"type": "string"})
}

/// A text that is not empty and takes no templates.
pub(super) fn plain() -> Json {
    json!({"type": "string", "minLength": 1, "not": {"pattern": r"\$\{"}})
}

/// A text that is not empty.
pub(super) fn not_empty() -> Json {
    json!({"type": "string", "minLength": 1})
}

/// A text of a form.
pub(super) fn pattern(pattern: &str) -> Json {
    json!({"type": "string", "pattern": pattern})
}

/// A text of a form, or with a template in it.
pub(super) fn form(pattern: &str) -> Json {
    json!({"type": "string", "pattern": format!(r"{pattern}|\$\{{")})
}

/// One of some words.
pub(super) fn word(words: &[&str]) -> Json {
    json!({"enum": words})
}

pub(super) fn boolean() -> Json {
    json!({"type": "boolean"})
}

pub(super) fn list(items: &Json) -> Json {
    json!({"type": "array", "items": items})
}

pub(super) fn integer(least: i64, most: i64) -> Json {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

/// An integer with no upper bound but its type's.
pub(super) fn at_least(least: i64) -> Json {
    json!({"type": "integer", "minimum": least})
}

pub(super) fn duration() -> Json {
    pattern("^(0|([0-9]+(ms|s|m|h|d))+)$")
}

/// A duration that is not 0.
pub(super) fn longer_than_no_time() -> Json {
    let mut duration = duration();
    duration["not"] = json!({"pattern": "^[0msdh]+$"});
    duration
}

/// A size in bytes: a number, or a text with its unit.
pub(super) fn bytes() -> Json {
    json!({"anyOf": [
        at_least(1),
        pattern(r"^0*[1-9][0-9]*\s*(TiB|GiB|MiB|KiB|B|g|m|k|b)?$"),
    ]})
}

/// A share such as `25%`.
pub(super) fn share() -> Json {
    pattern(r"^0*(100(\.00?)?|[0-9]{1,2}(\.[0-9]{1,2})?)\s*%$")
}

/// A share that is not 0.
pub(super) fn some_share() -> Json {
    let mut share = share();
    share["not"] = json!({"pattern": r"^[0.]*\s*%$"});
    share
}

/// A count or a share that is not 0.
pub(super) fn some_amount() -> Json {
    json!({"anyOf": [at_least(1), some_share()]})
}

/// A count or a share.
pub(super) fn amount() -> Json {
    json!({"anyOf": [at_least(0), share()]})
}

/// A condition, query or route.
pub(super) fn code() -> Json {
    json!({"type": "string", "maxLength": 8192})
}

pub(super) fn device_id() -> Json {
    pattern("^[A-Za-z0-9_.:+%#*?!(),=@$'-]{1,128}$")
}

pub(super) fn fleet_name() -> Json {
    pattern("^[a-z0-9][a-z0-9-]{0,30}$")
}

pub(super) fn secret_name() -> Json {
    pattern("^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
}

pub(super) fn route_name() -> Json {
    json!({"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{1,62}$"})
}

pub(super) fn module_name() -> Json {
    json!({
        "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{1,62}$",
        "not": {"pattern": "^(edgeAgent$|edgeHub$|hoist-)"},
    })
}

/// A pattern that a word meets in any letter case.
pub(super) fn any_case(word: &str) -> String {
    word.chars()
        .map(|c| match c {
            '.' => r"\.".to_owned(),
            c => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
        })
        .collect()
}

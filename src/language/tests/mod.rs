//! The language as a whole: examples, real conditions, errors with their places, truth tables, properties.

mod errors;
mod evaluation;
mod examples;
mod index;
mod queries;
mod query_errors;
mod round_trip;

use super::{Condition, LanguageError, Query, Subject, Truth};
use crate::diagnostic::Source;
use crate::model::{Device, DeviceId, Table, Value};

/// A condition that must be right.
fn condition(text: &str) -> Condition {
    Condition::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"))
}

/// The errors of a condition that must be wrong.
fn errors(text: &str) -> Vec<LanguageError> {
    match Condition::parse(text) {
        Ok(condition) => panic!("{text} was read as {condition}"),
        Err(errors) => errors,
    }
}

/// A query, or bare condition, that must be right.
fn query(text: &str) -> Query {
    Query::parse_or_condition(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"))
}

/// The errors of a query, or bare condition, that must be wrong.
fn query_errors(text: &str) -> Vec<LanguageError> {
    match Query::parse_or_condition(text) {
        Ok(query) => panic!("{text} was read as {query}"),
        Err(errors) => errors,
    }
}

/// A device with tags as TOML has them.
fn device(id: &str, tags: &str) -> Device {
    let place = crate::diagnostic::Place::new(&Source::new("devices/d.toml", ""), 0..0);
    Device {
        id: DeviceId::parse(id).unwrap(),
        engine: None,
        reachable: false,
        tls: None,
        formerly: Vec::new(),
        tags: table(tags),
        reported: Table::new(),
        place,
    }
}

/// A table from JSON text without its outer braces.
fn table(text: &str) -> Table {
    match Value::from_json(&serde_json::from_str(&format!("{{{text}}}")).unwrap()) {
        Some(Value::Table(table)) => table,
        other => panic!("{other:?}"),
    }
}

/// The truth of a condition for a device with these tags.
fn truth(text: &str, tags: &str) -> Truth {
    let device = device("press-01", tags);
    let reported = table(r#""devicemodel": "4000x", "docker": {"version": "29.1"}"#);
    condition(text).evaluate(Subject { device: &device, reported: &reported })
}

//! What stands around a deployment's content: target, priority, when it was made, labels, metrics.
//!
//! Enters: the configuration's object. Leaves: the keys on top of the file. What the service computes about a
//! configuration (its etag, counts of devices) is no part of it and is dropped.

use super::deployment::insert;
use super::json::{Json, Member, Node};
use super::module::Desk;
use crate::model::{Table, Timestamp, Value};

/// Target, priority, created, labels and metrics.
pub(super) fn head(
    desk: &mut Desk<'_>,
    envelope: &Node,
    now: Timestamp,
    azure: &mut Table,
) -> Table {
    let mut table = Table::from([("created".to_owned(), now.to_string().into())]);
    let mut target = None;
    for Member { key, at, value } in envelope.members().unwrap_or_default() {
        match (key.as_str(), &value.json) {
            (_, Json::Null) => {}
            (
                "id" | "etag" | "lastUpdatedTimeUtc" | "systemMetrics" | "contentType" | "results",
                _,
            ) => {}
            ("targetCondition", Json::Text(text)) => target = Some(text.trim().to_owned()),
            ("priority", Json::Number(text) | Json::Text(text)) => match text.trim().parse::<i64>()
            {
                Ok(0) => {}
                Ok(priority) if i32::try_from(priority).is_ok_and(|p| p > 0) => {
                    table.insert("priority".to_owned(), priority.into());
                }
                _ => desk.warn(
                    "`priority` is no number from 0 to 2147483647; it was left out",
                    value.at,
                ),
            },
            ("createdTimeUtc", Json::Text(text)) => match moment(text) {
                Some(moment) => {
                    table.insert("created".to_owned(), moment.to_string().into());
                }
                None if text.starts_with("0001-") => {}
                None => desk
                    .warn("`createdTimeUtc` is no moment; the present one was written", value.at),
            },
            ("labels", Json::Object(labels)) => {
                let labels: Table =
                    labels.iter().filter_map(|m| Some((m.key.clone(), plain(&m.value)?))).collect();
                if !labels.is_empty() {
                    table.insert("labels".to_owned(), Value::Table(labels));
                }
            }
            ("metrics", Json::Object(members)) => {
                let queries = metrics(desk, value, members, azure);
                if !queries.is_empty() {
                    table.insert("metrics".to_owned(), Value::Table(queries));
                }
            }
            _ => {
                if !matches!(key.as_str(), "schemaVersion" | "$schema-template") {
                    desk.note(
                        format!("`{key}` has no place in a deployment; kept in [azure]"),
                        *at,
                    );
                }
                insert(azure, &["configuration", key], value.to_value());
            }
        }
    }
    match target.filter(|target| !target.is_empty()) {
        Some(target) => {
            table.insert("target".to_owned(), target.into());
        }
        None => desk.note(
            "it has no target condition: it hits no device until `target` is written",
            envelope.at,
        ),
    }
    table
}

/// The queries among a configuration's metrics; what else is in there is kept.
fn metrics(desk: &mut Desk<'_>, value: &Node, members: &[Member], azure: &mut Table) -> Table {
    let is_known = |m: &&Member| matches!(m.key.as_str(), "queries" | "results");
    let others = members.iter().filter(|m| !is_known(m));
    for other in others.filter(|_| value.get("queries").is_some()) {
        let words = "is no part of `metrics` that IoT Hub has; kept in [azure]";
        desk.note(format!("`{}` {words}", other.key), other.at);
        insert(azure, &["configuration", "metrics", &other.key], other.value.to_value());
    }
    let queries = value.get("queries").unwrap_or(value);
    let queries = queries.members().unwrap_or_default().iter();
    let queries: Vec<&Member> = queries.filter(|m| m.key != "results").collect();
    for odd in queries.iter().filter(|m| m.value.text().is_none()) {
        desk.warn(format!("metric `{}` is no query; it was left out", odd.key), odd.at);
    }
    queries.into_iter().filter_map(|m| Some((m.key.clone(), m.value.text()?.into()))).collect()
}

/// A label's value as text.
fn plain(node: &Node) -> Option<Value> {
    match &node.json {
        Json::Text(text) | Json::Number(text) => Some(text.as_str().into()),
        Json::Bool(value) => Some(value.to_string().into()),
        Json::Null => None,
        Json::List(_) | Json::Object(_) => {
            node.to_value().map(|value| value.to_json().to_string().into())
        }
    }
}

/// A moment in UTC, with or without its zone; the service's "never" is none.
fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let moment = Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}Z"))).ok()?;
    (moment.seconds > 0).then_some(moment)
}

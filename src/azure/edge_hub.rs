//! Routes of `$edgeHub` to `[routes]`.
//!
//! Enters: routes as texts or objects. Leaves: the same in fleet files' terms; their texts are not judged
//! here, `validate` does that.

use super::deployment::insert;
use super::json::{Json, Node};
use super::module::Desk;
use super::names::Names;
use crate::model::{Duration, Table, Value};
use std::collections::BTreeMap;

/// Longest time that fleet files have, in seconds: ten years.
const LONGEST: u64 = 10 * 365 * 86_400;

/// Routes, and what of them has no place in `[routes]`.
#[derive(Debug, Default)]
pub(super) struct Routes {
    found: BTreeMap<String, Table>,
    odd: Table,
}

impl Routes {
    /// Route → its text.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let text = |table: &Table| {
            table.get("route").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        self.found.iter().map(|(name, table)| (name.clone(), text(table))).collect()
    }

    /// Modules that got another name have it in routes too.
    pub(super) fn rename(&mut self, names: &Names) {
        for (before, after) in names.renamed_modules() {
            for route in self.found.values_mut() {
                if let Some(Value::String(text)) = route.get_mut("route") {
                    *text = text
                        .replace(&format!("modules/{before}/"), &format!("modules/{after}/"))
                        .into();
                }
            }
        }
    }

    /// `[routes]`, and what goes to `[azure]`.
    pub(super) fn into_tables(self) -> (Table, Table) {
        let short = |mut table: Table| match (table.len(), table.remove("route")) {
            (1, Some(text)) => text,
            (_, text) => {
                table.extend(text.map(|text| ("route".to_owned(), text)));
                Value::Table(table)
            }
        };
        let routes = self.found.into_iter().map(|(name, table)| (name, short(table))).collect();
        (routes, self.odd)
    }
}

/// Reads an object of routes.
pub(super) fn routes(
    desk: &mut Desk<'_>,
    out: &mut Routes,
    names: &mut Names,
    node: &Node,
    layered: bool,
) {
    let Some(members) = node.members() else {
        if node.json != Json::Null {
            desk.warn(format!("`routes` is {}, not an object", node.type_name()), node.at);
        }
        return;
    };
    for member in members {
        let text = match &member.value.json {
            Json::Object(_) => member.value.get("route"),
            _ => Some(&member.value),
        };
        let text = match text.map(|node| (node, &node.json)) {
            None | Some((_, Json::Null)) => "",
            Some((_, Json::Text(text))) => text.trim(),
            Some((node, _)) => {
                let words = format!("route `{}` is {}", member.key, node.type_name());
                desk.warn(format!("{words}, not a text; it was left out"), node.at);
                continue;
            }
        };
        if text.is_empty() {
            if layered {
                desk.warn(
                    format!(
                        "route `{}` is empty, to take one away from below; that can't be said here",
                        member.key
                    ),
                    member.at,
                );
            } else {
                desk.note(format!("route `{}` is empty; it was left out", member.key), member.at);
            }
            continue;
        }
        let name = names.route(desk, &member.key, member.at);
        let mut table = Table::from([("route".to_owned(), text.into())]);
        for part in member.value.members().unwrap_or_default().iter().filter(|m| m.key != "route") {
            match (part.key.as_str(), number(&part.value)) {
                (_, _) if part.value.json == Json::Null => {}
                ("priority", Some(priority @ 0..=9)) => {
                    table
                        .insert("priority".to_owned(), i64::try_from(priority).unwrap_or(9).into());
                }
                ("timeToLiveSecs", Some(0)) => {}
                ("timeToLiveSecs", Some(seconds @ 1..=LONGEST)) => {
                    table.insert(
                        "time-to-live".to_owned(),
                        Duration::seconds(seconds).to_string().into(),
                    );
                }
                (key, _) => {
                    desk.warn(
                        format!(
                            "`{key}` of route `{}` has no place here; kept in [azure]",
                            member.key
                        ),
                        part.at,
                    );
                    insert(&mut out.odd, &[name.as_str(), key], part.value.to_value());
                }
            }
        }
        out.found.insert(name, table);
    }
}

fn number(node: &Node) -> Option<u64> {
    match &node.json {
        Json::Number(text) | Json::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

//! The canonical text of fleet files, as `hoist import` writes them: the same hand as that of manifests.
//!
//! Enters: a file as a table with the keys of its kind. Leaves: its text; decoded, it gives the table again.

use super::print::{Sections, inline, line, quoted_key, section};
use crate::model::{FleetName, Table, Timestamp, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Keys of a deployment that stand on top, in order.
const HEAD: [&str; 6] = ["kind", "device", "target", "priority", "created", "phased"];
/// Its tables, in order; modules stand before routes.
const TABLES: [&str; 6] = ["labels", "rollout", "modules", "routes", "metrics", "azure"];
/// Keys of a device that stand on top, in order.
const DEVICE: [&str; 5] = ["id", "engine", "tls", "formerly", "reachable"];

/// The text of a deployment's file.
pub fn print_deployment(deployment: &Table) -> String {
    let mut out = String::new();
    for key in HEAD {
        match deployment.get(key) {
            Some(Value::String(moment)) if key == "created" && is_moment(moment) => {
                let _ = writeln!(out, "created = {moment}");
            }
            Some(value) => line(key, value, &mut out),
            None => {}
        }
    }
    for key in TABLES {
        let Some(Value::Table(table)) = deployment.get(key) else { continue };
        match key {
            "modules" => {
                for (name, module) in table {
                    if let Value::Table(module) = module {
                        let path = format!("modules.{}", quoted_key(name));
                        section(&path, module, Sections::OfModule, &mut out);
                    }
                }
            }
            "azure" => section(key, table, Sections::Long, &mut out),
            _ => section(key, table, Sections::None, &mut out),
        }
    }
    out
}

/// The text of a file with one device.
pub fn print_device(device: &Table) -> String {
    let mut out = String::new();
    for (key, value) in DEVICE.iter().filter_map(|key| Some((key, device.get(key)?))) {
        line(key, value, &mut out);
    }
    for key in ["tags", "reported"] {
        if let Some(Value::Table(table)) = device.get(key) {
            section(key, table, Sections::Long, &mut out);
        }
    }
    out
}

/// The text of a file with many devices.
pub fn print_device_list(devices: &[Table]) -> String {
    let mut out = String::new();
    for device in devices {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str("[[device]]\n");
        for key in DEVICE.iter().chain(&["tags", "reported"]) {
            if let Some(value) = device.get(key) {
                let _ = writeln!(out, "{key} = {}", inline(value));
            }
        }
    }
    out
}

/// The text of a fleet's file: its name, and registries with their secrets' names.
pub fn print_fleet(name: &FleetName, registries: &BTreeMap<String, String>) -> String {
    let mut out = format!("name = \"{name}\"\n");
    for (host, credentials) in registries {
        let table = Table::from([("credentials".to_owned(), credentials.as_str().into())]);
        section(&format!("registries.{}", quoted_key(host)), &table, Sections::None, &mut out);
    }
    out
}

/// Whether it is the canonical text of a moment, which TOML has as a type of its own.
fn is_moment(text: &str) -> bool {
    Timestamp::parse(text).is_ok_and(|moment| moment.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9 .]{0,12}",
            "[ -~]{0,8}",
            Just("it's \"a\" \\ \n\t\u{1}é${x}".to_owned())
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            (-1e12..1e12f64).prop_map(Value::Float),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text(), inner), 0..4)
                    .prop_map(|entries| Value::Table(entries.into_iter().collect())),
            ]
        })
    }

    fn table() -> impl Strategy<Value = Table> {
        prop::collection::vec((text(), value()), 1..5).prop_map(Table::from_iter)
    }

    fn module() -> impl Strategy<Value = Value> {
        let keys = [
            "image",
            "env",
            "create-options",
            "desired",
            "desired-at",
            "labels",
            "ports",
            "patch",
            "x y",
        ];
        prop::collection::btree_map(prop::sample::select(keys.to_vec()), value(), 0..6)
            .prop_map(|module| Value::Table(module.into_iter().collect()))
    }

    /// The text as TOML has it, dates as texts.
    fn read(text: &str) -> Table {
        fn value(toml: toml::Value) -> Value {
            match toml {
                toml::Value::String(text) => Value::from(text),
                toml::Value::Integer(number) => Value::Integer(number),
                toml::Value::Float(number) => Value::Float(number),
                toml::Value::Boolean(value) => Value::Bool(value),
                toml::Value::Datetime(date) => Value::from(date.to_string()),
                toml::Value::Array(items) => Value::List(items.into_iter().map(value).collect()),
                toml::Value::Table(table) => {
                    Value::Table(table.into_iter().map(|(k, v)| (k, value(v))).collect())
                }
            }
        }
        let toml: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        toml.into_iter().map(|(k, v)| (k, value(v))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_printed_deployment_is_read_back(
            target in text(),
            modules in prop::collection::btree_map(text(), module(), 1..4),
            labels in table(), routes in table(), metrics in table(), azure in table(),
        ) {
            let deployment = Table::from([
                ("kind".to_owned(), "layered".into()),
                ("target".to_owned(), target.into()),
                ("priority".to_owned(), 7.into()),
                ("created".to_owned(), "2026-01-05T09:00:00Z".into()),
                ("labels".to_owned(), Value::Table(labels)),
                ("modules".to_owned(), Value::Table(modules.into_iter().collect())),
                ("routes".to_owned(), Value::Table(routes)),
                ("metrics".to_owned(), Value::Table(metrics)),
                ("azure".to_owned(), Value::Table(azure)),
            ]);
            prop_assert_eq!(read(&print_deployment(&deployment)), deployment);
        }

        #[test]
        fn printed_devices_are_read_back(id in text(), tags in table(), reported in table()) {
            let device = Table::from([
                ("id".to_owned(), id.into()),
                ("engine".to_owned(), "tcp://127.0.0.1:2375".into()),
                ("reachable".to_owned(), false.into()),
                ("tags".to_owned(), Value::Table(tags)),
                ("reported".to_owned(), Value::Table(reported)),
            ]);
            prop_assert_eq!(&read(&print_device(&device)), &device);
            let list = read(&print_device_list(&[device.clone(), device.clone()]));
            let devices = Value::from(vec![Value::Table(device.clone()), Value::Table(device)]);
            prop_assert_eq!(list.get("device"), Some(&devices));
        }
    }
}

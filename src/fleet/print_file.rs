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
    for (key, value) in DEVICE.iter().filter_map(|key| Some((key, device.get(*key)?))) {
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
            if let Some(value) = device.get(*key) {
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

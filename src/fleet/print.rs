//! The canonical TOML text of a manifest: one way to write each, in the order of the documentation, so
//! that equal manifests have equal texts and a review shows only what differs.

use crate::model::{Manifest, Module, Table, Text, Value, escape_template, manifest_table};
use std::fmt::Write as _;

/// Longest table that is written inline, in characters.
const INLINE: usize = 72;
/// Longest list that is written on one line, in characters.
const ONE_LINE: usize = 96;

/// Keys in the order in which they are written; others follow by name.
const ORDER: [&str; 43] = [
    "patch",
    "unset",
    "base",
    "layers",
    "modules",
    "routes",
    "image",
    "version",
    "status",
    "restart-policy",
    "image-pull-policy",
    "startup-order",
    "stop-timeout",
    "probation",
    "keep-previous",
    "command",
    "entrypoint",
    "user",
    "hostname",
    "ports",
    "volumes",
    "tmpfs",
    "host-devices",
    "networks",
    "network-mode",
    "extra-hosts",
    "memory",
    "cpus",
    "shm-size",
    "gpus",
    "privileged",
    "cap-add",
    "cap-drop",
    "read-only",
    "init",
    "log",
    "health",
    "labels",
    "router",
    "env",
    "create-options",
    "desired",
    "desired-at",
];
/// Tables of a module that are always sections of their own.
const SECTIONS: [&str; 4] = ["env", "create-options", "desired", "desired-at"];

/// The text of a manifest, below `head` as a comment.
pub fn print_manifest(manifest: &Manifest, head: &str) -> String {
    let mut escaped = manifest.clone();
    for module in escaped.modules.values_mut() {
        Module::for_each_text(module, &mut |_, _, text| *text = escape_template(text));
    }
    let mut out = String::new();
    for line in head.lines() {
        out.push_str(format!("# {line}").trim_end());
        out.push('\n');
    }
    let table = manifest_table(&escaped);
    for key in ["base", "layers"] {
        if let Some(value) = table.get(key) {
            line(key, value, &mut out);
        }
    }
    for (name, module) in table.get("modules").and_then(Value::as_table).into_iter().flatten() {
        if let Value::Table(module) = module {
            section(&format!("modules.{}", quoted_key(name)), module, Sections::OfModule, &mut out);
        }
    }
    if let Some(Value::Table(routes)) = table.get("routes") {
        section("routes", routes, Sections::None, &mut out);
    }
    out
}

/// The text of one module's table, as a manifest has it.
pub fn print_module(name: &str, module: &Table) -> String {
    let mut out = String::new();
    section(&format!("modules.{}", quoted_key(name)), module, Sections::OfModule, &mut out);
    out
}

/// The text of any table.
pub fn print_toml(table: &Table) -> String {
    let mut out = String::new();
    section("", table, Sections::Long, &mut out);
    out
}

/// The text of a value on one line.
pub fn print_inline(value: &Value) -> String {
    inline(value)
}

/// Which tables of a table become sections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sections {
    /// None: all inline.
    None,
    /// Those that are long.
    Long,
    /// [`SECTIONS`].
    OfModule,
}

pub(super) fn section(path: &str, table: &Table, sections: Sections, out: &mut String) {
    let mut entries: Vec<(&Text, &Value)> = table.iter().collect();
    if sections == Sections::OfModule {
        let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
        entries.sort_by_key(|(key, _)| rank(key));
    }
    let (tables, lines): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, value)| {
        value.as_table().is_some()
            && match sections {
                Sections::None => false,
                Sections::Long => inline(value).chars().count() > INLINE,
                Sections::OfModule => SECTIONS.contains(&&***key),
            }
    });
    // A table that holds only tables needs no header of its own.
    if !path.is_empty() && (!lines.is_empty() || tables.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "[{path}]");
    }
    for (key, value) in lines {
        line(key, value, out);
    }
    for (key, value) in tables {
        let dot = if path.is_empty() { "" } else { "." };
        if let Value::Table(below) = value {
            section(&format!("{path}{dot}{}", quoted_key(key)), below, Sections::Long, out);
        }
    }
}

pub(super) fn line(key: &str, value: &Value, out: &mut String) {
    let text = inline(value);
    match value {
        Value::List(items) if text.chars().count() > ONE_LINE => {
            let _ = writeln!(out, "{} = [", quoted_key(key));
            for item in items {
                let _ = writeln!(out, "  {},", inline(item));
            }
            out.push_str("]\n");
        }
        _ => {
            let _ = writeln!(out, "{} = {text}", quoted_key(key));
        }
    }
}

pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        // Debug always has a point or an exponent, so it stays a float.
        Value::Float(number) => format!("{number:?}"),
        Value::String(text) => quoted(text),
        Value::List(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) if table.is_empty() => "{}".to_owned(),
        Value::Table(table) => {
            let entries: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", quoted_key(key), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

pub(super) fn quoted_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted(key) }
}

/// In double quotes; in single ones where that saves escapes.
fn quoted(text: &str) -> String {
    let escapes = text.contains(['"', '\\']);
    if escapes && !text.contains('\'') && !text.chars().any(char::is_control) {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

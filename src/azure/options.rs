//! Create-options of Docker to the native keys of a module, where that is exact; the rest stays as it is.
//!
//! Enters: the options as a table. Leaves: native keys, variables, what must not stand in create-options,
//! and the rest. A key whose value is what the engine takes anyway (an empty list, `false`) says nothing and
//! is dropped. Engines match keys in any letter case; two that differ only in case are left alone.

use super::option_forms::{
    Said, boolean, bytes, cpus, devices, entrypoint, extra_hosts, gpus, health, list, log,
    network_mode, seconds, text, tmpfs, truth, words,
};
use crate::model::{NetworkMode, Port, Table, Text, Value, Volume, format_bytes};
use std::collections::BTreeMap;

/// What create-options are made of.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Split {
    /// Keys of the module.
    pub(super) native: Table,
    /// Variables, name → value; the last one of a name.
    pub(super) env: BTreeMap<String, String>,
    /// What stays create-options.
    pub(super) rest: Table,
    /// What Hoist sets itself and refuses in create-options.
    pub(super) refused: Table,
}

/// An option, the key for it, and how its value is read.
type Native = (&'static str, &'static str, fn(&Value) -> Said);

const TOP: [Native; 6] = [
    ("Cmd", "command", words),
    ("Entrypoint", "entrypoint", entrypoint),
    ("User", "user", text),
    ("Hostname", "hostname", text),
    ("StopTimeout", "stop-timeout", seconds),
    ("Healthcheck", "health", health),
];
const HOST: [Native; 13] = [
    ("Tmpfs", "tmpfs", tmpfs),
    ("Devices", "host-devices", devices),
    ("NetworkMode", "network-mode", network_mode),
    ("ExtraHosts", "extra-hosts", extra_hosts),
    ("NanoCpus", "cpus", cpus),
    ("ShmSize", "shm-size", bytes),
    ("DeviceRequests", "gpus", gpus),
    ("Privileged", "privileged", truth),
    ("CapAdd", "cap-add", list),
    ("CapDrop", "cap-drop", list),
    ("ReadonlyRootfs", "read-only", truth),
    ("Init", "init", boolean),
    ("LogConfig", "log", log),
];

/// Takes create-options apart; `module` is whose they are.
pub(super) fn split(options: Table, module: &str) -> Split {
    let mut split = Split { rest: options, ..Split::default() };
    let (top, mut host) = match has_doubled(&split.rest) {
        true => return split,
        false => {
            let host = take(&mut split.rest, "HostConfig");
            (std::mem::take(&mut split.rest), host)
        }
    };
    split.rest = top;
    move_refused(&mut split, host.as_mut().map(|(_, value)| value));
    move_env(&mut split);
    for (option, key, read) in TOP {
        apply(&mut split.rest, option, key, read, &mut split.native);
    }
    if let Some((_, Value::Table(host))) = &mut host
        && !has_doubled(host)
    {
        for (option, key, read) in HOST {
            apply(host, option, key, read, &mut split.native);
        }
        move_memory(host, &mut split.native);
        move_ports(host, &mut split.rest, &mut split.native);
        move_volumes(host, &mut split.native);
    }
    move_labels(&mut split);
    let mode = split.native.contains_key("network-mode");
    let host_says = host
        .as_ref()
        .and_then(|(_, host)| host.as_table())
        .is_some_and(|host| Value::lookup_option(host, &["NetworkMode"]).is_some());
    move_networks(&mut split, mode, host_says, module);
    if let Some((key, value)) = host
        && value.as_table().is_none_or(|table| !table.is_empty())
    {
        split.rest.insert(key, value);
    }
    for option in ["ExposedPorts", "Labels", "Volumes", "NetworkingConfig"] {
        if let Some((key, value)) = take(&mut split.rest, option)
            && value.as_table().is_none_or(|table| !table.is_empty())
        {
            split.rest.insert(key, value);
        }
    }
    split
}

fn has_doubled(table: &Table) -> bool {
    let mut seen: Vec<String> = table.keys().map(|key| key.to_ascii_lowercase()).collect();
    seen.sort();
    seen.windows(2).any(|pair| pair[0] == pair[1])
}

/// Takes a key in any letter case.
fn take(table: &mut Table, key: &str) -> Option<(Text, Value)> {
    let written = table.keys().find(|k| k.eq_ignore_ascii_case(key))?.clone();
    let value = table.remove(&written)?;
    Some((written, value))
}

fn apply(from: &mut Table, option: &str, key: &str, read: fn(&Value) -> Said, native: &mut Table) {
    let Some((written, value)) = take(from, option) else { return };
    match read(&value) {
        Said::Native(value) => {
            native.insert(key.to_owned(), value);
        }
        Said::Nothing => {}
        Said::Opaque => {
            from.insert(written, value);
        }
    }
}

/// `Image`, what the host's part may not say, and labels that are Hoist's own.
fn move_refused(split: &mut Split, host: Option<&mut Value>) {
    split.refused.extend(take(&mut split.rest, "Image"));
    if let Some(Value::Table(host)) = host {
        let mut refused: Table = take(host, "RestartPolicy").into_iter().collect();
        match take(host, "AutoRemove") {
            Some((key, off @ Value::Bool(false))) => host.insert(key, off),
            Some((key, value)) => refused.insert(key, value),
            None => None,
        };
        if !refused.is_empty() {
            split.refused.insert("HostConfig".to_owned(), Value::Table(refused));
        }
    }
    if let Some((key, mut value)) = take(&mut split.rest, "Labels") {
        if let Value::Table(labels) = &mut value {
            let own = |label: &str| label.to_ascii_lowercase().starts_with("hoist.");
            let (ours, theirs): (Table, Table) =
                std::mem::take(labels).into_iter().partition(|(label, _)| own(label));
            *labels = theirs;
            if !ours.is_empty() {
                split.refused.insert("Labels".to_owned(), Value::Table(ours));
            }
        }
        split.rest.insert(key, value);
    }
}

/// `NAME=value` texts; what has no `=` or no usable name stays.
fn move_env(split: &mut Split) {
    let Some((key, value)) = take(&mut split.rest, "Env") else { return };
    let Value::List(items) = value else {
        split.rest.insert(key, value);
        return;
    };
    let mut odd = Vec::new();
    for item in items {
        match item.as_str().and_then(|text| text.split_once('=')) {
            Some((name, value)) if is_variable(name) => {
                split.env.insert(name.to_owned(), value.to_owned());
            }
            _ => odd.push(item),
        }
    }
    if !odd.is_empty() {
        split.rest.insert(key, odd.into());
    }
}

/// Whether fleet files take it as the name of a variable.
pub(super) fn is_variable(name: &str) -> bool {
    let reserved = ["HOIST_DEVICE_ID", "HOIST_MODULE_ID", "HOIST_TWIN"];
    !name.is_empty()
        && !name.contains(['=', '\0'])
        && !name.chars().any(char::is_whitespace)
        && !reserved.contains(&name)
}

/// A memory limit brings a swap limit of twice that, as the engine does where none is given.
fn move_memory(host: &mut Table, native: &mut Table) {
    let Some(Value::Integer(memory)) = Value::lookup_option(host, &["Memory"]).cloned() else {
        return;
    };
    let swap = Value::lookup_option(host, &["MemorySwap"]).cloned();
    let usual = match swap {
        None | Some(Value::Integer(0)) => true,
        Some(Value::Integer(swap)) => memory.checked_mul(2) == Some(swap),
        Some(_) => false,
    };
    if !usual || memory < 0 {
        return;
    }
    take(host, "Memory");
    take(host, "MemorySwap");
    if let Ok(memory @ 1..) = u64::try_from(memory) {
        native.insert("memory".to_owned(), format_bytes(memory).into());
    }
}

fn move_ports(host: &mut Table, top: &mut Table, native: &mut Table) {
    let Some((key, value)) = take(host, "PortBindings") else { return };
    let Value::Table(bindings) = value else {
        host.insert(key, value);
        return;
    };
    let (mut left, mut ports) = (Table::new(), Vec::new());
    for (port, list) in bindings {
        match ports_of(&port, &list) {
            Some(texts) => {
                ports.extend(texts);
                forget_exposed(top, &port);
            }
            None => {
                left.insert(port, list);
            }
        }
    }
    if !left.is_empty() {
        host.insert(key, Value::Table(left));
    }
    if !ports.is_empty() {
        native
            .insert("ports".to_owned(), Value::List(ports.into_iter().map(Value::from).collect()));
    }
}

/// The written forms of one port's bindings; `None` if one has none.
fn ports_of(port: &str, list: &Value) -> Option<Vec<String>> {
    let (container, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let Value::List(items) = list else { return None };
    let mut texts = Vec::new();
    for item in items {
        let binding = item.as_table()?;
        let mut number = String::new();
        let mut ip = String::new();
        for (key, value) in binding {
            let text = match value {
                Value::String(text) => text.to_string(),
                Value::Integer(number) => number.to_string(),
                _ => return None,
            };
            match key.to_ascii_lowercase().as_str() {
                "hostport" => number = text,
                "hostip" => ip = text,
                _ => return None,
            }
        }
        let ip = match ip.as_str() {
            "" => String::new(),
            ip if ip.contains(':') => format!("[{ip}]:"),
            ip => format!("{ip}:"),
        };
        let text = format!("{ip}{number}:{container}/{protocol}");
        match Port::parse(&text) {
            Ok(port) => texts.push(port.to_string()),
            // Refused by `validate` in its place, until it is filled.
            Err(_) if text.contains("${") => texts.push(text),
            Err(_) => return None,
        }
    }
    (!texts.is_empty()).then_some(texts)
}

/// A published port is exposed anyway.
fn forget_exposed(top: &mut Table, port: &str) {
    let Some((key, value)) = take(top, "ExposedPorts") else { return };
    let Value::Table(mut exposed) = value else {
        top.insert(key, value);
        return;
    };
    let plain = |value: &Value| value.as_table().is_some_and(Table::is_empty);
    if exposed.get(port).is_some_and(plain) {
        exposed.remove(port);
    }
    if !exposed.is_empty() {
        top.insert(key, Value::Table(exposed));
    }
}

fn move_volumes(host: &mut Table, native: &mut Table) {
    let Some((key, value)) = take(host, "Binds") else { return };
    let Value::List(items) = value else {
        host.insert(key, value);
        return;
    };
    let (mut left, mut volumes) = (Vec::new(), Vec::new());
    for item in items {
        let parsed = item.as_str().map(|text| (text, Volume::parse(text)));
        match parsed {
            Some((_, Ok(volume))) => volumes.push(Value::from(volume.to_string())),
            // Refused by `validate` in its place, until it is filled.
            Some((text, Err(_))) if text.starts_with('$') || text.contains("${") => {
                volumes.push(item);
            }
            _ => left.push(item),
        }
    }
    if !left.is_empty() {
        host.insert(key, left.into());
    }
    if !volumes.is_empty() {
        native.insert("volumes".to_owned(), volumes.into());
    }
}

fn move_labels(split: &mut Split) {
    let Some((key, value)) = take(&mut split.rest, "Labels") else { return };
    let Value::Table(labels) = value else {
        split.rest.insert(key, value);
        return;
    };
    let plain = |(name, value): (&Text, &Value)| !name.is_empty() && value.as_str().is_some();
    if labels.iter().all(plain) {
        if !labels.is_empty() {
            split.native.insert("labels".to_owned(), Value::Table(labels));
        }
    } else {
        split.rest.insert(key, Value::Table(labels));
    }
}

/// Networks that are only named. With a mode the engine takes none, and Hoist sends none.
fn move_networks(split: &mut Split, mode: bool, host_says: bool, module: &str) {
    let Some((key, value)) = take(&mut split.rest, "NetworkingConfig") else { return };
    let names = named_networks(&value, module);
    match names {
        Some(names) if mode && names.iter().all(|name| NetworkMode::parse(name).is_some()) => {}
        Some(names) if !mode && !host_says && names.iter().all(|name| is_network(name)) => {
            if !names.is_empty() {
                let names = names.into_iter().map(Value::from).collect();
                split.native.insert("networks".to_owned(), Value::List(names));
            }
        }
        _ => {
            split.rest.insert(key, value);
        }
    }
}

fn is_network(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let reserved = ["bridge", "default", "host", "none"];
    !reserved.contains(&name)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(good)
}

fn named_networks(value: &Value, module: &str) -> Option<Vec<String>> {
    let table = value.as_table()?;
    let Some(endpoints) = Value::lookup_option(table, &["EndpointsConfig"]) else {
        return table.is_empty().then(Vec::new);
    };
    let only_named = |value: &Value| {
        value.as_table().is_some_and(|settings| {
            settings.iter().all(|(key, value)| {
                let own = Value::from(vec![module.into()]);
                key.eq_ignore_ascii_case("Aliases")
                    && (*value == own || *value == Vec::new().into())
            })
        })
    };
    let endpoints = endpoints.as_table()?;
    (table.len() == 1 && endpoints.values().all(only_named))
        .then(|| endpoints.keys().map(ToString::to_string).collect())
}

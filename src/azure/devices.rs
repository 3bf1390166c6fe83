//! Devices of a hub to files in `devices/`.
//!
//! Enters: twins or identities as a hub's query, list or export gives them. Leaves: files with ids, tags and
//! reported properties. Not here: module twins, and what the hub itself writes into a twin (`$metadata`).

use super::Mistake;
use super::json::{Json, JsonFile, Node};
use super::module::losses;
use super::report::Remarks;
use crate::fleet::{print_device, print_device_list};
use crate::model::{DeviceId, EngineAddress, Table, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Up to so many devices get a file each; more become one list.
const FILES: usize = 100;

/// What `{deviceId}` in an address's template stands for.
const DEVICE_ID: &str = "{deviceId}";

/// The files of all devices, and how many devices they hold.
pub(super) fn devices(
    roots: &[Node],
    file: &JsonFile,
    engine: Option<&str>,
    remarks: &mut Remarks,
) -> Result<(BTreeMap<String, String>, usize), Vec<Mistake>> {
    let mut nodes = Vec::new();
    for root in roots {
        look(root, None, &mut nodes);
    }
    let mut found: BTreeMap<DeviceId, (Table, usize)> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (id, node) in nodes {
        let Some((id, table, at)) = device(id, node, file, engine, remarks) else { continue };
        if let Some((_, first)) = found.get(&id) {
            let message = format!("device `{id}` is there twice: also at {}", file.place(*first));
            mistakes.push(Mistake { place: Some(file.place(at)), message, help: None });
            continue;
        }
        found.insert(id, (table, at));
    }
    if found.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake {
            place: Some(file.place(0)),
            message: "there is no IoT Edge device in it".to_owned(),
            help: Some(
                "twins are expected, as `az iot hub query -q \"select * from devices\"` gives them"
                    .to_owned(),
            ),
        });
    }
    let shared = engine.is_some_and(|engine| !engine.contains(DEVICE_ID)) && found.len() > 1;
    if shared {
        mistakes.push(Mistake {
            place: None,
            message: "--engine gives all devices one address".to_owned(),
            help: Some(format!("write {DEVICE_ID} where the device's id belongs")),
        });
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let count = found.len();
    Ok((files(found, remarks), count))
}

/// Every object that is a device, with the id it stands under.
fn look<'n>(node: &'n Node, id: Option<&'n str>, nodes: &mut Vec<(Option<&'n str>, &'n Node)>) {
    match &node.json {
        Json::List(items) => items.iter().for_each(|item| look(item, None, nodes)),
        Json::Object(members) => {
            let shelf = |key: &str| matches!(key, "value" | "devices" | "items" | "result");
            let is_device =
                ["deviceId", "identity", "twin", "id"].iter().any(|key| node.get(key).is_some());
            if id.is_some() || is_device {
                nodes.push((id, node));
                return;
            }
            for member in members.iter().filter(|member| shelf(&member.key)) {
                match &member.value.json {
                    Json::Object(by_id) => {
                        by_id.iter().for_each(|m| look(&m.value, Some(&m.key), nodes));
                    }
                    _ => look(&member.value, None, nodes),
                }
            }
        }
        _ => {}
    }
}

fn device(
    id: Option<&str>,
    node: &Node,
    file: &JsonFile,
    engine: Option<&str>,
    remarks: &mut Remarks,
) -> Option<(DeviceId, Table, usize)> {
    let (identity, twin) = (node.get("identity").unwrap_or(node), node.get("twin").unwrap_or(node));
    let find = |key: &str| twin.get(key).or_else(|| identity.get(key)).or_else(|| node.get(key));
    let text = |key: &str| find(key).and_then(Node::text);
    let id = text("deviceId").or_else(|| text("id")).or(id)?;
    let place = Some(file.place(node.at));
    if find("moduleId").is_some_and(|module| module.json != Json::Null) {
        remarks.note(format!("a module's twin of device `{id}` was left out"), place);
        return None;
    }
    let is_edge = find("capabilities").and_then(|capabilities| capabilities.get("iotEdge"));
    if is_edge.is_some_and(|edge| edge.json == Json::Bool(false)) {
        remarks.note(format!("device `{id}` is no IoT Edge device; it was left out"), place);
        return None;
    }
    let parsed = match DeviceId::parse(id) {
        Ok(parsed) => parsed,
        Err(error) => {
            remarks.warn(format!("device `{id}` was left out: {error}"), place);
            return None;
        }
    };
    let mut table = Table::new();
    if let Some(engine) = engine {
        match EngineAddress::parse(&engine.replace(DEVICE_ID, id)) {
            Ok(address) => {
                table.insert("engine".to_owned(), address.to_string().into());
            }
            Err(error) => {
                remarks.warn(format!("device `{id}` got no engine: {error}"), place.clone());
            }
        }
    }
    if text("status") == Some("disabled") {
        remarks.note(
            format!("device `{id}` is disabled in the hub: `reachable = false` was written"),
            place.clone(),
        );
        table.insert("reachable".to_owned(), false.into());
    }
    let reported = find("properties").and_then(|p| p.get("reported")).or_else(|| find("reported"));
    for (key, node) in [("tags", find("tags")), ("reported", reported)] {
        let Some(node) = node else { continue };
        for (at, loss) in losses(node) {
            remarks.warn(format!("{key} of device `{id}`: {loss}"), Some(file.place(at)));
        }
        let mut values = node.to_table();
        values.retain(|name, _| !name.starts_with('$'));
        if key == "tags" {
            drop_odd_keys(&mut values, id, remarks, place.as_ref());
        }
        if !values.is_empty() {
            table.insert(key.to_owned(), Value::Table(values));
        }
    }
    Some((parsed, table, node.at))
}

/// Tags' keys have no `/` and no `;`, and are not empty.
fn drop_odd_keys(tags: &mut Table, id: &str, remarks: &mut Remarks, place: Option<&String>) {
    tags.retain(|key, value| {
        let good = !key.is_empty() && !key.contains(['/', ';']);
        if !good {
            remarks.warn(
                format!("tag `{key}` of device `{id}` was left out: no such key"),
                place.cloned(),
            );
        }
        if let Value::Table(below) = value {
            drop_odd_keys(below, id, remarks, place);
        }
        good
    });
}

fn files(
    found: BTreeMap<DeviceId, (Table, usize)>,
    remarks: &mut Remarks,
) -> BTreeMap<String, String> {
    if found.len() > FILES {
        let with_id = |(id, (mut table, _)): (DeviceId, (Table, usize))| {
            table.insert("id".to_owned(), id.as_str().into());
            table
        };
        let list: Vec<Table> = found.into_iter().map(with_id).collect();
        return BTreeMap::from([("devices/imported.toml".to_owned(), print_device_list(&list))]);
    }
    let mut taken = BTreeSet::new();
    let mut files = BTreeMap::new();
    for (id, (mut table, _)) in found {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let text = id.as_str();
        let mut stem: String = text.chars().map(|c| if plain(c) { c } else { '-' }).collect();
        if !stem.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            stem = format!("device{stem}");
        }
        let base = stem.clone();
        let mut number = 2;
        while !taken.insert(stem.to_ascii_lowercase()) {
            stem = format!("{base}-{number}");
            number += 1;
        }
        if stem != text {
            remarks.note(format!("device `{id}` has its id within devices/{stem}.toml"), None);
            table.insert("id".to_owned(), text.into());
        }
        files.insert(format!("devices/{stem}.toml"), print_device(&table));
    }
    files
}

//! The schemas, the decoder and the documents know the same keys and say the same.

use super::{FileKind, schema};
use crate::diagnostic::Code;
use crate::fleet::decode::known;
use crate::fleet::{FileTree, load};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Files in which every kind of table occurs.
const FLEET: &str = r#"
name = "towers"
[defaults]
log = {}
env = { A = { secret = "x" } }
[registries."r.example"]
credentials = "x"
[guards]
[network]
[rollout]
[[rollout.phases]]
share = "5%"
"#;
const MODULE: &str = r#"
[modules.camera]
image = "camera:1"
log = {}
health = { command = ["NONE"] }
env = { A = { secret = "x" } }
[routes]
up = { route = "FROM /messages/* INTO $upstream" }
[rollout]
"#;

/// What the decoder asks for in these files, by the table's title.
fn known_in(files: &[(&str, &str)]) -> BTreeMap<String, BTreeSet<String>> {
    known::take();
    load(&FileTree::from_texts(files.iter().copied()));
    known::take()
        .into_iter()
        .map(|(title, keys)| (title, keys.into_iter().map(str::to_owned).collect()))
        .collect()
}

/// The keys that a table of a schema has, without those that a condition's branches forbid.
fn keys_at(schema: &Json, pointer: &str, branches: &[&str]) -> BTreeSet<String> {
    let table = schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    assert_eq!(table["additionalProperties"], Json::Bool(false), "{pointer} takes any key");
    let mut keys: BTreeSet<String> =
        table["properties"].as_object().unwrap().keys().cloned().collect();
    for branch in branches {
        let narrowed = schema.pointer(branch).unwrap_or_else(|| panic!("no {branch}"));
        for (key, value) in narrowed["properties"].as_object().unwrap() {
            if *value == Json::Bool(false) {
                assert!(keys.remove(key), "{branch} forbids `{key}`, which isn't there");
            }
        }
    }
    keys
}

/// Pointers of all tables that take certain keys only.
fn closed_tables(schema: &Json, at: String, found: &mut BTreeSet<String>) {
    match schema {
        Json::Object(map) => {
            if map.get("additionalProperties") == Some(&Json::Bool(false)) {
                found.insert(at.clone());
            }
            for (key, value) in map {
                closed_tables(value, format!("{at}/{key}"), found);
            }
        }
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                closed_tables(item, format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

/// A table: its title in the decoder's messages, where it is in the schema, and the branches that narrow it.
type Pair<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Compares what the decoder asked for in these files with the schema, table by table.
fn agree(kind: FileKind, files: &[(&str, &str)], tables: &[Pair<'_>]) {
    let known = known_in(files);
    let schema = schema(kind);
    for (title, pointer, branches) in tables {
        let asked = known.get(*title).unwrap_or_else(|| panic!("{title} was not decoded"));
        assert_eq!(&keys_at(&schema, pointer, branches), asked, "{title}: schema, decoder");
    }
    let titles: BTreeSet<&str> = tables.iter().map(|(title, ..)| *title).collect();
    let unknown: Vec<_> = known.keys().filter(|title| !titles.contains(title.as_str())).collect();
    assert!(unknown.is_empty(), "decoded, but compared with nothing: {unknown:?}");
}

/// No table of the schema is left out.
fn are_all_tables(kind: FileKind, compared: &[&str]) {
    let mut tables = BTreeSet::new();
    closed_tables(&schema(kind), String::new(), &mut tables);
    let compared: BTreeSet<String> = compared.iter().map(ToString::to_string).collect();
    assert_eq!(tables, compared);
}

#[test]
fn fleet_toml_has_the_keys_of_the_decoder() {
    let tables: [Pair<'_>; 9] = [
        ("fleet.toml", "", &[]),
        ("`[defaults]`", "/properties/defaults", &[]),
        ("`log`", "/properties/defaults/properties/log", &[]),
        ("`env.A`", "/properties/defaults/properties/env/additionalProperties/anyOf/1", &[]),
        ("`[registries.\"r.example\"]`", "/properties/registries/additionalProperties", &[]),
        ("`[guards]`", "/properties/guards", &[]),
        ("`[network]`", "/properties/network", &[]),
        ("`[rollout]`", "/properties/rollout", &[]),
        ("a phase", "/properties/rollout/properties/phases/items", &[]),
    ];
    agree(FileKind::Fleet, &[("fleet.toml", FLEET)], &tables);
    let pointers = tables.iter().map(|(_, pointer, _)| *pointer);
    are_all_tables(FileKind::Fleet, &pointers.chain(["/properties/lints"]).collect::<Vec<_>>());
    let schema = schema(FileKind::Fleet);
    let codes = Code::ALL.iter().filter(|code| code.is_lint()).map(|code| code.as_str().to_owned());
    assert_eq!(keys_at(&schema, "/properties/lints", &[]), codes.collect());
    for (lint, level) in schema["properties"]["lints"]["properties"].as_object().unwrap() {
        assert!(level["description"].as_str().unwrap().len() > 20, "{lint} is not described");
    }
}

#[test]
fn devices_have_the_keys_of_the_decoder() {
    // Not read in one go, which asks for no keys.
    let list = ("devices/list.toml", "[[device]]\nid = 'a'\n");
    let both: [Pair<'_>; 2] =
        [("a device's file", "", &[]), ("`[[device]]`", "/properties/device/items", &[])];
    agree(FileKind::Device, &[("devices/b.toml", "id = 'b'\n"), list], &both);
    let of_list = [("a device's file", "", &["/then"][..]), both[1]];
    agree(FileKind::Device, &[list], &of_list);
    are_all_tables(FileKind::Device, &both.map(|(_, pointer, _)| pointer));
}

#[test]
fn deployments_have_the_keys_of_the_decoder() {
    let module = "/properties/modules/additionalProperties";
    let log = format!("{module}/properties/log");
    let health = format!("{module}/properties/health");
    let secret = format!("{module}/properties/env/additionalProperties/anyOf/1");
    let tables = |root, entry| -> [Pair<'_>; 7] {
        [
            ("a deployment's file", "", root),
            ("`[modules.camera]`", module, entry),
            ("`log`", &log, &[]),
            ("`health`", &health, &[]),
            ("`env.A`", &secret, &[]),
            ("route `up`", "/properties/routes/additionalProperties/anyOf/1", &[]),
            ("`[rollout]` of a deployment", "/properties/rollout", &[]),
        ]
    };
    let refused = "/properties/modules/additionalProperties";
    let (of_device, of_automatic) = (format!("/then{refused}"), format!("/else/else{refused}"));
    let (of_device, of_automatic) = ([of_device.as_str()], [of_automatic.as_str()]);
    for (kind, root, entry) in [
        ("automatic", &["/else"][..], &of_automatic[..]),
        ("layered", &["/else"], &[]),
        ("device", &["/then"], &of_device),
    ] {
        let text = format!("kind = \"{kind}\"\n{MODULE}");
        agree(FileKind::Deployment, &[("deployments/a.toml", &text)], &tables(root, entry));
    }
    are_all_tables(FileKind::Deployment, &tables(&[], &[]).map(|(_, pointer, _)| pointer));
}

/// The description of a key, as an editor finds it.
fn description<'s>(schema: &'s Json, path: &[String]) -> Option<&'s str> {
    let mut at = schema;
    for key in path {
        let one = at.get("items").unwrap_or(at);
        let any = one.get("additionalProperties").filter(|any| any.is_object());
        at = one.get("properties").and_then(|keys| keys.get(key)).or(any)?;
    }
    at["description"].as_str()
}

/// Every remark beside a key in the reference's examples, with the kind of file and the key's path.
fn remarks(reference: &str) -> Vec<(FileKind, Vec<String>, String)> {
    let mut remarks = Vec::new();
    for block in reference.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let (file, _) = block.split_once('\n').unwrap();
        let kind = match file {
            "# fleet.toml" => FileKind::Fleet,
            _ if file.starts_with("# devices/") => FileKind::Device,
            _ => FileKind::Deployment,
        };
        let mut table: Vec<String> = Vec::new();
        for line in block.lines().skip(1) {
            let (written, remark) = line.split_once(" # ").unwrap_or((line, ""));
            let segments = |path: &str| -> Vec<String> {
                // Names in quotes, which may hold dots, are all free ones here.
                let quoted = path.find('"').unwrap_or(path.len());
                let (plain, name) = path.split_at(quoted);
                let plain = plain.split('.').map(str::trim).filter(|part| !part.is_empty());
                let name = (!name.is_empty()).then_some(name);
                plain.chain(name).map(str::to_owned).collect()
            };
            let path = match written.trim().strip_prefix('[') {
                Some(header) => {
                    table = segments(header.trim_matches(['[', ']']));
                    table.clone()
                }
                None => {
                    let Some((key, _)) = written.split_once(" =") else { continue };
                    [table.clone(), segments(key.trim_start_matches('#').trim())].concat()
                }
            };
            if !remark.is_empty() {
                remarks.push((kind, path, remark.trim().to_owned()));
            }
        }
    }
    remarks
}

#[test]
fn schemas_and_the_reference_say_the_same() {
    let reference = include_str!("../../../docs/fleet-files.md");
    let remarks = remarks(reference);
    assert!(remarks.len() > 40, "{} remarks", remarks.len());
    let mut compared = 0;
    for (kind, path, remark) in remarks {
        // Remarks on what stands in the example, not on the key.
        let of_the_example = [
            "kept, not evaluated yet",
            "also: ",
            "networks, create-options; ",
            "an entry without patch ",
        ];
        let is_free =
            path.len() > 1 && ["env", "metrics", "routes"].contains(&path[path.len() - 2].as_str());
        if is_free || of_the_example.iter().any(|start| remark.starts_with(start)) {
            continue;
        }
        let schema = schema(kind);
        let said = description(&schema, &path);
        let said = said.or_else(|| description(&schema, &path[..path.len() - 1]));
        let said = said.unwrap_or_else(|| panic!("{path:?} is not described"));
        let remark = remark.trim_end_matches(',');
        assert!(
            said.contains(remark),
            "{path:?}: the reference says {remark:?}, the schema {said:?}"
        );
        compared += 1;
    }
    assert!(compared > 35, "{compared} remarks were compared");
}

//! The files that a module finds in `/run/hoist`.
//!
//! One of three slots gets the new content, then the link `desired.json` is set on it, in one archive: a
//! reader sees the old or the new, for an instant none, never a part (measured: a plain overwrite tore
//! thousands of reads, this none of 23.5 million).

use super::FileEntry;
use crate::model::{Hash, Module, Route, RouteName, route_value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The entries to write, in order; the link to the twin last.
pub(super) fn files(
    module: &Module,
    routes: &BTreeMap<RouteName, Route>,
    version: u64,
    hash: &Hash,
) -> Vec<FileEntry> {
    let slot = version % 3;
    let (desired, list) = (format!(".desired.{slot}.json"), format!(".routes.{slot}.json"));
    vec![
        FileEntry::SharedFolder { path: "out".to_owned() },
        FileEntry::File { path: list.clone(), content: routes_file(routes, version) },
        FileEntry::File { path: desired.clone(), content: desired_file(module, version, hash) },
        FileEntry::Link { path: "routes.json".to_owned(), target: list },
        FileEntry::Link { path: "desired.json".to_owned(), target: desired },
    ]
}

fn desired_file(module: &Module, version: u64, hash: &Hash) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("$version".to_owned(), version.into());
    object.insert("$hash".to_owned(), hash.as_str().into());
    object.insert("$module".to_owned(), json!({"version": module.version}));
    for (key, value) in &module.desired {
        object.insert(key.to_string(), value.to_json());
    }
    lines(&Json::Object(object))
}

fn routes_file(routes: &BTreeMap<RouteName, Route>, version: u64) -> Vec<u8> {
    let routes: Map<String, Json> = routes
        .iter()
        .map(|(name, route)| (name.to_string(), route_value(route).to_json()))
        .collect();
    lines(&json!({"$version": version, "routes": routes}))
}

fn lines(json: &Json) -> Vec<u8> {
    format!("{json:#}\n").into_bytes()
}

//! What a container was made with, as far as engines give it back word for word.
//!
//! Enters: the body of a *create* call, or an inspect's answer, which have one shape. Leaves: what both say, to be
//! compared. Labels can be copied to a container that is another one; this can't. Not here: limits and
//! policies, which change after a create, and what engines write in their own words.

use super::{ENGINE_FILES, Hash, bind_target, real_path};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Parts of a create call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeWith {
    /// Hashes of each `NAME=value`: a value may be secret.
    pub env: BTreeSet<Hash>,
    /// The names alone.
    #[serde(default)]
    pub variables: BTreeSet<String>,
    /// Empty for the image's own, or if it is not said as a list.
    pub command: Vec<String>,
    /// Likewise.
    pub entrypoint: Vec<String>,
    /// By port of the container (`80/tcp`): addresses and ports of the device. Without ranges and ports that the engine
    /// chooses, which come back in other words.
    pub ports: BTreeMap<String, BTreeSet<(String, u16)>>,
}

/// A renamed device keeps its containers; whose it is is told by their labels.
const DEVICE: &str = "HOIST_DEVICE_ID=";

impl MadeWith {
    /// From the four values as engines name them: `Env`, `Cmd`, `Entrypoint`, `HostConfig.PortBindings`.
    pub fn read(env: &Json, command: &Json, entrypoint: &Json, bindings: &Json) -> Self {
        let bindings = bindings.as_object().into_iter().flatten();
        Self {
            env: texts(env)
                .filter(|entry| !entry.starts_with(DEVICE))
                .map(|entry| Hash::of_texts("hoist variable", [entry]))
                .collect(),
            variables: texts(env).map(|entry| name_of(entry).to_owned()).collect(),
            command: texts(command).map(str::to_owned).collect(),
            entrypoint: texts(entrypoint).map(str::to_owned).collect(),
            ports: bindings
                .map(|(port, hosts)| (container_port(port), host_ports(hosts)))
                .collect(),
        }
    }

    /// From the body of a create call.
    pub fn of_body(body: &Json) -> Self {
        Self::read(
            &body["Env"],
            &body["Cmd"],
            &body["Entrypoint"],
            &body["HostConfig"]["PortBindings"],
        )
    }

    /// The same with variables whose values are not said.
    #[must_use]
    pub fn and_secrets<'a>(mut self, names: impl Iterator<Item = &'a String>) -> Self {
        self.variables.extend(names.cloned());
        self
    }

    /// What a container that was made with `seen` lacks of this. What it has besides may be its image's.
    pub fn is_lacking_in(&self, seen: &Self) -> Option<&'static str> {
        // Engines put the image's own in the place of nothing.
        let differs = |wanted: &Vec<String>, seen: &Vec<String>| {
            wanted.iter().any(|text| !text.is_empty()) && wanted != seen
        };
        if !self.env.is_subset(&seen.env) || !self.variables.is_subset(&seen.variables) {
            Some("environment")
        } else if differs(&self.command, &seen.command) {
            Some("command")
        } else if differs(&self.entrypoint, &seen.entrypoint) {
            Some("entrypoint")
        } else if !self.ports.iter().all(|(port, hosts)| {
            hosts.is_empty() || seen.ports.get(port).is_some_and(|seen| hosts.is_subset(seen))
        }) {
            Some("ports")
        } else {
            None
        }
    }
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// Newer engines add what is not written.
fn container_port(port: &str) -> String {
    let port = port.to_ascii_lowercase();
    if port.contains('/') { port } else { format!("{port}/tcp") }
}

fn host_ports(hosts: &Json) -> BTreeSet<(String, u16)> {
    let hosts = hosts.as_array().into_iter().flatten();
    let fixed = hosts.filter_map(|host| {
        let port = host.get("HostPort")?.as_str()?.parse().ok().filter(|port| *port > 0)?;
        let ip = host.get("HostIp").and_then(Json::as_str).unwrap_or_default();
        Some((if ip == "0.0.0.0" { "" } else { ip }.to_owned(), port))
    });
    fixed.collect()
}

fn texts(json: &Json) -> impl Iterator<Item = &str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// What the body of a create call mounts under which path: a volume's name, or nothing for a path of the device and
/// for what nobody named. Without volumes that are the image's as well, and without what is only in memory.
pub fn mounts_of_body(body: &Json) -> BTreeMap<PathBuf, String> {
    let mut mounts = BTreeMap::from([(PathBuf::from(ENGINE_FILES), String::new())]);
    for bind in texts(&body["HostConfig"]["Binds"]) {
        let source = bind.split_once(':').map_or("", |(source, _)| source);
        let name = if source.starts_with('/') { "" } else { source };
        mounts.insert(real_path(bind_target(bind)), name.to_owned());
    }
    for mount in body["HostConfig"]["Mounts"].as_array().into_iter().flatten() {
        let text = |key: &str| mount[key].as_str().unwrap_or_default();
        let name = match text("Type") {
            "volume" => text("Source"),
            "bind" => "",
            _ => continue,
        };
        if !text("Target").is_empty() {
            mounts.insert(real_path(text("Target")), name.to_owned());
        }
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lacks(wanted: &Json, seen: &Json) -> Option<&'static str> {
        MadeWith::of_body(wanted).is_lacking_in(&MadeWith::of_body(seen))
    }

    #[test]
    fn what_was_asked_for_has_to_be_there_and_more_may_be() {
        let ports = |port: &str| json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": port}]});
        let made = json!({
            "Env": ["A=1", "PATH=/bin", "HOIST_DEVICE_ID=d"], "Cmd": ["run"], "Entrypoint": ["/init"],
            "HostConfig": {"PortBindings": ports("8080")},
        });
        for (wanted, expected) in [
            (made.clone(), None),
            (json!({}), None),
            (json!({"Env": ["A=1", "HOIST_DEVICE_ID=renamed"]}), None),
            (json!({"Env": ["HOIST_TWIN=/run/hoist/desired.json"]}), Some("environment")),
            (json!({"Env": ["A=2"]}), Some("environment")),
            (json!({"Env": ["B=1"]}), Some("environment")),
            (json!({"Cmd": []}), None),
            (json!({"Cmd": ["walk"]}), Some("command")),
            (json!({"Cmd": ["run", "away"]}), Some("command")),
            (json!({"Entrypoint": [""]}), None),
            (json!({"Entrypoint": ["/other"]}), Some("entrypoint")),
            (json!({"HostConfig": {"PortBindings": ports("8081")}}), Some("ports")),
            (json!({"HostConfig": {"PortBindings": ports("0")}}), None),
            (json!({"HostConfig": {"PortBindings": ports("8000-8010")}}), None),
            (
                json!({"HostConfig": {"PortBindings": {"81/tcp": [{"HostPort": "8080"}]}}}),
                Some("ports"),
            ),
        ] {
            assert_eq!(lacks(&wanted, &made), expected, "{wanted}");
        }
        let secret = |name: &str| {
            let wanted = MadeWith::of_body(&json!({})).and_secrets([name.to_owned()].iter());
            wanted.is_lacking_in(&MadeWith::of_body(&made))
        };
        assert_eq!((secret("A"), secret("PASSWORD")), (None, Some("environment")));
        // An engine that says nothing of it.
        assert_eq!(lacks(&json!({}), &Json::Null), None);
    }

    #[test]
    fn mounts_are_told_by_real_paths_and_names() {
        let binds = ["data:/data/", "/etc/x:/x/../y:ro", "/cache"];
        let others = json!([
            {"Type": "volume", "Source": "m1", "Target": "/m1/"},
            {"Type": "bind", "Source": "/etc", "Target": "/etc/of/it"},
            {"Type": "tmpfs", "Target": "/tmp"}, {"Type": "volume"}, {}
        ]);
        let mounts = mounts_of_body(&json!({"HostConfig": {"Binds": binds, "Mounts": others}}));
        let mounts: Vec<(&str, &str)> =
            mounts.iter().map(|(path, name)| (path.to_str().unwrap(), name.as_str())).collect();
        let expected = [
            ("/cache", ""),
            ("/data", "data"),
            ("/etc/of/it", ""),
            ("/m1", "m1"),
            ("/run/hoist", ""),
            ("/y", ""),
        ];
        assert_eq!(mounts, expected);
    }
}

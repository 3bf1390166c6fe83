//! A module's keys back to the create-options of Docker, as the text in chunks that IoT Edge takes.
//!
//! The way back of `options`. Unlike the body that a plan makes, nothing of Hoist's own is in it.

use crate::model::{Gpus, HealthCheck, HostDevice, LogSettings, Module, Table, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Longest chunk, in UTF-16 units, as IoT Edge's own tools count.
const CHUNK: usize = 512;
/// Most chunks: `createOptions`, and `01` to `99`.
const CHUNKS: usize = 100;

/// The create-options of a module. `env` are variables whose names can stand nowhere else, `extra` is what an
/// import had to put aside; log settings that nobody has written are not said.
pub(super) fn create_options(
    module: &Module,
    env: &BTreeMap<String, String>,
    extra: Option<&Table>,
    built_in_log: bool,
) -> Json {
    let mut top = Options::of(&module.create_options);
    let mut host = match top.take("HostConfig") {
        Some(Json::Object(host)) => Options(host),
        _ => Options::default(),
    };
    put_env(&mut top, module, env);
    put_texts(&mut top, module);
    put_places(&mut host, module);
    put_limits(&mut host, module, built_in_log);
    put_powers(&mut host, module);
    if let Some(mode) = module.network_mode {
        host.put("NetworkMode", Some(json!(mode.as_str())));
        top.take("NetworkingConfig");
    } else if !module.networks.is_empty() {
        let named = module.networks.iter().map(|name| (name.clone(), json!({}))).collect();
        top.put("NetworkingConfig", Some(json!({"EndpointsConfig": Json::Object(named)})));
    }
    if !host.0.is_empty() {
        top.put("HostConfig", Some(Json::Object(host.0)));
    }
    let mut json = Json::Object(top.0);
    if let Some(extra) = extra {
        lay_over(&mut json, &Value::Table(extra.clone()).to_json());
    }
    json
}

fn lay_over(below: &mut Json, above: &Json) {
    match (below, above) {
        (Json::Object(below), Json::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// Options whose keys are found in any letter case, as engines take them.
#[derive(Default)]
struct Options(Map<String, Json>);

impl Options {
    fn of(table: &Table) -> Self {
        Self(table.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect())
    }

    fn take(&mut self, key: &str) -> Option<Json> {
        let written = self.0.keys().find(|k| k.eq_ignore_ascii_case(key))?.clone();
        self.0.remove(&written)
    }

    fn put(&mut self, key: &str, value: Option<Json>) {
        if let Some(value) = value {
            self.take(key);
            self.0.insert(key.to_owned(), value);
        }
    }

    fn object(&mut self, key: &str) -> Map<String, Json> {
        match self.take(key) {
            Some(Json::Object(map)) => map,
            _ => Map::new(),
        }
    }
}

/// Variables that create-options name and the module does not; the module's own win.
fn put_env(top: &mut Options, module: &Module, more: &BTreeMap<String, String>) {
    let Some(items) = top.take("Env") else {
        if !more.is_empty() {
            let items: Vec<String> = more.iter().map(|(k, v)| format!("{k}={v}")).collect();
            top.put("Env", Some(json!(items)));
        }
        return;
    };
    let Json::Array(items) = items else { return };
    let own = |item: &Json| {
        let name = item.as_str().and_then(|text| text.split('=').next()).unwrap_or_default();
        module.env.contains_key(name)
    };
    let mut left: Vec<Json> = items.into_iter().filter(|item| !own(item)).collect();
    left.extend(more.iter().map(|(k, v)| json!(format!("{k}={v}"))));
    if !left.is_empty() {
        top.put("Env", Some(Json::Array(left)));
    }
}

fn put_texts(top: &mut Options, module: &Module) {
    top.put("Cmd", module.command.as_ref().map(|list| json!(list)));
    top.put("Entrypoint", module.entrypoint.as_ref().map(|list| json!(list)));
    top.put("User", module.user.as_ref().map(|text| json!(text)));
    top.put("Hostname", module.hostname.as_ref().map(|text| json!(text)));
    top.put("StopTimeout", module.stop_timeout.map(|time| json!(time.seconds_up())));
    top.put("Healthcheck", module.health.as_ref().map(health));
    if !module.labels.is_empty() {
        let mut labels = top.object("Labels");
        labels.extend(module.labels.iter().map(|(k, v)| (k.clone(), json!(v))));
        top.put("Labels", Some(Json::Object(labels)));
    }
}

fn health(health: &HealthCheck) -> Json {
    let HealthCheck { command, interval, timeout, retries, start_period } = health;
    if health.is_none() {
        return json!({"Test": command});
    }
    let mut out = json!({
        "Test": command,
        "Interval": interval.millis * 1_000_000,
        "Timeout": timeout.millis * 1_000_000,
        "Retries": retries,
    });
    if start_period.millis > 0 {
        out["StartPeriod"] = json!(start_period.millis * 1_000_000);
    }
    out
}

/// Ports, volumes, memory file systems, device nodes, hosts.
fn put_places(host: &mut Options, module: &Module) {
    if !module.ports.is_empty() {
        let mut bindings = host.object("PortBindings");
        let mut ours: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for port in &module.ports {
            let mut binding = json!({"HostPort": port.host});
            if !port.ip.is_empty() {
                binding["HostIp"] = json!(port.ip);
            }
            ours.entry(format!("{}/{}", port.container, port.protocol)).or_default().push(binding);
        }
        bindings.extend(ours.into_iter().map(|(port, list)| (port, Json::Array(list))));
        host.put("PortBindings", Some(Json::Object(bindings)));
    }
    if !module.volumes.is_empty() {
        let target = |bind: &str| bind.split(':').nth(1).unwrap_or_default().to_owned();
        let mut binds: Vec<Json> = match host.take("Binds") {
            Some(Json::Array(items)) => items,
            _ => Vec::new(),
        };
        let targets: Vec<&str> = module.volumes.iter().map(|v| v.target.as_str()).collect();
        binds.retain(|bind| !targets.contains(&target(bind.as_str().unwrap_or_default()).as_str()));
        let own = module.volumes.iter().map(|volume| json!(volume.to_string()));
        host.put("Binds", Some(Json::Array(own.chain(binds).collect())));
    }
    if !module.tmpfs.is_empty() {
        let entry = |text: &String| {
            let (path, options) = text.split_once(':').unwrap_or((text, ""));
            (path.to_owned(), json!(options))
        };
        host.put("Tmpfs", Some(Json::Object(module.tmpfs.iter().map(entry).collect())));
    }
    if !module.host_devices.is_empty() {
        let node = |device: &HostDevice| {
            json!({
                "PathOnHost": device.host,
                "PathInContainer": device.container,
                "CgroupPermissions": device.permissions,
            })
        };
        host.put("Devices", Some(Json::Array(module.host_devices.iter().map(node).collect())));
    }
    if !module.extra_hosts.is_empty() {
        let hosts: Vec<String> =
            module.extra_hosts.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        host.put("ExtraHosts", Some(json!(hosts)));
    }
}

fn put_limits(host: &mut Options, module: &Module, built_in_log: bool) {
    if let Some(memory) = module.memory {
        host.put("Memory", Some(json!(memory)));
        // Twice the memory, as the engine takes it itself.
        host.take("MemorySwap");
    }
    host.put("NanoCpus", module.cpus.map(|n| json!(n)));
    host.put("ShmSize", module.shm_size.map(|n| json!(n)));
    if let Some(LogSettings { driver, max_size, max_file }) =
        module.log.as_ref().filter(|_| !built_in_log)
    {
        let mut config = Map::new();
        config.extend(max_size.as_ref().map(|size| ("max-size".to_owned(), json!(size))));
        config.extend(max_file.map(|files| ("max-file".to_owned(), json!(files.to_string()))));
        host.put("LogConfig", Some(json!({"Type": driver, "Config": config})));
    }
}

fn put_powers(host: &mut Options, module: &Module) {
    let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
    host.put("Privileged", module.privileged.then_some(json!(true)));
    host.put("CapAdd", list(&module.cap_add));
    host.put("CapDrop", list(&module.cap_drop));
    host.put("ReadonlyRootfs", module.read_only.then_some(json!(true)));
    host.put("Init", module.init.map(|init| json!(init)));
    host.put(
        "DeviceRequests",
        module.gpus.map(|gpus| {
            let count = match gpus {
                Gpus::All => -1,
                Gpus::Count(n) => i64::from(n),
            };
            json!([{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}])
        }),
    );
}

/// A text in pieces of at most 512 units; `None` if there are too many.
pub(super) fn chunks(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut length = 0;
    for c in text.chars() {
        if length + c.len_utf16() > CHUNK {
            parts.push(String::new());
            length = 0;
        }
        length += c.len_utf16();
        parts.last_mut()?.push(c);
    }
    (parts.len() <= CHUNKS).then_some(parts)
}

/// The pieces under their keys: `createOptions`, `createOptions01`, …
pub(super) fn in_chunks(parts: Vec<String>) -> impl Iterator<Item = (String, Json)> {
    (0..).zip(parts).map(|(number, part)| {
        let number = if number == 0 { String::new() } else { format!("{number:02}") };
        (format!("createOptions{number}"), part.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_iot_edge_cuts_them() {
        assert_eq!(chunks("").unwrap(), [""]);
        let parts = chunks(&"a".repeat(1025)).unwrap();
        assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [512, 512, 1]);
        let parts = chunks(&format!("{}😀", "a".repeat(511))).unwrap();
        assert_eq!(parts, ["a".repeat(511), "😀".to_owned()]);
        assert_eq!(chunks(&"a".repeat(51_200)).unwrap().len(), 100);
        assert_eq!(chunks(&"a".repeat(51_201)), None);
        let keys: Vec<String> = in_chunks(vec![String::new(); 3]).map(|(key, _)| key).collect();
        assert_eq!(keys, ["createOptions", "createOptions01", "createOptions02"]);
    }
}

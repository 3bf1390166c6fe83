//! The body of the engine's *create* call for a module: what create-options say, with the module's own
//! keys over it, and what Hoist adds.

use super::networks::{Networking, networking};
use crate::model::{
    ENGINE_FILES, EnvValue, FleetName, Gpus, HealthCheck, LogSettings, Module, ModuleName,
    RestartPolicy, SecretName, Table, bind_target, real_path,
};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// What the body depends on besides the module.
pub(super) struct BodyInput<'a> {
    pub(super) fleet: &'a FleetName,
    pub(super) device: &'a str,
    pub(super) name: &'a ModuleName,
    /// Our labels.
    pub(super) labels: &'a BTreeMap<String, String>,
    /// Anonymous volumes of the container that it replaces: volume → path.
    pub(super) carried_over: &'a BTreeMap<String, String>,
}

/// The engine's word for a restart policy.
pub(super) fn engine_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always | RestartPolicy::OnUnhealthy => "always",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::Never => "no",
    }
}

/// The body, and the variables whose values are secrets.
pub(super) fn body(module: &Module, input: &BodyInput<'_>) -> (Json, BTreeMap<String, SecretName>) {
    let mut top = canonical_keys(&module.create_options, TOP);
    let host = top.remove("HostConfig").and_then(object).unwrap_or_default();
    let mut host = canonical_map(host, HOST);
    top.insert("Image".to_owned(), module.image.as_str().into());
    let secrets = put_environment(&mut top, module, input);
    put_texts(&mut top, module);
    put_ports(&mut top, &mut host, module);
    put_mounts(&mut top, &mut host, module, input);
    put_limits(&mut host, module);
    put_powers(&mut host, module);
    put_networking(&mut top, &mut host, module, input);
    let mut labels = top.remove("Labels").and_then(object).unwrap_or_default();
    for (key, value) in module.labels.iter().chain(input.labels) {
        labels.insert(key.clone(), value.as_str().into());
    }
    top.insert("Labels".to_owned(), Json::Object(labels));
    top.insert("HostConfig".to_owned(), Json::Object(host));
    (Json::Object(top), secrets)
}

const TOP: &[&str] = &[
    "Hostname",
    "User",
    "Env",
    "Cmd",
    "Entrypoint",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "StopTimeout",
    "Healthcheck",
    "HostConfig",
    "NetworkingConfig",
];
const HOST: &[&str] = &[
    "Binds",
    "PortBindings",
    "Tmpfs",
    "Devices",
    "DeviceRequests",
    "ExtraHosts",
    "Memory",
    "MemorySwap",
    "NanoCpus",
    "ShmSize",
    "Privileged",
    "CapAdd",
    "CapDrop",
    "ReadonlyRootfs",
    "Init",
    "LogConfig",
    "NetworkMode",
    "RestartPolicy",
];

/// Engines take keys in any case, so ours must meet theirs in one spelling.
fn canonical_keys(table: &Table, known: &[&str]) -> Map<String, Json> {
    canonical_map(table.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect(), known)
}

fn canonical_map(map: Map<String, Json>, known: &[&str]) -> Map<String, Json> {
    map.into_iter()
        .map(|(key, value)| match known.iter().find(|k| k.eq_ignore_ascii_case(&key)) {
            Some(known) => ((*known).to_owned(), value),
            None => (key, value),
        })
        .collect()
}

fn object(json: Json) -> Option<Map<String, Json>> {
    match json {
        Json::Object(map) => Some(map),
        _ => None,
    }
}

fn put_environment(
    top: &mut Map<String, Json>,
    module: &Module,
    input: &BodyInput<'_>,
) -> BTreeMap<String, SecretName> {
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    if let Some(Json::Array(items)) = top.remove("Env") {
        for item in items.iter().filter_map(Json::as_str) {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            variables.insert(key.to_owned(), value.to_owned());
        }
    }
    let mut secrets = BTreeMap::new();
    for (key, value) in &module.env {
        match value {
            EnvValue::Text(text) => {
                variables.insert(key.clone(), text.clone());
            }
            EnvValue::Secret(name) => {
                variables.remove(key);
                secrets.insert(key.clone(), name.clone());
            }
        }
    }
    variables.insert("HOIST_DEVICE_ID".to_owned(), input.device.to_owned());
    variables.insert("HOIST_MODULE_ID".to_owned(), input.name.to_string());
    variables.insert("HOIST_TWIN".to_owned(), format!("{ENGINE_FILES}/desired.json"));
    let list: Vec<Json> = variables.iter().map(|(k, v)| format!("{k}={v}").into()).collect();
    top.insert("Env".to_owned(), Json::Array(list));
    secrets
}

fn put_texts(top: &mut Map<String, Json>, module: &Module) {
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            top.insert(key.to_owned(), value);
        }
    };
    put("Cmd", module.command.as_ref().map(|list| json!(list)));
    put("Entrypoint", module.entrypoint.as_ref().map(|list| json!(list)));
    put("User", module.user.as_ref().map(|text| json!(text)));
    put("Hostname", module.hostname.as_ref().map(|text| json!(text)));
    put("StopTimeout", module.stop_timeout.map(|time| json!(time.seconds_up())));
    put("Healthcheck", module.health.as_ref().map(health));
}

fn health(health: &HealthCheck) -> Json {
    let HealthCheck { command, interval, timeout, retries, start_period } = health;
    if health.is_none() {
        return json!({"Test": command});
    }
    json!({
        "Test": command,
        "Interval": interval.millis * 1_000_000,
        "Timeout": timeout.millis * 1_000_000,
        "Retries": retries,
        "StartPeriod": start_period.millis * 1_000_000,
    })
}

fn put_ports(top: &mut Map<String, Json>, host: &mut Map<String, Json>, module: &Module) {
    if module.ports.is_empty() {
        return;
    }
    let mut exposed = top.remove("ExposedPorts").and_then(object).unwrap_or_default();
    let mut bindings = host.remove("PortBindings").and_then(object).unwrap_or_default();
    let mut ours: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for port in &module.ports {
        let key = format!("{}/{}", port.container, port.protocol);
        exposed.insert(key.clone(), json!({}));
        ours.entry(key).or_default().push(json!({"HostIp": port.ip, "HostPort": port.host}));
    }
    for (key, list) in ours {
        bindings.insert(key, Json::Array(list));
    }
    top.insert("ExposedPorts".to_owned(), Json::Object(exposed));
    host.insert("PortBindings".to_owned(), Json::Object(bindings));
}

fn put_mounts(
    top: &mut Map<String, Json>,
    host: &mut Map<String, Json>,
    module: &Module,
    input: &BodyInput<'_>,
) {
    let mut volumes = top.remove("Volumes").and_then(object).unwrap_or_default();
    volumes.insert(ENGINE_FILES.to_owned(), json!({}));
    top.insert("Volumes".to_owned(), Json::Object(volumes));
    let target = |bind: &str| real_path(bind_target(bind));
    let mut binds: Vec<String> = match host.remove("Binds") {
        Some(Json::Array(items)) => {
            items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let own: Vec<String> = module.volumes.iter().map(ToString::to_string).collect();
    binds.retain(|bind| !own.iter().any(|o| target(o) == target(bind)));
    binds.extend(own);
    for (volume, path) in input.carried_over {
        // What a bind asks for without a source, nobody named either.
        binds.retain(|bind| bind.contains(':') || target(bind) != real_path(path));
        if !binds.iter().any(|bind| target(bind) == real_path(path)) {
            binds.push(format!("{volume}:{path}"));
        }
    }
    if !binds.is_empty() {
        host.insert("Binds".to_owned(), json!(binds));
    }
    if !module.tmpfs.is_empty() {
        let tmpfs: Map<String, Json> = module
            .tmpfs
            .iter()
            .map(|text| {
                let (path, options) = text.split_once(':').unwrap_or((text, ""));
                (path.to_owned(), options.into())
            })
            .collect();
        host.insert("Tmpfs".to_owned(), Json::Object(tmpfs));
    }
    if !module.host_devices.is_empty() {
        let devices: Vec<Json> = module
            .host_devices
            .iter()
            .map(|device| {
                json!({
                    "PathOnHost": device.host,
                    "PathInContainer": device.container,
                    "CgroupPermissions": device.permissions,
                })
            })
            .collect();
        host.insert("Devices".to_owned(), Json::Array(devices));
    }
}

fn put_limits(host: &mut Map<String, Json>, module: &Module) {
    let policy = engine_policy(module.restart_policy);
    // A module that should not run must not be revived by an engine that restarts.
    let policy = if module.status == crate::model::Status::Stopped { "no" } else { policy };
    host.insert("RestartPolicy".to_owned(), json!({"Name": policy}));
    if let Some(memory) = module.memory {
        host.insert("Memory".to_owned(), memory.into());
        host.insert("MemorySwap".to_owned(), memory.saturating_mul(2).into());
    }
    if let Some(cpus) = module.cpus {
        host.insert("NanoCpus".to_owned(), cpus.into());
    }
    if let Some(size) = module.shm_size {
        host.insert("ShmSize".to_owned(), size.into());
    }
    if let Some(LogSettings { driver, max_size, max_file }) = &module.log {
        let mut config = Map::new();
        if let Some(size) = max_size {
            config.insert("max-size".to_owned(), size.as_str().into());
        }
        if let Some(files) = max_file {
            config.insert("max-file".to_owned(), files.to_string().into());
        }
        host.insert("LogConfig".to_owned(), json!({"Type": driver, "Config": config}));
    }
}

fn put_powers(host: &mut Map<String, Json>, module: &Module) {
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            host.insert(key.to_owned(), value);
        }
    };
    let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
    put("Privileged", module.privileged.then_some(json!(true)));
    put("CapAdd", list(&module.cap_add));
    put("CapDrop", list(&module.cap_drop));
    put("ReadonlyRootfs", module.read_only.then_some(json!(true)));
    put("Init", module.init.map(|init| json!(init)));
    put(
        "DeviceRequests",
        module.gpus.map(|gpus| {
            let count = match gpus {
                Gpus::All => -1,
                Gpus::Count(n) => i64::from(n),
            };
            json!([{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}])
        }),
    );
    let hosts: Vec<String> =
        module.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    put("ExtraHosts", list(&hosts));
}

/// Before API 1.44 *create* takes one network; the others are joined by steps of their own. With a mode
/// nothing may be said of networks (engines then leave broken rules behind).
fn put_networking(
    top: &mut Map<String, Json>,
    host: &mut Map<String, Json>,
    module: &Module,
    input: &BodyInput<'_>,
) {
    match networking(module, input.fleet) {
        Networking::CreateOptions => {}
        Networking::Mode(mode) => {
            host.insert("NetworkMode".to_owned(), mode.into());
            top.remove("NetworkingConfig");
        }
        Networking::Networks(networks) => {
            let first = networks.first().map(String::as_str).unwrap_or_default();
            host.insert("NetworkMode".to_owned(), first.into());
            let endpoint = json!({first: {"Aliases": [input.name.as_str()]}});
            top.insert("NetworkingConfig".to_owned(), json!({"EndpointsConfig": endpoint}));
        }
    }
}

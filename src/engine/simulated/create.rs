//! The engine's *create* body → a container of the simulated engine.
//!
//! Enters: the same JSON that a real engine gets. Leaves: what the simulation needs of it. Like the real one it
//! matches keys whatever their case and passes over those that it does not know.

use super::world::{Container, Mount, Process, Publication, World};
use crate::engine::{EngineError, EngineErrorKind, EventKind, SecretValues};
use crate::model::{MadeWith, SecretName, label};
use crate::plan::StepOutput;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The least that a memory limit may be.
const LEAST_MEMORY: u64 = 6 << 20;

/// A value by its key, whatever the key's case.
fn get<'a>(json: &'a Json, key: &str) -> &'a Json {
    const NULL: &Json = &Json::Null;
    let Some(object) = json.as_object() else { return NULL };
    object
        .get(key)
        .or_else(|| object.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v))
        .unwrap_or(NULL)
}

fn texts(json: &Json) -> impl Iterator<Item = &str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str)
}

fn text_map(json: &Json) -> BTreeMap<String, String> {
    let entries = json.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn environment(body: &Json, secrets: &BTreeMap<String, SecretName>) -> BTreeMap<String, String> {
    let plain = texts(get(body, "Env")).map(|entry| entry.split_once('=').unwrap_or((entry, "")));
    let plain = plain.map(|(key, value)| (key.to_owned(), value.to_owned()));
    plain.chain(secrets.keys().map(|key| (key.clone(), "(secret)".to_owned()))).collect()
}

fn made_with(body: &Json, host: &Json) -> MadeWith {
    let bindings = get(host, "PortBindings");
    MadeWith::read(get(body, "Env"), get(body, "Cmd"), get(body, "Entrypoint"), bindings)
}

fn refuse<T>(kind: EngineErrorKind, name: &str, words: &str) -> Result<T, EngineError> {
    Err(EngineError::new(kind, format!("could not create {name}: {words}")))
}

impl World {
    pub(super) fn create(
        &mut self,
        name: &str,
        body: &Json,
        variables: &BTreeMap<String, SecretName>,
        secrets: &SecretValues,
    ) -> Result<StepOutput, EngineError> {
        use EngineErrorKind::{Conflict, NoImage, Refused};
        for (variable, secret) in variables {
            if let Err(reason) = secrets.value(secret) {
                return refuse(Refused, name, &format!("{variable}: {reason}"));
            }
        }
        if !is_name(name) {
            let words = format!(
                "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            );
            return refuse(Refused, name, &words);
        }
        let image = get(body, "Image").as_str().unwrap_or_default().to_owned();
        let Some(image_id) = self.image(&image).map(|image| image.id.clone()) else {
            return refuse(NoImage, name, &format!("No such image: {image}"));
        };
        if let Some(other) = self.containers.values().find(|c| c.name == name) {
            if is_made_of(other, body) {
                return Ok(StepOutput::Created { id: other.id.clone() });
            }
            let words = format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\"",
                &other.id[..12]
            );
            return refuse(Conflict, name, &words);
        }
        let host = get(body, "HostConfig");
        let limits = Limits::of(name, host)?;
        let ports = publications(name, get(host, "PortBindings"))?;
        let (network_mode, networks) = networks(name, body, host)?;
        let id = self.next_id();
        let (mounts, own_volumes) = self.mounts(body, host);
        let container = Container {
            name: name.to_owned(),
            image,
            image_id,
            labels: text_map(get(body, "Labels")),
            env: environment(body, variables),
            made_with: Some(made_with(body, host).and_secrets(variables.keys())),
            policy: match get(get(host, "RestartPolicy"), "Name").as_str() {
                None | Some("") => "no".to_owned(),
                Some(policy) => policy.to_owned(),
            },
            memory: limits.memory,
            memory_swap: limits.memory_swap,
            nano_cpus: limits.nano_cpus,
            network_mode,
            networks,
            network_ids: BTreeMap::new(),
            ports,
            mounts,
            own_volumes,
            health_interval: health_interval(get(body, "Healthcheck")),
            files: BTreeMap::new(),
            process: Process::Created,
            restart_count: 0,
            started: None,
            finished: None,
            error: String::new(),
            logs: std::collections::VecDeque::new(),
            id: id.clone(),
        };
        self.containers.insert(id.clone(), container);
        self.happened(&id, EventKind::Created);
        Ok(StepOutput::Created { id })
    }

    /// What is mounted, and which volumes were made without a name.
    fn mounts(&mut self, body: &Json, host: &Json) -> (Vec<Mount>, BTreeSet<String>) {
        // By target, with the source: a path, a name, or nothing.
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for bind in texts(get(host, "Binds")) {
            let parts: Vec<&str> = bind.splitn(3, ':').collect();
            match parts.as_slice() {
                [target] => found.insert((*target).to_owned(), String::new()),
                [source, target, ..] => found.insert((*target).to_owned(), (*source).to_owned()),
                [] => None,
            };
        }
        for mount in get(host, "Mounts").as_array().into_iter().flatten() {
            let target = get(mount, "Target").as_str().unwrap_or_default().to_owned();
            let source = get(mount, "Source").as_str().unwrap_or_default().to_owned();
            if get(mount, "Type").as_str() != Some("tmpfs") {
                found.insert(target, source);
            }
        }
        for target in get(body, "Volumes").as_object().into_iter().flat_map(|map| map.keys()) {
            found.entry(target.clone()).or_default();
        }
        let mut own = BTreeSet::new();
        let mut mounts = Vec::new();
        for (target, source) in found {
            let volume = if source.starts_with('/') {
                String::new()
            } else if source.is_empty() {
                let volume = self.next_id();
                own.insert(volume.clone());
                volume
            } else {
                source
            };
            if !volume.is_empty() {
                self.volumes.entry(volume.clone()).or_default();
            }
            mounts.push(Mount { volume, target });
        }
        (mounts, own)
    }
}

struct Limits {
    memory: u64,
    memory_swap: i64,
    nano_cpus: u64,
}

impl Limits {
    fn of(name: &str, host: &Json) -> Result<Self, EngineError> {
        let number = |key: &str| match get(host, key) {
            Json::Null => Ok(0),
            Json::Number(number) if number.is_i64() => Ok(number.as_i64().unwrap_or(0)),
            other => {
                // The value itself could be a secret.
                let kind = match other {
                    Json::String(_) => "string",
                    Json::Number(_) => "number",
                    Json::Bool(_) => "bool",
                    _ => "value",
                };
                let words = format!("json: cannot unmarshal {kind} into HostConfig.{key}");
                refuse(EngineErrorKind::Refused, name, &words)
            }
        };
        let positive = |number: i64| u64::try_from(number).unwrap_or(0);
        let memory = positive(number("Memory")?);
        let swap = number("MemorySwap")?;
        let limits = Self {
            memory,
            memory_swap: if swap == 0 { i64::try_from(memory * 2).unwrap_or(0) } else { swap },
            nano_cpus: positive(number("NanoCpus")?),
        };
        match unfit(limits.memory, limits.nano_cpus) {
            Some(words) => refuse(EngineErrorKind::Refused, name, words),
            None => Ok(limits),
        }
    }
}

/// Why an engine would not take these limits.
pub(super) fn unfit(memory: u64, nano_cpus: u64) -> Option<&'static str> {
    if memory > 0 && memory < LEAST_MEMORY {
        Some("Minimum memory limit allowed is 6MB")
    } else if nano_cpus > 4_000_000_000 {
        Some("Range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available")
    } else {
        None
    }
}

/// Whether an engine takes a name for a container.
pub(super) fn is_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Whether a container is what this body makes, not used yet: a call that is made again finds its own work.
fn is_made_of(container: &Container, body: &Json) -> bool {
    let labels = text_map(get(body, "Labels"));
    labels.contains_key(label::SPEC)
        && matches!(container.process, Process::Created)
        && labels.iter().all(|(key, value)| container.labels.get(key) == Some(value))
}

fn publications(name: &str, bindings: &Json) -> Result<Vec<Publication>, EngineError> {
    let mut ports = Vec::new();
    for (port, hosts) in bindings.as_object().into_iter().flatten() {
        let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        for host in hosts.as_array().into_iter().flatten() {
            let text = get(host, "HostPort").as_str().unwrap_or_default();
            let Ok(number) = text.parse::<u16>() else {
                let words = format!("invalid port specification: {text:?}");
                return refuse(EngineErrorKind::Refused, name, &words);
            };
            let ip = get(host, "HostIp").as_str().filter(|ip| !ip.is_empty());
            ports.push(Publication {
                ip: ip.unwrap_or("0.0.0.0").to_owned(),
                host: number,
                protocol: protocol.to_owned(),
            });
        }
    }
    Ok(ports)
}

type Networks = BTreeMap<String, Vec<String>>;

fn networks(name: &str, body: &Json, host: &Json) -> Result<(String, Networks), EngineError> {
    let mode = match get(host, "NetworkMode").as_str() {
        None | Some("") => "default",
        Some(mode) => mode,
    };
    let endpoints = get(get(body, "NetworkingConfig"), "EndpointsConfig");
    let mut networks: Networks = BTreeMap::new();
    for (network, endpoint) in endpoints.as_object().into_iter().flatten() {
        let aliases = texts(get(endpoint, "Aliases")).map(str::to_owned).collect();
        networks.insert(network.clone(), aliases);
    }
    if networks.len() > 1 {
        let names: Vec<&str> = networks.keys().map(String::as_str).collect();
        let words =
            format!("Container cannot be connected to network endpoints: {}", names.join(", "));
        return refuse(EngineErrorKind::Refused, name, &words);
    }
    if !mode.starts_with("container:") {
        let first = if mode == "default" { "bridge" } else { mode };
        networks.entry(first.to_owned()).or_default();
    }
    Ok((mode.to_owned(), networks))
}

fn health_interval(check: &Json) -> Option<u64> {
    /// An engine's default.
    const INTERVAL: u64 = 30_000;
    let kind = texts(get(check, "Test")).next()?;
    if kind == "NONE" {
        return None;
    }
    match get(check, "Interval").as_u64() {
        None | Some(0) => Some(INTERVAL),
        Some(nanos) => Some((nanos / 1_000_000).max(1)),
    }
}

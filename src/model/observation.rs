//! What an engine was seen to run at one moment.

use super::made_with::MadeWith;
use super::table::Table;
use std::collections::{BTreeMap, BTreeSet};

/// Labels that every container of ours carries.
#[expect(missing_docs, reason = "the names say it")]
pub mod label {
    pub const FLEET: &str = "hoist.fleet";
    pub const DEVICE: &str = "hoist.device";
    pub const MODULE: &str = "hoist.module";
    /// The spec hash with which it was created.
    pub const SPEC: &str = "hoist.spec";
    /// The revision that created it; never compared.
    pub const REVISION: &str = "hoist.revision";
    /// Which control host's store created it.
    pub const CONTROL: &str = "hoist.control";
    /// On networks: the network's name.
    pub const NETWORK: &str = "hoist.network";
    /// All that a container must carry to be taken for ours.
    pub const ALL: [&str; 6] = [FLEET, DEVICE, MODULE, SPEC, REVISION, CONTROL];
}

/// Where Hoist writes into a module.
pub const ENGINE_FILES: &str = "/run/hoist";

/// All containers of an engine, and what else was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// Every container, ours and foreign, in the order of their ids.
    pub containers: Vec<ObservedContainer>,
    /// Networks that carry our labels, by name; only asked for where the store does not know them.
    pub networks: Option<BTreeSet<String>>,
    /// The ids of all networks by name; only asked for where something that is down is to be started.
    pub network_ids: Option<BTreeMap<String, String>>,
    /// Which of the images that may have to be pulled the engine has. Only asked for where a plan needs it.
    pub images: BTreeMap<String, bool>,
}

/// One container.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: String,
    /// Its name without the leading `/`.
    pub name: String,
    /// The image as the list shows it.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// What it does.
    pub state: ContainerState,
    /// Of its health check, if it has one.
    pub health: Health,
    /// Networks it is on, by name.
    pub networks: BTreeSet<String>,
    /// Its network mode, as the list shows it.
    pub network_mode: String,
    /// Ports of the device that it publishes now.
    pub ports: Vec<ObservedPort>,
    /// What is mounted into it.
    pub mounts: Vec<ObservedMount>,
    /// The engine's ids of those networks, as far as the list tells them: a network that was removed and made
    /// again has another one, and the container can't be started on it.
    pub network_ids: BTreeMap<String, String>,
    /// For how many seconds it has been up, at least; `None` where the list does not say.
    pub up_for: Option<u64>,
    /// What only an inspect tells; only asked for where the store does not know the id.
    pub detail: Option<ContainerDetail>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started; or a start failed.
    Created,
    /// It runs.
    Running,
    /// It runs, frozen.
    Paused,
    /// The engine waits before it starts it again.
    Restarting,
    /// The engine is removing it.
    Removing,
    /// It ended with this code.
    Exited(i64),
    /// The engine could not remove it.
    Dead,
    /// A word that this version of Hoist does not know.
    Unknown,
}

/// What a health check says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// There is no check.
    #[default]
    None,
    /// No verdict yet.
    Starting,
    /// Good.
    Healthy,
    /// Bad.
    Unhealthy,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedPort {
    /// Address of the device.
    pub ip: String,
    /// Port of the device.
    pub host: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// Something mounted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObservedMount {
    /// Name of the volume; empty for a path of the device.
    pub volume: String,
    /// Path in the container.
    pub target: String,
}

impl ObservedMount {
    /// Whether it is a volume that nobody named.
    pub fn is_anonymous(&self) -> bool {
        self.volume.len() == 64 && self.volume.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

/// What an inspect tells.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerDetail {
    /// The image as it was asked for at create.
    pub image: String,
    /// Labels of the image itself.
    pub image_labels: BTreeMap<String, String>,
    /// The engine's word for the restart policy.
    pub restart_policy: String,
    /// Bytes; 0 for none.
    pub memory: u64,
    /// Bytes; 0 for none.
    pub memory_swap: i64,
    /// Billionths of a processor; 0 for none.
    pub nano_cpus: u64,
    /// How often the engine started it again.
    pub restart_count: u64,
    /// When it was started last, as the engine writes it.
    pub started_at: String,
    /// When it ended last, as the engine writes it.
    pub finished_at: String,
    /// Whether the kernel killed it for memory.
    pub out_of_memory: bool,
    /// The engine's words on the last failed start.
    pub error: String,
    /// What it was made with; `None` if the engine does not say.
    pub made_with: Option<MadeWith>,
    /// What stands in its `desired.json`.
    pub twin: TwinFile,
}

/// A container's `desired.json`.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum TwinFile {
    /// Nobody looked, or the engine did not say.
    #[default]
    NotRead,
    /// It is not there, or none of Hoist's.
    Foreign,
    /// One of Hoist's.
    Ours(TwinSeen),
}

impl TwinFile {
    /// From its content, if it is there.
    pub fn read(content: Option<&[u8]>) -> Self {
        content.and_then(TwinSeen::in_file).map_or(Self::Foreign, Self::Ours)
    }

    /// What is in it, if it is known to be one of Hoist's.
    pub fn ours(&self) -> Option<&TwinSeen> {
        match self {
            Self::Ours(seen) => Some(seen),
            Self::NotRead | Self::Foreign => None,
        }
    }
}

/// What Hoist wrote into a container's `desired.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct TwinSeen {
    /// `$version`.
    pub version: u64,
    /// The twin hash that was written with it.
    pub hash: String,
}

impl TwinSeen {
    /// From the content of a `desired.json`; `None` if it is none of Hoist's.
    fn in_file(content: &[u8]) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(content).ok()?;
        let version = json.get("$version")?.as_u64()?;
        let hash = json.get("$hash")?.as_str()?.to_owned();
        Some(Self { version, hash })
    }
}

/// What an engine says of itself and its machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EngineReport {
    /// The engine's own id.
    pub id: String,
    /// `Docker Engine`, `Podman Engine`, `simulated`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The API version in use.
    pub api_version: String,
    /// The operating system's name.
    pub os: String,
    /// The kernel's version.
    pub kernel: String,
    /// `x86_64`, `aarch64`, …
    pub architecture: String,
    /// Number of processors.
    pub cpus: i64,
    /// Bytes.
    pub memory: i64,
    /// Labels that the engine was given.
    pub labels: BTreeMap<String, String>,
}

impl EngineReport {
    /// The reported properties that come from it.
    pub fn reported(&self) -> Table {
        use super::value::Value;
        let Self {
            id: _,
            name,
            version,
            api_version: _,
            os,
            kernel,
            architecture,
            cpus,
            memory,
            labels,
        } = self;
        let mut engine = Table::new();
        engine.insert("name".to_owned(), name.as_str().into());
        engine.insert("version".to_owned(), version.as_str().into());
        let mut table = Table::new();
        table.insert("engine".to_owned(), Value::Table(engine));
        table.insert("os".to_owned(), os.as_str().into());
        table.insert("kernel".to_owned(), kernel.as_str().into());
        table.insert("architecture".to_owned(), architecture.as_str().into());
        table.insert("cpus".to_owned(), (*cpus).into());
        table.insert("memory".to_owned(), (*memory).into());
        let labels = labels.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
        table.insert("labels".to_owned(), Value::Table(labels));
        table
    }
}

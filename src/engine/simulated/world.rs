//! What a simulated engine holds: containers, networks, volumes, images.
//!
//! Enters: nothing. Leaves: plain data that can be kept in a file, and look-ups in it. What happens to it is in
//! `step` and `clock`.

use super::listen::LogLine;
use crate::engine::{EngineError, EngineErrorKind, EngineEvent};
use crate::model::MadeWith;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Everything that one simulated engine holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct World {
    /// The device that it is simulated for.
    pub(super) device: String,
    /// Its own clock, in milliseconds.
    pub(super) now: u64,
    /// How many ids were given.
    pub(super) given: u64,
    /// By id.
    pub(super) containers: BTreeMap<String, Container>,
    /// By name; only those that somebody made.
    pub(super) networks: BTreeMap<String, Network>,
    /// By name.
    pub(super) volumes: BTreeMap<String, Volume>,
    /// By reference with its tag or digest: images that the engine has.
    pub(super) images: BTreeMap<String, Image>,
    /// Likewise: what modules of an image do.
    pub(super) behaviours: BTreeMap<String, Behaviour>,
    /// Likewise: images that no registry has.
    pub(super) missing: BTreeSet<String>,
    /// Likewise: how often other content was published under the reference.
    pub(super) published: BTreeMap<String, u64>,
    /// Ports of the device that some process holds.
    pub(super) occupied: BTreeSet<u16>,
    /// Ports that the engine takes for published, and that nobody publishes.
    #[serde(default)]
    pub(super) leaked: BTreeSet<u16>,
    /// Every step takes so long in real time, in milliseconds: a change has a middle then, also in another process.
    #[serde(default)]
    pub(super) pace: u64,
    /// What happened since it was last told.
    #[serde(skip)]
    pub(super) happened: Vec<EngineEvent>,
}

/// What a module does once it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behaviour {
    /// It runs until it is stopped.
    #[default]
    Runs,
    /// It ends by itself.
    Ends {
        /// With this code.
        code: i64,
        /// So long after each start, in milliseconds.
        after: u64,
    },
    /// It can't be started: its command is not there.
    BadCommand,
    /// It runs, and its health check, if it has one, says no.
    Unhealthy,
    /// It runs, and writes this at each start.
    Speaks {
        /// A line to standard output.
        stdout: String,
        /// A line to standard error.
        stderr: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Values of secrets are not kept.
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) made_with: Option<MadeWith>,
    pub(super) policy: String,
    pub(super) memory: u64,
    pub(super) memory_swap: i64,
    pub(super) nano_cpus: u64,
    pub(super) network_mode: String,
    /// Names of networks, with the aliases there.
    pub(super) networks: BTreeMap<String, Vec<String>>,
    /// The ids of those that it was started on: it can be started on no others.
    #[serde(default)]
    pub(super) network_ids: BTreeMap<String, String>,
    pub(super) ports: Vec<Publication>,
    pub(super) mounts: Vec<Mount>,
    /// Volumes that were made for it without a name.
    pub(super) own_volumes: BTreeSet<String>,
    /// Interval of its health check in milliseconds.
    pub(super) health_interval: Option<u64>,
    pub(super) files: BTreeMap<String, StoredFile>,
    pub(super) process: Process,
    pub(super) restart_count: u64,
    pub(super) started: Option<u64>,
    pub(super) finished: Option<u64>,
    pub(super) error: String,
    /// What it wrote last.
    #[serde(default)]
    pub(super) logs: VecDeque<LogLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Process {
    Created,
    Running,
    Paused,
    /// Ended with a code; the engine starts it again at a moment.
    Restarting {
        code: i64,
        at: u64,
        pause: u64,
    },
    Exited {
        code: i64,
    },
    /// Half removed.
    Dead,
}

impl Container {
    /// Whether it holds its ports and its place in networks.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.process, Process::Running | Process::Paused)
    }
}

/// A port of the device that a container publishes while it is up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Publication {
    pub(super) ip: String,
    pub(super) host: u16,
    pub(super) protocol: String,
}

/// A mounted volume, or a path of the device where `volume` is empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mount {
    pub(super) volume: String,
    pub(super) target: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Network {
    pub(super) id: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) subnet: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Volume {
    pub(super) files: BTreeMap<String, StoredFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StoredFile {
    Text(String),
    Bytes(Vec<u8>),
    Link(String),
    Folder,
    /// A pipe, a device, a socket.
    Special,
}

impl StoredFile {
    pub(super) fn of(content: &[u8]) -> Self {
        match std::str::from_utf8(content) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(content.to_vec()),
        }
    }

    /// The content, if it is a plain file.
    pub(super) fn content(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Link(_) | Self::Folder | Self::Special => None,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) labels: BTreeMap<String, String>,
}

impl World {
    pub(super) fn new(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            now: 0,
            given: 0,
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            missing: BTreeSet::new(),
            published: BTreeMap::new(),
            occupied: BTreeSet::new(),
            leaked: BTreeSet::new(),
            pace: 0,
            happened: Vec::new(),
        }
    }

    /// A new id, the same in every run.
    pub(super) fn next_id(&mut self) -> String {
        self.given += 1;
        hex_of(&format!("{} {}", self.device, self.given))
    }

    /// The id of a container by name, id, or the beginning of an id.
    pub(super) fn find(&self, container: &str) -> Option<String> {
        let by_name = self.containers.values().find(|c| c.name == container);
        let found = by_name.or_else(|| {
            let prefix = container.len() >= 12;
            self.containers.values().find(|c| prefix && c.id.starts_with(container))
        });
        found.map(|c| c.id.clone())
    }

    /// A container by name or id.
    pub(super) fn container(&self, container: &str) -> Result<&Container, EngineError> {
        self.find(container)
            .and_then(|id| self.containers.get(&id))
            .ok_or_else(|| no_container(container))
    }

    /// Likewise, to change it.
    pub(super) fn container_mut(&mut self, container: &str) -> Result<&mut Container, EngineError> {
        self.find(container)
            .and_then(|id| self.containers.get_mut(&id))
            .ok_or_else(|| no_container(container))
    }

    /// An image that the engine has, by reference or id.
    pub(super) fn image(&self, reference: &str) -> Option<&Image> {
        self.images
            .get(&full_reference(reference))
            .or_else(|| self.images.values().find(|image| image.id == reference))
    }

    /// What modules of an image do.
    pub(super) fn behaviour(&self, image: &str) -> Behaviour {
        self.behaviours.get(&full_reference(image)).cloned().unwrap_or_default()
    }

    /// The id that a registry's image has now.
    pub(super) fn published_id(&self, reference: &str) -> String {
        let times = self.published.get(reference).copied().unwrap_or(0);
        format!("sha256:{}", hex_of(&format!("image {reference} {times}")))
    }

    /// The files that lie at a path of a container, and the path within them: in the volume mounted nearest,
    /// else in the container's own file system.
    pub(super) fn files_at(
        &mut self,
        container: &str,
        path: &str,
    ) -> Option<(&mut BTreeMap<String, StoredFile>, String)> {
        let (volume, rest) = self.volume_at(container, path)?;
        if volume.is_empty() {
            let id = self.find(container)?;
            return Some((&mut self.containers.get_mut(&id)?.files, rest));
        }
        Some((&mut self.volumes.entry(volume).or_default().files, rest))
    }

    /// The file at a path of a container.
    pub(super) fn file_at(&self, container: &str, path: &str) -> Option<&StoredFile> {
        let (volume, rest) = self.volume_at(container, path)?;
        if volume.is_empty() {
            return self.containers.get(&self.find(container)?)?.files.get(&rest);
        }
        self.volumes.get(&volume)?.files.get(&rest)
    }

    /// The volume, empty for none, and the path in it.
    fn volume_at(&self, container: &str, path: &str) -> Option<(String, String)> {
        let found = self.containers.get(&self.find(container)?)?;
        let path = path.trim_end_matches('/');
        let mut best: Option<(&Mount, &str)> = None;
        for mount in found.mounts.iter().filter(|mount| !mount.volume.is_empty()) {
            let Some(rest) = path.strip_prefix(mount.target.trim_end_matches('/')) else {
                continue;
            };
            let nearer = best.is_none_or(|(other, _)| mount.target.len() > other.target.len());
            if (rest.is_empty() || rest.starts_with('/')) && nearer {
                best = Some((mount, rest));
            }
        }
        Some(match best {
            Some((mount, rest)) => (mount.volume.clone(), rest.trim_start_matches('/').to_owned()),
            None => (String::new(), path.to_owned()),
        })
    }
}

/// 64 hexadecimal digits.
pub(super) fn hex_of(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A reference as the engine keeps it: by its digest if it has one, else with its tag.
pub(super) fn full_reference(reference: &str) -> String {
    match crate::model::ImageReference::parse(reference) {
        Ok(parsed) => match (parsed.digest(), parsed.tag()) {
            (Some(digest), _) => format!("{}@{digest}", parsed.name()),
            (None, Some(_)) => reference.to_owned(),
            (None, None) => format!("{reference}:latest"),
        },
        Err(_) => reference.to_owned(),
    }
}

fn no_container(container: &str) -> EngineError {
    EngineError::new(EngineErrorKind::NotFound, format!("No such container: {container}"))
}

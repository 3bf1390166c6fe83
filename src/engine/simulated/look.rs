//! What can be seen of a simulated engine.
//!
//! Enters: the world. Leaves: the port's observations of it.

use super::clock::written;
use super::world::{Container, Process, World, full_reference, hex_of};
use crate::engine::{FileForm, FileSeen};
use crate::model::{
    ContainerDetail, ContainerState, ENGINE_FILES, EngineReport, Health, Observation,
    ObservedContainer, ObservedMount, ObservedPort, TwinFile, label,
};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    pub(super) fn report(&self) -> EngineReport {
        EngineReport {
            id: hex_of(&format!("engine {}", self.device)),
            name: "simulated".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: "1.41".to_owned(),
            os: "simulated".to_owned(),
            kernel: "simulated".to_owned(),
            architecture: "x86_64".to_owned(),
            cpus: 4,
            memory: 8 << 30,
            labels: BTreeMap::new(),
        }
    }

    pub(super) fn list(&self) -> Observation {
        Observation {
            containers: self.containers.values().map(|c| self.observed(c)).collect(),
            networks: None,
            network_ids: None,
            images: BTreeMap::new(),
        }
    }

    fn observed(&self, container: &Container) -> ObservedContainer {
        let moved = self
            .images
            .get(&full_reference(&container.image))
            .is_none_or(|image| image.id != container.image_id);
        let health = self.health(container);
        let mut ports: Vec<ObservedPort> = container
            .ports
            .iter()
            .filter(|_| container.is_up())
            .map(|port| ObservedPort {
                ip: port.ip.clone(),
                host: port.host,
                protocol: port.protocol.clone(),
            })
            .collect();
        ports.sort();
        ObservedContainer {
            id: container.id.clone(),
            name: container.name.clone(),
            image: if moved { container.image_id.clone() } else { container.image.clone() },
            image_id: container.image_id.clone(),
            labels: container.labels.clone(),
            state: match container.process {
                Process::Created => ContainerState::Created,
                Process::Running => ContainerState::Running,
                Process::Paused => ContainerState::Paused,
                Process::Restarting { .. } => ContainerState::Restarting,
                Process::Exited { code } => ContainerState::Exited(code),
                Process::Dead => ContainerState::Dead,
            },
            // The list's text has room for one remark, and `Paused` takes it.
            health: if container.process == Process::Paused { Health::None } else { health },
            networks: container.networks.keys().cloned().collect(),
            network_ids: container.network_ids.clone(),
            up_for: container
                .started
                .filter(|_| container.is_up())
                .map(|started| self.now.saturating_sub(started) / 1000),
            network_mode: container.network_mode.clone(),
            ports,
            mounts: container
                .mounts
                .iter()
                .map(|mount| ObservedMount {
                    volume: mount.volume.clone(),
                    target: mount.target.clone(),
                })
                .collect(),
            detail: None,
        }
    }

    pub(super) fn detail(&self, id: &str) -> Option<ContainerDetail> {
        let container = self.containers.get(id)?;
        let image = self.images.values().find(|image| image.id == container.image_id);
        Some(ContainerDetail {
            image: container.image.clone(),
            image_labels: image.map(|image| image.labels.clone()).unwrap_or_default(),
            restart_policy: container.policy.clone(),
            memory: container.memory,
            memory_swap: container.memory_swap,
            nano_cpus: container.nano_cpus,
            restart_count: container.restart_count,
            started_at: written(container.started),
            finished_at: written(container.finished),
            out_of_memory: false,
            error: container.error.clone(),
            made_with: container.made_with.clone(),
            twin: self.twin(id),
        })
    }

    fn twin(&self, id: &str) -> TwinFile {
        let slot =
            self.file_at(id, &format!("{ENGINE_FILES}/desired.json")).and_then(|link| match link {
                super::world::StoredFile::Link(target) if !target.contains('/') => {
                    self.file_at(id, &format!("{ENGINE_FILES}/{target}"))
                }
                _ => None,
            });
        TwinFile::read(slot.and_then(|file| file.content()))
    }

    pub(super) fn networks_of(&self, fleet: &str) -> BTreeSet<String> {
        let ours = |labels: &BTreeMap<String, String>| {
            labels.get(label::FLEET).is_some_and(|text| text == fleet)
        };
        let found = self.networks.iter().filter(|(_, network)| ours(&network.labels));
        found.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn network_ids(&self) -> BTreeMap<String, String> {
        self.networks.iter().map(|(name, network)| (name.clone(), network.id.clone())).collect()
    }

    pub(super) fn seen_at(&self, container: &str, path: &str) -> Option<FileSeen> {
        use super::world::StoredFile;
        let file = self.file_at(container, path)?;
        let form = match file {
            StoredFile::Text(_) | StoredFile::Bytes(_) => FileForm::Plain,
            StoredFile::Link(_) => FileForm::Link,
            StoredFile::Folder => FileForm::Folder,
            StoredFile::Special => FileForm::Other,
        };
        let content = file.content().unwrap_or_default();
        // There are no times of files here; what they hold is as good.
        let stamp = hex_of(&String::from_utf8_lossy(content));
        Some(FileSeen { form, size: content.len() as u64, stamp })
    }

    pub(super) fn read_file(&self, container: &str, path: &str, limit: usize) -> Option<Vec<u8>> {
        let content = self.file_at(container, path)?.content()?;
        (content.len() <= limit).then(|| content.to_vec())
    }
}

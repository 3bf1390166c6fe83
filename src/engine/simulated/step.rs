//! One step on the simulated engine, as a real one was measured to do it.
//!
//! Enters: a step. Leaves: the world changed, or the engine's refusal in the engine's words.

use super::create::{is_name, unfit};
use super::listen::told_of;
use super::world::{Behaviour, Image, Network, Process, StoredFile, World, full_reference};
use crate::engine::{Cause, EngineError, EngineErrorKind, EventKind, SecretValues};
use crate::model::{ENGINE_FILES, Health, ImageReference};
use crate::plan::{FileEntry, Step, StepOutput, module_in};
use std::collections::BTreeMap;

/// The code of a process that the engine kills.
const KILLED: i64 = 137;

impl World {
    pub(super) fn execute(
        &mut self,
        step: &Step,
        secrets: &SecretValues,
    ) -> Result<StepOutput, EngineError> {
        // Every call takes a moment, in which what is due happens.
        self.advance_to(self.now + 1);
        let done = match step {
            Step::Pull { image, credentials, if_present_is_enough } => {
                let known = match credentials {
                    Some(name) => secrets
                        .credentials(image, name)
                        .map(|_| ())
                        .map_err(|words| (Cause::RegistryCredentials, words)),
                    None => Ok(()),
                };
                return self.pull(image, known, *if_present_is_enough);
            }
            Step::Create { name, body, secrets: variables } => {
                return self.create(name, body, variables, secrets);
            }
            Step::RemoveNetwork { name, labels } => return self.prune(name, labels),
            Step::CreateNetwork { name, subnet, labels } => {
                self.create_network(name, subnet.as_ref(), labels);
                Ok(())
            }
            Step::Connect { container, network, aliases } => {
                self.connect(container.as_str(), network, aliases)
            }
            Step::WriteFiles { container, entries } => self.write(container.as_str(), entries),
            Step::Update { container, restart_policy, memory, nano_cpus } => {
                self.update(container.as_str(), restart_policy.as_deref(), *memory, *nano_cpus)
            }
            Step::Start { container } => self.start(container.as_str()),
            Step::Stop { container, timeout: _ } => self.stop(container.as_str()),
            Step::Restart { container, timeout: _ } => {
                self.stop(container.as_str()).and_then(|()| self.start(container.as_str()))
            }
            Step::Unpause { container } => self.unpause(container.as_str()),
            Step::Rename { container, name } => self.rename(container.as_str(), name),
            Step::Remove { container } => {
                self.remove(container.as_str());
                Ok(())
            }
            Step::WaitRunning { container, steady, deadline, may_end } => {
                let (steady, deadline) = (steady.millis, deadline.millis);
                self.wait_running(container.as_str(), steady, deadline, *may_end)
            }
        };
        match done {
            Ok(()) => Ok(StepOutput::Done),
            Err(error) if error.kind == EngineErrorKind::ModuleFailed => Err(error),
            Err(error) if error.kind == EngineErrorKind::TimedOut => Err(error),
            Err(EngineError { kind, cause, message }) => {
                Err(EngineError::new(kind, format!("could not {step}: {message}")).because(cause))
            }
        }
    }

    fn pull(
        &mut self,
        image: &ImageReference,
        credentials: Result<(), (Cause, String)>,
        enough: bool,
    ) -> Result<StepOutput, EngineError> {
        let reference = full_reference(image.as_str());
        let had = credentials.and_then(|()| {
            if self.missing.contains(&reference) {
                let what = if image.as_str().contains('@') {
                    "image with this digest"
                } else {
                    "such image or tag"
                };
                Err((Cause::NoSuchImage, format!("the registry has no {what} (manifest unknown)")))
            } else {
                Ok(())
            }
        });
        if let Err((cause, words)) = had {
            let words = format!("could not pull {image}: {words}");
            return if enough && self.images.contains_key(&reference) {
                let words = format!("{words}; the image that is there is used");
                Ok(StepOutput::DoneWithWarning(words))
            } else {
                Err(EngineError::new(EngineErrorKind::NoImage, words).because(cause))
            };
        }
        let id = self.published_id(&reference);
        let labels = self.images.remove(&reference).map(|old| old.labels).unwrap_or_default();
        self.images.insert(reference, Image { id, labels });
        Ok(StepOutput::Done)
    }

    fn create_network(
        &mut self,
        name: &str,
        subnet: Option<&String>,
        labels: &BTreeMap<String, String>,
    ) {
        if !self.networks.contains_key(name) {
            let id = self.next_id();
            let network = Network { id, labels: labels.clone(), subnet: subnet.cloned() };
            self.networks.insert(name.to_owned(), network);
        }
    }

    fn prune(
        &mut self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<StepOutput, EngineError> {
        if labels.is_empty() {
            let words = format!("network {name} is not removed without labels to know it by");
            return Err(EngineError::new(EngineErrorKind::Refused, words));
        }
        if self.containers.values().any(|c| c.networks.contains_key(name)) {
            let words = format!("network {name} stays: a container is still on it");
            return Ok(StepOutput::DoneWithWarning(words));
        }
        let used: Vec<String> = self
            .containers
            .values()
            .filter(|c| c.is_up())
            .flat_map(|c| c.networks.keys().cloned())
            .collect();
        self.networks.retain(|name, network| {
            used.contains(name)
                || !labels.iter().all(|(key, value)| network.labels.get(key) == Some(value))
        });
        Ok(StepOutput::Done)
    }

    fn has_network(&self, name: &str) -> bool {
        matches!(name, "bridge" | "host" | "none") || self.networks.contains_key(name)
    }

    fn connect(
        &mut self,
        container: &str,
        network: &str,
        aliases: &[String],
    ) -> Result<(), EngineError> {
        if !self.has_network(network) {
            let words = format!("network {network} not found");
            return Err(EngineError::new(EngineErrorKind::Refused, words));
        }
        let found = self.container_mut(container)?;
        if found.network_mode == "host" || network == "host" {
            let words = "container cannot be connected to multiple networks with one of the \
                         networks in host mode";
            return Err(EngineError::new(EngineErrorKind::Refused, words));
        }
        if !found.networks.contains_key(network) {
            found.networks.insert(network.to_owned(), aliases.to_vec());
            let id = found.id.clone();
            self.happened(&id, EventKind::Connected { network: network.to_owned() });
        }
        Ok(())
    }

    fn write(&mut self, container: &str, entries: &[FileEntry]) -> Result<(), EngineError> {
        let found = self.container(container)?;
        if !found.mounts.iter().any(|mount| mount.target == ENGINE_FILES) {
            let words = format!("Could not find the file {ENGINE_FILES} in container {container}");
            return Err(EngineError::new(EngineErrorKind::Refused, words));
        }
        for entry in entries {
            if let FileEntry::Link { path, target } = entry
                && leaves_folder(path, target)
            {
                let words = format!("invalid symlink \"{ENGINE_FILES}/{path}\" -> \"{target}\"");
                return Err(EngineError::new(EngineErrorKind::Refused, words));
            }
            let (path, file) = match entry {
                FileEntry::File { path, content } => (path, StoredFile::of(content)),
                FileEntry::Link { path, target } => (path, StoredFile::Link(target.clone())),
                FileEntry::SharedFolder { path } => (path, StoredFile::Folder),
            };
            if let Some((files, path)) = self.files_at(container, &format!("{ENGINE_FILES}/{path}"))
            {
                files.insert(path, file);
            }
        }
        Ok(())
    }

    pub(super) fn update(
        &mut self,
        container: &str,
        policy: Option<&str>,
        memory: Option<u64>,
        nano_cpus: Option<u64>,
    ) -> Result<(), EngineError> {
        let found = self.container_mut(container)?;
        let refuse = |words: &str| Err(EngineError::new(EngineErrorKind::Refused, words));
        if let Some(words) = unfit(memory.unwrap_or(0), nano_cpus.unwrap_or(0)) {
            return refuse(words);
        }
        if let Some(policy) = policy {
            let name = match policy.split_once(':') {
                Some((name @ "on-failure", tries)) if tries.parse::<u32>().is_ok() => name,
                _ => policy,
            };
            if !matches!(name, "no" | "always" | "on-failure" | "unless-stopped") {
                return refuse(&format!("invalid restart policy '{policy}'"));
            }
            policy.clone_into(&mut found.policy);
            if let (Process::Restarting { code, .. }, "no") = (&found.process, policy) {
                found.process = Process::Exited { code: *code };
            }
        }
        // Zero changes nothing: a limit can't be lifted in place.
        if let Some(memory) = memory.filter(|memory| *memory > 0) {
            found.memory = memory;
            found.memory_swap = i64::try_from(memory * 2).unwrap_or(i64::MAX);
        }
        if let Some(nano_cpus) = nano_cpus.filter(|nano| *nano > 0) {
            found.nano_cpus = nano_cpus;
        }
        let id = found.id.clone();
        self.happened(&id, EventKind::Updated);
        Ok(())
    }

    pub(super) fn start(&mut self, container: &str) -> Result<(), EngineError> {
        let found = self.container(container)?.clone();
        match found.process {
            Process::Running | Process::Restarting { .. } => return Ok(()),
            Process::Paused => {
                let words = "cannot start a paused container, try unpause instead";
                return Err(EngineError::new(EngineErrorKind::Refused, words));
            }
            Process::Dead => {
                let words = "container is marked for removal and cannot be started";
                return Err(EngineError::new(EngineErrorKind::Refused, words));
            }
            Process::Created | Process::Exited { .. } => {}
        }
        let refused = self.start_refusal(&found);
        let (now, id) = (self.now, found.id);
        let ids: BTreeMap<String, String> = found
            .networks
            .keys()
            .filter_map(|name| Some((name.clone(), self.networks.get(name)?.id.clone())))
            .collect();
        let found = self.container_mut(&id)?;
        if let Some(error) = refused {
            found.error.clone_from(&error.message);
            return Err(error);
        }
        found.network_ids = ids;
        found.process = Process::Running;
        found.started = Some(now);
        found.restart_count = 0;
        found.error.clear();
        self.speak(&id);
        Ok(())
    }

    /// Why an engine would not start it.
    fn start_refusal(&self, container: &super::world::Container) -> Option<EngineError> {
        let refused = |words: String| Some(EngineError::new(EngineErrorKind::Refused, words));
        if let Some(network) = container.networks.keys().find(|name| !self.has_network(name)) {
            return refused(format!("network {network} not found"));
        }
        let remade = container
            .network_ids
            .iter()
            .find(|(name, id)| self.networks.get(*name).is_none_or(|network| network.id != **id));
        if let Some((_, id)) = remade {
            return refused(format!("network {} not found", &id[..12]));
        }
        let any = |ip: &str| matches!(ip, "0.0.0.0" | "::");
        for port in &container.ports {
            let conflict = |words: String| Some(EngineError::new(EngineErrorKind::Conflict, words));
            let taken = self
                .containers
                .values()
                .filter(|other| other.id != container.id && other.is_up())
                .flat_map(|other| &other.ports)
                .any(|other| {
                    other.host == port.host
                        && other.protocol == port.protocol
                        && (other.ip == port.ip || any(&other.ip) || any(&port.ip))
                });
            if taken || self.leaked.contains(&port.host) {
                return conflict(format!(
                    "Bind for {}:{} failed: port is already allocated",
                    port.ip, port.host
                ));
            }
            if self.occupied.contains(&port.host) {
                return conflict(format!(
                    "listen tcp4 {}:{}: bind: address already in use",
                    port.ip, port.host
                ));
            }
        }
        if self.behaviour(&container.image) == Behaviour::BadCommand {
            return refused(
                "OCI runtime create failed: exec: \"/nonexistent\": no such file or directory"
                    .to_owned(),
            );
        }
        None
    }

    fn stop(&mut self, container: &str) -> Result<(), EngineError> {
        let now = self.now;
        let found = self.container_mut(container)?;
        match found.process {
            Process::Running | Process::Paused => {
                found.process = Process::Exited { code: KILLED };
                found.finished = Some(now);
                let id = found.id.clone();
                self.happened(&id, EventKind::Died { code: KILLED });
            }
            Process::Restarting { code, .. } => found.process = Process::Exited { code },
            Process::Created | Process::Exited { .. } | Process::Dead => {}
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, container: &str, name: &str) -> Result<(), EngineError> {
        let found = self.container(container)?;
        let id = found.id.clone();
        if found.name == name {
            return Ok(());
        }
        if !is_name(name) {
            let words = format!("Invalid container name ({name})");
            return Err(EngineError::new(EngineErrorKind::Refused, words));
        }
        if let Process::Restarting { code, .. } = found.process {
            let name = module_in(&found.name);
            let words = format!("{name} ends again and again, last with code {code}");
            return Err(EngineError::new(EngineErrorKind::ModuleFailed, words));
        }
        if let Some(other) = self.containers.values().find(|c| c.name == name) {
            let words = format!(
                "Error when allocating new name: Conflict. The container name \"/{name}\" is \
                 already in use by container \"{}\"",
                &other.id[..12]
            );
            return Err(EngineError::new(EngineErrorKind::Conflict, words));
        }
        name.clone_into(&mut self.container_mut(&id)?.name);
        self.happened(&id, EventKind::Renamed);
        Ok(())
    }

    pub(super) fn pause(&mut self, container: &str) -> Result<(), EngineError> {
        let found = self.container_mut(container)?;
        if found.process == Process::Running {
            found.process = Process::Paused;
            let id = found.id.clone();
            self.happened(&id, EventKind::Paused);
        }
        Ok(())
    }

    fn unpause(&mut self, container: &str) -> Result<(), EngineError> {
        let found = self.container_mut(container)?;
        if found.process == Process::Paused {
            found.process = Process::Running;
            let id = found.id.clone();
            self.happened(&id, EventKind::Unpaused);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, container: &str) {
        let Some(removed) = self.find(container).and_then(|id| self.containers.remove(&id)) else {
            return;
        };
        if removed.is_up() {
            self.happened.push(told_of(&removed, EventKind::Died { code: KILLED }));
        }
        self.happened.push(told_of(&removed, EventKind::Destroyed));
        for volume in removed.own_volumes {
            let used = self.containers.values().flat_map(|c| &c.mounts).any(|m| m.volume == volume);
            if !used {
                self.volumes.remove(&volume);
            }
        }
    }

    /// The clock goes on, at once, until the wait is over.
    fn wait_running(
        &mut self,
        container: &str,
        steady: u64,
        deadline: u64,
        may_end: bool,
    ) -> Result<(), EngineError> {
        let begun = self.now;
        let first = self.container(container)?;
        let (id, name, restarts) =
            (first.id.clone(), module_in(&first.name).to_owned(), first.restart_count);
        loop {
            let seen = self.container(&id)?;
            let failed = |words: String| {
                Err(EngineError::new(EngineErrorKind::ModuleFailed, format!("{name} {words}")))
            };
            match &seen.process {
                Process::Exited { code: 0 } if may_end => return Ok(()),
                Process::Exited { code } => return failed(format!("ended with code {code}")),
                Process::Restarting { code, .. } => {
                    return failed(format!("ends again and again, last with code {code}"));
                }
                Process::Created if !seen.error.is_empty() => {
                    return failed(format!("did not start: {}", seen.error));
                }
                Process::Created => return failed("was never started".to_owned()),
                Process::Dead => return failed("is dead".to_owned()),
                Process::Running if seen.restart_count > restarts => {
                    return failed("ended and was started again by the engine".to_owned());
                }
                Process::Running | Process::Paused => {}
            }
            let waited = self.now - begun;
            match (self.health(seen), &seen.process) {
                (_, Process::Paused) | (Health::Starting, _) => {}
                (Health::Unhealthy, _) => return failed("is unhealthy".to_owned()),
                (Health::Healthy, _) => return Ok(()),
                (Health::None, _) if waited >= steady => return Ok(()),
                (Health::None, _) => {}
            }
            if waited >= deadline {
                let limit = crate::model::Duration { millis: deadline };
                let words = format!("{name} did not come up within {limit}");
                return Err(EngineError::new(EngineErrorKind::TimedOut, words));
            }
            // Short enough to see a restart, long enough to be quick.
            self.advance_to(begun + deadline.min(waited + 100));
        }
    }
}

/// Whether a relative link would lead out of the folder that an archive is put into. An absolute one is taken
/// as it is, as engines do.
fn leaves_folder(path: &str, target: &str) -> bool {
    let mut depth = path.matches('/').count();
    for part in target.split('/') {
        match part {
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            "" | "." => {}
            _ => depth += 1,
        }
    }
    false
}

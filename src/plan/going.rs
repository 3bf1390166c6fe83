//! What goes, beside what comes: who stood beside whom, and whose room is taken.

use super::device::{Draft, Sorted};
use super::module::{Decision, is_up};
use super::ports::published;
use super::room::{HalfDone, MadeRoom};
use super::{Block, PlanAction, Stops};
use crate::model::{
    ContainerState, Hash, Manifest, Module, ModuleName, ObservedContainer, ObservedPort, Timestamp,
    label,
};
use std::collections::{BTreeMap, BTreeSet};

/// The room that a container gave up for a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// The module came up in it, or is as its manifest says without.
    Taken,
    /// What came stands in it, and nothing is done about it now.
    Occupied,
    /// Nothing stands in it, and nothing is about to.
    Free,
}

/// What is known where modules go.
pub(super) struct Going<'a> {
    pub(super) sorted: &'a Sorted<'a>,
    pub(super) half_done: &'a HalfDone,
    pub(super) stops: &'a Stops,
    pub(super) ways_back: BTreeSet<ModuleName>,
    pub(super) blocked: &'a BTreeMap<ModuleName, Block>,
    pub(super) specs: &'a BTreeMap<ModuleName, Hash>,
}

impl<'a> Going<'a> {
    /// Containers of modules that the manifest does not have, but for those that are taken back at once.
    pub(super) fn unwanted(&self, manifest: &Manifest) -> Vec<(&'a ObservedContainer, ModuleName)> {
        let mut unwanted = self.sorted.unwanted(manifest);
        unwanted.retain(|(container, name)| !self.is_taken_back(container, name));
        unwanted
    }

    /// Whether no run has seen it come up, and what worked before it stands by to be started again.
    fn is_taken_back(&self, container: &ObservedContainer, name: &ModuleName) -> bool {
        self.ways_back.contains(name) && self.half_done.is_coming(container)
    }

    /// Those that are.
    pub(super) fn taken_back(
        &self,
        manifest: &Manifest,
    ) -> Vec<(&'a ObservedContainer, ModuleName)> {
        let mut unwanted = self.sorted.unwanted(manifest);
        unwanted.retain(|(container, name)| self.is_taken_back(container, name));
        unwanted
    }

    /// Whether a module that is begun stands beside this container, on a port or a volume of it, and did not before. One that
    /// shares only the volumes, and did so before, has its room, whether it is down now or not.
    pub(super) fn is_new_beside(&self, draft: &Draft<'_>, container: &ObservedContainer) -> bool {
        if published(draft.module).iter().any(|port| port.is_taken_by(container)) {
            return true;
        }
        let goes = container.labels.get(label::MODULE).map_or("", String::as_str);
        let has = |seen: &ObservedContainer, volume: &str| {
            seen.mounts.iter().any(|mount| mount.volume == volume)
        };
        let stood_there = |volume: &str| {
            self.sorted.all(&draft.name).any(|seen| {
                has(seen, volume)
                    && seen.state != ContainerState::Created
                    && !self.half_done.is_coming(seen)
                    && !self.half_done.is_owed(seen)
                    // While it was down another may have come.
                    && (is_up(seen)
                        || self.stops.stood_beside(seen, volume, goes)
                        || ended_beside(seen, container))
            })
        };
        let mut volumes = draft.module.volumes.iter().map(|volume| volume.source.as_str());
        volumes.any(|volume| has(container, volume) && !stood_there(volume))
    }

    /// How a container is when it runs.
    pub(super) fn as_it_was(&self, container: &ObservedContainer) -> MadeRoom {
        if let Some(was) = self.half_done.made_room.get(&container.id)
            && self.half_done.is_owed(container)
        {
            return was.clone();
        }
        let policy = container.detail.as_ref().map(|detail| detail.restart_policy.clone());
        MadeRoom {
            policy: policy.unwrap_or_else(|| "always".to_owned()),
            ports: container.ports.clone(),
            modules: Vec::new(),
        }
    }

    /// What stands in the room that was made for a module which is not brought up now.
    pub(super) fn room_given_to(
        &self,
        name: &ModuleName,
        taken_back: &BTreeMap<String, usize>,
    ) -> Room {
        if !self.blocked.contains_key(name) {
            return Room::Taken;
        }
        let has_come = |container: &ObservedContainer| {
            let spec = container.labels.get(label::SPEC).map(String::as_str);
            let is_as_wanted = self.specs.get(name).is_some_and(|s| spec == Some(s.as_str()));
            is_as_wanted || self.half_done.is_coming(container)
        };
        let mut up = self.sorted.all(name).filter(|container| is_up(container));
        if up.any(|container| has_come(container) && !taken_back.contains_key(&container.id)) {
            Room::Occupied
        } else {
            Room::Free
        }
    }
}

/// Whether what is down ended while the other one ran, by the engine's own clock; not where that is not known.
fn ended_beside(down: &ObservedContainer, other: &ObservedContainer) -> bool {
    let moment = |text: &str| Timestamp::parse(text).ok().map(|moment| moment.seconds);
    let ended = down.detail.as_ref().and_then(|detail| moment(&detail.finished_at));
    let begun = other.detail.as_ref().and_then(|detail| moment(&detail.started_at));
    ended.zip(begun).is_some_and(|(ended, begun)| ended > begun)
}

/// What is down and comes up again where another one goes, and would have to wait for its room, unless it ended beside it: it is
/// looked at when that was.
pub(super) fn whose_end_decides(
    drafts: &[Draft<'_>],
    manifest: &Manifest,
    sorted: &Sorted<'_>,
) -> BTreeSet<String> {
    let unwanted = sorted.unwanted(manifest);
    let shares = |down: &ObservedContainer| {
        let volumes = down.mounts.iter().map(|mount| mount.volume.as_str());
        let named: BTreeSet<&str> = volumes.filter(|volume| !volume.is_empty()).collect();
        unwanted
            .iter()
            .any(|(goes, _)| goes.mounts.iter().any(|mount| named.contains(mount.volume.as_str())))
    };
    let coming = drafts.iter().filter(|draft| draft.decision.needs_room());
    let down = coming.flat_map(|draft| sorted.all(&draft.name)).filter(|container| {
        matches!(container.state, ContainerState::Exited(_) | ContainerState::Dead)
            && container.detail.is_none()
    });
    down.filter(|down| shares(down)).map(|down| down.id.clone()).collect()
}

impl Decision {
    /// Whether something is started in a room that others may have to make.
    pub(super) fn needs_room(&self) -> bool {
        let brings_up = matches!(self.action, PlanAction::Start | PlanAction::Replace);
        self.needs_image || brings_up && !self.keeps_up
    }
}

/// Whether a module needs a port or a named volume that a container has, or had with these ports.
pub(super) fn shares_with(
    module: &Module,
    container: &ObservedContainer,
    ports: &[ObservedPort],
) -> bool {
    let mut volumes = module.volumes.iter();
    let has = |volume: &str| container.mounts.iter().any(|mount| mount.volume == volume);
    needs_port_of(module, container, ports) || volumes.any(|volume| has(&volume.source))
}

/// Between two restarts a container publishes nothing, and takes its ports again at any moment.
pub(super) fn needs_port_of(
    module: &Module,
    container: &ObservedContainer,
    ports: &[ObservedPort],
) -> bool {
    let needs = published(module);
    container.state == ContainerState::Restarting && !needs.is_empty()
        || needs.iter().any(|port| port.is_one_of(ports))
}

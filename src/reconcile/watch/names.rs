//! Devices that have another id now keep what is known of them.
//!
//! Enters: a revision whose devices name their former ids. Leaves: what is kept of devices, by the new ids, in memory and in
//! the store. A revision that is accepted brings its names in the same write: where that fails, all is by the former
//! ids still. Not here: what a store keeps by ids.

use super::brought::Bring;
use super::daemon::Daemon;
use super::loaded::{Loaded, Wants};
use super::schedule::Moment;
use super::shape::Shape;
use crate::model::DeviceId;
use crate::plan::DeviceMemory;
use crate::reconcile::renamed::{Renamed, follow_names, renamed};
use crate::rollout::Rollout;
use crate::store::{Assignment, HistoryEntry, InForce, StoreError, StoredDevices};
use std::collections::BTreeMap;
use std::sync::Arc;

/// New ids, as they are written down.
#[derive(Default)]
pub(super) struct NewNames {
    /// By the former ones.
    pub(super) ids: Vec<(DeviceId, DeviceId)>,
    pub(super) history: Vec<HistoryEntry>,
}

/// What the daemon keeps by ids.
struct Kept {
    devices: Arc<StoredDevices>,
    memories: BTreeMap<DeviceId, DeviceMemory>,
    rollout: Option<Rollout>,
    answered: BTreeMap<DeviceId, Moment>,
    asked: BTreeMap<DeviceId, Moment>,
    broken: BTreeMap<DeviceId, String>,
    formers: BTreeMap<DeviceId, InForce>,
    behind: BTreeMap<DeviceId, Assignment>,
    brought: BTreeMap<DeviceId, Bring>,
}

impl Daemon {
    /// Accepts a revision, and its names with it.
    ///
    /// # Errors
    /// The store can't be written; all is as it was.
    pub(super) fn accept_by_new_names(
        &mut self,
        loaded: &Loaded,
        why: &str,
        shape: &Shape,
        found: &StoredDevices,
    ) -> Result<(), StoreError> {
        let accept = self.entry(None, "accept", Some(&loaded.revision.id), why);
        self.with_new_names(loaded, |daemon, mut names| {
            names.history.push(accept);
            daemon.accept_revision(loaded, shape, found, &names)
        })
    }

    /// Takes up the names of a revision that counts already: a look at a device under its former id was under way.
    ///
    /// # Errors
    /// The store can't be written; all is as it was.
    pub(super) fn keep_names(&mut self, loaded: &Loaded) -> Result<(), StoreError> {
        self.with_new_names(loaded, |daemon, names| {
            if names.ids.is_empty() {
                return Ok(());
            }
            daemon.shared.store.rename_devices(&names.ids, &names.history)?;
            let moment = daemon.clock.moment();
            names.ids.iter().for_each(|(_, device)| daemon.schedule.wake(device, moment));
            Ok(())
        })
    }

    /// Whether a device is being looked at under a former id: two at a time would undo each other's steps.
    pub(super) fn is_looked_at_by_a_former_name(&self, device: &DeviceId) -> bool {
        let accepted = self.accepted.as_ref().and_then(|a| a.fleet.devices.get(device));
        accepted.is_some_and(|device| device.formerly.iter().any(|id| self.under_way.contains(id)))
    }

    /// A look at a device that the fleet has no more has ended: if it is there under another id, what was seen is no other's.
    pub(super) fn end_look_at(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        self.under_way.remove(device);
        // One thing that can't be written holds up none of the others.
        let moments = if self.unwritten.contains(device) { self.write_moments() } else { Ok(()) };
        let engines = if self.engines_wait { self.accept_engines() } else { Ok(()) };
        let names = match self.accepted.clone() {
            Some(accepted) if !accepted.fleet.devices.contains_key(device) => {
                self.keep_names(&accepted)
            }
            _ => Ok(()),
        };
        moments.and(engines).and(names)
    }

    /// Goes by the new names, and back to the former ones where that can't be written.
    fn with_new_names(
        &mut self,
        loaded: &Loaded,
        write: impl FnOnce(&mut Self, NewNames) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let renamed = renamed(&loaded.fleet, &self.devices);
        if renamed.is_empty() {
            return write(self, NewNames::default());
        }
        let before = Kept {
            devices: Arc::clone(&self.devices),
            memories: self.memories.clone(),
            rollout: self.rollout.clone(),
            answered: self.progress.answered.clone(),
            asked: self.progress.asked.clone(),
            broken: self.progress.broken.clone(),
            formers: self.progress.formers.clone(),
            behind: self.behind.clone(),
            brought: self.brought.clone(),
        };
        self.go_by(&renamed, loaded);
        let entry = |Renamed { former, device }: &Renamed| {
            self.entry(Some(device), "rename", None, &format!("it was {former}"))
        };
        let names = NewNames {
            history: renamed.iter().map(entry).collect(),
            ids: renamed.iter().map(|r| (r.former.clone(), r.device.clone())).collect(),
        };
        let written = write(self, names);
        if written.is_err() {
            let Kept {
                devices,
                memories,
                rollout,
                answered,
                asked,
                broken,
                formers,
                behind,
                brought,
            } = before;
            (self.devices, self.memories, self.rollout) = (devices, memories, rollout);
            (self.behind, self.brought) = (behind, brought);
            (self.progress.answered, self.progress.broken) = (answered, broken);
            (self.progress.asked, self.progress.formers) = (asked, formers);
        }
        written
    }

    fn go_by(&mut self, renamed: &[Renamed], loaded: &Loaded) {
        let templates = loaded.templates();
        follow_names(renamed, Arc::make_mut(&mut self.devices), &mut self.memories);
        for Renamed { former, device } in renamed {
            if let Some(rollout) = &mut self.rollout {
                rollout.rename(former, device);
                // A manifest names its device: what failed there is the same under the new name.
                if let (Some(Wants::Manifest(wanted)), Some(template)) =
                    (loaded.wants.get(device), templates.get(device))
                {
                    rollout.mark_anew(device, wanted, template);
                }
            }
            if let Some(words) = self.progress.broken.remove(former) {
                self.progress.broken.insert(device.clone(), words);
            }
            if let Some(moment) = self.progress.answered.remove(former) {
                self.progress.answered.insert(device.clone(), moment);
            }
            if let Some(moment) = self.progress.asked.remove(former) {
                self.progress.asked.insert(device.clone(), moment);
            }
            if let Some(in_force) = self.progress.formers.remove(former) {
                self.progress.formers.insert(device.clone(), in_force);
            }
            if let Some(mut assignment) = self.behind.remove(former) {
                assignment.device = device.clone();
                self.behind.insert(device.clone(), assignment);
            }
            if let Some(mut bring) = self.brought.remove(former) {
                bring.wish.device = device.clone();
                self.brought.entry(device.clone()).or_insert(bring);
            }
        }
    }
}

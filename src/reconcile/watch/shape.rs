//! What a revision's own words make of its way to devices: who gets it at once, and how strict its phases are.
//!
//! Enters: a reviewer's diff of it with what counted before, and of each device that was left at another revision with that
//! one: all that differs comes along. Leaves: a [`Shape`]. Not here: what a rollout under way makes of it.

use super::daemon::Daemon;
use super::loaded::Loaded;
use crate::model::{DeploymentId, DeviceId, PhaseSettings};
use crate::review::{FleetDiff, Group, edited_deployment, goes_at_once};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Devices that a rollout has left behind, at one revision.
pub(super) struct Left {
    pub(super) at: Arc<Loaded>,
    pub(super) devices: BTreeSet<DeviceId>,
}

/// What a reviewer's diff of a revision says about how it goes out.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Devices that change by deployments alone that say `phased = false`, and the revision from which they do.
    at_once: BTreeMap<DeviceId, String>,
    /// Devices that were left behind, to which such a deployment comes with something else.
    withheld: BTreeSet<DeviceId>,
    /// Deployments by which devices change.
    changed: BTreeSet<DeploymentId>,
}

impl Shape {
    /// Takes in the diff with what counted before, for all but those that were left behind.
    pub(super) fn add(&mut self, diff: &FleetDiff, from: &Loaded, to: &Loaded, left: &[Left]) {
        let is_left = |device: &DeviceId| left.iter().any(|left| left.devices.contains(device));
        for group in &diff.groups {
            self.add_group(group, from, to, group.devices.iter().filter(|d| !is_left(d)));
        }
    }

    /// Takes in the diff with what devices were left at.
    pub(super) fn add_left(&mut self, diff: &FleetDiff, left: &Left, to: &Loaded) {
        for group in &diff.groups {
            let is_left = |device: &&DeviceId| left.devices.contains(*device);
            let devices = group.devices.iter().filter(is_left);
            if !self.add_group(group, &left.at, to, devices.clone()) && is_partly_at_once(group, to)
            {
                self.withheld.extend(devices.cloned());
            }
        }
    }

    /// Whether it goes at once.
    fn add_group<'d>(
        &mut self,
        group: &Group,
        from: &Loaded,
        to: &Loaded,
        devices: impl Iterator<Item = &'d DeviceId>,
    ) -> bool {
        let mut devices = devices.peekable();
        if devices.peek().is_none() {
            return false;
        }
        let at_once = goes_at_once(group, Some(&from.fleet), &to.fleet);
        if at_once {
            let from = &from.revision.id;
            self.at_once.extend(devices.map(|device| (device.clone(), from.clone())));
        } else {
            self.changed.extend(group.causes.keys().filter_map(edited_deployment).cloned());
        }
        at_once
    }

    /// Whether a device that is at a revision changes by deployments alone that say `phased = false`.
    pub(super) fn is_at_once(&self, device: &DeviceId, at: &str) -> bool {
        self.at_once.get(device).is_some_and(|from| from == at)
    }

    /// Whether such a deployment comes to a device that was left behind, and something else with it.
    pub(super) fn is_withheld(&self, device: &DeviceId) -> bool {
        self.withheld.contains(device)
    }

    /// The deployments by which devices change.
    pub(super) fn changed(&self) -> &BTreeSet<DeploymentId> {
        &self.changed
    }

    /// What these say of phases themselves.
    pub(super) fn tighter<'l>(&self, loaded: &'l Loaded) -> Vec<&'l PhaseSettings> {
        tighter(&self.changed, loaded)
    }
}

/// What deployments say of phases themselves.
pub(super) fn tighter<'l>(
    changed: &BTreeSet<DeploymentId>,
    loaded: &'l Loaded,
) -> Vec<&'l PhaseSettings> {
    let changed = changed.iter().filter_map(|id| loaded.fleet.deployments.get(id));
    changed.map(|deployment| &deployment.rollout).collect()
}

/// Whether deployments that say `phased = false` are among those by which a group changes.
fn is_partly_at_once(group: &Group, to: &Loaded) -> bool {
    let edited = group.causes.keys().filter_map(edited_deployment);
    let mut edited = edited.filter_map(|id| to.fleet.deployments.get(id));
    edited.any(|deployment| !deployment.phased)
}

impl Daemon {
    /// The devices that were left behind, at revisions that can be read.
    pub(super) fn left(&self) -> Vec<Left> {
        let mut devices: BTreeMap<&str, BTreeSet<DeviceId>> = BTreeMap::new();
        for assignment in self.behind.values() {
            devices.entry(&assignment.revision).or_default().insert(assignment.device.clone());
        }
        let at = |revision: &str| match &self.accepted {
            Some(accepted) if accepted.revision.id == revision => Some(Arc::clone(accepted)),
            _ => self.others.read.get(revision)?.as_ref().ok().cloned(),
        };
        let left = devices.into_iter();
        left.filter_map(|(revision, devices)| Some(Left { at: at(revision)?, devices })).collect()
    }
}

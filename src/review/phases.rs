//! In which phase of the rollout a group's devices are, where the fleet says that changes go out in phases.

use super::{Cause, Group, Membership, Side};
use crate::fleet::Fleet;
use crate::language::{Subject, Truth};
use crate::model::{AT_ONCE, Deployment, DeploymentId, DeviceId, LATER_PHASES, REST};
use crate::rollout::phases_of;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a phase takes a share of the devices.
pub(super) fn has_shares(side: &Side<'_>) -> bool {
    let rollout = side.fleet.and_then(|(fleet, _)| fleet.rollout.as_ref());
    rollout.is_some_and(|rollout| rollout.phases.iter().any(|phase| phase.share.is_some()))
}

/// The phases of a head's fleet, and which devices are in which.
pub(super) struct Phases<'a> {
    base: Option<&'a Fleet>,
    head: &'a Side<'a>,
    fleet: Option<&'a Fleet>,
    /// By device; `None` where nobody can know.
    known: Option<BTreeMap<DeviceId, usize>>,
}

impl<'a> Phases<'a> {
    /// Of all groups that change; `None` where only some were looked at.
    pub(super) fn new(base: &Side<'a>, head: &'a Side<'a>, all: Option<&[Group]>) -> Self {
        let fleet = head.fleet.map(|(fleet, _)| fleet);
        let base = base.fleet.map(|(fleet, _)| fleet);
        let mut phases = Self { base, head, fleet, known: None };
        let (Some(rollout), Some(all)) = (fleet.and_then(|fleet| fleet.rollout.as_ref()), all)
        else {
            return phases;
        };
        let phased: Vec<&Group> =
            all.iter().filter(|group| takes_part(group) && !phases.is_at_once(group)).collect();
        // In one group it is the same how many a share takes, whoever they are.
        let revision = head.revision.or((phased.len() == 1).then_some(""));
        let devices = phased.into_iter().flat_map(|group| &group.devices);
        let by_condition: BTreeMap<DeviceId, Option<usize>> =
            devices.map(|device| (device.clone(), phases.by_condition(device))).collect();
        phases.known = revision.map(|revision| phases_of(rollout, &by_condition, revision));
        phases
    }

    /// In which phases a group's devices are, and how many.
    pub(super) fn of(&self, group: &Group) -> Vec<(String, usize)> {
        let Some(rollout) = self.fleet.and_then(|fleet| fleet.rollout.as_ref()) else {
            return Vec::new();
        };
        if !takes_part(group) {
            return Vec::new();
        }
        if self.is_at_once(group) {
            return vec![(AT_ONCE.to_owned(), group.devices.len())];
        }
        let last = if self.known.is_some() || !has_shares(self.head) { REST } else { LATER_PHASES };
        let names: Vec<&str> =
            rollout.phases.iter().map(|phase| phase.name.as_str()).chain([last]).collect();
        let mut counts = vec![0; names.len()];
        for device in &group.devices {
            let phase = match &self.known {
                Some(known) => known.get(device).copied(),
                None => self.by_condition(device),
            };
            counts[phase.unwrap_or(names.len() - 1)] += 1;
        }
        let named = names.iter().map(|name| (*name).to_owned()).zip(counts);
        named.filter(|(_, devices)| *devices > 0).collect()
    }

    fn is_at_once(&self, group: &Group) -> bool {
        self.fleet.is_some_and(|fleet| goes_at_once(group, self.base, fleet))
    }

    /// The phase whose condition a device meets.
    fn by_condition(&self, device: &DeviceId) -> Option<usize> {
        let fleet = self.fleet?;
        let device = fleet.devices.get(device)?;
        let reported = self.head.facts.reported(device);
        let subject = Subject { device, reported: &reported };
        fleet.rollout.as_ref()?.phases.iter().position(|phase| {
            phase.target.as_ref().is_some_and(|t| t.evaluate(subject) == Truth::True)
        })
    }
}

fn takes_part(group: &Group) -> bool {
    let changes = match group.membership {
        Membership::Stays | Membership::Renamed | Membership::WasRetained => true,
        Membership::Joined | Membership::Left | Membership::Held | Membership::Retained => false,
    };
    changes && !group.changes.is_empty()
}

/// Whether a group changes by deployments alone that say `phased = false`. What the new revision says of a deployment
/// counts; of one that goes, what the former one said.
pub fn goes_at_once(group: &Group, base: Option<&Fleet>, head: &Fleet) -> bool {
    let deployment = |id: &DeploymentId| {
        head.deployments.get(id).or_else(|| base.and_then(|base| base.deployments.get(id)))
    };
    let is_unphased = |deployment: &Arc<Deployment<_, _>>| !deployment.phased;
    !group.causes.is_empty()
        && group
            .causes
            .keys()
            .all(|cause| edited_deployment(cause).and_then(deployment).is_some_and(is_unphased))
}

/// The deployment whose edit a cause is.
pub fn edited_deployment(cause: &Cause) -> Option<&DeploymentId> {
    match cause {
        Cause::DeploymentAdded(id)
        | Cause::DeploymentRemoved(id)
        | Cause::KindChanged(id)
        | Cause::TargetChanged(id)
        | Cause::PriorityChanged(id)
        | Cause::CreatedChanged(id)
        | Cause::ContentChanged(id) => Some(id),
        Cause::DeviceJoined
        | Cause::DeviceLeft
        | Cause::DeviceRenamed
        | Cause::InForceDiffers
        | Cause::NothingInForce
        | Cause::TagsChanged(_)
        | Cause::ReportedChanged(_)
        | Cause::Outranked { .. }
        | Cause::DefaultsChanged => None,
    }
}

//! In which phase of the rollout a group's devices are, where the fleet says that changes go out in phases.

use super::{Cause, Group, Membership, Side};
use crate::fleet::Fleet;
use crate::language::{Subject, Truth};
use crate::model::{Deployment, DeploymentId, DeviceId};
use crate::rollout::phases_of;
use std::collections::BTreeMap;

/// What a share takes, or the rest, where the head is no commit or not all devices are looked at: which devices a share takes
/// depends on both.
pub(super) const LATER: &str = "later phases";
/// Without phases, because of `phased = false`.
pub(super) const AT_ONCE: &str = "at once";
/// Whoever is in no phase that is written.
const REST: &str = "rest";

/// Names the phases of all groups, with the number of devices in each.
pub(super) fn name_phases(groups: &mut [Group], base: &Side<'_>, head: &Side<'_>, narrowed: bool) {
    let Some((fleet, _)) = head.fleet else { return };
    let Some(rollout) = &fleet.rollout else { return };
    let phase_of = |device: &DeviceId| {
        let device = fleet.devices.get(device)?;
        let reported = head.facts.reported(device);
        let subject = Subject { device, reported: &reported };
        rollout.phases.iter().position(|phase| {
            phase.target.as_ref().is_some_and(|t| t.evaluate(subject) == Truth::True)
        })
    };
    let mut taking_part: BTreeMap<DeviceId, Option<usize>> = BTreeMap::new();
    let mut phased: Vec<&mut Group> = Vec::new();
    for group in groups.iter_mut().filter(|group| takes_part(group)) {
        if goes_at_once(group, base.fleet.map(|(fleet, _)| fleet), fleet) {
            group.phases.push((AT_ONCE.to_owned(), group.devices.len()));
            continue;
        }
        taking_part.extend(group.devices.iter().map(|device| (device.clone(), phase_of(device))));
        phased.push(group);
    }
    let known = head.revision.filter(|_| !narrowed);
    let known = known.map(|revision| phases_of(rollout, &taking_part, revision));
    let last = if known.is_some() { REST } else { LATER };
    let names: Vec<&str> =
        rollout.phases.iter().map(|phase| phase.name.as_str()).chain([last]).collect();
    for group in phased {
        let mut counts = vec![0; names.len()];
        for device in &group.devices {
            let by_condition = taking_part.get(device).copied().flatten();
            let phase = match &known {
                Some(known) => known.get(device).copied(),
                None => by_condition,
            };
            counts[phase.unwrap_or(names.len() - 1)] += 1;
        }
        let named = names.iter().map(|name| (*name).to_owned()).zip(counts);
        group.phases = named.filter(|(_, devices)| *devices > 0).collect();
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
    let is_unphased = |deployment: &Deployment<_, _>| !deployment.phased;
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

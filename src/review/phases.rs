//! In which phase of the rollout a group's devices are, where the fleet says that changes go out in phases.

use super::{Cause, Group, Membership, Side};
use crate::fleet::Fleet;
use crate::language::{Subject, Truth};
use crate::model::{Deployment, DeploymentId, DeviceId};

/// What a share takes, or the rest: which devices that are is decided by the revision's id when the phase opens.
pub(super) const LATER: &str = "later phases";
/// Without phases, because of `phased = false`.
pub(super) const AT_ONCE: &str = "at once";

/// Names the phases of a group, with the number of devices in each.
pub(super) fn name_phases(group: &mut Group, base: &Side<'_>, head: &Side<'_>) {
    let Some((fleet, _)) = head.fleet else { return };
    let Some(rollout) = &fleet.rollout else { return };
    let takes_part = match group.membership {
        Membership::Stays | Membership::Renamed | Membership::WasRetained => true,
        Membership::Joined | Membership::Left | Membership::Held | Membership::Retained => false,
    };
    if !takes_part || group.changes.is_empty() {
        return;
    }
    if goes_at_once(group, base.fleet.map(|(fleet, _)| fleet), fleet) {
        group.phases.push((AT_ONCE.to_owned(), group.devices.len()));
        return;
    }
    let phase_of = |device: &DeviceId| {
        let device = fleet.devices.get(device)?;
        let reported = head.facts.reported(device);
        let subject = Subject { device, reported: &reported };
        rollout.phases.iter().position(|phase| {
            phase.target.as_ref().is_some_and(|t| t.evaluate(subject) == Truth::True)
        })
    };
    let mut counts = vec![0; rollout.phases.len() + 1];
    for device in &group.devices {
        counts[phase_of(device).unwrap_or(rollout.phases.len())] += 1;
    }
    let names = rollout.phases.iter().map(|phase| phase.name.as_str()).chain([LATER]);
    group.phases =
        names.map(str::to_owned).zip(counts).filter(|(_, devices)| *devices > 0).collect();
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

//! Who is in which phase, by condition, by share, or as one of the rest: the daemon asks it, and the diff that a reviewer reads.

use super::Who;
use super::rules::rounded_up;
use crate::fleet;
use crate::model::{Amount, DeviceId, Hash};
use std::collections::BTreeMap;

impl Who {
    /// What a phase says.
    pub(super) fn of(phase: &fleet::Phase) -> Self {
        match (&phase.target, phase.share) {
            (Some(_), _) => Self::Target,
            (None, Some(share)) => Self::Share(share),
            (None, None) => Self::Rest,
        }
    }
}

/// Of devices that are in no phase yet, those that one takes which opens: for a share those whose hash with the revision
/// comes first, so that it is not always the same ones that go ahead.
pub(super) fn taken(
    who: Who,
    mut free: Vec<DeviceId>,
    all: usize,
    revision: &str,
) -> Vec<DeviceId> {
    match who {
        Who::Target => Vec::new(),
        Who::Rest => free,
        Who::Share(share) => {
            free.sort_by_cached_key(|device| {
                Hash::of_texts("hoist rollout share", [device.as_str(), revision])
            });
            free.truncate(rounded_up(Amount::Share(share), all));
            free
        }
    }
}

/// The phase of each device that takes part, where none joins on the way; as many as there are phases is the rest. With each
/// device comes the phase whose condition it meets.
pub fn phases_of(
    settings: &fleet::Rollout,
    devices: &BTreeMap<DeviceId, Option<usize>>,
    revision: &str,
) -> BTreeMap<DeviceId, usize> {
    let by_condition =
        devices.iter().filter_map(|(device, phase)| Some((device.clone(), (*phase)?)));
    let mut phases: BTreeMap<DeviceId, usize> = by_condition.collect();
    let declared = settings.phases.iter().map(Who::of);
    for (index, who) in declared.chain([Who::Rest]).enumerate() {
        let free = devices.keys().filter(|device| !phases.contains_key(*device)).cloned();
        let taken = taken(who, free.collect(), devices.len(), revision);
        phases.extend(taken.into_iter().map(|device| (device, index)));
    }
    phases
}

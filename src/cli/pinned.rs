//! Devices that somebody pinned, in a run without a daemon: each is planned at the revision that it is pinned to.
//!
//! Enters: a fleet at the revision that is planned, and the pins of the store. Leaves: for each revision to which devices are
//! pinned its own survey. Where that revision can't be had, its devices are left alone, and why is said. Not here: setting and
//! ending pins.

use super::Global;
use super::opened::{check_tree, fleet_folder, valid};
use crate::fleet::Fleet;
use crate::model::{DeviceId, Facts};
use crate::plan::{PinnedTo, Plan};
use crate::reconcile::{Survey, SurveyInput, survey};
use crate::resolve::{Resolution, resolve};
use crate::review::fleet_digest;
use crate::store::Pin;
use std::collections::{BTreeMap, BTreeSet};

/// One revision to which devices are pinned.
pub(super) struct Pinned {
    pub(super) fleet: Fleet,
    resolution: Resolution,
    revision: String,
    devices: BTreeSet<DeviceId>,
}

/// The fleets of the revisions to which devices are pinned, and the devices that are left alone, as theirs can't be had.
pub(super) fn pinned_fleets(
    global: &Global,
    pins: &BTreeMap<DeviceId, Pin>,
    facts: &Facts,
) -> (Vec<Pinned>, BTreeMap<DeviceId, String>) {
    let revisions: BTreeSet<&str> = pins.values().map(|pin| pin.revision.as_str()).collect();
    let (mut all, mut left_alone) = (Vec::new(), BTreeMap::new());
    for revision in revisions {
        let of: Vec<(&DeviceId, &Pin)> =
            pins.iter().filter(|(_, pin)| pin.revision == revision).collect();
        let opened = fleet_folder(global)
            .and_then(|folder| check_tree(&folder, Some(revision)))
            .and_then(|(checked, name, commit)| valid(global, checked, name, commit));
        let mut leave = |device: &DeviceId, pin: &Pin, why: &str| {
            let words = format!("{}, {why}", PinnedTo::of(pin));
            left_alone.insert(device.clone(), words);
        };
        match opened {
            Err(failure) => {
                let why = format!("which can't be had: {}", failure.message);
                of.iter().for_each(|(device, pin)| leave(device, pin, &why));
            }
            Ok(opened) => {
                let (there, not_there): (Vec<_>, Vec<_>) = of
                    .into_iter()
                    .partition(|(device, _)| opened.fleet.devices.contains_key(*device));
                not_there
                    .iter()
                    .for_each(|(device, pin)| leave(device, pin, "which does not have it"));
                all.push(Pinned {
                    resolution: resolve(&opened.fleet, facts),
                    fleet: opened.fleet,
                    revision: revision.to_owned(),
                    devices: there.into_iter().map(|(device, _)| device.clone()).collect(),
                });
            }
        }
    }
    (all, left_alone)
}

/// The devices that are looked at and are not pinned elsewhere; `None` for all.
pub(super) fn all_but(
    pins: &BTreeMap<DeviceId, Pin>,
    only: Option<&BTreeSet<DeviceId>>,
    fleet: &Fleet,
) -> Option<BTreeSet<DeviceId>> {
    if pins.is_empty() {
        return only.cloned();
    }
    let all = fleet.devices.keys();
    let is_here = |device: &&DeviceId| {
        !pins.contains_key(*device) && only.is_none_or(|only| only.contains(*device))
    };
    Some(all.filter(is_here).cloned().collect())
}

impl Pinned {
    /// Looks at its devices and plans them at its revision. `like`: how the others are looked at.
    pub(super) async fn survey(
        &self,
        like: &SurveyInput<'_>,
        pins: &BTreeMap<DeviceId, Pin>,
    ) -> Survey {
        let mut survey = survey(&SurveyInput {
            fleet: &self.fleet,
            resolution: &self.resolution,
            revision: &self.revision,
            digest: fleet_digest(&self.fleet, &self.resolution),
            only: Some(&self.devices),
            ..*like
        })
        .await;
        for (device, plan) in &mut survey.plan.devices {
            plan.pinned = pins.get(device).map(PinnedTo::of);
        }
        survey
    }
}

/// The plan of all together: what is shown, judged and agreed to.
pub(super) fn together<'a>(plan: &Plan, pinned: impl Iterator<Item = &'a Survey>) -> Plan {
    let mut whole = plan.clone();
    whole.devices.extend(pinned.flat_map(|survey| survey.plan.devices.clone()));
    whole
}

impl PinnedTo {
    fn of(pin: &Pin) -> Self {
        let Pin { revision, who, reason, .. } = pin;
        Self { revision: revision.clone(), who: who.clone(), reason: reason.clone() }
    }
}

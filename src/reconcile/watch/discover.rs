//! What a device runs of ours, where the store does not know: a lost store, or a device that comes back.
//!
//! Enters: a device. Leaves: the revisions that the labels of our containers on it name. Nothing is changed, and
//! nothing is guessed: a revision that git can't give holds the device until somebody decides.

use super::job::Shared;
use crate::engine::Wanted;
use crate::fleet::Fleet;
use crate::model::{DeviceId, ObservedContainer, label};
use crate::plan::{carries_our_labels, new_name};
use crate::reconcile::survey::names;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was found on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing of ours.
    Nothing,
    /// Containers of these revisions; and whether a change from one to another had not ended.
    Revisions(BTreeSet<String>, bool),
    /// It does not answer; why, in words.
    NoAnswer(String),
}

/// Looks for our containers on a device.
pub(super) async fn discover(
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    device: DeviceId,
) -> (DeviceId, Found) {
    let found = revisions_on(&shared, &fleet, &device).await.unwrap_or_else(|words| {
        shared.gate.close(&device);
        Found::NoAnswer(words)
    });
    (device, found)
}

async fn revisions_on(shared: &Shared, fleet: &Fleet, id: &DeviceId) -> Result<Found, String> {
    let device = fleet.devices.get(id).ok_or("the fleet has no such device")?;
    let engine = shared.gate.open(device)?;
    let observation = engine.observe(&Wanted::list_only()).await.map_err(|error| error.message)?;
    let (fleets, devices) = names(fleet, device);
    let ours = observation.containers.iter().filter(|c| carries_our_labels(c, &fleets, &devices));
    let ours: Vec<_> = ours.collect();
    let is_new = |container: &&ObservedContainer| {
        let module = container.labels.get(label::MODULE);
        module.is_some_and(|module| container.name == new_name(module))
    };
    let is_between = ours.iter().any(is_new);
    let revisions: BTreeSet<String> = ours
        .iter()
        .filter_map(|container| container.labels.get(label::REVISION).cloned())
        .collect();
    Ok(match revisions.is_empty() {
        true => Found::Nothing,
        false => Found::Revisions(revisions, is_between),
    })
}

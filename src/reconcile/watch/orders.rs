//! What people told the daemon, as it stands: pauses, pins, approvals.
//!
//! Enters: what the store holds, and a moment. Leaves: what of it concerns a device. Not here: who may say what, and
//! how it gets into the store.

use crate::fleet::Fleet;
use crate::language::{Condition, Subject, Truth};
use crate::model::{DeviceId, Facts, Timestamp};
use crate::reconcile::facts::reported_properties;
use crate::reconcile::status::Elsewhere;
use crate::store::{Approval, Pause, Pin, Scope, Store, StoreError, StoredDevices};
use std::collections::{BTreeMap, BTreeSet};

/// So the words of a device that somebody paused begin.
pub(in crate::reconcile) const PAUSED: &str = "paused by ";

/// All orders that are not over.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    pub(super) pauses: Vec<Pause>,
    pub(super) pins: Vec<Pin>,
    pub(super) approvals: Vec<Approval>,
}

/// What a scope is held against.
pub(in crate::reconcile) struct Against<'a> {
    pub(in crate::reconcile) fleet: &'a Fleet,
    pub(in crate::reconcile) devices: &'a StoredDevices,
}

/// The devices that are paused at a moment, and why, in words.
///
/// # Errors
/// The store can't be read.
pub fn paused_devices(
    store: &Store,
    fleet: &Fleet,
    devices: &StoredDevices,
    now: Timestamp,
) -> Result<BTreeMap<DeviceId, String>, StoreError> {
    let orders = Orders::read(store, now)?;
    if orders.pauses.is_empty() {
        return Ok(BTreeMap::new());
    }
    let against = Against { fleet, devices };
    let words = |id: &DeviceId| Some((id.clone(), orders.pause_of(id, &against)?));
    Ok(fleet.devices.keys().filter_map(words).collect())
}

/// The devices that are pinned at a moment to another revision than this one.
///
/// # Errors
/// The store can't be read.
pub fn pinned_elsewhere(
    store: &Store,
    revision: &str,
    fleet: &Fleet,
    devices: &StoredDevices,
    now: Timestamp,
) -> Result<BTreeMap<DeviceId, Pin>, StoreError> {
    let orders = Orders::read(store, now)?;
    let against = Against { fleet, devices };
    let pin = |id: &DeviceId| {
        let pin = orders.pin_of(id, &against).filter(|pin| pin.revision != revision)?;
        Some((id.clone(), pin.clone()))
    };
    Ok(fleet.devices.keys().filter_map(pin).collect())
}

/// The devices of a scope; `None` for all.
pub fn devices_in(
    scope: &Scope,
    fleet: &Fleet,
    devices: &StoredDevices,
) -> Option<BTreeSet<DeviceId>> {
    let against = Against { fleet, devices };
    let is_in = |device: &&DeviceId| against.is_in(scope, device);
    (*scope != Scope::All).then(|| fleet.devices.keys().filter(is_in).cloned().collect())
}

/// Which revision devices should be at that a rollout has left at another one than the accepted, or that are pinned.
pub fn elsewhere(
    left: Elsewhere,
    pins: &[Pin],
    fleet: &Fleet,
    devices: &StoredDevices,
) -> Elsewhere {
    let mut elsewhere = left;
    for pin in pins {
        let pinned = devices_in(&pin.scope, fleet, devices);
        let pinned = pinned.unwrap_or_else(|| fleet.devices.keys().cloned().collect());
        elsewhere.extend(pinned.into_iter().map(|device| (device, pin.revision.clone())));
    }
    elsewhere
}

/// The newest pause of a device.
pub(in crate::reconcile) fn pause_of<'p>(
    pauses: &'p [Pause],
    device: &DeviceId,
    against: &Against<'_>,
) -> Option<&'p Pause> {
    pauses.iter().rev().find(|pause| against.is_in(&pause.scope, device))
}

impl Orders {
    pub(super) fn read(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            pauses: store.pauses(now)?,
            pins: store.pins(now)?,
            approvals: store.approvals()?,
        })
    }

    /// The newest pin of a device.
    pub(super) fn pin_of(&self, device: &DeviceId, against: &Against<'_>) -> Option<&Pin> {
        self.pins.iter().rev().find(|pin| against.is_in(&pin.scope, device))
    }

    /// Why a device is paused, if it is, in words.
    pub(super) fn pause_of(&self, device: &DeviceId, against: &Against<'_>) -> Option<String> {
        let pause = pause_of(&self.pauses, device, against)?;
        let until = pause.until.map_or(String::new(), |until| format!(" until {until}"));
        Some(format!("{PAUSED}{}{until}: {}", pause.who, pause.reason))
    }

    /// When the next of them is over.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        let pauses = self.pauses.iter().filter_map(|pause| pause.until);
        pauses.chain(self.pins.iter().filter_map(|pin| pin.until)).min()
    }
}

impl Against<'_> {
    fn is_in(&self, scope: &Scope, device: &DeviceId) -> bool {
        match scope {
            Scope::All => true,
            Scope::Device(id) if id == device => true,
            // Of a device that has another id now, as long as that is not written down.
            Scope::Device(id) if self.fleet.devices.contains_key(id) => false,
            Scope::Device(id) => {
                self.fleet.devices.get(device).is_some_and(|device| device.formerly.contains(id))
            }
            Scope::Where(text) => {
                let Some(device) = self.fleet.devices.get(device) else { return false };
                // It was checked when it was given; what can't be read any more is about nobody.
                let Ok(condition) = Condition::parse(text) else { return false };
                let stored = self.devices.get(&device.id);
                let live = stored.map(|stored| (device.id.clone(), reported_properties(stored)));
                let facts = Facts(live.into_iter().collect());
                let reported = facts.reported(device);
                condition.evaluate(Subject { device, reported: &reported }) == Truth::True
            }
        }
    }
}

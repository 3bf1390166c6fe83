//! What the control host knows of one device, for commands that ask the files about it: live facts decide there as they do
//! where the fleet is applied.

use super::Global;
use super::output::say;
use super::run::{now, state_folder};
use crate::diagnostic::render::visible;
use crate::fleet::Fleet;
use crate::model::{DeviceId, Facts, Timestamp};
use crate::reconcile::{held_facts, settlings};
use crate::store::{Store, StoreError, StoredDevices};
use std::collections::BTreeSet;

/// A device as it was seen last.
pub(super) struct SeenDevice {
    known: StoredDevices,
    now: Timestamp,
}

impl SeenDevice {
    /// Of the store, if there is one that knows the device.
    pub(super) fn of(
        global: &Global,
        fleet: &Fleet,
        id: &DeviceId,
        simulate: bool,
    ) -> Option<Self> {
        let folder = state_folder(global, fleet, simulate).ok()?;
        let known = match known(&folder, id) {
            Ok(known) => known,
            Err(error) => {
                let words = format!("note: what {id} reports is not known here: {error}");
                say(&visible(&words));
                return None;
            }
        };
        let reports = known.values().any(|device| device.facts.is_some());
        reports.then(|| Self { known, now: now() })
    }

    /// What conditions see now.
    pub(super) fn facts(&self) -> Facts {
        held_facts(&self.known, self.now)
    }

    /// When it was seen last.
    pub(super) fn last_contact(&self) -> Option<Timestamp> {
        self.known.values().find_map(|device| device.last_contact)
    }

    /// What conditions see from later moments on, if it goes on reporting the same.
    pub(super) fn soon(&self) -> impl Iterator<Item = (Timestamp, Facts)> {
        let moments: BTreeSet<Timestamp> =
            self.known.values().flat_map(|device| settlings(device, self.now)).collect();
        moments.into_iter().map(|at| (at, held_facts(&self.known, at)))
    }
}

fn known(folder: &std::path::Path, id: &DeviceId) -> Result<StoredDevices, StoreError> {
    let Some(store) = Store::open_to_read(folder)? else { return Ok(StoredDevices::new()) };
    let mut known = store.load_devices()?;
    known.retain(|device, _| device == id);
    Ok(known)
}

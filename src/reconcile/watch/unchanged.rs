//! Devices that a revision leaves as they are: they are at it at once.
//!
//! Enters: a revision that counts from now on. Leaves: what is recorded of devices whose manifest is the same in it. No
//! engine is asked. Not here: devices of which it wants something else.

use super::daemon::Daemon;
use super::loaded::{Loaded, Wants};
use crate::model::{Cohort, DeviceId};
use crate::store::StoreError;
use std::sync::Arc;

impl Daemon {
    /// Moves them to it.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn move_unchanged(&mut self, loaded: &Loaded) -> Result<(), StoreError> {
        let against = self.against(loaded);
        let id = loaded.revision.id.as_str();
        let moved: Vec<(DeviceId, Cohort)> = self
            .devices
            .iter()
            .filter(|(device, _)| !self.behind.contains_key(*device))
            .filter_map(|(device, stored)| {
                let has = stored.in_force.as_ref().filter(|has| has.revision != id)?;
                let wants = Wants::Manifest(has.manifest_hash.clone());
                let is_same = loaded.wants.get(device) == Some(&wants);
                if !is_same || self.orders.pin_of(device, &against).is_some() {
                    return None;
                }
                let cohort = loaded.resolution.devices.get(device)?.cohort?;
                Some((device.clone(), loaded.resolution.cohorts.get(cohort)?.cohort.clone()))
            })
            .collect();
        if moved.is_empty() {
            return Ok(());
        }
        self.shared.store.move_devices(id, &moved)?;
        let moment = self.clock.moment();
        let devices = Arc::make_mut(&mut self.devices);
        for (device, Cohort { base, layers }) in moved {
            let has =
                devices.get_mut(&device).and_then(|stored| Arc::make_mut(stored).in_force.as_mut());
            if let Some(has) = has {
                (has.revision, has.base, has.layers) = (id.to_owned(), base, layers);
            }
            // A look that is under way began with what was before, and would put it back.
            self.schedule.wake_if_looked_at(&device, moment);
        }
        Ok(())
    }
}

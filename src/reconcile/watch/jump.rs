//! The wall's clock jumped: what was is as long ago as before, by the clock as it goes now.
//!
//! Enters: by how much. Leaves: moments that are waited for or shown, moved along: no pause is longer or shorter for it, and no
//! device is stale that was seen a moment ago. What people said until when holds until then, by the clock as it goes now. Where
//! the machine was suspended, all is as long ago as the clock says. Either way nobody knows what devices did meanwhile: all are
//! looked at.

use super::clock::Jump;
use super::daemon::Daemon;
use super::reports::LATELY;
use crate::model::{DeviceId, Timestamp};
use crate::plan::DeviceMemory;
use crate::reconcile::facts::next_settling;
use crate::reconcile::snapshot::{HeldRevision, SourceStanding, Trouble};
use crate::store::{StoreError, StoredDevice, fleet_key};
use std::sync::Arc;

impl Daemon {
    /// Moves along what is known, and looks at every device.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub(super) fn take_jump(&mut self, jump: Jump) -> Result<(), StoreError> {
        let Jump { set, slept } = jump;
        tracing::warn!(set, slept, "the clock of this machine was set, or it was suspended");
        let moment = self.clock.moment();
        for answered in self.progress.answered.values_mut() {
            *answered = answered.saturating_sub(LATELY);
        }
        self.devices.keys().for_each(|device| self.schedule.wake(device, moment));
        self.is_news = true;
        if set == 0 {
            return Ok(());
        }
        self.move_all_along(set);
        self.unwritten = self.devices.keys().cloned().collect();
        let written = self.write_moments();
        // A pause that was over may hold again, and the other way round.
        self.read_orders().and(written)
    }

    fn move_all_along(&mut self, seconds: i64) {
        let now = self.clock.now();
        self.memories.values_mut().for_each(|memory| shift_memory(memory, seconds, now));
        for stored in Arc::make_mut(&mut self.devices).values_mut() {
            shift_device(Arc::make_mut(stored), seconds);
        }
        self.settles = self.devices.values().filter_map(|d| next_settling(d, now)).min();
        let SourceStanding { fetched, trouble, .. } = &mut self.source;
        let since = |trouble: &mut Trouble| shift(&mut trouble.since, seconds);
        fetched.iter_mut().for_each(|at| shift(at, seconds));
        trouble.iter_mut().for_each(since);
        self.trouble.iter_mut().for_each(since);
        self.held.iter_mut().for_each(|held| shift(&mut held.since, seconds));
    }

    /// The same for what came of a look that began when the clock had jumped that far.
    pub(super) fn move_along(
        &mut self,
        moved: i64,
        stored: &mut StoredDevice,
        memory: Option<&mut DeviceMemory>,
    ) {
        let since = self.clock.moved().saturating_sub(moved);
        if since == 0 {
            return;
        }
        shift_device(stored, since);
        self.unwritten.insert(stored.device.clone());
        if let Some(memory) = memory {
            shift_memory(memory, since, self.clock.now());
        }
    }

    /// For who reads the store beside the daemon, and for the next one. A look writes what came of it by itself, and the daemon
    /// hears of it later: what is known here of a device that is being looked at waits for that.
    ///
    /// # Errors
    /// The store can't be written; what is left is written the next time.
    pub(super) fn write_moments(&mut self) -> Result<(), StoreError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let store = &self.shared.store;
        let is_written = |device: &&DeviceId| !self.under_way.contains(*device);
        let devices: Vec<StoredDevice> = (self.unwritten.iter().filter(is_written))
            .filter_map(|device| self.devices.get(device))
            .map(|stored| StoredDevice::clone(stored))
            .collect();
        store.record_moments(&devices)?;
        if let Some(held) = self.held.as_ref().map(HeldRevision::to_json) {
            store.set_fleet_state(fleet_key::HELD, Some(&held.to_string()))?;
        }
        if let Some(trouble) = self.source.trouble.as_ref().map(Trouble::to_json) {
            store.set_fleet_state(fleet_key::FETCH_TROUBLE, Some(&trouble.to_string()))?;
        }
        let Self { unwritten, under_way, .. } = self;
        unwritten.retain(|device| under_way.contains(device));
        Ok(())
    }
}

fn shift(at: &mut Timestamp, seconds: i64) {
    at.seconds = at.seconds.saturating_add(seconds);
}

/// Some of it may have been learnt after the jump: nothing lies ahead for that.
fn shift_memory(memory: &mut DeviceMemory, seconds: i64, now: Timestamp) {
    memory.shift(seconds);
    memory.forget_after(now.seconds);
}

fn shift_device(stored: &mut StoredDevice, seconds: i64) {
    shift(&mut stored.status.since, seconds);
    stored.last_contact.iter_mut().for_each(|at| shift(at, seconds));
    for report in stored.modules.values_mut().filter_map(|module| module.report.as_mut()) {
        report.looked_at = report.looked_at.saturating_add(seconds);
    }
    let Some(facts) = stored.facts.as_mut().map(Arc::make_mut) else { return };
    // Facts that have not held long enough yet go on from where they were; what holds goes on to hold.
    for held in facts.held.values_mut().filter(|held| held.value != held.settled) {
        shift(&mut held.since, seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceId;
    use crate::store::{HeldFact, ReportedFacts};
    use serde_json::json;

    #[test]
    fn a_fact_that_waits_waits_as_long_whatever_the_clock_does() {
        let fact = |value: &str, settled: &str, seconds| HeldFact {
            value: Some(json!(value)),
            since: Timestamp { seconds },
            settled: Some(json!(settled)),
        };
        let path = |name: &str| vec![name.to_owned()];
        let facts = ReportedFacts {
            reported: json!({}),
            since: Timestamp { seconds: 0 },
            held: [(path("waits"), fact("b", "a", 1000)), (path("holds"), fact("a", "a", 1000))]
                .into(),
        };
        let id = DeviceId::parse("till-1").unwrap();
        let mut stored = StoredDevice {
            facts: Some(Arc::new(facts)),
            last_contact: Some(Timestamp { seconds: 900 }),
            ..StoredDevice::unknown(id, Timestamp { seconds: 700 })
        };
        shift_device(&mut stored, 7200);
        let since = |stored: &StoredDevice, name: &str| {
            stored.facts.as_ref().unwrap().held[&path(name)].since.seconds
        };
        assert_eq!((since(&stored, "waits"), since(&stored, "holds")), (8200, 1000));
        assert_eq!(
            (stored.status.since.seconds, stored.last_contact.unwrap().seconds),
            (7900, 8100)
        );
        shift_device(&mut stored, -7200);
        assert_eq!(since(&stored, "waits"), 1000);
    }
}

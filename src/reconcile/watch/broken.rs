//! What runs beside the loop and breaks down: a fault of Hoist costs what it happened in, and nothing else.
//!
//! Enters: a task that panicked. Leaves: something that ended, as every other task does, with words for whoever waits for
//! it; it is tried again with the pauses of what fails. What the panic itself says stands in the log and nowhere else: it
//! may name anything. Not here: what the loop does with it.

use super::Done;
use super::daemon::Daemon;
use super::schedule::Ended;
use crate::model::DeviceId;
use crate::store::{StatusSince, StoreError, StoredDevice};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};

/// What is said of what broke down.
pub(super) const FAULT: &str = "a fault of Hoist, and worth a report; the daemon's log says where";

/// Which task it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A look at a device.
    Look(DeviceId),
    /// Fetching from the repository.
    Fetching,
    /// A look at the repository.
    Considering,
}

/// A task, or that it broke down.
pub(super) async fn caught(part: Part, task: impl Future<Output = Done> + Send) -> Done {
    // What it shares with others is behind locks and in the store, where nothing is left half written.
    AssertUnwindSafe(task).catch_unwind().await.unwrap_or(Done::Broke(part))
}

/// What is said of a device.
fn words() -> String {
    format!("looking at it broke down, which is {FAULT}; it is tried again with growing pauses")
}

impl Daemon {
    /// A look at a device broke down: the device says so, and is looked at again as one that fails.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn take_broken(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        tracing::error!(%device, "a look at it broke down: {FAULT}; it is looked at again after a pause");
        self.is_news = true;
        self.progress.outdated.remove(device);
        self.progress.asked.remove(device);
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).remove(device);
        self.shared.gate.close(device);
        self.recall(device);
        self.schedule.ended(device, Ended::Again, self.clock.moment());
        self.end_look_at(device)?;
        let now = self.clock.now();
        let known = self.devices.get(device).map(|stored| StoredDevice::clone(stored));
        let mut stored = known.unwrap_or_else(|| StoredDevice::unknown(device.clone(), now));
        let since = Some(&stored.status).filter(|s| s.code == 500).map_or(now, |s| s.since);
        stored.status = StatusSince { code: 500, description: words(), since };
        self.progress.broken.insert(device.clone(), words());
        self.progress.has_news = true;
        if self.devices.get(device).map(AsRef::as_ref) != Some(&stored) {
            self.shared.store.record_device(&stored)?;
            Arc::make_mut(&mut self.devices).insert(device.clone(), Arc::new(stored));
        }
        Ok(())
    }

    /// A look ended without saying what it did: the store has what it was about to do, and nothing else is known.
    pub(super) fn recall(&mut self, device: &DeviceId) {
        match self.shared.store.memory(device) {
            Ok(mut memory) => {
                memory.forget_after(self.clock.now().seconds);
                // What was tried is here as it is there, and that somebody wants it to be tried again only here.
                if let Some(known) = self.memories.remove(device) {
                    memory.modules = known.modules;
                }
                self.memories.insert(device.clone(), memory);
            }
            Err(error) => self.take_trouble(&error),
        }
        if let Some(memory) = self.memories.get_mut(device) {
            memory.doubt_all();
        }
    }
}

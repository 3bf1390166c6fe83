//! What is written down while works run, as a run that is cut off says nothing at its end.

use super::learn::{learn_begun, learn_passed};
use crate::apply::{Event, Outcome};
use crate::model::{Observation, Timestamp};
use crate::plan::{DevicePlan, HalfDone, Stops};
use crate::store::{Store, StoreError};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The notes of one run of a device's works.
pub(super) struct Noted<'a> {
    store: &'a Store,
    plan: &'a DevicePlan,
    before: &'a Observation,
    now: Timestamp,
    half_done: Mutex<HalfDone>,
    stops: Mutex<Stops>,
}

impl<'a> Noted<'a> {
    /// Nothing yet. `before`: what was seen before the run.
    pub(super) fn of(
        store: &'a Store,
        plan: &'a DevicePlan,
        before: &'a Observation,
        now: Timestamp,
    ) -> Self {
        let half_done = Mutex::new(plan.kept_memory.half_done.clone());
        let stops = Mutex::new(plan.kept_memory.stops.clone());
        Self { store, plan, before, now, half_done, stops }
    }

    /// Takes in what happens, before it goes on.
    pub(super) fn take(&self, event: &Event<'_>) {
        let device = &self.plan.device;
        match event {
            // What came up is left as what works. Else the next run finds it out from the device.
            Event::WorkEnded { work, outcome: Outcome::Passed { .. } } => {
                let mut half_done = locked(&self.half_done);
                if learn_passed(self.plan, *work, &mut half_done) {
                    warn(self.store.remember_half_done(device, &half_done));
                }
            }
            // Else a job that was stopped counts as one that ended.
            Event::StepBegins { step, .. } => {
                let mut stops = locked(&self.stops);
                if learn_begun(step, self.before, &mut stops, self.now) {
                    warn(self.store.remember_stops(device, &stops));
                }
            }
            _ => {}
        }
    }

    /// What is half done at the end.
    pub(super) fn half_done(&self) -> HalfDone {
        locked(&self.half_done).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn warn(written: Result<(), StoreError>) {
    if let Err(error) = written {
        tracing::warn!(%error, "what a run has done is not written down yet");
    }
}

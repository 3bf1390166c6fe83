//! What is written down while works run, as a run that is cut off says nothing at its end.

use super::learn::{learn_begun, learn_passed};
use crate::apply::{Event, Outcome};
use crate::engine::{EngineError, EngineErrorKind};
use crate::model::{Observation, Timestamp};
use crate::plan::{DevicePlan, HalfDone, Step, Stops};
use crate::store::Store;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The notes of one run of a device's works.
pub(super) struct Noted<'a> {
    store: &'a Store,
    plan: &'a DevicePlan,
    before: &'a Observation,
    half_done: Mutex<HalfDone>,
    stops: Mutex<(Stops, BTreeSet<String>)>,
}

impl<'a> Noted<'a> {
    /// Nothing yet. `before`: what was seen before the run.
    pub(super) fn of(store: &'a Store, plan: &'a DevicePlan, before: &'a Observation) -> Self {
        let half_done = Mutex::new(plan.kept_memory.half_done.clone());
        let stops = Mutex::new((plan.kept_memory.stops.clone(), BTreeSet::new()));
        Self { store, plan, before, half_done, stops }
    }

    /// Takes in what happens, before it goes on.
    pub(super) fn take(&self, event: &Event<'_>) {
        let Event::WorkEnded { work, outcome: Outcome::Passed { .. } } = event else { return };
        let mut half_done = locked(&self.half_done);
        // What came up is left as what works. Else the next run finds it out from the device.
        if learn_passed(self.plan, *work, &mut half_done)
            && let Err(error) = self.store.remember_half_done(&self.plan.device, &half_done)
        {
            tracing::warn!(%error, "what a run has done is not written down yet");
        }
    }

    /// Notes that a step begins, at some moment, if it stops something: else a job that was stopped would count as one that ended.
    ///
    /// # Errors
    /// That can't be written down. It says nothing of what should be done.
    pub(super) fn note(&self, step: &Step, at: Timestamp) -> Result<(), EngineError> {
        let mut noted = locked(&self.stops);
        let (stops, started) = &mut *noted;
        if let Step::Start { container } | Step::Restart { container, .. } = step {
            started.insert(container.as_str().to_owned());
            return Ok(());
        }
        let known = stops.clone();
        if !learn_begun(step, (self.before, started), stops, at) {
            return Ok(());
        }
        self.store.remember_stops(&self.plan.device, stops).map_err(|error| {
            *stops = known;
            let words = format!("it can't be written down that this is done: {error}");
            EngineError::new(EngineErrorKind::Unreachable, words)
        })
    }

    /// What is half done at the end.
    pub(super) fn half_done(&self) -> HalfDone {
        locked(&self.half_done).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What the daemon did since it began, counted: for metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Tallied that only grow.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Tallied>);

/// The counts at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tallied {
    /// Looks at devices.
    pub passes: u64,
    /// How long they took together, in seconds.
    pub pass_seconds: f64,
    /// Steps, by what they did and whether it was done.
    pub steps: BTreeMap<(&'static str, bool), u64>,
}

impl Tally {
    /// A look at a device has ended.
    pub fn pass(&self, took: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.passes += 1;
        counts.pass_seconds += took.as_secs_f64();
    }

    /// A step has ended.
    pub fn step(&self, action: &'static str, done: bool) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.steps.entry((action, done)).or_default() += 1;
    }

    /// The counts now.
    pub fn counts(&self) -> Tallied {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

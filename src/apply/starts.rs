//! Which containers a run started and which it stopped, also where it takes something back.

use crate::plan::Step;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What a run has done to the runs of containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartsAndStops {
    /// Ids of those that it started, whatever became of them since.
    pub started: BTreeSet<String>,
    /// Ids of those whose stop it began, and that it did not start again.
    pub stopped: BTreeSet<String>,
}

/// The same while it runs.
#[derive(Default)]
pub(super) struct Counted(Mutex<StartsAndStops>);

impl Counted {
    /// A step begins. What it names is resolved to an id.
    pub(super) fn begins(&self, step: &Step) {
        if let Step::Stop { container, .. } = step {
            self.change(|counted| counted.stopped.insert(container.as_str().to_owned()));
        }
    }

    /// A step is done.
    pub(super) fn is_done(&self, step: &Step) {
        if let Step::Start { container } | Step::Restart { container, .. } = step {
            let id = container.as_str();
            self.change(|counted| {
                counted.stopped.remove(id);
                counted.started.insert(id.to_owned())
            });
        }
    }

    pub(super) fn all(&self) -> StartsAndStops {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut StartsAndStops) -> bool) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

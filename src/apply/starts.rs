//! Which containers a run started and which it stopped, also where it takes something back.

use crate::plan::Step;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What a run has done to the runs of containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartsAndStops {
    /// Ids of those that it started, whatever became of them since.
    pub started: BTreeSet<String>,
    /// Ids of those whose stop it began, and that it did not start again, as far as that is sure.
    pub stopped: BTreeSet<String>,
}

/// The same while it runs, with those whose stop has not come to its end: the engine may still be at it.
#[derive(Default)]
pub(super) struct Counted(Mutex<(StartsAndStops, BTreeSet<String>)>);

impl Counted {
    /// A step begins. What it names is resolved to an id.
    pub(super) fn begins(&self, step: &Step) {
        if let Step::Stop { container, .. } = step {
            let id = container.as_str().to_owned();
            self.change(|counted, unsure| {
                counted.stopped.insert(id.clone());
                unsure.insert(id);
            });
        }
    }

    /// A step is done.
    pub(super) fn is_done(&self, step: &Step) {
        match step {
            Step::Stop { container, .. } => {
                self.change(|_, unsure| unsure.remove(container.as_str()));
            }
            Step::Start { container } | Step::Restart { container, .. } => {
                let id = container.as_str();
                self.change(|counted, unsure| {
                    // What is up is not started: its stop may end after that.
                    if !unsure.contains(id) {
                        counted.stopped.remove(id);
                    }
                    counted.started.insert(id.to_owned());
                });
            }
            _ => {}
        }
    }

    pub(super) fn all(&self) -> StartsAndStops {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut StartsAndStops, &mut BTreeSet<String>) -> T) -> T {
        let (counted, unsure) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(counted, unsure)
    }
}

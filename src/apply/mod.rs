//! Runs plans.
//!
//! Enters: a device's plan and its engine. Leaves: what became of each work, and what the store should
//! remember. It decides nothing: which steps, in which order, what takes them back and what is skipped
//! because of what, all stands in the plan.

mod meanwhile;
mod pace;
mod run;
mod silence;
mod starts;

pub use meanwhile::REMOVED;
pub use pace::{CallOff, Pace};
pub use run::{Witness, run_device, run_noted};
pub use starts::StartsAndStops;

use crate::engine::{Cause, EngineError, EngineErrorKind};
use crate::plan::RememberedContainer;
use std::collections::BTreeMap;

/// What became of a device's plan.
#[derive(Debug, Default)]
pub struct DeviceRun {
    /// By the works' numbers.
    pub outcomes: BTreeMap<usize, Outcome>,
    /// What the store should remember of containers, by id.
    pub remembered: BTreeMap<String, RememberedContainer>,
    /// Which containers it started and stopped.
    pub counted: StartsAndStops,
}

/// What became of a work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every step is done.
    Passed {
        /// What somebody should know all the same.
        warnings: Vec<String>,
    },
    /// A step failed, and what had to be taken back was.
    Failed {
        /// The step, in words.
        step: String,
        /// Why.
        error: EngineError,
        /// What failed while taking it back.
        undo_failed: Vec<String>,
    },
    /// It did not begin, because of another work.
    Skipped {
        /// Which.
        because: usize,
    },
    /// The run was called off before it was through; what was half done is taken back.
    CalledOff {
        /// What failed while taking it back.
        undo_failed: Vec<String>,
    },
    /// It was only for the case that another failed.
    NotNeeded,
}

/// How an engine's words begin that say what was tried.
const TRIED: &str = "could not ";

/// How the words of a step begin that waits for a module.
const WAITED: &str = "wait until ";

impl Outcome {
    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<String> {
        let Self::Failed { step, error, .. } = self else { return None };
        Some(failure_of(step, error))
    }

    /// What was not taken back, as that failed too, if anything: the plan of the next run begins with it.
    pub fn left_over(&self) -> Option<String> {
        let (Self::Failed { undo_failed, .. } | Self::CalledOff { undo_failed }) = self else {
            return None;
        };
        let (first, others) = undo_failed.split_first()?;
        let more = match others.len() {
            0 => String::new(),
            1 => " (and 1 more step)".to_owned(),
            n => format!(" (and {n} more steps)"),
        };
        Some(format!("not taken back, which the next run does: {first}{more}"))
    }

    /// The same two in one.
    pub fn failure_and_left_over(&self) -> Option<String> {
        let parts: Vec<String> = self.failure().into_iter().chain(self.left_over()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Whether works that build on it may run.
    pub fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// The step and the error, or the error alone where it says what was tried, or how the module failed.
fn failure_of(step: &str, error: &EngineError) -> String {
    let is_own = match error.kind {
        EngineErrorKind::ModuleFailed => true,
        EngineErrorKind::TimedOut => step.starts_with(WAITED),
        _ => matches!(
            error.cause,
            Some(Cause::AnotherControlHost | Cause::StoppedByAnother | Cause::RemovedByAnother)
        ),
    };
    let says_all = error.message.starts_with(TRIED) || is_own;
    if says_all { error.to_string() } else { format!("{step}: {error}") }
}

/// Something that happened while a plan runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step begins.
    StepBegins {
        /// Of which work.
        work: usize,
        /// Which.
        step: &'a crate::plan::Step,
    },
    /// A step ended.
    StepEnded {
        /// Of which work.
        work: usize,
        /// Which.
        step: &'a crate::plan::Step,
        /// How.
        result: Result<(), &'a EngineError>,
    },
    /// A work ended.
    WorkEnded {
        /// Which.
        work: usize,
        /// How.
        outcome: &'a Outcome,
    },
}

impl DeviceRun {
    /// Whether its engine was not reached at some step.
    pub fn was_cut_off(&self) -> bool {
        let is_cut = |outcome: &Outcome| match outcome {
            Outcome::Failed { error, .. } => error.kind == EngineErrorKind::Unreachable,
            _ => false,
        };
        self.outcomes.values().any(is_cut)
    }

    /// Whether anything failed or was skipped.
    pub fn has_failures(&self) -> bool {
        self.outcomes
            .values()
            .any(|outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Skipped { .. }))
    }

    /// Whether something was left because the run was called off.
    pub fn was_called_off(&self) -> bool {
        self.outcomes.values().any(|outcome| matches!(outcome, Outcome::CalledOff { .. }))
    }
}

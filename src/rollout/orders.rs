//! What people tell a rollout.

use super::{Decision, Place, Rollout, Stage, Wait};
use std::fmt;

/// What somebody wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Let in nobody else.
    Pause,
    /// Go on after a pause.
    Resume,
    /// The open phase has passed, whatever it waits for.
    Promote,
    /// Go back.
    Abort,
    /// Try again what failed.
    Retry,
}

/// Why an order makes no sense now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderError {
    /// In words.
    pub words: String,
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for OrderError {}

impl Order {
    /// Its word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
        }
    }

    /// Reads its word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pause, Self::Resume, Self::Promote, Self::Abort, Self::Retry]
            .into_iter()
            .find(|order| order.as_str() == text)
    }
}

impl Rollout {
    /// Does what somebody wants.
    ///
    /// # Errors
    /// It makes no sense as the rollout stands.
    pub fn obey(&mut self, order: Order, words: &str) -> Result<Vec<Decision>, OrderError> {
        let mut decisions = Vec::new();
        let refuse = |words: &str| Err(OrderError { words: words.to_owned() });
        match (order, &self.stage) {
            (Order::Pause, Stage::Running) => {
                self.stage = Stage::Paused { words: words.to_owned() };
            }
            (Order::Resume, Stage::Paused { .. }) => self.stage = Stage::Running,
            (Order::Resume, Stage::Running) => return refuse("it is not paused"),
            (Order::Pause, Stage::Paused { .. }) => return refuse("it is paused already"),
            (Order::Pause, Stage::Halted { .. }) => {
                return refuse(
                    "it halted because it failed, and lets in nobody: `promote` goes on, `abort` goes back, \
                     `retry` tries again",
                );
            }
            (Order::Resume, Stage::Halted { .. }) => {
                return refuse(
                    "it halted because it failed: `promote` goes on, `abort` goes back, `retry` tries again",
                );
            }
            (Order::Promote, Stage::Running | Stage::Halted { .. } | Stage::Paused { .. }) => {
                self.promote(&mut decisions);
            }
            (Order::Abort, Stage::Running | Stage::Halted { .. } | Stage::Paused { .. }) => {
                self.go_back(words.to_owned(), &mut decisions);
            }
            (Order::Retry, _) if self.has_something_to_retry() => self.retry(),
            (Order::Retry, _) => return refuse("nothing has failed or gone back"),
            (_, Stage::RolledBack { .. }) => {
                return refuse(
                    "it has gone back already: `retry` tries it again, and the next commit that changes devices \
                     begins anew",
                );
            }
            _ => return refuse("it is done: the next commit that changes devices begins one"),
        }
        Ok(decisions)
    }

    /// The next phase opens; who failed so far no longer stops it.
    fn promote(&mut self, decisions: &mut Vec<Decision>) {
        self.stage = Stage::Running;
        self.wait = Wait::Nothing;
        // What somebody has seen and let pass is not counted again; what fails from now on is.
        for member in self.members.values_mut() {
            if matches!(member.place, Place::Failed { .. }) {
                member.pardoned = true;
                member.again = false;
            }
        }
        self.marks.iter_mut().for_each(|mark| mark.alone = true);
        self.unheard.values_mut().for_each(|time| *time = u64::MAX);
        let open = self.open;
        self.fix_devices_of(open);
        if open + 1 >= self.phases.len() {
            if let Some(last) = self.phases.last_mut() {
                last.promoted = true;
            }
            return;
        }
        let name = self.phases[open].name.clone();
        let is_good = |m: &&super::Member| m.phase == Some(open) && m.place == Place::Good;
        decisions.push(Decision::Passed(name, self.members.values().filter(is_good).count()));
        self.open += 1;
    }

    pub(super) fn has_something_to_retry(&self) -> bool {
        let failed = |place: &Place| matches!(place, Place::Failed { .. } | Place::Back { .. });
        !self.marks_that_count().is_empty()
            || self.members.values().any(|member| failed(&member.place))
    }

    /// From the first phase; what is on its way back is still away from its work.
    fn retry(&mut self) {
        self.marks.clear();
        for (device, member) in &mut self.members {
            match member.place {
                Place::Failed { .. } => {
                    member.again = true;
                    member.pardoned = false;
                }
                Place::Back { arrived } => {
                    member.place = Place::Waiting;
                    if !arrived {
                        self.disturbed.insert(device.clone());
                    }
                }
                Place::Waiting | Place::Admitted { .. } | Place::Good => {}
            }
        }
        self.open = 0;
        for phase in &mut self.phases {
            phase.soaked = 0;
            phase.confirming = false;
            phase.promoted = false;
        }
        self.wait = Wait::Nothing;
        self.stage = Stage::Running;
    }
}

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
            (Order::Retry, stage) if !self.marks.is_empty() || *stage != Stage::Done => {
                self.retry();
            }
            _ => return refuse("no rollout is under way"),
        }
        Ok(decisions)
    }

    /// The next phase opens; who failed in this one no longer stops it.
    fn promote(&mut self, decisions: &mut Vec<Decision>) {
        self.stage = Stage::Running;
        if self.open >= self.phases.len() {
            return;
        }
        self.fix_devices_of(self.open);
        // What somebody has seen and let pass is not counted against the phase again.
        let moved = self.members.values().filter(|m| m.is_moved()).count() as u64;
        for phase in &mut self.phases[..=self.open] {
            phase.rules.max_failures = vec![crate::model::Amount::Count(moved)];
        }
        let name = self.phases[self.open].name.clone();
        let open = self.open;
        let is_good = |m: &&super::Member| m.phase == Some(open) && m.place == Place::Good;
        decisions.push(Decision::Passed(name, self.members.values().filter(is_good).count()));
        self.open += 1;
    }

    fn retry(&mut self) {
        self.marks.clear();
        for member in self.members.values_mut() {
            member.place = match member.place {
                Place::Failed { .. } => Place::Admitted { without: 0 },
                Place::Back { .. } => Place::Waiting,
                ref other => other.clone(),
            };
        }
        if matches!(self.stage, Stage::RolledBack { .. } | Stage::Done) {
            self.open = 0;
            for phase in &mut self.phases {
                phase.soaked = 0;
                phase.confirming = false;
            }
        }
        self.wait = Wait::Nothing;
        self.stage = Stage::Running;
    }
}

//! A module beside others that go may be their successor under another name: what goes waits until it has come up, and what does
//! not come up is taken back.

use super::memory::FailedChange;
use super::module::{Draft, id};
use super::place::FIRST_LOOK;
use super::standing::Repair;
use super::{Block, ModuleMemory, PlanAction, PlanReason};
use crate::model::{ContainerState, Duration, ObservedContainer, Status};

impl Draft<'_> {
    /// What is done where there is none: one is made, unless that failed beside what goes, and its pause is not over.
    pub(super) fn settle_on_none(&mut self) -> Result<(), Block> {
        let others_go = self.input.others_go;
        let failed =
            self.memory.failed.take().filter(|failed| others_go && failed.spec == self.spec);
        self.memory = ModuleMemory { failed, ..ModuleMemory::default() };
        if let Some(failed) = self.failed_before() {
            self.not_tried_again(failed);
            return Ok(());
        }
        self.create()
    }

    /// Its pause is not over, and nothing goes meanwhile.
    pub(super) fn not_tried_again(&mut self, failed: FailedChange) {
        self.wait_until(Some(failed.not_before()));
        self.block = Some(Block::FailedBefore(failed));
    }

    /// What goes waits for what may be its successor to come up: also for one of which no run has seen that, as the run
    /// that made it was cut off.
    pub(super) fn finish_probation(&mut self, current: &ObservedContainer, repair: &Repair) {
        let is_known = self.input.memory.containers.contains_key(&current.id);
        if is_known || !self.input.others_go || self.input.module.status != Status::Running {
            return;
        }
        let comes_up =
            matches!(current.state, ContainerState::Running | ContainerState::Restarting)
                || matches!(repair, Repair::Unpause | Repair::Restart);
        if comes_up {
            let wait = self.wait(&id(current), self.input.module.probation);
            self.push(PlanAction::Update, PlanReason::NotSeenUp, wait);
        }
    }

    /// How long what is there and is started is looked at: where others go when it has come up, as long as its
    /// probation takes.
    pub(super) fn look_after_start(&self) -> Duration {
        let probation = if self.input.others_go { self.input.module.probation.millis } else { 0 };
        Duration { millis: probation.max(FIRST_LOOK.millis) }
    }
}

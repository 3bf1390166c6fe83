//! A module beside others that go may be their successor under another name: what goes waits until it has come up, and what does
//! not come up is taken back.

use super::memory::FailedChange;
use super::module::{Draft, id, is_up};
use super::place::FIRST_LOOK;
use super::standing::{Repair, Verdict};
use super::{Block, ModuleMemory, PlanAction, PlanReason, Step};
use crate::model::{ContainerState, Duration, ObservedContainer, Status};

impl Draft<'_> {
    /// What is done where there is none: one is made, unless that failed, and its pause is not over.
    pub(super) fn settle_on_none(&mut self) -> Result<(), Block> {
        let others_go = self.input.others_go;
        // What failed to take the place of one that is gone by now disturbs nothing any more.
        let is_about_this =
            |failed: &FailedChange| failed.spec == self.spec && (others_go || failed.is_alone);
        let mut failed = self.memory.failed.take().filter(is_about_this);
        if let Some(failed) = &mut failed {
            failed.is_alone &= !others_go;
        }
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
        let is_left = self.is_left_coming(current);
        let is_known = self.input.memory.containers.contains_key(&current.id) && !is_left;
        if is_known || !self.input.others_go || self.input.module.status != Status::Running {
            return;
        }
        let comes_up =
            matches!(current.state, ContainerState::Running | ContainerState::Restarting)
                || matches!(repair, Repair::Unpause | Repair::Restart);
        // Of one that is down the wait says at once how it ended.
        if comes_up || is_left {
            let wait = self.wait(&id(current), self.input.module.probation);
            self.push(PlanAction::Update, PlanReason::NotSeenUp, wait);
            self.out.is_late = true;
        }
        if is_left {
            self.takes_back_what_fails(current);
        }
    }

    /// Whether it was made by a run that was cut off, beside others that still go.
    pub(super) fn is_left_coming(&self, current: &ObservedContainer) -> bool {
        self.input.others_go
            && self.input.module.status == Status::Running
            && self.input.half_done.is_coming(current)
    }

    /// Whether it broke off before any run has seen it come up: if it does again, it waits longer.
    pub(super) fn may_break_off_again(&self, current: &ObservedContainer) -> bool {
        let broke_off = self.memory.failed.as_ref().is_some_and(FailedChange::broke_off);
        broke_off && self.is_left_coming(current)
    }

    /// What made room for one that a try left down comes up before the next, and the pause begins then; see
    /// [`Self::put_off_while_down`].
    pub(super) fn put_off_while_its_room_is_taken(&mut self, current: &ObservedContainer) {
        let is_down = self.is_left_coming(current) && self.input.has_way_back && !is_up(current);
        let failed = self.memory.failed.as_mut().filter(|failed| failed.spec == self.spec);
        if let Some(failed) = failed.filter(|failed| is_down && !failed.is_tried_at_once()) {
            failed.at = self.input.now;
        }
    }

    /// Whether what no run has seen come up is taken back before anything else is done. Where what worked before it stands by,
    /// that is started again: also for the pause of what broke off, and is down. Where nothing does, it may be all that works:
    /// what comes next replaces it as it would any other.
    pub(super) fn goes_before_the_next(&self, current: &ObservedContainer) -> bool {
        let is_another = self.why_replace(current).is_some();
        let failed = self.failed_before();
        let has_failed = failed.as_ref().is_some_and(|failed| !failed.broke_off());
        let is_down_in_pause = failed.is_some() && !is_up(current);
        self.is_left_coming(current)
            && match self.input.has_way_back {
                true => is_another || has_failed || is_down_in_pause,
                false => !is_another && has_failed,
            }
    }

    /// As where its create fails, nothing is left of it.
    pub(super) fn takes_back_what_fails(&mut self, current: &ObservedContainer) {
        let end = self.out.steps.len();
        self.undo(0, end, Step::Remove { container: id(current) });
        self.out.tries = Some(self.spec.clone());
    }

    /// What goes waits for one that is down and will be started, as it waits for one that is being started. One that ended
    /// and is not started any more, by its policy, holds nothing up.
    pub(super) fn hold_back_in_pause(&mut self, current: &ObservedContainer, verdict: &Verdict) {
        let is_paced = verdict.due.is_some() && !is_up(current);
        if self.input.others_go && is_paced && !self.is_left_coming(current) {
            let Verdict { code, words, .. } = verdict.clone();
            self.block = Some(Block::InPause { code, words });
        }
    }

    /// How long what is there and is started is looked at: where others go when it has come up, as long as its
    /// probation takes.
    pub(super) fn look_after_start(&self) -> Duration {
        let probation = if self.input.others_go { self.input.module.probation.millis } else { 0 };
        Duration { millis: probation.max(FIRST_LOOK.millis) }
    }
}

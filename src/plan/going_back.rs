//! Going back: the container that was replaced takes its place again, where its successor came up and then
//! failed within `keep-previous`; and keeping up what works while its successor waits for another try.
//!
//! The failed specification is remembered before anything is done, so that a run that is cut off is taken up
//! where it was left.

use super::memory::FailedChange;
use super::module::{Decided, Decision, Draft, Owned, id, is_up, stop_policy};
use super::place::FIRST_LOOK;
use super::standing::{Repair, Verdict};
use super::{Block, ContainerRef, PlanAction, PlanReason, RememberedContainer, Step};
use crate::model::{ContainerState, Hash, ObservedContainer, Status, Timestamp, label};

const WENT_BACK: &str = "went back to the previous container: ";

impl FailedChange {
    fn why_it_went_back(&self) -> String {
        self.reason.strip_prefix(WENT_BACK).unwrap_or(&self.reason).to_owned()
    }
}

/// The code of a module that failed after it had come up.
const FAILED: u16 = 500;

impl<'a> Draft<'a> {
    /// The container to go back to, and why.
    pub(super) fn way_back(
        &self,
        current: &ObservedContainer,
    ) -> Option<(&'a ObservedContainer, String)> {
        let old = self.previous(current)?;
        if self.removes(Some(old)) || !self.memory.may_go_back(self.input.now) {
            return None;
        }
        if self.bears_its_spec(current) {
            let verdict = self.verdict(current);
            // A stranger's end says nothing of the version whose labels it bears: that is tried first.
            let is_strangers =
                self.may_be_strangers(current) && self.why_replace(current).is_some();
            if verdict.failing && (!is_strangers || self.failed_before().is_some()) {
                return Some((old, verdict.words));
            }
            // What failed may be what was to take the place of one that only bears its labels. What broke off has not failed.
            let has_failed =
                |failed: &FailedChange| !failed.broke_off() && self.is_compared(current);
            if let Some(failed) = self.failed_before().filter(has_failed) {
                return Some((old, failed.why_it_went_back()));
            }
        }
        if let Some(failed) = self.gone_back_from(current) {
            return Some((old, failed.why_it_went_back()));
        }
        let is_back = self.came_back(current).is_some();
        is_back.then(|| (old, "a run that went back was cut off".to_owned()))
    }

    /// The container that may take the place of this one again.
    fn previous(&self, current: &ObservedContainer) -> Option<&'a ObservedContainer> {
        let is_to_run = self.input.module.status == Status::Running;
        self.input.owned.old.filter(|old| is_to_run && old.id != current.id)
    }

    /// The previous container, where a going back came as far as that it runs instead of what took its place.
    pub(super) fn came_back(&self, current: &ObservedContainer) -> Option<&'a ObservedContainer> {
        let runs_instead = |old: &&ObservedContainer| {
            let is_down = !is_up(current) && current.state != ContainerState::Created;
            is_up(old) && is_down && !self.removes(Some(old))
        };
        // Of a version that is not wanted any more it takes a word of ours: somebody else may have started the other one.
        let is_gone_back_from = |old: &&ObservedContainer| {
            self.bears_its_spec(current) || self.failed_in_place(current, old).is_some()
        };
        self.previous(current).filter(runs_instead).filter(is_gone_back_from)
    }

    /// The one of the two that is kept up.
    pub(super) fn worked_last<'c>(&self, current: &'c ObservedContainer) -> &'c ObservedContainer
    where
        'a: 'c,
    {
        let is_given_up = self.gone_back_from(current).is_some();
        let old = self.previous(current).filter(|_| is_given_up);
        old.or_else(|| self.came_back(current)).unwrap_or(current)
    }

    /// Why a run began to go back from this container, and took it down, if one did.
    pub(super) fn gone_back_from(&self, current: &ObservedContainer) -> Option<&FailedChange> {
        let old = self.previous(current).filter(|_| !is_up(current))?;
        self.failed_in_place(current, old)
    }

    /// What is remembered of the failure of the very container that took the other one's place: not that of a try before it.
    fn failed_in_place(
        &self,
        current: &ObservedContainer,
        old: &ObservedContainer,
    ) -> Option<&FailedChange> {
        let replaced_at = self.input.memory.containers.get(&old.id)?.replaced_at?;
        let failed = self.memory.failed.as_ref()?;
        let is_of_it = current.labels.get(label::SPEC).is_some_and(|s| s == failed.spec.as_str())
            && !failed.broke_off()
            && failed.at >= replaced_at;
        (is_of_it && self.is_compared(current)).then_some(failed)
    }

    /// Whether the previous container is what works, or what is gone back to: it stays, however long it was kept.
    pub(super) fn may_be_needed(
        &self,
        old: &ObservedContainer,
        current: &ObservedContainer,
    ) -> bool {
        let is_begun = self.gone_back_from(current).is_some();
        let is_due = self.previous(current).is_some()
            && self.verdict(current).failing
            && self.failed_in_place(current, old).is_some();
        is_begun || is_due || self.came_back(current).is_some()
    }

    /// The previous container runs again, and the last try to give it its place failed: until the next one it is kept up, and
    /// what failed stays down.
    pub(super) fn keep_up_what_came_back(&mut self, current: &ObservedContainer) -> bool {
        let (Some(old), Some(at)) = (self.came_back(current), self.memory.next_way_back()) else {
            return false;
        };
        let failed = self.memory.failed.as_ref();
        let (code, reason) = failed.map_or((FAILED, "a run that went back failed"), |failed| {
            (failed.code, &failed.reason)
        });
        let again = Timestamp { seconds: at }.clock();
        let words = format!("{reason}; what it went back from is removed at the next try, {again}");
        self.keep_up(old, Block::InPause { code, words }, Some(at));
        true
    }

    pub(super) fn go_back(
        &mut self,
        current: &ObservedContainer,
        old: &ObservedContainer,
        words: String,
    ) {
        let is_known = self.failed_in_place(current, old).is_some();
        if let Some(failed) = self.memory.failed.as_mut().filter(|_| is_known) {
            // A former run began to go back from it: its pause begins once that is done.
            failed.at = failed.at.max(self.input.now);
        }
        // That its change broke off before it came up is no failure of it: this is one.
        if self.bears_its_spec(current)
            && self.failed_before().is_none_or(|failed| failed.broke_off())
        {
            let former = self.memory.failed.as_ref();
            let reason = format!("{WENT_BACK}{words}");
            let failed = FailedChange::after(former, &self.spec, self.input.now, FAILED, reason);
            self.memory.failed = Some(failed);
        }
        self.wait_until(self.memory.failed.as_ref().map(FailedChange::not_before));
        self.out.action = PlanAction::GoBack;
        self.out.reasons.push(PlanReason::GoesBack(words));
        let known = self.input.memory.containers.get(&old.id);
        let policy = known.and_then(|r| r.policy.clone());
        let policy = policy.unwrap_or_else(|| self.former_policy(old));

        let first = self.out.steps.len();
        self.take_down(current);
        let changed_over = self.out.steps.len();
        self.out.steps.push(policy_of(old, &policy));
        self.out.steps.push(Step::Start { container: id(old) });
        self.out.steps.push(self.wait(&id(old), FIRST_LOOK));
        let names = self.out.steps.len();
        let stop_old = self.stop(old);
        self.undo(changed_over, names, stop_policy(old));
        self.undo(changed_over, names, stop_old);
        let former = self.former_policy(current);
        if changed_over > first {
            self.undo(first, names, policy_of(current, &former));
        }
        if is_up(current) {
            self.undo(first, names, Step::Start { container: id(current) });
        }
        self.out.steps.push(Step::Remove { container: id(current) });
        self.out.steps.push(Step::Rename { container: id(old), name: self.input.name.to_string() });
        let unknown = || RememberedContainer { is_compared: false, ..self.as_remembered(0) };
        let mut remembered = known.cloned().unwrap_or_else(unknown);
        remembered.replaced_at = None;
        self.out.remember.push((id(old), remembered));
    }

    /// What failed with this very specification, while its pause is not over.
    pub(super) fn failed_before(&self) -> Option<FailedChange> {
        let failed = self.memory.failed.as_ref().filter(|failed| failed.spec == self.spec)?;
        (self.input.now < failed.not_before()).then(|| failed.clone())
    }

    /// Where a try left the container down whose place it was to take, that comes up before the next one, and the pause begins
    /// then. But once it is tried again at once: most of what breaks off is an engine that is restarted.
    pub(super) fn put_off_while_down(&mut self, current: &ObservedContainer) {
        let is_left_down = self.input.stops.holds(current)
            && self.verdict_of_what_is_held(current).is_some_and(|verdict| verdict.is_to_run());
        let starts = self.memory.starts;
        if let Some(failed) = self.memory.failed.as_mut().filter(|failed| failed.spec == self.spec)
            && !failed.is_tried_at_once()
            && starts.last < failed.at
            && is_left_down
        {
            failed.at = self.input.now;
        }
    }

    /// The container that is there works, and its successor has to wait, perhaps until some moment: it is kept up and else
    /// left alone.
    pub(super) fn keep_up(
        &mut self,
        current: &ObservedContainer,
        block: Block,
        not_before: Option<i64>,
    ) {
        self.wait_until(not_before);
        self.block = Some(block);
        self.hold_up(current);
    }

    /// Somebody else has the module's name: the one of its containers that would get it is kept up under the name that
    /// it has. Where there is none, what else it lacks comes first.
    pub(super) fn keep_up_aside(
        mut self,
        foreign: Block,
        lacks: Option<Block>,
        spec: Option<Hash>,
    ) -> Result<Decided, Block> {
        let Owned { new, renamed, .. } = self.input.owned;
        // What never ran was to take the place of what has the name: it is not begun beside that.
        let never_ran = |heir: &ObservedContainer| {
            new.is_some_and(|new| new.id == heir.id) && heir.state == ContainerState::Created
        };
        let there = self.heir().filter(|heir| !never_ran(heir));
        if let Some(new) = new.filter(|new| there.is_none_or(|there| there.id != new.id)) {
            self.tidy(new, PlanReason::LeftBehind);
        }
        let Some(there) = there else {
            let block = lacks.unwrap_or(foreign);
            if self.out.steps.is_empty() {
                return Err(block);
            }
            self.block = Some(block);
            return Ok(self.decided(None, spec));
        };
        self.memory.notice(there, self.input.now);
        let block = Block::NameTaken {
            by: Box::new(foreign),
            ours: there.name.clone(),
            lacks: lacks.map(Box::new),
        };
        self.strays = renamed.iter().copied().filter(|other| other.id != there.id).collect();
        self.stop_strays(None);
        if is_up(there) {
            self.stop_the_other(there);
        }
        self.keep_up(there, block, None);
        Ok(self.decided(Some(there), spec))
    }

    /// The same as what is done instead of a replacement that can't begin, if it is anything.
    pub(super) fn instead_of_replacing(
        &mut self,
        current: &ObservedContainer,
    ) -> Option<Box<Decision>> {
        let (before, due) = (self.out.clone(), self.due);
        self.hold_up(current);
        self.due = due;
        let held_up = std::mem::replace(&mut self.out, before);
        (!held_up.steps.is_empty()).then(|| Box::new(held_up))
    }

    /// What the table says of a container whose successor waits; `None` where nothing is done about it.
    fn verdict_of_what_is_held(&self, current: &ObservedContainer) -> Option<Verdict> {
        if !self.is_adopted(current) {
            return (self.input.module.status == Status::Running).then(|| self.verdict(current));
        }
        // Nothing was begun where it is not known how it was.
        let was = self.input.memory.adopting.get(&current.id)?;
        // One that ended by itself since it was put back is as somebody else has it.
        Some(match was.was_up && self.input.stops.holds(current) {
            true => Verdict::of_one_stopped(&self.memory, self.input.now),
            false => Verdict::of_one_as_it_was(),
        })
    }

    /// Starts or thaws what is there, or gives it back its policy.
    fn hold_up(&mut self, current: &ObservedContainer) {
        let Some(verdict) = self.verdict_of_what_is_held(current) else { return };
        if current.state == ContainerState::Dead {
            return;
        }
        let container = id(current);
        let policy = self.former_policy(current);
        let lost_policy =
            current.detail.as_ref().is_some_and(|d| d.restart_policy == "no" && policy != "no");
        let before = self.out.steps.len();
        match verdict.repair {
            Repair::Start => {
                let reason = PlanReason::Down(verdict.words);
                self.stop_the_other(current);
                self.push(PlanAction::Start, reason, policy_of(current, &policy));
                self.out.steps.push(Step::Start { container: container.clone() });
                self.out.steps.push(self.wait(&container, FIRST_LOOK));
                self.out.is_revival = true;
                self.out.is_for_pause =
                    self.failed_before().is_some() && self.input.stops.holds(current);
            }
            Repair::Unpause => {
                let step = Step::Unpause { container: container.clone() };
                self.push(PlanAction::Start, PlanReason::Paused, step);
            }
            _ if lost_policy && (is_up(current) || self.is_adopted(current)) => {
                let step = policy_of(current, &policy);
                self.push(PlanAction::Update, PlanReason::LeftBehind, step);
            }
            _ => self.wait_until(verdict.due),
        }
        self.out.keeps_up = self.out.steps.len() > before;
        if self.out.keeps_up
            && let Some(known) = self.input.memory.containers.get(&current.id)
        {
            self.out.remember.push((container, known.clone()));
        }
    }

    /// Nothing waits longer than until then.
    pub(super) fn wait_until(&mut self, moment: Option<i64>) {
        self.due = self.due.into_iter().chain(moment).min();
    }
}

pub(super) fn policy_of(container: &ObservedContainer, policy: &str) -> Step {
    Step::Update {
        container: ContainerRef::Id(container.id.clone()),
        restart_policy: Some(policy.to_owned()),
        memory: None,
        nano_cpus: None,
    }
}

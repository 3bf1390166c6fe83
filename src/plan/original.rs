//! The container that Hoist made, and somebody gave another name; also where a stranger bears its name and its labels by now.
//!
//! What a module's own container holds is nowhere else. So where a stranger may be in its place, nothing of the module's that
//! was renamed goes before what comes has come up.

use super::module::{Draft, id, is_up, stop_policy};
use super::room::has_come_up;
use super::{Block, PlanAction, PlanReason, Step, old_name};
use crate::model::{ContainerState, ObservedContainer, Status};

impl<'a> Draft<'a> {
    /// Which of those that somebody renamed had the module's place until then: one surely made from here, and no former version.
    pub(super) fn own_of(
        &self,
        renamed: &[&'a ObservedContainer],
    ) -> Option<&'a ObservedContainer> {
        let own = renamed.iter().copied();
        let own: Vec<_> =
            own.filter(|own| self.was_compared(own) && !self.is_former(own)).collect();
        self.original_of(&own)
    }

    /// Where it works under its other name it takes its place again at once, unless what has that is as it should be: nothing
    /// has to come up for that, and what comes next takes its place as ever.
    pub(super) fn own_instead_of(
        &mut self,
        stranger: &'a ObservedContainer,
    ) -> &'a ObservedContainer {
        let why = self.why_replace(stranger);
        if self.is_former(stranger) && why.is_none() && self.runs_well(stranger) {
            // That version is wanted again, and works.
            self.tidy_strays(None);
            self.strays.clear();
            return stranger;
        }
        let Some(own) = self.own_of(&self.strays).filter(|own| self.runs_well(own)) else {
            return stranger;
        };
        let has_come_up = has_come_up(own, Some(self.input.module));
        let is_better = !self.runs_well(stranger) || why.is_some() && has_come_up;
        let is_wanted = self.input.module.status == Status::Running;
        if !is_better || !is_wanted || self.is_adopted(stranger) || self.is_left_coming(stranger) {
            return stranger;
        }
        self.take_down(stranger);
        self.clear_the_name_of(stranger, own);
        // Of another version it is not told whether it is the stranger's.
        self.out.reasons.extend(why.filter(|why| *why != PlanReason::SpecDiffers));
        self.rename_into_place(own, PlanReason::PutBack(own.name.clone()));
        self.strays.retain(|stray| stray.id != own.id);
        own
    }

    /// A former version that somebody gave the name stays the way back, where there is no other, and none is about to be.
    fn clear_the_name_of(&mut self, stranger: &ObservedContainer, own: &ObservedContainer) {
        let name = old_name(self.input.name.as_str());
        let has_room = self.input.owned.old.is_none() && self.refuse_foreign_name(&[&name]).is_ok();
        let keeps = self.input.module.keep_previous.millis != 0 && has_room;
        let step = match keeps && self.is_former(stranger) && self.why_replace(own).is_none() {
            true => Step::Rename { container: id(stranger), name },
            false => Step::Remove { container: id(stranger) },
        };
        self.out.steps.push(step);
    }

    /// Whether it does what it is there for, as far as can be seen, and does not end again and again.
    fn runs_well(&self, container: &ObservedContainer) -> bool {
        let mut memory = self.memory.clone();
        memory.notice(container, self.input.now);
        let Self { input, .. } = self;
        let verdict = input.stops.judge(input.module, Some(container), &memory, input.now);
        container.state == ContainerState::Running && verdict.code < 500
    }

    /// Which of those that somebody renamed is the module's own: one as its manifest says, surely made from here, and no former
    /// version.
    pub(super) fn original_of(
        &self,
        renamed: &[&'a ObservedContainer],
    ) -> Option<&'a ObservedContainer> {
        renamed.iter().copied().max_by_key(|container| {
            let is_former = self.is_former(container);
            (self.bears_its_spec(container), self.was_compared(container), !is_former)
        })
    }

    pub(super) fn is_former(&self, container: &ObservedContainer) -> bool {
        let known = self.input.memory.containers.get(&container.id);
        known.is_some_and(|known| known.replaced_at.is_some())
    }

    /// Whether what has the module's place may be somebody else's, or somebody gave it that.
    pub(super) fn may_be_strangers(&self, container: &ObservedContainer) -> bool {
        !self.is_compared(container) || self.is_adopted(container) || self.is_former(container)
    }

    /// The module's own container that takes its place again, which a stranger has. Where that failed a new one is made.
    pub(super) fn original_to_put_back(
        &self,
        current: &ObservedContainer,
    ) -> Option<&'a ObservedContainer> {
        let original = self.original_of(&self.strays)?;
        let is_as_wanted = self.is_compared(original) && self.why_replace(original).is_none();
        let failed = self.memory.failed.as_ref().filter(|failed| failed.spec == self.spec);
        let is_in_vain = failed.is_some_and(|failed| !failed.broke_off());
        (is_as_wanted
            && !is_in_vain
            && self.failed_before().is_none()
            && self.why_replace(current).is_some()
            && !self.is_adopted(current)
            && !self.goes_before_the_next(current))
        .then_some(original)
    }

    /// Two of one module must never run, whichever of them stays or comes.
    pub(super) fn stop_strays(&mut self, but: Option<&ObservedContainer>) {
        for stray in self.other_strays(but).into_iter().filter(|stray| is_up(stray)) {
            let reason = PlanReason::Renamed(stray.name.clone());
            self.push(PlanAction::Update, reason, stop_policy(stray));
            self.out.steps.push(self.stop(stray));
        }
    }

    /// Whose anonymous volumes go on: the module's own, and not a stranger's. What is taken over brings its own.
    pub(super) fn what_goes_on<'c>(&self, current: &'c ObservedContainer) -> &'c ObservedContainer
    where
        'a: 'c,
    {
        let own = self.original_of(&self.strays).filter(|_| !self.is_adopted(current));
        own.unwrap_or(current)
    }

    /// The stranger goes when the module's own has come up.
    pub(super) fn put_back(
        &mut self,
        current: &ObservedContainer,
        original: &ObservedContainer,
    ) -> Result<(), Block> {
        let was_up = is_up(original);
        let is_wanted = self.input.module.status == Status::Running;
        // One that ended by itself, and is not started again for that, is not for this either.
        let runs = is_wanted && (was_up || self.verdict(original).is_to_run());
        if runs && !was_up {
            self.refuse_foreign(&[])?;
            self.out.instead = self.instead_of_replacing(current);
        }
        if !is_up(current) {
            self.stop_the_other(current);
        }
        self.out.action = PlanAction::Replace;
        self.out.reasons.extend(self.why_replace(current));
        self.out.reasons.push(PlanReason::PutBack(original.name.clone()));
        self.out.tries = Some(self.spec.clone());
        let container = id(original);
        let takes_down = self.out.steps.len();
        self.take_down(current);
        let brings_up = self.out.steps.len();
        self.out.steps.push(self.settings_update(&container));
        if self.twin_differs(original) {
            self.write_twin(&container, Some(original));
        } else {
            self.remember(container.clone(), self.twin_version(original));
        }
        if original.state == ContainerState::Paused {
            self.out.steps.push(Step::Unpause { container: container.clone() });
        }
        match (runs, was_up) {
            (true, false) => self.out.steps.push(Step::Start { container: container.clone() }),
            (false, true) => self.out.steps.push(self.stop(original)),
            (true, true) | (false, false) => {}
        }
        if runs {
            self.out.steps.push(self.wait(&container, self.input.module.probation));
        }
        let names = self.out.steps.len();
        self.out.phases = [takes_down, brings_up, names];
        self.undo(brings_up, names, stop_policy(original));
        if runs {
            self.undo(brings_up, names, self.stop(original));
        }
        self.brings_back(current, takes_down, names);
        self.clear_the_name_of(current, original);
        let name = self.input.name.to_string();
        self.out.steps.push(Step::Rename { container, name });
        self.tidy_strays(Some(original));
        Ok(())
    }

    /// They go once what came has their place.
    pub(super) fn tidy_strays(&mut self, but: Option<&ObservedContainer>) {
        for stray in self.other_strays(but) {
            self.tidy(stray, PlanReason::Renamed(stray.name.clone()));
        }
    }

    fn other_strays(&self, but: Option<&ObservedContainer>) -> Vec<&'a ObservedContainer> {
        let strays = self.strays.iter().copied();
        strays.filter(|stray| but.is_none_or(|but| but.id != stray.id)).collect()
    }
}

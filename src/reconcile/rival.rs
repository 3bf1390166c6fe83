//! Another control host that works on a device at the very moment at which this one does.
//!
//! Enters: what was seen before the works and after them, and what became of them. Leaves: failures that were no fault of the
//! change, told as what they are. What is done about it is [`ControlMemory`](crate::plan::ControlMemory)'s.

use super::RunInput;
use super::survey::names;
use crate::apply::{DeviceRun, Outcome, REMOVED};
use crate::engine::{Cause, EngineError, EngineErrorKind};
use crate::model::{ModuleName, Observation, ObservedContainer, label};
use crate::plan::{DeviceMemory, DevicePlan, Purpose, carries_our_labels};
use std::collections::BTreeSet;

/// What a run of works was seen between.
struct Between<'a> {
    before: &'a Observation,
    after: &'a Observation,
    /// What was known from earlier looks. The containers in it are looked after here, whoever made them: a store that was lost was
    /// another one when it made them.
    known: &'a DeviceMemory,
    /// The names that the fleet and the device have, or had.
    names: &'a (Vec<String>, Vec<String>),
    /// Which control host's store this is.
    control: &'a str,
    /// The control host that was met on this device within the last day.
    met_before: Option<&'a str>,
}

impl RunInput<'_> {
    /// The control host that crossed these works, if one did.
    pub(super) fn crossed_by(
        &self,
        plan: &DevicePlan,
        run: &mut DeviceRun,
        known: &DeviceMemory,
        (before, after): (&Observation, &Observation),
    ) -> Option<String> {
        let device = self.fleet.devices.get(&plan.device)?;
        let names = &names(self.fleet, device);
        let (control, met) = (self.store.control(), &plan.kept_memory.control);
        let has_met = !met.undone.is_empty() || !met.crossed.is_empty();
        let met_before = met.by.as_deref().filter(|_| has_met);
        let between = Between { before, after, known, names, control, met_before };
        explain_rivals(plan, run, &between)
    }
}

/// Tells works that another control host crossed from those that failed; says which one, if there are any.
fn explain_rivals(plan: &DevicePlan, run: &mut DeviceRun, seen: &Between<'_>) -> Option<String> {
    let mut crossed_by = None;
    for (work, outcome) in &mut run.outcomes {
        let module = plan.works.iter().find(|w| w.id == *work).and_then(|w| match &w.purpose {
            Purpose::Module { name, .. } => Some(name),
            Purpose::Image(_) | Purpose::Network(_) => None,
        });
        if let Outcome::Failed { error, .. } = outcome
            && let Some(rival) = seen.rival(error)
        {
            error.kind = EngineErrorKind::Conflict;
            error.cause = Some(Cause::AnotherControlHost);
            error.message = format!(
                "another control host ({rival}) works on this device at the same time: {}",
                error.message
            );
            crossed_by = Some(rival);
        } else if let Outcome::Failed { error, .. } = outcome
            && let Some(perhaps) = seen.perhaps(error, module)
        {
            error.message.push_str(&format!(
                ", again; if another control host ({perhaps}) works on this device too, stop one of the two"
            ));
        }
    }
    crossed_by
}

/// Remembers that works were crossed, and once.
pub(super) fn learn_crossing(
    plan: &DevicePlan,
    run: &DeviceRun,
    rival: Option<String>,
    memory: &mut DeviceMemory,
    at: i64,
) {
    let Some(rival) = rival else { return };
    memory.control.crossed.push(at);
    memory.control.by = Some(rival);
    for work in plan.works.iter().filter(|work| run.outcomes.get(&work.id).is_some_and(is_crossed))
    {
        if let Purpose::Module { name, .. } = &work.purpose {
            memory.control.made.remove(name);
        }
    }
}

/// Whether a work failed because another control host did something else there.
pub(super) fn is_crossed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { error, .. } if error.cause == Some(Cause::AnotherControlHost))
}

impl Between<'_> {
    /// The control host that may have crossed a work that failed so, if there are signs of one: what it made in the meantime, or
    /// took away. Whatever is wrong with an image, or with a line, is nobody's doing.
    fn rival(&self, error: &EngineError) -> Option<String> {
        let failed = error.kind;
        let was_stopped = error.cause == Some(Cause::StoppedByAnother);
        let was_removed = error.cause == Some(Cause::RemovedByAnother);
        let (before, after) = (ids(self.before), ids(self.after));
        let is_new = |container: &&ObservedContainer| !before.contains(container.id.as_str());
        let is_gone = |container: &&ObservedContainer| !after.contains(container.id.as_str());
        let new = || self.anothers(self.after).into_iter().find(is_new);
        let is_its_own =
            |container: &&ObservedContainer| !self.known.containers.contains_key(&container.id);
        let gone = || self.anothers(self.before).into_iter().filter(is_its_own).find(is_gone);
        let there = || self.anothers(self.after).into_iter().find(is_its_own);
        let by_what_is_there = match failed {
            // It may be anything that tidies up.
            EngineErrorKind::Conflict if was_removed => new().or_else(gone),
            // It may not have come to making its own, or what it made was there before.
            EngineErrorKind::Conflict if was_stopped => new().or_else(gone).or_else(there),
            EngineErrorKind::Conflict | EngineErrorKind::Refused => new(),
            EngineErrorKind::NotFound => new().or_else(gone),
            EngineErrorKind::Unreachable
            | EngineErrorKind::NoImage
            | EngineErrorKind::ModuleFailed
            | EngineErrorKind::TimedOut => return None,
        };
        let by = by_what_is_there.and_then(|container| container.labels.get(label::CONTROL));
        // What it made may be gone again: who was met there before is met again.
        let again = || {
            self.met_before
                .filter(|_| failed == EngineErrorKind::NotFound || was_stopped || was_removed)
        };
        by.map(String::as_str).or_else(again).map(str::to_owned)
    }

    /// The control host that may be asked for where a module's container is removed twice in a row before it has come up: it may
    /// put back what was there, which is known here for long. But that may also be of a store that was lost, which removes nothing.
    fn perhaps(&self, error: &EngineError, module: Option<&ModuleName>) -> Option<String> {
        let was_removed = error.cause == Some(Cause::RemovedByAnother);
        module.filter(|module| was_removed && self.was_removed_before(module))?;
        let there = self.anothers(self.after).into_iter().next();
        there.and_then(|container| container.labels.get(label::CONTROL)).cloned()
    }

    /// Whether a module's container was removed in the last try too, before it had come up.
    fn was_removed_before(&self, module: &ModuleName) -> bool {
        let tried = self.known.modules.get(module).and_then(|tried| tried.failed.as_ref());
        tried.is_some_and(|failed| failed.reason.contains(REMOVED))
    }

    fn anothers<'o>(&self, seen: &'o Observation) -> Vec<&'o ObservedContainer> {
        let (fleets, devices) = self.names;
        let is_anothers = |container: &&ObservedContainer| {
            carries_our_labels(container, fleets, devices)
                && container.labels.get(label::CONTROL).is_some_and(|by| by != self.control)
        };
        seen.containers.iter().filter(is_anothers).collect()
    }
}

fn ids(seen: &Observation) -> BTreeSet<&str> {
    seen.containers.iter().map(|container| container.id.as_str()).collect()
}

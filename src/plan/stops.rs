//! What Hoist itself stopped: it did not end by itself, whatever the restart policy says of one that does.
//!
//! An engine tells no stop from an end. So it is remembered which run of a container was stopped, by the moment at which that run
//! had begun: whoever starts the container makes it another run, and what is remembered holds no more.

use super::device::Sorted;
use super::memory::ModuleMemory;
use super::module::is_up;
use super::standing::{Verdict, judge};
use super::{Step, Work};
use crate::model::{ContainerState, Module, ObservedContainer, Status};
use std::collections::{BTreeMap, BTreeSet};

/// By container id: when the run of it had begun that Hoist stopped, as the engine writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stops(pub BTreeMap<String, String>);

impl Stops {
    /// Whether this container is down since Hoist stopped it.
    pub fn holds(&self, container: &ObservedContainer) -> bool {
        self.0.get(&container.id).is_some_and(|begun| {
            let started_at = container.detail.as_ref().map(|detail| &detail.started_at);
            !is_up(container) && started_at.is_none_or(|started_at| started_at == begun)
        })
    }

    /// The verdict on a module and its container, as [`judge`] gives it of one that nobody stopped.
    pub fn judge(
        &self,
        module: &Module,
        seen: Option<&ObservedContainer>,
        memory: &ModuleMemory,
        now: i64,
    ) -> Verdict {
        let is_down = |state| matches!(state, ContainerState::Exited(_) | ContainerState::Dead);
        let was_stopped = seen.is_some_and(|seen| is_down(seen.state) && self.holds(seen));
        match module.status {
            Status::Running if was_stopped => Verdict::of_one_stopped(memory, now),
            Status::Running | Status::Stopped => judge(module, seen, memory, now),
        }
    }

    /// What of it still holds.
    pub(super) fn still(&self, sorted: &Sorted<'_>) -> Self {
        let holds = sorted.every().filter(|container| self.holds(container));
        Self(holds.filter_map(|container| self.0.get_key_value(&container.id)).map(own).collect())
    }

    /// With all that these works may stop: a run that is cut off does not say how far it came.
    #[must_use]
    pub fn and_planned(&self, works: &[Work], seen: &[ObservedContainer]) -> Self {
        let steps = works.iter().flat_map(|work| &work.steps);
        let stopped: BTreeSet<&str> = steps.filter_map(stopped_by).collect();
        let runs = running(seen).filter(|container| stopped.contains(container.id.as_str()));
        Self(self.0.iter().map(own).chain(runs.filter_map(begun)).collect())
    }

    /// With those that a run stopped, and without those that are not down any more, or another run of theirs is. `seen`: what the
    /// engine has after the run.
    #[must_use]
    pub fn after(&self, stopped: &BTreeSet<String>, seen: &[ObservedContainer]) -> Self {
        let down = seen.iter().filter(|container| !is_up(container));
        let still = down.clone().filter(|container| self.holds(container));
        let still = still.filter_map(|container| self.0.get_key_value(&container.id)).map(own);
        let now = down.filter(|container| stopped.contains(&container.id)).filter_map(begun);
        Self(still.chain(now).collect())
    }
}

/// The containers that run.
pub fn running(seen: &[ObservedContainer]) -> impl Iterator<Item = &ObservedContainer> {
    seen.iter().filter(|container| is_up(container))
}

fn own((id, begun): (&String, &String)) -> (String, String) {
    (id.clone(), begun.clone())
}

fn begun(container: &ObservedContainer) -> Option<(String, String)> {
    Some((container.id.clone(), container.detail.as_ref()?.started_at.clone()))
}

fn stopped_by(step: &Step) -> Option<&str> {
    match step {
        Step::Stop { container, .. } => Some(container.as_str()),
        _ => None,
    }
}

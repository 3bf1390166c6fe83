//! What Hoist itself stopped: it did not end by itself, whatever the restart policy says of one that does.
//!
//! An engine tells no stop from an end. So it is remembered which run of a container was stopped, by the moment at which that run
//! had begun: whoever starts the container makes it another run, and what is remembered holds no more.

use super::device::Sorted;
use super::memory::ModuleMemory;
use super::module::is_up;
use super::standing::{Verdict, judge};
use crate::model::{ContainerState, Module, ObservedContainer, Status, label};
use std::collections::{BTreeMap, BTreeSet};

/// An engine may be at a stop for so long after whoever asked for it was cut off, or its answer was, in seconds.
const LINGERS: i64 = 600;

/// What was stopped, by container id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stops(pub BTreeMap<String, Stopped>);

/// One run of a container that Hoist stopped, or whose stop it had begun when it was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// When the run had begun, as the engine writes it; `None` where nobody had looked.
    pub begun: Option<String>,
    /// When it was to be stopped, in seconds since 1970.
    pub at: i64,
    /// The volumes that it shared with others that ran then, each with the module of such a one.
    pub beside: BTreeSet<(String, String)>,
}

impl Stops {
    /// Whether this container is down since Hoist stopped it.
    pub fn holds(&self, container: &ObservedContainer) -> bool {
        !is_up(container) && self.of_this_run(container).is_some()
    }

    /// Whether it was, or the engine may still be at that.
    pub fn has_begun_to_stop(&self, container: &ObservedContainer) -> bool {
        self.of_this_run(container).is_some()
    }

    /// Whether a module ran beside this container on this volume when it was stopped.
    pub(super) fn stood_beside(
        &self,
        container: &ObservedContainer,
        volume: &str,
        module: &str,
    ) -> bool {
        let stopped = self.of_this_run(container);
        stopped.is_some_and(|s| s.beside.contains(&(volume.to_owned(), module.to_owned())))
    }

    fn of_this_run(&self, container: &ObservedContainer) -> Option<&Stopped> {
        let stopped = self.0.get(&container.id)?;
        let started_at = container.detail.as_ref().map(|detail| &detail.started_at);
        let is_another =
            started_at.zip(stopped.begun.as_ref()).is_some_and(|(at, begun)| at != begun);
        Some(stopped).filter(|_| !is_another)
    }

    /// The same, or the engine may still be at the stop.
    fn may_hold(&self, container: &ObservedContainer, now: i64) -> Option<(String, Stopped)> {
        let stopped = self.of_this_run(container)?;
        let lingers = now.saturating_sub(stopped.at) < LINGERS;
        (!is_up(container) || lingers).then(|| (container.id.clone(), stopped.clone()))
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
    pub(super) fn still(&self, sorted: &Sorted<'_>, now: i64) -> Self {
        Self(sorted.every().filter_map(|container| self.may_hold(container, now)).collect())
    }

    /// With those whose stop is begun, by how they were seen before, or that were `started` since: a run that is cut off does not
    /// say what came of it. One that was down already ended by itself.
    #[must_use]
    pub fn and_begun(
        &self,
        stopped: &BTreeSet<String>,
        before: &[ObservedContainer],
        started: &BTreeSet<String>,
        now: i64,
    ) -> Self {
        let runs = running(before).filter(|container| stopped.contains(&container.id));
        let known = self.0.iter().map(|(id, stopped)| (id.clone(), stopped.clone()));
        // Nobody has looked when that began, nor beside whom.
        let anew = stopped
            .intersection(started)
            .map(|id| (id.clone(), Stopped { begun: None, at: now, beside: BTreeSet::new() }));
        let begun = runs.map(|container| begun(container, before, now));
        Self(known.chain(begun).chain(anew).collect())
    }

    /// With those that a run stopped, or began to stop so that they may be at it still, and without those of which another run is there.
    /// By what the engine had before the run, and has after it.
    #[must_use]
    pub fn after(
        &self,
        stopped: &BTreeSet<String>,
        (before, seen): (&[ObservedContainer], &[ObservedContainer]),
        now: i64,
    ) -> Self {
        let still = seen.iter().filter_map(|container| self.may_hold(container, now));
        // What is up may be at its stop still, if it is the run that was to be stopped.
        let run_of = |seen| match is_up(seen) {
            true => before.iter().find(|container| container.id == seen.id),
            false => Some(seen),
        };
        let all = seen.iter().filter(|container| stopped.contains(&container.id));
        let now_stopped = all.filter_map(run_of).map(|run| begun(run, before, now));
        let all = Self(still.chain(now_stopped).collect());
        let of_these_runs = seen.iter().filter_map(|container| {
            Some((container.id.clone(), all.of_this_run(container)?.clone()))
        });
        Self(of_these_runs.collect())
    }
}

/// The containers that run.
pub fn running(seen: &[ObservedContainer]) -> impl Iterator<Item = &ObservedContainer> {
    seen.iter().filter(|container| is_up(container))
}

fn begun(
    container: &ObservedContainer,
    before: &[ObservedContainer],
    at: i64,
) -> (String, Stopped) {
    let begun = container.detail.as_ref().map(|detail| detail.started_at.clone());
    let beside = neighbours(container, before);
    (container.id.clone(), Stopped { begun, at, beside })
}

/// The volumes that a container shares with others that run while it does, and the modules that these are of.
fn neighbours(
    container: &ObservedContainer,
    seen: &[ObservedContainer],
) -> BTreeSet<(String, String)> {
    let Some(one) = running(seen).find(|one| one.id == container.id) else {
        return BTreeSet::new();
    };
    let named = |seen: &ObservedContainer| -> BTreeSet<String> {
        let volumes = seen.mounts.iter().filter(|mount| !mount.volume.is_empty());
        volumes.map(|mount| mount.volume.clone()).collect()
    };
    let own = named(one);
    let others = running(seen).filter(|other| other.id != one.id);
    let modules = others.filter_map(|other| Some((other.labels.get(label::MODULE)?, named(other))));
    let shared = modules.flat_map(|(module, volumes)| {
        let shared: Vec<String> = volumes.intersection(&own).cloned().collect();
        shared.into_iter().map(|volume| (volume, module.clone()))
    });
    shared.collect()
}

//! What worked, is in no manifest any more and was stopped by a run: whatever became of that run, it may stay down only where what
//! it made room for works. What somebody else stopped is none of that. And what works goes only where all that comes is possible.

use crate::world::Pass;
use hoist::apply::Outcome;
use hoist::model::{
    ContainerState, Health, Manifest, Module, Observation, ObservedContainer, label,
};
use hoist::plan::{PlanAction, Purpose, Step};
use std::collections::{BTreeMap, BTreeSet};

/// By id: what ran when nobody but a run of ours could have stopped it since.
#[derive(Default)]
pub(crate) struct Stood(BTreeMap<String, One>);

/// A container as it was when it ran, and what ran beside it.
struct One {
    was: ObservedContainer,
    beside: BTreeSet<String>,
    /// Its state after the last pass.
    state: ContainerState,
}

fn is_up(container: &&ObservedContainer) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Restarting)
}

impl Stood {
    /// Before a pass: what runs, and should go with it.
    pub(crate) fn note_what_stands(
        &mut self,
        before: &Observation,
        manifest: &Manifest,
        bad: &BTreeSet<String>,
        policy_of: &dyn Fn(&str) -> String,
    ) {
        self.0.retain(|id, one| {
            let there = before.containers.iter().find(|c| c.id == *id);
            let runs = there.is_some_and(|c| c.state == ContainerState::Running);
            let is_ours_to_start = one.state != ContainerState::Running || runs;
            let is_wanted = manifest.modules.contains_key(one.was.name.as_str());
            there.is_some() && is_ours_to_start && !is_wanted
        });
        let beside: BTreeSet<String> =
            before.containers.iter().filter(is_up).map(|c| c.id.clone()).collect();
        for container in &before.containers {
            let goes = container.labels.get(label::MODULE).is_some_and(|name| {
                *name == container.name && !manifest.modules.contains_key(name.as_str())
            });
            let works = container.state == ContainerState::Running
                && !bad.contains(&container.image)
                && policy_of(&container.id) != "no";
            if goes && works {
                let (was, state) = (container.clone(), container.state);
                self.0.insert(container.id.clone(), One { was, beside: beside.clone(), state });
            }
        }
    }

    /// After a pass: where what it made way for has come up, it may stay down.
    pub(crate) fn note_what_made_way(&mut self, pass: &Pass, after: &Observation) {
        let works = pass.plan.works.iter();
        for work in works.filter(|work| pass.outcomes.get(&work.id) == Some(&Outcome::NotNeeded)) {
            for step in &work.steps {
                if let Step::Start { container } = step {
                    self.0.remove(container.as_str());
                }
            }
        }
        // All that came had come up: it was going.
        let is_removal =
            |purpose| matches!(purpose, &Purpose::Module { action: PlanAction::Remove, .. });
        let has_begun = |id| matches!(pass.outcomes.get(&id), Some(Outcome::Failed { .. }));
        let removals = pass.plan.works.iter().filter(|work| is_removal(&work.purpose));
        for step in removals.filter(|work| has_begun(work.id)).flat_map(|work| &work.steps) {
            if let Step::Remove { container } = step {
                self.0.remove(container.as_str());
            }
        }
        for container in &after.containers {
            if let Some(one) = self.0.get_mut(&container.id) {
                one.state = container.state;
            }
        }
    }

    /// What is down and should run again, as nothing that works and came since stands in its room.
    pub(crate) fn left_down(&self, after: &Observation, bad: &BTreeSet<String>) -> Option<&str> {
        let is_down = |id: &str| {
            let there = after.containers.iter().find(|c| c.id == id);
            there.is_some_and(|c| {
                !matches!(c.state, ContainerState::Running | ContainerState::Paused)
            })
        };
        let stands_in_its_room = |one: &One| {
            let named = one.was.mounts.iter().filter(|mount| !mount.is_anonymous());
            let volumes: BTreeSet<&str> = named.map(|mount| mount.volume.as_str()).collect();
            after.containers.iter().filter(is_up).any(|c| {
                let works = !one.beside.contains(&c.id) && !bad.contains(&c.image);
                let port = c.ports.iter().any(|port| one.was.ports.contains(port));
                let volume = c.mounts.iter().any(|mount| volumes.contains(mount.volume.as_str()));
                works && c.labels.contains_key(label::MODULE) && (port || volume)
            })
        };
        let mut left = self.0.iter().filter(|(_, one)| !bad.contains(&one.was.image));
        let left = left.find(|(id, one)| is_down(id) && !stands_in_its_room(one));
        left.map(|(_, one)| one.was.name.as_str())
    }
}

/// What worked, is not wanted any more, and was removed by a pass in which something that may be its successor failed or was not
/// possible.
pub(crate) fn gone_in_vain<'a>(
    before: &'a Observation,
    after: &Observation,
    manifest: &Manifest,
    pass: &Pass,
    bad: &BTreeSet<String>,
) -> Option<&'a str> {
    let fails = pass.plan.works.iter().any(|work| {
        let failed = matches!(pass.outcomes.get(&work.id), Some(Outcome::Failed { .. }));
        failed && (!work.tries.is_empty() || matches!(work.purpose, Purpose::Image(_)))
    });
    if !fails && pass.plan.blocked.is_empty() {
        return None;
    }
    let is_wanted = |c: &ObservedContainer| {
        c.labels.get(label::MODULE).is_none_or(|m| manifest.modules.contains_key(m.as_str()))
    };
    let probation = Module::PROBATION.seconds_up();
    let mut worked = before.containers.iter().filter(|c| {
        let is_well = matches!(c.health, Health::None | Health::Healthy);
        let is_up = c.state == ContainerState::Running && c.up_for >= Some(probation);
        is_up && is_well && !bad.contains(&c.image) && !is_wanted(c)
    });
    let gone = worked.find(|one| after.containers.iter().all(|c| c.id != one.id));
    gone.map(|one| one.name.as_str())
}

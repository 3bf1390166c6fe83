//! Room for what comes: what goes and shares a port or a volume with it is stopped before, and started again where
//! what it made room for does not come up.
//!
//! What was stopped so, and what a run began to make beside others that go, is remembered before it is done. A run that is cut
//! off thus leaves both to the next one, which judges what came, takes it back where it is wanted no more, and starts again
//! what was stopped; and nothing else that is down.

use super::device::{Draft, Sorted};
use super::early::EarlyStop;
use super::going::Going;
use super::module::{id, is_up, stop_policy, without_policy};
use super::works::Works;
use super::{ContainerRef, PlanAction, PlanReason, Purpose, Step, Undo, When};
use crate::model::{
    ContainerState, Hash, Health, Manifest, Module, ModuleName, ObservedContainer, ObservedPort,
    Status, label,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a run began beside others that go, and does not know the end of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HalfDone {
    /// Modules for which a container is made, with the specification that it bears; while one is taken back, and another is
    /// made instead of it, both.
    pub coming: BTreeSet<(ModuleName, Hash)>,
    /// By id: containers that are stopped to make room.
    pub made_room: BTreeMap<String, MadeRoom>,
}

/// How a container was that a run stopped to make room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeRoom {
    /// The engine's restart policy that it had.
    pub policy: String,
    /// The ports that it published: a list shows none of what is down.
    pub ports: Vec<ObservedPort>,
    /// The modules that it made room for.
    pub modules: Vec<ModuleName>,
}

impl HalfDone {
    /// Whether a run began to make this container, and none has seen it come up.
    pub fn is_coming(&self, container: &ObservedContainer) -> bool {
        let value = |key| container.labels.get(key).map(String::as_str);
        let (module, spec) = (value(label::MODULE), value(label::SPEC));
        let mut coming = self.coming.iter();
        coming.any(|(name, s)| module == Some(name.as_str()) && spec == Some(s.as_str()))
    }

    /// Whether this container is as a run left it that stopped it to make room: the policy is taken away first, which nobody
    /// does who stops a container by hand.
    pub fn is_owed(&self, container: &ObservedContainer) -> bool {
        let Some(was) = self.made_room.get(&container.id) else { return false };
        let has_policy = container.detail.as_ref().map(|d| d.restart_policy.as_str());
        let has_lost_it = has_policy.is_none_or(|policy| matches!(policy, "no" | ""));
        has_lost_it && (!is_up(container) || !matches!(was.policy.as_str(), "no" | ""))
    }

    /// What of it is still so, by what is seen. What has been up for as long as its probation takes has come up, though no run
    /// saw that, and what made room for it is not needed any more. What its manifest wants stopped does not come.
    pub(super) fn still(&self, manifest: &Manifest, sorted: &Sorted<'_>) -> Self {
        let mut still = self.clone();
        let mut has_come = BTreeSet::new();
        still.coming.retain(|(name, spec)| {
            let module = manifest.modules.get(name);
            let bears = |c: &&ObservedContainer| {
                c.labels.get(label::SPEC).is_some_and(|label| label == spec.as_str())
            };
            let Some(container) = sorted.all(name).find(bears) else { return false };
            let is_over = has_come_up(container, module);
            if is_over {
                has_come.insert(name.clone());
            }
            !is_over && module.is_none_or(|module| module.status == Status::Running)
        });
        still.made_room.retain(|id, was| {
            let mut every = sorted.every();
            !was.modules.iter().any(|name| has_come.contains(name))
                && every.any(|container| container.id == *id && self.is_owed(container))
        });
        still
    }

    /// The modules for which something made room that stands there, stopped, and can be started again.
    pub(super) fn ways_back(&self, sorted: &Sorted<'_>) -> BTreeSet<ModuleName> {
        let down = sorted.every().filter(|container| !is_up(container));
        let stand_by = down.filter_map(|container| self.made_room.get(&container.id));
        stand_by.flat_map(|was| was.modules.iter().cloned()).collect()
    }

    /// What of it goes on, and what is about to be begun.
    pub(super) fn go_on(self, drafts: &[Draft<'_>], early: &[EarlyStop], others_go: bool) -> Self {
        // Beside nothing that goes it is a module like others.
        let coming = self.coming.into_iter().filter(|_| others_go);
        let is_begun =
            |draft: &&Draft<'_>| others_go && draft.decision.action == PlanAction::Create;
        let begun = drafts.iter().filter(is_begun);
        let begun =
            begun.filter_map(|draft| Some((draft.name.clone(), draft.decision.tries.clone()?)));
        let stops = early.iter().map(|stop| (stop.id.clone(), stop.was.clone()));
        Self { coming: coming.chain(begun).collect(), made_room: stops.collect() }
    }
}

impl Works {
    /// Beside what is taken back nothing is begun that needs its place or its room.
    pub(super) fn rooms_of_what_is_taken_back(&mut self, drafts: &[Draft<'_>], going: &Going<'_>) {
        for container in going.sorted.every() {
            let Some(number) = self.taken_back.get(&container.id) else { continue };
            let is_its_own = |draft: &&Draft<'_>| {
                going.sorted.all(&draft.name).any(|own| own.id == container.id)
            };
            let waits = drafts
                .iter()
                .filter(|draft| is_its_own(draft) || going.is_new_beside(draft, container));
            for draft in waits {
                self.clears_room_of.entry(draft.name.clone()).or_default().push(*number);
            }
        }
    }

    /// What was stopped early is started again where what it made room for failed: beside one that came up it has no room. Beside
    /// others on its volume, where it stood before, it has.
    pub(super) fn restarts(
        &mut self,
        early: &[EarlyStop],
        specs: &BTreeMap<ModuleName, Hash>,
        is_blocked: bool,
    ) {
        for stop in early.iter().filter(|stop| !stop.waits) {
            let is_for = |number: &usize| match &self.list[*number].purpose {
                Purpose::Module { name, .. } => stop.makes_room_for.contains(name),
                Purpose::Image(_) | Purpose::Network(_) => false,
            };
            let waits_for: Vec<usize> = self.modules.iter().copied().filter(is_for).collect();
            // What is there stays, and nothing comes that could fail: it goes as others do.
            if waits_for.is_empty() && !is_blocked && self.modules.is_empty() {
                continue;
            }
            for number in &waits_for {
                self.makes_way_again(*number, specs);
            }
            let container = ContainerRef::Id(stop.id.clone());
            let policy = Step::Update {
                container: container.clone(),
                restart_policy: Some(stop.was.policy.clone()),
                memory: None,
                nano_cpus: None,
            };
            let start = Step::Start { container };
            let purpose =
                Purpose::Module { name: stop.module.clone(), action: PlanAction::StartAgain };
            let reason = match stop.was_cut {
                true => PlanReason::LeftStopped,
                false => PlanReason::RoomNotUsed,
            };
            // Its policy last: one that is down without it, or runs without it, is known to be ours to start.
            let number = self.add(purpose, vec![reason], vec![start, policy]);
            let stands_there = |number: &usize| match &self.list[*number].purpose {
                Purpose::Module { name, .. } => stop.was.modules.contains(name),
                Purpose::Image(_) | Purpose::Network(_) => false,
            };
            let taken_back = self.taken_back.values().copied().filter(stands_there).collect();
            let work = &mut self.list[number];
            work.after.clone_from(&waits_for);
            work.when = match (waits_for.is_empty(), is_blocked) {
                (false, _) => When::NonePassed(waits_for),
                // It stays for now, and nothing of what comes needs its room.
                (true, true) => When::AllPassed(Vec::new()),
                (true, false) => When::AnyFailed(self.modules.clone()),
            };
            // It never stands beside what took its room.
            work.needs = taken_back;
            // Where a run that was cut off began it, it may have come to the policy.
            work.undoes = stop.stop.filter(|_| !stop.was_cut);
        }
    }

    /// What was there, or was made by a run that was cut off, goes down again if it does not come up: it would stand beside
    /// what made room. That it was tried is remembered, so that nothing is stopped for it over and over.
    fn makes_way_again(&mut self, number: usize, specs: &BTreeMap<ModuleName, Hash>) {
        let work = &mut self.list[number];
        let Purpose::Module { name, action: PlanAction::Start | PlanAction::Update } =
            &work.purpose
        else {
            return;
        };
        let begins = work.steps.iter().enumerate().find_map(|(at, step)| match step {
            Step::Start { container } => Some((at, container.clone())),
            _ => None,
        });
        let is_late = || {
            work.steps.iter().find_map(|step| match step {
                Step::WaitRunning { container, .. } => Some((0, container.clone())),
                _ => None,
            })
        };
        let Some((since, container)) = begins.or_else(is_late).filter(|_| work.undo.is_empty())
        else {
            return;
        };
        work.tries = specs.get(name).map(|spec| (name.clone(), spec.clone())).into_iter().collect();
        let policy = without_policy(container.clone());
        let until = work.steps.len();
        let stop = Step::Stop { container, timeout: None };
        work.undo = vec![
            Undo { since, until, needs: Vec::new(), step: policy },
            Undo { since, until, needs: vec![0], step: stop },
        ];
    }

    /// Takes back what a run that was cut off made, and the manifest does not want any more.
    pub(super) fn take_back(&mut self, container: &ObservedContainer, name: &ModuleName) {
        let mut steps = vec![stop_policy(container)];
        if is_up(container) {
            steps.push(Step::Stop { container: id(container), timeout: None });
        }
        steps.push(Step::Remove { container: id(container) });
        let purpose = Purpose::Module { name: name.clone(), action: PlanAction::Remove };
        let number = self.add(purpose, vec![PlanReason::LeftBehind], steps);
        self.taken_back.insert(container.id.clone(), number);
    }
}

/// Whether a container has been up, and is well, for as long as its probation takes.
pub(super) fn has_come_up(container: &ObservedContainer, module: Option<&Module>) -> bool {
    let probation = module.map_or(Module::PROBATION, |module| module.probation);
    container.state == ContainerState::Running
        && matches!(container.health, Health::None | Health::Healthy)
        && container.up_for.is_some_and(|up_for| up_for >= probation.seconds_up())
}

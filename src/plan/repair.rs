//! What can be done to the container that is there: its specification is right, its state, settings,
//! networks or twin are not.

use super::module::{Draft, id, settings_to_remember, stop_policy, wanted_policy};
use super::networks::{Networking, networking};
use super::place::{FIRST_LOOK, wait_for};
use super::standing::Repair;
use super::{Block, ContainerRef, PlanAction, PlanReason, Step};
use crate::model::{ContainerState, Module, ObservedContainer, TwinFile};

impl Draft<'_> {
    /// The specification is right; what is left can be done to the container that is there.
    pub(super) fn repair(&mut self, current: &ObservedContainer) -> Result<(), Block> {
        let verdict = self.verdict(current);
        self.wait_until(verdict.due);
        let may_follow =
            self.input.others_go && verdict.failing || self.may_break_off_again(current);
        if self.input.owned.old.is_none() && !may_follow {
            // It has taken its place for good, or there is nothing whose place it took.
            self.memory.failed = None;
            self.memory.back_failed_at = None;
        }
        let container = id(current);
        let starts = matches!(verdict.repair, Repair::Start);
        if starts {
            self.refuse_foreign(&[])?;
        }
        let before = self.out.steps.len();
        if matches!(verdict.repair, Repair::Unpause | Repair::UnpauseAndStop) {
            self.push(
                PlanAction::Start,
                PlanReason::Paused,
                Step::Unpause { container: container.clone() },
            );
        }
        for network in self.missing_networks(current) {
            self.connect(&container, &network);
            self.note(PlanAction::Update, PlanReason::NotOnNetwork(network.clone()));
            self.out.networks.push(network);
        }
        let settings_differ = self.settings_differ(current);
        if settings_differ && !starts {
            let step = self.settings_update(&container);
            self.push(PlanAction::Update, PlanReason::SettingsDiffer, step);
        }
        let twin_differs = self.twin_differs(current);
        if twin_differs {
            self.note(PlanAction::Update, PlanReason::TwinDiffers);
            self.write_twin(&container, Some(current));
        }
        match verdict.repair {
            Repair::None | Repair::Create | Repair::Unpause => {
                self.hold_back_in_pause(current, &verdict);
                self.finish_probation(current, &verdict.repair);
            }
            Repair::Start => {
                self.stop_the_other(current);
                let step = self.settings_update(&container);
                self.push(PlanAction::Start, PlanReason::Down(verdict.words), step);
                self.out.steps.push(Step::Start { container: container.clone() });
                self.out.steps.push(self.wait(&container, self.look_after_start()));
                // One that was stopped by the manifest did not end by itself.
                self.out.is_revival = current.state != ContainerState::Created && !settings_differ;
                if self.is_left_coming(current) {
                    self.takes_back_what_fails(current);
                }
            }
            Repair::Restart => {
                let timeout = self.input.module.effective_stop_timeout();
                let step = Step::Restart { container: container.clone(), timeout };
                self.push(PlanAction::Start, PlanReason::Unhealthy, step);
                self.finish_probation(current, &verdict.repair);
                self.out.is_revival = true;
            }
            Repair::Stop | Repair::UnpauseAndStop => {
                self.push(PlanAction::Stop, PlanReason::ShouldBeStopped, stop_policy(current));
                self.out.steps.push(self.stop(current));
            }
        }
        if self.out.steps.len() > before {
            let version = self.out.remember.iter().find(|(c, _)| *c == container);
            let version =
                version.map_or_else(|| self.twin_version(current), |(_, r)| r.twin_version);
            self.remember(container, version);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, action: PlanAction, reason: PlanReason, step: Step) {
        self.out.steps.push(step);
        self.note(action, reason);
    }

    pub(super) fn note(&mut self, action: PlanAction, reason: PlanReason) {
        self.out.reasons.push(reason);
        let weight = |action| match action {
            PlanAction::Stop => 3,
            PlanAction::Start => 2,
            PlanAction::Update => 1,
            _ => 0,
        };
        if weight(action) >= weight(self.out.action) {
            self.out.action = action;
        }
    }

    pub(super) fn missing_networks(&self, current: &ObservedContainer) -> Vec<String> {
        match networking(self.input.module, self.input.fleet) {
            Networking::Networks(networks) => {
                networks.into_iter().filter(|n| !current.networks.contains(n)).collect()
            }
            Networking::Mode(_) | Networking::CreateOptions => Vec::new(),
        }
    }

    pub(super) fn settings_differ(&self, current: &ObservedContainer) -> bool {
        if let Some(detail) = &current.detail {
            let module = self.input.module;
            let memory = module.memory.is_some_and(|m| m != detail.memory);
            let cpus = module.cpus.is_some_and(|n| n != detail.nano_cpus);
            return memory || cpus || detail.restart_policy != wanted_policy(self.input.module);
        }
        let remembered = self.input.memory.containers.get(&current.id);
        let wanted = settings_to_remember(self.input.module, &self.input.hashes.settings);
        remembered.is_some_and(|r| r.settings != wanted)
    }

    pub(super) fn twin_differs(&self, current: &ObservedContainer) -> bool {
        let remembered = self.input.memory.containers.get(&current.id);
        let is_remembered = remembered.is_some_and(|r| r.twin == self.input.hashes.twin);
        match current.detail.as_ref().map(|detail| &detail.twin) {
            Some(TwinFile::Ours(seen)) if seen.hash == self.input.hashes.twin.as_str() => {
                remembered.is_some() && !is_remembered
            }
            Some(TwinFile::Ours(_) | TwinFile::Foreign) => true,
            Some(TwinFile::NotRead) | None => !is_remembered,
        }
    }

    pub(super) fn settings_update(&self, container: &ContainerRef) -> Step {
        Step::Update {
            container: container.clone(),
            restart_policy: Some(wanted_policy(self.input.module).to_owned()),
            memory: self.input.module.memory,
            nano_cpus: self.input.module.cpus,
        }
    }
}

/// A restart that somebody asks for: the same container, and a look whether it comes up.
pub fn restart_steps(module: &Module, current: &ObservedContainer) -> Vec<Step> {
    let container = id(current);
    let timeout = module.effective_stop_timeout();
    let wait = wait_for(module, &container, FIRST_LOOK);
    vec![Step::Restart { container, timeout }, wait]
}

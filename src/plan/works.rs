//! The works of a device, in the order in which they may run.
//!
//! All pulls first; then networks; then, by `startup-order`, creates, replaces, starts and stops; then what
//! changes without a restart; removals last, and only when all else passed.

use super::device::{Draft, PlanInput, Sorted, fleet_names, known_networks};
use super::going::Going;
use super::joint::groups;
use super::module::{Decision, id, is_up, stop_policy};
use super::networks::{Networking, fleet_network, networking};
use super::{PlanAction, PlanReason, Purpose, Step, When, Work};
use crate::model::{ContainerState, Manifest, ModuleName, ObservedContainer, label};
use std::collections::{BTreeMap, BTreeSet};

/// The works of a device in the making.
#[derive(Default)]
pub(super) struct Works {
    pub(super) list: Vec<Work>,
    /// Numbers of the works that bring a module somewhere; removals wait for all of them.
    pub(super) modules: Vec<usize>,
    /// By id: what a run that was cut off made and is taken back, and the works that do it.
    pub(super) taken_back: BTreeMap<String, usize>,
    /// By module: works that must have passed before it is begun, as they take away what it can't stand beside.
    pub(super) clears_room_of: BTreeMap<ModuleName, Vec<usize>>,
    /// What is done where one of these works fails: a replacement then does not begin.
    instead: Vec<(Vec<usize>, ModuleName, Decision)>,
}

impl Works {
    pub(super) fn add(
        &mut self,
        purpose: Purpose,
        reasons: Vec<PlanReason>,
        steps: Vec<Step>,
    ) -> usize {
        let id = self.list.len();
        self.list.push(Work {
            id,
            purpose,
            reasons,
            steps,
            undo: Vec::new(),
            when: When::AllPassed(Vec::new()),
            after: Vec::new(),
            remember: Vec::new(),
            tries: Vec::new(),
            is_revival: false,
            is_for_pause: false,
            needs: Vec::new(),
            undoes: None,
        });
        id
    }

    /// Networks that are needed and not seen to be there; a name that exists is fine.
    pub(super) fn networks(
        &mut self,
        input: &PlanInput<'_>,
        drafts: &[Draft<'_>],
    ) -> BTreeMap<String, usize> {
        // What the store remembers may be gone; only a running container proves that its network is there.
        let there: BTreeSet<&String> = input
            .observation
            .containers
            .iter()
            .filter(|container| container.state == ContainerState::Running)
            .flat_map(|container| &container.networks)
            .collect();
        let mut made = BTreeMap::new();
        for draft in drafts {
            for network in
                draft.decision.networks.iter().filter(|network| !there.contains(*network))
            {
                let number = *made.entry(network.clone()).or_insert_with(|| {
                    let is_fleets = *network == fleet_network(input.fleet);
                    let step = Step::CreateNetwork {
                        name: network.clone(),
                        subnet: input.subnet.filter(|_| is_fleets).map(str::to_owned),
                        labels: network_labels(input, network),
                    };
                    self.add(Purpose::Network(network.clone()), Vec::new(), vec![step])
                });
                let reasons = &mut self.list[number].reasons;
                match reasons.first_mut() {
                    Some(PlanReason::NeededBy(names)) => names.push(draft.name.clone()),
                    _ => reasons.push(PlanReason::NeededBy(vec![draft.name.clone()])),
                }
            }
        }
        made
    }

    /// By startup order; modules of one order side by side, the next begins when the former has ended. Those
    /// that need each other's ports go together, in the first of their orders.
    pub(super) fn stages(
        &mut self,
        drafts: &[Draft<'_>],
        networks: &BTreeMap<String, usize>,
        sorted: &Sorted<'_>,
    ) {
        let is_quiet = |draft: &Draft<'_>| {
            matches!(draft.decision.action, PlanAction::Update | PlanAction::Tidy)
        };
        let mut orders: BTreeMap<u32, Vec<Vec<&Draft<'_>>>> = BTreeMap::new();
        let mut quiet = Vec::new();
        for group in groups(drafts, sorted) {
            let members: Vec<&Draft<'_>> = group.iter().map(|number| &drafts[*number]).collect();
            match members.as_slice() {
                [one] if is_quiet(one) => quiet.push(*one),
                members => {
                    let order = members.iter().map(|draft| draft.module.startup_order).min();
                    orders.entry(order.unwrap_or(0)).or_default().push(members.to_vec());
                }
            }
        }
        for groups in orders.values() {
            let (single, joint): (Vec<_>, Vec<_>) =
                groups.iter().partition(|group| group.len() == 1);
            let single: Vec<&Draft<'_>> = single.into_iter().flatten().copied().collect();
            self.stage(&single, networks);
            for members in joint {
                self.joint(members, networks);
            }
        }
        self.stage(&quiet, networks);
    }

    pub(super) fn stage(&mut self, drafts: &[&Draft<'_>], networks: &BTreeMap<String, usize>) {
        let before: Vec<usize> = (0..self.list.len()).collect();
        for draft in drafts {
            let Decision {
                action,
                reasons,
                steps,
                undo,
                networks: needed,
                remember,
                tries,
                is_revival,
                is_for_pause,
                ..
            } = &draft.decision;
            let mut requires: Vec<usize> = draft.pull.into_iter().collect();
            requires.extend(needed.iter().filter_map(|network| networks.get(network)));
            let needs = self.needs(draft);
            self.instead_of(draft, requires.iter().chain(&needs));
            let purpose = Purpose::Module { name: draft.name.clone(), action: *action };
            let number = self.add(purpose, reasons.clone(), steps.clone());
            let work = &mut self.list[number];
            work.undo.clone_from(undo);
            work.when = When::AllPassed(requires);
            work.after.clone_from(&before);
            work.remember.clone_from(remember);
            work.is_revival = *is_revival;
            work.is_for_pause = *is_for_pause;
            work.needs = needs;
            work.tries = tries.iter().map(|spec| (draft.name.clone(), spec.clone())).collect();
            self.modules.push(number);
        }
    }

    /// The works beside whose subjects a module is not begun.
    pub(super) fn needs(&self, draft: &Draft<'_>) -> Vec<usize> {
        self.clears_room_of.get(&draft.name).cloned().unwrap_or_default()
    }

    /// Notes what is done where a replacement does not begin, as one of these works has failed.
    pub(super) fn instead_of<'n>(
        &mut self,
        draft: &Draft<'_>,
        requires: impl Iterator<Item = &'n usize>,
    ) {
        let requires: Vec<usize> = requires.copied().collect();
        if let Some(instead) = &draft.decision.instead
            && !requires.is_empty()
        {
            self.instead.push((requires, draft.name.clone(), Decision::clone(instead)));
        }
    }

    /// What is there is kept up where what should take its place can't begin.
    pub(super) fn instead(&mut self) {
        for (requires, name, decision) in std::mem::take(&mut self.instead) {
            let Decision { action, mut reasons, steps, remember, is_revival, .. } = decision;
            let action = match action {
                PlanAction::Start => PlanAction::StartAgain,
                other => other,
            };
            reasons.push(PlanReason::NextNotBegun);
            let number = self.add(Purpose::Module { name, action }, reasons, steps);
            let work = &mut self.list[number];
            work.when = When::AnyFailed(requires);
            work.remember = remember;
            work.is_revival = is_revival;
        }
    }

    /// Whether a container that goes runs, or is started by one of these.
    pub(super) fn will_be_up(&self, container: &ObservedContainer) -> bool {
        let mut steps = self.list.iter().flat_map(|work| &work.steps);
        let start = Step::Start { container: id(container) };
        is_up(container) || steps.any(|step| *step == start)
    }

    /// Stopped in reverse order first, deleted only when all else passed.
    pub(super) fn removals(&mut self, manifest: &Manifest, going: &Going<'_>) {
        let required = self.modules.clone();
        let unwanted = going.unwanted(manifest);
        for (container, name) in unwanted.iter().rev() {
            let mut steps = Vec::new();
            if is_up(container) {
                steps.extend([
                    stop_policy(container),
                    Step::Stop { container: id(container), timeout: None },
                ]);
            }
            steps.push(Step::Remove { container: id(container) });
            let purpose = Purpose::Module { name: name.clone(), action: PlanAction::Remove };
            let before: Vec<usize> = (0..self.list.len()).collect();
            let number = self.add(purpose, vec![PlanReason::NotInManifest], steps);
            self.list[number].when = When::AllPassed(required.clone());
            self.list[number].after = before;
        }
    }

    /// Networks of ours on which nothing is left, once everything else has passed.
    pub(super) fn unused_networks(&mut self, input: &PlanInput<'_>, manifest: &Manifest) {
        let gone: BTreeSet<&str> = self
            .list
            .iter()
            .flat_map(|work| &work.steps)
            .filter_map(|step| match step {
                Step::Remove { container } => Some(container.as_str()),
                _ => None,
            })
            .collect();
        let mut used: BTreeSet<String> = input
            .observation
            .containers
            .iter()
            .filter(|container| !gone.contains(container.id.as_str()))
            .flat_map(|container| container.networks.iter().cloned())
            .collect();
        for module in manifest.modules.values() {
            if let Networking::Networks(networks) = networking(module, input.fleet) {
                used.extend(networks);
            }
        }
        let everything: Vec<usize> = self
            .list
            .iter()
            .filter(|work| matches!(work.when, When::AllPassed(_)))
            .map(|work| work.id)
            .collect();
        let mut former: Option<usize> = None;
        for network in known_networks(input).difference(&used) {
            let purpose = Purpose::Network(network.clone());
            let steps = removals_of_network(input, network);
            let number = self.add(purpose, vec![PlanReason::Unused], steps);
            self.list[number].when = When::AllPassed(everything.clone());
            // An engine prunes one thing at a time.
            self.list[number].after = former.into_iter().collect();
            former = Some(number);
        }
    }
}

/// One step for each name that the fleet has had: its labels are of the day on which it was made. Which device it was
/// made for is no matter: of a device that left, nobody knows any more what it was called before.
fn removals_of_network(input: &PlanInput<'_>, network: &str) -> Vec<Step> {
    let of = |fleet: String| {
        let mut labels = network_labels(input, network);
        labels.remove(label::DEVICE);
        labels.insert(label::FLEET.to_owned(), fleet);
        Step::RemoveNetwork { name: network.to_owned(), labels }
    };
    fleet_names(input).into_iter().map(of).collect()
}

fn network_labels(input: &PlanInput<'_>, network: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::FLEET.to_owned(), input.fleet.to_string()),
        (label::DEVICE.to_owned(), input.device.to_string()),
        (label::NETWORK.to_owned(), network.to_owned()),
    ])
}

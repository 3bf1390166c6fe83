//! Modules that need each other's ports: one takes a port of the device that another gives up in the same
//! change, or two exchange theirs.
//!
//! Enters: what was decided on each module. Leaves: one work for those that hang together, in which all that
//! goes is stopped before anything that comes is started, with one way back for all of it; and blocks for
//! modules whose port another one keeps.

use super::device::{Draft, Sorted};
use super::module::{Decision, is_up, without_policy};
use super::ports::published;
use super::works::Works;
use super::{Block, PlanAction, PlanReason, Purpose, Step, Undo, When};
use crate::model::ModuleName;
use std::collections::{BTreeMap, BTreeSet};

/// Modules of the manifest whose containers hold a port that this one needs, with the port.
fn holders<'a>(
    draft: &Draft<'_>,
    names: impl Iterator<Item = &'a ModuleName>,
    sorted: &Sorted<'_>,
) -> Vec<(ModuleName, String)> {
    let comes = matches!(
        draft.decision.action,
        PlanAction::Create | PlanAction::Replace | PlanAction::Start
    );
    let is_kept = draft.decision.keeps_up || draft.module.status == crate::model::Status::Stopped;
    if !comes || is_kept {
        return Vec::new();
    }
    let ports = published(draft.module);
    let mut found = Vec::new();
    for name in names.filter(|name| **name != draft.name) {
        let Some(container) = sorted.current(name).filter(|container| is_up(container)) else {
            continue;
        };
        if let Some(port) = ports.iter().find(|port| port.is_taken_by(container)) {
            found.push((name.clone(), port.name()));
        }
    }
    found
}

/// Takes out the modules that need a port which another module of the manifest does not give up now.
pub(super) fn without_port<'a>(
    mut drafts: Vec<Draft<'a>>,
    names: &BTreeSet<ModuleName>,
    sorted: &Sorted<'_>,
    blocked: &mut BTreeMap<ModuleName, Block>,
) -> Vec<Draft<'a>> {
    loop {
        let gives_up: BTreeSet<ModuleName> = drafts
            .iter()
            .filter(|draft| matches!(draft.decision.action, PlanAction::Replace | PlanAction::Stop))
            .map(|draft| draft.name.clone())
            .collect();
        let stuck = drafts.iter().enumerate().find_map(|(at, draft)| {
            let holders = holders(draft, names.iter(), sorted);
            holders.into_iter().find(|(name, _)| !gives_up.contains(name)).map(|held| (at, held))
        });
        let Some((at, (holder, port))) = stuck else { return drafts };
        let mut draft = drafts.remove(at);
        blocked.entry(draft.name.clone()).or_insert(Block::PortOfModule { port, holder });
        if let Some(instead) = draft.decision.instead.take() {
            draft.decision = *instead;
            drafts.insert(at, draft);
        }
    }
}

/// The groups of modules that must be changed together, as numbers of drafts; most groups are of one.
pub(super) fn groups(drafts: &[Draft<'_>], sorted: &Sorted<'_>) -> Vec<Vec<usize>> {
    let names: Vec<ModuleName> = drafts.iter().map(|draft| draft.name.clone()).collect();
    let mut group_of: Vec<usize> = (0..drafts.len()).collect();
    for (number, draft) in drafts.iter().enumerate() {
        for (holder, _) in holders(draft, names.iter(), sorted) {
            let Some(other) = names.iter().position(|name| *name == holder) else { continue };
            let (keep, merge) =
                (group_of[number].min(group_of[other]), group_of[number].max(group_of[other]));
            for group in &mut group_of {
                if *group == merge {
                    *group = keep;
                }
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, group) in group_of.into_iter().enumerate() {
        groups.entry(group).or_default().push(number);
    }
    groups.into_values().collect()
}

impl Works {
    /// Adds one work for all members, and one without steps for each but the first, which passes with it.
    pub(super) fn joint(&mut self, members: &[&Draft<'_>], networks: &BTreeMap<String, usize>) {
        let before: Vec<usize> = (0..self.list.len()).collect();
        let mut members = members.to_vec();
        // One that is only stopped does not stand for those that come.
        members.sort_by_key(|draft| {
            (draft.decision.action == PlanAction::Stop, draft.module.startup_order)
        });
        let (steps, undo) = together(&members);
        let mut requires = BTreeSet::new();
        for member in &members {
            requires.extend(member.pull);
            let needed = member.decision.networks.iter();
            requires.extend(needed.filter_map(|network| networks.get(network)));
        }
        let needs: Vec<usize> = members.iter().flat_map(|member| self.needs(member)).collect();
        members.iter().for_each(|member| self.instead_of(member, requires.iter().chain(&needs)));
        let mut joint = None;
        for member in &members {
            let action = member.decision.action;
            let purpose = Purpose::Module { name: member.name.clone(), action };
            let mut reasons = member.decision.reasons.clone();
            let others = members.iter().filter(|other| other.name != member.name);
            reasons
                .push(PlanReason::TogetherWith(others.map(|other| other.name.clone()).collect()));
            let number = self.add(purpose, reasons, Vec::new());
            self.modules.push(number);
            match joint {
                None => joint = Some(number),
                Some(joint) => {
                    self.list[number].when = When::AllPassed(vec![joint]);
                    self.list[number].after.clone_from(&before);
                }
            }
        }
        let Some(work) = joint.and_then(|number| self.list.get_mut(number)) else { return };
        work.steps = steps;
        work.undo = undo;
        work.when = When::AllPassed(requires.into_iter().collect());
        work.after = before;
        work.needs = needs;
        for member in &members {
            work.remember.extend(member.decision.remember.clone());
            let spec = member.decision.tries.clone();
            work.tries.extend(spec.map(|spec| (member.name.clone(), spec)));
        }
    }
}

/// The steps of all: what prepares, what takes down, what brings up, what settles names. And the way back:
/// first what came goes, then what was there is started again.
fn together(members: &[&Draft<'_>]) -> (Vec<Step>, Vec<Undo>) {
    let mut steps = Vec::new();
    let mut places: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut names_at = 0;
    for phase in 0..4 {
        if phase == 3 {
            names_at = steps.len();
        }
        for (number, member) in members.iter().enumerate() {
            let decision = &member.decision;
            let end = decision.steps.len();
            let [down, up, names] = match decision.action {
                PlanAction::Stop => [0, end, end],
                PlanAction::Create | PlanAction::Replace => decision.phases,
                _ => [0, 0, end],
            };
            let bounds = [0, down, up, names, end];
            for at in bounds[phase]..bounds[phase + 1] {
                places.insert((number, at), steps.len());
                steps.push(decision.steps[at].clone());
            }
        }
    }
    (steps, together_back(members, &places, names_at))
}

/// What came is removed first; without that nothing is started again. What one of them lacks for that is no
/// matter of the others.
fn together_back(
    members: &[&Draft<'_>],
    places: &BTreeMap<(usize, usize), usize>,
    names_at: usize,
) -> Vec<Undo> {
    let mut undo: Vec<(usize, bool, Undo)> = Vec::new();
    for (number, member) in members.iter().enumerate() {
        for one in &member.decision.undo {
            let place = |at: usize| places.get(&(number, at)).copied().unwrap_or(names_at);
            let since = match &one.step {
                // From the moment on at which there is something to remove.
                Step::Remove { .. } => one.since.checked_sub(1).map_or(0, |made| place(made) + 1),
                _ => place(one.since),
            };
            let step = one.step.clone();
            // Names are settled last, one after the other; the next pass finishes or takes back what is half done.
            if matches!(step, Step::Rename { .. }) {
                continue;
            }
            let makes_room = matches!(step, Step::Remove { .. } | Step::Stop { .. });
            let one = Undo { since, until: names_at, needs: Vec::new(), step };
            undo.push((number, makes_room, one));
        }
        for (at, step) in goes_down_again(&member.decision) {
            let since = places.get(&(number, at)).copied().unwrap_or(names_at);
            undo.push((number, true, Undo { since, until: names_at, needs: Vec::new(), step }));
        }
    }
    undo.sort_by_key(|(_, makes_room, undo)| match &undo.step {
        _ if *makes_room => 0,
        Step::Update { .. } => 1,
        _ => 2,
    });
    let before: Vec<(usize, bool)> =
        undo.iter().map(|(number, makes_room, _)| (*number, *makes_room)).collect();
    for (at, (number, _, undo)) in undo.iter_mut().enumerate() {
        let earlier = before.iter().take(at).enumerate();
        let needed = earlier.filter(|(_, (of, makes_room))| of == number || *makes_room);
        undo.needs = needed.map(|(index, _)| index).collect();
    }
    undo.into_iter().map(|(_, _, undo)| undo).collect()
}

/// What was there, down, and is started has no way back of its own: the others would not get their ports back beside it.
fn goes_down_again(decision: &Decision) -> Vec<(usize, Step)> {
    if decision.action != PlanAction::Start || !decision.undo.is_empty() {
        return Vec::new();
    }
    let started = decision.steps.iter().enumerate().find_map(|(at, step)| match step {
        Step::Start { container } => Some((at, container.clone())),
        _ => None,
    });
    let Some((at, container)) = started else { return Vec::new() };
    let policy = without_policy(container.clone());
    // A cut between the two must not leave it to an engine that restarts.
    vec![(at, policy), (at, Step::Stop { container, timeout: None })]
}

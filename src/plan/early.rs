//! Early stops: what goes, and stands where something comes, makes room before that.

use super::device::Draft;
use super::going::{Going, Room, needs_port_of, shares_with};
use super::module::{id, is_up, stop_policy};
use super::room::MadeRoom;
use super::works::Works;
use super::{PlanAction, PlanReason, Purpose, Step, When};
use crate::model::{Manifest, Module, ModuleName, ObservedContainer, Status};
use std::collections::BTreeSet;

/// A module that is stopped early to make room, or was by a run that was cut off.
pub(super) struct EarlyStop {
    pub(super) id: String,
    pub(super) module: ModuleName,
    pub(super) was: MadeRoom,
    /// Of those that it makes room for, the ones that are brought up now.
    pub(super) makes_room_for: Vec<ModuleName>,
    /// Whether it is already so.
    pub(super) was_cut: bool,
    /// The work that stops it.
    pub(super) stop: Option<usize>,
    /// Whether what came stands in its room, and is not judged now.
    pub(super) waits: bool,
}

/// A container that goes, and what comes where it stands.
struct Leaver<'a, 'd> {
    container: &'a ObservedContainer,
    module: ModuleName,
    was: MadeRoom,
    /// Whether a run that was cut off stopped it.
    was_cut: bool,
    /// What comes, and shares a port or a volume with it or is what it was stopped for.
    comes: Vec<&'d Draft<'d>>,
    /// Of those, the ones that do not stand beside it. Who stood beside it on a volume before has its room, also where it is down
    /// now; a port is one's alone.
    takers: Vec<&'d Draft<'d>>,
}

impl<'a, 'd> Leaver<'a, 'd> {
    fn of(
        (container, module): (&'a ObservedContainer, ModuleName),
        drafts: &'d [Draft<'d>],
        going: &Going<'_>,
    ) -> Self {
        let was_cut = going.half_done.is_owed(container);
        let was = going.as_it_was(container);
        let is_for = |name: &ModuleName, module: &Module| {
            shares_with(module, container, &was.ports) || was_cut && was.modules.contains(name)
        };
        let comes: Vec<&Draft<'_>> = drafts
            .iter()
            .filter(|draft| draft.decision.needs_room() || was_cut && draft.decision.is_late)
            // One that is only made, and not started, takes nobody's room.
            .filter(|draft| draft.module.status == Status::Running)
            .filter(|draft| is_for(&draft.name, draft.module))
            .collect();
        let takes = |draft: &&&Draft<'_>| {
            needs_port_of(draft.module, container, &was.ports)
                || going.is_new_beside(draft, container)
                || was_cut && was.modules.contains(&draft.name)
        };
        let takers = comes.iter().filter(takes).copied().collect();
        Self { container, module, was, was_cut, comes, takers }
    }

    fn takers(&self) -> impl Iterator<Item = ModuleName> {
        self.takers.iter().map(|draft| draft.name.clone())
    }

    /// The rooms of those that it was stopped for and that are not brought up now; those that only stand beside, on the same
    /// volume, have theirs.
    fn rooms(&self, manifest: &Manifest, going: &Going<'_>, works: &Works) -> Vec<Room> {
        let others = self.was.modules.iter().filter(|name| {
            self.was_cut
                && manifest.modules.contains_key(name.as_str())
                && !self.comes.iter().any(|draft| draft.name == **name)
        });
        others.map(|name| going.room_given_to(name, &works.taken_back)).collect()
    }

    /// All that it makes room for, now or since a run that was cut off.
    fn modules(&self, manifest: &Manifest, going: &Going<'_>) -> Vec<ModuleName> {
        let before = self.was.modules.iter().filter(|name| {
            // What is not wanted any more stands in its room until it is taken back.
            let is_there = going.sorted.all(name).next().is_some();
            (is_there || manifest.modules.contains_key(name.as_str()))
                && !self.takers.iter().any(|draft| draft.name == **name)
        });
        before.cloned().chain(self.takers()).collect()
    }
}

impl Works {
    /// Modules that go and share a port or a volume with one that comes are stopped before.
    pub(super) fn early_stops(
        &mut self,
        drafts: &[Draft<'_>],
        manifest: &Manifest,
        going: &Going<'_>,
    ) -> Vec<EarlyStop> {
        let before: Vec<usize> = (0..self.list.len()).collect();
        let mut early = Vec::new();
        for unwanted in going.unwanted(manifest) {
            let leaver = Leaver::of(unwanted, drafts, going);
            let rooms = leaver.rooms(manifest, going, self);
            let makes_room = !leaver.takers.is_empty() && is_up(leaver.container);
            if rooms.contains(&Room::Taken) || !leaver.was_cut && !makes_room {
                continue;
            }
            early.push(EarlyStop {
                id: leaver.container.id.clone(),
                module: leaver.module.clone(),
                makes_room_for: leaver.takers().collect(),
                was_cut: leaver.was_cut,
                stop: self.stop_early(&leaver, going, &before),
                waits: rooms.contains(&Room::Occupied),
                was: MadeRoom { modules: leaver.modules(manifest, going), ..leaver.was },
            });
        }
        self.all_make_room_or_none(&early);
        early
    }

    /// The work that stops it, where something needs its room.
    fn stop_early(
        &mut self,
        leaver: &Leaver<'_, '_>,
        going: &Going<'_>,
        before: &[usize],
    ) -> Option<usize> {
        let Leaver { container, module, takers, .. } = leaver;
        if !is_up(container) || !takers.iter().any(|draft| draft.decision.needs_room()) {
            return None;
        }
        let reasons = leaver.takers().map(|name| PlanReason::MakesRoom(name.to_string())).collect();
        let stops = Step::Stop { container: id(container), timeout: None };
        let purpose = Purpose::Module { name: module.clone(), action: PlanAction::Stop };
        let number = self.add(purpose, reasons, vec![stop_policy(container), stops]);
        self.list[number].after = before.to_vec();
        // Where an image can't be had, what it would replace goes on undisturbed.
        self.list[number].when =
            When::AllPassed(takers.iter().filter_map(|draft| draft.pull).collect());
        for draft in takers.iter().filter(|draft| going.is_new_beside(draft, container)) {
            self.clears_room_of.entry(draft.name.clone()).or_default().push(number);
        }
        Some(number)
    }

    /// One that comes may need the room of several, and these may make room for others: where an image of any of them can't be
    /// had, none is stopped in vain.
    fn all_make_room_or_none(&mut self, early: &[EarlyStop]) {
        let pulls = |works: &Self, stop: usize| match &works.list[stop].when {
            When::AllPassed(pulls) => pulls.iter().copied().collect::<BTreeSet<usize>>(),
            When::AnyFailed(_) | When::NonePassed(_) => BTreeSet::new(),
        };
        let stops: Vec<(usize, &Vec<ModuleName>)> =
            early.iter().filter_map(|stop| Some((stop.stop?, &stop.makes_room_for))).collect();
        let mut grows = true;
        while std::mem::take(&mut grows) {
            for (stop, comes) in &stops {
                let linked = stops
                    .iter()
                    .filter(|(_, others)| others.iter().any(|name| comes.contains(name)));
                let all: BTreeSet<usize> =
                    linked.flat_map(|(other, _)| pulls(self, *other)).collect();
                if all != pulls(self, *stop) {
                    self.list[*stop].when = When::AllPassed(all.into_iter().collect());
                    grows = true;
                }
            }
        }
    }
}

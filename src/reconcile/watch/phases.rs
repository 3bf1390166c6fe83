//! Who takes part in a rollout: what a newly accepted revision means for each device.
//!
//! Enters: what each device is at, and what the new revision wants of it. Leaves: those that go at once, and the candidates
//! of the rollout. Only a device whose manifest changes takes part; whatever the cause is, it is the same way.

use super::daemon::Daemon;
use super::loaded::{Loaded, Wants};
use super::shape::Shape;
use crate::fleet;
use crate::language::{Subject, Truth};
use crate::model::{DeviceId, Hash};
use crate::reconcile::facts::live_facts;
use crate::rollout::{Candidate, Mark, Plan, Rollout, Stage, TakesPart};
use crate::store::{Assignment, HistoryEntry, StoredDevices};
use std::collections::{BTreeMap, BTreeSet};

/// What a newly accepted revision makes of the fleet.
pub(super) struct Beginning {
    /// `None` where the fleet says nothing of phases.
    pub(super) rollout: Option<Rollout>,
    /// Devices that stay where they are for now.
    pub(super) behind: Vec<Assignment>,
    /// Devices that were behind and are no more.
    pub(super) caught_up: Vec<DeviceId>,
}

/// What a device is at, before a new revision is accepted.
enum At {
    /// At this revision, which wants that of it.
    Revision(String, Wants),
    /// At a revision that can't be read: that is recorded of it.
    Recorded(String, Hash),
    /// Nothing is known of it.
    Nothing,
}

/// What a new revision is to a device.
enum Part {
    /// Nothing to wait for: it has what is wanted, or gets it at once.
    None,
    /// Its deployments say that it changes at once.
    AtOnce,
    /// Nobody knows what it has.
    Unknown,
    /// It takes part; with the revision that it is at.
    Takes(TakesPart, String),
}

impl Daemon {
    /// What accepting a revision means, with what was found on devices where the store was lost.
    pub(super) fn beginning(
        &self,
        loaded: &Loaded,
        shape: &Shape,
        found: &StoredDevices,
    ) -> Beginning {
        let mine = self.mine(loaded);
        let Some(settings) = &loaded.fleet.rollout else {
            let caught_up = self.behind.keys().cloned().collect();
            return Beginning { rollout: None, behind: Vec::new(), caught_up };
        };
        let templates = loaded.templates();
        // Of a rollout that has not ended nothing is proven, whoever has it.
        let proven: BTreeSet<Hash> = self
            .proven()
            .map(|proven| proven.templates().into_values().collect())
            .unwrap_or_default();
        let phase_of = self.phase_of(loaded);
        let mut candidates = BTreeMap::new();
        let (mut behind, mut unphased, mut unknown) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut withheld = BTreeSet::new();
        for device in &mine {
            let Some(Wants::Manifest(wanted)) = loaded.wants.get(device) else { continue };
            let Some(template) = templates.get(device) else { continue };
            let is_proven = proven.contains(template);
            let is_at = self.is_at(device, loaded, found);
            match self.part_of(device, wanted, is_proven, shape, is_at) {
                Part::None => {}
                Part::AtOnce => drop(unphased.insert(device.clone())),
                Part::Unknown => unknown.push(device.clone()),
                Part::Takes(TakesPart { back_to, is_moved, between }, at) => {
                    candidates.insert(
                        device.clone(),
                        Candidate {
                            phase: phase_of(device),
                            back_to,
                            wanted: wanted.clone(),
                            template: template.clone(),
                            is_moved,
                            between,
                        },
                    );
                    if !is_moved {
                        withheld.extend(shape.is_withheld(device).then(|| device.clone()));
                        behind.push(self.behind(device, at, &loaded.revision.short));
                    }
                }
            }
        }
        if self.accepted.is_none() && !candidates.is_empty() {
            self.add_those_ahead(loaded, &mine, found, &mut candidates);
            behind.extend(self.add_unknown(loaded, unknown, &mut candidates));
        }
        let stays: BTreeSet<_> = behind.iter().map(|assignment| &assignment.device).collect();
        let caught_up =
            self.behind.keys().filter(|device| !stays.contains(device)).cloned().collect();
        let is_over = self.rollout.as_ref().is_none_or(|rollout| rollout.stage == Stage::Done);
        if candidates.is_empty() && is_over {
            // The last one stays to be seen.
            let mut rollout = self.rollout.clone();
            rollout.iter_mut().for_each(|rollout| rollout.wait_only_for(&stays));
            return Beginning { rollout, behind, caught_up };
        }
        // So did those of a way that has not ended, unless they take part now.
        let former = self.unfinished().into_iter().flat_map(|rollout| &rollout.unphased).cloned();
        unphased
            .extend(former.filter(|device| !candidates.contains_key(device)).collect::<Vec<_>>());
        // Going back leads to what had gone through, whatever was under way since.
        let from = self.unfinished().map(|rollout| rollout.from.clone());
        let from = from.or_else(|| Some(self.accepted.as_ref()?.revision.id.clone()));
        let from = from.or_else(|| candidates.values().next().map(|c| c.back_to.clone()));
        let mut rollout = Rollout::begin(Plan {
            from: &from.unwrap_or_default(),
            to: &loaded.revision.id,
            settings,
            tighter: shape.tighter(loaded),
            candidates,
            marks: self.marks(),
            disturbed: self.rollout.as_ref().map(Rollout::disturbed_now).unwrap_or_default(),
            unheard: self.rollout.as_ref().map(|former| former.unheard.clone()).unwrap_or_default(),
            unphased,
            withheld,
        });
        rollout.changed = Some(shape.changed().clone());
        Beginning { rollout: Some(rollout), behind, caught_up }
    }

    /// What a new revision is to a device that it wants something of.
    fn part_of(
        &self,
        device: &DeviceId,
        wanted: &Hash,
        is_proven: bool,
        shape: &Shape,
        is_at: At,
    ) -> Part {
        let (revision, has) = match is_at {
            At::Revision(revision, wants) => (revision, wants == Wants::Manifest(wanted.clone())),
            At::Recorded(revision, has) => (revision, has == *wanted),
            // A new device gets at once what has gone through on others, or what is the first of all.
            At::Nothing => match &self.accepted {
                Some(former) if !is_proven => (former.revision.id.clone(), false),
                Some(_) => return Part::None,
                None => return Part::Unknown,
            },
        };
        let former = self.rollout.as_ref();
        let Some(part) = TakesPart::of(device, &revision, has, former) else { return Part::None };
        let at_once = shape.is_at_once(device, &revision);
        if at_once && !part.between && !part.is_moved {
            return Part::AtOnce;
        }
        // What goes at once on top of what is not proven leaves that to be proven.
        let is_moved = part.is_moved || at_once;
        Part::Takes(TakesPart { is_moved, between: part.between && !is_moved, ..part }, revision)
    }

    /// Nothing waits here for devices that another control host looks after: where they would come first, that is told.
    pub(super) fn phases_skipped(&self, loaded: &Loaded, rollout: &Rollout) -> Vec<HistoryEntry> {
        let id = loaded.revision.id.as_str();
        let told = |phase: String| {
            let words = format!(
                "{phase}: its devices are another control host's; nothing waits for them here"
            );
            tracing::warn!(revision = id, "{words}");
            self.entry(None, "skip phase", Some(id), &words)
        };
        self.phases_elsewhere(loaded, rollout).into_iter().map(told).collect()
    }

    /// Phases with devices that change, of which none is looked after here.
    fn phases_elsewhere(&self, loaded: &Loaded, rollout: &Rollout) -> Vec<String> {
        let mine = self.mine(loaded);
        let Some(former) = self.accepted.as_ref().filter(|_| mine.len() < loaded.wants.len())
        else {
            return Vec::new();
        };
        let phase_of = self.phase_of(loaded);
        let changes = |device: &&DeviceId| former.wants.get(*device) != loaded.wants.get(*device);
        let others = loaded.wants.keys().filter(|device| !mine.contains(*device)).filter(changes);
        let elsewhere: BTreeSet<usize> = others.filter_map(phase_of).collect();
        let here: BTreeSet<usize> =
            rollout.members.values().filter_map(|member| member.phase).collect();
        let phases = loaded.fleet.rollout.iter().flat_map(|settings| &settings.phases);
        let is_elsewhere = |number: &usize| elsewhere.contains(number) && !here.contains(number);
        let named = phases.enumerate().filter(|(number, _)| is_elsewhere(number));
        named.map(|(_, phase)| phase.name.clone()).collect()
    }

    /// Whether a revision wants the same of every device as what counts, by the same phases: then it disturbs nothing.
    pub(super) fn wants_the_same(&self, loaded: &Loaded) -> bool {
        let (Some(rollout), Some(former)) = (&self.rollout, &self.accepted) else { return false };
        let has_the_phases = || match (&former.fleet.rollout, &loaded.fleet.rollout) {
            (Some(former), Some(new)) => rollout.stage == Stage::Done || are_same(former, new),
            (None, _) | (_, None) => true,
        };
        former.wants == loaded.wants && has_the_phases()
    }

    fn marks(&self) -> Vec<Mark> {
        self.rollout.as_ref().map(|rollout| rollout.marks.clone()).unwrap_or_default()
    }

    /// The phase of a device by its condition.
    pub(super) fn phase_of<'a>(
        &'a self,
        loaded: &'a Loaded,
    ) -> impl Fn(&DeviceId) -> Option<usize> + 'a {
        let facts = live_facts(&self.devices);
        move |device| {
            let phases = loaded.fleet.rollout.iter().flat_map(|rollout| &rollout.phases);
            let device = loaded.fleet.devices.get(device)?;
            let reported = facts.reported(device);
            let subject = Subject { device, reported: &reported };
            phases.into_iter().position(|phase| {
                let target = phase.target.as_ref();
                target.is_some_and(|target| target.evaluate(subject) == Truth::True)
            })
        }
    }

    fn is_at(&self, device: &DeviceId, head: &Loaded, found: &StoredDevices) -> At {
        let recorded = || {
            let in_force = found.get(device).or_else(|| self.devices.get(device));
            in_force.and_then(|stored| stored.in_force.as_ref())
        };
        let by_record = |revision: Option<&str>| match recorded() {
            Some(in_force) => At::Recorded(
                revision.unwrap_or(&in_force.revision).to_owned(),
                in_force.manifest_hash.clone(),
            ),
            None => At::Nothing,
        };
        let by_files = |revision: &str, loaded: &Loaded| match wants_of(loaded, device, head) {
            Some(wants) => At::Revision(revision.to_owned(), wants.clone()),
            None => At::Nothing,
        };
        let Some(assignment) = self.behind.get(device) else {
            let Some(former) = &self.accepted else { return by_record(None) };
            return by_files(&former.revision.id, former);
        };
        let revision = &assignment.revision;
        match self.others.read.get(revision) {
            Some(Ok(loaded)) => by_files(revision, loaded),
            _ => by_record(Some(revision)),
        }
    }

    pub(super) fn behind(&self, device: &DeviceId, revision: String, to: &str) -> Assignment {
        Assignment {
            device: device.clone(),
            revision,
            since: self.clock.now(),
            reason: format!("its turn on the way to {to} has not come"),
        }
    }

    /// After the store was lost, devices that are at the new revision already are on their way there, unproven: the labels
    /// don't say whether their phase had passed.
    fn add_those_ahead(
        &self,
        loaded: &Loaded,
        mine: &BTreeSet<DeviceId>,
        found: &StoredDevices,
        candidates: &mut BTreeMap<DeviceId, Candidate>,
    ) {
        let Some(back_to) = most_come_from(candidates) else { return };
        let templates = loaded.templates();
        let phase_of = self.phase_of(loaded);
        for device in mine
            .iter()
            .filter(|device| !candidates.contains_key(*device))
            .cloned()
            .collect::<Vec<_>>()
        {
            let in_force = found.get(&device).or_else(|| self.devices.get(&device));
            let in_force = in_force.and_then(|stored| stored.in_force.as_ref());
            let is_ahead = in_force.is_some_and(|f| f.revision == loaded.revision.id);
            let (Some(Wants::Manifest(wanted)), Some(template), true) =
                (loaded.wants.get(&device), templates.get(&device), is_ahead)
            else {
                continue;
            };
            let candidate = Candidate {
                phase: phase_of(&device),
                back_to: back_to.clone(),
                wanted: wanted.clone(),
                template: template.clone(),
                is_moved: true,
                between: false,
            };
            candidates.insert(device, candidate);
        }
    }

    /// After the store was lost, nobody knows what a device has that does not answer: it waits for its turn, too, and its
    /// phase for it.
    fn add_unknown(
        &self,
        loaded: &Loaded,
        unknown: Vec<DeviceId>,
        candidates: &mut BTreeMap<DeviceId, Candidate>,
    ) -> Vec<Assignment> {
        let Some(back_to) = most_come_from(candidates) else { return Vec::new() };
        let templates = loaded.templates();
        let phase_of = self.phase_of(loaded);
        let mut behind = Vec::new();
        for device in unknown {
            let (Some(Wants::Manifest(wanted)), Some(template)) =
                (loaded.wants.get(&device), templates.get(&device))
            else {
                continue;
            };
            behind.push(self.behind(&device, back_to.clone(), &loaded.revision.short));
            let candidate = Candidate {
                phase: phase_of(&device),
                back_to: back_to.clone(),
                wanted: wanted.clone(),
                template: template.clone(),
                is_moved: false,
                between: false,
            };
            candidates.insert(device, candidate);
        }
        behind
    }
}

/// Whether the phases of two revisions take the same devices.
fn are_same(former: &fleet::Rollout, new: &fleet::Rollout) -> bool {
    let who = |phase: &fleet::Phase| {
        let target = phase.target.as_ref().map(ToString::to_string);
        (phase.name.clone(), target, phase.share)
    };
    former.phases.iter().map(who).eq(new.phases.iter().map(who))
}

/// The revision that most of those who take part go back to.
fn most_come_from(candidates: &BTreeMap<DeviceId, Candidate>) -> Option<String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in candidates.values() {
        *count.entry(&candidate.back_to).or_default() += 1;
    }
    count.into_iter().max_by_key(|(_, n)| *n).map(|(revision, _)| revision.to_owned())
}

/// What a revision wants of a device, also where it knows it by a former id.
fn wants_of<'a>(loaded: &'a Loaded, device: &DeviceId, head: &Loaded) -> Option<&'a Wants> {
    loaded.wants.get(device).or_else(|| {
        let formers = &head.fleet.devices.get(device)?.formerly;
        let formers = formers.iter().filter(|former| !head.fleet.devices.contains_key(*former));
        formers.into_iter().find_map(|former| loaded.wants.get(former))
    })
}

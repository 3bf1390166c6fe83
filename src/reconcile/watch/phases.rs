//! Who takes part in a rollout: what a newly accepted revision means for each device.
//!
//! Enters: what each device is at, and what the new revision wants of it. Leaves: those that go at once, and the candidates
//! of the rollout. Only a device whose manifest changes takes part; whatever the cause is, it is the same way.

use super::daemon::Daemon;
use super::loaded::{Loaded, Wants};
use crate::language::{Subject, Truth};
use crate::model::{DeploymentId, DeviceId, Hash, PhaseSettings};
use crate::reconcile::facts::live_facts;
use crate::review::{FleetDiff, edited_deployment, goes_at_once};
use crate::rollout::{Candidate, Mark, Plan, Rollout, Stage};
use crate::store::{Assignment, StoreError, StoredDevices};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a reviewer's diff of a revision says about how it goes out.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Devices that change by deployments alone that say `phased = false`.
    at_once: BTreeSet<DeviceId>,
    /// Deployments by which devices change.
    changed: BTreeSet<DeploymentId>,
}

impl Shape {
    /// Of a diff with what counted before.
    pub(super) fn of(diff: &FleetDiff, former: &Loaded, loaded: &Loaded) -> Self {
        let mut shape = Self::default();
        for group in &diff.groups {
            if goes_at_once(group, Some(&former.fleet), &loaded.fleet) {
                shape.at_once.extend(group.devices.iter().cloned());
            } else {
                shape.changed.extend(group.causes.keys().filter_map(edited_deployment).cloned());
            }
        }
        shape
    }
}

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
        let proven: BTreeSet<Hash> = match &self.accepted {
            Some(former) => former.templates().into_values().collect(),
            None => BTreeSet::new(),
        };
        let phase_of = self.phase_of(loaded);
        let mut candidates = BTreeMap::new();
        let mut behind = Vec::new();
        for device in &mine {
            let Some(Wants::Manifest(wanted)) = loaded.wants.get(device) else { continue };
            let Some(template) = templates.get(device) else { continue };
            let is_at = self.is_at(device, found);
            let revision = match &is_at {
                At::Revision(_, Wants::Manifest(has)) | At::Recorded(_, has) if has == wanted => {
                    continue;
                }
                At::Revision(revision, _) | At::Recorded(revision, _) => revision.clone(),
                // A new device gets at once what others have already, or what is the first of all.
                At::Nothing => match &self.accepted {
                    Some(former) if !proven.contains(template) => former.revision.id.clone(),
                    _ => continue,
                },
            };
            if shape.at_once.contains(device) && !self.behind.contains_key(device) {
                continue;
            }
            candidates.insert(
                device.clone(),
                Candidate {
                    phase: phase_of(device),
                    back_to: self.last_proven(device).unwrap_or_else(|| revision.clone()),
                    wanted: wanted.clone(),
                    template: template.clone(),
                    is_moved: false,
                },
            );
            behind.push(self.behind(device, revision, &loaded.revision.short));
        }
        if self.accepted.is_none() && !candidates.is_empty() {
            self.add_those_ahead(loaded, &mine, found, &mut candidates);
        }
        let stays: BTreeSet<&DeviceId> =
            behind.iter().map(|assignment| &assignment.device).collect();
        let caught_up =
            self.behind.keys().filter(|device| !stays.contains(device)).cloned().collect();
        let is_over = self.rollout.as_ref().is_none_or(|rollout| rollout.stage == Stage::Done);
        if candidates.is_empty() && is_over {
            // The last one stays to be seen.
            return Beginning { rollout: self.rollout.clone(), behind, caught_up };
        }
        let tighter: Vec<&PhaseSettings> = shape
            .changed
            .iter()
            .filter_map(|id| loaded.fleet.deployments.get(id))
            .map(|deployment| &deployment.rollout)
            .collect();
        let from = self.accepted.as_ref().map(|former| former.revision.id.clone());
        let from = from.or_else(|| candidates.values().next().map(|c| c.back_to.clone()));
        let rollout = Rollout::begin(Plan {
            from: &from.unwrap_or_default(),
            to: &loaded.revision.id,
            settings,
            tighter,
            candidates,
            marks: self.marks(),
        });
        Beginning { rollout: Some(rollout), behind, caught_up }
    }

    /// Nothing waits here for devices that another control host looks after: where they would come first, that is told.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn tell_of_phases_elsewhere(
        &self,
        loaded: &Loaded,
        rollout: &Rollout,
    ) -> Result<(), StoreError> {
        let id = loaded.revision.id.as_str();
        for phase in self.phases_elsewhere(loaded, rollout) {
            let words = format!(
                "{phase}: its devices are another control host's; nothing waits for them here"
            );
            tracing::warn!(revision = id, "{words}");
            self.note("skip phase", id, &words)?;
        }
        Ok(())
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

    /// Whether a revision wants the same of every device as what counts: then it disturbs nothing.
    pub(super) fn wants_the_same(&self, loaded: &Loaded) -> bool {
        let is_same = |former: &Arc<Loaded>| former.wants == loaded.wants;
        self.rollout.is_some() && self.accepted.as_ref().is_some_and(is_same)
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

    fn is_at(&self, device: &DeviceId, found: &StoredDevices) -> At {
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
        let Some(assignment) = self.behind.get(device) else {
            let Some(former) = &self.accepted else { return by_record(None) };
            return match former.wants.get(device) {
                Some(wants) => At::Revision(former.revision.id.clone(), wants.clone()),
                None => At::Nothing,
            };
        };
        let revision = &assignment.revision;
        match self.others.get(revision) {
            Some(Ok(loaded)) => match loaded.wants.get(device) {
                Some(wants) => At::Revision(revision.clone(), wants.clone()),
                None => At::Nothing,
            },
            _ => by_record(Some(revision)),
        }
    }

    /// The last revision that a device had before a rollout that has not ended moved it.
    fn last_proven(&self, device: &DeviceId) -> Option<String> {
        let rollout = self.rollout.as_ref().filter(|rollout| rollout.stage != Stage::Done)?;
        rollout.members.get(device).map(|member| member.back_to.clone())
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
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for candidate in candidates.values() {
            *count.entry(&candidate.back_to).or_default() += 1;
        }
        let most =
            count.into_iter().max_by_key(|(_, n)| *n).map(|(revision, _)| revision.to_owned());
        let Some(back_to) = most else { return };
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
            };
            candidates.insert(device, candidate);
        }
    }
}

//! Devices that join a rollout while it is under way.
//!
//! Enters: a device that was not known when it began, or of which facts make something else. Leaves: one more member, that
//! stays at what it has until its turn comes. Not here: who takes part from the beginning ([`phases`](super::phases)).

use super::daemon::Daemon;
use super::kept::members_that_differ;
use super::loaded::{Loaded, Wants};
use crate::model::{DeviceId, Hash};
use crate::rollout::{Candidate, Rollout, Stage};
use crate::store::{Assignment, RolloutWrite, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What becomes of those who join.
struct Joining {
    next: Rollout,
    behind: Vec<Assignment>,
    caught_up: Vec<DeviceId>,
}

impl Daemon {
    /// The rollout, if it has not gone through.
    pub(super) fn unfinished(&self) -> Option<&Rollout> {
        self.rollout.as_ref().filter(|rollout| rollout.stage != Stage::Done)
    }

    /// What runs on a device was found. One that was not known when the rollout began takes part as well; of one that was
    /// away then, this is what it has.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn enrol(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        let (Some(rollout), Some(accepted)) = (self.unfinished(), self.accepted.clone()) else {
            return Ok(());
        };
        let in_force = self.devices.get(device).and_then(|stored| stored.in_force.clone());
        let wants = accepted.wants.get(device);
        let (Some(in_force), Some(Wants::Manifest(wanted))) = (in_force, wants) else {
            return Ok(());
        };
        let waits = rollout.waits_for(device);
        let is_known = rollout.members.contains_key(device) || self.behind.contains_key(device);
        let has = in_force.manifest_hash == *wanted;
        if is_known && !waits || !is_known && has {
            return Ok(());
        }
        let Some(template) = accepted.template_of(device) else { return Ok(()) };
        let mut next = rollout.clone();
        // Where it has what is wanted, it goes back to what the others came from.
        let former = next.members.get(device).map(|member| member.back_to.clone());
        let back_to = former.filter(|_| has).unwrap_or_else(|| in_force.revision.clone());
        let candidate = Candidate {
            phase: self.phase_of(&accepted)(device),
            back_to,
            wanted: wanted.clone(),
            template,
            is_moved: has,
            between: false,
        };
        next.enrol(device.clone(), candidate);
        let (mut behind, mut caught_up) = (Vec::new(), Vec::new());
        if has {
            caught_up.push(device.clone());
        } else {
            behind.push(self.behind(device, in_force.revision, &accepted.revision.short));
        }
        self.take_in(Joining { next, behind, caught_up })
    }

    /// Facts changed what is wanted of devices that take part: that is what they should get.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn follow_facts(&mut self, loaded: &Loaded) -> Result<(), StoreError> {
        let Some(mut next) = self.rollout.clone() else { return Ok(()) };
        let templates = loaded.templates();
        for (device, member) in &mut next.members {
            if let (Some(Wants::Manifest(wanted)), Some(template)) =
                (loaded.wants.get(device), templates.get(device))
            {
                member.wanted = wanted.clone();
                member.template = template.clone();
            }
        }
        self.take_in(Joining { next, behind: Vec::new(), caught_up: Vec::new() })
    }

    /// Devices that did not take part, and of which the revision that counts wants something that is not proven now, since
    /// facts changed: they stay at the last one that had gone through, until their turn comes.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn join_by_facts(&mut self, loaded: &Loaded) -> Result<(), StoreError> {
        let joining = self.joining_by_facts(loaded);
        let Some(mut next) = self.rollout.clone().filter(|_| !joining.is_empty()) else {
            return Ok(());
        };
        let moment = self.clock.moment();
        let mut behind = Vec::new();
        for (device, candidate) in joining {
            behind.push(self.behind(&device, candidate.back_to.clone(), &loaded.revision.short));
            // What had gone through may want something else of it as well, with these facts.
            self.schedule.wake(&device, moment);
            next.enrol(device, candidate);
        }
        self.take_in(Joining { next, behind, caught_up: Vec::new() })
    }

    fn joining_by_facts(&self, loaded: &Loaded) -> Vec<(DeviceId, Candidate)> {
        let (Some(rollout), Some(proven)) = (self.unfinished(), self.proven()) else {
            return Vec::new();
        };
        let proven_templates: BTreeSet<Hash> = proven.templates().into_values().collect();
        let templates = loaded.templates();
        let phase_of = self.phase_of(loaded);
        let joins = |device: &DeviceId| {
            let takes_part =
                rollout.members.contains_key(device) || self.behind.contains_key(device);
            let Some(Wants::Manifest(wanted)) = loaded.wants.get(device) else { return None };
            let template = templates.get(device)?;
            let is_proven = match proven.wants.get(device) {
                Some(wants) => *wants == Wants::Manifest(wanted.clone()),
                None => proven_templates.contains(template),
            };
            let in_force = self.devices.get(device).and_then(|stored| stored.in_force.as_ref());
            let has = in_force.is_some_and(|in_force| in_force.manifest_hash == *wanted);
            // What changed at once because it says so has nothing to wait for.
            if takes_part || is_proven || has || rollout.unphased.contains(device) {
                return None;
            }
            let candidate = Candidate {
                phase: phase_of(device),
                back_to: rollout.from.clone(),
                wanted: wanted.clone(),
                template: template.clone(),
                is_moved: false,
                between: false,
            };
            Some((device.clone(), candidate))
        };
        self.mine(loaded).iter().filter_map(joins).collect()
    }

    fn take_in(&mut self, joining: Joining) -> Result<(), StoreError> {
        let Joining { next, behind, caught_up } = joining;
        let members = members_that_differ(self.rollout.as_ref(), &next);
        if members.is_empty() {
            return Ok(());
        }
        self.shared.store.record_rollout(&RolloutWrite {
            members: &members,
            behind: &behind,
            caught_up: &caught_up,
            ..RolloutWrite::default()
        })?;
        caught_up.iter().for_each(|device| drop(self.behind.remove(device)));
        behind.iter().for_each(|assignment| self.want_other(&assignment.revision));
        self.behind.extend(behind.into_iter().map(|a| (a.device.clone(), a)));
        self.rollout = Some(next);
        self.progress.has_news = true;
        Ok(())
    }

    /// What had gone through last, of a rollout that has not ended.
    pub(super) fn proven(&self) -> Option<Arc<Loaded>> {
        let accepted = self.accepted.as_ref();
        let Some(rollout) = self.unfinished() else { return accepted.cloned() };
        match accepted {
            Some(accepted) if accepted.revision.id == rollout.from => Some(Arc::clone(accepted)),
            _ => self.others.read.get(&rollout.from)?.as_ref().ok().cloned(),
        }
    }
}

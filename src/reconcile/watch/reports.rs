//! What devices report, as a rollout reads it.
//!
//! Enters: what is recorded of devices, and whether this daemon looked at them since they were moved. Leaves: what a step
//! of the rollout sees. Not here: what it makes of that.

use super::daemon::Daemon;
use super::loaded::{Loaded, Wants};
use super::schedule::Moment;
use crate::model::{DeviceId, Manifest, ModuleName, module_hashes};
use crate::rollout::{Contact, Member, Place, Report, Seen};
use crate::store::{ModuleStanding, StoredDevice};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// Who answered so many milliseconds ago answers still.
pub(super) const LATELY: Moment = 10_000;
/// Who is asked and has not answered so long after the look at it began is silent.
const PATIENCE: Moment = 5_000;
/// The engine does not answer.
const UNREACHABLE: u16 = 406;
/// What is on it is of no revision that is known: nothing is done on it.
const HELD: u16 = 400;
/// Codes that time alone does not mend: the engine refuses it, or it ran and failed.
const FAILED: [u16; 2] = [422, 500];

impl Daemon {
    /// Modules that fail now and stay as they are: they say nothing of the change.
    pub(super) fn excused(&self, device: &DeviceId) -> BTreeSet<ModuleName> {
        let manifest = |loaded: &Loaded| -> Option<Manifest> {
            loaded.resolution.manifest(&loaded.fleet, device)?.ok()
        };
        let Some(stored) = self.devices.get(device) else { return BTreeSet::new() };
        let before = self.at(device).and_then(|(loaded, recorded)| match recorded {
            None => manifest(&loaded),
            Some(_) => None,
        });
        let after = self.accepted.as_deref().and_then(manifest);
        let (Some(before), Some(after)) = (before, after) else { return BTreeSet::new() };
        let failing = stored.modules.iter().filter(|(_, standing)| standing.code >= 400);
        let stays = |name: &ModuleName| {
            let hashes = |of: &Manifest| Some(module_hashes(of.modules.get(name)?, &of.routes));
            hashes(&before).is_some_and(|before| hashes(&after) == Some(before))
        };
        failing.map(|(name, _)| name.clone()).filter(stays).collect()
    }

    pub(super) fn seen(&self) -> BTreeMap<DeviceId, Seen> {
        let Some(accepted) = self.accepted.as_ref() else { return BTreeMap::new() };
        let against = self.against(accepted);
        let seen = |device: &DeviceId| {
            let stored = self.devices.get(device);
            let broken = self.progress.broken.get(device);
            let answered = self.progress.answered.contains_key(device) || self.was_good(device);
            let pin =
                self.orders.pin_of(device, &against).map(|pin| format!("pinned by {}", pin.who));
            Seen {
                // Its engine is not what does not answer, and time counts.
                reachable: broken.is_some()
                    || answered && stored.is_some_and(|stored| stored.status.code != UNREACHABLE),
                last: stored.and_then(|stored| stored.last_contact),
                contact: self.contact(device, stored.map(AsRef::as_ref)),
                held: pin
                    .or_else(|| self.orders.pause_of(device, &against))
                    .or_else(|| unfillable(accepted, device))
                    .or_else(|| {
                        // A new device has nothing that anybody could know: it waits for its turn and for nothing else.
                        let stored = stored.filter(|_| !self.fresh.contains(device))?;
                        unknown_content(stored)
                    })
                    .or_else(|| broken.filter(|_| self.waits(device)).cloned()),
                report: stored.and_then(|stored| self.report(device, stored)),
                works: stored.is_some_and(|stored| {
                    broken.is_none()
                        && self.progress.reported.contains_key(device)
                        && is_at_work(stored)
                }),
            }
        };
        accepted.fleet.devices.keys().map(|device| (device.clone(), seen(device))).collect()
    }

    /// How sure it is that a device answers still.
    fn contact(&self, device: &DeviceId, stored: Option<&StoredDevice>) -> Contact {
        let moment = self.clock.moment();
        let is_past = |at: &Moment, limit: Moment| moment >= at.saturating_add(limit);
        let running = || {
            let running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.get(device).map(|step| format!("at work: {step}"))
        };
        match self.progress.answered.get(device) {
            Some(at) if !is_past(at, LATELY) => return Contact::Lately,
            None if self.schedule.has(device) => {
                let words = running().unwrap_or_else(|| "the look at it goes on".to_owned());
                return Contact::NotYet(words);
            }
            Some(_) | None => {}
        }
        // Whoever waits for its turn to be looked at was not asked yet.
        let is_being_asked = self.under_way.contains(device);
        if !is_being_asked
            || !self.progress.asked.get(device).is_some_and(|at| is_past(at, PATIENCE))
        {
            return Contact::Before;
        }
        let last = stored.and_then(|stored| stored.last_contact);
        Contact::Asked(match (running(), last) {
            (Some(words), _) => words,
            (None, Some(last)) => format!("no answer since {last}"),
            (None, None) => "it never answered".to_owned(),
        })
    }

    /// Asks a device whether it answers: a look that is under way tells.
    pub(super) fn ask(&mut self, device: DeviceId) {
        let moment = self.clock.moment();
        if self.progress.asked.contains_key(&device) {
            return;
        }
        if !self.schedule.is_looked_at(&device) {
            self.schedule.wake(&device, moment);
        }
        self.progress.asked.insert(device, moment);
    }

    /// Whether a device that this daemon has not looked at yet was good when the one before ended: until the look says
    /// otherwise it counts as such, and its phase does not pass.
    fn was_good(&self, device: &DeviceId) -> bool {
        let rollout = self.rollout.as_ref();
        let member = rollout.and_then(|rollout| rollout.members.get(device));
        member.is_some_and(|member| member.place == Place::Good)
    }

    /// Whether it has not been let in: where a look at it breaks down, that would change nothing.
    fn waits(&self, device: &DeviceId) -> bool {
        self.rollout.as_ref().is_some_and(|rollout| rollout.waits_for(device))
    }

    fn report(&self, device: &DeviceId, stored: &StoredDevice) -> Option<Report> {
        let rollout = self.rollout.as_ref()?;
        let member = rollout.members.get(device)?;
        let expected = match member.place {
            Place::Waiting => return None,
            Place::Back { .. } if !self.has_a_way_back(device, member) => {
                return Some(Report::Good);
            }
            Place::Back { .. } => &member.back_to,
            Place::Admitted { .. } | Place::Good | Place::Failed { .. } => &rollout.to,
        };
        // That nobody could look says nothing of the revision: it fails if that lasts as long as its phase may take.
        if let Some(words) = self.progress.broken.get(device) {
            return Some(Report::OnTheWay(words.clone()));
        }
        if self.progress.reported.get(device).is_some_and(|reported| reported == expected) {
            return Some(report_of(member, stored));
        }
        self.at_work_for_long(device, member).map(Report::OnTheWay)
    }

    /// What is being done on a device that was let in a while ago, if its look still goes on.
    fn at_work_for_long(&self, device: &DeviceId, member: &Member) -> Option<String> {
        let is_long = matches!(member.place, Place::Admitted { without } if without >= PATIENCE);
        let running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        let step = running.get(device).filter(|_| is_long)?;
        Some(format!("at work: {step}"))
    }

    /// Whether the revision that it goes back to says anything of it; where it does not, what it has stays.
    fn has_a_way_back(&self, device: &DeviceId, member: &Member) -> bool {
        let knows_it = |loaded: &Result<Arc<Loaded>, String>| match loaded {
            Ok(loaded) => loaded.wants.contains_key(device),
            Err(_) => true,
        };
        self.progress.formers.contains_key(device)
            || self.others.read.get(&member.back_to).is_none_or(knows_it)
    }
}

/// Why the accepted revision has no manifest for a device, if it has none: that holds the device alone.
fn unfillable(accepted: &Loaded, device: &DeviceId) -> Option<String> {
    (accepted.wants.get(device) == Some(&Wants::Unfillable))
        .then(|| "its manifest can't be filled".to_owned())
}

/// Why nothing can be done on a device whose containers are of no revision that is known.
fn unknown_content(stored: &StoredDevice) -> Option<String> {
    let is_held = stored.status.code == HELD && stored.in_force.is_none();
    is_held.then(|| stored.status.description.clone())
}

/// Whether all of its modules do their work, be it that of a former revision.
fn is_at_work(stored: &StoredDevice) -> bool {
    let is_well = |standing: &ModuleStanding| standing.code == 200 || standing.status == "running";
    stored.status.code != UNREACHABLE && stored.modules.values().all(is_well)
}

fn report_of(member: &Member, stored: &StoredDevice) -> Report {
    let is_back = matches!(member.place, Place::Back { .. });
    let counts = |name: &ModuleName| !member.excused.contains(name);
    let trouble =
        stored.modules.iter().filter(|(name, standing)| counts(name) && standing.code != 200);
    let worst =
        trouble.max_by_key(|(_, standing)| (FAILED.contains(&standing.code), standing.code));
    let is_wanted = is_back
        || stored.in_force.as_ref().is_some_and(|in_force| in_force.manifest_hash == member.wanted);
    match worst {
        Some((name, standing)) if FAILED.contains(&standing.code) => {
            Report::Bad(format!("{name}: {}", standing.description))
        }
        Some((name, standing)) => Report::OnTheWay(format!("{name}: {}", standing.description)),
        None if is_wanted
            && (stored.status.code == 200 || is_back || !member.excused.is_empty()) =>
        {
            Report::Good
        }
        None if FAILED.contains(&stored.status.code) => {
            Report::Bad(stored.status.description.clone())
        }
        None => Report::OnTheWay(stored.status.description.clone()),
    }
}

//! The rollout beside the loop: what is seen of devices goes in, and what it decides is written down and done.
//!
//! Nothing is done that is not written first: a step that can't be written is taken again at the next. Not here: who takes
//! part ([`phases`](super::phases)), and the rules ([`crate::rollout`]).

use super::daemon::Daemon;
use super::loaded::{Loaded, Wants};
use super::phases::Shape;
use super::schedule::Moment;
use crate::model::{DeviceId, Manifest, ModuleName, module_hashes};
use crate::rollout::{Candidate, Decision, Member, Order, Place, Report, Rollout, Seen, Stage};
use crate::store::{
    Assignment, HistoryEntry, InForce, RolloutWrite, Store, StoreError, StoredDevice, StoredDevices,
};
use std::collections::{BTreeMap, BTreeSet};

/// Steps come no faster than this, in milliseconds.
const BETWEEN_STEPS: Moment = 200;
/// And no slower while time counts.
const TICK: Moment = 1000;
/// Counted time is written down this often: so much of it a crash may lose.
const BETWEEN_WRITES: Moment = 15_000;
/// The engine does not answer.
const UNREACHABLE: u16 = 406;
/// Codes that time alone does not mend: the engine refuses it, or it ran and failed.
const FAILED: [u16; 2] = [422, 500];

/// What the daemon keeps beside a rollout.
#[derive(Default)]
pub(super) struct Progress {
    /// Devices that were looked at since the daemon began or they were moved, and as what.
    pub(super) reported: BTreeMap<DeviceId, String>,
    /// Devices whose engine answered the last look, since the daemon began.
    pub(super) answered: BTreeSet<DeviceId>,
    /// Whether something was seen since the last step.
    pub(super) has_news: bool,
    /// What devices had before they were moved.
    pub(super) formers: BTreeMap<DeviceId, InForce>,
    last_step: Option<Moment>,
    last_write: Moment,
}

impl Daemon {
    /// Takes up the rollout that the store knows.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn take_up_rollout(&mut self) -> Result<(), StoreError> {
        self.progress.formers = self.shared.store.former_manifests()?;
        self.rollout = kept_rollout(&self.shared.store)?;
        Ok(())
    }

    /// When the next step is due.
    pub(super) fn next_step(&self) -> Option<Moment> {
        let rollout = self.rollout.as_ref().filter(|_| self.accepted.is_some())?;
        let last = self.progress.last_step.unwrap_or(0);
        match rollout.stage {
            Stage::Done => None,
            _ if self.progress.has_news => Some(last + BETWEEN_STEPS),
            Stage::RolledBack { .. } => None,
            Stage::Running | Stage::Paused { .. } | Stage::Halted { .. } => Some(last + TICK),
        }
    }

    /// One step, if one is due.
    ///
    /// # Errors
    /// The store can't be written; nothing was done.
    pub(super) fn step_rollout(&mut self) -> Result<(), StoreError> {
        let moment = self.clock.moment();
        if self.next_step().is_none_or(|next| next > moment) {
            return Ok(());
        }
        let Some(mut next) = self.rollout.clone() else { return Ok(()) };
        let passed = self.progress.last_step.map_or(0, |last| moment - last);
        self.progress.last_step = Some(moment);
        self.progress.has_news = false;
        next.at = self.clock.now();
        let decisions = next.step(&self.seen(), passed);
        self.go_with(next, &decisions, &[])
    }

    /// Does what people want of it.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn obey_rollout_orders(&mut self) -> Result<(), StoreError> {
        for told in self.shared.store.take_rollout_orders()? {
            let words = format!("{} by {}: {}", told.order, told.who, told.reason);
            let Some(order) = Order::parse(&told.order) else { continue };
            let mut next = self.rollout.clone();
            let obeyed = match &mut next {
                Some(rollout) => rollout.obey(order, &words).map_err(|error| error.words),
                None => Err("there is no rollout".to_owned()),
            };
            let entry = HistoryEntry {
                who: told.who,
                outcome: obeyed.as_ref().err().cloned().unwrap_or_else(|| "done".to_owned()),
                ..self.entry(None, &format!("rollout {}", told.order), None, &told.reason)
            };
            match (obeyed, next) {
                (Ok(decisions), Some(next)) => self.go_with(next, &decisions, &[entry])?,
                _ => self.shared.store.append_history(&[entry])?,
            }
            self.progress.has_news = true;
        }
        Ok(())
    }

    /// Writes down what a step has decided, then does it.
    fn go_with(
        &mut self,
        next: Rollout,
        decisions: &[Decision],
        told: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        let moment = self.clock.moment();
        let mut next = next;
        let (mut behind, mut caught_up, mut formers) = (Vec::new(), Vec::new(), Vec::new());
        let mut looks = Vec::new();
        let mut history = told.to_vec();
        for decision in decisions {
            history.extend(self.told_of(decision, &next));
            match decision {
                Decision::Admit(device) => {
                    caught_up.push(device.clone());
                    if let Some(former) = self.former_of(device, &next) {
                        formers.push((device.clone(), former));
                    }
                    let excused = self.excused(device);
                    if let Some(member) = next.members.get_mut(device) {
                        member.excused = excused;
                    }
                }
                Decision::Back(device) => {
                    let Some(member) = next.members.get(device) else { continue };
                    let reason = "it was moved back".to_owned();
                    let since = self.clock.now();
                    let revision = member.back_to.clone();
                    behind.push(Assignment { device: device.clone(), revision, since, reason });
                }
                Decision::Done => caught_up.extend(released(&next)),
                Decision::Look(device) => looks.push(device.clone()),
                Decision::Failed(..)
                | Decision::Opened(_)
                | Decision::Passed(..)
                | Decision::Stopped(_) => {}
            }
        }
        let changes_much = !decisions.is_empty()
            || !told.is_empty()
            || self.rollout.as_ref().is_none_or(|former| says_something_else(former, &next));
        if changes_much || moment >= self.progress.last_write + BETWEEN_WRITES {
            let members = members_that_differ(self.rollout.as_ref(), &next);
            let text = rollout_text(&next);
            self.shared.store.record_rollout(&RolloutWrite {
                rollout: Some(&text),
                members: &members,
                formers: &formers,
                behind: &behind,
                caught_up: &caught_up,
                history: &history,
                ..RolloutWrite::default()
            })?;
            self.progress.last_write = moment;
        }
        self.is_news |= self.rollout.as_ref() != Some(&next);
        self.rollout = Some(next);
        self.progress.formers.extend(formers);
        let moved: Vec<DeviceId> =
            behind.iter().map(|a| a.device.clone()).chain(caught_up.iter().cloned()).collect();
        caught_up.iter().for_each(|device| drop(self.behind.remove(device)));
        self.behind.extend(behind.into_iter().map(|a| (a.device.clone(), a)));
        for device in &moved {
            // What failed there before was another try.
            if let Some(memory) = self.memories.get_mut(device) {
                memory.end_pauses();
            }
        }
        for device in moved.iter().chain(&looks) {
            self.progress.reported.remove(device);
            self.schedule.wake(device, moment);
        }
        if !moved.is_empty() {
            self.read_others();
            self.progress.has_news = true;
        }
        for entry in &history {
            let device = entry.device.as_ref().map_or("", |device| device.as_str());
            tracing::info!(device, action = entry.action, reason = entry.reason, "rollout");
        }
        Ok(())
    }

    fn told_of(&self, decision: &Decision, rollout: &Rollout) -> Option<HistoryEntry> {
        let to = Some(rollout.to.as_str());
        let phase_of = |device: &DeviceId| {
            let phase = rollout.members.get(device).and_then(|member| member.phase);
            phase
                .and_then(|phase| rollout.phases.get(phase))
                .map_or("", |phase| phase.name.as_str())
        };
        Some(match decision {
            Decision::Admit(device) => HistoryEntry {
                from: rollout.members.get(device).map(|member| member.back_to.clone()),
                ..self.entry(Some(device), "admit", to, &format!("phase {}", phase_of(device)))
            },
            Decision::Back(device) => {
                let back_to = rollout.members.get(device).map(|member| member.back_to.as_str());
                let Stage::RolledBack { words } = &rollout.stage else { return None };
                HistoryEntry {
                    from: Some(rollout.to.clone()),
                    ..self.entry(Some(device), "move back", back_to, words)
                }
            }
            Decision::Failed(device, words) => HistoryEntry {
                outcome: "failed".to_owned(),
                ..self.entry(Some(device), "rollout", to, words)
            },
            Decision::Look(_) => return None,
            Decision::Opened(phase) => self.entry(None, "open phase", to, phase),
            Decision::Passed(phase, good) => {
                self.entry(None, "pass phase", to, &format!("{phase}: {good} succeeded"))
            }
            Decision::Stopped(words) => {
                let action = match rollout.stage {
                    Stage::Halted { .. } => "halt rollout",
                    _ => "roll back",
                };
                self.entry(None, action, to, words)
            }
            Decision::Done => self.entry(None, "end rollout", to, "all phases have passed"),
        })
    }

    /// What a device has now, if that is what it would go back to: kept, as git may drop that revision.
    fn former_of(&self, device: &DeviceId, next: &Rollout) -> Option<InForce> {
        let in_force = self.devices.get(device)?.in_force.as_ref()?;
        let back_to = &next.members.get(device)?.back_to;
        let has =
            self.progress.formers.get(device).is_some_and(|former| former.revision == *back_to);
        (!has).then(|| InForce { revision: back_to.clone(), ..in_force.clone() })
    }

    /// Modules that fail now and stay as they are: they say nothing of the change.
    fn excused(&self, device: &DeviceId) -> BTreeSet<ModuleName> {
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

    fn seen(&self) -> BTreeMap<DeviceId, Seen> {
        let Some(accepted) = self.accepted.as_ref() else { return BTreeMap::new() };
        let against = self.against(accepted);
        let seen = |device: &DeviceId| {
            let stored = self.devices.get(device);
            let answered = self.progress.answered.contains(device) || self.was_good(device);
            let pin =
                self.orders.pin_of(device, &against).map(|pin| format!("pinned by {}", pin.who));
            Seen {
                reachable: answered
                    && stored.is_some_and(|stored| stored.status.code != UNREACHABLE),
                held: pin
                    .or_else(|| self.orders.pause_of(device, &against))
                    .or_else(|| unfillable(accepted, device)),
                report: stored.and_then(|stored| self.report(device, stored)),
            }
        };
        accepted.fleet.devices.keys().map(|device| (device.clone(), seen(device))).collect()
    }

    /// Whether a device that this daemon has not looked at yet was good when the one before ended: until the look says
    /// otherwise it counts as such, and its phase does not pass.
    fn was_good(&self, device: &DeviceId) -> bool {
        let rollout = self.rollout.as_ref();
        let member = rollout.and_then(|rollout| rollout.members.get(device));
        member.is_some_and(|member| member.place == Place::Good)
    }

    fn report(&self, device: &DeviceId, stored: &StoredDevice) -> Option<Report> {
        let rollout = self.rollout.as_ref()?;
        let member = rollout.members.get(device)?;
        let expected = match member.place {
            Place::Waiting => return None,
            Place::Back { .. } => &member.back_to,
            Place::Admitted { .. } | Place::Good | Place::Failed { .. } => &rollout.to,
        };
        (self.progress.reported.get(device)? == expected).then(|| report_of(member, stored))
    }

    /// A device that was not known when the rollout began takes part as well.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn enrol(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        let (Some(rollout), Some(accepted)) = (&self.rollout, self.accepted.clone()) else {
            return Ok(());
        };
        let in_force = self.devices.get(device).and_then(|stored| stored.in_force.clone());
        let wants = accepted.wants.get(device);
        let (Some(in_force), Some(Wants::Manifest(wanted))) = (in_force, wants) else {
            return Ok(());
        };
        let is_known = rollout.members.contains_key(device) || self.behind.contains_key(device);
        if is_known || rollout.stage == Stage::Done || in_force.manifest_hash == *wanted {
            return Ok(());
        }
        let Some(template) = accepted.templates().remove(device) else { return Ok(()) };
        let mut next = rollout.clone();
        let candidate = Candidate {
            phase: self.phase_of(&accepted)(device),
            back_to: in_force.revision.clone(),
            wanted: wanted.clone(),
            template,
            is_moved: false,
        };
        next.enrol(device.clone(), candidate);
        let behind = self.behind(device, in_force.revision, &accepted.revision.short);
        self.shared.store.record_rollout(&RolloutWrite {
            members: &members_that_differ(self.rollout.as_ref(), &next),
            behind: std::slice::from_ref(&behind),
            ..RolloutWrite::default()
        })?;
        self.behind.insert(device.clone(), behind);
        self.rollout = Some(next);
        self.progress.has_news = true;
        self.read_others();
        Ok(())
    }

    /// From now on a revision counts: who is at once at it, who takes part in its rollout. Written in one go.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn accept_revision(
        &mut self,
        loaded: &Loaded,
        shape: &Shape,
        found: &StoredDevices,
    ) -> Result<(), StoreError> {
        let id = loaded.revision.id.as_str();
        if self.wants_the_same(loaded) {
            let Some(mut rollout) = self.rollout.clone() else { return Ok(()) };
            rollout.follow(id);
            for reported in self.progress.reported.values_mut() {
                if self.accepted.as_ref().is_some_and(|former| former.revision.id == *reported) {
                    id.clone_into(reported);
                }
            }
            let text = rollout_text(&rollout);
            self.shared.store.record_rollout(&RolloutWrite {
                accept: Some(id),
                rollout: Some(&text),
                ..RolloutWrite::default()
            })?;
            self.rollout = Some(rollout);
            return Ok(());
        }
        let beginning = self.beginning(loaded, shape, found);
        let text = beginning.rollout.as_ref().map_or_else(|| "null".to_owned(), rollout_text);
        let members = beginning.rollout.as_ref().map(|rollout| members_that_differ(None, rollout));
        self.shared.store.record_rollout(&RolloutWrite {
            accept: Some(id),
            rollout: Some(&text),
            begins: true,
            members: &members.unwrap_or_default(),
            behind: &beginning.behind,
            caught_up: &beginning.caught_up,
            ..RolloutWrite::default()
        })?;
        let moment = self.clock.moment();
        for device in &beginning.caught_up {
            self.behind.remove(device);
            self.schedule.wake(device, moment);
        }
        self.behind.extend(beginning.behind.into_iter().map(|a| (a.device.clone(), a)));
        if let Some(rollout) = &beginning.rollout {
            self.tell_of_phases_elsewhere(loaded, rollout)?;
        }
        self.rollout = beginning.rollout;
        self.progress.reported.clear();
        self.progress.last_step = None;
        self.progress.has_news = true;
        Ok(())
    }

    /// Facts changed what is wanted of devices that take part: that is what they should get.
    pub(super) fn follow_facts(&mut self, loaded: &Loaded) {
        let Some(rollout) = &mut self.rollout else { return };
        let templates = loaded.templates();
        for (device, member) in &mut rollout.members {
            if let (Some(Wants::Manifest(wanted)), Some(template)) =
                (loaded.wants.get(device), templates.get(device))
            {
                member.wanted = wanted.clone();
                member.template = template.clone();
            }
        }
    }
}

/// The rollout that a store knows, or the last one; `None` where there was none, or it is another version's.
///
/// # Errors
/// The store can't be read.
pub fn kept_rollout(store: &Store) -> Result<Option<Rollout>, StoreError> {
    let kept = store.kept_rollout()?;
    Ok(kept.rollout.and_then(|text| read_rollout(&text, &kept.members)))
}

/// Reads what [`rollout_text`] and [`members_that_differ`] wrote; `None` where there is none, or it is another version's.
fn read_rollout(text: &str, members: &BTreeMap<DeviceId, String>) -> Option<Rollout> {
    let mut rollout: Option<Rollout> = serde_json::from_str(text).ok()?;
    let members = members
        .iter()
        .map(|(device, text)| Some((device.clone(), serde_json::from_str(text).ok()?)))
        .collect::<Option<BTreeMap<DeviceId, Member>>>()?;
    if let Some(rollout) = &mut rollout {
        rollout.members = members;
    }
    rollout
}

/// Why the accepted revision has no manifest for a device, if it has none: that holds the device alone.
fn unfillable(accepted: &Loaded, device: &DeviceId) -> Option<String> {
    (accepted.wants.get(device) == Some(&Wants::Unfillable))
        .then(|| "its manifest can't be filled".to_owned())
}

/// Whether people would read something else than how long it takes.
fn says_something_else(former: &Rollout, next: &Rollout) -> bool {
    let waits = std::mem::discriminant(&former.wait) != std::mem::discriminant(&next.wait);
    former.stage != next.stage || waits
}

fn rollout_text(rollout: &Rollout) -> String {
    serde_json::json!(rollout).to_string()
}

fn members_that_differ(former: Option<&Rollout>, next: &Rollout) -> Vec<(DeviceId, String)> {
    let is_new = |(device, member): &(&DeviceId, &Member)| {
        former.is_none_or(|former| former.members.get(*device) != Some(*member))
    };
    let members = next.members.iter().filter(is_new);
    members
        .map(|(device, member)| (device.clone(), serde_json::json!(member).to_string()))
        .collect()
}

/// Devices that were away or held and go to the new revision when they come back, as it is proven.
fn released(rollout: &Rollout) -> Vec<DeviceId> {
    let is_waiting = |(device, member): &(&DeviceId, &Member)| {
        member.place == Place::Waiting && !rollout.is_marked(device, member)
    };
    rollout.members.iter().filter(is_waiting).map(|(device, _)| device.clone()).collect()
}

fn report_of(member: &Member, stored: &StoredDevice) -> Report {
    let is_back = matches!(member.place, Place::Back { .. });
    let counts = |name: &ModuleName| is_back || !member.excused.contains(name);
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

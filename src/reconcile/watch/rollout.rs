//! The rollout beside the loop: what is seen of devices goes in, and what it decides is written down and done.
//!
//! Nothing is done that is not written first: a step that can't be written is taken again at the next. Not here: who takes
//! part ([`phases`](super::phases)), and the rules ([`crate::rollout`]).

use super::daemon::Daemon;
use super::kept::{members_that_differ, read_kept, rollout_text};
use super::loaded::Loaded;
use super::names::NewNames;
use super::phases::Beginning;
use super::schedule::Moment;
use super::shape::{Shape, tighter};
use crate::model::DeviceId;
use crate::rollout::{Decision, Order, Rollout, Stage, Wait};
use crate::store::{
    Assignment, HistoryEntry, InForce, RolloutOrder, RolloutWrite, StoreError, StoredDevices,
};
use std::collections::{BTreeMap, BTreeSet};

/// Steps come no faster than this, in milliseconds.
const BETWEEN_STEPS: Moment = 200;
/// And no slower while time counts.
const TICK: Moment = 1000;
/// Counted time is written down this often: so much of it a crash may lose.
const BETWEEN_WRITES: Moment = 15_000;

/// What the daemon keeps beside a rollout.
#[derive(Default)]
pub(super) struct Progress {
    /// Devices that were looked at since the daemon began or they were moved, and as what.
    pub(super) reported: BTreeMap<DeviceId, String>,
    /// Devices that were looked at since the daemon began, and when the last look ended.
    pub(super) answered: BTreeMap<DeviceId, Moment>,
    /// Devices that are asked whether they answer, and since when: the look that asks may begin later, and counts then.
    pub(super) asked: BTreeMap<DeviceId, Moment>,
    /// Devices whose last look broke down by a fault of Hoist, and what is said of that.
    pub(super) broken: BTreeMap<DeviceId, String>,
    /// Devices whose look under way began before they were moved: what it says is none of a new try.
    pub(super) outdated: BTreeSet<DeviceId>,
    /// Whether something was seen since the last step.
    pub(super) has_news: bool,
    /// What devices had before they were moved.
    pub(super) formers: BTreeMap<DeviceId, InForce>,
    /// When what somebody wants of the rollout is tried again: it could not be written down.
    orders_again: Option<Moment>,
    /// Whether members that another daemon looks after were looked for, since the daemon began.
    has_left_out: bool,
    last_step: Option<Moment>,
    /// When it was written last, since the daemon began: what the one before wrote says when things would have happened.
    last_write: Option<Moment>,
}

/// What decisions mean for what is kept.
#[derive(Default)]
struct Decided {
    behind: Vec<Assignment>,
    caught_up: Vec<DeviceId>,
    formers: Vec<(DeviceId, InForce)>,
    looks: Vec<DeviceId>,
    asks: Vec<DeviceId>,
    again: Vec<DeviceId>,
    history: Vec<HistoryEntry>,
}

impl Daemon {
    /// Takes up the rollout that the store knows.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn take_up_rollout(&mut self) -> Result<(), StoreError> {
        self.progress.formers = self.shared.store.former_manifests()?;
        // What people told while no daemon was there comes before the first step.
        self.progress.orders_again = Some(0);
        self.rollout = match read_kept(&self.shared.store.kept_rollout()?) {
            Ok(rollout) => rollout,
            Err(words) => {
                tracing::error!(error = words, "the rollout can't be read: it begins anew");
                let entry = HistoryEntry {
                    outcome: words,
                    ..self.entry(
                        None,
                        "begin rollout anew",
                        None,
                        "what is kept of it can't be read",
                    )
                };
                self.shared.store.append_history(&[entry])?;
                self.begins_anew = true;
                None
            }
        };
        Ok(())
    }

    /// When the next step is due, or what people want of it.
    pub(super) fn next_step(&self) -> Option<Moment> {
        self.progress.orders_again.into_iter().chain(self.next_by_itself()).min()
    }

    fn next_by_itself(&self) -> Option<Moment> {
        let rollout = self.rollout.as_ref().filter(|_| self.accepted.is_some())?;
        let last = self.progress.last_step.unwrap_or(0);
        if self.progress.has_news && !rollout.is_settled() {
            return Some(last + BETWEEN_STEPS);
        }
        rollout.counts_time().then_some(last + TICK)
    }

    /// One step, if one is due.
    ///
    /// # Errors
    /// The store can't be written; nothing was done.
    pub(super) fn step_rollout(&mut self) -> Result<(), StoreError> {
        let moment = self.clock.moment();
        if self.progress.orders_again.is_some_and(|again| again <= moment) {
            self.obey_rollout_orders()?;
        }
        if self.next_by_itself().is_none_or(|next| next > moment) {
            return Ok(());
        }
        let Some(mut next) = self.rollout.clone() else { return Ok(()) };
        let passed = self.progress.last_step.map_or(0, |last| moment - last);
        self.progress.last_step = Some(moment);
        if !self.progress.has_left_out
            && let Some(accepted) = self.accepted.clone()
        {
            self.leave_out_those_of_others(&mut next, &accepted)?;
            self.progress.has_left_out = true;
        }
        self.progress.has_news = false;
        next.at = self.clock.now();
        let decisions = next.step(&self.seen(), passed);
        let gone = self.go_with(next, &decisions, None);
        self.progress.has_news |= gone.is_err();
        gone
    }

    /// The daemon before this one may have looked after other devices: nobody sees these here any more, so what was let in of
    /// them is another's to judge. Who waits or went back keeps its place for when it is looked after again.
    fn leave_out_those_of_others(
        &mut self,
        next: &mut Rollout,
        accepted: &Loaded,
    ) -> Result<(), StoreError> {
        let mine = self.mine(accepted);
        let all = (next.members.len(), next.disturbed.len());
        next.members.retain(|device, member| mine.contains(device) || !member.is_moved());
        next.disturbed.retain(|device| mine.contains(device));
        if (next.members.len(), next.disturbed.len()) == all {
            return Ok(());
        }
        self.shared.store.record_rollout(&RolloutWrite {
            rollout: Some(&rollout_text(next)),
            begins: true,
            members: &members_that_differ(None, next),
            ..RolloutWrite::default()
        })?;
        self.rollout = Some(next.clone());
        Ok(())
    }

    /// Does what people want of it. What can't be written down is not done yet, and stays told.
    ///
    /// # Errors
    /// The store can't be written.
    pub(super) fn obey_rollout_orders(&mut self) -> Result<(), StoreError> {
        self.progress.orders_again = Some(self.clock.moment() + TICK);
        for told in self.shared.store.rollout_orders()? {
            let RolloutOrder { id, order: word, who, reason, at: _ } = told;
            let words = format!("{word} by {who}: {reason}");
            let mut next = self.rollout.clone();
            let obeyed = match (Order::parse(&word), &mut next) {
                (Some(order), Some(rollout)) => {
                    rollout.obey(order, &words).map_err(|error| error.words)
                }
                (Some(_), None) => Err("there is no rollout".to_owned()),
                (None, _) => Err("this version knows no such order".to_owned()),
            };
            let outcome = obeyed.as_ref().err().cloned().unwrap_or_else(|| "done".to_owned());
            let action = format!("rollout {word}");
            let entry = HistoryEntry { who, outcome, ..self.entry(None, &action, None, &reason) };
            match (obeyed, next) {
                (Ok(decisions), Some(next)) => self.go_with(next, &decisions, Some((id, entry)))?,
                _ => self.shared.store.record_rollout(&RolloutWrite {
                    history: &[entry],
                    obeyed: &[id],
                    ..RolloutWrite::default()
                })?,
            }
            self.progress.has_news = true;
        }
        self.progress.orders_again = None;
        Ok(())
    }

    /// Writes down what a step has decided, then does it.
    fn go_with(
        &mut self,
        next: Rollout,
        decisions: &[Decision],
        told: Option<(i64, HistoryEntry)>,
    ) -> Result<(), StoreError> {
        let moment = self.clock.moment();
        let mut next = next;
        let (obeyed, told) = told.unzip();
        let Decided { behind, caught_up, formers, looks, asks, again, history } =
            self.decided(&mut next, decisions, told);
        let changes_much = decisions.len() > asks.len()
            || obeyed.is_some()
            || self.rollout.as_ref().is_none_or(|former| says_something_else(former, &next));
        let is_old = self.progress.last_write.is_none_or(|last| moment >= last + BETWEEN_WRITES);
        if changes_much || is_old {
            let members = members_that_differ(self.rollout.as_ref(), &next);
            let text = rollout_text(&next);
            self.shared.store.record_rollout(&RolloutWrite {
                rollout: Some(&text),
                members: &members,
                formers: &formers,
                behind: &behind,
                caught_up: &caught_up,
                history: &history,
                obeyed: obeyed.as_slice(),
                ..RolloutWrite::default()
            })?;
            self.progress.last_write = Some(moment);
        }
        self.is_news |= self.rollout.as_ref() != Some(&next);
        self.rollout = Some(next);
        self.progress.formers.extend(formers);
        let moved: Vec<DeviceId> =
            behind.iter().map(|a| a.device.clone()).chain(caught_up.iter().cloned()).collect();
        caught_up.iter().for_each(|device| drop(self.behind.remove(device)));
        behind.iter().for_each(|assignment| self.want_other(&assignment.revision));
        self.behind.extend(behind.into_iter().map(|a| (a.device.clone(), a)));
        for device in moved.iter().chain(&again) {
            // What failed there before was another try.
            if let Some(memory) = self.memories.get_mut(device) {
                memory.end_pauses();
            }
        }
        for device in moved.iter().chain(&again).chain(&looks) {
            // A look that is under way began before that.
            if self.schedule.is_looked_at(device) {
                self.progress.outdated.insert(device.clone());
            }
            self.progress.reported.remove(device);
            self.schedule.wake(device, moment);
        }
        for device in asks {
            self.ask(device);
        }
        self.progress.has_news |= !moved.is_empty() || !again.is_empty();
        for entry in &history {
            let device = entry.device.as_ref().map_or("", |device| device.as_str());
            tracing::info!(device, action = entry.action, reason = entry.reason, "rollout");
        }
        Ok(())
    }

    /// What decisions mean for what is kept; the excused modules of who is let in are noted in `next`.
    fn decided(
        &self,
        next: &mut Rollout,
        decisions: &[Decision],
        told: Option<HistoryEntry>,
    ) -> Decided {
        let mut decided = Decided { history: told.into_iter().collect(), ..Decided::default() };
        for decision in decisions {
            decided.history.extend(self.told_of(decision, next));
            match decision {
                Decision::Admit(device) => {
                    decided.caught_up.push(device.clone());
                    if let Some(former) = self.former_of(device, next) {
                        decided.formers.push((device.clone(), former));
                    }
                    let excused = self.excused(device);
                    if let Some(member) = next.members.get_mut(device) {
                        member.excused = excused;
                    }
                }
                Decision::Back(device) => {
                    let Some(member) = next.members.get(device) else { continue };
                    decided.behind.push(Assignment {
                        device: device.clone(),
                        revision: member.back_to.clone(),
                        since: self.clock.now(),
                        reason: "it was moved back".to_owned(),
                    });
                }
                Decision::Again(device) => decided.again.push(device.clone()),
                Decision::Look(device) => decided.looks.push(device.clone()),
                Decision::Ask(device) => decided.asks.push(device.clone()),
                Decision::Done
                | Decision::Failed(..)
                | Decision::Opened(_)
                | Decision::Passed(..)
                | Decision::Stopped(_) => {}
            }
        }
        decided
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
                from: self.is_now_at(device, rollout),
                ..self.entry(Some(device), "admit", to, &format!("phase {}", phase_of(device)))
            },
            Decision::Again(device) => {
                self.entry(Some(device), "admit", to, &format!("phase {}, again", phase_of(device)))
            }
            Decision::Back(device) => {
                let back_to = rollout.members.get(device).map(|member| member.back_to.as_str());
                let Stage::RolledBack { words } = &rollout.stage else { return None };
                HistoryEntry {
                    from: self.is_now_at(device, rollout),
                    ..self.entry(Some(device), "move back", back_to, words)
                }
            }
            Decision::Failed(device, words) => HistoryEntry {
                outcome: "failed".to_owned(),
                ..self.entry(Some(device), "rollout", to, words)
            },
            Decision::Look(_) | Decision::Ask(_) => return None,
            Decision::Opened(phase) => self.entry(None, "open phase", to, phase),
            Decision::Passed(phase, good) => {
                let words = match good {
                    // By itself it passes on nobody's success.
                    0 => format!("{phase}: promoted, nobody succeeded"),
                    good => format!("{phase}: {good} succeeded"),
                };
                self.entry(None, "pass phase", to, &words)
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

    /// The revision that a device is at until a decision is done: where it was on its way from another rollout, that is not the
    /// one that it would go back to.
    fn is_now_at(&self, device: &DeviceId, rollout: &Rollout) -> Option<String> {
        let has_something = self.devices.get(device)?.in_force.is_some();
        let assigned = self.behind.get(device).map(|assignment| &assignment.revision);
        has_something.then(|| assigned.unwrap_or(&rollout.to).clone())
    }

    /// What a device has now, if that is what it would go back to: kept, as git may drop that revision.
    fn former_of(&self, device: &DeviceId, next: &Rollout) -> Option<InForce> {
        let in_force = self.devices.get(device)?.in_force.as_ref()?;
        let back_to = &next.members.get(device)?.back_to;
        let has =
            self.progress.formers.get(device).is_some_and(|former| former.revision == *back_to);
        (!has).then(|| InForce { revision: back_to.clone(), ..in_force.clone() })
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
        names: &NewNames,
    ) -> Result<(), StoreError> {
        let id = loaded.revision.id.as_str();
        if self.wants_the_same(loaded) {
            let Some(mut rollout) = self.rollout.clone() else { return Ok(()) };
            rollout.follow(id);
            if let (Some(settings), Some(changed)) = (&loaded.fleet.rollout, &rollout.changed) {
                let tighter = tighter(changed, loaded);
                rollout.take_rules(settings, &tighter);
            }
            self.progress.has_news = true;
            let text = rollout_text(&rollout);
            let kept = self.remark_on_phases(loaded, &rollout);
            let history: Vec<HistoryEntry> = names.history.iter().cloned().chain(kept).collect();
            self.shared.store.record_rollout(&RolloutWrite {
                renamed: &names.ids,
                accept: Some(id),
                rollout: Some(&text),
                history: &history,
                ..RolloutWrite::default()
            })?;
            for reported in self.progress.reported.values_mut() {
                if self.accepted.as_ref().is_some_and(|former| former.revision.id == *reported) {
                    id.clone_into(reported);
                }
            }
            self.rollout = Some(rollout);
            return Ok(());
        }
        let beginning = self.beginning(loaded, shape, found);
        self.begin(id, loaded, beginning, names, self.remark_on_labels(found))
    }

    /// Begins a rollout, and writes it down with the revision that counts from now on.
    fn begin(
        &mut self,
        id: &str,
        loaded: &Loaded,
        beginning: Beginning,
        names: &NewNames,
        rebuilt: Option<HistoryEntry>,
    ) -> Result<(), StoreError> {
        let skipped = match &beginning.rollout {
            Some(rollout) => self.phases_skipped(loaded, rollout),
            None => Vec::new(),
        };
        let history: Vec<HistoryEntry> =
            rebuilt.into_iter().chain(names.history.iter().cloned()).chain(skipped).collect();
        let text = beginning.rollout.as_ref().map_or_else(|| "null".to_owned(), rollout_text);
        let members = beginning.rollout.as_ref().map(|rollout| members_that_differ(None, rollout));
        self.shared.store.record_rollout(&RolloutWrite {
            renamed: &names.ids,
            accept: Some(id),
            rollout: Some(&text),
            begins: true,
            members: &members.unwrap_or_default(),
            behind: &beginning.behind,
            caught_up: &beginning.caught_up,
            history: &history,
            ..RolloutWrite::default()
        })?;
        let moment = self.clock.moment();
        for device in &beginning.caught_up {
            self.behind.remove(device);
            self.schedule.wake(device, moment);
        }
        self.behind.extend(beginning.behind.into_iter().map(|a| (a.device.clone(), a)));
        // Who has it already says so as the new revision, and who is away from its work when it is back.
        if let Some(rollout) = &beginning.rollout {
            let moved = rollout.members.iter().filter(|(_, member)| member.is_moved());
            for device in moved.map(|(device, _)| device).chain(&rollout.disturbed) {
                self.schedule.wake(device, moment);
            }
        }
        self.rollout = beginning.rollout;
        self.progress.reported.clear();
        self.progress.last_step = None;
        self.progress.has_news = true;
        Ok(())
    }
}

/// Whether people would read something else than how much longer it takes.
fn says_something_else(former: &Rollout, next: &Rollout) -> bool {
    let waits = match (&former.wait, &next.wait) {
        (Wait::Soak { .. }, Wait::Soak { .. }) => false,
        (former, next) => former != next,
    };
    let has_another_place = || {
        let places = |of: &Rollout| -> Vec<_> {
            of.members.values().map(|member| std::mem::discriminant(&member.place)).collect()
        };
        places(former) != places(next)
    };
    former.stage != next.stage || waits || has_another_place()
}

//! One step: what was seen and how much time passed, to decisions.

use super::tally::{Tally, in_words, named, wait_of};
use super::{Contact, Decision, Mark, Member, Place, Report, Rollout, Seen, Stage, Wait};
use crate::model::{DeviceId, OnFailure};
use std::collections::BTreeMap;

/// More time than this at once was not observed: the machine slept.
const LONGEST_STEP: u64 = 60_000;
/// Who stands still for so many milliseconds does not go on in a moment.
pub(super) const LONG: u64 = 60_000;

impl Rollout {
    /// Takes in what is seen of devices, members or not, and how many milliseconds passed since the last step.
    pub fn step(&mut self, seen: &BTreeMap<DeviceId, Seen>, passed: u64) -> Vec<Decision> {
        let former = self.cause_of_wait();
        let decisions = self.step_by(seen, passed);
        self.stuck = match self.cause_of_wait() {
            Some(cause) if former.as_ref() == Some(&cause) => {
                self.stuck.saturating_add(passed.min(LONGEST_STEP)).min(LONG)
            }
            _ => 0,
        };
        decisions
    }

    fn step_by(&mut self, seen: &BTreeMap<DeviceId, Seen>, passed: u64) -> Vec<Decision> {
        let mut decisions = Vec::new();
        // Where nobody answers it is us who are cut off, and no time is observed.
        let passed =
            if seen.values().any(|seen| seen.reachable) { passed.min(LONGEST_STEP) } else { 0 };
        self.hear(seen, passed);
        match self.stage {
            // Nobody judges any more; those that were away still come one after the other.
            Stage::Done => {
                self.take_reports(seen, passed, &mut decisions);
                self.let_in(seen, &mut decisions);
                return decisions;
            }
            Stage::RolledBack { .. } => {
                self.see_who_is_back(seen);
                return decisions;
            }
            Stage::Running | Stage::Paused { .. } | Stage::Halted { .. } => {}
        }
        self.take_reports(seen, passed, &mut decisions);
        if !matches!(self.stage, Stage::Halted { .. })
            && let Some((words, on_failure)) = self.failure(seen)
        {
            match on_failure {
                OnFailure::Rollback => self.go_back(words, &mut decisions),
                OnFailure::Halt => {
                    self.mark_what_failed();
                    decisions.push(Decision::Stopped(words.clone()));
                    self.stage = Stage::Halted { words };
                }
            }
            // What is seen now was said of what they had until now.
            self.wait_for_those_who_go_back();
            return decisions;
        }
        if self.stage == Stage::Running {
            self.go_on(seen, passed, &mut decisions);
            let is_open = self.open < self.phases.len();
            if is_open && !seen.values().any(|seen| seen.reachable) {
                self.wait = Wait::CutOff;
            }
        }
        decisions
    }

    /// Whether nothing becomes of what is seen of devices any more.
    pub fn is_settled(&self) -> bool {
        let is_settled = |(device, member): (&DeviceId, &Member)| match member.place {
            Place::Good | Place::Back { arrived: true } => true,
            Place::Waiting => {
                matches!(self.stage, Stage::RolledBack { .. }) || self.is_marked(device, member)
            }
            Place::Admitted { .. } | Place::Failed { .. } | Place::Back { arrived: false } => false,
        };
        let is_over = matches!(self.stage, Stage::Done | Stage::RolledBack { .. });
        is_over && self.disturbed.is_empty() && self.members.iter().all(is_settled)
    }

    /// Whether time brings about something: a timeout, the end of a soak.
    pub fn counts_time(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Paused { .. } | Stage::Halted { .. } => true,
            Stage::Done => {
                self.members.values().any(|member| matches!(member.place, Place::Admitted { .. }))
            }
            Stage::RolledBack { .. } => false,
        }
    }

    /// Every device that has something unproven goes back, and the rollout ends.
    pub(super) fn go_back(&mut self, words: String, decisions: &mut Vec<Decision>) {
        self.mark_what_failed();
        decisions.push(Decision::Stopped(words.clone()));
        for (device, member) in &mut self.members {
            if member.is_moved() || member.between {
                member.place = Place::Back { arrived: false };
                (member.between, member.again, member.pardoned) = (false, false, false);
                decisions.push(Decision::Back(device.clone()));
            }
        }
        self.stage = Stage::RolledBack { words };
    }

    /// What made it fail is not tried on anybody as it is.
    fn mark_what_failed(&mut self) {
        let failed = |member: &Member| matches!(member.place, Place::Failed { .. });
        let failed = self.members.iter().filter(|(_, member)| failed(member) && !member.pardoned);
        let marks: Vec<Mark> = failed.map(|(device, member)| mark(device, member)).collect();
        for mark in marks {
            if !self.marks.contains(&mark) {
                self.marks.push(mark);
            }
        }
    }

    fn see_who_is_back(&mut self, seen: &BTreeMap<DeviceId, Seen>) {
        for (device, member) in &mut self.members {
            if let Place::Back { arrived } = &mut member.place {
                // A device that the fleet has no more comes back from nowhere.
                // What is recorded of one that does not answer is of before it was moved.
                let is_there = |seen: &Seen| seen.reachable && seen.report == Some(Report::Good);
                *arrived |= seen.get(device).is_none_or(is_there);
            }
        }
        self.wait_for_those_who_go_back();
    }

    fn wait_for_those_who_go_back(&mut self) {
        let missing: Vec<DeviceId> = self.returning().into_iter().collect();
        self.wait = match missing.len() {
            0 => Wait::Nothing,
            n => Wait::Back { missing: n, who: named(&missing) },
        };
    }

    fn take_reports(
        &mut self,
        seen: &BTreeMap<DeviceId, Seen>,
        passed: u64,
        decisions: &mut Vec<Decision>,
    ) {
        let nobody = Seen::default();
        for (device, member) in self.members.iter_mut().filter(|(_, member)| member.is_moved()) {
            let timeout = member
                .phase
                .and_then(|phase| self.phases.get(phase))
                .map_or(u64::MAX, |phase| phase.rules.timeout);
            let seen = seen.get(device).unwrap_or(&nobody);
            let report = seen.report.as_ref().filter(|_| seen.reachable);
            let without = match member.place {
                Place::Admitted { without } => without,
                _ => 0,
            };
            let has_failed = matches!(member.place, Place::Failed { .. });
            let failed = match report {
                Some(Report::Good) => {
                    if member.place != Place::Good {
                        member.place = Place::Good;
                        (member.again, member.pardoned) = (false, false);
                        let wanted = &member.wanted;
                        self.marks.retain(|m| m.device != *device || m.wanted != *wanted);
                    }
                    continue;
                }
                _ if has_failed || seen.held.is_some() => continue,
                Some(Report::Bad(words)) => words.clone(),
                Some(Report::OnTheWay(words)) if without + passed >= timeout => {
                    format!("it has not succeeded in {}: {words}", in_words(timeout))
                }
                None if without + passed >= timeout && member.place != Place::Good => {
                    format!("it has not reported for {} since the change", in_words(timeout))
                }
                // It is being looked at.
                None if seen.reachable && member.place == Place::Good => continue,
                Some(Report::OnTheWay(_)) | None => {
                    member.place = Place::Admitted { without: without + passed };
                    continue;
                }
            };
            if matches!(self.stage, Stage::Halted { .. }) {
                self.marks.push(mark(device, member));
            }
            decisions.push(Decision::Failed(device.clone(), failed.clone()));
            member.place = Place::Failed { words: failed };
        }
    }

    /// Why it fails, if it does. Phases that have passed are still watched.
    fn failure(&self, seen: &BTreeMap<DeviceId, Seen>) -> Option<(String, OnFailure)> {
        let opened = self.phases.iter().enumerate().filter(|(_, phase)| phase.opened);
        opened.into_iter().find_map(|(index, phase)| {
            let tally = self.tally(index, seen);
            let of = tally.of();
            if tally.failed.len() <= phase.rules.failures_allowed(of) {
                return None;
            }
            let first = tally.failed.first().map_or(String::new(), |device| {
                let place = self.members.get(device).map(|member| &member.place);
                let Some(Place::Failed { words }) = place else { return String::new() };
                format!(": {device}: {words}")
            });
            let words = format!("{}: {} of {of} failed{first}", phase.name, tally.failed.len());
            Some((words, phase.rules.on_failure))
        })
    }

    fn go_on(
        &mut self,
        seen: &BTreeMap<DeviceId, Seen>,
        passed: u64,
        decisions: &mut Vec<Decision>,
    ) {
        let mut passed = passed;
        while self.open < self.phases.len() {
            let index = self.open;
            if !self.phases[index].opened {
                self.fix_devices_of(index);
                if self.members.values().any(|member| member.phase == Some(index)) {
                    decisions.push(Decision::Opened(self.phases[index].name.clone()));
                }
            }
            self.let_in(seen, decisions);
            let tally = self.tally(index, seen);
            if tally.all > 0 && !self.has_passed(index, &tally, seen, passed, decisions) {
                return;
            }
            if tally.all > 0 {
                let name = self.phases[index].name.clone();
                decisions.push(Decision::Passed(name, tally.good));
            }
            self.open += 1;
            // The same time is no other phase's.
            passed = 0;
        }
        self.wait = Wait::Nothing;
        self.stage = Stage::Done;
        decisions.push(Decision::Done);
    }

    /// Lets in whoever may: of the open phase and of those before it, as many as may be away from their work at once. Who has
    /// not answered lately is asked first: what hangs is no canary.
    fn let_in(&mut self, seen: &BTreeMap<DeviceId, Seen>, decisions: &mut Vec<Decision>) {
        for index in 0..self.phases.len().min(self.open + 1) {
            let tally = self.tally(index, seen);
            for device in self.may_come(index, &tally, seen) {
                let Some(member) = self.members.get_mut(&device) else { continue };
                if seen.get(&device).is_none_or(|seen| seen.contact != Contact::Lately) {
                    decisions.push(Decision::Ask(device));
                    continue;
                }
                let is_again = std::mem::take(&mut member.again);
                (member.between, member.pardoned) = (false, false);
                member.place = Place::Admitted { without: 0 };
                self.disturbed.remove(&device);
                decisions.push(match is_again {
                    true => Decision::Again(device),
                    false => Decision::Admit(device),
                });
            }
        }
    }

    /// Of those that could be let in, for whom there is room: who is away from its work already costs nothing more.
    fn may_come(
        &self,
        index: usize,
        tally: &Tally,
        seen: &BTreeMap<DeviceId, Seen>,
    ) -> Vec<DeviceId> {
        let unavailable = self.unavailable(seen);
        let allowed = self.phases[index].rules.unavailable_allowed(tally.all);
        let ready = tally.ready.iter().cloned();
        let (away, at_work): (Vec<DeviceId>, Vec<DeviceId>) =
            ready.partition(|device| unavailable.contains(device));
        let more = allowed.saturating_sub(unavailable.len());
        away.into_iter().chain(at_work.into_iter().take(more)).collect()
    }

    fn tally(&self, index: usize, seen: &BTreeMap<DeviceId, Seen>) -> Tally {
        let mut tally = Tally::default();
        let nobody = Seen::default();
        for (device, member) in self.members.iter().filter(|(_, m)| m.phase == Some(index)) {
            tally.all += 1;
            let seen = seen.get(device).unwrap_or(&nobody);
            match &member.place {
                Place::Good => tally.good += 1,
                Place::Admitted { .. } => {
                    tally.on_the_way += 1;
                    match (&seen.held, &seen.contact, &seen.report) {
                        (Some(words), ..) | (_, Contact::NotYet(words), _) => {
                            tally.say_late(device, words);
                        }
                        // What is recorded of it then is of before.
                        _ if !seen.reachable => tally.unreached.push((device.clone(), seen.last)),
                        (_, _, Some(Report::OnTheWay(words))) => tally.say_late(device, words),
                        (_, _, Some(_)) => {}
                        (_, _, None) => tally.unheard.push(device.clone()),
                    }
                }
                Place::Failed { .. } if member.pardoned => tally.pardoned += 1,
                Place::Failed { .. } if !member.again => tally.failed.push(device.clone()),
                Place::Back { .. } => {}
                Place::Waiting if self.is_marked(device, member) => {
                    tally.marked.push(device.clone());
                }
                Place::Waiting | Place::Failed { .. } => match &seen.held {
                    Some(words) => tally.held.push((device.clone(), words.clone())),
                    None => match &seen.contact {
                        Contact::NotYet(words) => {
                            tally.unknown.push((device.clone(), words.clone()));
                        }
                        _ if !seen.reachable => tally.away.push(device.clone()),
                        Contact::Asked(words) => {
                            tally.silent.push((device.clone(), words.clone()));
                        }
                        Contact::Lately | Contact::Before => tally.ready.push(device.clone()),
                    },
                },
            }
        }
        tally.counted = tally.good + tally.on_the_way + tally.failed.len() + tally.marked.len();
        tally
    }

    /// Whether what it would get failed before.
    pub fn is_marked(&self, device: &DeviceId, member: &Member) -> bool {
        self.marks.iter().any(|mark| mark.speaks_against(device, member))
    }

    /// Why nobody is let in, though somebody could be.
    fn full(&self, index: usize, tally: &Tally, seen: &BTreeMap<DeviceId, Seen>) -> Wait {
        let away: Vec<DeviceId> = self.unavailable(seen).into_iter().collect();
        let allowed = self.phases[index].rules.unavailable_allowed(tally.all);
        let because = format!(
            "{} of at most {allowed} out of order by a change (max-unavailable): {}",
            away.len(),
            named(&away)
        );
        Wait::Full { because }
    }

    fn has_passed(
        &mut self,
        index: usize,
        tally: &Tally,
        seen: &BTreeMap<DeviceId, Seen>,
        passed: u64,
        decisions: &mut Vec<Decision>,
    ) -> bool {
        let phase = &self.phases[index];
        let of = tally.of();
        let failed = tally.failed.len() + tally.marked.len();
        let need = phase.rules.success_needed(of, failed.min(phase.rules.failures_allowed(of)));
        if phase.promoted && tally.ready.is_empty() {
            return true;
        }
        if tally.good < need || !tally.ready.is_empty() {
            self.wait = wait_of(tally, need);
            let is_on_the_way = |m: &Member| matches!(m.place, Place::Admitted { .. });
            if !tally.ready.is_empty() && !self.members.values().any(is_on_the_way) {
                let asked = self.may_come(index, tally, seen);
                match &mut self.wait {
                    // Who had answered a moment ago was let in just now: these are being asked.
                    Wait::Reports { because, .. } if !asked.is_empty() => {
                        *because = format!("asked first whether they answer: {}", named(&asked));
                    }
                    _ => self.wait = self.full(index, tally, seen),
                }
            }
            let phase = &mut self.phases[index];
            if tally.good < need {
                phase.soaked = 0;
                phase.confirming = false;
            }
            return false;
        }
        let good = || {
            let is_good = |m: &Member| m.phase == Some(index) && m.place == Place::Good;
            self.members.iter().filter(move |(_, m)| is_good(m)).map(|(device, _)| device)
        };
        // A device that says nothing just now does not say that it is good.
        let says_so = |device: &DeviceId| {
            let said = |seen: &Seen| seen.reachable && seen.report == Some(Report::Good);
            seen.get(device).is_some_and(said)
        };
        let silent: Vec<DeviceId> = good().filter(|device| !says_so(device)).cloned().collect();
        let looks: Vec<DeviceId> = good().cloned().collect();
        let phase = &mut self.phases[index];
        if silent.is_empty() {
            phase.soaked = phase.soaked.saturating_add(passed);
        }
        let left = phase.rules.soak.saturating_sub(phase.soaked);
        let looked_at = |has_soaked: bool, at: &[DeviceId]| Wait::Looks {
            has_soaked,
            missing: at.len(),
            of: looks.len(),
            who: named(at),
        };
        if left > 0 {
            self.wait = match silent.is_empty() {
                true => Wait::Soak { left },
                false => looked_at(false, &silent),
            };
            return false;
        }
        if !std::mem::replace(&mut phase.confirming, true) {
            self.wait = looked_at(true, &looks);
            decisions.extend(looks.into_iter().map(Decision::Look));
            return false;
        }
        self.wait = looked_at(true, &silent);
        silent.is_empty()
    }
}

fn mark(device: &DeviceId, member: &Member) -> Mark {
    Mark {
        device: device.clone(),
        wanted: member.wanted.clone(),
        template: member.template.clone(),
        alone: false,
    }
}

//! What the store knows of a device between two passes: what was last written to its containers, and what
//! was tried with its modules.
//!
//! Enters: what a pass saw and what became of its works, with the present moment. Leaves: counts, moments
//! and pauses, from which the next plan is made. Not here: where it is kept, and any clock.

use super::moments::{BEFORE, NOT_AGAIN};
use super::{ContainerRef, ControlMemory, HalfDone, PlanAction, Purpose, Stops, TakenOver, Work};
use crate::model::{
    ContainerDetail, ContainerState, Hash, ModuleName, ObservedContainer, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the store knows of one device, so that a quiet pass needs one list call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceMemory {
    /// By container id: what was last written. A container that is in here is ours.
    pub containers: BTreeMap<String, RememberedContainer>,
    /// Names of the networks that we made there; `None` when that is not known.
    pub networks: Option<Vec<String>>,
    /// What was tried with its modules; nothing of those with which all went well.
    pub modules: BTreeMap<ModuleName, ModuleMemory>,
    /// By id: foreign containers that a run began to take over, and how they were before.
    pub adopting: BTreeMap<String, TakenOver>,
    /// What this control host did last, and who undoes it.
    pub control: ControlMemory,
    /// By image whose tag may move: when it was asked last which one the tag names, in seconds since 1970.
    pub checked: BTreeMap<String, i64>,
    /// What a run began beside modules that go, and does not know the end of.
    pub half_done: HalfDone,
    /// Which runs of its containers were stopped from here.
    pub stops: Stops,
}

/// What was last written to one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedContainer {
    /// Hash of the settings as last written.
    pub settings: Hash,
    /// Hash of the twin as last written.
    pub twin: Hash,
    /// `$version` of that twin.
    pub twin_version: u64,
    /// When it was put aside for a successor, in seconds since 1970.
    pub replaced_at: Option<i64>,
    /// The engine's policy that it had before it was put aside.
    pub policy: Option<String>,
    /// Whether it was made from here, or compared with what it should have been made with: labels alone can be copied.
    pub is_compared: bool,
}

impl RememberedContainer {
    /// Somebody may have changed its settings.
    pub(super) fn doubt(&mut self) {
        self.settings = Hash::of_texts("hoist settings not known", []);
    }
}

/// What was tried with one module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleMemory {
    /// Starts by Hoist of a module that was down or unhealthy.
    pub starts: Starts,
    /// Ends after which the engine itself started it again.
    pub exits: Exits,
    /// The specification that failed to take the place of the container that works, or to come up where there is none.
    pub failed: Option<FailedChange>,
    /// When going back to the previous container failed, in seconds since 1970.
    pub back_failed_at: Option<i64>,
}

/// Ten minutes, in seconds: what is longer ago is no part of the same trouble.
const RECENTLY: i64 = 600;

/// The first pause before a module is started once more, or made where there is none, in seconds; it doubles.
const FIRST_PAUSE: i64 = 10;
/// And the longest.
const LONGEST_PAUSE: i64 = 300;
/// The first pause before a specification that failed is tried once more; it doubles.
const FIRST_RETRY: i64 = 60;
/// And the longest. It never ends: what was missing may be there one day.
const LAST_RETRY: i64 = 3600;
/// So long after a failed attempt to go back it is tried again.
const BACK_AGAIN: i64 = 300;
/// The code of what an engine that was not reached any more did not come to the end of.
const NOT_REACHED: u16 = 406;
/// The code of what goes on by itself.
const ON_ITS_WAY: u16 = 202;
/// The code of what waits for somebody.
const HELD: u16 = 400;
/// More ends than this change nothing about the verdict.
const MOST_EXITS: usize = 16;

/// Starts in a row, each within ten minutes of the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Starts {
    /// How many.
    pub count: u32,
    /// When the last one was, in seconds since 1970.
    pub last: i64,
}

impl Starts {
    /// How many count now.
    pub fn recent(self, now: i64) -> u32 {
        if now.saturating_sub(self.last) < RECENTLY { self.count } else { 0 }
    }

    /// One more.
    #[must_use]
    pub fn again(self, now: i64) -> Self {
        Self { count: self.recent(now).saturating_add(1), last: now }
    }

    /// The moment before which it is not started once more; `None` if that may be now.
    pub fn not_before(self, now: i64) -> Option<i64> {
        let count = self.recent(now);
        let due = self.last.saturating_add(pause(count, FIRST_PAUSE, LONGEST_PAUSE));
        (count > 0 && now < due).then_some(due)
    }
}

/// The pause after so many failures.
fn pause(count: u32, first: i64, longest: i64) -> i64 {
    let doublings = count.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest)
}

/// Ends of one container that its engine took back by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exits {
    /// Which container; another one begins anew.
    pub container: String,
    /// The engine's own count when it was last looked at.
    pub counted: u64,
    /// When they were noticed, in seconds since 1970: those of the last ten minutes.
    pub moments: Vec<i64>,
}

impl Exits {
    /// How many there were in the last ten minutes.
    pub fn recent(&self, now: i64) -> usize {
        self.moments.iter().filter(|at| now.saturating_sub(**at) < RECENTLY).count()
    }

    /// Takes in what the engine says now. Its count has no age, so of a container that was not looked at
    /// before it counts only if the last start is recent.
    fn notice(&mut self, container: &ObservedContainer, now: i64) {
        self.moments.retain(|at| now.saturating_sub(*at) < RECENTLY);
        let is_known = self.container == container.id;
        if !is_known {
            self.moments.clear();
            self.counted = 0;
        }
        let Some(detail) = &container.detail else {
            if !is_known {
                self.container.clear();
            }
            return;
        };
        let count = detail.restart_count;
        let is_recent = ran_for(container, detail, now) < RECENTLY;
        let more = match count.checked_sub(self.counted) {
            _ if !is_recent => 0,
            Some(more) => more,
            // Started anew by somebody, which sets the engine's count back.
            None => count,
        };
        let more = usize::try_from(more).unwrap_or(MOST_EXITS).min(MOST_EXITS);
        self.moments.extend(std::iter::repeat_n(now, more));
        let surplus = self.moments.len().saturating_sub(MOST_EXITS);
        self.moments.drain(..surplus);
        self.counted = count;
        if count == 0 && self.moments.is_empty() {
            self.container.clear();
        } else {
            self.container.clone_from(&container.id);
        }
    }
}

/// For how many seconds it has run since its last start, or ran then. By the engine's own clock, as far as that tells: the clock
/// here may be another.
fn ran_for(container: &ObservedContainer, detail: &ContainerDetail, now: i64) -> i64 {
    let moment = |text: &str| Timestamp::parse(text).map_or(0, |moment| moment.seconds);
    let (started, finished) = (moment(&detail.started_at), moment(&detail.finished_at));
    match container.up_for {
        Some(up_for) => i64::try_from(up_for).unwrap_or(i64::MAX),
        // The engine starts such a one again within a minute.
        None if container.state == ContainerState::Restarting && finished >= started => {
            finished.saturating_sub(started)
        }
        None => now.saturating_sub(started),
    }
}

/// A specification that failed: to take a container's place, so that the former one runs on, or where there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedChange {
    /// The specification's label.
    pub spec: Hash,
    /// When, in seconds since 1970.
    pub at: i64,
    /// How often in a row.
    pub count: u32,
    /// The status code that it means.
    pub code: u16,
    /// Why, in words.
    pub reason: String,
    /// Whether it is not tried again before somebody says so: it made a rollout fail. Not kept, as the rollout is.
    pub given_up: bool,
    /// Whether there was nothing whose place it was to take.
    pub is_alone: bool,
}

impl FailedChange {
    /// The moment before which it is not tried again: a minute, doubling to an hour; where a try disturbs nothing, the pauses
    /// are those of starts, and so where it only broke off, from the second time in a row on.
    pub fn not_before(&self) -> i64 {
        if self.given_up {
            return i64::MAX;
        }
        if self.is_tried_at_once() {
            return self.at;
        }
        if self.broke_off() {
            return self.at.saturating_add(pause(self.count - 1, FIRST_PAUSE, LONGEST_PAUSE));
        }
        let (first, longest) =
            if self.is_alone { (FIRST_PAUSE, LONGEST_PAUSE) } else { (FIRST_RETRY, LAST_RETRY) };
        self.at.saturating_add(pause(self.count, first, longest))
    }

    /// Whether it came to no end, as its engine was not reached any more: that says nothing of it. But each try stops what
    /// works for a while.
    pub fn broke_off(&self) -> bool {
        self.code == NOT_REACHED
    }

    /// Whether it broke off for the first time: that may be an engine that is restarted.
    pub(super) fn is_tried_at_once(&self) -> bool {
        self.broke_off() && self.count < 2
    }

    /// The status code of what waits for the next try. Of what broke off, whoever says that has reached the device; it goes on
    /// by itself, unless a rollout gave it up.
    pub fn code_in_pause(&self) -> u16 {
        match (self.broke_off(), self.given_up) {
            (false, _) => self.code,
            (true, false) => ON_ITS_WAY,
            (true, true) => HELD,
        }
    }

    /// When it is tried again, in words.
    pub fn when_again(&self) -> String {
        let until = Timestamp { seconds: self.not_before() };
        format!("{NOT_AGAIN}{BEFORE}{}", until.clock())
    }

    /// The same with what came to it now. What failed, and whose next try broke off, waits once more as long.
    pub(super) fn after(
        former: Option<&Self>,
        spec: &Hash,
        at: i64,
        code: u16,
        reason: String,
    ) -> Self {
        let former = former.filter(|former| former.spec == *spec);
        let mut now = Self {
            spec: spec.clone(),
            at,
            count: 1,
            code,
            reason,
            given_up: false,
            is_alone: false,
        };
        match former {
            Some(former) if now.broke_off() && !former.broke_off() => {
                Self { at, given_up: false, ..former.clone() }
            }
            Some(former) if now.broke_off() == former.broke_off() => {
                now.count = former.count.saturating_add(1);
                now
            }
            Some(_) | None => now,
        }
    }
}

impl ModuleMemory {
    /// Takes in how often the engine restarted its container.
    pub fn notice(&mut self, container: &ObservedContainer, now: i64) {
        if container.state != ContainerState::Removing {
            self.exits.notice(container, now);
        }
        if self.starts.recent(now) == 0 {
            // Whether one was tried since a change failed is asked also where nobody looked for long.
            let last = self.failed.as_ref().map_or(0, |_| self.starts.last);
            self.starts = Starts { count: 0, last };
        }
    }

    /// It was started, or the engine says `failure`. Where that is for a pause, the pause begins once it is up.
    fn learn_start(&mut self, is_for_pause: bool, failure: Option<u16>, at: i64) {
        self.starts = self.starts.again(at);
        if let Some(failed) = self.failed.as_mut().filter(|_| is_for_pause) {
            match failure {
                None => failed.at = at,
                // Nobody knows whether it came up: that is still to be seen to before the next try.
                Some(NOT_REACHED) => failed.at = at.saturating_add(1),
                Some(_) => {}
            }
        }
    }

    /// When going back is tried again, where it failed.
    pub(super) fn next_way_back(&self) -> Option<i64> {
        self.back_failed_at.map(|at| at.saturating_add(BACK_AGAIN))
    }

    /// Whether going back may be tried.
    pub(super) fn may_go_back(&self, now: i64) -> bool {
        self.next_way_back().is_none_or(|at| now >= at)
    }
}

impl DeviceMemory {
    /// Somebody says that what failed may be tried again now.
    pub fn end_pauses(&mut self) {
        self.end_pauses_but_of(&BTreeSet::new());
    }

    /// The same, but for modules that wait for more than that.
    pub fn end_pauses_but_of(&mut self, given_up: &BTreeSet<ModuleName>) {
        let modules = self.modules.iter_mut().filter(|(name, _)| !given_up.contains(*name));
        for (_, module) in modules {
            module.starts = Starts::default();
            module.failed = None;
            module.back_failed_at = None;
        }
    }

    /// What failed of these modules waits for somebody's word, and that of others for a moment.
    pub fn give_up(&mut self, modules: &BTreeSet<ModuleName>) {
        for (name, module) in &mut self.modules {
            if let Some(failed) = &mut module.failed {
                failed.given_up = modules.contains(name);
            }
        }
    }

    /// What these works touch may be as it was, or not: the settings of their containers are looked at again.
    pub fn doubt(&mut self, works: &[Work]) {
        for step in works.iter().flat_map(|work| &work.steps) {
            if let Some(ContainerRef::Id(id)) = step.container() {
                self.doubt_container(id);
            }
        }
    }

    /// Anything on the device may be another than what is remembered.
    pub fn doubt_all(&mut self) {
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        ids.iter().for_each(|id| self.doubt_container(id));
        self.networks = None;
    }

    /// Somebody may have changed this container's settings: they are looked at again.
    pub fn doubt_container(&mut self, id: &str) {
        if let Some(known) = self.containers.get_mut(id) {
            known.doubt();
        }
    }

    /// The clock was set back: what was tried at moments that lie ahead now was tried at this one, so that no pause
    /// is longer than it should be.
    pub fn forget_after(&mut self, now: i64) {
        self.each_moment(|at| *at = (*at).min(now));
    }

    /// The clock was set, so that all was at other moments.
    pub fn shift(&mut self, seconds: i64) {
        self.each_moment(|at| *at = at.saturating_add(seconds));
    }

    fn each_moment(&mut self, change: impl Fn(&mut i64)) {
        let Self {
            containers,
            networks: _,
            modules,
            adopting: _,
            control,
            checked,
            half_done: _,
            stops,
        } = self;
        checked.values_mut().for_each(&change);
        stops.0.values_mut().for_each(|stopped| change(&mut stopped.at));
        containers.values_mut().filter_map(|known| known.replaced_at.as_mut()).for_each(&change);
        control.made.values_mut().for_each(|made| change(&mut made.at));
        control.undone.iter_mut().chain(&mut control.crossed).for_each(&change);
        for module in modules.values_mut() {
            let ModuleMemory { starts, exits, failed, back_failed_at } = module;
            if starts.last > 0 {
                change(&mut starts.last);
            }
            exits.moments.iter_mut().for_each(&change);
            failed.iter_mut().for_each(|failed| change(&mut failed.at));
            back_failed_at.iter_mut().for_each(&change);
        }
    }

    /// What has taken another one's place was not started again for that one's ends.
    fn begin_anew(&mut self, work: &Work) {
        for (name, _) in &work.tries {
            if let Some(module) = self.modules.get_mut(name) {
                module.starts = Starts::default();
            }
        }
    }

    /// Takes in that a work was done, or what it failed for: the failed step's code and words. What it tried
    /// is then not tried again at once. A device that is not reached says nothing about that: it is, but for what breaks
    /// off again and again.
    pub fn learn(&mut self, work: &Work, failure: Option<(u16, &str)>, at: i64) {
        let Purpose::Module { name, action } = &work.purpose else { return };
        if work.is_revival {
            let module = self.modules.entry(name.clone()).or_default();
            module.learn_start(work.is_for_pause, failure.map(|(code, _)| code), at);
        }
        let Some((code, reason)) = failure else {
            if !work.is_revival {
                self.begin_anew(work);
            }
            return;
        };
        self.doubt(std::slice::from_ref(work));
        for (name, spec) in &work.tries {
            let module = self.modules.entry(name.clone()).or_default();
            let former = module.failed.as_ref();
            let is_alone = *action == PlanAction::Create;
            let failed = FailedChange::after(former, spec, at, code, reason.to_owned());
            module.failed = Some(FailedChange { is_alone, ..failed });
        }
        if *action == PlanAction::GoBack && code != NOT_REACHED {
            self.modules.entry(name.clone()).or_default().back_failed_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_makes_no_pause_longer() {
        let reason = String::new();
        let spec = Hash::of_texts("spec", []);
        let failed = FailedChange {
            spec,
            at: 1_000_000,
            count: 1,
            code: 500,
            reason,
            given_up: false,
            is_alone: false,
        };
        let tried = ModuleMemory {
            starts: Starts { count: 3, last: 1_000_000 },
            failed: Some(failed),
            back_failed_at: Some(1_000_000),
            ..ModuleMemory::default()
        };
        let name = ModuleName::parse("web").unwrap();
        let mut memory =
            DeviceMemory { modules: [(name.clone(), tried)].into(), ..Default::default() };
        memory.forget_after(1000);
        let tried = &memory.modules[&name];
        assert_eq!(tried.failed.as_ref().map(FailedChange::not_before), Some(1060));
        assert_eq!((tried.starts.last, tried.back_failed_at), (1000, Some(1000)));
        memory.shift(86_400);
        let tried = &memory.modules[&name];
        assert_eq!(tried.failed.as_ref().map(FailedChange::not_before), Some(87_460));
        assert_eq!((tried.starts.last, tried.back_failed_at), (87_400, Some(87_400)));
    }

    #[test]
    fn only_what_is_given_up_waits_for_a_word() {
        let tried = |name: &str| {
            let spec = Hash::of_texts("spec", [name]);
            let failed = FailedChange::after(None, &spec, 1000, 500, "no".to_owned());
            let module = ModuleMemory { failed: Some(failed), ..ModuleMemory::default() };
            (ModuleName::parse(name).unwrap(), module)
        };
        let mut memory =
            DeviceMemory { modules: [tried("web"), tried("db")].into(), ..Default::default() };
        let not_before = |memory: &DeviceMemory, name: &str| {
            let failed = memory.modules[&ModuleName::parse(name).unwrap()].failed.as_ref();
            failed.map(FailedChange::not_before)
        };
        let given_up = BTreeSet::from([ModuleName::parse("web").unwrap()]);
        memory.give_up(&given_up);
        assert_eq!(not_before(&memory, "web"), Some(i64::MAX));
        assert_eq!(not_before(&memory, "db"), Some(1060));
        let mut poked = memory.clone();
        poked.end_pauses_but_of(&given_up);
        assert_eq!(not_before(&poked, "web"), Some(i64::MAX));
        assert_eq!(not_before(&poked, "db"), None);
        memory.give_up(&BTreeSet::new());
        assert_eq!(not_before(&memory, "web"), Some(1060));
    }

    #[test]
    fn pauses_double_up_to_their_limit_and_ten_quiet_minutes_end_them() {
        let mut starts = Starts::default();
        let mut now = 1000;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(starts.not_before(now), None);
            starts = starts.again(now);
            let due = starts.not_before(now).unwrap();
            assert_eq!(starts.not_before(due - 1), Some(due));
            pauses.push(due - now);
            now = due;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(starts.recent(now), 8);
        assert_eq!(starts.again(now + 600).count, 1, "ten minutes later it begins anew");
    }

    #[test]
    fn a_failed_specification_waits_a_minute_and_at_most_an_hour() {
        let (one, other) = (Hash::of_texts("s", ["1"]), Hash::of_texts("s", ["2"]));
        let mut failed = FailedChange::after(None, &one, 0, 500, "no".to_owned());
        let mut pauses = vec![failed.not_before()];
        for _ in 0..7 {
            failed = FailedChange::after(Some(&failed), &one, 0, 500, "no".to_owned());
            pauses.push(failed.not_before());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        failed.given_up = true;
        assert_eq!(failed.not_before(), i64::MAX, "somebody has to say so");
        assert_eq!(FailedChange::after(Some(&failed), &other, 0, 500, String::new()).count, 1);
    }

    /// Once it may be an engine that is restarted. But each try stops what works.
    #[test]
    fn what_breaks_off_again_and_again_waits_longer_each_time() {
        let spec = Hash::of_texts("s", ["1"]);
        let next = |former: &FailedChange, code| {
            FailedChange::after(Some(former), &spec, 0, code, String::new())
        };
        let mut broken = FailedChange::after(None, &spec, 0, NOT_REACHED, String::new());
        let mut pauses = vec![broken.not_before()];
        for _ in 0..7 {
            broken = next(&broken, NOT_REACHED);
            pauses.push(broken.not_before());
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
        let failed = next(&broken, 500);
        assert_eq!(failed.not_before(), 60, "that it broke off is no failure");
        let failed = next(&failed, 500);
        let broken = next(&failed, NOT_REACHED);
        assert_eq!((broken.code, broken.not_before()), (500, 120), "it failed before that");
        assert_eq!(next(&broken, 500).not_before(), 240);
    }
}

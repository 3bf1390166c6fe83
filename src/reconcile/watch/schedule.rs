//! Which device is looked at when.
//!
//! Enters: what happened to devices, with moments on a clock that only goes forward, in milliseconds. Leaves: the
//! devices whose turn it is. Sync, without IO and without a clock of its own, so that every rule of it is tested by
//! a table. Not here: what a look does.

use crate::model::{DeviceId, Hash};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A moment on a clock that only goes forward, in milliseconds since the daemon began.
pub(super) type Moment = u64;

/// The first pause after a look that found trouble, in milliseconds; it doubles.
const FIRST_PAUSE: u64 = 5_000;
/// And the longest: a device that comes back is served after that at the latest.
const LONGEST_PAUSE: u64 = 300_000;
/// Things happen in bursts: a look waits so long for the rest of one.
const BURST: u64 = 150;
/// After a container's end it is looked again after so long each: engines tell of an end before their list shows it, a busy
/// one long before.
const LATE_LOOKS: [u64; 2] = [1_000, 10_000];

/// How a look ended, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// As desired: nothing to do until the next full look.
    Quiet,
    /// Something is on its way, failed, or is not reached: again after a pause that grows.
    Again,
    /// The same after works that were begun: what the engine tells of these ends no pause.
    InVain,
    /// Nothing goes on before so long.
    After(Duration),
}

/// When each device is looked at.
#[derive(Debug)]
pub(super) struct Schedule {
    resync: u64,
    devices: BTreeMap<DeviceId, Entry>,
    queue: BTreeSet<(Moment, DeviceId)>,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    /// When it is due, unless it is being looked at.
    due: Option<Moment>,
    /// Looks in a row that found trouble.
    tries: u32,
    /// Somebody wanted it to be looked at while it was.
    again: bool,
    /// Its engine told of something while it was looked at, which may be what that did itself.
    stirred: bool,
    /// When everything of it was looked at last.
    full: Option<Moment>,
    /// So many of the late looks are still to come.
    late: usize,
}

/// A device whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) device: DeviceId,
    /// Whether everything is looked at, and not only what a list does not tell.
    pub(super) full: bool,
}

impl Schedule {
    /// Nobody is due; everybody will be looked at whole once in `resync`.
    pub(super) fn new(resync: Duration) -> Self {
        let resync = u64::try_from(resync.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { resync, devices: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// Exactly these devices are looked at; those that are new at once.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<DeviceId>, now: Moment) {
        let gone: Vec<DeviceId> =
            self.devices.keys().filter(|id| !wanted.contains(*id)).cloned().collect();
        for id in gone {
            self.unqueue(&id);
            self.devices.remove(&id);
        }
        for id in wanted {
            if !self.devices.contains_key(id) {
                self.devices.insert(id.clone(), Entry::default());
                self.set_due(id, now);
            }
        }
    }

    /// Something may have changed there: it is looked at soon, and its pauses begin anew.
    pub(super) fn wake(&mut self, device: &DeviceId, now: Moment) {
        self.hasten(device, now);
        if let Some(entry) = self.devices.get_mut(device) {
            entry.again = entry.due.is_none();
            entry.tries = 0;
        }
    }

    /// The same for a device that is being looked at; one that waits for its turn goes on waiting.
    pub(super) fn wake_if_looked_at(&mut self, device: &DeviceId, now: Moment) {
        if self.is_looked_at(device) {
            self.wake(device, now);
        }
    }

    /// Whether it is looked at here at all.
    pub(super) fn has(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// Whether it is being looked at.
    pub(super) fn is_looked_at(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|entry| entry.due.is_none())
    }

    /// Its engine told of something: it is looked at when the burst is over.
    pub(super) fn stir(&mut self, device: &DeviceId, now: Moment) {
        self.hasten(device, now.saturating_add(BURST));
        if let Some(entry) = self.devices.get_mut(device) {
            entry.stirred = entry.due.is_none();
        }
    }

    /// Its engine told that a container ended, which its list may not show yet.
    pub(super) fn stir_of_an_end(&mut self, device: &DeviceId, now: Moment) {
        self.stir(device, now);
        if let Some(entry) = self.devices.get_mut(device) {
            entry.late = LATE_LOOKS.len();
        }
    }

    /// The devices whose turn it is, the longest due first, at most so many. Each is out of the queue until its look
    /// has ended.
    pub(super) fn take_due(&mut self, at_most: usize, now: Moment) -> Vec<Turn> {
        let due: Vec<(Moment, DeviceId)> =
            self.queue.iter().take_while(|(due, _)| *due <= now).take(at_most).cloned().collect();
        due.into_iter()
            .map(|(due, device)| {
                self.queue.remove(&(due, device.clone()));
                let resync = self.resync;
                let entry = self.devices.entry(device.clone()).or_default();
                entry.due = None;
                let full =
                    entry.full.is_none_or(|full| now.saturating_sub(full) >= resync * 9 / 10);
                if full {
                    entry.full = Some(now);
                }
                Turn { device, full }
            })
            .collect()
    }

    /// A look has ended.
    pub(super) fn ended(&mut self, device: &DeviceId, ended: Ended, now: Moment) {
        let resync = self.resync;
        let Some(entry) = self.devices.get_mut(device) else { return };
        let stirred = std::mem::take(&mut entry.stirred);
        // What a run that failed did itself is no reason to try it again at once, or soon.
        if ended == Ended::InVain {
            entry.late = 0;
        }
        if std::mem::take(&mut entry.again) || stirred && ended != Ended::InVain {
            self.set_due(device, now.saturating_add(BURST));
            return;
        }
        let pause = match ended {
            Ended::Quiet => {
                entry.tries = 0;
                spread(resync, device, 0)
            }
            Ended::Again | Ended::InVain => {
                let tries = entry.tries;
                entry.tries = tries.saturating_add(1);
                let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
                spread(pause, device, tries)
            }
            Ended::After(pause) => {
                entry.tries = 0;
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                pause.min(spread(resync, device, 0))
            }
        };
        let late = LATE_LOOKS.get(LATE_LOOKS.len() - entry.late).copied();
        entry.late = entry.late.saturating_sub(1);
        let pause = late.map_or(pause, |late| pause.min(late));
        self.set_due(device, now.saturating_add(pause));
    }

    /// When somebody is due next.
    pub(super) fn next(&self) -> Option<Moment> {
        self.queue.first().map(|(due, _)| *due)
    }

    fn hasten(&mut self, device: &DeviceId, at: Moment) {
        match self.devices.get_mut(device) {
            None => {}
            Some(entry) if entry.due.is_some_and(|due| due > at) => self.set_due(device, at),
            Some(_) => {}
        }
    }

    fn set_due(&mut self, device: &DeviceId, at: Moment) {
        self.unqueue(device);
        if let Some(entry) = self.devices.get_mut(device) {
            entry.due = Some(at);
            self.queue.insert((at, device.clone()));
        }
    }

    fn unqueue(&mut self, device: &DeviceId) {
        if let Some(due) = self.devices.get_mut(device).and_then(|entry| entry.due.take()) {
            self.queue.remove(&(due, device.clone()));
        }
    }
}

/// A tenth less, at most, by the device and the try: a fleet that was lost at once is not asked at once.
fn spread(pause: u64, device: &DeviceId, tries: u32) -> u64 {
    let hash = Hash::of_texts("hoist jitter", [device.as_str(), &tries.to_string()]).to_string();
    let digits = hash.get(3..7).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    pause - pause / 10 * digits / 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> DeviceId {
        DeviceId::parse(name).unwrap()
    }

    fn with(names: &[&str]) -> Schedule {
        let mut schedule = Schedule::new(Duration::from_secs(300));
        schedule.keep(&names.iter().map(|name| id(name)).collect(), 0);
        schedule
    }

    fn due(schedule: &mut Schedule, now: Moment) -> Vec<(String, bool)> {
        let turns = schedule.take_due(10, now);
        turns.into_iter().map(|turn| (turn.device.to_string(), turn.full)).collect()
    }

    fn one(name: &str, full: bool) -> Vec<(String, bool)> {
        vec![(name.to_owned(), full)]
    }

    #[test]
    fn a_device_is_looked_at_once_at_a_time() {
        let mut schedule = with(&["a"]);
        assert_eq!(due(&mut schedule, 0), one("a", true));
        assert_eq!(due(&mut schedule, 1_000_000), []);
        schedule.wake(&id("a"), 5);
        assert_eq!((due(&mut schedule, 1_000_000), schedule.next()), (vec![], None));
        schedule.ended(&id("a"), Ended::Quiet, 100);
        assert_eq!(schedule.next(), Some(100 + BURST), "what happened meanwhile is looked at");
        assert_eq!(due(&mut schedule, 300), one("a", false));
        schedule.ended(&id("a"), Ended::Quiet, 400);
        assert!(schedule.next().unwrap() > 200_000);
    }

    #[test]
    fn pauses_double_to_five_minutes_and_begin_anew_when_something_happens() {
        let mut schedule = with(&["a"]);
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            due(&mut schedule, now);
            schedule.ended(&id("a"), Ended::Again, now);
            let next = schedule.next().unwrap();
            pauses.push(next - now);
            now = next;
        }
        for (pause, most) in
            pauses.iter().zip([5, 10, 20, 40, 80, 160, 300, 300, 300].map(|s| s * 1000))
        {
            assert!((most * 9 / 10..=most).contains(pause), "{pause} of {most}");
        }
        schedule.wake(&id("a"), now - 200_000);
        assert_eq!(schedule.next(), Some(now - 200_000));
        due(&mut schedule, now);
        schedule.ended(&id("a"), Ended::Again, now);
        assert!(schedule.next().unwrap() - now <= 5_000);
    }

    #[test]
    fn what_a_run_that_failed_did_itself_ends_no_pause_and_what_somebody_wants_does() {
        let mut schedule = with(&["a"]);
        let mut now = 0;
        for most in [5, 10, 20, 40, 80, 160, 300, 300].map(|seconds| seconds * 1000) {
            due(&mut schedule, now);
            schedule.stir_of_an_end(&id("a"), now + 1);
            schedule.ended(&id("a"), Ended::InVain, now + 2);
            let pause = schedule.next().unwrap() - now - 2;
            assert!((most * 9 / 10..=most).contains(&pause), "{pause} of {most}");
            now += pause + 2;
        }
        due(&mut schedule, now);
        schedule.stir(&id("a"), now + 1);
        schedule.ended(&id("a"), Ended::Quiet, now + 2);
        assert_eq!(schedule.next(), Some(now + 2 + BURST), "it may be somebody else's doing");
        due(&mut schedule, now + 200);
        schedule.wake(&id("a"), now + 201);
        schedule.stir(&id("a"), now + 202);
        schedule.ended(&id("a"), Ended::InVain, now + 203);
        assert_eq!(schedule.next(), Some(now + 203 + BURST));
        due(&mut schedule, now + 400);
        schedule.stir(&id("a"), now + 401);
        schedule.ended(&id("a"), Ended::Again, now + 402);
        assert_eq!(schedule.next(), Some(now + 402 + BURST), "nothing was done there");
        due(&mut schedule, now + 600);
        schedule.ended(&id("a"), Ended::InVain, now + 601);
        schedule.stir(&id("a"), now + 700);
        assert_eq!(schedule.next(), Some(now + 700 + BURST), "what happens in a pause ends it");
    }

    #[test]
    fn who_answered_meanwhile_is_looked_for_with_short_pauses_again() {
        let mut schedule = with(&["a"]);
        let mut now = 0;
        for _ in 0..8 {
            due(&mut schedule, now);
            schedule.ended(&id("a"), Ended::Again, now);
            now = schedule.next().unwrap();
        }
        due(&mut schedule, now);
        schedule.ended(&id("a"), Ended::After(Duration::from_secs(20)), now);
        now = schedule.next().unwrap();
        due(&mut schedule, now);
        schedule.ended(&id("a"), Ended::Again, now);
        assert!(schedule.next().unwrap() - now <= 5_000);
    }

    #[test]
    fn everything_is_looked_at_once_a_resync() {
        let mut schedule = with(&["a"]);
        due(&mut schedule, 0);
        schedule.ended(&id("a"), Ended::After(Duration::from_secs(20)), 0);
        assert_eq!(schedule.next(), Some(20_000));
        assert_eq!(due(&mut schedule, 20_000), one("a", false));
        schedule.ended(&id("a"), Ended::Quiet, 20_000);
        let next = schedule.next().unwrap();
        assert!((290_000..=320_000).contains(&next), "{next}");
        assert_eq!(due(&mut schedule, next), one("a", true));
        schedule.ended(&id("a"), Ended::After(Duration::from_secs(86_400)), next);
        assert!(schedule.next().unwrap() <= next + 300_000, "nothing waits longer than a resync");
    }

    #[test]
    fn an_end_is_looked_for_until_a_busy_engine_shows_it() {
        let mut schedule = with(&["a"]);
        due(&mut schedule, 0);
        schedule.ended(&id("a"), Ended::Quiet, 0);
        schedule.stir_of_an_end(&id("a"), 1000);
        let mut now = 1000;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let next = schedule.next().unwrap();
            pauses.push(next - now);
            now = next;
            assert_eq!(due(&mut schedule, now).len(), 1);
            schedule.ended(&id("a"), Ended::Quiet, now);
        }
        assert_eq!(pauses[..3], [BURST, 1_000, 10_000]);
        assert!(pauses[3] > 200_000, "then it is quiet");
    }

    #[test]
    fn bursts_are_one_look_and_the_longest_due_come_first() {
        let mut schedule = with(&["a", "b", "c"]);
        for turn in schedule.take_due(10, 0) {
            schedule.ended(&turn.device, Ended::Quiet, 0);
        }
        schedule.stir(&id("b"), 1000);
        schedule.stir(&id("b"), 1100);
        schedule.stir(&id("a"), 1100);
        assert_eq!(due(&mut schedule, 1149), []);
        assert_eq!(schedule.take_due(1, 1300).first().map(|t| t.device.clone()), Some(id("b")));
        assert_eq!(due(&mut schedule, 1300), one("a", false));
        schedule.keep(&[id("c")].into(), 1400);
        schedule.ended(&id("a"), Ended::Again, 1400);
        assert_eq!(schedule.queue.len(), 1, "who is gone is not looked at again");
    }
}

//! The daemon's clocks: the wall's, for words and for what is stored, and one that only goes forward, for pauses.

use super::schedule::Moment;
use crate::model::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A difference between both clocks over this, in seconds, is a jump of the wall's.
const JUMP: i64 = 30;

/// What the wall's clock says. A simulation of a day has its own.
pub type Wall = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The clock of the machine.
pub fn machine_clock() -> Wall {
    Arc::new(machine_now)
}

/// Both clocks.
pub(super) struct Clock {
    now: Wall,
    began: Instant,
    /// The wall's clock at the beginning, moved along with every jump.
    wall: Timestamp,
    /// By how many seconds it was moved along because it was set.
    moved: i64,
    /// For how many seconds the machine was suspended, as far as that was told.
    slept: i64,
    /// Since when the machine runs or is suspended, in seconds, at the beginning.
    up: Option<i64>,
}

/// What became of the wall's clock: it goes otherwise than the one that only goes forward, which stands still while the machine
/// is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jump {
    /// By how many seconds it was set.
    pub(super) set: i64,
    /// How many seconds went by for everybody but this machine.
    pub(super) slept: i64,
}

impl Clock {
    pub(super) fn start(now: Wall) -> Self {
        let wall = now();
        Self { now, began: Instant::now(), wall, moved: 0, slept: 0, up: up_for() }
    }

    /// Milliseconds since the daemon began.
    pub(super) fn moment(&self) -> Moment {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When a moment comes.
    pub(super) fn at(&self, moment: Moment) -> Instant {
        self.began + Duration::from_millis(moment)
    }

    /// What the wall's clock says.
    pub(super) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// How far the wall's clock was set in all, in seconds, as far as that was asked.
    pub(super) fn moved(&self) -> i64 {
        self.moved
    }

    /// How far the wall's clock jumped since this was asked last, if it did.
    pub(super) fn take_jump(&mut self) -> Option<Jump> {
        let elapsed = i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX);
        let off = self.now().seconds - self.wall.seconds.saturating_add(elapsed);
        if off.abs() < JUMP {
            return None;
        }
        self.wall.seconds = self.wall.seconds.saturating_add(off);
        // Where nothing tells for how long it was suspended, it was not.
        let slept = self.up.zip(up_for()).map_or(0, |(began, now)| now - began - elapsed);
        let slept = Some(slept - self.slept).filter(|more| *more >= JUMP).unwrap_or(0);
        self.slept = self.slept.saturating_add(slept);
        let set = Some(off - slept).filter(|set| set.abs() >= JUMP).unwrap_or(0);
        self.moved = self.moved.saturating_add(set);
        Some(Jump { set, slept })
    }
}

/// For how many seconds the machine has run or been suspended since it was switched on, where it tells that.
fn up_for() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    text.split('.').next()?.trim().parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "the daemon is the edge where its clock is read")]
fn machine_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    Timestamp { seconds: i64::try_from(seconds).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_told_once_and_a_slow_drift_is_none() {
        for seconds in [3600, -3600, 30, -86_400 * 365] {
            let mut clock = Clock::start(machine_clock());
            assert_eq!(clock.take_jump(), None);
            clock.wall.seconds -= seconds;
            let jump = clock.take_jump().unwrap();
            // A second may go by meanwhile.
            assert!((jump.set - seconds).abs() <= 1 && jump.slept == 0, "{jump:?} of {seconds}");
            assert_eq!(clock.take_jump(), None, "it is told once");
        }
        let mut clock = Clock::start(machine_clock());
        clock.wall.seconds -= 28;
        assert_eq!(clock.take_jump(), None);
    }

    #[test]
    fn what_a_suspended_machine_slept_is_no_clock_that_was_set() {
        let near = |is: i64, wanted: i64| (is - wanted).abs() <= 2;
        let mut clock = Clock::start(machine_clock());
        // As a machine that tells it would, wherever this runs.
        clock.up = clock.up.or(up_for());
        let Some(up) = clock.up else { return };
        (clock.wall.seconds, clock.up) = (clock.wall.seconds - 8 * 3600, Some(up - 8 * 3600));
        let jump = clock.take_jump().unwrap();
        assert!(jump.set == 0 && near(jump.slept, 8 * 3600), "{jump:?}");
        assert_eq!((clock.take_jump(), clock.moved()), (None, 0));
        // It was set too, while it slept.
        let up = clock.up.unwrap();
        (clock.wall.seconds, clock.up) = (clock.wall.seconds + 1800, Some(up - 3600));
        let jump = clock.take_jump().unwrap();
        assert!(near(jump.slept, 3600) && near(jump.set, -1800 - 3600), "{jump:?}");
        assert_eq!(clock.moved(), jump.set);
    }
}

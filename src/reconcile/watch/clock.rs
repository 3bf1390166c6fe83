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
    /// By how many seconds it was moved along.
    moved: i64,
}

impl Clock {
    pub(super) fn start(now: Wall) -> Self {
        let wall = now();
        Self { now, began: Instant::now(), wall, moved: 0 }
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

    /// How far the wall's clock has jumped in all, in seconds, as far as that was asked.
    pub(super) fn moved(&self) -> i64 {
        self.moved
    }

    /// How far the wall's clock jumped since this was asked last, in seconds, if it did.
    pub(super) fn take_jump(&mut self) -> Option<i64> {
        let elapsed = i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX);
        let off = self.now().seconds - self.wall.seconds.saturating_add(elapsed);
        if off.abs() < JUMP {
            return None;
        }
        self.wall.seconds = self.wall.seconds.saturating_add(off);
        self.moved = self.moved.saturating_add(off);
        Some(off)
    }
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
            assert!((jump - seconds).abs() <= 1, "{jump} of {seconds}");
            assert_eq!(clock.take_jump(), None, "it is told once");
        }
        let mut clock = Clock::start(machine_clock());
        clock.wall.seconds -= 28;
        assert_eq!(clock.take_jump(), None);
    }
}

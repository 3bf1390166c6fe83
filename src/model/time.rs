//! A moment, as `created` has it and as the store writes it.

use std::fmt;

/// A moment in UTC, to the second.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
}

impl Timestamp {
    /// Parses RFC 3339; a zone is required.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self { seconds: t.as_second() })
            .map_err(|_| format!("`{text}` is no moment with a zone; write `2026-01-05T09:00:00Z`"))
    }

    /// How long ago it was, in the largest unit that fits.
    pub fn ago(self, now: Self) -> String {
        let past = now.seconds.saturating_sub(self.seconds);
        // Somebody's clock was ahead then: that is no moment of just now.
        let side = if past < -60 { "ahead" } else { "ago" };
        let size = if past < -60 { past.saturating_neg() } else { past.max(0) };
        match size {
            s @ ..60 => format!("{s} s {side}"),
            s @ 60..3600 => format!("{} min {side}", s / 60),
            s @ 3600..86400 => format!("{} h {side}", s / 3600),
            s => format!("{} d {side}", s / 86400),
        }
    }

    /// The time of day, for words about the hours to come: `14:32:10 UTC`.
    pub fn clock(self) -> String {
        let day = self.seconds.rem_euclid(86_400);
        format!("{:02}:{:02}:{:02} UTC", day / 3600, day / 60 % 60, day % 60)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.seconds) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "@{}", self.seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_the_largest_unit_that_fits() {
        let at = |seconds| Timestamp { seconds };
        for (seconds, words) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (86_400, "1 d ago"),
        ] {
            assert_eq!(at(0).ago(at(seconds)), words);
        }
        assert_eq!(at(9).ago(at(0)), "0 s ago", "clocks differ a little");
        assert_eq!(at(86_400).ago(at(0)), "1 d ahead", "a clock that was set back");
    }
}

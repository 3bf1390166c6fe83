//! A moment, as `created` has it and as the store writes it.

use std::fmt;

/// A moment in UTC, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

//! Durations and sizes as fleet files write them.

use std::fmt;

/// A span of time in milliseconds, written `10s`, `500ms`, `5m`, `2h`, `1d` or a sum such as `1h30m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    /// Milliseconds.
    pub millis: u64,
}

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Duration {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self { millis: seconds * 1000 }
    }

    /// Parses the written form.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is no duration; write `10s`, `500ms`, `5m` or `1h30m`");
        let mut millis: u64 = 0;
        let mut rest = text;
        if rest.is_empty() {
            return Err(expected());
        }
        if rest == "0" {
            return Ok(Self::default());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let unit = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
            let number: u64 = rest[..digits].parse().map_err(|_| expected())?;
            let name = &rest[digits..digits + unit];
            let (_, factor) = UNITS.iter().find(|(u, _)| *u == name).ok_or_else(expected)?;
            millis = number
                .checked_mul(*factor)
                .and_then(|part| millis.checked_add(part))
                .filter(|sum| *sum <= 10 * 365 * 86_400_000)
                .ok_or_else(|| format!("`{text}` is longer than ten years"))?;
            rest = &rest[digits + unit..];
        }
        Ok(Self { millis })
    }

    /// As the standard library has it.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }

    /// Whole seconds, rounded up.
    pub fn seconds_up(self) -> u64 {
        self.millis.div_ceil(1000)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.millis;
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("b", 1),
    ("", 1),
];

/// Parses a size in bytes: `256MiB`, `1GiB`, `64KiB`, a plain number, or Docker's `256m`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}` is no size; write `256MiB`, `1GiB` or a number of bytes");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let unit = text[digits..].trim_start();
    let (_, factor) = SIZES.iter().find(|(u, _)| *u == unit).ok_or_else(expected)?;
    number
        .checked_mul(*factor)
        .filter(|n| i64::try_from(*n).is_ok())
        .ok_or_else(|| format!("`{text}` is too large"))
}

/// A size in its largest whole unit.
pub fn format_bytes(bytes: u64) -> String {
    let (unit, factor) = SIZES[..5]
        .iter()
        .find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor))
        .copied()
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// Billionths of a processor as a decimal number: `0.5`.
pub fn format_cpus(nano: u64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').map_or_else(|| text.to_owned(), |whole| format!("{whole}.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_print_what_they_parse() {
        for text in ["10s", "500ms", "1h30m", "1d", "0s", "1m30s"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Duration::parse("90s").unwrap().to_string(), "1m30s");
        for bad in ["", "10", "s", "10 s", "-1s", "1x", "99999999999999999999s", "3650000d"] {
            assert!(Duration::parse(bad).is_err(), "{bad}");
        }
        for text in ["256MiB", "1GiB", "64KiB", "7B"] {
            assert_eq!(format_bytes(parse_bytes(text).unwrap()), text);
        }
        assert_eq!(parse_bytes("256m").unwrap(), 256 << 20);
        assert!(parse_bytes("256MB").is_err());
        assert!(parse_bytes("99999999999TiB").is_err());
        assert_eq!(format_cpus(500_000_000), "0.5");
        assert_eq!(format_cpus(2_000_000_000), "2.0");
    }
}

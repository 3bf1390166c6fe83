//! Moments in words about modules, and the same words without them.

/// What is said of a change that failed, and with [`BEFORE`] a moment.
pub(super) const NOT_AGAIN: &str = "not tried again";
pub(super) const BEFORE: &str = " before ";

/// What is said of a module that is started again after a pause, before the moment.
pub(super) const PACED: &str = "; started again not before ";

/// Words that are the same on all devices with the same trouble: the moments in them are others on each.
pub fn without_moment(words: &str) -> String {
    let words = without_each(words, &format!("{NOT_AGAIN}{BEFORE}"), " UTC: ");
    without_each(&words, PACED, " UTC")
}

fn without_each(words: &str, lead: &str, end: &str) -> String {
    let (mut kept, mut rest) = (String::new(), words);
    while let Some((before, after)) = rest.split_once(lead)
        && let Some((_, after)) = after.split_once(end)
    {
        kept.push_str(before);
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_moment_stays_however_many_there_are() {
        let said = |one: &str, two: &str| {
            format!(
                "next: not tried again before {one} UTC: it ended with code 3; what it has: it ended with code 1; \
                 started again not before {two} UTC; web: it ended; started again not before {one} UTC"
            )
        };
        let words = without_moment(&said("05:53:22", "06:01:00"));
        assert_eq!(words, without_moment(&said("05:54:00", "05:55:00")));
        assert!(!words.contains("UTC") && words.ends_with("web: it ended"), "{words}");
    }
}

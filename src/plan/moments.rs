//! Moments in words about modules, and the same words without them.

/// What is said of a change that failed, and with [`BEFORE`] a moment.
pub(super) const NOT_AGAIN: &str = "not tried again";
pub(super) const BEFORE: &str = " before ";

/// What is said of a module that is started again after a pause, before the moment.
pub(super) const PACED: &str = "; started again not before ";

/// Words that are the same on all devices with the same trouble: the moments in them are others on each.
pub fn without_moment(words: &str) -> String {
    let without = |words: String, lead: &str, end: &str| {
        let cut = words.split_once(lead).and_then(|(before, rest)| {
            let (_, rest) = rest.split_once(end)?;
            Some(format!("{before}{rest}"))
        });
        cut.unwrap_or(words)
    };
    let words = without(words.to_owned(), &format!("{NOT_AGAIN}{BEFORE}"), " UTC: ");
    without(words, PACED, " UTC")
}

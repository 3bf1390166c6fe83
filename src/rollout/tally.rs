//! What counts of a phase, and what it waits for.

use super::{Cause, Wait};
use crate::model::{DeviceId, Timestamp};
use std::collections::BTreeSet;

/// So many devices are named in words.
const NAMED: usize = 3;

/// What counts of a phase.
#[derive(Default)]
pub(super) struct Tally {
    /// Let in, and those that are not because their manifest failed elsewhere.
    pub(super) counted: usize,
    pub(super) good: usize,
    pub(super) on_the_way: usize,
    pub(super) failed: Vec<DeviceId>,
    /// Failed, and somebody lets the others go on.
    pub(super) pardoned: usize,
    /// Could be let in now.
    pub(super) ready: Vec<DeviceId>,
    pub(super) away: Vec<DeviceId>,
    /// Asked whether they answer, and silent; since when, in words.
    pub(super) silent: Vec<(DeviceId, String)>,
    /// Not looked at yet; what is being done there, in words.
    pub(super) unknown: Vec<(DeviceId, String)>,
    pub(super) held: Vec<(DeviceId, String)>,
    pub(super) marked: Vec<DeviceId>,
    /// What one that is on its way says of that.
    pub(super) late: String,
    /// On their way, and do not answer; when they did last.
    pub(super) unreached: Vec<(DeviceId, Option<Timestamp>)>,
    /// On their way, and say nothing of that yet.
    pub(super) unheard: Vec<DeviceId>,
    pub(super) all: usize,
}

impl Tally {
    /// Of so many it is judged. Who is silent for now, or was not looked at yet, is among them: soon a look says that it is there
    /// or away.
    pub(super) fn of(&self) -> usize {
        self.counted + self.ready.len() + self.silent.len() + self.unknown.len()
    }
}

impl Tally {
    /// Of those that are on their way one is named with its words.
    pub(super) fn say_late(&mut self, device: &DeviceId, words: &str) {
        if self.late.is_empty() {
            self.late = format!("{device}: {words}");
        }
    }

    fn who_is_unreached(&self) -> String {
        let devices: Vec<DeviceId> =
            self.unreached.iter().map(|(device, _)| device.clone()).collect();
        let Some((first, last)) = self.unreached.first() else { return String::new() };
        let verb = if devices.len() == 1 { "does" } else { "do" };
        let since = match last {
            Some(last) if devices.len() == 1 => format!(", the last time at {last}"),
            Some(last) => format!(", {first} the last time at {last}"),
            None => String::new(),
        };
        format!("{} {verb} not answer{since}", named(&devices))
    }
}

/// What a phase waits for that has not enough successes.
pub(super) fn wait_of(tally: &Tally, need: usize) -> Wait {
    if tally.on_the_way + tally.ready.len() > 0 {
        let missing = tally.on_the_way + tally.ready.len();
        let of = missing + tally.good + tally.failed.len();
        let because = match tally.late.is_empty() && tally.unreached.is_empty() {
            true => named(&tally.unheard),
            false => [tally.late.clone(), tally.who_is_unreached()]
                .into_iter()
                .filter(|words| !words.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        };
        return Wait::Reports { missing, of, because };
    }
    let (mut because, mut causes) = (Vec::new(), BTreeSet::new());
    let mut say = |cause: Cause, words: String| {
        because.push(words);
        causes.insert(cause);
    };
    if !tally.away.is_empty() {
        let (count, names) = (tally.away.len(), named(&tally.away));
        say(Cause::Away, format!("{count} of {} do not answer ({names})", tally.all));
    }
    if let Some((device, words)) = tally.unknown.first() {
        let (count, all) = (tally.unknown.len(), tally.all);
        let words = format!(
            "{count} of {all} were not looked at yet since the daemon began ({device}: {words})"
        );
        say(Cause::Away, words);
    }
    if let Some((device, words)) = tally.silent.first() {
        let count = tally.silent.len();
        let all = tally.all;
        let words = format!("{count} of {all} were asked and are silent ({device}: {words})");
        say(Cause::Away, words);
    }
    if let Some((device, words)) = tally.held.first() {
        say(Cause::Held, format!("{} held ({device}: {words})", tally.held.len()));
    }
    if !tally.marked.is_empty() {
        let names = named(&tally.marked);
        say(Cause::Failed, format!("what failed before is not tried again on {names}"));
    }
    if !tally.failed.is_empty() {
        say(Cause::Failed, format!("{} failed", named(&tally.failed)));
    }
    let because = because.join("; ");
    if tally.good + tally.failed.len() == 0 {
        return Wait::Nobody { because, causes };
    }
    Wait::TooFew { have: tally.good, need, because, causes }
}

pub(super) fn named(devices: &[DeviceId]) -> String {
    let names: Vec<&str> = devices.iter().take(NAMED).map(DeviceId::as_str).collect();
    match devices.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// A span of milliseconds, rounded up to seconds.
pub(super) fn in_words(millis: u64) -> String {
    crate::model::Duration::seconds(millis.div_ceil(1000)).to_string()
}

//! What was done, grouped as a diff is: equal changes of many devices are one entry.
//!
//! Enters: entries of the store's history, oldest first. Leaves: [`Episode`]s, oldest first. Pure. Not here: which entries
//! are wanted, and how they look on a terminal.

use crate::model::{DeviceId, Duration, ModuleName, Timestamp};
use crate::store::HistoryEntry;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// What follows within so many seconds belongs together.
const GAP: i64 = 600;

/// What somebody did on some devices, or to the whole fleet, in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// When it began, on the first device.
    pub began: Timestamp,
    /// When the last of it was done, on the last device.
    pub ended: Timestamp,
    /// Who.
    pub who: String,
    /// The devices; none for what concerns the whole fleet.
    pub devices: Vec<DeviceId>,
    /// The revision before.
    pub from: Option<String>,
    /// The revision after.
    pub to: Option<String>,
    /// What was done on each of them, in this order.
    pub changes: Vec<Change>,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words of the history")]
pub struct Change {
    pub action: String,
    pub module: Option<ModuleName>,
    pub reason: String,
    pub outcome: String,
    /// How often.
    pub times: usize,
}

/// Who did it, on which device, from which revision to which.
type Strand = (Option<DeviceId>, String, Option<String>, Option<String>);

/// Groups entries, which come oldest first.
pub fn episodes(entries: &[HistoryEntry]) -> Vec<Episode> {
    let mut alone: Vec<Episode> = Vec::new();
    let mut open: BTreeMap<Strand, usize> = BTreeMap::new();
    for entry in entries {
        let HistoryEntry { at, who, device, from, to, .. } = entry;
        let strand = (device.clone(), who.clone(), from.clone(), to.clone());
        let goes_on = open.get(&strand).copied();
        let goes_on = goes_on.filter(|one| at.seconds - alone[*one].ended.seconds <= GAP);
        if let Some(one) = goes_on {
            alone[one].ended = *at;
            add(&mut alone[one].changes, entry);
            continue;
        }
        let mut changes = Vec::new();
        add(&mut changes, entry);
        open.insert(strand, alone.len());
        alone.push(Episode {
            began: *at,
            ended: *at,
            who: who.clone(),
            devices: device.clone().into_iter().collect(),
            from: from.clone(),
            to: to.clone(),
            changes,
        });
    }
    together(alone)
}

/// Devices on which the same was done in the same minutes are one entry.
fn together(alone: Vec<Episode>) -> Vec<Episode> {
    type Same = (bool, String, Option<String>, Option<String>, Vec<Change>);
    let mut all: Vec<Episode> = Vec::new();
    let mut newest: BTreeMap<Same, usize> = BTreeMap::new();
    for one in alone {
        let Episode { began, who, devices, from, to, changes, .. } = &one;
        let same = (devices.is_empty(), who.clone(), from.clone(), to.clone(), changes.clone());
        let joins = newest
            .get(&same)
            .copied()
            .filter(|at| !devices.is_empty() && began.seconds - all[*at].ended.seconds <= GAP);
        match joins {
            Some(at) => {
                let group = &mut all[at];
                group.ended = group.ended.max(one.ended);
                group.devices.extend(one.devices);
            }
            None => {
                newest.insert(same, all.len());
                all.push(one);
            }
        }
    }
    for group in &mut all {
        group.devices.sort();
        group.devices.dedup();
    }
    all
}

fn add(changes: &mut Vec<Change>, entry: &HistoryEntry) {
    let HistoryEntry { action, module, reason, outcome, .. } = entry;
    let is_same = |change: &&mut Change| {
        (&change.action, &change.module, &change.reason, &change.outcome)
            == (action, module, reason, outcome)
    };
    match changes.iter_mut().find(is_same) {
        Some(change) => change.times += 1,
        None => changes.push(Change {
            action: action.clone(),
            module: module.clone(),
            reason: reason.clone(),
            outcome: outcome.clone(),
            times: 1,
        }),
    }
}

/// An entry as JSON: one of `"entries"`.
pub fn entry_json(entry: &HistoryEntry) -> Json {
    let HistoryEntry { at, who, device, from, to, action, module, reason, outcome } = entry;
    json!({
        "at": at.to_string(),
        "who": who,
        "device": device.as_ref().map(DeviceId::as_str),
        "from": from,
        "to": to,
        "action": action,
        "module": module.as_ref().map(ModuleName::as_str),
        "reason": reason,
        "outcome": outcome,
    })
}

/// The moment that a text names: so long ago, or itself.
///
/// # Errors
/// It is neither, in words.
pub fn moment_since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(moment) = Timestamp::parse(text) {
        return Ok(moment);
    }
    let ago =
        Duration::parse(text).map_err(|_| "it is neither a duration nor a moment".to_owned())?;
    let seconds = i64::try_from(ago.seconds_up()).unwrap_or(i64::MAX);
    Ok(Timestamp { seconds: now.seconds.saturating_sub(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, device: &str, action: &str, module: &str) -> HistoryEntry {
        HistoryEntry {
            at: Timestamp { seconds: at },
            who: "ada".to_owned(),
            device: (!device.is_empty()).then(|| DeviceId::parse(device).unwrap()),
            from: Some("a".to_owned()),
            to: Some("b".to_owned()),
            action: action.to_owned(),
            module: (!module.is_empty()).then(|| ModuleName::parse(module).unwrap()),
            reason: "image".to_owned(),
            outcome: "done".to_owned(),
        }
    }

    /// When, on which devices, what and how often.
    fn shown(entries: &[HistoryEntry]) -> Vec<(i64, String, String)> {
        let shown = |episode: &Episode| {
            let devices: Vec<&str> = episode.devices.iter().map(DeviceId::as_str).collect();
            let changes = episode.changes.iter().map(|change| {
                let module = change.module.as_ref().map_or("", ModuleName::as_str);
                format!("{} {module} {}", change.action, change.times)
            });
            let changes: Vec<String> = changes.collect();
            (episode.began.seconds, devices.join(" "), changes.join(", "))
        };
        episodes(entries).iter().map(shown).collect()
    }

    #[test]
    fn equal_changes_of_many_devices_are_one_entry() {
        let both =
            |at, device| [entry(at, device, "replace", "web"), entry(at, device, "start", "db")];
        let all = [
            vec![entry(1, "", "accept", "")],
            both(2, "b").to_vec(),
            vec![entry(3, "c", "replace", "web")],
            both(40, "a").to_vec(),
            vec![entry(41, "", "accept", "")],
        ]
        .concat();
        let text =
            |at: i64, devices: &str, changes: &str| (at, devices.to_owned(), changes.to_owned());
        assert_eq!(
            shown(&all),
            [
                text(1, "", "accept  2"),
                text(2, "a b", "replace web 1, start db 1"),
                text(3, "c", "replace web 1"),
            ]
        );
    }

    #[test]
    fn what_repeats_is_counted_and_a_long_pause_begins_anew() {
        let all: Vec<HistoryEntry> = [0, 300, 600, 1201, 9000]
            .into_iter()
            .map(|at| entry(at, "a", "restart", "web"))
            .collect();
        let counts: Vec<_> =
            shown(&all).into_iter().map(|(at, _, changes)| (at, changes)).collect();
        let text = |at, n| (at, format!("restart web {n}"));
        assert_eq!(counts, [text(0, 3), text(1201, 1), text(9000, 1)]);
        let other = HistoryEntry { who: "bo".to_owned(), ..entry(1, "b", "restart", "web") };
        assert_eq!(shown(&[entry(0, "a", "restart", "web"), other]).len(), 2, "who did it counts");
    }
}

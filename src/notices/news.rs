//! What is news: the difference between what was told and what is.
//!
//! Enters: what a webhook was told, a snapshot, a moment. Leaves: [`News`], one for all that has the same cause. Pure,
//! without a clock. To add a kind: a variant here, its mark in `told.rs`, its words in `words.rs`.

use super::told::Told;
use crate::config::NewsKind;
use crate::model::{DeviceId, Timestamp};
use crate::plan::without_moment;
use crate::reconcile::Snapshot;
use crate::rollout::Standing;
use crate::store::{OrderKind, Scope, StoredDevice};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A device has worked again for so many seconds before that is news: one that comes and goes is told once.
const WELL: i64 = 30;
/// The repository could not be fetched for so long before that is news.
const UNFETCHED: i64 = 15 * 60;
/// Absence, pauses and pins are news after this.
const LONG: i64 = 24 * 3600;
/// More causes than these at a time are told as one.
const CAUSES: usize = 8;

/// One thing that people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Devices fail for one reason.
    Failure {
        /// Their status code; 500 where there are several.
        code: u16,
        /// Why.
        cause: String,
        /// Which.
        devices: BTreeSet<DeviceId>,
    },
    /// Devices are left at what they have, for one reason.
    DevicesHeld {
        /// Why.
        cause: String,
        /// Which.
        devices: BTreeSet<DeviceId>,
    },
    /// Devices that failed or were held are as desired.
    Recovery(BTreeSet<DeviceId>),
    /// Devices are away for long.
    Absence(BTreeSet<DeviceId>),
    /// Devices that were away are back.
    Back(BTreeSet<DeviceId>),
    /// A revision waits.
    RevisionHeld {
        /// All digits of the commit's id.
        revision: String,
        /// Why, a line each.
        reasons: Vec<String>,
        /// Whether `hoist approve` lets it through.
        can_be_approved: bool,
    },
    /// No revision waits any more.
    NothingHeld,
    /// No commits can be had for long.
    Unfetched {
        /// Why.
        words: String,
        /// Since when.
        since: Timestamp,
    },
    /// They can be had again.
    FetchedAgain,
    /// Devices are left alone for long.
    Paused(LongOrder),
    /// Devices are kept at a revision for long.
    Pinned {
        /// The revision.
        revision: String,
        /// The order.
        order: LongOrder,
    },
    /// A rollout stands still, for a reason that does not end by itself within a moment.
    RolloutWaits {
        /// The revision that it leads to.
        to: String,
        /// What it is told by.
        mark: String,
        /// Why, in words.
        reason: String,
        /// What people may do.
        next: Option<&'static str>,
    },
    /// A rollout ended, well or not.
    RolloutEnded {
        /// The revision that it led to.
        to: String,
        /// `done`, `halted` or `rolled back`.
        state: &'static str,
        /// How many devices are at it.
        success: usize,
        /// Why.
        reason: String,
    },
}

/// An order that has held for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongOrder {
    /// Its number.
    pub id: i64,
    /// Which devices, in words.
    pub scope: String,
    /// The command that ends it.
    pub ends: String,
    /// Who gave it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// What is, as far as it can be news.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What the daemon knows.
    pub snapshot: &'a Snapshot,
    /// The devices that somebody paused.
    pub paused: &'a BTreeSet<DeviceId>,
    /// The moment.
    pub now: Timestamp,
}

impl News {
    /// Its kind.
    pub fn kind(&self) -> NewsKind {
        match self {
            Self::Failure { .. } => NewsKind::Failure,
            Self::Recovery(_) | Self::Back(_) | Self::NothingHeld | Self::FetchedAgain => {
                NewsKind::Recovery
            }
            Self::Absence(_) => NewsKind::Absence,
            Self::DevicesHeld { .. } | Self::RevisionHeld { .. } => NewsKind::Held,
            Self::Unfetched { .. } => NewsKind::Fetch,
            Self::Paused(_) => NewsKind::Paused,
            Self::Pinned { .. } => NewsKind::Pinned,
            Self::RolloutWaits { .. } | Self::RolloutEnded { .. } => NewsKind::Rollout,
        }
    }

    /// The devices that it is about.
    pub fn devices(&self) -> Option<&BTreeSet<DeviceId>> {
        match self {
            Self::Failure { devices, .. }
            | Self::DevicesHeld { devices, .. }
            | Self::Recovery(devices)
            | Self::Absence(devices)
            | Self::Back(devices) => Some(devices),
            Self::RevisionHeld { .. }
            | Self::NothingHeld
            | Self::Unfetched { .. }
            | Self::FetchedAgain
            | Self::Paused(_)
            | Self::Pinned { .. }
            | Self::RolloutWaits { .. }
            | Self::RolloutEnded { .. } => None,
        }
    }
}

/// What is news to somebody who was told that much.
pub fn news(told: &Told, seen: &Seen<'_>) -> Vec<News> {
    let mut news = of_the_fleet(told, seen);
    // Until something counts it is not known who belongs to the fleet.
    if seen.snapshot.accepted.is_some() {
        news.extend(of_devices(told, seen));
    }
    news
}

fn of_the_fleet(told: &Told, seen: &Seen<'_>) -> Vec<News> {
    let Seen { snapshot, paused: _, now } = *seen;
    let mut news = Vec::new();
    match (&snapshot.held, &told.held) {
        (Some(held), told) if told.as_ref() != Some(&held.revision) => {
            news.push(News::RevisionHeld {
                revision: held.revision.clone(),
                reasons: held.reasons.clone(),
                can_be_approved: held.can_be_approved(),
            });
        }
        (None, Some(_)) => news.push(News::NothingHeld),
        (Some(_), _) | (None, None) => {}
    }
    match (&snapshot.source.trouble, told.unfetched) {
        (Some(trouble), false) if is_past(trouble.since, UNFETCHED, now) => {
            news.push(News::Unfetched { words: trouble.words.clone(), since: trouble.since });
        }
        (None, true) => news.push(News::FetchedAgain),
        (Some(_), _) | (None, false) => {}
    }
    if let Some(rollout) = &snapshot.rollout
        && let Some(mark) = ended(rollout)
        && told.rollout.as_ref() != Some(&mark)
    {
        news.push(News::RolloutEnded {
            to: rollout.to.clone(),
            state: rollout.state,
            success: rollout.phases.iter().map(|phase| phase.success).sum(),
            reason: rollout.reason.clone(),
        });
    }
    if let Some(rollout) = &snapshot.rollout
        && let Some(mark) = stands_still(rollout)
        && !told.rollout_waits.contains(&mark)
    {
        let (to, reason) = (rollout.to.clone(), rollout.reason.clone());
        news.push(News::RolloutWaits { to, mark, reason, next: rollout.next });
    }
    for pause in &snapshot.pauses {
        let order = LongOrder {
            id: pause.id,
            scope: in_words(&pause.scope),
            ends: OrderKind::Pause.ended_by(&pause.scope),
            who: pause.who.clone(),
            reason: pause.reason.clone(),
            since: pause.since,
        };
        if is_past(pause.since, LONG, now) && !told.pauses.contains(&pause.id) {
            news.push(News::Paused(order));
        }
    }
    for pin in &snapshot.pins {
        let order = LongOrder {
            id: pin.id,
            scope: in_words(&pin.scope),
            ends: OrderKind::Pin.ended_by(&pin.scope),
            who: pin.who.clone(),
            reason: pin.reason.clone(),
            since: pin.since,
        };
        if is_past(pin.since, LONG, now) && !told.pins.contains(&pin.id) {
            news.push(News::Pinned { revision: pin.revision.clone(), order });
        }
    }
    news
}

/// What tells the end of a rollout from that of another, if it has ended and anybody took part.
pub(super) fn ended(rollout: &Standing) -> Option<String> {
    let has_ended = matches!(rollout.state, "done" | "halted" | "rolled back");
    let took_part = rollout.phases.iter().any(|phase| phase.devices > 0);
    (has_ended && took_part).then(|| format!("{} {}", rollout.to, rollout.state))
}

/// What tells a reason for which a rollout stands still from others. It begins with where the rollout comes from: what one
/// commit waits for, the next that takes its place waits for as well.
fn stands_still(rollout: &Standing) -> Option<String> {
    rollout.stuck.as_ref().map(|cause| format!("{} {cause}", rollout.from))
}

/// How a device stands, as far as it can be news.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Failing,
    Held,
    Away,
    Well,
    /// On its way, or left alone by somebody: what was told stays told.
    Undecided,
}

fn of_devices(told: &Told, seen: &Seen<'_>) -> Vec<News> {
    let mut failing: BTreeMap<(u16, String), BTreeSet<DeviceId>> = BTreeMap::new();
    let mut held: BTreeMap<(u16, String), BTreeSet<DeviceId>> = BTreeMap::new();
    let (mut well, mut away, mut back) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (id, stored) in here(seen) {
        let stands = stands(id, stored, seen);
        let cause = || {
            let words = without_moment(&stored.status.description);
            (stored.status.code, common_cause(id, &words))
        };
        match stands {
            Stands::Failing if !told.failing.contains(id) => {
                failing.entry(cause()).or_default().insert(id.clone());
            }
            Stands::Held if !told.devices_held.contains(id) => {
                held.entry(cause()).or_default().insert(id.clone());
            }
            Stands::Away if !told.away.contains(id) => {
                away.insert(id.clone());
            }
            Stands::Well if told.failing.contains(id) || told.devices_held.contains(id) => {
                well.insert(id.clone());
            }
            Stands::Failing | Stands::Held | Stands::Away | Stands::Well | Stands::Undecided => {}
        }
        if stored.status.code != 406 && told.away.contains(id) {
            back.insert(id.clone());
        }
    }
    let failing = few(failing).into_iter();
    let mut news: Vec<News> =
        failing.map(|(code, cause, devices)| News::Failure { code, cause, devices }).collect();
    let held = few(held).into_iter();
    news.extend(held.map(|(_, cause, devices)| News::DevicesHeld { cause, devices }));
    let sets = [
        (away, News::Absence as fn(_) -> _),
        (back, News::Back as fn(_) -> _),
        (well, News::Recovery as fn(_) -> _),
    ];
    news.extend(sets.into_iter().filter(|(set, _)| !set.is_empty()).map(|(set, of)| of(set)));
    news
}

/// The devices of the fleet that were recorded.
fn here<'a>(seen: &Seen<'a>) -> impl Iterator<Item = (&'a DeviceId, &'a Arc<StoredDevice>)> {
    let fleet = seen.snapshot.accepted.as_ref().map(|accepted| &accepted.fleet);
    seen.snapshot.devices.iter().filter(move |(id, stored)| {
        stored.departed.is_none() && fleet.is_some_and(|fleet| fleet.devices.contains_key(*id))
    })
}

fn stands(id: &DeviceId, stored: &StoredDevice, seen: &Seen<'_>) -> Stands {
    let status = &stored.status;
    if seen.paused.contains(id) {
        return Stands::Undecided;
    }
    match status.code {
        // How long it is known to be away: nobody may have looked before.
        406 if is_past(status.since, LONG, seen.now) => Stands::Away,
        406 => Stands::Undecided,
        400 => Stands::Held,
        200 if is_past(status.since, WELL, seen.now) => Stands::Well,
        code if code > 400 => Stands::Failing,
        _ => Stands::Undecided,
    }
}

fn is_past(since: Timestamp, limit: i64, now: Timestamp) -> bool {
    now.seconds.saturating_sub(since.seconds) >= limit
}

/// Words that are the same on all devices with the same trouble: the device's own name in them is left out.
fn common_cause(id: &DeviceId, words: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let mut common = String::new();
    let mut rest = words;
    while let Some(at) = rest.find(id.as_str()) {
        let (before, after) = (&rest[..at], &rest[at + id.as_str().len()..]);
        let is_free = !before.chars().next_back().is_some_and(is_part)
            && !after.chars().next().is_some_and(is_part);
        common.push_str(before);
        common.push_str(if is_free { "DEVICE" } else { id.as_str() });
        rest = after;
    }
    common.push_str(rest);
    common
}

/// The groups, the largest first; many are one.
fn few(
    groups: BTreeMap<(u16, String), BTreeSet<DeviceId>>,
) -> Vec<(u16, String, BTreeSet<DeviceId>)> {
    let mut groups: Vec<_> =
        groups.into_iter().map(|((code, cause), devices)| (code, cause, devices)).collect();
    groups.sort_by_key(|(_, _, devices)| std::cmp::Reverse(devices.len()));
    if groups.len() > CAUSES {
        let rest = groups.split_off(CAUSES - 1);
        let cause =
            format!("{} other reasons; `hoist status --not-converged` shows them", rest.len());
        groups.push((500, cause, rest.into_iter().flat_map(|(_, _, devices)| devices).collect()));
    }
    groups
}

fn in_words(scope: &Scope) -> String {
    match scope {
        Scope::All => "all devices".to_owned(),
        Scope::Device(id) => id.to_string(),
        Scope::Where(condition) => format!("devices where {condition}"),
    }
}

//! What a webhook was told, as the store keeps it: a daemon that begins anew tells nothing twice.

use super::news::{News, Seen, ended};
use crate::model::DeviceId;
use crate::rollout::Standing;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// What somebody was told and is still so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the news of its name")]
pub struct Told {
    pub failing: BTreeSet<DeviceId>,
    pub devices_held: BTreeSet<DeviceId>,
    pub away: BTreeSet<DeviceId>,
    pub held: Option<String>,
    pub unfetched: bool,
    pub pauses: BTreeSet<i64>,
    pub pins: BTreeSet<i64>,
    pub rollout: Option<String>,
    pub rollout_waits: BTreeSet<String>,
}

impl Told {
    /// That was told.
    pub fn take(&mut self, news: &News) {
        match news {
            News::Failure { devices, .. } => {
                self.devices_held.retain(|id| !devices.contains(id));
                self.failing.extend(devices.iter().cloned());
            }
            News::DevicesHeld { devices, .. } => {
                self.failing.retain(|id| !devices.contains(id));
                self.devices_held.extend(devices.iter().cloned());
            }
            News::Recovery(devices) => {
                self.failing.retain(|id| !devices.contains(id));
                self.devices_held.retain(|id| !devices.contains(id));
            }
            News::Absence(devices) => self.away.extend(devices.iter().cloned()),
            News::Back(devices) => self.away.retain(|id| !devices.contains(id)),
            News::RevisionHeld { revision, .. } => self.held = Some(revision.clone()),
            News::NothingHeld => self.held = None,
            News::Unfetched { .. } => self.unfetched = true,
            News::FetchedAgain => self.unfetched = false,
            News::Paused(order) => {
                self.pauses.insert(order.id);
            }
            News::Pinned { order, .. } => {
                self.pins.insert(order.id);
            }
            News::RolloutWaits { mark, .. } => {
                self.rollout_waits.insert(mark.clone());
            }
            News::RolloutEnded { to, state, .. } => self.rollout = Some(format!("{to} {state}")),
        }
    }

    /// What is over without being news: a pause that ended, a device that left the fleet.
    pub fn forget_what_is_gone(&mut self, seen: &Seen<'_>) {
        let snapshot = seen.snapshot;
        self.pauses.retain(|id| snapshot.pauses.iter().any(|pause| pause.id == *id));
        self.pins.retain(|id| snapshot.pins.iter().any(|pin| pin.id == *id));
        if snapshot.rollout.as_ref().is_some_and(|rollout| ended(rollout).is_none()) {
            // It goes on, or goes on again: its next end is news.
            self.rollout = None;
        }
        let goes_on = |rollout: &&Standing| ended(rollout).is_none();
        let from = snapshot.rollout.as_ref().filter(goes_on).map(|rollout| rollout.from.as_str());
        self.rollout_waits.retain(|mark| from.is_some_and(|from| mark.starts_with(from)));
        let Some(accepted) = &snapshot.accepted else { return };
        for set in [&mut self.failing, &mut self.devices_held, &mut self.away] {
            set.retain(|id| accepted.fleet.devices.contains_key(id));
        }
    }

    /// As the store has it.
    pub fn to_json(&self) -> Json {
        let Self {
            failing,
            devices_held,
            away,
            held,
            unfetched,
            pauses,
            pins,
            rollout,
            rollout_waits,
        } = self;
        let ids = |set: &BTreeSet<DeviceId>| -> Vec<String> {
            set.iter().map(ToString::to_string).collect()
        };
        json!({
            "failing": ids(failing), "devices_held": ids(devices_held), "away": ids(away),
            "held": held, "unfetched": unfetched, "pauses": pauses, "pins": pins, "rollout": rollout,
            "rollout_waits": rollout_waits,
        })
    }

    /// Reads what [`Told::to_json`] wrote. What can't be read was not told.
    pub fn from_json(json: &Json) -> Self {
        let list = |key: &str| json[key].as_array().into_iter().flatten();
        let ids = |key: &str| {
            list(key).filter_map(|id| DeviceId::parse(id.as_str()?).ok()).collect::<BTreeSet<_>>()
        };
        let numbers = |key: &str| list(key).filter_map(Json::as_i64).collect();
        Self {
            failing: ids("failing"),
            devices_held: ids("devices_held"),
            away: ids("away"),
            held: json["held"].as_str().map(str::to_owned),
            unfetched: json["unfetched"] == true,
            pauses: numbers("pauses"),
            pins: numbers("pins"),
            rollout: json["rollout"].as_str().map(str::to_owned),
            rollout_waits: list("rollout_waits")
                .filter_map(|mark| mark.as_str().map(str::to_owned))
                .collect(),
        }
    }
}

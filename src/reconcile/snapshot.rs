//! What the daemon knows at one moment, for those who only look: the page, the API, metrics.
//!
//! Enters: what the daemon's loop has at hand. Leaves: a [`Snapshot`] that never changes, shared by whoever reads it, and
//! the [`Wish`]es by which they wake the loop. Not here: what a snapshot looks like on a page, and what the loop does
//! about a wish: a wish carries nothing that a pass decides by.

use super::status::{Elsewhere, FleetStatus, StatusInput, fleet_status};
use super::status_json::Beside;
use super::watch::{Against, devices_in, elsewhere, pause_of};
use crate::fleet::Fleet;
use crate::model::{DeviceId, Hash, Timestamp};
use crate::resolve::Resolution;
use crate::rollout::Standing;
use crate::store::{Pause, Pin, Scope, StoredDevices};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// What the daemon knew at one moment.
#[derive(Default)]
pub struct Snapshot {
    /// Grows with each.
    pub sequence: u64,
    /// The moment.
    pub at: Timestamp,
    /// Where commits come from, and how that goes.
    pub source: SourceStanding,
    /// What counts now; `None` until a revision was accepted.
    pub accepted: Option<Accepted>,
    /// The revision that waits, if one does.
    pub held: Option<HeldRevision>,
    /// The revision whose signature is not accepted, and why, where signatures are asked for and it counted before that.
    pub unsigned: Option<(String, String)>,
    /// The rollout, or the last one.
    pub rollout: Option<Standing>,
    /// The pauses that hold.
    pub pauses: Vec<Pause>,
    /// The pins that hold.
    pub pins: Vec<Pin>,
    /// Devices that a rollout leaves at another revision than the accepted one, and which.
    pub left: Elsewhere,
    /// Devices that it moved back and that have not arrived.
    pub returning: BTreeSet<DeviceId>,
    /// The devices that are looked after; others are another control host's.
    pub watches: Scope,
    /// After how many seconds without contact a device is stale.
    pub stale_after: Option<i64>,
    /// Every device that was ever recorded.
    pub devices: Arc<StoredDevices>,
    /// What is being done on devices at this moment, in words.
    pub running: BTreeMap<DeviceId, String>,
    /// Since when passes have failed, and why, if they do.
    pub trouble: Option<Trouble>,
    /// The status, made when it is first asked for.
    pub status: OnceLock<FleetStatus>,
    /// That as JSON, likewise.
    pub json: OnceLock<Json>,
}

/// Where commits come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceStanding {
    /// The repository's path or address, without credentials.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The newest commit of the branch that was fetched, with all digits.
    pub head: Option<String>,
    /// When fetching last succeeded.
    pub fetched: Option<Timestamp>,
    /// Why fetching fails, if it does.
    pub trouble: Option<Trouble>,
}

/// Something that goes wrong, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What, in words.
    pub words: String,
    /// Since when.
    pub since: Timestamp,
}

impl Trouble {
    /// As it stands in the store and in JSON answers.
    pub fn to_json(&self) -> Json {
        let Self { words, since } = self;
        json!({"words": words, "since": since.to_string()})
    }

    /// Reads what [`Trouble::to_json`] wrote; `None` if it is something else.
    pub fn from_json(json: &Json) -> Option<Self> {
        let words = json["words"].as_str()?.to_owned();
        Some(Self { words, since: Timestamp::parse(json["since"].as_str()?).ok()? })
    }
}

/// A revision that counts.
#[derive(Clone)]
pub struct Accepted {
    /// All digits of the commit's id.
    pub revision: String,
    /// Its fleet.
    pub fleet: Arc<Fleet>,
    /// That, resolved with the facts of the moment.
    pub resolution: Arc<Resolution>,
    /// The digest of its manifests.
    pub digest: Hash,
}

/// A revision that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRevision {
    /// All digits of the commit's id.
    pub revision: String,
    /// Why, a line each.
    pub reasons: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// By guard: what the revision would do. Empty where it is not guards that hold it: then nobody can approve it.
    pub numbers: BTreeMap<String, u64>,
}

impl HeldRevision {
    /// Whether `hoist approve` lets it through.
    pub fn can_be_approved(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// As it stands in the store and in JSON answers.
    pub fn to_json(&self) -> Json {
        let Self { revision, reasons, since, numbers } = self;
        json!({
            "revision": revision, "reasons": reasons, "since": since.to_string(), "numbers": numbers,
        })
    }

    /// Reads what [`HeldRevision::to_json`] wrote; `None` if it is something else.
    pub fn from_json(json: &Json) -> Option<Self> {
        let text = |json: &Json| json.as_str().map(str::to_owned);
        let numbers = json["numbers"].as_object()?;
        Some(Self {
            revision: text(&json["revision"])?,
            reasons: json["reasons"].as_array()?.iter().map(text).collect::<Option<_>>()?,
            since: Timestamp::parse(json["since"].as_str()?).ok()?,
            numbers: numbers
                .iter()
                .map(|(name, n)| Some((name.clone(), n.as_u64()?)))
                .collect::<Option<_>>()?,
        })
    }
}

/// What wakes the daemon's loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The repository may have new commits.
    Fetch,
    /// A device should be looked at now, whatever its pauses between tries.
    Poke(DeviceId),
    /// Somebody changed pauses, pins or approvals in the store.
    Orders,
}

impl Snapshot {
    /// How the fleet stands; `None` until a revision was accepted.
    pub fn status(&self) -> Option<&FleetStatus> {
        let accepted = self.accepted.as_ref()?;
        Some(self.status.get_or_init(|| {
            let Accepted { revision, fleet, resolution, digest: _ } = accepted;
            let only = devices_in(&self.watches, fleet, &self.devices);
            let left = self.left.clone();
            fleet_status(&StatusInput {
                fleet,
                resolution,
                revision,
                stored: &self.devices,
                elsewhere: &elsewhere(left, &self.pins, fleet, &self.devices),
                returning: &self.returning,
                paused: &self.paused(),
                only: only.as_ref(),
                stale_after: self.stale_after,
                now: self.at,
            })
        }))
    }

    /// The devices that are left alone because of a pause.
    pub fn paused(&self) -> BTreeSet<DeviceId> {
        let Some(accepted) = self.accepted.as_ref().filter(|_| !self.pauses.is_empty()) else {
            return BTreeSet::new();
        };
        let against = Against { fleet: &accepted.fleet, devices: &self.devices };
        let is_paused = |id: &&DeviceId| pause_of(&self.pauses, id, &against).is_some();
        accepted.fleet.devices.keys().filter(is_paused).cloned().collect()
    }

    /// Why the signature of what is in force is not accepted, if it is not.
    pub fn unsigned(&self) -> Option<&str> {
        let (revision, words) = self.unsigned.as_ref()?;
        let counts = self.accepted.as_ref()?;
        (counts.revision == *revision).then_some(words)
    }

    /// What stands beside the counts.
    pub fn beside(&self) -> Beside {
        Beside {
            held: self.held.clone(),
            fetch_trouble: self.source.trouble.clone(),
            unsigned: self.unsigned().map(str::to_owned),
            rollout: self.rollout.clone(),
            pauses: self.pauses.clone(),
            pins: self.pins.clone(),
            watches: self.watches.clone(),
        }
    }

    /// The same as `hoist status --format json` prints it.
    pub fn status_json(&self) -> Option<&Json> {
        let status = self.status()?;
        Some(self.json.get_or_init(|| status.to_json(&self.beside())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_revision_is_read_as_it_was_written() {
        let held = HeldRevision {
            revision: "3f2a9c1".to_owned(),
            reasons: vec!["guard max-modules-removed: 30 of at most 20".to_owned()],
            since: Timestamp { seconds: 1_700_000_000 },
            numbers: BTreeMap::from([("modules-removed".to_owned(), 30)]),
        };
        assert_eq!(HeldRevision::from_json(&held.to_json()), Some(held.clone()));
        assert!(held.can_be_approved());
        assert_eq!(HeldRevision::from_json(&json!({"revision": 1})), None);
    }
}

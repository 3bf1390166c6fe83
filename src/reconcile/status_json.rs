//! The status of a fleet as JSON, version 1: the same for the command line and for the control host's answers.

use super::snapshot::{HeldRevision, Trouble};
use super::status::{Counts, DeploymentCounts, DeviceStatus, FleetStatus, LabelGroup};
use super::watch::kept_rollout;
use crate::model::{DeploymentId, Timestamp};
use crate::rollout::Standing;
use crate::store::{Pause, Pin, Scope, Store, StoreError, fleet_key};
use serde_json::{Map, Value as Json, json};

/// What stands beside the counts: what waits, what rolls out, what people ordered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside {
    /// The revision that waits.
    pub held: Option<HeldRevision>,
    /// Why no new commits can be had, if they can't.
    pub fetch_trouble: Option<Trouble>,
    /// Why the signature of what is in force is not accepted, where signatures are asked for.
    pub unsigned: Option<String>,
    /// The rollout, or the last one.
    pub rollout: Option<Standing>,
    /// The pauses that hold.
    pub pauses: Vec<Pause>,
    /// The pins that hold.
    pub pins: Vec<Pin>,
    /// The devices that are looked after, and shown.
    pub watches: Scope,
}

impl Beside {
    /// What the store holds at a moment.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let held = store.fleet_state(fleet_key::HELD)?;
        let held: Option<Json> = held.and_then(|text| serde_json::from_str(&text).ok());
        let trouble = store.fleet_state(fleet_key::FETCH_TROUBLE)?;
        let trouble: Option<Json> = trouble.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            held: held.as_ref().and_then(HeldRevision::from_json),
            fetch_trouble: trouble.as_ref().and_then(Trouble::from_json),
            unsigned: unsigned(store)?,
            rollout: kept_rollout(store)?.map(|rollout| match store.has_daemon() {
                Ok(false) => rollout.standing_left_alone(),
                _ => rollout.standing_at(now),
            }),
            pauses: store.pauses(now)?,
            pins: store.pins(now)?,
            watches: store.watches()?,
        })
    }
}

/// Why the signature of the accepted revision is not accepted, as long as that one counts.
fn unsigned(store: &Store) -> Result<Option<String>, StoreError> {
    let counts = store.fleet_state(fleet_key::ACCEPTED)?;
    let kept = kept_unsigned(store)?.filter(|(revision, _)| counts.as_ref() == Some(revision));
    Ok(kept.map(|(_, words)| words))
}

/// What [`keep_unsigned`] kept.
///
/// # Errors
/// The store can't be read.
pub(super) fn kept_unsigned(store: &Store) -> Result<Option<(String, String)>, StoreError> {
    let text = store.fleet_state(fleet_key::UNSIGNED)?;
    let json: Option<Json> = text.and_then(|text| serde_json::from_str(&text).ok());
    let text = |json: &Json| json.as_str().map(str::to_owned);
    Ok(json.and_then(|json| Some((text(&json["revision"])?, text(&json["words"])?))))
}

/// Keeps that the accepted revision bears no accepted signature, and why; or that nothing is wrong with it.
///
/// # Errors
/// The store can't be written.
pub fn keep_unsigned(store: &Store, found: Option<(&str, &str)>) -> Result<(), StoreError> {
    let text =
        found.map(|(revision, words)| json!({"revision": revision, "words": words}).to_string());
    store.set_fleet_state(fleet_key::UNSIGNED, text.as_deref())
}

impl FleetStatus {
    /// The status as JSON, version 1.
    pub fn to_json(&self, beside: &Beside) -> Json {
        let Self { fleet, revision, deployments, devices, departed } = self;
        let Beside { held, fetch_trouble, unsigned, rollout, pauses, pins, watches } = beside;
        json!({
            "format": 1,
            "fleet": fleet,
            "revision": revision,
            "held": held.as_ref().map(HeldRevision::to_json),
            "fetch_trouble": fetch_trouble.as_ref().map(Trouble::to_json),
            "unsigned": unsigned,
            "rollout": rollout.as_ref().map(Standing::to_json),
            "pauses": pauses.iter().map(pause).collect::<Vec<_>>(),
            "pins": pins.iter().map(pin).collect::<Vec<_>>(),
            "watches": (*watches != Scope::All).then(|| scope_json(watches)),
            "deployments": deployments.iter().map(deployment).collect::<Vec<_>>(),
            "devices": devices.iter().map(DeviceStatus::to_json).collect::<Vec<_>>(),
            "departed": departed.iter().map(|d| json!({
                "id": d.id.as_str(),
                "since": d.since.map(|t| t.to_string()),
                "last_contact": d.last_contact.map(|t| t.to_string()),
            })).collect::<Vec<_>>(),
        })
    }
}

impl DeviceStatus {
    /// One of `"devices"`.
    pub fn to_json(&self) -> Json {
        let Self { id, base, layers, revision, code, description, last_contact, stale, modules } =
            self;
        json!({
            "id": id.as_str(),
            "base": base.as_ref().map(DeploymentId::as_str),
            "layers": layers.iter().map(DeploymentId::as_str).collect::<Vec<_>>(),
            "revision": revision,
            "status": {"code": code, "description": description},
            "last_contact": last_contact.map(|t| t.to_string()),
            "stale": stale,
            "modules": modules.iter().map(|m| json!({
                "name": m.name, "status": m.status, "exit_code": m.exit_code,
                "restart_count": m.restart_count, "report_problem": m.report_problem,
            })).collect::<Vec<_>>(),
        })
    }
}

impl LabelGroup {
    /// One of `"groups"`, of a label.
    pub fn to_json(&self, label: &str) -> Json {
        let Self { value, deployments, counts: of } = self;
        let mut json = Map::new();
        json.insert("label".to_owned(), json!(label));
        json.insert("value".to_owned(), json!(value));
        let ids: Vec<&str> = deployments.iter().map(DeploymentId::as_str).collect();
        json.insert("deployments".to_owned(), json!(ids));
        json.extend(counts(*of));
        Json::Object(json)
    }
}

fn deployment(deployment: &DeploymentCounts) -> Json {
    let DeploymentCounts { id, kind, priority, labels, counts: of, metrics } = deployment;
    let mut json = Map::new();
    json.insert("id".to_owned(), json!(id.as_str()));
    json.insert("kind".to_owned(), json!(kind));
    json.insert("priority".to_owned(), json!(priority));
    json.insert("labels".to_owned(), json!(labels));
    json.extend(counts(*of));
    json.insert("metrics".to_owned(), json!(metrics));
    Json::Object(json)
}

fn counts(counts: Counts) -> Map<String, Json> {
    let Counts { targeted, applied, success, failure, pending, stale } = counts;
    let named = [
        ("targeted", targeted),
        ("applied", applied),
        ("success", success),
        ("failure", failure),
        ("pending", pending),
        ("stale", stale),
    ];
    named.into_iter().map(|(name, n)| (name.to_owned(), json!(n))).collect()
}

fn pause(pause: &Pause) -> Json {
    let Pause { id: _, scope, reason, who, since, until } = pause;
    let mut json = scope_json(scope);
    json.insert("reason".to_owned(), json!(reason));
    json.extend(ordered(who, *since, *until));
    Json::Object(json)
}

fn pin(pin: &Pin) -> Json {
    let Pin { id: _, revision, scope, reason, who, since, until } = pin;
    let mut json = scope_json(scope);
    json.insert("revision".to_owned(), json!(revision));
    json.insert("reason".to_owned(), json!(reason));
    json.extend(ordered(who, *since, *until));
    Json::Object(json)
}

/// Which devices: `device`, or `where`; both null for all.
fn scope_json(scope: &Scope) -> Map<String, Json> {
    let (device, condition) = match scope {
        Scope::All => (None, None),
        Scope::Device(id) => (Some(id.as_str()), None),
        Scope::Where(condition) => (None, Some(condition.as_str())),
    };
    [("device", json!(device)), ("where", json!(condition))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn ordered(who: &str, since: Timestamp, until: Option<Timestamp>) -> Map<String, Json> {
    let until = until.map(|until| until.to_string());
    [("who", json!(who)), ("since", json!(since.to_string())), ("until", json!(until))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

//! What a control host knows of its fleet, as JSON, version 1: what devices report, when they were seen,
//! and what they have in force.
//!
//! Enters: the text of a saved answer. Leaves: a [`FleetState`], whole and checked, or what is wrong with
//! it. The same type writes the JSON. Fields that are not known are of a later version and are passed
//! over; those that are known must be right. Not here: where the answer came from.

use crate::fleet::{decode_manifest, print_manifest};
use crate::model::{DeviceId, Facts, FleetName, Manifest, Table, Timestamp, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::fmt;

/// What is known of a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetState {
    /// Its name.
    pub fleet: FleetName,
    /// The commit that was applied last to all devices; `None` if there was none.
    pub revision: Option<String>,
    /// Every device that was ever recorded.
    pub devices: BTreeMap<DeviceId, DeviceState>,
}

/// What is known of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    /// What it reports; `None` if it never did.
    pub reported: Option<Table>,
    /// When its engine last answered.
    pub seen: Option<Timestamp>,
    /// What it has; `None` if nothing was ever applied.
    pub in_force: Option<InForceState>,
}

/// What a device has.
#[derive(Debug, Clone, PartialEq)]
pub struct InForceState {
    /// The revision with which it came, with all digits.
    pub revision: String,
    /// The manifest.
    pub manifest: Manifest,
}

/// What is wrong with a text that should be a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError {
    /// Where: `devices.lift-01.seen`; empty for the whole.
    pub path: String,
    /// What.
    pub message: String,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "`{path}` {}", self.message),
        }
    }
}

impl std::error::Error for StateError {}

/// Reads a state.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode_state(text: &str) -> Result<FleetState, StateError> {
    let json: Json = serde_json::from_str(text).map_err(|error| StateError {
        path: String::new(),
        message: format!("no JSON: {error}"),
    })?;
    let top = At { path: String::new(), json: &json };
    match top.need("format")?.json {
        Json::Number(n) if n.as_u64() == Some(1) => {}
        _ => return Err(top.need("format")?.wrong("is not 1, the only format that is known")),
    }
    let fleet = top.need("fleet")?;
    let fleet = FleetName::parse(fleet.text()?).map_err(|error| fleet.wrong(error))?;
    let revision = top.maybe("revision")?.map(|at| at.text().map(str::to_owned)).transpose()?;
    let mut devices = BTreeMap::new();
    let all = top.need("devices")?;
    for (key, json) in all.object()? {
        let at = At { path: format!("devices.{key}"), json };
        let id = DeviceId::parse(key).map_err(|error| at.wrong(error))?;
        devices.insert(id.clone(), device(&id, &at)?);
    }
    Ok(FleetState { fleet, revision, devices })
}

fn device(id: &DeviceId, at: &At<'_>) -> Result<DeviceState, StateError> {
    let reported = match at.maybe("reported")? {
        None => None,
        Some(reported) => {
            reported.object()?;
            Value::from_json(reported.json).and_then(|value| value.as_table().cloned())
        }
    };
    let seen = match at.maybe("seen")? {
        None => None,
        Some(seen) => Some(Timestamp::parse(seen.text()?).map_err(|error| seen.wrong(error))?),
    };
    let in_force = match at.maybe("in_force")? {
        None => None,
        Some(in_force) => {
            let revision = in_force.need("revision")?.text()?.to_owned();
            let text = in_force.need("manifest")?;
            let manifest = decode_manifest(id, text.text()?).map_err(|problems| {
                let first = problems.iter().next().map(|d| d.message.clone()).unwrap_or_default();
                text.wrong(format!("is no manifest: {first}"))
            })?;
            Some(InForceState { revision, manifest })
        }
    };
    Ok(DeviceState { reported, seen, in_force })
}

/// A part of the JSON and where it is.
struct At<'a> {
    path: String,
    json: &'a Json,
}

impl<'a> At<'a> {
    fn wrong(&self, words: impl fmt::Display) -> StateError {
        StateError { path: self.path.clone(), message: words.to_string() }
    }

    fn object(&self) -> Result<&'a Map<String, Json>, StateError> {
        self.json.as_object().ok_or_else(|| self.wrong("is no object"))
    }

    fn text(&self) -> Result<&'a str, StateError> {
        self.json.as_str().ok_or_else(|| self.wrong("is no text"))
    }

    fn below(&self, key: &str, json: &'a Json) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{dot}{key}", self.path), json }
    }

    fn need(&self, key: &str) -> Result<Self, StateError> {
        let found = self.object()?.get(key).map(|json| self.below(key, json));
        found.ok_or_else(|| self.below(key, self.json).wrong("is missing"))
    }

    /// A key that must be there and may be null.
    fn maybe(&self, key: &str) -> Result<Option<Self>, StateError> {
        let at = self.need(key)?;
        Ok(if at.json.is_null() { None } else { Some(at) })
    }
}

impl FleetState {
    /// What its devices report.
    pub fn facts(&self) -> Facts {
        let reported =
            |(id, device): (&DeviceId, &DeviceState)| Some((id.clone(), device.reported.clone()?));
        Facts(self.devices.iter().filter_map(reported).collect())
    }

    /// What its devices have.
    pub fn in_force(&self) -> BTreeMap<DeviceId, Manifest> {
        let manifest = |(id, device): (&DeviceId, &DeviceState)| {
            Some((id.clone(), device.in_force.as_ref()?.manifest.clone()))
        };
        self.devices.iter().filter_map(manifest).collect()
    }

    /// The JSON that [`decode_state`] reads.
    pub fn to_json(&self) -> Json {
        let Self { fleet, revision, devices } = self;
        let devices: Map<String, Json> = devices
            .iter()
            .map(|(id, device)| {
                let DeviceState { reported, seen, in_force } = device;
                let in_force = in_force.as_ref().map(|in_force| {
                    let InForceState { revision, manifest } = in_force;
                    json!({"revision": revision, "manifest": print_manifest(manifest, "")})
                });
                let reported = reported.clone().map(|table| Value::Table(table).to_json());
                let device = json!({
                    "reported": reported,
                    "seen": seen.map(|moment| moment.to_string()),
                    "in_force": in_force,
                });
                (id.to_string(), device)
            })
            .collect();
        json!({"format": 1, "fleet": fleet.as_str(), "revision": revision, "devices": devices})
    }
}

//! What is recorded of a device, as plain data.

use crate::fleet::print_manifest;
use crate::model::{DeploymentId, DeviceId, Hash, Manifest, ModuleName, Timestamp};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Devices that are known, each shared: the daemon hands all of them out with each picture that it gives, while it goes on.
pub type StoredDevices = BTreeMap<DeviceId, Arc<StoredDevice>>;

/// One device as it was last recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDevice {
    /// Which.
    pub device: DeviceId,
    /// What it has; `None` if nothing was ever applied.
    pub in_force: Option<InForce>,
    /// How it stands.
    pub status: StatusSince,
    /// The id of the engine that was last seen behind its address.
    pub engine_id: Option<String>,
    /// The id of the engine that somebody accepted with whatever it runs.
    pub accepted_engine: Option<String>,
    /// How its engine was reached; `None` if it never was, or only a simulated one.
    pub engine: Option<EngineAt>,
    /// When its engine last answered.
    pub last_contact: Option<Timestamp>,
    /// Its modules as they were last seen.
    pub modules: BTreeMap<ModuleName, ModuleStanding>,
    /// What it reports; `None` if it never did.
    pub facts: Option<Arc<ReportedFacts>>,
    /// Since when no file of the fleet has it, if none has; it is listed for 30 days.
    pub departed: Option<Timestamp>,
}

impl InForce {
    /// A manifest that came with a revision, and the hash of the one that the device was brought to.
    pub fn of(manifest: &Manifest, brought_to: Hash, revision: &str) -> Self {
        Self {
            revision: revision.to_owned(),
            manifest_hash: brought_to,
            manifest: print_manifest(manifest, &format!("{} @ {revision}", manifest.device)),
            base: manifest.cohort.base.clone(),
            layers: manifest.cohort.layers.clone(),
        }
    }
}

impl StoredDevice {
    /// A device of which nothing is known yet.
    pub fn unknown(device: DeviceId, now: Timestamp) -> Self {
        let description = "not reached yet".to_owned();
        Self {
            device,
            in_force: None,
            status: StatusSince { code: 202, description, since: now },
            engine_id: None,
            accepted_engine: None,
            engine: None,
            last_contact: None,
            modules: BTreeMap::new(),
            facts: None,
            departed: None,
        }
    }
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAt {
    /// Its address, as fleet files write it.
    pub address: String,
    /// The name of its client certificate on the control host.
    pub tls: Option<String>,
}

/// What a device has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The revision, with all digits.
    pub revision: String,
    /// Hash of the manifest.
    pub manifest_hash: Hash,
    /// The manifest as canonical TOML.
    pub manifest: String,
    /// Its base.
    pub base: DeploymentId,
    /// Its layers, from the lowest upwards.
    pub layers: Vec<DeploymentId>,
}

/// A status code, its words, and since when the code is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSince {
    /// 200, 202, 4xx, 5xx.
    pub code: u16,
    /// In words.
    pub description: String,
    /// Since when. Recording the same code again leaves the stored moment.
    pub since: Timestamp,
}

/// One module as it was last seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModuleStanding {
    /// `running`, `unhealthy`, `backoff`, `stopped`, `failed`, `unknown`.
    pub status: String,
    /// With which code it ended, if it did.
    pub exit_code: Option<i64>,
    /// How often it was started again.
    pub restart_count: u64,
    /// The engine's id of its container, if there is one.
    pub container: Option<String>,
    /// Its status code.
    pub code: u16,
    /// That in words.
    pub description: String,
    /// When the engine started it last, as the engine writes it.
    pub started_at: Option<String>,
    /// The id of the image that it runs.
    pub image_id: Option<String>,
    /// What it reports itself; `None` if nobody looked yet.
    pub report: Option<ModuleReport>,
}

/// What a module wrote into its `out/reported.json`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModuleReport {
    /// The last content that was good; `None` if there never was any.
    pub content: Option<Json>,
    /// When it was looked for last, in seconds since 1970.
    pub looked_at: i64,
    /// Form, size and time of the file as it was looked at last; empty if there was none.
    pub stamp: String,
    /// Why what is there now is not taken, in words.
    pub problem: Option<String>,
}

/// What a device reports, and since when it reports exactly that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedFacts {
    /// The reported properties.
    pub reported: Json,
    /// Since when. Recording the same report again leaves the stored moment.
    pub since: Timestamp,
    /// By path: each single fact, and since when it holds.
    pub held: BTreeMap<Vec<String>, HeldFact>,
}

/// One reported fact, with the moment since which it is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFact {
    /// As it was seen last; `None` if it is not reported any more.
    pub value: Option<Json>,
    /// Since when.
    pub since: Timestamp,
    /// The value before that held long enough: it stands until the present one has.
    pub settled: Option<Json>,
}

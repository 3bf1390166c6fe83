//! What a run began beside modules that go, and does not know the end of: as a text.

use super::error::StoreError;
use super::open::Store;
use crate::model::{DeviceId, ModuleName, ObservedPort};
use crate::plan::{HalfDone, MadeRoom};
use serde_json::{Value as Json, json};

/// Where it is kept: a migration of its own.
pub(super) const COLUMN: &str = "ALTER TABLE memories ADD COLUMN half_done TEXT;";

pub(super) fn half_done_text(half_done: &HalfDone) -> Option<String> {
    let HalfDone { coming, made_room } = half_done;
    let coming: Vec<[&str; 2]> =
        coming.iter().map(|(name, spec)| [name.as_str(), spec.as_str()]).collect();
    let made_room = made_room.iter().map(|(id, was)| {
        let MadeRoom { policy, ports, modules } = was;
        let ports = ports.iter().map(|ObservedPort { ip, host, protocol }| {
            json!({"ip": ip, "host": host, "protocol": protocol})
        });
        let modules = modules.iter().map(ModuleName::as_str);
        let was = json!({
            "policy": policy,
            "ports": ports.collect::<Vec<_>>(),
            "modules": modules.collect::<Vec<_>>(),
        });
        (id.clone(), was)
    });
    let made_room: serde_json::Map<String, Json> = made_room.collect();
    let is_any = !coming.is_empty() || !made_room.is_empty();
    is_any.then(|| json!({"coming": coming, "made_room": made_room}).to_string())
}

impl Store {
    /// Remembers what a run of a device has still half done, in place of what was remembered of that.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn remember_half_done(
        &self,
        device: &DeviceId,
        half_done: &HalfDone,
    ) -> Result<(), StoreError> {
        let text = half_done_text(half_done);
        self.write(|t| {
            t.prepare_cached("UPDATE memories SET half_done = ?2 WHERE device = ?1")?
                .execute((device.as_str(), text))
                .map(drop)
        })
    }

    pub(super) fn half_done(&self, json: &Json) -> Result<HalfDone, StoreError> {
        let module =
            |name: &str| ModuleName::parse(name).map_err(|error| self.damaged(error.to_string()));
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let mut half_done = HalfDone::default();
        for coming in json["coming"].as_array().into_iter().flatten() {
            half_done.coming.insert((module(&text(&coming[0]))?, self.hash(&text(&coming[1]))?));
        }
        for (id, was) in json["made_room"].as_object().into_iter().flatten() {
            let ports = was["ports"].as_array().into_iter().flatten().map(|port| ObservedPort {
                ip: text(&port["ip"]),
                host: port["host"].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or_default(),
                protocol: text(&port["protocol"]),
            });
            let modules = was["modules"].as_array().into_iter().flatten();
            let modules = modules.map(|name| module(name.as_str().unwrap_or_default()));
            let was = MadeRoom {
                policy: text(&was["policy"]),
                ports: ports.collect(),
                modules: modules.collect::<Result<_, _>>()?,
            };
            half_done.made_room.insert(id.clone(), was);
        }
        Ok(half_done)
    }
}

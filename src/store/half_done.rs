//! What a run began beside modules that go, and does not know the end of: as a text.

use super::error::StoreError;
use super::open::Store;
use crate::model::{ModuleName, ObservedPort};
use crate::plan::{HalfDone, MadeRoom};
use serde_json::{Value as Json, json};

/// Where it is kept: a migration of its own.
pub(super) const COLUMN: &str = "ALTER TABLE memories ADD COLUMN half_done TEXT;";

pub(super) fn half_done_text(half_done: &HalfDone) -> Option<String> {
    let HalfDone { coming, made_room } = half_done;
    let coming = coming.iter().map(|(name, spec)| (name.to_string(), json!(spec.as_str())));
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
    let coming: serde_json::Map<String, Json> = coming.collect();
    let made_room: serde_json::Map<String, Json> = made_room.collect();
    let is_any = !coming.is_empty() || !made_room.is_empty();
    is_any.then(|| json!({"coming": coming, "made_room": made_room}).to_string())
}

impl Store {
    pub(super) fn half_done(&self, json: &Json) -> Result<HalfDone, StoreError> {
        let module =
            |name: &str| ModuleName::parse(name).map_err(|error| self.damaged(error.to_string()));
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let mut half_done = HalfDone::default();
        for (name, spec) in json["coming"].as_object().into_iter().flatten() {
            half_done.coming.insert(module(name)?, self.hash(&text(spec))?);
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

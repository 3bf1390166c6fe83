//! A plan as JSON, version 1. It holds no values of variables or twins: revision, digest, steps in words,
//! and the fingerprint of what was observed are what a saved plan is checked by.

use super::{DevicePlan, DeviceState, PinnedTo, Plan, Purpose, Work};
use serde_json::{Value as Json, json};

/// The whole plan.
pub fn plan_json(plan: &Plan) -> Json {
    let Plan { fleet, revision, digest, narrowed, devices } = plan;
    let devices: serde_json::Map<String, Json> =
        devices.iter().map(|(id, device)| (id.to_string(), device_json(device))).collect();
    json!({
        "format": 1,
        "fleet": fleet,
        "revision": revision,
        "digest": digest.as_str(),
        "narrowed": narrowed,
        "devices": devices,
    })
}

fn device_json(plan: &DevicePlan) -> Json {
    let DevicePlan {
        device: _,
        state,
        manifest,
        retained,
        works,
        blocked,
        specs: _,
        adopts,
        held_back,
        held_back_down: _,
        fingerprint,
        kept_memory: _,
        due: _,
        held,
        pinned,
    } = plan;
    let (state, reason) = match state {
        DeviceState::Observed => ("observed", None),
        DeviceState::Pending(words) => ("pending", Some(words)),
        DeviceState::Paused(words) | DeviceState::Held { words, .. } => ("held", Some(words)),
    };
    let mut json = json!({
        "state": state,
        "reason": reason,
        "retained": retained,
        "held": held,
        "manifest": manifest.as_ref().map(|manifest| manifest.hash().to_string()),
        "fingerprint": fingerprint.as_ref().map(ToString::to_string),
        "blocked": blocked.iter().map(|(name, block)| json!({
            "module": name.as_str(), "code": block.code(), "reason": block.to_string(),
        })).collect::<Vec<_>>(),
        "adopts": adopts.iter().map(|(name, id)| json!({
            "module": name.as_str(), "container": id,
        })).collect::<Vec<_>>(),
        "held_back": held_back.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "works": works.iter().map(work_json).collect::<Vec<_>>(),
    });
    if let Some(PinnedTo { revision, who, reason }) = pinned {
        json["pinned"] = json!({"revision": revision, "who": who, "reason": reason});
    }
    json
}

/// One work.
pub fn work_json(work: &Work) -> Json {
    let (kind, subject, action) = match &work.purpose {
        Purpose::Image(image) => ("image", image.as_str(), "pull"),
        Purpose::Network(name) => ("network", name.as_str(), "network"),
        Purpose::Module { name, action } => ("module", name.as_str(), action.as_str()),
    };
    json!({
        "kind": kind,
        "subject": subject,
        "action": action,
        "reasons": work.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "steps": work.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

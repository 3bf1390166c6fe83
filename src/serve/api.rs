//! The JSON API: the shapes of `hoist status --format json` and of a saved state.

use super::answer::refusal;
use super::router::State;
use crate::fleet::decode_manifest;
use crate::language::{Condition, Subject, Truth};
use crate::model::{DeviceId, Facts, Value};
use crate::reconcile::{
    HeldRevision, Snapshot, entry_json, held_facts, moment_since, reported_properties,
};
use crate::review::{DeviceState, FleetState, InForceState};
use crate::rollout::Standing;
use crate::store::HistoryFilter;
use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value as Any, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// More devices or entries are in no answer.
pub(super) const MOST: usize = 1000;
/// And so many if nobody says how many.
const USUAL: usize = 100;

type At = Extract<Arc<State>>;

/// Which part of a list.
#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(rename = "where")]
    wanted: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
    device: Option<String>,
    since: Option<String>,
}

fn nothing_yet() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "nothing was accepted yet")
}

pub(super) async fn nothing_here() -> Response {
    refusal(StatusCode::NOT_FOUND, "there is nothing at this path; /api/v1/openapi.json lists all")
}

pub(super) async fn fleet(Extract(state): At) -> Response {
    let snapshot = state.snapshot();
    let (Some(accepted), Some(status)) = (&snapshot.accepted, snapshot.status()) else {
        return nothing_yet();
    };
    let mut codes = status.codes();
    let stale = codes.remove(&None).unwrap_or(0);
    let codes: BTreeMap<String, usize> =
        codes.into_iter().filter_map(|(code, n)| Some((code?.to_string(), n))).collect();
    let trouble = |trouble: &Option<crate::reconcile::Trouble>| {
        trouble.as_ref().map(|t| json!({"words": t.words, "since": t.since.to_string()}))
    };
    let source = &snapshot.source;
    Json(json!({
        "format": 1,
        "fleet": accepted.fleet.name.as_str(),
        "revision": accepted.revision,
        "digest": accepted.digest.to_string(),
        "held": snapshot.held.as_ref().map(HeldRevision::to_json),
        "fetch_trouble": trouble(&source.trouble),
        "unsigned": snapshot.unsigned(),
        "rollout": snapshot.rollout.as_ref().map(Standing::to_json),
        "devices": status.devices.len(),
        "codes": codes,
        "stale": stale,
        "at": snapshot.at.to_string(),
        "trouble": trouble(&snapshot.trouble),
        "source": {
            "repository": source.repository, "branch": source.branch, "head": source.head,
            "fetched": source.fetched.map(|at| at.to_string()), "trouble": trouble(&source.trouble),
        },
    }))
    .into_response()
}

pub(super) async fn deployments(Extract(state): At) -> Response {
    let snapshot = state.snapshot();
    match snapshot.status_json() {
        Some(status) => {
            Json(json!({"format": 1, "revision": status["revision"], "deployments": status["deployments"]}))
                .into_response()
        }
        None => nothing_yet(),
    }
}

pub(super) async fn devices(Extract(state): At, Query(part): Query<Part>) -> Response {
    let snapshot = state.snapshot();
    let Some(status) = snapshot.status_json() else { return nothing_yet() };
    let wanted = match chosen(&snapshot, part.wanted.as_deref()) {
        Ok(wanted) => wanted,
        Err(words) => return refusal(StatusCode::BAD_REQUEST, &words),
    };
    let all = status["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
    let id = |device: &Any| device["id"].as_str().unwrap_or_default().to_owned();
    let is_wanted = |device: &&Any| wanted.as_ref().is_none_or(|ids| ids.contains(&id(device)));
    let total = all.iter().filter(is_wanted).count();
    let limit = part.limit.unwrap_or(USUAL);
    let rest: Vec<&Any> = all
        .iter()
        .filter(is_wanted)
        .filter(|device| part.after.as_ref().is_none_or(|after| id(device) > *after))
        .collect();
    let next = (rest.len() > limit).then(|| id(rest[limit - 1]));
    let page = &rest[..rest.len().min(limit)];
    Json(json!({"format": 1, "total": total, "devices": page, "next": next})).into_response()
}

/// The devices that meet a condition, with what they report now; `None` for all.
///
/// # Errors
/// What is wrong with the condition, with its place.
pub(super) fn chosen(
    snapshot: &Snapshot,
    wanted: Option<&str>,
) -> Result<Option<BTreeSet<String>>, String> {
    let Some(text) = wanted.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let condition = Condition::parse(text).map_err(|errors| {
        let first = errors.first();
        let start = first.and_then(|error| usize::try_from(error.span.start).ok()).unwrap_or(0);
        let place = text.get(..start).map_or(0, |before| before.chars().count());
        let words = first.map(ToString::to_string).unwrap_or_default();
        let help = first.and_then(|error| error.help.as_ref());
        let help = help.map(|help| format!("\n{help}")).unwrap_or_default();
        format!("{text}\n{}^\n{words}{help}", " ".repeat(place))
    })?;
    let Some(accepted) = &snapshot.accepted else { return Ok(Some(BTreeSet::new())) };
    let is_met = |device: &&Arc<crate::model::Device>| {
        let stored = snapshot.devices.get(&device.id);
        let live = stored.map(|stored| (device.id.clone(), reported_properties(stored)));
        let facts = Facts(live.into_iter().collect());
        let reported = facts.reported(device);
        condition.evaluate(Subject { device, reported: &reported }) == Truth::True
    };
    let devices = accepted.fleet.devices.values().filter(is_met);
    Ok(Some(devices.map(|device| device.id.to_string()).collect()))
}

pub(super) async fn device(Extract(state): At, Path(id): Path<String>) -> Response {
    let snapshot = state.snapshot();
    let Some(status) = snapshot.status_json() else { return nothing_yet() };
    let devices = status["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(mut found) = devices.iter().find(|device| device["id"] == id.as_str()).cloned() else {
        return refusal(StatusCode::NOT_FOUND, &format!("the fleet has no device `{id}`"));
    };
    let stored = DeviceId::parse(&id).ok().and_then(|id| snapshot.devices.get(&id).cloned());
    let in_force = stored.as_ref().and_then(|stored| stored.in_force.as_ref());
    found["format"] = json!(1);
    found["manifest"] = json!(in_force.map(|in_force| in_force.manifest.as_str()));
    found["reported"] = stored
        .as_ref()
        .map_or(Any::Null, |stored| Value::Table(reported_properties(stored)).to_json());
    found["running"] =
        json!(snapshot.running.iter().find(|(of, _)| of.as_str() == id).map(|(_, words)| words));
    Json(found).into_response()
}

pub(super) async fn history(Extract(state): At, Query(part): Query<Part>) -> Response {
    let device = match part.device.as_deref().map(DeviceId::parse).transpose() {
        Ok(device) => device,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let moment =
        |text: &str| moment_since(text, state.now()).map_err(|words| format!("since: {words}"));
    let since = match part.since.as_deref().map(moment).transpose() {
        Ok(since) => since,
        Err(words) => return refusal(StatusCode::BAD_REQUEST, &words),
    };
    let limit = u32::try_from(part.limit.unwrap_or(USUAL)).unwrap_or(u32::MAX);
    match state.store.history(&HistoryFilter { device, since, limit: Some(limit) }) {
        Ok(entries) => {
            let entries: Vec<Any> = entries.iter().map(entry_json).collect();
            Json(json!({"format": 1, "entries": entries})).into_response()
        }
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(super) async fn rollout(Extract(state): At) -> Response {
    Json(json!({"format": 1, "rollout": state.snapshot().rollout.as_ref().map(Standing::to_json)}))
        .into_response()
}

pub(super) async fn state(Extract(state): At) -> Response {
    let snapshot = state.snapshot();
    match fleet_state(&snapshot) {
        Some(state) => Json(state.to_json()).into_response(),
        None => nothing_yet(),
    }
}

/// What CI decides on: the facts that targets see, and what is in force.
fn fleet_state(snapshot: &Snapshot) -> Option<FleetState> {
    let accepted = snapshot.accepted.as_ref()?;
    let facts = held_facts(&snapshot.devices, snapshot.at);
    let devices = snapshot.devices.iter().map(|(id, stored)| {
        let in_force = stored.in_force.as_ref().and_then(|in_force| {
            let manifest = decode_manifest(id, &in_force.manifest).ok()?;
            Some(InForceState { revision: in_force.revision.clone(), manifest })
        });
        let reported = facts.0.get(id).cloned();
        (id.clone(), DeviceState { reported, seen: stored.last_contact, in_force })
    });
    Some(FleetState {
        fleet: accepted.fleet.name.clone(),
        revision: Some(accepted.revision.clone()),
        devices: devices.collect(),
    })
}

pub(super) async fn openapi() -> Response {
    Json(super::openapi()).into_response()
}

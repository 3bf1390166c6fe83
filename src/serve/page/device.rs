//! One device: how it stands, its modules and their twins, what changed last, its manifest, its history.

use super::change::last;
use super::frame::{Tab, page};
use super::history::list;
use super::manifest::manifest;
use super::orders::no_orders;
use super::signs::{badge, badge_of, moment, words_of};
use super::twin::twins;
use crate::fleet::decode_manifest;
use crate::model::{DeviceId, Manifest, Table, Timestamp, Value, path_segment};
use crate::plan::short_revision;
use crate::reconcile::{DeviceStatus, ModuleStatus, Snapshot};
use crate::serve::access::form_token;
use crate::serve::answer::{encoded, refusal};
use crate::serve::router::State;
use crate::store::{HistoryFilter, Scope};
use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use std::sync::Arc;

pub(super) async fn device(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
) -> Response {
    let (snapshot, now) = (state.snapshot(), state.now());
    let found = snapshot.status().and_then(|s| s.devices.iter().find(|d| d.id.as_str() == id));
    let Some(device) = found else {
        return refusal(StatusCode::NOT_FOUND, &format!("the fleet has no device `{id}`"));
    };
    let filter =
        HistoryFilter { device: Some(device.id.clone()), limit: Some(200), ..Default::default() };
    let history = state.store.history(&filter).unwrap_or_default();
    let stored = snapshot.devices.get(&device.id);
    let in_force = stored.and_then(|stored| stored.in_force.as_ref());
    let recorded =
        in_force.and_then(|in_force| decode_manifest(&device.id, &in_force.manifest).ok());
    let changed = last(&state, &device.id, &history).await;
    let content = html! {
        p class="up" { a href="/devices" { "Devices" } }
        h1 { (device.id) " " (badge_of(device)) }
        (standing(&snapshot, device, now))
        (orders(&state, &device.id))
        (modules(device, recorded.as_ref()))
        (changed)
        @if let (Some(stored), Some(recorded)) = (stored, &recorded) { (twins(stored, recorded, now)) }
        (manifest(&snapshot, &device.id, recorded.as_ref()))
        section aria-labelledby="history" { h2 id="history" { "History" } (list(&history, now, 20)) }
    };
    page(&snapshot, now, Tab::Devices, device.id.as_str(), &content).into_response()
}

fn standing(snapshot: &Snapshot, device: &DeviceStatus, now: Timestamp) -> Markup {
    let said = snapshot.accepted.as_ref().and_then(|a| a.fleet.devices.get(&device.id));
    let since = snapshot.devices.get(&device.id).map(|stored| stored.status.since);
    html! {
        @if device.code != 200 || device.stale { p class="words lead" { (words_of(device, now)) } }
        @if let Some(words) = snapshot.running.get(&device.id) {
            p class="moving" { span class="shape" aria-hidden="true" { "◐" } " Now: " (words) }
        }
        dl class="facts" {
            div { dt { "Base and layers" } dd {
                @match &device.base { Some(base) => { (base) @for layer in &device.layers { " + " (layer) } } None => { "none" } }
            } }
            div { dt { "Revision" } dd { @match &device.revision { Some(r) => { code { (short_revision(r)) } } None => { "none" } } } }
            div { dt { "Last contact" } dd { @match device.last_contact { Some(at) => { (moment(at, now)) } None => { "never" } } } }
            @if let Some(since) = since { div { dt { "Status since" } dd { (moment(since, now)) } } }
            @if let Some(engine) = said.and_then(|said| said.engine.as_ref()) { div { dt { "Engine" } dd { code { (engine) } } } }
        }
        @if let Some(said) = said.filter(|said| !said.tags.is_empty()) {
            ul class="tags" aria-label="Tags" { (tags("tags", &said.tags)) }
        }
    }
}

/// Every tag as a condition that other devices with it meet.
fn tags(path: &str, table: &Table) -> Markup {
    html! {
        @for (key, value) in table {
            @let path = format!("{path}.{}", path_segment(key));
            @match value {
                Value::Table(inner) => { (tags(&path, inner)) }
                Value::String(text) if !text.contains('\'') => {
                    li { a href={"/devices?where=" (encoded(&format!("{path} = '{text}'")))} { (path.trim_start_matches("tags.")) " " b { (text) } } }
                }
                Value::Bool(_) | Value::Integer(_) => {
                    li { a href={"/devices?where=" (encoded(&format!("{path} = {}", value.to_json())))} { (path.trim_start_matches("tags.")) " " b { (value.to_json()) } } }
                }
                value => { li { span { (path.trim_start_matches("tags.")) " " b { (value.to_json()) } } } }
            }
        }
    }
}

fn orders(state: &State, id: &DeviceId) -> Markup {
    let pauses = state.store.pauses(state.now()).unwrap_or_default();
    let own = pauses.iter().find(|pause| pause.scope == Scope::Device(id.clone()));
    let form = |path: &str, content: Markup| {
        html! {
            form class="filter" method="post" action=(path) {
                input type="hidden" name="form" value=(form_token(state));
                input type="hidden" name="device" value=(id);
                (content)
            }
        }
    };
    html! {
        section class={"card" @if own.is_some() { " notice held" }} aria-label="Orders" {
            @if let Some(pause) = own {
                p { span class="shape" aria-hidden="true" { "‖" } " Paused by " (pause.who) ": " (pause.reason) }
            }
            @match (own, state.takes_orders()) {
                (Some(_), true) => { (form("/resume", html! { button type="submit" { "Resume" } })) }
                (Some(_), false) => { (no_orders(&format!("hoist resume {id}"))) }
                (None, false) => { (no_orders(&format!("hoist pause {id} --reason …"))) }
                (None, true) => {
                    (form("/pause", html! {
                        label for="reason" { "Leave this device alone, because" }
                        div { input id="reason" name="reason" required maxlength="200" autocomplete="off"; button type="submit" { "Pause" } }
                    }))
                }
            }
        }
    }
}

/// An image's name, which is broken where its parts end if it has to be.
fn image(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['/', ':', '@']) { (part) wbr; } }
}

fn modules(device: &DeviceStatus, manifest: Option<&Manifest>) -> Markup {
    html! {
        section aria-labelledby="modules" {
            h2 id="modules" { "Modules" }
            // Their badges are of then, and say nothing of now.
            @if (device.code == 406 || device.stale) && !device.modules.is_empty() {
                p class="quiet" { "As they were when the device was seen last." }
            }
            @if device.modules.is_empty() { p class="quiet" { "None was seen yet." } } @else {
                ul class="modules" { @for module in &device.modules { (one_module(module, manifest)) } }
            }
        }
    }
}

fn one_module(module: &ModuleStatus, manifest: Option<&Manifest>) -> Markup {
    let ModuleStatus { name, status, exit_code, restart_count, code, description, report_problem } =
        module;
    let said = manifest.and_then(|m| m.modules.iter().find(|(of, _)| of.as_str() == name));
    html! {
        li {
            p { b { (name) } " " (badge(*code)) }
            @if let Some((_, said)) = said { p { code class="quiet" { (image(&said.image)) } } }
            p class="words" {
                @if !description.starts_with(status.as_str()) { (status) ": " }
                (description)
                @if let Some(code) = exit_code { ", ended with " (code) }
                @if *restart_count > 0 { ", restarted " (restart_count) " times" }
            }
            @if let Some(problem) = report_problem { p class="words bad" { "▲ Its report is not taken: " (problem) } }
        }
    }
}

//! Devices, with a box that takes a target condition.

use super::frame::{Tab, count, number, page};
use super::signs::{WORDS, badge_of, moment, sign_of, words_of};
use crate::model::Timestamp;
use crate::plan::short_revision;
use crate::reconcile::DeviceStatus;
use crate::serve::answer::encoded;
use crate::serve::api::chosen;
use crate::serve::router::State;
use axum::extract::{Query, State as Extract};
use axum::response::Html;
use maud::{Markup, html};
use serde::Deserialize;
use std::sync::Arc;

/// So many are on a page: what is more is a click away, and no browser has to carry it.
const ON_A_PAGE: usize = 200;

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(rename = "where", default)]
    condition: String,
    #[serde(default)]
    status: String,
    after: Option<String>,
}

impl Wanted {
    /// The address of the list with this status, and after this device.
    fn address(&self, status: &str, after: Option<&str>) -> String {
        let mut parts = Vec::new();
        for (key, value) in [("where", self.condition.as_str()), ("status", status)] {
            if !value.is_empty() {
                parts.push(format!("{key}={}", encoded(value)));
            }
        }
        parts.extend(after.map(|after| format!("after={}", encoded(after))));
        if parts.is_empty() {
            "/devices".to_owned()
        } else {
            format!("/devices?{}", parts.join("&"))
        }
    }
}

pub(super) async fn devices(
    Extract(state): Extract<Arc<State>>,
    Query(wanted): Query<Wanted>,
) -> Html<String> {
    let (snapshot, now) = (state.snapshot(), state.now());
    let found = chosen(&snapshot, Some(&wanted.condition));
    let all = snapshot.status().map(|status| status.devices.as_slice()).unwrap_or_default();
    let list = match &found {
        Err(words) => html! { pre class="card notice bad" role="alert" { (words) } },
        Ok(ids) => {
            let is_chosen = |device: &&DeviceStatus| {
                ids.as_ref().is_none_or(|ids| ids.contains(device.id.as_str()))
            };
            let chosen: Vec<&DeviceStatus> = all.iter().filter(is_chosen).collect();
            html! { (statuses(&chosen, &wanted)) (table(&chosen, &wanted, now)) }
        }
    };
    let content = html! {
        h1 { "Devices" }
        form class="filter" method="get" action="/devices" role="search" {
            label for="where" { "Filter by a target condition" }
            div {
                input id="where" name="where" type="search" value=(wanted.condition) spellcheck="false" autocapitalize="off"
                    autocomplete="off" placeholder="tags.environment = 'prod' AND NOT tags.secure = true";
                @if !wanted.status.is_empty() { input type="hidden" name="status" value=(wanted.status); }
                button type="submit" { "Filter" }
            }
            p class="hint" { "As deployments write it; " code { "hoist help conditions" } " has the reference. " kbd { "/" } " leads here from every page." }
        }
        (list)
    };
    page(&snapshot, now, Tab::Devices, "Devices", &content)
}

/// How many devices look how, each a way to those alone.
fn statuses(devices: &[&DeviceStatus], wanted: &Wanted) -> Markup {
    let counts = WORDS.map(|word| {
        let sign = devices.iter().map(|device| sign_of(device)).find(|sign| sign.word == word);
        let n = devices.iter().filter(|device| sign_of(device).word == word).count();
        (word, sign, n)
    });
    let current = |word: &str| (wanted.status == word).then_some("true");
    html! {
        ul class="chips" aria-label="By status" {
            li { a href=(wanted.address("", None)) aria-current=[current("")] { "all " b { (number(devices.len())) } } }
            @for (word, sign, n) in &counts {
                @if *n > 0 || wanted.status == *word {
                    @let class = sign.as_ref().map_or("quiet", |sign| sign.class);
                    li { a class=(class) href=(wanted.address(word, None)) aria-current=[current(word)] {
                        @if let Some(sign) = sign { span class="shape" aria-hidden="true" { (sign.shape) } " " }
                        (word) " " b { (number(*n)) }
                    } }
                }
            }
        }
    }
}

fn table(devices: &[&DeviceStatus], wanted: &Wanted, now: Timestamp) -> Markup {
    let has_status =
        |device: &&&DeviceStatus| wanted.status.is_empty() || sign_of(device).word == wanted.status;
    let is_later = |device: &&&DeviceStatus| {
        wanted.after.as_ref().is_none_or(|after| device.id.as_str() > after.as_str())
    };
    let total = devices.iter().filter(has_status).count();
    let rest: Vec<&&DeviceStatus> = devices.iter().filter(has_status).filter(is_later).collect();
    let shown = &rest[..rest.len().min(ON_A_PAGE)];
    html! {
        p class="quiet" role="status" { (count(total, "device")) }
        @if !shown.is_empty() {
            table class="devices" {
                thead { tr {
                    th scope="col" { "Device" } th scope="col" { "Status" } th scope="col" { "Words" }
                    th scope="col" { "Base and layers" } th scope="col" { "Revision" } th scope="col" { "Last contact" }
                } }
                tbody { @for device in shown { (row(device, now)) } }
            }
        }
        @if rest.len() > ON_A_PAGE {
            @if let Some(last) = shown.last() {
                p { a class="next" rel="next" href=(wanted.address(&wanted.status, Some(last.id.as_str()))) {
                    "The next of " (number(rest.len() - ON_A_PAGE)) " more"
                } }
            }
        }
    }
}

fn row(device: &DeviceStatus, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" { a href={"/devices/" (encoded(device.id.as_str()))} { (device.id) } }
            td class="status" { (badge_of(device)) }
            td class="words" { @if device.code != 200 || device.stale { (words_of(device, now)) } }
            td class="base" { @if let Some(base) = &device.base { (base) @for layer in &device.layers { span class="quiet" { " + " } (layer) } } }
            td class="revision" { @if let Some(revision) = &device.revision { code { (short_revision(revision)) } } }
            td class="seen" { @match device.last_contact { Some(at) => { (moment(at, now)) } None => { span class="quiet" { "never" } } } }
        }
    }
}

//! The overview: how the fleet stands in one sentence, what is held and why, every device at a glance, deployments with
//! their counts, what was done last.

use super::deployments::deployments;
use super::frame::{Tab, count, number, page};
use super::history::list;
use super::notices::notices;
use super::rollout::rollout_card;
use super::signs::{Sign, WORDS, moment, sign_of};
use crate::model::Timestamp;
use crate::plan::short_revision;
use crate::reconcile::{DeviceStatus, FleetStatus, Snapshot};
use crate::rollout::{PhaseStanding, Standing};
use crate::serve::answer::encoded;
use crate::serve::router::State;
use crate::store::HistoryFilter;
use axum::extract::State as Extract;
use axum::response::Html;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many devices are drawn one by one; of more, only those that are not as desired.
const MOST_CELLS: usize = 2000;
/// So many entries of the history are looked at for what was done last.
const LATELY: u32 = 400;

pub(super) async fn overview(Extract(state): Extract<Arc<State>>) -> Html<String> {
    let (snapshot, now) = (state.snapshot(), state.now());
    let filter = HistoryFilter { limit: Some(LATELY), ..Default::default() };
    let history = state.store.history(&filter).unwrap_or_default();
    let content = html! {
        @match snapshot.status() {
            Some(status) => {
                (standing(&snapshot, status, now))
                (notices(&state, &snapshot, now))
                @if let Some(rollout) = &snapshot.rollout { (rollout_card(rollout)) }
                (by_status(status))
                (deployments(&snapshot, status))
                section aria-labelledby="lately" {
                    h2 id="lately" { "Lately" }
                    (list(&history, now, 6))
                    p { a href="/history" { "All history" } }
                }
            }
            None => {
                h1 { "Nothing is in force yet" }
                (source(&snapshot, now))
                (notices(&state, &snapshot, now))
            }
        }
    };
    page(&snapshot, now, Tab::Overview, "Overview", &content)
}

/// How many devices look how, the gravest first.
fn counted(devices: &[DeviceStatus]) -> Vec<(Sign, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut signs: BTreeMap<&str, Sign> = BTreeMap::new();
    for device in devices {
        let sign = sign_of(device);
        *counts.entry(sign.word).or_default() += 1;
        signs.entry(sign.word).or_insert(sign);
    }
    WORDS.iter().filter_map(|word| Some((signs.remove(word)?, counts[word]))).collect()
}

fn standing(snapshot: &Snapshot, status: &FleetStatus, now: Timestamp) -> Markup {
    let total = status.devices.len();
    let counts = counted(&status.devices);
    let good = counts.iter().find(|(sign, _)| sign.class == "good").map_or(0, |(_, n)| *n);
    let rollout = snapshot.rollout.as_ref();
    // What failed of a change that waits for people is no news beside that.
    let waits = rollout.is_some_and(|of| matches!(of.state, "paused" | "halted"));
    let change = rollout.filter(|_| waits || good == total).and_then(change);
    let headline = match (change, good, total) {
        (_, _, 0) => "The fleet has no devices yet".to_owned(),
        (Some(words), ..) => words,
        (None, 1, 1) => "The device is as desired".to_owned(),
        (None, good, total) if good == total => {
            format!("All {} are as desired", count(total, "device"))
        }
        (None, good, total) => {
            format!("{} of {} are as desired", number(good), count(total, "device"))
        }
    };
    html! {
        h1 class="standing" { (headline) }
        (source(snapshot, now))
    }
}

/// What there is to say first of a rollout; `None` if nobody waits for it.
fn change(rollout: &Standing) -> Option<String> {
    let sum = |of: fn(&PhaseStanding) -> usize| rollout.phases.iter().map(of).sum::<usize>();
    let words = match rollout.state {
        "running" | "waiting" => "A change is on its way",
        "paused" => "A change is paused",
        "halted" => "A change has halted",
        "rolled back" => return Some("The last change went back".to_owned()),
        _ => return None,
    };
    let devices = count(sum(|phase| phase.devices), "device");
    Some(format!("{words}: {} of {devices} have it", number(sum(|phase| phase.success))))
}

fn source(snapshot: &Snapshot, now: Timestamp) -> Markup {
    let source = &snapshot.source;
    let accepted = snapshot.accepted.as_ref().map(|accepted| &accepted.revision);
    let ahead = source.head.as_ref().filter(|head| accepted.is_some_and(|a| a != *head));
    html! {
        p class="quiet source" {
            "Branch " b { (source.branch) } " of " span class="repository" { (source.repository) }
            @if let Some(at) = source.fetched { ", read " (moment(at, now)) }
            @if let Some(head) = ahead { "; newest commit " code { (short_revision(head)) } }
        }
    }
}

fn by_status(status: &FleetStatus) -> Markup {
    let counts = counted(&status.devices);
    let total = status.devices.len();
    html! {
        section aria-labelledby="fleet" {
            h2 id="fleet" { "Devices" }
            @if counts.len() > 1 { ul class="tiles" {
                @for (Sign { shape, word, class }, n) in &counts {
                    li {
                        a class={"tile " (class)} href={"/devices?status=" (encoded(word))} {
                            span class="number" { (number(*n)) }
                            span class="word" { span class="shape" aria-hidden="true" { (shape) } " " (word) }
                        }
                    }
                }
            } }
            @if total > 1 { (field(&status.devices, &counts)) }
        }
    }
}

/// Every device as a cell, in the order of their ids, so that neighbours stay neighbours. The same is in the list that the
/// tiles lead to: keyboards and screen readers need not walk through a thousand cells.
fn field(devices: &[DeviceStatus], counts: &[(Sign, usize)]) -> Markup {
    let is_large = devices.len() > MOST_CELLS;
    let is_shown = |device: &&DeviceStatus| !is_large || sign_of(device).class != "good";
    let cells: Vec<&DeviceStatus> = devices.iter().filter(is_shown).take(MOST_CELLS).collect();
    let words: Vec<String> =
        counts.iter().map(|(sign, n)| format!("{} {}", number(*n), sign.word)).collect();
    html! {
        div class={"field" @if cells.len() <= 60 { " few" }} role="img" aria-label={"Every device: " (words.join(", "))} {
            @for device in cells {
                @let Sign { class, word, .. } = sign_of(device);
                @let id = device.id.as_str();
                a class={(class) " " (word.replace(' ', "-"))} href={"/devices/" (encoded(id))} tabindex="-1" title={(id) ": " (word)} {}
            }
        }
        @if is_large { p class="hint" { "Only devices that are not as desired are drawn here." } }
    }
}

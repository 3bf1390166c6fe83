//! What the last change of a device was: the same diff that a reviewer read, of this device alone.

use super::signs::moment;
use crate::model::{DeviceId, Timestamp, Value};
use crate::plan::short_revision;
use crate::reconcile::held_facts;
use crate::review::{
    Action, DiffOptions, FieldChange, FleetDiff, Group, ModuleChange, Side, causes_line, diff,
};
use crate::serve::past::Then;
use crate::serve::router::State;
use crate::store::HistoryEntry;
use maud::{Markup, html};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The change that brought a device from one revision to another.
struct Change {
    at: Timestamp,
    from: String,
    to: String,
}

/// The last change in a device's history, which comes oldest first; repairs at one revision are none.
fn last_change(history: &[HistoryEntry]) -> Option<Change> {
    history.iter().rev().find_map(|entry| {
        let (from, to) = (entry.from.clone()?, entry.to.clone()?);
        (from != to).then_some(Change { at: entry.at, from, to })
    })
}

/// The section about it. Fleets are read on a thread of their own.
pub(super) async fn last(state: &Arc<State>, id: &DeviceId, history: &[HistoryEntry]) -> Markup {
    let Some(Change { at, from, to }) = last_change(history) else {
        let snapshot = state.snapshot();
        let has_any = snapshot.devices.get(id).is_some_and(|stored| stored.in_force.is_some());
        return html! {
            section aria-labelledby="change" {
                h2 id="change" { "Last change" }
                p class="quiet" {
                    @if has_any { "None is remembered: what it has is what it got first." }
                    @else { "None: it has nothing yet." }
                }
            }
        };
    };
    let made = {
        let (state, id, from, to) = (Arc::clone(state), id.clone(), from.clone(), to.clone());
        tokio::task::spawn_blocking(move || difference(&state, &id, &from, &to)).await
    };
    let (from, to) = (short_revision(&from), short_revision(&to));
    html! {
        section aria-labelledby="change" {
            h2 id="change" { "Last change" }
            p class="quiet" { code { (from) } " → " code { (to) } ", " (moment(at, state.now())) }
            @match made {
                Ok(Ok(found)) => { (groups(&found)) }
                Ok(Err(words)) => { p class="quiet" { "It can't be shown any more: " (words) "." } }
                Err(_) => { p class="quiet" { "It can't be shown." } }
            }
            p class="hint" { code { "hoist diff " (from) " " (to) " --device " (id) } " shows the same." }
        }
    }
}

fn difference(state: &State, id: &DeviceId, from: &str, to: &str) -> Result<FleetDiff, String> {
    let snapshot = state.snapshot();
    let facts = held_facts(&snapshot.devices, state.now());
    let at = |revision: &str| match &snapshot.accepted {
        Some(accepted) if accepted.revision == revision => Ok(Then {
            fleet: Arc::clone(&accepted.fleet),
            resolution: Arc::clone(&accepted.resolution),
        }),
        _ => state.past.at(revision, &facts),
    };
    let (before, after) = (at(from)?, at(to)?);
    let base = Side::of_files(from, Some((&before.fleet, &before.resolution)), &facts, &[]);
    let head = Side::of_files(to, Some((&after.fleet, &after.resolution)), &facts, &[]);
    let only = Some(BTreeSet::from([id.clone()]));
    Ok(diff(base, head, &DiffOptions { only, ..DiffOptions::default() }))
}

fn groups(found: &FleetDiff) -> Markup {
    html! {
        @if found.groups.is_empty() {
            p { "With what devices report now, both revisions give it the same manifest." }
        }
        @for group in &found.groups { (one_group(group)) }
    }
}

fn one_group(group: &Group) -> Markup {
    let because = causes_line(group);
    html! {
        div class="card diff" {
            @if !because.is_empty() { p { "Because " (because) "." } }
            @for change in &group.changes { (module(change)) }
        }
    }
}

fn module(change: &ModuleChange) -> Markup {
    let ModuleChange { module, action, reasons: _, fields, gains_power, diff: _ } = change;
    let class = match action {
        Action::Create | Action::Start => "good",
        Action::Remove | Action::Stop => "bad",
        Action::Recreate | Action::Update | Action::Routes => "moving",
    };
    html! {
        h3 {
            span class={"action " (class)} { (action.as_str()) }
            " " (module.as_deref().unwrap_or("routes"))
            @if *gains_power { " " span class="bad" { "▲ gains power over the device" } }
        }
        @if *action != Action::Remove { ul class="fields-changed" { @for field in fields { (changed(field)) } } }
    }
}

fn changed(field: &FieldChange) -> Markup {
    let FieldChange { path, before, after, set_by } = field;
    html! {
        li {
            code class="path" { (path) }
            span class="values" {
                @if let Some(before) = before { del { (text(before)) } }
                @if let Some(after) = after { ins { (text(after)) } }
            }
            @if let Some(place) = set_by.last().and_then(|setter| setter.place.as_ref()) {
                span class="quiet" { (place) }
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_json().to_string(), str::to_owned)
}

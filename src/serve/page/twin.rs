//! Module twins: what a module was told, beside what it reports.

use super::signs::moment;
use crate::model::{Manifest, ModuleName, Table, Timestamp, Value, path_segment};
use crate::resolve::masked;
use crate::store::{ModuleReport, ModuleStanding, StoredDevice};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Both sides of one property.
type Sides = (Option<String>, Option<String>);

/// The twins of all modules that have one.
pub(super) fn twins(stored: &StoredDevice, manifest: &Manifest, now: Timestamp) -> Markup {
    let report = |name: &ModuleName| stored.modules.get(name).and_then(|m| m.report.as_ref());
    let has_twin = |name: &ModuleName| {
        let is_told = manifest.modules.get(name).is_some_and(|module| !module.desired.is_empty());
        is_told || report(name).is_some_and(|r| r.content.is_some() || r.problem.is_some())
    };
    let names: Vec<&ModuleName> = manifest.modules.keys().filter(|name| has_twin(name)).collect();
    html! {
        @if !names.is_empty() {
            section aria-labelledby="twins" {
                h2 id="twins" { "Module twins" }
                @for name in names {
                    (twin(name, manifest.modules.get(name).map(|m| &m.desired), stored.modules.get(name), now))
                }
            }
        }
    }
}

fn twin(
    name: &ModuleName,
    desired: Option<&Table>,
    standing: Option<&ModuleStanding>,
    now: Timestamp,
) -> Markup {
    let report = standing.and_then(|standing| standing.report.as_ref());
    let rows = rows(desired, report);
    html! {
        details id={"twin-" (name)} open {
            summary { b { (name) } " " span class="quiet" { (seen(report, now)) } }
            @if let Some(problem) = report.and_then(|report| report.problem.as_ref()) {
                p class="bad" { "▲ What it reports is not taken: " (problem) }
            }
            @if rows.is_empty() { p class="quiet" { "Nothing yet." } } @else {
                div class="scroll" { table class="twin" {
                    thead { tr { th scope="col" { "Property" } th scope="col" { "Desired" } th scope="col" { "Reported" } } }
                    tbody { @for (path, (desired, reported)) in &rows { tr {
                        th scope="row" { code { (path) } }
                        td data-label="desired" { (value(desired.as_ref())) }
                        td data-label="reported" { (value(reported.as_ref())) }
                    } } }
                } }
            }
        }
    }
}

fn seen(report: Option<&ModuleReport>, now: Timestamp) -> Markup {
    let looked_at = report.map(|report| report.looked_at).filter(|at| *at > 0);
    html! {
        @match looked_at {
            Some(seconds) => { "looked at " (moment(Timestamp { seconds }, now)) }
            None => { "reports nothing" }
        }
    }
}

fn value(text: Option<&String>) -> Markup {
    html! { @match text { Some(text) => { code { (text) } } None => { span class="quiet" { "–" } } } }
}

fn rows(desired: Option<&Table>, report: Option<&ModuleReport>) -> BTreeMap<String, Sides> {
    let mut rows: BTreeMap<String, Sides> = BTreeMap::new();
    if let Some(desired) = desired {
        leaves("desired", desired, &mut |path, text| rows.entry(path).or_default().0 = Some(text));
    }
    let reported = report.and_then(|report| report.content.as_ref()).and_then(Value::from_json);
    if let Some(Value::Table(table)) = reported {
        leaves("reported", &table, &mut |path, text| rows.entry(path).or_default().1 = Some(text));
    }
    rows
}

/// Every leaf by its path below the twin's side, as text; what looks like a credential is masked.
fn leaves(side: &str, table: &Table, take: &mut dyn FnMut(String, String)) {
    for (key, value) in table {
        let path = format!("{side}.{}", path_segment(key));
        match value {
            Value::Table(inner) if !inner.is_empty() => leaves(&path, inner, take),
            value => {
                let shown = masked(&path, value);
                let text =
                    shown.as_str().map_or_else(|| shown.to_json().to_string(), str::to_owned);
                let below = path.split_once('.').map_or(path.as_str(), |(_, below)| below);
                take(below.to_owned(), text);
            }
        }
    }
}

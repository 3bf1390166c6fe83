//! How `hoist status` looks.

use super::output::{count, paint};
use super::scope::in_words;
use crate::diagnostic::render::visible;
use crate::model::Timestamp;
use crate::plan::short_revision;
use crate::reconcile::{
    Beside, Counts, DeploymentCounts, DeviceStatus, FleetStatus, HeldRevision, LabelGroup, Trouble,
};
use crate::review::Tone;
use crate::store::{Pause, Pin, Scope};
use std::collections::BTreeMap;

/// What is shown.
pub(super) struct Shown<'a> {
    pub(super) status: &'a FleetStatus,
    pub(super) beside: &'a Beside,
    /// A label, and the counts by its values.
    pub(super) groups: Option<(&'a str, &'a [LabelGroup])>,
    pub(super) one_device: bool,
    pub(super) not_converged: bool,
    /// Whether anything was accepted or applied yet.
    pub(super) in_force: bool,
    /// Whether the fleet has none of the devices that are looked after here.
    pub(super) nobody_here: bool,
    pub(super) now: Timestamp,
    pub(super) coloured: bool,
}

/// All of it.
pub(super) fn text(shown: &Shown<'_>) -> String {
    let Shown {
        status,
        beside,
        groups,
        one_device,
        not_converged,
        in_force,
        nobody_here,
        now,
        coloured,
    } = *shown;
    let FleetStatus { fleet, revision, deployments, devices, departed } = status;
    let head = match in_force {
        true => format!("{} @ {}", visible(fleet), short_revision(revision)),
        false => format!("{}: nothing is known to be in force yet", visible(fleet)),
    };
    let mut out = format!("{}\n", paint(coloured, Tone::Strong, &head));
    out.push_str(&beside_lines(beside, now, coloured));
    // A fleet that only the store knows has no deployments.
    let has_table = !deployments.is_empty() || groups.is_some();
    if !one_device && !not_converged && has_table {
        out.push('\n');
        if !in_force {
            out.push_str(&format!("as {} would have it:\n", short_revision(revision)));
        }
        out.push_str(&match groups {
            Some((label, groups)) => group_table(label, groups, coloured),
            None => deployment_table(deployments, coloured),
        });
        out.push_str(&metric_table(deployments, coloured));
    }
    if !one_device || not_converged {
        let summary = match nobody_here {
            // As if all were well, else.
            true => {
                "the fleet has none of these devices; one that it may come to have is looked after"
                    .to_owned()
            }
            false => summary(devices, not_converged),
        };
        out.push_str(&format!("\n{summary}\n"));
    }
    if !devices.is_empty() {
        out.push('\n');
        out.push_str(&device_table(devices, one_device, now, coloured));
    }
    if !departed.is_empty() {
        out.push_str("\ndeparted: in no file any more; nothing on them is touched\n");
        for device in departed {
            let seen = age(device.last_contact, now);
            out.push_str(&format!("  {}  last seen {seen}\n", visible(device.id.as_str())));
        }
    }
    out
}

fn summary(devices: &[DeviceStatus], not_converged: bool) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for device in devices {
        *counts.entry(group(device).1).or_default() += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let what = if not_converged { "device not as desired" } else { "device" };
    match (not_converged, devices.len()) {
        (true, 0) => "every device is as desired".to_owned(),
        (true, n) if n > 1 => format!("{n} devices not as desired{parts}"),
        (_, n) => format!("{}{parts}", count(n, what)),
    }
}

/// What waits, and what people ordered: a line each, with what to do.
fn beside_lines(beside: &Beside, now: Timestamp, coloured: bool) -> String {
    let Beside { held, fetch_trouble, unsigned, rollout, pauses, pins, watches } = beside;
    let mut out = String::new();
    if *watches != Scope::All {
        let devices = in_words(watches);
        let line = format!("only what is looked after here: {devices}; `--where \"*\"` shows all");
        out.push_str(&format!("{}\n", visible(&line)));
    }
    if let Some(Trouble { words, since }) = fetch_trouble {
        let since = age(Some(*since), now);
        let head =
            format!("no new commits can be had, first noticed {since}; what is in force stays");
        out.push_str(&format!("{}\n", paint(coloured, Tone::Warning, &head)));
        out.push_str(&format!("  {}\n", visible(words)));
    }
    if let Some(words) = unsigned {
        let head = "the signature of what is in force is not accepted; it stays, and what comes after it must be signed";
        out.push_str(&format!("{}\n", paint(coloured, Tone::Warning, head)));
        out.push_str(&format!("  {}\n", visible(words)));
    }
    if let Some(rollout) = rollout.as_ref().filter(|rollout| !rollout.is_over_and_well()) {
        out.push_str(&super::rollout::lines(rollout));
    }
    if let Some(held) = held {
        let HeldRevision { revision, reasons, since, numbers: _ } = held;
        let short = short_revision(revision);
        let since = age(Some(*since), now);
        let head = format!("held: {short}, {since}; nothing of it goes out");
        out.push_str(&format!("{}\n", paint(coloured, Tone::Warning, &head)));
        const MOST: usize = 5;
        for reason in reasons.iter().take(MOST) {
            out.push_str(&format!("  {}\n", visible(reason)));
        }
        if reasons.len() > MOST {
            out.push_str(&format!("  and {} more\n", reasons.len() - MOST));
        }
        if held.can_be_approved() {
            out.push_str(&format!("  `hoist approve {short}` lets it through\n"));
        }
    }
    for Pause { id: _, scope, reason, who, since: _, until } in pauses {
        let devices = in_words(scope);
        let until = until.map_or(String::new(), |until| format!(" until {until}"));
        let line = format!("paused: {devices}, by {who}{until}: {reason}");
        out.push_str(&format!("{}\n", paint(coloured, Tone::Warning, &visible(&line))));
    }
    for Pin { id: _, revision, scope, reason, who, since: _, until } in pins {
        let (devices, short) = (in_words(scope), short_revision(revision));
        let until = until.map_or(String::new(), |until| format!(" until {until}"));
        let line = format!("pinned: {devices} at {short}, by {who}{until}: {reason}");
        out.push_str(&format!("{}\n", paint(coloured, Tone::Warning, &visible(&line))));
    }
    out
}

const COUNTS: &str = "targeted applied success failure pending   stale";

fn counts(counts: Counts) -> String {
    let Counts { targeted, applied, success, failure, pending, stale } = counts;
    format!("{targeted:>8} {applied:>7} {success:>7} {failure:>7} {pending:>7} {stale:>7}")
}

fn group_table(label: &str, groups: &[LabelGroup], coloured: bool) -> String {
    let value = |group: &LabelGroup| match &group.value {
        Some(value) => visible(value),
        None => "(without)".to_owned(),
    };
    let label = visible(label);
    let widths = groups.iter().map(|group| value(group).chars().count());
    let width = widths.max().unwrap_or(0).max(label.chars().count());
    let head = format!("{label:width$}  deployments  {COUNTS}");
    let mut out = format!("{}\n", paint(coloured, Tone::Quiet, &head));
    for group in groups {
        let n = group.deployments.len();
        out.push_str(&format!("{:width$}  {n:>11}  {}\n", value(group), counts(group.counts)));
    }
    out
}

fn deployment_table(deployments: &[DeploymentCounts], coloured: bool) -> String {
    let width = deployments.iter().map(|d| d.id.as_str().len()).max().unwrap_or(0).max(10);
    let head = format!("{:width$}  {:9} {:>8}  {COUNTS}", "deployment", "kind", "priority");
    let mut out = format!("{}\n", paint(coloured, Tone::Quiet, &head));
    for d in deployments {
        out.push_str(&format!(
            "{:width$}  {:9} {:>8}  {}\n",
            d.id,
            d.kind,
            d.priority,
            counts(d.counts)
        ));
    }
    out
}

/// One line a custom metric; empty where there is none.
fn metric_table(deployments: &[DeploymentCounts], coloured: bool) -> String {
    let metrics = || deployments.iter().flat_map(|d| d.metrics.iter().map(move |m| (&d.id, m)));
    let ids = metrics().map(|(id, _)| id.as_str().len()).max().unwrap_or(0).max(10);
    let names = metrics().map(|(_, (name, _))| visible(name).chars().count()).max();
    let Some(names) = names.map(|width| width.max(6)) else { return String::new() };
    let head = format!("{:ids$}  {:names$} {:>6}", "deployment", "metric", "rows");
    let mut out = format!("\n{}\n", paint(coloured, Tone::Quiet, &head));
    for (id, (name, rows)) in metrics() {
        out.push_str(&format!("{id:ids$}  {:names$} {rows:>6}\n", visible(name)));
    }
    out
}

/// One line a device; with `details`, what applies to it and its modules below.
fn device_table(devices: &[DeviceStatus], details: bool, now: Timestamp, coloured: bool) -> String {
    let revision =
        |device: &DeviceStatus| device.revision.as_deref().map_or("-", short_revision).to_owned();
    let longest = |words: &mut dyn Iterator<Item = usize>| words.max().unwrap_or(0);
    let ids = longest(&mut devices.iter().map(|d| d.id.as_str().chars().count())).max(6);
    let revisions = longest(&mut devices.iter().map(|d| revision(d).len())).max(8);
    let ages = longest(&mut devices.iter().map(|d| age(d.last_contact, now).len())).max(4);
    let head = format!("  {:ids$}  {:revisions$}  {:ages$}  status", "device", "revision", "seen");
    let mut out = format!("{}\n", paint(coloured, Tone::Quiet, &head));
    for device in devices {
        let (sign, _, tone) = group(device);
        out.push_str(&format!(
            "{} {:ids$}  {:revisions$}  {:ages$}  {}{} {}\n",
            paint(coloured, tone, &sign.to_string()),
            visible(device.id.as_str()),
            revision(device),
            age(device.last_contact, now),
            if device.stale { "not seen lately; it was " } else { "" },
            device.code,
            visible(&device.description)
        ));
        if details {
            device_details(device, &mut out);
        }
    }
    out
}

fn age(seen: Option<Timestamp>, now: Timestamp) -> String {
    seen.map_or_else(|| "never".to_owned(), |seen| seen.ago(now))
}

fn group(device: &DeviceStatus) -> (char, &'static str, Tone) {
    match device.code {
        _ if device.stale => ('◇', "stale", Tone::Quiet),
        200 => ('●', "as desired", Tone::Added),
        202 => ('◐', "on the way", Tone::Changed),
        400 => ('‖', "held", Tone::Warning),
        406 => ('◌', "pending", Tone::Quiet),
        _ => ('✗', "failed", Tone::Removed),
    }
}

fn device_details(device: &DeviceStatus, out: &mut String) {
    if let Some(base) = &device.base {
        let layers: Vec<&str> = device.layers.iter().map(AsRef::as_ref).collect();
        let layers = match layers.as_slice() {
            [] => String::new(),
            layers => format!(", layers {}", layers.join(", ")),
        };
        out.push_str(&format!("    base {base}{layers}\n"));
    }
    let width = device.modules.iter().map(|m| m.name.len()).max().unwrap_or(0);
    for module in &device.modules {
        let restarts = match module.restart_count {
            0 => String::new(),
            1 => ", restarted once".to_owned(),
            n => format!(", restarted {n} times"),
        };
        let line = format!(
            "    {:width$}  {:9}  {} {}{restarts}",
            module.name, module.status, module.code, module.description
        );
        out.push_str(&format!("{}\n", visible(&line)));
        if let Some(problem) = &module.report_problem {
            let line = format!("    {:width$}  its report is not taken: {problem}", "");
            out.push_str(&format!("{}\n", visible(&line)));
        }
    }
}

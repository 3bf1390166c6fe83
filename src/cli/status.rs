//! `hoist status`: how the fleet was last seen, from the store alone.

use super::exit::{Exit, Failure};
use super::opened::{
    Opened, WORKING_TREE, device, fleet_folder, format, narrowed, read_tree, valid,
};
use super::output::{colours_stdout, count, paint, print, print_json};
use super::run::{APPLIED, known_devices, now, state_folder};
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::model::Timestamp;
use crate::plan::short_revision;
use crate::reconcile::{
    DeploymentCounts, DeviceStatus, FleetStatus, fleet_status, held_facts, live_facts,
};
use crate::resolve::{check, resolve};
use crate::review::Tone;
use crate::source::Repository;
use crate::store::Store;
use std::collections::BTreeMap;

/// Show how the fleet was last seen
///
/// Reads the store that `apply` writes; no engine is asked.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this device, with its modules
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Only devices that meet this condition
    #[arg(long = "where", value_name = "CONDITION")]
    wanted: Option<String>,
    /// Only devices that are not as desired; exit 4 or 5 if there are any
    #[arg(long)]
    not_converged: bool,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(global, &[Format::Text, Format::Json])?;
    let mut opened = open(global)?;
    let folder = state_folder(global, &opened.fleet, arguments.simulate)?;
    let store = Store::open_to_read(&folder)?.ok_or_else(|| {
        Failure::new(format!("nothing was ever applied: there is no store in {}", folder.display()))
            .help("`hoist apply` makes it; --state and --simulate name another one")
    })?;
    if global.revision.is_none()
        && let Some(accepted) = store.fleet_state(APPLIED)?
    {
        opened = at_accepted(global, opened, &accepted)?;
    }
    let (stored, _) = known_devices(&opened.fleet, &store, None)?;
    let facts = held_facts(&stored, now());
    let resolution = resolve(&opened.fleet, &facts);
    let named: Vec<String> = arguments.device.clone().into_iter().collect();
    if let Some(id) = &arguments.device {
        device(&opened.fleet, id)?;
    }
    let live = live_facts(&stored);
    let only = narrowed(&[&opened.fleet], &live, &named, arguments.wanted.as_deref())?;
    let mut status =
        fleet_status(&opened.fleet, &resolution, &opened.name, &stored, only.as_ref(), now());
    if arguments.not_converged {
        status.devices.retain(|device| device.code != 200);
    }
    match format {
        Format::Json => print_json(&status.to_json()),
        _ => print(&text(&status, arguments, now(), colours_stdout(global))),
    }
    if !arguments.not_converged {
        return Ok(Exit::Done);
    }
    Ok(status.devices.iter().fold(Exit::Done, |exit, device| {
        exit.or(match device.code {
            200 => Exit::Done,
            202 | 406 => Exit::Pending,
            _ => Exit::Failed,
        })
    }))
}

/// The fleet: at `--revision`, else as it lies; only its name decides which store is meant.
fn open(global: &Global) -> Result<Opened, Failure> {
    let spec = match &global.revision {
        Some(spec) => Some(spec.as_str()),
        None => match Repository::open(&fleet_folder(global)?) {
            Ok(repository) if repository.resolve("HEAD").is_ok() => Some("HEAD"),
            _ => None,
        },
    };
    let (tree, name, revision) = read_tree(&fleet_folder(global)?, spec)?;
    valid(global, check(&tree), name, revision)
}

/// The counts are those of what was applied last, as long as it can be read and is valid.
fn at_accepted(global: &Global, opened: Opened, accepted: &str) -> Result<Opened, Failure> {
    let folder = fleet_folder(global)?;
    if accepted == WORKING_TREE {
        let (tree, name, revision) = read_tree(&folder, None)?;
        let checked = check(&tree);
        return if checked.fleet.is_some() {
            valid(global, checked, name, revision)
        } else {
            Ok(opened)
        };
    }
    match Repository::open(&folder) {
        Ok(repository) if repository.resolve(accepted).is_ok() => {
            let (tree, name, revision) = read_tree(&folder, Some(accepted))?;
            valid(global, check(&tree), name, revision)
        }
        _ => Ok(opened),
    }
}

fn text(status: &FleetStatus, arguments: &Arguments, now: Timestamp, coloured: bool) -> String {
    let FleetStatus { fleet, revision, deployments, devices, departed } = status;
    let mut out =
        format!("{}\n", paint(coloured, Tone::Strong, &format!("{} @ {revision}", visible(fleet))));
    if arguments.device.is_none() && !arguments.not_converged {
        out.push('\n');
        out.push_str(&deployment_table(deployments, coloured));
        out.push_str(&metric_table(deployments, coloured));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for device in devices {
        *counts.entry(group(device).1).or_default() += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let what = if arguments.not_converged { "device not as desired" } else { "device" };
    let line = match (arguments.not_converged, devices.len()) {
        (true, 0) => "every device is as desired".to_owned(),
        (true, n) if n > 1 => format!("{n} devices not as desired{parts}"),
        (_, n) => format!("{}{parts}", count(n, what)),
    };
    if arguments.device.is_none() || arguments.not_converged {
        out.push_str(&format!("\n{line}\n"));
    }
    if !devices.is_empty() {
        out.push('\n');
        out.push_str(&device_table(devices, arguments.device.is_some(), now, coloured));
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

fn deployment_table(deployments: &[DeploymentCounts], coloured: bool) -> String {
    let width = deployments.iter().map(|d| d.id.as_str().len()).max().unwrap_or(0).max(10);
    let head = format!(
        "{:width$}  {:9} {:>8}  {:>8} {:>7} {:>7} {:>7} {:>7}",
        "deployment", "kind", "priority", "targeted", "applied", "success", "failure", "pending"
    );
    let mut out = format!("{}\n", paint(coloured, Tone::Quiet, &head));
    for d in deployments {
        out.push_str(&format!(
            "{:width$}  {:9} {:>8}  {:>8} {:>7} {:>7} {:>7} {:>7}\n",
            d.id, d.kind, d.priority, d.targeted, d.applied, d.success, d.failure, d.pending
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
            "{} {:ids$}  {:revisions$}  {:ages$}  {} {}\n",
            paint(coloured, tone, &sign.to_string()),
            visible(device.id.as_str()),
            revision(device),
            age(device.last_contact, now),
            device.code,
            visible(&device.description)
        ));
        if details {
            device_details(device, &mut out);
        }
    }
    out
}

/// How long ago, in the largest unit that fits.
fn age(seen: Option<Timestamp>, now: Timestamp) -> String {
    let Some(seen) = seen else { return "never".to_owned() };
    match now.seconds.saturating_sub(seen.seconds).max(0) {
        s @ 0..60 => format!("{s} s ago"),
        s @ 60..3600 => format!("{} min ago", s / 60),
        s @ 3600..86400 => format!("{} h ago", s / 3600),
        s => format!("{} d ago", s / 86400),
    }
}

fn group(device: &DeviceStatus) -> (char, &'static str, Tone) {
    match device.code {
        200 => ('●', "as desired", Tone::Added),
        202 => ('◐', "on the way", Tone::Changed),
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

#[cfg(test)]
mod tests {
    use super::age;
    use crate::model::Timestamp;

    #[test]
    fn ages_are_in_the_largest_unit_that_fits() {
        let at = |seconds| Timestamp { seconds };
        assert_eq!(age(None, at(0)), "never");
        for (seconds, words) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (86_400, "1 d ago"),
        ] {
            assert_eq!(age(Some(at(0)), at(seconds)), words);
        }
        assert_eq!(age(Some(at(9)), at(0)), "0 s ago", "a clock that was set back");
    }
}

//! `hoist status`: how the fleet was last seen, from the store alone.

use super::exit::{Exit, Failure};
use super::opened::{Opened, WORKING_TREE, check_tree, device, fleet_folder, narrowed, valid};
use super::output::{colours_stdout, inert_json_line, print, print_json, say};
use super::remembered;
use super::room::full_store;
use super::run::{known_devices, now};
use super::status_text::{Shown, text};
use super::stored::{newest, store_to_read};
use super::{Format, Global};
use crate::diagnostic::did_you_mean;
use crate::diagnostic::render::visible;
use crate::fleet::Fleet;
use crate::model::{DeploymentId, Device, DeviceId, Facts};
use crate::reconcile::{
    Beside, FleetStatus, LabelGroup, StatusInput, devices_in, elsewhere, fleet_status, held_facts,
    kept_rollout, label_groups, live_facts, paused_devices, stale_after,
};
use crate::resolve::{Resolution, check, resolve};
use crate::rollout::Rollout;
use crate::source::Repository;
use crate::store::{Scope, Store, StoredDevices, fleet_key};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Show how the fleet was last seen
///
/// Reads the store that `apply` and `watch` write; no engine is asked.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this device, with its modules
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Only devices that meet this condition
    #[arg(long = "where", value_name = "CONDITION")]
    wanted: Option<String>,
    /// Only this deployment, and the devices that it targets
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
    /// Only deployments with this label, and the devices that they target
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "deployment")]
    label: Option<String>,
    /// Counts by the values of a label of deployments: label:team
    #[arg(long, value_name = "label:KEY")]
    group_by: Option<String>,
    /// Only devices that are not as desired or were not seen lately; exit 4 or 5 if there are any
    #[arg(long)]
    not_converged: bool,
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

/// What is shown at one moment.
struct Found {
    status: FleetStatus,
    beside: Beside,
    /// Devices that somebody paused.
    paused: BTreeSet<DeviceId>,
    /// Of the label by which it is grouped.
    groups: Option<(String, Vec<LabelGroup>)>,
    /// Whether anything was accepted or applied yet.
    in_force: bool,
    /// Whether the fleet has none of the devices that are looked after here.
    nobody_here: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    if arguments.watch {
        return show_again_and_again(global, arguments, format);
    }
    let (folder, found) = find(global, arguments)?;
    full_store(&folder).iter().for_each(|words| say(&visible(words)));
    match format {
        Format::Json => print_json(&json(&found)),
        _ => print(&shown(global, arguments, &found)),
    }
    if !arguments.not_converged {
        return Ok(Exit::Done);
    }
    Ok(found.status.devices.iter().fold(Exit::Done, |exit, device| {
        exit.or(match device.code {
            200 if !device.stale => Exit::Done,
            200 | 202 | 406 => Exit::Pending,
            400 if found.paused.contains(&device.id) => Exit::Pending,
            _ => Exit::Failed,
        })
    }))
}

/// The store is looked at this often.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// After so many looks without a change ages are shown anew.
const LOOKS_BETWEEN_AGES: usize = 20;

/// On a terminal in one place; elsewhere one after the other.
fn show_again_and_again(
    global: &Global,
    arguments: &Arguments,
    format: Format,
) -> Result<Exit, Failure> {
    let on_terminal = std::io::stdout().is_terminal() && format != Format::Json;
    let mut before = String::new();
    loop {
        let (folder, found) = find(global, arguments)?;
        let seen = stamp(&folder);
        let json = inert_json_line(&json(&found));
        let text = shown(global, arguments, &found);
        let now = if on_terminal { &text } else { &json };
        if before != *now {
            let out = match (format, on_terminal) {
                (Format::Json, _) => json.clone(),
                (_, true) => format!("\u{1b}[H\u{1b}[2J{text}"),
                (_, false) => format!("{text}\n"),
            };
            let mut to = std::io::stdout().lock();
            if to.write_all(out.as_bytes()).and_then(|()| to.flush()).is_err() {
                // Whoever read it went away.
                return Ok(Exit::Done);
            }
            before.clone_from(now);
        }
        for _ in 0..LOOKS_BETWEEN_AGES {
            std::thread::sleep(BETWEEN_LOOKS);
            if stamp(&folder) != seen {
                break;
            }
        }
    }
}

/// Changes whenever the store does.
fn stamp(folder: &Path) -> Vec<Option<(u64, SystemTime)>> {
    let of = |name: &str| {
        let data = std::fs::metadata(folder.join(name)).ok()?;
        Some((data.len(), data.modified().ok()?))
    };
    ["state.db", "state.db-wal"].map(of).to_vec()
}

/// What there is to show, and the store's folder.
fn find(global: &Global, arguments: &Arguments) -> Result<(PathBuf, Found), Failure> {
    let now = now();
    let by_files = by_files(arguments);
    let (opened, store) = open(global, arguments.simulate, by_files.is_some())?;
    if let Some(what) = by_files.filter(|_| opened.remembered) {
        return Err(remembered::needs_files(what));
    }
    let ((stored, _), _) = known_devices(&opened.fleet, &store)?;
    let resolution = resolve(&opened.fleet, &held_facts(&stored, now));
    let mut beside = Beside::read(&store, now)?;
    let only = match only(&opened.fleet, &resolution, &live_facts(&stored), arguments)? {
        None if !opened.remembered => devices_in(&beside.watches, &opened.fleet, &stored),
        // Who asks for some gets these; and without tags nobody can tell which are looked after here.
        only => {
            beside.watches = Scope::All;
            only
        }
    };
    let kept = kept_deployments(&opened.fleet, arguments)?;
    let revision = opened.revision.as_ref().map_or(&opened.name, |revision| &revision.id);
    let rollout = kept_rollout(&store)?;
    let returning = rollout.as_ref().map(Rollout::returning).unwrap_or_default();
    let left = store.assignments()?.into_values().map(|a| (a.device, a.revision)).collect();
    // Without their tags nobody can tell for whom a pause by a condition is.
    let paused: BTreeSet<DeviceId> = match opened.remembered {
        true => opened.fleet.devices.keys().cloned().collect(),
        false => paused_devices(&store, &opened.fleet, &stored, now)?.into_keys().collect(),
    };
    let input = StatusInput {
        fleet: &opened.fleet,
        resolution: &resolution,
        revision,
        stored: &stored,
        elsewhere: &elsewhere(left, &beside.pins, &opened.fleet, &stored),
        returning: &returning,
        paused: &paused,
        only: only.as_ref(),
        stale_after: stale_by(&store)?,
        now,
    };
    let keeps = |id: &DeploymentId| kept.as_ref().is_none_or(|kept| kept.contains(id));
    let mut status = fleet_status(&input);
    status.deployments.retain(|deployment| keeps(&deployment.id));
    let nobody_here = status.devices.is_empty() && beside.watches != Scope::All;
    if arguments.not_converged {
        status.devices.retain(|device| device.code != 200 || device.stale);
    }
    let groups = match &arguments.group_by {
        None => None,
        Some(text) => {
            let key = label_key(&opened.fleet, text)?;
            Some((key.to_owned(), label_groups(&input, key, &keeps)))
        }
    };
    let in_force = is_anything_in_force(&store, &stored)?;
    let found = Found { status, beside, paused, groups, in_force, nobody_here };
    Ok((store.folder().to_owned(), found))
}

/// Whether a revision was ever let through or applied, at least somewhere.
fn is_anything_in_force(store: &Store, stored: &StoredDevices) -> Result<bool, Failure> {
    Ok(store.fleet_state(fleet_key::ACCEPTED)?.is_some()
        || store.fleet_state(fleet_key::APPLIED)?.is_some()
        || stored.values().any(|device| device.in_force.is_some()))
}

/// An argument by tags or deployments: without files nobody knows these, and it would be answered with nothing.
fn by_files(arguments: &Arguments) -> Option<&'static str> {
    let asked = [
        ("--where", arguments.wanted.is_some()),
        ("--deployment", arguments.deployment.is_some()),
        ("--label", arguments.label.is_some()),
        ("--group-by", arguments.group_by.is_some()),
    ];
    asked.iter().find(|(_, asked)| *asked).map(|(what, _)| *what)
}

fn json(found: &Found) -> Json {
    let Found { status, beside, paused: _, groups, in_force: _, nobody_here: _ } = found;
    let mut json = status.to_json(beside);
    if let Some((label, groups)) = groups {
        json["groups"] = groups.iter().map(|group| group.to_json(label)).collect();
    }
    json
}

fn shown(global: &Global, arguments: &Arguments, found: &Found) -> String {
    text(&Shown {
        status: &found.status,
        beside: &found.beside,
        groups: found.groups.as_ref().map(|(label, groups)| (label.as_str(), groups.as_slice())),
        one_device: arguments.device.is_some(),
        not_converged: arguments.not_converged,
        in_force: found.in_force,
        nobody_here: found.nobody_here,
        now: now(),
        coloured: colours_stdout(global),
    })
}

/// After how many seconds a device is stale, where a daemon promised to look at each.
fn stale_by(store: &Store) -> Result<Option<i64>, Failure> {
    let resync = store.fleet_state(fleet_key::RESYNC)?;
    Ok(resync.and_then(|seconds| seconds.parse().ok()).map(stale_after))
}

/// Which devices are left by the arguments; `None` for all.
fn only(
    fleet: &Fleet,
    resolution: &Resolution,
    live: &Facts,
    arguments: &Arguments,
) -> Result<Option<BTreeSet<DeviceId>>, Failure> {
    let named: Vec<String> = arguments.device.clone().into_iter().collect();
    if let Some(id) = &arguments.device {
        device(fleet, id)?;
    }
    let only = narrowed(&[fleet], live, &named, arguments.wanted.as_deref())?;
    let Some(kept) = kept_deployments(fleet, arguments)? else { return Ok(only) };
    let targeted = resolution.devices.iter().filter(|(_, resolved)| {
        resolved.targeted.iter().any(|targeting| kept.contains(&targeting.deployment))
    });
    let targeted = targeted.map(|(id, _)| id.clone());
    Ok(Some(match only {
        None => targeted.collect(),
        Some(only) => targeted.filter(|id| only.contains(id)).collect(),
    }))
}

/// The deployments that `--deployment` or `--label` leave; `None` for all.
fn kept_deployments(
    fleet: &Fleet,
    arguments: &Arguments,
) -> Result<Option<BTreeSet<DeploymentId>>, Failure> {
    let deployments = || fleet.deployments.values();
    if let Some(id) = &arguments.deployment {
        let found = deployments().find(|deployment| deployment.id.as_str() == id);
        let found = found.ok_or_else(|| {
            let failure = Failure::new(format!("the fleet has no deployment `{id}`"));
            match did_you_mean(id, deployments().map(|deployment| deployment.id.as_str())) {
                Some(help) => failure.help(help),
                None => failure,
            }
        })?;
        return Ok(Some(BTreeSet::from([found.id.clone()])));
    }
    let Some(label) = &arguments.label else { return Ok(None) };
    let (key, value) = label.split_once('=').ok_or_else(|| {
        Failure::new(format!("--label {label}: it is KEY=VALUE")).help(keys_here(fleet))
    })?;
    let has = |labels: &BTreeMap<String, String>| labels.get(key).is_some_and(|v| v == value);
    let kept: BTreeSet<DeploymentId> =
        deployments().filter(|d| has(&d.labels)).map(|d| d.id.clone()).collect();
    if kept.is_empty() {
        let words = format!("no deployment has the label {key}={value}");
        return Err(Failure::new(words).help(keys_here(fleet)));
    }
    Ok(Some(kept))
}

fn label_key<'a>(fleet: &Fleet, text: &'a str) -> Result<&'a str, Failure> {
    let key = text.strip_prefix("label:").filter(|key| !key.is_empty());
    key.ok_or_else(|| {
        Failure::new(format!("--group-by {text}: it is label:KEY")).help(keys_here(fleet))
    })
}

fn keys_here(fleet: &Fleet) -> String {
    let labels = fleet.deployments.values().flat_map(|deployment| deployment.labels.keys());
    let keys: BTreeSet<&str> = labels.map(String::as_str).collect();
    match keys.is_empty() {
        true => "no deployment of this fleet has `[labels]`".to_owned(),
        false => {
            let keys: Vec<&str> = keys.into_iter().collect();
            format!("labels of this fleet's deployments: {}", keys.join(", "))
        }
    }
}

/// The fleet, at `--revision`, else at what was applied last; and its store.
/// Where its repository can't be read, the fleet that the store knows.
fn open(global: &Global, simulate: bool, by_files: bool) -> Result<(Opened, Store), Failure> {
    open_readable(global, simulate, by_files).or_else(|why| {
        let place = remembered::place(global, simulate, why)?;
        let store = Store::open_to_read(&place)?
            .ok_or_else(|| Failure::new(format!("there is no store in {}", place.display())))?;
        Ok((remembered::fleet_of(global, &store)?, store))
    })
}

fn open_readable(
    global: &Global,
    simulate: bool,
    by_files: bool,
) -> Result<(Opened, Store), Failure> {
    let store = store_to_read(global, simulate)?;
    let folder = fleet_folder(global)?;
    if global.revision.is_none()
        && let Some(applied) = store.fleet_state(fleet_key::APPLIED)?
        && let Some(mut opened) = at_applied(global, &folder, &applied)?
    {
        let gone = store.decommissioned()?;
        if !gone.is_empty() {
            let kept = |device: &&Arc<Device>| !gone.contains(device.id.as_str());
            let devices = opened.fleet.devices.values().filter(kept).cloned().collect();
            opened.fleet.devices = Arc::new(devices);
            // A resolution goes by the numbers of its fleet's devices.
            opened.resolution = resolve(&opened.fleet, &Facts::none());
        }
        return Ok((opened, store));
    }
    let (tree, name, revision) = newest(global, &folder)?;
    let checked = check(&tree);
    // The first commit of all waits for one that mends it: who waits is told that, as when another was before.
    if checked.fleet.is_none()
        && global.revision.is_none()
        && !by_files
        && store.fleet_state(fleet_key::ACCEPTED)?.is_none()
        && store.fleet_state(fleet_key::HELD)?.is_some()
    {
        return Ok((remembered::fleet_of(global, &store)?, store));
    }
    Ok((valid(global, checked, name, revision)?, store))
}

/// The fleet as it was applied last, as long as that can be read and is valid.
fn at_applied(global: &Global, folder: &Path, applied: &str) -> Result<Option<Opened>, Failure> {
    let spec = match applied {
        WORKING_TREE => None,
        commit => match Repository::open(folder) {
            Ok(repository) if repository.resolve(commit).is_ok() => Some(commit),
            _ => return Ok(None),
        },
    };
    let (checked, name, revision) = check_tree(folder, spec)?;
    if spec.is_none() && checked.fleet.is_none() {
        return Ok(None);
    }
    valid(global, checked, name, revision).map(Some)
}

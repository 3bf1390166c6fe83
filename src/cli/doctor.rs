//! `hoist doctor`: what stands in the way of a device, step by step, and what helps. Nothing is changed.

use super::exit::{Exit, Failure};
use super::opened::device;
use super::output::{colours_stdout, paint, print, print_json};
use super::pinned::pinned_fleets;
use super::room::{full_store, room};
use super::run::{block_on, known_devices, now, open_gate};
use super::scope;
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::model::{Device, DeviceId, EngineAddress};
use crate::reconcile::{
    Beside, Consents, Examined, Finding, SurveyInput, examine, held_facts, kept_rollout,
    module_findings, paused_devices, pinned_elsewhere, survey,
};
use crate::resolve::resolve;
use crate::review::{Tone, fleet_digest};
use crate::store::Store;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Look for what stands in the way of a device
///
/// The way to its engine, certificates, versions, clocks, room on the disk, and what blocks its modules. Nothing is
/// changed. Exit 0 if all is well, 4 if it is not reached, 5 if something else is wrong.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The device
    #[arg(value_name = "DEVICE")]
    id: String,
    /// Ask the simulated engine: nothing real is reached
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let (opened, store) = scope::open_to_look(global, arguments.simulate)?;
    let fleet = &opened.fleet;
    let device = device(fleet, &arguments.id)?;
    let gate = open_gate(global, &store, arguments.simulate)?;
    let ((stored, memories), _) = known_devices(fleet, &store)?;
    let facts = held_facts(&stored, now());
    let paused = paused_devices(&store, fleet, &stored, now())?;
    let resolution = resolve(fleet, &facts);
    let only = BTreeSet::from([device.id.clone()]);
    let revision = opened.revision.as_ref().map_or(opened.name.as_str(), |r| r.id.as_str());
    let mut pins = pinned_elsewhere(&store, revision, fleet, &stored, now())?;
    pins.retain(|pinned, _| *pinned == device.id);
    let (elsewhere, left_alone) = pinned_fleets(global, &pins, &facts);
    let (mut findings, is_reached) = block_on(async {
        let known = stored.get(&device.id).map(AsRef::as_ref);
        let Examined { mut findings, health } = examine(&gate, device, known, now).await;
        let Some(health) = health else { return (findings, false) };
        findings.extend(disk(device, health.folder.as_deref(), health.images));
        // Somebody wanted it so: it is worth knowing, and no fault.
        findings.extend(paused.get(&device.id).map(|words| Finding::note("paused", words)));
        if opened.remembered {
            let words = "not compared: the fleet's files can't be read";
            findings.push(Finding::note("modules", words));
            return (findings, true);
        }
        if let Some(words) = left_alone.get(&device.id) {
            findings.push(Finding::bad("pinned", words, None));
            return (findings, true);
        }
        let input = SurveyInput {
            fleet,
            resolution: &resolution,
            revision,
            digest: fleet_digest(fleet, &resolution),
            only: Some(&only),
            stored: &stored,
            memories: &memories,
            control: store.control(),
            gate: &gate,
            facts: &facts,
            resync: true,
            recorded: None,
            paused: &BTreeMap::new(),
            consents: &Consents::default(),
            now: now(),
        };
        let seen = match elsewhere.first() {
            Some(pinned) => pinned.survey(&input, &pins).await,
            None => survey(&input).await,
        };
        if let Some(plan) = seen.plan.devices.get(&device.id) {
            let pinned = plan.pinned.as_ref();
            findings.extend(pinned.map(|pinned| Finding::note("pinned", pinned.to_string())));
            // What it is pinned to it should have now, whatever the newest revision waits for.
            let turn = if pinned.is_none() { turn(&store, &device.id) } else { None };
            let waits = turn.is_some();
            findings.extend(turn);
            // What it has not got yet it should not have.
            let found = module_findings(plan, known).into_iter();
            findings.extend(found.filter(|finding| !waits || finding.good.is_some()));
        }
        (findings, true)
    })?;
    if let Some(words) = Beside::read(&store, now())?.unsigned {
        let words = format!("the revision in force bears no accepted one: {words}");
        findings.push(Finding::note("signature", words));
    }
    findings.extend(full_store(store.folder()).map(|words| Finding::note("store", words)));
    match format {
        Format::Json => print_json(&as_json(&device.id, &findings)),
        _ => print(&text(&device.id, &findings, colours_stdout(global))),
    }
    let is_bad = findings.iter().any(|finding| finding.good == Some(false));
    Ok(match (is_reached, is_bad) {
        (false, _) => Exit::Pending,
        (true, true) => Exit::Failed,
        (true, false) => Exit::Done,
    })
}

/// What a rollout has to say of a device that has not got, or has no more, what the newest revision wants.
fn turn(store: &Store, device: &DeviceId) -> Option<Finding> {
    let rollout = kept_rollout(store).ok().flatten()?;
    let standing = rollout.standing_at(now());
    let words = match standing.state {
        "rolled back" if rollout.members.contains_key(device) => "the newest change went back",
        _ if rollout.waits_for(device) => "its turn has not come",
        _ => return None,
    };
    let help = standing.next.map(str::to_owned);
    Some(Finding { help, ..Finding::note("rollout", format!("{words}: {}", standing.reason)) })
}

/// Less than this share of a disk, or so many bytes, is little.
const LITTLE_SHARE: u64 = 10;
const LITTLE: u64 = 1 << 30;

/// Room on the disk where the engine keeps its images. Engines don't tell; of one on this machine `df` does.
fn disk(device: &Device, folder: Option<&str>, images: Option<u64>) -> Option<Finding> {
    let images = images.map(|bytes| format!("images take {}", bytes_in_words(bytes)));
    let here = matches!(device.engine, Some(EngineAddress::Unix { .. }));
    let room = folder.filter(|_| here).and_then(|folder| room(Path::new(folder)));
    let Some((free, size)) = room else {
        let elsewhere = "; how much is free only the device itself can tell: `df -h`";
        return images.map(|images| Finding::note("disk", format!("{images}{elsewhere}")));
    };
    let images = images.map_or(String::new(), |images| format!("; {images}"));
    let words = format!("{} of {} are free{images}", bytes_in_words(free), bytes_in_words(size));
    if free < LITTLE || free < size / LITTLE_SHARE {
        let help = "`docker image prune --all` on the device removes images that no container uses";
        return Some(Finding::bad("disk", words, Some(help.to_owned())));
    }
    Some(Finding::good("disk", words))
}

/// In the largest unit that fits, as `df -h` has it.
fn bytes_in_words(bytes: u64) -> String {
    let (mut size, mut unit) = (bytes, "B");
    let mut tenths = 0;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024 {
            break;
        }
        tenths = size % 1024 * 10 / 1024;
        size /= 1024;
        unit = larger;
    }
    if size < 10 && unit != "B" {
        format!("{size}.{tenths} {unit}")
    } else {
        format!("{size} {unit}")
    }
}

fn text(device: &DeviceId, findings: &[Finding], coloured: bool) -> String {
    let mut out = format!("{}\n", paint(coloured, Tone::Strong, &visible(device.as_str())));
    let width = findings.iter().map(|finding| finding.about.chars().count()).max().unwrap_or(0);
    for Finding { about, good, words, help } in findings {
        let (sign, tone) = match good {
            Some(true) => ("✓", Tone::Added),
            Some(false) => ("✗", Tone::Removed),
            None => ("·", Tone::Quiet),
        };
        let sign = paint(coloured, tone, sign);
        out.push_str(&format!("{sign} {:width$}  {}\n", visible(about), visible(words)));
        if let Some(help) = help {
            out.push_str(&format!("  {:width$}  → {}\n", "", visible(help)));
        }
    }
    out
}

fn as_json(device: &DeviceId, findings: &[Finding]) -> Json {
    json!({
        "format": 1,
        "device": device.as_str(),
        "findings": findings.iter().map(|Finding { about, good, words, help }| json!({
            "about": about, "good": good, "words": words, "help": help,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::bytes_in_words;

    #[test]
    fn bytes_are_in_the_largest_unit_that_fits() {
        for (bytes, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 34, "48 GiB"),
        ] {
            assert_eq!(bytes_in_words(bytes), words);
        }
    }
}

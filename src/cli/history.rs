//! `hoist history`: what was done, by whom and why, from the store alone.

use super::exit::{Exit, Failure};
use super::output::{colours_stdout, count, paint, print, print_json, say};
use super::run::now;
use super::stored::store_to_read;
use super::{Format, Global};
use crate::diagnostic::did_you_mean;
use crate::diagnostic::render::visible;
use crate::model::{DeviceId, Timestamp};
use crate::plan::short_revision;
use crate::reconcile::{Change, Episode, entry_json, episodes, moment_since};
use crate::review::Tone;
use crate::store::{HistoryEntry, HistoryFilter, Store};
use serde_json::json;
use std::collections::BTreeSet;

/// Show what was done, by whom and why
///
/// Equal changes of many devices are one entry; what came last stands last.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this device
    #[arg(value_name = "DEVICE")]
    id: Option<String>,
    /// Only since so long ago (1h, 7d), or since a moment (2026-01-05T09:00:00Z)
    #[arg(long, value_name = "SINCE")]
    since: Option<String>,
    /// Only the newest so many changes
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let since = arguments.since.as_deref().map(|text| since(text, now())).transpose()?;
    let store = store_to_read(global, arguments.simulate)?;
    let device = arguments.id.as_deref().map(|id| known_device(&store, id)).transpose()?;
    // One more, to know whether there are more.
    let limit = Some(arguments.limit.saturating_add(1));
    let mut entries = store.history(&HistoryFilter { device, since, limit })?;
    let is_cut = entries.len() > arguments.limit as usize;
    if is_cut {
        entries.remove(0);
    }
    match format {
        Format::Json => print_json(&json!({
            "format": 1,
            "entries": entries.iter().map(entry_json).collect::<Vec<_>>(),
            "cut": is_cut,
        })),
        _ => print(&text(&entries, colours_stdout(global))),
    }
    if is_cut {
        say(&format!(
            "note: only the newest {} are shown; --limit N shows more",
            count(arguments.limit as usize, "change")
        ));
    }
    Ok(Exit::Done)
}

fn since(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    moment_since(text, now).map_err(|words| {
        Failure::new(format!("--since {text}: {words}"))
            .help("write 30m, 1h, 7d, or 2026-01-05T09:00:00Z")
    })
}

/// A device that the store knows, or one that only its history knows.
fn known_device(store: &Store, id: &str) -> Result<DeviceId, Failure> {
    let device = DeviceId::parse(id).map_err(|error| Failure::new(error.to_string()))?;
    let known: BTreeSet<DeviceId> = store.load_devices()?.into_keys().collect();
    let limit = Some(1);
    let filter = HistoryFilter { device: Some(device.clone()), limit, ..Default::default() };
    if known.contains(&device) || !store.history(&filter)?.is_empty() {
        return Ok(device);
    }
    let failure = Failure::new(format!("nothing was ever done on a device `{id}`"));
    Err(match did_you_mean(id, known.iter().map(DeviceId::as_str)) {
        Some(help) => failure.help(help),
        None => failure,
    })
}

fn text(entries: &[HistoryEntry], coloured: bool) -> String {
    if entries.is_empty() {
        return "nothing was done\n".to_owned();
    }
    let all = episodes(entries);
    all.iter().map(|episode| one(episode, coloured)).collect::<Vec<_>>().join("\n")
}

fn one(episode: &Episode, coloured: bool) -> String {
    let Episode { began, ended, who, devices, from, to, changes } = episode;
    let until = if ended == began { String::new() } else { format!(" … {ended}") };
    let short = |revision: &Option<String>| revision.as_deref().map(short_revision).map(visible);
    let revisions = match (short(from), short(to)) {
        (Some(from), Some(to)) if from == to => format!("  at {to}"),
        (Some(from), Some(to)) => format!("  {from} → {to}"),
        (None, Some(to)) => format!("  to {to}"),
        (Some(from), None) => format!("  from {from}"),
        (None, None) => String::new(),
    };
    let head = format!("{began}{until}{revisions}  by {}", visible(who));
    let mut out = format!("{}\n", paint(coloured, Tone::Strong, &head));
    if !devices.is_empty() {
        out.push_str(&format!("  {}\n", devices_line(devices)));
    }
    for change in changes {
        out.push_str(&change_line(change, coloured));
    }
    out
}

fn devices_line(devices: &[DeviceId]) -> String {
    const MOST: usize = 8;
    let shown: Vec<String> =
        devices.iter().take(MOST).map(|device| visible(device.as_str())).collect();
    let more = devices.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!(" … (+{more})") };
    match devices {
        [one] => visible(one.as_str()),
        _ => format!("{}: {}{more}", count(devices.len(), "device"), shown.join(" ")),
    }
}

fn change_line(change: &Change, coloured: bool) -> String {
    let Change { action, module, reason, outcome, times } = change;
    let module = module.as_ref().map_or(String::new(), |module| format!(" {module}"));
    let times = if *times == 1 { String::new() } else { format!(" ×{times}") };
    let reason = if reason.is_empty() { String::new() } else { format!("  ({reason})") };
    let (sign, tone) = match outcome.as_str() {
        "done" => ('✓', Tone::Added),
        done if done.starts_with("done") => ('✓', Tone::Warning),
        _ => ('✗', Tone::Removed),
    };
    let outcome = if outcome == "done" { String::new() } else { format!(": {outcome}") };
    let line = format!("{action}{module}{times}{reason}{outcome}");
    format!("    {} {}\n", paint(coloured, tone, &sign.to_string()), visible(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_moment() {
        let now = Timestamp { seconds: 1_800_000_000 };
        assert_eq!(since("1h", now).unwrap().seconds, 1_799_996_400);
        assert_eq!(since("2026-01-05T09:00:00Z", now).unwrap().to_string(), "2026-01-05T09:00:00Z");
        assert!(since("yesterday", now).unwrap_err().message.contains("neither"));
    }
}

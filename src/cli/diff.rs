//! `hoist diff`: what a change would do on every device, from files alone.

use super::exit::{Exit, Failure};
use super::opened::{condition, narrowed};
use super::output::{colours_stdout, paint, print, print_json, say};
use super::revisions::say_history_is_cut;
use super::sides::{FactsArguments, read_sides};
use super::{Format, Global};
use crate::model::DeviceId;
use crate::review::{self, DiffOptions, FleetDiff, diff};
use clap::ValueEnum;
use std::mem::ManuallyDrop;

/// Show what a change would do on every device.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The revision to compare with, BASE..HEAD, BASE...HEAD for what merging HEAD into BASE would change, or
    /// `in-force` for what devices have now [default: what a merge of this branch would change]
    base: Option<String>,
    /// The revision to look at [default: the working tree]
    head: Option<String>,
    /// Only devices that meet this condition
    #[arg(long = "where", value_name = "CONDITION")]
    wanted: Option<String>,
    /// Only this device; may be given several times
    #[arg(long = "device", value_name = "ID")]
    devices: Vec<String>,
    /// Exit with 0 where there are changes
    #[arg(long)]
    exit_zero: bool,
    /// Fail (exit 3) unless the change is what is expected
    #[arg(long, value_enum)]
    expect: Option<Expectation>,
    #[command(flatten)]
    facts: FactsArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expectation {
    /// No manifest of any device differs, and no engine address.
    NoChange,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    if global.revision.is_some() {
        return Err(Failure::new("diff takes its revisions as arguments: `hoist diff BASE HEAD`"));
    }
    let Arguments { base, head, wanted, devices, exit_zero, expect, facts } = arguments;
    // They end with the process: to take them apart takes as long as to compare them.
    let sides = ManuallyDrop::new(read_sides(global, base.as_deref(), head.as_deref(), facts)?);
    let only = narrowed(&sides.fleets(), &sides.facts, devices, wanted.as_deref())?;
    let wanted = wanted.as_deref().map(condition).transpose()?;
    let options =
        DiffOptions { only, wanted: wanted.as_ref(), allowances: sides.lifted.allowances.clone() };
    let diff = diff(sides.base(), sides.head(), &options);
    show(global, format, &diff);
    if diff.needs_consent() && sides.lifted.history_is_cut {
        say_history_is_cut();
    }
    require_facts(&diff, facts)?;
    let exit = exit_of(&diff);
    // What was not looked at may only be known to be the same by the digests.
    let is_known = || !diff.narrowed || diff.base.1 == diff.head.1;
    let expected = expect.is_none() || (!diff.has_changes() && is_known());
    if !expected {
        say("expected: no change");
        return Ok(Exit::Consent);
    }
    Ok(if exit == Exit::Changes && *exit_zero { Exit::Done } else { exit })
}

/// Shows a diff in one of its formats.
pub(super) fn show(global: &Global, format: Format, diff: &FleetDiff) {
    match format {
        Format::Json => print_json(&review::json(diff)),
        Format::Markdown => print(&review::markdown(diff)),
        _ => {
            let coloured = colours_stdout(global);
            print(&review::text(diff, &|tone, text| paint(coloured, tone, text)));
        }
    }
}

/// What a diff means for the exit code.
pub(super) fn exit_of(diff: &FleetDiff) -> Exit {
    if diff.needs_consent() {
        Exit::Consent
    } else if diff.has_changes() {
        Exit::Changes
    } else {
        Exit::Done
    }
}

/// Fails where facts are missing and must not be.
pub(super) fn require_facts(diff: &FleetDiff, facts: &FactsArguments) -> Result<(), Failure> {
    if !facts.require_facts || diff.facts_missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<DeviceId> = diff.facts_missing.iter().cloned().collect();
    let words = format!("reported facts are missing for {}", review::names(&missing));
    Err(Failure::new(words).help(
        "--facts names a saved answer of the control host; `[reported]` in git declares some",
    ))
}

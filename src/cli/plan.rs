//! `hoist plan`: looks at the engines and shows what `apply` would do.

use super::exit::{Exit, Failure};
use super::output::{print, print_json, say};
use super::run::{Intent, Prepared, RunArguments, block_on, prepare, tripped};
use super::{Format, Global};
use crate::plan::{Block, DevicePlan, DeviceState, Plan, plan_json, plan_text};
use std::path::{Path, PathBuf};

/// Look at the engines and show what apply would do.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Show every step
    #[arg(long)]
    steps: bool,
    /// Keep the plan in a file, for `hoist apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let prepared = block_on(prepare(global, &arguments.run, &Intent::default()))??;
    let Prepared { guards, .. } = &prepared;
    let plan = &prepared.plan();
    match format {
        Format::Json => print_json(&plan_json(plan)),
        _ => print(&plan_text(plan, arguments.steps)),
    }
    if let Some(path) = &arguments.out {
        keep(plan, path)?;
    }
    let tripped = tripped(guards);
    for line in &tripped {
        say(line);
    }
    Ok(exit_of(plan).or(if tripped.is_empty() { Exit::Done } else { Exit::Consent }))
}

/// Keeps a plan in a file.
pub(super) fn keep(plan: &Plan, path: &Path) -> Result<(), Failure> {
    std::fs::write(path, format!("{:#}\n", plan_json(plan)))
        .map_err(|error| Failure::new(format!("can't write {}: {error}", path.display())))
}

/// What a plan that was not run means.
pub(super) fn exit_of(plan: &Plan) -> Exit {
    plan.devices.values().fold(Exit::Done, |exit, device| {
        let state = match &device.state {
            DeviceState::Observed => Exit::Done,
            DeviceState::Pending(_) | DeviceState::Paused(_) => Exit::Pending,
            DeviceState::Held { .. } => Exit::Failed,
        };
        let works = if device.works.is_empty() { Exit::Done } else { Exit::Changes };
        exit.or(state).or(exit_of_blocks(device)).or(works)
    })
}

/// What stands in the way of a device's modules, if anything: a pause after which it goes on by itself has not failed, unless the
/// module counts as failed.
pub(super) fn exit_of_blocks(device: &DevicePlan) -> Exit {
    device.blocked.values().fold(Exit::Done, |exit, block| {
        exit.or(match block {
            Block::InPause { code: ..400, .. } => Exit::Pending,
            Block::FailedBefore(failed) if failed.broke_off() => Exit::Pending,
            _ => Exit::Failed,
        })
    })
}

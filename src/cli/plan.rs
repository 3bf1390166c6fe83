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
            Block::FailedBefore(failed) if failed.broke_off() && !failed.given_up => Exit::Pending,
            _ => Exit::Failed,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceId, Hash, ModuleName};
    use crate::plan::FailedChange;

    /// What broke off goes on by itself, but for what a rollout gave up: that waits for somebody, as what failed does.
    #[test]
    fn what_waits_for_somebody_is_not_pending() {
        let exit = |code, given_up| {
            let failed = FailedChange {
                spec: Hash::of_texts("a specification", []),
                at: 0,
                count: 2,
                code,
                reason: "could not start web".to_owned(),
                given_up,
                is_alone: false,
            };
            let device = DeviceId::parse("d1").unwrap();
            let mut plan = DevicePlan::idle(device, DeviceState::Observed);
            let block = Block::FailedBefore(failed);
            let code = block.code();
            plan.blocked.insert(ModuleName::parse("web").unwrap(), block);
            (exit_of_blocks(&plan), code)
        };
        assert_eq!(exit(406, false), (Exit::Pending, 202));
        assert_eq!(exit(406, true), (Exit::Failed, 400));
        assert_eq!(exit(500, false), (Exit::Failed, 500));
        assert_eq!(exit(500, true), (Exit::Failed, 500));
    }
}

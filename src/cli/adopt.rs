//! `hoist adopt`: plans to take over what somebody else started under modules' names.

use super::accept_engine::in_quotes;
use super::exit::{Exit, Failure};
use super::output::{count, print, print_json, say};
use super::plan::{exit_of, keep};
use super::run::{Adopt, Intent, Prepared, RunArguments, block_on, prepare, tripped};
use super::{Format, Global};
use crate::plan::{plan_json, plan_text};
use std::path::PathBuf;

/// Plan to take over containers that somebody else started under modules' names
///
/// What compose, Ansible or edgeAgent started is not touched by apply. This plans to replace it as a module's
/// own container is replaced: volumes stay, and what fails its probation makes way for what was there before.
/// Nothing is run; `hoist apply PLAN` does it, if the same containers are still there.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Keep the plan in this file, for `hoist apply PLAN`
    #[arg(long, value_name = "PLAN")]
    out: PathBuf,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let intent = Intent { adopt: Adopt::Everywhere, ..Intent::default() };
    let prepared = block_on(prepare(global, &arguments.run, &intent))??;
    let Prepared { guards, .. } = &prepared;
    let plan = &mut prepared.plan();
    let looked_at = plan.devices.len();
    let whole = exit_of(plan);
    plan.devices.retain(|_, device| !device.adopts.is_empty());
    plan.narrowed |= plan.devices.len() < looked_at;
    if plan.devices.is_empty() {
        say(
            "no container of somebody else has a module's name and can be taken over; no plan was kept",
        );
        return Ok(if matches!(whole, Exit::Pending | Exit::Failed) { whole } else { Exit::Done });
    }
    match format {
        Format::Json => print_json(&plan_json(plan)),
        _ => print(&plan_text(plan, false)),
    }
    keep(plan, &arguments.out)?;
    let containers = plan.devices.values().map(|device| device.adopts.len()).sum();
    say(&format!(
        "`hoist apply {}{}` takes over {} on {}",
        arguments.out.display(),
        arguments.run.to_apply_a_plan() + &at(global.revision.as_deref()),
        count(containers, "container"),
        count(plan.devices.len(), "device")
    ));
    let tripped = tripped(guards);
    for line in &tripped {
        say(line);
    }
    Ok(exit_of(plan).or(if tripped.is_empty() { Exit::Done } else { Exit::Consent }))
}

/// A plan is taken for the revision alone that it was made for.
fn at(revision: Option<&str>) -> String {
    let is_plain =
        |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@".contains(c));
    match revision {
        None => String::new(),
        Some(revision) if is_plain(revision) => format!(" --revision {revision}"),
        Some(revision) => format!(" --revision {}", in_quotes(revision)),
    }
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn the_command_that_runs_a_plan_names_its_revision() {
        assert_eq!(at(None), "");
        assert_eq!(at(Some("v1.2/a")), " --revision v1.2/a");
        assert_eq!(at(Some("HEAD~1")), " --revision 'HEAD~1'");
    }
}

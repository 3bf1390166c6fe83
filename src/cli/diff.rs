//! `hoist diff`: what a change would do on every device, from files alone.

use super::exit::{Exit, Failure};
use super::opened::{Opened, fleet_folder, format, narrowed, valid};
use super::output::{colours_stdout, paint, print, print_json};
use super::revisions::{BothFiles, Lifted, read_both, say_history_is_cut};
use super::{Format, Global};
use crate::model::Facts;
use crate::resolve::check;
use crate::review::{self, DiffOptions, Side, diff};
use clap::ValueEnum;

/// Show what a change would do on every device.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The revision to compare with, BASE..HEAD, or BASE...HEAD for what merging HEAD into BASE would
    /// change [default: what a merge of this branch would change]
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expectation {
    /// No manifest of any device differs.
    NoChange,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(global, &[Format::Text, Format::Json])?;
    if global.revision.is_some() {
        return Err(Failure::new("diff takes its revisions as arguments: `hoist diff BASE HEAD`"));
    }
    let folder = fleet_folder(global)?;
    let BothFiles { base, head, lifted } =
        read_both(&folder, arguments.base.as_deref(), arguments.head.as_deref())?;
    let Lifted { allowances, history_is_cut } = lifted;
    let (tree, name, revision) = head;
    let head = valid(global, check(&tree), name, revision)?;
    let base: Option<Opened> = match base {
        None => None,
        Some((tree, name, revision)) => Some(valid(global, check(&tree), name, revision)?),
    };
    let facts = Facts::none();
    let mut fleets = vec![&head.fleet];
    fleets.extend(base.as_ref().map(|base| &base.fleet));
    let only = narrowed(&fleets, &facts, &arguments.devices, arguments.wanted.as_deref())?;
    let nothing = Side { name: "nothing", fleet: None, warnings: &[] };
    let diff =
        diff(base.as_ref().map_or(nothing, side), side(&head), &DiffOptions { only, allowances });
    match format {
        Format::Json => print_json(&review::json(&diff)),
        _ => {
            let coloured = colours_stdout(global);
            print(&review::text(&diff, &|tone, text| paint(coloured, tone, text)));
        }
    }
    let unexpected = arguments.expect == Some(Expectation::NoChange) && diff.base.1 != diff.head.1;
    if diff.needs_consent() && history_is_cut {
        say_history_is_cut();
    }
    Ok(if diff.needs_consent() || unexpected {
        Exit::Consent
    } else if diff.has_changes() && !arguments.exit_zero {
        Exit::Changes
    } else {
        Exit::Done
    })
}

fn side(opened: &Opened) -> Side<'_> {
    Side {
        name: &opened.name,
        fleet: Some((&opened.fleet, &opened.resolution)),
        warnings: &opened.warnings,
    }
}

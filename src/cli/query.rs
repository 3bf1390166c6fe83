//! `hoist query CONDITION`: the devices that meet a condition.

use super::exit::{Exit, Failure};
use super::opened::{condition, format, open};
use super::output::{print, print_json, say};
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::language::{Subject, Truth};
use crate::model::{Device, Facts, Table};
use serde_json::json;

/// List the devices that meet a condition.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A condition such as "tags.environment = 'prod'"
    #[arg(value_name = "CONDITION")]
    query: String,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(global, &[Format::Text, Format::Json])?;
    let opened = open(global, global.revision.as_deref())?;
    let condition = condition(&arguments.query)?;
    let facts = Facts::none();
    let devices: Vec<(&Device, Table)> = opened
        .fleet
        .devices
        .values()
        .map(|device| (device.as_ref(), facts.reported(device).into_owned()))
        .collect();
    let subjects = devices.iter().map(|(device, reported)| Subject { device, reported });
    let met: Vec<&str> = subjects
        .clone()
        .filter(|subject| condition.evaluate(*subject) == Truth::True)
        .map(|subject| subject.device.id.as_str())
        .collect();
    if met.is_empty()
        && let Some((term, before)) = condition.emptying_term(subjects)
    {
        let all = devices.len();
        say(&visible(&match before {
            n if n == all => format!("no device meets `{term}`"),
            n => format!("`{term}` removes the last {n} of {all} devices"),
        }));
    }
    if format == Format::Json {
        let rows: Vec<_> = met.iter().map(|id| json!({"deviceId": id})).collect();
        print_json(&json!({"format": 1, "rows": rows}));
    } else {
        print(&met.iter().map(|id| format!("{id}\n")).collect::<String>());
    }
    Ok(Exit::Done)
}

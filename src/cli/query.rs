//! `hoist query QUERY`: what git says of devices and modules, and how they were last seen.

use super::exit::{Exit, Failure};
use super::opened::{Opened, open, query};
use super::output::{colours_stdout, paint, print, print_json, say};
use super::run::{now, state_folder};
use super::{Format, Global};
use crate::diagnostic::render::visible;
use crate::language::{Answer, Collection, Emptied, Query};
use crate::model::Value;
use crate::reconcile::{held_facts, known};
use crate::resolve::{Known, Rows, resolve};
use crate::review::Tone;
use crate::store::Store;
use serde_json::{Value as Json, json};

/// Ask the fleet: list the devices that meet a condition, or run a query
///
/// With a store that `apply` has written, also what devices report and how they were last seen can be asked;
/// without one, what the files say. `hoist help queries` says how queries are written.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A condition such as "tags.environment = 'prod'", or a query such as
    /// "SELECT tags.environment, COUNT() FROM devices GROUP BY tags.environment"
    #[arg(value_name = "QUERY")]
    query: String,
    /// The store of the simulated engines
    #[arg(long)]
    simulate: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let opened = open(global, global.revision.as_deref())?;
    let query = query(&arguments.query)?;
    let answer = ask(global, arguments, &opened, &query)?;
    if let Some(emptied) = &answer.emptied {
        say(&visible(&why_empty(emptied, query.collection())));
    }
    match format {
        Format::Json => print_json(&json(&answer)),
        _ => print(&text(&answer, colours_stdout(global))),
    }
    Ok(Exit::Done)
}

/// Asks what lies in the files, and what the store knows if there is one.
fn ask(
    global: &Global,
    arguments: &Arguments,
    opened: &Opened,
    query: &Query,
) -> Result<Answer, Failure> {
    let fleet = &opened.fleet;
    let folder = state_folder(global, fleet, arguments.simulate).ok();
    let store = match &folder {
        Some(folder) => Store::open_to_read(folder)?,
        None => None,
    };
    let Some(store) = store else {
        if query.asks_for_what_was_seen() {
            let place = folder.map(|folder| format!(" in {}", folder.display()));
            let place = visible(&place.unwrap_or_default());
            say(&format!("there is no store{place}: it is not known what devices do"));
        }
        let known = Known::default();
        let rows = Rows { fleet, resolution: &opened.resolution, known: &known, only: None };
        return Ok(rows.answer(query));
    };
    let (stored, now) = (store.load_devices()?, now());
    let resolution = resolve(fleet, &held_facts(&stored, now));
    let known = known(&stored, now);
    Ok(Rows { fleet, resolution: &resolution, known: &known, only: None }.answer(query))
}

fn why_empty(emptied: &Emptied, collection: Collection) -> String {
    let Emptied { term, before, of } = emptied;
    let noun = match collection {
        Collection::Devices => "device",
        Collection::Modules => "module",
    };
    if before == of {
        format!("no {noun} meets `{term}`")
    } else {
        format!("`{term}` removes the last {before} of {of} {noun}s")
    }
}

fn json(answer: &Answer) -> Json {
    let rows = answer.rows.iter().map(|row| {
        let cells = answer.columns.iter().zip(row);
        let there =
            cells.filter_map(|(name, value)| Some((name.clone(), value.as_ref()?.to_json())));
        Json::Object(there.collect())
    });
    json!({"format": 1, "rows": rows.collect::<Vec<_>>()})
}

/// Ids alone are lines that other commands can read; everything else is a table.
fn text(answer: &Answer, coloured: bool) -> String {
    let Answer { columns, rows, emptied: _ } = answer;
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|value| cell(value.as_ref())).collect()).collect();
    if columns.iter().eq(["deviceId"]) {
        return cells.iter().flatten().map(|id| format!("{id}\n")).collect();
    }
    if rows.is_empty() {
        return String::new();
    }
    let head: Vec<String> = columns.iter().map(|name| visible(name)).collect();
    let width = |at: usize| {
        let column = cells.iter().map(|row| &row[at]).chain([&head[at]]);
        column.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &[String]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = format!("{}\n", paint(coloured, Tone::Quiet, &line(&head)));
    for row in &cells {
        out.push_str(&format!("{}\n", line(row)));
    }
    out
}

/// A value on one line; `-` where there is none.
fn cell(value: Option<&Value>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => visible(text),
        Some(value) => visible(&value.to_json().to_string()),
    }
}

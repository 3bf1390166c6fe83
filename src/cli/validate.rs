//! `hoist validate`: every error and warning of a revision.

use super::exit::{Exit, Failure};
use super::opened::{fleet_folder, format, read_tree};
use super::output::{count, print, print_diagnostics, print_json};
use super::{Format, Global};
use crate::diagnostic::{Diagnostics, Level, render};
use crate::resolve::check;
use crate::review::warning_json;
use serde_json::json;

/// Show every error and warning of a fleet.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Warnings count as errors
    #[arg(long)]
    deny_warnings: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = format(global, &[Format::Text, Format::Json, Format::Github])?;
    let (tree, name, _) = read_tree(&fleet_folder(global)?, global.revision.as_deref())?;
    let checked = check(&tree);
    let mut diagnostics = checked.diagnostics;
    if arguments.deny_warnings {
        diagnostics = diagnostics.with_levels(|_, _| Some(Level::Error));
    }
    match format {
        Format::Json => {
            let list: Vec<_> = diagnostics.iter().map(warning_json).collect();
            print_json(&json!({"format": 1, "diagnostics": list}));
        }
        Format::Github => print(&annotations(&diagnostics)),
        Format::Text | Format::Toml | Format::Azure => {
            print_diagnostics(global, &diagnostics);
            let problems = render::count(&diagnostics);
            let line = match &checked.fleet {
                Some((fleet, _)) if !diagnostics.has_errors() => {
                    let found = match problems.as_str() {
                        "" => String::new(),
                        problems => format!(", {problems}"),
                    };
                    format!(
                        "{}: {}, {}{found}: valid ({name})\n",
                        fleet.name,
                        count(fleet.devices.len(), "device"),
                        count(fleet.deployments.len(), "deployment")
                    )
                }
                _ => format!("{problems}: not valid ({name})\n"),
            };
            print(&line);
        }
    }
    Ok(if diagnostics.has_errors() { Exit::Wrong } else { Exit::Done })
}

/// Workflow commands of GitHub Actions. Everything that comes from files is escaped, so a file can't write
/// a command of its own.
fn annotations(diagnostics: &Diagnostics) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for diagnostic in diagnostics {
        let word = if diagnostic.level == Level::Error { "error" } else { "warning" };
        let place = match diagnostic.position() {
            Some((file, line, column)) => {
                format!("file={},line={line},col={column},", property(file))
            }
            None => String::new(),
        };
        let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let words = data(&format!("{}{help}", diagnostic.message));
        out.push_str(&format!("::{word} {place}title={}::{words}\n", diagnostic.code));
    }
    out
}

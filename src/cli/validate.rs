//! `hoist validate`: every error and warning of a revision.

use super::exit::{Exit, Failure};
use super::opened::{fleet_folder, read_tree};
use super::output::{count, print, print_diagnostics, print_json, say_diagnostics};
use super::{Format, Global};
use crate::diagnostic::render::{self, visible};
use crate::diagnostic::{Diagnostic, Diagnostics, Level};
use crate::fleet::{LintLevels, decode_policy};
use crate::resolve::{CheckCache, check_by_policy};
use crate::review::warning_json;
use crate::source::Repository;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Show every error and warning of a fleet.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Warnings count as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Levels of lints that the repository can only make stricter: a file with `[lints]`
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let format = global.format();
    let policy = match &arguments.policy {
        Some(path) => read_policy(global, path)?,
        None => LintLevels::new(),
    };
    let folder = fleet_folder(global)?;
    let spec = global.revision.as_deref();
    let mut cache = CheckCache::default();
    let (tree, name, _) = cache.decode_while(|seen| read_tree(&folder, spec, seen))?;
    let checked = check_by_policy(&tree, &policy, &mut cache);
    let mut diagnostics = checked.diagnostics;
    if arguments.deny_warnings {
        diagnostics = diagnostics.with_levels(|_, _| Some(Level::Error));
    }
    match format {
        Format::Json => {
            let list: Vec<_> = diagnostics.iter().map(warning_json).collect();
            print_json(&json!({"format": 1, "diagnostics": list}));
        }
        Format::Github => print(&annotations(&diagnostics, &above(&folder))),
        _ => {
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

/// A policy with mistakes judges nothing.
fn read_policy(global: &Global, path: &Path) -> Result<LintLevels, Failure> {
    let shown = path.display();
    let bytes = fs::read(path)
        .map_err(|error| Failure::new(format!("can't read the policy {shown}: {error}")))?;
    decode_policy(&shown.to_string(), &bytes).map_err(|found| {
        say_diagnostics(global, &found);
        Failure::new(format!("the policy {shown} is not valid: {}", render::count(&found)))
            .help("nothing was validated")
    })
}

/// The way from the top of the repository to the fleet folder: annotations name files from the top.
fn above(folder: &Path) -> String {
    Repository::open(folder).map(|repository| repository.prefix().to_owned()).unwrap_or_default()
}

/// Workflow commands of GitHub Actions, with paths from the top of the repository. Everything that comes from
/// files is escaped, so a file can't write a command of its own, nor hide what is in a line.
fn annotations(diagnostics: &Diagnostics, above: &str) -> String {
    let data = |text: &str| visible(text).replace('%', "%25");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for diagnostic in diagnostics {
        let Diagnostic { code, level, message, place, help, devices, subject: _ } = diagnostic;
        let word = if *level == Level::Error { "error" } else { "warning" };
        let place = place.as_ref().map_or_else(String::new, |place| {
            let (line, column) = place.line_and_column();
            let file = property(&format!("{above}{}", place.file()));
            // The first line of it: columns mean nothing over several.
            let end = column + place.width();
            format!("file={file},line={line},endLine={line},col={column},endColumn={end},")
        });
        let devices = devices
            .map(|devices| format!("; concerns {}", count(devices, "device")))
            .unwrap_or_default();
        let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let words = data(&format!("{message}{devices}{help}"));
        out.push_str(&format!("::{word} {place}title={code}::{words}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::annotations;
    use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Source};

    #[test]
    fn no_text_of_a_file_is_a_command_of_its_own() {
        let text = "é = \"x\\n::error::y\"\r\n";
        let source = Source::new("devices/a,b:c%\n::notice::x.toml", text);
        let mut found = Diagnostics::new();
        found.push(
            Diagnostic::new(Code::MutableImage, "`x\r\n::error file=a::100%`\u{1b}[1m \u{202e}y")
                .at(Place::new(&source, 5..text.len()))
                .help("write\n::stop-commands::z")
                .devices(1),
        );
        found.push(Diagnostic::new(Code::NoFleetFile, "there is none").devices(4));
        insta::assert_snapshot!(annotations(&found, "ops/a,b/"), @r"
        ::warning file=ops/a%2Cb/devices/a%2Cb%3Ac%25 %3A%3Anotice%3A%3Ax.toml,line=1,endLine=1,col=5,endColumn=20,title=mutable-image::`x� ::error file=a::100%25`�[1m �y; concerns 1 device (write ::stop-commands::z)
        ::error title=no-fleet-file::there is none; concerns 4 devices
        ");
        assert_eq!(annotations(&found, "").lines().count(), 2);
    }
}

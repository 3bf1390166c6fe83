//! `hoist import azure FILE…`: a fleet folder from manifests and exports of Azure IoT Edge.

use super::exit::{Exit, Failure};
use super::init::name;
use super::output::{print, print_json, say};
use super::run::now;
use super::{Format, Global};
use crate::azure::{ImportRequest, InputFile, Mistake, import};
use crate::diagnostic::render::visible;
use crate::fleet::FileTree;
use crate::model::FleetName;
use crate::source::read_folder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Make fleet files from another system's.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(clap::Subcommand)]
enum From {
    /// From deployment manifests and exports of Azure IoT Edge
    Azure(AzureArguments),
}

#[derive(clap::Args)]
struct AzureArguments {
    /// Manifests, deployments, exports of many, templates; as JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The fleet folder to write to; what is there is never overwritten
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Devices of a hub: ids, tags and reported properties, as a query for twins gives them
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
    /// Where the devices' engines are, such as ssh://hoist@{deviceId}
    #[arg(long, value_name = "ADDRESS")]
    engine: Option<String>,
    /// Gives a placeholder of a template its value; may be given often
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    // As people copy it from the template.
    let name = name.trim();
    let name = name.strip_prefix("${").and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let name = name.strip_prefix('$').unwrap_or(name);
    if name.is_empty() {
        return Err("the name is empty; write NAME=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let From::Azure(arguments) = &arguments.from;
    let format = global.format();
    let out = &arguments.out;
    let request = ImportRequest {
        manifests: arguments.files.iter().map(|path| input(path)).collect::<Result<_, _>>()?,
        devices: arguments.devices.as_deref().map(input).transpose()?,
        engine: arguments.engine.clone(),
        set: settings(&arguments.set)?,
        now: now(),
        fleet_name: fleet_name(out)?,
    };
    let existing = if out.is_dir() { read_folder(out)? } else { FileTree::default() };
    let imported = import(&request, &existing).map_err(|mistakes| refused(&mistakes))?;
    write_all(out, &imported.files)?;
    if format == Format::Json {
        print_json(&imported.report.json());
    } else {
        let text = imported.report.text();
        print(&text.lines().map(|line| format!("{}\n", visible(line))).collect::<String>());
    }
    Ok(Exit::Done)
}

fn settings(given: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut set = BTreeMap::new();
    for (name, value) in given {
        if set.insert(name.clone(), value.clone()).is_some_and(|before| before != *value) {
            return Err(Failure::new(format!("--set {name} is given twice, with two values")));
        }
    }
    Ok(set)
}

fn input(path: &Path) -> Result<InputFile, Failure> {
    let unread = |error| Failure::new(format!("can't read {}: {error}", path.display()));
    let size = fs::metadata(path).map_err(unread)?.len();
    if size > FileTree::LARGEST_FILE {
        let most = FileTree::LARGEST_FILE;
        return Err(Failure::new(format!(
            "{} has {size} bytes; at most {most} are read",
            path.display()
        )));
    }
    let bytes = fs::read(path).map_err(unread)?;
    Ok(InputFile { name: path.display().to_string(), bytes: bytes.into() })
}

/// The fleet's name: its folder's.
fn fleet_name(out: &Path) -> Result<FleetName, Failure> {
    // The folder need not be there yet.
    let absolute = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    name(&absolute, None)
}

/// Every mistake on stderr; the failure says that nothing was written.
fn refused(mistakes: &[Mistake]) -> Failure {
    for Mistake { place, message, help } in mistakes {
        let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        say(&visible(&format!("{place}{message}")));
        if let Some(help) = help {
            say(&format!("  = help: {}", visible(help)));
        }
    }
    Failure::new("nothing was written")
}

/// Writes new files only. What was begun is taken away again if one can't be written.
fn write_all(out: &Path, files: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut written: Vec<PathBuf> = Vec::new();
    for (path, text) in files {
        let path = out.join(path);
        if let Err(error) = write_new(&path, text) {
            for path in &written {
                let _ = fs::remove_file(path);
            }
            let words = format!("can't write {}: {error}; nothing was written", path.display());
            return Err(Failure::new(words));
        }
        written.push(path);
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

//! `hoist schema KIND`: JSON Schemas of the files of a fleet, for editors.

use super::Global;
use super::exit::{Exit, Failure};
use super::opened::fleet_folder;
use super::output::print;
use crate::fleet::{FileKind, schema};
use std::fs;
use std::path::Path;

/// Print the JSON Schema of a kind of file, for editors.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Which files
    #[arg(required_unless_present = "write")]
    kind: Option<Kind>,
    /// Write all three into `.hoist/schema` of the fleet folder, where the files' `#:schema` lines look
    #[arg(long, conflicts_with = "kind")]
    write: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// `fleet.toml`
    Fleet,
    /// Files in devices/
    Device,
    /// Files in deployments/
    Deployment,
}

/// Where schemas lie in a fleet folder. Hoist itself reads nothing there.
const FOLDER: &str = ".hoist/schema";

pub(super) fn run(global: &Global, arguments: &Arguments) -> Result<Exit, Failure> {
    let kind = match arguments.kind {
        Some(Kind::Fleet) => FileKind::Fleet,
        Some(Kind::Device) => FileKind::Device,
        Some(Kind::Deployment) => FileKind::Deployment,
        None => return write(&fleet_folder(global)?),
    };
    print(&text(kind));
    Ok(Exit::Done)
}

fn write(folder: &Path) -> Result<Exit, Failure> {
    for (path, text) in files() {
        let path = folder.join(path);
        let failed = |error| Failure::new(format!("can't write {}: {error}", path.display()));
        fs::create_dir_all(folder.join(FOLDER)).map_err(failed)?;
        fs::write(&path, text).map_err(failed)?;
        let shown = path.strip_prefix(".").unwrap_or(&path);
        print(&format!("wrote {}\n", shown.display()));
    }
    Ok(Exit::Done)
}

/// The files of all schemas, with their paths in a fleet folder.
pub(super) fn files() -> [(String, String); 3] {
    FileKind::ALL.map(|kind| (format!("{FOLDER}/{}.json", kind.as_str()), text(kind)))
}

/// The first line of a file in a fleet folder, so that editors find its schema.
pub(super) fn line(path: &str, kind: FileKind) -> String {
    let up = "../".repeat(path.matches('/').count());
    let up = if up.is_empty() { "./" } else { &up };
    format!("#:schema {up}{FOLDER}/{}.json\n", kind.as_str())
}

fn text(kind: FileKind) -> String {
    format!("{:#}\n", schema(kind))
}

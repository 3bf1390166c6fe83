//! The fleet as its store alone knows it: for the day on which the repository that a daemon reads is gone or damaged, and
//! somebody has to leave devices alone, or to see how they are.
//!
//! Its name, its devices, and how they were reached; no tags and no deployments. A table by those fails as it would; an order by
//! condition is for the daemon to understand.

use super::Global;
use super::exit::Failure;
use super::opened::{Opened, fleet_folder, valid, watched};
use super::output::say;
use super::stored::newest;
use crate::diagnostic::render::visible;
use crate::fleet::{FileTree, TreeEntry};
use crate::plan::short_revision;
use crate::resolve::check;
use crate::store::{Store, StoredDevices, fleet_key};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The folder of the store of a repository that can't be read; where it can be read, or no store knows it, `why`.
pub(super) fn place(global: &Global, simulate: bool, why: Failure) -> Result<PathBuf, Failure> {
    if global.revision.is_some() {
        return Err(why);
    }
    let Ok(folder) = fleet_folder(global) else { return Err(why) };
    let Err(unreadable) = newest(global, &folder) else { return Err(why) };
    let mut places = watched(global)?;
    places.retain(|(place, repository)| {
        place.ends_with("simulated") == simulate && is_same(repository, &folder)
    });
    match places.pop() {
        Some((place, _)) if places.is_empty() => {
            say(&visible(&format!(
                "note: the fleet's repository can't be read: {}; this is from what the store knows alone",
                unreadable.message
            )));
            Ok(place)
        }
        _ => Err(why),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(a) == real(b)
}

/// The fleet of a store.
pub(super) fn fleet_of(global: &Global, store: &Store) -> Result<Opened, Failure> {
    // Stores of before this was kept are in a folder of the fleet's name, unless somebody wanted them elsewhere.
    let of_folder = || {
        let folder = store.folder();
        let folder = if folder.ends_with("simulated") { folder.parent()? } else { folder };
        Some(folder.file_name()?.to_str()?.to_owned())
    };
    let name = store.fleet_state(fleet_key::NAME)?.or_else(of_folder).unwrap_or_default();
    let tree = tree(&name, &store.load_devices()?);
    let counts = store.fleet_state(fleet_key::ACCEPTED)?;
    let called = counts.as_deref().map_or("what the store knows", short_revision).to_owned();
    let opened = valid(global, check(&tree), called, None)?;
    Ok(Opened { remembered: true, ..opened })
}

fn tree(name: &str, stored: &StoredDevices) -> FileTree {
    let present = stored.values().filter(|device| device.departed.is_none());
    let devices = present.map(|device| {
        let mut table = Table::new();
        table.insert("id".to_owned(), device.device.as_str().into());
        if let Some(engine) = &device.engine {
            table.insert("engine".to_owned(), engine.address.as_str().into());
            if let Some(tls) = &engine.tls {
                table.insert("tls".to_owned(), tls.as_str().into());
            }
        }
        Value::Table(table)
    });
    let devices = Table::from_iter([("device".to_owned(), Value::Array(devices.collect()))]);
    let fleet = Table::from_iter([("name".to_owned(), Value::from(name))]);
    let file = |table: Table| TreeEntry::File(table.to_string().into());
    FileTree(
        [
            ("fleet.toml".into(), file(fleet)),
            ("devices/known-to-the-store.toml".into(), file(devices)),
        ]
        .into(),
    )
}

/// That something needs files that nobody can read.
pub(super) fn needs_files(what: &str) -> Failure {
    Failure::new(format!("{what} needs the fleet's files, and its repository can't be read")).help(
        "bring the repository back to where it was, or start `hoist watch` with another clone",
    )
}

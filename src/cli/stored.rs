//! The store, for commands that only look.

use super::Global;
use super::exit::Failure;
use super::opened::{fleet_folder, read_tree, valid};
use super::remembered;
use super::run::state_folder;
use crate::fleet::{FileTree, fleet_name};
use crate::resolve::check;
use crate::source::{Repository, Revision};
use crate::store::Store;
use std::path::{Path, PathBuf};

/// The store of the fleet that the global options name, or of the only one that is watched here. The newest commit may be
/// wrong: its name decides which store is meant, and nothing else.
pub(super) fn store_to_read(global: &Global, simulate: bool) -> Result<Store, Failure> {
    let place = match place(global, simulate) {
        Ok(place) => place,
        Err(why) => remembered::place(global, simulate, why)?,
    };
    Store::open_to_read(&place)?.ok_or_else(|| {
        Failure::new(format!("nothing was ever applied: there is no store in {}", place.display()))
            .help("`hoist apply` makes it; --state and --simulate name another one")
    })
}

/// Where it is.
fn place(global: &Global, simulate: bool) -> Result<PathBuf, Failure> {
    let within = |place: PathBuf| if simulate { place.join("simulated") } else { place };
    Ok(match &global.state {
        Some(state) => within(state.clone()),
        None => {
            let (tree, name, revision) = newest(global, &fleet_folder(global)?)?;
            let place = fleet_name(&tree).map(|name| Store::default_folder(&name)).transpose()?;
            match place.filter(|place| place.exists()) {
                Some(place) => within(place),
                // It may be there under a former name.
                None => {
                    let opened = valid(global, check(&tree), name, revision)?;
                    state_folder(global, &opened.fleet, simulate)?
                }
            }
        }
    })
}

/// The files at `--revision`, else at HEAD, else as they lie.
pub(super) fn newest(
    global: &Global,
    folder: &Path,
) -> Result<(FileTree, String, Option<Revision>), Failure> {
    let spec = match &global.revision {
        Some(spec) => Some(spec.as_str()),
        None => match Repository::open(folder) {
            Ok(repository) if repository.resolve("HEAD").is_ok() => Some("HEAD"),
            _ => None,
        },
    };
    read_tree(folder, spec, &|_| {})
}

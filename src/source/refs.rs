//! Being told when a repository on this machine has new commits.

use super::{Repository, SourceError};
use notify::{RecursiveMode, Watcher as _};
use std::path::Path;

/// Tells of changes for as long as it is kept.
pub struct Telling {
    _watcher: notify::RecommendedWatcher,
}

/// Calls `tell` whenever references of the repository around a folder may have changed. Bursts are not held back: who
/// is told looks at what is there, and finds the same twice.
///
/// # Errors
/// The system can't tell of changes; asking now and then still works.
pub fn tell_of_refs(
    folder: &Path,
    tell: impl Fn() + Send + 'static,
) -> Result<Telling, SourceError> {
    let repository = Repository::open(folder)?;
    // Of linked working trees the references are in the one that they belong to.
    let common = repository.git().commondir().to_owned();
    let refused = |error: notify::Error| SourceError::Git {
        doing: format!("watch {}", common.display()),
        words: error.to_string(),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            tell();
        }
    })
    .map_err(refused)?;
    // HEAD and packed-refs are replaced by renames in the folder itself.
    watcher.watch(&common, RecursiveMode::NonRecursive).map_err(refused)?;
    for below in ["refs", "reftable"] {
        let below = common.join(below);
        if below.is_dir() {
            watcher.watch(&below, RecursiveMode::Recursive).map_err(refused)?;
        }
    }
    Ok(Telling { _watcher: watcher })
}

/// Calls `tell` whenever a file in a folder changed.
///
/// # Errors
/// The system can't tell of changes.
pub fn tell_of_file(
    folder: &Path,
    name: &'static str,
    tell: impl Fn() + Send + 'static,
) -> Result<Telling, SourceError> {
    let refused = |error: notify::Error| SourceError::Git {
        doing: format!("watch {}", folder.display()),
        words: error.to_string(),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_it = |path: &std::path::PathBuf| path.file_name().is_some_and(|file| file == name);
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(is_it)) {
            tell();
        }
    })
    .map_err(refused)?;
    watcher.watch(folder, RecursiveMode::NonRecursive).map_err(refused)?;
    Ok(Telling { _watcher: watcher })
}

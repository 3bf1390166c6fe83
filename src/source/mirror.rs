//! The folder of a mirror: one fetch at a time, and nothing in its way that an ended one left.

use super::remote::{RemoteError, RemoteErrorKind};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

/// So long a fetch waits for another one.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(100);
/// Git holds its own locks for moments; one that is older was left by a git that was killed, or by a loss of power.
const OLD: Duration = Duration::from_secs(60);

/// The right to fetch into a mirror, which is made if it is not there. The file is empty.
pub(super) async fn lock(mirror: &Path) -> Result<File, RemoteError> {
    let failed = |error: std::io::Error| {
        let words = format!("can't make the mirror {}: {error}", mirror.display());
        RemoteError::new(RemoteErrorKind::Here, words)
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(mirror).map_err(failed)?;
    let path = mirror.join("hoist.lock");
    let file = File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() > until => {
                let words = format!("another fetch into {} does not end", mirror.display());
                return Err(RemoteError::new(RemoteErrorKind::Unreachable, words));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(BETWEEN).await,
        }
    }
}

/// Removes git's own locks that nobody holds any more.
pub(super) fn remove_old_locks(mirror: &Path) {
    let is_git_lock = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "lock")
            && !path.ends_with("hoist.lock")
    };
    let is_old = |path: &Path| {
        let changed = fs::metadata(path).and_then(|data| data.modified());
        changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > OLD))
    };
    let mut folders = vec![mirror.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            // Objects are many, and are not locked.
            if is_folder && !path.ends_with("objects") {
                folders.push(path);
            } else if is_git_lock(&path) && is_old(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

//! One run at a time: a file lock that the kernel frees when its holder ends, however it ends.

use super::error::StoreError;
use super::open::Store;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// So often a lock is tried that somebody has.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The right to change devices. Whoever holds it is the only run on the store; dropping it frees the lock.
#[derive(Debug)]
#[must_use = "the lock is free again as soon as this is dropped"]
pub struct RunLock {
    _file: File,
}

impl Store {
    /// Whether a daemon holds the lock, which takes wishes; `apply` and others take none.
    ///
    /// # Errors
    /// The lock or the store can't be looked at.
    pub fn has_daemon(&self) -> Result<bool, StoreError> {
        // Shared, and for a moment: whoever begins to work just now waits that long for the lock.
        let (mut file, path) = self.lock_file()?;
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => {
                let pid = pid_in(&mut file);
                let daemon = self.fleet_state(super::fleet_key::DAEMON)?;
                Ok(pid.is_some_and(|pid| daemon.as_deref() == Some(pid.to_string().as_str())))
            }
            Err(TryLockError::Error(source)) => Err(StoreError::inaccessible(&path, source)),
        }
    }

    /// Takes the lock that keeps two runs from changing devices at once. Readers need none.
    ///
    /// # Errors
    /// Another run has it.
    pub fn lock(&self) -> Result<RunLock, StoreError> {
        let (mut file, path) = self.lock_file()?;
        let failed = |source| StoreError::inaccessible(&path, source);
        let mut tries = 0;
        while let Err(error) = file.try_lock() {
            match error {
                // Somebody may only look whether it is free.
                TryLockError::WouldBlock if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(BETWEEN_TRIES);
                }
                TryLockError::WouldBlock => {
                    let pid = pid_in(&mut file);
                    return Err(StoreError::Locked { folder: self.folder().to_owned(), pid });
                }
                TryLockError::Error(source) => return Err(failed(source)),
            }
        }
        // Only for the words of others; the lock is the kernel's.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        self.survive_the_process()?;
        Ok(RunLock { _file: file })
    }

    fn lock_file(&self) -> Result<(File, PathBuf), StoreError> {
        let path = self.folder().join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| StoreError::inaccessible(&path, source))?;
        Ok((file, path))
    }
}

/// Whose lock it is, as its holder wrote.
fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_is_told_who_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) =
            (Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap());
        let lock = first.lock().unwrap();
        let words = second.lock().unwrap_err().to_string();
        assert!(words.ends_with(&format!("(process {})", std::process::id())), "{words}");
        second.set_fleet_state("x", Some("readers and notes go on")).unwrap();
        drop(lock);
        let _lock = second.lock().unwrap();
    }

    #[test]
    fn looking_for_a_daemon_keeps_nobody_from_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let looks = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let other = Store::open(folder.path()).unwrap();
                while looks.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = other.has_daemon().unwrap();
                }
            });
            let taken: Vec<_> = (0..200).map(|_| store.lock().is_ok()).collect();
            looks.store(false, std::sync::atomic::Ordering::Relaxed);
            assert!(taken.iter().all(|taken| *taken));
        });
    }

    #[test]
    fn a_lock_file_of_a_dead_run_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        std::fs::write(folder.path().join("lock"), "4194304999 and a long text\n").unwrap();
        let _lock = store.lock().unwrap();
        let text = std::fs::read_to_string(folder.path().join("lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}

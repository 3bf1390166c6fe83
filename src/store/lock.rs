//! One run at a time: a file lock that the kernel frees when its holder ends, however it ends.

use super::error::StoreError;
use super::open::Store;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

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
        let mut file = self.lock_file()?;
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => {
                let daemon = self.fleet_state(super::fleet_key::DAEMON)?;
                Ok(holder(&mut file).is_some_and(|pid| daemon == Some(pid.to_string())))
            }
            Err(TryLockError::Error(source)) => Err(self.lock_failed(source)),
        }
    }

    /// Takes the lock that keeps two runs from changing devices at once. Readers need none.
    ///
    /// # Errors
    /// Another run has it.
    pub fn lock(&self) -> Result<RunLock, StoreError> {
        let mut file = self.lock_file()?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // It may be somebody who only looks whether there is a daemon.
                Err(TryLockError::WouldBlock) if tries < MORE_TRIES => {
                    tries += 1;
                    std::thread::sleep(BETWEEN_TRIES);
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = holder(&mut file);
                    return Err(StoreError::Locked { folder: self.folder().to_owned(), pid });
                }
                Err(TryLockError::Error(source)) => return Err(self.lock_failed(source)),
            }
        }
        // Only for the words of others; the lock is the kernel's.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|source| self.lock_failed(source))?;
        self.survive_the_process()?;
        Ok(RunLock { _file: file })
    }

    fn lock_file(&self) -> Result<File, StoreError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.folder().join("lock"))
            .map_err(|source| self.lock_failed(source))
    }

    fn lock_failed(&self, source: std::io::Error) -> StoreError {
        StoreError::inaccessible(&self.folder().join("lock"), source)
    }
}

const MORE_TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

fn holder(file: &mut File) -> Option<u32> {
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
    fn whoever_only_looks_keeps_no_run_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        let is_done = || done.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            let looking = Store::open(folder.path()).unwrap();
            scope.spawn(move || {
                while !is_done() {
                    looking.has_daemon().unwrap();
                }
            });
            let taken = (0..50).all(|_| store.lock().is_ok());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(taken);
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

//! Why the store can't be used, in words.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store can't be opened, read or written.
#[derive(Debug)]
pub enum StoreError {
    /// Neither `XDG_STATE_HOME` nor `HOME` says where it should be.
    NoHome,
    /// The folder or file can't be made or opened.
    Inaccessible {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It can be read, but not written.
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// What was written to it last can't be read before its disk can be written.
    Unsettled {
        /// The database.
        path: PathBuf,
    },
    /// The disk is full.
    Full {
        /// The database.
        path: PathBuf,
    },
    /// It is no database, none of ours, or its content is damaged.
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        words: String,
    },
    /// A newer version of Hoist has written it.
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that this Hoist knows.
        known: i64,
    },
    /// Somebody took its file away, or put another in its place, while it was open.
    Gone {
        /// The database.
        path: PathBuf,
    },
    /// Another process has kept it busy for too long.
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// Another run holds the lock.
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other run's process, if it has said so already.
        pid: Option<u32>,
    },
    /// Anything else that SQLite says.
    Database {
        /// The database.
        path: PathBuf,
        /// Its words.
        words: String,
    },
}

impl StoreError {
    /// What a failed statement on a database means.
    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                Self::Damaged { path, words: "it is no SQLite database".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, words: error.to_string() },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            // So it says that it can't make the index of its log larger; of its other files it says that the disk is full.
            Some(ErrorCode::SystemIoFailure) if is_of_a_full_disk(error) => Self::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            _ => match error {
                // Values of the wrong type can only come from damage or from another program.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => {
                    Self::Damaged { path, words: error.to_string() }
                }
                _ => Self::Database { path, words: error.to_string() },
            },
        }
    }

    pub(super) fn inaccessible(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Inaccessible { path, source },
        }
    }
}

fn is_of_a_full_disk(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome => f.write_str(
                "neither XDG_STATE_HOME nor HOME is set; say where the state is with --state",
            ),
            Self::Inaccessible { path, source: _ } => {
                write!(f, "cannot open the store at {}", path.display())
            }
            Self::Unsettled { path } => write!(
                f,
                "cannot read the store {} while it can't be written: whoever worked with it was killed, and what was \
                 written last is still in its log",
                path.display()
            ),
            Self::ReadOnly { path } => {
                write!(f, "cannot write to the store {}", path.display())
            }
            Self::Full { path } => {
                write!(f, "the disk is full: nothing was written to {}", path.display())
            }
            Self::Damaged { path, words } => write!(
                f,
                "the store {} is damaged: {words}; restore a backup, or move it away and let the \
                 next run rebuild it from the devices",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "the store {} was written by a newer Hoist (format {found}, this one knows \
                 {known}); nothing was changed",
                path.display()
            ),
            Self::Gone { path } => write!(
                f,
                "the store {} was deleted or replaced while it was in use; nothing more is written to it, and what \
                 is there now counts at the next start",
                path.display()
            ),
            Self::Busy { path } => {
                write!(f, "another process keeps the store {} busy", path.display())
            }
            Self::Locked { folder, pid } => {
                write!(f, "another `hoist apply` or `hoist watch` runs on {}", folder.display())?;
                match pid {
                    Some(pid) => write!(f, " (process {pid})"),
                    None => Ok(()),
                }
            }
            Self::Database { path, words } => {
                write!(f, "the store {} failed: {words}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Inaccessible { source, .. } => Some(source),
            _ => None,
        }
    }
}

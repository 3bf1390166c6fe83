//! Finding, making and opening the store; its identity, and the few values of the whole fleet.

use super::error::StoreError;
use super::schema::{self, SchemaError};
use crate::model::FleetName;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// How long a commit waits for the disk.
const SYNCHRONOUS: &str = "synchronous";

/// What the control host remembers of one fleet. May be shared between threads.
pub struct Store {
    folder: PathBuf,
    path: PathBuf,
    /// Device and inode of the file that is open: others may take it away, and what is written then is lost.
    file: Option<(u64, u64)>,
    connection: Mutex<Connection>,
    control: String,
    key: HashKey,
}

/// The key of keyed hashes over values of secrets. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey(pub [u8; 32]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(hidden)")
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.path.display())
    }
}

impl Store {
    /// Where a fleet's store is unless somebody says otherwise: `$XDG_STATE_HOME/hoist/FLEET`, else
    /// `~/.local/state/hoist/FLEET`.
    ///
    /// # Errors
    /// Neither variable is set.
    pub fn default_folder(fleet: &FleetName) -> Result<PathBuf, StoreError> {
        Ok(Self::default_parent()?.join(fleet.as_str()))
    }

    /// Where the stores of all fleets are unless somebody says otherwise.
    ///
    /// # Errors
    /// Neither variable is set.
    pub fn default_parent() -> Result<PathBuf, StoreError> {
        let absolute = |name| {
            std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute())
        };
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|state| state.join("hoist"))
            .ok_or(StoreError::NoHome)
    }

    /// Opens a store for reading and writing, makes it if it is not there, and brings it to the newest
    /// version.
    ///
    /// # Errors
    /// It can't be made, opened, understood or written. Then nothing was changed.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| StoreError::inaccessible(folder, source))?;
        let path = folder.join(FILE);
        make_private(&path).map_err(|source| StoreError::inaccessible(&path, source))?;
        let sqlite = |error: rusqlite::Error| StoreError::sqlite(&path, &error);
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // SQLite opens what can't be written for reading alone, without a word.
        if connection.is_readonly("main").map_err(sqlite)? {
            return Err(StoreError::ReadOnly { path });
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(|source| StoreError::inaccessible(&path, source))?;
        // Before anything is set: another program's database must stay as it is.
        schema::version(&connection).map_err(|error| schema_error(&path, error))?;
        use_wal(&connection).map_err(sqlite)?;
        connection.pragma_update(None, SYNCHRONOUS, "FULL").map_err(sqlite)?;
        let identity = random_bytes().map_err(|source| StoreError::inaccessible(&path, source))?;
        schema::migrate(&mut connection, |transaction| first_identity(transaction, &identity))
            .map_err(|error| schema_error(&path, error))?;
        Self::with_identity(folder, path, connection)
    }

    /// Opens a store for reading; `None` if there is none yet. Writing through it fails.
    ///
    /// # Errors
    /// It can't be opened or understood.
    pub fn open_to_read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(source) => return Err(StoreError::inaccessible(&path, source)),
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let (connection, version) = match schema::version(&connection) {
            Ok(version) => (connection, version),
            Err(error) if cant_make_its_index(&error) && !has_log(&path) => {
                let connection = connect_to_what_rests(&path)?;
                let version = schema::version(&connection);
                (connection, version.map_err(|error| schema_error(&path, error))?)
            }
            Err(error) if cant_make_its_index(&error) => {
                return Err(StoreError::Unsettled { path });
            }
            Err(error) => return Err(schema_error(&path, error)),
        };
        match version {
            // Made, but whoever makes it is not done yet.
            0 => Ok(None),
            _ => Self::with_identity(folder, path, connection).map(Some),
        }
    }

    /// Opens a store as [`Store::open`] does; one that can't be written now is opened for reading.
    ///
    /// # Errors
    /// It can't be opened or understood.
    pub fn open_or_read(folder: &Path) -> Result<Self, StoreError> {
        match Self::open(folder) {
            Err(error @ (StoreError::ReadOnly { .. } | StoreError::Full { .. })) => {
                Self::open_to_read(folder)?.ok_or(error)
            }
            opened => opened,
        }
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The id of this store, in the label `hoist.control` of every container that it made.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// The key of keyed hashes over values of secrets.
    pub fn hash_key(&self) -> &HashKey {
        &self.key
    }

    /// A value of the whole fleet, by its key.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn fleet_state(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(|connection| {
            connection
                .query_row("SELECT value FROM fleet_state WHERE key = ?1", [key], |row| row.get(0))
                .optional()
        })
    }

    /// Sets a value of the whole fleet, or takes it away.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn set_fleet_state(&self, key: &str, value: Option<&str>) -> Result<(), StoreError> {
        self.write(|transaction| {
            match value {
                Some(value) => transaction.execute(
                    "INSERT INTO fleet_state (key, value) VALUES (?1, ?2)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    [key, value],
                ),
                None => transaction.execute("DELETE FROM fleet_state WHERE key = ?1", [key]),
            }
            .map(drop)
        })
    }

    /// Whether it can be written: as much as a change of a device takes is, and taken away again.
    ///
    /// # Errors
    /// It can't.
    pub fn try_writing(&self) -> Result<(), StoreError> {
        const KEY: &str = "try";
        self.set_fleet_state(KEY, Some(&"-".repeat(32 << 10)))?;
        self.set_fleet_state(KEY, None)
    }

    /// Reads in one transaction, so that all answers are of one moment.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        (|| {
            let transaction = connection.transaction()?;
            read(&transaction)
        })()
        .map_err(|error| StoreError::sqlite(&self.path, &error))
    }

    /// From now on what is written outlives this process, and what was written last not a loss of power: whoever
    /// works on devices finds out from them what it missed, and does not wait for the disk at every step. Orders of
    /// people come from processes of their own, which do wait.
    pub(super) fn survive_the_process(&self) -> Result<(), StoreError> {
        self.connection()
            .pragma_update(None, SYNCHRONOUS, "NORMAL")
            .map_err(|error| StoreError::sqlite(&self.path, &error))
    }

    /// That the file in the store's place is the one that is open.
    ///
    /// # Errors
    /// It was deleted, or another lies in its place.
    pub fn is_still_there(&self) -> Result<(), StoreError> {
        match file_at(&self.path) == self.file {
            true => Ok(()),
            false => Err(StoreError::Gone { path: self.path.clone() }),
        }
    }

    /// Writes in one transaction: all of it or nothing.
    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.is_still_there()?;
        in_transaction(&mut self.connection(), write)
            .map_err(|error| StoreError::sqlite(&self.path, &error))
    }

    /// Writes in one transaction, and waits until the disk has it, and all that was written before.
    pub(super) fn write_through<T>(
        &self,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.is_still_there()?;
        let mut connection = self.connection();
        (|| {
            let usual: i64 = connection.pragma_query_value(None, SYNCHRONOUS, |r| r.get(0))?;
            connection.pragma_update(None, SYNCHRONOUS, "FULL")?;
            let written = in_transaction(&mut connection, write);
            connection.pragma_update(None, SYNCHRONOUS, usual)?;
            written
        })()
        .map_err(|error| StoreError::sqlite(&self.path, &error))
    }

    /// An error for a row that holds what no Hoist writes.
    pub(super) fn damaged(&self, words: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), words: words.into() }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in a transaction rolls it back, so the connection is as good as before.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_identity(
        folder: &Path,
        path: PathBuf,
        connection: Connection,
    ) -> Result<Self, StoreError> {
        let (control, key) = connection
            .query_row("SELECT control, hash_key FROM identity", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?))
            })
            .map_err(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => StoreError::Damaged {
                    path: path.clone(),
                    words: "its identity is missing".to_owned(),
                },
                other => StoreError::sqlite(&path, &other),
            })?;
        let connection = Mutex::new(connection);
        let file = file_at(&path);
        Ok(Self { folder: folder.to_owned(), path, file, connection, control, key: HashKey(key) })
    }
}

/// Which file lies at a path.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Makes an empty file that others can't read, not even for a moment; leaves one that is there.
///
/// One that is there is never opened but by SQLite: closing any descriptor of a file gives up all locks that this
/// process has on it, and whoever closes the database next would take it for unused and remove its log.
fn make_private(path: &Path) -> std::io::Result<()> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = write(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn connect(path: &Path, how: OpenFlags) -> Result<Connection, StoreError> {
    connect_by(path, path, how)
}

fn connect_by(
    path: &Path,
    name: impl AsRef<Path>,
    how: OpenFlags,
) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(name, how | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    connection
        .and_then(|connection| connection.busy_timeout(BUSY).map(|()| connection))
        // SQLite does not say why; and what it could not open it has no lock on.
        .map_err(|error| match fs::File::open(path) {
            Err(source) => StoreError::inaccessible(path, source),
            Ok(_) => StoreError::sqlite(path, &error),
        })
}

/// Whether reading failed for want of a file beside the database, which SQLite makes also for who only reads: the folder can't
/// be written, or the disk is full.
fn cant_make_its_index(error: &SchemaError) -> bool {
    let SchemaError::Sqlite(error) = error else { return false };
    matches!(
        error.sqlite_error_code(),
        Some(
            rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::ReadOnly
                | rusqlite::ErrorCode::SystemIoFailure
        )
    )
}

/// Whether there is something that is not in the database itself yet.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match fs::metadata(log) {
        Ok(log) => log.len() > 0,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Opens a database that nobody can write at this moment, and whose log is empty: all of it is in its one file, and nothing is
/// needed beside it.
fn connect_to_what_rests(path: &Path) -> Result<Connection, StoreError> {
    let name = path.as_os_str().as_encoded_bytes().iter();
    let name: String = name
        .map(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                char::from(*byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let absolute = if path.is_absolute() { "//" } else { "" };
    let how = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect_by(path, format!("file:{absolute}{name}?immutable=1"), how)
}

/// The change to WAL needs the file for itself, and does not wait for it as statements do: of many that open a new store
/// at the same moment all but one would be turned away.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    const BETWEEN_TRIES: Duration = Duration::from_millis(5);
    let mut left = BUSY;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && left > BETWEEN_TRIES => {
                left -= BETWEEN_TRIES;
                std::thread::sleep(BETWEEN_TRIES);
            }
            result => return result,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

/// The database in the store's folder.
const FILE: &str = "state.db";

fn schema_error(path: &Path, error: SchemaError) -> StoreError {
    let path_buf = || path.to_owned();
    match error {
        SchemaError::Foreign => StoreError::Damaged {
            path: path_buf(),
            words: "it is another program's database".to_owned(),
        },
        SchemaError::Newer(found) => {
            StoreError::Newer { path: path_buf(), found, known: schema::NEWEST }
        }
        SchemaError::Sqlite(error) => StoreError::sqlite(path, &error),
    }
}

/// 8 bytes for the store's id, 32 for its key.
fn random_bytes() -> std::io::Result<[u8; 40]> {
    let mut bytes = [0; 40];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn first_identity(connection: &Connection, random: &[u8; 40]) -> rusqlite::Result<()> {
    let (id, key) = random.split_at(8);
    let control = id.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    connection
        .execute("INSERT INTO identity (one, control, hash_key) VALUES (1, ?1, ?2)", (control, key))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_to_a_file_that_was_taken_away_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.set_fleet_state("x", Some("1")).unwrap();
        let (file, aside) = (folder.path().join(FILE), folder.path().join("aside"));
        fs::rename(&file, &aside).unwrap();
        let gone = |store: &Store| {
            let error = store.set_fleet_state("x", Some("2")).err();
            matches!(error, Some(StoreError::Gone { .. })) && store.is_still_there().is_err()
        };
        assert!(gone(&store));
        fs::write(&file, "").unwrap();
        assert!(gone(&store), "another lies in its place");
        fs::rename(&aside, &file).unwrap();
        store.set_fleet_state("x", Some("3")).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_store_is_private_and_keeps_its_identity() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("hoist/a");
        let store = Store::open(&folder).unwrap();
        let (control, key) = (store.control().to_owned(), store.hash_key().clone());
        assert_eq!(control.len(), 16);
        assert_ne!(key.0, [0; 32]);
        assert_eq!(format!("{key:?}"), "HashKey(hidden)");
        store.set_fleet_state("accepted", Some("3f2a9c1")).unwrap();
        assert_eq!(mode(&folder), 0o700);
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        drop(store);
        let store = Store::open(&folder).unwrap();
        assert_eq!((store.control(), store.hash_key()), (control.as_str(), &key));
        assert_eq!(store.fleet_state("accepted").unwrap().as_deref(), Some("3f2a9c1"));
        store.set_fleet_state("accepted", None).unwrap();
        assert_eq!(store.fleet_state("accepted").unwrap(), None);
        assert_ne!(Store::open(&home.path().join("b")).unwrap().control(), control);
    }

    /// As on a disk that became read-only, or is full: SQLite itself would want to make two files beside it.
    #[test]
    fn what_rests_is_read_where_nothing_can_be_written() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("100% of it?");
        let store = Store::open(&folder).unwrap();
        store.set_fleet_state("accepted", Some("3f2a9c1")).unwrap();
        drop(store);
        let path = folder.join(FILE);
        assert!(!has_log(&path));
        let what_rests = connect_to_what_rests(&path).unwrap();
        let accepted = |connection: &Connection| {
            let sql = "SELECT value FROM fleet_state WHERE key = 'accepted'";
            connection.query_row(sql, [], |row| row.get::<_, String>(0))
        };
        assert_eq!(accepted(&what_rests).unwrap(), "3f2a9c1");
        assert!(what_rests.execute("DELETE FROM fleet_state", []).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing was made beside it");
        // What somebody writes may not be in the file yet.
        let store = Store::open(&folder).unwrap();
        store.set_fleet_state("accepted", Some("9b01d4e")).unwrap();
        assert!(has_log(&path));
    }

    #[test]
    fn many_open_a_new_store_at_once() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let barrier = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                let open = || {
                    barrier.wait();
                    Store::open(folder.path()).map(|store| store.control().to_owned())
                };
                let opened: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
                let opened: std::collections::BTreeSet<String> =
                    opened.into_iter().map(|open| open.join().unwrap().unwrap()).collect();
                assert_eq!(opened.len(), 1, "one store");
            });
        }
    }

    #[test]
    fn an_empty_file_becomes_a_store_and_the_migration_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "").unwrap();
        fs::set_permissions(folder.path().join(FILE), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Store::open_to_read(folder.path()).unwrap().is_none(), "not made yet");
        let store = Store::open(folder.path()).unwrap();
        let versions: Vec<i64> = store
            .read(|c| {
                c.prepare("SELECT version FROM migrations")?.query_map([], |r| r.get(0))?.collect()
            })
            .unwrap();
        assert_eq!(versions, (1..=schema::NEWEST).collect::<Vec<_>>());
        assert_eq!(mode(&folder.path().join(FILE)), 0o600);
    }

    #[test]
    fn damaged_foreign_and_newer_databases_are_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let noise = "this is no database, whatever its name says. ".repeat(100);
        fs::write(&path, &noise).unwrap();
        let words = Store::open(folder.path()).unwrap_err().to_string();
        assert!(words.contains("it is no SQLite database"), "{words}");
        assert_eq!(fs::read_to_string(&path).unwrap(), noise);

        fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let before = fs::read(&path).unwrap();
        let words = Store::open(folder.path()).unwrap_err().to_string();
        assert!(words.contains("another program's database"), "{words}");
        assert_eq!(fs::read(&path).unwrap(), before);

        fs::remove_file(&path).unwrap();
        drop(Store::open(folder.path()).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");

        fs::remove_file(&path).unwrap();
        drop(Store::open(folder.path()).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        bytes[4096..].fill(0xa5);
        fs::write(&path, bytes).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }

    #[test]
    fn folders_that_cannot_be_written_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Store::open(&file.join("below")).unwrap_err();
        assert!(matches!(error, StoreError::Inaccessible { .. }), "{error}");

        let locked = folder.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        // Root writes everywhere but into what the kernel itself makes up.
        let locked = if fs::write(locked.join("probe"), "").is_ok() {
            PathBuf::from("/proc/self/task")
        } else {
            locked
        };
        let error = Store::open(&locked).unwrap_err();
        assert!(
            matches!(error, StoreError::Inaccessible { .. } | StoreError::ReadOnly { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_full_disk_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.set_fleet_state("accepted", Some("old")).unwrap();
        let pages: i64 =
            store.read(|c| c.pragma_query_value(None, "page_count", |r| r.get(0))).unwrap();
        store.connection().pragma_update(None, "max_page_count", pages).unwrap();
        let error = store
            .write(|t| {
                t.execute("UPDATE fleet_state SET value = 'new'", [])?;
                t.execute("UPDATE fleet_state SET value = ?1", ["x".repeat(1 << 20)])
            })
            .unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_eq!(store.fleet_state("accepted").unwrap().as_deref(), Some("old"));
    }

    /// Also where it fails.
    #[test]
    fn only_what_has_to_outlive_a_loss_of_power_waits_for_the_disk() {
        let how = |c: &Connection| c.pragma_query_value(None, SYNCHRONOUS, |r| r.get::<_, i64>(0));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (full, normal) = (2, 1);
        assert_eq!(store.write(how).unwrap(), full);
        store.survive_the_process().unwrap();
        assert_eq!(store.write(how).unwrap(), normal);
        assert_eq!(store.write_through(how).unwrap(), full);
        store.write_through(|t| t.execute("no SQL", [])).unwrap_err();
        assert_eq!(store.write(how).unwrap(), normal);
    }

    #[test]
    fn readers_read_while_a_writer_is_in_a_transaction() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Store::open_to_read(&folder.path().join("absent")).unwrap().is_none());
        let writer = Store::open(folder.path()).unwrap();
        writer.set_fleet_state("accepted", Some("old")).unwrap();
        let reader = Store::open_to_read(folder.path()).unwrap().unwrap();
        writer
            .write(|t| {
                t.execute("UPDATE fleet_state SET value = 'new'", [])?;
                assert_eq!(reader.fleet_state("accepted").unwrap().as_deref(), Some("old"));
                Ok(())
            })
            .unwrap();
        assert_eq!(reader.fleet_state("accepted").unwrap().as_deref(), Some("new"));
        let error = reader.set_fleet_state("accepted", Some("x")).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    }
}

//! The tables, version by version. A version that was released never changes; a new one is appended.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the database as Hoist's: "hois".
const APPLICATION: i64 = 0x686f_6973;

/// The migrations: the first leads from an empty database to version 1, and so on.
const MIGRATIONS: &[&str] = &[VERSION_1];

/// The newest version that this Hoist knows.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

const VERSION_1: &str = "
CREATE TABLE migrations (version INTEGER PRIMARY KEY, by TEXT NOT NULL) STRICT;
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    control TEXT NOT NULL,
    hash_key BLOB NOT NULL
) STRICT;
CREATE TABLE fleet_state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE devices (
    device TEXT PRIMARY KEY,
    revision TEXT, manifest_hash TEXT, manifest TEXT, base TEXT, layers TEXT,
    code INTEGER NOT NULL, description TEXT NOT NULL, status_since INTEGER NOT NULL,
    engine_id TEXT,
    last_contact INTEGER,
    facts TEXT, facts_since INTEGER
) STRICT;
CREATE TABLE modules (
    device TEXT NOT NULL, module TEXT NOT NULL,
    status TEXT NOT NULL, exit_code INTEGER, restart_count INTEGER NOT NULL,
    container TEXT, code INTEGER NOT NULL, description TEXT NOT NULL,
    PRIMARY KEY (device, module)
) STRICT, WITHOUT ROWID;
CREATE TABLE memories (device TEXT PRIMARY KEY, networks TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE containers (
    device TEXT NOT NULL, container TEXT NOT NULL,
    settings TEXT NOT NULL, twin TEXT NOT NULL, twin_version INTEGER NOT NULL,
    replaced_at INTEGER,
    PRIMARY KEY (device, container)
) STRICT, WITHOUT ROWID;
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, who TEXT NOT NULL, device TEXT,
    from_revision TEXT, to_revision TEXT,
    action TEXT NOT NULL, module TEXT, reason TEXT NOT NULL, outcome TEXT NOT NULL
) STRICT;
CREATE INDEX history_of_device ON history (device, id);
CREATE INDEX history_by_time ON history (at);
CREATE TRIGGER history_is_append_only BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
";

/// Why a database is not, and was not made, of the newest version.
pub(super) enum SchemaError {
    /// It is another program's.
    Foreign,
    /// Its version is newer.
    Newer(i64),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for SchemaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The version of a database; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<i64, SchemaError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (version, application) = (pragma("user_version")?, pragma("application_id")?);
    if application != APPLICATION {
        let objects: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if application != 0 || version != 0 || objects != 0 {
            return Err(SchemaError::Foreign);
        }
    }
    if version > NEWEST { Err(SchemaError::Newer(version)) } else { Ok(version) }
}

/// Brings a database to the newest version, in one transaction; `first` runs in the one that makes it.
pub(super) fn migrate(
    connection: &mut Connection,
    first: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> Result<(), SchemaError> {
    if version(connection)? == NEWEST {
        return Ok(());
    }
    // Immediate: of two processes that find an old version, one waits and then finds the new one.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let done = usize::try_from(found).unwrap_or_default();
    for (number, sql) in (1_i64..).zip(MIGRATIONS).skip(done) {
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO migrations (version, by) VALUES (?1, ?2)",
            (number, concat!("hoist ", env!("CARGO_PKG_VERSION"))),
        )?;
    }
    if found == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        first(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", NEWEST)?;
    transaction.commit()?;
    Ok(())
}

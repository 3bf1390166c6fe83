//! The tables, version by version. A version that was released never changes; a new one is appended.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the database as Hoist's: "hois".
const APPLICATION: i64 = 0x686f_6973;

/// The migrations: the first leads from an empty database to version 1, and so on.
const MIGRATIONS: &[&str] = &[
    VERSION_1,
    VERSION_2,
    VERSION_3,
    super::orders::TABLES,
    VERSION_5,
    super::rollouts::TABLES,
    super::wishes::ENGINE_WISHES,
    super::brings::TABLE,
    super::brings::ARE_KEPT,
    super::half_done::COLUMN,
    super::brings::LAPSE,
    "ALTER TABLE memories ADD COLUMN stops TEXT;",
    "ALTER TABLE module_memories ADD COLUMN failed_alone INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE containers ADD COLUMN compared INTEGER NOT NULL DEFAULT 1;",
];

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

/// What was tried with modules, what they report, since when each fact holds, which devices departed.
const VERSION_2: &str = "
ALTER TABLE containers ADD COLUMN policy TEXT;
CREATE TABLE module_memories (
    device TEXT NOT NULL, module TEXT NOT NULL,
    starts INTEGER NOT NULL, last_start INTEGER NOT NULL,
    exits_of TEXT NOT NULL, exits_counted INTEGER NOT NULL, exits TEXT NOT NULL,
    failed_spec TEXT, failed_at INTEGER, failed_count INTEGER, failed_code INTEGER,
    failed_reason TEXT,
    back_failed_at INTEGER,
    PRIMARY KEY (device, module)
) STRICT, WITHOUT ROWID;
ALTER TABLE modules ADD COLUMN started_at TEXT;
ALTER TABLE modules ADD COLUMN image_id TEXT;
ALTER TABLE modules ADD COLUMN report TEXT;
ALTER TABLE modules ADD COLUMN report_looked_at INTEGER;
ALTER TABLE modules ADD COLUMN report_stamp TEXT;
ALTER TABLE modules ADD COLUMN report_problem TEXT;
ALTER TABLE devices ADD COLUMN facts_held TEXT;
ALTER TABLE devices ADD COLUMN departed INTEGER;
";

/// How a device is reached and which engine was accepted; what this control host did last, who undoes it, and
/// which foreign containers are being taken over.
const VERSION_3: &str = "
ALTER TABLE devices ADD COLUMN engine TEXT;
ALTER TABLE devices ADD COLUMN tls TEXT;
ALTER TABLE devices ADD COLUMN accepted_engine TEXT;
ALTER TABLE memories ADD COLUMN control TEXT;
ALTER TABLE memories ADD COLUMN adopting TEXT;
";

/// When images whose tags may move were checked; restarts that somebody wishes.
const VERSION_5: &str = "
ALTER TABLE memories ADD COLUMN checked TEXT;
CREATE TABLE restarts (
    device TEXT NOT NULL, module TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (device, module)
) STRICT, WITHOUT ROWID;
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
    // One statement, so that it sees one moment: another process may be making the store just now.
    let (version, application, objects): (i64, i64, i64) = connection.query_row(
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_user_version, pragma_application_id",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    if application != APPLICATION && (application != 0 || version != 0 || objects != 0) {
        return Err(SchemaError::Foreign);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A store as the first version wrote it comes to the newest with everything in it.
    #[test]
    fn a_store_of_the_first_version_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(VERSION_1).unwrap();
        old.execute_batch(
            "INSERT INTO migrations VALUES (1, 'hoist 0.1.0');
             INSERT INTO identity VALUES (1, '0011223344556677', zeroblob(32));
             INSERT INTO devices VALUES ('lift-01', NULL, NULL, NULL, NULL, NULL, 200, 'as desired', 10,
                 'ABCD', 20, '{\"os\":\"linux\"}', 15);
             INSERT INTO modules VALUES ('lift-01', 'sensor', 'running', NULL, 3, 'ccc', 200, 'running');
             INSERT INTO memories VALUES ('lift-01', '[\"hoist-f\"]');
             INSERT INTO containers VALUES ('lift-01', 'ccc', 'v1:' || hex(zeroblob(32)),
                 'v1:' || hex(zeroblob(32)), 4, 17);
             INSERT INTO history (at, who, action, reason, outcome) VALUES (1, 'a', 'b', 'c', 'd');",
        )
        .unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);

        let store = crate::store::Store::open(folder.path()).unwrap();
        assert_eq!(store.control(), "0011223344556677");
        let devices = store.load_devices().unwrap();
        let lift = &devices["lift-01"];
        assert_eq!(lift.status.since.seconds, 10);
        let facts = lift.facts.as_ref().unwrap();
        assert_eq!((facts.since.seconds, facts.held.len()), (15, 0));
        let sensor = lift.modules.values().next().unwrap();
        assert_eq!((sensor.restart_count, &sensor.report), (3, &None));
        let memory = store.memories().unwrap().remove("lift-01").unwrap();
        assert_eq!(memory.containers["ccc"].replaced_at, Some(17));
        assert_eq!(memory.containers["ccc"].policy, None);
        assert!(memory.modules.is_empty());
        assert_eq!((&lift.engine_id, &lift.engine), (&Some("ABCD".to_owned()), &None));
        assert_eq!((memory.adopting.len(), memory.control.made.len()), (0, 0));
        assert_eq!(store.history(&crate::store::HistoryFilter::default()).unwrap().len(), 1);
        store.remember(&lift.device, &memory).unwrap();
        store.record_device(lift).unwrap();
        assert_eq!(store.load_devices().unwrap()["lift-01"], *lift);
    }
}

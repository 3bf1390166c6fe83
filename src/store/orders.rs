//! What people told the daemon: pauses, pins, approvals, pokes; and which devices it left behind.
//!
//! Everything is kept until it is over or taken back, and every change is in the history with who made it and why. A
//! file `wake` beside the database is touched with each, so that a daemon learns of it at once. Not here: what an order
//! does to a device.

use super::error::StoreError;
use super::history::{HistoryEntry, append};
use super::open::Store;
use crate::model::{DeviceId, Timestamp};
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;

/// Which devices an order is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    All,
    /// One.
    Device(DeviceId),
    /// Those that meet a condition at the moment it is asked; it was checked when the order was given.
    Where(String),
}

/// Nothing is done on devices while it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Its number.
    pub id: i64,
    /// Which devices.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub who: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` until somebody resumes.
    pub until: Option<Timestamp>,
}

/// Devices are at this revision while it holds, whatever was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its number.
    pub id: i64,
    /// The commit, with all digits.
    pub revision: String,
    /// Which devices.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub who: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` until somebody unpins.
    pub until: Option<Timestamp>,
}

/// A held revision may go out, as long as it does no more than what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The commit, with all digits.
    pub revision: String,
    /// Who said so.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// By guard, without `max-`: up to this.
    pub numbers: BTreeMap<String, u64>,
}

/// A device that is not at the accepted revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which.
    pub device: DeviceId,
    /// The commit that it is at, with all digits.
    pub revision: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// Which orders are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// Pauses.
    Pause,
    /// Pins.
    Pin,
}

impl OrderKind {
    /// The command that ends an order that was given with these words, as it is typed into a shell.
    pub fn ended_by(self, scope: &Scope) -> String {
        match (self, scope) {
            (Self::Pause, Scope::All) => "hoist resume --all".to_owned(),
            (Self::Pause, Scope::Device(id)) => format!("hoist resume {id}"),
            (Self::Pause, Scope::Where(text)) => format!("hoist resume --where {}", quoted(text)),
            (Self::Pin, Scope::All) => "hoist unpin".to_owned(),
            (Self::Pin, Scope::Device(id)) => format!("hoist unpin --device {id}"),
            (Self::Pin, Scope::Where(text)) => format!("hoist unpin --where {}", quoted(text)),
        }
    }
}

/// In double quotes: conditions are full of single ones.
fn quoted(text: &str) -> String {
    let escaped = text.chars().flat_map(|c| {
        let needs_it = matches!(c, '"' | '\\' | '$' | '`');
        needs_it.then_some('\\').into_iter().chain([c])
    });
    format!("\"{}\"", escaped.collect::<String>())
}

impl Store {
    /// The pauses that hold at a moment, oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn pauses(&self, now: Timestamp) -> Result<Vec<Pause>, StoreError> {
        let rows = self.orders(OrderKind::Pause, now)?;
        rows.into_iter()
            .map(|row| {
                let OrderRow { id, scope, revision: _, reason, who, since, until } = row;
                Ok(Pause { id, scope: self.scope(&scope)?, reason, who, since, until })
            })
            .collect()
    }

    /// The pins that hold at a moment, oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn pins(&self, now: Timestamp) -> Result<Vec<Pin>, StoreError> {
        let rows = self.orders(OrderKind::Pin, now)?;
        rows.into_iter()
            .map(|row| {
                let OrderRow { id, scope, revision, reason, who, since, until } = row;
                let revision = revision.unwrap_or_default();
                Ok(Pin { id, revision, scope: self.scope(&scope)?, reason, who, since, until })
            })
            .collect()
    }

    /// Pauses devices. The number in the argument is not looked at.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn pause(&self, pause: &Pause) -> Result<(), StoreError> {
        let Pause { id: _, scope, reason, who, since, until } = pause;
        let until_words = until.map_or(String::new(), |until| format!(" (until {until})"));
        let entry = entry(scope, "pause", None, who, *since, format!("{reason}{until_words}"));
        self.give(OrderKind::Pause, scope, None, reason, who, *since, *until, entry)
    }

    /// Pins devices. The number in the argument is not looked at.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn pin(&self, pin: &Pin) -> Result<(), StoreError> {
        let Pin { id: _, revision, scope, reason, who, since, until } = pin;
        let until_words = until.map_or(String::new(), |until| format!(" (until {until})"));
        let entry =
            entry(scope, "pin", Some(revision), who, *since, format!("{reason}{until_words}"));
        self.give(OrderKind::Pin, scope, Some(revision), reason, who, *since, *until, entry)
    }

    /// Takes back orders of a kind: those with exactly this scope, or all. Says how many.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn take_back(
        &self,
        kind: OrderKind,
        scope: Option<&Scope>,
        who: &str,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let text = scope.map(scope_text);
        let taken = self.write(|t| {
            super::ends::note_ended(t, now)?;
            // What is over by itself is taken back by nobody.
            t.execute(
                "DELETE FROM orders WHERE kind = ?1 AND until <= ?2",
                (kind.as_str(), now.seconds),
            )?;
            let taken = t.execute(
                "DELETE FROM orders WHERE kind = ?1 AND (?2 IS NULL OR scope = ?2)",
                (kind.as_str(), &text),
            )?;
            if taken > 0 {
                let scope = scope.unwrap_or(&Scope::All);
                append(t, &[entry(scope, kind.end(), None, who, now, "by hand".to_owned())])?;
            }
            Ok(taken)
        })?;
        self.wake();
        Ok(taken)
    }

    /// All approvals, oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn approvals(&self) -> Result<Vec<Approval>, StoreError> {
        let rows = self.read(|c| {
            c.prepare_cached("SELECT revision, who, at, numbers FROM approvals ORDER BY at")?
                .query_map([], |row| {
                    let numbers: String = row.get(3)?;
                    let at = Timestamp { seconds: row.get(2)? };
                    Ok((row.get(0)?, row.get(1)?, at, numbers))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        rows.into_iter()
            .map(|(revision, who, at, numbers)| {
                let numbers = serde_json::from_str(&numbers)
                    .map_err(|error| self.damaged(format!("an approval is no JSON: {error}")))?;
                Ok(Approval { revision, who, at, numbers })
            })
            .collect()
    }

    /// Lets a held revision through, up to the numbers that were seen.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn approve(&self, approval: &Approval) -> Result<(), StoreError> {
        let Approval { revision, who, at, numbers } = approval;
        let words: Vec<String> = numbers.iter().map(|(guard, n)| format!("{guard}={n}")).collect();
        let entry = entry(&Scope::All, "approve", Some(revision), who, *at, words.join(", "));
        let numbers = serde_json::json!(numbers).to_string();
        self.write(|t| {
            t.execute(
                "INSERT INTO approvals VALUES (?1, ?2, ?3, ?4) ON CONFLICT (revision) DO UPDATE
                 SET who = excluded.who, at = excluded.at, numbers = excluded.numbers",
                (revision, who, at.seconds, &numbers),
            )?;
            append(t, &[entry])
        })?;
        self.wake();
        Ok(())
    }

    /// The devices that are not at the accepted revision.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn assignments(&self) -> Result<BTreeMap<DeviceId, Assignment>, StoreError> {
        let rows = self.read(|c| {
            c.prepare_cached("SELECT device, revision, since, reason FROM assignments")?
                .query_map([], |row| {
                    let since = Timestamp { seconds: row.get(2)? };
                    Ok((row.get::<_, String>(0)?, row.get(1)?, since, row.get(3)?))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        rows.into_iter()
            .map(|(device, revision, since, reason)| {
                let device = self.device_id(&device)?;
                Ok((device.clone(), Assignment { device, revision, since, reason }))
            })
            .collect()
    }

    fn orders(&self, kind: OrderKind, now: Timestamp) -> Result<Vec<OrderRow>, StoreError> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT id, scope, revision, reason, who, since, until FROM orders
                 WHERE kind = ?1 AND (until IS NULL OR until > ?2) ORDER BY id",
            )?
            .query_map((kind.as_str(), now.seconds), order_row)?
            .collect()
        })
    }

    #[expect(clippy::too_many_arguments, reason = "one row of a table")]
    fn give(
        &self,
        kind: OrderKind,
        scope: &Scope,
        revision: Option<&str>,
        reason: &str,
        who: &str,
        since: Timestamp,
        until: Option<Timestamp>,
        entry: HistoryEntry,
    ) -> Result<(), StoreError> {
        self.write(|t| {
            super::ends::note_ended(t, since)?;
            // A newer order for the same devices takes the place of the older one; and what is over goes.
            t.execute(
                "DELETE FROM orders WHERE kind = ?1 AND (scope = ?2 OR until <= ?3)",
                (kind.as_str(), scope_text(scope), since.seconds),
            )?;
            t.execute(
                "INSERT INTO orders (kind, scope, revision, reason, who, since, until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    kind.as_str(),
                    scope_text(scope),
                    revision,
                    reason,
                    who,
                    since.seconds,
                    until.map(|until| until.seconds),
                ),
            )?;
            append(t, &[entry])
        })?;
        self.wake();
        Ok(())
    }

    /// Touches the file that a daemon watches. Where that fails, it learns of the order at its next look.
    pub(super) fn wake(&self) {
        let _ = std::fs::write(self.folder().join(WAKE_FILE), b"");
    }

    /// The devices that the daemon of this store looks after.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn watches(&self) -> Result<Scope, StoreError> {
        let text = self.fleet_state(fleet_key::WATCHES)?;
        text.map_or(Ok(Scope::All), |text| self.scope(&text))
    }

    /// Writes down which devices the daemon of this store looks after.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn set_watches(&self, scope: &Scope) -> Result<(), StoreError> {
        self.set_fleet_state(fleet_key::WATCHES, Some(&scope_text(scope)))
    }

    fn scope(&self, text: &str) -> Result<Scope, StoreError> {
        scope_of(text).ok_or_else(|| self.damaged(format!("`{text}` says no devices")))
    }
}

/// The scope that a text of the store says.
pub(super) fn scope_of(text: &str) -> Option<Scope> {
    match text.split_once(':') {
        None => (text == "all").then_some(Scope::All),
        Some(("device", id)) => DeviceId::parse(id).ok().map(Scope::Device),
        Some(("where", condition)) => Some(Scope::Where(condition.to_owned())),
        Some(_) => None,
    }
}

/// The file that is touched when an order was given.
pub const WAKE_FILE: &str = "wake";

/// Keys of what the store keeps of the whole fleet.
pub mod fleet_key {
    /// The commit that counts.
    pub const ACCEPTED: &str = "accepted-revision";
    /// What was applied last to all devices: a commit, or the working tree.
    pub const APPLIED: &str = "applied-revision";
    /// Devices that left since that, and are forgotten: with it, as JSON.
    pub const DECOMMISSIONED: &str = "decommissioned";
    /// The revision that waits, as JSON.
    pub const HELD: &str = "held";
    /// Every so many seconds the daemon looks at each device.
    pub const RESYNC: &str = "resync";
    /// The devices that the daemon looks after.
    pub const WATCHES: &str = "watches";
    /// The fleet's name, as the daemon found it.
    pub const NAME: &str = "fleet-name";
    /// The git repository that the daemon reads.
    pub const REPOSITORY: &str = "repository";
    /// The process of the daemon that works on the store, or worked on it last.
    pub const DAEMON: &str = "daemon";
    /// The newest commit of the branch that the daemon watches.
    pub const HEAD: &str = "head";
    /// Why no new commits can be had, as JSON, as long as it is so.
    pub const FETCH_TROUBLE: &str = "fetch-trouble";
    /// A revision that counted when signatures were first asked for and bears none, and why, as JSON.
    pub const UNSIGNED: &str = "unsigned";
    /// The rollout, as JSON, without its members.
    pub const ROLLOUT: &str = "rollout";

    /// What a webhook of that name was told, as JSON.
    pub fn told(webhook: &str) -> String {
        format!("told.{webhook}")
    }
}

struct OrderRow {
    id: i64,
    scope: String,
    revision: Option<String>,
    reason: String,
    who: String,
    since: Timestamp,
    until: Option<Timestamp>,
}

fn order_row(row: &Row<'_>) -> rusqlite::Result<OrderRow> {
    let moment = |seconds| Timestamp { seconds };
    Ok(OrderRow {
        id: row.get(0)?,
        scope: row.get(1)?,
        revision: row.get(2)?,
        reason: row.get(3)?,
        who: row.get(4)?,
        since: moment(row.get(5)?),
        until: row.get::<_, Option<i64>>(6)?.map(moment),
    })
}

impl OrderKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Pin => "pin",
        }
    }

    /// What its end is called in the history.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Pause => "resume",
            Self::Pin => "unpin",
        }
    }
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::All => "all".to_owned(),
        Scope::Device(id) => format!("device:{id}"),
        Scope::Where(condition) => format!("where:{condition}"),
    }
}

pub(super) fn entry(
    scope: &Scope,
    action: &str,
    to: Option<&str>,
    who: &str,
    at: Timestamp,
    reason: String,
) -> HistoryEntry {
    let (device, reason) = match scope {
        Scope::All => (None, reason),
        Scope::Device(id) => (Some(id.clone()), reason),
        Scope::Where(condition) => (None, format!("{reason} (where {condition})")),
    };
    HistoryEntry {
        at,
        who: who.to_owned(),
        device,
        from: None,
        to: to.map(str::to_owned),
        action: action.to_owned(),
        module: None,
        reason,
        outcome: "done".to_owned(),
    }
}

/// The tables of this file: a migration of its own.
pub(super) const TABLES: &str = "
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('pause', 'pin')),
    scope TEXT NOT NULL, revision TEXT, reason TEXT NOT NULL,
    who TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER
) STRICT;
CREATE TABLE approvals (
    revision TEXT PRIMARY KEY, who TEXT NOT NULL, at INTEGER NOT NULL, numbers TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pokes (device TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE assignments (
    device TEXT PRIMARY KEY, revision TEXT NOT NULL, since INTEGER NOT NULL, reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Gives what is known of a device under a former id to its new one.
pub(super) fn rename(t: &Connection, former: &DeviceId, id: &DeviceId) -> rusqlite::Result<()> {
    t.execute(
        "UPDATE OR REPLACE assignments SET device = ?2 WHERE device = ?1",
        (former.as_str(), id.as_str()),
    )?;
    super::rollouts::rename(t, former, id)?;
    let (former, id) =
        (scope_text(&Scope::Device(former.clone())), scope_text(&Scope::Device(id.clone())));
    t.execute("UPDATE orders SET scope = ?2 WHERE scope = ?1", (former, id)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds }
    }

    fn pause(scope: Scope, since: i64, until: Option<i64>) -> Pause {
        Pause {
            id: 0,
            scope,
            reason: "a lift is serviced".to_owned(),
            who: "ada".to_owned(),
            since: at(since),
            until: until.map(at),
        }
    }

    #[test]
    fn orders_hold_until_they_are_over_or_taken_back_and_all_is_in_the_history() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let lift = DeviceId::parse("lift-1").unwrap();
        store.pause(&pause(Scope::Device(lift.clone()), 10, Some(20))).unwrap();
        store.pause(&pause(Scope::Where("tags.a = 'b'".to_owned()), 11, None)).unwrap();
        assert!(folder.path().join(WAKE_FILE).exists());
        let scopes = |now| {
            let pauses = store.pauses(at(now)).unwrap();
            pauses.into_iter().map(|pause| pause.scope).collect::<Vec<_>>()
        };
        let meets = Scope::Where("tags.a = 'b'".to_owned());
        assert_eq!(scopes(15), [Scope::Device(lift.clone()), meets.clone()]);
        assert_eq!(scopes(20), std::slice::from_ref(&meets));
        store.pause(&pause(meets.clone(), 21, None)).unwrap();
        assert_eq!(scopes(21).len(), 1, "a newer order takes the place of the older one");
        let back = |scope| store.take_back(OrderKind::Pause, scope, "bo", at(30)).unwrap();
        assert_eq!((back(Some(&Scope::All)), back(Some(&meets)), back(None)), (0, 1, 0));
        let pin = Pin {
            id: 0,
            revision: "3f2a".to_owned(),
            scope: Scope::All,
            reason: "fire drill".to_owned(),
            who: "ada".to_owned(),
            since: at(40),
            until: None,
        };
        store.pin(&pin).unwrap();
        assert_eq!(store.pins(at(41)).unwrap()[0].revision, "3f2a");
        let history = store.history(&crate::store::HistoryFilter::default()).unwrap();
        let actions: Vec<&str> = history.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["pause", "pause", "resume", "pause", "resume", "pin"]);
        assert_eq!(history[0].device.as_ref(), Some(&lift));
    }

    use crate::store::RolloutWrite;

    #[test]
    fn approvals_pokes_and_devices_that_are_behind_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let approval = Approval {
            revision: "3f2a".to_owned(),
            who: "ada".to_owned(),
            at: at(5),
            numbers: [("modules-removed".to_owned(), 30)].into(),
        };
        store.approve(&approval).unwrap();
        store.approve(&approval).unwrap();
        assert_eq!(store.approvals().unwrap(), [approval]);
        let id = |name: &str| DeviceId::parse(name).unwrap();
        store.poke(&id("b")).unwrap();
        store.poke(&id("b")).unwrap();
        assert_eq!(store.take_pokes().unwrap(), [id("b")]);
        assert_eq!(store.take_pokes().unwrap(), []);
        let behind = |device: &str| Assignment {
            device: id(device),
            revision: "old".to_owned(),
            since: at(1),
            reason: "not its turn".to_owned(),
        };
        let (both, a) = ([behind("a"), behind("b")], [id("a")]);
        let accept = Some("new");
        store
            .record_rollout(&RolloutWrite { accept, behind: &both, ..RolloutWrite::default() })
            .unwrap();
        store
            .record_rollout(&RolloutWrite { accept, caught_up: &a, ..RolloutWrite::default() })
            .unwrap();
        let left: Vec<DeviceId> = store.assignments().unwrap().into_keys().collect();
        assert_eq!(left, [id("b")]);
        assert_eq!(store.fleet_state(fleet_key::ACCEPTED).unwrap().as_deref(), Some("new"));
        store.record_device(&crate::store::StoredDevice::unknown(id("b"), at(1))).unwrap();
        store.rename_devices(&[(id("b"), id("c"))], &[]).unwrap();
        assert_eq!(store.assignments().unwrap().into_keys().collect::<Vec<_>>(), [id("c")]);
    }
}

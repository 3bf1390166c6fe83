//! Who changed what on which device, why, and what became of it. Entries are added and one day dropped,
//! never changed.

use super::error::StoreError;
use super::open::Store;
use crate::model::{DeviceId, ModuleName, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// Who: `user@host`, or the command that ran by itself.
    pub who: String,
    /// On which device; `None` for what concerns the whole fleet.
    pub device: Option<DeviceId>,
    /// The revision before.
    pub from: Option<String>,
    /// The revision after.
    pub to: Option<String>,
    /// What: `create`, `recreate`, `update`, …
    pub action: String,
    /// On which module, if on one.
    pub module: Option<ModuleName>,
    /// Why, in words.
    pub reason: String,
    /// What became of it, in words.
    pub outcome: String,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only of this device.
    pub device: Option<DeviceId>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only the newest so many.
    pub limit: Option<u32>,
}

impl Store {
    /// Adds entries, all or none.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn append_history(&self, entries: &[HistoryEntry]) -> Result<(), StoreError> {
        self.write(|t| append(t, entries))
    }

    /// The entries that are wanted, oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEntry>, StoreError> {
        let HistoryFilter { device, since, limit } = filter;
        let rows = self.read(|c| {
            c.prepare_cached(
                "SELECT at, who, device, from_revision, to_revision, action, module, reason, outcome
                 FROM history
                 WHERE (?1 IS NULL OR device = ?1) AND (?2 IS NULL OR at >= ?2)
                 ORDER BY id DESC LIMIT ?3",
            )?
            .query_map(
                (
                    device.as_ref().map(DeviceId::as_str),
                    since.map(|moment| moment.seconds),
                    limit.map_or(-1, i64::from),
                ),
                |row| {
                    let entry = HistoryEntry {
                        at: Timestamp { seconds: row.get(0)? },
                        who: row.get(1)?,
                        device: None,
                        from: row.get(3)?,
                        to: row.get(4)?,
                        action: row.get(5)?,
                        module: None,
                        reason: row.get(7)?,
                        outcome: row.get(8)?,
                    };
                    Ok((entry, row.get::<_, Option<String>>(2)?, row.get::<_, Option<String>>(6)?))
                },
            )?
            .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        rows.into_iter()
            .rev()
            .map(|(entry, device, module)| {
                let module = module.map(|name| ModuleName::parse(&name)).transpose();
                Ok(HistoryEntry {
                    device: device.map(|id| self.device_id(&id)).transpose()?,
                    module: module.map_err(|error| self.damaged(error.to_string()))?,
                    ..entry
                })
            })
            .collect()
    }

    /// The newest entry of a device as a whole with one of these actions.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn newest_of(
        &self,
        device: &DeviceId,
        actions: [&str; 2],
    ) -> Result<Option<(String, String)>, StoreError> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT action, outcome FROM history
                 WHERE device = ?1 AND module IS NULL AND action IN (?2, ?3) ORDER BY id DESC LIMIT 1",
            )?
            .query_row((device.as_str(), actions[0], actions[1]), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
        })
    }

    /// Drops entries from before a moment; says how many.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn prune_history(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.write(|t| t.execute("DELETE FROM history WHERE at < ?1", [before.seconds]))
    }
}

/// Adds entries within a transaction.
pub(super) fn append(t: &Connection, entries: &[HistoryEntry]) -> rusqlite::Result<()> {
    let mut insert = t.prepare_cached(
        "INSERT INTO history
             (at, who, device, from_revision, to_revision, action, module, reason, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for entry in entries {
        let HistoryEntry { at, who, device, from, to, action, module, reason, outcome } = entry;
        insert.execute((
            at.seconds,
            who,
            device.as_ref().map(DeviceId::as_str),
            from,
            to,
            action,
            module.as_ref().map(ModuleName::as_str),
            reason,
            outcome,
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, device: Option<&str>) -> HistoryEntry {
        HistoryEntry {
            at: Timestamp { seconds: at },
            who: "operator@control".to_owned(),
            device: device.map(|id| DeviceId::parse(id).unwrap()),
            from: None,
            to: Some("3f2a9c1".to_owned()),
            action: "recreate".to_owned(),
            module: device.map(|_| ModuleName::parse("camera").unwrap()),
            reason: "image changed".to_owned(),
            outcome: "done".to_owned(),
        }
    }

    #[test]
    fn history_is_filtered_kept_in_order_and_pruned() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let all = [entry(1, Some("a")), entry(2, None), entry(3, Some("b")), entry(4, Some("a"))];
        store.append_history(&all[..2]).unwrap();
        store.append_history(&all[2..]).unwrap();
        let with = |filter: HistoryFilter| store.history(&filter).unwrap();
        assert_eq!(with(HistoryFilter::default()), all);
        let device = Some(DeviceId::parse("a").unwrap());
        assert_eq!(
            with(HistoryFilter { device, ..Default::default() }),
            [all[0].clone(), all[3].clone()]
        );
        let since = Some(Timestamp { seconds: 2 });
        assert_eq!(with(HistoryFilter { since, limit: Some(2), device: None }), all[2..]);
        assert_eq!(store.prune_history(Timestamp { seconds: 3 }).unwrap(), 2);
        assert_eq!(with(HistoryFilter::default()), all[2..]);
        let error = store.write(|t| t.execute("UPDATE history SET who = 'x'", [])).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

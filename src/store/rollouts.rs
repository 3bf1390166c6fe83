//! A rollout between its steps: how far it is, which devices are not at the accepted revision, what these had before.
//!
//! A step is written in one transaction with what it decides: a device is never at a revision that the rollout does not
//! know of. Not here: what a rollout is; its parts are kept as the JSON that the reconciler gives.

use super::error::StoreError;
use super::history::{HistoryEntry, append};
use super::open::Store;
use super::orders::{Assignment, fleet_key};
use super::stored::InForce;
use crate::model::{DeploymentId, DeviceId, Hash, Timestamp};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// What a step of a rollout writes; what is empty is as it was.
#[derive(Debug, Default)]
pub struct RolloutWrite<'a> {
    /// Devices that have another id from now on, by their former ones: what follows is by the new ids.
    pub renamed: &'a [(DeviceId, DeviceId)],
    /// The revision that counts from now on.
    pub accept: Option<&'a str>,
    /// The rollout without its members, as JSON.
    pub rollout: Option<&'a str>,
    /// Whether members that were written before are forgotten first.
    pub begins: bool,
    /// Members as JSON.
    pub members: &'a [(DeviceId, String)],
    /// What devices have before they go to another revision.
    pub formers: &'a [(DeviceId, InForce)],
    /// Devices that are not at the accepted revision.
    pub behind: &'a [Assignment],
    /// Devices that are.
    pub caught_up: &'a [DeviceId],
    /// What happened.
    pub history: &'a [HistoryEntry],
    /// Orders that are obeyed, or refused, with that, by their numbers: they are told no more.
    pub obeyed: &'a [i64],
}

/// A rollout as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptRollout {
    /// Without its members, as JSON; `None` if there never was one.
    pub rollout: Option<String>,
    /// Its members as JSON.
    pub members: BTreeMap<DeviceId, String>,
}

/// What somebody wants of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutOrder {
    /// Its number.
    pub id: i64,
    /// `pause`, `resume`, `promote`, `abort`, `retry`.
    pub order: String,
    /// Who said so.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Writes a step, all of it or nothing.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn record_rollout(&self, write: &RolloutWrite<'_>) -> Result<(), StoreError> {
        self.write(|t| {
            super::device::rename(t, write.renamed)?;
            let mut set = t.prepare_cached(
                "INSERT INTO fleet_state VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?;
            if let Some(revision) = write.accept {
                set.execute((fleet_key::ACCEPTED, revision))?;
                set.execute((fleet_key::APPLIED, revision))?;
            }
            if let Some(rollout) = write.rollout {
                set.execute((fleet_key::ROLLOUT, rollout))?;
            }
            if write.begins {
                t.execute("DELETE FROM rollout_members", [])?;
            }
            let mut member = t.prepare_cached(
                "INSERT INTO rollout_members VALUES (?1, ?2)
                 ON CONFLICT (device) DO UPDATE SET member = excluded.member",
            )?;
            for (device, text) in write.members {
                member.execute((device.as_str(), text))?;
            }
            record_formers(t, write.formers)?;
            let mut leave = t.prepare_cached(
                "INSERT INTO assignments VALUES (?1, ?2, ?3, ?4) ON CONFLICT (device) DO UPDATE
                 SET revision = excluded.revision, since = excluded.since, reason = excluded.reason",
            )?;
            for Assignment { device, revision, since, reason } in write.behind {
                leave.execute((device.as_str(), revision, since.seconds, reason))?;
            }
            let mut drop = t.prepare_cached("DELETE FROM assignments WHERE device = ?1")?;
            for device in write.caught_up {
                drop.execute([device.as_str()])?;
            }
            for order in write.obeyed {
                t.execute("DELETE FROM rollout_orders WHERE id = ?1", [order])?;
            }
            append(t, write.history)
        })
    }

    /// The rollout as it was written last.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn kept_rollout(&self) -> Result<KeptRollout, StoreError> {
        let rollout = self.fleet_state(fleet_key::ROLLOUT)?;
        let rows = self.read(|c| {
            c.prepare_cached("SELECT device, member FROM rollout_members")?
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(String, String)>>>()
        })?;
        let members = rows.into_iter().map(|(device, text)| Ok((self.device_id(&device)?, text)));
        Ok(KeptRollout { rollout, members: members.collect::<Result<_, StoreError>>()? })
    }

    /// What devices had before they went to another revision.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn former_manifests(&self) -> Result<BTreeMap<DeviceId, InForce>, StoreError> {
        let rows = self.read(|c| {
            c.prepare_cached(
                "SELECT device, revision, manifest_hash, manifest, base, layers FROM former_manifests",
            )?
            .query_map([], |row| {
                let texts: [String; 6] =
                    [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
                Ok(texts)
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let damaged = |what: &str| self.damaged(format!("a former manifest has {what}"));
        rows.into_iter()
            .map(|[device, revision, hash, manifest, base, layers]| {
                let layers = layers.split(' ').filter(|layer| !layer.is_empty());
                let in_force = InForce {
                    revision,
                    manifest_hash: Hash::from_stored(&hash).ok_or_else(|| damaged("no hash"))?,
                    manifest,
                    base: DeploymentId::parse(&base).map_err(|_| damaged("no base"))?,
                    layers: layers
                        .map(DeploymentId::parse)
                        .collect::<Result<_, _>>()
                        .map_err(|_| damaged("no layers"))?,
                };
                Ok((self.device_id(&device)?, in_force))
            })
            .collect()
    }

    /// Tells the daemon what somebody wants of the rollout.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn order_rollout(&self, order: &RolloutOrder) -> Result<(), StoreError> {
        let RolloutOrder { id: _, order, who, reason, at } = order;
        self.write(|t| {
            t.execute(
                "INSERT INTO rollout_orders (word, who, reason, at) VALUES (?1, ?2, ?3, ?4)",
                (order, who, reason, at.seconds),
            )
        })?;
        self.wake();
        Ok(())
    }

    /// What people want of the rollout, oldest first. Each is told until what became of it is written with its number.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn rollout_orders(&self) -> Result<Vec<RolloutOrder>, StoreError> {
        self.read(|c| {
            c.prepare_cached("SELECT id, word, who, reason, at FROM rollout_orders ORDER BY id")?
                .query_map([], |row| {
                    Ok(RolloutOrder {
                        id: row.get(0)?,
                        order: row.get(1)?,
                        who: row.get(2)?,
                        reason: row.get(3)?,
                        at: Timestamp { seconds: row.get(4)? },
                    })
                })?
                .collect()
        })
    }
}

fn record_formers(t: &Connection, formers: &[(DeviceId, InForce)]) -> rusqlite::Result<()> {
    let mut keep = t.prepare_cached(
        "INSERT INTO former_manifests VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (device) DO UPDATE
         SET revision = excluded.revision, manifest_hash = excluded.manifest_hash,
             manifest = excluded.manifest, base = excluded.base, layers = excluded.layers",
    )?;
    for (device, in_force) in formers {
        let InForce { revision, manifest_hash, manifest, base, layers } = in_force;
        let layers: Vec<&str> = layers.iter().map(DeploymentId::as_str).collect();
        keep.execute((
            device.as_str(),
            revision,
            manifest_hash.as_str(),
            manifest,
            base.as_str(),
            layers.join(" "),
        ))?;
    }
    Ok(())
}

/// The tables of this file: a migration of its own.
pub(super) const TABLES: &str = "
CREATE TABLE rollout_members (device TEXT PRIMARY KEY, member TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE former_manifests (
    device TEXT PRIMARY KEY, revision TEXT NOT NULL, manifest_hash TEXT NOT NULL,
    manifest TEXT NOT NULL, base TEXT NOT NULL, layers TEXT NOT NULL
) STRICT;
CREATE TABLE rollout_orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    word TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
";

/// Gives what is known of a device under a former id to its new one.
pub(super) fn rename(t: &Connection, former: &DeviceId, id: &DeviceId) -> rusqlite::Result<()> {
    for table in ["rollout_members", "former_manifests"] {
        t.execute(
            &format!("UPDATE OR REPLACE {table} SET device = ?2 WHERE device = ?1"),
            (former.as_str(), id.as_str()),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::HistoryFilter;

    #[test]
    fn a_step_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.kept_rollout().unwrap(), KeptRollout::default());
        let id = |name: &str| DeviceId::parse(name).unwrap();
        let former = InForce {
            revision: "old".to_owned(),
            manifest_hash: Hash::of_texts("test", ["a"]),
            manifest: "x".to_owned(),
            base: DeploymentId::parse("base").unwrap(),
            layers: vec![DeploymentId::parse("one").unwrap(), DeploymentId::parse("two").unwrap()],
        };
        let members = [(id("a"), "1".to_owned()), (id("b"), "2".to_owned())];
        let formers = [(id("a"), former.clone())];
        store
            .record_rollout(&RolloutWrite {
                accept: Some("new"),
                rollout: Some("{}"),
                begins: true,
                members: &members,
                formers: &formers,
                ..RolloutWrite::default()
            })
            .unwrap();
        let kept = store.kept_rollout().unwrap();
        assert_eq!((kept.rollout.as_deref(), kept.members.len()), (Some("{}"), 2));
        assert_eq!(store.former_manifests().unwrap(), formers.into());
        store.rename_devices(&[(id("a"), id("c"))], &[]).unwrap();
        assert_eq!(store.former_manifests().unwrap().get(&id("c")), Some(&former));
        store.record_rollout(&RolloutWrite { begins: true, ..RolloutWrite::default() }).unwrap();
        assert!(store.kept_rollout().unwrap().members.is_empty());
        assert!(store.history(&HistoryFilter::default()).unwrap().is_empty());
    }

    #[test]
    fn an_order_is_told_until_it_is_written_what_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for word in ["pause", "resume"] {
            let order = RolloutOrder {
                id: 0,
                order: word.to_owned(),
                who: "ada".to_owned(),
                reason: "lunch".to_owned(),
                at: Timestamp { seconds: 5 },
            };
            store.order_rollout(&order).unwrap();
        }
        let told = store.rollout_orders().unwrap();
        let words: Vec<&str> = told.iter().map(|told| told.order.as_str()).collect();
        assert_eq!(words, ["pause", "resume"]);
        assert_eq!(store.rollout_orders().unwrap(), told);
        let obeyed = &[told[0].id];
        store.record_rollout(&RolloutWrite { obeyed, ..RolloutWrite::default() }).unwrap();
        assert_eq!(store.rollout_orders().unwrap(), told[1..]);
    }
}

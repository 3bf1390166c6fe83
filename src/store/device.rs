//! What is in force on each device, and how it was last seen.

use super::error::StoreError;
use super::history::{HistoryEntry, append};
use super::open::Store;
use super::stored::{
    EngineAt, HeldFact, InForce, ModuleReport, ModuleStanding, ReportedFacts, StatusSince,
    StoredDevice, StoredDevices,
};
use crate::model::{Cohort, DeploymentId, DeviceId, ModuleName, Timestamp};
use crate::plan::DeviceMemory;
use rusqlite::{Connection, Row};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tables that hold what is known of a device.
const TABLES: [&str; 5] = ["devices", "modules", "memories", "containers", "module_memories"];

impl Store {
    /// Every device that was ever recorded.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn load_devices(&self) -> Result<StoredDevices, StoreError> {
        let (rows, modules) = self.read(|c| Ok((device_rows(c)?, module_rows(c)?)))?;
        let mut devices: BTreeMap<DeviceId, StoredDevice> = BTreeMap::new();
        for row in rows {
            let device = self.stored_device(row)?;
            devices.insert(device.device.clone(), device);
        }
        for (device, module, mut standing, report) in modules {
            let module =
                ModuleName::parse(&module).map_err(|error| self.damaged(error.to_string()))?;
            if let (Some(text), Some(known)) = (report, &mut standing.report) {
                known.content = Some(serde_json::from_str(&text).map_err(|error| {
                    self.damaged(format!("the report of {module} is no JSON: {error}"))
                })?);
            }
            if let Some(stored) = devices.get_mut(device.as_str()) {
                stored.modules.insert(module, standing);
            }
        }
        Ok(devices.into_iter().map(|(id, device)| (id, Arc::new(device))).collect())
    }

    /// Records a device, in place of what was recorded of it. Its memory is not touched.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn record_device(&self, device: &StoredDevice) -> Result<(), StoreError> {
        self.record_devices(std::slice::from_ref(device))
    }

    /// Records many devices in one transaction.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn record_devices(&self, devices: &[StoredDevice]) -> Result<(), StoreError> {
        self.write(|t| devices.iter().try_for_each(|device| record(t, device)))
    }

    /// Records devices of which the moments are others, as the clock was set. Elsewhere a status that goes on keeps the moment
    /// since which it does.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn record_moments(&self, devices: &[StoredDevice]) -> Result<(), StoreError> {
        self.write(|t| {
            devices.iter().try_for_each(|device| {
                record(t, device)?;
                t.prepare_cached("UPDATE devices SET status_since = ?2 WHERE device = ?1")?
                    .execute((device.device.as_str(), device.status.since.seconds))
                    .map(|_| ())
            })
        })
    }

    /// Records what came of a pass over a device, all of it or nothing: how it stands, what is remembered of it, what
    /// was done. What is `None` is as it was.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn record_pass(
        &self,
        device: &DeviceId,
        stored: Option<&StoredDevice>,
        memory: Option<&DeviceMemory>,
        history: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        if stored.is_none() && memory.is_none() && history.is_empty() {
            return Ok(());
        }
        self.write(|t| {
            if let Some(stored) = stored {
                record(t, stored)?;
            }
            if let Some(memory) = memory {
                super::memory::remember(t, device, memory)?;
            }
            super::history::append(t, history)
        })
    }

    /// Writes down when devices were seen last, and nothing else, in one transaction.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn record_contacts<'a>(
        &self,
        contacts: impl IntoIterator<Item = (&'a DeviceId, Timestamp)>,
    ) -> Result<(), StoreError> {
        self.write(|t| {
            let mut update = t.prepare_cached(
                "UPDATE devices SET last_contact = ?2 WHERE device = ?1 AND last_contact IS NOT ?2",
            )?;
            for (device, at) in contacts {
                update.execute((device.as_str(), at.seconds))?;
            }
            Ok(())
        })
    }

    /// Devices that a revision leaves as they are, which are at it from now on, in one transaction.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn move_devices(
        &self,
        revision: &str,
        devices: &[(DeviceId, Cohort)],
    ) -> Result<(), StoreError> {
        self.write(|t| {
            let mut update = t.prepare_cached(
                "UPDATE devices SET revision = ?2, base = ?3, layers = ?4 WHERE device = ?1",
            )?;
            for (device, Cohort { base, layers }) in devices {
                let layers: Vec<&str> = layers.iter().map(DeploymentId::as_str).collect();
                let layers = serde_json::json!(layers).to_string();
                update.execute((device.as_str(), revision, base.as_str(), layers))?;
            }
            Ok(())
        })
    }

    /// Forgets a device that is gone for good, with its memory. History keeps it.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn forget_device(&self, device: &DeviceId) -> Result<(), StoreError> {
        self.write(|t| forget(t, device))
    }

    /// Gives what is recorded and remembered of devices to their new ids, by former ids, all of it or nothing. Where the new
    /// one is recorded already, the former one is forgotten. History keeps the former id.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn rename_devices(
        &self,
        renamed: &[(DeviceId, DeviceId)],
        history: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        self.write(|t| {
            rename(t, renamed)?;
            append(t, history)
        })
    }

    fn stored_device(&self, row: DeviceRow) -> Result<StoredDevice, StoreError> {
        let in_force = match (row.revision, row.manifest_hash, row.manifest, row.base, row.layers) {
            (Some(revision), Some(hash), Some(manifest), Some(base), Some(layers)) => {
                let layers: Vec<String> = serde_json::from_str(&layers)
                    .map_err(|error| self.damaged(format!("layers are no JSON: {error}")))?;
                Some(InForce {
                    revision,
                    manifest_hash: self.hash(&hash)?,
                    manifest,
                    base: self.deployment_id(&base)?,
                    layers: layers
                        .iter()
                        .map(|layer| self.deployment_id(layer))
                        .collect::<Result<_, _>>()?,
                })
            }
            (None, None, None, None, None) => None,
            _ => {
                let words = format!("what is in force on {} is recorded in part", row.device);
                return Err(self.damaged(words));
            }
        };
        let facts = match (row.facts, row.facts_since) {
            (Some(text), Some(seconds)) => Some(Arc::new(ReportedFacts {
                reported: serde_json::from_str(&text)
                    .map_err(|error| self.damaged(format!("facts are no JSON: {error}")))?,
                since: Timestamp { seconds },
                held: self.held_facts(row.facts_held.as_deref())?,
            })),
            _ => None,
        };
        Ok(StoredDevice {
            device: self.device_id(&row.device)?,
            in_force,
            status: row.status,
            engine_id: row.engine_id,
            accepted_engine: row.accepted_engine,
            engine: row.engine.map(|address| EngineAt { address, tls: row.tls }),
            last_contact: row.last_contact.map(|seconds| Timestamp { seconds }),
            modules: BTreeMap::new(),
            facts,
            departed: row.departed.map(|seconds| Timestamp { seconds }),
        })
    }

    fn held_facts(
        &self,
        text: Option<&str>,
    ) -> Result<BTreeMap<Vec<String>, HeldFact>, StoreError> {
        type Row = (Vec<String>, Option<Json>, i64, Option<Json>);
        let Some(text) = text else { return Ok(BTreeMap::new()) };
        let rows: Vec<Row> = serde_json::from_str(text)
            .map_err(|error| self.damaged(format!("facts are no JSON: {error}")))?;
        let held = |(path, value, seconds, settled)| {
            (path, HeldFact { value, since: Timestamp { seconds }, settled })
        };
        Ok(rows.into_iter().map(held).collect())
    }

    fn deployment_id(&self, text: &str) -> Result<DeploymentId, StoreError> {
        DeploymentId::parse(text).map_err(|error| self.damaged(error.to_string()))
    }
}

pub(super) fn forget(t: &Connection, device: &DeviceId) -> rusqlite::Result<()> {
    for table in TABLES {
        t.execute(&format!("DELETE FROM {table} WHERE device = ?1"), [device.as_str()])?;
    }
    super::brings::forget(t, device)
}

/// One row of `devices`.
struct DeviceRow {
    device: String,
    revision: Option<String>,
    manifest_hash: Option<String>,
    manifest: Option<String>,
    base: Option<String>,
    layers: Option<String>,
    status: StatusSince,
    engine_id: Option<String>,
    last_contact: Option<i64>,
    facts: Option<String>,
    facts_since: Option<i64>,
    facts_held: Option<String>,
    departed: Option<i64>,
    engine: Option<String>,
    tls: Option<String>,
    accepted_engine: Option<String>,
}

fn device_rows(connection: &Connection) -> rusqlite::Result<Vec<DeviceRow>> {
    connection
        .prepare(
            "SELECT device, revision, manifest_hash, manifest, base, layers, code, description,
                    status_since, engine_id, last_contact, facts, facts_since, facts_held,
                    departed, engine, tls, accepted_engine
             FROM devices",
        )?
        .query_map([], |row| {
            Ok(DeviceRow {
                device: row.get(0)?,
                revision: row.get(1)?,
                manifest_hash: row.get(2)?,
                manifest: row.get(3)?,
                base: row.get(4)?,
                layers: row.get(5)?,
                status: StatusSince {
                    code: row.get(6)?,
                    description: row.get(7)?,
                    since: Timestamp { seconds: row.get(8)? },
                },
                engine_id: row.get(9)?,
                last_contact: row.get(10)?,
                facts: row.get(11)?,
                facts_since: row.get(12)?,
                facts_held: row.get(13)?,
                departed: row.get(14)?,
                engine: row.get(15)?,
                tls: row.get(16)?,
                accepted_engine: row.get(17)?,
            })
        })?
        .collect()
}

/// Device, module, its standing, and the text of its report.
type ModuleRow = (String, String, ModuleStanding, Option<String>);

fn module_rows(connection: &Connection) -> rusqlite::Result<Vec<ModuleRow>> {
    let standing = |row: &Row<'_>| -> rusqlite::Result<ModuleStanding> {
        let looked_at: Option<i64> = row.get(10)?;
        let stamp: Option<String> = row.get(11)?;
        let problem: Option<String> = row.get(12)?;
        Ok(ModuleStanding {
            status: row.get(2)?,
            exit_code: row.get(3)?,
            restart_count: row.get(4)?,
            container: row.get(5)?,
            code: row.get(6)?,
            description: row.get(7)?,
            started_at: row.get(8)?,
            image_id: row.get(9)?,
            report: looked_at.map(|looked_at| ModuleReport {
                content: None,
                looked_at,
                stamp: stamp.unwrap_or_default(),
                problem,
            }),
        })
    };
    connection
        .prepare(
            "SELECT device, module, status, exit_code, restart_count, container, code, description,
                    started_at, image_id, report_looked_at, report_stamp, report_problem, report
             FROM modules",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, standing(row)?, row.get(13)?)))?
        .collect()
}

pub(super) fn record(transaction: &Connection, device: &StoredDevice) -> rusqlite::Result<()> {
    let StoredDevice {
        device,
        in_force,
        status,
        engine_id,
        accepted_engine,
        engine,
        last_contact,
        modules,
        facts,
        departed,
    } = device;
    let engine = engine.as_ref().map(|EngineAt { address, tls }| (address, tls));
    let StatusSince { code, description, since } = status;
    let in_force = in_force.as_ref().map(|in_force| {
        let InForce { revision, manifest_hash, manifest, base, layers } = in_force;
        let layers: Vec<&str> = layers.iter().map(DeploymentId::as_str).collect();
        (revision, manifest_hash.as_str(), manifest, base.as_str(), serde_json::json!(layers))
    });
    transaction
        .prepare_cached(
            "INSERT INTO devices (device, revision, manifest_hash, manifest, base, layers, code,
                 description, status_since, engine_id, last_contact, facts, facts_since, facts_held,
                 departed, engine, tls, accepted_engine)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
             ON CONFLICT (device) DO UPDATE SET
                 revision = excluded.revision, manifest_hash = excluded.manifest_hash,
                 manifest = excluded.manifest, base = excluded.base, layers = excluded.layers,
                 status_since = iif(code = excluded.code, status_since, excluded.status_since),
                 code = excluded.code, description = excluded.description,
                 engine_id = excluded.engine_id, last_contact = excluded.last_contact,
                 facts_since = iif(facts IS excluded.facts, facts_since, excluded.facts_since),
                 facts = excluded.facts, facts_held = excluded.facts_held,
                 departed = excluded.departed, engine = excluded.engine, tls = excluded.tls,
                 accepted_engine = excluded.accepted_engine",
        )?
        .execute(rusqlite::params![
            device.as_str(),
            in_force.as_ref().map(|f| f.0),
            in_force.as_ref().map(|f| f.1),
            in_force.as_ref().map(|f| f.2),
            in_force.as_ref().map(|f| f.3),
            in_force.as_ref().map(|f| f.4.to_string()),
            code,
            description,
            since.seconds,
            engine_id,
            last_contact.map(|moment| moment.seconds),
            facts.as_ref().map(|facts| facts.reported.to_string()),
            facts.as_ref().map(|facts| facts.since.seconds),
            facts.as_deref().map(held_text),
            departed.map(|moment| moment.seconds),
            engine.map(|(address, _)| address),
            engine.and_then(|(_, tls)| tls.as_ref()),
            accepted_engine,
        ])?;
    let id = device.as_str();
    transaction.prepare_cached("DELETE FROM modules WHERE device = ?1")?.execute([id])?;
    modules.iter().try_for_each(|(name, standing)| record_module(transaction, id, name, standing))
}

fn record_module(
    transaction: &Connection,
    device: &str,
    module: &ModuleName,
    standing: &ModuleStanding,
) -> rusqlite::Result<()> {
    let ModuleStanding {
        status,
        exit_code,
        restart_count,
        container,
        code,
        description,
        started_at,
        image_id,
        report,
    } = standing;
    let report = report.as_ref();
    transaction
        .prepare_cached(
            "INSERT INTO modules (device, module, status, exit_code, restart_count, container, code,
                 description, started_at, image_id, report, report_looked_at, report_stamp,
                 report_problem)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(rusqlite::params![
            device,
            module.as_str(),
            status,
            exit_code,
            restart_count,
            container,
            code,
            description,
            started_at,
            image_id,
            report.and_then(|r| Some(r.content.as_ref()?.to_string())),
            report.map(|r| r.looked_at),
            report.map(|r| r.stamp.as_str()),
            report.and_then(|r| r.problem.as_deref()),
        ])
        .map(drop)
}

fn held_text(facts: &ReportedFacts) -> String {
    let rows: Vec<Json> = facts
        .held
        .iter()
        .map(|(path, HeldFact { value, since, settled })| {
            serde_json::json!([path, value, since.seconds, settled])
        })
        .collect();
    Json::Array(rows).to_string()
}

/// Gives what is kept by former ids to the new ones.
pub(super) fn rename(t: &Connection, renamed: &[(DeviceId, DeviceId)]) -> rusqlite::Result<()> {
    for (former, id) in renamed {
        let known: bool = t.query_row(
            "SELECT EXISTS (SELECT 1 FROM devices WHERE device = ?1)",
            [id.as_str()],
            |row| row.get(0),
        )?;
        for table in TABLES {
            if known {
                t.execute(&format!("DELETE FROM {table} WHERE device = ?1"), [former.as_str()])?;
            } else {
                t.execute(
                    &format!("UPDATE {table} SET device = ?2 WHERE device = ?1"),
                    [former.as_str(), id.as_str()],
                )?;
            }
        }
        super::orders::rename(t, former, id)?;
        super::brings::rename(t, former, id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hash;

    fn device(id: &str, at: i64) -> StoredDevice {
        let deployment = |id: &str| DeploymentId::parse(id).unwrap();
        StoredDevice {
            device: DeviceId::parse(id).unwrap(),
            in_force: Some(InForce {
                revision: "3f2a9c1".to_owned(),
                manifest_hash: Hash::of_texts("m", []),
                manifest: "base = \"base\"\n".to_owned(),
                base: deployment("base"),
                layers: vec![deployment("cameras"), deployment("proxy")],
            }),
            status: StatusSince {
                code: 200,
                description: "as desired".to_owned(),
                since: Timestamp { seconds: at },
            },
            engine_id: Some("ABCD:EFGH".to_owned()),
            accepted_engine: Some("ABCD:EFGH".to_owned()),
            engine: Some(EngineAt {
                address: "ssh://hoist@one.example".to_owned(),
                tls: Some("site".to_owned()),
            }),
            last_contact: Some(Timestamp { seconds: at }),
            modules: [(
                ModuleName::parse("camera").unwrap(),
                ModuleStanding {
                    status: "failed".to_owned(),
                    exit_code: Some(-1),
                    restart_count: 3,
                    container: Some("c".repeat(64)),
                    code: 500,
                    description: "it ended with -1".to_owned(),
                    started_at: Some("2026-01-05T09:00:00Z".to_owned()),
                    image_id: Some("sha256:1".to_owned()),
                    report: Some(ModuleReport {
                        content: Some(serde_json::json!({"model": "4000x"})),
                        looked_at: at,
                        stamp: "17 today".to_owned(),
                        problem: Some("it is a symbolic link".to_owned()),
                    }),
                },
            )]
            .into(),
            facts: Some(Arc::new(ReportedFacts {
                reported: serde_json::json!({"os": "linux", "cpus": 4}),
                since: Timestamp { seconds: at },
                held: [(
                    vec!["labels".to_owned(), "com.example/a".to_owned()],
                    HeldFact {
                        value: None,
                        since: Timestamp { seconds: at },
                        settled: Some(serde_json::json!([1, "x"])),
                    },
                )]
                .into(),
            })),
            departed: None,
        }
    }

    #[test]
    fn a_renamed_device_keeps_what_is_known_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (old, new) = (device("old", 1), device("new", 1));
        let memory = crate::plan::DeviceMemory {
            networks: Some(vec!["hoist-f".to_owned()]),
            ..Default::default()
        };
        store.record_device(&old).unwrap();
        store.remember(&old.device, &memory).unwrap();
        store.rename_devices(&[(old.device.clone(), new.device.clone())], &[]).unwrap();
        assert_eq!(
            store.load_devices().unwrap(),
            [(new.device.clone(), Arc::new(new.clone()))].into()
        );
        assert_eq!(store.memory(&new.device).unwrap(), memory);
        // Once more the new one is known: what is known of it stays.
        store.record_device(&device("old", 9)).unwrap();
        store.rename_devices(&[(old.device.clone(), new.device.clone())], &[]).unwrap();
        assert_eq!(store.load_devices().unwrap(), [(new.device.clone(), Arc::new(new))].into());
    }

    #[test]
    fn devices_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let never_reached = StoredDevice {
            in_force: None,
            engine_id: None,
            accepted_engine: None,
            engine: None,
            last_contact: None,
            modules: BTreeMap::new(),
            facts: None,
            departed: Some(Timestamp { seconds: 7 }),
            ..device("away", 1)
        };
        store.record_devices(&[device("lift-01", 1), never_reached.clone()]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let devices = store.load_devices().unwrap();
        assert_eq!(devices.len(), 2);
        assert_eq!(*devices["lift-01"], device("lift-01", 1));
        assert_eq!(*devices["away"], never_reached);
        store.forget_device(&never_reached.device).unwrap();
        assert_eq!(store.load_devices().unwrap().len(), 1);
    }

    #[test]
    fn moments_change_only_with_what_they_are_about() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let since = || {
            let stored = store.load_devices().unwrap().remove("a").unwrap();
            (stored.status.since.seconds, stored.facts.as_ref().map(|facts| facts.since.seconds))
        };
        store.record_device(&device("a", 10)).unwrap();
        store.record_device(&device("a", 20)).unwrap();
        assert_eq!(since(), (10, Some(10)));
        let mut changed = device("a", 30);
        Arc::make_mut(changed.facts.as_mut().unwrap()).reported =
            serde_json::json!({"os": "other"});
        store.record_device(&changed).unwrap();
        assert_eq!(since(), (10, Some(30)));
        changed.status =
            StatusSince { code: 500, description: String::new(), since: Timestamp { seconds: 40 } };
        changed.facts = None;
        store.record_device(&changed).unwrap();
        assert_eq!(since(), (40, None));
        changed.facts = device("a", 50).facts;
        store.record_device(&changed).unwrap();
        assert_eq!(since(), (40, Some(50)));
    }

    #[test]
    fn one_bad_device_leaves_all_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut bad = device("b", 1);
        for standing in bad.modules.values_mut() {
            standing.restart_count = u64::MAX;
        }
        assert!(store.record_devices(&[device("a", 1), bad]).is_err());
        assert!(store.load_devices().unwrap().is_empty());
    }
}

//! What was last written to the containers of each device.

use super::error::StoreError;
use super::open::Store;
use crate::model::{DeviceId, Hash};
use crate::plan::{DeviceMemory, RememberedContainer};
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::BTreeMap;

impl Store {
    /// Remembers the containers and networks of a device, in place of what was remembered of it.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn remember(&self, device: &DeviceId, memory: &DeviceMemory) -> Result<(), StoreError> {
        let DeviceMemory { containers, networks } = memory;
        let networks = networks.as_ref().map(|names| serde_json::json!(names).to_string());
        self.write(|t| {
            let id = device.as_str();
            t.prepare_cached(
                "INSERT INTO memories (device, networks) VALUES (?1, ?2)
                 ON CONFLICT (device) DO UPDATE SET networks = excluded.networks",
            )?
            .execute((id, networks))?;
            t.prepare_cached("DELETE FROM containers WHERE device = ?1")?.execute([id])?;
            let mut insert =
                t.prepare_cached("INSERT INTO containers VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (container, remembered) in containers {
                let RememberedContainer { settings, twin, twin_version, replaced_at } = remembered;
                insert.execute((
                    id,
                    container,
                    settings.as_str(),
                    twin.as_str(),
                    twin_version,
                    replaced_at,
                ))?;
            }
            Ok(())
        })
    }

    /// What is remembered of a device; nothing of one that is new here.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn memory(&self, device: &DeviceId) -> Result<DeviceMemory, StoreError> {
        let id = device.as_str();
        let (networks, rows) = self.read(|c| {
            let networks: Option<Option<String>> = c
                .query_row("SELECT networks FROM memories WHERE device = ?1", [id], |r| r.get(0))
                .optional()?;
            Ok((networks.flatten(), rows(c, "WHERE device = ?1", [id])?))
        })?;
        let mut memory = DeviceMemory { networks: self.networks(networks)?, ..Default::default() };
        for row in rows {
            let (container, remembered) = self.container(row)?.1;
            memory.containers.insert(container, remembered);
        }
        Ok(memory)
    }

    /// What is remembered of every device.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn memories(&self) -> Result<BTreeMap<DeviceId, DeviceMemory>, StoreError> {
        let (devices, rows) = self.read(|c| {
            let devices = c
                .prepare("SELECT device, networks FROM memories")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(String, Option<String>)>>>()?;
            Ok((devices, rows(c, "", [])?))
        })?;
        let mut memories = BTreeMap::new();
        for (device, networks) in devices {
            let networks = self.networks(networks)?;
            let memory = DeviceMemory { networks, ..Default::default() };
            memories.insert(self.device_id(&device)?, memory);
        }
        for row in rows {
            let (device, (container, remembered)) = self.container(row)?;
            memories
                .entry(device)
                .or_insert_with(DeviceMemory::default)
                .containers
                .insert(container, remembered);
        }
        Ok(memories)
    }

    pub(super) fn device_id(&self, text: &str) -> Result<DeviceId, StoreError> {
        DeviceId::parse(text).map_err(|error| self.damaged(error.to_string()))
    }

    pub(super) fn hash(&self, text: &str) -> Result<Hash, StoreError> {
        Hash::from_stored(text).ok_or_else(|| self.damaged(format!("`{text}` is no hash")))
    }

    fn networks(&self, text: Option<String>) -> Result<Option<Vec<String>>, StoreError> {
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| self.damaged(format!("a list of networks is no JSON: {error}")))
    }

    fn container(&self, row: Row) -> Result<(DeviceId, (String, RememberedContainer)), StoreError> {
        let remembered = RememberedContainer {
            settings: self.hash(&row.settings)?,
            twin: self.hash(&row.twin)?,
            twin_version: row.twin_version,
            replaced_at: row.replaced_at,
        };
        Ok((self.device_id(&row.device)?, (row.container, remembered)))
    }
}

/// One row of `containers`.
struct Row {
    device: String,
    container: String,
    settings: String,
    twin: String,
    twin_version: u64,
    replaced_at: Option<i64>,
}

fn rows(
    connection: &Connection,
    filter: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Row>> {
    connection
        .prepare_cached(&format!(
            "SELECT device, container, settings, twin, twin_version, replaced_at
             FROM containers {filter}"
        ))?
        .query_map(parameters, |row| {
            Ok(Row {
                device: row.get(0)?,
                container: row.get(1)?,
                settings: row.get(2)?,
                twin: row.get(3)?,
                twin_version: row.get(4)?,
                replaced_at: row.get(5)?,
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_come_back_as_they_were_and_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let device = |id: &str| DeviceId::parse(id).unwrap();
        let remembered = |n: u64| RememberedContainer {
            settings: Hash::of_texts("s", []),
            twin: Hash::of_texts("t", []),
            twin_version: n,
            replaced_at: (n > 1).then_some(1_767_600_000),
        };
        let full = DeviceMemory {
            containers: [("aaa".to_owned(), remembered(1)), ("bbb".to_owned(), remembered(2))]
                .into(),
            networks: Some(vec!["hoist-a".to_owned()]),
        };
        store.remember(&device("one"), &full).unwrap();
        store.remember(&device("operator'sDevice"), &DeviceMemory::default()).unwrap();
        assert_eq!(store.memory(&device("one")).unwrap(), full);
        assert_eq!(store.memory(&device("new")).unwrap(), DeviceMemory::default());
        let all = store.memories().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[&device("one")], full);

        let less = DeviceMemory {
            containers: [("bbb".to_owned(), remembered(3))].into(),
            networks: Some(Vec::new()),
        };
        store.remember(&device("one"), &less).unwrap();
        assert_eq!(Store::open(folder.path()).unwrap().memory(&device("one")).unwrap(), less);

        store.write(|t| t.execute("UPDATE containers SET twin = 'x'", [])).unwrap();
        let words = store.memories().unwrap_err().to_string();
        assert!(words.contains("`x` is no hash"), "{words}");
    }
}

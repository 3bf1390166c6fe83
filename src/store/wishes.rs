//! What people want to be done once: a look at a device, a restart of a module, an engine that is to be taken for a device's.
//! Whoever holds the lock takes each wish once; what has to wait for a look, like an engine, is kept until that look is over.

use super::error::StoreError;
use super::history::HistoryEntry;
use super::open::Store;
use super::stored::StoredDevice;
use crate::model::{DeviceId, ModuleName};
use crate::plan::DeviceMemory;

/// A module that somebody wants to be restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartWish {
    /// Where.
    pub device: DeviceId,
    /// Which.
    pub module: ModuleName,
    /// Who said so.
    pub who: String,
    /// Why.
    pub reason: String,
}

/// An engine that somebody saw behind a device's address, and says is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineWish {
    /// Whose address.
    pub device: DeviceId,
    /// The id that the engine gives itself.
    pub engine: String,
    /// Who said so.
    pub who: String,
}

impl Store {
    /// Asks for a look at a device now.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn poke(&self, device: &DeviceId) -> Result<(), StoreError> {
        self.write(|t| {
            t.execute("INSERT OR IGNORE INTO pokes VALUES (?1)", [device.as_str()]).map(|_| ())
        })?;
        self.wake();
        Ok(())
    }

    /// The devices for which somebody asked for a look; each is told once.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn take_pokes(&self) -> Result<Vec<DeviceId>, StoreError> {
        let ids = self.read(|c| {
            let mut statement = c.prepare_cached("SELECT device FROM pokes")?;
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        if !ids.is_empty() {
            self.write(|t| t.execute("DELETE FROM pokes", []).map(|_| ()))?;
        }
        ids.iter().map(|id| self.device_id(id)).collect()
    }

    /// Asks for a restart of a module by whoever holds the lock.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn wish_restart(&self, wish: &RestartWish) -> Result<(), StoreError> {
        let RestartWish { device, module, who, reason } = wish;
        self.write(|t| {
            t.execute(
                "INSERT OR REPLACE INTO restarts VALUES (?1, ?2, ?3, ?4)",
                (device.as_str(), module.as_str(), who, reason),
            )
            .map(|_| ())
        })?;
        self.wake();
        Ok(())
    }

    /// The restarts for which somebody asked; each is told once.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn take_restarts(&self) -> Result<Vec<RestartWish>, StoreError> {
        type Row = (String, String, String, String);
        let rows: Vec<Row> = self.read(|c| {
            let mut statement =
                c.prepare_cached("SELECT device, module, who, reason FROM restarts")?;
            let rows =
                statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
            rows.collect()
        })?;
        if !rows.is_empty() {
            self.write(|t| t.execute("DELETE FROM restarts", []).map(|_| ()))?;
        }
        rows.into_iter()
            .map(|(device, module, who, reason)| {
                let module =
                    ModuleName::parse(&module).map_err(|error| self.damaged(error.to_string()))?;
                Ok(RestartWish { device: self.device_id(&device)?, module, who, reason })
            })
            .collect()
    }

    /// Asks whoever holds the lock to take an engine for a device's.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn wish_engine(&self, wish: &EngineWish) -> Result<(), StoreError> {
        let EngineWish { device, engine, who } = wish;
        self.write(|t| {
            t.execute(
                "INSERT OR REPLACE INTO engine_wishes VALUES (?1, ?2, ?3)",
                (device.as_str(), engine, who),
            )
            .map(|_| ())
        })?;
        self.wake();
        Ok(())
    }

    /// The engines that are to be taken for devices'; each is told until [`Store::fulfil_engine_wish`].
    ///
    /// # Errors
    /// The store can't be read.
    pub fn engine_wishes(&self) -> Result<Vec<EngineWish>, StoreError> {
        let rows: Vec<(String, String, String)> = self.read(|c| {
            let mut statement =
                c.prepare_cached("SELECT device, engine, who FROM engine_wishes")?;
            statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
        })?;
        rows.into_iter()
            .map(|(device, engine, who)| {
                Ok(EngineWish { device: self.device_id(&device)?, engine, who })
            })
            .collect()
    }

    /// Writes down what became of a wish, in the transaction that takes it away: how the device stands, and what is remembered
    /// of it where that is another than before. `None` for a device that nobody knows.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn fulfil_engine_wish(
        &self,
        entry: &HistoryEntry,
        stored: Option<&StoredDevice>,
        memory: Option<&DeviceMemory>,
    ) -> Result<(), StoreError> {
        self.write(|t| {
            let device = entry.device.as_ref();
            if let Some(stored) = stored {
                super::device::record(t, stored)?;
            }
            if let (Some(device), Some(memory)) = (device, memory) {
                super::memory::remember(t, device, memory)?;
            }
            if let Some(device) = device {
                t.execute("DELETE FROM engine_wishes WHERE device = ?1", [device.as_str()])?;
            }
            super::history::append(t, std::slice::from_ref(entry))
        })
    }
}

/// The table of engines that are to be taken for devices': a migration of its own.
pub(super) const ENGINE_WISHES: &str = "
CREATE TABLE engine_wishes (
    device TEXT PRIMARY KEY, engine TEXT NOT NULL, who TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

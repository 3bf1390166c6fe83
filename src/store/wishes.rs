//! What people want to be done once: a look at a device, a restart of a module. Whoever holds the lock takes each
//! wish once.

use super::error::StoreError;
use super::open::Store;
use crate::model::{DeviceId, ModuleName};

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
}

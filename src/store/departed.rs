//! Devices from which all that was ours was taken away, until what is applied last has them no more either.

use super::device::forget;
use super::error::StoreError;
use super::open::Store;
use super::orders::fleet_key;
use crate::model::DeviceId;
use serde_json::Value as Json;
use std::collections::BTreeSet;

impl Store {
    /// Forgets a device from which all that was ours is taken away, and notes that: what was applied last still has it.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn decommission_device(&self, device: &DeviceId) -> Result<(), StoreError> {
        let applied = self.fleet_state(fleet_key::APPLIED)?;
        let mut gone = self.decommissioned()?;
        gone.insert(device.to_string());
        let text = serde_json::json!({ "applied": applied, "devices": gone }).to_string();
        self.write(|t| {
            forget(t, device)?;
            t.execute(
                "INSERT INTO fleet_state (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [fleet_key::DECOMMISSIONED, &text],
            )
            .map(drop)
        })
    }

    /// Devices that were decommissioned since something was applied to all devices.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn decommissioned(&self) -> Result<BTreeSet<String>, StoreError> {
        let Some(text) = self.fleet_state(fleet_key::DECOMMISSIONED)? else {
            return Ok(BTreeSet::new());
        };
        let damaged = |_| self.damaged("the list of decommissioned devices is no JSON".to_owned());
        let noted: Json = serde_json::from_str(&text).map_err(damaged)?;
        if noted["applied"].as_str() != self.fleet_state(fleet_key::APPLIED)?.as_deref() {
            return Ok(BTreeSet::new());
        }
        let devices = noted["devices"].as_array().into_iter().flatten();
        let mut gone: BTreeSet<String> =
            devices.filter_map(Json::as_str).map(str::to_owned).collect();
        // One that is recorded is there again.
        let there: Vec<String> = self.read(|c| {
            let mut statement = c.prepare_cached("SELECT device FROM devices")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })?;
        gone.retain(|device| !there.contains(device));
        Ok(gone)
    }
}

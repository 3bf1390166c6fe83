//! An engine that somebody says is a device's, whatever was there before.
//!
//! Enters: who said so of which engine, what is recorded of the device. Leaves: the same with that engine. What was remembered
//! of another engine's containers is forgotten. Not here: which engine answers, and what is done there then.

use crate::model::Timestamp;
use crate::plan::DeviceMemory;
use crate::store::{EngineWish, HistoryEntry, StatusSince, Store, StoreError, StoredDevice};

/// A device with the engine that was accepted for it.
pub struct AcceptedEngine {
    /// How it stands.
    pub stored: StoredDevice,
    /// Whether another engine was known before, so that what is remembered is of somewhere else.
    pub is_another: bool,
}

/// Takes an engine for a device's, and writes that down; the wish is gone then.
///
/// # Errors
/// The store can't be written.
pub fn accept_engine(
    store: &Store,
    known: Option<&StoredDevice>,
    wish: &EngineWish,
    at: Timestamp,
) -> Result<AcceptedEngine, StoreError> {
    let EngineWish { device, engine, who } = wish;
    let mut stored = known.cloned().unwrap_or_else(|| {
        let description = "nothing was applied yet".to_owned();
        let status = StatusSince { code: 202, description, since: at };
        StoredDevice { status, ..StoredDevice::unknown(device.clone(), at) }
    });
    let is_another = stored.engine_id.as_ref().is_some_and(|before| before != engine);
    if stored.status.code == 409 {
        let description = format!("engine {engine} was accepted; the next look goes on");
        stored.status = StatusSince { code: 202, description, since: at };
    }
    stored.engine_id = Some(engine.clone());
    stored.accepted_engine = Some(engine.clone());
    let entry = HistoryEntry {
        at,
        who: who.clone(),
        device: Some(device.clone()),
        from: None,
        to: None,
        action: "accept-engine".to_owned(),
        module: None,
        reason: format!("engine {engine}"),
        outcome: "done".to_owned(),
    };
    let nothing = DeviceMemory::default();
    store.fulfil_engine_wish(&entry, Some(&stored), is_another.then_some(&nothing))?;
    Ok(AcceptedEngine { stored, is_another })
}

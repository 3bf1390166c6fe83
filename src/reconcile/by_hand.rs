//! A module that somebody restarts by hand.
//!
//! Enters: a device, a module as the device has it, who wants it and why. Leaves: what became of it, also in the
//! history. The same container is stopped and started, and must come up.

use super::gate::Gate;
use crate::engine::{EngineError, EngineErrorKind, SecretValues};
use crate::fleet::{Fleet, decode_manifest};
use crate::model::{Device, Module, ModuleName, Status, Timestamp};
use crate::plan::{DeviceMemory, Role, restart_steps};
use crate::store::{HistoryEntry, Store, StoreError, StoredDevice};

/// What a restart needs.
pub struct Restart<'a> {
    /// The fleet of the device.
    pub fleet: &'a Fleet,
    /// Where.
    pub device: &'a Device,
    /// Which module.
    pub module: &'a ModuleName,
    /// What is recorded of the device.
    pub stored: Option<&'a StoredDevice>,
    /// What is remembered of it.
    pub memory: &'a DeviceMemory,
    /// Who wants it.
    pub who: &'a str,
    /// Why.
    pub reason: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a restart.
#[derive(Debug)]
pub enum Restarted {
    /// It runs again.
    Done,
    /// Its container was not reached; nothing was done.
    NotReached(EngineError),
    /// It did not come up.
    Failed(EngineError),
}

/// Restarts a module, and writes that into the history.
///
/// # Errors
/// The store can't be written.
pub async fn restart_module(
    gate: &Gate,
    store: &Store,
    restart: &Restart<'_>,
) -> Result<Restarted, StoreError> {
    let result = run(gate, restart).await;
    let revision = restart.stored.and_then(|d| Some(d.in_force.as_ref()?.revision.clone()));
    store.append_history(&[HistoryEntry {
        at: restart.now,
        who: restart.who.to_owned(),
        device: Some(restart.device.id.clone()),
        from: revision.clone(),
        to: revision,
        action: "restart".to_owned(),
        module: Some(restart.module.clone()),
        reason: restart.reason.to_owned(),
        outcome: match &result {
            Restarted::Done => "done".to_owned(),
            Restarted::NotReached(error) | Restarted::Failed(error) => format!("failed: {error}"),
        },
    }])?;
    Ok(result)
}

async fn run(gate: &Gate, restart: &Restart<'_>) -> Restarted {
    let Restart { fleet, device, module, stored, memory, .. } = restart;
    let has = match in_force(device, module, *stored) {
        Ok(has) => has,
        Err(words) => {
            return Restarted::NotReached(EngineError::new(EngineErrorKind::NotFound, words));
        }
    };
    let reached = match gate.reach(fleet, device, module, &[Role::Current], memory).await {
        Ok(reached) => reached,
        Err(error) => return Restarted::NotReached(error),
    };
    for step in restart_steps(&has, &reached.container) {
        tracing::info!(%step, "by hand");
        if let Err(error) = reached.engine.execute(&step, &SecretValues::default()).await {
            return Restarted::Failed(error);
        }
    }
    Restarted::Done
}

/// The module as the device has it: how long it may take to stop, and whether it should run at all.
///
/// # Errors
/// It has no such module, or it should not run; in words.
pub fn in_force(
    device: &Device,
    module: &ModuleName,
    stored: Option<&StoredDevice>,
) -> Result<Module, String> {
    let in_force = stored
        .and_then(|stored| stored.in_force.as_ref())
        .ok_or_else(|| format!("nothing was applied to {} from here yet", device.id))?;
    let manifest = decode_manifest(&device.id, &in_force.manifest)
        .map_err(|_| format!("what {} has can't be read from the store", device.id))?;
    let found = manifest.modules.get(module.as_str()).ok_or_else(|| {
        let names: Vec<&str> = manifest.modules.keys().map(AsRef::as_ref).collect();
        format!("{} has no module `{module}`; it has {}", device.id, names.join(", "))
    })?;
    if found.status == Status::Stopped {
        return Err(format!("{module} is stopped on {}, as the fleet says", device.id));
    }
    Ok(found.clone())
}

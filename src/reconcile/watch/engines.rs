//! Engines that people say are devices', while the daemon works.

use super::daemon::Daemon;
use crate::plan::DeviceMemory;
use crate::reconcile::accept_engine::{AcceptedEngine, accept_engine};
use crate::store::{EngineWish, HistoryEntry, StoreError};
use std::sync::Arc;

impl Daemon {
    /// Takes them in. A device that is being looked at waits for the end of that: its record would be written over.
    ///
    /// # Errors
    /// The store can't be read or written; what is left is taken in the next time.
    pub(super) fn accept_engines(&mut self) -> Result<(), StoreError> {
        let wishes = self.shared.store.engine_wishes()?;
        self.engines_wait = !wishes.is_empty();
        for wish in wishes {
            if self.under_way.contains(&wish.device) {
                continue;
            }
            self.accept_engine(&wish)?;
        }
        Ok(())
    }

    fn accept_engine(&mut self, wish: &EngineWish) -> Result<(), StoreError> {
        let EngineWish { device, engine, who } = wish;
        let known = self.devices.get(device).map(AsRef::as_ref);
        let is_in_fleet =
            self.accepted.as_ref().is_some_and(|a| a.fleet.devices.contains_key(device));
        if known.is_none() && !is_in_fleet {
            let entry = HistoryEntry {
                who: who.clone(),
                outcome: "not done: what counts here has no such device".to_owned(),
                ..self.entry(Some(device), "accept-engine", None, &format!("engine {engine}"))
            };
            return self.shared.store.fulfil_engine_wish(&entry, None, None);
        }
        let AcceptedEngine { stored, is_another } =
            accept_engine(&self.shared.store, known, wish, self.clock.now())?;
        tracing::info!(device = %device, engine, who, "its engine was accepted");
        Arc::make_mut(&mut self.devices).insert(device.clone(), Arc::new(stored));
        // What the one before reported says nothing of this one.
        self.progress.reported.remove(device);
        self.shared.gate.forget_facts(device);
        if is_another {
            self.memories.insert(device.clone(), DeviceMemory::default());
        }
        self.is_news = true;
        self.schedule.wake(device, self.clock.moment());
        Ok(())
    }
}

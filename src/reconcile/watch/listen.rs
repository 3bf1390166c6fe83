//! What engines tell by themselves: one listener a device.
//!
//! Enters: an open engine. Leaves: the device, whenever something happened there. An event carries nothing that a
//! pass decides by; it wakes one, and makes it look again at what somebody changed.

use crate::engine::{Engine, EngineEvent};
use crate::model::DeviceId;
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

/// Something that a listener tells.
pub(super) enum Told {
    /// It stands: what happened before it did is looked at.
    Listening,
    /// An event.
    Event(Box<EngineEvent>),
    /// It ended; the next look that reaches the engine begins a new one.
    Ended,
}

/// The listeners, by device.
#[derive(Default)]
pub(super) struct Listeners(BTreeMap<DeviceId, AbortHandle>);

impl Listeners {
    /// Listens to a device, unless somebody does already.
    pub(super) fn listen(
        &mut self,
        device: &DeviceId,
        engine: Arc<dyn Engine>,
        fleets: Vec<String>,
        tell: UnboundedSender<(DeviceId, Told)>,
    ) {
        if self.0.contains_key(device) {
            return;
        }
        let id = device.clone();
        let task = tokio::spawn(async move {
            if let Ok(mut events) = engine.events(&fleets).await {
                let _ = tell.send((id.clone(), Told::Listening));
                while let Some(Ok(event)) = events.next().await {
                    if tell.send((id.clone(), Told::Event(Box::new(event)))).is_err() {
                        return;
                    }
                }
            }
            let _ = tell.send((id, Told::Ended));
        });
        self.0.insert(device.clone(), task.abort_handle());
    }

    /// A listener that ended, or whose device is not looked at any more.
    pub(super) fn forget(&mut self, device: &DeviceId) {
        if let Some(task) = self.0.remove(device) {
            task.abort();
        }
    }

    /// Those of devices for which `keep` does not hold end.
    pub(super) fn keep(&mut self, keep: impl Fn(&DeviceId) -> bool) {
        self.0.retain(|device, task| {
            let stays = keep(device);
            if !stays {
                task.abort();
            }
            stays
        });
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.0.values().for_each(AbortHandle::abort);
    }
}

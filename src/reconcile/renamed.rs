//! Devices that have a new id: what the store knows of them goes with them.
//!
//! A device's file names its former ids; what is recorded under one of these is the device's own, and the
//! former id did not depart.

use crate::fleet::Fleet;
use crate::model::DeviceId;
use crate::plan::DeviceMemory;
use crate::store::{StoredDevice, StoredDevices};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One device that the store knows by a former id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The id in the store.
    pub former: DeviceId,
    /// The id in the fleet.
    pub device: DeviceId,
}

/// The devices that the store knows by former ids.
pub fn renamed(fleet: &Fleet, stored: &StoredDevices) -> Vec<Renamed> {
    let devices = fleet.devices.values();
    devices
        .flat_map(|device| device.formerly.iter().map(move |former| (former, &device.id)))
        .filter(|(former, _)| stored.contains_key(*former) && !fleet.devices.contains_key(*former))
        .map(|(former, device)| Renamed { former: former.clone(), device: device.clone() })
        .collect()
}

/// What the store knows, by the ids that devices have now. Where the new id is known already, what the
/// former one had is out of date.
pub fn follow_names(
    renamed: &[Renamed],
    stored: &mut StoredDevices,
    memories: &mut BTreeMap<DeviceId, DeviceMemory>,
) {
    for Renamed { former, device } in renamed {
        let (was, memory) = (stored.remove(former), memories.remove(former));
        if stored.contains_key(device) {
            continue;
        }
        if let Some(was) = was {
            stored.insert(
                device.clone(),
                Arc::new(StoredDevice { device: device.clone(), ..Arc::unwrap_or_clone(was) }),
            );
        }
        if let Some(memory) = memory {
            memories.insert(device.clone(), memory);
        }
    }
}

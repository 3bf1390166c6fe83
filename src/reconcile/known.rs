//! What the store knows of a fleet, as queries ask for it.

use super::facts::live_facts;
use crate::model::Timestamp;
use crate::resolve::{Known, KnownDevice, KnownManifest, KnownModule};
use crate::store::{ModuleStanding, StoredDevice, StoredDevices};

/// How often everything is looked at again unless somebody says otherwise, in seconds.
const RESYNC: i64 = 300;

/// How long ago a device may have answered and is still called connected: three times that.
const SEEN_LATELY: i64 = 3 * RESYNC;

/// What the store knows. Other than target conditions, queries see a fact as soon as it was reported.
pub fn known(stored: &StoredDevices, now: Timestamp) -> Known<'_> {
    let devices = stored.iter().map(|(id, device)| (id, known_device(device, now))).collect();
    Known { facts: live_facts(stored), devices: Some(devices) }
}

fn known_device(stored: &StoredDevice, now: Timestamp) -> KnownDevice<'_> {
    let StoredDevice {
        device: _,
        in_force,
        status,
        engine_id: _,
        accepted_engine: _,
        engine: _,
        last_contact,
        modules,
        facts: _,
        departed: _,
    } = stored;
    let age = |moment: Timestamp| now.seconds.saturating_sub(moment.seconds);
    KnownDevice {
        code: status.code,
        description: &status.description,
        last_contact: *last_contact,
        is_connected: last_contact.is_some_and(|moment| age(moment) <= SEEN_LATELY),
        in_force: in_force
            .as_ref()
            .map(|f| KnownManifest { hash: &f.manifest_hash, text: &f.manifest }),
        modules: modules
            .iter()
            .map(|(name, standing)| {
                let ModuleStanding {
                    status,
                    exit_code,
                    restart_count,
                    container: _,
                    code: _,
                    description: _,
                    started_at: _,
                    image_id: _,
                    report: _,
                } = standing;
                let module = KnownModule {
                    runtime_status: status,
                    exit_code: *exit_code,
                    restart_count: *restart_count,
                };
                (name, module)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceId;
    use crate::store::StatusSince;
    use std::collections::BTreeMap;

    #[test]
    fn connected_is_who_answered_within_three_rounds() {
        let device = DeviceId::parse("lift").unwrap();
        let at = |seconds| Timestamp { seconds };
        let stored = |last_contact| StoredDevice {
            device: device.clone(),
            in_force: None,
            status: StatusSince { code: 406, description: String::new(), since: at(0) },
            engine_id: None,
            accepted_engine: None,
            engine: None,
            last_contact,
            modules: BTreeMap::new(),
            facts: None,
            departed: None,
        };
        for (last_contact, connected) in
            [(None, false), (Some(at(100)), true), (Some(at(99)), false), (Some(at(2000)), true)]
        {
            let known = known_device(&stored(last_contact), at(1000)).is_connected;
            assert_eq!(known, connected, "{last_contact:?}");
        }
    }
}

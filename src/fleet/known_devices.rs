//! All devices of a revision, kept so that the next one costs the devices that differ.
//!
//! Enters: the decoded files, and how they differ from those before. Leaves: one list of all devices, the same one where
//! none differs. It goes on from a revision in which no two devices are at odds to one in which none are either; else
//! everything is put together again, which says what is wrong.

use super::known_files::{Changes, KnownFiles};
use super::load::Decoded;
use super::unique::{Declared, NoneAtOdds, unique_devices};
use crate::diagnostic::Diagnostics;
use crate::model::{DeviceId, Devices};
use std::collections::BTreeSet;
use std::sync::Arc;

/// All devices that were loaded, no two of them at odds.
#[derive(Debug)]
pub(super) struct KnownDevices {
    all: Arc<Devices>,
    none_at_odds: NoneAtOdds,
}

impl KnownDevices {
    /// The devices of all files, of which some changed since devices were known.
    pub(super) fn go_on(
        known: &mut Option<Self>,
        files: &KnownFiles,
        changes: &Changes,
        found: &mut Diagnostics,
    ) -> Arc<Devices> {
        let gone: Vec<_> = changes.gone.iter().flat_map(|file| file.devices()).collect();
        if let Some(known) = known {
            let new = files.new_of(changes).flat_map(Decoded::devices);
            if known.go_over_to(&gone, &new.collect::<Vec<_>>()) {
                return Arc::clone(&known.all);
            }
        }
        let declared: Vec<&Declared> = files.all().flat_map(Decoded::devices).collect();
        let (unique, none_at_odds) = unique_devices(&declared, found);
        let all = Arc::new(unique);
        *known = none_at_odds.map(|none_at_odds| Self { all: Arc::clone(&all), none_at_odds });
        all
    }

    /// Goes over to devices of which some are gone and some are new, if they are few and no two are at odds.
    fn go_over_to(&mut self, gone: &[&Declared], new: &[&Declared]) -> bool {
        if gone.is_empty() && new.is_empty() {
            return true;
        }
        let are_few = gone.len() <= Devices::FEW && new.len() <= Devices::FEW;
        if !are_few || !self.none_at_odds.go_over_to(gone, new) {
            return false;
        }
        let all = Arc::make_mut(&mut self.all);
        let stay: BTreeSet<&DeviceId> = new.iter().map(|declared| &declared.device.id).collect();
        for declared in gone.iter().filter(|declared| !stay.contains(&declared.device.id)) {
            all.remove(&declared.device.id);
        }
        new.iter().for_each(|declared| all.insert(Arc::clone(&declared.device)));
        true
    }
}

//! What the history says beside the fact that a revision counts from now on.

use super::daemon::Daemon;
use super::loaded::Loaded;
use crate::model::DeviceId;
use crate::rollout::{Rollout, Stage};
use crate::store::{HistoryEntry, StoredDevice, StoredDevices};
use std::sync::Arc;

impl Daemon {
    /// A commit that changes no device takes the phases away: what is under way goes on by those by which it began.
    pub(super) fn remark_on_phases(
        &self,
        loaded: &Loaded,
        rollout: &Rollout,
    ) -> Option<HistoryEntry> {
        let had = self.accepted.as_ref().is_some_and(|former| former.fleet.rollout.is_some());
        if !had || loaded.fleet.rollout.is_some() || rollout.stage == Stage::Done {
            return None;
        }
        let words = "`[rollout]` is not in fleet.toml any more: what is under way keeps its phases, the next commit \
                     that changes devices has none";
        tracing::warn!("{words}");
        Some(self.entry(None, "keep rollout", Some(&loaded.revision.id), words))
    }

    /// The store knew of no revision: what devices are at is what their containers' labels say.
    pub(super) fn remark_on_labels(&self, found: &StoredDevices) -> Option<HistoryEntry> {
        let is_found = |(device, stored): &(&DeviceId, &Arc<StoredDevice>)| {
            let known = self.devices.get(*device).is_some_and(|known| known.in_force.is_some());
            stored.in_force.is_some() && !known
        };
        let number = found.iter().filter(is_found).count();
        if self.accepted.is_some() || number == 0 {
            return None;
        }
        let words = match number {
            1 => "1 device is at what the labels of its containers say".to_owned(),
            n => format!("{n} devices are at what the labels of their containers say"),
        };
        Some(self.entry(None, "rebuild store", None, &words))
    }
}

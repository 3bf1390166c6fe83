//! A revision that somebody brought to all devices by hand counts from now on.
//!
//! Enters: a store, and the revision. Leaves: no device at another revision, no rollout under way, and nothing that was told
//! of one: all of that would lead a daemon that begins later back to what was before. Not here: bringing it to devices.

use super::watch::kept_rollout;
use crate::model::{DeviceId, Timestamp};
use crate::rollout::Stage;
use crate::store::{HistoryEntry, RolloutOrder, RolloutWrite, Store, StoreError};

/// Why nobody does what was told of a rollout before.
const TOO_LATE: &str = "not done: `hoist apply` brought all devices to one revision before";

/// Makes a revision the one that counts.
///
/// # Errors
/// The store can't be read or written.
pub fn accept_by_hand(
    store: &Store,
    revision: &str,
    who: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let behind: Vec<DeviceId> = store.assignments()?.into_keys().collect();
    let kept = store.kept_rollout()?.rollout.filter(|text| text != "null");
    let rollout = kept_rollout(store)?;
    let has_ended = rollout.as_ref().is_some_and(|rollout| rollout.stage == Stage::Done);
    let told = store.rollout_orders()?;
    let obeyed: Vec<i64> = told.iter().map(|told| told.id).collect();
    let mut history: Vec<HistoryEntry> = told.into_iter().map(|told| too_late(told, now)).collect();
    let is_under_way = kept.is_some() && !has_ended || !behind.is_empty();
    if !is_under_way {
        return store.record_rollout(&RolloutWrite {
            accept: Some(revision),
            history: &history,
            obeyed: &obeyed,
            ..RolloutWrite::default()
        });
    }
    history.push(HistoryEntry {
        at: now,
        who: who.to_owned(),
        device: None,
        from: rollout.map(|rollout| rollout.to),
        to: Some(revision.to_owned()),
        action: "end rollout".to_owned(),
        module: None,
        reason: "`hoist apply` brought all devices to one revision".to_owned(),
        outcome: "done".to_owned(),
    });
    store.record_rollout(&RolloutWrite {
        accept: Some(revision),
        rollout: Some("null"),
        begins: true,
        caught_up: &behind,
        history: &history,
        obeyed: &obeyed,
        ..RolloutWrite::default()
    })
}

fn too_late(told: RolloutOrder, now: Timestamp) -> HistoryEntry {
    let RolloutOrder { id: _, order, who, reason, at: _ } = told;
    HistoryEntry {
        at: now,
        who,
        device: None,
        from: None,
        to: None,
        action: format!("rollout {order}"),
        module: None,
        reason,
        outcome: TOO_LATE.to_owned(),
    }
}

//! A rollout as the store has it: written and read.

use crate::model::DeviceId;
use crate::rollout::{Member, Rollout};
use crate::store::{KeptRollout, Store, StoreError};

/// The rollout that a store knows, or the last one; `None` where there was none, or it can't be read.
///
/// # Errors
/// The store can't be read.
pub fn kept_rollout(store: &Store) -> Result<Option<Rollout>, StoreError> {
    Ok(read_kept(&store.kept_rollout()?).ok().flatten())
}

/// Reads what [`rollout_text`] and [`members_that_differ`] wrote.
///
/// # Errors
/// It is none of this version; in words.
pub(super) fn read_kept(kept: &KeptRollout) -> Result<Option<Rollout>, String> {
    let Some(text) = &kept.rollout else { return Ok(None) };
    let rollout: Option<Rollout> =
        serde_json::from_str(text).map_err(|error| format!("the rollout: {error}"))?;
    let Some(mut rollout) = rollout else { return Ok(None) };
    for (device, text) in &kept.members {
        let member: Member =
            serde_json::from_str(text).map_err(|error| format!("device {device}: {error}"))?;
        rollout.members.insert(device.clone(), member);
    }
    Ok(Some(rollout))
}

/// A rollout without its members, as the store has it.
pub(super) fn rollout_text(rollout: &Rollout) -> String {
    serde_json::json!(rollout).to_string()
}

/// Members that differ from those of a former step, as the store has them.
pub(super) fn members_that_differ(
    former: Option<&Rollout>,
    next: &Rollout,
) -> Vec<(DeviceId, String)> {
    let is_new = |(device, member): &(&DeviceId, &Member)| {
        former.is_none_or(|former| former.members.get(*device) != Some(*member))
    };
    let members = next.members.iter().filter(is_new);
    members
        .map(|(device, member)| (device.clone(), serde_json::json!(member).to_string()))
        .collect()
}

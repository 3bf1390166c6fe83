//! The first start on a store that knows nothing: what engines run is looked at before anything is judged.

use super::WatchSettings;
use super::consider::Consider;
use super::discover::{Found, discover};
use super::job::Shared;
use super::loaded::{Loaded, in_force, load};
use crate::model::Facts;
use crate::source::Repository;
use crate::store::StoredDevice;
use futures_util::stream::{self, StreamExt as _};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The same input, with what devices that answer have in force: guards compare with that. Devices that the store knows
/// are left as they are.
pub(super) async fn with_what_runs(
    mut input: Consider,
    shared: &Arc<Shared>,
    settings: &WatchSettings,
) -> Consider {
    let Some(head) = input.find_head().await else { return input };
    let (remote, reader, id) = (Arc::clone(&input.remote), Arc::clone(&input.reader), head.id);
    let read = move || reader.load(remote.folder(), &id, &Facts::none(), None);
    let read = tokio::task::spawn_blocking(read);
    let Ok(Ok(head)) = read.await else { return input };
    let strangers: Vec<_> = head
        .fleet
        .devices
        .keys()
        .filter(|id| settings.only.as_ref().is_none_or(|only| only == *id))
        .filter(|id| input.devices.get(*id).is_none_or(|device| device.in_force.is_none()))
        .cloned()
        .collect();
    let found: Vec<_> = stream::iter(strangers)
        .map(|id| discover(Arc::clone(shared), Arc::clone(&head.fleet), id))
        .buffer_unordered(settings.side_by_side)
        .collect()
        .await;
    let remote = Arc::clone(&input.remote);
    let devices = Arc::clone(&input.devices);
    let now = input.now;
    let known = tokio::task::spawn_blocking(move || {
        let mut devices = BTreeMap::clone(&devices);
        let mut read: BTreeMap<String, Option<Loaded>> = BTreeMap::new();
        for (id, found) in found {
            let Found::Revisions(revisions, is_between) = found else { continue };
            let head = &head.revision.id;
            let Some(newest) = newest_of(remote.folder(), &revisions, is_between, head) else {
                continue;
            };
            let loaded = read
                .entry(newest.clone())
                .or_insert_with(|| load(remote.folder(), &newest, &Facts::none()).ok());
            let Some(in_force) = loaded.as_ref().and_then(|loaded| in_force(loaded, &id)) else {
                continue;
            };
            let stored = devices
                .entry(id.clone())
                .or_insert_with(|| Arc::new(StoredDevice::unknown(id, now)));
            Arc::make_mut(stored).in_force = Some(in_force);
        }
        devices
    });
    if let Ok(devices) = known.await {
        input.devices = Arc::new(devices);
    }
    input
}

/// Of these revisions the newest that the history of `head` has; of a device between two of them the one before: nobody knows
/// whether it was on its way there or back. Blocking.
pub(super) fn newest_of(
    folder: &std::path::Path,
    revisions: &std::collections::BTreeSet<String>,
    is_between: bool,
    head: &str,
) -> Option<String> {
    let repository = Repository::open(folder).ok()?;
    let comes_before = |one: &str, other: &str| repository.is_in_history(one, other);
    let mut known: Vec<&String> = revisions.iter().filter(|id| comes_before(id, head)).collect();
    let newest = |of: &[&String]| {
        let is_newest = |id: &&&String| of.iter().all(|other| comes_before(other, id));
        of.iter().find(is_newest).map(|id| (*id).clone())
    };
    let last = newest(&known)?;
    if !is_between || known.len() == 1 {
        return Some(last);
    }
    known.retain(|id| **id != last);
    newest(&known)
}

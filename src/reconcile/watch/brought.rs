//! Devices that people want to be brought to what counts: heard, done at a look, or lapsed.
//!
//! Enters: wishes that the store keeps, and what came of looks. Leaves: looks that do what is wished, and what became of that, in
//! the history. A wish is kept over the end of the daemon until a look has carried it out. Not here: what a look does.

use super::daemon::Daemon;
use crate::model::DeviceId;
use crate::store::{BringWish, HistoryEntry, StoreError};

/// A device that somebody wants to be brought to what counts.
#[derive(Debug, Clone)]
pub(super) struct Bring {
    pub(super) wish: BringWish,
    /// Whether the look that does it has begun.
    pub(super) has_begun: bool,
}

impl Daemon {
    /// Hears what is new of it.
    ///
    /// # Errors
    /// The store can't be read or written; what is left is heard the next time.
    pub(super) fn take_brought(&mut self) -> Result<(), StoreError> {
        for wish in self.wishes_that_hold()? {
            let is_heard = wish.told && self.brought.contains_key(&wish.device);
            if !is_heard {
                self.bring(wish)?;
            }
        }
        Ok(())
    }

    /// Those that hold still. What could not be done for so long that whoever said it may not want it any more is not done.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub(super) fn wishes_that_hold(&mut self) -> Result<Vec<BringWish>, StoreError> {
        let now = self.clock.now();
        // Just now it may be done.
        let is_over =
            |wish: &BringWish| wish.has_lapsed(now) && !self.under_way.contains(&wish.device);
        let (over, wishes): (Vec<_>, Vec<_>) =
            self.shared.store.brings()?.into_iter().partition(is_over);
        for wish in over {
            let device = &wish.device;
            tracing::warn!(%device, who = wish.who, "what was wanted of it could not be done for too long, and is not done any more");
            let action = if wish.take_over { TAKE_OVER } else { BRING_ALONG };
            let outcome = "not done within 24 h".to_owned();
            let entry = HistoryEntry { outcome, to: None, ..self.by_hand(&wish, action) };
            self.shared.store.end_bring(&wish, &[entry])?;
            if wish.named {
                self.fresh.remove(device);
            }
        }
        self.brought.retain(|device, _| wishes.iter().any(|wish| wish.device == *device));
        Ok(wishes)
    }

    fn bring(&mut self, wish: BringWish) -> Result<(), StoreError> {
        let BringWish { device, take_over, named, told, .. } = &wish;
        // What it runs is of a revision that nobody knows: it is decided now, or was before and could not be done.
        let is_unknown = self.devices.get(device).is_some_and(|stored| {
            let is_told_so = stored.status.code == 400 && !self.is_paused(device);
            stored.in_force.is_none() && (is_told_so || *told)
        });
        let is_decided = *named && is_unknown;
        let device = device.clone();
        if is_decided {
            self.fresh.insert(device.clone());
        }
        if is_decided || *take_over {
            let actions = [(is_decided, BRING_ALONG), (*take_over, TAKE_OVER)];
            let actions = actions.into_iter().filter(|(is_so, _)| *is_so && !told);
            let entries = actions.map(|(_, action)| self.by_hand(&wish, action));
            self.shared.store.begin_bring(&wish, &entries.collect::<Vec<_>>())?;
            let wish = BringWish { told: true, ..wish };
            self.brought.insert(device.clone(), Bring { wish, has_begun: false });
        } else {
            self.shared.store.end_bring(&wish, &[])?;
        }
        self.poke(&device);
        Ok(())
    }

    fn by_hand(&self, wish: &BringWish, action: &str) -> HistoryEntry {
        let accepted = self.accepted.as_ref().map(|accepted| accepted.revision.id.as_str());
        let who = wish.who.clone();
        HistoryEntry { who, ..self.entry(Some(&wish.device), action, accepted, "by hand") }
    }

    /// A look begins now: whether it replaces what another control host did.
    pub(super) fn begin_bring(&mut self, device: &DeviceId) -> bool {
        self.brought.get_mut(device).is_some_and(|bring| {
            bring.has_begun = true;
            bring.wish.take_over
        })
    }

    /// What somebody wanted of a device is done by the look that has ended; another look does what was said since it began.
    pub(super) fn end_bring(&mut self, device: &DeviceId) {
        let Some(bring) = self.brought.get(device).filter(|bring| bring.has_begun) else { return };
        match self.shared.store.end_bring(&bring.wish, &[]) {
            Ok(()) => drop(self.brought.remove(device)),
            Err(error) => self.take_trouble(&error),
        }
    }
}

const TAKE_OVER: &str = "take over";
const BRING_ALONG: &str = "bring along";

//! Who is away from its work by our doing: what counts against `max-unavailable`.

use super::{Contact, Member, Place, Rollout, Seen};
use crate::model::DeviceId;
use std::collections::{BTreeMap, BTreeSet};

impl Rollout {
    /// Devices that are away from their work by our doing, as far as is known without looking.
    pub fn disturbed_now(&self) -> BTreeSet<DeviceId> {
        let is_away = |place: &Place| match place {
            Place::Admitted { .. } | Place::Failed { .. } | Place::Back { arrived: false } => true,
            Place::Waiting | Place::Good | Place::Back { arrived: true } => false,
        };
        let members = self.members.iter().filter(|(_, member)| is_away(&member.place));
        members.map(|(device, _)| device).chain(&self.disturbed).cloned().collect()
    }

    /// Forgets who is at its work again, and counts for how long the others have not answered. A device at which no look has
    /// ended since the daemon began is not one that does not answer.
    pub(super) fn hear(&mut self, seen: &BTreeMap<DeviceId, Seen>, passed: u64) {
        let holds =
            |device: &DeviceId, is_so: &dyn Fn(&Seen) -> bool| seen.get(device).is_some_and(is_so);
        self.disturbed.retain(|device| holds(device, &|seen| !seen.works));
        let away = self.disturbed_now();
        let does_not_answer = |device: &DeviceId| holds(device, &|seen| !seen.reachable);
        self.unheard.retain(|device, _| away.contains(device) && does_not_answer(device));
        let was_looked_at = |seen: &Seen| !matches!(seen.contact, Contact::NotYet(_));
        for device in away.into_iter().filter(does_not_answer) {
            if holds(&device, &was_looked_at) {
                let time = self.unheard.entry(device).or_default();
                *time = time.saturating_add(passed);
            }
        }
    }

    /// Devices that are away from their work by our doing, whether they answer or not. Of a rollout before this one, who has not
    /// answered for as long as a change may take is as any other that is away.
    pub(super) fn unavailable(&self, seen: &BTreeMap<DeviceId, Seen>) -> BTreeSet<DeviceId> {
        let seen_of = |device: &DeviceId| seen.get(device);
        let works =
            |device: &DeviceId| seen_of(device).is_some_and(|seen| seen.reachable && seen.works);
        let is_away = |(device, member): &(&DeviceId, &Member)| match member.place {
            Place::Admitted { .. } => true,
            Place::Failed { .. } => !member.pardoned && !works(device),
            Place::Waiting | Place::Good | Place::Back { .. } => false,
        };
        let members = self.members.iter().filter(is_away).map(|(device, _)| device);
        let phase = self.phases.get(self.open).or(self.phases.last());
        let timeout = phase.map_or(u64::MAX, |phase| phase.rules.timeout);
        let counts =
            |device: &&DeviceId| self.unheard.get(*device).is_none_or(|time| *time < timeout);
        members.chain(self.disturbed.iter().filter(counts)).cloned().collect()
    }
}

//! One device that takes part.

use super::Rollout;
use crate::model::{DeviceId, Hash, ModuleName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A device whose manifest changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Index of its phase; `None` until a share takes it.
    pub phase: Option<usize>,
    /// The revision that it goes back to: the last one that all had reached.
    pub back_to: String,
    /// The manifest that it should get.
    pub wanted: Hash,
    /// What that has in common with other devices' manifests.
    pub template: Hash,
    /// Modules that failed before it was let in and that do not change: their failure says nothing of the change.
    pub excused: BTreeSet<ModuleName>,
    /// How far it is.
    pub place: Place,
    /// It waits, and has neither what it goes back to nor what it should get: a newer commit came when it was on its way.
    #[serde(default)]
    pub between: bool,
    /// It failed, and is tried again as soon as one more may be on its way.
    #[serde(default)]
    pub again: bool,
    /// It failed, and somebody who has seen that lets the others go on.
    #[serde(default)]
    pub pardoned: bool,
}

/// How far a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// It has what it had.
    Waiting,
    /// It was let in and has not succeeded for so many milliseconds of observed time.
    Admitted {
        /// Milliseconds.
        without: u64,
    },
    /// It is as the new revision wants it.
    Good,
    /// It failed; why.
    Failed {
        /// In words.
        words: String,
    },
    /// It was moved back.
    Back {
        /// Whether it has arrived there.
        arrived: bool,
    },
}

/// What failed on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Where.
    pub device: DeviceId,
    /// Its manifest.
    pub wanted: Hash,
    /// What that has in common with those of others.
    pub template: Hash,
    /// Whether it speaks of its own device only: somebody let the others go on.
    #[serde(default)]
    pub alone: bool,
}

impl Member {
    /// Whether it is at the new revision.
    pub fn is_moved(&self) -> bool {
        matches!(self.place, Place::Admitted { .. } | Place::Good | Place::Failed { .. })
    }
}

impl Mark {
    /// Whether it speaks against a manifest on a device. What failed on a device with other tags may be well there after
    /// these changed; on devices that have not tried, what is common to both is enough.
    pub(super) fn speaks_against(&self, device: &DeviceId, member: &Member) -> bool {
        if self.device == *device {
            return self.wanted == member.wanted;
        }
        !self.alone && (self.wanted == member.wanted || self.template == member.template)
    }
}

impl Rollout {
    /// Whether a device failed, and does not try again what failed before it changes or somebody says so. One that was let
    /// pass tries again by itself, as every other whose failure is put up with.
    pub fn is_given_up(&self, device: &DeviceId) -> bool {
        self.members.get(device).is_some_and(|member| {
            matches!(member.place, Place::Failed { .. })
                && !member.again
                && !member.pardoned
                && self.is_marked(device, member)
        })
    }

    /// Modules of a device whose failure says nothing of the change.
    pub fn excused(&self, device: &DeviceId) -> BTreeSet<ModuleName> {
        self.members.get(device).map(|member| member.excused.clone()).unwrap_or_default()
    }

    /// Devices that were moved back and have not arrived.
    pub fn returning(&self) -> BTreeSet<DeviceId> {
        let is_returning = |member: &Member| matches!(member.place, Place::Back { arrived: false });
        let members = self.members.iter().filter(|(_, member)| is_returning(member));
        members.map(|(device, _)| device.clone()).collect()
    }

    /// What failed, and keeps somebody of this rollout from it; other marks are of what nobody wants just now.
    pub fn marks_that_count(&self) -> Vec<&Mark> {
        if self.marks.is_empty() {
            return Vec::new();
        }
        // A fleet is large and marks are many: of each manifest two devices are enough to find one that is another.
        let mut wishes: BTreeMap<&Hash, [Option<&DeviceId>; 2]> = BTreeMap::new();
        let is_open = |member: &Member| member.place != Place::Good;
        for (device, member) in self.members.iter().filter(|(_, member)| is_open(member)) {
            for hash in [&member.wanted, &member.template] {
                let devices = wishes.entry(hash).or_default();
                if let Some(free) = devices.iter_mut().find(|device| device.is_none()) {
                    *free = Some(device);
                }
            }
        }
        let is_wished_elsewhere = |mark: &Mark, hash: &Hash| {
            let devices = wishes.get(hash).into_iter().flatten().flatten();
            devices.into_iter().any(|device| **device != mark.device)
        };
        let counts = |mark: &&Mark| {
            let own = self.members.get(&mark.device);
            // Who was let pass tries again by itself.
            let waits = |own: &Member| is_open(own) && !own.pardoned;
            own.is_some_and(|own| waits(own) && mark.speaks_against(&mark.device, own))
                || !mark.alone
                    && [&mark.wanted, &mark.template].iter().any(|h| is_wished_elsewhere(mark, h))
        };
        self.marks.iter().filter(counts).collect()
    }
}

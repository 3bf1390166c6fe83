//! How a rollout begins, and what a newer commit makes of one that is under way.

use super::{Mark, Member, PhaseState, Place, Rollout, Rules, Stage, Wait, Who};
use crate::fleet;
use crate::model::{DeviceId, Hash, PhaseSettings, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// So many failed manifests are remembered.
const MARKS: usize = 1000;

/// A device that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Index of the phase whose condition it meets; `None` if it meets none.
    pub phase: Option<usize>,
    /// The revision that it goes back to.
    pub back_to: String,
    /// The manifest that it should get.
    pub wanted: Hash,
    /// What that has in common with other devices' manifests.
    pub template: Hash,
    /// Whether it is at the new revision already, unproven: found so after the store was lost.
    pub is_moved: bool,
}

/// What a rollout is made of.
pub struct Plan<'a> {
    /// The revision that counted before.
    pub from: &'a str,
    /// The new one.
    pub to: &'a str,
    /// What the new one's fleet says of phases.
    pub settings: &'a fleet::Rollout,
    /// What deployments that change say.
    pub tighter: Vec<&'a PhaseSettings>,
    /// Who takes part.
    pub candidates: BTreeMap<DeviceId, Candidate>,
    /// What failed before.
    pub marks: Vec<Mark>,
}

impl Rollout {
    /// Begins one; done at once where nobody takes part.
    pub fn begin(plan: Plan<'_>) -> Self {
        let Plan { from, to, settings, tighter, candidates, mut marks } = plan;
        let rules = |phase: &PhaseSettings| Rules::new(&settings.settings, phase, &tighter);
        let declared = settings.phases.iter().map(|phase| PhaseState {
            name: phase.name.clone(),
            who: match (&phase.target, phase.share) {
                (Some(_), _) => Who::Target,
                (None, Some(share)) => Who::Share(share),
                (None, None) => Who::Rest,
            },
            rules: rules(&phase.settings),
            soaked: 0,
            opened: false,
            confirming: false,
        });
        let rest = PhaseState {
            name: "rest".to_owned(),
            who: Who::Rest,
            rules: rules(&PhaseSettings::default()),
            soaked: 0,
            opened: false,
            confirming: false,
        };
        let mut rollout = Self {
            from: from.to_owned(),
            to: to.to_owned(),
            stage: if candidates.is_empty() { Stage::Done } else { Stage::Running },
            phases: declared.chain([rest]).collect(),
            open: 0,
            members: BTreeMap::new(),
            marks: marks.split_off(marks.len().saturating_sub(MARKS)),
            wait: Wait::Nothing,
            at: Timestamp::default(),
        };
        for (device, candidate) in candidates {
            rollout.enrol(device, candidate);
        }
        rollout
    }

    /// Somebody more takes part: a device that was away and unknown when it began.
    pub fn enrol(&mut self, device: DeviceId, candidate: Candidate) {
        let Candidate { phase, back_to, wanted, template, is_moved } = candidate;
        let place = if is_moved { Place::Admitted { without: 0 } } else { Place::Waiting };
        // Whoever is there already belongs to the first phase that is not over, if to none by condition.
        let phase = phase.or(is_moved.then_some(0));
        let excused = BTreeSet::new();
        self.members.insert(device, Member { phase, back_to, wanted, template, excused, place });
    }

    /// A newer commit that wants the same of all devices.
    pub fn follow(&mut self, to: &str) {
        self.to = to.to_owned();
    }

    /// A device has another id now.
    pub fn rename(&mut self, former: &DeviceId, id: &DeviceId) {
        if let Some(member) = self.members.remove(former) {
            self.members.insert(id.clone(), member);
        }
        for mark in self.marks.iter_mut().filter(|mark| mark.device == *former) {
            mark.device = id.clone();
        }
    }

    /// Takes the devices of a phase that opens: for a share those whose hash with the revision comes first, so that it is
    /// not always the same ones that go ahead.
    pub(super) fn fix_devices_of(&mut self, index: usize) {
        let Some(phase) = self.phases.get_mut(index) else { return };
        if std::mem::replace(&mut phase.opened, true) {
            return;
        }
        let who = phase.who;
        let free = self.members.iter().filter(|(_, member)| member.phase.is_none());
        let mut free: Vec<DeviceId> = free.map(|(device, _)| device.clone()).collect();
        if let Who::Share(share) = who {
            let count =
                super::rules::rounded_up(crate::model::Amount::Share(share), self.members.len());
            free.sort_by_cached_key(|device| {
                Hash::of_texts("hoist rollout share", [device.as_str(), self.to.as_str()])
            });
            free.truncate(count);
        }
        if who != Who::Target {
            for device in free {
                if let Some(member) = self.members.get_mut(&device) {
                    member.phase = Some(index);
                }
            }
        }
    }
}

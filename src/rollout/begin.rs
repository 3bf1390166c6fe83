//! How a rollout begins, and what a newer commit makes of one that is under way.

use super::shares::taken;
use super::{Mark, Member, PhaseState, Place, Rollout, Rules, Stage, Wait, Who};
use crate::fleet;
use crate::model::{DeviceId, Hash, PhaseSettings, REST, Timestamp};
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
    /// Whether it has that already, unproven: its revision was under way before, or the store was lost.
    pub is_moved: bool,
    /// Whether it has something that is not proven, and neither this.
    pub between: bool,
}

/// What a newer commit makes of a device that it wants something of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakesPart {
    /// The revision that it goes back to: of one whose way had not ended, the last that had gone through.
    pub back_to: String,
    /// Whether it has what is wanted already, unproven.
    pub is_moved: bool,
    /// Whether it has something else that is not proven.
    pub between: bool,
}

impl TakesPart {
    /// `None` for a device that has what is wanted, and nobody has to prove it. `at` is the revision that it is at, `has`
    /// whether it has there what is wanted, `former` the rollout before.
    pub fn of(device: &DeviceId, at: &str, has: bool, former: Option<&Rollout>) -> Option<Self> {
        let former = former.filter(|former| former.stage != Stage::Done);
        let member = former.and_then(|former| former.members.get(device));
        let is_unproven = member.is_some_and(|member| member.is_moved() || member.between);
        (!has || is_unproven).then(|| Self {
            back_to: member.map_or(at, |member| &member.back_to).to_owned(),
            is_moved: has,
            between: !has && is_unproven,
        })
    }
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
    /// Devices that are away from their work by the doing of the one before.
    pub disturbed: BTreeSet<DeviceId>,
    /// For how many milliseconds devices that are have not answered.
    pub unheard: BTreeMap<DeviceId, u64>,
    /// Devices that change at once, because their deployments say so.
    pub unphased: BTreeSet<DeviceId>,
    /// Devices that wait although a deployment says that it goes at once, for what comes with it.
    pub withheld: BTreeSet<DeviceId>,
}

impl Rollout {
    /// Begins one; done at once where nobody takes part.
    pub fn begin(plan: Plan<'_>) -> Self {
        let Plan {
            from,
            to,
            settings,
            tighter,
            candidates,
            mut marks,
            disturbed,
            unheard,
            unphased,
            withheld,
        } = plan;
        let rules = |phase: &PhaseSettings| Rules::new(&settings.settings, phase, &tighter);
        let declared = settings.phases.iter().map(|phase| PhaseState {
            name: phase.name.clone(),
            who: Who::of(phase),
            rules: rules(&phase.settings),
            soaked: 0,
            opened: false,
            confirming: false,
            promoted: false,
        });
        let rest = PhaseState {
            name: REST.to_owned(),
            who: Who::Rest,
            rules: rules(&PhaseSettings::default()),
            soaked: 0,
            opened: false,
            confirming: false,
            promoted: false,
        };
        let mut rollout = Self {
            from: from.to_owned(),
            to: to.to_owned(),
            stage: if candidates.is_empty() { Stage::Done } else { Stage::Running },
            phases: declared.chain([rest]).collect(),
            open: 0,
            members: BTreeMap::new(),
            marks: marks.split_off(marks.len().saturating_sub(MARKS)),
            disturbed,
            unheard,
            unphased,
            withheld,
            changed: None,
            wait: Wait::Nothing,
            stuck: 0,
            at: Timestamp::default(),
        };
        for (device, candidate) in candidates {
            rollout.enrol(device, candidate);
        }
        rollout
    }

    /// Somebody more takes part: a device that joins while it is under way.
    pub fn enrol(&mut self, device: DeviceId, candidate: Candidate) {
        let Candidate { phase, back_to, wanted, template, is_moved, between } = candidate;
        if is_moved {
            // From now on it counts as what it is here.
            self.disturbed.remove(&device);
        }
        let place = if is_moved { Place::Admitted { without: 0 } } else { Place::Waiting };
        // Whoever is there already belongs to the first phase that is not over, if to none by condition. Where everybody
        // else has a phase already, whoever comes is one of the rest.
        let rest = self.phases.iter().position(|phase| phase.who == Who::Rest && phase.opened);
        let phase = phase.or(is_moved.then_some(0)).or(rest);
        let member = Member {
            phase,
            back_to,
            wanted,
            template,
            excused: BTreeSet::new(),
            place,
            between,
            again: false,
            pardoned: false,
        };
        self.members.insert(device, member);
    }

    /// Whether a device takes part and has not been let in.
    pub fn waits_for(&self, device: &DeviceId) -> bool {
        self.members.get(device).is_some_and(|member| member.place == Place::Waiting)
    }

    /// A newer commit, of which nobody takes part, after the end: of those that were to come later only these are behind still.
    pub fn wait_only_for(&mut self, behind: &BTreeSet<&DeviceId>) {
        let waits = |member: &Member| member.place == Place::Waiting;
        self.members.retain(|device, member| !waits(member) || behind.contains(device));
    }

    /// A newer commit that wants the same of all devices.
    pub fn follow(&mut self, to: &str) {
        self.to = to.to_owned();
    }

    /// A newer commit with the same phases says something else of how strict they are: that counts from now on.
    pub fn take_rules(&mut self, settings: &fleet::Rollout, tighter: &[&PhaseSettings]) {
        let names = settings.phases.iter().map(|phase| phase.name.as_str()).chain([REST]);
        if !names.eq(self.phases.iter().map(|phase| phase.name.as_str())) {
            return;
        }
        let rest = PhaseSettings::default();
        let said = settings.phases.iter().map(|phase| &phase.settings).chain([&rest]);
        for (phase, said) in self.phases.iter_mut().zip(said) {
            phase.rules = Rules::new(&settings.settings, said, tighter);
        }
    }

    /// A device has another id now.
    pub fn rename(&mut self, former: &DeviceId, id: &DeviceId) {
        if let Some(member) = self.members.remove(former) {
            self.members.insert(id.clone(), member);
        }
        for devices in [&mut self.disturbed, &mut self.withheld] {
            if devices.remove(former) {
                devices.insert(id.clone());
            }
        }
        if let Some(time) = self.unheard.remove(former) {
            self.unheard.insert(id.clone(), time);
        }
        for mark in self.marks.iter_mut().filter(|mark| mark.device == *former) {
            mark.device = id.clone();
        }
    }

    /// A device with another id gets what failed there before, as a manifest under the new id.
    pub fn mark_anew(&mut self, device: &DeviceId, wanted: &Hash, template: &Hash) {
        let marks = self.marks.iter_mut();
        for mark in marks.filter(|mark| mark.device == *device && mark.template == *template) {
            mark.wanted = wanted.clone();
        }
    }

    /// Takes the devices of a phase that opens.
    pub(super) fn fix_devices_of(&mut self, index: usize) {
        let Some(phase) = self.phases.get_mut(index) else { return };
        if std::mem::replace(&mut phase.opened, true) {
            return;
        }
        let free = self.members.iter().filter(|(_, member)| member.phase.is_none());
        let free = free.map(|(device, _)| device.clone()).collect();
        for device in taken(phase.who, free, self.members.len(), &self.to) {
            if let Some(member) = self.members.get_mut(&device) {
                member.phase = Some(index);
            }
        }
    }
}

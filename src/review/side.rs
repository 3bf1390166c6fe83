//! One side of a comparison, and what it says of one device.
//!
//! Enters: a fleet with its resolution, and, for what devices have now, their recorded manifests. Leaves:
//! the [`Member`]s of the side, and a [`State`] per device, which is filled only for whoever asks.

use super::fields::Compared;
use crate::diagnostic::Diagnostic;
use crate::fleet::Fleet;
use crate::model::{
    Cohort, Device, DeviceId, Facts, Manifest, Module, ModuleName, Route, RouteName, manifest_hash,
};
use crate::resolve::{Resolution, ResolvedCohort, Signature, Targeting, fill};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// What to call it: a revision, or `working tree`.
    pub name: &'a str,
    /// Its commit with all digits, where it is one.
    pub revision: Option<&'a str>,
    /// The fleet; `None` compares with nothing (a first commit).
    pub fleet: Option<(&'a Fleet, &'a Resolution)>,
    /// What devices reported, with which it was resolved.
    pub facts: &'a Facts,
    /// Its warnings.
    pub warnings: &'a [Diagnostic],
    /// What devices have in force, if that is asked: it counts instead of what the fleet says. The fleet
    /// is then the one that was applied last.
    pub in_force: Option<&'a BTreeMap<DeviceId, Manifest>>,
}

/// A device of a side.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) id: &'a DeviceId,
    /// What the fleet says of it; `None` without a fleet.
    pub(super) said: Option<Said<'a>>,
}

/// What a fleet says of a device.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    number: usize,
    device: &'a Arc<Device>,
    signature: &'a Signature,
}

impl<'a> Member<'a> {
    pub(super) fn device(&self) -> Option<&'a Arc<Device>> {
        self.said.map(|said| said.device)
    }

    /// The deployments that target it.
    pub(super) fn targeted(&self) -> &'a [Targeting] {
        self.said.map(|said| &*said.signature.targeted).unwrap_or_default()
    }

    /// The number of its cohort.
    pub(super) fn cohort(&self) -> Option<usize> {
        self.said?.signature.cohort
    }
}

impl<'a> Side<'a> {
    /// A side by what files say.
    pub fn of_files(
        name: &'a str,
        fleet: Option<(&'a Fleet, &'a Resolution)>,
        facts: &'a Facts,
        warnings: &'a [Diagnostic],
    ) -> Self {
        Self { name, revision: None, fleet, facts, warnings, in_force: None }
    }

    /// All devices that it knows, by their ids.
    pub(super) fn members(&self) -> Vec<Member<'a>> {
        match (self.fleet, self.in_force) {
            (Some((fleet, resolution)), _) => members(fleet, resolution),
            (None, Some(in_force)) => in_force.keys().map(|id| Member { id, said: None }).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// One device of its fleet.
    pub(super) fn member(&self, id: &DeviceId) -> Option<Member<'a>> {
        let (fleet, resolution) = self.fleet?;
        let number = fleet.devices.number(id)?;
        Some(member(number, fleet.devices.at(number)?, resolution.devices.at(number)?))
    }

    pub(super) fn has(&self, id: &DeviceId) -> bool {
        match (self.fleet, self.in_force) {
            (Some((fleet, _)), _) => fleet.devices.contains_key(id),
            (None, Some(in_force)) => in_force.contains_key(id),
            (None, None) => false,
        }
    }

    pub(super) fn cohorts(&self) -> &'a [Arc<ResolvedCohort>] {
        self.fleet.map(|(_, resolution)| resolution.cohorts.as_slice()).unwrap_or_default()
    }
}

/// A resolution is by the numbers of its fleet's devices.
fn members<'a>(fleet: &'a Fleet, resolution: &'a Resolution) -> Vec<Member<'a>> {
    let all = fleet.devices.values().zip(resolution.devices.values()).enumerate();
    all.map(|(number, (device, signature))| member(number, device, signature)).collect()
}

fn member<'a>(number: usize, device: &'a Arc<Device>, signature: &'a Signature) -> Member<'a> {
    Member { id: &device.id, said: Some(Said { number, device, signature }) }
}

/// What one side says of one device.
#[derive(Clone, Copy)]
pub(super) enum State<'a> {
    /// The side does not have it.
    Absent,
    /// No base targets it: what it has stays, whatever that is.
    Untargeted,
    /// A base targets it, but a template of its manifest can't be filled: what it has stays.
    Held,
    /// Its cohort, with its number.
    Targeted { cohort: &'a ResolvedCohort, index: usize, device: &'a Device },
    /// What it has in force, which no revision at hand says.
    Recorded(&'a Manifest),
    /// What it has in force and keeps: no base targets it any more.
    Kept(&'a Manifest),
    /// Nothing is in force on it yet.
    Empty,
}

impl<'a> State<'a> {
    /// What a side says of a device: of which it knows this much.
    pub(super) fn of(side: &Side<'a>, id: &DeviceId, member: Option<&Member<'a>>) -> Self {
        let said = Self::by_files(side, member);
        let Some(in_force) = side.in_force else { return said };
        match (in_force.get(id), said) {
            (Some(recorded), said @ Self::Targeted { .. })
                if said
                    .manifest()
                    .is_some_and(|m| manifest_hash(&m) == manifest_hash(recorded)) =>
            {
                said
            }
            (Some(recorded), Self::Untargeted) => Self::Kept(recorded),
            (Some(recorded), _) => Self::Recorded(recorded),
            (None, Self::Untargeted) => Self::Untargeted,
            // Without a fleet nobody knows whether it is new.
            (None, Self::Absent) if side.fleet.is_some() => Self::Absent,
            (None, _) => Self::Empty,
        }
    }

    fn by_files(side: &Side<'a>, member: Option<&Member<'a>>) -> Self {
        let said = member.and_then(|member| member.said);
        let Some((said, (_, resolution))) = said.zip(side.fleet) else { return Self::Absent };
        let Said { number, device, signature } = said;
        match signature.cohort {
            None => Self::Untargeted,
            Some(_) if !resolution.can_fill(number, device) => Self::Held,
            Some(index) => Self::Targeted { cohort: &resolution.cohorts[index], index, device },
        }
    }

    pub(super) fn manifest(&self) -> Option<Cow<'a, Manifest>> {
        match self {
            Self::Targeted { cohort, device, .. } => fill(cohort, device).ok().map(Cow::Owned),
            Self::Recorded(manifest) | Self::Kept(manifest) => Some(Cow::Borrowed(manifest)),
            Self::Absent | Self::Untargeted | Self::Held | Self::Empty => None,
        }
    }

    pub(super) fn cohort(&self) -> Option<&'a Cohort> {
        match self {
            Self::Targeted { cohort, .. } => Some(&cohort.cohort),
            Self::Recorded(manifest) | Self::Kept(manifest) => Some(&manifest.cohort),
            Self::Absent | Self::Untargeted | Self::Held | Self::Empty => None,
        }
    }

    /// The state with its manifest.
    pub(super) fn filled(self) -> Filled<'a> {
        Filled { state: self, manifest: self.manifest() }
    }
}

/// What one side says of one device, with all texts filled.
pub(super) struct Filled<'a> {
    state: State<'a>,
    manifest: Option<Cow<'a, Manifest>>,
}

impl Filled<'_> {
    pub(super) fn modules(&self) -> &BTreeMap<ModuleName, Module> {
        static NONE: BTreeMap<ModuleName, Module> = BTreeMap::new();
        self.manifest.as_ref().map_or(&NONE, |manifest| &manifest.modules)
    }

    pub(super) fn routes(&self) -> &BTreeMap<RouteName, Route> {
        static NONE: BTreeMap<RouteName, Route> = BTreeMap::new();
        self.manifest.as_ref().map_or(&NONE, |manifest| &manifest.routes)
    }

    pub(super) fn compared(&self, name: &ModuleName) -> Option<Compared<'_>> {
        let filled = self.modules().get(name)?;
        let template = match self.state {
            State::Targeted { cohort, .. } => cohort.modules.get(name)?,
            _ => filled,
        };
        Some(Compared { filled, template })
    }
}

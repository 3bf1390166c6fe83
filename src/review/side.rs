//! One side of a comparison, and what it says of one device.
//!
//! Enters: a fleet with its resolution, and, for what devices have now, their recorded manifests. Leaves:
//! a [`State`] per device.

use super::fields::Compared;
use crate::diagnostic::Diagnostic;
use crate::fleet::Fleet;
use crate::model::{
    Cohort, DeviceId, Facts, Hash, Manifest, Module, ModuleName, Route, RouteName, manifest_hash,
};
use crate::resolve::{Resolution, ResolvedCohort, fill};
use std::collections::{BTreeMap, BTreeSet};

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// What to call it: a revision, or `working tree`.
    pub name: &'a str,
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

impl<'a> Side<'a> {
    /// A side by what files say.
    pub fn of_files(
        name: &'a str,
        fleet: Option<(&'a Fleet, &'a Resolution)>,
        facts: &'a Facts,
        warnings: &'a [Diagnostic],
    ) -> Self {
        Self { name, fleet, facts, warnings, in_force: None }
    }

    /// All devices that it knows.
    pub(super) fn devices(&self) -> BTreeSet<&'a DeviceId> {
        match (self.fleet, self.in_force) {
            (Some((fleet, _)), _) => fleet.devices.keys().collect(),
            (None, Some(in_force)) => in_force.keys().collect(),
            (None, None) => BTreeSet::new(),
        }
    }

    pub(super) fn has(&self, id: &DeviceId) -> bool {
        match (self.fleet, self.in_force) {
            (Some((fleet, _)), _) => fleet.devices.contains_key(id),
            (None, Some(in_force)) => in_force.contains_key(id),
            (None, None) => false,
        }
    }

    /// One hash over all manifests.
    pub(super) fn digest(&self) -> Hash {
        let hashes: Vec<String> = self
            .devices()
            .into_iter()
            .map(|id| match State::of(self, id) {
                State::Targeted { manifest, .. } | State::Recorded(manifest) => {
                    manifest_hash(&manifest).to_string()
                }
                State::Held => format!("{id} can't be filled"),
                State::Empty => format!("{id} has nothing"),
                State::Kept(_) | State::Untargeted | State::Absent => format!("{id} is retained"),
            })
            .collect();
        Hash::of_texts("hoist fleet", hashes.iter().map(String::as_str))
    }
}

/// One hash over all manifests of a fleet.
pub fn fleet_digest(fleet: &Fleet, resolution: &Resolution) -> Hash {
    Side::of_files("", Some((fleet, resolution)), &Facts::none(), &[]).digest()
}

/// What one side says of one device.
pub(super) enum State<'a> {
    /// The side does not have it.
    Absent,
    /// No base targets it: what it has stays, whatever that is.
    Untargeted,
    /// A base targets it, but a template of its manifest can't be filled: what it has stays.
    Held,
    /// Its cohort, with its number, and its manifest.
    Targeted { cohort: &'a ResolvedCohort, index: usize, manifest: Box<Manifest> },
    /// What it has in force, which no revision at hand says.
    Recorded(Box<Manifest>),
    /// What it has in force and keeps: no base targets it any more.
    Kept(Box<Manifest>),
    /// Nothing is in force on it yet.
    Empty,
}

impl<'a> State<'a> {
    pub(super) fn of(side: &Side<'a>, id: &DeviceId) -> Self {
        let said = Self::by_files(side, id);
        let Some(in_force) = side.in_force else { return said };
        match (in_force.get(id), said) {
            (Some(recorded), Self::Targeted { cohort, index, manifest })
                if manifest_hash(recorded) == manifest_hash(&manifest) =>
            {
                Self::Targeted { cohort, index, manifest }
            }
            (Some(recorded), Self::Untargeted) => Self::Kept(Box::new(recorded.clone())),
            (Some(recorded), _) => Self::Recorded(Box::new(recorded.clone())),
            (None, Self::Untargeted) => Self::Untargeted,
            // Without a fleet nobody knows whether it is new.
            (None, Self::Absent) if side.fleet.is_some() => Self::Absent,
            (None, _) => Self::Empty,
        }
    }

    fn by_files(side: &Side<'a>, id: &DeviceId) -> Self {
        let Some((fleet, resolution)) = side.fleet else { return Self::Absent };
        let Some(device) = fleet.devices.get(id) else { return Self::Absent };
        let index = resolution.devices.get(id).and_then(|d| d.cohort);
        let Some((index, cohort)) = index.and_then(|i| Some((i, resolution.cohorts.get(i)?)))
        else {
            return Self::Untargeted;
        };
        match fill(cohort, device) {
            Ok(manifest) => Self::Targeted { cohort, index, manifest: Box::new(manifest) },
            Err(_) => Self::Held,
        }
    }

    pub(super) fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Targeted { manifest, .. } | Self::Recorded(manifest) | Self::Kept(manifest) => {
                Some(manifest)
            }
            Self::Absent | Self::Untargeted | Self::Held | Self::Empty => None,
        }
    }

    pub(super) fn cohort(&self) -> Option<Cohort> {
        self.manifest().map(|manifest| manifest.cohort.clone())
    }

    pub(super) fn modules(&self) -> &BTreeMap<ModuleName, Module> {
        static NONE: BTreeMap<ModuleName, Module> = BTreeMap::new();
        self.manifest().map_or(&NONE, |manifest| &manifest.modules)
    }

    pub(super) fn routes(&self) -> &BTreeMap<RouteName, Route> {
        static NONE: BTreeMap<RouteName, Route> = BTreeMap::new();
        self.manifest().map_or(&NONE, |manifest| &manifest.routes)
    }

    pub(super) fn compared(&self, name: &ModuleName) -> Option<Compared<'_>> {
        let filled = self.modules().get(name)?;
        let template = match self {
            Self::Targeted { cohort, .. } => cohort.modules.get(name)?,
            _ => filled,
        };
        Some(Compared { filled, template })
    }

    /// The number of a cohort whose devices all have the same manifest, but for the device's id.
    pub(super) fn shared(&self) -> Option<usize> {
        match self {
            Self::Targeted { cohort, index, .. } if !cohort.has_templates() => Some(*index),
            _ => None,
        }
    }
}

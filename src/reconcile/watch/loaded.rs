//! A revision as the daemon uses it: read from git, valid, resolved with the facts of the moment.
//!
//! Enters: a repository's folder and a commit. Leaves: a [`Loaded`], or why there is none. Blocking: whoever is
//! asynchronous calls it on a thread of its own. Not here: whether the revision may be used.

use crate::diagnostic::{Diagnostic, Level};
use crate::fleet::{Fleet, side_by_side};
use crate::model::{Device, DeviceId, Facts, Hash, cohort_hash, manifest_hash};
use crate::resolve::{Checked, Resolution, ResolvedCohort, check, fill, resolve};
use crate::review::{EqualCohorts, fleet_digest, have_equal_facts};
use crate::source::{Repository, Revision};
use crate::store::InForce;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A valid revision.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) revision: Revision,
    pub(super) fleet: Arc<Fleet>,
    pub(super) resolution: Arc<Resolution>,
    pub(super) digest: Hash,
    /// What it wants of each of its devices.
    pub(super) wants: Arc<BTreeMap<DeviceId, Wants>>,
}

/// What a revision wants of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wants {
    /// The manifest with this hash.
    Manifest(Hash),
    /// What it has stays: no base targets it.
    Retained,
    /// What it has stays: its manifest can't be filled.
    Unfillable,
}

/// Why a revision is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoadError {
    /// Its files have errors: one line each.
    Invalid(Vec<String>),
    /// Git can't give it.
    Unreadable(String),
}

/// So many manifests are worth a thread of their own.
const WORTH_A_THREAD: usize = 200;

/// So many errors are shown of an invalid revision.
const SHOWN: usize = 10;

/// Reads a revision and resolves it.
///
/// # Errors
/// Git can't give it, or its files have errors.
pub(super) fn load(folder: &Path, id: &str, facts: &Facts) -> Result<Loaded, LoadError> {
    let unreadable = |error: crate::source::SourceError| LoadError::Unreadable(error.to_string());
    let repository = Repository::open(folder).map_err(unreadable)?;
    let revision = repository.resolve(id).map_err(unreadable)?;
    let tree = repository.read(&revision).map_err(unreadable)?;
    let mut checked = check(&tree);
    if !facts.0.is_empty()
        && let Some((fleet, resolution)) = &mut checked.fleet
    {
        *resolution = resolve(fleet, facts);
    }
    taken_up(revision, checked, None)
}

/// A revision that was looked at and resolved. What it wants of devices is taken from `former` where that wants the same.
///
/// # Errors
/// Its files have errors.
pub(super) fn taken_up(
    revision: Revision,
    checked: Checked,
    former: Option<&Loaded>,
) -> Result<Loaded, LoadError> {
    let Checked { fleet, diagnostics } = checked;
    match fleet {
        Some((fleet, resolution)) if !diagnostics.has_errors() => {
            Ok(Loaded::of(revision, Arc::new(fleet), resolution, former))
        }
        _ => {
            let errors = || diagnostics.iter().filter(|d| d.level == Level::Error);
            let mut lines: Vec<String> = errors().take(SHOWN).map(in_a_line).collect();
            let more = errors().count().saturating_sub(SHOWN);
            if more > 0 {
                lines.push(format!("and {more} more errors"));
            }
            Err(LoadError::Invalid(lines))
        }
    }
}

impl Loaded {
    fn of(
        revision: Revision,
        fleet: Arc<Fleet>,
        resolution: Resolution,
        former: Option<&Self>,
    ) -> Self {
        let wants = Arc::new(wants(&fleet, &resolution, former));
        let digest = fleet_digest(&fleet, &resolution);
        Self { revision, fleet, resolution: Arc::new(resolution), digest, wants }
    }

    /// By device: what its manifest has in common with those of others.
    pub(super) fn templates(&self) -> BTreeMap<DeviceId, Hash> {
        let cohorts = self.resolution.cohorts.iter();
        let hashes: Vec<Hash> = cohorts.map(|c| cohort_hash(&c.modules, &c.routes)).collect();
        let all = self.resolution.devices.iter();
        all.filter_map(|(id, device)| Some((id.clone(), hashes[device.cohort?].clone()))).collect()
    }

    /// The same of one device.
    pub(super) fn template_of(&self, device: &DeviceId) -> Option<Hash> {
        let cohort = &self.resolution.cohorts[self.resolution.devices.get(device)?.cohort?];
        Some(cohort_hash(&cohort.modules, &cohort.routes))
    }

    /// Its devices, in order.
    fn devices(&self) -> impl Iterator<Item = OfLoaded<'_>> {
        let resolved = self.resolution.devices.values();
        let all = self.fleet.devices.values().zip(resolved).zip(self.wants.values());
        all.map(|((device, resolved), wants)| {
            let cohort = resolved.cohort.map(|at| (at, &*self.resolution.cohorts[at]));
            OfLoaded { device, cohort, wants }
        })
    }

    /// The same by other facts.
    pub(super) fn resolved(&self, resolution: Resolution) -> Self {
        Self::of(self.revision.clone(), Arc::clone(&self.fleet), resolution, Some(self))
    }

    /// The same revision, its devices reached as a newer one says: an address that is out of date reaches nobody,
    /// and is in no manifest.
    pub(super) fn reached_as(&self, newest: &Fleet) -> Self {
        let reached = |(id, device): (&DeviceId, &Arc<Device>)| match newest.devices.get(id) {
            Some(newer) if !is_reached_alike(device, newer) => Arc::new(Device {
                engine: newer.engine.clone(),
                tls: newer.tls.clone(),
                reachable: newer.reachable,
                formerly: newer.formerly.clone(),
                ..Device::clone(device)
            }),
            _ => Arc::clone(device),
        };
        let is_reached_otherwise = |(id, device): (&DeviceId, &Arc<Device>)| {
            let newer = newest.devices.get(id);
            newer.is_some_and(|newer| !is_reached_alike(device, newer))
        };
        if Arc::ptr_eq(&self.fleet.devices, &newest.devices)
            || !self.fleet.devices.iter().any(is_reached_otherwise)
        {
            return self.clone();
        }
        let devices = Arc::new(self.fleet.devices.iter().map(reached).collect());
        Self { fleet: Arc::new(Fleet { devices, ..Fleet::clone(&self.fleet) }), ..self.clone() }
    }
}

/// What a revision wants of each device. Where it says the same as a former one, and the facts that are filled in are
/// the same, the manifest is the same and not made.
fn wants(
    fleet: &Fleet,
    resolution: &Resolution,
    former: Option<&Loaded>,
) -> BTreeMap<DeviceId, Wants> {
    let mut equal = EqualCohorts::default();
    let mut known = former.into_iter().flat_map(Loaded::devices).peekable();
    let mut all = Vec::with_capacity(fleet.devices.len());
    let mut to_make: Vec<(usize, &ResolvedCohort, &Device)> = Vec::new();
    for (device, signature) in fleet.devices.values().zip(resolution.devices.values()) {
        while known.next_if(|known| known.device.id < device.id).is_some() {}
        let known = known.next_if(|known| known.device.id == device.id);
        let Some(at) = signature.cohort else {
            all.push((device.id.clone(), Wants::Retained));
            continue;
        };
        let cohort = &*resolution.cohorts[at];
        let same = known.filter(|known| {
            known.cohort.is_some_and(|(number, former)| {
                equal.are_equal((number, former), (at, cohort))
                    && have_equal_facts(cohort, known.device, device)
            })
        });
        if same.is_none() {
            to_make.push((all.len(), cohort, device));
        }
        let wants = same.map_or(Wants::Unfillable, |same| same.wants.clone());
        all.push((device.id.clone(), wants));
    }
    let made = side_by_side(to_make, WORTH_A_THREAD, |(at, cohort, device)| {
        let manifest = fill(cohort, device).ok();
        (at, manifest.map(|manifest| Wants::Manifest(manifest_hash(&manifest))))
    });
    for (at, wants) in made {
        all[at].1 = wants.unwrap_or(Wants::Unfillable);
    }
    all.into_iter().collect()
}

/// A device of a revision.
struct OfLoaded<'l> {
    device: &'l Device,
    cohort: Option<(usize, &'l ResolvedCohort)>,
    wants: &'l Wants,
}

/// What a device has at a revision that was found on it.
pub(super) fn in_force(loaded: &Loaded, device: &DeviceId) -> Option<InForce> {
    let manifest = loaded.resolution.manifest(&loaded.fleet, device)?.ok()?;
    let hash = manifest_hash(&manifest);
    Some(InForce::of(&manifest, hash, &loaded.revision.id))
}

fn is_reached_alike(one: &Device, other: &Device) -> bool {
    one.engine == other.engine
        && one.tls == other.tls
        && one.reachable == other.reachable
        && one.formerly == other.formerly
}

fn in_a_line(diagnostic: &Diagnostic) -> String {
    match diagnostic.position() {
        Some((file, line, column)) => format!("{file}:{line}:{column}: {}", diagnostic.message),
        None => diagnostic.message.clone(),
    }
}

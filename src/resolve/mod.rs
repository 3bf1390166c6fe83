//! From a fleet to one manifest per device.
//!
//! Enters: a [`Fleet`] and live [`Facts`]. Leaves: a [`Resolution`]: for every device which deployments
//! target it and what became of each, and for every cohort the merged modules. The merge runs once a
//! cohort; filling templates ([`fill`]) is the only work per device. Pure and total: whatever a fleet
//! holds, there is a resolution, and [`lint`] says what is wrong with it.

mod answers;
mod defaults;
mod explain;
mod fill;
mod lint;
mod merge;
mod provenance;
mod rows;
mod signature;
mod target;

pub use explain::{
    DeploymentExplanation, FieldExplanation, Miss, explain_deployments, explain_fields,
    taken_away_by,
};
pub use fill::{FillError, FilledText, fill};
pub use lint::{
    CheckCache, Checked, check, check_after, check_by_policy, check_loaded, lint_by_facts,
    with_fleet_levels,
};

pub use merge::MergeNote;
pub use provenance::{Setter, SetterKind, Trace, trace};
pub use rows::{Known, KnownDevice, KnownManifest, KnownModule, Rows};
pub use target::{LostBy, Standing, Targeting, is_hit, select};

use crate::fleet::Fleet;
use crate::language::{Condition, Query};
use crate::model::{
    Cohort, Deployment, DeploymentId, DeviceId, Facts, Manifest, Module, ModuleName, Piece, Route,
    RouteName,
};
use answers::Answers;
use signature::Signatures;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which deployments target and apply to every device, and what they merge to.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// Every device of the fleet.
    pub devices: BTreeMap<DeviceId, DeviceResolution>,
    /// What devices that are targeted by the same deployments have in common, for whoever counts.
    pub signatures: Vec<Signature>,
    /// Every cohort that has a device, in the order of base and layers.
    pub cohorts: Vec<ResolvedCohort>,
}

/// The devices that exactly the same deployments target.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The deployments, as of each of the devices.
    pub targeted: Arc<[Targeting]>,
    /// Index of their cohort.
    pub cohort: Option<usize>,
    /// How many devices.
    pub devices: usize,
}

/// What the fleet says for one device.
#[derive(Debug, Clone)]
pub struct DeviceResolution {
    /// The deployments that target it, with what became of each; the base first, then the layers upwards,
    /// then those that are not applied. Shared by all devices that the same ones target.
    pub targeted: Arc<[Targeting]>,
    /// Index of its cohort; `None` where no base targets it: what it has stays in force.
    pub cohort: Option<usize>,
}

/// The devices to which exactly the same deployments apply.
#[derive(Debug, Clone)]
pub struct ResolvedCohort {
    /// Base and layers.
    pub cohort: Cohort,
    /// Its devices, in order.
    pub devices: Vec<DeviceId>,
    /// The finished modules, templates not yet filled.
    pub modules: BTreeMap<ModuleName, Module>,
    /// The routes.
    pub routes: BTreeMap<RouteName, Route>,
    /// What the merge noticed.
    pub notes: Vec<MergeNote>,
    /// The texts that are filled per device.
    pub filled_texts: Vec<FilledText>,
    /// The facts of a device that these texts name, each once.
    pub facts: Vec<Piece>,
    /// The modules with a text of which not every filled form is allowed.
    pub checked_per_device: BTreeSet<ModuleName>,
}

impl ResolvedCohort {
    /// Whether any text is filled per device.
    pub fn has_templates(&self) -> bool {
        !self.filled_texts.is_empty()
    }
}

/// Resolves a fleet. Conditions are evaluated for all devices at once, what becomes of deployments once for
/// all devices that the same ones hit, and the merge runs once a cohort.
pub fn resolve(fleet: &Fleet, facts: &Facts) -> Resolution {
    resolve_with(fleet, &Answers::of(fleet, facts))
}

fn resolve_with(fleet: &Fleet, answers: &Answers) -> Resolution {
    let found = Signatures::of(fleet.devices.len(), &target::hits(fleet, answers));
    let deployments: Vec<&Deployment<Condition, Query>> = fleet.deployments.values().collect();
    let standings: Vec<(Arc<[Targeting]>, Option<Cohort>)> = found
        .all
        .iter()
        .map(|(hits, _)| {
            let hits = hits.iter().map(|hit| deployments[*hit]);
            let (targeted, cohort) = target::select(hits);
            (targeted.into(), cohort)
        })
        .collect();
    let numbers: BTreeSet<&Cohort> = standings.iter().filter_map(|(_, c)| c.as_ref()).collect();
    let numbers: BTreeMap<&Cohort, usize> = numbers.into_iter().zip(0..).collect();
    let signatures: Vec<Signature> = standings
        .iter()
        .zip(&found.all)
        .map(|((targeted, cohort), (_, devices))| Signature {
            targeted: Arc::clone(targeted),
            cohort: cohort.as_ref().map(|cohort| numbers[cohort]),
            devices: *devices,
        })
        .collect();
    let mut members = vec![Vec::new(); numbers.len()];
    let mut devices = Vec::with_capacity(fleet.devices.len());
    for (id, number) in fleet.devices.keys().zip(&found.of_devices) {
        let Signature { targeted, cohort, devices: _ } = &signatures[*number as usize];
        if let Some(cohort) = cohort {
            members[*cohort].push(id.clone());
        }
        let device = DeviceResolution { targeted: Arc::clone(targeted), cohort: *cohort };
        devices.push((id.clone(), device));
    }
    let cohorts = numbers
        .into_keys()
        .zip(members)
        .map(|(cohort, devices)| merge_cohort(fleet, cohort.clone(), devices))
        .collect();
    Resolution { devices: devices.into_iter().collect(), signatures, cohorts }
}

/// Merges the deployments of a cohort and finishes its modules.
pub fn merge_cohort(fleet: &Fleet, cohort: Cohort, devices: Vec<DeviceId>) -> ResolvedCohort {
    let (merged, notes) = merge::merge(fleet, &cohort);
    let modules: BTreeMap<ModuleName, Module> = merged
        .modules
        .into_iter()
        .map(|(name, module)| (name, defaults::finish(module, fleet)))
        .collect();
    let filled_texts = fill::filled_texts(&modules);
    ResolvedCohort {
        cohort,
        devices,
        modules,
        routes: merged.routes,
        notes,
        facts: fill::facts(&filled_texts),
        checked_per_device: fill::checked_per_device(&filled_texts),
        filled_texts,
    }
}

impl Resolution {
    /// On how many devices a deployment stands so that `stands` holds.
    pub fn count(&self, deployment: &DeploymentId, stands: impl Fn(&Standing) -> bool) -> usize {
        let is_so = |t: &Targeting| t.deployment == *deployment && stands(&t.standing);
        let signatures = self.signatures.iter().filter(|s| s.targeted.iter().any(is_so));
        signatures.map(|signature| signature.devices).sum()
    }

    /// The cohort of a device, if a base targets it.
    pub fn cohort_of(&self, device: &DeviceId) -> Option<&ResolvedCohort> {
        self.cohorts.get(self.devices.get(device)?.cohort?)
    }

    /// The manifest of a device; `None` where no base targets it.
    ///
    /// # Errors
    /// A template that can't be filled for it.
    pub fn manifest(
        &self,
        fleet: &Fleet,
        device: &DeviceId,
    ) -> Option<Result<Manifest, Vec<FillError>>> {
        let cohort = self.cohort_of(device)?;
        let device = fleet.devices.get(device)?;
        Some(fill(cohort, device))
    }
}

/// The value of a field as it may be shown: what looks like a credential is masked, also inside lists and tables.
pub fn masked(path: &str, value: &crate::model::Value) -> crate::model::Value {
    lint::masked(path, value)
}

/// Whether a text of a list looks like a credential by the one before it.
pub fn is_credential_after(before: &str, text: &str) -> bool {
    lint::is_credential_after(before, text)
}

/// Whether the value of a field looks like a credential, by the field's path or by its own form.
pub fn is_credential(path: &str, value: &crate::model::Value) -> bool {
    value.as_str().is_some_and(|text| lint::is_credential_at(path, text))
}

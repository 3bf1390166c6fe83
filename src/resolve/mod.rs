//! From a fleet to one manifest per device.
//!
//! Enters: a [`Fleet`] and live [`Facts`]. Leaves: a [`Resolution`]: for every device which deployments
//! target it and what became of each, and for every cohort the merged modules. The merge runs once a
//! cohort; filling templates ([`fill`]) is the only work per device. Pure and total: whatever a fleet
//! holds, there is a resolution, and [`lint`] says what is wrong with it.

mod defaults;
mod explain;
mod fill;
mod lint;
mod merge;
mod provenance;
mod target;

pub use explain::{
    DeploymentExplanation, FieldExplanation, Miss, explain_deployments, explain_fields,
};
pub use fill::{FillError, fill};
pub use lint::{Checked, check, lint, with_fleet_levels};

pub use merge::MergeNote;
pub use provenance::{Setter, SetterKind, Trace, trace};
pub use target::{LostBy, Standing, Targeting};

use crate::fleet::Fleet;
use crate::model::{Cohort, DeviceId, Facts, Manifest, Module, ModuleName, Route, RouteName};
use std::collections::BTreeMap;

/// Which deployments target and apply to every device, and what they merge to.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// Every device of the fleet.
    pub devices: BTreeMap<DeviceId, DeviceResolution>,
    /// Every cohort that has a device, in the order of base and layers.
    pub cohorts: Vec<ResolvedCohort>,
}

/// What the fleet says for one device.
#[derive(Debug, Clone)]
pub struct DeviceResolution {
    /// The deployments that target it, with what became of each; the base first, then the layers upwards,
    /// then those that are not applied.
    pub targeted: Vec<Targeting>,
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
    /// Whether any text holds a template.
    pub has_templates: bool,
}

/// Resolves a fleet.
pub fn resolve(fleet: &Fleet, facts: &Facts) -> Resolution {
    let mut members: BTreeMap<Cohort, Vec<DeviceId>> = BTreeMap::new();
    let mut targetings = BTreeMap::new();
    for (id, device) in &fleet.devices {
        let (targeted, cohort) = target::target(fleet, device, &facts.reported(device));
        if let Some(cohort) = &cohort {
            members.entry(cohort.clone()).or_default().push(id.clone());
        }
        targetings.insert(id.clone(), (targeted, cohort));
    }
    let index: BTreeMap<Cohort, usize> =
        members.keys().enumerate().map(|(i, cohort)| (cohort.clone(), i)).collect();
    let devices = targetings
        .into_iter()
        .map(|(id, (targeted, cohort))| {
            let cohort = cohort.and_then(|cohort| index.get(&cohort).copied());
            (id, DeviceResolution { targeted, cohort })
        })
        .collect();
    let cohorts = members
        .into_iter()
        .map(|(cohort, devices)| {
            let (merged, notes) = merge::merge(fleet, &cohort);
            let modules: BTreeMap<ModuleName, Module> = merged
                .modules
                .into_iter()
                .map(|(name, module)| (name, defaults::finish(module, fleet)))
                .collect();
            let has_templates = fill::has_templates(&modules);
            ResolvedCohort { cohort, devices, modules, routes: merged.routes, notes, has_templates }
        })
        .collect();
    Resolution { devices, cohorts }
}

impl Resolution {
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

/// Whether the value of a field looks like a credential, by the field's path or by its own form.
pub fn is_credential(path: &str, value: &crate::model::Value) -> bool {
    value.as_str().is_some_and(|text| lint::is_credential_at(path, text))
}

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
mod fillable;
mod lint;
mod merge;
mod merges;
mod provenance;
mod rows;
mod signature;
mod standings;
mod target;
mod targeted;

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
pub use standings::{Signature, Standings};
use target::Selected;
pub use target::{LostBy, Standing, Targeting, is_hit, select};

use crate::fleet::Fleet;
use crate::language::{Bitmap, Columns};
use crate::model::{
    Cohort, Device, DeviceId, Facts, Manifest, Module, ModuleName, Piece, Route, RouteName,
};
use answers::Answers;
use fillable::Fillable;
use merges::Merges;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use targeted::Targeted;

/// Which deployments target and apply to every device, and what they merge to.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// How every device of the fleet stands.
    pub devices: Standings,
    /// Every cohort that has a device, in the order of base and layers.
    pub cohorts: Vec<Arc<ResolvedCohort>>,
    /// The properties that conditions name, by which queries find devices fast.
    columns: Arc<Columns>,
    /// The devices that give every fact that their cohort's texts name.
    give_facts: Bitmap,
}

/// The devices to which exactly the same deployments apply.
#[derive(Debug, Clone)]
pub struct ResolvedCohort {
    /// Base and layers.
    pub cohort: Cohort,
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
    /// Whether each of these texts is a template at all.
    pub are_templates: bool,
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
    let answers = Answers::of(fleet, facts);
    resolve_with(fleet, &mut Kept { answers, ..Kept::default() })
}

/// What is kept from one revision to the next, so that the next costs what differs.
#[derive(Debug, Default)]
struct Kept {
    /// What devices reported.
    facts: Facts,
    answers: Answers,
    targeted: Targeted,
    merges: Merges,
    fillable: Fillable,
    looks: lint::Looks,
}

impl Kept {
    /// Goes on to a fleet and what its devices report.
    fn go_on(&mut self, fleet: &Fleet, facts: &Facts) {
        let former = std::mem::take(&mut self.answers);
        self.answers = Answers::after((former, &self.facts), fleet, facts);
        if self.facts != *facts {
            self.facts = facts.clone();
        }
    }
}

fn resolve_with(fleet: &Fleet, kept: &mut Kept) -> Resolution {
    let Kept { facts: _, answers, targeted, merges, fillable, looks: _ } = kept;
    targeted.go_on(fleet, target::hits(fleet, answers));
    let mut by_cohorts: Vec<(&Cohort, usize)> = targeted
        .selected()
        .zip(0..)
        .filter_map(|((selected, _), signature)| Some((selected.cohort.as_ref()?, signature)))
        .collect();
    by_cohorts.sort();
    let alike: Vec<_> = by_cohorts.chunk_by(|(one, _), (other, _)| one == other).collect();
    let cohorts = merges.of(fleet, alike.iter().map(|signatures| signatures[0].0));
    let selected = targeted.selected();
    let mut signatures: Vec<Signature> = selected
        .map(|(Selected { targeted, cohort: _ }, devices)| Signature {
            targeted: Arc::clone(targeted),
            cohort: None,
            devices,
        })
        .collect();
    for (cohort, alike) in alike.into_iter().enumerate() {
        alike.iter().for_each(|(_, signature)| signatures[*signature].cohort = Some(cohort));
    }
    let devices = Standings {
        devices: Arc::clone(&fleet.devices),
        signatures,
        of_devices: Arc::clone(targeted.of_devices()),
    };
    let give_facts = fillable.by_cohorts(&devices, &cohorts);
    Resolution { devices, cohorts, columns: Arc::clone(answers.columns()), give_facts }
}

/// Merges the deployments of a cohort and finishes its modules.
pub fn merge_cohort(fleet: &Fleet, cohort: Cohort) -> ResolvedCohort {
    let (merged, notes) = merge::merge(fleet, &cohort);
    let mut modules: BTreeMap<ModuleName, Module> = merged
        .modules
        .into_iter()
        .map(|(name, module)| (name, defaults::finish(module, &fleet.defaults)))
        .collect();
    let filled_texts = fill::filled_texts(&mut modules);
    ResolvedCohort {
        cohort,
        modules,
        routes: merged.routes,
        notes,
        facts: fill::facts(&filled_texts),
        checked_per_device: fill::checked_per_device(&filled_texts),
        are_templates: filled_texts.iter().all(|text| text.template.is_ok()),
        filled_texts,
    }
}

impl Resolution {
    /// Every cohort with the number of its devices.
    pub fn sized_cohorts(&self) -> impl Iterator<Item = (&ResolvedCohort, usize)> {
        let mut sizes = vec![0; self.cohorts.len()];
        for Signature { cohort, devices, targeted: _ } in self.devices.signatures() {
            if let Some(cohort) = cohort {
                sizes[*cohort] += devices;
            }
        }
        self.cohorts.iter().map(AsRef::as_ref).zip(sizes)
    }

    /// Whether the manifest of a device can be filled, if a base targets it. `number` is the device's.
    pub fn can_fill(&self, number: usize, device: &Device) -> bool {
        let cohort = self.devices.at(number).and_then(|signature| signature.cohort);
        cohort
            .is_none_or(|cohort| self.gives_facts(number) && self.cohorts[cohort].may_fill(device))
    }

    /// Whether a device gives every fact that its cohort's texts name.
    fn gives_facts(&self, number: usize) -> bool {
        self.give_facts.contains(number)
    }

    /// The cohort of a device, if a base targets it.
    pub fn cohort_of(&self, device: &DeviceId) -> Option<&ResolvedCohort> {
        self.cohorts.get(self.devices.get(device)?.cohort?).map(AsRef::as_ref)
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

/// Whether the text of a field looks like a credential, by the field's path or by its own form.
pub fn is_credential(path: &str, text: &str) -> bool {
    lint::is_credential_at(path, text)
}

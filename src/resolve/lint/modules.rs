//! Lints of merged modules: patches of nothing, templates that can't be filled, conflicts in one manifest.

use super::devices;
use super::looks::Looks;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};
use crate::fleet::Fleet;
use crate::model::{Cohort, DeploymentId, Device, DeviceId, Module, ModuleName, Value};
use crate::resolve::merge::last_to_touch;
use crate::resolve::provenance::trace_cohort;
use crate::resolve::{FillError, MergeNote, Resolution, ResolvedCohort, SetterKind, Trace, fill};
use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;

pub(super) fn lint(
    fleet: &Fleet,
    resolution: &Resolution,
    looks: &mut Looks,
    found: &mut Diagnostics,
) {
    lint_notes(fleet, resolution, found);
    let mut seen = Seen::default();
    for (cohort, members) in resolution.cohorts.iter().zip(members(fleet, resolution)) {
        seen.look_at(fleet, cohort, &members, looks);
    }
    let Seen { conflicts, failures, too_large } = seen;
    report_conflicts(fleet, conflicts, found);
    report_failures(fleet, failures, found);
    report_too_large(fleet, too_large, found);
}

fn report_conflicts(fleet: &Fleet, conflicts: BTreeMap<Conflict, usize>, found: &mut Diagnostics) {
    for (conflict, on) in conflicts {
        let place = conflict.place(fleet);
        let Conflict { first, second, what, deployment, .. } = conflict;
        let message = format!("modules \"{first}\" and \"{second}\" {what} on {}", devices(on));
        found.push(
            Diagnostic::new(Code::ManifestConflict, message)
                .at_option(place)
                .of_deployment(deployment)
                .of_module(second)
                .of_path(first)
                .devices(on),
        );
    }
}

fn place_of_module(fleet: &Fleet, id: &DeploymentId, module: &ModuleName) -> Option<Place> {
    Some(fleet.deployments.get(id)?.modules.get(module)?.place.clone())
}

fn lint_notes(fleet: &Fleet, resolution: &Resolution, found: &mut Diagnostics) {
    let mut counts: BTreeMap<&MergeNote, usize> = BTreeMap::new();
    for (cohort, size) in resolution.sized_cohorts() {
        for note in &cohort.notes {
            *counts.entry(note).or_default() += size;
        }
    }
    for (note, count) in counts {
        let on = devices(count);
        let (code, deployment, module, path, message) = match note {
            MergeNote::NoModuleBelow { deployment, module } => (
                Code::PatchOfNothing,
                deployment,
                module,
                "",
                format!("\"{deployment}\" changes module \"{module}\", which isn't there on {on}"),
            ),
            MergeNote::NothingToUnset { deployment, module, path } => (
                Code::PatchOfNothing,
                deployment,
                module,
                path.as_str(),
                format!("there is no `{path}` to unset in module \"{module}\" on {on}"),
            ),
            MergeNote::ReplacesValue { deployment, module, path } => (
                Code::DesiredAtReplacesValue,
                deployment,
                module,
                path.as_str(),
                format!(
                    "the path `{path}` runs through a value that is no table on {on}; it is replaced"
                ),
            ),
            MergeNote::NoImage { deployment, module } => (
                Code::MissingKey,
                deployment,
                module,
                "image",
                format!("module \"{module}\" has no image any more on {on}"),
            ),
        };
        let entry = fleet.deployments.get(deployment).and_then(|d| d.modules.get(module));
        let place = entry.map(|entry| match note {
            MergeNote::NothingToUnset { path, .. } => {
                entry.place_of(&format!("unset.{path}")).clone()
            }
            MergeNote::ReplacesValue { path, .. } => {
                entry.place_of(&format!("desired-at.{path}")).clone()
            }
            MergeNote::NoModuleBelow { .. } | MergeNote::NoImage { .. } => entry.place.clone(),
        });
        found.push(
            Diagnostic::new(code, message)
                .at_option(place)
                .of_deployment(deployment)
                .of_module(module)
                .of_path(path)
                .devices(count),
        );
    }
}

/// Two modules of one manifest that want the same thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Conflict {
    first: ModuleName,
    second: ModuleName,
    what: String,
    /// The deployment that brought it about, and the field of one of the two by which it did; none where no
    /// key says it.
    deployment: DeploymentId,
    field: Option<(ModuleName, &'static str)>,
}

impl Conflict {
    fn place(&self, fleet: &Fleet) -> Option<Place> {
        let Some((module, path)) = &self.field else {
            return place_of_module(fleet, &self.deployment, &self.second);
        };
        let entry = fleet.deployments.get(&self.deployment)?.modules.get(module)?;
        Some(entry.place_of(path).clone())
    }
}

/// What is found in filled manifests, before it is counted over all cohorts.
#[derive(Default)]
struct Seen {
    conflicts: BTreeMap<Conflict, usize>,
    failures: BTreeMap<Failure, Vec<DeviceId>>,
    /// Whose desired properties, last touched by whom, → their largest size and the number of devices.
    too_large: BTreeMap<(DeploymentId, ModuleName), (usize, usize)>,
}

/// A text that can't be filled, where it stands, and why.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    deployment: Option<DeploymentId>,
    module: ModuleName,
    path: String,
    words: String,
    help: &'static str,
}

/// Largest desired properties of one module as JSON, in bytes.
const LARGEST_DESIRED: usize = 32 << 10;

/// The devices of a cohort.
#[derive(Clone, Default)]
struct Members<'f> {
    /// How many there are whose manifests differ only in texts that may be any.
    alike: usize,
    /// The others, in the order of their ids.
    others: Vec<&'f Arc<Device>>,
}

/// The devices of each cohort.
fn members<'f>(fleet: &'f Fleet, resolution: &Resolution) -> Vec<Members<'f>> {
    let any_text: Vec<bool> =
        resolution.cohorts.iter().map(|cohort| cohort.may_be_any_texts()).collect();
    let mut all = vec![Members::default(); resolution.cohorts.len()];
    for (number, signature) in resolution.devices.values().enumerate() {
        let Some(cohort) = signature.cohort else { continue };
        // Of most devices nothing is looked at.
        if any_text[cohort] && resolution.gives_facts(number) {
            all[cohort].alike += 1;
        } else {
            all[cohort].others.extend(fleet.devices.at(number));
        }
    }
    all
}

/// The device if it is the next of some, which are in the order of their ids too; those before it are left out.
fn next_same(
    devices: &mut Peekable<impl Iterator<Item = Arc<Device>>>,
    device: &Arc<Device>,
) -> Option<Arc<Device>> {
    let is_before = |other: &Arc<Device>| !Arc::ptr_eq(other, device) && other.id < device.id;
    while devices.next_if(is_before).is_some() {}
    devices.next_if(|other| Arc::ptr_eq(other, device))
}

impl Seen {
    fn look_at(
        &mut self,
        fleet: &Fleet,
        cohort: &Arc<ResolvedCohort>,
        members: &Members<'_>,
        looks: &mut Looks,
    ) {
        let Members { alike, others } = members;
        let traces = LazyCell::new(|| trace_cohort(fleet, &cohort.cohort));
        let mut fine = std::mem::take(&mut looks.of(cohort).fine).into_iter().peekable();
        let mut are_fine = Vec::new();
        for device in others {
            if let Some(device) = next_same(&mut fine, device) {
                are_fine.push(device);
                continue;
            }
            match fill(cohort, device) {
                Ok(manifest) => {
                    let found =
                        OfManifest::of(fleet, &cohort.cohort, &manifest.modules, &|| &traces);
                    if found.is_nothing() {
                        are_fine.push(Arc::clone(device));
                    }
                    self.count(&found, 1);
                }
                Err(errors) => {
                    for error in errors {
                        let failure = Failure::of(fleet, cohort, error);
                        self.failures.entry(failure).or_default().push(device.id.clone());
                    }
                }
            }
        }
        looks.of(cohort).fine = are_fine;
        if *alike > 0 {
            // Nothing that is looked at is filled in them.
            let look = || OfManifest::of(fleet, &cohort.cohort, &cohort.modules, &|| &traces);
            let found = looks.of(cohort).of_manifests.get_or_insert_with(look);
            self.count(found, *alike);
        }
    }

    /// `times`: on how many devices that is found.
    fn count(&mut self, found: &OfManifest, times: usize) {
        for conflict in &found.conflicts {
            *self.conflicts.entry(conflict.clone()).or_default() += times;
        }
        for (deployment, module, size) in &found.too_large {
            let of = (deployment.clone(), module.clone());
            let (largest, count) = self.too_large.entry(of).or_default();
            *largest = (*size).max(*largest);
            *count += times;
        }
    }
}

/// What is found in one manifest.
#[derive(Debug)]
pub(super) struct OfManifest {
    conflicts: Vec<Conflict>,
    /// Whose desired properties are too large, last touched by whom, and their size.
    too_large: Vec<(DeploymentId, ModuleName, usize)>,
}

impl OfManifest {
    fn is_nothing(&self) -> bool {
        self.conflicts.is_empty() && self.too_large.is_empty()
    }

    fn of<'a>(
        fleet: &Fleet,
        cohort: &Cohort,
        modules: &BTreeMap<ModuleName, Module>,
        traces: &dyn Fn() -> &'a Traces,
    ) -> Self {
        let size =
            |module: &Module| Value::Table(module.desired.clone()).to_json().to_string().len();
        let sizes = modules.iter().map(|(name, module)| (name, size(module)));
        let too_large = sizes
            .filter(|(_, size)| *size > LARGEST_DESIRED)
            .map(|(name, size)| (last_to_touch(fleet, cohort, name).clone(), name.clone(), size));
        let conflicts = conflicts_of(fleet, cohort, modules, traces);
        Self { conflicts, too_large: too_large.collect() }
    }
}

impl Failure {
    fn of(fleet: &Fleet, cohort: &ResolvedCohort, error: FillError) -> Self {
        let words = error.to_string();
        let FillError { module, path, reason } = error;
        let traces = trace_cohort(fleet, &cohort.cohort);
        let deployment = traces.get(&module).and_then(|trace| match trace.winner(&path).kind {
            SetterKind::Deployment(id) => Some(id),
            SetterKind::Defaults | SetterKind::BuiltIn => None,
        });
        Self { deployment, module, path, words, help: reason.help() }
    }

    fn place(&self, fleet: &Fleet) -> Option<Place> {
        let Some(id) = &self.deployment else {
            return Some(fleet.default_places.get(&self.path)?.clone());
        };
        let entry = fleet.deployments.get(id)?.modules.get(&self.module)?;
        let at = self.path.replacen("desired.", "desired-at.", 1);
        let place = entry.places.get(&self.path).or_else(|| entry.places.get(&at));
        Some(place.unwrap_or_else(|| entry.place_of(&self.path)).clone())
    }
}

fn report_failures(
    fleet: &Fleet,
    failures: BTreeMap<Failure, Vec<DeviceId>>,
    found: &mut Diagnostics,
) {
    for (failure, mut on) in failures {
        on.sort();
        let place = failure.place(fleet);
        let Failure { deployment, module, path, words, help } = failure;
        let shown: Vec<&str> = on.iter().take(5).map(DeviceId::as_str).collect();
        let more = if on.len() > 5 { ", …" } else { "" };
        let message = format!(
            "{words}: `{path}` of module \"{module}\" can't be filled on {} ({}{more})",
            devices(on.len()),
            shown.join(", ")
        );
        let mut diagnostic = Diagnostic::new(Code::BadTemplate, message)
            .at_option(place)
            .of_module(&module)
            .of_path(&path)
            .devices(on.len())
            .help(help);
        if let Some(id) = deployment {
            diagnostic = diagnostic.of_deployment(id);
        }
        found.push(diagnostic);
    }
}

fn report_too_large(
    fleet: &Fleet,
    too_large: BTreeMap<(DeploymentId, ModuleName), (usize, usize)>,
    found: &mut Diagnostics,
) {
    for ((id, module), (size, count)) in too_large {
        let message = format!(
            "the merged desired properties of module \"{module}\" have {size} bytes as JSON on {}; \
             at most {LARGEST_DESIRED} are allowed",
            devices(count)
        );
        found.push(
            Diagnostic::new(Code::TooLarge, message)
                .at_option(place_of_module(fleet, &id, &module))
                .of_deployment(&id)
                .of_module(&module)
                .devices(count),
        );
    }
}

/// Who set the fields of each module.
type Traces = BTreeMap<ModuleName, Trace>;

/// `traces` are those of the cohort; they are only asked for where there is a conflict.
fn conflicts_of<'a>(
    fleet: &Fleet,
    cohort: &Cohort,
    modules: &BTreeMap<ModuleName, Module>,
    traces: &dyn Fn() -> &'a Traces,
) -> Vec<Conflict> {
    let modules: Vec<(&ModuleName, &Module)> = modules.iter().collect();
    let mut conflicts = Vec::new();
    for (i, (first, a)) in modules.iter().enumerate() {
        for (second, b) in &modules[i + 1..] {
            for (path, what) in shared_things((first, a), (second, b)) {
                let by = path.and_then(|path| last_to_set(cohort, traces(), [second, first], path));
                let (deployment, field) = match by {
                    Some((deployment, module)) => (deployment, Some(module).zip(path)),
                    None => (last_to_touch(fleet, cohort, second).clone(), None),
                };
                conflicts.push(Conflict {
                    first: (*first).clone(),
                    second: (*second).clone(),
                    what,
                    deployment,
                    field,
                });
            }
        }
    }
    conflicts
}

/// Of the deployments that set a field of two modules the one that applies last, and whose field it is; of one
/// deployment the first of the two.
fn last_to_set(
    cohort: &Cohort,
    traces: &Traces,
    modules: [&ModuleName; 2],
    path: &str,
) -> Option<(DeploymentId, ModuleName)> {
    let setters = modules.into_iter().filter_map(|module| {
        let SetterKind::Deployment(id) = traces.get(module)?.winner(path).kind else { return None };
        let rank = cohort.layers.iter().position(|layer| *layer == id).map_or(0, |at| at + 1);
        Some((rank, id, module.clone()))
    });
    // `max_by_key` takes the last of equal ones.
    let (_, id, module) = setters.rev().max_by_key(|(rank, ..)| *rank)?;
    Some((id, module))
}

/// What two modules both want: the key that says so, if it is one key, and words.
fn shared_things(
    a: (&ModuleName, &Module),
    b: (&ModuleName, &Module),
) -> Vec<(Option<&'static str>, String)> {
    let ((first, a), (second, b)) = (a, b);
    let mut shared = Vec::new();
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    for port in &a.ports {
        let clash = b.ports.iter().any(|other| {
            other.host == port.host
                && other.protocol == port.protocol
                && (other.ip == port.ip || any(&other.ip) || any(&port.ip))
        });
        if clash {
            let words = format!("both publish port {}/{}", port.host, port.protocol);
            shared.push((Some("ports"), words));
        }
    }
    if first.as_str().eq_ignore_ascii_case(second.as_str()) {
        let words = "have one network alias: names are compared without case there";
        shared.push((None, words.to_owned()));
    }
    for device in &a.host_devices {
        if is_exclusive(&device.host)
            && b.host_devices.iter().any(|other| other.host == device.host)
        {
            let words = format!("both take the host device {}", device.host);
            shared.push((Some("host-devices"), words));
        }
    }
    shared
}

/// Device nodes that only one process can use at a time.
fn is_exclusive(path: &str) -> bool {
    ["/dev/video", "/dev/ttyUSB", "/dev/ttyACM", "/dev/ttyS", "/dev/ttyAMA", "/dev/serial/"]
        .iter()
        .any(|start| path.starts_with(start))
}

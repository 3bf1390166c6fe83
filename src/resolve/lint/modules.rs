//! Lints of merged modules: patches of nothing, templates that can't be filled, conflicts in one manifest.

use super::devices;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};
use crate::fleet::Fleet;
use crate::model::{DeploymentId, Device, DeviceId, Manifest, Module, ModuleName, Value};
use crate::resolve::merge::last_to_touch;
use crate::resolve::provenance::trace_cohort;
use crate::resolve::{
    FillError, FilledText, MergeNote, Resolution, ResolvedCohort, SetterKind, fill,
};
use std::collections::BTreeMap;

pub(super) fn lint(fleet: &Fleet, resolution: &Resolution, found: &mut Diagnostics) {
    lint_notes(fleet, resolution, found);
    let mut seen = Seen::default();
    for cohort in &resolution.cohorts {
        seen.look_at(fleet, cohort);
    }
    let Seen { conflicts, failures, too_large } = seen;
    report_conflicts(fleet, conflicts, found);
    report_failures(fleet, failures, found);
    report_too_large(fleet, too_large, found);
}

fn report_conflicts(fleet: &Fleet, conflicts: BTreeMap<Conflict, usize>, found: &mut Diagnostics) {
    for (conflict, on) in conflicts {
        let Conflict { first, second, what, deployment } = conflict;
        let message = format!("modules \"{first}\" and \"{second}\" {what} on {}", devices(on));
        found.push(
            Diagnostic::new(Code::ManifestConflict, message)
                .at_option(place_of_module(fleet, &deployment, &second))
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
    for cohort in &resolution.cohorts {
        for note in &cohort.notes {
            *counts.entry(note).or_default() += cohort.devices.len();
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
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Conflict {
    first: ModuleName,
    second: ModuleName,
    what: String,
    deployment: DeploymentId,
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
}

/// Largest desired properties of one module as JSON, in bytes.
const LARGEST_DESIRED: usize = 32 << 10;

impl Seen {
    fn look_at(&mut self, fleet: &Fleet, cohort: &ResolvedCohort) {
        // Of devices whose manifests differ only in texts that may be any, one stands for all.
        let mut alike: Option<(&Device, usize)> = None;
        let any_text = cohort.filled_texts.iter().all(FilledText::may_be_any_text);
        for id in &cohort.devices {
            let Some(device) = fleet.devices.get(id) else { continue };
            if any_text && can_fill(cohort, device) {
                alike.get_or_insert((device, 0)).1 += 1;
                continue;
            }
            match fill(cohort, device) {
                Ok(manifest) => self.look_at_manifest(fleet, &manifest, 1),
                Err(errors) => {
                    for error in errors {
                        let failure = Failure::of(fleet, cohort, error);
                        self.failures.entry(failure).or_default().push(id.clone());
                    }
                }
            }
        }
        if let Some((device, times)) = alike
            && let Ok(manifest) = fill(cohort, device)
        {
            self.look_at_manifest(fleet, &manifest, times);
        }
    }

    /// `times`: on how many devices the manifest is the same.
    fn look_at_manifest(&mut self, fleet: &Fleet, manifest: &Manifest, times: usize) {
        for conflict in conflicts_of(fleet, manifest) {
            *self.conflicts.entry(conflict).or_default() += times;
        }
        for (name, module) in &manifest.modules {
            let size = Value::Table(module.desired.clone()).to_json().to_string().len();
            if size > LARGEST_DESIRED {
                let deployment = last_to_touch(fleet, &manifest.cohort, name).clone();
                let (largest, count) =
                    self.too_large.entry((deployment, name.clone())).or_default();
                *largest = size.max(*largest);
                *count += times;
            }
        }
    }
}

fn can_fill(cohort: &ResolvedCohort, device: &Device) -> bool {
    let fills = |text: &FilledText| {
        text.template.as_ref().is_ok_and(|template| template.check(device).is_ok())
    };
    cohort.filled_texts.iter().all(fills)
}

impl Failure {
    fn of(fleet: &Fleet, cohort: &ResolvedCohort, error: FillError) -> Self {
        let words = error.to_string();
        let FillError { module, path, reason: _ } = error;
        let traces = trace_cohort(fleet, &cohort.cohort);
        let deployment = traces.get(&module).and_then(|trace| match trace.winner(&path).kind {
            SetterKind::Deployment(id) => Some(id),
            SetterKind::Defaults | SetterKind::BuiltIn => None,
        });
        Self { deployment, module, path, words }
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
        let Failure { deployment, module, path, words } = failure;
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
            .help("give the devices the tag, or the template a default: `${device.tags.PATH:-default}`");
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

fn conflicts_of(fleet: &Fleet, manifest: &Manifest) -> Vec<Conflict> {
    let modules: Vec<(&ModuleName, &Module)> = manifest.modules.iter().collect();
    let mut conflicts = Vec::new();
    for (i, (first, a)) in modules.iter().enumerate() {
        for (second, b) in &modules[i + 1..] {
            for what in shared_things((first, a), (second, b)) {
                conflicts.push(Conflict {
                    first: (*first).clone(),
                    second: (*second).clone(),
                    what,
                    deployment: last_to_touch(fleet, &manifest.cohort, second).clone(),
                });
            }
        }
    }
    conflicts
}

fn shared_things(a: (&ModuleName, &Module), b: (&ModuleName, &Module)) -> Vec<String> {
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
            shared.push(format!("both publish port {}/{}", port.host, port.protocol));
        }
    }
    if first.as_str().eq_ignore_ascii_case(second.as_str()) {
        shared.push("have one network alias: names are compared without case there".to_owned());
    }
    for device in &a.host_devices {
        if is_exclusive(&device.host)
            && b.host_devices.iter().any(|other| other.host == device.host)
        {
            shared.push(format!("both take the host device {}", device.host));
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

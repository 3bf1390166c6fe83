//! The merge of a base and its layers, from the base upwards.

use crate::fleet::Fleet;
use crate::language::{Condition, Query};
use crate::model::{
    Cohort, Deployment, DeploymentId, EntryKind, ModuleEntry, ModuleName, ModuleSettings, Route,
    RouteName, Table, UnsetPath,
};
use std::collections::BTreeMap;

/// What a merge noticed. It changes nothing; lints are made of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MergeNote {
    /// A patch or twin-only entry for a module that no lower layer has.
    NoModuleBelow {
        /// Whose entry.
        deployment: DeploymentId,
        /// Of which module.
        module: ModuleName,
    },
    /// An `unset` of something that is not there.
    NothingToUnset {
        /// Whose entry.
        deployment: DeploymentId,
        /// Of which module.
        module: ModuleName,
        /// Of what.
        path: String,
    },
    /// A `desired-at` path that runs through a value that is no table.
    ReplacesValue {
        /// Whose entry.
        deployment: DeploymentId,
        /// Of which module.
        module: ModuleName,
        /// The whole path.
        path: String,
    },
    /// An `unset` took the image away and nothing gave another.
    NoImage {
        /// Who touched the module last.
        deployment: DeploymentId,
        /// Which module.
        module: ModuleName,
    },
}

/// The merged, not yet finished content of a cohort.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) modules: BTreeMap<ModuleName, MergedModule>,
    pub(super) routes: BTreeMap<RouteName, Route>,
}

/// A module as the layers leave it, before defaults.
#[derive(Debug, Default)]
pub(super) struct MergedModule {
    pub(super) settings: ModuleSettings,
    pub(super) desired: Table,
}

/// Merges the deployments of a cohort.
pub(super) fn merge(fleet: &Fleet, cohort: &Cohort) -> (Merged, Vec<MergeNote>) {
    let mut merged = Merged::default();
    let mut notes = Vec::new();
    for id in std::iter::once(&cohort.base).chain(&cohort.layers) {
        if let Some(deployment) = fleet.deployments.get(id) {
            apply(&mut merged, deployment, &mut notes);
        }
    }
    drop_modules_without_image(fleet, &mut merged, cohort, &mut notes);
    (merged, notes)
}

fn apply(
    merged: &mut Merged,
    deployment: &Deployment<Condition, Query>,
    notes: &mut Vec<MergeNote>,
) {
    for (name, entry) in &deployment.modules {
        let exists = merged.modules.contains_key(name);
        if entry.kind != EntryKind::Whole && !exists {
            let (deployment, module) = (deployment.id.clone(), name.clone());
            notes.push(MergeNote::NoModuleBelow { deployment, module });
            continue;
        }
        let module = merged.modules.entry(name.clone()).or_default();
        let mut noted = Noted { deployment: &deployment.id, module: name, notes };
        match entry.kind {
            EntryKind::Whole => module.settings = entry.settings.clone(),
            EntryKind::Patch => {
                unset(module, &entry.unset, &mut noted);
                patch(&mut module.settings, &entry.settings);
            }
            EntryKind::TwinOnly => unset(module, &entry.unset, &mut noted),
        }
        merge_twin(module, entry, &mut noted);
    }
    for (name, route) in &deployment.routes {
        merged.routes.insert(name.clone(), route.clone());
    }
}

/// A place to note something about one entry.
struct Noted<'a> {
    deployment: &'a DeploymentId,
    module: &'a ModuleName,
    notes: &'a mut Vec<MergeNote>,
}

/// The twin merges by its own rule: `desired` replaces all that is below, then `desired-at` sets values.
fn merge_twin(module: &mut MergedModule, entry: &ModuleEntry, noted: &mut Noted<'_>) {
    if let Some(desired) = &entry.desired {
        module.desired = desired.clone();
    }
    for (path, value) in &entry.desired_at {
        let segments: Vec<&str> = path.split('.').collect();
        if module.desired.set_at(&segments, value.clone()) {
            noted.notes.push(MergeNote::ReplacesValue {
                deployment: noted.deployment.clone(),
                module: noted.module.clone(),
                path: path.clone(),
            });
        }
    }
}

fn unset(module: &mut MergedModule, paths: &[UnsetPath], noted: &mut Noted<'_>) {
    for UnsetPath(path) in paths {
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        if !unset_one(module, &segments) {
            noted.notes.push(MergeNote::NothingToUnset {
                deployment: noted.deployment.clone(),
                module: noted.module.clone(),
                path: path.join("."),
            });
        }
    }
}

/// Takes a field away; says whether it was there.
fn unset_one(module: &mut MergedModule, path: &[&str]) -> bool {
    let settings = &mut module.settings;
    match path {
        ["env", key] => settings.env.as_mut().is_some_and(|m| m.remove(*key).is_some()),
        ["labels", key @ ..] if !key.is_empty() => {
            settings.labels.as_mut().is_some_and(|m| m.remove(&key.join(".")).is_some())
        }
        ["extra-hosts", key @ ..] if !key.is_empty() => {
            settings.extra_hosts.as_mut().is_some_and(|m| m.remove(&key.join(".")).is_some())
        }
        ["create-options", rest @ ..] if !rest.is_empty() => {
            settings.create_options.as_mut().is_some_and(|table| table.remove_at(rest).is_some())
        }
        ["desired"] => !std::mem::take(&mut module.desired).is_empty(),
        ["desired", rest @ ..] => module.desired.remove_at(rest).is_some(),
        [key] => unset_key(settings, key),
        _ => false,
    }
}

/// Takes one whole key away. Exhaustive: a new key must be decided here.
fn unset_key(settings: &mut ModuleSettings, key: &str) -> bool {
    macro_rules! keys {
        ($($field:ident = $key:literal,)*) => {{
            let ModuleSettings { $($field,)* } = settings;
            match key {
                $($key => $field.take().is_some(),)*
                _ => false,
            }
        }};
    }
    keys! {
        image = "image", version = "version", status = "status",
        restart_policy = "restart-policy", image_pull_policy = "image-pull-policy",
        startup_order = "startup-order", stop_timeout = "stop-timeout", probation = "probation",
        keep_previous = "keep-previous", command = "command", entrypoint = "entrypoint",
        user = "user", hostname = "hostname", ports = "ports", volumes = "volumes",
        tmpfs = "tmpfs", host_devices = "host-devices", networks = "networks",
        network_mode = "network-mode", extra_hosts = "extra-hosts", memory = "memory",
        cpus = "cpus", shm_size = "shm-size", gpus = "gpus", privileged = "privileged",
        cap_add = "cap-add", cap_drop = "cap-drop", read_only = "read-only", init = "init",
        log = "log", health = "health", labels = "labels", env = "env",
        create_options = "create-options", router = "router",
    }
}

/// Lays the keys that a patch gives over those below: maps by key, create-options deep, the rest whole.
/// Exhaustive: a new key must be decided here.
fn patch(below: &mut ModuleSettings, patch: &ModuleSettings) {
    macro_rules! whole {
        ($($field:ident,)* ; $($map:ident,)*) => {{
            let ModuleSettings { $($field,)* $($map,)* create_options } = patch;
            $(if let Some(value) = $field { below.$field = Some(value.clone()); })*
            $(if let Some(map) = $map {
                let entries = map.iter().map(|(key, value)| (key.clone(), value.clone()));
                below.$map.get_or_insert_default().extend(entries);
            })*
            if let Some(table) = create_options {
                below.create_options.get_or_insert_default().overlay(table);
            }
        }};
    }
    whole! {
        image, version, status, restart_policy, image_pull_policy, startup_order, stop_timeout,
        probation, keep_previous, command, entrypoint, user, hostname, ports, volumes, tmpfs,
        host_devices, networks, network_mode, memory, cpus, shm_size, gpus, privileged, cap_add,
        cap_drop, read_only, init, log, health, router, ; extra_hosts, labels, env,
    }
    // One of the two says where a module is; the upper one wins whole.
    if patch.networks.is_some() {
        below.network_mode = None;
    } else if patch.network_mode.is_some() {
        below.networks = None;
    }
}

/// The uppermost deployment of a cohort that says something about a module.
pub(super) fn last_to_touch<'a>(
    fleet: &Fleet,
    cohort: &'a Cohort,
    module: &ModuleName,
) -> &'a DeploymentId {
    let touches = |id: &&DeploymentId| {
        fleet.deployments.get(*id).is_some_and(|d| d.modules.contains_key(module))
    };
    cohort.layers.iter().rfind(touches).unwrap_or(&cohort.base)
}

fn drop_modules_without_image(
    fleet: &Fleet,
    merged: &mut Merged,
    cohort: &Cohort,
    notes: &mut Vec<MergeNote>,
) {
    merged.modules.retain(|name, module| {
        let has_image = module.settings.image.is_some();
        if !has_image {
            let deployment = last_to_touch(fleet, cohort, name).clone();
            let module = name.clone();
            notes.push(MergeNote::NoImage { deployment, module });
        }
        has_image
    });
}

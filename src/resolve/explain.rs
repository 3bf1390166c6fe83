//! Why a device has what it has: every deployment with what became of it, every field with who set it.

use super::{Resolution, Setter, SetterKind, Standing, trace};
use crate::fleet::Fleet;
use crate::language::{Leaf, NearestMiss, Subject};
use crate::model::{
    DeploymentId, DeploymentKind, Device, DeviceId, Facts, Manifest, Module, ModuleName, Value,
    route_value,
};
use std::collections::BTreeMap;

/// What became of one deployment on one device.
#[derive(Debug, Clone)]
pub struct DeploymentExplanation {
    /// Which.
    pub id: DeploymentId,
    /// Its kind, as files write it.
    pub kind: &'static str,
    /// Its priority.
    pub priority: i32,
    /// What became of it.
    pub outcome: Result<Standing, Miss>,
}

/// Why a deployment does not target a device.
#[derive(Debug, Clone)]
pub enum Miss {
    /// It has no target.
    NoTarget,
    /// It is for another device.
    OtherDevice(DeviceId),
    /// Its condition is not met.
    Condition {
        /// The part that decided, with the device's value.
        decided: Leaf,
        /// The properties that would have to be different; `None` where none were found.
        nearest: Option<NearestMiss>,
    },
}

/// One field of a manifest and who set it, the winner last.
#[derive(Debug, Clone)]
pub struct FieldExplanation {
    /// In which module; `None` for a route.
    pub module: Option<ModuleName>,
    /// Its path; `routes.NAME` of a route.
    pub path: String,
    /// Its value.
    pub value: Value,
    /// All who set it.
    pub setters: Vec<Setter>,
}

impl FieldExplanation {
    /// Its path in the manifest, with the module before it.
    pub fn full_path(&self) -> String {
        match &self.module {
            Some(module) => format!("{module}.{}", self.path),
            None => self.path.clone(),
        }
    }

    /// Whether somebody who asks for a path means it: `camera.env.LEVEL` itself, all of `camera.env` and
    /// `camera`, or `env.LEVEL` of any module.
    pub fn lies_at(&self, asked: &str) -> bool {
        let below = |path: &str| {
            path.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        below(&self.full_path()) || below(&self.path)
    }

    /// Whether what is asked for is a part of its value, such as `camera.log.max-size`.
    pub fn holds(&self, asked: &str) -> bool {
        [self.full_path(), self.path.clone()].iter().any(|path| {
            let inner = asked.strip_prefix(path.as_str()).and_then(|rest| rest.strip_prefix('.'));
            let keys: Vec<&str> = inner.map(|inner| inner.split('.').collect()).unwrap_or_default();
            self.value.as_table().is_some_and(|table| Value::lookup(table, &keys).is_some())
        })
    }
}

/// Every deployment of the fleet for one device: the targeting ones first and in order.
pub fn explain_deployments(
    fleet: &Fleet,
    resolution: &Resolution,
    facts: &Facts,
    device: &Device,
) -> Vec<DeploymentExplanation> {
    let targeted = resolution.devices.get(&device.id).map(|d| &*d.targeted).unwrap_or_default();
    let reported = facts.reported(device);
    let subject = Subject { device, reported: &reported };
    let explanation = |id: &DeploymentId, outcome| {
        fleet.deployments.get(id).map(|deployment| DeploymentExplanation {
            id: id.clone(),
            kind: deployment.kind.as_str(),
            priority: deployment.priority,
            outcome,
        })
    };
    let hits = targeted.iter().filter_map(|t| explanation(&t.deployment, Ok(t.standing.clone())));
    let misses = fleet.deployments.iter().filter_map(|(id, deployment)| {
        if targeted.iter().any(|t| t.deployment == *id) {
            return None;
        }
        let miss = match &deployment.kind {
            DeploymentKind::Device { device, .. } => Miss::OtherDevice(device.clone()),
            DeploymentKind::Automatic(target) | DeploymentKind::Layered(target) => {
                match &target.condition {
                    None => Miss::NoTarget,
                    Some(condition) => Miss::Condition {
                        decided: condition.explain(subject)?,
                        nearest: condition.nearest_miss(subject),
                    },
                }
            }
        };
        explanation(id, Err(miss))
    });
    hits.chain(misses).collect()
}

/// Every field of a manifest with who set it: those of its modules, of which `fields` gives the values by
/// path, then its routes.
pub fn explain_fields(
    fleet: &Fleet,
    manifest: &Manifest,
    fields: impl Fn(&Module) -> BTreeMap<String, Value>,
) -> Vec<FieldExplanation> {
    let traces = trace(fleet, manifest);
    let mut all = Vec::new();
    for (name, module) in &manifest.modules {
        let Some(trace) = traces.get(name) else { continue };
        for (path, value) in fields(module) {
            let setters = trace.setters(&path);
            all.push(FieldExplanation { module: Some(name.clone()), path, value, setters });
        }
    }
    let applied = || std::iter::once(&manifest.cohort.base).chain(&manifest.cohort.layers);
    for (name, route) in &manifest.routes {
        let setters = applied().filter_map(|id| {
            let said = fleet.deployments.get(id)?.routes.get(name)?;
            let kind = SetterKind::Deployment(id.clone());
            Some(Setter { kind, place: Some(said.place.clone()) })
        });
        all.push(FieldExplanation {
            module: None,
            path: format!("routes.{name}"),
            value: route_value(route),
            setters: setters.collect(),
        });
    }
    all
}

/// Who takes a field away, given by its path in the manifest (`camera.env.DEBUG`): the last `unset` of it,
/// or of what holds it, in a deployment that applies.
pub fn taken_away_by(fleet: &Fleet, manifest: &Manifest, path: &str) -> Option<Setter> {
    let (module, field) = path.split_once('.')?;
    let applied = std::iter::once(&manifest.cohort.base).chain(&manifest.cohort.layers);
    let mut unsets = applied.filter_map(|id| {
        let (_, entry) =
            fleet.deployments.get(id)?.modules.iter().find(|(name, _)| name.as_str() == module)?;
        let unset = entry.unset.iter().map(|path| path.0.join(".")).find(|unset| {
            field.strip_prefix(unset.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('.'))
        })?;
        let place = Some(entry.place_of(&format!("unset.{unset}")).clone());
        Some(Setter { kind: SetterKind::Deployment(id.clone()), place })
    });
    unsets.next_back()
}

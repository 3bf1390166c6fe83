//! Why a device has what it has: every deployment with what became of it, every field with who set it.

use super::{Resolution, Setter, Standing, trace};
use crate::fleet::Fleet;
use crate::language::{Leaf, Subject};
use crate::model::{DeploymentId, DeploymentKind, Device, DeviceId, Facts, Manifest, ModuleName};

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
    /// Its condition is not met: the part that decided, with the device's value.
    Condition(Leaf),
}

/// One field of a manifest and who set it, the winner last.
#[derive(Debug, Clone)]
pub struct FieldExplanation {
    /// In which module.
    pub module: ModuleName,
    /// Its path.
    pub path: String,
    /// Its value, as one line.
    pub value: String,
    /// All who set it.
    pub setters: Vec<Setter>,
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
                    Some(condition) => Miss::Condition(condition.explain(subject)?),
                }
            }
        };
        explanation(id, Err(miss))
    });
    hits.chain(misses).collect()
}

/// Every field of a manifest with who set it; `only` narrows it to a path such as `camera.env`.
pub fn explain_fields(
    fleet: &Fleet,
    manifest: &Manifest,
    fields: impl Fn(&crate::model::Module) -> std::collections::BTreeMap<String, String>,
    only: Option<&str>,
) -> Vec<FieldExplanation> {
    let traces = trace(fleet, manifest);
    let mut all = Vec::new();
    for (name, module) in &manifest.modules {
        let Some(trace) = traces.get(name) else { continue };
        for (path, value) in fields(module) {
            let whole = format!("{name}.{path}");
            let wanted = only.is_none_or(|only| {
                whole == only
                    || whole.strip_prefix(only).is_some_and(|rest| rest.starts_with('.'))
                    || path == only
            });
            if wanted {
                let setters = trace.setters(&path);
                all.push(FieldExplanation { module: name.clone(), path, value, setters });
            }
        }
    }
    all
}

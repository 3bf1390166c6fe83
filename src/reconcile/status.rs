//! How the fleet stands, by deployment and by device: a pure function of the fleet and the store.

use super::known::known;
use crate::fleet::Fleet;
use crate::model::{DeploymentId, DeviceId, Timestamp, manifest_hash};
use crate::resolve::{Resolution, Rows, SetterKind, Standing, trace};
use crate::store::StoredDevice;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// How the fleet stands.
#[derive(Debug, Clone)]
pub struct FleetStatus {
    /// The fleet's name.
    pub fleet: String,
    /// The revision whose counts these are.
    pub revision: String,
    /// By deployment.
    pub deployments: Vec<DeploymentCounts>,
    /// By device.
    pub devices: Vec<DeviceStatus>,
    /// Devices that no file names any more.
    pub departed: Vec<DepartedDevice>,
}

/// A device that the store knows and no file names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the glossary's words")]
pub struct DepartedDevice {
    pub id: DeviceId,
    /// Since when; `None` if no run has noticed it yet.
    pub since: Option<Timestamp>,
    pub last_contact: Option<Timestamp>,
}

/// The counts of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the glossary's words")]
pub struct DeploymentCounts {
    pub id: DeploymentId,
    pub kind: &'static str,
    pub priority: i32,
    pub labels: BTreeMap<String, String>,
    pub targeted: usize,
    pub applied: usize,
    pub success: usize,
    pub failure: usize,
    pub pending: usize,
    /// Its custom metrics by name: how many rows each query gives.
    pub metrics: BTreeMap<String, usize>,
}

/// How one device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the glossary's words")]
pub struct DeviceStatus {
    pub id: DeviceId,
    pub base: Option<DeploymentId>,
    pub layers: Vec<DeploymentId>,
    /// The revision in force.
    pub revision: Option<String>,
    pub code: u16,
    pub description: String,
    pub last_contact: Option<Timestamp>,
    pub modules: Vec<ModuleStatus>,
}

/// How one module stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the glossary's words")]
pub struct ModuleStatus {
    pub name: String,
    pub status: String,
    pub exit_code: Option<i64>,
    pub restart_count: u64,
    pub code: u16,
    pub description: String,
    /// Why what it reports itself is not taken.
    pub report_problem: Option<String>,
}

/// The status of a fleet, as the store last saw it.
pub fn fleet_status(
    fleet: &Fleet,
    resolution: &Resolution,
    revision: &str,
    stored: &BTreeMap<DeviceId, StoredDevice>,
    only: Option<&BTreeSet<DeviceId>>,
    now: Timestamp,
) -> FleetStatus {
    let wanted = |id: &DeviceId| only.is_none_or(|only| only.contains(id));
    let devices: Vec<DeviceStatus> = fleet
        .devices
        .keys()
        .filter(|id| wanted(id))
        .map(|id| device_status(id, stored.get(id)))
        .collect();
    let mut counts: BTreeMap<&DeploymentId, DeploymentCounts> =
        fleet.deployments.values().map(|d| (&d.id, empty_counts(d))).collect();
    let known = known(stored, now);
    let rows = Rows { fleet, resolution, known: &known, only };
    for (id, count) in &mut counts {
        let metrics = fleet.deployments.get(*id).map(|d| &d.metrics).into_iter().flatten();
        count.metrics = metrics
            .map(|(name, metric)| (name.clone(), rows.answer(&metric.query).rows.len()))
            .collect();
    }
    for (id, resolved) in resolution.devices.iter().filter(|(id, _)| wanted(id)) {
        let reports = reports(fleet, resolution, id, stored.get(id));
        for targeting in &*resolved.targeted {
            let Some(count) = counts.get_mut(&targeting.deployment) else { continue };
            count.targeted += 1;
            if !matches!(targeting.standing, Standing::Base | Standing::Layer { .. }) {
                continue;
            }
            count.applied += 1;
            match &reports {
                Reports::Pending => count.pending += 1,
                Reports::Done { failing } if failing.contains(&targeting.deployment) => {
                    count.failure += 1;
                }
                Reports::Done { .. } => count.success += 1,
                Reports::OnItsWay => count.pending += 1,
            }
        }
    }
    FleetStatus {
        fleet: fleet.name.to_string(),
        revision: revision.to_owned(),
        deployments: counts.into_values().collect(),
        devices,
        departed: stored
            .values()
            .filter(|device| only.is_none() && !fleet.devices.contains_key(&device.device))
            .map(|device| DepartedDevice {
                id: device.device.clone(),
                since: device.departed,
                last_contact: device.last_contact,
            })
            .collect(),
    }
}

fn empty_counts(
    deployment: &crate::model::Deployment<crate::language::Condition, crate::language::Query>,
) -> DeploymentCounts {
    DeploymentCounts {
        id: deployment.id.clone(),
        kind: deployment.kind.as_str(),
        priority: deployment.priority,
        labels: deployment.labels.clone(),
        targeted: 0,
        applied: 0,
        success: 0,
        failure: 0,
        pending: 0,
        metrics: BTreeMap::new(),
    }
}

fn device_status(id: &DeviceId, stored: Option<&StoredDevice>) -> DeviceStatus {
    let Some(stored) = stored else {
        return DeviceStatus {
            id: id.clone(),
            base: None,
            layers: Vec::new(),
            revision: None,
            code: 202,
            description: "not reached yet".to_owned(),
            last_contact: None,
            modules: Vec::new(),
        };
    };
    let in_force = stored.in_force.as_ref();
    DeviceStatus {
        id: id.clone(),
        base: in_force.map(|f| f.base.clone()),
        layers: in_force.map(|f| f.layers.clone()).unwrap_or_default(),
        revision: in_force.map(|f| f.revision.clone()),
        code: stored.status.code,
        description: stored.status.description.clone(),
        last_contact: stored.last_contact,
        modules: stored
            .modules
            .iter()
            .map(|(name, m)| ModuleStatus {
                name: name.to_string(),
                status: m.status.clone(),
                exit_code: m.exit_code,
                restart_count: m.restart_count,
                code: m.code,
                description: m.description.clone(),
                report_problem: m.report.as_ref().and_then(|report| report.problem.clone()),
            })
            .collect(),
    }
}

/// What a device reports for the deployments that apply to it.
enum Reports {
    /// It was not reached with this manifest yet.
    Pending,
    /// It has it, and is not there yet.
    OnItsWay,
    /// It has it; these deployments fail there.
    Done { failing: BTreeSet<DeploymentId> },
}

fn reports(
    fleet: &Fleet,
    resolution: &Resolution,
    id: &DeviceId,
    stored: Option<&StoredDevice>,
) -> Reports {
    let manifest = resolution.manifest(fleet, id).and_then(Result::ok);
    let (Some(stored), Some(manifest)) = (stored, manifest) else { return Reports::Pending };
    let is_same =
        stored.in_force.as_ref().is_some_and(|f| f.manifest_hash == manifest_hash(&manifest));
    if !is_same
        || matches!(stored.status.code, 406 | 409) && stored.modules.values().all(|m| m.code < 400)
    {
        return Reports::Pending;
    }
    let failed: BTreeSet<&str> =
        stored.modules.iter().filter(|(_, m)| m.code >= 400).map(|(n, _)| n.as_str()).collect();
    if failed.is_empty() {
        let ok = stored.modules.values().all(|m| m.code == 200);
        return if ok { Reports::Done { failing: BTreeSet::new() } } else { Reports::OnItsWay };
    }
    let mut failing = BTreeSet::new();
    for (module, trace) in trace(fleet, &manifest) {
        if failed.contains(module.as_str()) {
            for setter in trace.winners() {
                if let SetterKind::Deployment(id) = &setter.kind {
                    failing.insert(id.clone());
                }
            }
        }
    }
    Reports::Done { failing }
}

impl FleetStatus {
    /// The status as JSON, version 1.
    pub fn to_json(&self) -> Json {
        let Self { fleet, revision, deployments, devices, departed } = self;
        json!({
            "format": 1,
            "fleet": fleet,
            "revision": revision,
            "held": null,
            "rollout": null,
            "deployments": deployments.iter().map(|d| json!({
                "id": d.id.as_str(), "kind": d.kind, "priority": d.priority, "labels": d.labels,
                "targeted": d.targeted, "applied": d.applied, "success": d.success,
                "failure": d.failure, "pending": d.pending, "metrics": d.metrics,
            })).collect::<Vec<_>>(),
            "devices": devices.iter().map(|d| json!({
                "id": d.id.as_str(),
                "base": d.base.as_ref().map(DeploymentId::as_str),
                "layers": d.layers.iter().map(DeploymentId::as_str).collect::<Vec<_>>(),
                "revision": d.revision,
                "status": {"code": d.code, "description": d.description},
                "last_contact": d.last_contact.map(|t| t.to_string()),
                "modules": d.modules.iter().map(|m| json!({
                    "name": m.name, "status": m.status, "exit_code": m.exit_code,
                    "restart_count": m.restart_count, "report_problem": m.report_problem,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "departed": departed.iter().map(|d| json!({
                "id": d.id.as_str(),
                "since": d.since.map(|t| t.to_string()),
                "last_contact": d.last_contact.map(|t| t.to_string()),
            })).collect::<Vec<_>>(),
        })
    }
}

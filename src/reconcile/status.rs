//! How the fleet stands, by deployment, by label and by device: a pure function of the fleet and the store.
//!
//! Enters: a fleet, its resolution, what the store knows of devices, a moment. Leaves: a [`FleetStatus`]. A device that
//! was not seen lately is neither a success nor a failure. Not here: how that looks (`status_json.rs`, `cli`).

use super::known::known;
use super::watch::PAUSED;
use crate::fleet::Fleet;
use crate::model::{DeploymentId, DeviceId, Timestamp, manifest_hash};
use crate::plan::short_revision;
use crate::resolve::{Resolution, Rows, SetterKind, Standing, Targeting, trace};
use crate::store::{StoredDevice, StoredDevices};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

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

impl FleetStatus {
    /// How many devices have each status code; under `None` those that were not seen lately, whatever they had then.
    pub fn codes(&self) -> BTreeMap<Option<u16>, usize> {
        let mut codes = BTreeMap::new();
        for device in &self.devices {
            *codes.entry((!device.stale).then_some(device.code)).or_default() += 1;
        }
        codes
    }
}

/// How many devices there are of each kind. What is applied is one of the last four.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the glossary's words")]
pub struct Counts {
    pub targeted: usize,
    pub applied: usize,
    pub success: usize,
    pub failure: usize,
    pub pending: usize,
    /// They have it, and were not seen lately.
    pub stale: usize,
}

/// The counts of all deployments with the same value of a label; a device counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelGroup {
    /// The value; `None` for deployments without that label.
    pub value: Option<String>,
    /// The deployments.
    pub deployments: Vec<DeploymentId>,
    /// Of their devices.
    pub counts: Counts,
}

/// How a deployment stands on a device that it targets; the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    NotApplied,
    Success,
    Pending,
    Stale,
    Failure,
}

/// The counts of one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the glossary's words")]
pub struct DeploymentCounts {
    pub id: DeploymentId,
    pub kind: &'static str,
    pub priority: i32,
    pub labels: BTreeMap<String, String>,
    pub counts: Counts,
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
    /// Whether it was not seen lately, so that all this may have changed.
    pub stale: bool,
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

/// By device: the revision that it should be at.
pub type Elsewhere = BTreeMap<DeviceId, String>;

/// What a status is made of.
#[derive(Clone, Copy)]
pub struct StatusInput<'a> {
    /// The fleet whose counts are wanted.
    pub fleet: &'a Fleet,
    /// That, resolved with the facts of the moment.
    pub resolution: &'a Resolution,
    /// What its revision is called.
    pub revision: &'a str,
    /// What is known of devices.
    pub stored: &'a StoredDevices,
    /// Only these devices.
    pub only: Option<&'a BTreeSet<DeviceId>>,
    /// Devices that a rollout or a pin leaves at another revision than that, and which.
    pub elsewhere: &'a Elsewhere,
    /// Of these, devices that a rollout moved back and that have not arrived.
    pub returning: &'a BTreeSet<DeviceId>,
    /// Devices that somebody paused.
    pub paused: &'a BTreeSet<DeviceId>,
    /// After how many seconds without contact a device is stale; `None` where nobody promised to look.
    pub stale_after: Option<i64>,
    /// The moment.
    pub now: Timestamp,
}

impl<'a> StatusInput<'a> {
    fn wants(&self, id: &DeviceId) -> bool {
        self.only.is_none_or(|only| only.contains(id))
    }

    fn is_stale(&self, stored: &StoredDevice) -> bool {
        let age = stored.last_contact.map(|seen| self.now.seconds.saturating_sub(seen.seconds));
        age.zip(self.stale_after).is_some_and(|(age, limit)| age > limit)
    }

    /// For each device, what it reports, and how each deployment that targets it stands there.
    fn each(&self, mut take: impl FnMut(&'a DeviceId, &Reports, &[(&'a DeploymentId, Counted)])) {
        for (id, resolved) in self.resolution.devices.iter().filter(|(id, _)| self.wants(id)) {
            let reports = reports(self, id);
            let counted = |of| counted(of, &reports);
            let all: Vec<_> =
                resolved.targeted.iter().map(|of| (&of.deployment, counted(of))).collect();
            take(id, &reports, &all);
        }
    }

    /// The revision that a device should have and has not got, whatever it had when it was seen.
    fn missing<'s>(&'s self, stored: &StoredDevice, lacks: &BTreeSet<DeviceId>) -> Option<&'s str> {
        match self.elsewhere.get(&stored.device) {
            Some(revision) => {
                // Of a device that fell silent on its way nobody has seen what it got of it.
                let is_on_its_way = self.returning.contains(&stored.device);
                let in_force = stored.in_force.as_ref()?;
                let is_missing = is_on_its_way || in_force.revision == self.revision;
                is_missing.then_some(revision.as_str())
            }
            None => lacks.contains(&stored.device).then_some(self.revision),
        }
    }
}

/// A device that was not seen in so many seconds is stale: it missed three full looks. Moments of contact are written
/// down once a minute, so that it takes some minutes at least.
pub fn stale_after(resync_seconds: u64) -> i64 {
    const LEAST: i64 = 180;
    i64::try_from(resync_seconds.saturating_mul(3)).unwrap_or(i64::MAX).max(LEAST)
}

/// The status of a fleet, as the store last saw it.
pub fn fleet_status(input: &StatusInput<'_>) -> FleetStatus {
    let StatusInput { fleet, resolution, revision, stored, only, now, .. } = *input;
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
    let mut lacks = BTreeSet::new();
    input.each(|device, reports, all| {
        for (deployment, counted) in all {
            if let Some(count) = counts.get_mut(deployment) {
                count.counts += *counted;
            }
        }
        let resolved = resolution.devices.get(device);
        let wants_something = || resolved.is_some_and(|resolved| resolved.cohort.is_some());
        if matches!(reports, Reports::Pending) && wants_something() {
            lacks.insert(device.clone());
        }
    });
    FleetStatus {
        fleet: fleet.name.to_string(),
        revision: revision.to_owned(),
        deployments: counts.into_values().collect(),
        devices: fleet
            .devices
            .keys()
            .filter(|id| input.wants(id))
            .map(|id| device_status(id, stored.get(id).map(AsRef::as_ref), input, &lacks))
            .collect(),
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

/// The counts by the values of a label. A device counts once in each group: as failed where any deployment of the
/// group fails there, and so on. Only deployments that `keeps` says.
pub fn label_groups(
    input: &StatusInput<'_>,
    label: &str,
    keeps: &dyn Fn(&DeploymentId) -> bool,
) -> Vec<LabelGroup> {
    let value_of = |id: &DeploymentId| {
        input.fleet.deployments.get(id).and_then(|deployment| deployment.labels.get(label).cloned())
    };
    let mut members: BTreeMap<Option<String>, Vec<DeploymentId>> = BTreeMap::new();
    for deployment in input.fleet.deployments.values().filter(|d| keeps(&d.id)) {
        members.entry(value_of(&deployment.id)).or_default().push(deployment.id.clone());
    }
    let mut gravest: BTreeMap<(Option<String>, DeviceId), Counted> = BTreeMap::new();
    input.each(|device, _, all| {
        for (deployment, counted) in all.iter().filter(|(deployment, _)| keeps(deployment)) {
            let there = gravest.entry((value_of(deployment), device.clone())).or_insert(*counted);
            *there = (*counted).max(*there);
        }
    });
    let mut counts: BTreeMap<Option<String>, Counts> = BTreeMap::new();
    for ((value, _), counted) in gravest {
        *counts.entry(value).or_default() += counted;
    }
    // Deployments without the label come last.
    let (without, with): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(value, _)| value.is_none());
    with.into_iter()
        .chain(without)
        .map(|(value, deployments)| {
            let counts = counts.get(&value).copied().unwrap_or_default();
            LabelGroup { value, deployments, counts }
        })
        .collect()
}

impl AddAssign<Counted> for Counts {
    fn add_assign(&mut self, counted: Counted) {
        self.targeted += 1;
        self.applied += usize::from(counted != Counted::NotApplied);
        match counted {
            Counted::NotApplied => {}
            Counted::Success => self.success += 1,
            Counted::Pending => self.pending += 1,
            Counted::Stale => self.stale += 1,
            Counted::Failure => self.failure += 1,
        }
    }
}

fn counted(targeting: &Targeting, reports: &Reports) -> Counted {
    if !matches!(targeting.standing, Standing::Base | Standing::Layer { .. }) {
        return Counted::NotApplied;
    }
    match reports {
        Reports::Pending | Reports::OnItsWay => Counted::Pending,
        Reports::Stale => Counted::Stale,
        Reports::Done { failing } if failing.contains(&targeting.deployment) => Counted::Failure,
        Reports::Done { .. } => Counted::Success,
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
        counts: Counts::default(),
        metrics: BTreeMap::new(),
    }
}

fn device_status(
    id: &DeviceId,
    stored: Option<&StoredDevice>,
    input: &StatusInput<'_>,
    lacks: &BTreeSet<DeviceId>,
) -> DeviceStatus {
    let Some(stored) = stored else {
        return DeviceStatus {
            id: id.clone(),
            base: None,
            layers: Vec::new(),
            revision: None,
            code: 202,
            description: "not reached yet".to_owned(),
            last_contact: None,
            stale: false,
            modules: Vec::new(),
        };
    };
    let in_force = stored.in_force.as_ref();
    let stale = input.is_stale(stored);
    let was_well = stored.status.code == 200 && !stale;
    let (code, description) = match input.missing(stored, lacks).filter(|_| was_well) {
        // It was as desired when it was seen, which is not what is wanted now.
        Some(revision) => (202, format!("has not got {} yet", short_revision(revision))),
        None if stored.status.description.starts_with(PAUSED) && !input.paused.contains(id) => {
            (202, "its pause is over, and no look at it has ended since".to_owned())
        }
        None => (stored.status.code, stored.status.description.clone()),
    };
    DeviceStatus {
        id: id.clone(),
        base: in_force.map(|f| f.base.clone()),
        layers: in_force.map(|f| f.layers.clone()).unwrap_or_default(),
        revision: in_force.map(|f| f.revision.clone()),
        code,
        description,
        last_contact: stored.last_contact,
        stale,
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
    /// It has it, and was not seen lately.
    Stale,
    /// It has it; these deployments fail there.
    Done { failing: BTreeSet<DeploymentId> },
}

fn reports(input: &StatusInput<'_>, id: &DeviceId) -> Reports {
    let StatusInput { fleet, resolution, stored, .. } = *input;
    let manifest = resolution.manifest(fleet, id).and_then(Result::ok);
    let (Some(stored), Some(manifest)) = (stored.get(id), manifest) else {
        return Reports::Pending;
    };
    let is_same =
        stored.in_force.as_ref().is_some_and(|f| f.manifest_hash == manifest_hash(&manifest));
    if is_same && input.is_stale(stored) {
        return Reports::Stale;
    }
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

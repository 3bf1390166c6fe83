//! One device by itself: looking at its engine, and taking away what is ours when it leaves the fleet.
//!
//! A device that left is in no file, so how it was reached comes from the store. Leaving is a plan like any
//! other, for a manifest without modules: what ownership says is ours goes, and nothing else.

use super::gate::{DeviceSecrets, Gate};
use super::survey::{details_wanted, names};
use crate::apply::{DeviceRun, Event, Outcome, Pace, run_device};
use crate::diagnostic::{Place, Source};
use crate::engine::{Engine, Wanted};
use crate::fleet::Fleet;
use crate::model::{
    Cohort, DeploymentId, Device, DeviceId, EngineAddress, EngineReport, HashedManifest, Manifest,
    Observation, ObservedContainer, SecretName, Table, Timestamp, label,
};
use crate::plan::{
    Consent, DeviceMemory, DevicePlan, KnownEngine, PlanInput, Purpose, Step, plan_device,
};
use crate::store::{EngineAt, HistoryEntry, Store, StoreError, StoredDevice};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an engine says of itself and runs.
pub struct Look {
    /// Itself.
    pub report: EngineReport,
    /// What it runs.
    pub observation: Observation,
}

impl Look {
    /// Whether it holds containers that Hoist made for this device, under whatever name of it and of the fleet.
    pub fn is_of(&self, fleet: &Fleet, device: &Device) -> bool {
        let (fleets, devices) = names(fleet, device);
        let is_of = |key: &str, names: &[String], container: &ObservedContainer| {
            container.labels.get(key).is_some_and(|value| names.contains(value))
        };
        let mut containers = self.observation.containers.iter();
        containers.any(|container| {
            is_of(label::FLEET, &fleets, container) && is_of(label::DEVICE, &devices, container)
        })
    }

    /// Devices of this fleet, other than this one, whose containers it holds.
    pub fn other_devices(&self, fleet: &Fleet, device: &DeviceId) -> Vec<String> {
        let containers = self.observation.containers.iter();
        let mut others: Vec<String> = containers
            .filter(|c| c.labels.get(label::FLEET).is_some_and(|f| *f == fleet.name.as_str()))
            .filter_map(|c| c.labels.get(label::DEVICE).cloned())
            .filter(|other| other != device.as_str())
            .collect();
        others.sort();
        others.dedup();
        others
    }
}

/// Looks at a device's engine; nothing is compared.
///
/// # Errors
/// Why it is not reached, in words.
pub async fn look_at_engine(gate: &Gate, device: &Device) -> Result<Look, String> {
    let engine = gate.open(device)?;
    let words = |error: crate::engine::EngineError| error.message;
    let report = engine.facts().await.map_err(words)?;
    let observation = engine.observe(&Wanted::list_only()).await.map_err(words)?;
    Ok(Look { report, observation })
}

/// A device that no file names any more, as the store says it was reached.
///
/// # Errors
/// What is wrong with what the store says, in words.
pub fn device_from_store(stored: &StoredDevice) -> Result<Device, String> {
    let source = Source::new("the store", "");
    let (engine, tls) = match &stored.engine {
        None => (None, None),
        Some(EngineAt { address, tls }) => {
            let address = EngineAddress::parse(address).map_err(|error| error.to_string())?;
            let tls = tls.as_deref().map(SecretName::parse).transpose();
            (Some(address), tls.map_err(|error| error.to_string())?)
        }
    };
    Ok(Device {
        id: stored.device.clone(),
        engine,
        reachable: true,
        tls,
        formerly: Vec::new(),
        tags: Table::new(),
        reported: Table::new(),
        place: Place::new(&source, 0..0),
    })
}

/// What leaving takes away, and the engine that it is taken from.
pub struct Leaving {
    /// What is done.
    pub plan: DevicePlan,
    engine: Arc<dyn Engine>,
}

/// Plans what is taken away from a device that leaves.
///
/// # Errors
/// Why its engine is not reached, in words.
pub async fn survey_leaving(
    gate: &Gate,
    fleet: &Fleet,
    device: &Device,
    stored: &StoredDevice,
    memory: &DeviceMemory,
    control: &str,
    now: Timestamp,
) -> Result<Leaving, String> {
    let words = |error: crate::engine::EngineError| error.message;
    let engine = gate.open(device)?;
    let report = engine.facts().await.map_err(words)?;
    let manifest = Arc::new(HashedManifest::of(empty_manifest(device)));
    let secrets = DeviceSecrets::default();
    let known = (memory, &secrets.digests);
    let details = details_wanted(fleet, device, Some(&manifest), known, None);
    let (fleets, _) = names(fleet, device);
    let wanted = Wanted { details: &details, networks_of: &fleets, ..Wanted::list_only() };
    let observation = engine.observe(&wanted).await.map_err(words)?;
    let formerly = former_ids(device, memory, &observation);
    let plan = plan_device(&PlanInput {
        fleet: &fleet.name,
        fleet_formerly: &fleet.formerly,
        device: &device.id,
        device_formerly: &formerly,
        manifest: Some(manifest),
        retained: false,
        is_kept: false,
        revision: "",
        control,
        subnet: None,
        registries: &BTreeMap::new(),
        secrets: &secrets.digests,
        observation: &observation,
        memory,
        engine: KnownEngine {
            id: &report.id,
            remembered: stored.engine_id.as_deref(),
            accepted: stored.accepted_engine.as_deref(),
        },
        consent: Consent { adopt: false, take_over: true },
        now: now.seconds,
    });
    Ok(Leaving { plan, engine })
}

/// The ids that a device had before, by the containers that the store remembers as its own: the file that named
/// them is gone.
fn former_ids(device: &Device, memory: &DeviceMemory, observation: &Observation) -> Vec<DeviceId> {
    let known = observation.containers.iter().filter(|c| memory.containers.contains_key(&c.id));
    let named = known.filter_map(|c| DeviceId::parse(c.labels.get(label::DEVICE)?).ok());
    let former: BTreeSet<DeviceId> = named.filter(|id| *id != device.id).collect();
    former.into_iter().collect()
}

/// Takes away what is ours, and forgets the device if that went well.
///
/// # Errors
/// The store can't be written.
pub async fn decommission(
    leaving: &Leaving,
    store: &Store,
    who: &str,
    now: Timestamp,
    pace: &Pace,
    events: &(dyn Fn(Event<'_>) + Send + Sync),
) -> Result<DeviceRun, StoreError> {
    let Leaving { plan, engine } = leaving;
    let secrets = DeviceSecrets::default();
    let run = run_device(engine.as_ref(), plan, &secrets.values, pace, events).await;
    let removed: Vec<String> = plan
        .works
        .iter()
        .filter(|work| run.outcomes.get(&work.id).is_some_and(Outcome::is_passed))
        .filter(|work| work.steps.iter().any(|step| matches!(step, Step::Remove { .. })))
        .filter_map(|work| match &work.purpose {
            Purpose::Module { name, .. } => Some(name.to_string()),
            Purpose::Image(_) | Purpose::Network(_) => None,
        })
        .collect();
    let outcome =
        if run.has_failures() || run.was_called_off() { "failed in part" } else { "done" };
    store.append_history(&[HistoryEntry {
        at: now,
        who: who.to_owned(),
        device: Some(plan.device.clone()),
        from: None,
        to: None,
        action: "decommission".to_owned(),
        module: None,
        reason: format!("removed: {}", removed.join(", ")),
        outcome: outcome.to_owned(),
    }])?;
    if !run.has_failures() && !run.was_called_off() {
        store.decommission_device(&plan.device)?;
    }
    Ok(run)
}

fn empty_manifest(device: &Device) -> Manifest {
    let base = DeploymentId::parse("decommission").expect("it is an id");
    Manifest {
        device: device.id.clone(),
        cohort: Cohort { base, layers: Vec::new() },
        modules: BTreeMap::new(),
        routes: BTreeMap::new(),
    }
}

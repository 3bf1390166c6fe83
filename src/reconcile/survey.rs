//! Looking at the engines and making the plan.

use super::gate::{DeviceSecrets, Gate};
use crate::engine::{Engine, EngineError, Wanted};
use crate::fleet::{Fleet, decode_manifest};
use crate::model::{
    Device, DeviceId, EngineReport, Facts, Hash, Manifest, Observation, ObservedContainer,
    Timestamp, Value, label, module_hashes,
};
use crate::plan::{
    DeviceMemory, DevicePlan, DeviceState, Plan, PlanInput, carries_our_labels, images_wanted,
    plan_device, settings_to_remember,
};
use crate::resolve::Resolution;
use crate::store::StoredDevice;
use futures_util::stream::{self, StreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many devices at a time.
pub(super) const SIDE_BY_SIDE: usize = 64;

/// How long a live fact must have held before a target condition sees it, in seconds.
const FACTS_HOLD: i64 = 600;

/// What a survey needs.
pub struct SurveyInput<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Its resolution.
    pub resolution: &'a Resolution,
    /// The revision, for labels and words.
    pub revision: &'a str,
    /// The digest of its manifests.
    pub digest: Hash,
    /// Only these devices.
    pub only: Option<&'a BTreeSet<DeviceId>>,
    /// What the store knows of the devices.
    pub stored: &'a BTreeMap<DeviceId, StoredDevice>,
    /// What the store remembers of their containers.
    pub memories: &'a BTreeMap<DeviceId, DeviceMemory>,
    /// Which control host's store it is.
    pub control: &'a str,
    /// The way to the engines.
    pub gate: &'a Gate,
    /// Live facts.
    pub facts: &'a Facts,
    /// The present moment.
    pub now: Timestamp,
}

/// A plan, and the engines that it was made for.
pub struct Survey {
    /// What is to be done.
    pub plan: Plan,
    /// What was seen, of the devices that answered.
    pub seen: BTreeMap<DeviceId, Seen>,
}

/// A device that answered.
pub struct Seen {
    /// Its engine.
    pub engine: Arc<dyn Engine>,
    /// What the engine says of itself.
    pub report: EngineReport,
    /// What it runs.
    pub observation: Observation,
    /// Secrets for its steps.
    pub(super) secrets: DeviceSecrets,
}

/// Looks at all engines, side by side, and plans every device. A device that can't be reached is pending
/// and holds up nobody.
pub async fn survey(input: &SurveyInput<'_>) -> Survey {
    let devices: Vec<&Device> = input
        .fleet
        .devices
        .values()
        .map(AsRef::as_ref)
        .filter(|device| input.only.is_none_or(|only| only.contains(&device.id)))
        .collect();
    let looked: Vec<(DevicePlan, Option<Seen>)> =
        stream::iter(devices.into_iter().map(|device| look(input, device)))
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
    let mut plans = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for (plan, one) in looked {
        if let Some(one) = one {
            seen.insert(plan.device.clone(), one);
        }
        plans.insert(plan.device.clone(), plan);
    }
    let plan = Plan {
        fleet: input.fleet.name.to_string(),
        revision: input.revision.to_owned(),
        digest: input.digest.clone(),
        narrowed: input.only.is_some(),
        devices: plans,
    };
    Survey { plan, seen }
}

async fn look(input: &SurveyInput<'_>, device: &Device) -> (DevicePlan, Option<Seen>) {
    let (manifest, retained) = match wanted_manifest(input, device) {
        Ok(wanted) => wanted,
        Err(words) => {
            let held = DeviceState::Held { code: 400, words };
            return (DevicePlan::idle(device.id.clone(), held), None);
        }
    };
    let idle = |state: DeviceState| {
        let mut plan = DevicePlan::idle(device.id.clone(), state);
        plan.manifest.clone_from(&manifest);
        plan.retained = retained;
        plan
    };
    let engine = match input.gate.open(device) {
        Ok(engine) => engine,
        Err(words) => return (idle(DeviceState::Pending(words)), None),
    };
    let memory = input.memories.get(&device.id).cloned().unwrap_or_default();
    match observe(input, device, engine.as_ref(), manifest.as_ref(), &memory).await {
        Err(error) => {
            tracing::warn!(device = %device.id, %error, "device not reached");
            (idle(DeviceState::Pending(error.message)), None)
        }
        Ok((report, mut observation)) => {
            let reported = input.facts.reported(device);
            let secrets = input.gate.secrets(input.fleet, device, &reported, manifest.as_deref());
            let mut plan_input = PlanInput {
                fleet: &input.fleet.name,
                fleet_formerly: &input.fleet.formerly,
                device: &device.id,
                device_formerly: &device.formerly,
                manifest: manifest.clone(),
                retained,
                revision: input.revision,
                control: input.control,
                subnet: input.fleet.subnet.as_deref(),
                registries: &input.fleet.registries,
                secrets: &secrets.digests,
                observation: &observation,
                memory: &memory,
                now: input.now.seconds,
            };
            let images = images_wanted(&plan_input);
            let there = match images.is_empty() {
                true => Ok(BTreeMap::new()),
                false => {
                    let wanted = Wanted { images: &images, ..Wanted::list_only() };
                    engine.observe(&wanted).await.map(|observation| observation.images)
                }
            };
            match there {
                Err(error) => (idle(DeviceState::Pending(error.message)), None),
                Ok(there) => {
                    let with_images = Observation { images: there, ..observation.clone() };
                    plan_input.observation = &with_images;
                    let plan = plan_device(&plan_input);
                    observation = with_images;
                    (plan, Some(Seen { engine, report, observation, secrets }))
                }
            }
        }
    }
}

/// What should be in force: the revision's manifest; where no base targets the device, the last one it had.
/// And whether it is that last one.
///
/// # Errors
/// Words for a device whose manifest can't be made, which then keeps what it has.
fn wanted_manifest(
    input: &SurveyInput<'_>,
    device: &Device,
) -> Result<(Option<Arc<Manifest>>, bool), String> {
    match input.resolution.manifest(input.fleet, &device.id) {
        Some(Ok(manifest)) => Ok((Some(Arc::new(manifest)), false)),
        Some(Err(errors)) => {
            let words: Vec<String> =
                errors.iter().map(|e| format!("{}.{}: {e}", e.module, e.path)).collect();
            Err(format!("its manifest can't be filled: {}", words.join("; ")))
        }
        None => {
            let stored = input.stored.get(&device.id).and_then(|d| d.in_force.as_ref());
            let Some(stored) = stored else { return Ok((None, true)) };
            match decode_manifest(&device.id, &stored.manifest) {
                Ok(manifest) => Ok((Some(Arc::new(manifest)), true)),
                Err(_) => Err("the manifest that it had can't be read from the store".to_owned()),
            }
        }
    }
}

/// One list call; an inspect only of containers that bear our labels and that the store does not know, whose
/// settings are to change, or that go.
async fn observe(
    input: &SurveyInput<'_>,
    device: &Device,
    engine: &dyn Engine,
    manifest: Option<&Arc<Manifest>>,
    memory: &DeviceMemory,
) -> Result<(EngineReport, Observation), EngineError> {
    let report = engine.facts().await?;
    let wants = details_wanted(input.fleet, device, manifest.map(Arc::as_ref), memory);
    let fleet = input.fleet.name.as_str();
    let wanted = Wanted {
        details: &wants,
        networks_of: memory.networks.is_none().then_some(fleet),
        images: &[],
    };
    let observation = engine.observe(&wanted).await?;
    Ok((report, observation))
}

/// The names of a fleet and of a device, present and former.
pub(super) fn names(fleet: &Fleet, device: &Device) -> (Vec<String>, Vec<String>) {
    (
        std::iter::once(&fleet.name).chain(&fleet.formerly).map(ToString::to_string).collect(),
        std::iter::once(&device.id).chain(&device.formerly).map(ToString::to_string).collect(),
    )
}

/// Of which containers the details are wanted.
pub(super) fn details_wanted(
    fleet: &Fleet,
    device: &Device,
    manifest: Option<&Manifest>,
    memory: &DeviceMemory,
) -> impl Fn(&ObservedContainer) -> bool + Send + Sync + use<> {
    let (fleets, devices) = names(fleet, device);
    let settings: BTreeMap<String, Hash> = manifest
        .map(|manifest| {
            let hash = |module| {
                let hashes = module_hashes(module, &manifest.routes);
                settings_to_remember(module, &hashes.settings)
            };
            manifest.modules.iter().map(|(name, m)| (name.to_string(), hash(m))).collect()
        })
        .unwrap_or_default();
    let has_manifest = manifest.is_some();
    let known = memory.containers.clone();
    move |container: &ObservedContainer| {
        let device = container.labels.get(label::DEVICE);
        if !carries_our_labels(container, &fleets, &devices) {
            // One that says it is another device's: only its image can tell whether that is true.
            return device.is_some_and(|device| {
                carries_our_labels(container, &fleets, std::slice::from_ref(device))
            });
        }
        known.get(&container.id).is_none_or(|remembered| {
            let wanted = container.labels.get(label::MODULE).and_then(|m| settings.get(m));
            // What goes is looked at once more, as it may have to be put back as it was.
            wanted.map_or(has_manifest, |wanted| *wanted != remembered.settings)
        })
    }
}

/// The facts that target conditions may see: what devices reported, once it has held long enough.
pub fn held_facts(stored: &BTreeMap<DeviceId, StoredDevice>, now: Timestamp) -> Facts {
    let mut facts = Facts::none();
    for (id, device) in stored {
        if let Some(reported) = &device.facts
            && now.seconds.saturating_sub(reported.since.seconds) >= FACTS_HOLD
            && let Some(Value::Table(table)) = Value::from_json(&reported.reported)
        {
            facts.0.insert(id.clone(), table);
        }
    }
    facts
}

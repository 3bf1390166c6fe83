//! Looking at the engines and making the plan.

use super::gate::{DeviceSecrets, Gate};
use crate::diagnostic::{Code, Level};
use crate::engine::{Engine, EngineError, Wanted};
use crate::fleet::{Fleet, decode_manifest};
use crate::model::{
    ContainerState, Device, DeviceId, EngineReport, Facts, Hash, HashedManifest, Manifest,
    Observation, ObservedContainer, SecretName, Status, Timestamp, label,
};
use crate::plan::{
    Consent, DeviceMemory, DevicePlan, DeviceState, KnownEngine, Plan, PlanInput, Questions,
    carries_our_labels, plan_device, plan_or_ask, port_conflict, settings_to_remember, spec_label,
};
use crate::resolve::Resolution;
use crate::store::StoredDevices;
use futures_util::future::try_join;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many devices at a time.
pub(super) const SIDE_BY_SIDE: usize = 64;

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
    pub stored: &'a StoredDevices,
    /// What the store remembers of their containers.
    pub memories: &'a BTreeMap<DeviceId, DeviceMemory>,
    /// Which control host's store it is.
    pub control: &'a str,
    /// The way to the engines.
    pub gate: &'a Gate,
    /// Live facts.
    pub facts: &'a Facts,
    /// Whether every container is looked at, and not only what the list does not tell.
    pub resync: bool,
    /// Why what is recorded as in force counts, and not what the fleet says, where that is so: the revision that
    /// a device is at can't be read any more.
    pub recorded: Option<&'a str>,
    /// Devices on which nothing is done, and why: somebody paused them.
    pub paused: &'a BTreeMap<DeviceId, String>,
    /// What somebody agreed to.
    pub consents: &'a Consents,
    /// The present moment.
    pub now: Timestamp,
}

/// What somebody agreed to for one run, besides the fleet's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consents {
    /// On these devices foreign containers that are named as modules are taken over.
    pub adopt: BTreeSet<DeviceId>,
    /// Another control host's work is replaced, however often it undid this one's.
    pub take_over: bool,
}

impl Consents {
    pub(super) fn of(&self, device: &DeviceId) -> Consent {
        Consent { adopt: self.adopt.contains(device), take_over: self.take_over }
    }
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
    let all = &input.fleet.devices;
    let devices: Vec<&Device> = match input.only {
        None => all.values().map(AsRef::as_ref).collect(),
        // One device costs one look-up, however large its fleet is.
        Some(only) => only.iter().filter_map(|id| all.get(id)).map(AsRef::as_ref).collect(),
    };
    let (mut waiting, mut looking) = (devices.into_iter(), FuturesUnordered::new());
    let mut looked: Vec<(DevicePlan, Option<Seen>)> = Vec::new();
    loop {
        let free = SIDE_BY_SIDE.saturating_sub(looking.len());
        looking.extend(waiting.by_ref().take(free).map(|device| look(input, device)));
        match looking.next().await {
            Some(one) => looked.push(one),
            None => break,
        }
    }
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
    let (manifest, retained, held) = match wanted_manifest(input, device) {
        Ok(WantedManifest { manifest, retained, held }) => (manifest, retained, held),
        Err(words) => {
            let held = DeviceState::Held { code: 400, words };
            return (DevicePlan::idle(device.id.clone(), held), None);
        }
    };
    let idle = |state: DeviceState| {
        let mut plan = DevicePlan::idle(device.id.clone(), state);
        plan.manifest.clone_from(&manifest);
        plan.retained = retained;
        plan.held.clone_from(&held);
        plan
    };
    if let Some(words) = input.paused.get(&device.id) {
        return (idle(DeviceState::Paused(words.clone())), None);
    }
    let engine = match input.gate.open(device) {
        Ok(engine) => engine,
        Err(words) => return (idle(DeviceState::Pending(words)), None),
    };
    let memory = input.memories.get(&device.id).cloned().unwrap_or_default();
    let reported = input.facts.reported(device);
    let wanted = manifest.as_deref().map(|manifest| &**manifest);
    // Before it is looked at: without them nobody can tell which of its containers are as they should be.
    let secrets = input.gate.secrets(input.fleet, device, &reported, wanted).await;
    let known = (&memory, &secrets.digests);
    match observe(input, device, engine.as_ref(), manifest.as_ref(), known).await {
        Err(error) => {
            tracing::warn!(device = %device.id, %error, "device not reached");
            (idle(DeviceState::Pending(error.message)), None)
        }
        Ok((report, observation)) => {
            let stored = input.stored.get(&device.id);
            let mut plan_input = PlanInput {
                fleet: &input.fleet.name,
                fleet_formerly: &input.fleet.formerly,
                device: &device.id,
                device_formerly: &device.formerly,
                manifest: manifest.clone(),
                retained,
                is_kept: retained || held.is_some(),
                revision: input.revision,
                control: input.control,
                subnet: input.fleet.subnet.as_deref(),
                registries: &input.fleet.registries,
                secrets: &secrets.digests,
                observation: &observation,
                memory: &memory,
                engine: KnownEngine {
                    id: &report.id,
                    remembered: stored.and_then(|d| d.engine_id.as_deref()),
                    accepted: stored.and_then(|d| d.accepted_engine.as_deref()),
                },
                consent: input.consents.of(&device.id),
                now: input.now.seconds,
            };
            let (plan, more) = match plan_or_ask(&plan_input) {
                Ok(plan) => (plan, None),
                Err(questions) => {
                    let more = match answered(engine.as_ref(), &observation, &questions).await {
                        Ok(more) => more,
                        Err(error) => return (idle(DeviceState::Pending(error.message)), None),
                    };
                    plan_input.observation = &more;
                    (plan_device(&plan_input), Some(more))
                }
            };
            let plan = DevicePlan { held, ..plan };
            let observation = more.unwrap_or(observation);
            (plan, Some(Seen { engine, report, observation, secrets }))
        }
    }
}

/// What was seen, with what the engine answers besides.
///
/// # Errors
/// It is not reached any more.
pub async fn answered(
    engine: &dyn Engine,
    seen: &Observation,
    questions: &Questions,
) -> Result<Observation, EngineError> {
    let Questions { images, network_ids, details } = questions;
    let is_asked_for = |container: &ObservedContainer| details.contains(&container.id);
    let wanted =
        Wanted { images, network_ids: *network_ids, details: &is_asked_for, ..Wanted::list_only() };
    let answers = engine.observe(&wanted).await?;
    let mut more =
        Observation { images: answers.images, network_ids: answers.network_ids, ..seen.clone() };
    let detailed = answers.containers.into_iter().filter(|container| container.detail.is_some());
    let mut by_id: BTreeMap<String, _> = detailed.map(|c| (c.id, c.detail)).collect();
    for container in more.containers.iter_mut().filter(|c| c.detail.is_none()) {
        container.detail = by_id.remove(&container.id).flatten();
    }
    Ok(more)
}

/// What should be in force.
struct WantedManifest {
    /// `None` where nothing is known.
    manifest: Option<Arc<HashedManifest>>,
    /// Whether no base targets it, so that it is the last one it had.
    retained: bool,
    /// Why it is the last one it had, although one is wanted that can't be made.
    held: Option<String>,
}

/// What should be in force: the revision's manifest; where no base targets the device, or its manifest can't
/// be made, the last one it had.
///
/// # Errors
/// Words for a device for which there is neither.
fn wanted_manifest(input: &SurveyInput<'_>, device: &Device) -> Result<WantedManifest, String> {
    let stored = || {
        let stored = input.stored.get(&device.id).and_then(|d| d.in_force.as_ref());
        let decoded = stored.map(|stored| decode_manifest(&device.id, &stored.manifest));
        match decoded {
            None => Ok(None),
            Some(Ok(manifest)) => Ok(Some(Arc::new(HashedManifest::of(manifest)))),
            Some(Err(_)) => Err("the manifest that it had can't be read from the store".to_owned()),
        }
    };
    let held = |words: String| match stored()? {
        None => Err(words),
        manifest => Ok(WantedManifest { manifest, retained: false, held: Some(words) }),
    };
    if let Some(words) = input.recorded {
        return held(words.to_owned());
    }
    match input.resolution.manifest(input.fleet, &device.id) {
        Some(Ok(manifest)) => match conflict(input.fleet, &manifest) {
            None => {
                let manifest = Some(Arc::new(HashedManifest::of(manifest)));
                Ok(WantedManifest { manifest, retained: false, held: None })
            }
            Some(words) => held(words),
        },
        Some(Err(errors)) => {
            let words: Vec<String> =
                errors.iter().map(|e| format!("{}.{}: {e}", e.module, e.path)).collect();
            held(format!("its manifest can't be filled: {}", words.join("; ")))
        }
        None => Ok(WantedManifest { manifest: stored()?, retained: true, held: None }),
    }
}

/// What only live facts can bring together: a fleet in which files alone do is not valid, unless it says that
/// this is fine.
fn conflict(fleet: &Fleet, manifest: &Manifest) -> Option<String> {
    match fleet.lints.get(&Code::ManifestConflict) {
        None | Some(Some(Level::Error)) => port_conflict(manifest),
        Some(_) => None,
    }
}

/// One list call; an inspect only of containers that bear our labels and that the store does not know, whose
/// settings are to change, or that go.
async fn observe(
    input: &SurveyInput<'_>,
    device: &Device,
    engine: &dyn Engine,
    manifest: Option<&Arc<HashedManifest>>,
    (memory, secrets): (&DeviceMemory, &Digests),
) -> Result<(EngineReport, Observation), EngineError> {
    let last_seen = input.stored.get(&device.id).and_then(|stored| stored.last_contact);
    let since = last_seen.map(|last| input.now.seconds.saturating_sub(last.seconds));
    let manifest = manifest.map(Arc::as_ref);
    let wants = details_wanted(input.fleet, device, manifest, (memory, secrets), since);
    let names = names(input.fleet, device);
    let adopts = input.consents.of(&device.id).adopt;
    let wants = |container: &ObservedContainer| {
        let name = container.name.as_str();
        let is_named_so = manifest.is_some_and(|manifest| manifest.modules.contains_key(name));
        let is_ours = || carries_our_labels(container, &names.0, &names.1);
        wants(container) || input.resync && is_ours() || adopts && is_named_so
    };
    let lists_networks = memory.networks.is_none() || input.resync;
    let wanted = Wanted {
        details: &wants,
        twins: true,
        networks_of: if lists_networks { &names.0 } else { &[] },
        images: &[],
        network_ids: false,
    };
    // Neither waits for the other: what an engine says of itself takes it longer than a list. Nor does a device whose
    // one call failed hold up the others until the second fails too.
    try_join(engine.facts(), engine.observe(&wanted)).await
}

/// The names of a fleet and of a device, present and former.
pub(super) fn names(fleet: &Fleet, device: &Device) -> (Vec<String>, Vec<String>) {
    (
        std::iter::once(&fleet.name).chain(&fleet.formerly).map(ToString::to_string).collect(),
        std::iter::once(&device.id).chain(&device.formerly).map(ToString::to_string).collect(),
    )
}

/// Digests of secrets, or why there are none.
type Digests = BTreeMap<SecretName, Result<Hash, String>>;

/// Of which containers the details are wanted. `since` is how many seconds ago they were looked at: one that
/// was started since then may be in a crash loop, which a list shows as running.
pub fn details_wanted(
    fleet: &Fleet,
    device: &Device,
    manifest: Option<&HashedManifest>,
    (memory, secrets): (&DeviceMemory, &Digests),
    since: Option<i64>,
) -> impl Fn(&ObservedContainer) -> bool + Send + Sync + use<> {
    let (fleets, devices) = names(fleet, device);
    let wanted: BTreeMap<String, (Hash, Status, Option<Hash>)> = manifest
        .map(|manifest| {
            let modules = manifest.hashed_modules();
            modules
                .map(|(name, module, hashes)| {
                    let settings = settings_to_remember(module, &hashes.settings);
                    // Without its secrets nothing is compared.
                    let spec = spec_label(&hashes.spec, module, secrets).ok();
                    (name.to_string(), (settings, module.status, spec))
                })
                .collect()
        })
        .unwrap_or_default();
    let has_manifest = manifest.is_some();
    let (known, stops) = (memory.containers.clone(), memory.stops.clone());
    let begun: BTreeSet<String> = memory.adopting.keys().cloned().collect();
    move |container: &ObservedContainer| {
        // It is somebody else's, and may have to be put back as it was.
        if begun.contains(&container.id) {
            return true;
        }
        let device = container.labels.get(label::DEVICE);
        if !carries_our_labels(container, &fleets, &devices) {
            // One that says it is another device's: only its image can tell whether that is true.
            return device.is_some_and(|device| {
                carries_our_labels(container, &fleets, std::slice::from_ref(device))
            });
        }
        let since = since.and_then(|since| u64::try_from(since).ok());
        let started_since = container.up_for.zip(since).is_some_and(|(up, since)| up < since);
        if started_since || container.state == ContainerState::Restarting {
            return true;
        }
        let module = container.labels.get(label::MODULE);
        let wanted = module.and_then(|module| wanted.get(module));
        match wanted {
            // Which run of it ends is to be remembered.
            Some((_, Status::Stopped, _)) if container.up_for.is_some() => return true,
            // Whether that run is its last one decides what is done.
            Some((_, Status::Running, _))
                if module == Some(&container.name) && stops.holds(container) =>
            {
                return true;
            }
            _ => {}
        }
        known.get(&container.id).is_none_or(|remembered| {
            // What goes is looked at once more, as it may have to be put back as it was.
            wanted.map_or(has_manifest, |(settings, _, spec)| {
                let bears_it = || {
                    let label = container.labels.get(label::SPEC).map(String::as_str);
                    spec.as_ref().is_some_and(|spec| label == Some(spec.as_str()))
                };
                // Also one that is put aside: it may come back into its place by this very look.
                *settings != remembered.settings || !remembered.is_compared && bears_it()
            })
        })
    }
}

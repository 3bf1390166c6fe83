//! One device: whose containers are whose, what is to be done about each module, and the works of it all.

use super::adoption::{self, adoptable};
use super::going::Going;
use super::image_check::{ImageChecks, image_checks};
use super::joint::without_port;
use super::module::{Decided, Decision, ModuleInput, Owned, decide};
use super::ownership::{Role, carries_our_labels, fingerprint, is_innocent, is_ours};
use super::works::Works;
use super::{
    Block, ControlMemory, DeviceMemory, DevicePlan, DeviceState, HalfDone, KnownEngine,
    ModuleMemory, PlanAction, PlanReason, Purpose, RememberedContainer, Step, Stops,
};
use crate::model::{
    ContainerState, DeviceId, FleetName, Hash, HashedManifest, ImageReference, Manifest, Module,
    ModuleName, Observation, ObservedContainer, PullPolicy, SecretName, label,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All that a device's plan is made from.
pub struct PlanInput<'a> {
    /// The fleet's name.
    pub fleet: &'a FleetName,
    /// Its former names.
    pub fleet_formerly: &'a [FleetName],
    /// The device.
    pub device: &'a DeviceId,
    /// Its former ids.
    pub device_formerly: &'a [DeviceId],
    /// What is to be in force; `None` where nothing is known.
    pub manifest: Option<Arc<HashedManifest>>,
    /// Whether no deployment targets it, so that what it has stays in force.
    pub retained: bool,
    /// Whether the manifest is what was in force before, and not what the fleet's files say.
    pub is_kept: bool,
    /// The revision, for the labels.
    pub revision: &'a str,
    /// Which control host's store this is.
    pub control: &'a str,
    /// Subnet of the fleet's network.
    pub subnet: Option<&'a str>,
    /// Registry host → name of its credentials.
    pub registries: &'a BTreeMap<String, SecretName>,
    /// Keyed hashes of the secrets that the device may have; words for those that it can't.
    pub secrets: &'a BTreeMap<SecretName, Result<Hash, String>>,
    /// What the engine was seen to run.
    pub observation: &'a Observation,
    /// What the store remembers.
    pub memory: &'a DeviceMemory,
    /// Which engine answered, and which one should.
    pub engine: KnownEngine<'a>,
    /// What somebody agreed to besides the fleet's files.
    pub consent: Consent,
    /// Seconds since 1970.
    pub now: i64,
}

/// What somebody agreed to for one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consent {
    /// That foreign containers named as modules are taken over.
    pub adopt: bool,
    /// That another control host's work is replaced, however often it undid this one's.
    pub take_over: bool,
}

/// What the engine is asked besides its list, where the plan depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Whether it has these images: of modules for which a container will be made.
    pub images: Vec<String>,
    /// Which ids its networks have: a container that is down can be started only on the very networks that it was
    /// made on.
    pub network_ids: bool,
    /// The details of these containers, by id: of those of which the list shows that they ended, and not when.
    pub details: BTreeSet<String>,
}

/// Plans one device by what is known.
pub fn plan_device(input: &PlanInput<'_>) -> DevicePlan {
    Begun::with(input).map_or_else(|idle| *idle, Begun::plan)
}

/// Plans one device, if what is known is enough for that.
///
/// # Errors
/// What has to be asked before.
pub fn plan_or_ask(input: &PlanInput<'_>) -> Result<DevicePlan, Questions> {
    let begun = match Begun::with(input) {
        Err(idle) => return Ok(*idle),
        Ok(begun) => begun,
    };
    let questions = begun.questions();
    // Nearly every look at a device that is as it should be has nothing more to ask.
    if questions == Questions::default() { Ok(begun.plan()) } else { Err(questions) }
}

/// A device's plan in the making: what is to be done about each module is decided.
struct Begun<'a> {
    input: &'a PlanInput<'a>,
    manifest: &'a HashedManifest,
    plan: DevicePlan,
    control: ControlMemory,
    sorted: Sorted<'a>,
    half_done: HalfDone,
    stops: Stops,
    decided: DecidedAll<'a>,
}

impl<'a> Begun<'a> {
    /// Decides, or says why there is nothing to decide.
    fn with(input: &'a PlanInput<'a>) -> Result<Self, Box<DevicePlan>> {
        let mut plan = DevicePlan::idle(input.device.clone(), DeviceState::Observed);
        plan.manifest.clone_from(&input.manifest);
        plan.retained = input.retained;
        plan.fingerprint = Some(fingerprint(input.observation));
        if let Some(words) = super::whose_engine::why_not_touched(input) {
            plan.state = DeviceState::Held { code: 409, words };
            plan.kept_memory = input.memory.clone();
            return Err(Box::new(plan));
        }
        let Some(manifest) = input.manifest.as_deref() else {
            plan.kept_memory = input.memory.clone();
            return Err(Box::new(plan));
        };
        let control = input.memory.control.after_looking(input);
        if let Some(words) = control.why_stopped(input.device) {
            plan.state = DeviceState::Held { code: 409, words };
            plan.kept_memory = DeviceMemory { control, ..input.memory.clone() };
            return Err(Box::new(plan));
        }
        let sorted = Sorted::of(input);
        let half_done = input.memory.half_done.still(manifest, &sorted);
        let stops = input.memory.stops.still(&sorted, input.now);
        let decided = decide_all(input, manifest, &sorted, (&half_done, &stops));
        Ok(Self { input, manifest, plan, control, sorted, half_done, stops, decided })
    }

    fn questions(&self) -> Questions {
        let Self { input, manifest, sorted, decided, .. } = self;
        let drafts = || decided.drafts.iter();
        let network_ids = drafts().any(|draft| may_need_another(input, draft));
        let images: BTreeSet<&String> = drafts()
            .filter(|draft| draft.decision.needs_image || may_need_another(input, draft))
            .map(|draft| &draft.module.image)
            .collect();
        let details = super::going::whose_end_decides(&decided.drafts, manifest, sorted);
        Questions { images: images.into_iter().cloned().collect(), network_ids, details }
    }

    fn plan(self) -> DevicePlan {
        let Self { input, manifest, mut plan, control, sorted, half_done, stops, decided } = self;
        let mut works = Works::default();
        let drafts = without_what_is_taken_back(decided.drafts, &sorted, &mut works);
        let drafts = with_images(input, drafts, &mut works);
        plan.blocked = decided.blocked;
        plan.specs = decided.specs;
        let names = manifest.modules.keys().cloned().collect();
        let drafts = without_port(drafts, &names, &sorted, &mut plan.blocked);
        plan.adopts = sorted.adopted(&drafts);
        let networks = works.networks(input, &drafts);
        let going = Going {
            sorted: &sorted,
            half_done: &half_done,
            stops: &stops,
            ways_back: half_done.ways_back(&sorted),
            blocked: &plan.blocked,
            specs: &plan.specs,
        };
        for (container, name) in going.taken_back(manifest) {
            works.take_back(container, &name);
        }
        let early = works.early_stops(&drafts, manifest, &going);
        works.rooms_of_what_is_taken_back(&drafts, &going);
        works.stages(&drafts, &networks, &sorted);
        works.restarts(&early, &plan.specs, !plan.blocked.is_empty());
        works.instead();
        let goes_back = works
            .list
            .iter()
            .any(|work| matches!(work.purpose, Purpose::Module { action: PlanAction::GoBack, .. }));
        if plan.blocked.is_empty() && !goes_back {
            works.removals(manifest, &going);
            works.unused_networks(input, manifest);
        } else {
            let unwanted = going.unwanted(manifest);
            let down = unwanted.iter().filter(|(container, _)| !works.will_be_up(container));
            plan.held_back_down = down.map(|(_, name)| name.clone()).collect();
            plan.held_back = unwanted.into_iter().map(|(_, name)| name).collect();
        }
        let others_go = !sorted.unwanted(manifest).is_empty();
        let half_done = half_done.go_on(&drafts, &early, others_go);
        let ImageChecks { checked, due } = image_checks(input, manifest, &mut works);
        plan.works = works.list;
        plan.kept_memory = DeviceMemory {
            containers: decided.kept,
            networks: Some(known_networks(input).into_iter().collect()),
            modules: decided.memories,
            adopting: adoption::remembered(input, &plan, &stops),
            control,
            checked,
            half_done,
            stops,
        };
        plan.due = decided.due.into_iter().chain(due).min();
        plan
    }
}

/// Adds what takes back what a run that was cut off made: its name and its room are needed.
fn without_what_is_taken_back<'a>(
    mut drafts: Vec<Draft<'a>>,
    sorted: &Sorted<'_>,
    works: &mut Works,
) -> Vec<Draft<'a>> {
    for draft in &mut drafts {
        let taken_back = draft.decision.takes_back.take();
        let mut all = sorted.all(&draft.name);
        if let Some(container) = all.find(|c| taken_back.as_ref() == Some(&c.id)) {
            works.take_back(container, &draft.name);
        }
    }
    drafts.retain(|draft| !draft.decision.steps.is_empty());
    drafts
}

fn may_need_another(input: &PlanInput<'_>, draft: &Draft<'_>) -> bool {
    input.observation.network_ids.is_none() && draft.decision.action == PlanAction::Start
}

pub(super) fn fleet_names(input: &PlanInput<'_>) -> Vec<String> {
    std::iter::once(input.fleet).chain(input.fleet_formerly).map(ToString::to_string).collect()
}

pub(super) fn device_names(input: &PlanInput<'_>) -> Vec<String> {
    std::iter::once(input.device).chain(input.device_formerly).map(ToString::to_string).collect()
}

/// The containers of an observation, by whose they are.
pub(super) struct Sorted<'a> {
    ours: BTreeMap<String, Owned<'a>>,
    foreign: Vec<&'a ObservedContainer>,
}

impl<'a> Sorted<'a> {
    fn of(input: &'a PlanInput<'a>) -> Self {
        let (fleets, devices) = (fleet_names(input), device_names(input));
        let mut sorted = Self { ours: BTreeMap::new(), foreign: Vec::new() };
        for container in &input.observation.containers {
            let ours = carries_our_labels(container, &fleets, &devices)
                .then(|| is_ours(container, input.memory))
                .flatten();
            match ours {
                _ if container.state == ContainerState::Removing => {}
                None => match adoptable(input, container) {
                    Some((module, role)) => {
                        let owned = sorted.ours.entry(module.to_string()).or_default();
                        owned.adopted = Some(container.id.clone());
                        match role {
                            Role::Old => owned.old = Some(container),
                            _ => owned.current = Some(container),
                        }
                    }
                    None => sorted.foreign.push(container),
                },
                Some((module, role)) => {
                    let owned = sorted.ours.entry(module).or_default();
                    match role {
                        Role::Current => owned.current = Some(container),
                        Role::New => owned.new = Some(container),
                        Role::Old => owned.old = Some(container),
                        Role::Renamed => owned.renamed.push(container),
                    }
                }
            }
        }
        sorted
    }

    /// Foreign containers that bear a module's labels of their own, not their image's.
    fn doubtful(&self, input: &PlanInput<'_>, module: &ModuleName) -> Vec<&'a ObservedContainer> {
        let (fleets, devices) = (fleet_names(input), device_names(input));
        let is_of = |container: &ObservedContainer| {
            container.labels.get(label::MODULE).is_some_and(|m| m == module.as_str())
        };
        let own = |container: &ObservedContainer| {
            container.detail.as_ref().is_some_and(|detail| is_innocent(&detail.image_labels))
        };
        let foreign = self.foreign.iter().copied();
        foreign.filter(|c| is_of(c) && carries_our_labels(c, &fleets, &devices) && own(c)).collect()
    }

    /// The foreign containers that these take over.
    fn adopted(&self, drafts: &[Draft<'_>]) -> BTreeMap<ModuleName, String> {
        let of = |draft: &Draft<'_>| {
            let owned = self.ours.get(draft.name.as_str())?;
            Some((draft.name.clone(), owned.adopted.clone()?))
        };
        // What is only put back as it was is not taken over now.
        drafts.iter().filter(|draft| !draft.decision.keeps_up).filter_map(of).collect()
    }

    /// The container in place of a module.
    pub(super) fn current(&self, module: &ModuleName) -> Option<&'a ObservedContainer> {
        self.ours.get(module.as_str())?.current
    }

    /// All containers of ours.
    pub(super) fn every(&self) -> impl Iterator<Item = &'a ObservedContainer> {
        self.ours.values().flat_map(Owned::all)
    }

    /// All containers of a module.
    pub(super) fn all(&self, module: &ModuleName) -> impl Iterator<Item = &'a ObservedContainer> {
        self.ours.get(module.as_str()).into_iter().flat_map(Owned::all)
    }

    /// Containers of modules that the manifest does not have.
    pub(super) fn unwanted(&self, manifest: &Manifest) -> Vec<(&'a ObservedContainer, ModuleName)> {
        let mut unwanted = Vec::new();
        for (module, owned) in &self.ours {
            let Ok(name) = ModuleName::parse(module) else { continue };
            if manifest.modules.contains_key(&name) {
                continue;
            }
            unwanted.extend(owned.all().map(|container| (container, name.clone())));
        }
        unwanted
    }
}

pub(super) struct Draft<'a> {
    pub(super) name: ModuleName,
    pub(super) module: &'a Module,
    pub(super) decision: Decision,
    pub(super) pull: Option<usize>,
}

struct DecidedAll<'a> {
    drafts: Vec<Draft<'a>>,
    blocked: BTreeMap<ModuleName, Block>,
    specs: BTreeMap<ModuleName, Hash>,
    kept: BTreeMap<String, RememberedContainer>,
    memories: BTreeMap<ModuleName, ModuleMemory>,
    due: Option<i64>,
}

fn decide_all<'a>(
    input: &PlanInput<'_>,
    manifest: &'a HashedManifest,
    sorted: &Sorted<'_>,
    (half_done, stops): (&HalfDone, &Stops),
) -> DecidedAll<'a> {
    let ways_back = half_done.ways_back(sorted);
    let mut all = DecidedAll {
        drafts: Vec::new(),
        blocked: BTreeMap::new(),
        specs: BTreeMap::new(),
        kept: BTreeMap::new(),
        memories: BTreeMap::new(),
        due: None,
    };
    let none = Owned::default();
    let others_go = !sorted.unwanted(manifest).is_empty();
    for (name, module, hashes) in manifest.hashed_modules() {
        let owned = sorted.ours.get(name.as_str()).unwrap_or(&none);
        let decided = decide(&ModuleInput {
            fleet: input.fleet,
            device: input.device.as_str(),
            is_kept: input.is_kept,
            revision: input.revision,
            control: input.control,
            secrets: input.secrets,
            memory: input.memory,
            foreign: &sorted.foreign,
            doubtful: sorted.doubtful(input, name),
            routes: &manifest.routes,
            hashes,
            name,
            module,
            owned,
            lacks_image: input.observation.images.get(&module.image) == Some(&false),
            network_ids: input.observation.network_ids.as_ref(),
            others_go,
            may_adopt: input.consent.adopt,
            half_done,
            has_way_back: ways_back.contains(name),
            stops,
            now: input.now,
        });
        match decided {
            Ok(Decided { decision, spec, kept, memory, block, due }) => {
                all.specs.extend(spec.map(|spec| (name.clone(), spec)));
                all.kept.extend(kept);
                all.due = all.due.into_iter().chain(due).min();
                if memory != ModuleMemory::default() {
                    all.memories.insert(name.clone(), memory);
                }
                if let Some(block) = block {
                    all.blocked.insert(name.clone(), block);
                }
                if let Some(decision) = decision {
                    all.drafts.push(Draft { name: name.clone(), module, decision, pull: None });
                }
            }
            Err(block) => {
                let known =
                    owned.all().filter_map(|c| input.memory.containers.get_key_value(&c.id));
                all.kept.extend(known.map(|(id, remembered)| (id.clone(), remembered.clone())));
                if let Some(memory) = input.memory.modules.get(name) {
                    all.memories.insert(name.clone(), memory.clone());
                }
                all.blocked.insert(name.clone(), block);
            }
        }
    }
    all
}

/// Adds the pulls that are needed.
fn with_images<'a>(
    input: &PlanInput<'_>,
    mut drafts: Vec<Draft<'a>>,
    works: &mut Works,
) -> Vec<Draft<'a>> {
    let mut pulls: BTreeMap<String, usize> = BTreeMap::new();
    for draft in drafts.iter_mut().filter(|draft| draft.decision.needs_image) {
        let image = &draft.module.image;
        let there = input.observation.images.get(image).copied();
        let policy = draft.module.image_pull_policy;
        let pull = match (policy, there) {
            (PullPolicy::Never, _) | (PullPolicy::OnCreate, Some(true)) => false,
            (PullPolicy::Always, _) | (PullPolicy::OnCreate, _) => true,
        };
        if let Some(reference) = ImageReference::parse(image).ok().filter(|_| pull) {
            let number = *pulls.entry(image.clone()).or_insert_with(|| {
                let credentials = reference
                    .registry()
                    .and_then(|registry| input.registries.get(registry))
                    .cloned();
                let step = Step::Pull {
                    image: reference,
                    credentials,
                    if_present_is_enough: policy == PullPolicy::Always,
                };
                works.add(Purpose::Image(image.clone()), Vec::new(), vec![step])
            });
            if let Some(work) = works.list.get_mut(number) {
                match work.reasons.first_mut() {
                    Some(PlanReason::NeededBy(names)) => names.push(draft.name.clone()),
                    _ => work.reasons.push(PlanReason::NeededBy(vec![draft.name.clone()])),
                }
            }
            draft.pull = Some(number);
        }
    }
    drafts
}

/// Networks that are known to be there and ours.
pub(super) fn known_networks(input: &PlanInput<'_>) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = input.memory.networks.iter().flatten().cloned().collect();
    known.extend(input.observation.networks.iter().flatten().cloned());
    known
}

//! One device with a simulated engine, and passes over it that can be cut off at any call.

use hoist::apply::{CallOff, DeviceRun, Event, Outcome, Pace, Witness, run_noted};
use hoist::engine::simulated::{Control, Simulated};
use hoist::engine::{
    Engine, EngineError, EngineFuture, EventStream, FileSeen, LogStream, LogsWanted, SecretValues,
    Wanted,
};
use hoist::fleet::{FileTree, Fleet, load};
use hoist::model::{
    ContainerState, DeviceId, EngineReport, Facts, Hash, HashedManifest, Observation,
    ObservedContainer, SecretName, Timestamp, label,
};
use hoist::plan::{
    Consent, ContainerRef, DeviceMemory, DevicePlan, PlanInput, Step, StepOutput, plan_device,
    plan_or_ask,
};
use hoist::reconcile::{
    answered, details_wanted, intent, learn_begun, learn_half_done, learn_passed, learn_stops,
    learn_taken_over,
};
use hoist::resolve::resolve;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// When a run is cut off: at which engine call, and whether the engine still did it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) call: usize,
    pub(crate) after: bool,
    /// Whether the run is only called off at that call, and may put things in order.
    pub(crate) gently: bool,
}

pub(crate) struct World {
    pub(crate) engine: Simulated,
    pub(crate) memory: DeviceMemory,
    /// What the control host gives for secrets: their digests, or why there is none.
    pub(crate) secrets: BTreeMap<SecretName, Result<Hash, String>>,
    fleet: Fleet,
    device: DeviceId,
    /// What the next plan may do besides.
    pub(crate) consent: Consent,
    /// Ids of containers that ran until runs of ours stopped them, and that were not started since.
    pub(crate) halted: Arc<Mutex<BTreeSet<String>>>,
    /// When its containers were looked at last.
    last_seen: Option<i64>,
}

/// What one pass did.
pub(crate) struct Pass {
    pub(crate) plan: DevicePlan,
    pub(crate) outcomes: BTreeMap<usize, Outcome>,
    pub(crate) calls: usize,
    pub(crate) was_cut: bool,
}

impl Pass {
    pub(crate) fn failed(&self) -> bool {
        self.outcomes
            .values()
            .any(|outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Skipped { .. }))
    }
}

fn fleet(deployment: &str) -> Fleet {
    let tree = FileTree::from_texts([
        ("fleet.toml", "name = \"f\"\n"),
        ("devices/d1.toml", "engine = \"unix:///run/d1.sock\"\n[tags]\na = 1\n"),
        ("deployments/base.toml", deployment),
    ]);
    let loaded = load(&tree);
    assert!(!loaded.diagnostics.has_errors(), "{:#?}", loaded.diagnostics);
    loaded.fleet.unwrap()
}

/// The manifest of device `d1` that a deployment file gives.
pub(crate) fn manifest(deployment: &str) -> Arc<HashedManifest> {
    let fleet = fleet(deployment);
    let resolution = resolve(&fleet, &Facts::none());
    let device = DeviceId::parse("d1").unwrap();
    Arc::new(HashedManifest::of(resolution.manifest(&fleet, &device).unwrap().unwrap()))
}

impl World {
    pub(crate) fn new() -> Self {
        let engine = Simulated::open(None, "d1").unwrap();
        let device = DeviceId::parse("d1").unwrap();
        let (memory, secrets) = (DeviceMemory::default(), BTreeMap::new());
        let halted = Arc::default();
        let fleet = fleet("target = \"*\"\n");
        let consent = Consent::default();
        Self { engine, memory, secrets, fleet, device, consent, halted, last_seen: None }
    }

    pub(crate) fn control(&self) -> Control {
        self.engine.control()
    }

    /// The present moment, by the engine's clock.
    pub(crate) fn now(&self) -> i64 {
        self.control().now().unwrap().seconds
    }

    fn timestamp(&self) -> Timestamp {
        self.control().now().unwrap()
    }

    /// So many seconds go by.
    pub(crate) fn wait(&self, seconds: u64) {
        self.control().advance(hoist::model::Duration::seconds(seconds)).unwrap();
    }

    pub(crate) async fn observe(&self, memory: &DeviceMemory) -> Observation {
        self.try_observe(memory, None).await.unwrap()
    }

    async fn try_observe(
        &self,
        memory: &DeviceMemory,
        manifest: Option<&HashedManifest>,
    ) -> Result<Observation, EngineError> {
        let since = self.last_seen.map(|last| self.now() - last);
        let device = &self.fleet.devices[self.device.as_str()];
        let known = (memory, &self.secrets);
        let details = details_wanted(&self.fleet, device, manifest, known, since);
        let adopts = self.consent.adopt;
        let details = |container: &ObservedContainer| {
            let name = container.name.as_str();
            let is_named_so = manifest.is_some_and(|manifest| manifest.modules.contains_key(name));
            details(container) || adopts && is_named_so
        };
        let f = ["f".to_owned()];
        let networks_of: &[String] = if memory.networks.is_none() { &f } else { &[] };
        let wanted = Wanted { details: &details, twins: true, networks_of, ..Wanted::list_only() };
        self.engine.observe(&wanted).await
    }

    pub(crate) async fn plan(&self, manifest: &Arc<HashedManifest>) -> DevicePlan {
        self.try_plan(manifest).await.unwrap().0
    }

    async fn try_plan(
        &self,
        manifest: &Arc<HashedManifest>,
    ) -> Result<(DevicePlan, Observation), EngineError> {
        let observation = self.try_observe(&self.memory, Some(manifest)).await?;
        let registries = BTreeMap::new();
        let mut input = PlanInput {
            fleet: &self.fleet.name,
            fleet_formerly: &[],
            device: &self.device,
            device_formerly: &[],
            manifest: Some(Arc::clone(manifest)),
            retained: false,
            is_kept: false,
            revision: "r",
            control: "c",
            subnet: None,
            registries: &registries,
            secrets: &self.secrets,
            observation: &observation,
            memory: &self.memory,
            engine: Default::default(),
            consent: self.consent,
            now: self.now(),
        };
        let questions = match plan_or_ask(&input) {
            Ok(plan) => return Ok((plan, observation)),
            Err(questions) => questions,
        };
        let with_answers = answered(&self.engine, &observation, &questions).await?;
        input.observation = &with_answers;
        let plan = plan_device(&input);
        Ok((plan, with_answers))
    }

    /// One pass. A cut run leaves the memory that is written before works begin; a whole one learns.
    pub(crate) async fn pass(&mut self, manifest: &Arc<HashedManifest>, cut: Option<Cut>) -> Pass {
        self.try_pass(manifest, cut).await.unwrap()
    }

    /// One pass, as far as the engine lets it.
    pub(crate) async fn try_pass(
        &mut self,
        manifest: &Arc<HashedManifest>,
        cut: Option<Cut>,
    ) -> Result<Pass, EngineError> {
        let (plan, before) = self.try_plan(manifest).await?;
        let known = std::mem::replace(&mut self.memory, intent(&plan));
        let dying = Dying {
            engine: self.engine.clone(),
            cut,
            calls: AtomicUsize::new(0),
            dead: Notify::new(),
            call_off: CallOff::default(),
            halted: Arc::clone(&self.halted),
        };
        let mut secrets = SecretValues::default();
        for name in self.secrets.keys() {
            secrets.insert(name, Ok("value".to_owned()));
        }
        let pace = Pace { call_off: dying.call_off.clone(), ..Pace::default() };
        let half_done = Mutex::new(plan.kept_memory.half_done.clone());
        let stops = Mutex::new((plan.kept_memory.stops.clone(), BTreeSet::new()));
        let at = self.timestamp();
        let events = |event: Event<'_>| {
            if let Event::WorkEnded { work, outcome: Outcome::Passed { .. } } = event {
                learn_passed(&plan, work, &mut half_done.lock().unwrap());
            }
        };
        let note = |step: &Step, _| {
            let (stops, started) = &mut *stops.lock().unwrap();
            if let Step::Start { container } = step {
                started.insert(container.as_str().to_owned());
            }
            learn_begun(step, (&before, started), stops, at);
            Ok(())
        };
        let witness = Witness { events: &events, note: &note };
        let run = tokio::select! {
            run = run_noted(&dying, &plan, &secrets, &pace, witness) => Some(run),
            () = dying.dead.notified() => None,
        };
        let calls = dying.calls.load(Ordering::SeqCst);
        let Some(run) = run else {
            self.memory.half_done = half_done.into_inner().unwrap();
            self.memory.stops = stops.into_inner().unwrap().0;
            return Ok(Pass { plan, outcomes: BTreeMap::new(), calls, was_cut: true });
        };
        self.memory.containers.clone_from(&plan.kept_memory.containers);
        self.memory.containers.extend(run.remembered.clone());
        if !plan.works.is_empty() {
            self.memory.networks = None;
        }
        for work in &plan.works {
            match run.outcomes.get(&work.id) {
                Some(Outcome::Passed { .. }) => self.memory.learn(work, None, self.now()),
                Some(failed @ Outcome::Failed { error, .. }) => {
                    let words = failed.failure().unwrap();
                    self.memory.learn(work, Some((error.kind.code(), &words)), self.now());
                }
                _ => {}
            }
        }
        self.look_again((&plan, &run), &before, &known).await;
        Ok(Pass { plan, outcomes: run.outcomes, calls, was_cut: false })
    }

    /// What a run does at its end: containers that are gone are forgotten, ends are noticed.
    async fn look_again(
        &mut self,
        (plan, run): (&DevicePlan, &DeviceRun),
        before: &Observation,
        known: &DeviceMemory,
    ) {
        let memory = DeviceMemory { adopting: self.memory.adopting.clone(), ..Default::default() };
        let seen = self.try_observe(&memory, None).await.ok();
        if !plan.works.is_empty() {
            let looks = (before, seen.as_ref());
            learn_half_done(plan, run, seen.as_ref(), &mut self.memory);
            let at = self.timestamp();
            learn_stops(plan, run, looks, &mut self.memory, at);
            learn_taken_over(plan, run, known, looks, &mut self.memory);
        }
        let Some(seen) = seen else { return };
        let now = self.now();
        self.memory.containers.retain(|id, _| seen.containers.iter().any(|c| c.id == *id));
        for container in &seen.containers {
            let module = container.labels.get(label::MODULE).filter(|m| **m == container.name);
            if let Some(name) = module.and_then(|m| hoist::model::ModuleName::parse(m).ok()) {
                self.memory.modules.entry(name).or_default().notice(container, now);
            }
        }
        self.memory.modules.retain(|_, tried| *tried != Default::default());
        self.last_seen = Some(now);
    }

    /// Somebody stops a container by hand.
    pub(crate) async fn stop(&self, name: &str) {
        let container = ContainerRef::Name(name.to_owned());
        let step = Step::Stop { container, timeout: None };
        self.engine.execute(&step, &SecretValues::default()).await.unwrap();
    }

    /// Somebody starts a container by hand.
    pub(crate) async fn start(&self, name: &str) {
        let step = Step::Start { container: ContainerRef::Name(name.to_owned()) };
        self.engine.execute(&step, &SecretValues::default()).await.unwrap();
    }

    /// Every container as `name state module`, ours and foreign.
    pub(crate) async fn containers(&self) -> Vec<String> {
        let observation = self.engine.observe(&Wanted::list_only()).await.unwrap();
        let mut lines: Vec<String> = observation
            .containers
            .iter()
            .map(|c| {
                let state = match c.state {
                    ContainerState::Exited(_) => "exited".to_owned(),
                    other => format!("{other:?}").to_lowercase(),
                };
                format!("{} {state} {}", c.name, c.image)
            })
            .collect();
        lines.sort();
        lines
    }

    pub(crate) async fn networks(&self) -> BTreeSet<String> {
        let wanted = Wanted { networks_of: &["f".to_owned()], ..Wanted::list_only() };
        self.engine.observe(&wanted).await.unwrap().networks.unwrap_or_default()
    }
}

/// An engine whose caller dies at a call. It also holds, after every call, that no module runs twice.
struct Dying {
    engine: Simulated,
    cut: Option<Cut>,
    calls: AtomicUsize,
    dead: Notify,
    call_off: CallOff,
    halted: Arc<Mutex<BTreeSet<String>>>,
}

impl Dying {
    fn is_up(&self, container: &ContainerRef) -> bool {
        let all = self.engine.control().observed().unwrap().containers;
        let mut all = all.iter().filter(|c| c.up_for.is_some());
        all.any(|c| c.id == container.as_str() || c.name == container.as_str())
    }

    async fn die<T>(&self) -> Result<T, EngineError> {
        self.dead.notify_one();
        std::future::pending().await
    }
}

impl Engine for Dying {
    fn facts(&self) -> EngineFuture<'_, EngineReport> {
        self.engine.facts()
    }

    fn answers(&self) -> EngineFuture<'_, ()> {
        self.engine.answers()
    }

    fn observe<'a>(&'a self, wanted: &'a Wanted) -> EngineFuture<'a, Observation> {
        self.engine.observe(wanted)
    }

    fn execute<'a>(
        &'a self,
        step: &'a Step,
        secrets: &'a SecretValues,
    ) -> EngineFuture<'a, StepOutput> {
        Box::pin(async move {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if self.cut.is_some_and(|cut| cut.gently && cut.call == call) {
                self.call_off.now();
                // What may be broken off is, before the engine has begun.
                tokio::task::yield_now().await;
            }
            let cut = self.cut.filter(|cut| cut.call == call && !cut.gently);
            if cut.is_some_and(|cut| !cut.after) {
                return self.die().await;
            }
            if let Step::Pull { image, if_present_is_enough: false, .. } = step {
                let has = self.engine.control().has_image(image.as_str()).unwrap();
                assert!(!has, "`{step}` pulls what is there");
            }
            let of =
                step.container().filter(|_| matches!(step, Step::Stop { .. } | Step::Start { .. }));
            let was_up = of.is_some_and(|container| self.is_up(container));
            // Somebody else may have made it so.
            let ran_twice = runs_twice(&self.engine);
            let result = self.engine.execute(step, secrets).await;
            if let Some(container) = of {
                let id = container.as_str();
                let mut halted = self.halted.lock().unwrap();
                match (was_up, self.is_up(container)) {
                    (true, false) => drop(halted.insert(id.to_owned())),
                    (_, true) => drop(halted.remove(id)),
                    (false, false) => {}
                }
            }
            let runs_twice = runs_twice(&self.engine).filter(|_| ran_twice.is_none());
            assert_eq!(runs_twice, None, "after `{step}` a module runs twice");
            if cut.is_some() {
                return self.die().await;
            }
            result
        })
    }

    fn look_at<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> EngineFuture<'a, Option<FileSeen>> {
        self.engine.look_at(container, path)
    }

    fn read_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> EngineFuture<'a, Option<Vec<u8>>> {
        self.engine.read_file(container, path, limit)
    }

    fn events<'a>(&'a self, fleets: &'a [String]) -> EngineFuture<'a, EventStream> {
        self.engine.events(fleets)
    }

    fn logs<'a>(
        &'a self,
        container: &'a str,
        wanted: &'a LogsWanted,
    ) -> EngineFuture<'a, LogStream> {
        self.engine.logs(container, wanted)
    }
}

/// Two containers of one module that run.
fn runs_twice(engine: &Simulated) -> Option<(String, String)> {
    // Past all faults, and without a trace in the list of calls.
    let observation = engine.control().observed().unwrap();
    let mut running: BTreeMap<&str, &str> = BTreeMap::new();
    for container in observation.containers.iter().filter(|c| c.state == ContainerState::Running) {
        if let Some(module) = container.labels.get(label::MODULE)
            && let Some(other) = running.insert(module, &container.name)
        {
            return Some((other.to_owned(), container.name.clone()));
        }
    }
    None
}

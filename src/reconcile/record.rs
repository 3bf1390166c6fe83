//! Running a plan on all devices, and writing down what became of it: the intent before, the outcome after.

use super::facts::take_facts;
use super::pace::Paces;
use super::report::read_reports;
use super::standing::{Views, device_status, standings};
use super::survey::{SIDE_BY_SIDE, Seen, Survey, details_wanted, names};
use crate::apply::{DeviceRun, Event, Outcome, run_device};

use crate::engine::Wanted;
use crate::fleet::{Fleet, print_manifest};
use crate::model::{
    DeviceId, Manifest, ModuleName, Observation, ObservedContainer, Timestamp, label, manifest_hash,
};
use crate::plan::{
    DeviceMemory, DevicePlan, DeviceState, MadeLast, PlanAction, Purpose, Role, Step, When,
    carries_our_labels, is_ours,
};
use crate::store::{
    EngineAt, HistoryEntry, InForce, ModuleReport, ModuleStanding, StatusSince, Store, StoreError,
    StoredDevice,
};
use futures_util::stream::{self, StreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;
use tracing::Instrument as _;

/// A device that departed is listed so long, in seconds.
const LISTED: i64 = 30 * 86_400;

/// What running a plan needs.
pub struct RunInput<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// The plan, and the engines.
    pub survey: &'a Survey,
    /// Where it is written down.
    pub store: &'a Store,
    /// Who asked for it.
    pub who: &'a str,
    /// The present moment.
    pub now: Timestamp,
    /// What the store knew before.
    pub before: &'a BTreeMap<DeviceId, StoredDevice>,
    /// The pace of each device.
    pub paces: &'a Paces,
    /// Is told what happens.
    pub events: &'a (dyn Fn(&DeviceId, Event<'_>) + Send + Sync),
}

/// What became of one device.
pub struct Ran {
    /// Its works' outcomes.
    pub run: DeviceRun,
    /// How it stands now.
    pub stored: StoredDevice,
}

/// Runs a plan on all devices, side by side, and records each as soon as it has ended.
///
/// # Errors
/// The store can't be written; devices that run go on to their end before that is said.
pub async fn run_and_record(input: &RunInput<'_>) -> Result<BTreeMap<DeviceId, Ran>, StoreError> {
    let RunInput { fleet, survey, store, who: _, now, before, paces: _, events: _ } = *input;
    let context = input;
    let results: Vec<(DeviceId, Result<Ran, StoreError>)> =
        stream::iter(survey.plan.devices.values().map(|plan| context.device(plan)))
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
    let ran = results.into_iter().map(|(id, result)| result.map(|ran| (id, ran))).collect();
    if !survey.plan.narrowed {
        note_departed(fleet, store, before, now)?;
    }
    ran
}

/// Devices that no file names any more: nothing of theirs is touched, and one day they are forgotten.
fn note_departed(
    fleet: &Fleet,
    store: &Store,
    before: &BTreeMap<DeviceId, StoredDevice>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for (id, device) in before.iter().filter(|(id, _)| !fleet.devices.contains_key(*id)) {
        match device.departed {
            None => {
                store.record_device(&StoredDevice { departed: Some(now), ..device.clone() })?;
            }
            Some(since) if now.seconds.saturating_sub(since.seconds) >= LISTED => {
                store.forget_device(id)?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What was seen of a device after its works.
struct Looked<'a> {
    seen: &'a Seen,
    observation: &'a Observation,
    ours: Vec<(ModuleName, &'a ObservedContainer)>,
    memory: &'a DeviceMemory,
    reports: BTreeMap<ModuleName, ModuleReport>,
}

impl RunInput<'_> {
    async fn device(&self, plan: &DevicePlan) -> (DeviceId, Result<Ran, StoreError>) {
        let span = tracing::info_span!("device", id = %plan.device);
        (plan.device.clone(), self.run_and_record(plan).instrument(span).await)
    }

    async fn run_and_record(&self, plan: &DevicePlan) -> Result<Ran, StoreError> {
        let Some(seen) = self.survey.seen.get(&plan.device) else {
            let run = DeviceRun::default();
            let stored = self.standing(plan, None, &run, self.now);
            self.store.record_device(&stored)?;
            return Ok(Ran { run, stored });
        };
        if self.paces.is_called_off() && !plan.works.is_empty() {
            return self.not_begun(plan);
        }
        let begun = Instant::now();
        let (run, memory, observation) = if plan.works.is_empty() {
            (DeviceRun::default(), plan.kept_memory.clone(), seen.observation.clone())
        } else {
            self.run(plan, seen).await?
        };
        let at = self.later(begun);
        let mut memory = memory;
        if !plan.works.is_empty() {
            learn(plan, &run, &observation, &mut memory, at);
            learn_made(
                plan,
                &run,
                &self.ours(plan, &observation),
                self.store.control(),
                &mut memory,
                at,
            );
        }
        let ours = self.ours(plan, &observation);
        let former = self.before.get(&plan.device).map(|d| d.modules.clone()).unwrap_or_default();
        let reports = match plan.state {
            DeviceState::Observed => {
                read_reports(seen.engine.as_ref(), &ours, &former, at.seconds).await
            }
            DeviceState::Pending(_) | DeviceState::Held { .. } => BTreeMap::new(),
        };
        let looked = Looked { seen, observation: &observation, ours, memory: &memory, reports };
        let stored = self.standing(plan, Some(looked), &run, at);
        let history = self.history(plan, &run);
        self.write(plan, &stored, &memory, &history)?;
        Ok(Ran { run, stored })
    }

    /// A device whose turn did not come before the run was called off: it stands as it stood.
    fn not_begun(&self, plan: &DevicePlan) -> Result<Ran, StoreError> {
        let called_off = || Outcome::CalledOff { undo_failed: Vec::new() };
        let works = plan.works.iter().filter(|work| matches!(work.when, When::AllPassed(_)));
        let outcomes = works.map(|work| (work.id, called_off())).collect();
        let run = DeviceRun { outcomes, ..DeviceRun::default() };
        let words = "the run was called off before its turn came".to_owned();
        let status = StatusSince { code: 202, description: words, since: self.now };
        let stored = StoredDevice { status, ..self.standing(plan, None, &run, self.now) };
        self.store.record_device(&stored)?;
        Ok(Ran { run, stored })
    }

    /// Runs the works, the intent written before, and looks at what came of it.
    async fn run(
        &self,
        plan: &DevicePlan,
        seen: &Seen,
    ) -> Result<(DeviceRun, DeviceMemory, Observation), StoreError> {
        self.store.remember(&plan.device, &intent(plan))?;
        let events = |event: Event<'_>| (self.events)(&plan.device, event);
        let (engine, pace) = (seen.engine.as_ref(), self.paces.of(&plan.device));
        let run = run_device(engine, plan, &seen.secrets.values, &pace, &events).await;
        let mut memory = plan.kept_memory.clone();
        memory.containers.extend(run.remembered.clone());
        learn_networks(plan, &run, &mut memory);
        if run.has_failures() || run.was_called_off() {
            memory.networks = None;
        }
        let observation = self.look_again(plan, seen, &memory).await;
        let there: BTreeSet<&str> =
            observation.containers.iter().map(|container| container.id.as_str()).collect();
        memory.containers.retain(|id, _| there.contains(id.as_str()));
        memory.adopting.retain(|id, was| {
            there.contains(id.as_str()) && is_half_taken_over(plan, &run, &was.module)
        });
        Ok((run, memory, observation))
    }

    /// The moment now: that of the beginning and what went by since, rounded up, so that what was started
    /// before it was started before it.
    fn later(&self, begun: Instant) -> Timestamp {
        let elapsed = begun.elapsed();
        let seconds = elapsed.as_secs() + u64::from(elapsed.subsec_nanos() > 0);
        Timestamp { seconds: self.now.seconds.saturating_add_unsigned(seconds) }
    }

    /// What the engine runs after the works; if it does not answer any more, what it ran before.
    async fn look_again(
        &self,
        plan: &DevicePlan,
        seen: &Seen,
        memory: &DeviceMemory,
    ) -> Observation {
        let Some(device) = self.fleet.devices.get(&plan.device) else {
            return seen.observation.clone();
        };
        let unknown = details_wanted(self.fleet, device, plan.manifest.as_deref(), memory, None);
        let (fleets, devices) = names(self.fleet, device);
        let fresh = |container: &ObservedContainer| {
            // A container that was just started may be in a crash loop that a list does not show.
            unknown(container) || carries_our_labels(container, &fleets, &devices)
        };
        let wanted = Wanted { details: &fresh, networks_of: None, images: &[], network_ids: false };
        match seen.engine.observe(&wanted).await {
            Ok(observation) => observation,
            Err(_) => seen.observation.clone(),
        }
    }

    /// The containers in place of the manifest's modules, also those made under former names.
    fn ours<'o>(
        &self,
        plan: &DevicePlan,
        observation: &'o Observation,
    ) -> Vec<(ModuleName, &'o ObservedContainer)> {
        let Some(device) = self.fleet.devices.get(&plan.device) else { return Vec::new() };
        let Some(manifest) = &plan.manifest else { return Vec::new() };
        let (fleets, devices) = names(self.fleet, device);
        observation
            .containers
            .iter()
            .filter(|container| carries_our_labels(container, &fleets, &devices))
            .filter_map(|container| match is_ours(container, &plan.kept_memory)? {
                (module, Role::Current) => {
                    let (name, _) = manifest.modules.get_key_value(module.as_str())?;
                    Some((name.clone(), container))
                }
                _ => None,
            })
            .collect()
    }

    fn write(
        &self,
        plan: &DevicePlan,
        stored: &StoredDevice,
        memory: &DeviceMemory,
        history: &[HistoryEntry],
    ) -> Result<(), StoreError> {
        self.store.record_device(stored)?;
        if !matches!(plan.state, DeviceState::Pending(_)) {
            self.store.remember(&plan.device, memory)?;
        }
        if !history.is_empty() {
            self.store.append_history(history)?;
        }
        Ok(())
    }

    fn standing(
        &self,
        plan: &DevicePlan,
        looked: Option<Looked<'_>>,
        run: &DeviceRun,
        at: Timestamp,
    ) -> StoredDevice {
        let former = self.before.get(&plan.device);
        let mut stored = StoredDevice {
            device: plan.device.clone(),
            in_force: former.and_then(|d| d.in_force.clone()),
            status: StatusSince { code: 202, description: String::new(), since: at },
            engine_id: former.and_then(|d| d.engine_id.clone()),
            accepted_engine: former.and_then(|d| d.accepted_engine.clone()),
            engine: former.and_then(|d| d.engine.clone()),
            last_contact: former.and_then(|d| d.last_contact),
            modules: former.map(|d| d.modules.clone()).unwrap_or_default(),
            facts: former.and_then(|d| d.facts.clone()),
            departed: None,
        };
        let status =
            |code, words: &str| StatusSince { code, description: words.to_owned(), since: at };
        let Some(Looked { seen, observation, ours, memory, reports }) = looked else {
            stored.status = match &plan.state {
                DeviceState::Pending(words) => status(406, words),
                DeviceState::Held { code, words } => status(*code, words),
                DeviceState::Observed => status(202, ""),
            };
            return stored;
        };
        if let DeviceState::Held { code, words } = &plan.state {
            // It may be another device's engine: nothing that it says is taken for this one's.
            stored.status = status(*code, words);
            return stored;
        }
        stored.engine_id = Some(seen.report.id.clone()).filter(|id| !id.is_empty());
        stored.engine = self.engine_of(&plan.device).or(stored.engine);
        stored.last_contact = Some(at);
        let take = |modules: &BTreeMap<ModuleName, ModuleStanding>| {
            let facts = former.and_then(|d| d.facts.as_ref());
            Some(take_facts(self.fleet, &seen.report, modules, facts, at))
        };
        let Some(manifest) = plan.manifest.as_deref() else {
            stored.facts = take(&stored.modules);
            let has_ours = |c: &ObservedContainer| is_ours(c, &plan.kept_memory).is_some();
            stored.status = if observation.containers.iter().any(has_ours) {
                status(202, "no deployment targets it; what it had is not known")
            } else {
                status(200, "no deployment targets it")
            };
            return stored;
        };
        if !plan.retained && plan.held.is_none() {
            stored.in_force = Some(self.in_force(manifest));
        }
        let views = Views { plan, run, memory, former: &stored.modules, now: at.seconds };
        stored.modules = standings(manifest, &views, &ours, reports);
        stored.facts = take(&stored.modules);
        let (code, description) = device_status(&stored.modules, plan, run);
        stored.status = status(code, &description);
        stored
    }

    /// How it is reached, for the day on which its file is gone.
    fn engine_of(&self, device: &DeviceId) -> Option<EngineAt> {
        let device = self.fleet.devices.get(device)?;
        Some(EngineAt {
            address: device.engine.as_ref()?.to_string(),
            tls: device.tls.as_ref().map(ToString::to_string),
        })
    }

    fn in_force(&self, manifest: &Manifest) -> InForce {
        let revision = self.survey.plan.revision.clone();
        InForce {
            manifest: print_manifest(manifest, &format!("{} @ {revision}", manifest.device)),
            revision,
            manifest_hash: manifest_hash(manifest),
            base: manifest.cohort.base.clone(),
            layers: manifest.cohort.layers.clone(),
        }
    }

    fn history(&self, plan: &DevicePlan, run: &DeviceRun) -> Vec<HistoryEntry> {
        let from =
            self.before.get(&plan.device).and_then(|d| Some(d.in_force.as_ref()?.revision.clone()));
        plan.works
            .iter()
            .filter_map(|work| {
                let Purpose::Module { name, action } = &work.purpose else { return None };
                let outcome = run.outcomes.get(&work.id)?;
                let reasons: Vec<String> = work.reasons.iter().map(ToString::to_string).collect();
                Some(HistoryEntry {
                    at: self.now,
                    who: self.who.to_owned(),
                    device: Some(plan.device.clone()),
                    from: from.clone(),
                    to: Some(self.survey.plan.revision.clone()),
                    action: action.as_str().to_owned(),
                    module: Some(name.clone()),
                    reason: reasons.join(", "),
                    outcome: match outcome {
                        Outcome::NotNeeded => return None,
                        Outcome::Passed { warnings } if warnings.is_empty() => "done".to_owned(),
                        Outcome::Passed { warnings } => format!("done; {}", warnings.join("; ")),
                        Outcome::Failed { step, error, .. } => format!("failed: {step}: {error}"),
                        Outcome::CalledOff { undo_failed } if undo_failed.is_empty() => {
                            "called off".to_owned()
                        }
                        Outcome::CalledOff { undo_failed } => {
                            format!("called off; not taken back: {}", undo_failed.join("; "))
                        }
                        Outcome::Skipped { because } => {
                            format!("skipped because work {because} failed")
                        }
                    },
                })
            })
            .collect()
    }
}

/// What the store remembers while works run: of containers that they touch not how they are, and of networks
/// that they are not known. A run that is cut off then costs an inspect and loses nothing.
fn intent(plan: &DevicePlan) -> DeviceMemory {
    let mut memory = plan.kept_memory.clone();
    memory.doubt(&plan.works);
    if plan.works.iter().any(|work| matches!(work.purpose, Purpose::Network(_))) {
        memory.networks = None;
    }
    memory
}

fn learn_networks(plan: &DevicePlan, run: &DeviceRun, memory: &mut DeviceMemory) {
    for work in
        plan.works.iter().filter(|w| run.outcomes.get(&w.id).is_some_and(Outcome::is_passed))
    {
        let networks = memory.networks.get_or_insert_default();
        for step in &work.steps {
            match step {
                Step::CreateNetwork { name, .. } if !networks.contains(name) => {
                    networks.push(name.clone());
                }
                Step::RemoveNetwork { name, .. } => networks.retain(|known| known != name),
                _ => {}
            }
        }
    }
}

/// Whether a container that should be taken over may be neither as it was nor gone.
fn is_half_taken_over(plan: &DevicePlan, run: &DeviceRun, module: &ModuleName) -> bool {
    plan.works.iter().any(|work| {
        let is_of = matches!(&work.purpose, Purpose::Module { name, .. } if name == module);
        is_of
            && match run.outcomes.get(&work.id) {
                Some(Outcome::Failed { undo_failed, .. } | Outcome::CalledOff { undo_failed }) => {
                    !undo_failed.is_empty()
                }
                Some(Outcome::Passed { .. } | Outcome::Skipped { .. } | Outcome::NotNeeded) => {
                    false
                }
                None => true,
            }
    })
}

/// What this control host did last with each module.
fn learn_made(
    plan: &DevicePlan,
    run: &DeviceRun,
    ours: &[(ModuleName, &ObservedContainer)],
    control: &str,
    memory: &mut DeviceMemory,
    at: Timestamp,
) {
    let made = &mut memory.control.made;
    for work in &plan.works {
        let passed = run.outcomes.get(&work.id).is_some_and(Outcome::is_passed);
        if let Purpose::Module { name, action: PlanAction::Remove } = &work.purpose
            && passed
        {
            made.insert(name.clone(), MadeLast { container: None, at: at.seconds });
        }
    }
    for (name, container) in ours {
        let known = made.get(name).and_then(|made| made.container.as_ref());
        let is_by_us = container.labels.get(label::CONTROL).is_some_and(|by| by == control);
        if is_by_us && known != Some(&container.id) {
            let container = Some(container.id.clone());
            made.insert(name.clone(), MadeLast { container, at: at.seconds });
        }
    }
}

/// What the works taught: which changes failed, and how often containers end.
fn learn(
    plan: &DevicePlan,
    run: &DeviceRun,
    observation: &Observation,
    memory: &mut DeviceMemory,
    at: Timestamp,
) {
    for work in &plan.works {
        match run.outcomes.get(&work.id) {
            Some(Outcome::Passed { .. }) => memory.learn(work, None, at.seconds),
            Some(Outcome::Failed { step, error, .. }) => {
                let words = format!("{step}: {error}");
                memory.learn(work, Some((error.kind.code(), &words)), at.seconds);
            }
            Some(Outcome::CalledOff { .. }) => memory.doubt(std::slice::from_ref(work)),
            Some(Outcome::Skipped { .. } | Outcome::NotNeeded) | None => {}
        }
    }
    let known = memory.containers.clone();
    for container in observation.containers.iter().filter(|c| known.contains_key(&c.id)) {
        let name = container.labels.get(label::MODULE).and_then(|m| ModuleName::parse(m).ok());
        if let Some(name) = name.filter(|name| name.as_str() == container.name) {
            memory.modules.entry(name).or_default().notice(container, at.seconds);
        }
    }
    memory.modules.retain(|_, tried| *tried != Default::default());
}

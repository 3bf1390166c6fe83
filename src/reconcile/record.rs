//! Running a plan on all devices, and writing down what became of it: the intent before, the outcome after.

use super::entries::{entries_of_works, left_alone_before, news_of_trouble};
use super::facts::take_facts;
use super::in_force::{Running, in_force};
use super::learn::{
    explain_leaked_ports, intent, learn, learn_half_done, learn_made, learn_networks, learn_stops,
    learn_taken_over,
};
use super::noted::Noted;
use super::pace::Paces;
use super::report::{known_reports, read_reports};
use super::rival::learn_crossing;
use super::standing::{Views, device_status, standings};
use super::survey::{SIDE_BY_SIDE, Seen, Survey, details_wanted, names};
use crate::apply::{DeviceRun, Event, Outcome, Witness, run_noted};
use crate::engine::Wanted;
use crate::fleet::Fleet;
use crate::model::{
    DeviceId, Manifest, ModuleName, Observation, ObservedContainer, Timestamp, label,
};
use crate::plan::{
    Block, DeviceMemory, DevicePlan, DeviceState, Role, Step, When, carries_our_labels, is_ours,
};
use crate::store::{
    EngineAt, HistoryEntry, ModuleReport, ModuleStanding, StatusSince, Store, StoreError,
    StoredDevice, StoredDevices,
};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use std::borrow::Cow;
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
    pub before: &'a StoredDevices,
    /// The pace of each device.
    pub paces: &'a Paces,
    /// What is written.
    pub writes: Writes<'a>,
    /// Is told what happens.
    pub events: &'a (dyn Fn(&DeviceId, Event<'_>) + Send + Sync),
}

/// What of a pass is written.
#[derive(Debug, Clone, Copy)]
pub enum Writes<'a> {
    /// Every device, with the moment of its last contact.
    All,
    /// Only what differs from before, and from these memories. Whoever asks for that keeps the moments of last
    /// contact.
    Changes(&'a BTreeMap<DeviceId, DeviceMemory>),
}

/// What became of one device.
pub struct Ran {
    /// Its works' outcomes.
    pub run: DeviceRun,
    /// How it stands now.
    pub stored: StoredDevice,
    /// What is remembered of it now; `None` if nothing new was learnt.
    pub memory: Option<DeviceMemory>,
}

impl Ran {
    /// Whether it came to what was planned: nothing held it, and nobody called it off before.
    pub fn is_carried_out(&self, plan: &DevicePlan) -> bool {
        self.memory.is_some() && plan.state == DeviceState::Observed
    }
}

/// Runs a plan on all devices, side by side, and records each as soon as it has ended.
///
/// # Errors
/// The store can't be written; devices that run go on to their end before that is said.
pub async fn run_and_record(input: &RunInput<'_>) -> Result<BTreeMap<DeviceId, Ran>, StoreError> {
    let RunInput { fleet, survey, store, who: _, now, before, paces: _, writes: _, events: _ } =
        *input;
    let context = input;
    let (mut waiting, mut running) = (survey.plan.devices.values(), FuturesUnordered::new());
    let mut results: Vec<(DeviceId, Result<Ran, StoreError>)> = Vec::new();
    loop {
        let free = SIDE_BY_SIDE.saturating_sub(running.len());
        running.extend(waiting.by_ref().take(free).map(|plan| context.device(plan)));
        match running.next().await {
            Some(one) => results.push(one),
            None => break,
        }
    }
    let ran = results.into_iter().map(|(id, result)| result.map(|ran| (id, ran))).collect();
    if !survey.plan.narrowed {
        note_departed(fleet, store, before, now)?;
    }
    ran
}

/// Devices that no file names any more: nothing of theirs is touched, and one day they are forgotten.
pub(super) fn note_departed(
    fleet: &Fleet,
    store: &Store,
    before: &StoredDevices,
    now: Timestamp,
) -> Result<(), StoreError> {
    for (id, device) in before.iter().filter(|(id, _)| !fleet.devices.contains_key(*id)) {
        match device.departed {
            None => {
                store.record_device(&StoredDevice {
                    departed: Some(now),
                    ..StoredDevice::clone(device)
                })?;
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
    /// Whether the engine answered when all was done.
    answers: bool,
    ours: Vec<(ModuleName, &'a ObservedContainer)>,
    memory: &'a DeviceMemory,
    reports: BTreeMap<ModuleName, ModuleReport>,
}

/// What became of a plan's works.
struct Worked {
    run: DeviceRun,
    memory: DeviceMemory,
    observation: Observation,
    answers: bool,
    crossed_by: Option<String>,
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
            let stored = self.record(stored)?;
            return Ok(Ran { run, stored, memory: None });
        };
        if self.paces.is_called_off() && !plan.works.is_empty() {
            return self.not_begun(plan);
        }
        let begun = Instant::now();
        let (run, memory, observation, answers, at) = if plan.works.is_empty() {
            let (memory, observation) =
                (plan.kept_memory.clone(), Cow::Borrowed(&seen.observation));
            (DeviceRun::default(), memory, observation, true, self.later(begun))
        } else {
            let Worked { run, mut memory, observation, answers, crossed_by } =
                self.run(plan, seen).await?;
            let at = self.later(begun);
            learn(plan, &run, &observation, &mut memory, at);
            let ours = self.ours(plan, &observation);
            learn_made(plan, &run, &ours, self.store.control(), &mut memory, at);
            learn_crossing(plan, &run, crossed_by, &mut memory, at.seconds);
            (run, memory, Cow::Owned(observation), answers, at)
        };
        let ours = self.ours(plan, &observation);
        let none = BTreeMap::new();
        let former = self.before.get(&plan.device).map_or(&none, |d| &d.modules);
        let reports = match plan.state {
            _ if run.was_cut_off() => known_reports(former),
            DeviceState::Observed => {
                let secrets = &seen.secrets.values;
                read_reports(seen.engine.as_ref(), &ours, former, secrets, at.seconds).await
            }
            DeviceState::Pending(_) | DeviceState::Paused(_) | DeviceState::Held { .. } => {
                BTreeMap::new()
            }
        };
        let observation = observation.as_ref();
        let looked = Looked { seen, observation, answers, ours, memory: &memory, reports };
        let stored = self.standing(plan, Some(looked), &run, at);
        let history = self.history(plan, &run, &stored)?;
        let stored = self.write(plan, stored, &memory, &history)?;
        Ok(Ran { run, stored, memory: Some(memory) })
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
        let stored = self.record(stored)?;
        Ok(Ran { run, stored, memory: None })
    }

    /// Runs the works, the intent written before, and looks at what came of it.
    async fn run(&self, plan: &DevicePlan, seen: &Seen) -> Result<Worked, StoreError> {
        let begun = Instant::now();
        // As the last run left it: where somebody asked for another try at once, what failed before is forgotten in the plan's memory.
        let known = self.store.memory(&plan.device)?;
        self.store.remember(&plan.device, &intent(plan))?;
        let noted = Noted::of(self.store, plan, &seen.observation);
        let events = |event: Event<'_>| {
            noted.take(&event);
            (self.events)(&plan.device, event);
        };
        // A pull before it may have taken long.
        let note = |step: &Step, _| noted.note(step, self.later(begun));
        let (engine, pace) = (seen.engine.as_ref(), self.paces.of(&plan.device));
        let witness = Witness { events: &events, note: &note };
        let mut run = run_noted(engine, plan, &seen.secrets.values, &pace, witness).await;
        let mut memory = plan.kept_memory.clone();
        memory.containers.extend(run.remembered.clone());
        learn_networks(plan, &run, &mut memory);
        if run.has_failures() || run.was_called_off() {
            memory.networks = None;
        }
        let seen_now = match run.was_cut_off() && engine.answers().await.is_err() {
            // A list would only wait for its limit.
            true => None,
            false => self.look_again(plan, seen, &memory).await,
        };
        memory.half_done = noted.half_done();
        learn_half_done(plan, &run, seen_now.as_ref(), &mut memory);
        let looks = (&seen.observation, seen_now.as_ref());
        learn_stops(plan, &run, looks, &mut memory, self.later(begun));
        learn_taken_over(plan, &run, &known, looks, &mut memory);
        let answers = seen_now.is_some();
        let observation = seen_now.unwrap_or_else(|| seen.observation.clone());
        explain_leaked_ports(&mut run, &observation);
        let crossed_by = self.crossed_by(plan, &mut run, &known, (&seen.observation, &observation));
        let there: BTreeSet<&str> =
            observation.containers.iter().map(|container| container.id.as_str()).collect();
        memory.containers.retain(|id, _| there.contains(id.as_str()));
        Ok(Worked { run, memory, observation, answers, crossed_by })
    }

    /// The moment now: that of the beginning and what went by since, rounded up, so that what was started
    /// before it was started before it.
    fn later(&self, begun: Instant) -> Timestamp {
        let elapsed = begun.elapsed();
        let seconds = elapsed.as_secs() + u64::from(elapsed.subsec_nanos() > 0);
        Timestamp { seconds: self.now.seconds.saturating_add_unsigned(seconds) }
    }

    /// What the engine runs after the works, if it still answers.
    async fn look_again(
        &self,
        plan: &DevicePlan,
        seen: &Seen,
        memory: &DeviceMemory,
    ) -> Option<Observation> {
        let device = self.fleet.devices.get(&plan.device)?;
        let known = (memory, &seen.secrets.digests);
        let unknown = details_wanted(self.fleet, device, plan.manifest.as_deref(), known, None);
        let (fleets, devices) = names(self.fleet, device);
        let fresh = |container: &ObservedContainer| {
            // A container that was just started may be in a crash loop that a list does not show.
            unknown(container) || carries_our_labels(container, &fleets, &devices)
        };
        let wanted = Wanted { details: &fresh, ..Wanted::list_only() };
        seen.engine.observe(&wanted).await.ok()
    }

    /// The containers in place of the manifest's modules, also those made under former names, and those that wait for
    /// their name under another one.
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
            .filter_map(|container| {
                let (module, role) = is_ours(container, &plan.kept_memory)?;
                let (name, _) = manifest.modules.get_key_value(module.as_str())?;
                let in_place = match plan.blocked.get(name) {
                    Some(Block::NameTaken { ours, .. }) => *ours == container.name,
                    _ => role == Role::Current,
                };
                in_place.then(|| (name.clone(), container))
            })
            .collect()
    }

    /// Modules of ours that run and that the manifest does not have.
    fn others(
        &self,
        plan: &DevicePlan,
        manifest: &Manifest,
        observation: &Observation,
    ) -> BTreeSet<ModuleName> {
        let Some(device) = self.fleet.devices.get(&plan.device) else { return BTreeSet::new() };
        let (fleets, devices) = names(self.fleet, device);
        let ours = observation
            .containers
            .iter()
            .filter(|container| carries_our_labels(container, &fleets, &devices));
        ours.filter_map(|container| match is_ours(container, &plan.kept_memory)? {
            (module, Role::Current) => ModuleName::parse(&module).ok(),
            _ => None,
        })
        .filter(|name| !manifest.modules.contains_key(name.as_str()))
        .collect()
    }

    fn write(
        &self,
        plan: &DevicePlan,
        stored: StoredDevice,
        memory: &DeviceMemory,
        history: &[HistoryEntry],
    ) -> Result<StoredDevice, StoreError> {
        let (stored, is_news) = self.against_before(stored);
        let is_known = match self.writes {
            Writes::All => false,
            Writes::Changes(memories) => {
                plan.works.is_empty() && memories.get(&plan.device) == Some(memory)
            }
        };
        let was_seen = !matches!(plan.state, DeviceState::Pending(_));
        let memory = (was_seen && !is_known).then_some(memory);
        self.store.record_pass(&plan.device, is_news.then_some(&stored), memory, history)?;
        Ok(stored)
    }

    /// Records a device of which nothing else is new.
    fn record(&self, stored: StoredDevice) -> Result<StoredDevice, StoreError> {
        let (stored, is_news) = self.against_before(stored);
        if is_news {
            self.store.record_device(&stored)?;
        }
        Ok(stored)
    }

    /// The moment since which its status is as it is stays; and whether it is to be written.
    fn against_before(&self, mut stored: StoredDevice) -> (StoredDevice, bool) {
        let Some(former) = self.before.get(&stored.device) else { return (stored, true) };
        if former.status.code == stored.status.code {
            stored.status.since = former.status.since;
        }
        let seen = std::mem::replace(&mut stored.last_contact, former.last_contact);
        let is_news = matches!(self.writes, Writes::All) || **former != stored;
        stored.last_contact = seen;
        (stored, is_news)
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
        let Some(Looked { seen, observation, answers, ours, memory, reports }) = looked else {
            stored.status = match &plan.state {
                DeviceState::Pending(words) => status(406, words),
                DeviceState::Paused(words) => status(400, words),
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
            let bears =
                ours.iter().filter_map(|(name, c)| Some((name, c.labels.get(label::SPEC)?)));
            let running = Running {
                bears: bears.map(|(name, spec)| (name, spec.as_str())).collect(),
                specs: &plan.specs,
                others: self.others(plan, manifest, observation),
            };
            let former = stored.in_force.as_ref();
            let revision = &self.survey.plan.revision;
            stored.in_force = Some(in_force(manifest, &running, former, revision));
        }
        let former = &stored.modules;
        let views = Views { plan, run, answers, memory, former, now: at.seconds };
        let modules = standings(manifest, &views, &ours, reports);
        let (code, description) = device_status(&modules, &views);
        stored.facts = take(&modules);
        stored.modules = modules;
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

    /// What was done, and what is newly the matter without anything having been tried.
    fn history(
        &self,
        plan: &DevicePlan,
        run: &DeviceRun,
        after: &StoredDevice,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let before = self.before.get(&plan.device).map(AsRef::as_ref);
        let blank = HistoryEntry {
            at: self.now,
            who: self.who.to_owned(),
            device: Some(plan.device.clone()),
            from: before.and_then(|d| Some(d.in_force.as_ref()?.revision.clone())),
            to: Some(self.survey.plan.revision.clone()),
            action: String::new(),
            module: None,
            reason: String::new(),
            outcome: String::new(),
        };
        let mut entries = entries_of_works(&blank, plan, run);
        let left_alone = left_alone_before(self.store, before)?;
        let change = (before, after);
        entries.extend(news_of_trouble(&blank, plan, run, change, left_alone.as_deref()));
        Ok(entries)
    }
}

//! Running a plan on all devices, and writing down what became of it: the intent before, the outcome after.

use super::survey::{SIDE_BY_SIDE, Seen, Survey, details_wanted, names};
use crate::apply::{DeviceRun, Event, Outcome, run_device};
use crate::engine::Wanted;
use crate::fleet::{Fleet, print_manifest};
use crate::model::{
    ContainerState, DeviceId, Health, Manifest, ModuleName, Observation, ObservedContainer,
    Timestamp, manifest_hash,
};
use crate::plan::{
    DeviceMemory, DevicePlan, DeviceState, Purpose, Role, Step, Verdict, carries_our_labels,
    is_ours, judge,
};
use crate::store::{
    HistoryEntry, InForce, ModuleStanding, ReportedFacts, StatusSince, Store, StoreError,
    StoredDevice,
};
use futures_util::stream::{self, StreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use tracing::Instrument as _;

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
pub async fn run_and_record(
    fleet: &Fleet,
    survey: &Survey,
    store: &Store,
    who: &str,
    now: Timestamp,
    before: &BTreeMap<DeviceId, StoredDevice>,
    events: &(dyn Fn(&DeviceId, Event<'_>) + Send + Sync),
) -> Result<BTreeMap<DeviceId, Ran>, StoreError> {
    let context = Context { fleet, survey, store, who, now, before, events };
    let results: Vec<(DeviceId, Result<Ran, StoreError>)> =
        stream::iter(survey.plan.devices.values().map(|plan| context.device(plan)))
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
    results.into_iter().map(|(id, result)| result.map(|ran| (id, ran))).collect()
}

struct Context<'a> {
    fleet: &'a Fleet,
    survey: &'a Survey,
    store: &'a Store,
    who: &'a str,
    now: Timestamp,
    before: &'a BTreeMap<DeviceId, StoredDevice>,
    events: &'a (dyn Fn(&DeviceId, Event<'_>) + Send + Sync),
}

impl Context<'_> {
    async fn device(&self, plan: &DevicePlan) -> (DeviceId, Result<Ran, StoreError>) {
        let span = tracing::info_span!("device", id = %plan.device);
        (plan.device.clone(), self.run_and_record(plan).instrument(span).await)
    }

    async fn run_and_record(&self, plan: &DevicePlan) -> Result<Ran, StoreError> {
        let Some(seen) = self.survey.seen.get(&plan.device) else {
            let stored = self.standing(plan, None, &DeviceRun::default());
            self.store.record_device(&stored)?;
            return Ok(Ran { run: DeviceRun::default(), stored });
        };
        if plan.works.is_empty() {
            let run = DeviceRun::default();
            let stored = self.standing(plan, Some((seen, &seen.observation)), &run);
            self.write(plan, &stored, &plan.kept_memory, &[])?;
            return Ok(Ran { run, stored });
        }
        self.store.remember(&plan.device, &intent(plan))?;
        let events = |event: Event<'_>| (self.events)(&plan.device, event);
        let run = run_device(seen.engine.as_ref(), plan, &seen.secrets.values, &events).await;
        let mut memory = plan.kept_memory.clone();
        memory.containers.extend(run.remembered.clone());
        learn_networks(plan, &run, &mut memory);
        if run.has_failures() {
            memory.networks = None;
        }
        let observation = self.look_again(plan, seen, &memory).await;
        let there: BTreeSet<&str> =
            observation.containers.iter().map(|container| container.id.as_str()).collect();
        memory.containers.retain(|id, _| there.contains(id.as_str()));
        let stored = self.standing(plan, Some((seen, &observation)), &run);
        let history = self.history(plan, &run);
        self.write(plan, &stored, &memory, &history)?;
        Ok(Ran { run, stored })
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
        let unknown = details_wanted(self.fleet, device, plan.manifest.as_deref(), memory);
        let (fleets, devices) = names(self.fleet, device);
        let fresh = |container: &ObservedContainer| {
            // A container that was just started may be in a crash loop that a list does not show.
            unknown(container) || carries_our_labels(container, &fleets, &devices)
        };
        let wanted = Wanted { details: &fresh, networks_of: None, images: &[] };
        match seen.engine.observe(&wanted).await {
            Ok(observation) => observation,
            Err(_) => seen.observation.clone(),
        }
    }

    /// The containers in place of their modules, also those made under former names.
    fn ours<'o>(
        &self,
        plan: &DevicePlan,
        observation: &'o Observation,
    ) -> Vec<(String, &'o ObservedContainer)> {
        let Some(device) = self.fleet.devices.get(&plan.device) else { return Vec::new() };
        let (fleets, devices) = names(self.fleet, device);
        observation
            .containers
            .iter()
            .filter(|container| carries_our_labels(container, &fleets, &devices))
            .filter_map(|container| match is_ours(container, &plan.kept_memory)? {
                (module, Role::Current) => Some((module, container)),
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
        if plan.state == DeviceState::Observed {
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
        seen: Option<(&Seen, &Observation)>,
        run: &DeviceRun,
    ) -> StoredDevice {
        let former = self.before.get(&plan.device);
        let mut stored = StoredDevice {
            device: plan.device.clone(),
            in_force: former.and_then(|d| d.in_force.clone()),
            status: StatusSince { code: 202, description: String::new(), since: self.now },
            engine_id: former.and_then(|d| d.engine_id.clone()),
            last_contact: former.and_then(|d| d.last_contact),
            modules: former.map(|d| d.modules.clone()).unwrap_or_default(),
            facts: former.and_then(|d| d.facts.clone()),
        };
        let Some((seen, observation)) = seen else {
            let (code, words) = match &plan.state {
                DeviceState::Pending(words) => (406, words.clone()),
                DeviceState::Held { code, words } => (*code, words.clone()),
                DeviceState::Observed => (202, String::new()),
            };
            stored.status = StatusSince { code, description: words, since: self.now };
            return stored;
        };
        // The first one seen stays; nothing compares it yet, and what is overwritten never can be.
        stored.engine_id.get_or_insert_with(|| seen.report.id.clone());
        stored.last_contact = Some(self.now);
        let reported = crate::model::Value::Table(seen.report.reported()).to_json();
        stored.facts = Some(ReportedFacts { reported, since: self.now });
        if let DeviceState::Held { code, words } = &plan.state {
            stored.status =
                StatusSince { code: *code, description: words.clone(), since: self.now };
            return stored;
        }
        let Some(manifest) = plan.manifest.as_deref() else {
            let has_ours = |c: &ObservedContainer| is_ours(c, &plan.kept_memory).is_some();
            let (code, words) = if observation.containers.iter().any(has_ours) {
                (202, "no deployment targets it; what it had is not known")
            } else {
                (200, "no deployment targets it")
            };
            let description = words.to_owned();
            stored.status = StatusSince { code, description, since: self.now };
            return stored;
        };
        if !plan.retained {
            stored.in_force = Some(self.in_force(manifest));
        }
        let ours = self.ours(plan, observation);
        stored.modules = standings(manifest, plan, &ours, run, self.now.seconds);
        let (code, description) = device_status(&stored.modules, plan, run);
        stored.status = StatusSince { code, description, since: self.now };
        stored
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
                        Outcome::Skipped { because } => {
                            format!("skipped because work {because} failed")
                        }
                    },
                })
            })
            .collect()
    }
}

/// What the store remembers while works run: nothing of containers that they touch, and of networks that
/// they are not known. A run that is cut off then costs an inspect and loses nothing.
fn intent(plan: &DevicePlan) -> DeviceMemory {
    let mut memory = plan.kept_memory.clone();
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

fn standings(
    manifest: &Manifest,
    plan: &DevicePlan,
    ours: &[(String, &ObservedContainer)],
    run: &DeviceRun,
    now: i64,
) -> BTreeMap<ModuleName, ModuleStanding> {
    manifest
        .modules
        .iter()
        .map(|(name, module)| {
            let container =
                ours.iter().find(|(module, _)| module == name.as_str()).map(|(_, c)| *c);
            let Verdict { repair: _, mut code, words: mut description } =
                judge(module, container, now);
            if let Some((trouble, words)) = trouble(name, plan, run) {
                (code, description) = (trouble, words);
            }
            let detail = container.and_then(|c| c.detail.as_ref());
            let standing = ModuleStanding {
                status: status_word(container, code).to_owned(),
                exit_code: container.and_then(|c| match c.state {
                    ContainerState::Exited(code) => Some(code),
                    _ => None,
                }),
                restart_count: detail.map_or(0, |d| d.restart_count),
                container: container.map(|c| c.id.clone()),
                code,
                description,
            };
            (name.clone(), standing)
        })
        .collect()
}

/// What stood in the way of a module: a block, or the failure of one of its works.
fn trouble(name: &ModuleName, plan: &DevicePlan, run: &DeviceRun) -> Option<(u16, String)> {
    if let Some(block) = plan.blocked.get(name) {
        return Some((block.code(), block.to_string()));
    }
    let outcome_of = |id: &usize| run.outcomes.get(id);
    plan.works.iter().find_map(|work| {
        let Purpose::Module { name: of, .. } = &work.purpose else { return None };
        if of != name {
            return None;
        }
        match outcome_of(&work.id)? {
            Outcome::Failed { step, error, .. } => {
                Some((error.kind.code(), format!("{step}: {error}")))
            }
            Outcome::Skipped { because } => match outcome_of(because)? {
                Outcome::Failed { step, error, .. } => {
                    Some((error.kind.code(), format!("{step}: {error}")))
                }
                _ => Some((500, "skipped because something before it failed".to_owned())),
            },
            Outcome::Passed { .. } | Outcome::NotNeeded => None,
        }
    })
}

fn status_word(container: Option<&ObservedContainer>, code: u16) -> &'static str {
    let Some(container) = container else { return "unknown" };
    match container.state {
        ContainerState::Running if container.health == Health::Unhealthy => "unhealthy",
        ContainerState::Running => "running",
        ContainerState::Restarting => "backoff",
        ContainerState::Paused | ContainerState::Created => "stopped",
        ContainerState::Exited(0) => "stopped",
        ContainerState::Exited(_) if code < 400 => "stopped",
        ContainerState::Exited(_) | ContainerState::Dead => "failed",
        ContainerState::Removing | ContainerState::Unknown => "unknown",
    }
}

/// The worst of its modules speaks for the device.
fn device_status(
    modules: &BTreeMap<ModuleName, ModuleStanding>,
    plan: &DevicePlan,
    run: &DeviceRun,
) -> (u16, String) {
    let worst = modules
        .iter()
        .filter(|(_, m)| m.code != 200)
        .max_by_key(|(_, m)| (m.code >= 400, m.code >= 500, m.code));
    match worst {
        Some((name, standing)) => (standing.code, format!("{name}: {}", standing.description)),
        None if run.has_failures() => {
            let failed = plan.works.iter().find_map(|work| match run.outcomes.get(&work.id)? {
                Outcome::Failed { step, error, .. } => {
                    Some((error.kind.code(), format!("{step}: {error}")))
                }
                _ => None,
            });
            failed.unwrap_or((500, "something was skipped".to_owned()))
        }
        None if plan.retained => {
            (200, "retained: no deployment targets it; what it had is in force".to_owned())
        }
        None => (200, "as desired".to_owned()),
    }
}

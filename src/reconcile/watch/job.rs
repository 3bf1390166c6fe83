//! One look at one device: observe, plan, apply, record.
//!
//! Enters: what the device should be and what is known of it. Leaves: what is known of it now. It runs beside the
//! looks at other devices and shares nothing with them that changes: the loop takes in what it gives back. Not here:
//! which devices are looked at, and which revision each is at.

use super::loaded::Loaded;
use super::schedule::Ended;
use crate::apply::{Event, Outcome};
use crate::engine::Engine;
use crate::model::{DeviceId, Facts, Hash, ModuleName, Timestamp};
use crate::plan::{DeviceMemory, DevicePlan, DeviceState, FailedChange, Plan, Purpose, Work};
use crate::reconcile::by_hand::{Restart, restart_module};
use crate::reconcile::facts::held_facts;
use crate::reconcile::record::{Ran, RunInput, Writes, run_and_record};
use crate::reconcile::survey::{Consents, SurveyInput, survey};
use crate::reconcile::{Gate, Paces, Tally};
use crate::store::{RestartWish, Store, StoreError, StoredDevice, StoredDevices};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What all looks share.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) gate: Gate,
    /// Who acts, for the history.
    pub(super) who: String,
    /// What is being done at this moment, in words.
    pub(super) running: Mutex<BTreeMap<DeviceId, String>>,
    pub(super) tally: Arc<Tally>,
}

/// What one look needs.
pub(super) struct Job {
    pub(super) device: DeviceId,
    pub(super) loaded: Arc<Loaded>,
    /// The revision that it should be at; another than the loaded one where git can't give it.
    pub(super) intended: String,
    /// Why what is recorded counts instead of what the revision says.
    pub(super) recorded: Option<String>,
    /// Why nothing is done on it, if somebody paused it.
    pub(super) paused: Option<String>,
    pub(super) stored: Option<Arc<StoredDevice>>,
    pub(super) memory: DeviceMemory,
    pub(super) full: bool,
    /// Modules that somebody wants to be restarted first.
    pub(super) restarts: Vec<RestartWish>,
    /// Whether somebody wants what another control host did there to be replaced.
    pub(super) take_over: bool,
    pub(super) paces: Arc<Paces>,
    pub(super) now: Timestamp,
    /// How far the clock had jumped by then.
    pub(super) moved: i64,
}

/// How a device stands, and what is remembered of it if that is new; nothing where it is in no plan.
type Known = Result<Option<(StoredDevice, Option<DeviceMemory>)>, StoreError>;

/// What came of it.
pub(super) struct Looked {
    pub(super) device: DeviceId,
    /// The revision that it was to be at.
    pub(super) intended: String,
    /// What is known of it now, and what is remembered, if that is new.
    pub(super) known: Known,
    /// Whether it came to do what was to be done.
    pub(super) is_carried_out: bool,
    pub(super) ended: Ended,
    /// How far the clock had jumped when it began: its moments are by that clock.
    pub(super) moved: i64,
    /// Its engine, if it answered, and the names of the fleet whose events concern it.
    pub(super) engine: Option<(Arc<dyn Engine>, Vec<String>)>,
}

/// Looks at a device and brings it to what it should be.
pub(super) async fn look(shared: Arc<Shared>, job: Job) -> Looked {
    let begun = Instant::now();
    let tally = Arc::clone(&shared.tally);
    let looked = look_and_run(shared, job).await;
    tally.pass(begun.elapsed());
    looked
}

async fn look_and_run(shared: Arc<Shared>, job: Job) -> Looked {
    let Job {
        device,
        loaded,
        intended,
        recorded,
        paused,
        stored,
        memory,
        full,
        restarts,
        take_over,
        paces,
        now,
        moved,
    } = job;
    let only = BTreeSet::from([device.clone()]);
    let before: StoredDevices = stored.into_iter().map(|stored| (device.clone(), stored)).collect();
    let memories = BTreeMap::from([(device.clone(), memory)]);
    for wish in &restarts {
        shared
            .restart(&loaded, wish, before.get(&device).map(AsRef::as_ref), &memories[&device], now)
            .await;
    }
    let facts = shared.facts(&before, now);
    let paused: BTreeMap<DeviceId, String> =
        paused.into_iter().map(|words| (device.clone(), words)).collect();
    if full {
        shared.gate.forget_facts(&device);
    }
    let survey = survey(&SurveyInput {
        fleet: &loaded.fleet,
        resolution: &loaded.resolution,
        revision: &loaded.revision.id,
        digest: loaded.digest.clone(),
        only: Some(&only),
        stored: &before,
        memories: &memories,
        control: shared.store.control(),
        gate: &shared.gate,
        facts: &facts,
        resync: full,
        recorded: recorded.as_deref(),
        paused: &paused,
        consents: &Consents { take_over, ..Consents::default() },
        now,
    })
    .await;
    let events = shared.events(&survey.plan);
    let ran = run_and_record(&RunInput {
        fleet: &loaded.fleet,
        survey: &survey,
        store: &shared.store,
        who: &shared.who,
        now,
        before: &before,
        paces: &paces,
        writes: Writes::Changes(&memories),
        events: &events,
    })
    .await;
    shared.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
    let plan = survey.plan.devices.get(&device);
    let engine = survey.seen.get(&device).map(|seen| {
        let names = std::iter::once(&loaded.fleet.name).chain(&loaded.fleet.formerly);
        (Arc::clone(&seen.engine), names.map(ToString::to_string).collect())
    });
    if engine.is_none() {
        shared.gate.close(&device);
    }
    let ran = ran.map(|mut ran| ran.remove(&device));
    let (known, is_carried_out, ended) = what_came_of_it(ran, plan, now);
    Looked { device, intended, known, is_carried_out, ended, moved, engine }
}

/// What is known of the device then, whether its plan was carried out, and when it is looked at next.
fn what_came_of_it(
    ran: Result<Option<Ran>, StoreError>,
    plan: Option<&DevicePlan>,
    now: Timestamp,
) -> (Known, bool, Ended) {
    match ran {
        Ok(Some(ran)) => {
            let ended = plan.map_or(Ended::Again, |plan| next_look(plan, &ran, now));
            let is_carried_out = plan.is_some_and(|plan| ran.is_carried_out(plan));
            (Ok(Some((ran.stored, ran.memory))), is_carried_out, ended)
        }
        Ok(None) => (Ok(None), false, Ended::Again),
        Err(error) => (Err(error), false, Ended::InVain),
    }
}

/// When the device is looked at next, by how it stands.
fn next_look(plan: &DevicePlan, ran: &Ran, now: Timestamp) -> Ended {
    let due = plan.due.map(|due| {
        let seconds = u64::try_from(due.saturating_sub(now.seconds)).unwrap_or(0);
        Ended::After(Duration::from_secs(seconds.max(1)))
    });
    match (&plan.state, ran.stored.status.code) {
        (DeviceState::Pending(_), _) => Ended::Again,
        (DeviceState::Paused(_) | DeviceState::Held { .. }, _) => Ended::Quiet,
        _ if ran.run.was_called_off() => Ended::InVain,
        // The next look tries nothing, and says until when; or puts back what is left.
        _ if ran.run.has_failures() && (all_wait(plan, ran) || has_broken_off(plan, ran)) => {
            Ended::After(Duration::from_secs(1))
        }
        _ if ran.run.has_failures() => Ended::InVain,
        // A tag may name another image now, which the next list shows.
        _ if plan.works.iter().any(|work| matches!(work.purpose, Purpose::Image(_))) => {
            Ended::After(Duration::from_secs(1))
        }
        _ if due.is_some() => due.unwrap_or(Ended::Quiet),
        (DeviceState::Observed, 200) => Ended::Quiet,
        _ if !plan.works.is_empty() => Ended::InVain,
        (DeviceState::Observed, _) => Ended::Again,
    }
}

/// Whether all that failed is remembered, and has its pause before it is tried again.
fn all_wait(plan: &DevicePlan, ran: &Ran) -> bool {
    let waits = |tried: &(ModuleName, Hash)| remembered(ran, tried).is_some();
    failed(plan, ran).all(|work| !work.tries.is_empty() && work.tries.iter().all(waits))
}

/// Whether a change broke off, and left what it stopped to be put back. It has pauses of its own, whatever else failed.
fn has_broken_off(plan: &DevicePlan, ran: &Ran) -> bool {
    let mut tried = failed(plan, ran).flat_map(|work| &work.tries);
    tried.any(|tried| remembered(ran, tried).is_some_and(FailedChange::broke_off))
}

fn failed<'a>(plan: &'a DevicePlan, ran: &'a Ran) -> impl Iterator<Item = &'a Work> {
    let outcome = |work: &&Work| ran.run.outcomes.get(&work.id);
    plan.works.iter().filter(move |work| matches!(outcome(work), Some(Outcome::Failed { .. })))
}

fn remembered<'a>(ran: &'a Ran, (name, spec): &(ModuleName, Hash)) -> Option<&'a FailedChange> {
    let failed = ran.memory.as_ref()?.modules.get(name)?.failed.as_ref()?;
    Some(failed).filter(|failed| failed.spec == *spec)
}

impl Shared {
    /// What held long enough of what is reported, if anything of a look depends on it.
    fn facts(&self, before: &StoredDevices, now: Timestamp) -> Facts {
        if self.gate.asks_for_facts() { held_facts(before, now) } else { Facts::none() }
    }

    /// What becomes of it stands in the history.
    async fn restart(
        &self,
        loaded: &Loaded,
        wish: &RestartWish,
        stored: Option<&StoredDevice>,
        memory: &DeviceMemory,
        now: Timestamp,
    ) {
        let RestartWish { device, module, who, reason } = wish;
        let Some(device) = loaded.fleet.devices.get(device) else { return };
        let restart =
            Restart { fleet: &loaded.fleet, device, module, stored, memory, who, reason, now };
        if let Err(error) = restart_module(&self.gate, &self.store, &restart).await {
            tracing::error!(%error, "a restart can't be written down");
        }
    }

    /// What is told of what happens while a plan runs.
    fn events<'a>(&'a self, plan: &'a Plan) -> impl Fn(&DeviceId, Event<'_>) + Send + Sync + 'a {
        move |id, event| self.take_event(plan.devices.get(id), id, &event)
    }

    fn take_event(&self, plan: Option<&DevicePlan>, device: &DeviceId, event: &Event<'_>) {
        match event {
            Event::StepBegins { work, step } => {
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                running.insert(device.clone(), in_words(plan, *work, &step.to_string()));
            }
            Event::StepEnded { step, result, .. } => {
                self.tally.step(step.kind().as_str(), result.is_ok());
            }
            Event::WorkEnded { .. } => {}
        }
    }
}

/// A step, with the module for which it is done where it speaks of a container by its id alone.
fn in_words(plan: Option<&DevicePlan>, work: usize, step: &str) -> String {
    let mut works = plan.into_iter().flat_map(|plan| &plan.works);
    match works.find(|one| one.id == work).map(|one| &one.purpose) {
        Some(Purpose::Module { name, .. }) if !step.contains(name.as_str()) => {
            format!("{name}: {step}")
        }
        _ => step.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{PlanAction, When};

    #[test]
    fn what_is_done_names_the_module_for_which() {
        let name = ModuleName::parse("web").unwrap();
        let work = Work {
            id: 7,
            purpose: Purpose::Module { name, action: PlanAction::Replace },
            reasons: Vec::new(),
            steps: Vec::new(),
            undo: Vec::new(),
            when: When::AllPassed(Vec::new()),
            after: Vec::new(),
            remember: Vec::new(),
            tries: Vec::new(),
            is_revival: false,
            is_for_pause: false,
            needs: Vec::new(),
            undoes: None,
        };
        let device = DeviceId::parse("d1").unwrap();
        let plan =
            DevicePlan { works: vec![work], ..DevicePlan::idle(device, DeviceState::Observed) };
        let said = |work, step| in_words(Some(&plan), work, step);
        assert_eq!(said(7, "remove 3d6d5713a1d5"), "web: remove 3d6d5713a1d5");
        assert_eq!(said(7, "start web (as hoist-new-web)"), "start web (as hoist-new-web)");
        assert_eq!(said(8, "pull web:2"), "pull web:2");
    }
}

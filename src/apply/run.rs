//! One device's plan, its works side by side as far as the plan lets them.

use super::meanwhile::explained;
use super::silence::{Judged, judged};
use super::starts::Counted;
use super::{DeviceRun, Event, Outcome, Pace, failure_of};
use crate::engine::{Engine, EngineError, EngineErrorKind, SecretValues};
use crate::plan::{
    ContainerRef, DevicePlan, RememberedContainer, Step, StepOutput, Undo, When, Work,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tracing::Instrument as _;

/// Runs one device's plan to its end, or until it is called off.
pub async fn run_device(
    engine: &dyn Engine,
    plan: &DevicePlan,
    secrets: &SecretValues,
    pace: &Pace,
    events: &(dyn Fn(Event<'_>) + Send + Sync),
) -> DeviceRun {
    run_noted(engine, plan, secrets, pace, Witness { events, note: &|_, _| Ok(()) }).await
}

/// Who follows a run.
#[derive(Clone, Copy)]
pub struct Witness<'a> {
    /// Is told what happens.
    pub events: &'a (dyn Fn(Event<'_>) + Send + Sync),
    /// Notes what a step is about to do, with the id of what it is done to, and whether it takes something back. What can't be
    /// noted is not done, unless it takes something back.
    pub note: &'a (dyn Fn(&Step, bool) -> Result<(), EngineError> + Send + Sync),
}

/// The same, with notes.
pub async fn run_noted(
    engine: &dyn Engine,
    plan: &DevicePlan,
    secrets: &SecretValues,
    pace: &Pace,
    witness: Witness<'_>,
) -> DeviceRun {
    let Witness { events, note: _ } = witness;
    let (names, counted) = (Names::default(), Counted::default());
    let silent_since = OnceLock::new();
    let mut run = DeviceRun::default();
    let made_room_for = made_room_for(&plan.works);
    let mut waiting: Vec<&Work> = plan.works.iter().collect();
    let mut running = FuturesUnordered::new();
    loop {
        let mut still_waiting = Vec::new();
        for work in waiting {
            let ready = match silent_since.get() {
                // Of an engine that does not answer it is not known what it has done: nothing begins, also no way back.
                Some(because) => Readiness::Ends(Outcome::Skipped { because: *because }),
                None => readiness(work, &run.outcomes),
            };
            match ready {
                Readiness::Waits => still_waiting.push(work),
                // What only takes back what others did is no new beginning.
                Readiness::Runs
                    if pace.call_off.is_on() && matches!(work.when, When::AllPassed(_)) =>
                {
                    let outcome = Outcome::CalledOff { undo_failed: Vec::new() };
                    events(Event::WorkEnded { work: work.id, outcome: &outcome });
                    run.outcomes.insert(work.id, outcome);
                }
                Readiness::Runs => {
                    let has_room = made_room_for.contains(&work.id);
                    let work =
                        Running { work, has_room, silent_since: &silent_since, counted: &counted };
                    running.push(run_work(engine, work, secrets, pace, &names, witness));
                }
                Readiness::Ends(outcome) => {
                    events(Event::WorkEnded { work: work.id, outcome: &outcome });
                    run.outcomes.insert(work.id, outcome);
                }
            }
        }
        waiting = still_waiting;
        let ended = run.outcomes.len();
        match running.next().await {
            Some((work, outcome, remembered)) => {
                events(Event::WorkEnded { work, outcome: &outcome });
                run.outcomes.insert(work, outcome);
                run.remembered.extend(remembered);
            }
            None if waiting.is_empty() => {
                run.counted = counted.all();
                return run;
            }
            // Works name only works before them, so one pass over what waits ends at least one.
            None => debug_assert!(run.outcomes.len() >= ended),
        }
    }
}

enum Readiness {
    Waits,
    Runs,
    Ends(Outcome),
}

fn readiness(work: &Work, outcomes: &BTreeMap<usize, Outcome>) -> Readiness {
    let (When::AllPassed(needed) | When::AnyFailed(needed) | When::NonePassed(needed)) = &work.when;
    let mut all = work.after.iter().chain(needed).chain(&work.needs).chain(&work.undoes);
    if all.any(|number| !outcomes.contains_key(number)) {
        return Readiness::Waits;
    }
    let is_skipped = |number| matches!(outcomes[&number], Outcome::Skipped { .. });
    if work.undoes.is_some_and(is_skipped) {
        return Readiness::Ends(Outcome::NotNeeded);
    }
    let has_passed = |number: &usize| outcomes[number].is_passed();
    let failed = needed.iter().find(|number| !has_passed(number));
    let runs = match &work.when {
        When::AllPassed(_) => failed.is_none(),
        When::AnyFailed(_) => failed.is_some(),
        When::NonePassed(_) => !needed.iter().any(has_passed),
    };
    let lacks = work.needs.iter().find(|number| !has_passed(number));
    match (runs, &work.when, failed) {
        (true, ..) => match lacks {
            Some(because) => Readiness::Ends(Outcome::Skipped { because: *because }),
            None => Readiness::Runs,
        },
        (false, When::AllPassed(_), Some(because)) => {
            Readiness::Ends(Outcome::Skipped { because: *because })
        }
        (false, ..) => Readiness::Ends(Outcome::NotNeeded),
    }
}

/// The works that something else was stopped for, which is started again where they don't come up.
fn made_room_for(works: &[Work]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for work in works {
        if let When::NonePassed(needed) = &work.when {
            found.extend(needed);
        }
    }
    found
}

/// A work that runs.
#[derive(Clone, Copy)]
struct Running<'a> {
    work: &'a Work,
    /// Whether something was stopped for it that is started again where it does not come up.
    has_room: bool,
    /// The work at which the engine was found to hang, once it was.
    silent_since: &'a OnceLock<usize>,
    counted: &'a Counted,
}

type Ended = (usize, Outcome, Vec<(String, RememberedContainer)>);

async fn run_work(
    engine: &dyn Engine,
    running: Running<'_>,
    secrets: &SecretValues,
    pace: &Pace,
    names: &Names,
    witness: Witness<'_>,
) -> Ended {
    let Running { work, has_room: _, silent_since, counted } = running;
    let Witness { events, note } = witness;
    let back = Back { secrets, pace, names, silent_since, counted, note };
    let mut warnings = Vec::new();
    for (number, step) in work.steps.iter().enumerate() {
        let _turn = match step {
            Step::Pull { .. } => pace.turn().await,
            _ => None,
        };
        if pace.call_off.is_on() && may_end_before(work, number) {
            let undo_failed = undo(engine, work, number, back).await;
            return (work.id, Outcome::CalledOff { undo_failed }, Vec::new());
        }
        events(Event::StepBegins { work: work.id, step });
        let span = tracing::info_span!("step", action = ?step.kind());
        let resolved = names.resolved(step);
        let done = async {
            note(&resolved, false)?;
            counted.begins(&resolved);
            let output = engine.execute(&resolved, secrets).await?;
            counted.is_done(&resolved);
            Ok(output)
        };
        let done = done.instrument(span.clone());
        let result = match unless_broken_off(running, number, pace, done).await {
            Ok(result) => result,
            Err(BrokenOff { as_of }) => {
                let undo_failed = undo(engine, work, as_of, back).await;
                return (work.id, Outcome::CalledOff { undo_failed }, Vec::new());
            }
        };
        span.in_scope(|| log_end(step, &result));
        events(Event::StepEnded { work: work.id, step, result: result.as_ref().map(|_| ()) });
        match result {
            Ok(output) => {
                if let StepOutput::DoneWithWarning(words) = &output {
                    warnings.push(words.clone());
                }
                names.learn(step, &output);
            }
            Err(error) => {
                let error = back.judged(engine, work, explained(&resolved, error)).await;
                let undo_failed = undo(engine, work, number, back).await;
                let outcome = Outcome::Failed { step: step.to_string(), error, undo_failed };
                return (work.id, outcome, Vec::new());
            }
        }
    }
    let remembered = work
        .remember
        .iter()
        .filter_map(|(container, remembered)| Some((names.id(container)?, remembered.clone())))
        .collect();
    (work.id, Outcome::Passed { warnings }, remembered)
}

/// Whether it is for the case that others don't come up.
fn is_a_way_back(work: &Work) -> bool {
    matches!(work.when, When::AnyFailed(_) | When::NonePassed(_))
}

/// Whether a work that is called off ends before this step: it has not begun, or can be taken back. What is
/// past that point goes on to its end.
fn may_end_before(work: &Work, number: usize) -> bool {
    !is_a_way_back(work) && (number == 0 || can_be_taken_back(work, number))
}

fn can_be_taken_back(work: &Work, number: usize) -> bool {
    work.undo.iter().any(|undo| undo.since <= number && number < undo.until)
}

/// A wait that was broken off: the work is taken back as if this step had failed.
struct BrokenOff {
    as_of: usize,
}

/// Whether the wait of a work may be broken off where the run is called off. No engine has begun anything then: it is taken
/// back at once, or, where nothing comes after it, the next run sees what came of it. But what something else was stopped
/// for does not stay beside that: it goes too, though it would stay if it failed.
fn may_break_off(running: Running<'_>, number: usize) -> Option<BrokenOff> {
    let Running { work, has_room, silent_since: _, counted: _ } = running;
    if is_a_way_back(work) || !matches!(work.steps[number], Step::WaitRunning { .. }) {
        return None;
    }
    let is_last = number + 1 == work.steps.len();
    let before = number.checked_sub(1).filter(|before| can_be_taken_back(work, *before));
    match (may_end_before(work, number), is_last, has_room) {
        (true, ..) | (false, true, false) => Some(BrokenOff { as_of: number }),
        (false, true, true) => before.map(|as_of| BrokenOff { as_of }),
        (false, false, _) => None,
    }
}

/// What becomes of a step, unless it is a wait that is broken off.
async fn unless_broken_off<T>(
    running: Running<'_>,
    number: usize,
    pace: &Pace,
    done: impl Future<Output = T>,
) -> Result<T, BrokenOff> {
    let Some(broken_off) = may_break_off(running, number) else { return Ok(done.await) };
    tokio::select! {
        biased;
        done = done => Ok(done),
        () = pace.call_off.told() => Err(broken_off),
    }
}

fn log_end(step: &Step, result: &Result<StepOutput, EngineError>) {
    match result {
        Ok(_) => tracing::info!(%step, "step done"),
        Err(error) => tracing::warn!(%step, kind = ?error.kind, %error, "step failed"),
    }
}

/// What going back needs.
#[derive(Clone, Copy)]
struct Back<'a> {
    secrets: &'a SecretValues,
    pace: &'a Pace,
    names: &'a Names,
    /// Since when the engine does not answer any more: each step would only wait for its own limit.
    silent_since: &'a OnceLock<usize>,
    counted: &'a Counted,
    note: &'a (dyn Fn(&Step, bool) -> Result<(), EngineError> + Send + Sync),
}

impl Back<'_> {
    /// What an error says of the engine; that it hangs counts for all works.
    async fn judged(&self, engine: &dyn Engine, work: &Work, error: EngineError) -> EngineError {
        let Judged { error, is_silent } = judged(engine, error).await;
        if is_silent {
            // The first one counts.
            let _ = self.silent_since.set(work.id);
        }
        error
    }
}

/// Runs the undo steps that the failure of step `failed` asks for, but for those that need one that failed, and none once the
/// engine is silent: the next run finds what is left.
async fn undo(engine: &dyn Engine, work: &Work, failed: usize, back: Back<'_>) -> Vec<String> {
    let Back { secrets, pace, names, silent_since, counted, note } = back;
    let mut pauses = pace.pauses_of_undo.iter();
    let mut trouble = BTreeMap::new();
    let wanted = |undo: &Undo| undo.since <= failed && failed < undo.until;
    for (number, undo) in work.undo.iter().enumerate().filter(|(_, undo)| wanted(undo)) {
        let lacks = undo.needs.iter().any(|needed| trouble.contains_key(needed));
        let result = match (silent_since.get().is_some(), lacks) {
            (true, _) => Err(format!("{}: not tried, as the engine does not answer", undo.step)),
            (false, true) => {
                Err(format!("{}: not tried, because of what failed before", undo.step))
            }
            (false, false) => {
                let step = names.resolved(&undo.step);
                if let Err(error) = note(&step, true) {
                    tracing::warn!(%step, %error, "taken back without a note");
                }
                counted.begins(&step);
                match persist(engine, &step, secrets, &mut pauses).await {
                    Ok(_) => {
                        counted.is_done(&step);
                        Ok(())
                    }
                    Err(error) if is_gone_anyway(&step, &error) => Ok(()),
                    Err(error) => {
                        let error = back.judged(engine, work, error).await;
                        Err(failure_of(&undo.step.to_string(), &error))
                    }
                }
            }
        };
        if let Err(words) = result {
            trouble.insert(number, words);
        }
    }
    trouble.into_values().collect()
}

/// Whether what should go down is not there at all: beside that, too, what was there can be started again.
fn is_gone_anyway(step: &Step, error: &EngineError) -> bool {
    error.kind == EngineErrorKind::NotFound
        && matches!(step, Step::Update { .. } | Step::Stop { .. })
}

/// Runs a step that takes something back; where the engine is not reached, again after each pause that is left.
async fn persist(
    engine: &dyn Engine,
    step: &Step,
    secrets: &SecretValues,
    pauses: &mut std::slice::Iter<'_, Duration>,
) -> Result<StepOutput, EngineError> {
    loop {
        let result = engine.execute(step, secrets).await;
        let is_cut = matches!(&result, Err(error) if error.kind == EngineErrorKind::Unreachable);
        match is_cut.then(|| pauses.next()).flatten() {
            Some(pause) => tokio::time::sleep(*pause).await,
            None => return result,
        }
    }
}

/// Ids of the containers that this run made or renamed, by their names: a name that somebody else takes in
/// the meantime is never addressed.
#[derive(Default)]
struct Names(Mutex<BTreeMap<String, String>>);

impl Names {
    fn learn(&self, step: &Step, output: &StepOutput) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (step, output) {
            (Step::Create { name, .. }, StepOutput::Created { id }) => {
                known.insert(name.clone(), id.clone());
            }
            (Step::Rename { container, name }, _) => {
                let id = match container {
                    ContainerRef::Id(id) | ContainerRef::Made { id, .. } => Some(id.clone()),
                    ContainerRef::Name(former) => known.remove(former),
                };
                if let Some(id) = id {
                    known.insert(name.clone(), id);
                }
            }
            _ => {}
        }
    }

    fn id(&self, container: &ContainerRef) -> Option<String> {
        match container {
            ContainerRef::Id(id) | ContainerRef::Made { id, .. } => Some(id.clone()),
            ContainerRef::Name(name) => {
                let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let base = name.strip_prefix("hoist-new-").unwrap_or(name);
                known.get(name).or_else(|| known.get(base)).cloned()
            }
        }
    }

    fn resolved(&self, step: &Step) -> Step {
        let mut step = step.clone();
        if let Some(container) = step.container_mut()
            && let ContainerRef::Name(name) = container
        {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(id) = known.get(name) {
                *container = ContainerRef::Made { name: name.clone(), id: id.clone() };
            }
        }
        step
    }
}

//! What works teach: which containers were written, which changes failed, how often containers end.
//!
//! Enters: a device's plan, what became of its works, what was seen after them. Leaves: what is remembered of the device.

use super::rival::is_crossed;
use crate::apply::{DeviceRun, Outcome, StartsAndStops};
use crate::model::{Hash, ModuleName, Observation, ObservedContainer, Timestamp, label};
use crate::plan::{
    DeviceMemory, DevicePlan, HalfDone, MadeLast, PlanAction, Purpose, Step, Stops, When, Work,
    checked_at, new_name, old_name, running,
};
use std::collections::BTreeSet;

/// What the store remembers while works run: of containers that they touch not how they are, and of networks
/// that they are not known. A run that is cut off then costs an inspect and loses nothing.
pub fn intent(plan: &DevicePlan) -> DeviceMemory {
    let mut memory = plan.kept_memory.clone();
    memory.doubt(&plan.works);
    if plan.works.iter().any(|work| matches!(work.purpose, Purpose::Network(_))) {
        memory.networks = None;
    }
    memory
}

pub(super) fn learn_networks(plan: &DevicePlan, run: &DeviceRun, memory: &mut DeviceMemory) {
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

/// Which containers that should be taken over are still to be put back as they were. `known`: what was remembered before this run, which
/// may go on with what another one began; `before` and `after`: what the engine ran, if it told.
pub fn learn_taken_over(
    plan: &DevicePlan,
    run: &DeviceRun,
    known: &DeviceMemory,
    (before, after): (&Observation, Option<&Observation>),
    memory: &mut DeviceMemory,
) {
    let containers = &after.unwrap_or(before).containers;
    memory.adopting.retain(|id, was| {
        let Some(container) = containers.iter().find(|container| container.id == *id) else {
            return false;
        };
        let successor = new_name(was.module.as_str());
        let is_over = after.is_some()
            && was.is_left_alone(container, &memory.stops)
            && !containers.iter().any(|container| container.name == successor);
        let is_put_aside = container.name == old_name(was.module.as_str());
        let is_ours_to_end = is_put_aside || memory.stops.has_begun_to_stop(container);
        has_left_over(plan, run, &was.module, is_ours_to_end)
            || known.adopting.contains_key(id) && !is_over
    });
}

/// Whether a work for this module may have begun something that was neither brought to its end nor taken back. `is_ours_to_end`:
/// what is taken over was put aside and is still there, or the engine may still be at its stop.
fn has_left_over(
    plan: &DevicePlan,
    run: &DeviceRun,
    module: &ModuleName,
    is_ours_to_end: bool,
) -> bool {
    plan.works.iter().any(|work| {
        let is_of = matches!(&work.purpose, Purpose::Module { name, .. } if name == module);
        is_of
            && match run.outcomes.get(&work.id) {
                Some(Outcome::Failed { undo_failed, .. }) => {
                    !undo_failed.is_empty() || is_ours_to_end
                }
                Some(Outcome::CalledOff { undo_failed }) => !undo_failed.is_empty(),
                Some(Outcome::Passed { .. } | Outcome::Skipped { .. } | Outcome::NotNeeded) => {
                    false
                }
                None => true,
            }
    })
}

/// What of what was begun beside modules that go is still half done. `seen`: what the engine ran after it, if it told.
pub fn learn_half_done(
    plan: &DevicePlan,
    run: &DeviceRun,
    seen: Option<&Observation>,
    memory: &mut DeviceMemory,
) {
    let has_passed = |id: usize| run.outcomes.get(&id).is_some_and(Outcome::is_passed);
    let mut half_done = std::mem::take(&mut memory.half_done);
    let is_there = |name: &ModuleName, spec: &Hash| {
        let has = |c: &ObservedContainer, key, value| c.labels.get(key).is_some_and(|v| v == value);
        seen.is_none_or(|seen| {
            let mut all = seen.containers.iter();
            all.any(|c| has(c, label::MODULE, name.as_str()) && has(c, label::SPEC, spec.as_str()))
        })
    };
    half_done.coming.retain(|(name, spec)| {
        let has_come_up = plan.works.iter().any(|work| {
            has_passed(work.id) && work.tries.iter().any(|(of, tried)| of == name && tried == spec)
        });
        !has_come_up && is_there(name, spec)
    });
    let is_as_left = |id: &str| {
        let mut all = seen.into_iter().flat_map(|seen| &seen.containers);
        seen.is_none() || all.any(|c| c.id == id && half_done.is_owed(c))
    };
    let still: BTreeSet<String> =
        half_done.made_room.keys().filter(|id| is_as_left(id)).cloned().collect();
    half_done.made_room.retain(|id, _| {
        let way_back = plan.works.iter().find(|work| starts_again(work, id));
        let way_back = way_back.and_then(|work| run.outcomes.get(&work.id));
        // Not needed: what came has come up in its room.
        let is_over = matches!(way_back, Some(Outcome::Passed { .. } | Outcome::NotNeeded));
        !is_over && still.contains(id)
    });
    memory.half_done = half_done;
}

/// Which runs of containers were stopped, by what was seen `before` the run and `after` it, if the engine told.
pub fn learn_stops(
    plan: &DevicePlan,
    run: &DeviceRun,
    (before, after): (&Observation, Option<&Observation>),
    memory: &mut DeviceMemory,
    at: Timestamp,
) {
    let StartsAndStops { started, stopped } = &run.counted;
    let mut known = plan.kept_memory.stops.clone();
    known.0.retain(|id, _| !started.contains(id));
    let ran: BTreeSet<&String> =
        running(&before.containers).map(|c| &c.id).chain(started).collect();
    // One that was down already ended by itself.
    let stopped: BTreeSet<String> = stopped.iter().filter(|id| ran.contains(id)).cloned().collect();
    memory.stops = match after {
        Some(after) => known.after(&stopped, (&before.containers, &after.containers), at.seconds),
        None => known.and_begun(&stopped, &before.containers, started, at.seconds),
    };
}

/// Takes in a step that begins, if it stops what runs: a job that ends by itself before that was not stopped. Says whether it
/// does. `started`: what was started since it was seen `before`.
pub fn learn_begun(
    step: &Step,
    (before, started): (&Observation, &BTreeSet<String>),
    stops: &mut Stops,
    at: Timestamp,
) -> bool {
    let Step::Stop { container, .. } = step else { return false };
    let stopped = BTreeSet::from([container.as_str().to_owned()]);
    let known = std::mem::take(stops);
    *stops = known.and_begun(&stopped, &before.containers, started, at.seconds);
    *stops != known
}

/// Takes out what is not half done any more once a work has passed: what it brought has come up, and what made room for that
/// is not needed. Says whether there was any.
pub fn learn_passed(plan: &DevicePlan, passed: usize, half_done: &mut HalfDone) -> bool {
    let before = half_done.clone();
    for work in &plan.works {
        if work.id == passed {
            for tried in &work.tries {
                half_done.coming.remove(tried);
            }
        }
        if matches!(&work.when, When::NonePassed(others) if others.contains(&passed)) {
            half_done.made_room.retain(|id, _| !starts_again(work, id));
        }
    }
    *half_done != before
}

fn starts_again(work: &Work, id: &str) -> bool {
    let is_again = matches!(work.purpose, Purpose::Module { action: PlanAction::StartAgain, .. });
    let of = |step: &Step| matches!(step, Step::Start { container } if container.as_str() == id);
    is_again && work.steps.iter().any(of)
}

/// What this control host did last with each module.
pub(super) fn learn_made(
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
pub(super) fn learn(
    plan: &DevicePlan,
    run: &DeviceRun,
    observation: &Observation,
    memory: &mut DeviceMemory,
    at: Timestamp,
) {
    for work in &plan.works {
        let outcome = run.outcomes.get(&work.id);
        if let (Purpose::Image(image), Some(Outcome::Passed { warnings })) =
            (&work.purpose, outcome)
            && let Some(checked) = memory.checked.get_mut(image)
        {
            *checked = checked_at(!warnings.is_empty(), at.seconds);
        }
        match outcome {
            Some(Outcome::Passed { .. }) => memory.learn(work, None, at.seconds),
            // It says nothing of the change: that is tried again without the pause of one that failed.
            Some(crossed) if is_crossed(crossed) => memory.doubt(std::slice::from_ref(work)),
            Some(failed @ Outcome::Failed { error, .. }) => {
                let words = failed.failure().unwrap_or_default();
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

/// A port that the engine calls taken, and that nobody in its own list publishes, is a fault of the engine: it crashed
/// while it started a container. The words then say what helps.
pub(super) fn explain_leaked_ports(run: &mut DeviceRun, observation: &Observation) {
    let is_published = |port: u16| {
        observation
            .containers
            .iter()
            .any(|c| c.ports.iter().any(|published| published.host == port))
    };
    for outcome in run.outcomes.values_mut() {
        if let Outcome::Failed { error, .. } = outcome
            && let Some(port) = error.allocated_port()
            && !is_published(port)
        {
            error.message.push_str(&format!(
                "; but no container publishes {port}: the engine forgot to free it when it crashed, restart dockerd"
            ));
        }
    }
}

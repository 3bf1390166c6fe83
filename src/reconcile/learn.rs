//! What works teach: which containers were written, which changes failed, how often containers end.
//!
//! Enters: a device's plan, what became of its works, what was seen after them. Leaves: what is remembered of the device.

use super::rival::is_crossed;
use crate::apply::{DeviceRun, Outcome};
use crate::model::{ModuleName, Observation, ObservedContainer, Timestamp, label};
use crate::plan::{DeviceMemory, DevicePlan, MadeLast, PlanAction, Purpose, Step, checked_at};

/// What the store remembers while works run: of containers that they touch not how they are, and of networks
/// that they are not known. A run that is cut off then costs an inspect and loses nothing.
pub(super) fn intent(plan: &DevicePlan) -> DeviceMemory {
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

/// Whether a container that should be taken over may be neither as it was nor gone.
pub(super) fn is_half_taken_over(plan: &DevicePlan, run: &DeviceRun, module: &ModuleName) -> bool {
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

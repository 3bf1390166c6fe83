//! Taking over what somebody else started under a module's name.
//!
//! Only a saved plan does it, and a run that was cut off goes on with what such a plan began: the store
//! keeps how the container was, so that a failure puts it back exactly so.

use super::device::{PlanInput, fleet_names};
use super::memory::FailedChange;
use super::module::Draft;
use super::{Block, DeviceMemory, DevicePlan, Purpose, Role, Stops, old_name};
use crate::model::{ContainerState, ModuleName, ObservedContainer, label};
use std::collections::BTreeMap;

/// How a foreign container was before it was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// The module that takes its place.
    pub module: ModuleName,
    /// The engine's restart policy that it had.
    pub policy: String,
    /// Whether it ran.
    pub was_up: bool,
}

impl TakenOver {
    /// Whether nothing is left to be taken back of what was done to it, as far as that is seen: what became of it by itself, or
    /// by others, is theirs.
    pub fn is_left_alone(&self, container: &ObservedContainer, stops: &Stops) -> bool {
        let policy = container.detail.as_ref().map(|detail| detail.restart_policy.as_str());
        let has_policy = policy.is_some_and(|policy| policy == self.policy || policy != "no");
        let is_stopped = self.was_up && stops.has_begun_to_stop(container);
        container.name == self.module.as_str() && has_policy && !is_stopped
    }
}

/// Of which module a foreign container takes the place, if that was agreed to.
pub(super) fn adoptable<'i>(
    input: &'i PlanInput<'_>,
    container: &ObservedContainer,
) -> Option<(&'i ModuleName, Role)> {
    let manifest = input.manifest.as_deref()?;
    if let Some(begun) = input.memory.adopting.get(&container.id) {
        let (module, _) = manifest.modules.get_key_value(&begun.module)?;
        return match container.name.as_str() {
            name if name == module.as_str() => Some((module, Role::Current)),
            name if name == old_name(module.as_str()) => Some((module, Role::Old)),
            _ => None,
        };
    }
    let (module, _) = manifest.modules.get_key_value(container.name.as_str())?;
    // What another fleet keeps would come back under that fleet's next pass.
    let is_another_fleets =
        owner(container).is_some_and(|(fleet, _)| !fleet_names(input).contains(&fleet));
    let is_settled = matches!(
        container.state,
        ContainerState::Running
            | ContainerState::Restarting
            | ContainerState::Created
            | ContainerState::Exited(_)
            | ContainerState::Dead
    );
    let known = container.detail.is_some();
    (input.consent.adopt && known && is_settled && !is_another_fleets)
        .then_some((module, Role::Current))
}

impl Draft<'_> {
    /// Why what somebody else started under a module's name is not touched.
    pub(super) fn foreign_name(&self, container: &ObservedContainer) -> Block {
        Block::ForeignName {
            name: container.name.clone(),
            id: container.id.clone(),
            // By its image's labels somebody else's container can name this very device.
            owner: owner(container).filter(|(fleet, device)| {
                fleet != self.input.fleet.as_str() || device != self.input.device
            }),
        }
    }

    /// Whether it was to be taken over, and is not: what failed left it as others have it.
    pub(super) fn is_left_to_others(&self, current: &ObservedContainer) -> bool {
        let begun = self.input.memory.adopting.get(&current.id);
        let has_failed =
            |failed: &FailedChange| failed.spec == self.spec && !failed.is_tried_at_once();
        !self.input.may_adopt
            && begun.is_some_and(|was| was.is_left_alone(current, self.input.stops))
            && self.memory.failed.as_ref().is_some_and(has_failed)
    }
}

/// The fleet and the device that a container's own labels name.
pub(super) fn owner(container: &ObservedContainer) -> Option<(String, String)> {
    let value = |key| container.labels.get(key).cloned();
    Some((value(label::FLEET)?, value(label::DEVICE)?))
}

/// How a container that is taken over was before anything was done to it.
pub(super) fn as_it_was(container: &ObservedContainer, memory: &DeviceMemory) -> TakenOver {
    memory.adopting.get(&container.id).cloned().unwrap_or_else(|| TakenOver {
        module: ModuleName::parse(&container.name)
            .expect("only a container that is named as a module is taken over"),
        policy: container.detail.as_ref().map_or("no", |d| d.restart_policy.as_str()).to_owned(),
        was_up: matches!(container.state, ContainerState::Running | ContainerState::Restarting),
    })
}

/// What is remembered of containers that are being taken over: those of this plan, and those of a former one that this goes on
/// with, or that are not yet as they were.
pub(super) fn remembered(
    input: &PlanInput<'_>,
    plan: &DevicePlan,
    stops: &Stops,
) -> BTreeMap<String, TakenOver> {
    let goes_on = |was: &TakenOver| {
        let mut purposes = plan.works.iter().map(|work| &work.purpose);
        purposes.any(|it| matches!(it, Purpose::Module { name, .. } if *name == was.module))
    };
    let is_needed = |container: &&ObservedContainer| {
        let begun = input.memory.adopting.get(&container.id);
        plan.adopts.values().any(|id| *id == container.id)
            || begun.is_some_and(|was| goes_on(was) || !was.is_left_alone(container, stops))
    };
    let needed = input.observation.containers.iter().filter(is_needed);
    needed.map(|c| (c.id.clone(), as_it_was(c, input.memory))).collect()
}

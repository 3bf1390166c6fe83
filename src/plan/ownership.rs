//! Which containers of an engine are ours.
//!
//! Labels alone are no proof: an image can carry them, and anybody can copy them. So a container is ours
//! if its labels are complete, for this fleet and device, and either the store knows its id, or its name is
//! one that we give to that module and its image bears none of our labels.

use crate::model::{ContainerState, Hash, HashOfTexts, Observation, ObservedContainer, label};
use crate::plan::DeviceMemory;
use std::collections::BTreeMap;

/// What a container of ours is to its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It has the module's name.
    Current,
    /// It was being put in place when a run was cut off, or is right now.
    New,
    /// It was put aside for a successor.
    Old,
    /// It is ours and has a name that we never give.
    Renamed,
}

/// The name of a container that is not yet in place.
pub fn new_name(module: &str) -> String {
    format!("hoist-new-{module}")
}

/// The name of a container that was put aside.
pub fn old_name(module: &str) -> String {
    format!("hoist-old-{module}")
}

/// The module in a name that we give to its containers, for words.
pub fn module_in(name: &str) -> &str {
    let given = ["hoist-new-", "hoist-old-"].into_iter();
    given.filter_map(|prefix| name.strip_prefix(prefix)).next().unwrap_or(name)
}

/// Whether a container carries the labels of one of these fleets and devices, whoever made it.
pub fn carries_our_labels(
    container: &ObservedContainer,
    fleets: &[String],
    devices: &[String],
) -> bool {
    let value = |key: &str| container.labels.get(key);
    label::ALL.iter().all(|key| value(key).is_some_and(|v| !v.is_empty()))
        && value(label::FLEET).is_some_and(|fleet| fleets.contains(fleet))
        && value(label::DEVICE).is_some_and(|device| devices.contains(device))
}

/// Whether a container that carries our labels is ours, and then of which module and in which role.
pub fn is_ours(container: &ObservedContainer, memory: &DeviceMemory) -> Option<(String, Role)> {
    let module = container.labels.get(label::MODULE)?.clone();
    let role = match container.name.as_str() {
        name if name == module => Role::Current,
        name if name == new_name(&module) => Role::New,
        name if name == old_name(&module) => Role::Old,
        _ => Role::Renamed,
    };
    if memory.containers.contains_key(&container.id) {
        return Some((module, role));
    }
    let detail = container.detail.as_ref()?;
    (role != Role::Renamed && is_innocent(&detail.image_labels)).then_some((module, role))
}

/// Whether an image bears none of our labels, so that those of its containers are their own.
pub(super) fn is_innocent(image_labels: &BTreeMap<String, String>) -> bool {
    !image_labels.keys().any(|key| key.starts_with("hoist."))
}

/// What an observation looked like, as far as a plan depends on it. Health, and the moment between two
/// restarts, are left out: they change by themselves.
pub fn fingerprint(observation: &Observation) -> Hash {
    let mut hash = HashOfTexts::new("hoist observation");
    let mut label = String::new();
    for container in &observation.containers {
        let ObservedContainer { id, name, image_id, labels, state, networks, .. } = container;
        let state = match state {
            ContainerState::Running | ContainerState::Restarting => "up",
            ContainerState::Paused => "paused",
            ContainerState::Created => "created",
            ContainerState::Exited(_) | ContainerState::Dead => "down",
            ContainerState::Removing => "removing",
            ContainerState::Unknown => "unknown",
        };
        [id.as_str(), name, image_id, state].into_iter().for_each(|text| hash.add(text));
        for (key, value) in labels {
            label.clear();
            label.extend([key, "=", value]);
            hash.add(&label);
        }
        networks.iter().for_each(|name| hash.add(name));
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_in_every_name_that_its_containers_get() {
        for name in ["web".to_owned(), new_name("web"), old_name("web")] {
            assert_eq!(module_in(&name), "web");
        }
    }
}

//! Whether the engine behind a device's address is the device's.
//!
//! An address may come to lead somewhere else: another machine got it, or a file names the wrong one. Then
//! nothing is touched until somebody says that it is right.

use super::carries_our_labels;
use super::device::{PlanInput, device_names, fleet_names};
use super::ownership::is_innocent;
use crate::model::label;

/// The engine that answered, and what is known of the one that should.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownEngine<'a> {
    /// The id that it gives itself.
    pub id: &'a str,
    /// The id that was seen first, or accepted last.
    pub remembered: Option<&'a str>,
    /// The id that somebody accepted with whatever it runs.
    pub accepted: Option<&'a str>,
}

/// Why nothing on the engine is touched, in words.
pub(super) fn why_not_touched(input: &PlanInput<'_>) -> Option<String> {
    let KnownEngine { id, remembered, accepted } = input.engine;
    if accepted == Some(id) && !id.is_empty() {
        return None;
    }
    let device = input.device;
    let other = |before: &&str| *before != id && !before.is_empty() && !id.is_empty();
    if let Some(before) = remembered.filter(other) {
        return Some(format!(
            "another engine is behind its address: {}, before {}; nothing is touched until somebody runs \
             `hoist accept-engine {device}`",
            short(id),
            short(before)
        ));
    }
    let other = other_device(input)?;
    Some(format!(
        "its engine runs containers of device \"{other}\" of this fleet, so nothing is touched; if it was \
         renamed, write `formerly = [\"{other}\"]` into its file; if it is the right engine all the same, run \
         `hoist accept-engine {device}`"
    ))
}

/// Another device of this fleet, of which the engine holds containers.
fn other_device<'a>(input: &'a PlanInput<'_>) -> Option<&'a String> {
    let fleets = fleet_names(input);
    let devices = device_names(input);
    input.observation.containers.iter().find_map(|container| {
        let device = container.labels.get(label::DEVICE)?;
        let complete = carries_our_labels(container, &fleets, std::slice::from_ref(device));
        let own = container.detail.as_ref().is_some_and(|d| is_innocent(&d.image_labels));
        (complete && own && !devices.contains(device)).then_some(device)
    })
}

/// An engine's id, short enough to read.
fn short(id: &str) -> &str {
    id.get(..17).unwrap_or(id)
}

//! Two control hosts on one device: each undoes what the other did.
//!
//! Every container says which control host's store made it. A store that finds its own fresh work replaced
//! by another's three times within a day stops there, until somebody says who it is to be.

use super::device::{PlanInput, device_names, fleet_names};
use super::{Role, carries_our_labels, is_ours};
use crate::model::{DeviceId, ModuleName, label};
use std::collections::{BTreeMap, BTreeSet};

/// A day, in seconds: work that is older is not fresh, and what was undone before it does not count.
const FRESH: i64 = 86_400;

/// So often it is done again.
const OFTEN: usize = 3;

/// What this control host did last on a device, and who undoes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlMemory {
    /// By module: the container that was made last, or that the last one was removed.
    pub made: BTreeMap<ModuleName, MadeLast>,
    /// When that was found undone, in seconds since 1970: within the last day.
    pub undone: Vec<i64>,
    /// When another one was met at work at the same moment, likewise.
    pub crossed: Vec<i64>,
    /// Whose containers were there instead, the last time.
    pub by: Option<String>,
    /// Whether nothing is done any more until somebody says so.
    pub stopped: bool,
}

/// What was done last with one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeLast {
    /// The container that was made; `None` if the last one was removed.
    pub container: Option<String>,
    /// When, in seconds since 1970.
    pub at: i64,
}

impl ControlMemory {
    /// The same after a look at the engine.
    pub(super) fn after_looking(&self, input: &PlanInput<'_>) -> Self {
        let mut after = self.clone();
        if input.consent.take_over {
            after.undone.clear();
            after.crossed.clear();
            after.by = None;
            after.stopped = false;
            return after;
        }
        for moments in [&mut after.undone, &mut after.crossed] {
            moments.retain(|at| input.now.saturating_sub(*at) < FRESH);
        }
        if let Some(rival) = self.undone_by(input) {
            after.undone.push(input.now);
            after.by = Some(rival);
        }
        after.stopped |= after.undone.len() + after.crossings(input.control) >= OFTEN;
        after
    }

    /// How much it counts that another one was met. Both meet at the same moments: if it counted the same for both, both would
    /// stop, and nobody would look after the device. For the one whose id comes first it counts half, so that it goes on when
    /// the other one has stopped, and stops too where that one never does.
    fn crossings(&self, control: &str) -> usize {
        let is_first = self.by.as_deref().is_some_and(|rival| control < rival);
        self.crossed.len() / if is_first { 2 } else { 1 }
    }

    /// Why nothing is done, in words.
    pub(super) fn why_stopped(&self, device: &DeviceId) -> Option<String> {
        let rival = self.by.as_deref().unwrap_or("?");
        self.stopped.then(|| {
            format!(
                "another control host ({rival}) undid or crossed this one's work again and again within a day, so nothing \
                 is touched; stop the other one, then run `hoist apply --take-over --device {device}`"
            )
        })
    }

    /// The control host whose container stands where this one's fresh work was.
    fn undone_by(&self, input: &PlanInput<'_>) -> Option<String> {
        let (fleets, devices) = (fleet_names(input), device_names(input));
        let there: BTreeSet<&str> =
            input.observation.containers.iter().map(|container| container.id.as_str()).collect();
        input.observation.containers.iter().find_map(|container| {
            let rival = container.labels.get(label::CONTROL)?;
            if rival == input.control
                || input.memory.containers.contains_key(&container.id)
                || !carries_our_labels(container, &fleets, &devices)
            {
                return None;
            }
            let (module, role) = is_ours(container, input.memory)?;
            let made = self.made.get(module.as_str()).filter(|_| role == Role::Current)?;
            let is_fresh = input.now.saturating_sub(made.at) < FRESH;
            let is_gone = made.container.as_deref().is_none_or(|id| !there.contains(id));
            (is_fresh && is_gone).then(|| rival.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crossing_counts_half_for_the_one_whose_id_comes_first() {
        let counts = |control: &str, times: i64| {
            let (by, crossed) = (Some("b".to_owned()), (0..times).collect());
            ControlMemory { by, crossed, ..ControlMemory::default() }.crossings(control)
        };
        assert_eq!((counts("c", 2), counts("c", 3)), (2, OFTEN));
        assert_eq!((counts("a", 3), counts("a", 5), counts("a", 6)), (1, 2, OFTEN));
    }
}

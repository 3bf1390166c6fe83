//! The pace of each device of a run: when all of it is called off, and which devices take turns pulling.

use crate::apply::{CallOff, Pace};
use crate::fleet::Fleet;
use crate::model::{DeviceId, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many devices that share a tag's value may pull at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullsPer {
    path: Vec<String>,
    limit: usize,
}

impl PullsPer {
    /// Parses `tags.location.building=1`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not of the form `tags.location.building=1`");
        let (path, limit) = text.rsplit_once('=').ok_or_else(wrong)?;
        let limit: usize = limit.trim().parse().map_err(|_| wrong())?;
        let path = path.trim().strip_prefix("tags.").ok_or_else(wrong)?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(wrong());
        }
        if limit == 0 {
            return Err(format!("with `{text}` no device could ever pull; the least is 1"));
        }
        Ok(Self { path, limit })
    }
}

/// A link that fails for a moment must not leave down what worked: without a daemon the next run may be far away.
const PAUSES_OF_UNDO: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// The pace of each device of a run.
#[derive(Debug, Clone, Default)]
pub struct Paces {
    call_off: CallOff,
    turns: BTreeMap<DeviceId, Arc<Semaphore>>,
}

impl Paces {
    /// Devices that share the value of a tag take turns; one that lacks it has no limit.
    pub fn new(fleet: &Fleet, pulls_per: Option<&PullsPer>, call_off: CallOff) -> Self {
        let mut turns = BTreeMap::new();
        if let Some(PullsPer { path, limit }) = pulls_per {
            let mut by_value: BTreeMap<String, Arc<Semaphore>> = BTreeMap::new();
            for device in fleet.devices.values() {
                let Some(value) = Value::lookup(&device.tags, path) else { continue };
                let turn = by_value
                    .entry(value.to_json().to_string())
                    .or_insert_with(|| Arc::new(Semaphore::new(*limit)));
                turns.insert(device.id.clone(), Arc::clone(turn));
            }
        }
        Self { call_off, turns }
    }

    pub(super) fn of(&self, device: &DeviceId) -> Pace {
        Pace {
            call_off: self.call_off.clone(),
            pulls: self.turns.get(device).cloned(),
            pauses_of_undo: &PAUSES_OF_UNDO,
        }
    }

    pub(super) fn is_called_off(&self) -> bool {
        self.call_off.is_on()
    }
}

#[cfg(test)]
mod tests {
    use super::PullsPer;

    #[test]
    fn what_is_no_tag_and_number_is_refused_in_words() {
        let parsed = PullsPer::parse("tags.location.building=2").unwrap();
        assert_eq!((parsed.path.len(), parsed.limit), (2, 2));
        for text in ["building=1", "tags.=1", "tags.a..b=1", "tags.a", "tags.a=x", "tags.a=-1"] {
            let words = PullsPer::parse(text).unwrap_err();
            assert!(words.contains("is not of the form"), "{text}: {words}");
        }
        assert!(PullsPer::parse("tags.a=0").unwrap_err().contains("the least is 1"));
    }
}

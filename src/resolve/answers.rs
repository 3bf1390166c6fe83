//! Which devices meet the conditions of a fleet, and what is left of that when the fleet changes.
//!
//! Enters: a fleet and its devices' reported properties, or the answers of a former revision. Leaves: for every
//! condition that the fleet names the devices that meet it, and for every property those that have it. A condition
//! that was asked before is asked again only for devices that are others now.

use crate::fleet::Fleet;
use crate::language::{Bitmap, Columns, Condition, Root, Subject, Truth};
use crate::model::{Device, DeviceId, Facts, Table, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The answers of one fleet. Devices are numbered in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Answers {
    devices: Arc<BTreeMap<DeviceId, Arc<Device>>>,
    met: BTreeMap<String, Bitmap>,
    defined: BTreeMap<(Root, Vec<String>), Bitmap>,
}

impl Answers {
    /// By what devices declare and report.
    pub(super) fn of(fleet: &Fleet, facts: &Facts) -> Self {
        let reported: Vec<Cow<'_, Table>> =
            fleet.devices.values().map(|device| facts.reported(device)).collect();
        let mut answers = Self { devices: Arc::clone(&fleet.devices), ..Self::default() };
        answers.ask(&conditions(fleet), fleet, &reported);
        answers
    }

    /// By what devices declare, where answers of another revision by the same are at hand.
    pub(super) fn after(former: Self, fleet: &Fleet) -> Self {
        let Some(changed) = former.changed(fleet) else { return Self::of(fleet, &Facts::none()) };
        let mut answers = Self { devices: Arc::clone(&fleet.devices), ..former };
        let all = conditions(fleet);
        answers.met.retain(|text, _| all.contains_key(text));
        for (text, met) in &mut answers.met {
            for (number, device) in &changed {
                let subject = Subject { device, reported: &device.reported };
                met.set(*number, all[text].evaluate(subject) == Truth::True);
            }
        }
        for ((root, path), defined) in &mut answers.defined {
            for (number, device) in &changed {
                defined.set(*number, has(device, *root, path));
            }
        }
        let new = all.into_iter().filter(|(text, _)| !answers.met.contains_key(text)).collect();
        let declared: Vec<_> = fleet.devices.values().map(|d| Cow::Borrowed(&d.reported)).collect();
        answers.ask(&new, fleet, &declared);
        answers
    }

    /// The devices that are others in a fleet, with their numbers; `None` where numbers mean others there, or where
    /// most devices are others.
    fn changed<'f>(&self, fleet: &'f Fleet) -> Option<Vec<(usize, &'f Device)>> {
        let mut changed = Vec::new();
        if Arc::ptr_eq(&self.devices, &fleet.devices) {
            return Some(changed);
        }
        for (number, (old, new)) in self.devices.values().zip(fleet.devices.values()).enumerate() {
            if Arc::ptr_eq(old, new) {
                continue;
            }
            if old.id != new.id {
                return None;
            }
            changed.push((number, &**new));
        }
        let are_the_same = self.devices.len() == fleet.devices.len();
        (are_the_same && changed.len() * 2 <= self.devices.len()).then_some(changed)
    }

    fn ask(
        &mut self,
        conditions: &BTreeMap<String, &Condition>,
        fleet: &Fleet,
        reported: &[Cow<'_, Table>],
    ) {
        if conditions.is_empty() {
            return;
        }
        let devices = fleet.devices.values().zip(reported);
        let subjects: Vec<_> =
            devices.map(|(device, reported)| Subject { device, reported }).collect();
        let columns = Columns::of(conditions.values().copied(), &subjects);
        for (text, condition) in conditions {
            self.met.insert(text.clone(), columns.matches(condition));
            for property in condition.properties() {
                let defined = columns.defined(property.root, &property.path);
                self.defined.insert((property.root, property.path), defined);
            }
        }
    }

    /// The devices that meet a condition of the fleet.
    pub(super) fn matches(&self, condition: &Condition) -> Bitmap {
        let met = self.met.get(&condition.to_string());
        met.cloned().unwrap_or_else(|| Bitmap::none(self.devices.len()))
    }

    /// One device alone, by its number, or none.
    pub(super) fn only(&self, device: Option<usize>) -> Bitmap {
        let mut only = Bitmap::none(self.devices.len());
        if let Some(device) = device {
            only.set(device, true);
        }
        only
    }

    /// How many devices have nothing at a property that a condition names.
    pub(super) fn lacking(&self, root: Root, path: &[String]) -> usize {
        let defined = self.defined.get(&(root, path.to_vec()));
        self.devices.len() - defined.map_or(0, Bitmap::count)
    }
}

/// All conditions of a fleet, by their canonical texts.
fn conditions(fleet: &Fleet) -> BTreeMap<String, &Condition> {
    let targets = fleet.deployments.values().filter_map(|d| d.kind.target()?.condition.as_ref());
    let phases = fleet.rollout.iter().flat_map(|rollout| &rollout.phases);
    let all = targets.chain(phases.filter_map(|phase| phase.target.as_ref()));
    all.map(|condition| (condition.to_string(), condition)).collect()
}

fn has(device: &Device, root: Root, path: &[String]) -> bool {
    match root {
        Root::DeviceId => true,
        Root::Tags => Value::lookup(&device.tags, path).is_some(),
        Root::Reported => Value::lookup(&device.reported, path).is_some(),
        // No target condition names them.
        _ => false,
    }
}

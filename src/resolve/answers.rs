//! Which devices meet the conditions of a fleet, and what is left of that when the fleet changes.
//!
//! Enters: a fleet and its devices' reported properties, or the answers of a former revision. Leaves: for every
//! condition that the fleet names the devices that meet it, and for every property those that have it. Of a former
//! revision the columns go on: those of new properties are added, devices that are others or report something else are
//! put in their places, and only new conditions are asked.

use crate::fleet::{Fleet, shares, side_by_side};
use crate::language::{Bitmap, Columns, Condition, Root, Subject, Truth};
use crate::model::{DeviceChanges, Devices, Facts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The answers of one fleet. Devices are numbered in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Answers {
    columns: Arc<Columns>,
    /// By the canonical text of a condition; the same set from revision to revision where none is in or out.
    met: BTreeMap<String, Arc<Bitmap>>,
}

impl Answers {
    /// By what devices declare and report.
    pub(super) fn of(fleet: &Fleet, facts: &Facts) -> Self {
        let columns = Arc::new(Columns::new(Arc::clone(&fleet.devices)));
        let mut answers = Self { columns, met: BTreeMap::new() };
        answers.ask(fleet, facts);
        answers
    }

    /// The same where answers of another revision are at hand, and what devices reported then.
    pub(super) fn after((former, reported): (Self, &Facts), fleet: &Fleet, facts: &Facts) -> Self {
        let changes = fleet.devices.changes_since(former.columns.devices());
        let reports = others_report(reported, facts, &fleet.devices);
        let Some((mut changes, reports)) = changes.zip(reports) else {
            return Self::of(fleet, facts);
        };
        changes.others.extend(reports);
        let mut answers = former;
        let all = conditions(fleet);
        answers.met.retain(|text, _| all.contains_key(text));
        if changes != DeviceChanges::default()
            || !Arc::ptr_eq(answers.columns.devices(), &fleet.devices)
        {
            answers.go_over_to(&changes, (fleet, facts), &all);
        }
        answers.ask(fleet, facts);
        answers
    }

    /// Goes over to other devices, of which some also may report something else.
    fn go_over_to(
        &mut self,
        changes: &DeviceChanges,
        (fleet, facts): (&Fleet, &Facts),
        all: &BTreeMap<String, &Condition>,
    ) {
        let columns = Arc::make_mut(&mut self.columns);
        columns.go_over_to(Arc::clone(&fleet.devices), changes, facts);
        if !changes.keep_numbers() {
            self.met.values_mut().for_each(|met| Arc::make_mut(met).renumber(changes));
        }
        for (number, device) in changes.to_look_at(&fleet.devices) {
            let reported = facts.reported(device);
            let subject = Subject { device, reported: &reported };
            for (text, met) in &mut self.met {
                let meets = all[text].evaluate(subject) == Truth::True;
                if met.contains(number) != meets {
                    Arc::make_mut(met).set(number, meets);
                }
            }
        }
    }

    /// Asks what is not known yet.
    fn ask(&mut self, fleet: &Fleet, facts: &Facts) {
        let conditions = conditions(fleet);
        let needed = Columns::needed_by(conditions.values().copied());
        if !self.columns.are_just(&needed) {
            let names = self.columns.missing(&needed);
            let parts = match names.as_slice() {
                [] => Vec::new(),
                names => side_by_side(shares(fleet.devices.len()), 1, |range| {
                    self.columns.read(names, facts, range)
                }),
            };
            Arc::make_mut(&mut self.columns).keep_and_add(&needed, (names, parts));
        }
        for (text, condition) in conditions {
            self.met.entry(text).or_insert_with(|| self.columns.matches(condition).into());
        }
    }

    /// The columns by which it is answered.
    pub(super) fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// The devices that meet a condition of the fleet.
    pub(super) fn matches(&self, condition: &Condition) -> Arc<Bitmap> {
        let met = self.met.get(&condition.to_string());
        met.cloned().unwrap_or_else(|| self.only(None))
    }

    /// One device alone, by its number, or none.
    pub(super) fn only(&self, device: Option<usize>) -> Arc<Bitmap> {
        let mut only = Bitmap::none(self.columns.devices().len());
        if let Some(device) = device {
            only.set(device, true);
        }
        only.into()
    }

    /// How many devices have nothing at a property that a condition names.
    pub(super) fn lacking(&self, root: Root, path: &[String]) -> usize {
        self.columns.devices().len() - self.columns.defined(root, path).count()
    }
}

/// The numbers of the devices that report something else than they did; `None` where many do.
fn others_report(old: &Facts, new: &Facts, devices: &Devices) -> Option<Vec<usize>> {
    let (mut old, mut new) = (old.0.iter().peekable(), new.0.iter().peekable());
    let mut others = Vec::new();
    loop {
        let id = match (old.peek(), new.peek()) {
            (None, None) => return Some(others),
            (Some((one, _)), Some((other, _))) => (*one).min(*other),
            (Some((id, _)), None) | (None, Some((id, _))) => *id,
        };
        let before = old.next_if(|(other, _)| *other == id).map(|(_, table)| table);
        let after = new.next_if(|(other, _)| *other == id).map(|(_, table)| table);
        if before != after {
            others.extend(devices.number(id));
        }
        if others.len() > Devices::FEW {
            return None;
        }
    }
}

/// All conditions of a fleet, by their canonical texts.
fn conditions(fleet: &Fleet) -> BTreeMap<String, &Condition> {
    let targets = fleet.deployments.values().filter_map(|d| d.kind.target()?.condition.as_ref());
    let phases = fleet.rollout.iter().flat_map(|rollout| &rollout.phases);
    let all = targets.chain(phases.filter_map(|phase| phase.target.as_ref()));
    all.map(|condition| (condition.to_string(), condition)).collect()
}

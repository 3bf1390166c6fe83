//! Which devices give something for the facts that texts are filled with.
//!
//! Enters: the devices, and the facts that the texts of each cohort name. Leaves: a bit for each device, whether it
//! gives all that its cohort needs. Kept from revision to revision, so that only new tags, and devices that are others,
//! are looked at. Not here: whether a filled form is allowed.

use super::ResolvedCohort;
use super::standings::Standings;
use crate::fleet::{shares, side_by_side};
use crate::language::Bitmap;
use crate::model::{Devices, NEAR, NearPath, Piece, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// By tag, the devices at which a text or number stands there.
#[derive(Debug, Default)]
pub(super) struct Fillable {
    devices: Arc<Devices>,
    tags: BTreeMap<Vec<String>, Tag>,
}

/// The devices of one tag.
#[derive(Debug)]
struct Tag {
    /// At which something stands that can be filled in.
    scalar: Bitmap,
    /// At which anything stands.
    there: Bitmap,
}

impl Fillable {
    /// The devices that give all that their cohorts need.
    pub(super) fn by_cohorts(
        &mut self,
        standings: &Standings,
        cohorts: &[Arc<ResolvedCohort>],
    ) -> Bitmap {
        self.learn(&standings.devices, cohorts);
        let mut known: BTreeMap<&[Piece], Bitmap> = BTreeMap::new();
        for cohort in cohorts {
            known.entry(&cohort.facts).or_insert_with(|| self.that_give(&cohort.facts));
        }
        let of_cohorts: Vec<&Bitmap> = cohorts.iter().map(|c| &known[c.facts.as_slice()]).collect();
        let of_signatures: Vec<Option<&Bitmap>> =
            standings.signatures().iter().map(|s| Some(of_cohorts[s.cohort?])).collect();
        let gives = |device: usize| {
            let of_cohort = of_signatures[standings.of_devices[device] as usize];
            of_cohort.is_none_or(|of_cohort| of_cohort.contains(device))
        };
        Bitmap::where_true(standings.devices.len(), gives)
    }

    /// Looks at what is not known yet of the tags that cohorts need; what no cohort needs is forgotten.
    fn learn(&mut self, devices: &Arc<Devices>, cohorts: &[Arc<ResolvedCohort>]) {
        match devices.changes_since(&self.devices) {
            None => self.tags.clear(),
            Some(changes) => {
                for (path, tag) in &mut self.tags {
                    tag.scalar.renumber(&changes);
                    tag.there.renumber(&changes);
                    for (number, device) in changes.to_look_at(devices) {
                        tag.put(number, Value::lookup(&device.tags, path));
                    }
                }
            }
        }
        self.devices = Arc::clone(devices);
        let mut former = std::mem::take(&mut self.tags);
        let mut new = BTreeSet::new();
        for path in cohorts.iter().flat_map(|cohort| &cohort.facts).filter_map(tag_of) {
            if let Some((path, tag)) = former.remove_entry(path) {
                self.tags.insert(path, tag);
            } else if !self.tags.contains_key(path) {
                new.insert(path.clone());
            }
        }
        self.read(&new);
    }

    /// Looks at all devices for some tags.
    fn read(&mut self, paths: &BTreeSet<Vec<String>>) {
        if paths.is_empty() {
            return;
        }
        let devices = Arc::clone(&self.devices);
        let parts = side_by_side(shares(devices.len()), 1, |range| read(paths, &devices, range));
        for path in paths {
            self.tags.insert(path.clone(), Tag::unknown(0));
        }
        for part in parts {
            let tags = self.tags.iter_mut().filter(|(path, _)| paths.contains(*path));
            for ((_, tag), part) in tags.zip(part) {
                tag.scalar.append(&part.scalar);
                tag.there.append(&part.there);
            }
        }
    }

    fn that_give(&self, facts: &[Piece]) -> Bitmap {
        let mut all = Bitmap::all(self.devices.len());
        for fact in facts {
            let Piece::Tag { path, default } = fact else { continue };
            let Some(tag) = self.tags.get(path) else { continue };
            if default.is_some() {
                let mut missing = tag.there.clone();
                missing.invert();
                missing.add(&tag.scalar);
                all.keep(&missing);
            } else {
                all.keep(&tag.scalar);
            }
        }
        all
    }
}

/// Some tags at the devices of a range, in the order of both.
fn read(paths: &BTreeSet<Vec<String>>, devices: &Devices, range: Range<usize>) -> Vec<Tag> {
    let looking = paths.iter().map(|path| (path, NearPath::new(path), Tag::unknown(range.len())));
    let mut looking: Vec<_> = looking.collect();
    // Some devices at a time, and of these one tag after the other, as columns are read.
    for start in range.clone().step_by(NEAR) {
        let some = devices.values().enumerate().skip(start).take(NEAR.min(range.end - start));
        for (path, near, tag) in &mut looking {
            for (number, device) in some.clone() {
                tag.put(number - range.start, near.lookup(&device.tags, path));
            }
        }
    }
    looking.into_iter().map(|(_, _, tag)| tag).collect()
}

impl Tag {
    fn unknown(devices: usize) -> Self {
        Self { scalar: Bitmap::none(devices), there: Bitmap::none(devices) }
    }

    fn put(&mut self, number: usize, value: Option<&Value>) {
        let is_scalar = value.is_some_and(|v| !matches!(v, Value::List(_) | Value::Table(_)));
        self.scalar.set(number, is_scalar);
        self.there.set(number, value.is_some());
    }
}

fn tag_of(fact: &Piece) -> Option<&Vec<String>> {
    match fact {
        Piece::Tag { path, default: _ } => Some(path),
        Piece::DeviceId | Piece::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Place, Source};
    use crate::model::{Device, DeviceId, Table};

    fn device(number: usize, value: Option<Value>) -> Arc<Device> {
        Arc::new(Device {
            id: DeviceId::parse(&format!("d{number:06}")).unwrap(),
            engine: None,
            reachable: true,
            tls: None,
            formerly: Vec::new(),
            tags: value.map(|value| ("site".to_owned(), value)).into_iter().collect(),
            reported: Table::new(),
            place: Place::new(&Source::new("devices/d.toml", ""), 0..0),
        })
    }

    /// More devices than one thread looks at, of all kinds.
    #[test]
    fn the_devices_that_give_a_fact_are_those_for_which_it_can_be_filled() {
        let kinds = [None, Some("x".into()), Some(7.into()), Some(Value::Table(Table::new()))];
        let all = (0..33_000).map(|number| device(number, kinds[number * 7 % 4].clone()));
        let devices: Arc<Devices> = Arc::new(all.collect());
        let path = vec!["site".to_owned()];
        let paths = BTreeSet::from([path.clone()]);
        let mut fillable = Fillable { devices: Arc::clone(&devices), ..Fillable::default() };
        fillable.read(&paths);
        for default in [None, Some("y".to_owned())] {
            let fact = Piece::Tag { path: path.clone(), default };
            let give = fillable.that_give(std::slice::from_ref(&fact));
            for (number, device) in devices.values().enumerate() {
                assert_eq!(give.contains(number), fact.value(device).is_ok(), "{number} {fact:?}");
            }
        }
    }
}

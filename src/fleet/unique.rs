//! Ids that are unique in a fleet, and engines that two devices share.

use super::side_by_side::both;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};
use crate::language::{Condition, Query};
use crate::model::{Deployment, Device, Devices, EngineAddress};
use foldhash::fast::FixedState;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

/// A device as its file declares it.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) device: Arc<Device>,
    engine_place: Option<Place>,
    /// Hashes by which most fleets show that no two devices are at odds: of the id without capitals, and of the engine.
    id_hash: u64,
    engine_hash: Option<u64>,
}

impl Declared {
    pub(super) fn new(device: Device, engine_place: Option<Place>) -> Self {
        let id_hash = hash_of(SmallLetters(device.id.as_str()));
        let engine_hash = device.engine.as_ref().map(hash_of);
        Self { device: Arc::new(device), engine_place, id_hash, engine_hash }
    }
}

/// What shows of devices that no two of them are at odds.
#[derive(Debug)]
pub(super) struct NoneAtOdds {
    ids: AllDiffer,
    engines: AllDiffer,
}

impl NoneAtOdds {
    fn of(devices: &[&Declared]) -> Option<Self> {
        let ids = AllDiffer::of(id_hashes(devices))?;
        let engines = AllDiffer::of(engine_hashes(devices))?;
        Some(Self { ids, engines })
    }

    /// Goes over to devices of which some are gone and some are new; says whether still no two are at odds.
    pub(super) fn go_over_to(&mut self, gone: &[&Declared], new: &[&Declared]) -> bool {
        self.ids.go_over_to(id_hashes(gone), id_hashes(new))
            && self.engines.go_over_to(engine_hashes(gone), engine_hashes(new))
    }
}

fn id_hashes(devices: &[&Declared]) -> Vec<u64> {
    devices.iter().map(|declared| declared.id_hash).collect()
}

fn engine_hashes(devices: &[&Declared]) -> Vec<u64> {
    devices.iter().filter_map(|declared| declared.engine_hash).collect()
}

/// Hashes that all differ, ascending, so that what they are of surely does.
#[derive(Debug)]
struct AllDiffer(Vec<u64>);

impl AllDiffer {
    fn of(mut hashes: Vec<u64>) -> Option<Self> {
        hashes.sort_unstable();
        hashes.is_sorted_by(|one, other| one < other).then_some(Self(hashes))
    }

    /// Says whether they still all differ.
    fn go_over_to(&mut self, mut gone: Vec<u64>, mut new: Vec<u64>) -> bool {
        gone.sort_unstable();
        new.sort_unstable();
        if gone == new {
            return true;
        }
        self.0.retain(|hash| gone.binary_search(hash).is_err());
        self.0.extend(new);
        // It takes what is in order as it is.
        self.0.sort();
        self.0.is_sorted_by(|one, other| one < other)
    }
}

/// Devices with ids of their own; engines that two of them share are reported too. Where nothing is, also what shows it.
pub(super) fn unique_devices(
    devices: &[&Declared],
    found: &mut Diagnostics,
) -> (Devices, Option<NoneAtOdds>) {
    let all = || devices.iter().map(|declared| Arc::clone(&declared.device)).collect();
    // Mostly none are at odds: it is not worth to wait until that shows.
    let (none_at_odds, all) = both(|| NoneAtOdds::of(devices), all);
    if none_at_odds.is_some() {
        return (all, none_at_odds);
    }
    let mut ids = Ids::new("device");
    let mut engines: BTreeMap<EngineAddress, (String, Place)> = BTreeMap::new();
    let mut unique = Vec::new();
    for Declared { device, engine_place, .. } in devices {
        if !ids.add(device.id.as_str(), &device.place, found) {
            continue;
        }
        if let (Some(engine), Some(place)) = (&device.engine, engine_place) {
            match engines.get(engine) {
                None => {
                    engines.insert(engine.clone(), (device.id.to_string(), place.clone()));
                }
                Some((other, first)) => found.push(
                    Diagnostic::new(
                        Code::SharedEngine,
                        format!(
                            "device `{}` has the same engine as device `{other}` ({first}): {engine}",
                            device.id
                        ),
                    )
                    .at(place.clone())
                    .help("two devices on one engine would remove each other's modules")
                    .of_device(&device.id)
                    .of_path(other),
                ),
            }
        }
        unique.push(Arc::clone(device));
    }
    (unique.into_iter().collect(), None)
}

/// Deployments with ids of their own.
pub(super) fn unique_deployments(
    deployments: Vec<Arc<Deployment<Condition, Query>>>,
    found: &mut Diagnostics,
) -> Vec<Arc<Deployment<Condition, Query>>> {
    let mut ids = Ids::new("deployment");
    let mut unique = deployments;
    unique.retain(|deployment| ids.add(deployment.id.as_str(), &deployment.place, found));
    unique
}

fn hash_of(thing: impl Hash) -> u64 {
    FixedState::default().hash_one(thing)
}

/// A text whose capitals don't count.
struct SmallLetters<'a>(&'a str);

impl Hash for SmallLetters<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
    }
}

/// Ids seen so far, by their small letters.
struct Ids {
    what: &'static str,
    seen: BTreeMap<String, Vec<(String, Place)>>,
}

impl Ids {
    fn new(what: &'static str) -> Self {
        Self { what, seen: BTreeMap::new() }
    }

    /// Adds one; says whether it is new.
    fn add(&mut self, id: &str, place: &Place, found: &mut Diagnostics) -> bool {
        let what = self.what;
        let known = self.seen.entry(id.to_ascii_lowercase()).or_default();
        if let Some((_, first)) = known.iter().find(|(known, _)| known == id) {
            let message = format!("{what} `{id}` is there twice: also in {first}");
            found.push(
                Diagnostic::new(Code::DuplicateId, message)
                    .at(place.clone())
                    .help("an id is unique in the whole fleet: rename one of them"),
            );
            return false;
        }
        if let Some((other, first)) = known.first() {
            let message = format!("{what}s `{id}` and `{other}` ({first}) differ only in case");
            let warning = Diagnostic::new(Code::SimilarIds, message)
                .at(place.clone())
                .of_path(other)
                .help("people and file systems take them for one: rename one of them");
            found.push(if what == "device" {
                warning.of_device(id)
            } else {
                warning.of_deployment(id)
            });
        }
        known.push((id.to_owned(), place.clone()));
        true
    }
}

//! The digest of a fleet: one hash over what all of its manifests are made of.
//!
//! A manifest is what its cohort says, filled with facts of its device; so the digest is over the ids of the
//! devices, a hash of each one's cohort, and what it fills in. Where two digests are equal no manifest differs.

use super::Side;
use super::side::{Member, State};
use crate::fleet::Fleet;
use crate::model::{Facts, Hash, HashOfTexts, NearFact, cohort_hash, manifest_hash};
use crate::resolve::Resolution;

/// One hash over all manifests of a fleet.
pub fn fleet_digest(fleet: &Fleet, resolution: &Resolution) -> Hash {
    let facts = Facts::none();
    let side = Side::of_files("", Some((fleet, resolution)), &facts, &[]);
    digest(&side, &side.members())
}

/// One hash over all manifests of a side.
pub(super) fn digest(side: &Side<'_>, members: &[Member<'_>]) -> Hash {
    let cohorts: Vec<Hash> =
        side.cohorts().iter().map(|cohort| cohort_hash(&cohort.modules, &cohort.routes)).collect();
    let mut facts: Vec<Vec<NearFact<'_>>> = Vec::new();
    facts.extend(side.cohorts().iter().map(|c| c.facts.iter().map(NearFact::new).collect()));
    let mut digest = HashOfTexts::new("hoist fleet by cohorts");
    for member in members {
        digest.add(member.id.as_str());
        match State::of(side, member.id, Some(member)) {
            State::Targeted { cohort: _, index, device } => {
                digest.add(cohorts[index].as_str());
                for fact in facts[index].iter_mut().filter_map(|fact| fact.value(device).ok()) {
                    digest.add(&fact);
                }
            }
            State::Recorded(manifest) => digest.add(manifest_hash(manifest).as_str()),
            State::Held => digest.add("can't be filled"),
            State::Empty => digest.add("has nothing"),
            State::Kept(_) | State::Untargeted | State::Absent => digest.add("is retained"),
        }
    }
    digest.finish()
}

//! The digest of a fleet: one hash over what all of its manifests are made of.
//!
//! A manifest is what its cohort says, filled with facts of its device. So devices whose cohorts say the same are one
//! [`Class`], and the digest is over what each class gets, and the ids and facts of its devices. Where two digests are equal
//! no manifest differs. Classes are hashed in shares, side by side; a share that is the same on both sides of a comparison,
//! once.

use super::Side;
use super::side::{Member, State};
use crate::fleet::{Fleet, side_by_side};
use crate::model::{Facts, Hash, HashOfTexts, NEAR, NearFact, Piece, cohort_hash, manifest_hash};
use crate::resolve::{Resolution, ResolvedCohort};
use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;

/// So many devices are hashed in one go.
const SHARE: usize = 4096;

/// One hash over all manifests of a fleet.
pub fn fleet_digest(fleet: &Fleet, resolution: &Resolution) -> Hash {
    let facts = Facts::none();
    let side = Side::of_files("", Some((fleet, resolution)), &facts, &[]);
    let members = side.members();
    let classes = classes(&side, &members, &mut CohortHashes::default());
    let shares = shares(&side, &classes);
    digest(&shares, &hashes(shares.iter()))
}

/// One hash over all manifests of each of two sides.
pub(super) fn digests<'a>(
    (base, before): (&Side<'a>, &[Member<'a>]),
    (head, after): (&Side<'a>, &[Member<'a>]),
) -> (Hash, Hash) {
    let mut hashes_of_cohorts = CohortHashes::default();
    let [old, new] = [(base, before), (head, after)]
        .map(|(side, members)| classes(side, members, &mut hashes_of_cohorts));
    let (old, new) = (shares(base, &old), shares(head, &new));
    let known: BTreeMap<_, usize> = new.iter().map(Share::key).zip(0..).collect();
    let same = |share: &Share<'_>| {
        known.get(&share.key()).copied().filter(|at| share.surely_equals(&new[*at]))
    };
    let same: Vec<Option<usize>> = old.iter().map(same).collect();
    let others = old.iter().zip(&same).filter(|(_, same)| same.is_none());
    let mut of_new = hashes(new.iter().chain(others.map(|(share, _)| share)));
    let mut of_others = of_new.split_off(new.len()).into_iter();
    let of_old = same.into_iter().map(|same| match same {
        Some(at) => of_new[at].clone(),
        None => of_others.next().expect("each other share has its hash"),
    });
    (digest(&old, &of_old.collect::<Vec<_>>()), digest(&new, &of_new))
}

fn hashes<'s>(shares: impl Iterator<Item = &'s Share<'s>>) -> Vec<Hash> {
    side_by_side(shares.collect(), 1, Share::hash)
}

fn digest(shares: &[Share<'_>], hashes: &[Hash]) -> Hash {
    let mut digest = HashOfTexts::new("hoist fleet by classes");
    for (share, hash) in shares.iter().zip(hashes) {
        digest.add(share.class.as_str());
        digest.add(hash.as_str());
    }
    digest.finish()
}

/// What devices get alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// What a cohort says, by its hash.
    Cohort(Hash),
    /// Each a manifest of its own, that no revision at hand says.
    Recorded,
    Held,
    Empty,
    Retained,
}

impl Class {
    fn as_str(&self) -> &str {
        match self {
            Self::Cohort(hash) => hash.as_str(),
            Self::Recorded => "has what is recorded",
            Self::Held => "can't be filled",
            Self::Empty => "has nothing",
            Self::Retained => "is retained",
        }
    }
}

/// By class what its texts are filled with, and its devices by their ids.
type Classes<'m, 'a> = BTreeMap<Class, (&'a [Piece], Vec<&'m Member<'a>>)>;

/// What was hashed of cohorts, by where they lie: both sides share most.
type CohortHashes = BTreeMap<*const ResolvedCohort, Hash>;

/// All devices of a side by what they get. Cohorts that say the same are one class, whatever they consist of.
fn classes<'m, 'a>(
    side: &Side<'a>,
    members: &'m [Member<'a>],
    hashes: &mut CohortHashes,
) -> Classes<'m, 'a> {
    let mut of_cohorts: Vec<Vec<&'m Member<'a>>> = vec![Vec::new(); side.cohorts().len()];
    let mut classes = Classes::new();
    for member in members {
        let class = match State::of(side, member.id, Some(member)) {
            State::Targeted { index, .. } => {
                of_cohorts[index].push(member);
                continue;
            }
            State::Recorded(_) => Class::Recorded,
            State::Held => Class::Held,
            State::Empty => Class::Empty,
            State::Kept(_) | State::Untargeted | State::Absent => Class::Retained,
        };
        classes.entry(class).or_default().1.push(member);
    }
    for (cohort, devices) in side.cohorts().iter().zip(of_cohorts) {
        if devices.is_empty() {
            continue;
        }
        let hash = || cohort_hash(&cohort.modules, &cohort.routes);
        let class = Class::Cohort(hashes.entry(Arc::as_ptr(cohort)).or_insert_with(hash).clone());
        let (facts, all) = classes.entry(class).or_default();
        *facts = &cohort.facts;
        let is_first = all.is_empty();
        all.extend(devices);
        if !is_first {
            all.sort_by_key(|member| member.id);
        }
    }
    classes
}

/// Some devices of a class.
struct Share<'s> {
    side: &'s Side<'s>,
    class: &'s Class,
    number: usize,
    facts: &'s [Piece],
    devices: &'s [&'s Member<'s>],
}

fn shares<'s>(side: &'s Side<'s>, classes: &'s Classes<'s, 's>) -> Vec<Share<'s>> {
    let of_class =
        |(class, (facts, devices)): (&'s Class, &'s (&'s [Piece], Vec<&'s Member<'s>>))| {
            let shares = devices.chunks(SHARE).enumerate();
            shares.map(move |(number, devices)| Share { side, class, number, facts, devices })
        };
    classes.iter().flat_map(of_class).collect()
}

impl<'s> Share<'s> {
    fn key(&self) -> (&'s Class, usize) {
        (self.class, self.number)
    }

    /// Whether both are of the same devices; what is recorded may be another thing on each side.
    fn surely_equals(&self, other: &Share<'_>) -> bool {
        *self.class != Class::Recorded
            && self.devices.len() == other.devices.len()
            && self.devices.iter().zip(other.devices).all(|(one, other)| ptr::eq(one.id, other.id))
    }

    fn hash(&self) -> Hash {
        let mut facts: Vec<NearFact<'s>> = self.facts.iter().map(NearFact::new).collect();
        let mut hash = HashOfTexts::new("hoist devices of a class");
        for members in self.devices.chunks(NEAR) {
            let of_fact = |fact: &mut NearFact<'s>| -> Vec<_> {
                members.iter().map(|member| fact.value(member.device()?).ok()).collect()
            };
            let of_facts: Vec<Vec<_>> = facts.iter_mut().map(of_fact).collect();
            for (at, member) in members.iter().enumerate() {
                hash.add(member.id.as_str());
                // Only cohorts have facts.
                of_facts.iter().filter_map(|all| all[at].as_ref()).for_each(|fact| hash.add(fact));
                if *self.class == Class::Recorded
                    && let State::Recorded(manifest) = State::of(self.side, member.id, Some(member))
                {
                    hash.add(manifest_hash(manifest).as_str());
                }
            }
        }
        hash.finish()
    }
}

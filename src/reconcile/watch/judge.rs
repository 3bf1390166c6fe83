//! Whether a revision, or what facts make of one, may go out.
//!
//! Enters: what was let through last, and the candidate. Leaves: what the guards say. The numbers are those of
//! [`diff`](crate::review::diff): what a reviewer read is what is judged. Blocking. Not here: what becomes of a
//! revision that is held.

use super::loaded::{LoadError, Loaded, load};
use super::shape::{Left, Shape};
use crate::fleet::decode_manifest;
use crate::model::{DeviceId, Facts, Manifest, Timestamp};
use crate::reconcile::facts::held_facts;
use crate::review::{Allowance, DiffOptions, FleetDiff, GuardVerdict, Side, diff};
use crate::source::Repository;
use crate::store::{Approval, StoredDevice, StoredDevices};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What was let through last: the candidate is compared with it.
pub(super) enum LetThrough {
    /// A revision, with the facts of its time.
    Revision(Arc<Loaded>),
    /// Only what devices have is known: the first start, or a lost store.
    InForce(BTreeMap<DeviceId, Manifest>),
}

/// What the guards say of a candidate; empty where all is within them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// A line each.
    pub(super) reasons: Vec<String>,
    /// By guard: what the candidate does.
    pub(super) numbers: BTreeMap<String, u64>,
}

impl Judgement {
    pub(super) fn lets_through(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Judges a candidate. Commits on the way to it, and an approval of it, lift guards up to the numbers they name.
pub(super) fn judge(
    folder: &Path,
    base: &LetThrough,
    candidate: &Loaded,
    facts: &Facts,
    approval: Option<&Approval>,
    left: &[Left],
) -> (Judgement, Shape) {
    let mut allowances = allowances(folder, base, candidate);
    let approved = approval.into_iter().flat_map(|approval| &approval.numbers);
    allowances
        .extend(approved.map(|(guard, limit)| Allowance { guard: guard.clone(), limit: *limit }));
    let head = side(candidate, facts);
    let options = DiffOptions { allowances, ..DiffOptions::default() };
    let (verdicts, shape) = match base {
        LetThrough::Revision(loaded) => {
            let diff = diff(side(loaded, facts), head, &options);
            let shape = shape(&diff, loaded, candidate, facts, left);
            (diff.guards, shape)
        }
        LetThrough::InForce(in_force) => {
            let base = Side { in_force: Some(in_force), ..Side::of_files("", None, facts, &[]) };
            (diff(base, head, &options).guards, Shape::default())
        }
    };
    (in_words(&verdicts), shape)
}

/// How a candidate goes out: `whole` is its diff with what was let through last.
fn shape(
    whole: &FleetDiff,
    former: &Loaded,
    candidate: &Loaded,
    facts: &Facts,
    left: &[Left],
) -> Shape {
    let mut shape = Shape::default();
    if candidate.fleet.rollout.is_none() {
        return shape;
    }
    shape.add(whole, former, candidate, left);
    for left in left {
        let options = DiffOptions { only: Some(left.devices.clone()), ..DiffOptions::default() };
        let diff = diff(side(&left.at, facts), side(candidate, facts), &options);
        shape.add_left(&diff, left, candidate);
    }
    shape
}

fn side<'l>(of: &'l Loaded, facts: &'l Facts) -> Side<'l> {
    Side::of_files(&of.revision.short, Some((&of.fleet, &of.resolution)), facts, &[])
}

/// What a revision would do beyond what guards let through, by guard; empty if nothing holds it. Blocking.
///
/// # Errors
/// It can't be read, or is not valid: one line each.
pub fn judge_revision(
    folder: &Path,
    accepted: Option<&str>,
    revision: &str,
    stored: &StoredDevices,
    now: Timestamp,
) -> Result<BTreeMap<String, u64>, Vec<String>> {
    let facts = held_facts(stored, now);
    let load = |id: &str| {
        load(folder, id, &facts).map_err(|error| match error {
            LoadError::Invalid(lines) => lines,
            LoadError::Unreadable(words) => vec![words],
        })
    };
    let base = match accepted.map(load) {
        Some(Ok(loaded)) => LetThrough::Revision(Arc::new(loaded)),
        Some(Err(_)) | None => LetThrough::InForce(what_is_in_force(stored)),
    };
    Ok(judge(folder, &base, &load(revision)?, &facts, None, &[]).0.numbers)
}

/// The manifests that devices have, of those that can be read.
pub(super) fn what_is_in_force(stored: &StoredDevices) -> BTreeMap<DeviceId, Manifest> {
    let manifest = |(id, device): (&DeviceId, &Arc<StoredDevice>)| {
        let in_force = device.in_force.as_ref()?;
        Some((id.clone(), decode_manifest(id, &in_force.manifest).ok()?))
    };
    stored.iter().filter_map(manifest).collect()
}

/// What `Hoist-Allow` trailers between the two say. Of a history that git has dropped only the newest commit.
fn allowances(folder: &Path, base: &LetThrough, candidate: &Loaded) -> Vec<Allowance> {
    let Ok(repository) = Repository::open(folder) else { return Vec::new() };
    let since = match base {
        LetThrough::Revision(loaded) => repository.resolve(&loaded.revision.id).ok(),
        LetThrough::InForce(_) => None,
    };
    let parent = || repository.resolve(&format!("{}^", candidate.revision.id)).ok();
    let since = since.or_else(parent);
    let trailers = repository.trailers(since.as_ref(), &candidate.revision, "Hoist-Allow");
    let found = trailers.map(|trailers| trailers.found).unwrap_or_default();
    found.iter().flat_map(|trailer| Allowance::parse_all(&trailer.value)).collect()
}

fn in_words(verdicts: &[GuardVerdict]) -> Judgement {
    let mut judgement = Judgement::default();
    for verdict in verdicts.iter().filter(|verdict| verdict.exceeded) {
        judgement.reasons.push(verdict.words());
        let plain = verdict.name.strip_prefix("max-").unwrap_or(verdict.name);
        judgement.numbers.insert(plain.to_owned(), verdict.actual);
    }
    judgement
}

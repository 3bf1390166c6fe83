//! On which devices a condition asks for something that nobody has reported.

use super::DiffOptions;
use super::side::Side;
use crate::language::{Condition, Root, Subject, Truth};
use crate::model::{DeviceId, Value};
use std::collections::BTreeSet;

/// Devices that are looked at, or would be if it were known, and of which a condition reads a reported
/// property that neither files nor facts give. What tags decide alone does not count.
pub(super) fn missing_facts(
    base: &Side<'_>,
    head: &Side<'_>,
    options: &DiffOptions<'_>,
) -> BTreeSet<DeviceId> {
    let mut missing = BTreeSet::new();
    for side in [base, head] {
        let Some((fleet, _)) = side.fleet else { continue };
        let targets =
            fleet.deployments.values().filter_map(|d| d.kind.target()?.condition.as_ref());
        let targets: Vec<Reading<'_>> = targets.filter_map(Reading::of).collect();
        let wanted = options.wanted.and_then(Reading::of);
        if targets.is_empty() && wanted.is_none() {
            continue;
        }
        for (id, device) in fleet.devices.iter() {
            let reported = side.facts.reported(device);
            let subject = Subject { device, reported: &reported };
            let looked_at = options.only.as_ref().is_none_or(|only| only.contains(id));
            if wanted.as_ref().is_some_and(|wanted| wanted.lacks(subject))
                || looked_at && targets.iter().any(|target| target.lacks(subject))
            {
                missing.insert(id.clone());
            }
        }
    }
    missing
}

/// A condition that reads reported properties.
struct Reading<'a> {
    condition: &'a Condition,
    /// Each path, and whether it is only asked whether it is there.
    paths: Vec<(Vec<String>, bool)>,
}

impl<'a> Reading<'a> {
    fn of(condition: &'a Condition) -> Option<Self> {
        let uses = condition.properties().into_iter().filter(|u| u.root == Root::Reported);
        let paths: Vec<_> = uses.map(|u| (u.path, u.existence)).collect();
        (!paths.is_empty()).then_some(Self { condition, paths })
    }

    fn lacks(&self, subject: Subject<'_>) -> bool {
        let missing = |path: &[String]| Value::lookup(subject.reported, path).is_none();
        let undecided = || self.condition.evaluate(subject) == Truth::Undefined;
        self.paths.iter().any(|(path, existence)| missing(path) && (*existence || undecided()))
    }
}

//! What cohorts merge to, kept from revision to revision.
//!
//! Enters: a fleet and its cohorts. Leaves: each one's merged modules; a cohort that was merged before from the same
//! deployments and defaults is not merged again.

use super::{ResolvedCohort, merge_cohort};
use crate::fleet::{Fleet, side_by_side};
use crate::language::{Condition, Query};
use crate::model::{Cohort, Deployment, DeploymentId, ModuleSettings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many cohorts are worth a thread of their own.
const WORTH_A_THREAD: usize = 64;

/// The cohorts of the revision that was resolved last, and what they were made of.
#[derive(Debug, Default)]
pub(super) struct Merges {
    defaults: ModuleSettings,
    deployments: BTreeMap<DeploymentId, Arc<Deployment<Condition, Query>>>,
    /// In their order.
    cohorts: Vec<Arc<ResolvedCohort>>,
}

impl Merges {
    /// All cohorts of a fleet, which come in their order.
    pub(super) fn of<'c>(
        &mut self,
        fleet: &Fleet,
        cohorts: impl IntoIterator<Item = &'c Cohort>,
    ) -> Vec<Arc<ResolvedCohort>> {
        let changed = (self.defaults == fleet.defaults).then(|| self.changed(fleet));
        let mut former = std::mem::take(&mut self.cohorts).into_iter().peekable();
        let known = cohorts.into_iter().map(|cohort| {
            while former.next_if(|former| former.cohort < *cohort).is_some() {}
            let former = former.next_if(|former| former.cohort == *cohort);
            let stays = changed.as_ref().is_some_and(|changed| !has_any(cohort, changed));
            (cohort, former.filter(|_| stays))
        });
        let all = side_by_side(known.collect(), WORTH_A_THREAD, |(cohort, known)| {
            known.unwrap_or_else(|| Arc::new(merge_cohort(fleet, cohort.clone())))
        });
        *self = Self {
            defaults: fleet.defaults.clone(),
            deployments: fleet.deployments.clone(),
            cohorts: all.clone(),
        };
        all
    }

    /// The deployments that are not what they were.
    fn changed(&self, fleet: &Fleet) -> BTreeSet<DeploymentId> {
        let former = self.deployments.iter();
        let changed = former.filter(|(id, old)| {
            fleet.deployments.get(*id).is_none_or(|new| !Arc::ptr_eq(old, new))
        });
        changed.map(|(id, _)| id.clone()).collect()
    }
}

fn has_any(cohort: &Cohort, deployments: &BTreeSet<DeploymentId>) -> bool {
    std::iter::once(&cohort.base).chain(&cohort.layers).any(|id| deployments.contains(id))
}

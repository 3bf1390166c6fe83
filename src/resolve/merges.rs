//! What cohorts merge to, kept from revision to revision.
//!
//! Enters: a fleet and its cohorts. Leaves: each one's merged modules; a cohort that was merged before from the same
//! deployments and defaults is not merged again.

use super::{ResolvedCohort, merge_cohort};
use crate::fleet::Fleet;
use crate::language::{Condition, Query};
use crate::model::{Cohort, Deployment, DeploymentId, ModuleSettings};
use std::collections::BTreeMap;
use std::sync::Arc;

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
        let same_defaults = self.defaults == fleet.defaults;
        let all = cohorts.into_iter().map(|cohort| {
            let former = self.cohorts.binary_search_by(|former| former.cohort.cmp(cohort));
            match former {
                Ok(at) if same_defaults && self.stays(fleet, cohort) => {
                    Arc::clone(&self.cohorts[at])
                }
                _ => Arc::new(merge_cohort(fleet, cohort.clone())),
            }
        });
        let all: Vec<_> = all.collect();
        *self = Self {
            defaults: fleet.defaults.clone(),
            deployments: fleet.deployments.clone(),
            cohorts: all.clone(),
        };
        all
    }

    /// Whether a cohort's deployments are what they were.
    fn stays(&self, fleet: &Fleet, cohort: &Cohort) -> bool {
        std::iter::once(&cohort.base).chain(&cohort.layers).all(|id| {
            let pair = self.deployments.get(id).zip(fleet.deployments.get(id));
            pair.is_some_and(|(old, new)| Arc::ptr_eq(old, new))
        })
    }
}

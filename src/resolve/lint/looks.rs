//! What was found in cohorts, kept from revision to revision: a cohort that is not merged anew says what it said.

use super::modules::OfManifest;
use super::routes::OfRoutes;
use crate::model::{DeploymentId, Device};
use crate::resolve::ResolvedCohort;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// By where a cohort lies, which holds for as long as it is kept here.
#[derive(Debug, Default)]
pub(in crate::resolve) struct Looks(BTreeMap<usize, (Arc<ResolvedCohort>, Look)>);

/// What was found in one cohort; `None` where nobody has looked.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// In the manifests that are alike but for texts that may be any.
    pub(super) of_manifests: Option<OfManifest>,
    /// The devices in whose own manifests nothing was found, in the order of their ids.
    pub(super) fine: Vec<Arc<Device>>,
    /// The deployments of which something is left.
    pub(super) effective: Option<BTreeSet<DeploymentId>>,
    /// The layers between which nothing but their ids or ages decides.
    pub(super) ties: Option<Vec<Tie>>,
    /// In the routes.
    pub(super) routes: Option<OfRoutes>,
}

/// Two layers of equal priority: the one that is above, and the one that is below.
pub(super) type Tie = (DeploymentId, DeploymentId);

impl Looks {
    /// Forgets all cohorts but these.
    pub(super) fn keep(&mut self, cohorts: &[Arc<ResolvedCohort>]) {
        let kept: BTreeSet<usize> = cohorts.iter().map(place).collect();
        self.0.retain(|place, _| kept.contains(place));
    }

    /// What was found in a cohort.
    pub(super) fn of(&mut self, cohort: &Arc<ResolvedCohort>) -> &mut Look {
        let new = || (Arc::clone(cohort), Look::default());
        &mut self.0.entry(place(cohort)).or_insert_with(new).1
    }
}

fn place(cohort: &Arc<ResolvedCohort>) -> usize {
    Arc::as_ptr(cohort).addr()
}

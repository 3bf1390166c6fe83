//! Which deployments hit which devices, and what becomes of them there.
//!
//! Enters: a fleet, and the devices that each of its deployments hits. Leaves: the signature of each device, and what is
//! selected for each signature. Kept from revision to revision; a deployment keeps its number for as long as it is
//! there, so that one that comes or goes changes nothing of devices that it does not hit.

use super::signature::Signatures;
use super::target::{Selected, is_ranked_alike, select};
use crate::fleet::Fleet;
use crate::language::{Bitmap, Condition, Query};
use crate::model::{Deployment, DeploymentId, DeviceChanges, Devices};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The deployments of the revision that was resolved last.
#[derive(Debug, Default)]
pub(super) struct Targeted {
    devices: Arc<Devices>,
    numbered: Vec<Numbered>,
    signatures: Signatures,
}

/// A deployment and the devices that it hits; none where it is gone, and its number may be given away.
#[derive(Debug)]
struct Numbered {
    deployment: Option<Arc<Deployment<Condition, Query>>>,
    hits: Arc<Bitmap>,
}

impl Targeted {
    /// Goes on to a fleet, by what hits its devices.
    pub(super) fn go_on(&mut self, fleet: &Fleet, hits: Vec<Arc<Bitmap>>) {
        match fleet.devices.changes_since(&self.devices) {
            Some(changes) => {
                self.renumber(&changes);
                self.go_over_to(fleet, hits);
            }
            None => {
                self.signatures = Signatures::of(fleet.devices.len(), &hits);
                let all = fleet.deployments.values().cloned().zip(hits);
                self.numbered = all
                    .map(|(deployment, hits)| Numbered { deployment: Some(deployment), hits })
                    .collect();
            }
        }
        self.devices = Arc::clone(&fleet.devices);
        let Self { devices: _, numbered, signatures } = self;
        for alike in &mut signatures.all {
            let deployments = alike.deployments.iter();
            let deployments =
                deployments.filter_map(|number| numbered[*number].deployment.as_deref());
            alike.selected.get_or_insert_with(|| {
                let (targeted, cohort) = select(deployments);
                Selected { targeted: targeted.into(), cohort }
            });
        }
    }

    /// Gives everything the numbers of other devices. Nothing is said yet to hit those that were not there.
    fn renumber(&mut self, changes: &DeviceChanges) {
        if !changes.keep_numbers() {
            self.numbered
                .iter_mut()
                .for_each(|numbered| Arc::make_mut(&mut numbered.hits).renumber(changes));
            self.signatures.renumber(changes);
        }
    }

    /// Goes over to a fleet whose devices have the same numbers.
    fn go_over_to(&mut self, fleet: &Fleet, hits: Vec<Arc<Bitmap>>) {
        let none = Arc::new(Bitmap::none(fleet.devices.len()));
        let mut new: BTreeMap<&DeploymentId, _> =
            fleet.deployments.iter().zip(hits).map(|((id, d), hits)| (id, (d, hits))).collect();
        // The numbers of deployments that may be selected otherwise.
        let mut others = BTreeSet::new();
        let mut changes = Vec::new();
        for (number, numbered) in self.numbered.iter_mut().enumerate() {
            let Some(former) = &numbered.deployment else { continue };
            let (deployment, hits) = match new.remove(&former.id) {
                Some((deployment, hits)) => (Some(Arc::clone(deployment)), hits),
                None => (None, Arc::clone(&none)),
            };
            if deployment.as_ref().is_some_and(|new| !is_ranked_alike(former, new)) {
                others.insert(number);
            }
            let before = numbered.go_over_to(deployment, &hits);
            changes.push((number, before, hits));
        }
        for (deployment, hits) in new.into_values() {
            let free = self.numbered.iter().position(|numbered| numbered.deployment.is_none());
            let number = free.unwrap_or(self.numbered.len());
            if free.is_none() {
                self.numbered.push(Numbered { deployment: None, hits: Arc::clone(&none) });
            }
            let before = self.numbered[number].go_over_to(Some(Arc::clone(deployment)), &hits);
            changes.push((number, before, hits));
            others.insert(number);
        }
        changes.retain(|(_, before, after)| before != after);
        if !changes.is_empty() {
            self.signatures.go_over_to(&changes);
        }
        for alike in &mut self.signatures.all {
            if alike.deployments.iter().any(|number| others.contains(number)) {
                alike.selected = None;
            }
        }
    }

    /// For every device the number of its signature.
    pub(super) fn of_devices(&self) -> &Arc<Vec<u32>> {
        &self.signatures.of_devices
    }

    /// What is selected for every signature, and how many devices have it.
    pub(super) fn selected(&self) -> impl Iterator<Item = (&Selected, usize)> {
        let all = self.signatures.all.iter();
        all.filter_map(|alike| Some((alike.selected.as_ref()?, alike.devices)))
    }

    /// Every deployment that hits a device, and how many it hits.
    pub(super) fn hits(&self) -> impl Iterator<Item = (&DeploymentId, usize)> {
        let hits = self.numbered.iter().filter_map(|numbered| {
            Some((&numbered.deployment.as_ref()?.id, numbered.hits.count()))
        });
        hits.filter(|(_, devices)| *devices > 0)
    }
}

impl Numbered {
    /// Goes over to another version of the deployment, or to none; gives the devices that it hit.
    fn go_over_to(
        &mut self,
        deployment: Option<Arc<Deployment<Condition, Query>>>,
        hits: &Arc<Bitmap>,
    ) -> Arc<Bitmap> {
        self.deployment = deployment;
        std::mem::replace(&mut self.hits, Arc::clone(hits))
    }
}

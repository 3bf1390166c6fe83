//! Edits of a fleet as they may reach one device, and which of them do: each is taken back, alone, and the
//! device's manifest is made again.

use super::causes::{changed_leaves, take_back};
use super::fields::{ModuleChange, fields_of};
use crate::fleet::Fleet;
use crate::language::{Condition, Query, Subject};
use crate::model::{
    Deployment, DeploymentId, Device, Manifest, ModuleEntry, Table, Value, route_value,
};
use crate::resolve::{Targeting, fill, merge_cohort, select};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One difference between two fleets that a device may feel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// A deployment targets it, or does so no more.
    Membership(DeploymentId),
    /// A deployment's kind, priority or `created` is another.
    Rank(DeploymentId),
    /// A deployment says something else.
    Content(DeploymentId),
    /// `[defaults]` say something else.
    Defaults,
    /// A tag is another, and may be filled into texts.
    Tag(Vec<String>),
}

/// One device as one side sees it.
pub(super) struct View<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) device: &'a Device,
    pub(super) reported: Cow<'a, Table>,
    pub(super) targeted: &'a [Targeting],
}

impl<'a> View<'a> {
    pub(super) fn new(
        fleet: &'a Fleet,
        device: &'a Device,
        reported: Cow<'a, Table>,
        targeted: &'a [Targeting],
    ) -> Self {
        Self { fleet, device, reported, targeted }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { device: self.device, reported: &self.reported }
    }

    /// Whether the device would have something else, of what changes, without this deployment.
    pub(super) fn matters(&self, id: &DeploymentId, changes: &[ModuleChange]) -> bool {
        let world = World::of(self);
        let mut without = world.clone();
        without.fleet.deployments.remove(id);
        world.shows(changes) != without.shows(changes)
    }

    fn targets(&self, id: &DeploymentId) -> bool {
        self.targeted.iter().any(|targeting| targeting.deployment == *id)
    }
}

/// The edits without which the device would have something else, of what changes.
pub(super) fn effective(old: &View<'_>, new: &View<'_>, changes: &[ModuleChange]) -> Vec<Edit> {
    let edits = edits(old, new);
    let reached = |from: &View<'_>, to: &View<'_>| -> Vec<Edit> {
        let world = World::of(to);
        let shown = world.shows(changes);
        let is_felt = |edit: &&Edit| world.with_taken_back(edit, from).shows(changes) != shown;
        edits.iter().filter(is_felt).cloned().collect()
    };
    // Where each of two edits alone would do, taking one back changes nothing; then making one alone does.
    for (from, to) in [(old, new), (new, old)] {
        let felt = reached(from, to);
        if !felt.is_empty() {
            return felt;
        }
    }
    edits
}

fn edits(old: &View<'_>, new: &View<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let ids: BTreeSet<&DeploymentId> =
        old.targeted.iter().chain(new.targeted).map(|targeting| &targeting.deployment).collect();
    for id in ids {
        if old.targets(id) != new.targets(id) {
            edits.push(Edit::Membership(id.clone()));
        } else if let (Some(before), Some(after)) =
            (old.fleet.deployments.get(id), new.fleet.deployments.get(id))
        {
            let rank = |d: &Deployment<Condition, Query>| (d.kind.as_str(), d.priority, d.created);
            if rank(before) != rank(after) {
                edits.push(Edit::Rank(id.clone()));
            }
            if content_differs(before, after) {
                edits.push(Edit::Content(id.clone()));
            }
        }
    }
    if old.fleet.defaults != new.fleet.defaults {
        edits.push(Edit::Defaults);
    }
    let tags = changed_leaves(&old.device.tags, &new.device.tags);
    edits.extend(tags.into_iter().map(Edit::Tag));
    edits
}

fn content_differs(
    before: &Deployment<Condition, Query>,
    after: &Deployment<Condition, Query>,
) -> bool {
    let modules = |d: &Deployment<Condition, Query>| {
        d.modules
            .iter()
            .map(|(name, entry)| (name.clone(), said(entry)))
            .collect::<BTreeMap<_, _>>()
    };
    before.routes != after.routes || modules(before) != modules(after)
}

/// All that an entry says, without where it says it.
fn said(entry: &ModuleEntry) -> impl PartialEq + use<> {
    let ModuleEntry { kind, settings, desired, desired_at, unset, place: _, places: _ } = entry;
    (*kind, settings.clone(), desired.clone(), desired_at.clone(), unset.clone())
}

/// What one device's manifest is made of: its own facts, and of a fleet the defaults and the deployments
/// that target it.
#[derive(Clone)]
struct World {
    fleet: Fleet,
    device: Device,
}

impl World {
    fn of(view: &View<'_>) -> Self {
        let mut fleet = frame(view.fleet);
        for targeting in view.targeted {
            if let Some(deployment) = view.fleet.deployments.get(&targeting.deployment) {
                fleet.deployments.insert(deployment.id.clone(), deployment.clone());
            }
        }
        Self { fleet, device: view.device.clone() }
    }

    fn with_taken_back(&self, edit: &Edit, from: &View<'_>) -> Self {
        let mut world = self.clone();
        match edit {
            Edit::Membership(id) => {
                if world.fleet.deployments.remove(id).is_none()
                    && let Some(deployment) = from.fleet.deployments.get(id)
                {
                    world.fleet.deployments.insert(id.clone(), deployment.clone());
                }
            }
            Edit::Rank(id) => {
                let pair = world.fleet.deployments.get_mut(id).zip(from.fleet.deployments.get(id));
                if let Some((deployment, old)) = pair {
                    let deployment = Arc::make_mut(deployment);
                    deployment.kind = old.kind.clone();
                    deployment.priority = old.priority;
                    deployment.created = old.created;
                }
            }
            Edit::Content(id) => {
                let pair = world.fleet.deployments.get_mut(id).zip(from.fleet.deployments.get(id));
                if let Some((deployment, old)) = pair {
                    let deployment = Arc::make_mut(deployment);
                    deployment.modules = old.modules.clone();
                    deployment.routes = old.routes.clone();
                }
            }
            Edit::Defaults => world.fleet.defaults = from.fleet.defaults.clone(),
            Edit::Tag(path) => take_back(&mut world.device.tags, &from.device.tags, path),
        }
        world
    }

    /// What the device has at the fields that change; `None` where it has no manifest.
    fn shows(&self, changes: &[ModuleChange]) -> Option<Vec<Option<Value>>> {
        let manifest = self.manifest()?;
        let mut shown = Vec::new();
        for change in changes {
            let fields = match &change.module {
                Some(name) => manifest
                    .modules
                    .iter()
                    .find(|(n, _)| n.as_str() == name)
                    .map(|(_, module)| fields_of(module))
                    .unwrap_or_default(),
                None => manifest
                    .routes
                    .iter()
                    .map(|(name, route)| (format!("routes.{name}"), route_value(route)))
                    .collect(),
            };
            shown.extend(change.fields.iter().map(|field| fields.get(&field.path).cloned()));
        }
        Some(shown)
    }

    fn manifest(&self) -> Option<Manifest> {
        let (_, cohort) = select(self.fleet.deployments.values().map(AsRef::as_ref));
        fill(&merge_cohort(&self.fleet, cohort?), &self.device).ok()
    }
}

/// A fleet without devices and deployments. Exhaustive, so that something new that a manifest is made of is
/// not forgotten.
fn frame(fleet: &Fleet) -> Fleet {
    let Fleet {
        name,
        formerly,
        defaults,
        default_places: _,
        registries: _,
        reported_properties: _,
        lints: _,
        guards,
        rollout: _,
        subnet,
        devices: _,
        deployments: _,
        place,
    } = fleet;
    Fleet {
        name: name.clone(),
        formerly: formerly.clone(),
        defaults: defaults.clone(),
        default_places: BTreeMap::new(),
        registries: BTreeMap::new(),
        reported_properties: BTreeMap::new(),
        lints: BTreeMap::new(),
        guards: guards.clone(),
        rollout: None,
        subnet: subnet.clone(),
        devices: Arc::default(),
        deployments: BTreeMap::new(),
        place: place.clone(),
    }
}

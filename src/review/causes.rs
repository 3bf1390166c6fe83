//! Why devices change: which edits of the fleet repository reach them, and how. Causes explain; nothing is
//! decided by them.
//!
//! An edit is a cause if the device would have something else without it: it is taken back, alone, and the
//! manifest is made again ([`super::edits`]). So what reaches the device but changes nothing there, a
//! priority that alters no order say, is no cause.

use super::diff::Pair;
use super::edits::{Edit, View, effective};
use super::side::Member;
use super::{Group, Membership, Side};
use crate::language::{Condition, Query, Root, Subject};
use crate::model::{
    Deployment, DeploymentId, Device, DeviceId, Manifest, Table, Text, Value, manifest_hash,
    path_segment,
};
use crate::resolve::{Standing, Targeting, is_hit};
use std::collections::{BTreeMap, BTreeSet};

/// One reason for a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it; the field is the deployment, or the tag's path")]
pub enum Cause {
    DeviceJoined,
    DeviceLeft,
    DeviceRenamed,
    /// What it has in force is not what the revision says that was applied last.
    InForceDiffers,
    /// Nothing was ever applied to it.
    NothingInForce,
    DeploymentAdded(DeploymentId),
    DeploymentRemoved(DeploymentId),
    KindChanged(DeploymentId),
    TargetChanged(DeploymentId),
    PriorityChanged(DeploymentId),
    CreatedChanged(DeploymentId),
    TagsChanged(String),
    ReportedChanged(String),
    Outranked {
        deployment: DeploymentId,
        by: DeploymentId,
    },
    ContentChanged(DeploymentId),
    DefaultsChanged,
}

impl Cause {
    /// Its name in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DeviceJoined => "device-joined",
            Self::DeviceLeft => "device-left",
            Self::DeviceRenamed => "device-renamed",
            Self::InForceDiffers => "in-force-differs",
            Self::NothingInForce => "nothing-in-force",
            Self::DeploymentAdded(_) => "deployment-added",
            Self::DeploymentRemoved(_) => "deployment-removed",
            Self::KindChanged(_) => "kind-changed",
            Self::TargetChanged(_) => "target-changed",
            Self::PriorityChanged(_) => "priority-changed",
            Self::CreatedChanged(_) => "created-changed",
            Self::TagsChanged(_) => "tags-changed",
            Self::ReportedChanged(_) => "reported-changed",
            Self::Outranked { .. } => "outranked",
            Self::ContentChanged(_) => "content-changed",
            Self::DefaultsChanged => "defaults-changed",
        }
    }

    /// The deployment that it is about.
    pub fn deployment(&self) -> Option<&DeploymentId> {
        match self {
            Self::DeploymentAdded(id)
            | Self::DeploymentRemoved(id)
            | Self::KindChanged(id)
            | Self::TargetChanged(id)
            | Self::PriorityChanged(id)
            | Self::CreatedChanged(id)
            | Self::Outranked { deployment: id, .. }
            | Self::ContentChanged(id) => Some(id),
            Self::DeviceJoined
            | Self::DeviceLeft
            | Self::DeviceRenamed
            | Self::InForceDiffers
            | Self::NothingInForce
            | Self::DefaultsChanged
            | Self::TagsChanged(_)
            | Self::ReportedChanged(_) => None,
        }
    }

    /// The path of the tag or reported property that it is about.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::TagsChanged(path) | Self::ReportedChanged(path) => Some(path),
            _ => None,
        }
    }
}

/// What of a change reaches a device.
struct Reach {
    edits: Vec<Edit>,
    outranked: Vec<Cause>,
}

/// What was found in one group.
#[derive(Default)]
struct Known {
    reach: BTreeMap<(usize, usize, String), Reach>,
    /// The causes on devices whose own facts are the same on both sides.
    of_same: BTreeMap<(usize, usize), BTreeSet<Cause>>,
}

/// Finds causes; what is the same for many devices is found once.
pub(super) struct Causes<'a> {
    base: Side<'a>,
    head: Side<'a>,
}

impl<'a> Causes<'a> {
    pub(super) fn new(base: Side<'a>, head: Side<'a>) -> Self {
        Self { base, head }
    }

    /// Names the causes of a group's changes, each with the number of devices that it holds for.
    pub(super) fn name(&self, group: &mut Group, devices: &[&Pair<'a>]) {
        let mut known = Known::default();
        for pair in devices {
            for cause in self.of_device(group, pair, &mut known) {
                *group.causes.entry(cause).or_default() += 1;
            }
        }
    }

    fn of_device(&self, group: &Group, pair: &Pair<'a>, known: &mut Known) -> BTreeSet<Cause> {
        let mut causes = BTreeSet::new();
        match group.membership {
            Membership::Joined => return BTreeSet::from([Cause::DeviceJoined]),
            Membership::Left => return BTreeSet::from([Cause::DeviceLeft]),
            Membership::Renamed => causes.extend([Cause::DeviceRenamed]),
            Membership::Stays
            | Membership::Retained
            | Membership::WasRetained
            | Membership::Held => causes.extend(self.in_force_cause(pair.base_id())),
        }
        let view = |side: &Side<'a>, member: Option<Member<'a>>| {
            let ((fleet, _), member) = side.fleet.zip(member)?;
            let device = member.device()?;
            Some(View::new(fleet, device, side.facts.reported(device), member.targeted()))
        };
        let views = (view(&self.base, pair.before), view(&self.head, pair.after));
        let (Some(old), Some(new)) = views else { return causes };
        let keeps_its_id = pair.former.is_none();
        let compared = Compared { old: &old, new: &new };
        let reach = || Reach {
            edits: effective(&old, &new, &group.changes),
            outranked: compared.outranked(group),
        };
        let is_same = keeps_its_id && compared.facts_are_equal();
        if let Some(found) = known.of_same.get(&compared.targeting()).filter(|_| is_same) {
            causes.extend(found.iter().cloned());
            return causes;
        }
        let found;
        let reach = if keeps_its_id {
            known.reach.entry(compared.same_for()).or_insert_with(reach)
        } else {
            found = reach();
            &found
        };
        let named = reach.edits.iter().flat_map(|edit| compared.named(edit));
        let named: BTreeSet<Cause> = named.chain(reach.outranked.iter().cloned()).collect();
        if is_same {
            known.of_same.insert(compared.targeting(), named.clone());
        }
        causes.extend(named);
        causes
    }

    /// Whether the device has something else in force than what was applied last, or nothing.
    fn in_force_cause(&self, id: &DeviceId) -> Option<Cause> {
        let in_force = self.base.in_force?;
        let said = self.base.fleet.and_then(|(fleet, resolution)| {
            resolution.manifest(fleet, id).and_then(Result::ok).map(|m| manifest_hash(&m))
        });
        let is = in_force.get(id).map(|manifest: &Manifest| manifest_hash(manifest));
        let is_retained = self.base.fleet.is_some() && said.is_none();
        match is {
            _ if is_retained => None,
            None => Some(Cause::NothingInForce),
            is => (is != said).then_some(Cause::InForceDiffers),
        }
    }
}

/// One device on both sides.
struct Compared<'v, 'a> {
    old: &'v View<'a>,
    new: &'v View<'a>,
}

impl Compared<'_, '_> {
    /// Devices with an equal text are reached by the same edits within a group.
    fn same_for(&self) -> (usize, usize, String) {
        let (old, new) = (&self.old.device.tags, &self.new.device.tags);
        let tags: Vec<_> = changed_leaves(old, new)
            .into_iter()
            .map(|path| (Value::lookup(old, &path), Value::lookup(new, &path), path.join("/")))
            .collect();
        let (old, new) = self.targeting();
        (old, new, format!("{tags:?}"))
    }

    /// Devices that the same deployments target share the list of them: where that is stands for what it says.
    fn targeting(&self) -> (usize, usize) {
        (self.old.targeted.as_ptr().addr(), self.new.targeted.as_ptr().addr())
    }

    fn facts_are_equal(&self) -> bool {
        let (old, new) = (self.old, self.new);
        std::ptr::eq(old.device, new.device) && std::ptr::eq(&*old.reported, &*new.reported)
            || old.device.tags == new.device.tags && old.reported == new.reported
    }

    /// What an edit is called.
    fn named(&self, edit: &Edit) -> Vec<Cause> {
        match edit {
            Edit::Membership(id) => self.membership(id),
            Edit::Rank(id) => vec![self.rank(id)],
            Edit::Content(id) => vec![Cause::ContentChanged(id.clone())],
            Edit::Defaults => vec![Cause::DefaultsChanged],
            Edit::Tag(path) => vec![Cause::TagsChanged(joined(path))],
        }
    }

    fn rank(&self, id: &DeploymentId) -> Cause {
        let pair = self.old.fleet.deployments.get(id).zip(self.new.fleet.deployments.get(id));
        match pair {
            Some((old, new)) if old.kind.as_str() != new.kind.as_str() => {
                Cause::KindChanged(id.clone())
            }
            Some((old, new)) if old.priority == new.priority => Cause::CreatedChanged(id.clone()),
            _ => Cause::PriorityChanged(id.clone()),
        }
    }

    /// Why a deployment targets the device, or does so no more.
    fn membership(&self, id: &DeploymentId) -> Vec<Cause> {
        let deployments = (self.old.fleet.deployments.get(id), self.new.fleet.deployments.get(id));
        let (before, after) = match deployments {
            (Some(before), Some(after)) => (before, after),
            (None, _) => return vec![Cause::DeploymentAdded(id.clone())],
            (_, None) => return vec![Cause::DeploymentRemoved(id.clone())],
        };
        let is = is_hit(after, self.new.subject());
        let target_suffices = is_hit(after, self.old.subject()) == is;
        let device_suffices = is_hit(before, self.new.subject()) == is;
        let mut causes = Vec::new();
        if target_differs(before, after) && (target_suffices || !device_suffices) {
            causes.push(Cause::TargetChanged(id.clone()));
        }
        if device_suffices || !target_suffices {
            causes.extend(self.device_causes(before, after));
        }
        causes
    }

    /// Which facts of the device decide whether it is targeted.
    fn device_causes(
        &self,
        before: &Deployment<Condition, Query>,
        after: &Deployment<Condition, Query>,
    ) -> Vec<Cause> {
        let mut causes: BTreeMap<Cause, Vec<String>> = BTreeMap::new();
        for property in [before, after]
            .into_iter()
            .filter_map(|deployment| deployment.kind.target()?.condition.as_ref())
            .flat_map(Condition::properties)
        {
            let changed = match property.root {
                Root::Tags => changed_leaves(&self.old.device.tags, &self.new.device.tags),
                Root::Reported => changed_leaves(&self.old.reported, &self.new.reported),
                // An id does not change, and targets know no other roots.
                _ => Vec::new(),
            };
            for path in changed {
                let shorter = path.len().min(property.path.len());
                if path[..shorter] == property.path[..shorter] {
                    let cause = match property.root {
                        Root::Reported => Cause::ReportedChanged(joined(&path)),
                        _ => Cause::TagsChanged(joined(&path)),
                    };
                    causes.insert(cause, path);
                }
            }
        }
        let decides = |cause: &Cause, path: &[String]| {
            let is = is_hit(after, self.new.subject());
            let mut device: Device = self.new.device.clone();
            let mut reported = self.new.reported.clone().into_owned();
            match cause {
                Cause::ReportedChanged(_) => take_back(&mut reported, &self.old.reported, path),
                _ => take_back(&mut device.tags, &self.old.device.tags, path),
            }
            is_hit(after, Subject { device: &device, reported: &reported }) != is
        };
        let decisive: Vec<Cause> =
            causes.iter().filter(|(c, path)| decides(c, path)).map(|(c, _)| c.clone()).collect();
        if decisive.is_empty() { causes.into_keys().collect() } else { decisive }
    }

    /// Deployments that still target the device, no longer apply, and said something that changes.
    fn outranked(&self, group: &Group) -> Vec<Cause> {
        let mut causes = Vec::new();
        for Targeting { deployment, standing } in self.new.targeted {
            let by = match standing {
                Standing::Lost { to, .. } => to,
                Standing::NotAboveBase { base, .. } => base,
                Standing::Base | Standing::Layer { .. } | Standing::WithoutBase => continue,
            };
            let was = self.old.targeted.iter().find(|t| t.deployment == *deployment);
            if was.is_some_and(|was| was.standing.is_applied())
                && self.old.matters(deployment, &group.changes)
            {
                causes.push(Cause::Outranked { deployment: deployment.clone(), by: by.clone() });
            }
        }
        causes
    }
}

fn joined(path: &[String]) -> String {
    path.iter().map(|key| path_segment(key)).collect::<Vec<_>>().join(".")
}

fn target_differs(old: &Deployment<Condition, Query>, new: &Deployment<Condition, Query>) -> bool {
    use crate::model::DeploymentKind::{Automatic, Device, Layered};
    match (&old.kind, &new.kind) {
        (Automatic(old) | Layered(old), Automatic(new) | Layered(new)) => {
            let text = |condition: &Option<Condition>| condition.as_ref().map(ToString::to_string);
            text(&old.condition) != text(&new.condition)
        }
        (Device { device: old, .. }, Device { device: new, .. }) => old != new,
        _ => true,
    }
}

/// The paths at which two tables differ, down to what is no table.
pub(super) fn changed_leaves(old: &Table, new: &Table) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let keys: BTreeSet<&Text> = old.keys().chain(new.keys()).collect();
    for key in keys {
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => {
                for mut path in changed_leaves(old, new) {
                    path.insert(0, key.to_string());
                    paths.push(path);
                }
            }
            (old, new) if old == new => {}
            _ => paths.push(vec![key.to_string()]),
        }
    }
    paths
}

/// Gives one path of a table the value that it had.
pub(super) fn take_back(table: &mut Table, old: &Table, path: &[String]) {
    let Some((key, rest)) = path.split_first() else { return };
    if let (false, Some(Value::Table(old)), Some(Value::Table(below))) =
        (rest.is_empty(), old.get(key), table.get_mut(key))
    {
        return take_back(below, old, rest);
    }
    match old.get(key) {
        Some(value) => table.insert(key.as_str(), value.clone()),
        None => table.remove(key),
    };
}

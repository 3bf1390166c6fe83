//! Why a device changes: which edit of the fleet repository reaches it, and how. Causes explain; nothing
//! is decided by them.

use super::fields::ModuleChange;
use super::{Membership, Side};
use crate::fleet::Fleet;
use crate::language::{Condition, Query};
use crate::model::{Deployment, DeploymentId, DeviceId, ModuleEntry};
use crate::resolve::{DeviceResolution, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One reason for a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it; the field is the deployment")]
pub enum Cause {
    DeviceJoined,
    DeviceLeft,
    DeploymentAdded(DeploymentId),
    DeploymentRemoved(DeploymentId),
    TargetChanged(DeploymentId),
    PriorityChanged(DeploymentId),
    Outranked { deployment: DeploymentId, by: DeploymentId },
    ContentChanged(DeploymentId),
    DefaultsChanged,
    TagsChanged,
    ReportedChanged,
}

impl Cause {
    /// Its name in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DeviceJoined => "device-joined",
            Self::DeviceLeft => "device-left",
            Self::DeploymentAdded(_) => "deployment-added",
            Self::DeploymentRemoved(_) => "deployment-removed",
            Self::TargetChanged(_) => "target-changed",
            Self::PriorityChanged(_) => "priority-changed",
            Self::Outranked { .. } => "outranked",
            Self::ContentChanged(_) => "content-changed",
            Self::DefaultsChanged => "defaults-changed",
            Self::TagsChanged => "tags-changed",
            Self::ReportedChanged => "reported-changed",
        }
    }

    /// The deployment that it is about.
    pub fn deployment(&self) -> Option<&DeploymentId> {
        match self {
            Self::DeploymentAdded(id)
            | Self::DeploymentRemoved(id)
            | Self::TargetChanged(id)
            | Self::PriorityChanged(id)
            | Self::Outranked { deployment: id, .. }
            | Self::ContentChanged(id) => Some(id),
            Self::DeviceJoined
            | Self::DeviceLeft
            | Self::DefaultsChanged
            | Self::TagsChanged
            | Self::ReportedChanged => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceJoined => write!(f, "the device is new"),
            Self::DeviceLeft => write!(f, "the device is gone from the fleet"),
            Self::DeploymentAdded(id) => write!(f, "deployment \"{id}\" is new"),
            Self::DeploymentRemoved(id) => write!(f, "deployment \"{id}\" is gone"),
            Self::TargetChanged(id) => write!(f, "the target of \"{id}\" changed"),
            Self::PriorityChanged(id) => write!(f, "the priority of \"{id}\" changed"),
            Self::Outranked { deployment, by } => {
                write!(f, "\"{by}\" now outranks \"{deployment}\"")
            }
            Self::ContentChanged(id) => write!(f, "the content of \"{id}\" changed"),
            Self::DefaultsChanged => write!(f, "[defaults] changed"),
            Self::TagsChanged => write!(f, "tags of the device changed"),
            Self::ReportedChanged => write!(f, "reported properties of the device changed"),
        }
    }
}

/// Why one device changes.
pub(super) fn causes(
    base: &Side<'_>,
    head: &Side<'_>,
    device: &DeviceId,
    membership: Membership,
    changes: &[ModuleChange],
) -> BTreeSet<Cause> {
    match membership {
        Membership::Joined => return BTreeSet::from([Cause::DeviceJoined]),
        Membership::Left => return BTreeSet::from([Cause::DeviceLeft]),
        Membership::Stays | Membership::Retained | Membership::WasRetained => {}
    }
    let mut causes = BTreeSet::new();
    let (Some((before, before_resolution)), Some((after, after_resolution))) =
        (base.fleet, head.fleet)
    else {
        return causes;
    };
    let none = DeviceResolution { targeted: [].into(), cohort: None };
    let old = before_resolution.devices.get(device).unwrap_or(&none);
    let new = after_resolution.devices.get(device).unwrap_or(&none);
    let ids: BTreeSet<&DeploymentId> =
        old.targeted.iter().chain(&*new.targeted).map(|targeting| &targeting.deployment).collect();
    for id in ids {
        let pair = Pair { before, after, device, old: standing(old, id), new: standing(new, id) };
        causes.extend(pair.cause(id, changes));
    }
    if before.defaults != after.defaults {
        causes.insert(Cause::DefaultsChanged);
    }
    let tags = |fleet: &Fleet| fleet.devices.get(device).map(|d| d.tags.clone());
    if causes.is_empty() && tags(before) != tags(after) {
        causes.insert(Cause::TagsChanged);
    }
    causes
}

fn standing<'a>(resolution: &'a DeviceResolution, id: &DeploymentId) -> Option<&'a Standing> {
    resolution.targeted.iter().find(|t| t.deployment == *id).map(|t| &t.standing)
}

/// One deployment on one device, before and after.
struct Pair<'a> {
    before: &'a Fleet,
    after: &'a Fleet,
    device: &'a DeviceId,
    old: Option<&'a Standing>,
    new: Option<&'a Standing>,
}

impl Pair<'_> {
    fn cause(&self, id: &DeploymentId, changes: &[ModuleChange]) -> Option<Cause> {
        let applied = |standing: Option<&Standing>| standing.is_some_and(Standing::is_applied);
        let (was, is) = (applied(self.old), applied(self.new));
        if !was && !is {
            return None;
        }
        let (old, new) = match (self.before.deployments.get(id), self.after.deployments.get(id)) {
            (None, _) => return Some(Cause::DeploymentAdded(id.clone())),
            (_, None) => return Some(Cause::DeploymentRemoved(id.clone())),
            (Some(old), Some(new)) => (old, new),
        };
        if was && is {
            if content_differs(old, new, changes) {
                return Some(Cause::ContentChanged(id.clone()));
            }
            let moved = (old.priority, old.created) != (new.priority, new.created);
            return (moved && touches(new, changes)).then(|| Cause::PriorityChanged(id.clone()));
        }
        if self.old.is_some() == self.new.is_some() {
            return Some(match self.new {
                Some(Standing::Lost { to, .. }) => {
                    Cause::Outranked { deployment: id.clone(), by: to.clone() }
                }
                Some(Standing::NotAboveBase { base, .. }) if old.priority == new.priority => {
                    Cause::Outranked { deployment: id.clone(), by: base.clone() }
                }
                _ => Cause::PriorityChanged(id.clone()),
            });
        }
        Some(if target_differs(old, new) {
            Cause::TargetChanged(id.clone())
        } else {
            self.device_changed()
        })
    }

    fn device_changed(&self) -> Cause {
        let tags = |fleet: &Fleet| fleet.devices.get(self.device).map(|d| d.tags.clone());
        if tags(self.before) == tags(self.after) {
            Cause::ReportedChanged
        } else {
            Cause::TagsChanged
        }
    }
}

fn target_differs(old: &Deployment<Condition, Query>, new: &Deployment<Condition, Query>) -> bool {
    let text = |deployment: &Deployment<Condition, Query>| {
        deployment.kind.target().map(|t| t.condition.as_ref().map(ToString::to_string))
    };
    text(old) != text(new) || old.kind.as_str() != new.kind.as_str()
}

/// Whether what a deployment says about one of the changed modules, or about routes, is different.
fn content_differs(
    old: &Deployment<Condition, Query>,
    new: &Deployment<Condition, Query>,
    changes: &[ModuleChange],
) -> bool {
    changes.iter().any(|change| match &change.module {
        None => old.routes != new.routes,
        Some(name) => {
            let entry = |d: &Deployment<Condition, Query>| {
                d.modules.iter().find(|(n, _)| n.as_str() == name).map(|(_, e)| said(e))
            };
            entry(old) != entry(new) || old.kind.as_str() != new.kind.as_str()
        }
    })
}

/// Whether a deployment says something about one of the changed modules, or about routes.
fn touches(deployment: &Deployment<Condition, Query>, changes: &[ModuleChange]) -> bool {
    changes.iter().any(|change| match &change.module {
        None => !deployment.routes.is_empty(),
        Some(name) => deployment.modules.keys().any(|module| module.as_str() == name),
    })
}

/// All that an entry says, without where it says it.
fn said(entry: &ModuleEntry) -> impl PartialEq + use<> {
    let ModuleEntry { kind, settings, desired, desired_at, unset, place: _, places: _ } = entry;
    let desired_at: BTreeMap<_, _> = desired_at.clone();
    (*kind, settings.clone(), desired.clone(), desired_at, unset.clone())
}

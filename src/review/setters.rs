//! Who set each field of a change, on the side that has it.

use super::diff::Pair;
use super::side::{Side, State};
use super::{Group, Rank, Ranks};
use crate::fleet::Fleet;
use crate::language::{Condition, Query};
use crate::model::{Cohort, Deployment, DeploymentKind, DeviceId, ModuleName};
use crate::resolve::{Setter, SetterKind, Trace, trace};
use std::collections::{BTreeMap, BTreeSet};

/// Says of each changed field who set it: one device of each combination of base and layers is asked, so
/// where equal changes come from several deployments, all are named.
pub(super) fn name_setters(
    group: &mut Group,
    base: &Side<'_>,
    head: &Side<'_>,
    devices: &[&Pair<'_>],
) {
    let mut asked: BTreeSet<[Option<usize>; 2]> = BTreeSet::new();
    for pair in devices {
        if !asked.insert([pair.before, pair.after].map(|member| member?.cohort())) {
            continue;
        }
        let (old, new) = (Asked::of(base, pair.base_id()), Asked::of(head, pair.id));
        for change in &mut group.changes {
            for field in &mut change.fields {
                let Some(side) = (if field.after.is_some() { &new } else { &old }) else {
                    continue;
                };
                if let Some(setter) = side.setter(change.module.as_deref(), &field.path)
                    && !field.set_by.contains(&setter)
                {
                    field.set_by.push(setter);
                }
            }
        }
    }
}

/// What the deployments are that set the fields of these groups, on the side that has the field.
pub(super) fn ranks(groups: &[Group], base: &Side<'_>, head: &Side<'_>) -> Ranks {
    let mut ranks = Ranks::default();
    for field in groups.iter().flat_map(|g| &g.changes).flat_map(|change| &change.fields) {
        let (known, side) = match field.after {
            Some(_) => (&mut ranks.head, head),
            None => (&mut ranks.base, base),
        };
        for setter in &field.set_by {
            let SetterKind::Deployment(id) = &setter.kind else { continue };
            let Some((fleet, _)) = side.fleet.filter(|_| !known.contains_key(id)) else { continue };
            known.extend(fleet.deployments.get(id).map(|d| (id.clone(), rank(d))));
        }
    }
    ranks
}

fn rank(deployment: &Deployment<Condition, Query>) -> Rank {
    let priority = Some(deployment.priority);
    match deployment.kind {
        DeploymentKind::Automatic(_) => Rank { word: "base", priority },
        DeploymentKind::Layered(_) => Rank { word: "layer", priority },
        DeploymentKind::Device { .. } => Rank { word: "device", priority: None },
    }
}

/// One device on one side.
struct Asked<'a> {
    fleet: &'a Fleet,
    cohort: Cohort,
    traces: BTreeMap<ModuleName, Trace>,
}

impl<'a> Asked<'a> {
    fn of(side: &Side<'a>, device: &DeviceId) -> Option<Self> {
        let (fleet, _) = side.fleet?;
        let state = State::of(side, device, side.member(device).as_ref());
        let manifest = state.manifest().filter(|_| matches!(state, State::Targeted { .. }))?;
        Some(Self { fleet, traces: trace(fleet, &manifest), cohort: manifest.cohort.clone() })
    }

    fn setter(&self, module: Option<&str>, path: &str) -> Option<Setter> {
        match module {
            Some(module) => {
                let (_, trace) = self.traces.iter().find(|(name, _)| name.as_str() == module)?;
                Some(trace.winner(path))
            }
            None => self.route_setter(path.strip_prefix("routes.")?),
        }
    }

    fn route_setter(&self, name: &str) -> Option<Setter> {
        let order = self.cohort.layers.iter().rev().chain(std::iter::once(&self.cohort.base));
        order
            .filter_map(|id| {
                let routes = &self.fleet.deployments.get(id)?.routes;
                let (_, route) = routes.iter().find(|(n, _)| n.as_str() == name)?;
                Some(Setter {
                    kind: SetterKind::Deployment(id.clone()),
                    place: Some(route.place.clone()),
                })
            })
            .next()
    }
}

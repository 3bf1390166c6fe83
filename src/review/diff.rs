//! The comparison itself.

use super::causes::causes;
use super::fields::{
    Action, Compared, FieldChange, ModuleChange, Reason, changed_lines, compare_modules,
};
use super::{DiffOptions, FleetDiff, Group, Membership, Notice, NoticeKind, Side, Summary, guards};
use crate::diagnostic::{Code, Diagnostic, Level};
use crate::fleet::{Fleet, print_toml};
use crate::model::{
    Cohort, DeviceId, Hash, Manifest, Module, ModuleName, Route, RouteName, Table, Value,
    manifest_hash, route_value,
};
use crate::resolve::{ResolvedCohort, fill, trace};
use std::collections::{BTreeMap, BTreeSet};

/// Compares two sides.
pub fn diff(base: Side<'_>, head: Side<'_>, options: &DiffOptions) -> FleetDiff {
    let devices = devices_of(&base, &head, options);
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut unchanged: BTreeSet<(usize, usize)> = BTreeSet::new();
    for id in &devices {
        let (before, after) = (State::of(&base, id), State::of(&head, id));
        let pair = before.shared().zip(after.shared());
        if pair.is_some_and(|pair| unchanged.contains(&pair)) {
            continue;
        }
        let Some(change) = compare(&before, &after) else {
            unchanged.extend(pair);
            continue;
        };
        let causes = causes(&base, &head, id, change.membership, &change.changes);
        let cohorts = (before.cohort(), after.cohort());
        let key = format!("{:?} {:?}", change.membership, change.changes);
        let group = groups.entry(key).or_insert_with(|| change.into_group());
        group.causes.extend(causes);
        group.devices.push(id.clone());
        *group.cohorts.entry(cohorts).or_default() += 1;
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        name_setters(group, &base, &head);
    }
    let notices = notices(&base, &head, &devices);
    groups.sort_by_key(|group| (delicacy(group, &notices), std::cmp::Reverse(group.devices.len())));
    FleetDiff {
        fleet: head.fleet.or(base.fleet).map(|(f, _)| f.name.to_string()).unwrap_or_default(),
        narrowed: options.only.is_some(),
        base: (base.name.to_owned(), side_digest(&base)),
        head: (head.name.to_owned(), side_digest(&head)),
        summary: summarize(&devices, &groups),
        guards: guards::judge(&base, &head, &groups, &options.allowances),
        groups,
        notices,
        warnings: warnings(base.warnings, head.warnings),
    }
}

/// One hash over all manifests of a fleet.
pub fn fleet_digest(fleet: &Fleet, resolution: &crate::resolve::Resolution) -> Hash {
    let hashes: Vec<String> = fleet
        .devices
        .keys()
        .map(|id| match resolution.manifest(fleet, id) {
            Some(Ok(manifest)) => manifest_hash(&manifest).to_string(),
            Some(Err(_)) => format!("{id} can't be filled"),
            None => format!("{id} is retained"),
        })
        .collect();
    Hash::of_texts("hoist fleet", hashes.iter().map(String::as_str))
}

fn side_digest(side: &Side<'_>) -> Hash {
    match side.fleet {
        Some((fleet, resolution)) => fleet_digest(fleet, resolution),
        None => Hash::of_texts("hoist fleet", []),
    }
}

fn devices_of(base: &Side<'_>, head: &Side<'_>, options: &DiffOptions) -> Vec<DeviceId> {
    let ids = |side: &Side<'_>| -> BTreeSet<DeviceId> {
        side.fleet.map(|(fleet, _)| fleet.devices.keys().cloned().collect()).unwrap_or_default()
    };
    let mut all = ids(base);
    all.extend(ids(head));
    all.into_iter()
        .filter(|id| options.only.as_ref().is_none_or(|only| only.contains(id)))
        .collect()
}

/// What one side says of one device.
enum State<'a> {
    /// The side does not have it.
    Absent,
    /// No base targets it.
    Untargeted,
    /// Its cohort, with its number, and its manifest.
    Targeted { cohort: &'a ResolvedCohort, index: usize, manifest: Box<Manifest> },
}

impl<'a> State<'a> {
    fn of(side: &Side<'a>, id: &DeviceId) -> Self {
        let Some((fleet, resolution)) = side.fleet else { return Self::Absent };
        let Some(device) = fleet.devices.get(id) else { return Self::Absent };
        let index = resolution.devices.get(id).and_then(|d| d.cohort);
        let Some((index, cohort)) = index.and_then(|i| Some((i, resolution.cohorts.get(i)?)))
        else {
            return Self::Untargeted;
        };
        match fill(cohort, device) {
            Ok(manifest) => Self::Targeted { cohort, index, manifest: Box::new(manifest) },
            Err(_) => Self::Untargeted,
        }
    }

    fn cohort(&self) -> Option<Cohort> {
        match self {
            Self::Targeted { cohort, .. } => Some(cohort.cohort.clone()),
            Self::Absent | Self::Untargeted => None,
        }
    }

    fn modules(&self) -> &BTreeMap<ModuleName, Module> {
        static NONE: BTreeMap<ModuleName, Module> = BTreeMap::new();
        match self {
            Self::Targeted { manifest, .. } => &manifest.modules,
            Self::Absent | Self::Untargeted => &NONE,
        }
    }

    fn routes(&self) -> &BTreeMap<RouteName, Route> {
        static NONE: BTreeMap<RouteName, Route> = BTreeMap::new();
        match self {
            Self::Targeted { manifest, .. } => &manifest.routes,
            Self::Absent | Self::Untargeted => &NONE,
        }
    }

    fn compared(&self, name: &ModuleName) -> Option<Compared<'_>> {
        let Self::Targeted { cohort, manifest, .. } = self else { return None };
        let (filled, template) = (manifest.modules.get(name)?, cohort.modules.get(name)?);
        Some(Compared { filled, template })
    }

    /// The number of a cohort whose devices all have the same manifest.
    fn shared(&self) -> Option<usize> {
        match self {
            Self::Targeted { cohort, index, .. } if !cohort.has_templates() => Some(*index),
            _ => None,
        }
    }
}

/// What changes on one device.
struct DeviceChange {
    membership: Membership,
    changes: Vec<ModuleChange>,
}

impl DeviceChange {
    fn into_group(self) -> Group {
        let Self { membership, changes } = self;
        let diff = changes.iter().map(|change| change.diff.as_str()).collect();
        Group {
            devices: Vec::new(),
            membership,
            cohorts: BTreeMap::new(),
            causes: BTreeSet::new(),
            changes,
            diff,
        }
    }
}

fn compare(before: &State<'_>, after: &State<'_>) -> Option<DeviceChange> {
    let membership = match (before, after) {
        (State::Absent, State::Absent) | (State::Untargeted, State::Untargeted) => return None,
        (State::Absent, _) => Membership::Joined,
        (_, State::Absent) => Membership::Left,
        (State::Targeted { .. }, State::Untargeted) => Membership::Retained,
        (State::Untargeted, State::Targeted { .. }) => Membership::WasRetained,
        (State::Targeted { .. }, State::Targeted { .. }) => Membership::Stays,
    };
    let changes = match after {
        State::Targeted { .. } => module_changes(before, after),
        State::Absent | State::Untargeted => Vec::new(),
    };
    (membership != Membership::Stays || !changes.is_empty())
        .then_some(DeviceChange { membership, changes })
}

fn module_changes(before: &State<'_>, after: &State<'_>) -> Vec<ModuleChange> {
    let mut names: BTreeSet<&ModuleName> = before.modules().keys().collect();
    names.extend(after.modules().keys());
    let mut changes: Vec<ModuleChange> = names
        .into_iter()
        .filter_map(|name| {
            compare_modules(name.as_str(), before.compared(name), after.compared(name))
        })
        .collect();
    changes.extend(route_change(before.routes(), after.routes()));
    changes
}

fn route_change(
    before: &BTreeMap<RouteName, Route>,
    after: &BTreeMap<RouteName, Route>,
) -> Option<ModuleChange> {
    if before == after {
        return None;
    }
    let table = |routes: &BTreeMap<RouteName, Route>| -> Table {
        routes.iter().map(|(name, route)| (name.to_string(), route_value(route))).collect()
    };
    let (before, after) = (table(before), table(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let fields: Vec<FieldChange> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| FieldChange {
            path: format!("routes.{name}"),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
            set_by: None,
        })
        .collect();
    let printed = |table: Table| match table.is_empty() {
        true => String::new(),
        false => print_toml(&Table::from([("routes".to_owned(), Value::Table(table))])),
    };
    Some(ModuleChange {
        module: None,
        action: Action::Routes,
        reasons: vec![Reason::Key("routes".to_owned())],
        diff: changed_lines(&printed(before), &printed(after)),
        fields,
        gains_power: false,
    })
}

/// Says of each changed field who set it, on the side that has it; computed for one device of the group.
fn name_setters(group: &mut Group, base: &Side<'_>, head: &Side<'_>) {
    let Some(device) = group.devices.first() else { return };
    let traces = |side: &Side<'_>| {
        let (fleet, _) = side.fleet?;
        match State::of(side, device) {
            State::Targeted { manifest, .. } => Some((trace(fleet, &manifest), manifest)),
            State::Absent | State::Untargeted => None,
        }
    };
    let (old, new) = (traces(base), traces(head));
    for change in &mut group.changes {
        for field in &mut change.fields {
            let Some((traces, manifest)) = (if field.after.is_some() { &new } else { &old }) else {
                continue;
            };
            field.set_by = match &change.module {
                Some(module) => traces
                    .iter()
                    .find(|(n, _)| n.as_str() == module)
                    .map(|(_, t)| t.winner(&field.path)),
                None => field.path.strip_prefix("routes.").and_then(|name| {
                    let side = if field.after.is_some() { head } else { base };
                    route_setter(side.fleet?.0, &manifest.cohort, name)
                }),
            };
        }
    }
}

fn route_setter(fleet: &Fleet, cohort: &Cohort, name: &str) -> Option<crate::resolve::Setter> {
    let order = std::iter::once(&cohort.base).chain(&cohort.layers);
    order
        .filter_map(|id| {
            let route =
                fleet.deployments.get(id)?.routes.iter().find(|(n, _)| n.as_str() == name)?.1;
            Some(crate::resolve::Setter {
                kind: crate::resolve::SetterKind::Deployment(id.clone()),
                place: Some(route.place.clone()),
            })
        })
        .next_back()
}

fn notices(base: &Side<'_>, head: &Side<'_>, devices: &[DeviceId]) -> Vec<Notice> {
    let (Some((before, _)), Some((after, _))) = (base.fleet, head.fleet) else { return Vec::new() };
    let mut notices = Vec::new();
    for id in devices {
        let (Some(old), Some(new)) = (before.devices.get(id), after.devices.get(id)) else {
            continue;
        };
        if old.engine != new.engine {
            let words =
                |engine: &Option<_>| engine.as_ref().map_or("none".to_owned(), ToString::to_string);
            notices.push(Notice {
                kind: NoticeKind::EngineChanged,
                subject: id.to_string(),
                before: words(&old.engine),
                after: words(&new.engine),
            });
        }
    }
    let total = after.devices.len() as u64;
    for loosened in guards::loosened(&before.guards, &after.guards, total) {
        notices.push(Notice {
            kind: NoticeKind::GuardLoosened,
            subject: loosened.name.to_owned(),
            before: loosened.before,
            after: loosened.after,
        });
    }
    for code in Code::ALL.iter().filter(|code| code.is_lint()) {
        let level =
            |fleet: &Fleet| fleet.lints.get(code).copied().unwrap_or(Some(code.default_level()));
        let (old, new) = (level(before), level(after));
        if new < old {
            let words = |level: Option<Level>| level.map_or("allow", Level::as_str).to_owned();
            notices.push(Notice {
                kind: NoticeKind::LintLoosened,
                subject: code.to_string(),
                before: words(old),
                after: words(new),
            });
        }
    }
    notices
}

/// Power first, then removals and leaving devices, recreations, updates.
fn delicacy(group: &Group, notices: &[Notice]) -> u8 {
    let engine_changed = || {
        notices.iter().any(|notice| {
            notice.kind == NoticeKind::EngineChanged
                && group.devices.iter().any(|id| id.as_str() == notice.subject)
        })
    };
    let actions = |action| group.changes.iter().any(|change| change.action == action);
    let leaves = matches!(
        group.membership,
        Membership::Left | Membership::Retained | Membership::WasRetained
    );
    if group.changes.iter().any(|change| change.gains_power) || engine_changed() {
        0
    } else if leaves || actions(Action::Remove) {
        1
    } else if actions(Action::Recreate) || actions(Action::Stop) {
        2
    } else {
        3
    }
}

fn summarize(devices: &[DeviceId], groups: &[Group]) -> Summary {
    let of = |membership| {
        groups.iter().filter(|g| g.membership == membership).map(|g| g.devices.len()).sum()
    };
    let mut modules: BTreeMap<Action, usize> = BTreeMap::new();
    for group in groups {
        for change in group.changes.iter().filter(|change| change.module.is_some()) {
            *modules.entry(change.action).or_default() += group.devices.len();
        }
    }
    Summary {
        devices: devices.len(),
        changed: groups.iter().map(|group| group.devices.len()).sum(),
        groups: groups.len(),
        joined: of(Membership::Joined),
        left: of(Membership::Left),
        retained: of(Membership::Retained),
        modules,
    }
}

/// The head's warnings, each with whether the base lacks it; lines don't count.
fn warnings(base: &[Diagnostic], head: &[Diagnostic]) -> Vec<(Diagnostic, bool)> {
    let known: BTreeSet<_> = base.iter().map(|d| (d.code, &d.subject)).collect();
    head.iter().map(|d| (d.clone(), !known.contains(&(d.code, &d.subject)))).collect()
}

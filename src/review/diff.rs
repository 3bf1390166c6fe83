//! The comparison itself: devices, their changes, groups of equal ones.

use super::causes::Causes;
use super::fields::{
    Action, FieldChange, ModuleChange, Reason, changed_lines, compare_modules, renamed_module,
};
use super::missing::missing_facts;
use super::notices::notices;
use super::setters::{name_setters, ranks};
use super::side::{Side, State};
use super::{DiffOptions, FleetDiff, Group, Membership, Notice, NoticeKind, Summary, guards};
use crate::diagnostic::Diagnostic;
use crate::fleet::print_toml;
use crate::model::{DeviceId, ModuleName, Route, RouteName, Table, Value, route_value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Compares two sides.
pub fn diff(base: Side<'_>, head: Side<'_>, options: &DiffOptions<'_>) -> FleetDiff {
    let devices = devices_of(&base, &head, options);
    let mut groups = Grouping::default();
    for pair in &devices {
        groups.add(&base, &head, pair);
    }
    let mut groups = groups.into_groups();
    let renamed: BTreeMap<&DeviceId, &DeviceId> =
        devices.iter().filter_map(|pair| Some((&pair.id, pair.former.as_ref()?))).collect();
    let causes = Causes::new(base, head, &renamed);
    for group in &mut groups {
        causes.name(group);
        name_setters(group, &base, &head, &renamed);
    }
    let notices = notices(&base, &head, &devices);
    let engines: BTreeSet<&str> = notices
        .iter()
        .filter(|notice| notice.kind == NoticeKind::EngineChanged)
        .map(|notice| notice.subject.as_str())
        .collect();
    groups.sort_by_cached_key(|group| {
        (delicacy(group, &engines), Reverse(group.devices.len()), group.devices.first().cloned())
    });
    let facts_missing = missing_facts(&base, &head, options);
    FleetDiff {
        fleet: head.fleet.or(base.fleet).map(|(f, _)| f.name.to_string()).unwrap_or_default(),
        narrowed: options.only.is_some(),
        base: (base.name.to_owned(), base.digest()),
        head: (head.name.to_owned(), head.digest()),
        summary: summarize(&devices, &groups, &notices, facts_missing.len()),
        guards: guards::judge(&base, &head, &groups, &options.allowances),
        ranks: ranks(&groups, &base, &head),
        groups,
        notices,
        warnings: warnings(base.warnings, head.warnings),
        facts_missing,
    }
}

/// A device that is looked at: its id, and the one that it had at the base if that is another.
pub(super) struct Pair {
    pub(super) id: DeviceId,
    pub(super) former: Option<DeviceId>,
}

impl Pair {
    pub(super) fn base_id(&self) -> &DeviceId {
        self.former.as_ref().unwrap_or(&self.id)
    }
}

/// The devices of both sides. One that was renamed, and says so, is one device.
fn devices_of(base: &Side<'_>, head: &Side<'_>, options: &DiffOptions<'_>) -> Vec<Pair> {
    let mut taken: BTreeSet<DeviceId> = BTreeSet::new();
    let mut pairs = Vec::new();
    for id in head.devices() {
        let formerly = head.fleet.and_then(|(fleet, _)| fleet.devices.get(id));
        let former = formerly.filter(|_| !base.has(id)).and_then(|device| {
            let is_it =
                |old: &&DeviceId| base.has(old) && !head.has(old) && !taken.contains(old.as_str());
            device.formerly.iter().find(is_it).cloned()
        });
        taken.extend(former.clone());
        pairs.push(Pair { id: id.clone(), former });
    }
    let gone = base.devices().into_iter().filter(|id| !head.has(id) && !taken.contains(*id));
    pairs.extend(gone.map(|id| Pair { id: id.clone(), former: None }));
    pairs.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(only) = &options.only {
        pairs.retain(|pair| only.contains(&pair.id) || only.contains(pair.base_id()));
    }
    pairs
}

/// Devices by what changes on them.
#[derive(Default)]
struct Grouping {
    groups: Vec<Group>,
    by_change: BTreeMap<String, usize>,
    /// The group, or none, of devices whose cohorts have the same manifest for all.
    by_cohorts: BTreeMap<(usize, usize), Option<usize>>,
}

impl Grouping {
    fn add(&mut self, base: &Side<'_>, head: &Side<'_>, pair: &Pair) {
        let (before, after) = (State::of(base, pair.base_id()), State::of(head, &pair.id));
        let shared = before.shared().zip(after.shared()).filter(|_| pair.former.is_none());
        let known = shared.and_then(|shared| self.by_cohorts.get(&shared).copied());
        let index = match known {
            Some(index) => index,
            None => {
                let change = compare(&before, &after, pair.former.is_some());
                let index = change.map(|change| self.index_of(change));
                if let Some(shared) = shared {
                    self.by_cohorts.insert(shared, index);
                }
                index
            }
        };
        if let Some(group) = index.and_then(|index| self.groups.get_mut(index)) {
            group.devices.push(pair.id.clone());
            *group.cohorts.entry((before.cohort(), after.cohort())).or_default() += 1;
        }
    }

    fn index_of(&mut self, change: DeviceChange) -> usize {
        let key = change.key();
        *self.by_change.entry(key).or_insert_with(|| {
            self.groups.push(change.into_group());
            self.groups.len() - 1
        })
    }

    fn into_groups(self) -> Vec<Group> {
        self.groups
    }
}

/// What changes on one device.
struct DeviceChange {
    membership: Membership,
    changes: Vec<ModuleChange>,
}

impl DeviceChange {
    /// Equal for equal changes. The text of the diff is none: it also shows in what the changes stand.
    fn key(&self) -> String {
        let mut key = format!("{:?}", self.membership);
        for change in &self.changes {
            let ModuleChange { module, action, reasons, fields, gains_power, diff: _ } = change;
            let _ = write!(key, " {module:?} {action:?} {reasons:?} {fields:?} {gains_power}");
        }
        key
    }

    fn into_group(self) -> Group {
        let Self { membership, changes } = self;
        let diff = changes.iter().map(|change| change.diff.as_str()).collect();
        Group {
            devices: Vec::new(),
            membership,
            cohorts: BTreeMap::new(),
            causes: BTreeMap::new(),
            changes,
            diff,
        }
    }
}

fn compare(before: &State<'_>, after: &State<'_>, renamed: bool) -> Option<DeviceChange> {
    use State::{Absent, Empty, Held, Kept, Recorded, Targeted, Untargeted};
    let membership = match (before, after) {
        (Absent, Absent) => return None,
        (Absent, _) => Membership::Joined,
        (_, Absent) => Membership::Left,
        _ if renamed => Membership::Renamed,
        (Untargeted | Kept(_) | Held | Empty, Untargeted | Kept(_))
        | (Untargeted | Kept(_) | Held, Held) => return None,
        (_, Untargeted | Kept(_)) => Membership::Retained,
        (_, Held) => Membership::Held,
        (Untargeted | Held, Targeted { .. } | Recorded(_) | Empty) => Membership::WasRetained,
        (
            Targeted { .. } | Recorded(_) | Kept(_) | Empty,
            Targeted { .. } | Recorded(_) | Empty,
        ) => Membership::Stays,
    };
    let changes = match after {
        Targeted { .. } | Recorded(_) | Empty => module_changes(before, after, renamed),
        Absent | Untargeted | Held | Kept(_) => Vec::new(),
    };
    (membership != Membership::Stays || !changes.is_empty())
        .then_some(DeviceChange { membership, changes })
}

fn module_changes(before: &State<'_>, after: &State<'_>, renamed: bool) -> Vec<ModuleChange> {
    let mut names: BTreeSet<&ModuleName> = before.modules().keys().collect();
    names.extend(after.modules().keys());
    let mut changes: Vec<ModuleChange> = names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (before.compared(name), after.compared(name));
            let change = compare_modules(name.as_str(), old, new);
            // A container knows its device's id, so it is made again with the new one.
            if renamed && old.is_some() && new.is_some() {
                Some(renamed_module(name.as_str(), change))
            } else {
                change
            }
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
    let (mut before, mut after) = (table(before), table(after));
    let (old, new) = (before.clone(), after.clone());
    before.retain(|name, value| new.get(name) != Some(value));
    after.retain(|name, value| old.get(name) != Some(value));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let fields: Vec<FieldChange> = names
        .into_iter()
        .map(|name| FieldChange {
            path: format!("routes.{name}"),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
            set_by: Vec::new(),
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
        diff: changed_lines(&printed(before), &printed(after), false),
        fields,
        gains_power: false,
    })
}

/// Power first, then removals and leaving devices, recreations, updates.
fn delicacy(group: &Group, engines: &BTreeSet<&str>) -> u8 {
    let engine_changed = || group.devices.iter().any(|id| engines.contains(id.as_str()));
    let actions = |action| group.changes.iter().any(|change| change.action == action);
    let leaves = match group.membership {
        Membership::Left | Membership::Retained | Membership::WasRetained | Membership::Held => {
            true
        }
        Membership::Stays | Membership::Joined | Membership::Renamed => false,
    };
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

fn summarize(
    devices: &[Pair],
    groups: &[Group],
    notices: &[Notice],
    facts_missing: usize,
) -> Summary {
    let of = |membership| {
        groups.iter().filter(|g| g.membership == membership).map(|g| g.devices.len()).sum()
    };
    let mut modules: BTreeMap<Action, usize> = BTreeMap::new();
    for group in groups {
        for change in &group.changes {
            *modules.entry(change.action).or_default() += group.devices.len();
        }
    }
    let routes = modules.remove(&Action::Routes).unwrap_or(0);
    Summary {
        devices: devices.len(),
        changed: groups.iter().map(|group| group.devices.len()).sum(),
        groups: groups.len(),
        joined: of(Membership::Joined),
        left: of(Membership::Left),
        retained: of(Membership::Retained),
        renamed: of(Membership::Renamed),
        held: of(Membership::Held),
        modules,
        routes,
        engines: notices.iter().filter(|n| n.kind == NoticeKind::EngineChanged).count(),
        facts_missing,
    }
}

/// The head's warnings, each with whether the base lacks it; lines don't count.
fn warnings(base: &[Diagnostic], head: &[Diagnostic]) -> Vec<(Diagnostic, bool)> {
    let known: BTreeSet<_> = base.iter().map(|d| (d.code, &d.subject)).collect();
    head.iter().map(|d| (d.clone(), !known.contains(&(d.code, &d.subject)))).collect()
}

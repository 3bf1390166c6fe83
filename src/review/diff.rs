//! The comparison itself: devices, their changes, groups of equal ones.

use super::causes::Causes;
use super::digest::digests;
use super::fields::{
    Action, FieldChange, ModuleChange, Reason, changed_lines, compare_modules, renamed_module,
};
use super::missing::missing_facts;
use super::notices::notices;
use super::pairs::{BothStates, EqualCohorts, Pairs, have_equal_facts};
use super::phases::{Phases, has_shares};
use super::setters::{name_setters, ranks};
use super::side::{Filled, Member, Side, State};
use super::{DiffOptions, FleetDiff, Group, Membership, Notice, NoticeKind, Summary, guards};
use crate::diagnostic::Diagnostic;
use crate::fleet::{both, print_toml};
use crate::model::{
    AT_ONCE, Cohort, DeviceId, ModuleName, Route, RouteName, Table, Text, Value, route_value,
};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Compares two sides.
pub fn diff(base: Side<'_>, head: Side<'_>, options: &DiffOptions<'_>) -> FleetDiff {
    let (before, after) = (base.members(), head.members());
    let digests = || digests((&base, &before), (&head, &after));
    let compared = || compared((&base, &before), (&head, &after), options);
    let ((base_digest, head_digest), compared) = both(digests, compared);
    let Compared { devices, groups, notices } = compared;
    let facts_missing = missing_facts(&base, &head, options);
    FleetDiff {
        fleet: head.fleet.or(base.fleet).map(|(f, _)| f.name.to_string()).unwrap_or_default(),
        narrowed: options.only.is_some(),
        base: (base.name.to_owned(), base_digest),
        head: (head.name.to_owned(), head_digest),
        summary: summarize(&devices, &groups, &notices, facts_missing.len()),
        guards: guards::judge(&base, &head, &groups, &options.allowances),
        ranks: ranks(&groups, &base, &head),
        groups,
        notices,
        warnings: warnings(base.warnings, head.warnings),
        facts_missing,
    }
}

/// What differs between two sides.
struct Compared<'a> {
    /// All that were looked at.
    devices: Vec<Pair<'a>>,
    /// Those that change, the most delicate first.
    groups: Vec<Group>,
    notices: Vec<Notice>,
}

fn compared<'a>(
    (base, before): (&Side<'a>, &[Member<'a>]),
    (head, after): (&Side<'a>, &[Member<'a>]),
    options: &DiffOptions<'_>,
) -> Compared<'a> {
    let devices = devices_of((base, before), (head, after), options.only.as_ref());
    let mut grouped_pairs = grouped(*base, *head, &devices);
    for (group, pairs) in &mut grouped_pairs {
        name_setters(group, base, head, pairs);
    }
    let mut groups = without_pairs(grouped_pairs);
    // A share takes its devices from all that change, whoever looks.
    let all = (options.only.is_some() && head.revision.is_some() && has_shares(head)).then(|| {
        let devices = devices_of((base, before), (head, after), None);
        without_pairs(grouped(*base, *head, &devices))
    });
    let of_all = all.as_deref().or(options.only.is_none().then_some(&*groups));
    let phases = Phases::new(base, head, of_all);
    groups.iter_mut().for_each(|group| group.phases = phases.of(group));
    let notices = notices(base, head, &devices);
    let engines: BTreeSet<&str> = notices
        .iter()
        .filter(|notice| notice.kind == NoticeKind::EngineChanged)
        .map(|notice| notice.subject.as_str())
        .collect();
    groups.sort_by_cached_key(|group| {
        let is_phased = group.phases.first().is_none_or(|(name, _)| name != AT_ONCE);
        (
            is_phased,
            delicacy(group, &engines),
            Reverse(group.devices.len()),
            group.devices.first().cloned(),
        )
    });
    Compared { devices, groups, notices }
}

/// A group, and the devices in it on both sides.
type GroupedPairs<'p, 'a> = Vec<(Group, Vec<&'p Pair<'a>>)>;

/// Devices by what changes on them, with the causes.
fn grouped<'p, 'a>(
    base: Side<'a>,
    head: Side<'a>,
    devices: &'p [Pair<'a>],
) -> GroupedPairs<'p, 'a> {
    let mut grouping = Grouping::default();
    for pair in devices {
        grouping.add(&base, &head, pair);
    }
    let mut groups = grouping.into_groups();
    let causes = Causes::new(base, head);
    groups.iter_mut().for_each(|(group, pairs)| causes.name(group, pairs));
    groups
}

fn without_pairs(groups: GroupedPairs<'_, '_>) -> Vec<Group> {
    groups.into_iter().map(|(group, _)| group).collect()
}

/// A device that is looked at: its id, and the one that it had at the base if that is another.
pub(super) struct Pair<'a> {
    pub(super) id: &'a DeviceId,
    pub(super) former: Option<&'a DeviceId>,
    pub(super) before: Option<Member<'a>>,
    pub(super) after: Option<Member<'a>>,
}

impl<'a> Pair<'a> {
    pub(super) fn base_id(&self) -> &'a DeviceId {
        self.former.unwrap_or(self.id)
    }
}

/// The devices of both sides, each with its members. One that was renamed, and says so, is one device.
fn devices_of<'a>(
    (base, before): (&Side<'a>, &[Member<'a>]),
    (head, after): (&Side<'a>, &[Member<'a>]),
    only: Option<&BTreeSet<DeviceId>>,
) -> Vec<Pair<'a>> {
    let mut pairs = Vec::with_capacity(after.len());
    let (mut olds, mut news) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let (before, after) = match (olds.peek(), news.peek()) {
            (None, None) => break,
            // A device that is shared by both sides needs no look at its id.
            (Some(old), Some(new)) if std::ptr::eq(old.id, new.id) => (olds.next(), news.next()),
            (Some(old), Some(new)) => match old.id.cmp(new.id) {
                Ordering::Less => (olds.next(), None),
                Ordering::Equal => (olds.next(), news.next()),
                Ordering::Greater => (None, news.next()),
            },
            (_, None) => (olds.next(), None),
            (None, _) => (None, news.next()),
        };
        let Some(id) = after.or(before).map(|member| member.id) else { break };
        pairs.push(Pair { id, former: None, before: before.copied(), after: after.copied() });
    }
    join_renamed(&mut pairs, base, head);
    if let Some(only) = only {
        pairs.retain(|pair| only.contains(pair.id) || only.contains(pair.base_id()));
    }
    pairs
}

/// A device that is new, and says that it had the id of one that is gone, is that one.
fn join_renamed<'a>(pairs: &mut Vec<Pair<'a>>, base: &Side<'a>, head: &Side<'a>) {
    let mut taken: BTreeMap<&DeviceId, Member<'a>> = BTreeMap::new();
    let old_members: BTreeMap<&DeviceId, Member<'a>> = pairs
        .iter()
        .filter(|pair| pair.after.is_none())
        .filter_map(|pair| Some((pair.id, pair.before?)))
        .collect();
    for pair in pairs.iter_mut().filter(|pair| pair.before.is_none()) {
        let Some(device) = pair.after.and_then(|member| member.device()) else { continue };
        let is_it =
            |old: &&'a DeviceId| base.has(old) && !head.has(old) && !taken.contains_key(*old);
        pair.former = device.formerly.iter().find(is_it);
        pair.before = pair.former.and_then(|former| old_members.get(former).copied());
        taken.extend(pair.former.zip(pair.before));
    }
    pairs.retain(|pair| pair.after.is_some() || !taken.contains_key(pair.id));
}

/// Devices by what changes on them.
#[derive(Default)]
struct Grouping<'p, 'a> {
    groups: GroupedPairs<'p, 'a>,
    by_change: BTreeMap<String, usize>,
    equal: EqualCohorts,
    pairs: Pairs,
    combinations: Combinations<'a>,
}

/// The combinations that each group spans, with the number of devices; by where they lie, since many devices share them.
type Combinations<'a> =
    BTreeMap<(usize, [Option<*const Cohort>; 2]), ([Option<&'a Cohort>; 2], usize)>;

impl<'p, 'a> Grouping<'p, 'a> {
    fn add(&mut self, base: &Side<'a>, head: &Side<'a>, pair: &'p Pair<'a>) {
        if self.is_surely_same(base, head, pair) {
            return;
        }
        let states = BothStates {
            before: State::of(base, pair.base_id(), pair.before.as_ref()),
            after: State::of(head, pair.id, pair.after.as_ref()),
            renamed: pair.former.is_some(),
        };
        let Self { groups, by_change, equal: _, pairs, combinations } = self;
        let index = pairs.found(states, |states| {
            let change = compare(states)?;
            Some(*by_change.entry(change.key()).or_insert_with(|| {
                groups.push((change.into_group(), Vec::new()));
                groups.len() - 1
            }))
        });
        if let Some((index, (group, of_group))) =
            index.and_then(|index| Some((index, groups.get_mut(index)?)))
        {
            group.devices.push(pair.id.clone());
            of_group.push(pair);
            let cohorts = [states.before.cohort(), states.after.cohort()];
            let places = cohorts.map(|cohort| cohort.map(std::ptr::from_ref));
            combinations.entry((index, places)).or_insert((cohorts, 0)).1 += 1;
        }
    }

    /// Whether nothing changes on a device, told by its cohorts and facts without filling anything.
    fn is_surely_same(&mut self, base: &Side<'a>, head: &Side<'a>, pair: &Pair<'a>) -> bool {
        if pair.former.is_some() || base.in_force.is_some() || head.in_force.is_some() {
            return false;
        }
        let member = |member: Option<Member<'a>>, side: &Side<'a>| {
            let member = member?;
            let (index, device) = (member.cohort()?, member.device()?);
            Some((index, side.cohorts().get(index)?, device))
        };
        match (member(pair.before, base), member(pair.after, head)) {
            (Some((i, old, before)), Some((j, new, after))) => {
                self.equal.are_equal((i, old), (j, new)) && have_equal_facts(old, before, after)
            }
            _ => false,
        }
    }

    fn into_groups(mut self) -> GroupedPairs<'p, 'a> {
        for ((index, _), (cohorts, devices)) in self.combinations {
            let [before, after] = cohorts.map(Option::<&Cohort>::cloned);
            *self.groups[index].0.cohorts.entry((before, after)).or_default() += devices;
        }
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
            phases: Vec::new(),
        }
    }
}

fn compare(states: BothStates<'_>) -> Option<DeviceChange> {
    let BothStates { before, after, renamed } = states;
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
        Targeted { .. } | Recorded(_) | Empty => {
            module_changes(&before.filled(), &after.filled(), renamed)
        }
        Absent | Untargeted | Held | Kept(_) => Vec::new(),
    };
    (membership != Membership::Stays || !changes.is_empty())
        .then_some(DeviceChange { membership, changes })
}

fn module_changes(before: &Filled<'_>, after: &Filled<'_>, renamed: bool) -> Vec<ModuleChange> {
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
    let names: BTreeSet<&Text> = before.keys().chain(after.keys()).collect();
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
    devices: &[Pair<'_>],
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

//! A query over rows: those that meet its condition, as columns; grouped and counted where it says so.

use super::ast::{Expr, Property};
use super::evaluate::{Lookup as _, Scalar, order};
use super::index::{Bitmap, Columns};
use super::row::Row;
use super::selection::{Column, ColumnKind, Select, Selection, last_part};
use super::terms::Terms;
use crate::model::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a query gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, in the order of what was looked through, groups in the order of their values; each as wide
    /// as there are columns. `None` where there is nothing to give.
    pub rows: Vec<Vec<Option<Value>>>,
    /// Which term of the condition left no row, if one did.
    pub emptied: Option<Emptied>,
}

/// The term of a condition that left no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emptied {
    /// The term, as a condition.
    pub term: String,
    /// How many rows had met all terms before it.
    pub before: usize,
    /// How many rows there were.
    pub of: usize,
}

/// Columns that `SELECT *` has, in this order, where any row has them.
const EVERYTHING: [&str; 9] = [
    "deviceId",
    "moduleId",
    "connectionState",
    "runtimeStatus",
    "exitCode",
    "restartCount",
    "configurations",
    "tags",
    "properties",
];

/// Evaluates a query over the rows of its collection.
pub(super) fn answer<'r>(selection: &Selection, rows: impl Iterator<Item = Row<'r>>) -> Answer {
    let mut terms = selection.filter.as_ref().map(Terms::new);
    let mut all = 0;
    let met = rows.filter(|row| {
        all += 1;
        terms.as_mut().is_none_or(|terms| terms.meets(row))
    });
    let (columns, rows) = cells(selection, met);
    let emptied = terms.and_then(|terms| terms.emptying());
    let emptied = emptied.map(|(term, before)| Emptied { term, before, of: all });
    Answer { columns, rows, emptied }
}

/// The devices that meet the condition of a query, found without looking at each.
#[derive(Debug, Clone)]
pub struct Found {
    /// Their numbers.
    pub met: Bitmap,
    emptied: Option<Emptied>,
}

/// The devices that meet the condition of a query; `None` where columns don't say it.
pub(super) fn find(selection: &Selection, columns: &Columns) -> Option<Found> {
    let mut met = Bitmap::all(columns.devices().len());
    let mut emptied = None;
    for term in selection.filter.iter().flat_map(Expr::and_terms) {
        if !columns.know_by_files(term) {
            return None;
        }
        let before = met.count();
        met.keep(&columns.truths(term).yes);
        if emptied.is_none() && before > 0 && met.is_empty() {
            let of = columns.devices().len();
            emptied = Some(Emptied { term: term.to_string(), before, of });
        }
    }
    Some(Found { met, emptied })
}

/// The answer of a query where the rows that meet its condition are known.
pub(super) fn answer_found<'r>(
    selection: &Selection,
    found: &Found,
    met: impl Iterator<Item = Row<'r>>,
) -> Answer {
    let (columns, rows) = cells(selection, met);
    Answer { columns, rows, emptied: found.emptied.clone() }
}

fn cells<'r>(selection: &Selection, met: impl Iterator<Item = Row<'r>>) -> (ColumnNames, Cells) {
    match &selection.select {
        _ if selection.counts() => grouped(selection, met),
        Select::Everything => everything(met),
        Select::Columns(columns) => {
            let row = |row: Row<'r>| columns.iter().map(|c| cell(c, &row)).collect();
            (columns.iter().map(Column::name).collect(), met.map(row).collect())
        }
    }
}

type ColumnNames = Vec<String>;
type Cells = Vec<Vec<Option<Value>>>;

fn everything<'r>(met: impl Iterator<Item = Row<'r>>) -> (ColumnNames, Cells) {
    let mut tables: Vec<_> = met.map(|row| row.everything()).collect();
    let there = |name: &&str| tables.iter().any(|table| table.contains_key(name));
    let columns: Vec<&str> = EVERYTHING.into_iter().filter(there).collect();
    let rows =
        tables.iter_mut().map(|t| columns.iter().map(|name| t.remove(name)).collect()).collect();
    (columns.into_iter().map(str::to_owned).collect(), rows)
}

fn cell(column: &Column, row: &Row<'_>) -> Option<Value> {
    match &column.what {
        ColumnKind::Property(property) => value(property, row),
        ColumnKind::Count => None,
    }
}

fn value(property: &Property, row: &Row<'_>) -> Option<Value> {
    row.lookup(property)?.to_value()
}

/// A row a group, in the order of what they are grouped by; without a grouping one for all.
fn grouped<'r>(selection: &Selection, met: impl Iterator<Item = Row<'r>>) -> (ColumnNames, Cells) {
    let by = &selection.group_by;
    let mut groups: BTreeMap<Vec<GroupKey>, usize> = BTreeMap::new();
    if by.is_empty() {
        groups.insert(Vec::new(), 0);
    }
    for row in met {
        let key = by.iter().map(|property| GroupKey(value(property, &row))).collect();
        *groups.entry(key).or_default() += 1;
    }
    let Select::Columns(columns) = &selection.select else { return (Vec::new(), Vec::new()) };
    // A count alone would not say of what: what it is grouped by stands before it.
    let only_counts = columns.iter().all(|column| column.what == ColumnKind::Count);
    let unsaid: Vec<&Property> = if only_counts { by.iter().collect() } else { Vec::new() };
    let at = |wanted: &Property| by.iter().position(|property| property == wanted);
    let rows = groups.iter().map(|(key, count)| {
        let of_key = |property: &Property| key.get(at(property)?)?.0.clone();
        let cells = columns.iter().map(|column| match &column.what {
            ColumnKind::Property(property) => of_key(property),
            ColumnKind::Count => i64::try_from(*count).ok().map(Value::Integer),
        });
        unsaid.iter().map(|property| of_key(property)).chain(cells).collect()
    });
    let rows = rows.collect();
    let mut names: ColumnNames = Vec::new();
    let given: Vec<String> = columns.iter().map(Column::name).collect();
    for property in unsaid {
        let short = last_part(property);
        let taken = names.contains(&short) || given.contains(&short);
        names.push(if taken { property.to_string() } else { short });
    }
    names.extend(given);
    (names, rows)
}

/// What rows are grouped by: numbers that are equal are one group, and what is missing is a group too.
struct GroupKey(Option<Value>);

impl GroupKey {
    fn rank(&self) -> u8 {
        match &self.0 {
            None => 0,
            Some(Value::Bool(_)) => 1,
            Some(Value::Integer(_) | Value::Float(_)) => 2,
            Some(Value::String(_)) => 3,
            Some(Value::List(_)) => 4,
            Some(Value::Table(_)) => 5,
        }
    }
}

impl Ord for GroupKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| match (&self.0, &other.0) {
            (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
            (Some(a @ (Value::List(_) | Value::Table(_))), Some(b)) => {
                a.to_json().to_string().cmp(&b.to_json().to_string())
            }
            (Some(a), Some(b)) => order(Some(Scalar::of_value(a)), Some(Scalar::of_value(b)))
                .unwrap_or(Ordering::Equal),
            _ => Ordering::Equal,
        })
    }
}

impl PartialOrd for GroupKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for GroupKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for GroupKey {}

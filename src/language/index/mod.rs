//! Conditions over a whole fleet at once.
//!
//! Enters: all devices, and the conditions that will be asked. Leaves: [`Columns`], which answer each of them
//! with a [`Bitmap`] of the devices that meet it. A comparison is made once for every different value that
//! devices have, by the reference evaluator itself; what is then left of `AND`, `OR` and `NOT` is a few
//! instructions for 64 devices. Of each part two sets are known: where it is true and where it is false;
//! elsewhere it is undefined. Columns go on from revision to revision: what is new is added, and a device that is
//! another one is put in its place.

mod bitmap;
mod column;
mod ids;

pub use bitmap::{Bitmap, bits};

use super::ast::{Expr, ExprKind, Operand, Property, Root};
use super::condition::Condition;
use super::evaluate::{Lookup, Scalar, Truth, truth};
use crate::model::{Device, DeviceChanges, Devices, Facts, NEAR, Table, Value};
use column::{Column, Part, Rising};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a column is of: where it is looked up, and at which path.
pub type ColumnName = (Root, Vec<String>);

/// All devices' values of some properties. Devices are numbered as they are in their list.
#[derive(Clone, Default)]
pub struct Columns {
    devices: Arc<Devices>,
    columns: BTreeMap<ColumnName, Arc<Column>>,
}

/// Some devices' values of some properties.
pub struct ColumnsPart(Vec<Part>);

/// Where a part of a condition is true, and where it is false.
pub(super) struct Truths {
    pub(super) yes: Bitmap,
    pub(super) no: Bitmap,
}

impl Columns {
    /// No columns yet.
    pub fn new(devices: Arc<Devices>) -> Self {
        Self { devices, columns: BTreeMap::new() }
    }

    /// Whose they are.
    pub fn devices(&self) -> &Arc<Devices> {
        &self.devices
    }

    /// The columns that conditions need; ids have none.
    pub fn needed_by<'c>(
        conditions: impl IntoIterator<Item = &'c Condition>,
    ) -> BTreeSet<ColumnName> {
        let mut needed = BTreeSet::new();
        for expr in conditions.into_iter().filter_map(Condition::expr) {
            expr.for_each_property(&mut |property| {
                if property.root != Root::DeviceId {
                    needed.insert((property.root, property.path.clone()));
                }
            });
        }
        needed
    }

    /// Whether these columns are there, and no others.
    pub fn are_just(&self, needed: &BTreeSet<ColumnName>) -> bool {
        self.columns.keys().eq(needed)
    }

    /// The columns that are needed and not there yet.
    pub fn missing(&self, needed: &BTreeSet<ColumnName>) -> Vec<ColumnName> {
        needed.iter().filter(|name| !self.columns.contains_key(*name)).cloned().collect()
    }

    /// Of some columns the part of the devices of a range.
    pub fn read(&self, names: &[ColumnName], facts: &Facts, range: Range<usize>) -> ColumnsPart {
        let devices: Vec<&Arc<Device>> =
            self.devices.values().skip(range.start).take(range.len()).collect();
        let mut rising: Vec<(Root, Rising<'_>)> =
            names.iter().map(|(root, path)| (*root, Rising::new(path, devices.len()))).collect();
        let none = Table::new();
        let is_asked = names.iter().any(|(root, _)| *root == Root::Reported);
        let reported: Vec<Cow<'_, Table>> = match is_asked {
            true => devices.iter().map(|device| facts.reported(device)).collect(),
            false => vec![Cow::Borrowed(&none); devices.len()],
        };
        // Some devices at a time, and of these one column after the other: `NEAR` says why.
        for (devices, reported) in devices.chunks(NEAR).zip(reported.chunks(NEAR)) {
            for (root, column) in &mut rising {
                for (device, reported) in devices.iter().zip(reported) {
                    column.push(table_of(*root, device, reported).unwrap_or(&none));
                }
            }
        }
        ColumnsPart(rising.into_iter().map(|(_, column)| column.finish()).collect())
    }

    /// Adds columns whose parts cover all devices in their order, and takes those out that nobody needs.
    pub fn keep_and_add(
        &mut self,
        needed: &BTreeSet<ColumnName>,
        (names, parts): (Vec<ColumnName>, Vec<ColumnsPart>),
    ) {
        self.columns.retain(|name, _| needed.contains(name));
        let mut parts: Vec<_> = parts.into_iter().map(|part| part.0.into_iter()).collect();
        for name in names {
            let column = Column::of(parts.iter_mut().filter_map(Iterator::next).collect());
            self.columns.insert(name, Arc::new(column));
        }
    }

    /// Goes over to another list of devices, of which some also may report something else.
    pub fn go_over_to(&mut self, devices: Arc<Devices>, changes: &DeviceChanges, facts: &Facts) {
        self.devices = devices;
        let changed: Vec<(usize, &Arc<Device>)> = changes.to_look_at(&self.devices).collect();
        let reported: Vec<_> = changed.iter().map(|(_, device)| facts.reported(device)).collect();
        for ((root, path), column) in &mut self.columns {
            let mut values = Vec::with_capacity(changed.len());
            for ((number, device), reported) in changed.iter().zip(&reported) {
                let table = table_of(*root, device, reported);
                values.push((*number, table.and_then(|table| Value::lookup(table, path))));
            }
            let is_as_it_was = |(number, value): &(usize, _)| column.has(*number, *value);
            if changes.keep_numbers() && values.iter().all(is_as_it_was) {
                continue;
            }
            let column = Arc::make_mut(column);
            column.renumber(changes);
            column.change(&values);
        }
    }

    /// The devices that meet a condition whose columns are there.
    pub fn matches(&self, condition: &Condition) -> Bitmap {
        match condition.expr() {
            None => Bitmap::all(self.devices.len()),
            Some(expr) => self.truths(expr).yes,
        }
    }

    /// The devices that have anything at a property whose column is there.
    pub fn defined(&self, root: Root, path: &[String]) -> Bitmap {
        match (root, self.columns.get(&(root, path.to_vec()))) {
            (Root::DeviceId, _) => Bitmap::all(self.devices.len()),
            (_, Some(column)) => column.defined(),
            (_, None) => Bitmap::none(self.devices.len()),
        }
    }

    /// Whether all is there that a part of a query or condition needs, and is there by what files say.
    pub(super) fn know_by_files(&self, expr: &Expr) -> bool {
        let mut are_known = true;
        expr.for_each_property(&mut |property| {
            are_known &= property.root == Root::DeviceId
                || property.root == Root::Tags
                    && self.columns.contains_key(&(Root::Tags, property.path.clone()));
        });
        are_known
    }

    pub(super) fn truths(&self, expr: &Expr) -> Truths {
        let devices = self.devices.len();
        match &expr.kind {
            ExprKind::And(terms) => {
                let mut all = Truths { yes: Bitmap::all(devices), no: Bitmap::none(devices) };
                for term in terms {
                    let Truths { yes, no } = self.truths(term);
                    all.yes.keep(&yes);
                    all.no.add(&no);
                }
                all
            }
            ExprKind::Or(terms) => {
                let mut any = Truths { yes: Bitmap::none(devices), no: Bitmap::all(devices) };
                for term in terms {
                    let Truths { yes, no } = self.truths(term);
                    any.yes.add(&yes);
                    any.no.keep(&no);
                }
                any
            }
            ExprKind::Not(inner) => {
                let Truths { yes, no } = self.truths(inner);
                Truths { yes: no, no: yes }
            }
            ExprKind::Compare { left, right, .. } => self.comparison(expr, &[left, right]),
            ExprKind::Among { operand, .. } | ExprKind::Bare(operand) => {
                self.comparison(expr, &[operand])
            }
        }
    }

    /// A part that holds no other: over one property each value is asked once, else each device.
    fn comparison(&self, expr: &Expr, operands: &[&Operand]) -> Truths {
        let properties: Vec<&Property> =
            operands.iter().flat_map(|operand| operand.properties()).collect();
        let each =
            || Truths::of(self.devices.len(), |n| truth(expr, OneDevice { columns: self, n }));
        match properties.as_slice() {
            [Property { root: Root::DeviceId, .. }] => {
                ids::truths(&self.devices, expr).unwrap_or_else(each)
            }
            [property] => match self.column(property) {
                Some(column) => column.truths(|value| truth(expr, OneValue(value))),
                None => each(),
            },
            _ => each(),
        }
    }

    fn column(&self, property: &Property) -> Option<&Column> {
        self.columns.get(&(property.root, property.path.clone())).map(AsRef::as_ref)
    }
}

/// The table of a device in which properties of a root are looked up.
fn table_of<'a>(root: Root, device: &'a Device, reported: &'a Table) -> Option<&'a Table> {
    match root {
        Root::Tags => Some(&device.tags),
        Root::Reported => Some(reported),
        // No target condition names them.
        _ => None,
    }
}

/// Its names alone: values come in another order where devices came in another one.
impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.columns.keys()).finish()
    }
}

impl Truths {
    fn of(devices: usize, truth: impl Fn(usize) -> Truth) -> Self {
        let truths: Vec<Truth> = (0..devices).map(truth).collect();
        Self {
            yes: Bitmap::where_true(devices, |device| truths[device] == Truth::True),
            no: Bitmap::where_true(devices, |device| truths[device] == Truth::False),
        }
    }
}

/// A part of a condition that names one property, which has this value.
#[derive(Clone, Copy)]
struct OneValue<'a>(Option<Scalar<'a>>);

impl<'a> Lookup<'a> for OneValue<'a> {
    fn lookup(self, _: &Property) -> Option<Scalar<'a>> {
        self.0
    }
}

/// One device's values in columns.
#[derive(Clone, Copy)]
struct OneDevice<'c> {
    columns: &'c Columns,
    n: usize,
}

impl<'a, 'c: 'a> Lookup<'a> for OneDevice<'c> {
    fn lookup(self, property: &Property) -> Option<Scalar<'a>> {
        match property.root {
            Root::DeviceId => Some(Scalar::Text(self.columns.devices.at(self.n)?.id.as_str())),
            _ => self.columns.column(property)?.value(self.n),
        }
    }
}

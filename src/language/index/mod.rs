//! Conditions over a whole fleet at once.
//!
//! Enters: all devices, and the conditions that will be asked. Leaves: [`Columns`], which answer each of them
//! with a [`Bitmap`] of the devices that meet it. A comparison is made once for every different value that
//! devices have, by the reference evaluator itself; what is then left of `AND`, `OR` and `NOT` is a few
//! instructions for 64 devices. Of each part two sets are known: where it is true and where it is false;
//! elsewhere it is undefined.

mod bitmap;
mod column;

pub use bitmap::{Bitmap, bits};

use super::ast::{Argument, Call, Expr, ExprKind, Operand, Property, Root, TextTest};
use super::condition::Condition;
use super::evaluate::{Lookup, Scalar, Subject, Truth, truth};
use column::{Column, Rising};
use std::collections::BTreeMap;

/// All devices' values of the properties that some conditions name. Devices are numbered as they came.
pub struct Columns<'a> {
    devices: usize,
    columns: BTreeMap<(Root, Vec<String>), Column<'a>>,
}

/// Where a part of a condition is true, and where it is false.
struct Truths {
    yes: Bitmap,
    no: Bitmap,
}

impl<'a> Columns<'a> {
    /// The columns that these conditions need.
    pub fn of<'c>(
        conditions: impl IntoIterator<Item = &'c Condition>,
        devices: &[Subject<'a>],
    ) -> Self {
        let mut properties: BTreeMap<(Root, &[String]), &Property> = BTreeMap::new();
        for expr in conditions.into_iter().filter_map(Condition::expr) {
            expr.for_each_property(&mut |property| {
                properties.insert((property.root, &property.path), property);
            });
        }
        let ids = properties.remove(&(Root::DeviceId, &[]));
        let ids = ids.map(|_| Column::of_ids(devices.iter().map(|d| d.device.id.as_str())));
        let mut rising: Vec<_> = properties
            .into_values()
            .map(|property| (property, Rising::new(devices.len())))
            .collect();
        // Device by device, since each one's tables are far from the next one's.
        for device in devices {
            for (property, column) in &mut rising {
                column.push(device.lookup(property));
            }
        }
        let mut columns: BTreeMap<_, _> = rising
            .into_iter()
            .map(|(property, column)| ((property.root, property.path.clone()), column.finish()))
            .collect();
        columns.extend(ids.map(|ids| ((Root::DeviceId, Vec::new()), ids)));
        Self { devices: devices.len(), columns }
    }

    /// The devices that meet a condition, which must be one of those that the columns were made for.
    pub fn matches(&self, condition: &Condition) -> Bitmap {
        match condition.expr() {
            None => Bitmap::all(self.devices),
            Some(expr) => self.truths(expr).yes,
        }
    }

    /// The devices that have anything at a property that one of the conditions names.
    pub fn defined(&self, root: Root, path: &[String]) -> Bitmap {
        let column = self.columns.get(&(root, path.to_vec()));
        column.map_or_else(|| Bitmap::none(self.devices), Column::defined)
    }

    fn truths(&self, expr: &Expr) -> Truths {
        match &expr.kind {
            ExprKind::And(terms) => {
                let mut all =
                    Truths { yes: Bitmap::all(self.devices), no: Bitmap::none(self.devices) };
                for term in terms {
                    let Truths { yes, no } = self.truths(term);
                    all.yes.keep(&yes);
                    all.no.add(&no);
                }
                all
            }
            ExprKind::Or(terms) => {
                let mut any =
                    Truths { yes: Bitmap::none(self.devices), no: Bitmap::all(self.devices) };
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
        match properties.as_slice() {
            [property] => {
                let column = &self.columns[&(property.root, property.path.clone())];
                let neighbours = start_of(expr).and_then(|start| column.starting_with(start));
                neighbours.unwrap_or_else(|| column.truths(|value| truth(expr, OneValue(value))))
            }
            _ => {
                let truths: Vec<Truth> = (0..self.devices)
                    .map(|device| truth(expr, OneDevice { columns: self, device }))
                    .collect();
                Truths::of(self.devices, |device| truths[device])
            }
        }
    }
}

/// `STARTSWITH(property, 'text')`: that text.
fn start_of(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Bare(Operand::Call(Call::Text {
            test: TextTest::StartsWith,
            text: Argument::Property(_),
            part: Argument::Text(start),
        })) => Some(start),
        _ => None,
    }
}

impl Truths {
    fn of(devices: usize, truth: impl Fn(usize) -> Truth) -> Self {
        Self {
            yes: Bitmap::where_true(devices, |device| truth(device) == Truth::True),
            no: Bitmap::where_true(devices, |device| truth(device) == Truth::False),
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
struct OneDevice<'c, 'a> {
    columns: &'c Columns<'a>,
    device: usize,
}

impl<'a> Lookup<'a> for OneDevice<'_, 'a> {
    fn lookup(self, property: &Property) -> Option<Scalar<'a>> {
        let column = self.columns.columns.get(&(property.root, property.path.clone()))?;
        column.value(self.device)
    }
}

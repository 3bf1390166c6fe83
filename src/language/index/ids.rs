//! Questions about ids, which stand in their order: what is told by a few looks instead of one a device.

use super::Truths;
use super::bitmap::Bitmap;
use crate::language::ast::{
    Argument, Call, Expr, ExprKind, Literal, Operand, Operator, Property, TextTest,
};
use crate::model::Devices;
use std::ops::Range;

/// Where a part that names nothing but the id is true; `None` where each device has to be asked.
pub(super) fn truths(devices: &Devices, expr: &Expr) -> Option<Truths> {
    use Operand::{Literal as Written, Property as Named};
    let mut yes = Bitmap::none(devices.len());
    match &expr.kind {
        ExprKind::Bare(Operand::Call(Call::Text {
            test: TextTest::StartsWith,
            text: Argument::Property(_),
            part: Argument::Text(start),
        })) => yes.add_range(starting_with(devices, start)),
        ExprKind::Compare { left: Named(Property { .. }), operator, right: Written(written) }
        | ExprKind::Compare { left: Written(written), operator, right: Named(Property { .. }) } => {
            let (Operator::Equal, Literal::Text(id)) = (operator, written) else { return None };
            add(devices, id, &mut yes);
        }
        ExprKind::Among { operand: Named(_), negated: false, list } => {
            for literal in list {
                let Literal::Text(id) = literal else { return None };
                add(devices, id, &mut yes);
            }
        }
        _ => return None,
    }
    let mut no = yes.clone();
    no.invert();
    Some(Truths { yes, no })
}

fn add(devices: &Devices, id: &str, found: &mut Bitmap) {
    if let Some(number) = devices.number(id) {
        found.set(number, true);
    }
}

fn starting_with(devices: &Devices, start: &str) -> Range<usize> {
    let first = devices.partition_point(|id| id < start);
    let last = devices.partition_point(|id| id < start || id.starts_with(start));
    first..last
}

//! Which properties a condition names, and whether a device that lacks one would silently be left out.

use super::ast::{Call, Expr, ExprKind, Literal, Operand, Operator, Property, Root};
use super::evaluate::{Lookup as _, Subject};
use crate::diagnostic::Span;
use std::fmt;

/// One place in a condition that names a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyUse {
    /// Where it is looked up.
    pub root: Root,
    /// The keys below the root; empty for `deviceId`.
    pub path: Vec<String>,
    /// Where it stands in the condition.
    pub span: Span,
    /// Whether it is asked what it is *not*, so that a device without it might be expected to match and
    /// does not. Never true where the condition asks elsewhere whether the property is there.
    pub negated: bool,
    /// Whether it is only asked whether it is there (`IS_DEFINED`, `= null`, `!= null`).
    pub existence: bool,
}

impl PropertyUse {
    /// Whether a device has it.
    pub fn is_defined(&self, subject: Subject<'_>) -> bool {
        subject.lookup(&self.property()).is_some()
    }

    fn property(&self) -> Property {
        Property { root: self.root, path: self.path.clone(), span: self.span }
    }
}

impl fmt::Display for PropertyUse {
    /// As a condition writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.property().fmt(f)
    }
}

/// Every use, in the order of the text.
pub(super) fn properties(expr: &Expr) -> Vec<PropertyUse> {
    let mut uses = Vec::new();
    collect(expr, false, &mut uses);
    let asked: Vec<(Root, Vec<String>)> =
        uses.iter().filter(|u| u.existence).map(|u| (u.root, u.path.clone())).collect();
    for found in &mut uses {
        // Somebody who writes `NOT IS_DEFINED(tags.x) OR tags.x != 'a'` has thought of it.
        if asked.iter().any(|(root, path)| *root == found.root && *path == found.path) {
            found.negated = false;
        }
    }
    uses
}

fn collect(expr: &Expr, negated: bool, uses: &mut Vec<PropertyUse>) {
    match &expr.kind {
        ExprKind::Or(terms) | ExprKind::And(terms) => {
            for term in terms {
                collect(term, negated, uses);
            }
        }
        ExprKind::Not(inner) => collect(inner, !negated, uses),
        ExprKind::Compare { left, operator, right } => {
            let negated = negated != (*operator == Operator::NotEqual);
            let null = |operand: &Operand| *operand == Operand::Literal(Literal::Null);
            let existence = !operator.is_order() && (null(left) || null(right));
            collect_operand(left, negated, existence, uses);
            collect_operand(right, negated, existence, uses);
        }
        ExprKind::Among { operand, negated: nin, list: _ } => {
            collect_operand(operand, negated != *nin, false, uses);
        }
        ExprKind::Bare(operand) => collect_operand(operand, negated, false, uses),
    }
}

fn collect_operand(operand: &Operand, negated: bool, existence: bool, uses: &mut Vec<PropertyUse>) {
    let existence = match operand {
        Operand::Call(Call::IsDefined(_)) => true,
        Operand::Call(Call::Text { .. }) => false,
        Operand::Property(_) | Operand::Literal(_) => existence,
    };
    for Property { root, path, span } in operand.properties() {
        uses.push(PropertyUse {
            root: *root,
            path: path.clone(),
            span: *span,
            // Every device has an id.
            negated: negated && !existence && *root != Root::DeviceId,
            existence,
        });
    }
}

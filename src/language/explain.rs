//! Why a device is not selected: the smallest part of a condition that decided, and what the device has there.

use super::ast::{Expr, ExprKind, Property, quoted};
use super::evaluate::{Lookup as _, Scalar, Subject, truth};
use crate::diagnostic::Span;
use std::fmt;

/// The part of a condition that decided for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The part, as a condition; with the `NOT` before it.
    pub text: String,
    /// Where it stands in the condition.
    pub span: Span,
    /// The properties it names, in order, each once.
    pub values: Vec<PropertyValue>,
}

/// What a device has at a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyValue {
    /// The property as a condition writes it: `tags.environment`.
    pub property: String,
    /// The value as a condition writes it, `a list` or `a table`; `None` for one that is not set.
    pub value: Option<String>,
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)?;
        for (i, value) in self.values.iter().enumerate() {
            write!(f, "{}{value}", if i == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}", self.property, self.value.as_deref().unwrap_or("not set"))
    }
}

/// The leaf that decided the truth of an expression: in a conjunction or disjunction the first term that is
/// what the whole is.
pub(super) fn explain(expr: &Expr, subject: Subject<'_>) -> Leaf {
    match &expr.kind {
        ExprKind::Or(terms) | ExprKind::And(terms) => {
            let whole = truth(expr, subject);
            let decisive = terms.iter().find(|term| truth(term, subject) == whole);
            explain(decisive.expect("one of its terms has the truth of the whole"), subject)
        }
        ExprKind::Not(inner) => match inner.kind {
            ExprKind::Or(_) | ExprKind::And(_) | ExprKind::Not(_) => explain(inner, subject),
            _ => Leaf { text: expr.to_string(), span: expr.span, ..explain(inner, subject) },
        },
        ExprKind::Compare { left, operator: _, right } => {
            leaf(expr, left.properties().into_iter().chain(right.properties()), subject)
        }
        ExprKind::Among { operand, negated: _, list: _ } | ExprKind::Bare(operand) => {
            leaf(expr, operand.properties().into_iter(), subject)
        }
    }
}

fn leaf<'a>(
    expr: &Expr,
    properties: impl Iterator<Item = &'a Property>,
    subject: Subject<'_>,
) -> Leaf {
    let mut values: Vec<PropertyValue> = Vec::new();
    for property in properties {
        let value = PropertyValue {
            property: property.to_string(),
            value: subject.lookup(property).map(text_of),
        };
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Leaf { text: expr.to_string(), span: expr.span, values }
}

fn text_of(value: Scalar<'_>) -> String {
    match value {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Real(value) => format!("{value:?}"),
        Scalar::Text(text) => quoted(text),
        Scalar::List(_) => "a list".to_owned(),
        Scalar::Table(_) => "a table".to_owned(),
    }
}

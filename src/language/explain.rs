//! Why a device is not selected: the smallest part of a condition that has the truth of the whole, with what
//! the device has there.

use super::ast::{Expr, ExprKind, Property, Root};
use super::evaluate::{Lookup as _, Scalar, Subject, truth};
use crate::diagnostic::{Span, closest};
use crate::model::{Table, Value};
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
    /// The value as a file writes it, `a list` or `a table`; `None` for one that is not set.
    pub value: Option<String>,
    /// Of one that is not set: a property of this device with a similar name.
    pub close: Option<String>,
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
        ExprKind::Compare { .. } | ExprKind::Among { .. } | ExprKind::Bare(_) => {
            let values =
                properties_of(expr).into_iter().map(|property| value_at(property, subject));
            Leaf { text: expr.to_string(), span: expr.span, values: values.collect() }
        }
    }
}

/// The properties of a leaf, in order, each once.
pub(super) fn properties_of(leaf: &Expr) -> Vec<&Property> {
    let mut once: Vec<&Property> = Vec::new();
    let all = match &leaf.kind {
        ExprKind::Compare { left, operator: _, right } => {
            [left.properties(), right.properties()].concat()
        }
        ExprKind::Among { operand, .. } | ExprKind::Bare(operand) => operand.properties(),
        ExprKind::Or(_) | ExprKind::And(_) | ExprKind::Not(_) => Vec::new(),
    };
    for property in all {
        if !once.contains(&property) {
            once.push(property);
        }
    }
    once
}

pub(super) fn value_at(property: &Property, subject: Subject<'_>) -> PropertyValue {
    let value = subject.lookup(property).map(text_of);
    let close = if value.is_some() { None } else { close_to(property, subject) };
    PropertyValue { property: property.to_string(), value, close }
}

/// A property of a device whose path is almost this one's.
fn close_to(property: &Property, subject: Subject<'_>) -> Option<String> {
    let table = match property.root {
        Root::Tags => &subject.device.tags,
        Root::Reported => subject.reported,
        _ => return None,
    };
    let mut paths = Vec::new();
    collect_paths(&mut Vec::new(), table, &mut paths);
    let joined: Vec<String> = paths.iter().map(|path| path.join(".")).collect();
    let close = closest(&property.path.join("."), joined.iter().map(String::as_str))?;
    let path = joined.iter().position(|path| path == close).map(|at| paths[at].clone())?;
    Some(Property { root: property.root, path, span: Span::default() }.to_string())
}

fn collect_paths(above: &mut Vec<String>, table: &Table, paths: &mut Vec<Vec<String>>) {
    for (key, value) in table {
        above.push(key.to_string());
        match value {
            Value::Table(below) => collect_paths(above, below, paths),
            _ => paths.push(above.clone()),
        }
        above.pop();
    }
}

fn text_of(value: Scalar<'_>) -> String {
    match value {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Real(value) => format!("{value:?}"),
        Scalar::Text(text) => format!("{text:?}"),
        Scalar::List(_) => "a list".to_owned(),
        Scalar::Table(_) => "a table".to_owned(),
    }
}

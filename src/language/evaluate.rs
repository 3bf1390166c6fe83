//! The reference evaluator: short, obvious, one device or row at a time.
//!
//! A checked condition and something in which properties are looked up enter, one of three truths leaves.
//! Whatever evaluates faster has to agree with this. The choices that the language leaves to it:
//! a whole table or list is undefined in every comparison but the one with `null`, which asks whether the
//! property is there; `true` and `false` have no order; a text function over something that is no text is
//! undefined; so is a bare property that is no Boolean, so that neither it nor its `NOT` selects a device.

use super::ast::{
    Argument, Call, Expr, ExprKind, Literal, Operand, Operator, Property, Root, TextTest,
};
use crate::model::{Device, Table, Value};
use std::cmp::Ordering;

/// The three values of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// A property that it needs is missing, or of a type that the question does not fit.
    Undefined,
}

/// What a target condition is evaluated over.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The device, for its id and tags.
    pub device: &'a Device,
    /// Its reported properties, declared and live.
    pub reported: &'a Table,
}

impl Truth {
    /// Kleene's AND: false decides, then undefined.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Undefined, _) | (_, Self::Undefined) => Self::Undefined,
            (Self::True, Self::True) => Self::True,
        }
    }

    /// Kleene's OR: true decides, then undefined.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::True, _) | (_, Self::True) => Self::True,
            (Self::Undefined, _) | (_, Self::Undefined) => Self::Undefined,
            (Self::False, Self::False) => Self::False,
        }
    }

    /// Kleene's NOT: undefined stays undefined.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Undefined => Self::Undefined,
        }
    }
}

impl From<Option<bool>> for Truth {
    fn from(value: Option<bool>) -> Self {
        match value {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Undefined,
        }
    }
}

/// Where properties are looked up: a device, or a row of a query.
pub(super) trait Lookup<'a>: Copy {
    /// What is there; `None` where nothing is.
    fn lookup(self, property: &Property) -> Option<Scalar<'a>>;
}

impl<'a, 's: 'a> Lookup<'a> for Subject<'s> {
    fn lookup(self, property: &Property) -> Option<Scalar<'a>> {
        let Property { root, path, span: _ } = property;
        match root {
            Root::DeviceId => Some(Scalar::Text(self.device.id.as_str())),
            Root::Tags => Value::lookup(&self.device.tags, path).map(Scalar::of_value),
            Root::Reported => Value::lookup(self.reported, path).map(Scalar::of_value),
            // No target condition names them.
            Root::Configurations
            | Root::ConnectionState
            | Root::IotEdge
            | Root::ModuleId
            | Root::Desired
            | Root::RuntimeStatus
            | Root::ExitCode
            | Root::RestartCount => None,
        }
    }
}

/// The truth of an expression where `source` says what there is.
pub(super) fn truth<'a>(expr: &'a Expr, source: impl Lookup<'a>) -> Truth {
    match &expr.kind {
        ExprKind::Or(terms) => {
            terms.iter().fold(Truth::False, |so_far, term| so_far.or(truth(term, source)))
        }
        ExprKind::And(terms) => {
            terms.iter().fold(Truth::True, |so_far, term| so_far.and(truth(term, source)))
        }
        ExprKind::Not(inner) => truth(inner, source).negated(),
        ExprKind::Compare { left, operator, right } => {
            compare(value_of(left, source), *operator, value_of(right, source)).into()
        }
        ExprKind::Among { operand, negated, list } => {
            let value = value_of(operand, source);
            let found = list.iter().fold(Truth::False, |so_far, literal| {
                so_far.or(equal(value, Scalar::of(literal)).into())
            });
            if *negated { found.negated() } else { found }
        }
        ExprKind::Bare(operand) => match value_of(operand, source) {
            Some(Scalar::Bool(value)) => Some(value).into(),
            _ => Truth::Undefined,
        },
    }
}

/// A value that is there. One that is missing is `None` of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(&'a str),
    /// Of a list or a table can only be said that it is there.
    List(&'a [Value]),
    Table(&'a Table),
}

impl<'a> Scalar<'a> {
    fn of(literal: &'a Literal) -> Option<Self> {
        Some(match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Integer(value) => Self::Integer(*value),
            Literal::Real(value) => Self::Real(*value),
            Literal::Text(text) => Self::Text(text),
        })
    }

    pub(super) fn of_value(value: &'a Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Integer(value) => Self::Integer(*value),
            Value::Float(value) => Self::Real(*value),
            Value::String(text) => Self::Text(text),
            Value::List(items) => Self::List(items),
            Value::Table(table) => Self::Table(table),
        }
    }

    /// The value; there is none for null.
    pub(super) fn to_value(self) -> Option<Value> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Real(value) => Value::Float(value),
            Self::Text(text) => Value::from(text),
            Self::List(items) => Value::List(items.into()),
            Self::Table(table) => Value::Table(table.clone()),
        })
    }
}

fn value_of<'a>(operand: &'a Operand, source: impl Lookup<'a>) -> Option<Scalar<'a>> {
    match operand {
        Operand::Property(property) => source.lookup(property),
        Operand::Literal(literal) => Scalar::of(literal),
        Operand::Call(Call::IsDefined(property)) => {
            Some(Scalar::Bool(source.lookup(property).is_some()))
        }
        Operand::Call(Call::Text { test, text, part }) => {
            let (text, part) = (text_of(text, source)?, text_of(part, source)?);
            Some(Scalar::Bool(match test {
                TextTest::StartsWith => text.starts_with(part),
                TextTest::EndsWith => text.ends_with(part),
                TextTest::Contains => text.contains(part),
            }))
        }
    }
}

fn text_of<'a>(argument: &'a Argument, source: impl Lookup<'a>) -> Option<&'a str> {
    match argument {
        Argument::Text(text) => Some(text),
        Argument::Property(property) => match source.lookup(property)? {
            Scalar::Text(text) => Some(text),
            _ => None,
        },
    }
}

fn compare(
    left: Option<Scalar<'_>>,
    operator: Operator,
    right: Option<Scalar<'_>>,
) -> Option<bool> {
    match operator {
        Operator::Equal => equal(left, right),
        Operator::NotEqual => equal(left, right).map(|equal| !equal),
        Operator::Less => order(left, right).map(Ordering::is_lt),
        Operator::LessOrEqual => order(left, right).map(Ordering::is_le),
        Operator::Greater => order(left, right).map(Ordering::is_gt),
        Operator::GreaterOrEqual => order(left, right).map(Ordering::is_ge),
    }
}

fn equal(left: Option<Scalar<'_>>, right: Option<Scalar<'_>>) -> Option<bool> {
    match (left?, right?) {
        (Scalar::Null, Scalar::Null) => Some(true),
        // Also for a whole table: `!= null` is true for exactly the devices that have the property.
        (Scalar::Null, _) | (_, Scalar::Null) => Some(false),
        (Scalar::List(_) | Scalar::Table(_), _) | (_, Scalar::List(_) | Scalar::Table(_)) => None,
        (Scalar::Bool(left), Scalar::Bool(right)) => Some(left == right),
        (left, right) => Some(order(Some(left), Some(right)) == Some(Ordering::Equal)),
    }
}

/// Which comes first, of two numbers or two texts (by code point, which is the order of their bytes).
pub(super) fn order(left: Option<Scalar<'_>>, right: Option<Scalar<'_>>) -> Option<Ordering> {
    match (left?, right?) {
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        (Scalar::Integer(left), Scalar::Integer(right)) => Some(left.cmp(&right)),
        (Scalar::Real(left), Scalar::Real(right)) => left.partial_cmp(&right),
        (Scalar::Integer(left), Scalar::Real(right)) => order_of_numbers(left, right),
        (Scalar::Real(left), Scalar::Integer(right)) => {
            order_of_numbers(right, left).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// Compares without rounding the integer to a real: above 2^53 not every integer is one.
fn order_of_numbers(integer: i64, real: f64) -> Option<Ordering> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if real.is_nan() {
        None
    } else if real >= TWO_TO_63 {
        Some(Ordering::Less)
    } else if real < -TWO_TO_63 {
        Some(Ordering::Greater)
    } else {
        // In range now, so that its whole part is exactly an i64.
        let whole = integer.cmp(&(real.trunc() as i64));
        Some(whole.then(0.0_f64.partial_cmp(&real.fract())?))
    }
}

//! Why a device is not selected, and what is missing for it to be.
//!
//! Two answers. The *leaf that decided* is the smallest part of a condition that has the truth of the whole,
//! with what the device has there. The *nearest miss* is the shortest list of [`Wish`]es: properties, each
//! with what must hold of it, so that the condition is met once they are granted and nothing else changes.
//!
//! How it is found. A *way* to a match takes every term of an `AND` and one term of an `OR` (the other way
//! round below a `NOT`), down to leaves that must be true or false. Its length is the number of properties
//! that have to change for the leaves that are not so yet; a device's id can't. The nearest miss is the
//! shortest way for which values exist: each tried value comes from the leaves of the way or lies beside one
//! of theirs, all leaves of the way must be what they must be, and at last the whole condition is evaluated
//! with them. Of equally long ways the first in the text is taken. At most [`WAYS`] ways of a part are
//! followed and [`TRIES`] values tried, so an answer may be missing for a condition that is long or needs
//! unusual values; one that is given is always right.

use super::ast::{Argument, Call, Expr, ExprKind, Literal, Operand, Operator, Property, Root};
use super::evaluate::{Lookup as _, Scalar, Subject, Truth, truth};
use crate::diagnostic::{Span, closest};
use crate::model::{Device, Table, Value};
use std::fmt;

/// So many ways to a match are followed of every part, the shortest.
const WAYS: usize = 16;
/// So many values are tried for one way.
const TRIES: usize = 5000;

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

/// What must hold of one property for a device to come nearer to a match.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// What must hold, as a condition: `tags.ring = 'canary'`.
    pub wanted: String,
    /// The property, and what the device has there.
    pub now: PropertyValue,
    /// A value by which it holds; `None`: by not being set.
    pub example: Option<Value>,
    property: Property,
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

impl Wish {
    /// Whether a tag is what has to change, and no reported property.
    pub fn is_of_tags(&self) -> bool {
        self.property.root == Root::Tags
    }

    /// The tags and reported properties with the example in its place.
    pub fn grant(&self, tags: &mut Table, reported: &mut Table) {
        put(&self.property, self.example.clone(), tags, reported);
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

/// The shortest list of wishes that makes a condition true; `None` where none was found.
pub(super) fn nearest_miss(expr: &Expr, subject: Subject<'_>) -> Option<Vec<Wish>> {
    ways(expr, true, subject).iter().find_map(|way| way.values(expr, subject))
}

/// Leaves that must be true or false, and the properties that have to change for it.
#[derive(Clone, Default)]
struct Way<'a> {
    changes: Vec<&'a Property>,
    demands: Vec<Demand<'a>>,
}

/// A leaf, and whether it must be true or false.
#[derive(Clone, Copy)]
struct Demand<'a> {
    leaf: &'a Expr,
    wanted: bool,
}

fn ways<'a>(expr: &'a Expr, wanted: bool, subject: Subject<'_>) -> Vec<Way<'a>> {
    shortest(match (&expr.kind, wanted) {
        (ExprKind::Not(inner), _) => ways(inner, !wanted, subject),
        (ExprKind::And(terms), true) | (ExprKind::Or(terms), false) => {
            terms.iter().fold(vec![Way::default()], |so_far, term| {
                let further = ways(term, wanted, subject);
                let both = so_far.iter().flat_map(|way| further.iter().map(|more| way.with(more)));
                shortest(both.collect())
            })
        }
        (ExprKind::And(terms), false) | (ExprKind::Or(terms), true) => {
            terms.iter().flat_map(|term| ways(term, wanted, subject)).collect()
        }
        (ExprKind::Compare { .. } | ExprKind::Among { .. } | ExprKind::Bare(_), _) => {
            ways_of_leaf(Demand { leaf: expr, wanted }, subject)
        }
    })
}

/// A leaf that is what it must be needs no change; else one of its properties, or all, must change. One
/// over two properties may have to follow a change that another leaf asks for, also where it holds now.
fn ways_of_leaf<'a>(demand: Demand<'a>, subject: Subject<'_>) -> Vec<Way<'a>> {
    let way = |changes| Way { changes, demands: vec![demand] };
    let mut can_change = properties_of(demand.leaf);
    can_change.retain(|property| matches!(property.root, Root::Tags | Root::Reported));
    let mut found = Vec::new();
    if demand.holds(subject) {
        found.push(way(Vec::new()));
        if can_change.len() < 2 {
            return found;
        }
    }
    found.extend(can_change.iter().map(|property| way(vec![*property])));
    if can_change.len() > 1 {
        found.push(way(can_change));
    }
    found
}

fn shortest(mut ways: Vec<Way<'_>>) -> Vec<Way<'_>> {
    ways.sort_by_key(|way| way.changes.len());
    ways.truncate(WAYS);
    ways
}

impl<'a> Way<'a> {
    fn with(&self, more: &Self) -> Self {
        let mut both = self.clone();
        let new = more.changes.iter().filter(|property| !self.changes.contains(property));
        both.changes.extend(new);
        both.demands.extend(&more.demands);
        both
    }

    /// Wishes with values that make every leaf what it must be, and the whole condition true.
    fn values(&self, whole: &Expr, subject: Subject<'_>) -> Option<Vec<Wish>> {
        let mut trial = Trial {
            way: self,
            whole,
            device: subject.device.clone(),
            reported: subject.reported.clone(),
            left: TRIES,
        };
        let examples = trial.fill(0)?;
        let wishes = self.changes.iter().zip(examples).map(|(property, example)| {
            let demands = self.demands.iter().filter(|demand| demand.concerns(property));
            let mut wanted: Vec<String> = demands.map(Demand::words).collect();
            wanted.dedup();
            Wish {
                wanted: wanted.join(" AND "),
                now: value_at(property, subject),
                example,
                property: (*property).clone(),
            }
        });
        Some(wishes.collect())
    }
}

/// A device with values tried at the properties that have to change.
struct Trial<'a, 'w> {
    way: &'w Way<'a>,
    whole: &'w Expr,
    device: Device,
    reported: Table,
    left: usize,
}

impl Trial<'_, '_> {
    /// Values for the properties from the `at`-th on.
    fn fill(&mut self, at: usize) -> Option<Vec<Option<Value>>> {
        let Some(property) = self.way.changes.get(at).copied() else {
            let met = truth(self.whole, self.subject()) == Truth::True;
            return met.then(Vec::new);
        };
        let later = &self.way.changes[at + 1..];
        let demands: Vec<Demand<'_>> =
            self.way.demands.iter().filter(|demand| demand.concerns(property)).copied().collect();
        // Who is tied to another that changes later may have to take what that one needs.
        let tied = later.iter().any(|later| demands.iter().any(|demand| demand.concerns(later)));
        let mut speakers = demands.clone();
        speakers.extend(self.way.demands.iter().filter(|_| tied));
        for candidate in candidates(&speakers, self.subject()) {
            self.left = self.left.checked_sub(1)?;
            put(property, candidate.clone(), &mut self.device.tags, &mut self.reported);
            let fits = demands.iter().all(|demand| {
                later.iter().any(|property| demand.concerns(property))
                    || demand.holds(self.subject())
            });
            if fits && let Some(mut examples) = self.fill(at + 1) {
                examples.insert(0, candidate);
                return Some(examples);
            }
        }
        None
    }

    fn subject(&self) -> Subject<'_> {
        Subject { device: &self.device, reported: &self.reported }
    }
}

impl Demand<'_> {
    fn holds(&self, subject: Subject<'_>) -> bool {
        truth(self.leaf, subject) == if self.wanted { Truth::True } else { Truth::False }
    }

    fn concerns(&self, property: &Property) -> bool {
        properties_of(self.leaf).contains(&property)
    }

    /// It as a condition that must be true.
    fn words(&self) -> String {
        let kind = match (self.leaf.kind.clone(), self.wanted) {
            (ExprKind::Bare(Operand::Property(property)), wanted) => {
                return format!("{property} = {wanted}");
            }
            (kind, true) => kind,
            (ExprKind::Compare { left, operator, right }, false) => {
                ExprKind::Compare { left, operator: opposite(operator), right }
            }
            (ExprKind::Among { operand, negated, list }, false) => {
                ExprKind::Among { operand, negated: !negated, list }
            }
            (_, false) => ExprKind::Not(Box::new(self.leaf.clone())),
        };
        Expr { kind, span: self.leaf.span }.to_string()
    }
}

/// The comparison that is true where this one is false, and undefined where it is.
fn opposite(operator: Operator) -> Operator {
    match operator {
        Operator::Equal => Operator::NotEqual,
        Operator::NotEqual => Operator::Equal,
        Operator::Less => Operator::GreaterOrEqual,
        Operator::LessOrEqual => Operator::Greater,
        Operator::Greater => Operator::LessOrEqual,
        Operator::GreaterOrEqual => Operator::Less,
    }
}

/// Values worth trying: first those that the leaves name, then their neighbours, then any, then none.
fn candidates(demands: &[Demand<'_>], subject: Subject<'_>) -> Vec<Option<Value>> {
    let mut named = Vec::new();
    for demand in demands {
        named.extend(literals_of(demand.leaf));
        let others = properties_of(demand.leaf).into_iter();
        named.extend(others.filter_map(|other| scalar(subject.lookup(other)?)));
    }
    let neighbours: Vec<Value> = named.iter().flat_map(beside).collect();
    let any = [Value::Bool(true), Value::Bool(false), Value::Integer(0), Value::from("")];
    let values = named.into_iter().chain(neighbours).chain(any).map(Some).chain([None]);
    let mut once: Vec<Option<Value>> = Vec::new();
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}

/// Values that come just before, just after, or are only different.
fn beside(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(value) => vec![Value::Bool(!value)],
        Value::Integer(n) => {
            [n.checked_add(1), n.checked_sub(1)].into_iter().flatten().map(Value::Integer).collect()
        }
        Value::Float(n) => [n + 1.0, n - 1.0, n + 0.5, n.next_up(), n.next_down()]
            .into_iter()
            .filter(|n| n.is_finite())
            .map(Value::Float)
            .collect(),
        Value::String(text) => {
            let mut shorter = text.clone();
            shorter.pop();
            vec![Value::from(format!("{text}0").as_str()), Value::from(shorter.as_str())]
        }
        Value::List(_) | Value::Table(_) => Vec::new(),
    }
}

fn literals_of(leaf: &Expr) -> Vec<Value> {
    let of_operand = |operand: &Operand| match operand {
        Operand::Literal(literal) => value_of(literal).into_iter().collect(),
        Operand::Property(_) | Operand::Call(Call::IsDefined(_)) => Vec::new(),
        Operand::Call(Call::Text { test: _, text, part }) => [text, part]
            .into_iter()
            .filter_map(|argument| match argument {
                Argument::Text(text) => Some(Value::from(text.as_str())),
                Argument::Property(_) => None,
            })
            .collect(),
    };
    match &leaf.kind {
        ExprKind::Compare { left, operator: _, right } => {
            let mut values: Vec<Value> = of_operand(left);
            values.extend(of_operand(right));
            values
        }
        ExprKind::Among { operand, negated: _, list } => {
            let mut values: Vec<Value> = list.iter().filter_map(value_of).collect();
            values.extend(of_operand(operand));
            values
        }
        ExprKind::Bare(operand) => of_operand(operand),
        ExprKind::Or(_) | ExprKind::And(_) | ExprKind::Not(_) => Vec::new(),
    }
}

fn value_of(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Null => None,
        Literal::Bool(value) => Some(Value::Bool(*value)),
        Literal::Integer(value) => Some(Value::Integer(*value)),
        Literal::Real(value) => Some(Value::Float(*value)),
        Literal::Text(text) => Some(Value::from(text.as_str())),
    }
}

fn scalar(value: Scalar<'_>) -> Option<Value> {
    match value {
        Scalar::Bool(value) => Some(Value::Bool(value)),
        Scalar::Integer(value) => Some(Value::Integer(value)),
        Scalar::Real(value) => Some(Value::Float(value)),
        Scalar::Text(text) => Some(Value::from(text)),
        _ => None,
    }
}

/// The properties of a leaf, in order, each once.
fn properties_of(leaf: &Expr) -> Vec<&Property> {
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

/// Puts a value to a property, or takes it away.
fn put(property: &Property, value: Option<Value>, tags: &mut Table, reported: &mut Table) {
    match property.root {
        Root::Tags => put_at(&property.path, value, tags),
        Root::Reported => put_at(&property.path, value, reported),
        // What else is known of a device is not for anybody to set.
        _ => {}
    }
}

fn put_at(path: &[String], value: Option<Value>, table: &mut Table) {
    match (path, value) {
        ([], _) => {}
        ([key], Some(value)) => drop(table.insert(key.clone(), value)),
        ([key], None) => drop(table.remove(key)),
        ([key, rest @ ..], value) => {
            let below = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
            if value.is_some() && below.as_table().is_none() {
                *below = Value::Table(Table::new());
            }
            if let Value::Table(below) = below {
                put_at(rest, value, below);
            }
        }
    }
}

fn value_at(property: &Property, subject: Subject<'_>) -> PropertyValue {
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
        above.push(key.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Condition;
    use crate::model::DeviceId;
    use proptest::prelude::*;

    fn device(tags: &str) -> Device {
        let tags = serde_json::from_str(&format!("{{{tags}}}")).unwrap();
        let Some(Value::Table(tags)) = Value::from_json(&tags) else { panic!("a table") };
        with_tags(tags)
    }

    fn with_tags(tags: Table) -> Device {
        let source = crate::diagnostic::Source::new("devices/d.toml", "");
        Device {
            id: DeviceId::parse("press-01").unwrap(),
            engine: None,
            reachable: false,
            tls: None,
            formerly: Vec::new(),
            tags,
            reported: Table::new(),
            place: crate::diagnostic::Place::new(&source, 0..0),
        }
    }

    fn nearest(text: &str, device: &Device) -> Option<Vec<Wish>> {
        let subject = Subject { device, reported: &device.reported };
        Condition::parse(text).unwrap().nearest_miss(subject)
    }

    #[test]
    fn the_nearest_miss_is_the_shortest_way_and_the_first_of_equal_ones() {
        let device = device(
            r#""environment": "test", "ring": "stable", "floor": 2, "on": false, "at": {"site": "b"}"#,
        );
        for (text, expected) in [
            ("tags.ring = 'canary'", "tags.ring = 'canary' (\"stable\")"),
            (
                "tags.environment = 'prod' AND tags.ring = 'stable'",
                "tags.environment = 'prod' (\"test\")",
            ),
            (
                "tags.environment = 'prod' AND tags.ring = 'canary' OR tags.floor = 3",
                "tags.floor = 3 (2)",
            ),
            (
                "tags.environment = 'prod' AND tags.ring = 'canary'",
                "tags.environment = 'prod' (\"test\"); tags.ring = 'canary' (\"stable\")",
            ),
            ("tags.floor = 3 OR tags.floor = 4", "tags.floor = 3 (2)"),
            ("tags.floor > 3 AND tags.floor < 9", "tags.floor > 3 AND tags.floor < 9 (2)"),
            // The first way can't be gone; the second can.
            (
                "tags.floor > 3 AND tags.floor < 3 OR tags.on AND tags.x = 1",
                "tags.on = true (false); tags.x = 1 (-)",
            ),
            ("NOT tags.ring = 'stable'", "tags.ring != 'stable' (\"stable\")"),
            ("NOT (tags.floor = 2 AND tags.ring IN ['stable'])", "tags.floor != 2 (2)"),
            (
                "tags.ring != 'stable' AND tags.x != 'a'",
                "tags.ring != 'stable' (\"stable\"); tags.x != 'a' (-)",
            ),
            ("NOT IS_DEFINED(tags.ring)", "NOT IS_DEFINED(tags.ring) (\"stable\")"),
            ("IS_DEFINED(tags.x)", "IS_DEFINED(tags.x) (-)"),
            ("tags.x != null", "tags.x != null (-)"),
            ("NOT tags.x", "tags.x = false (-)"),
            ("tags.rong = 'canary'", "tags.rong = 'canary' (-, close to tags.ring)"),
            ("tags.at.sites = 'a'", "tags.at.sites = 'a' (-, close to tags.at.site)"),
            ("properties.reported.model = '4000x'", "properties.reported.model = '4000x' (-)"),
            ("STARTSWITH(tags.ring, 'can')", "STARTSWITH(tags.ring, 'can') (\"stable\")"),
            ("tags.ring = tags.x", "tags.ring = tags.x (-)"),
            ("tags.x < tags.y", "tags.x < tags.y (-); tags.x < tags.y (-)"),
            ("deviceId = 'other' OR tags.floor IN [7, 8]", "tags.floor IN [7, 8] (2)"),
            ("deviceId = 'other'", "none"),
            ("tags.ring = 'canary' AND tags.ring = 'beta'", "none"),
            ("tags.ring = null", "none"),
            ("false", "none"),
            ("tags.floor = 2", "none"),
            ("*", "none"),
        ] {
            let words = |wish: &Wish| {
                let PropertyValue { property: _, value, close } = &wish.now;
                let value = value.as_deref().unwrap_or("-");
                let close = close.as_ref().map(|c| format!(", close to {c}")).unwrap_or_default();
                format!("{} ({value}{close})", wish.wanted)
            };
            let found = nearest(text, &device).map_or("none".to_owned(), |wishes| {
                wishes.iter().map(words).collect::<Vec<_>>().join("; ")
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_long_condition_is_answered_at_once() {
        let device = device(r#""a": 0"#);
        let pair = |n: usize| format!("(tags.x{n} = 1 OR tags.y{n} = 1 AND tags.z{n} = tags.a)");
        let text: Vec<String> = (0..120).map(pair).collect();
        assert_eq!(nearest(&text.join(" AND "), &device).unwrap().len(), 120);
        let text: Vec<String> = (0..400).map(|n| format!("tags.a = {n}")).collect();
        assert_eq!(nearest(&format!("NOT ({})", text.join(" OR ")), &device).unwrap().len(), 1);
    }

    const KEYS: [&str; 3] = ["a", "b", "c"];

    fn domain() -> Vec<Value> {
        let texts = ["", "x", "xy"].map(Value::from);
        let others = [Value::Bool(true), Value::Bool(false), Value::Integer(1), Value::Integer(2)];
        texts.into_iter().chain(others).collect()
    }

    fn leaf() -> impl Strategy<Value = String> {
        let tag = || prop::sample::select(KEYS.to_vec()).prop_map(|key| format!("tags.{key}"));
        let literal = || {
            prop::sample::select(vec!["''", "'x'", "'xy'", "true", "false", "1", "2"])
                .prop_map(str::to_owned)
        };
        let equality = prop::sample::select(vec!["=", "!="]);
        let order = prop::sample::select(vec!["<", "<=", ">", ">="]);
        let ordered = prop::sample::select(vec!["'x'", "1", "2", "tags.a"]);
        prop_oneof![
            4 => (tag(), equality, prop_oneof![3 => literal(), 1 => tag()])
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            2 => (tag(), order, ordered).prop_map(|(l, operator, r)| format!("{l} {operator} {r}")),
            1 => (tag(), prop::sample::select(vec!["IN", "NIN"]), literal(), literal())
                .prop_map(|(tag, operator, one, two)| format!("{tag} {operator} [{one}, {two}]")),
            1 => tag(),
            1 => tag().prop_map(|tag| format!("IS_DEFINED({tag})")),
            1 => tag().prop_map(|tag| format!("CONTAINS({tag}, 'x')")),
            1 => Just("deviceId = 'other'".to_owned()),
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        leaf().prop_recursive(3, 9, 3, |inner| {
            let terms = prop::collection::vec(inner.clone(), 2..4);
            prop_oneof![
                terms.clone().prop_map(|terms| format!("({})", terms.join(" AND "))),
                terms.prop_map(|terms| format!("({})", terms.join(" OR "))),
                inner.prop_map(|term| format!("NOT ({term})")),
            ]
        })
    }

    fn tags() -> impl Strategy<Value = Table> {
        let value = prop::option::weighted(0.7, prop::sample::select(domain()));
        prop::collection::vec(value, KEYS.len()).prop_map(|values| {
            let pairs = KEYS.iter().zip(values);
            pairs.filter_map(|(key, value)| Some(((*key).to_owned(), value?))).collect()
        })
    }

    /// The fewest tags that make a condition true by values of the domain, tried one and all.
    fn fewest_changes(met: &dyn Fn(Table) -> bool, tags: &Table, from: usize, most: usize) -> bool {
        if met(tags.clone()) {
            return true;
        }
        most > 0
            && (from..KEYS.len()).any(|at| {
                domain().into_iter().map(Some).chain([None]).any(|value| {
                    let mut changed = tags.clone();
                    put_at(&[KEYS[at].to_owned()], value, &mut changed);
                    fewest_changes(met, &changed, at + 1, most - 1)
                })
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn wishes_that_are_granted_make_it_true_and_no_fewer_would(text in text(), tags in tags()) {
            let device = with_tags(tags.clone());
            let condition = Condition::parse(&text).unwrap();
            let met = |tags: Table| {
                let device = Device { tags, ..device.clone() };
                let subject = Subject { device: &device, reported: &device.reported };
                condition.evaluate(subject) == Truth::True
            };
            let subject = Subject { device: &device, reported: &device.reported };
            if met(tags.clone()) {
                prop_assert_eq!(condition.nearest_miss(subject), None);
                return Ok(());
            }
            let fewest = (1..=KEYS.len()).find(|n| fewest_changes(&met, &tags, 0, *n));
            let wishes = condition.nearest_miss(subject);
            if let Some(wishes) = &wishes {
                let (mut granted, mut reported) = (tags.clone(), Table::new());
                for wish in wishes {
                    wish.grant(&mut granted, &mut reported);
                    prop_assert_eq!(&wish.wanted, &Condition::parse(&wish.wanted).unwrap().to_string());
                }
                prop_assert!(met(granted), "{} {:?} {:?}", text, tags, wishes);
            }
            match (&wishes, fewest) {
                (Some(wishes), Some(fewest)) => prop_assert!(wishes.len() <= fewest, "{:?}", wishes),
                (None, Some(_)) => prop_assert!(false, "{text} can be met by {tags:?}"),
                (_, None) => {}
            }
        }
    }
}

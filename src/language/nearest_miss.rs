//! What is missing for a device to be selected: a short list of [`Wish`]es, properties, each with what must hold
//! of it, so that the condition is met once they are granted and nothing else changes.
//!
//! It is the shortest way ([`super::ways`]) for which values exist: each tried value comes from the leaves of the
//! way or lies beside one of theirs, all leaves of the way must be what they must be, and at last the whole
//! condition is evaluated with them. Of equally long ways the first in the text is taken.
//!
//! What is given is always right, but it need not be the shortest. Not all ways are followed, at most [`TRIES`]
//! values are tried, and where a leaf asks for an order or a part of a text, values may exist that lie beside none
//! of those tried. Where only equality is asked for, they can't: some tried value differs from all that are named.
//! So the search knows below which length it may have missed a way, and only a list that is not longer than that is
//! called the shortest. Nor does it say that there is no list where it finds none.

use super::ast::{Argument, Call, Expr, ExprKind, Literal, Operand, Operator, Property, Root};
use super::evaluate::{Lookup as _, Scalar, Subject, Truth, truth};
use super::explain::{PropertyValue, properties_of, value_at};
use super::properties::properties;
use super::ways::{Demand, Way, Ways, ways};
use crate::model::{Device, Table, Value};

/// So many values are tried for one way.
const TRIES: usize = 5000;

/// What must hold of a device that does not meet a condition for it to do so.
#[derive(Debug, Clone, PartialEq)]
pub struct NearestMiss {
    /// All of it together, each of another property.
    pub wishes: Vec<Wish>,
    /// Whether fewer properties can't do. `false`: it is not known.
    pub fewest: bool,
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

/// Wishes that make a condition true, as few as were found; `None` where none were found.
pub(super) fn nearest_miss(expr: &Expr, subject: Subject<'_>) -> Option<NearestMiss> {
    search(expr, subject).0
}

/// The nearest miss, and a number of properties: with fewer, none was missed.
fn search(expr: &Expr, subject: Subject<'_>) -> (Option<NearestMiss>, usize) {
    let Ways { ways, mut unsure, .. } = ways(expr, true, subject);
    // The ways don't know that a value within a property changes that one too.
    if has_property_within_another(expr) {
        unsure = 0;
    }
    for way in &ways {
        match values(way, expr, subject) {
            Tried::Found(wishes) => {
                let wishes = needed(wishes, expr, subject);
                // One is fewest in any case: a device that meets the condition is not asked about.
                let fewest = wishes.len() <= unsure.max(1);
                return (Some(NearestMiss { wishes, fewest }), unsure);
            }
            Tried::None => {}
            Tried::NotAll => unsure = unsure.min(way.changes.len()),
        }
    }
    (None, unsure)
}

/// The wishes without those that the others bring about.
fn needed(mut wishes: Vec<Wish>, expr: &Expr, subject: Subject<'_>) -> Vec<Wish> {
    let mut at = 0;
    while at < wishes.len() {
        let mut device = subject.device.clone();
        let mut reported = subject.reported.clone();
        for (_, wish) in wishes.iter().enumerate().filter(|(i, _)| *i != at) {
            wish.grant(&mut device.tags, &mut reported);
        }
        if truth(expr, Subject { device: &device, reported: &reported }) == Truth::True {
            wishes.remove(at);
        } else {
            at += 1;
        }
    }
    wishes
}

/// Whether it names a property and another that lies within it: `tags.at` and `tags.at.site`.
fn has_property_within_another(expr: &Expr) -> bool {
    let mut paths: Vec<(Root, Vec<String>)> =
        properties(expr).into_iter().map(|at| (at.root, at.path)).collect();
    // So what lies within a path comes right behind it.
    paths.sort();
    paths.dedup();
    paths.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[1].1.starts_with(&pair[0].1))
}

/// What came of trying values for a way.
enum Tried {
    Found(Vec<Wish>),
    /// There are none.
    None,
    /// None were found, but there may be others than those tried.
    NotAll,
}

/// Wishes with values that make every leaf what it must be, and the whole condition true.
fn values(way: &Way<'_>, whole: &Expr, subject: Subject<'_>) -> Tried {
    let mut trial = Trial {
        way,
        whole,
        device: subject.device.clone(),
        reported: subject.reported.clone(),
        left: TRIES,
        cut: false,
    };
    let Some(examples) = trial.fill(0) else {
        let concerned = |demand: &&Demand<'_>| way.changes.iter().any(|c| demand.concerns(c));
        let all_tried = !trial.cut
            && way.demands.iter().filter(concerned).all(|demand| asks_for_equality(demand.leaf));
        return if all_tried { Tried::None } else { Tried::NotAll };
    };
    let wishes = way.changes.iter().zip(examples).map(|(property, example)| {
        let demands = way.demands.iter().filter(|demand| demand.concerns(property));
        let mut wanted: Vec<String> = demands.map(Demand::words).collect();
        wanted.dedup();
        Wish {
            wanted: wanted.join(" AND "),
            now: value_at(property, subject),
            example,
            property: (*property).clone(),
        }
    });
    Tried::Found(wishes.collect())
}

/// Whether a leaf asks no more than which values are equal, there, `true` or `false`.
fn asks_for_equality(leaf: &Expr) -> bool {
    let simple = |operand: &Operand| match operand {
        Operand::Literal(_) | Operand::Property(_) | Operand::Call(Call::IsDefined(_)) => true,
        Operand::Call(Call::Text { .. }) => false,
    };
    match &leaf.kind {
        ExprKind::Compare { left, operator, right } => {
            matches!(operator, Operator::Equal | Operator::NotEqual)
                && simple(left)
                && simple(right)
        }
        ExprKind::Among { operand, .. } | ExprKind::Bare(operand) => simple(operand),
        ExprKind::Or(_) | ExprKind::And(_) | ExprKind::Not(_) => false,
    }
}

/// A device with values tried at the properties that have to change.
struct Trial<'a, 'w> {
    way: &'w Way<'a>,
    whole: &'w Expr,
    device: Device,
    reported: Table,
    left: usize,
    /// Whether values were left untried for their number.
    cut: bool,
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
            if self.left == 0 {
                self.cut = true;
                return None;
            }
            self.left -= 1;
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
            let mut shorter = text.chars();
            shorter.next_back();
            vec![Value::from(format!("{text}0")), Value::from(shorter.as_str())]
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
    match value {
        Some(value) => drop(table.set_at(path, value)),
        None => drop(table.remove_at(path)),
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

    fn nearest(text: &str, device: &Device) -> Option<NearestMiss> {
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
                "at most tags.on = true (false); tags.x = 1 (-)",
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
            let found = nearest(text, &device).map_or("none".to_owned(), |miss| {
                let wishes: Vec<String> = miss.wishes.iter().map(words).collect();
                format!("{}{}", if miss.fewest { "" } else { "at most " }, wishes.join("; "))
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn fewest_is_only_said_where_none_can_have_been_missed() {
        let device = device(r#""a": "x", "c": true"#);
        let long: Vec<String> = (0..6)
            .map(|n| format!("(tags.p{n} = tags.q{n} OR tags.r{n} = 1 AND tags.s{n} = 1)"))
            .collect();
        let long = long.join(" AND ");
        // A short way that can't be gone, before one that can.
        let after = |refuted: &str| format!("{refuted} OR tags.y = 1 AND tags.z = 1");
        for (text, count, fewest) in [
            // The same way through several terms counts once.
            (
                "tags.a = '' AND tags.b = true AND tags.c != tags.b AND \
                 (IS_DEFINED(tags.a) OR tags.a = '') AND tags.a != tags.b",
                3,
                true,
            ),
            (&after("tags.x = 1 AND tags.x = 2"), 2, true),
            (&after("tags.x != 1 AND tags.x IN [1] AND tags.x = tags.a"), 2, true),
            // There may be a number beside those that are tried, and a text between two.
            (&after("tags.x > 1 AND tags.x < 1"), 2, false),
            (&after("STARTSWITH(tags.x, 'a') AND ENDSWITH(tags.x, 'b')"), 2, false),
            // One is always the fewest.
            ("tags.x > 1 AND tags.x < 1 OR tags.y = 1", 1, true),
            // More ways than are followed; all are as long.
            (&long, 12, true),
            // What one property brings about for another is not asked for, but who knows what else is.
            ("IS_DEFINED(tags.x) AND tags.x.site = 1", 1, true),
            ("IS_DEFINED(tags.x) AND tags.x.site = 1 AND tags.y = 1", 2, false),
        ] {
            let miss = nearest(text, &device).expect(text);
            assert_eq!((miss.wishes.len(), miss.fewest), (count, fewest), "{text}");
        }
    }

    #[test]
    fn a_long_condition_is_answered_at_once() {
        let device = device(r#""a": 0"#);
        let pair = |n: usize| format!("(tags.x{n} = 1 OR tags.y{n} = 1 AND tags.z{n} = tags.a)");
        let text: Vec<String> = (0..120).map(pair).collect();
        let miss = nearest(&text.join(" AND "), &device).unwrap();
        assert_eq!((miss.wishes.len(), miss.fewest), (120, true));
        let text: Vec<String> = (0..400).map(|n| format!("tags.a = {n}")).collect();
        assert_eq!(
            nearest(&format!("NOT ({})", text.join(" OR ")), &device).unwrap().wishes.len(),
            1
        );
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
            1 => (tag(), tag()).prop_map(|(one, two)| format!("IS_DEFINED({one}) = {two}")),
            1 => tag().prop_map(|tag| format!("CONTAINS({tag}, 'x')")),
            1 => (tag(), tag()).prop_map(|(one, two)| format!("STARTSWITH({one}, {two})")),
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
        fn wishes_make_it_true_and_no_fewer_would_where_that_is_said(text in text(), tags in tags()) {
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
            let (miss, unsure) = search(condition.expr().unwrap(), subject);
            if let Some(miss) = &miss {
                let (mut granted, mut reported) = (tags.clone(), Table::new());
                for wish in &miss.wishes {
                    wish.grant(&mut granted, &mut reported);
                    prop_assert_eq!(&wish.wanted, &Condition::parse(&wish.wanted).unwrap().to_string());
                }
                prop_assert!(met(granted), "{} {:?} {:?}", text, tags, miss);
            }
            match (&miss, fewest) {
                (Some(miss), Some(fewest)) => {
                    prop_assert!(!miss.fewest || miss.wishes.len() <= fewest, "{:?}", miss);
                    prop_assert!(miss.fewest || unsure < miss.wishes.len());
                }
                (None, Some(fewest)) => {
                    prop_assert!(unsure <= fewest, "{text} can be met by {tags:?}");
                }
                (_, None) => {}
            }
        }
    }
}

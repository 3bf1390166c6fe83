//! The ways to a match: which leaves of a condition to make true or false, and which properties to change for
//! that.
//!
//! A *way* takes every term of an `AND` and one term of an `OR` (the other way round below a `NOT`), down to
//! leaves that must be true or false. Its length is the number of properties that have to change for the leaves
//! that are not so yet; a device's id can't. Whatever makes a condition true changes at least the properties of
//! some way. There may be very many, so of every part at most [`WAYS`] are followed, the shortest; what is known
//! of the others is how long they are at least.

use super::ast::{Call, Expr, ExprKind, Operand, Operator, Property, Root};
use super::evaluate::{Lookup as _, Subject, Truth, truth};
use super::explain::properties_of;
use std::collections::BTreeSet;

/// So many ways to a match are followed of every part, the shortest.
const WAYS: usize = 16;

/// Some ways to a match, the shortest first.
pub(super) struct Ways<'a> {
    pub(super) ways: Vec<Way<'a>>,
    /// No way is missing that is shorter than this.
    pub(super) unsure: usize,
    /// All that any way may change, also one that is missing.
    can_change: BTreeSet<Name<'a>>,
}

/// What makes two places name one property.
type Name<'a> = (Root, &'a [String]);

fn name(property: &Property) -> Name<'_> {
    (property.root, &property.path)
}

/// Leaves that must be true or false, and the properties that have to change for it.
#[derive(Clone, Default)]
pub(super) struct Way<'a> {
    pub(super) changes: Vec<&'a Property>,
    pub(super) demands: Vec<Demand<'a>>,
}

/// A leaf, and whether it must be true or false.
#[derive(Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) leaf: &'a Expr,
    wanted: bool,
}

impl Ways<'_> {
    /// At least so many changes does each way make beside those of some properties.
    fn least_beside(&self, others: &BTreeSet<Name<'_>>) -> usize {
        let beside = |way: &Way<'_>| {
            way.changes.iter().filter(|property| !others.contains(&name(property))).count()
        };
        let missing = match self.unsure {
            usize::MAX => usize::MAX,
            unsure => unsure.saturating_sub(self.can_change.intersection(others).count()),
        };
        self.ways.iter().map(beside).min().unwrap_or(usize::MAX).min(missing)
    }
}

/// The ways to make a part of a condition true or false.
pub(super) fn ways<'a>(expr: &'a Expr, wanted: bool, subject: Subject<'_>) -> Ways<'a> {
    match (&expr.kind, wanted) {
        (ExprKind::Not(inner), _) => ways(inner, !wanted, subject),
        (ExprKind::And(terms), true) | (ExprKind::Or(terms), false) => {
            let none = shortest(vec![Way::default()], usize::MAX, BTreeSet::new());
            terms.iter().fold(none, |so_far, term| {
                let further = ways(term, wanted, subject);
                let both =
                    so_far.ways.iter().flat_map(|way| further.ways.iter().map(|w| way.with(w)));
                // A way with a missing part is as long as that part and what every other part adds to it.
                let missing = |one: &Ways<'_>, other: &Ways<'_>| {
                    one.unsure.saturating_add(other.least_beside(&one.can_change))
                };
                let unsure = missing(&so_far, &further).min(missing(&further, &so_far));
                let can_change = &so_far.can_change | &further.can_change;
                shortest(both.collect(), unsure, can_change)
            })
        }
        (ExprKind::And(terms), false) | (ExprKind::Or(terms), true) => {
            let all: Vec<Ways<'_>> = terms.iter().map(|term| ways(term, wanted, subject)).collect();
            let unsure = all.iter().map(|ways| ways.unsure).min().unwrap_or(usize::MAX);
            let can_change = all.iter().flat_map(|ways| ways.can_change.iter().copied()).collect();
            shortest(all.into_iter().flat_map(|ways| ways.ways).collect(), unsure, can_change)
        }
        (ExprKind::Compare { .. } | ExprKind::Among { .. } | ExprKind::Bare(_), _) => {
            let ways = ways_of_leaf(Demand { leaf: expr, wanted }, subject);
            let can_change = ways.iter().flat_map(|way| &way.changes).map(|p| name(p)).collect();
            shortest(ways, usize::MAX, can_change)
        }
    }
}

/// A leaf that is what it must be needs no change; else one of its properties, or all, must change. One
/// over two properties may have to follow a change that another leaf asks for, also where it holds now; and
/// it is neither true nor false before both are there, unless it asks for that.
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
    let missing = |property: &Property| {
        subject.lookup(property).is_none() && !asks_for_existence(demand.leaf, property)
    };
    for property in &can_change {
        if !can_change.iter().any(|other| other != property && missing(other)) {
            found.push(way(vec![*property]));
        }
    }
    if can_change.len() > 1 {
        found.push(way(can_change));
    }
    found
}

/// The shortest of them, each once, when none below a length is missing among them.
fn shortest<'a>(mut ways: Vec<Way<'a>>, unsure: usize, can_change: BTreeSet<Name<'a>>) -> Ways<'a> {
    ways.sort_by_key(|way| way.changes.len());
    let mut seen = BTreeSet::new();
    ways.retain(|way| seen.insert(way.identity()));
    let dropped = ways.get(WAYS).map_or(usize::MAX, |way| way.changes.len());
    ways.truncate(WAYS);
    Ways { ways, unsure: unsure.min(dropped), can_change }
}

impl<'a> Way<'a> {
    fn with(&self, more: &Self) -> Self {
        let mut both = self.clone();
        let new = more.changes.iter().filter(|property| !self.changes.contains(property));
        both.changes.extend(new);
        both.demands.extend(&more.demands);
        both
    }

    /// Equal for ways that change and demand the same, in whatever order.
    fn identity(&self) -> (Vec<Name<'a>>, Vec<(*const Expr, bool)>) {
        let mut changes: Vec<Name<'_>> = self.changes.iter().map(|p| name(p)).collect();
        changes.sort_unstable();
        let mut demands: Vec<(*const Expr, bool)> = self
            .demands
            .iter()
            .map(|demand| (std::ptr::from_ref(demand.leaf), demand.wanted))
            .collect();
        demands.sort_unstable();
        (changes, demands)
    }
}

/// Whether a leaf asks whether a property is there.
fn asks_for_existence(leaf: &Expr, property: &Property) -> bool {
    let asks = |operand: &Operand| matches!(operand, Operand::Call(Call::IsDefined(asked)) if asked == property);
    match &leaf.kind {
        ExprKind::Compare { left, operator: _, right } => asks(left) || asks(right),
        ExprKind::Among { operand, .. } | ExprKind::Bare(operand) => asks(operand),
        ExprKind::Or(_) | ExprKind::And(_) | ExprKind::Not(_) => false,
    }
}

impl Demand<'_> {
    pub(super) fn holds(&self, subject: Subject<'_>) -> bool {
        truth(self.leaf, subject) == if self.wanted { Truth::True } else { Truth::False }
    }

    pub(super) fn concerns(&self, property: &Property) -> bool {
        properties_of(self.leaf).contains(&property)
    }

    /// It as a condition that must be true.
    pub(super) fn words(&self) -> String {
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

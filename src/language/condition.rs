//! A target condition as the layers above hold it.

use super::ast::Expr;
use super::check::Checker;
use super::error::{LanguageError, in_order};
use super::evaluate::{Subject, Truth, truth};
use super::explain::{Leaf, explain};
use super::names::Scope;
use super::nearest_miss::{NearestMiss, nearest_miss};
use super::parse::parse_condition;
use super::properties::{PropertyUse, properties};
use super::scan::{TextKind, scan};
use super::terms::Terms;
use std::fmt;

/// A parsed and checked target condition. Two are equal when they say the same in the same order,
/// however they are spaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Meaning);

#[derive(Debug, Clone, PartialEq)]
enum Meaning {
    /// `*`.
    Every,
    /// Those for which it is true.
    Where(Expr),
}

impl Condition {
    /// Parses and checks a target condition. An empty or blank text is an error here: whoever holds the
    /// text decides what emptiness means.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<LanguageError>> {
        scan(text, TextKind::Condition)?;
        if text.trim() == "*" {
            return Ok(Self(Meaning::Every));
        }
        let (syntax, mut errors) = parse_condition(text)?;
        let mut checker = Checker { text, scope: Scope::Target, errors: &mut errors };
        match checker.expr(&syntax) {
            Some(expr) if errors.is_empty() => Ok(Self(Meaning::Where(expr))),
            _ => Err(in_order(errors)),
        }
    }

    /// Whether a device meets it.
    pub fn evaluate(&self, subject: Subject<'_>) -> Truth {
        match &self.0 {
            Meaning::Every => Truth::True,
            Meaning::Where(expr) => truth(expr, subject),
        }
    }

    /// Whether it is `*`.
    pub fn is_every_device(&self) -> bool {
        matches!(self.0, Meaning::Every)
    }

    /// Every place where it names a property, in the order of the text.
    pub fn properties(&self) -> Vec<PropertyUse> {
        match &self.0 {
            Meaning::Every => Vec::new(),
            Meaning::Where(expr) => properties(expr),
        }
    }

    /// Why a device does not meet it: the part that decided, and what the device has there. `None` for a
    /// device that meets it.
    pub fn explain(&self, subject: Subject<'_>) -> Option<Leaf> {
        match &self.0 {
            Meaning::Every => None,
            Meaning::Where(expr) => {
                (truth(expr, subject) != Truth::True).then(|| explain(expr, subject))
            }
        }
    }

    /// What would have to be different for a device to meet it, in as few properties as were found. `None`
    /// for a device that meets it, and where no such values are found.
    pub fn nearest_miss(&self, subject: Subject<'_>) -> Option<NearestMiss> {
        match &self.0 {
            Meaning::Every => None,
            Meaning::Where(expr) => {
                nearest_miss(expr, subject).filter(|miss| !miss.wishes.is_empty())
            }
        }
    }

    /// Which of its `AND` terms left no device: the term, and how many devices met all terms before it.
    /// `None` where some device meets all, or there are none at all.
    pub fn emptying_term<'a>(
        &self,
        subjects: impl IntoIterator<Item = Subject<'a>>,
    ) -> Option<(String, usize)> {
        let Meaning::Where(expr) = &self.0 else { return None };
        let mut terms = Terms::new(expr);
        for subject in subjects {
            terms.meets(subject);
        }
        terms.emptying()
    }

    /// Its expression; `None` for `*`.
    pub(super) fn expr(&self) -> Option<&Expr> {
        match &self.0 {
            Meaning::Every => None,
            Meaning::Where(expr) => Some(expr),
        }
    }

    #[cfg(test)]
    pub(super) fn of(expr: Expr) -> Self {
        Self(Meaning::Where(expr))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Meaning::Every => f.write_str("*"),
            Meaning::Where(expr) => expr.fmt(f),
        }
    }
}

//! How far rows get through the terms of a condition: which of them meet it, and which term left none.

use super::ast::Expr;
use super::evaluate::{Lookup, Truth, truth};

/// The terms of a top-level `AND`, with how many rows came how far.
pub(super) struct Terms<'e> {
    terms: &'e [Expr],
    /// How many rows meet the first n terms; at 0 all that there were.
    met: Vec<usize>,
}

impl<'e> Terms<'e> {
    pub(super) fn new(expr: &'e Expr) -> Self {
        let terms = expr.and_terms();
        Self { terms, met: vec![0; terms.len() + 1] }
    }

    /// Counts a row; whether it meets all of them, and so the condition.
    pub(super) fn meets<'a>(&mut self, source: impl Lookup<'a>) -> bool
    where
        'e: 'a,
    {
        let first = self.terms.iter().take_while(|t| truth(t, source) == Truth::True).count();
        for count in &mut self.met[..=first] {
            *count += 1;
        }
        first == self.terms.len()
    }

    /// The term that left no row, and how many had met all before it. `None` where some row meets all, or
    /// there was none at all.
    pub(super) fn emptying(&self) -> Option<(String, usize)> {
        let at = self.met.iter().position(|count| *count == 0)?.checked_sub(1)?;
        Some((self.terms[at].to_string(), self.met[at]))
    }
}

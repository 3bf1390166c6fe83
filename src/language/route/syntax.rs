//! What was written in a route, as a tree: names are still texts, and any type may stand anywhere.
//!
//! `parse` makes it, `check` turns it into what was meant. It never leaves the language layer.

use super::ast::Operator;
use crate::diagnostic::Span;

/// A route in its parts.
#[derive(Debug)]
pub(in crate::language) struct RouteSyntax {
    pub(in crate::language) source: Piece,
    pub(in crate::language) condition: Option<Syntax>,
    pub(in crate::language) sink: Piece,
}

/// Some of the text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::language) struct Piece {
    pub(in crate::language) text: String,
    pub(in crate::language) span: Span,
}

/// A part of a condition as it was written; the span is with its parentheses.
#[derive(Debug)]
pub(in crate::language) struct Syntax {
    pub(in crate::language) kind: SyntaxKind,
    pub(in crate::language) span: Span,
}

/// What kind of part.
#[derive(Debug)]
pub(in crate::language) enum SyntaxKind {
    Text(String),
    /// A name, a number or a constant.
    Word(String),
    /// `{$name}`.
    Braced(Piece),
    Call {
        name: Piece,
        arguments: Vec<Syntax>,
    },
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    /// Operands joined by operators of one tightness, from left to right.
    Chain {
        first: Box<Syntax>,
        rest: Vec<Joined>,
    },
    /// Something that has its error already: whoever meets it says no more.
    Wrong,
}

/// An operator with what stands behind it.
#[derive(Debug)]
pub(in crate::language) struct Joined {
    pub(in crate::language) operator: Operator,
    pub(in crate::language) at: Span,
    pub(in crate::language) operand: Syntax,
}

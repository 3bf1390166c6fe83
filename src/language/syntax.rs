//! What was written, as a tree: names are still texts, and anything may stand anywhere.
//!
//! `parse` makes it, `check` turns it into what was meant. It never leaves this folder.

use super::ast::{Literal, Operator};
use crate::diagnostic::Span;

/// A part of a condition as it was written; parentheses are gone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Syntax {
    pub(super) kind: SyntaxKind,
    pub(super) span: Span,
}

/// What kind of part.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SyntaxKind {
    Or(Vec<Syntax>),
    And(Vec<Syntax>),
    Not(Box<Syntax>),
    Compare {
        left: Box<Syntax>,
        operator: Operator,
        right: Box<Syntax>,
    },
    Among {
        operand: Box<Syntax>,
        negated: bool,
        list: Box<Syntax>,
    },
    Call {
        name: Word,
        arguments: Vec<Syntax>,
    },
    List(Vec<Syntax>),
    /// At least one word.
    Path(Vec<Word>),
    Literal(Literal),
    /// `*`.
    Every,
    /// Something that has its error already: whoever meets it says no more.
    Wrong,
}

/// A name in a path or call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) form: WordForm,
    pub(super) span: Span,
}

/// How a name was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordForm {
    /// As it is.
    Plain,
    /// In `['…']`.
    Quoted,
    /// In `[[…]]`, as queries write the id of a deployment.
    Deployment,
}

/// A part of a query, with the word that begins it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) kind: ClauseKind,
    pub(super) word: Span,
}

/// What kind of part.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ClauseKind {
    Select {
        /// `DISTINCT`, `TOP 5`.
        foreign: Option<Span>,
        columns: Vec<ColumnSyntax>,
    },
    From {
        collection: Option<Span>,
        alias: Option<AliasSyntax>,
    },
    Where(Syntax),
    GroupBy(Vec<Syntax>),
    /// `ORDER BY` and its like, to the end of the text.
    Foreign,
}

/// What stands between the commas behind `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnSyntax {
    pub(super) what: Syntax,
    pub(super) alias: Option<AliasSyntax>,
}

/// A name that is given to something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AliasSyntax {
    pub(super) name: String,
    pub(super) at: Span,
    /// Where its `AS` stands, if it does.
    pub(super) marked: Option<Span>,
}

impl Syntax {
    /// A part.
    pub(super) fn new(kind: SyntaxKind, span: Span) -> Self {
        Self { kind, span }
    }

    /// A part that has its error already.
    pub(super) fn wrong(span: Span) -> Self {
        Self::new(SyntaxKind::Wrong, span)
    }

    /// The word, if it is one word alone.
    pub(super) fn bare_word(&self) -> Option<&str> {
        match &self.kind {
            SyntaxKind::Path(words) => match words.as_slice() {
                [word] => Some(&word.text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is a property or a value, and no comparison.
    pub(super) fn is_operand(&self) -> bool {
        matches!(
            self.kind,
            SyntaxKind::Path(_) | SyntaxKind::Literal(_) | SyntaxKind::List(_) | SyntaxKind::Every
        )
    }
}

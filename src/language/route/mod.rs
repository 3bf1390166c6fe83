//! Routes: which messages go where, as edgeHub has them.
//!
//! Text enters, a checked [`ParsedRoute`] leaves, or all that is wrong with the text. The way: `scan` (length,
//! quotes, nesting, the order of the clauses) → `parse` → `syntax` (what was written) → `ends` (source and sink)
//! and `check` (names and types of the condition) → `ast` (what was meant; `print` writes it). The condition's
//! dialect is not that of targets; `grammar/README.md` is the reference of both.
//!
//! Not here: the evaluation on messages, for which the tree has all there is to know.

pub(super) mod ast;
mod check;
mod ends;
mod function;
mod names;
pub(super) mod print;
mod scan;
pub(super) mod syntax;
#[cfg(test)]
mod tests;

use self::ast::Expr;
use super::error::LanguageError;
use super::parse::parse_route;
use crate::diagnostic::Span;
use crate::model::{RouteSink, RouteSource};
use std::fmt;

/// A parsed and checked route. Two are equal when they say the same in the same order, however they are
/// written.
#[derive(Debug, Clone)]
pub struct ParsedRoute {
    source: RouteSource,
    source_span: Span,
    condition: Option<Expr>,
    sink: RouteSink,
    sink_span: Span,
}

impl ParsedRoute {
    /// Parses and checks a route.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<LanguageError>> {
        scan::scan(text).map_err(|error| vec![error])?;
        let (syntax, mut errors) = parse_route(text).map_err(|error| vec![error])?;
        let source = ends::source(&syntax.source).map_err(|error| errors.push(error)).ok();
        let sink = ends::sink(&syntax.sink).map_err(|error| errors.push(error)).ok();
        let condition = syntax.condition.as_ref();
        let checked =
            condition.map(|condition| check::check(text, condition, source.as_ref(), &mut errors));
        match (source, sink) {
            (Some(source), Some(sink)) if errors.is_empty() => Ok(Self {
                source,
                source_span: syntax.source.span,
                condition: checked.flatten(),
                sink,
                sink_span: sink_span(&syntax.sink),
            }),
            _ => {
                errors.sort_by_key(|error| error.span);
                errors.dedup();
                Err(errors)
            }
        }
    }

    /// Which messages it takes, before its condition is asked.
    pub fn source(&self) -> &RouteSource {
        &self.source
    }

    /// Where the source stands in the text.
    pub fn source_span(&self) -> Span {
        self.source_span
    }

    /// Who gets the messages.
    pub fn sink(&self) -> &RouteSink {
        &self.sink
    }

    /// Where the sink stands in the text.
    pub fn sink_span(&self) -> Span {
        self.sink_span
    }

    /// Its condition in the canonical form; `None` where it takes every message of its source.
    pub fn condition(&self) -> Option<String> {
        self.condition.as_ref().map(ToString::to_string)
    }

    #[cfg(test)]
    pub(super) fn of(source: RouteSource, condition: Option<Expr>, sink: RouteSink) -> Self {
        let (source_span, sink_span) = (Span::default(), Span::default());
        Self { source, source_span, condition, sink, sink_span }
    }
}

fn sink_span(piece: &syntax::Piece) -> Span {
    let start = piece.span.start as usize;
    Span::new(start, start + piece.text.trim_end().len())
}

impl PartialEq for ParsedRoute {
    fn eq(&self, other: &Self) -> bool {
        let Self { source, source_span: _, condition, sink, sink_span: _ } = self;
        (source, condition, sink) == (&other.source, &other.condition, &other.sink)
    }
}

impl fmt::Display for ParsedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FROM {}", self.source)?;
        if let Some(condition) = &self.condition {
            write!(f, " WHERE {condition}")?;
        }
        write!(f, " INTO {}", self.sink)
    }
}

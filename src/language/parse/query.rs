//! The text of a query to its clauses.
//!
//! A scanned text enters. What stands behind WHERE is built as a condition is. Not here: which clauses a query
//! needs, in which order, and what may stand in each; that is `check_query`.

use super::condition::{Builder, span, unreadable};
use super::grammar::{LanguageParser, Rule};
use crate::diagnostic::Span;
use crate::language::error::LanguageError;
use crate::language::scan::TextKind;
use crate::language::syntax::{AliasSyntax, Clause, ClauseKind, ColumnSyntax};
use pest::Parser;
use pest::iterators::Pair;

/// Parses a scanned text. Beside the clauses, in the order of the text, come the errors that did not stop
/// the reading.
///
/// # Errors
/// The one error after which nothing can be read.
pub(in crate::language) fn parse(
    text: &str,
) -> Result<(Vec<Clause>, Vec<LanguageError>), Vec<LanguageError>> {
    let mut pairs = LanguageParser::parse(Rule::selection, text)
        .map_err(|error| vec![unreadable(text, TextKind::Query, &error)])?;
    let selection = pairs.next().expect("a query is one pair");
    let mut builder = Builder::new(text);
    let clauses = selection
        .into_inner()
        .filter(|pair| pair.as_rule() != Rule::EOI)
        .map(|pair| clause(&mut builder, pair))
        .collect();
    Ok((clauses, builder.into_errors()))
}

fn clause(builder: &mut Builder<'_>, pair: Pair<'_, Rule>) -> Clause {
    let rule = pair.as_rule();
    let mut children = pair.into_inner();
    let word = children.next().expect("a clause starts with its word");
    let word = span(&word);
    let kind = match rule {
        Rule::select => {
            let mut foreign = None;
            let mut columns = Vec::new();
            for child in children {
                match child.as_rule() {
                    Rule::foreign_select => foreign = Some(span(&child)),
                    _ => columns.push(column(builder, child)),
                }
            }
            ClauseKind::Select { foreign, columns }
        }
        Rule::from => {
            let collection = children.next().map(|collection| span(&collection));
            ClauseKind::From { collection, alias: alias(children) }
        }
        Rule::filter => {
            let condition = children.next().expect("a condition stands behind WHERE");
            ClauseKind::Where(builder.disjunction(condition))
        }
        Rule::group_by => {
            ClauseKind::GroupBy(children.map(|operand| builder.operand(operand)).collect())
        }
        _ => ClauseKind::Foreign,
    };
    Clause { kind, word }
}

fn column(builder: &mut Builder<'_>, pair: Pair<'_, Rule>) -> ColumnSyntax {
    let mut children = pair.into_inner();
    let operand = children.next().expect("a column is an operand");
    ColumnSyntax { what: builder.operand(operand), alias: alias(children) }
}

/// The name behind a column or collection.
fn alias<'i>(pairs: impl Iterator<Item = Pair<'i, Rule>>) -> Option<AliasSyntax> {
    let mut marked: Option<Span> = None;
    for pair in pairs {
        match pair.as_rule() {
            Rule::as_word => marked = Some(span(&pair)),
            _ => {
                let at = span(&pair);
                return Some(AliasSyntax { name: pair.as_str().to_owned(), at, marked });
            }
        }
    }
    None
}

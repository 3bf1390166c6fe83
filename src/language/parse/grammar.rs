//! The parser that pest makes of both grammars: a query holds a condition, by the same rules.

/// Reads conditions and queries.
#[derive(pest_derive::Parser)]
#[grammar = "../grammar/condition.pest"]
#[grammar = "../grammar/query.pest"]
pub(super) struct LanguageParser;

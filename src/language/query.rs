//! A query as the layers above hold it.

use super::answer::{Answer, Found, answer, answer_found, find};
use super::ast::{Root, VERSION};
use super::check::Checker;
use super::check_query::check_query;
use super::error::{LanguageError, in_order};
use super::index::Columns;
use super::names::Scope;
use super::parse::{parse_condition, parse_query};
use super::properties::properties;
use super::row::Row;
use super::scan::{TextKind, scan};
use super::selection::{Collection, ColumnKind, Select, Selection};
use crate::diagnostic::Span;
use std::collections::BTreeSet;
use std::fmt;

/// A parsed and checked query. Two are equal when they say the same in the same order, however they are
/// spaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Query(Selection);

impl Query {
    /// Parses and checks a whole query.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<LanguageError>> {
        scan(text, TextKind::Query)?;
        if !begins_a_query(text) {
            let start = text.len() - text.trim_start().len();
            let error = LanguageError::new(
                Span::new(start, text.trim_end().len()),
                "a query begins with SELECT",
            );
            return Err(vec![error.help("write `SELECT deviceId FROM devices WHERE …`")]);
        }
        let (clauses, mut errors) = parse_query(text)?;
        match check_query(text, &clauses, &mut errors) {
            Some(selection) if errors.is_empty() => Ok(Self(selection)),
            _ => Err(in_order(errors)),
        }
    }

    /// Parses and checks a whole query, or a bare condition, which stands for
    /// `SELECT deviceId FROM devices WHERE …`; `*` for every device.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one, in the order of the text.
    pub fn parse_or_condition(text: &str) -> Result<Self, Vec<LanguageError>> {
        if begins_a_query(text) {
            return Self::parse(text);
        }
        scan(text, TextKind::Query)?;
        if text.trim() == "*" {
            return Ok(Self(Selection::devices_where(None)));
        }
        let (syntax, mut errors) = parse_condition(text)?;
        let mut checker = Checker { text, scope: Scope::Devices, errors: &mut errors };
        match checker.expr(&syntax) {
            Some(expr) if errors.is_empty() => Ok(Self(Selection::devices_where(Some(expr)))),
            _ => Err(in_order(errors)),
        }
    }

    /// What it looks through.
    pub fn collection(&self) -> Collection {
        self.0.collection
    }

    /// Whether it gives one row for everything it counts, whatever that is.
    pub fn gives_one_row(&self) -> bool {
        self.0.counts() && self.0.group_by.is_empty()
    }

    /// Whether it asks for desired properties, which whoever makes the rows may otherwise leave out.
    pub fn asks_for_desired(&self) -> bool {
        self.0.select == Select::Everything || self.roots().contains(&Root::Desired)
    }

    /// Whether it asks for the version of desired properties, which likewise may be left out.
    pub fn asks_for_version(&self) -> bool {
        let is_version = |root, path: &[String]| root == Root::Desired && *path == [VERSION];
        self.0.select == Select::Everything
            || self.properties().iter().any(|(root, path)| is_version(*root, path))
    }

    /// Whether it asks for what only somebody knows who has looked at devices.
    pub fn asks_for_what_was_seen(&self) -> bool {
        let seen = [Root::ConnectionState, Root::RuntimeStatus, Root::ExitCode, Root::RestartCount];
        self.roots().iter().any(|root| seen.contains(root))
    }

    fn roots(&self) -> BTreeSet<Root> {
        self.properties().into_iter().map(|(root, _)| root).collect()
    }

    /// All properties that it names, by root and path.
    fn properties(&self) -> Vec<(Root, Vec<String>)> {
        let Selection { select, collection: _, filter, group_by } = &self.0;
        let columns = match select {
            Select::Everything => &[][..],
            Select::Columns(columns) => columns,
        };
        let selected = columns.iter().filter_map(|column| match &column.what {
            ColumnKind::Property(property) => Some(property),
            ColumnKind::Count => None,
        });
        let written = selected.chain(group_by).map(|p| (p.root, p.path.clone()));
        let asked = filter.iter().flat_map(properties).map(|used| (used.root, used.path));
        written.chain(asked).collect()
    }

    /// Its answer over the rows of its collection.
    pub fn evaluate<'r>(&self, rows: impl IntoIterator<Item = Row<'r>>) -> Answer {
        answer(&self.0, rows.into_iter())
    }

    /// The devices that meet its condition, by their numbers, where it asks for nothing but what these columns say by
    /// files.
    pub fn find(&self, columns: &Columns) -> Option<Found> {
        find(&self.0, columns)
    }

    /// Its answer over the rows that were found so.
    pub fn evaluate_found<'r>(
        &self,
        found: &Found,
        rows: impl IntoIterator<Item = Row<'r>>,
    ) -> Answer {
        answer_found(&self.0, found, rows.into_iter())
    }

    /// Whether it asks what became of deployments, which whoever makes the rows may otherwise leave out.
    pub fn asks_for_configurations(&self) -> bool {
        self.0.select == Select::Everything || self.roots().contains(&Root::Configurations)
    }

    /// Whether it asks for reported properties, which likewise may be left out.
    pub fn asks_for_reported(&self) -> bool {
        self.0.select == Select::Everything || self.roots().contains(&Root::Reported)
    }

    #[cfg(test)]
    pub(super) fn of(selection: Selection) -> Self {
        Self(selection)
    }
}

/// Whether a text is to be a query, and not a bare condition: its first word says so.
fn begins_a_query(text: &str) -> bool {
    let word: String = text
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .collect();
    ["select", "from", "where"].iter().any(|clause| word.eq_ignore_ascii_case(clause))
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

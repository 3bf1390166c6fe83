//! What was written of a query to what was meant: clauses, collection, columns, groups.
//!
//! Clauses enter as they were written; a checked [`Selection`] leaves, or `None` where an error has been added.
//! Not here: what a condition may say; that is `check`, which knows the collection.

use super::ast::{Property, is_plain_key};
use super::check::Checker;
use super::error::LanguageError;
use super::names::Scope;
use super::selection::{Collection, Column, ColumnKind, Select, Selection};
use super::syntax::{AliasSyntax, Clause, ClauseKind, ColumnSyntax, Syntax, SyntaxKind};
use crate::diagnostic::{Span, closest};

const ORDER: &str = "the order is SELECT, FROM, WHERE, GROUP BY";

/// Checks a whole query. Each error is added to `errors`.
pub(super) fn check_query(
    text: &str,
    clauses: &[Clause],
    errors: &mut Vec<LanguageError>,
) -> Option<Selection> {
    let mut form = Form { text, errors };
    let found = form.clauses(clauses);
    let collection = form.collection(clauses, &found);
    let scope = match collection? {
        Collection::Devices => Scope::Devices,
        Collection::Modules => Scope::Modules,
    };
    let mut checker = Checker { text, scope, errors };
    let filter = found.filter.map(|condition| checker.expr(condition));
    let group_by: Vec<Option<Property>> =
        found.group_by.iter().flat_map(|g| g.iter()).map(|p| checker.grouping(p)).collect();
    let select = found.select.and_then(|select| checker.select(select));
    let group_by = group_by.into_iter().collect::<Option<Vec<_>>>()?;
    let selection = Selection {
        select: select?,
        collection: collection?,
        filter: match filter {
            Some(filter) => Some(filter?),
            None => None,
        },
        group_by,
    };
    let columns = found.select.map_or(&[][..], |select| select.columns);
    checker.groups(&selection, columns)?;
    checker.names(&selection, columns)?;
    Some(selection)
}

/// The clauses of a query, each at most once.
#[derive(Clone, Copy, Default)]
struct Found<'s> {
    select: Option<SelectSyntax<'s>>,
    from: Option<(Span, Option<Span>)>,
    filter: Option<&'s Syntax>,
    group_by: Option<&'s Vec<Syntax>>,
}

#[derive(Clone, Copy)]
struct SelectSyntax<'s> {
    word: Span,
    foreign: Option<Span>,
    columns: &'s [ColumnSyntax],
}

/// Checks the outer form, before it is known which collection the query is about.
struct Form<'c> {
    text: &'c str,
    errors: &'c mut Vec<LanguageError>,
}

impl Form<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(LanguageError::new(span, message).help(help));
    }

    fn upper(&self, span: Span) -> String {
        let words = &self.text[span.start as usize..span.end as usize];
        words.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase()
    }

    /// Each clause once and in order.
    fn clauses<'s>(&mut self, clauses: &'s [Clause]) -> Found<'s> {
        let mut found = Found::default();
        let mut last = 0;
        for Clause { kind, word } in clauses {
            let (place, is_twice) = match kind {
                ClauseKind::Select { foreign, columns } => {
                    let select = SelectSyntax { word: *word, foreign: *foreign, columns };
                    (1, found.select.replace(select).is_some())
                }
                ClauseKind::From { collection, alias } => {
                    if let Some(AliasSyntax { at, marked, .. }) = alias {
                        let start = marked.unwrap_or(*at).start;
                        self.error(
                            Span { start, end: at.end },
                            "a collection gets no other name",
                            "leave it out, and write properties without it: `tags.x`",
                        );
                    }
                    (2, found.from.replace((*word, *collection)).is_some())
                }
                ClauseKind::Where(condition) => (3, found.filter.replace(condition).is_some()),
                ClauseKind::GroupBy(by) => (4, found.group_by.replace(by).is_some()),
                ClauseKind::Foreign => {
                    self.foreign(*word);
                    continue;
                }
            };
            let name = self.upper(*word);
            if is_twice {
                let help = match kind {
                    ClauseKind::Where(_) => "join conditions by `AND`",
                    ClauseKind::GroupBy(_) => "write properties behind one GROUP BY, with commas",
                    _ => "a query stands alone: there is no query in a query",
                };
                self.error(*word, format!("{name} stands here a second time"), help);
            } else if place < last {
                self.error(*word, format!("{name} stands too late"), ORDER);
            }
            last = last.max(place);
        }
        found
    }

    /// `ORDER BY` and its like.
    fn foreign(&mut self, word: Span) {
        let name = self.upper(word);
        let first = name.split(' ').next().unwrap_or_default();
        let (name, help) = match first {
            "ORDER" => ("ORDER BY", "leave it out: rows come in the order of their ids"),
            "LIMIT" | "OFFSET" | "FETCH" | "TOP" => {
                (first, "leave it out: a query gives all its rows")
            }
            "HAVING" => (first, "groups can't be filtered; filter rows by WHERE"),
            "JOIN" | "INNER" | "LEFT" => {
                ("JOIN", "modules know the id and the tags of their device: `FROM devices.modules`")
            }
            "UNION" => (first, "join conditions by `OR`, or write two queries"),
            _ => (name.as_str(), "leave it out"),
        };
        self.error(word, format!("there is no {name}"), help);
    }

    /// What the query looks through, if it says so.
    fn collection(&mut self, clauses: &[Clause], found: &Found<'_>) -> Option<Collection> {
        if found.select.is_none() {
            let at = clauses.first().map_or(Span::new(0, self.text.len()), |clause| clause.word);
            self.error(at, "SELECT is missing", "begin with `SELECT deviceId`");
        }
        let Some((word, collection)) = found.from else {
            // Where it should stand: before the clause behind SELECT, else at the end.
            let behind = clauses.iter().find(|c| !matches!(c.kind, ClauseKind::Select { .. }));
            let end = self.text.trim_end().len();
            let at = behind.map_or(Span::new(end, end), |clause| clause.word);
            let help = "write `FROM devices` or `FROM devices.modules` behind the columns";
            self.error(at, "FROM is missing", help);
            return None;
        };
        let help = "write `FROM devices` or `FROM devices.modules`";
        let Some(at) = collection else {
            self.error(word, "FROM needs to know what to look through", help);
            return None;
        };
        let written = &self.text[at.start as usize..at.end as usize];
        match written {
            "devices" => Some(Collection::Devices),
            "devices.modules" => Some(Collection::Modules),
            _ => {
                let lower = written.to_ascii_lowercase();
                let message = format!("there is no collection `{written}`");
                let help = match lower.as_str() {
                    "modules" => "did you mean `devices.modules`?".to_owned(),
                    _ => match closest(&lower, ["devices", "devices.modules"]) {
                        Some(close) => format!("did you mean `{close}`?"),
                        None => help.to_owned(),
                    },
                };
                self.error(at, message, help);
                None
            }
        }
    }
}

impl Checker<'_> {
    fn select(&mut self, select: SelectSyntax<'_>) -> Option<Select> {
        let SelectSyntax { word, foreign, columns } = select;
        if let Some(at) = foreign {
            self.foreign_select(at);
        }
        if columns.is_empty() {
            return match foreign {
                Some(_) => None,
                None => self.error(
                    word,
                    "SELECT needs to know what to give",
                    "write `SELECT deviceId`, `SELECT *` or `SELECT COUNT()`",
                ),
            };
        }
        let every = |column: &ColumnSyntax| column.what.kind == SyntaxKind::Every;
        if let Some(column) = columns.iter().find(|c| every(c)) {
            if columns.len() > 1 {
                let help = "leave the other columns out, or the `*`";
                return self.error(
                    column.what.span,
                    "`*` stands for every column, and only alone",
                    help,
                );
            }
            if let Some(alias) = &column.alias {
                return self.error(alias.at, "`*` gets no name", "leave it out");
            }
            return Some(Select::Everything);
        }
        let columns: Vec<Option<Column>> = columns.iter().map(|c| self.column(c)).collect();
        Some(Select::Columns(columns.into_iter().collect::<Option<_>>()?))
    }

    fn foreign_select(&mut self, at: Span) {
        let word = self.slice(at).to_ascii_uppercase();
        let word = word.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let help = match word {
            "DISTINCT" => "group instead: `SELECT tags.x, COUNT() FROM devices GROUP BY tags.x`",
            "TOP" => "leave it out: a query gives all its rows",
            _ => "leave it out",
        };
        self.error::<()>(at, format!("there is no {word}"), help);
    }

    fn column(&mut self, column: &ColumnSyntax) -> Option<Column> {
        let ColumnSyntax { what, alias } = column;
        let kind = match &what.kind {
            SyntaxKind::Path(_)
                if what.bare_word().is_some_and(|word| word.eq_ignore_ascii_case("count")) =>
            {
                self.error(what.span, "COUNT needs its parentheses", "write `COUNT()`")
            }
            SyntaxKind::Path(words) => self.property(words, what.span).map(ColumnKind::Property),
            SyntaxKind::Call { name, arguments } => {
                let upper = name.text.to_ascii_uppercase();
                match (upper.as_str(), arguments.as_slice()) {
                    ("COUNT", []) => Some(ColumnKind::Count),
                    ("COUNT", _) => self.error(
                        what.span,
                        "COUNT counts rows, and takes nothing",
                        "write `COUNT()`; to count rows that have a property, write `WHERE IS_DEFINED(…)`",
                    ),
                    _ => self.error(
                        name.span,
                        format!("a column can't be a call of `{}`", name.text),
                        "a column is a property, or `COUNT()`",
                    ),
                }
            }
            SyntaxKind::Wrong => None,
            _ => {
                let found = self.slice(what.span).to_owned();
                self.error(
                    what.span,
                    format!("`{found}` is no column"),
                    "a column is a property, or `COUNT()`",
                )
            }
        };
        let name = alias.as_ref().map(|alias| self.alias(alias));
        let what = kind?;
        Some(Column { what, name: name.map_or(Some(None), |name| name.map(Some))? })
    }

    fn alias(&mut self, alias: &AliasSyntax) -> Option<String> {
        let AliasSyntax { name, at, marked } = alias;
        if !is_plain_key(name) {
            let message = format!("`{name}` is no name for a column");
            let help =
                "names start with a letter or `_` and go on with letters, digits, `_` and `-`";
            return self.error(*at, message, help);
        }
        if marked.is_none() {
            let message = format!("`AS` is missing before `{name}`");
            return self.error(
                *at,
                message,
                format!("write `AS {name}`, or a comma between columns"),
            );
        }
        Some(name.clone())
    }

    fn grouping(&mut self, syntax: &Syntax) -> Option<Property> {
        match &syntax.kind {
            SyntaxKind::Path(words) => self.property(words, syntax.span),
            SyntaxKind::Wrong => None,
            _ => {
                let found = self.slice(syntax.span).to_owned();
                let message = format!("rows are grouped by a property, and `{found}` is none");
                self.error(syntax.span, message, "write `GROUP BY tags.x`")
            }
        }
    }

    /// Where rows are counted or grouped, a column is the same for a whole group.
    fn groups(&mut self, selection: &Selection, written: &[ColumnSyntax]) -> Option<()> {
        if !selection.counts() {
            return Some(());
        }
        let columns = match &selection.select {
            Select::Columns(columns) => columns,
            Select::Everything => {
                let at = written.first().map_or(Span::default(), |column| column.what.span);
                let help = "write the property, and `COUNT()`";
                return self.error(at, "`*` can't be grouped", help);
            }
        };
        let mut all_right = Some(());
        for (column, written) in columns.iter().zip(written) {
            let ColumnKind::Property(property) = &column.what else { continue };
            if !selection.group_by.contains(property) {
                let mut by: Vec<String> =
                    selection.group_by.iter().map(ToString::to_string).collect();
                by.push(property.to_string());
                all_right = self.error(
                    written.what.span,
                    format!("`{property}` differs within what is counted together"),
                    format!("write `GROUP BY {}`, or leave the column out", by.join(", ")),
                );
            }
        }
        all_right
    }

    /// Columns have different names.
    fn names(&mut self, selection: &Selection, written: &[ColumnSyntax]) -> Option<()> {
        let Select::Columns(columns) = &selection.select else { return Some(()) };
        let names: Vec<String> = columns.iter().map(Column::name).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                let (column, written) = (&columns[at], &written[at]);
                let what = Column { name: None, ..column.clone() };
                let span = written.alias.as_ref().map_or(written.what.span, |alias| alias.at);
                return self.error(
                    span,
                    format!("a column of the name `{name}` is there already"),
                    format!("give it another one: `{what} AS {name}2`"),
                );
            }
        }
        Some(())
    }
}

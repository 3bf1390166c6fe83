//! What was meant by texts that come from elsewhere: whole queries, and terms that nothing joins.
//!
//! What `parse` found enters, sentences for people leave. Not here: single foreign operators and quotes, which
//! `parse` reads as what they were meant to be.

use super::ast::TextTest;
use super::error::LanguageError;
use super::syntax::{Syntax, SyntaxKind};
use crate::diagnostic::{Span, closest};

/// `SELECT …`, `FROM …` or `WHERE …`: a query instead of a condition.
pub(super) fn whole_query(text: &str, all: Span) -> LanguageError {
    let lower = text.to_ascii_lowercase();
    let end = lower
        .match_indices("where")
        .find(|(at, _)| {
            !lower[..*at].ends_with(|c: char| c.is_ascii_alphanumeric())
                && !lower[at + 5..].starts_with(|c: char| c.is_ascii_alphanumeric())
        })
        .map_or(all.end as usize, |(at, word)| at + word.len());
    let front = Span::new(all.start as usize, end);
    if lower[..end].contains("devices.modules") {
        LanguageError::new(front, "this selects modules; a target selects devices")
            .help("write only the condition behind WHERE, over `deviceId`, `tags.…` or `properties.reported.…`")
    } else {
        LanguageError::new(front, "this is a query; a target is a condition alone")
            .help("write only the condition that stands behind WHERE")
    }
}

/// The word or character at a place; empty at the end.
pub(super) fn first_token(text: &str, at: usize) -> Span {
    let rest = &text[at..];
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let length = match rest.chars().next() {
        Some(c) if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
        Some(c) => c.len_utf8(),
        None => 0,
    };
    Span::new(at, at + length)
}

/// How two neighbours of a conjunction are joined.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Joint {
    First,
    And,
    Missing,
}

/// What is wrong in a conjunction in which terms stand side by side.
pub(super) fn gaps(text: &str, joined: &[(Joint, Syntax)]) -> Vec<LanguageError> {
    let mut gaps = Gaps { text, errors: Vec::new() };
    gaps.all(joined);
    gaps.errors
}

struct Gaps<'t> {
    text: &'t str,
    errors: Vec<LanguageError>,
}

impl Gaps<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(LanguageError::new(span, message).help(help));
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Says what is missing between terms that nothing joins.
    fn all(&mut self, joined: &[(Joint, Syntax)]) {
        let mut at = 1;
        while at < joined.len() {
            let (before, (joint, term)) = (&joined[at - 1].1, &joined[at]);
            if *joint != Joint::Missing {
                at += 1;
                continue;
            }
            let behind = joined.get(at + 1).filter(|(joint, _)| *joint == Joint::Missing);
            match (term.bare_word(), behind) {
                (Some(word), Some((_, behind))) if behind.bare_word().is_none() => {
                    self.unknown_operator(term.span, word, before);
                    at += 2;
                }
                _ => {
                    self.gap(before, term);
                    at += 1;
                }
            }
        }
    }

    fn unknown_operator(&mut self, span: Span, word: &str, before: &Syntax) {
        let function = [TextTest::StartsWith, TextTest::EndsWith, TextTest::Contains]
            .into_iter()
            .find(|test| test.name() == word.to_ascii_uppercase().replace('_', ""));
        let help = match (function, word.to_ascii_lowercase().as_str()) {
            (Some(test), _) => {
                format!("write `{}({}, 'text')`", test.name(), self.slice(before.span))
            }
            (None, "eq" | "equals") => "write `=`".to_owned(),
            (None, "ne" | "neq") => "write `!=`".to_owned(),
            (None, "lt") => "write `<`".to_owned(),
            (None, "le" | "lte") => "write `<=`".to_owned(),
            (None, "gt") => "write `>`".to_owned(),
            (None, "ge" | "gte") => "write `>=`".to_owned(),
            (None, _) => match closest(word, ["AND", "OR", "IN", "NIN", "NOT"]) {
                Some(close) => format!("did you mean `{close}`?"),
                None => {
                    "the operators are AND, OR, NOT, =, !=, <, <=, >, >=, IN and NIN".to_owned()
                }
            },
        };
        self.error(span, format!("`{word}` is no operator"), help);
    }

    fn gap(&mut self, before: &Syntax, term: &Syntax) {
        let token = if term.is_operand() {
            term.span
        } else {
            first_token(self.text, term.span.start as usize)
        };
        let found = self.slice(token).to_owned();
        // `tags.a = west us`: the words belong together.
        let word_before = match &before.kind {
            SyntaxKind::Compare { right, .. } => right,
            _ => before,
        };
        if word_before.bare_word().is_some() && term.bare_word().is_some() {
            let all = Span { start: word_before.span.start, end: term.span.end };
            let text = self.slice(all).to_owned();
            self.error(
                all,
                format!("`{text}` is no property"),
                format!("if it is a text, put it into single quotes: `'{text}'`"),
            );
        } else if before.is_operand() && term.is_operand() {
            self.error(
                token,
                format!("an operator is missing before `{found}`"),
                "write `=`, or another of !=, <, <=, >, >=, IN and NIN",
            );
        } else if term.bare_word().is_some() {
            self.error(
                term.span,
                format!("`{found}` stands behind a whole comparison"),
                "join comparisons by `AND` or `OR`; put a text with blanks into single quotes",
            );
        } else {
            let right = if found.eq_ignore_ascii_case("not") {
                "write `AND NOT` (or `OR NOT`)"
            } else {
                "join comparisons by `AND` or `OR`"
            };
            self.error(token, format!("`AND` or `OR` is missing before `{found}`"), right);
        }
    }
}

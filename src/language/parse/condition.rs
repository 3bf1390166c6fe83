//! The text of a condition to its syntax tree.
//!
//! A scanned text enters ([`scan`](crate::language::scan)). Spellings of other languages become what they were meant to
//! be, each with an error, so that one run tells everything. What the grammar can't read at all is one error.
//! Not here: which names exist and what may stand where; that is `check`.

use super::grammar::{LanguageParser, Rule};
use crate::diagnostic::Span;
use crate::language::ast::{Literal, Operator, quoted};
use crate::language::error::LanguageError;
use crate::language::foreign::{Joint, first_token, gaps, whole_query};
use crate::language::scan::TextKind;
use crate::language::syntax::{Syntax, SyntaxKind, Word, WordForm};
use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};
use pest::iterators::Pair;

/// Parses a scanned text. Beside the tree come the errors that did not stop the reading.
///
/// # Errors
/// The one error after which nothing can be read.
pub(in crate::language) fn parse(
    text: &str,
) -> Result<(Syntax, Vec<LanguageError>), Vec<LanguageError>> {
    let mut pairs = LanguageParser::parse(Rule::condition, text)
        .map_err(|error| vec![unreadable(text, TextKind::Condition, &error)])?;
    let condition = pairs.next().expect("a condition is one pair");
    let body = condition.into_inner().next().expect("a condition has a body before its end");
    let mut builder = Builder::new(text);
    match body.as_rule() {
        Rule::query => Err(vec![whole_query(text, span(&body))]),
        _ => {
            let syntax = builder.disjunction(body);
            Ok((syntax, builder.errors))
        }
    }
}

/// What the grammar could not read, in the user's words.
pub(super) fn unreadable(text: &str, kind: TextKind, error: &Error<Rule>) -> LanguageError {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let behind_dot = text[..at].ends_with('.');
    let expects = |rules: &[Rule]| match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.iter().any(|r| rules.contains(r)),
        ErrorVariant::CustomError { .. } => false,
    };
    let noun = kind.noun();
    let end = format!("`AND`, `OR` or the end of the {noun}");
    let (expected, help) = if behind_dot {
        (
            "a name behind the dot",
            "write `tags.x`, or `tags['x y']` for a key that is no plain name",
        )
    } else if expects(&[Rule::operator, Rule::and, Rule::or]) {
        (end.as_str(), "join comparisons by `AND` or `OR`")
    } else if expects(&[Rule::from_word, Rule::where_word, Rule::group_word]) {
        (
            "a clause or the end of the query",
            "a query reads `SELECT deviceId FROM devices WHERE tags.environment = 'prod'`",
        )
    } else if kind == TextKind::Query && text[..at].trim_end().ends_with(',') {
        ("something behind the comma", "leave the comma out, or write what follows it")
    } else {
        ("a property, a value or `(`", "a comparison reads `tags.environment = 'prod'`")
    };
    let token = first_token(text, offender(text, at));
    if token.start == token.end {
        let message = format!("the {noun} ends too early: expected {expected}");
        return LanguageError::new(token, message).help(help);
    }
    let found = &text[token.start as usize..token.end as usize];
    let message = format!("unexpected `{found}`: expected {expected}");
    let end_mark = format!("leave it out: a {noun} has no end mark");
    let help = match found.to_ascii_lowercase().as_str() {
        ";" => end_mark.as_str(),
        "group" | "order" | "limit" if kind == TextKind::Condition => {
            "leave it out: a target is a condition alone"
        }
        "select" => "there is no query in a query; behind IN write the values: `['a', 'b']`",
        "not" => "write `NOT` before the whole comparison: `NOT tags.x = 'a'`",
        _ => help,
    };
    LanguageError::new(token, message).help(help)
}

/// Where what could not be read starts: the grammar notices a word in the wrong place at its end.
fn offender(text: &str, at: usize) -> usize {
    let blank = |c: char| c.is_ascii_whitespace();
    let rest = text[at..].trim_start_matches(blank);
    let word = text[..at].trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if !rest.is_empty() && text[at..].starts_with(blank) && word.len() < at {
        return word.len();
    }
    text.len() - rest.len()
}

pub(super) fn span(pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    Span::new(span.start(), span.end())
}

fn unquoted(text: &str) -> String {
    let mut characters = text.chars();
    characters.next();
    characters.next_back();
    characters.as_str().replace("''", "'")
}

/// Makes the tree and collects what is wrong on the way.
pub(super) struct Builder<'t> {
    text: &'t str,
    errors: Vec<LanguageError>,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, errors: Vec::new() }
    }

    pub(super) fn into_errors(self) -> Vec<LanguageError> {
        self.errors
    }

    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(LanguageError::new(span, message).help(help));
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// `‹found› is written ‹right›`.
    fn foreign(&mut self, span: Span, right: &str) {
        let found = self.slice(span).to_owned();
        self.error(span, format!("`{found}` is no operator here"), format!("write `{right}`"));
    }

    pub(super) fn disjunction(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let all = span(&pair);
        let mut terms = Vec::new();
        for child in pair.into_inner() {
            match child.as_rule() {
                Rule::or => {}
                Rule::foreign_or => self.foreign(span(&child), "OR"),
                _ => match self.conjunction(child) {
                    Syntax { kind: SyntaxKind::Or(inner), .. } => terms.extend(inner),
                    term => terms.push(term),
                },
            }
        }
        one_or(terms, |terms| Syntax::new(SyntaxKind::Or(terms), all))
    }

    fn conjunction(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let all = span(&pair);
        let mut joint = Joint::First;
        let mut joined: Vec<(Joint, Syntax)> = Vec::new();
        for child in pair.into_inner() {
            match child.as_rule() {
                Rule::and => joint = Joint::And,
                Rule::foreign_and => {
                    self.foreign(span(&child), "AND");
                    joint = Joint::And;
                }
                Rule::missing => joint = Joint::Missing,
                _ => joined.push((joint, self.negation(child))),
            }
        }
        if joined.iter().any(|(joint, _)| *joint == Joint::Missing) {
            self.errors.extend(gaps(self.text, &joined));
            return Syntax::wrong(all);
        }
        let mut terms = Vec::new();
        for (_, term) in joined {
            match term {
                Syntax { kind: SyntaxKind::And(inner), .. } => terms.extend(inner),
                term => terms.push(term),
            }
        }
        one_or(terms, |terms| Syntax::new(SyntaxKind::And(terms), all))
    }

    fn negation(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let mut starts = Vec::new();
        let mut inner = None;
        for child in pair.into_inner() {
            let at = span(&child);
            match child.as_rule() {
                Rule::not => starts.push(at.start),
                Rule::foreign_not => {
                    self.foreign(at, "NOT");
                    starts.push(at.start);
                }
                _ => inner = Some(self.comparison(child)),
            }
        }
        let inner = inner.expect("a negation ends with a comparison");
        starts.into_iter().rev().fold(inner, |inner, start| {
            let all = Span { start, end: inner.span.end };
            Syntax::new(SyntaxKind::Not(Box::new(inner)), all)
        })
    }

    fn comparison(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let all = span(&pair);
        let mut children = pair.into_inner();
        let first = children.next().expect("a comparison starts with an operand");
        let rest: Vec<_> = children.collect();
        let mut left = self.operand(first);
        let arithmetic = rest.iter().find(|child| {
            child.as_rule() == Rule::operator
                && matches!(child.as_str(), "+" | "-" | "*" | "/" | "%")
        });
        if let Some(operator) = arithmetic {
            self.error(
                span(operator),
                format!("conditions don't calculate: `{}`", operator.as_str()),
                "write the result, or put it into a tag",
            );
            return Syntax::wrong(all);
        }
        let mut rest = rest.into_iter();
        let mut compared = false;
        while let Some(child) = rest.next() {
            let at = span(&child);
            match child.as_rule() {
                Rule::is_test => {
                    self.is_test(&left, child);
                    left = Syntax::wrong(all);
                }
                Rule::between => {
                    let text = self.slice(left.span).to_owned();
                    let words: Vec<_> = child.into_inner().map(|c| c.as_str().trim()).collect();
                    let (low, high) = (words[1], words[3]);
                    self.error(
                        at,
                        "`BETWEEN` is no operator here",
                        format!("write `{text} >= {low} AND {text} <= {high}`"),
                    );
                    left = Syntax::wrong(all);
                }
                _ if compared => {
                    self.error(
                        at,
                        format!("a comparison can't be compared again: `{}`", child.as_str()),
                        "write two comparisons, joined by `AND`",
                    );
                    return Syntax::wrong(all);
                }
                _ => {
                    let right = self.operand(rest.next().expect("an operand behind an operator"));
                    left = self.operator(left, at, right);
                    compared = true;
                }
            }
        }
        left
    }

    fn operator(&mut self, left: Syntax, at: Span, right: Syntax) -> Syntax {
        let all = Span { start: left.span.start, end: right.span.end };
        let word = self.slice(at).to_ascii_lowercase();
        let word = word.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let operator = match word.as_str() {
            "=" => Operator::Equal,
            "!=" | "<>" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "in" | "nin" | "not in" => {
                if word == "not in" {
                    self.foreign(at, "NIN");
                }
                let kind = SyntaxKind::Among {
                    operand: Box::new(left),
                    negated: word != "in",
                    list: Box::new(right),
                };
                return Syntax::new(kind, all);
            }
            "==" | "===" | ":" => {
                self.foreign(at, "=");
                Operator::Equal
            }
            "!==" | "≠" => {
                self.foreign(at, "!=");
                Operator::NotEqual
            }
            "=<" | "≤" => {
                self.foreign(at, "<=");
                Operator::LessOrEqual
            }
            "=>" | "≥" => {
                self.foreign(at, ">=");
                Operator::GreaterOrEqual
            }
            _ => {
                // LIKE, NOT LIKE, =~, ~.
                let not = if word.starts_with("not") { "NOT " } else { "" };
                let found = self.slice(at).to_owned();
                let text = self.slice(left.span).to_owned();
                self.error(
                    at,
                    format!("`{found}` is no operator here: there are no patterns"),
                    format!("write `{not}STARTSWITH({text}, 'text')`, or ENDSWITH, or CONTAINS"),
                );
                return Syntax::wrong(all);
            }
        };
        let (left, right) = (Box::new(left), Box::new(right));
        Syntax::new(SyntaxKind::Compare { left, operator, right }, all)
    }

    /// `x IS NULL` and its like.
    fn is_test(&mut self, left: &Syntax, pair: Pair<'_, Rule>) {
        let all = span(&pair);
        let mut negated = false;
        let mut word = "";
        for child in pair.into_inner() {
            match child.as_rule() {
                Rule::not => negated = true,
                Rule::word => word = child.as_str(),
                _ => {}
            }
        }
        let text = self.slice(left.span).to_owned();
        let defined =
            |yes: bool| format!("write `{}IS_DEFINED({text})`", if yes { "" } else { "NOT " });
        let help = match word.to_ascii_lowercase().as_str() {
            "null" | "undefined" | "missing" => defined(negated),
            "defined" => defined(!negated),
            _ => format!("write `{text} {} …`", if negated { "!=" } else { "=" }),
        };
        let found = self.slice(all).to_owned();
        self.error(all, format!("`{found}` is no operator here"), help);
    }

    pub(super) fn operand(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let pair = pair.into_inner().next().expect("an operand is one of its kinds");
        let all = span(&pair);
        let literal = |literal| Syntax::new(SyntaxKind::Literal(literal), all);
        match pair.as_rule() {
            Rule::group => self.group(pair),
            Rule::list => {
                let items = pair.into_inner().map(|item| self.operand(item)).collect();
                Syntax::new(SyntaxKind::List(items), all)
            }
            Rule::text => literal(Literal::Text(unquoted(pair.as_str()))),
            Rule::foreign_text => literal(Literal::Text(self.foreign_text(pair.as_str(), all))),
            Rule::constant => literal(match pair.as_str().to_ascii_lowercase().as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                _ => Literal::Null,
            }),
            Rule::number => match number(pair.as_str()) {
                Some(number) => literal(number),
                None => {
                    self.error(
                        all,
                        format!("the number `{}` is too large", pair.as_str()),
                        "integers go up to 9223372036854775807; a longer number can be a text",
                    );
                    Syntax::wrong(all)
                }
            },
            Rule::every => Syntax::new(SyntaxKind::Every, all),
            Rule::call => {
                let mut children = pair.into_inner();
                let name = word(&children.next().expect("a call starts with its name"));
                let arguments = children.map(|argument| self.disjunction(argument)).collect();
                Syntax::new(SyntaxKind::Call { name, arguments }, all)
            }
            _ => self.path(pair),
        }
    }

    fn group(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let all = span(&pair);
        let mut parts: Vec<_> = pair.into_inner().map(|part| self.disjunction(part)).collect();
        match parts.pop() {
            // The span with its parentheses, so that what is quoted from it is whole.
            Some(part) if parts.is_empty() => Syntax { span: all, ..part },
            _ => {
                let inside = self.slice(all);
                let inside = inside[1..inside.len() - 1].to_owned();
                self.error(
                    all,
                    "a list stands in brackets, and only behind IN or NIN",
                    format!("write `[{inside}]`"),
                );
                Syntax::wrong(all)
            }
        }
    }

    fn foreign_text(&mut self, written: &str, all: Span) -> String {
        let text = unquoted(written);
        let right = quoted(&text);
        self.error(all, "texts stand in single quotes", format!("write `{right}`"));
        text
    }

    fn path(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let all = span(&pair);
        let mut words = Vec::new();
        for child in pair.into_inner() {
            let at = span(&child);
            if child.as_rule() == Rule::deployment {
                let id = child.into_inner().next().expect("an id stands in the brackets");
                let text = id.as_str().to_owned();
                words.push(Word { text, form: WordForm::Deployment, span: at });
                continue;
            }
            if child.as_rule() != Rule::key {
                words.push(word(&child));
                continue;
            }
            let inside = child.into_inner().next().expect("brackets hold a text or an index");
            let text = match inside.as_rule() {
                Rule::text => unquoted(inside.as_str()),
                Rule::foreign_text => self.foreign_text(inside.as_str(), span(&inside)),
                _ => {
                    let index = inside.as_str();
                    if index.bytes().all(|b| b.is_ascii_digit()) {
                        self.error(
                            at,
                            "items of a list can't be asked for",
                            format!("a list can only be asked with IS_DEFINED; a key is written `['{index}']`"),
                        );
                    } else {
                        self.error(
                            at,
                            "a key in brackets is a text",
                            format!("write `['{index}']`"),
                        );
                    }
                    return Syntax::wrong(all);
                }
            };
            words.push(Word { text, form: WordForm::Quoted, span: at });
        }
        Syntax::new(SyntaxKind::Path(words), all)
    }
}

fn word(pair: &Pair<'_, Rule>) -> Word {
    Word { text: pair.as_str().to_owned(), form: WordForm::Plain, span: span(pair) }
}

fn one_or(mut terms: Vec<Syntax>, all: impl FnOnce(Vec<Syntax>) -> Syntax) -> Syntax {
    if terms.len() == 1 { terms.remove(0) } else { all(terms) }
}

fn number(text: &str) -> Option<Literal> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return i64::from_str_radix(&format!("{sign}{digits}"), 16).ok().map(Literal::Integer);
    }
    if digits.contains(['.', 'e', 'E']) {
        return text.parse().ok().filter(|real: &f64| real.is_finite()).map(Literal::Real);
    }
    text.parse().ok().map(Literal::Integer)
}

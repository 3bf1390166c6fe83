//! The text of a route to its syntax tree.
//!
//! A scanned text enters. Spellings of other languages become what they were meant to be, each with an error, so
//! that one run tells everything. What the grammar can't read at all is one error. Not here: what names, source
//! and sink say; and types.

use crate::diagnostic::{Span, closest};
use crate::language::error::LanguageError;
use crate::language::foreign::first_token;
use crate::language::route::ast::Operator;
use crate::language::route::print::quoted;
use crate::language::route::syntax::{Joined, Piece, RouteSyntax, Syntax, SyntaxKind};
use grammar::{RouteParser, Rule};
use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};
use pest::iterators::Pair;

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/route.pest"]
    pub(super) struct RouteParser;
}

/// Parses a scanned text. Beside the tree come the errors that did not stop the reading.
///
/// # Errors
/// The one error after which nothing can be read.
pub(in crate::language) fn parse(
    text: &str,
) -> Result<(RouteSyntax, Vec<LanguageError>), LanguageError> {
    let mut pairs =
        RouteParser::parse(Rule::route, text).map_err(|error| unreadable(text, &error))?;
    let route = pairs.next().expect("a route is one pair");
    let mut builder = Builder { errors: Vec::new() };
    let (mut source, mut condition, mut sink) = (None, None, None);
    for clause in route.into_inner() {
        match clause.as_rule() {
            Rule::source => source = Some(piece(&clause)),
            Rule::condition => condition = Some(builder.condition(clause)),
            Rule::sink => sink = Some(piece(&clause)),
            _ => {}
        }
    }
    let source = source.expect("a route has a source");
    let sink = sink.expect("a route has a sink");
    Ok((RouteSyntax { source, condition, sink }, builder.errors))
}

/// What the grammar could not read, in the user's words.
fn unreadable(text: &str, error: &Error<Rule>) -> LanguageError {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let behind_operand = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives
            .iter()
            .any(|rule| matches!(rule, Rule::operator | Rule::into | Rule::word_operator)),
        ErrorVariant::CustomError { .. } => false,
    };
    let at = text.len() - text[at..].trim_start().len();
    let token = token_at(text, at);
    let found = &text[token.start as usize..token.end as usize];
    let previous = text[..at].trim_end();
    let touches = text[token.end as usize..].starts_with(|c: char| !c.is_ascii_whitespace());
    if behind_operand {
        let help = match found.to_ascii_lowercase().as_str() {
            "||" | "+" | "-" | "*" | "%" | "&&" | "&" | "|" if touches => {
                format!("write a blank behind `{found}`: it may stand in a name")
            }
            word if word.starts_with('-') || word.starts_with('+') => {
                "to calculate, write a blank behind the operator: `a - 5`".to_owned()
            }
            "like" => "there are no patterns: write `starts_with(name, 'text')`, ends_with or \
                       contains"
                .to_owned(),
            "in" | "nin" => "there are no lists: write `name = 'a' OR name = 'b'`".to_owned(),
            "is" => "write `is_null(name)`, or `is_defined(name)`".to_owned(),
            "between" => "write `as_number(name) >= 1 AND as_number(name) <= 3`".to_owned(),
            "eq" | "equals" => "write `=`".to_owned(),
            "ne" => "write `!=`".to_owned(),
            "gt" => "write `>`".to_owned(),
            "lt" => "write `<`".to_owned(),
            "not" => "write `AND NOT`, or `OR NOT`".to_owned(),
            "[" | "]" => "only `$body` has lists: `$body.items[0]`".to_owned(),
            word if word.starts_with(['\'', '"']) => {
                "an operator is missing before it: write `=`, or another of !=, <, <=, > and >="
                    .to_owned()
            }
            ";" => "leave it out: a route has no end mark".to_owned(),
            word => match closest(word, ["AND", "OR", "INTO"]).filter(|_| word.len() > 1) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "join comparisons by AND or OR; a text stands in quotes".to_owned(),
            },
        };
        let message = format!("unexpected `{found}`: expected an operator or `INTO`");
        return LanguageError::new(token, message).help(help);
    }
    let help = if previous.ends_with(['=', '<', '>']) && found.starts_with(['=', '<', '>']) {
        "the comparisons are =, !=, <>, <, <=, > and >="
    } else {
        "a comparison reads `level = 'alert'`, or `as_number(temperature) > 30`"
    };
    let message = format!("unexpected `{found}`: expected a property, a value or `(`");
    LanguageError::new(token, message).help(help)
}

/// The word, text, operator or character at a place; empty at the end.
fn token_at(text: &str, at: usize) -> Span {
    let rest = &text[at..];
    // Operators of several characters are one token.
    let signs = rest.find(|c: char| !"|&*%+-!=<>~^".contains(c)).unwrap_or(rest.len());
    if signs > 0 {
        return Span::new(at, at + signs);
    }
    match rest.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let end = rest[1..].find(quote).map_or(rest.len(), |end| end + 2);
            Span::new(at, at + end)
        }
        _ => first_token(text, at),
    }
}

fn span(pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    Span::new(span.start(), span.end())
}

fn piece(pair: &Pair<'_, Rule>) -> Piece {
    Piece { text: pair.as_str().to_owned(), span: span(pair) }
}

/// Makes the tree and collects what is wrong on the way.
struct Builder {
    errors: Vec<LanguageError>,
}

impl Builder {
    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(LanguageError::new(span, message).help(help));
    }

    fn condition(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let mut first = None;
        let mut rest = Vec::new();
        let mut operator = None;
        for child in pair.into_inner() {
            match (child.as_rule(), operator.take()) {
                (Rule::operator, _) => operator = Some((self.operator(&child), span(&child))),
                (_, Some((operator, at))) => {
                    rest.push(Joined { operator, at, operand: self.operand(child) });
                }
                (_, None) => first = Some(self.operand(child)),
            }
        }
        chain(first.expect("a condition begins with an operand"), rest, 0)
    }

    fn operator(&mut self, pair: &Pair<'_, Rule>) -> Operator {
        let (operator, foreign) = match pair.as_str().to_ascii_lowercase().as_str() {
            "??" => (Operator::Coalesce, None),
            "or" => (Operator::Or, None),
            "and" => (Operator::And, None),
            "!=" | "<>" => (Operator::NotEqual, None),
            "<" => (Operator::Less, None),
            "<=" => (Operator::LessOrEqual, None),
            ">" => (Operator::Greater, None),
            ">=" => (Operator::GreaterOrEqual, None),
            "+" => (Operator::Add, None),
            "-" => (Operator::Subtract, None),
            "||" => (Operator::Concat, None),
            "*" => (Operator::Multiply, None),
            "/" => (Operator::Divide, None),
            "%" => (Operator::Remainder, None),
            "=" => (Operator::Equal, None),
            "&&" | "&" => (Operator::And, Some("AND")),
            "|" => (Operator::Or, Some("OR")),
            "!==" | "≠" => (Operator::NotEqual, Some("!=")),
            "=<" | "≤" => (Operator::LessOrEqual, Some("<=")),
            "=>" | "≥" => (Operator::GreaterOrEqual, Some(">=")),
            // ==, ===, =~, :.
            _ => (Operator::Equal, Some("=")),
        };
        if let Some(right) = foreign {
            let message = format!("`{}` is no operator here", pair.as_str());
            self.error(span(pair), message, format!("write `{right}`"));
        }
        operator
    }

    fn operand(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let mut prefixes = Vec::new();
        let mut inner = None;
        for child in pair.into_inner() {
            if child.as_rule() == Rule::prefix {
                prefixes.push((span(&child).start, child.as_str() == "-"));
            } else {
                inner = Some(self.primary(child));
            }
        }
        let inner = inner.expect("prefixes stand before a primary");
        prefixes.into_iter().rev().fold(inner, |inner, (start, minus)| {
            let all = Span { start, end: inner.span.end };
            let inner = Box::new(inner);
            let kind = if minus { SyntaxKind::Negate(inner) } else { SyntaxKind::Not(inner) };
            Syntax { kind, span: all }
        })
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Syntax {
        let pair = pair.into_inner().next().expect("a primary is one of its kinds");
        let all = span(&pair);
        let kind = match pair.as_rule() {
            Rule::group => {
                let inner = pair.into_inner().next().expect("parentheses hold a condition");
                self.condition(inner).kind
            }
            Rule::text => self.text(&pair),
            Rule::braced => {
                let word = pair.into_inner().next().expect("braces hold a word");
                SyntaxKind::Braced(piece(&word))
            }
            Rule::call => {
                let mut children = pair.into_inner();
                let name = piece(&children.next().expect("a call starts with its name"));
                let arguments = children.map(|argument| self.condition(argument)).collect();
                SyntaxKind::Call { name, arguments }
            }
            _ => SyntaxKind::Word(pair.as_str().to_owned()),
        };
        Syntax { kind, span: all }
    }

    fn text(&mut self, pair: &Pair<'_, Rule>) -> SyntaxKind {
        let at = span(pair);
        let written = pair.as_str();
        let quote = written.chars().next().unwrap_or_default();
        let inside = &written[quote.len_utf8()..];
        let inside = &inside[..inside.len() - inside.chars().next_back().map_or(0, char::len_utf8)];
        if !matches!(quote, '\'' | '"') {
            let right = quoted(inside);
            self.error(at, "texts stand in plain quotes", format!("write `{right}`"));
            return SyntaxKind::Text(inside.to_owned());
        }
        match unescaped(inside) {
            Ok(text) => SyntaxKind::Text(text),
            Err((from, to)) => {
                let start = at.start as usize + 1;
                let found = &inside[from..to];
                let message = format!("`{found}` stands for nothing in a text");
                let help = "a backslash is written `\\\\`; the other escapes are `\\'`, `\\\"` and \
                            `\\u0041`, a character by its number";
                self.error(Span::new(start + from, start + to), message, help);
                SyntaxKind::Wrong
            }
        }
    }
}

/// Operands and operators in the order of the text, from one tightness on, to a tree.
fn chain(first: Syntax, rest: Vec<Joined>, tightness: u8) -> Syntax {
    if rest.is_empty() || tightness == Operator::TIGHTNESSES {
        return first;
    }
    // Runs of operands between operators of this tightness; each run is joined by tighter ones.
    let mut runs = vec![(None, first, Vec::new())];
    for joined in rest {
        if joined.operator.tightness() == tightness {
            let Joined { operator, at, operand } = joined;
            runs.push((Some((operator, at)), operand, Vec::new()));
        } else if let Some((_, _, run)) = runs.last_mut() {
            run.push(joined);
        }
    }
    let mut runs =
        runs.into_iter().map(|(by, operand, rest)| (by, chain(operand, rest, tightness + 1)));
    let (_, first) = runs.next().expect("there is a first run");
    let rest: Vec<Joined> = runs
        .filter_map(|(by, operand)| by.map(|(operator, at)| Joined { operator, at, operand }))
        .collect();
    match rest.last() {
        None => first,
        Some(last) => {
            let span = Span { start: first.span.start, end: last.operand.span.end };
            Syntax { kind: SyntaxKind::Chain { first: Box::new(first), rest }, span }
        }
    }
}

/// A text without its escapes, or where the one is that stands for nothing.
fn unescaped(inside: &str) -> Result<String, (usize, usize)> {
    let mut out = String::new();
    let mut at = 0;
    while let Some(c) = inside[at..].chars().next() {
        if c != '\\' {
            out.push(c);
            at += c.len_utf8();
            continue;
        }
        let next = inside[at + 1..].chars().next().unwrap_or('\\');
        let length = if matches!(next, 'u' | 'U') { 6 } else { 2 };
        let end = inside[at..].char_indices().map(|(i, _)| at + i).nth(length);
        let wrong = (at, end.unwrap_or(inside.len()));
        match next {
            '\'' | '"' | '\\' => {
                out.push(next);
                at += 2;
            }
            'u' | 'U' => {
                let high = unit(inside, at).ok_or(wrong)?;
                let low = unit(inside, at + 6);
                // A character beyond the first 65536 is written as two.
                let (character, length) = match char::from_u32(high) {
                    Some(c) => (Some(c), 6),
                    None => (low.and_then(|low| surrogates(high, low)), 12),
                };
                out.push(character.ok_or(wrong)?);
                at += length;
            }
            _ => return Err(wrong),
        }
    }
    Ok(out)
}

/// The number in `\u0041`.
fn unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?;
    let digits = digits.strip_prefix("\\u").or_else(|| digits.strip_prefix("\\U"))?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
    u32::from_str_radix(digits, 16).ok()
}

fn surrogates(high: u32, low: u32) -> Option<char> {
    let pair = (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low);
    pair.then(|| 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).and_then(char::from_u32)
}

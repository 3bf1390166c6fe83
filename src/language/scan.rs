//! What is looked at before the grammar sees a text: its length, quotes, brackets and nesting.
//!
//! A text that passes has closed quotes and matching brackets, and is nested so little that whatever walks
//! it may recurse. Not here: anything about the order of words.

use super::error::LanguageError;
use crate::diagnostic::Span;

/// How many characters a text may have.
pub(super) const MAX_CHARACTERS: usize = 8192;
/// How deep parentheses and `NOT`s may nest.
pub(super) const MAX_NESTING: usize = 100;

/// What a text is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Condition,
    Query,
}

impl TextKind {
    /// The word for it.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Query => "query",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Condition => {
                "write a condition such as `tags.environment = 'prod'`, or `*` for every device"
            }
            Self::Query => {
                "write a query such as `SELECT deviceId FROM devices WHERE tags.environment = 'prod'`"
            }
        }
    }
}

/// Checks a text's outer form.
///
/// # Errors
/// The first thing that is wrong: what comes behind it would only be guessed at.
pub(super) fn scan(text: &str, kind: TextKind) -> Result<(), Vec<LanguageError>> {
    outer_form(text, kind).map_err(|error| vec![error])
}

fn outer_form(text: &str, kind: TextKind) -> Result<(), LanguageError> {
    let all = Span::new(0, text.len());
    let noun = kind.noun();
    if text.trim().is_empty() {
        let message = format!("the {noun} is empty");
        return Err(LanguageError::new(all, message).help(kind.example()));
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARACTERS) {
        return Err(LanguageError::new(
            Span::new(end, text.len()),
            format!("the {noun} has more than {MAX_CHARACTERS} characters"),
        )
        .help("put what the devices have in common into a tag, and ask for that"));
    }
    let mut open: Vec<Open> = Vec::new();
    let mut depth = 0;
    // `NOT`s right before this place: they nest whatever follows.
    let mut nots = 0;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let span = Span::new(at, at + c.len_utf8());
        let mut next = at + c.len_utf8();
        match c {
            ' ' | '\t' | '\r' | '\n' => {
                at = next;
                continue;
            }
            '\'' | '"' | '`' | '“' | '”' | '‘' | '’' => {
                next = end_of_quote(text, at, c, kind)?;
            }
            '(' | '[' => {
                open.push(Open { bracket: c, at, weight: nots + 1 });
                depth += nots + 1;
                nots = 0;
            }
            ')' | ']' => depth -= close(&mut open, c, span)?,
            c if c.is_ascii_alphabetic() => {
                let rest = &text[at..];
                next = at + rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            }
            '!' if !text[next..].starts_with('=') => {}
            c if c.is_whitespace() || c.is_control() || is_invisible(c) => {
                return Err(LanguageError::new(
                    span,
                    format!("an invisible character (U+{:04X}) stands here", u32::from(c)),
                )
                .help("replace it by an ordinary blank"));
            }
            _ => {}
        }
        let token = &text[at..next];
        if token == "!" || token.eq_ignore_ascii_case("not") {
            nots += 1;
        } else {
            nots = 0;
        }
        if depth + nots > MAX_NESTING {
            return Err(LanguageError::new(
                span,
                format!("parentheses and NOTs nest more than {MAX_NESTING} deep here"),
            )
            .help("leave out those that change nothing"));
        }
        at = next;
    }
    match open.last() {
        Some(Open { bracket, at, .. }) => Err(LanguageError::new(
            Span::new(*at, at + 1),
            format!("this `{bracket}` is never closed"),
        )
        .help(format!("add the `{}` that belongs to it", counterpart(*bracket)))),
        None => Ok(()),
    }
}

/// A bracket that waits for its counterpart.
struct Open {
    bracket: char,
    at: usize,
    /// How much deeper it is inside.
    weight: usize,
}

fn close(open: &mut Vec<Open>, bracket: char, span: Span) -> Result<usize, LanguageError> {
    match open.pop() {
        Some(opened) if counterpart(opened.bracket) == bracket => Ok(opened.weight),
        Some(opened) => Err(LanguageError::new(
            span,
            format!("`{bracket}` can't close the `{}` before it", opened.bracket),
        )
        .help(format!("write `{}`", counterpart(opened.bracket)))),
        None => Err(LanguageError::new(span, format!("this `{bracket}` closes nothing")).help(
            format!("leave it out, or add the `{}` that belongs to it", counterpart(bracket)),
        )),
    }
}

/// The byte behind the quote that closes the one at `at`.
fn end_of_quote(
    text: &str,
    at: usize,
    quote: char,
    kind: TextKind,
) -> Result<usize, LanguageError> {
    let start = at + quote.len_utf8();
    let closes = |c: char| match quote {
        '“' | '”' => matches!(c, '“' | '”'),
        '‘' | '’' => matches!(c, '‘' | '’'),
        _ => c == quote,
    };
    let mut rest = text[start..].char_indices().peekable();
    while let Some((i, c)) = rest.next() {
        if c == '"' && quote == '\'' {
            return Err(double_quote_inside(start + i, kind));
        }
        if closes(c) {
            if quote == '\'' && rest.next_if(|(_, next)| *next == '\'').is_some() {
                continue;
            }
            return Ok(start + i + c.len_utf8());
        }
    }
    let error = LanguageError::new(Span::new(at, start), "this quote is never closed");
    Err(if text[..at].contains("\\'") {
        error.help("a quote inside a text is written twice, `''`, and not as `\\'`")
    } else if quote == '\'' {
        error.help("close the text with `'`; a quote inside a text is written twice: `'operator''sDevice'`")
    } else {
        error.help("texts stand in single quotes: `'text'`")
    })
}

fn double_quote_inside(at: usize, kind: TextKind) -> LanguageError {
    let place = match kind {
        TextKind::Condition => "a target condition",
        TextKind::Query => "a query",
    };
    LanguageError::new(
        Span::new(at, at + 1),
        format!("a double quote can't stand anywhere in {place}"),
    )
    .help("close the text with `'` if that was meant; a value that holds `\"` can't be asked for")
}

fn counterpart(bracket: char) -> char {
    match bracket {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        _ => '[',
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.'
}

pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

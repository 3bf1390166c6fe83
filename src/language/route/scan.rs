//! What is looked at before the grammar sees a route: its length, quotes, parentheses, nesting and comments, and
//! the order of SELECT, FROM, WHERE and INTO.
//!
//! A text that passes has its clauses in their order and none of them empty, and is nested so little that whatever
//! walks it may recurse. Not here: what source, condition and sink say.

use crate::diagnostic::{Span, closest};
use crate::language::error::LanguageError;
use crate::language::scan::{MAX_CHARACTERS, is_invisible};

/// How deep parentheses, NOTs and minus signs may nest. Less than in target conditions: here each of them can
/// hold operators of seven tightnesses, and whatever walks the tree goes down through all of them.
const MAX_NESTING: usize = 32;

/// An example for whom nothing was understood of what they wrote.
const EXAMPLE: &str = "a route reads `FROM /messages/modules/camera/* INTO $upstream`";

/// Checks a text's outer form.
///
/// # Errors
/// The first thing that is wrong: what comes behind it would only be guessed at.
pub(super) fn scan(text: &str) -> Result<(), LanguageError> {
    if text.trim().is_empty() {
        return Err(
            LanguageError::new(Span::new(0, text.len()), "the route is empty").help(EXAMPLE)
        );
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARACTERS) {
        let message = format!("the route has more than {MAX_CHARACTERS} characters");
        return Err(LanguageError::new(Span::new(end, text.len()), message)
            .help("write several routes: messages that meet any of them are carried once"));
    }
    let tokens = Tokens::read(text)?;
    clauses(text, &tokens.found)?;
    // Only now: most often the `/*` is that of a source, and something before it is wrong.
    if let Some(at) = tokens.unclosed_comment {
        let message = "this comment is never closed";
        return Err(LanguageError::new(Span::new(at, at + 2), message)
            .help("end it with `*/`, or leave it out"));
    }
    swallowing(text, &tokens.found)
}

/// What a token is for the outer form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Select,
    From,
    Where,
    Into,
    /// What stands behind FROM, up to a blank.
    Source,
    Other,
}

struct Token {
    kind: Kind,
    span: Span,
}

struct Tokens<'t> {
    text: &'t str,
    found: Vec<Token>,
    /// Where each parenthesis is that is not closed yet, and how much deeper it is inside.
    open: Vec<(usize, usize)>,
    depth: usize,
    /// NOTs and minus signs right before this place: they nest whatever follows.
    prefixes: usize,
    unclosed_comment: Option<usize>,
}

impl<'t> Tokens<'t> {
    fn read(text: &'t str) -> Result<Self, LanguageError> {
        let mut tokens = Self {
            text,
            found: Vec::new(),
            open: Vec::new(),
            depth: 0,
            prefixes: 0,
            unclosed_comment: None,
        };
        let mut at = 0;
        while at < text.len() {
            at = tokens.next(at)?;
        }
        match tokens.open.last() {
            Some((at, _)) => {
                Err(LanguageError::new(Span::new(*at, at + 1), "this `(` is never closed")
                    .help("add the `)` that belongs to it"))
            }
            None => Ok(tokens),
        }
    }

    /// Reads what begins at a byte; the byte behind it.
    fn next(&mut self, at: usize) -> Result<usize, LanguageError> {
        let rest = &self.text[at..];
        let Some(c) = rest.chars().next() else { return Ok(self.text.len()) };
        if is_blank(c) {
            return Ok(at + 1);
        }
        let behind_from = self.found.last().is_some_and(|token| token.kind == Kind::From);
        if !behind_from && rest.starts_with("/*") {
            if let Some(end) = rest[2..].find("*/") {
                return Ok(at + 2 + end + 2);
            }
            self.unclosed_comment.get_or_insert(at);
        }
        let end = at + c.len_utf8();
        let (kind, end) = match c {
            _ if behind_from => {
                let end = at + rest.find(is_blank).unwrap_or(rest.len());
                let mut source = self.text[at..end].char_indices();
                if let Some((i, c)) = source.find(|(_, c)| is_unseen(*c)) {
                    return Err(unseen(at + i, c));
                }
                match keyword(&self.text[at..end]) {
                    Kind::Other => (Kind::Source, end),
                    keyword => (keyword, end),
                }
            }
            '\'' | '"' | '“' | '”' | '‘' | '’' => (Kind::Other, self.end_of_quote(at, c)?),
            '(' => {
                self.open.push((at, self.prefixes + 1));
                self.depth += self.prefixes + 1;
                self.prefixes = 0;
                (Kind::Other, end)
            }
            ')' => {
                let Some((_, weight)) = self.open.pop() else {
                    let message = "this `)` closes nothing";
                    return Err(LanguageError::new(Span::new(at, end), message)
                        .help("leave it out, or add the `(` that belongs to it"));
                };
                self.depth -= weight;
                (Kind::Other, end)
            }
            c if is_unseen(c) => return Err(unseen(at, c)),
            c if is_word(c) => {
                let end = at + rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                (keyword(&self.text[at..end]), end)
            }
            _ => (Kind::Other, end),
        };
        self.measure(at, end)?;
        self.found.push(Token { kind, span: Span::new(at, end) });
        Ok(end)
    }

    fn measure(&mut self, at: usize, end: usize) -> Result<(), LanguageError> {
        let token = &self.text[at..end];
        if token == "-" || token.eq_ignore_ascii_case("not") {
            self.prefixes += 1;
        } else {
            self.prefixes = 0;
        }
        if self.depth + self.prefixes > MAX_NESTING {
            let message = format!("parentheses and NOTs nest more than {MAX_NESTING} deep here");
            return Err(LanguageError::new(Span::new(at, end), message)
                .help("leave out those that change nothing"));
        }
        Ok(())
    }

    /// What is wrong where a word begins right behind a text: the original takes both as one name.
    fn touching(&self, at: usize) -> Option<LanguageError> {
        let rest = &self.text[at..];
        let behind = &rest[..rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())];
        let help = match behind.chars().next()? {
            '|' | '&' | '+' | '-' | '*' | '%' | '!' => "write blanks on both sides of an operator",
            _ if behind.contains('\'') => {
                "a quote inside a text is written `\\'`, or the text stands in double quotes: \
                 `\"it's\"`"
            }
            _ => "write a blank behind the text",
        };
        let message = format!("`{behind}` touches the text before it");
        Some(LanguageError::new(Span::new(at, at + behind.len()), message).help(help))
    }

    /// The byte behind the quote that closes the one at `at`.
    fn end_of_quote(&self, at: usize, quote: char) -> Result<usize, LanguageError> {
        let start = at + quote.len_utf8();
        let typographic = !matches!(quote, '\'' | '"');
        let mut rest = self.text[start..].char_indices();
        while let Some((i, c)) = rest.next() {
            let closes = match quote {
                '“' | '”' => matches!(c, '“' | '”'),
                '‘' | '’' => matches!(c, '‘' | '’'),
                _ => c == quote,
            };
            if closes {
                let end = start + i + c.len_utf8();
                return self.touching(end).map_or(Ok(end), Err);
            }
            if c == '\\' && !typographic {
                rest.next();
            }
        }
        let quote = if quote == '"' { '"' } else { '\'' };
        Err(LanguageError::new(Span::new(at, start), "this quote is never closed").help(format!(
            "close the text with `{quote}`; a quote inside a text is written `\\{quote}`"
        )))
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Whether a character may stand in a word.
fn is_word(c: char) -> bool {
    !is_blank(c) && !is_unseen(c) && !"()<>@,;:\\\"/?={}".contains(c)
}

/// What looks like a blank, or like nothing, and is none.
fn is_unseen(c: char) -> bool {
    !is_blank(c) && (c.is_whitespace() || c.is_control() || is_invisible(c))
}

fn unseen(at: usize, c: char) -> LanguageError {
    let message = format!("an invisible character (U+{:04X}) stands here", u32::from(c));
    LanguageError::new(Span::new(at, at + c.len_utf8()), message)
        .help("replace it by an ordinary blank")
}

fn keyword(word: &str) -> Kind {
    match word.to_ascii_lowercase().as_str() {
        "select" => Kind::Select,
        "from" => Kind::From,
        "where" => Kind::Where,
        "into" => Kind::Into,
        _ => Kind::Other,
    }
}

/// Whether a word is what a sink begins with.
fn is_sink(word: &str) -> bool {
    ["$upstream", "upstream", "brokeredendpoint"].contains(&word.to_ascii_lowercase().as_str())
}

/// The clauses of a route, from left to right.
struct Clauses<'t> {
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
}

fn clauses(text: &str, tokens: &[Token]) -> Result<(), LanguageError> {
    let mut clauses = Clauses { text, tokens, at: 0 };
    clauses.start()?;
    clauses.source()?;
    clauses.condition()?;
    clauses.sink()
}

impl Clauses<'_> {
    fn kind(&self) -> Option<Kind> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    /// The token here; an empty span at the end of the text.
    fn span(&self) -> Span {
        let end = self.text.trim_end().len();
        self.tokens.get(self.at).map_or(Span::new(end, end), |token| token.span)
    }

    fn word(&self) -> &str {
        let Span { start, end } = self.span();
        &self.text[start as usize..end as usize]
    }

    fn error(&self, message: impl Into<String>, help: impl Into<String>) -> LanguageError {
        LanguageError::new(self.span(), message).help(help)
    }

    /// `SELECT *`, which may be left out, and FROM.
    fn start(&mut self) -> Result<(), LanguageError> {
        if self.kind() == Some(Kind::Select) {
            self.at += 1;
            if self.word() != "*" {
                let found = self.word();
                let message = match found {
                    "" => "`SELECT` takes `*`".to_owned(),
                    found => format!("`SELECT` takes `*`, not `{found}`"),
                };
                return Err(self.error(message, "a route carries whole messages: leave SELECT out"));
            }
            self.at += 1;
        }
        if self.kind() == Some(Kind::From) {
            self.at += 1;
            return Ok(());
        }
        let found = self.word();
        let help = if found.starts_with('/') {
            "write `FROM` before the source".to_owned()
        } else if found.contains('$') || found.contains('{') {
            format!("a route stands here as it is, nothing is filled in; {EXAMPLE}")
        } else if closest(found, ["FROM"]).is_some() {
            "did you mean `FROM`?".to_owned()
        } else {
            EXAMPLE.to_owned()
        };
        Err(self.error(format!("a route begins with `FROM`, not with `{found}`"), help))
    }

    fn source(&mut self) -> Result<(), LanguageError> {
        if self.kind() != Some(Kind::Source) {
            return Err(self.error(
                "the source behind `FROM` is missing",
                "write `/messages/*` for all messages, or `/messages/modules/NAME/outputs/*`",
            ));
        }
        self.at += 1;
        match self.kind() {
            Some(Kind::Where | Kind::Into) => Ok(()),
            None => Err(self.ends_early()),
            Some(_) if is_sink(self.word()) => Err(self.no_into()),
            Some(_) => {
                let found = self.word();
                let help = match found.to_ascii_lowercase().as_str() {
                    "to" | "in" | "into:" => "write `INTO`".to_owned(),
                    "if" | "when" | "filter" | "with" | "and" => "write `WHERE`".to_owned(),
                    _ => match closest(found, ["WHERE", "INTO"]) {
                        Some(close) => format!("did you mean `{close}`?"),
                        None => {
                            "behind the source stands `WHERE` with a condition, or `INTO` with \
                                 a sink; a source has no blanks in it"
                                .to_owned()
                        }
                    },
                };
                let message = format!("unexpected `{found}`: expected `WHERE` or `INTO`");
                Err(self.error(message, help))
            }
        }
    }

    fn ends_early(&self) -> LanguageError {
        self.error(
            "the route ends without `INTO`",
            "say where the messages go: `INTO $upstream`, or \
             `INTO BrokeredEndpoint(\"/modules/NAME/inputs/NAME\")`",
        )
    }

    fn no_into(&self) -> LanguageError {
        let found = self.word();
        self.error(format!("`INTO` is missing before `{found}`"), "write `INTO` before it")
    }

    fn condition(&mut self) -> Result<(), LanguageError> {
        if self.kind() != Some(Kind::Where) {
            return Ok(());
        }
        self.at += 1;
        let first = self.at;
        loop {
            match self.kind() {
                Some(Kind::Into) if self.at == first => {
                    return Err(self.error(
                        "there is no condition between `WHERE` and `INTO`",
                        "leave `WHERE` out to take every message",
                    ));
                }
                Some(Kind::Into) => return Ok(()),
                Some(Kind::Other) if self.at > first && is_sink(self.word()) => {
                    return Err(self.no_into());
                }
                Some(Kind::Other) => self.at += 1,
                Some(_) => {
                    let found = self.word();
                    return Err(self.error(
                        format!("`{found}` can't stand in a condition"),
                        "the words SELECT, FROM, WHERE and INTO part a route, each at most once; no \
                         property of such a name can be asked for",
                    ));
                }
                None => return Err(self.ends_early()),
            }
        }
    }

    fn sink(&mut self) -> Result<(), LanguageError> {
        self.at += 1;
        if self.kind().is_none() {
            return Err(self.error(
                "the sink behind `INTO` is missing",
                "write `$upstream`, or `BrokeredEndpoint(\"/modules/NAME/inputs/NAME\")`",
            ));
        }
        while let Some(kind) = self.kind() {
            let help = match kind {
                Kind::Other => {
                    self.at += 1;
                    continue;
                }
                Kind::Where => "the condition stands before `INTO`: `FROM … WHERE … INTO …`",
                _ => "a route has one source and one sink: write another route",
            };
            let found = self.word();
            return Err(self.error(format!("`{found}` can't stand behind `INTO`"), help));
        }
        Ok(())
    }
}

/// A source that ends in `/*` begins a comment for the original wherever `*/` follows, and the condition is
/// silently lost in it.
fn swallowing(text: &str, tokens: &[Token]) -> Result<(), LanguageError> {
    let Some(source) = tokens.iter().find(|token| token.kind == Kind::Source) else {
        return Ok(());
    };
    let Span { start, end } = source.span;
    let (start, end) = (start as usize, end as usize);
    let Some(comment) = text[start..end].find("/*").map(|at| start + at) else { return Ok(()) };
    let Some(close) = text[comment + 2..].find("*/").map(|at| comment + 2 + at) else {
        return Ok(());
    };
    let help = match &text[start..comment] {
        "" => "leave the comment out; in a text write `*\\u002f`".to_owned(),
        plain => format!("write the source without `/*`: `{plain}` means the same"),
    };
    let message = "with the `/*` of the source, all up to here would be a comment";
    Err(LanguageError::new(Span::new(close, close + 2), message).help(help))
}

//! Plain TOML read from its beginning to its end: keys, strings without escapes, whole numbers, booleans, inline tables.
//!
//! Enters: a text without control characters but line ends. Leaves: one thing after the other, or nothing where it is
//! anything else. Where scalars stand is kept ([`Cursor::scalars`]).

use super::words::Words;
use crate::model::{Table, Value};

/// So deep inline tables are read, and so many tables lie above the keys below a header.
pub(super) const DEEPEST: usize = 4;

/// A table of more keys is none that a person wrote; putting them in one by one would take long.
const MOST_KEYS: usize = 64;

/// Where a value stands.
pub(super) type Span = (usize, usize);

/// A value that is no table.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Integer(i64),
    Bool(bool),
}

impl Scalar<'_> {
    /// Nothing where it has control characters, which no plain text has.
    pub(super) fn if_clean(self) -> Option<Self> {
        match self {
            Self::Text(text) if text.bytes().any(|byte| byte.is_ascii_control()) => None,
            clean => Some(clean),
        }
    }

    pub(super) fn into_value(self, words: &mut Words) -> Value {
        match self {
            Self::Text(text) => Value::String(words.share(text)),
            Self::Integer(number) => Value::Integer(number),
            Self::Bool(is_so) => Value::Bool(is_so),
        }
    }
}

/// What is left of a text.
pub(super) struct Cursor<'a, 'w> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) words: &'w mut Words,
    /// Where the scalars stand that were read so far.
    pub(super) scalars: Vec<Span>,
}

impl<'a, 'w> Cursor<'a, 'w> {
    pub(super) fn new(text: &'a str, words: &'w mut Words) -> Self {
        Self { text, at: 0, words, scalars: Vec::new() }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// This very text.
    pub(super) fn take_text(&mut self, text: &str) -> Option<()> {
        let is_next = self.text.as_bytes()[self.at..].starts_with(text.as_bytes());
        self.at += if is_next { text.len() } else { return None };
        Some(())
    }

    /// What is left up to a byte that does not belong.
    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| !belongs(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|byte| byte == b' ');
    }

    pub(super) fn skip_line(&mut self) {
        self.take_while(|byte| byte != b'\n');
    }

    /// Nothing more stands on the line but a comment.
    pub(super) fn end_line(&mut self) -> Option<()> {
        self.skip_blanks();
        match self.peek() {
            None | Some(b'\n') => Some(()),
            Some(b'#') => {
                self.skip_line();
                Some(())
            }
            Some(_) if self.text[..self.at].ends_with('\n') => Some(()),
            Some(_) => None,
        }
    }

    pub(super) fn bare_key(&mut self) -> Option<&'a str> {
        let key = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        (!key.is_empty()).then_some(key)
    }

    /// What may stand behind a key, in so many inline tables.
    pub(super) fn value(&mut self, depth: usize) -> Option<Value> {
        if self.take(b'{') {
            return if depth < DEEPEST { self.inline_table(depth) } else { None };
        }
        let start = self.at;
        let scalar = self.scalar()?;
        self.scalars.push((start, self.at));
        Some(scalar.into_value(self.words))
    }

    /// Whether this very string is next; it is taken then.
    pub(super) fn takes_string(&mut self, text: &str) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let behind = rest.strip_prefix(b"\"").and_then(|rest| rest.strip_prefix(text.as_bytes()));
        let is_next = behind
            .is_some_and(|rest| matches!(rest, [b'"', rest @ ..] if !rest.starts_with(b"\"")));
        self.at += if is_next { text.len() + 2 } else { 0 };
        is_next
    }

    /// A string, a whole number or a boolean.
    pub(super) fn scalar(&mut self) -> Option<Scalar<'a>> {
        if self.take(b'"') {
            let text = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n'));
            let is_plain = self.take(b'"') && self.peek() != Some(b'"');
            return is_plain.then_some(Scalar::Text(text));
        }
        match self.take_while(|byte| !matches!(byte, b' ' | b',' | b'}' | b'#' | b'\n')) {
            "true" => Some(Scalar::Bool(true)),
            "false" => Some(Scalar::Bool(false)),
            word => whole_number(word).map(Scalar::Integer),
        }
    }

    fn inline_table(&mut self, depth: usize) -> Option<Value> {
        let mut table = Table::new();
        loop {
            self.skip_blanks();
            if table.is_empty() && self.take(b'}') {
                break;
            }
            let key = self.bare_key()?;
            self.skip_blanks();
            if !self.take(b'=') {
                return None;
            }
            self.skip_blanks();
            let value = self.value(depth + 1)?;
            insert(&mut table, key, value, self.words)?;
            self.skip_blanks();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return None;
            }
        }
        Some(Value::Table(table))
    }
}

/// A number without sign, separators and leading zeros.
fn whole_number(word: &str) -> Option<i64> {
    let is_plain = word.len() <= 18 && word.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && (word == "0" || !word.starts_with('0'))).then(|| word.parse().ok()).flatten()
}

/// Puts in a key that is not there yet.
pub(super) fn insert(table: &mut Table, key: &str, value: Value, words: &mut Words) -> Option<()> {
    if table.len() == MOST_KEYS {
        return None;
    }
    table.insert(words.share(key), value).is_none().then_some(())
}

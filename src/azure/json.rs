//! JSON as people keep it in manifests: with comments, trailing commas and placeholders without quotes.
//!
//! Enters: a file's text. Leaves: a tree in which every value and key knows where it stands, and what was
//! tolerated; or the first mistake with its place. Not here: what any of it means.

use crate::diagnostic::{Place, Source};
use crate::model::{Table, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How deep objects and lists may nest.
const DEEPEST: usize = 64;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) json: Json,
    pub(super) at: usize,
}

/// What a value is. Objects keep the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// A key of an object with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) value: Node,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonError {
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A tree, and what a strict reader would have refused.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Node,
    /// Values that follow the first one: an export with one document a line.
    pub(super) more: Vec<Node>,
    /// The first comment.
    pub(super) comment: Option<usize>,
    /// The first comma behind which nothing follows.
    pub(super) trailing_comma: Option<usize>,
    /// Keys that stand twice in one object; the last one counts.
    pub(super) doubled: Vec<(usize, String)>,
}

/// Parses a text; `fills` are the values of placeholders that stand where JSON wants a value.
pub(super) fn parse(text: &str, fills: &BTreeMap<String, String>) -> Result<Parsed, JsonError> {
    let mut parser =
        Parser { text, at: 0, fills, comment: None, trailing_comma: None, doubled: Vec::new() };
    parser.at = text.len() - text.trim_start_matches('\u{feff}').len();
    let root = parser.value(0)?;
    let mut more = Vec::new();
    parser.skip()?;
    while !parser.rest().is_empty() {
        if !matches!(root.json, Json::Object(_)) || !parser.rest().starts_with('{') {
            return Err(parser.wrong("something follows the end of the document"));
        }
        more.push(parser.value(0)?);
        parser.skip()?;
    }
    let Parser { comment, trailing_comma, doubled, .. } = parser;
    Ok(Parsed { root, more, comment, trailing_comma, doubled })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    fills: &'a BTreeMap<String, String>,
    comment: Option<usize>,
    trailing_comma: Option<usize>,
    doubled: Vec<(usize, String)>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, message: impl Into<String>) -> JsonError {
        JsonError { at: self.at, message: message.into(), help: None }
    }

    /// Goes over blanks and comments.
    fn skip(&mut self) -> Result<(), JsonError> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            let rest = self.rest();
            if rest.starts_with("//") {
                self.comment.get_or_insert(self.at);
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.comment.get_or_insert(self.at);
                let end = rest.find("*/").ok_or_else(|| self.wrong("a comment without its end"))?;
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn found(&self) -> String {
        match self.rest().chars().next() {
            None => "the end of the file".to_owned(),
            Some(c) if c.is_control() => format!("`{}`", c.escape_debug()),
            Some(c) => format!("`{c}`"),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.skip()?;
        let at = self.at;
        if depth > DEEPEST {
            return Err(self.wrong(format!("values nest deeper than {DEEPEST} levels")));
        }
        let json = match self.rest().chars().next() {
            Some('{') if !self.rest().starts_with("{{") => self.object(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Json::Text(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            _ => match self.word()? {
                Some(json) => json,
                None => return self.bare_placeholder(),
            },
        };
        Ok(Node { json, at })
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let begins = self.at;
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut comma = None;
        loop {
            self.skip()?;
            if self.rest().starts_with('}') {
                self.at += 1;
                self.trailing_comma = self.trailing_comma.or(comma);
                return Ok(Json::Object(members));
            }
            if !members.is_empty() && comma.is_none() {
                return Err(self.unfinished("`,` or `}` after a value", begins));
            }
            if !self.rest().starts_with('"') {
                return Err(self.unfinished("a key in double quotes or `}`", begins));
            }
            let at = self.at;
            let key = self.string()?;
            self.skip()?;
            if !self.rest().starts_with(':') {
                return Err(self.unfinished(&format!("`:` after the key \"{key}\""), begins));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            match known.get(&key) {
                Some(index) => {
                    (members[*index].at, members[*index].value) = (at, value);
                    self.doubled.push((at, key));
                }
                None => {
                    known.insert(key.clone(), members.len());
                    members.push(Member { key, at, value });
                }
            }
            comma = self.comma()?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, JsonError> {
        let begins = self.at;
        self.at += 1;
        let mut items = Vec::new();
        let mut comma = None;
        loop {
            self.skip()?;
            if self.rest().starts_with(']') {
                self.at += 1;
                self.trailing_comma = self.trailing_comma.or(comma);
                return Ok(Json::List(items));
            }
            if !items.is_empty() && comma.is_none() {
                return Err(self.unfinished("`,` or `]` after a value", begins));
            }
            items.push(self.value(depth + 1)?);
            comma = self.comma()?;
        }
    }

    /// The place of a comma, if one is next.
    fn comma(&mut self) -> Result<Option<usize>, JsonError> {
        self.skip()?;
        let here = self.rest().starts_with(',').then_some(self.at);
        self.at += usize::from(here.is_some());
        Ok(here)
    }

    fn unfinished(&self, expected: &str, begins: usize) -> JsonError {
        let mut error = self.wrong(format!("expected {expected}, found {}", self.found()));
        if self.rest().is_empty() {
            let line = self.text[..begins].bytes().filter(|b| *b == b'\n').count() + 1;
            error.help = Some(format!("what begins in line {line} has no end"));
        } else if self.rest().starts_with('\'') {
            error.help = Some("JSON has texts in double quotes".to_owned());
        }
        error
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let begins = self.at;
        let mut out = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => {
                    self.at = begins + i;
                    let (c, length) = self.escape()?;
                    out.push(c);
                    self.at = begins;
                    for _ in 1..length {
                        chars.next();
                    }
                }
                '\n' => break,
                // A raw tab is a common slip that changes no meaning.
                '\t' => out.push(c),
                c if c < ' ' => {
                    self.at = begins + i;
                    return Err(self.wrong("a control character in a text; write it as `\\u…`"));
                }
                c => out.push(c),
            }
        }
        self.at = begins;
        Err(self.wrong("a text without its closing `\"`"))
    }

    /// The character of an escape, and how many bytes it is written in.
    fn escape(&self) -> Result<(char, usize), JsonError> {
        let rest = self.rest();
        let plain = match rest.as_bytes().get(1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = |from: usize| {
                    let digits = rest.get(from..from + 4)?;
                    let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
                    hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
                };
                let first = unit(2).ok_or_else(|| self.wrong("`\\u` needs four hex digits"))?;
                if let Some(c) = char::from_u32(first) {
                    return Ok((c, 6));
                }
                let second = rest.get(6..8).filter(|next| *next == "\\u").and_then(|_| unit(8));
                let pair = second.filter(|second| (0xdc00..0xe000).contains(second));
                let joined = pair.filter(|_| first < 0xdc00).and_then(|second| {
                    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
                });
                return joined.map(|c| (c, 12)).ok_or_else(|| {
                    self.wrong("half of a surrogate pair: `\\u` of a character that does not exist")
                });
            }
            _ => return Err(self.wrong("`\\` before a character that has no escape")),
        };
        Ok((plain, 2))
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let length = self.rest().find(|c| !number(c)).unwrap_or(self.rest().len());
        let text = &self.rest()[..length];
        let digits = text.trim_start_matches('-');
        let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let finite = text.parse::<f64>().is_ok_and(f64::is_finite) && !text.ends_with('.');
        if !finite || padded && digits.as_bytes()[1].is_ascii_digit() {
            return Err(self.wrong(format!("`{text}` is no number")));
        }
        self.at += length;
        Ok(Json::Number(text.to_owned()))
    }

    fn word(&mut self) -> Result<Option<Json>, JsonError> {
        for (word, json) in
            [("true", Json::Bool(true)), ("false", Json::Bool(false)), ("null", Json::Null)]
        {
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
            if self.rest().strip_prefix(word).is_some_and(ends) {
                self.at += word.len();
                return Ok(Some(json));
            }
        }
        if super::placeholder::first(self.rest()).is_some_and(|found| found.start == 0) {
            return Ok(None);
        }
        let mut error = self.wrong(format!("expected a value, found {}", self.found()));
        if self.rest().starts_with('\'') {
            error.help = Some("JSON has texts in double quotes".to_owned());
        }
        Err(error)
    }

    /// A placeholder without quotes stands for any JSON.
    fn bare_placeholder(&mut self) -> Result<Node, JsonError> {
        let at = self.at;
        let found = super::placeholder::first(self.rest()).expect("`word` has found one");
        let name = found.name.to_owned();
        let Some(text) = self.fills.get(&name) else {
            let mut error = self.wrong(format!("the placeholder `{}` has no value", found.text));
            error.help = Some(format!("without quotes it must be filled: --set '{name}=VALUE'"));
            return Err(error);
        };
        self.at += found.end;
        let inner = parse(text, &BTreeMap::new())
            .map_err(|_| JsonError { at, message: format!("the value of `{name}` is no JSON: without quotes there must stand a number, `true`, a text in quotes, …"), help: None })?;
        let mut root = inner.root;
        root.move_to(at);
        Ok(root)
    }
}

impl Node {
    /// The members, if it is an object.
    pub(super) fn members(&self) -> Option<&[Member]> {
        match &self.json {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.json {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, if it is an object that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.members()?.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// What it is, in the user's words.
    pub(super) fn type_name(&self) -> &'static str {
        match self.json {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::Text(_) => "a text",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    /// The same value in fleet files' terms; nulls vanish, as they do in a twin.
    pub(super) fn to_value(&self) -> Option<Value> {
        Some(match &self.json {
            Json::Null => return None,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(text) => match text.parse::<i64>() {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Float(text.parse().unwrap_or_default()),
            },
            Json::Text(text) => Value::from(text.as_str()),
            Json::List(items) => Value::List(items.iter().filter_map(Self::to_value).collect()),
            Json::Object(_) => Value::Table(self.to_table()),
        })
    }

    /// An object's members as a table; empty for anything else.
    pub(super) fn to_table(&self) -> Table {
        let members = self.members().unwrap_or_default();
        members.iter().filter_map(|m| Some((m.key.clone(), m.value.to_value()?))).collect()
    }

    /// Puts the whole tree to one place: of a document within a text.
    pub(super) fn move_to(&mut self, at: usize) {
        self.at = at;
        match &mut self.json {
            Json::List(items) => items.iter_mut().for_each(|item| item.move_to(at)),
            Json::Object(members) => {
                for member in members {
                    member.at = at;
                    member.value.move_to(at);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
        }
    }
}

/// The text of a file, of which places are asked.
#[derive(Debug)]
pub(super) struct JsonFile {
    source: Arc<Source>,
}

impl JsonFile {
    pub(super) fn new(name: &str, text: &str) -> Self {
        Self { source: Source::new(name, text) }
    }

    pub(super) fn text(&self) -> &str {
        &self.source.text
    }

    /// `file:line:column`. The line itself is never shown: it may hold a password.
    pub(super) fn place(&self, at: usize) -> String {
        let (line, column) = Place::new(&self.source, at..at).line_and_column();
        format!("{}:{line}:{column}", self.source.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Parsed, JsonError> {
        parse(text, &BTreeMap::from([("TTL".to_owned(), "7200".to_owned())]))
    }

    #[test]
    fn strict_json_is_what_serde_says() {
        for text in [
            r#"{"a": [1, -2.5e3, true, false, null, "x\u00e9\n\\\"\/"], "b": {}, "c": []}"#,
            r#""\ud83d\ude00""#,
            "\u{feff}{}",
            " 0.5 ",
        ] {
            let ours = tree(text).unwrap().root.to_value().unwrap();
            let serde: serde_json::Value =
                serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
            assert_eq!(Some(ours), Value::from_json(&serde), "{text}");
        }
    }

    #[test]
    fn what_people_do_to_json_is_tolerated_and_noticed() {
        let parsed =
            tree("{ // why\n \"a\": [1, 2,], /* x */ \"a\": ${TTL}, \"b\": \"tab\there\" }")
                .unwrap();
        assert_eq!((parsed.comment, parsed.trailing_comma), (Some(2), Some(20)));
        assert_eq!(parsed.doubled, [(32, "a".to_owned())]);
        assert_eq!(parsed.root.get("a").unwrap().json, Json::Number("7200".to_owned()));
        assert_eq!(tree("{\"a\":1}\n{\"a\":2}\n").unwrap().more.len(), 1);
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, at, words) in [
            ("", 0, "expected a value, found the end of the file"),
            ("{\"a\" 1}", 5, "expected `:` after the key \"a\", found `1`"),
            ("{\"a\": 1 \"b\": 2}", 8, "expected `,` or `}` after a value, found `\"`"),
            ("{\"a\": [1}", 8, "expected `,` or `]` after a value, found `}`"),
            ("{'a': 1}", 1, "expected a key in double quotes or `}`, found `'`"),
            ("[1] x", 4, "something follows the end of the document"),
            ("[01]", 1, "`01` is no number"),
            ("[1e999]", 1, "`1e999` is no number"),
            ("[\"a\nb\"]", 1, "a text without its closing `\"`"),
            ("[\"\\x\"]", 2, "`\\` before a character that has no escape"),
            ("[\"\\ud800\"]", 2, "half of a surrogate pair"),
            ("[NaN]", 1, "expected a value, found `N`"),
            ("[,]", 1, "expected a value, found `,`"),
            ("{,}", 1, "expected a key"),
            ("/* x", 0, "a comment without its end"),
            ("[${OTHER}]", 1, "the placeholder `${OTHER}` has no value"),
        ] {
            let error = tree(text).unwrap_err();
            assert!(error.message.starts_with(words), "{text}: {}", error.message);
            assert_eq!(error.at, at, "{text}");
        }
        assert!(tree(&"[".repeat(100_000)).unwrap_err().message.contains("deeper"));
    }
}

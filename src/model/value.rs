//! Values of tags, twins, reported properties and create-options.

use super::table::{Table, Text};
use serde_json::Value as Json;
use std::borrow::Cow;

/// A value as fleet files can hold it. TOML's dates arrive as strings; there is no null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A real number, finite.
    Float(f64),
    /// Text.
    String(Text),
    /// A list.
    List(Box<[Self]>),
    /// A table.
    Table(Table),
}

impl Value {
    /// What it is, in the user's words.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(t) => Some(t),
            _ => None,
        }
    }

    /// The same value as JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Bool(b) => Json::from(*b),
            Self::Integer(i) => Json::from(*i),
            Self::Float(f) => Json::from(*f),
            Self::String(s) => Json::from(&**s),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Table(table) => table_to_json(table),
        }
    }

    /// JSON as a value; nulls vanish, as in a twin.
    pub fn from_json(json: &Json) -> Option<Self> {
        Some(match json {
            Json::Null => return None,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Self::Integer(i),
                None => Self::Float(n.as_f64()?),
            },
            Json::String(s) => Self::from(s.as_str()),
            Json::Array(items) => Self::List(items.iter().filter_map(Self::from_json).collect()),
            Json::Object(map) => Self::Table(
                map.iter().filter_map(|(k, v)| Some((k.as_str(), Self::from_json(v)?))).collect(),
            ),
        })
    }

    /// The value at a path of keys, if every step is a table that has the next key.
    pub fn lookup<'a, S: AsRef<str>>(table: &'a Table, path: &[S]) -> Option<&'a Self> {
        let (first, rest) = path.split_first()?;
        let value = table.get(first.as_ref())?;
        if rest.is_empty() { Some(value) } else { Self::lookup(value.as_table()?, rest) }
    }

    /// The same for create-options: engines take their keys in any letter case.
    pub fn lookup_option<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Self> {
        let (first, rest) = path.split_first()?;
        let (_, value) = table.iter().find(|(key, _)| key.eq_ignore_ascii_case(first))?;
        if rest.is_empty() { Some(value) } else { Self::lookup_option(value.as_table()?, rest) }
    }
}

/// A key as one segment of a dotted path: in quotes where it would not be one otherwise.
pub fn path_segment(key: &str) -> Cow<'_, str> {
    if key.is_empty() || key.contains(['.', '"']) {
        let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
        Cow::Owned(format!("\"{escaped}\""))
    } else {
        Cow::Borrowed(key)
    }
}

/// The path of the table that holds what is at a path; `None` for a single segment. The inverse of adding
/// a [`path_segment`].
pub fn path_above(path: &str) -> Option<&str> {
    let (mut quoted, mut escaped, mut last) = (false, false, None);
    for (i, c) in path.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '.' if !quoted => last = Some(i),
            _ => {}
        }
    }
    last.map(|at| &path[..at])
}

/// A table as a JSON object.
pub(super) fn table_to_json(table: &Table) -> Json {
    Json::Object(table.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect())
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::List(items.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_segment_whatever_it_holds() {
        for key in ["a", "a.b", "", "a\"b", ".", "a\\", "\"", "a\\\".b", "é.é"] {
            let path = format!("desired.{}", path_segment(key));
            assert_eq!(path_above(&path), Some("desired"), "{key:?} {path}");
            let below = format!("{path}.{}", path_segment(key));
            assert_eq!(path_above(&below), Some(path.as_str()), "{key:?} {below}");
        }
        assert_ne!(path_segment("a.b"), "a.b");
        assert_eq!(path_segment("a-b"), "a-b");
        assert_eq!(path_above("image"), None);
    }
}

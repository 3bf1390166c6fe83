//! One value of a file with its place: taken as a string, a number, a list …, or reported.

use super::offsets::offsets;
use super::{File, TableReader, Texts};
use crate::diagnostic::{Code, Diagnostic, Place, Span, did_you_mean};
use crate::language::{Condition, LanguageError, Query};
use crate::model::{Piece, Template};
use toml::Spanned;
use toml::de::DeValue;

/// Longest condition, query or route, in characters.
const LONGEST_CODE: usize = 8192;

/// A value with the key it stands under.
#[derive(Clone, Copy)]
pub(in crate::fleet) struct Item<'a> {
    pub(super) file: &'a File,
    pub(super) value: &'a Spanned<DeValue<'a>>,
    /// The last key on the way to it, for messages.
    pub(in crate::fleet) name: &'a str,
    /// Where that key is.
    pub(super) key_span: (usize, usize),
}

impl<'a> Item<'a> {
    /// Where the value is. A table that a header opens is its header.
    pub(in crate::fleet) fn place(&self) -> Place {
        self.file.place(self.value.span())
    }

    /// Where the key is.
    pub(in crate::fleet) fn key_place(&self) -> Place {
        self.file.place(self.key_span.0..self.key_span.1)
    }

    /// Reports something at the value.
    pub(in crate::fleet) fn report(
        &self,
        code: Code,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.file.report(Diagnostic::new(code, message).at(self.place()).help_option(help));
    }

    /// Reports a value that is not allowed.
    pub(in crate::fleet) fn bad(&self, message: impl Into<String>) {
        self.report(Code::BadValue, message, None);
    }

    /// Reports something at the key.
    pub(in crate::fleet) fn report_key(
        &self,
        code: Code,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.file.report(Diagnostic::new(code, message).at(self.key_place()).help_option(help));
    }

    /// Reports another type than expected.
    pub(in crate::fleet) fn wrong_type(&self, expected: &str) {
        let found = type_name(self.value.get_ref());
        let help = match self.value.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)
                if expected == "a string" =>
            {
                Some(format!("write it in quotes: `\"{}\"`", self.place().text()))
            }
            DeValue::String(text)
                if expected.contains("boolean") && matches!(&**text, "true" | "false") =>
            {
                Some(format!("write {text} without quotes"))
            }
            DeValue::Array(items) if expected == "a table" => match items.first() {
                Some(_) if self.place().text().starts_with("[[") => {
                    Some("a table's header has single brackets: `[name]`".to_owned())
                }
                _ => Some("write `{ key = value }`, or `[name]` and its keys below".to_owned()),
            },
            DeValue::String(text) if expected.contains("a list") => {
                Some(format!("write a list: `[\"{text}\"]`"))
            }
            DeValue::String(text)
                if expected.contains("number") && text.parse::<f64>().is_ok()
                    || expected.contains("integer") && text.parse::<i64>().is_ok() =>
            {
                Some(format!("write {text} without quotes"))
            }
            _ => None,
        };
        let message = format!("`{}`: expected {expected}, found {found}", self.name);
        self.report(Code::WrongType, message, help);
    }

    /// A string.
    pub(in crate::fleet) fn string(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => {
                self.wrong_type("a string");
                None
            }
        }
    }

    /// A string that is not empty.
    pub(in crate::fleet) fn text(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.is_empty() {
            self.bad(format!("`{}` is empty", self.name));
            return None;
        }
        if text.contains('\0') {
            self.bad(format!("`{}` holds a NUL character, which no engine takes", self.name));
            return None;
        }
        Some(text)
    }

    /// A string that a parser takes; its words are the message.
    pub(in crate::fleet) fn parsed<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.parsed_as(Code::BadValue, parse)
    }

    /// The same for names and ids.
    pub(in crate::fleet) fn parsed_name<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string()?;
        parse(text)
            .map_err(|error| self.report(Code::BadName, format!("`{text}` is {error}"), None))
            .ok()
    }

    fn parsed_as<T, E: std::fmt::Display>(
        &self,
        code: Code,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string()?;
        parse(text).map_err(|error| self.report(code, error.to_string(), None)).ok()
    }

    /// One of some words.
    pub(in crate::fleet) fn word<T>(
        &self,
        words: &'static [&'static str],
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.word_or(words, parse, &[])
    }

    /// The same, where other tools have words of their own: theirs, in small letters, and ours.
    pub(in crate::fleet) fn word_or<T>(
        &self,
        words: &'static [&'static str],
        parse: impl FnOnce(&str) -> Option<T>,
        of_others: &[(&str, &str)],
    ) -> Option<T> {
        let DeValue::String(text) = self.value.get_ref() else {
            self.wrong_type(&format!("{} in quotes", one_of(words)));
            return None;
        };
        let parsed = parse(text);
        if parsed.is_none() {
            let message = format!("`{}` can't be `{text}`: it is {}", self.name, one_of(words));
            let lower = text.to_lowercase();
            let ours = of_others.iter().find(|(theirs, _)| *theirs == lower);
            let help = match ours {
                Some((_, ours)) => Some(format!("here it is called `{ours}`")),
                None => did_you_mean(text, words.iter().copied()),
            };
            self.report(Code::BadValue, message, help);
        }
        parsed
    }

    /// `true` or `false`.
    pub(in crate::fleet) fn boolean(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.wrong_type("a boolean (true or false)");
                None
            }
        }
    }

    /// An integer between two bounds.
    pub(in crate::fleet) fn integer(&self, least: i64, most: i64) -> Option<i64> {
        let DeValue::Integer(value) = self.value.get_ref() else {
            self.wrong_type("an integer");
            return None;
        };
        let number = i64::from_str_radix(value.as_str(), value.radix()).ok();
        let fits = number.filter(|n| (least..=most).contains(n));
        if fits.is_none() {
            let too_large = number.is_none() && !value.as_str().starts_with('-');
            let limits = if most == i64::MAX && !too_large {
                format!("at least {least}")
            } else {
                format!("between {least} and {most}")
            };
            self.bad(format!("`{}` must be {limits}", self.name));
        }
        fits
    }

    /// An integer as another type, between a bound and that type's largest.
    pub(in crate::fleet) fn count<T: TryFrom<i64> + TryInto<i64> + Bounded>(
        &self,
        least: i64,
    ) -> Option<T> {
        self.integer(least, T::LARGEST).and_then(|n| T::try_from(n).ok())
    }

    /// A table to read keys from; `title` says which, for messages.
    pub(in crate::fleet) fn table(&self, title: impl Into<String>) -> Option<TableReader<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => {
                let place = self.header_place();
                Some(TableReader::new(self.file, table, title.into(), place))
            }
            _ => {
                self.wrong_type("a table");
                None
            }
        }
    }

    /// Where a table begins: its header or its key.
    pub(in crate::fleet) fn header_place(&self) -> Place {
        match self.value.get_ref() {
            DeValue::Table(_) if self.place().text().starts_with('{') => self.key_place(),
            _ => self.place(),
        }
    }

    /// The items of a list.
    pub(in crate::fleet) fn list(
        &self,
        of: &str,
    ) -> Option<impl Iterator<Item = Item<'a>> + use<'a>> {
        let item = *self;
        match self.value.get_ref() {
            DeValue::Array(items) => Some(items.iter().map(move |value| Item { value, ..item })),
            _ => {
                self.wrong_type(&format!("a list{of}"));
                None
            }
        }
    }

    /// A list of what `read` takes each item as.
    pub(in crate::fleet) fn list_of<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        Some(self.list(" of strings")?.filter_map(|item| read(&item)).collect())
    }

    /// A text that may hold templates: checked here, kept as written. Of a filled file, the text itself.
    pub(in crate::fleet) fn template(&self) -> Option<String> {
        let text = self.string()?;
        self.checked_template(text)
    }

    /// The same for a text that is known already.
    pub(in crate::fleet) fn checked_template(&self, text: &str) -> Option<String> {
        if text.contains('\0') {
            self.bad(format!("`{}` holds a NUL character, which no engine takes", self.name));
            return None;
        }
        if !Template::is_needed(text) {
            return Some(text.to_owned());
        }
        match Template::parse(text) {
            Err(error) => {
                self.report(Code::BadTemplate, error.to_string(), None);
                None
            }
            Ok(_) if self.file.texts == Texts::Templates => Some(text.to_owned()),
            Ok(template) => {
                let mut plain = String::new();
                for piece in &template.pieces {
                    let Piece::Text(text) = piece else {
                        let message = "a manifest is filled: it names no facts of the device";
                        self.report(Code::BadTemplate, message, None);
                        return None;
                    };
                    plain.push_str(text);
                }
                Some(plain)
            }
        }
    }

    /// A text that may hold none; says so.
    pub(in crate::fleet) fn plain(&self) -> Option<&'a str> {
        let text = self.string()?;
        if self.file.texts == Texts::Templates && text.contains("${") {
            let message = format!("`{}` takes no templates", self.name);
            let help = "`${…}` may stand in image, command, entrypoint, env, volumes, host-devices, \
                        ports, networks, hostname, labels, create-options, desired and desired-at";
            self.report(Code::BadTemplate, message, Some(help.to_owned()));
            return None;
        }
        self.text()
    }

    /// A condition; `None` also for a blank one.
    pub(in crate::fleet) fn condition(&self) -> Option<Condition> {
        let text = self.code("condition")?;
        if text.trim().is_empty() {
            return None;
        }
        self.read(Code::BadCondition, text, Condition::parse(text))
    }

    /// A whole query.
    pub(in crate::fleet) fn query(&self) -> Option<Query> {
        let text = self.code("query")?;
        self.read(Code::BadQuery, text, Query::parse(text))
    }

    /// What a text in one of our languages was parsed to; its errors are reported at their characters.
    fn read<T>(&self, code: Code, text: &str, parsed: Result<T, Vec<LanguageError>>) -> Option<T> {
        parsed.map_err(|errors| self.refuse_code(code, text, errors)).ok()
    }

    /// Reports what is wrong with a text in one of our languages, each at its place in the file.
    pub(in crate::fleet) fn refuse_code(&self, code: Code, text: &str, errors: Vec<LanguageError>) {
        let places = self.places_within(text);
        for error in errors {
            let diagnostic = Diagnostic::new(code, error.message).at(places.of(error.span));
            self.file.report(diagnostic.help_option(error.help));
        }
    }

    /// Where parts of a string are in the file.
    pub(in crate::fleet) fn places_within(&self, text: &str) -> PlacesWithin {
        let span = self.value.span();
        let written = self.file.source.text.get(span.start..span.end);
        let offsets = written.and_then(|written| offsets(written, text));
        PlacesWithin { whole: self.place(), start: span.start, offsets }
    }

    /// A text in one of our languages, of a size that is read, and without templates.
    fn code(&self, what: &str) -> Option<&'a str> {
        let text = self.text_of_size(what)?;
        (!self.refuse_template(what, text)).then_some(text)
    }

    /// Refuses a text that is not filled per device and looks as if it were; says whether it does.
    pub(in crate::fleet) fn refuse_template(&self, what: &str, text: &str) -> bool {
        let found = (self.file.texts == Texts::Templates).then(|| text.find("${")).flatten();
        let Some(start) = found else { return false };
        let end = text[start..].find('}').map_or(text.len(), |end| start + end + 1);
        let place = self.places_within(text).of(Span::new(start, end));
        self.file.report(
            Diagnostic::new(Code::BadTemplate, format!("a {what} takes no templates"))
                .at(place)
                .help("write what should stand there; only modules take `${device.…}`"),
        );
        true
    }

    /// A text in one of our languages, of a size that is read.
    pub(in crate::fleet) fn text_of_size(&self, what: &str) -> Option<&'a str> {
        let text = self.string()?;
        if text.len() > LONGEST_CODE && text.chars().count() > LONGEST_CODE {
            let message = format!(
                "a {what} of {} characters; at most {LONGEST_CODE} are read",
                text.chars().count()
            );
            self.report(Code::TooLarge, message, None);
            return None;
        }
        Some(text)
    }
}

/// Where the parts of one string are in the file.
pub(in crate::fleet) struct PlacesWithin {
    whole: Place,
    start: usize,
    offsets: Option<Vec<usize>>,
}

impl PlacesWithin {
    /// Where a part is; the whole string if that can't be told.
    pub(in crate::fleet) fn of(&self, part: Span) -> Place {
        let at = |byte: u32| Some(self.start + self.offsets.as_ref()?.get(byte as usize)?);
        match (at(part.start), at(part.end)) {
            (Some(start), Some(end)) => self.whole.with_span(start..end),
            _ => self.whole.clone(),
        }
    }
}

/// An integer type's largest value that an `i64` holds.
pub(in crate::fleet) trait Bounded {
    /// That value.
    const LARGEST: i64;
}

impl Bounded for u8 {
    const LARGEST: i64 = 255;
}

impl Bounded for u32 {
    const LARGEST: i64 = 4_294_967_295;
}

impl Bounded for i32 {
    const LARGEST: i64 = 2_147_483_647;
}

impl Bounded for u64 {
    const LARGEST: i64 = i64::MAX;
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("`{only}`"),
        [first @ .., last] => format!("{} or `{last}`", quoted(first)),
        [] => String::new(),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

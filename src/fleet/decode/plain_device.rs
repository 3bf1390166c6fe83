//! Device files as nearly everybody writes them, read in one go.
//!
//! Enters: a file of devices. Leaves: the devices that the collecting decoder would give, without a word; or nothing
//! at the slightest doubt. It knows one key a line, headers of `tags` and `reported`, strings without escapes, whole
//! numbers, booleans and inline tables. It never says what is wrong: that is the other decoder's work.

use super::File;
use super::words::Words;
use crate::diagnostic::Place;
use crate::model::{Device, DeviceId, EngineAddress, SecretName, Table, Value};

/// So deep inline tables are read, and so many tables lie above the keys below a header.
const DEEPEST: usize = 4;

/// A table of more keys is none that a person wrote; putting them in one by one would take long.
const MOST_KEYS: usize = 64;

/// The devices of a file, each with the place where its engine is named; `None` where it is not plain.
pub(super) fn devices(
    file: &File,
    stem: &str,
    words: &mut Words,
) -> Option<Vec<(Device, Option<Place>)>> {
    let text = &*file.source.text;
    // Each byte is looked at, so that many can be at once.
    let is_foreign = |byte: u8| byte.is_ascii_control() & (byte != b'\n');
    if text.bytes().fold(false, |any, byte| any | is_foreign(byte)) {
        return None;
    }
    // Most files hold one.
    let mut devices = Vec::with_capacity(1);
    let mut draft = Draft::default();
    let mut is_list = false;
    let mut rest = Cursor { text, at: 0, words };
    loop {
        rest.skip_blanks();
        match rest.peek() {
            None => break,
            Some(b'\n') => rest.at += 1,
            Some(b'#') => rest.skip_line(),
            Some(b'[') if rest.text[rest.at..].starts_with("[[device]]") => {
                rest.at += "[[device]]".len();
                if is_list {
                    devices.push(draft.finish(file)?);
                } else if draft.is_begun {
                    return None;
                }
                is_list = true;
                draft = Draft { is_begun: true, ..Draft::default() };
            }
            Some(b'[') => draft.header(&mut rest, is_list)?,
            Some(_) => draft.key(&mut rest)?,
        }
        rest.end_line()?;
    }
    if !is_list {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if draft.id.is_none() && stem.chars().all(plain) {
            draft.id = Some((DeviceId::parse(stem).ok()?, (0, 0)));
        }
    }
    devices.push(draft.finish(file)?);
    Some(devices)
}

/// Where a value stands.
type Span = (usize, usize);

/// A device that is being read.
#[derive(Default)]
struct Draft<'a> {
    is_begun: bool,
    id: Option<(DeviceId, Span)>,
    engine: Option<(EngineAddress, Span)>,
    reachable: Option<bool>,
    tls: Option<SecretName>,
    tags: Option<Table>,
    reported: Option<Table>,
    /// The table whose keys follow; empty for the device itself.
    within: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    /// `[tags]`, `[tags.location]`; in a list `[device.tags]`.
    fn header(&mut self, rest: &mut Cursor<'a, '_>, is_list: bool) -> Option<()> {
        rest.at += 1;
        self.is_begun = true;
        let mut path = vec![rest.bare_key()?];
        while rest.take(b'.') {
            path.push(rest.bare_key()?);
        }
        if !rest.take(b']') || is_list && path.remove(0) != "device" || path.len() > DEEPEST {
            return None;
        }
        let (first, below) = path.split_first()?;
        let top = self.top(first)?;
        match below.split_last() {
            None if top.is_some() => return None,
            None => *top = Some(Table::new()),
            Some((last, above)) => {
                let mut table = top.get_or_insert_default();
                for key in above {
                    if !table.contains_key(key) {
                        insert(table, key, Value::Table(Table::new()), rest.words)?;
                    }
                    let Value::Table(below) = table.get_mut(key)? else { return None };
                    table = below;
                }
                insert(table, last, Value::Table(Table::new()), rest.words)?;
            }
        }
        self.within = path;
        Some(())
    }

    fn top(&mut self, name: &str) -> Option<&mut Option<Table>> {
        match name {
            "tags" => Some(&mut self.tags),
            "reported" => Some(&mut self.reported),
            _ => None,
        }
    }

    fn key(&mut self, rest: &mut Cursor<'a, '_>) -> Option<()> {
        self.is_begun = true;
        let key = rest.bare_key()?;
        rest.skip_blanks();
        if !rest.take(b'=') {
            return None;
        }
        rest.skip_blanks();
        let start = rest.at;
        let value = rest.value(0)?;
        let span = (start, rest.at);
        if let Some((first, below)) = self.within.split_first() {
            let (first, below) = (*first, below.to_vec());
            let mut table = self.top(first)?.as_mut()?;
            for key in below {
                let Some(Value::Table(below)) = table.get_mut(key) else { return None };
                table = below;
            }
            return insert(table, key, value, rest.words);
        }
        match (key, value) {
            ("id", Value::String(id)) => once(&mut self.id, (DeviceId::parse(&id).ok()?, span)),
            ("engine", Value::String(engine)) => {
                once(&mut self.engine, (EngineAddress::parse(&engine).ok()?, span))
            }
            ("reachable", Value::Bool(reachable)) => once(&mut self.reachable, reachable),
            ("tls", Value::String(tls)) => once(&mut self.tls, SecretName::parse(&tls).ok()?),
            ("tags", Value::Table(tags)) => once(&mut self.tags, tags),
            ("reported", Value::Table(reported)) => once(&mut self.reported, reported),
            _ => None,
        }
    }

    fn finish(self, file: &File) -> Option<(Device, Option<Place>)> {
        let Self { is_begun: _, id, engine, reachable, tls, tags, reported, within: _ } = self;
        let (id, id_span) = id?;
        let place = |(start, end): Span| file.place(start..end);
        let (engine, engine_span) = engine.unzip();
        let device = Device {
            id,
            engine,
            reachable: reachable.unwrap_or(true),
            tls,
            formerly: Vec::new(),
            tags: tags.unwrap_or_default(),
            reported: reported.unwrap_or_default(),
            place: place(id_span),
        };
        Some((device, engine_span.map(place)))
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

fn insert(table: &mut Table, key: &str, value: Value, words: &mut Words) -> Option<()> {
    if table.len() == MOST_KEYS {
        return None;
    }
    table.insert(words.share(key), value).is_none().then_some(())
}

/// What is left of a text.
struct Cursor<'a, 'w> {
    text: &'a str,
    at: usize,
    words: &'w mut Words,
}

impl<'a> Cursor<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// What is left up to a byte that does not belong.
    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| !belongs(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn skip_blanks(&mut self) {
        self.take_while(|byte| byte == b' ');
    }

    fn skip_line(&mut self) {
        self.take_while(|byte| byte != b'\n');
    }

    /// Nothing more stands on the line but a comment.
    fn end_line(&mut self) -> Option<()> {
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

    fn bare_key(&mut self) -> Option<&'a str> {
        let key = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        (!key.is_empty()).then_some(key)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let text = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n'));
                let is_plain = self.take(b'"') && self.peek() != Some(b'"');
                is_plain.then(|| Value::String(self.words.share(text)))
            }
            b'{' if depth < DEEPEST => {
                self.at += 1;
                self.inline_table(depth)
            }
            _ => {
                let word =
                    self.take_while(|byte| !matches!(byte, b' ' | b',' | b'}' | b'#' | b'\n'));
                match word {
                    "true" => Some(Value::Bool(true)),
                    "false" => Some(Value::Bool(false)),
                    _ => whole_number(word).map(Value::Integer),
                }
            }
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

#[cfg(test)]
mod tests {
    use super::{Words, devices};
    use crate::diagnostic::Source;
    use crate::fleet::decode::{File, Texts, device_file};
    use proptest::prelude::*;

    /// What is read in one go is what the collecting decoder reads, and that one finds nothing.
    fn agrees(text: &str, stem: &str) -> bool {
        let file = || File::new(Source::new("devices/a.toml", text), Texts::Templates);
        let Some(plain) = devices(&file(), stem, &mut Words::default()) else { return false };
        let exact = file();
        let expected = device_file::devices_with_words(&exact, stem).devices;
        assert!(exact.into_diagnostics().is_empty(), "{text}");
        assert_eq!(plain, expected, "{text}");
        true
    }

    const OWN: &str = "# gw\nengine = \"ssh://hoist@a.example\" # here\nreachable = false\n\n[tags]\nring = \"early\"\n\
        location = { country = \"de\", floor = 12, deep = { x = true } }\n[tags.more]\nn = 0\n[reported]\ncpus = 4\n";
    const LIST: &str = "[[device]]\nid = \"a\"\nengine = \"tcp://10.0.0.1:2376\"\ntls = \"site\"\ntags = {}\n\n\
        [[device]]\nid = \"b\"\n[device.tags]\nring = \"é\"\n[device.tags.location]\nfloor = 1\n[[device]]\nid = \"c\"";

    #[test]
    fn files_as_they_are_written_are_plain() {
        for text in [OWN, LIST, "", "\n", "id = \"other\"", "[tags]\n", "tags = { a = \"\" }"] {
            assert!(agrees(text, "gw-1"), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_written_is_left_to_the_other() {
        for text in [
            "engin = \"unix:///x\"",
            "engine = 1",
            "engine = \"nope\"",
            "id = \"a\\u0062\"",
            "id = 'a'",
            "id = \"\"\"a\"\"\"",
            "tags.a = 1",
            "[tags]\na = 1.5",
            "[tags]\na = 01",
            "[tags]\na = 2026-01-05",
            "[tags]\na = [1]",
            "[tags]\na = 1\na = 2",
            "[tags]\n[tags]",
            "[tags.x]\n[tags]",
            "tags = {}\n[tags]",
            "[tags]\na = { b = 1 }\n[tags.a]",
            "[tags] x",
            "tls = \"a\"\n[[device]]\nid = \"a\"",
            "[[device]]\nid = \"a\"\n[tags]",
            "[[device]]\n",
            "[device]\nid = \"a\"",
            "formerly = []",
            "reachable = true\r\n",
            "reachable = true reachable = false",
            "reachable =\ntrue",
        ] {
            assert!(!agrees(text, "gw"), "{text}");
        }
        assert!(!agrees("", "a+b"), "such an id is no file's name");
        let header = |levels: usize| format!("[tags{}]\nx = 1", ".a".repeat(levels));
        assert!(agrees(&header(3), "gw"));
        assert!(!agrees(&header(4), "gw"));
        let keys =
            |n: usize| (0..n).fold("[tags]\n".to_owned(), |all, n| format!("{all}k{n} = 1\n"));
        assert!(agrees(&keys(64), "gw"));
        assert!(!agrees(&keys(65), "gw"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_damage_makes_it_disagree(
            list in any::<bool>(),
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), 0..9usize, "[\\[\\]{}='\"\\\\#,.$ \\n\\taé0-9_-]{0,5}|\\[tags\\]\n|id = \"x\"\n"),
                0..4,
            ),
        ) {
            let mut text = if list { LIST } else { OWN }.to_owned();
            for (at, gone, junk) in changes {
                let mut start = at.index(text.len() + 1);
                while !text.is_char_boundary(start) { start -= 1; }
                let mut end = (start + gone).min(text.len());
                while !text.is_char_boundary(end) { end += 1; }
                text.replace_range(start..end, &junk);
            }
            agrees(&text, "gw");
        }
    }
}

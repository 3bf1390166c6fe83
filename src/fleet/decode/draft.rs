//! What a plain device file says, key by key.
//!
//! It knows one key a line, headers of `tags` and `reported`, strings without escapes, whole numbers, booleans and
//! inline tables; whoever reads anything else gets nothing.

use super::File;
use super::plain_text::{Cursor, DEEPEST, Scalar, Span, insert};
use super::words::Words;
use crate::diagnostic::Place;
use crate::model::{Device, DeviceId, EngineAddress, SecretName, Table, Value};

/// What a file says.
pub(super) struct Drafts<'a> {
    pub(super) all: Vec<Draft<'a>>,
    /// Whether it is a list of devices, or one without a name.
    pub(super) is_list: bool,
    pub(super) scalars: Vec<Span>,
}

impl<'a> Drafts<'a> {
    pub(super) fn read(text: &'a str, words: &mut Words) -> Option<Self> {
        // Each byte is looked at, so that many can be at once.
        let is_foreign = |byte: u8| byte.is_ascii_control() & (byte != b'\n');
        if text.bytes().fold(false, |any, byte| any | is_foreign(byte)) {
            return None;
        }
        // Most files hold one.
        let mut all = Vec::with_capacity(1);
        let mut draft = Draft::default();
        let mut is_list = false;
        let mut rest = Cursor::new(text, words);
        loop {
            rest.skip_blanks();
            match rest.peek() {
                None => break,
                Some(b'\n') => rest.at += 1,
                Some(b'#') => rest.skip_line(),
                Some(b'[') if rest.text[rest.at..].starts_with("[[device]]") => {
                    rest.at += "[[device]]".len();
                    if is_list {
                        all.push(draft);
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
        all.push(draft);
        Some(Self { all, is_list, scalars: rest.scalars })
    }
}

/// A device that is being read.
#[derive(Default)]
pub(super) struct Draft<'a> {
    is_begun: bool,
    id: Option<(DeviceId, Span)>,
    engine: Option<(EngineAddress, Span)>,
    reachable: Option<bool>,
    tls: Option<SecretName>,
    pub(super) tags: Option<Table>,
    pub(super) reported: Option<Table>,
    /// The table whose keys follow; empty for the device itself.
    within: Vec<&'a str>,
    /// Which of the file's scalars are its own, with their keys: they stand in no table of its.
    pub(super) own: Vec<(usize, Own)>,
}

/// A key of a device that has a scalar.
#[derive(Debug, Clone, Copy)]
pub(super) enum Own {
    Id,
    Engine,
    Reachable,
    Tls,
}

impl Own {
    fn of(key: &str) -> Option<Self> {
        match key {
            "id" => Some(Self::Id),
            "engine" => Some(Self::Engine),
            "reachable" => Some(Self::Reachable),
            "tls" => Some(Self::Tls),
            _ => None,
        }
    }
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
        if self.within.is_empty()
            && let Some(key) = Own::of(key)
        {
            let start = rest.at;
            let scalar = rest.scalar()?;
            let span = (start, rest.at);
            self.own.push((rest.scalars.len(), key));
            rest.scalars.push(span);
            return self.set(key, scalar, span);
        }
        let value = rest.value(0)?;
        if let Some((first, below)) = self.within.split_first() {
            let (first, below) = (*first, below.to_vec());
            let mut table = self.top(first)?.as_mut()?;
            for key in below {
                let Some(Value::Table(below)) = table.get_mut(key) else { return None };
                table = below;
            }
            return insert(table, key, value, rest.words);
        }
        if let Value::Table(table) = value {
            return once(self.top(key)?, table);
        }
        None
    }

    /// A scalar of the device itself.
    pub(super) fn set(&mut self, key: Own, scalar: Scalar<'_>, span: Span) -> Option<()> {
        match (key, scalar) {
            (Own::Id, Scalar::Text(id)) => once(&mut self.id, (DeviceId::parse(id).ok()?, span)),
            (Own::Engine, Scalar::Text(engine)) => {
                once(&mut self.engine, (EngineAddress::parse(engine).ok()?, span))
            }
            (Own::Reachable, Scalar::Bool(reachable)) => once(&mut self.reachable, reachable),
            (Own::Tls, Scalar::Text(tls)) => once(&mut self.tls, SecretName::parse(tls).ok()?),
            _ => None,
        }
    }

    /// The device, called like its file where it has no id and the file is its own; and where its engine is named.
    pub(super) fn finish(self, file: &File, stem: Option<&str>) -> Option<(Device, Option<Place>)> {
        let Self { is_begun: _, id, engine, reachable, tls, tags, reported, within: _, own: _ } =
            self;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let (id, id_span) = match (id, stem) {
            (Some(id), _) => id,
            (None, Some(stem)) if stem.bytes().all(plain) => (DeviceId::parse(stem).ok()?, (0, 0)),
            _ => return None,
        };
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

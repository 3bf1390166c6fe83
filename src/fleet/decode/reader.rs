//! Reads a table key by key and remembers which keys were asked for: what is left in the end is unknown.

use super::File;
use super::homes::{called_elsewhere, home_of};
use super::item::Item;
use crate::diagnostic::{Code, Diagnostic, Place, closest};
use toml::de::DeTable;

/// A table whose keys are taken one by one.
pub(in crate::fleet) struct TableReader<'a> {
    file: &'a File,
    table: &'a DeTable<'a>,
    /// Which table it is, in a message: `[guards]`.
    title: String,
    place: Place,
    asked: Vec<&'static str>,
    /// Asked for only to say that they don't belong here; never suggested.
    refused: Vec<&'static str>,
}

impl<'a> TableReader<'a> {
    pub(in crate::fleet) fn new(
        file: &'a File,
        table: &'a DeTable<'a>,
        title: String,
        place: Place,
    ) -> Self {
        Self { file, table, title, place, asked: Vec::new(), refused: Vec::new() }
    }

    /// A whole file.
    pub(in crate::fleet) fn root(file: &'a File, table: &'a DeTable<'a>, title: &str) -> Self {
        Self::new(file, table, title.to_owned(), file.place(0..0))
    }

    /// The file.
    pub(in crate::fleet) fn file(&self) -> &'a File {
        self.file
    }

    /// Where the table begins.
    pub(in crate::fleet) fn place(&self) -> &Place {
        &self.place
    }

    /// Takes a key.
    pub(in crate::fleet) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.asked.push(key);
        let (name, value) = self.table.get_key_value(key)?;
        let span = name.span();
        let item = Item { file: self.file, value, name: key, key_span: (span.start, span.end) };
        // What toml could not read as a value has been reported by it.
        (value.span() != (0..0)).then_some(item)
    }

    /// Takes a key that must be there.
    pub(in crate::fleet) fn need(&mut self, key: &'static str, help: &str) -> Option<Item<'a>> {
        if !self.has(key) {
            self.asked.push(key);
            if self.has_misspelt(key) {
                return None;
            }
            let message = format!("{} lacks `{key}`", self.title);
            self.file.report(
                Diagnostic::new(Code::MissingKey, message)
                    .at(self.place.clone())
                    .help(help.to_owned()),
            );
            return None;
        }
        self.take(key)
    }

    /// Takes a key that exists, but not here.
    pub(in crate::fleet) fn refuse(&mut self, key: &'static str, message: &str, help: &str) {
        self.refused.push(key);
        if let Some(item) = self.take(key) {
            let help = (!help.is_empty()).then(|| help.to_owned());
            item.report_key(Code::MisplacedKey, message, help);
        }
    }

    /// Whether the key is there.
    pub(in crate::fleet) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether a key is there that looks like this one misspelt: it is reported as that, not as lacking.
    pub(in crate::fleet) fn has_misspelt(&self, key: &str) -> bool {
        self.table.keys().any(|written| {
            let written = written.get_ref();
            home_of(written).is_none() && closest(written, [key]).is_some()
        })
    }

    /// All keys of a table whose keys are free.
    pub(in crate::fleet) fn entries(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let file = self.file;
        self.table.iter().map(move |(name, value)| {
            let span = name.span();
            Item { file, value, name: name.get_ref(), key_span: (span.start, span.end) }
        })
    }

    /// Reports every key that was not asked for.
    pub(in crate::fleet) fn finish(self) {
        #[cfg(test)]
        known::note(&self.title, self.asked.iter().filter(|key| !self.refused.contains(key)));
        for item in self.entries() {
            let key = item.name;
            if self.asked.contains(&key) {
                continue;
            }
            let welcome = self.asked.iter().filter(|asked| !self.refused.contains(asked));
            let welcome: Vec<&str> = welcome.copied().collect();
            let close = closest(key, welcome.iter().copied());
            let home = home_of(key);
            match (close, home) {
                (None, Some(home)) => {
                    let message = format!("`{key}` does not belong in {}", self.title);
                    item.report_key(Code::MisplacedKey, message, Some(format!("it stands {home}")));
                }
                (close, _) => {
                    // A module's three dozen keys would help nobody.
                    let ours = called_elsewhere(key).filter(|(ours, _)| welcome.contains(ours));
                    let help = match close {
                        _ if ours.is_some() => {
                            ours.map(|(ours, more)| format!("here it is `{ours}`{more}"))
                        }
                        Some(close) => Some(format!("did you mean `{close}`?")),
                        None if welcome.len() > 14 => None,
                        None => Some(match welcome.as_slice() {
                            [only] => format!("the only key here is {only}"),
                            keys => format!("the keys here are {}", keys.join(", ")),
                        }),
                    };
                    let message = format!("unknown key `{key}` in {}", self.title);
                    item.report_key(Code::UnknownKey, message, help);
                }
            }
        }
    }
}

/// Which keys the decoder knows in which table, as tests saw it ask.
#[cfg(test)]
pub(in crate::fleet) mod known {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    /// Keys by the table's title.
    pub(in crate::fleet) type Known = BTreeMap<String, BTreeSet<&'static str>>;

    thread_local! {
        static KNOWN: RefCell<Known> = RefCell::default();
    }

    pub(super) fn note<'k>(title: &str, keys: impl Iterator<Item = &'k &'static str>) {
        KNOWN.with_borrow_mut(|known| {
            known.entry(title.to_owned()).or_default().extend(keys);
        });
    }

    /// What was asked for since this was asked last, in this thread.
    pub(in crate::fleet) fn take() -> Known {
        KNOWN.take()
    }
}

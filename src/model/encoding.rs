//! An explicit canonical encoding: the same meaning gives the same bytes, for ever.
//!
//! Every item is its kind (one byte), its length or number (8 bytes, big end first), then its content.
//! Nothing foreign and nothing derived takes part, so that an upgrade of a library changes no hash.

use super::table::Table;
use super::value::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Collects a canonical encoding and hashes it.
pub(super) struct Encoder(Sha256);

impl Encoder {
    /// Begins with what is encoded, so that equal contents of different kinds differ.
    pub(super) fn new(domain: &str) -> Self {
        let mut encoder = Self(Sha256::new());
        encoder.text(domain);
        encoder
    }

    pub(super) fn text(&mut self, text: &str) {
        self.head(b't', text.len() as u64);
        self.0.update(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.head(b'n', number);
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.head(b'b', u64::from(flag));
    }

    pub(super) fn list<T>(&mut self, items: &[T], mut encode: impl FnMut(&mut Self, &T)) {
        self.head(b'l', items.len() as u64);
        for item in items {
            encode(self, item);
        }
    }

    pub(super) fn texts(&mut self, items: &[String]) {
        self.list(items, |e, text| e.text(text));
    }

    pub(super) fn map<T>(
        &mut self,
        map: &BTreeMap<String, T>,
        mut encode: impl FnMut(&mut Self, &T),
    ) {
        self.head(b'm', map.len() as u64);
        for (key, value) in map {
            self.text(key);
            encode(self, value);
        }
    }

    pub(super) fn option<T>(&mut self, value: Option<&T>, encode: impl FnOnce(&mut Self, &T)) {
        match value {
            None => self.head(b'o', 0),
            Some(value) => {
                self.head(b'o', 1);
                encode(self, value);
            }
        }
    }

    pub(super) fn table(&mut self, table: &Table) {
        self.head(b'm', table.len() as u64);
        for (key, value) in table {
            self.text(key);
            self.value(value);
        }
    }

    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(b) => self.flag(*b),
            Value::Integer(i) => self.head(b'i', i.cast_unsigned()),
            // `-0.0` equals `0.0`, and so must their bytes.
            Value::Float(f) => self.head(b'f', (f + 0.0).to_bits()),
            Value::String(s) => self.text(s),
            Value::List(items) => self.list(items, Self::value),
            Value::Table(table) => self.table(table),
        }
    }

    /// `v1:` and the hash in hexadecimal digits.
    pub(super) fn finish(self) -> String {
        let mut text = String::from("v1:");
        for byte in self.0.finalize() {
            text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        text
    }

    fn head(&mut self, kind: u8, number: u64) {
        self.0.update([kind]);
        self.0.update(number.to_be_bytes());
    }
}

//! One property of all devices: every different value once, and which devices have it.

use super::Truths;
use super::bitmap::Bitmap;
use crate::language::evaluate::{Scalar, Truth};
use crate::model::{DeviceChanges, NearPath, Table, Value};
use std::collections::BTreeMap;

/// Up to so many different values, the devices of each are kept as a bitmap.
const FEW: usize = 32;

/// The values of one property.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Every different value, the first of them `None`: nothing is there. Lists and tables are one, since they can only
    /// be asked whether they are there.
    values: Vec<Option<Value>>,
    devices: OfDevices,
}

/// Which of the values each device has.
#[derive(Debug, Clone)]
enum OfDevices {
    /// By value, the devices that have it.
    Few(Vec<Bitmap>),
    /// By device, the value.
    Many(Vec<u32>),
}

impl OfDevices {
    fn become_many(&mut self) {
        let Self::Few(devices) = self else { return };
        let mut codes = vec![0; devices.first().map_or(0, Bitmap::len)];
        for (of_value, devices) in devices.iter().enumerate() {
            for device in devices.numbers() {
                codes[device] = code(of_value);
            }
        }
        *self = Self::Many(codes);
    }
}

/// What tells values apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Bool(bool),
    Integer(i64),
    Real(u64),
    Text(&'a str),
    Whole,
}

/// A column to which one device after the other is added.
pub(super) struct Rising<'a> {
    path: &'a [String],
    near: NearPath<'a>,
    codes: Vec<u32>,
    values: Vec<&'a Value>,
    known: BTreeMap<Key<'a>, u32>,
    recent: RecentTexts,
}

impl<'a> Rising<'a> {
    /// A column of what is at a path, for so many devices.
    pub(super) fn new(path: &'a [String], devices: usize) -> Self {
        Self {
            path,
            near: NearPath::new(path),
            codes: Vec::with_capacity(devices),
            values: Vec::new(),
            known: BTreeMap::new(),
            recent: RecentTexts::default(),
        }
    }

    /// The next device has this table.
    pub(super) fn push(&mut self, table: &'a Table) {
        let value = self.near.lookup(table, self.path);
        let code = value.map_or(0, |value| self.code(value));
        self.codes.push(code);
    }

    fn code(&mut self, value: &'a Value) -> u32 {
        let text = value.as_str();
        if let Some(code) = text.and_then(|text| self.recent.get(text)) {
            return code;
        }
        let code = *self.known.entry(Key::of(value)).or_insert_with(|| {
            self.values.push(value);
            code(self.values.len())
        });
        if let Some(text) = text {
            self.recent.put(text, code);
        }
        code
    }

    /// All that were added.
    pub(super) fn finish(self) -> Part {
        let Self { codes, values, .. } = self;
        Part { codes, values: values.into_iter().cloned().collect() }
    }
}

/// A column of some of the devices.
pub(super) struct Part {
    codes: Vec<u32>,
    /// From code 1 on.
    values: Vec<Value>,
}

impl Part {
    /// Adds another part behind this one.
    fn append(&mut self, other: Self) {
        let mut known: BTreeMap<Key<'_>, u32> =
            self.values.iter().map(Key::of).zip(1_u32..).collect();
        let mut of_other = vec![0];
        let mut new: Vec<&Value> = Vec::new();
        for value in &other.values {
            let next = code(self.values.len() + new.len() + 1);
            let found = *known.entry(Key::of(value)).or_insert_with(|| {
                new.push(value);
                next
            });
            of_other.push(found);
        }
        let new: Vec<Value> = new.into_iter().cloned().collect();
        self.values.extend(new);
        self.codes.extend(other.codes.into_iter().map(|code| of_other[code as usize]));
    }
}

/// Codes of texts that were met lately, by where they lie: devices share equal texts.
struct RecentTexts(Box<[(usize, usize, u32); 64]>);

impl Default for RecentTexts {
    fn default() -> Self {
        Self(Box::new([(0, 0, 0); 64]))
    }
}

impl RecentTexts {
    fn get(&self, text: &str) -> Option<u32> {
        let (start, length, code) = self.0[Self::slot(text)];
        ((start, length) == (text.as_ptr().addr(), text.len()) && code > 0).then_some(code)
    }

    fn put(&mut self, text: &str, code: u32) {
        self.0[Self::slot(text)] = (text.as_ptr().addr(), text.len(), code);
    }

    fn slot(text: &str) -> usize {
        text.as_ptr().addr() / 16 % 64
    }
}

impl Column {
    /// The column that parts make up.
    pub(super) fn of(parts: Vec<Part>) -> Self {
        let mut parts = parts.into_iter();
        let mut whole = parts.next().unwrap_or(Part { codes: Vec::new(), values: Vec::new() });
        parts.for_each(|part| whole.append(part));
        let Part { codes, values } = whole;
        let values: Vec<_> = std::iter::once(None).chain(values.into_iter().map(Some)).collect();
        let devices = if values.len() <= FEW {
            let mut devices = vec![Bitmap::none(codes.len()); values.len()];
            for (device, code) in codes.iter().enumerate() {
                devices[*code as usize].set(device, true);
            }
            OfDevices::Few(devices)
        } else {
            OfDevices::Many(codes)
        };
        Self { values, devices }
    }

    /// What a device has.
    pub(super) fn value(&self, device: usize) -> Option<Scalar<'_>> {
        scalar(&self.values[self.code(device)?])
    }

    /// Whether a device has this value, as far as columns tell values apart.
    pub(super) fn has(&self, device: usize, value: Option<&Value>) -> bool {
        let known = self.code(device).and_then(|code| self.values[code].as_ref());
        known.map(Key::of) == value.map(Key::of)
    }

    fn code(&self, device: usize) -> Option<usize> {
        match &self.devices {
            OfDevices::Few(devices) => devices.iter().position(|of| of.contains(device)),
            OfDevices::Many(codes) => Some(codes[device] as usize),
        }
    }

    /// Gives devices other numbers; those that were not there have nothing.
    pub(super) fn renumber(&mut self, changes: &DeviceChanges) {
        match &mut self.devices {
            OfDevices::Few(devices) => {
                devices.iter_mut().for_each(|of| of.renumber(changes));
                if let Some(nothing) = devices.first_mut() {
                    changes.new.iter().for_each(|number| nothing.set(*number, true));
                }
            }
            OfDevices::Many(of) => changes.renumber(of, &0),
        }
    }

    /// Some devices have something else now, or nothing.
    pub(super) fn change(&mut self, changes: &[(usize, Option<&Value>)]) {
        let codes = self.codes_of(changes.iter().map(|(_, value)| *value));
        if self.values.len() > FEW {
            self.devices.become_many();
        }
        match &mut self.devices {
            OfDevices::Few(devices) => {
                let count = devices.first().map_or(0, Bitmap::len);
                devices.resize_with(self.values.len(), || Bitmap::none(count));
                for ((device, _), code) in changes.iter().zip(codes) {
                    devices.iter_mut().for_each(|of| of.set(*device, false));
                    devices[code as usize].set(*device, true);
                }
            }
            OfDevices::Many(of) => {
                for ((device, _), code) in changes.iter().zip(codes) {
                    of[*device] = code;
                }
            }
        }
        self.forget();
    }

    /// The codes of some values, with new ones for those that no device had.
    fn codes_of<'v>(&mut self, wanted: impl Iterator<Item = Option<&'v Value>>) -> Vec<u32> {
        let mut known: BTreeMap<Option<Key<'_>>, u32> =
            self.values.iter().map(|value| value.as_ref().map(Key::of)).zip(0..).collect();
        let (count, mut new) = (self.values.len(), Vec::new());
        let codes = wanted.map(|value| {
            *known.entry(value.map(Key::of)).or_insert_with(|| {
                new.push(value.cloned());
                code(count + new.len() - 1)
            })
        });
        let codes = codes.collect();
        self.values.extend(new);
        codes
    }

    /// Forgets values that no device has any more, once they are more than the devices.
    fn forget(&mut self) {
        let OfDevices::Many(codes) = &mut self.devices else { return };
        if self.values.len() <= codes.len() + FEW {
            return;
        }
        let mut kept: Vec<Option<u32>> = vec![None; self.values.len()];
        kept[0] = Some(0);
        let mut values = vec![None];
        for of_device in codes {
            let at = *of_device as usize;
            *of_device = *kept[at].get_or_insert_with(|| {
                values.push(self.values[at].take());
                code(values.len() - 1)
            });
        }
        self.values = values;
    }

    /// The devices that have anything there.
    pub(super) fn defined(&self) -> Bitmap {
        self.truths(|value| Truth::from(Some(value.is_some()))).yes
    }

    /// Where something is true and where it is false, asked once for every different value.
    pub(super) fn truths(&self, truth: impl Fn(Option<Scalar<'_>>) -> Truth) -> Truths {
        let truths: Vec<Truth> = self.values.iter().map(|value| truth(scalar(value))).collect();
        let all_that_are = |wanted: Truth| match &self.devices {
            OfDevices::Few(devices) => {
                let wanted: Vec<bool> = truths.iter().map(|truth| *truth == wanted).collect();
                joined(devices, &wanted)
            }
            OfDevices::Many(codes) => {
                Bitmap::where_true(codes.len(), |device| truths[codes[device] as usize] == wanted)
            }
        };
        Truths { yes: all_that_are(Truth::True), no: all_that_are(Truth::False) }
    }
}

/// The devices of all values that are wanted; or without those of the others, if these are fewer.
fn joined(devices: &[Bitmap], wanted: &[bool]) -> Bitmap {
    let most = wanted.iter().filter(|wanted| **wanted).count() * 2 > wanted.len();
    let mut found = Bitmap::none(devices.first().map_or(0, Bitmap::len));
    for (wanted, of_value) in wanted.iter().zip(devices) {
        if *wanted != most {
            found.add(of_value);
        }
    }
    if most {
        found.invert();
    }
    found
}

fn code(number: usize) -> u32 {
    u32::try_from(number).expect("a fleet has fewer devices than 2^32")
}

fn scalar(value: &Option<Value>) -> Option<Scalar<'_>> {
    value.as_ref().map(Scalar::of_value)
}

impl<'a> Key<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Integer(value) => Self::Integer(*value),
            Value::Float(value) => Self::Real(value.to_bits()),
            Value::String(text) => Self::Text(text),
            Value::List(_) | Value::Table(_) => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[&str]) -> Column {
        let tables: Vec<Table> = values
            .iter()
            .map(|value| Table::from([("site".to_owned(), Value::from(*value))]))
            .collect();
        let path = ["site".to_owned()];
        let mut rising = Rising::new(&path, tables.len());
        tables.iter().for_each(|table| rising.push(table));
        Column::of(vec![rising.finish()])
    }

    #[test]
    fn what_no_device_has_any_more_does_not_pile_up() {
        let mut column = column(&["a"; 100]);
        assert!(matches!(column.devices, OfDevices::Few(_)));
        for round in 0..50 {
            let values: Vec<Value> =
                (0..10).map(|n| Value::from(format!("{round} {n}").as_str())).collect();
            let changes: Vec<_> =
                values.iter().enumerate().map(|(n, value)| (n * 7, Some(value))).collect();
            column.change(&changes);
            for (device, value) in &changes {
                assert_eq!(column.value(*device), value.map(Scalar::of_value));
            }
            assert_eq!(column.value(1), Some(Scalar::Text("a")));
            let limit = if matches!(column.devices, OfDevices::Few(_)) { FEW } else { 100 + FEW };
            assert!(column.values.len() <= limit, "{}", column.values.len());
        }
        column.change(&[(1, None)]);
        assert_eq!((column.value(1), column.defined().count()), (None, 99));
    }
}

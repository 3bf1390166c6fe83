//! One property of all devices: every different value once, and a small number a device.

use super::Truths;
use super::bitmap::Bitmap;
use crate::language::evaluate::{Scalar, Truth};
use std::collections::BTreeMap;

/// Up to so many different values, the devices of each are kept as a bitmap.
const FEW: usize = 64;

/// The values of one property.
pub(super) struct Column<'a> {
    /// Which of `values` each device has.
    codes: Vec<u32>,
    /// Every different value, the first of them `None`: nothing is there.
    values: Vec<Option<Scalar<'a>>>,
    /// By code, the devices that have it; only where there are few values.
    devices: Option<Vec<Bitmap>>,
    /// Of the column of ids all of them, if devices are in their order: equal starts are neighbours.
    sorted_ids: Option<Vec<&'a str>>,
}

/// What tells values apart. A list or table can only be asked whether it is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Real(u64),
    Text(&'a str),
    Whole,
}

/// A column to which one device after the other is added.
pub(super) struct Rising<'a> {
    codes: Vec<u32>,
    values: Vec<Option<Scalar<'a>>>,
    known: BTreeMap<Key<'a>, u32>,
    /// Devices with neighbouring ids often have the same.
    last: Option<(Key<'a>, u32)>,
}

impl<'a> Rising<'a> {
    /// A column for so many devices.
    pub(super) fn new(devices: usize) -> Self {
        let codes = Vec::with_capacity(devices);
        Self { codes, values: vec![None], known: BTreeMap::new(), last: None }
    }

    /// The next device has this.
    pub(super) fn push(&mut self, value: Option<Scalar<'a>>) {
        let code = value.map_or(0, |value| self.code(value));
        self.codes.push(code);
    }

    fn code(&mut self, value: Scalar<'a>) -> u32 {
        let key = key(value);
        if let Some((_, code)) = self.last.filter(|(last, _)| *last == key) {
            return code;
        }
        let code = *self.known.entry(key).or_insert_with(|| {
            self.values.push(Some(value));
            code(self.values.len() - 1)
        });
        self.last = Some((key, code));
        code
    }

    /// The column of all that were added.
    pub(super) fn finish(self) -> Column<'a> {
        let Self { codes, values, known: _, last: _ } = self;
        let devices = (values.len() <= FEW).then(|| {
            let mut devices = vec![Bitmap::none(codes.len()); values.len()];
            for (device, code) in codes.iter().enumerate() {
                devices[*code as usize].set(device, true);
            }
            devices
        });
        Column { codes, values, devices, sorted_ids: None }
    }
}

impl<'a> Column<'a> {
    /// The column of the devices' ids, each of which is another one.
    pub(super) fn of_ids(ids: impl Iterator<Item = &'a str>) -> Self {
        let ids: Vec<&str> = ids.collect();
        let texts = ids.iter().map(|id| Some(Scalar::Text(id)));
        let values: Vec<_> = std::iter::once(None).chain(texts).collect();
        let codes = (1..values.len()).map(code).collect();
        let sorted_ids = ids.is_sorted().then_some(ids);
        Self { codes, values, devices: None, sorted_ids }
    }

    /// The devices whose id starts with something; `None` where that is not told faster one by one.
    pub(super) fn starting_with(&self, start: &str) -> Option<Truths> {
        let ids = self.sorted_ids.as_ref()?;
        let first = ids.partition_point(|id| *id < start);
        let last = first + ids[first..].partition_point(|id| id.starts_with(start));
        let truth = |device| Truth::from(Some((first..last).contains(&device)));
        Some(Truths::of(ids.len(), truth))
    }

    /// What a device has.
    pub(super) fn value(&self, device: usize) -> Option<Scalar<'a>> {
        self.values[self.codes[device] as usize]
    }

    /// The devices that have anything there.
    pub(super) fn defined(&self) -> Bitmap {
        self.truths(|value| Truth::from(Some(value.is_some()))).yes
    }

    /// Where something is true and where it is false, asked once for every different value.
    pub(super) fn truths(&self, truth: impl Fn(Option<Scalar<'a>>) -> Truth) -> Truths {
        let truths: Vec<Truth> = self.values.iter().map(|value| truth(*value)).collect();
        match &self.devices {
            None => Truths::of(self.codes.len(), |device| truths[self.codes[device] as usize]),
            Some(devices) => Truths {
                yes: self.joined(devices, &truths, Truth::True),
                no: self.joined(devices, &truths, Truth::False),
            },
        }
    }

    /// The devices of all values for which it is so; or without those for which it is not, if these are
    /// fewer.
    fn joined(&self, devices: &[Bitmap], truths: &[Truth], wanted: Truth) -> Bitmap {
        let most = truths.iter().filter(|truth| **truth == wanted).count() * 2 > truths.len();
        let mut found = Bitmap::none(self.codes.len());
        for (truth, of_value) in truths.iter().zip(devices) {
            if (*truth == wanted) != most {
                found.add(of_value);
            }
        }
        if most {
            found.invert();
        }
        found
    }
}

fn code(number: usize) -> u32 {
    u32::try_from(number).expect("a fleet has fewer devices than 2^32")
}

fn key(value: Scalar<'_>) -> Key<'_> {
    match value {
        Scalar::Null => Key::Null,
        Scalar::Bool(value) => Key::Bool(value),
        Scalar::Integer(value) => Key::Integer(value),
        Scalar::Real(value) => Key::Real(value.to_bits()),
        Scalar::Text(text) => Key::Text(text),
        Scalar::List(_) | Scalar::Table(_) => Key::Whole,
    }
}

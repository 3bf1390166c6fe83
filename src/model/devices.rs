//! All devices of a fleet, as a list in the order of their ids.

use super::device::Device;
use super::name::DeviceId;
use std::cmp::Ordering;
use std::ops::Index;
use std::slice;
use std::sync::Arc;

/// Devices in the order of their ids, each id once. Where a device stands in the list is its number; columns, bitmaps
/// and resolutions go by numbers.
///
/// A sorted list, as it is made once and then only read: a tree of nodes would hold each id twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Devices(Vec<Arc<Device>>);

impl Devices {
    /// So many others are few: beyond, whoever keeps something by numbers makes it anew.
    pub const FEW: usize = 1000;

    /// How many may come and go so that it is less to give what is kept other numbers than to make it anew.
    const FEW_MOVES: usize = 16;

    /// How this list came from a former one; `None` where more than a few devices are others.
    pub fn changes_since(&self, former: &Self) -> Option<DeviceChanges> {
        let mut changes = DeviceChanges::default();
        if std::ptr::eq(self, former) {
            return Some(changes);
        }
        let (mut old, mut new) = (0, 0);
        loop {
            let order = match (former.at(old), self.at(new)) {
                (None, None) => return Some(changes),
                (Some(one), Some(other)) if Arc::ptr_eq(one, other) => {
                    (old, new) = (old + 1, new + 1);
                    continue;
                }
                (Some(one), Some(other)) => one.id.cmp(&other.id),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            match order {
                Ordering::Less => changes.gone.push(old),
                Ordering::Equal => changes.others.push(new),
                Ordering::Greater => changes.new.push(new),
            }
            old += usize::from(order.is_le());
            new += usize::from(order.is_ge());
            let moves = changes.gone.len() + changes.new.len();
            if moves > Self::FEW_MOVES || changes.others.len() > Self::FEW {
                return None;
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of a device.
    pub fn number(&self, id: &(impl AsRef<str> + ?Sized)) -> Option<usize> {
        self.position(id.as_ref()).ok()
    }

    /// The device of an id.
    pub fn get(&self, id: &(impl AsRef<str> + ?Sized)) -> Option<&Arc<Device>> {
        self.number(id).map(|number| &self.0[number])
    }

    /// The device of a number.
    pub fn at(&self, number: usize) -> Option<&Arc<Device>> {
        self.0.get(number)
    }

    /// Whether there is such a device.
    pub fn contains_key(&self, id: &(impl AsRef<str> + ?Sized)) -> bool {
        self.number(id).is_some()
    }

    /// Puts a device in, in the place of the one with its id.
    pub fn insert(&mut self, device: Arc<Device>) {
        match self.position(device.id.as_str()) {
            Ok(at) => self.0[at] = device,
            Err(at) => self.0.insert(at, device),
        }
    }

    /// Takes a device out.
    pub fn remove(&mut self, id: &(impl AsRef<str> + ?Sized)) {
        if let Ok(at) = self.position(id.as_ref()) {
            self.0.remove(at);
        }
    }

    /// The ids.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &DeviceId> + ExactSizeIterator {
        self.0.iter().map(|device| &device.id)
    }

    /// The devices, by number.
    pub fn values(&self) -> slice::Iter<'_, Arc<Device>> {
        self.0.iter()
    }

    /// Ids and devices, by number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&DeviceId, &Arc<Device>)> {
        self.0.iter().map(|device| (&device.id, device))
    }

    /// How many devices stand before the first whose id is not so; those for which it is so come first.
    pub fn partition_point(&self, is_so: impl Fn(&str) -> bool) -> usize {
        self.0.partition_point(|device| is_so(device.id.as_str()))
    }

    fn position(&self, id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|device| device.id.as_str().cmp(id))
    }
}

/// How a list of devices came from a former one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceChanges {
    /// The numbers that those had that are gone, ascending.
    pub gone: Vec<usize>,
    /// The numbers of those that were not there, ascending.
    pub new: Vec<usize>,
    /// The numbers of those that say something else than they did.
    pub others: Vec<usize>,
}

impl DeviceChanges {
    /// Whether all numbers are what they were.
    pub fn keep_numbers(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }

    /// Gives a list by numbers those of the new devices; of those that were not there it has `blank`.
    pub fn renumber<T: Clone>(&self, list: &mut Vec<T>, blank: &T) {
        self.gone.iter().rev().for_each(|number| drop(list.remove(*number)));
        self.new.iter().for_each(|number| list.insert(*number, blank.clone()));
    }

    /// All devices that have to be looked at, in the list that it came to, with their numbers.
    pub fn to_look_at<'d>(
        &self,
        devices: &'d Devices,
    ) -> impl Iterator<Item = (usize, &'d Arc<Device>)> {
        let numbers = self.new.iter().chain(&self.others);
        numbers.filter_map(|number| Some((*number, devices.at(*number)?)))
    }
}

impl Index<&str> for Devices {
    type Output = Arc<Device>;

    fn index(&self, id: &str) -> &Arc<Device> {
        self.get(id).unwrap_or_else(|| panic!("no device `{id}`"))
    }
}

/// Of devices with equal ids the last one stays.
impl FromIterator<Arc<Device>> for Devices {
    fn from_iter<I: IntoIterator<Item = Arc<Device>>>(devices: I) -> Self {
        let all: Vec<_> = devices.into_iter().collect();
        if all.is_sorted_by(|a, b| a.id < b.id) {
            return Self(all);
        }
        let with_beginning = |device: Arc<Device>| (beginning(&device.id), device);
        let mut all: Vec<_> = all.into_iter().rev().map(with_beginning).collect();
        all.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.id.cmp(&other.id)));
        all.dedup_by(|(a, one), (b, other)| a == b && one.id == other.id);
        Self(all.into_iter().map(|(_, device)| device).collect())
    }
}

/// What most ids differ in, as a number of the same order: then nothing far away is read to sort them.
fn beginning(id: &DeviceId) -> u128 {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(id.as_str().bytes()).for_each(|(byte, of_id)| *byte = of_id);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Place, Source};
    use crate::model::{Table, Value};

    fn device(id: &str, floor: i64) -> Arc<Device> {
        Arc::new(Device {
            id: DeviceId::parse(id).unwrap(),
            engine: None,
            reachable: true,
            tls: None,
            formerly: Vec::new(),
            tags: Table::from([("floor".to_owned(), Value::Integer(floor))]),
            reported: Table::new(),
            place: Place::new(&Source::new("devices/d.toml", ""), 0..0),
        })
    }

    #[test]
    fn are_found_by_id_and_number_and_the_last_of_equals_stays() {
        let all = [device("b", 1), device("c", 2), device("a", 3), device("b", 4)];
        let long = ["b-0123456789abcdef", "b-0123456789abcd", "b-0123456789abcde", "b."];
        let sorted: Devices = long.iter().rev().map(|id| device(id, 0)).collect();
        assert!(sorted.keys().is_sorted() && sorted.len() == long.len());
        let mut devices: Devices = all.into_iter().collect();
        let floors = |devices: &Devices| -> Vec<_> {
            let floor = |(id, d): (&DeviceId, &Arc<Device>)| format!("{id}{:?}", d.tags["floor"]);
            devices.iter().map(floor).collect()
        };
        assert_eq!(floors(&devices), ["aInteger(3)", "bInteger(4)", "cInteger(2)"]);
        assert_eq!((devices.number("b"), devices.number("bb")), (Some(1), None));
        devices.insert(device("bb", 5));
        devices.insert(device("a", 6));
        assert_eq!(floors(&devices), ["aInteger(6)", "bInteger(4)", "bbInteger(5)", "cInteger(2)"]);
        assert_eq!(devices.at(2).map(|d| d.id.as_str()), Some("bb"));
        let former = devices.clone();
        devices.remove("b");
        devices.remove("none");
        devices.insert(device("c", 7));
        devices.insert(device("d", 8));
        let changes = devices.changes_since(&former).unwrap();
        assert_eq!((changes.gone, changes.others, changes.new), (vec![1], vec![2], vec![3]));
        assert!(devices.changes_since(&Devices::default()).is_some());
        let many: Devices = (0..40).map(|n| device(&format!("m{n}"), 0)).collect();
        assert_eq!(many.changes_since(&devices), None);
        let all = ["aInteger(6)", "bbInteger(5)", "cInteger(7)", "dInteger(8)"];
        assert_eq!(floors(&devices), all);
    }
}

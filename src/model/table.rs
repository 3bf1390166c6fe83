//! Named values, kept small: a fleet has several tables a device.

use super::value::Value;
use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

/// A text that many values may share.
pub type Text = Arc<str>;

/// Named values in the order of their names.
///
/// A sorted list: tables that people write have a few entries, of which a tree of nodes would take some ten times the
/// memory. Finding is logarithmic; putting in is linear but at the end, so a table from many entries is collected.
#[derive(Clone, Default, PartialEq)]
pub struct Table(Vec<(Text, Value)>);

impl Table {
    /// No values.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().map(|at| &self.0[at].1)
    }

    /// The same, looked for first where it stood in a table like this one; the place is kept for the next.
    fn get_near<'t>(&'t self, name: &str, near: &mut NearName<'t>) -> Option<&'t Value> {
        if let Some((there, value)) = self.0.get(near.place) {
            if near.shared.is_some_and(|shared| std::ptr::eq(shared, &raw const **there)) {
                return Some(value);
            }
            if **there == *name {
                near.shared = Some(there);
                return Some(value);
            }
        }
        near.place = self.position(name).ok()?;
        Some(&self.0[near.place].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.position(name).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether there is such a name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    /// Puts a value in; gives the one that was there.
    pub fn insert(&mut self, name: impl Into<Text> + Borrow<str>, value: Value) -> Option<Value> {
        match self.position(name.borrow()) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name.into(), value));
                None
            }
        }
    }

    /// The value of a name, made first where it is not there.
    pub fn get_or_insert_with(
        &mut self,
        name: impl Into<Text> + Borrow<str>,
        make: impl FnOnce() -> Value,
    ) -> &mut Value {
        let at = self.position(name.borrow()).unwrap_or_else(|at| {
            self.0.insert(at, (name.into(), make()));
            at
        });
        &mut self.0[at].1
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.position(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Names and values.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Text, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Text> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Names and values, these to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Text, &mut Value)> {
        self.0.iter_mut().map(|(name, value)| (&*name, value))
    }

    /// A table of the same names, each with what is made of its value.
    pub fn map_values(&self, mut make: impl FnMut(&Value) -> Value) -> Self {
        Self(self.0.iter().map(|(name, value)| (Text::clone(name), make(value))).collect())
    }

    /// Keeps what is wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str, &mut Value) -> bool) {
        self.0.retain_mut(|(name, value)| wanted(name, value));
    }

    /// Puts another table over this one, table by table.
    pub fn overlay(&mut self, above: &Self) {
        let mut new = Vec::new();
        for (name, value) in &above.0 {
            match (self.get_mut(name), value) {
                (Some(Value::Table(below)), Value::Table(above)) => below.overlay(above),
                (Some(below), above) => *below = above.clone(),
                (None, above) => new.push((name.clone(), above.clone())),
            }
        }
        self.extend(new);
    }

    /// Puts a value at a path of names, and tables on its way. Whether a value that is no table stood there.
    pub fn set_at<S: AsRef<str>>(&mut self, path: &[S], value: Value) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let first = first.as_ref();
        if rest.is_empty() {
            self.insert(first, value);
            return false;
        }
        match self.get_or_insert_with(first, || Value::Table(Self::new())) {
            Value::Table(next) => next.set_at(rest, value),
            other => {
                let mut made = Self::new();
                made.set_at(rest, value);
                *other = Value::Table(made);
                true
            }
        }
    }

    /// Takes out what is at a path of names.
    pub fn remove_at<S: AsRef<str>>(&mut self, path: &[S]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        match rest {
            [] => self.remove(first.as_ref()),
            rest => match self.get_mut(first.as_ref())? {
                Value::Table(next) => next.remove_at(rest),
                _ => None,
            },
        }
    }

    /// Where a name is, or where it would have to be.
    fn position(&self, name: &str) -> Result<usize, usize> {
        // Names mostly come in their order.
        match self.0.last() {
            Some((last, _)) if **last < *name => Err(self.0.len()),
            _ => self.0.binary_search_by(|(other, _)| (**other).cmp(name)),
        }
    }
}

/// So many tables are looked into at a time where several paths are looked up in many. Each lies somewhere else: those of
/// one path after the other are fetched several at once, and few enough are still there for the next path.
pub const NEAR: usize = 64;

/// Where the names of a path stood in the tables of a device: there they mostly stand in those of the next one.
#[derive(Debug, Clone)]
pub struct NearPath<'t>(Box<[NearName<'t>]>);

/// Where a name stood.
#[derive(Debug, Clone, Default)]
struct NearName<'t> {
    place: usize,
    /// The name as the tables have it: most share it, so that where it lies says what it is.
    shared: Option<&'t str>,
}

impl<'t> NearPath<'t> {
    /// For lookups of this path.
    pub fn new(path: &[String]) -> Self {
        Self(vec![NearName::default(); path.len()].into())
    }

    /// The value at the path, as [`Value::lookup`] finds it. It is always the same path.
    pub fn lookup(&mut self, table: &'t Table, path: &[String]) -> Option<&'t Value> {
        let mut names = path.iter().zip(&mut self.0);
        let (first, near) = names.next()?;
        let first = table.get_near(first, near)?;
        names.try_fold(first, |value, (name, near)| value.as_table()?.get_near(name, near))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Index<&str> for Table {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        self.get(name).unwrap_or_else(|| panic!("no `{name}` in the table"))
    }
}

/// Of equal names the last one counts.
impl<N: Into<Text>> Extend<(N, Value)> for Table {
    fn extend<I: IntoIterator<Item = (N, Value)>>(&mut self, entries: I) {
        let known = self.0.len();
        self.0.extend(entries.into_iter().map(|(name, value)| (name.into(), value)));
        let in_order = self.0[known.saturating_sub(1)..].iter().map(|(name, _)| name);
        if in_order.is_sorted_by(|a, b| a < b) {
            return;
        }
        // Stable, so that of equal names the last one stays the last.
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.dedup_by(|later, earlier| {
            let is_again = later.0 == earlier.0;
            if is_again {
                std::mem::swap(later, earlier);
            }
            is_again
        });
    }
}

impl<N: Into<Text>> FromIterator<(N, Value)> for Table {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(entries: I) -> Self {
        let mut table = Self::new();
        table.extend(entries);
        table.0.shrink_to_fit();
        table
    }
}

impl<N: Into<Text>, const LEN: usize> From<[(N, Value); LEN]> for Table {
    fn from(entries: [(N, Value); LEN]) -> Self {
        entries.into_iter().collect()
    }
}

impl IntoIterator for Table {
    type Item = (Text, Value);
    type IntoIter = std::vec::IntoIter<(Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'t> IntoIterator for &'t Table {
    type Item = (&'t Text, &'t Value);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'t, (Text, Value)>,
        fn(&'t (Text, Value)) -> (&'t Text, &'t Value),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone)]
    enum Edit {
        Insert(String, i64),
        Remove(String),
        GetOrInsert(String, i64),
        Extend(Vec<(String, i64)>),
        KeepEven,
        Overlay(Vec<(String, i64)>),
    }

    fn edit() -> impl Strategy<Value = Edit> {
        let name = "[a-e]{0,2}";
        let entries = || prop::collection::vec((name, any::<i64>()), 0..6);
        prop_oneof![
            (name, any::<i64>()).prop_map(|(name, n)| Edit::Insert(name, n)),
            name.prop_map(Edit::Remove),
            (name, any::<i64>()).prop_map(|(name, n)| Edit::GetOrInsert(name, n)),
            entries().prop_map(Edit::Extend),
            Just(Edit::KeepEven),
            entries().prop_map(Edit::Overlay),
        ]
    }

    fn is_even(value: &Value) -> bool {
        matches!(value, Value::Integer(n) if n % 2 == 0)
    }

    fn of(entries: Vec<(String, i64)>) -> impl Iterator<Item = (String, Value)> {
        entries.into_iter().map(|(name, n)| (name, Value::Integer(n)))
    }

    proptest! {
        #[test]
        fn is_what_a_map_is(edits in prop::collection::vec(edit(), 0..20)) {
            let mut table = Table::new();
            let mut map: BTreeMap<String, Value> = BTreeMap::new();
            for edit in edits {
                match edit {
                    Edit::Insert(name, n) => {
                        let n = Value::Integer(n);
                        let there = map.insert(name.clone(), n.clone());
                        prop_assert_eq!(table.insert(name, n), there);
                    }
                    Edit::Remove(name) => prop_assert_eq!(table.remove(&name), map.remove(&name)),
                    Edit::GetOrInsert(name, n) => {
                        let there = map.entry(name.clone()).or_insert(Value::Integer(n)).clone();
                        prop_assert_eq!(&*table.get_or_insert_with(name, || Value::Integer(n)), &there);
                    }
                    Edit::Extend(entries) => {
                        map.extend(of(entries.clone()));
                        table.extend(of(entries));
                    }
                    Edit::KeepEven => {
                        map.retain(|_, value| is_even(value));
                        table.retain(|_, value| is_even(value));
                    }
                    Edit::Overlay(entries) => {
                        map.extend(of(entries.clone()));
                        table.overlay(&of(entries).collect());
                    }
                }
                let entries: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value)).collect();
                let found: Vec<_> = table.iter().map(|(name, value)| (&**name, value)).collect();
                prop_assert_eq!(found, entries);
                prop_assert!(map.iter().all(|(name, value)| table.get(name) == Some(value)));
                prop_assert_eq!(table.contains_key("aa"), map.contains_key("aa"));
            }
        }
    }

    #[test]
    fn tables_in_tables_are_overlaid_and_all_else_is_replaced() {
        let table = |entries: [(&str, Value); 2]| Table::from(entries);
        let inner = |n: i64| Value::Table(table([("kept", 1.into()), ("n", n.into())]));
        let mut below = table([("a", inner(1)), ("b", inner(1))]);
        below.overlay(&table([
            ("a", Value::Table(Table::from([("n", 2.into())]))),
            ("b", 3.into()),
        ]));
        assert_eq!(below, table([("a", inner(2)), ("b", 3.into())]));
    }
}

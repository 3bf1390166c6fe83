//! Sets of devices by their number, one bit each.

use crate::model::DeviceChanges;
use std::ops::Range;

/// A set of numbers below a length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// No number below `len`.
    pub fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// Every number below `len`.
    pub fn all(len: usize) -> Self {
        let mut all = Self { words: vec![u64::MAX; len.div_ceil(64)], len };
        all.clear_beyond();
        all
    }

    /// The numbers for which `is_in` holds.
    pub fn where_true(len: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let word = |first: usize| {
            (first..len.min(first + 64)).rev().fold(0, |word, n| word << 1 | u64::from(is_in(n)))
        };
        Self { words: (0..len).step_by(64).map(word).collect(), len }
    }

    /// Keeps what is in both.
    pub fn keep(&mut self, other: &Self) {
        for (mine, others) in self.words.iter_mut().zip(&other.words) {
            *mine &= others;
        }
    }

    /// Adds what is in the other.
    pub fn add(&mut self, other: &Self) {
        for (mine, others) in self.words.iter_mut().zip(&other.words) {
            *mine |= others;
        }
    }

    /// Everything that was not in it.
    pub fn invert(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_beyond();
    }

    /// Below which number all in it are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds the numbers of another set behind those that may be in this one; that is a multiple of 64 of them.
    pub fn append(&mut self, other: &Self) {
        assert!(self.len.is_multiple_of(64), "else bits would have to move");
        self.words.extend(&other.words);
        self.len += other.len;
    }

    /// Puts all numbers of a range in.
    pub(super) fn add_range(&mut self, range: Range<usize>) {
        for n in range {
            self.set(n, true);
        }
    }

    /// Gives it the numbers of other devices; those that were not there are not in it.
    pub fn renumber(&mut self, changes: &DeviceChanges) {
        changes.gone.iter().rev().for_each(|number| self.close(*number));
        changes.new.iter().for_each(|number| self.open(*number));
    }

    /// Takes a number away; those above become one less.
    fn close(&mut self, n: usize) {
        let (at, below) = (n / 64, (1 << (n % 64)) - 1);
        let word = self.words[at];
        self.words[at] = word & below | word >> 1 & !below;
        for next in at + 1..self.words.len() {
            self.words[next - 1] |= self.words[next] << 63;
            self.words[next] >>= 1;
        }
        self.len -= 1;
        self.words.truncate(self.len.div_ceil(64));
    }

    /// Makes room for a number, which is not in it; those from there on become one more.
    fn open(&mut self, n: usize) {
        self.len += 1;
        self.words.resize(self.len.div_ceil(64), 0);
        let (at, below) = (n / 64, (1 << (n % 64)) - 1);
        let word = self.words[at];
        let mut last = word >> 63;
        self.words[at] = word & below | (word & !below) << 1;
        for word in &mut self.words[at + 1..] {
            (*word, last) = (*word << 1 | last, *word >> 63);
        }
    }

    /// Puts a number in, or takes it out.
    pub fn set(&mut self, n: usize, is_in: bool) {
        let bit = 1 << (n % 64);
        let word = &mut self.words[n / 64];
        *word = if is_in { *word | bit } else { *word & !bit };
    }

    /// Whether a number is in it.
    pub fn contains(&self, n: usize) -> bool {
        self.words.get(n / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    /// How many numbers are in it.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The numbers in it, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.words
            .iter()
            .enumerate()
            .flat_map(|(at, word)| bits(*word).map(move |bit| at * 64 + bit))
    }

    /// The numbers that are in one of two sets of one length alone, ascending.
    pub fn differing(&self, other: &Self) -> impl Iterator<Item = usize> {
        let words = self.words.iter().zip(&other.words).enumerate();
        words.flat_map(|(at, (mine, others))| bits(mine ^ others).map(move |bit| at * 64 + bit))
    }

    /// 64 bits: the numbers from `64 × at` on.
    pub fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or_default()
    }

    fn clear_beyond(&mut self) {
        let used = self.len % 64;
        if used > 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << used) - 1;
        }
    }
}

/// The positions of the bits that are set, ascending.
pub fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::Bitmap;
    use crate::model::DeviceChanges;

    #[test]
    fn what_comes_and_goes_moves_the_others() {
        for len in [1, 63, 64, 65, 128, 200] {
            for at in [0, 1, 62, 63, 64, 127, 199] {
                let numbers: Vec<bool> = (0..len).map(|n| n % 3 == 0 || n % 64 == 63).collect();
                for (gone, new) in
                    [(vec![at], vec![]), (vec![], vec![at]), (vec![0, at], vec![at, len])]
                {
                    let fits = gone.iter().all(|n| *n < len) && gone.is_sorted_by(|a, b| a < b);
                    let room = len - gone.len().min(len);
                    if !fits || new.iter().enumerate().any(|(n, at)| *at > room + n) {
                        continue;
                    }
                    let changes = DeviceChanges { gone, new, others: Vec::new() };
                    let mut expected = numbers.clone();
                    changes.renumber(&mut expected, &false);
                    let mut set = Bitmap::where_true(len, |n| numbers[n]);
                    set.renumber(&changes);
                    assert_eq!(set, Bitmap::where_true(expected.len(), |n| expected[n]));
                }
            }
        }
    }

    #[test]
    fn holds_what_was_put_in_at_any_length() {
        for len in [0, 1, 63, 64, 65, 200] {
            let third = Bitmap::where_true(len, |n| n % 3 == 0);
            let numbers: Vec<usize> = (0..len).filter(|n| n % 3 == 0).collect();
            assert_eq!(third.numbers().collect::<Vec<_>>(), numbers);
            assert_eq!(third.count(), numbers.len());
            assert!((0..len + 70).all(|n| third.contains(n) == (n < len && n % 3 == 0)));
            let mut rest = third.clone();
            rest.invert();
            assert_eq!(rest.count() + third.count(), len);
            assert_eq!(rest.differing(&third).count(), len);
            rest.add(&third);
            assert_eq!(rest, Bitmap::all(len));
            assert!(rest.differing(&third).eq((0..len).filter(|n| n % 3 > 0)));
            rest.invert();
            rest.keep(&third);
            assert_eq!(rest, Bitmap::none(len));
            assert!(rest.is_empty());
            let mut behind = Bitmap::where_true(128, |n| n % 5 == 0);
            behind.append(&third);
            let expected = |n| if n < 128 { n % 5 == 0 } else { (n - 128) % 3 == 0 };
            assert_eq!(behind, Bitmap::where_true(128 + len, expected));
        }
    }
}

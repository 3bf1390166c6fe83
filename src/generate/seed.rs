//! Numbers that look random and are the same on every machine and in every version.

/// A position in the space of all choices of one made-up fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(u64);

impl Seed {
    /// The choices about the `n`th thing of a kind.
    pub(super) fn of(seed: u64, kind: &str, n: u64) -> Self {
        let kind = kind.bytes().fold(0_u64, |sum, byte| mixed(sum ^ u64::from(byte)));
        Self(mixed(mixed(seed) ^ kind ^ mixed(n)))
    }

    /// A number below `limit` (at least 1) for one choice.
    pub(super) fn below(self, choice: u64, limit: u64) -> u64 {
        mixed(self.0.wrapping_add(choice)) % limit.max(1)
    }

    /// One of several, each as likely.
    pub(super) fn one_of<T: Copy>(self, choice: u64, all: &[T]) -> T {
        all[usize::try_from(self.below(choice, all.len() as u64)).unwrap_or_default()]
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

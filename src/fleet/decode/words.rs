//! Names and texts that occur again and again in the files of a fleet, kept once.

use crate::model::Text;

/// So many are kept at once; what is pushed out is only kept twice.
const KEPT: usize = 4096;

/// Texts that were read lately.
pub(in crate::fleet) struct Words(Vec<Option<Text>>);

impl Default for Words {
    fn default() -> Self {
        Self(vec![None; KEPT])
    }
}

impl Words {
    /// The text, shared with whoever had it before.
    pub(super) fn share(&mut self, word: &str) -> Text {
        let kept = &mut self.0[hash(word) % KEPT];
        match kept {
            Some(kept) if **kept == *word => Text::clone(kept),
            _ => Text::clone(kept.insert(word.into())),
        }
    }
}

/// A multiplication for each eight bytes: a collision costs a copy, so nothing better is needed.
fn hash(word: &str) -> usize {
    let step = |hash: u64, part: u64| {
        let product = (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    };
    let (parts, rest) = word.as_bytes().as_chunks::<8>();
    let begun = parts.iter().fold(0, |hash, part| step(hash, u64::from_le_bytes(*part)));
    let rest = rest.iter().fold(0, |rest, byte| (rest << 8) | u64::from(*byte));
    let [.., a, b] = step(begun, rest).to_le_bytes();
    usize::from(u16::from_le_bytes([a, b]))
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Words};
    use crate::model::Text;

    #[test]
    fn a_word_is_itself_and_kept_once_while_it_is_remembered() {
        let mut words = Words::default();
        assert!(Text::ptr_eq(&words.share("prod"), &words.share("prod")));
        for n in 0..3 * KEPT {
            let word = n.to_string();
            assert_eq!(*words.share(&word), *word);
        }
        assert_eq!(&*words.share("prod"), "prod");
    }
}

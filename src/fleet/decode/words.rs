//! Names and texts that occur again and again in the files of a fleet, kept once.

use crate::model::Text;

/// So many are kept at once; what is pushed out is only kept twice.
const KEPT: usize = 4096;

/// Texts that were read lately, more than once. Those that occur once, as serial numbers do, would push out others; and
/// to push one out that was read long ago is to fetch it from far away.
pub(super) struct Words {
    kept: Vec<Option<Text>>,
    /// For each place the hash of the word that was looked for last and was not there.
    missed: Vec<u32>,
}

impl Default for Words {
    fn default() -> Self {
        Self { kept: vec![None; KEPT], missed: vec![0; KEPT] }
    }
}

impl Words {
    /// The text, shared with whoever had it before.
    pub(super) fn share(&mut self, word: &str) -> Text {
        let hash = hash(word);
        let place = hash as usize % KEPT;
        let kept = &mut self.kept[place];
        if let Some(kept) = kept
            && **kept == *word
        {
            return Text::clone(kept);
        }
        let text = Text::from(word);
        if std::mem::replace(&mut self.missed[place], hash) == hash {
            *kept = Some(Text::clone(&text));
        }
        text
    }
}

/// A multiplication for each eight bytes: a collision costs a copy, so nothing better is needed.
fn hash(word: &str) -> u32 {
    let step = |hash: u64, part: u64| {
        let product = (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    };
    let (parts, rest) = word.as_bytes().as_chunks::<8>();
    let begun = parts.iter().fold(0, |hash, part| step(hash, u64::from_le_bytes(*part)));
    let rest = rest.iter().fold(0, |rest, byte| (rest << 8) | u64::from(*byte));
    let [.., a, b, c, d] = step(begun, rest).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Words};
    use crate::model::Text;

    #[test]
    fn a_word_is_itself_and_kept_once_where_it_is_read_again_and_again() {
        let mut words = Words::default();
        let first = words.share("prod");
        let second = words.share("prod");
        assert!(!Text::ptr_eq(&first, &second), "it might occur only once");
        assert!(Text::ptr_eq(&second, &words.share("prod")));
        for n in 0..3 * KEPT {
            let word = n.to_string();
            assert_eq!(*words.share(&word), *word);
        }
        assert_eq!(&*words.share("prod"), "prod");
    }
}

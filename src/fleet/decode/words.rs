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
        let kept = &mut self.0[usize::from(hash(word)) % KEPT];
        match kept {
            Some(kept) if **kept == *word => Text::clone(kept),
            _ => Text::clone(kept.insert(word.into())),
        }
    }
}

/// FNV-1a, folded: a collision costs a copy, so nothing better is needed.
fn hash(word: &str) -> u16 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let [a, b, c, d] = word.bytes().fold(0x811c_9dc5, step).to_be_bytes();
    u16::from_be_bytes([a ^ c, b ^ d])
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

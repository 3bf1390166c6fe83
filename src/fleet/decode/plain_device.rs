//! Device files as nearly everybody writes them, read in one go.
//!
//! Enters: a file of devices. Leaves: the devices that the collecting decoder would give, without a word; or nothing
//! at the slightest doubt. It never says what is wrong: that is the other decoder's work. A file in which only values
//! differ from one before it is read by that one's [`Pattern`](super::pattern::Pattern).

use super::File;
use super::draft::Drafts;
use super::pattern::Patterns;
use super::words::Words;
use crate::diagnostic::Place;
use crate::model::Device;

/// What helps along whoever decodes one file after the other.
#[derive(Default)]
pub(in crate::fleet) struct Lately {
    words: Words,
    patterns: Patterns,
}

/// The devices of a file, each with the place where its engine is named; `None` where it is not plain.
pub(super) fn devices(
    file: &File,
    stem: &str,
    lately: &mut Lately,
) -> Option<Vec<(Device, Option<Place>)>> {
    let Lately { words, patterns } = lately;
    let text = &*file.source.text;
    if let Some(draft) = patterns.read(text, words) {
        return Some(vec![draft.finish(file, Some(stem))?]);
    }
    let Drafts { mut all, is_list, scalars } = Drafts::read(text, words)?;
    if !is_list && let [draft] = &*all {
        patterns.learn(text, draft, &scalars, words);
    }
    let stem = (!is_list).then_some(stem);
    all.drain(..).map(|draft| draft.finish(file, stem)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Lately, devices};
    use crate::diagnostic::Source;
    use crate::fleet::decode::{File, Texts, device_file};
    use proptest::prelude::*;

    /// What is read in one go is what the collecting decoder reads, and that one finds nothing.
    fn agrees(text: &str, stem: &str) -> bool {
        let file = || File::new(Source::new("devices/a.toml", text), Texts::Templates);
        let Some(plain) = devices(&file(), stem, &mut Lately::default()) else { return false };
        let exact = file();
        let expected = device_file::devices_with_words(&exact, stem).devices;
        assert!(exact.into_diagnostics().is_empty(), "{text}");
        assert_eq!(plain, expected, "{text}");
        true
    }

    const OWN: &str = "# gw\nengine = \"ssh://hoist@a.example\" # here\nreachable = false\n\n[tags]\nring = \"early\"\n\
        location = { country = \"de\", floor = 12, deep = { x = true } }\n[tags.more]\nn = 0\n[reported]\ncpus = 4\n";
    const LIST: &str = "[[device]]\nid = \"a\"\nengine = \"tcp://10.0.0.1:2376\"\ntls = \"site\"\ntags = {}\n\n\
        [[device]]\nid = \"b\"\n[device.tags]\nring = \"é\"\n[device.tags.location]\nfloor = 1\n[[device]]\nid = \"c\"";

    #[test]
    fn files_as_they_are_written_are_plain() {
        for text in [OWN, LIST, "", "\n", "id = \"other\"", "[tags]\n", "tags = { a = \"\" }"] {
            assert!(agrees(text, "gw-1"), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_written_is_left_to_the_other() {
        for text in [
            "engin = \"unix:///x\"",
            "engine = 1",
            "engine = \"nope\"",
            "id = \"a\\u0062\"",
            "id = 'a'",
            "id = \"\"\"a\"\"\"",
            "tags.a = 1",
            "[tags]\na = 1.5",
            "[tags]\na = 01",
            "[tags]\na = 2026-01-05",
            "[tags]\na = [1]",
            "[tags]\na = 1\na = 2",
            "[tags]\n[tags]",
            "[tags.x]\n[tags]",
            "tags = {}\n[tags]",
            "[tags]\na = { b = 1 }\n[tags.a]",
            "[tags] x",
            "tls = \"a\"\n[[device]]\nid = \"a\"",
            "[[device]]\nid = \"a\"\n[tags]",
            "[[device]]\n",
            "[device]\nid = \"a\"",
            "formerly = []",
            "reachable = true\r\n",
            "reachable = true reachable = false",
            "reachable =\ntrue",
        ] {
            assert!(!agrees(text, "gw"), "{text}");
        }
        assert!(!agrees("", "a+b"), "such an id is no file's name");
        let header = |levels: usize| format!("[tags{}]\nx = 1", ".a".repeat(levels));
        assert!(agrees(&header(3), "gw"));
        assert!(!agrees(&header(4), "gw"));
        let keys =
            |n: usize| (0..n).fold("[tags]\n".to_owned(), |all, n| format!("{all}k{n} = 1\n"));
        assert!(agrees(&keys(64), "gw"));
        assert!(!agrees(&keys(65), "gw"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_damage_makes_it_disagree(
            list in any::<bool>(),
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), 0..9usize, "[\\[\\]{}='\"\\\\#,.$ \\n\\taé0-9_-]{0,5}|\\[tags\\]\n|id = \"x\"\n"),
                0..4,
            ),
        ) {
            let mut text = if list { LIST } else { OWN }.to_owned();
            for (at, gone, junk) in changes {
                let mut start = at.index(text.len() + 1);
                while !text.is_char_boundary(start) { start -= 1; }
                let mut end = (start + gone).min(text.len());
                while !text.is_char_boundary(end) { end += 1; }
                text.replace_range(start..end, &junk);
            }
            agrees(&text, "gw");
            // Nor where the file before it was read just now.
            let mut lately = Lately::default();
            let file = |text: &str| File::new(Source::new("devices/a.toml", text), Texts::Templates);
            devices(&file(if list { LIST } else { OWN }), "gw", &mut lately);
            let alone = devices(&file(&text), "gw", &mut Lately::default());
            prop_assert_eq!(devices(&file(&text), "gw", &mut lately), alone);
        }
    }
}

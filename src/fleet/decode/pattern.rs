//! Device files in which only values differ from one that was read before.
//!
//! Enters: a text. Leaves: what [`Drafts`] would read in it, or nothing where anything else than its values differs from
//! the file that the pattern is of. Files of a fleet are mostly written alike: what stands between values is compared
//! at once then, and what is known of it is not found out again.

use super::draft::{Draft, Drafts, Own};
use super::plain_text::{Cursor, Span};
use super::words::Words;
use crate::model::{Table, Value};

/// To learn a pattern takes as long as so many files are read faster by it.
const WORTH_LEARNING: u32 = 8;

/// So many files read by patterns are remembered, at most.
const MOST_REMEMBERED: u32 = 8 * WORTH_LEARNING;

/// The pattern that was learnt last.
pub(super) struct Patterns {
    last: Option<Pattern>,
    /// How many files were read by patterns, less what it took to learn them: where files are not alike, to learn
    /// the pattern of each would be in vain.
    saved: u32,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { last: None, saved: MOST_REMEMBERED }
    }
}

impl Patterns {
    /// What a text says, if the pattern is its.
    pub(super) fn read<'t>(&mut self, text: &'t str, words: &mut Words) -> Option<Draft<'t>> {
        let draft = self.last.as_mut()?.read(text, words)?;
        self.saved = MOST_REMEMBERED.min(self.saved + 1);
        Some(draft)
    }

    /// Learns the pattern of a text, of what was read in it and of where its scalars stand.
    pub(super) fn learn(
        &mut self,
        text: &str,
        of: &Draft<'_>,
        scalars: &[Span],
        words: &mut Words,
    ) {
        if let Some(saved) = self.saved.checked_sub(WORTH_LEARNING) {
            self.saved = saved;
            self.last = Pattern::of(text, &of.own, scalars, words);
        }
    }
}

/// A file without its values.
pub(super) struct Pattern {
    /// Before each scalar, the text since the one before it.
    before: Vec<Box<str>>,
    /// The text after the last one.
    end: Box<str>,
    /// Which scalars are the device's own, ascending.
    own: Vec<(usize, Own)>,
    /// Tables with the number of a scalar in the place of each.
    tags: Option<Table>,
    reported: Option<Table>,
    /// The scalars that stand in tables, as they were read last.
    values: Vec<Value>,
}

impl Pattern {
    fn of(text: &str, own: &[(usize, Own)], scalars: &[Span], words: &mut Words) -> Option<Self> {
        let starts = scalars.iter().map(|(start, _)| *start);
        let ends = std::iter::once(0).chain(scalars.iter().map(|(_, end)| *end));
        let before: Vec<&str> = ends.zip(starts).map(|(from, to)| &text[from..to]).collect();
        let end = &text[scalars.last()?.1..];
        // Read as any other, a file with numbers for values says by its tables where each value belongs.
        let mut numbered = String::with_capacity(text.len());
        let mut own_ones = own.iter().map(|(number, _)| *number).peekable();
        for (number, (before, (start, end))) in before.iter().zip(scalars).enumerate() {
            numbered.push_str(before);
            match own_ones.next_if_eq(&number) {
                Some(_) => numbered.push_str(&text[*start..*end]),
                None => numbered.push_str(&number.to_string()),
            }
        }
        numbered.push_str(end);
        let Draft { tags, reported, .. } = Drafts::read(&numbered, words)?.all.pop()?;
        Some(Self {
            before: before.into_iter().map(Box::from).collect(),
            end: end.into(),
            own: own.to_vec(),
            tags,
            reported,
            values: vec![Value::Bool(false); scalars.len()],
        })
    }

    fn read<'t>(&mut self, text: &'t str, words: &mut Words) -> Option<Draft<'t>> {
        let mut rest = Cursor::new(text, words);
        let mut draft = Draft::default();
        let mut own = self.own.iter().peekable();
        for (number, (before, value)) in self.before.iter().zip(&mut self.values).enumerate() {
            rest.take_text(before)?;
            if let Some((_, key)) = own.next_if(|(own, _)| *own == number) {
                let start = rest.at;
                let scalar = rest.scalar()?.if_clean()?;
                draft.set(*key, scalar, (start, rest.at))?;
            } else if !matches!(&*value, Value::String(last) if rest.takes_string(last)) {
                *value = rest.scalar()?.if_clean()?.into_value(rest.words);
            }
        }
        rest.take_text(&self.end)?;
        if rest.peek().is_some() {
            return None;
        }
        draft.tags = self.tags.as_ref().map(|tags| filled(tags, &self.values));
        draft.reported = self.reported.as_ref().map(|reported| filled(reported, &self.values));
        Some(draft)
    }
}

/// A table with values in the places of their numbers.
fn filled(numbered: &Table, values: &[Value]) -> Table {
    numbered.map_values(|value| match value {
        Value::Table(table) => Value::Table(filled(table, values)),
        place => number(place).and_then(|number| values.get(number)).unwrap_or(place).clone(),
    })
}

fn number(place: &Value) -> Option<usize> {
    match place {
        Value::Integer(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Draft, Drafts, Patterns, WORTH_LEARNING, Words};
    use crate::model::Table;

    const FILE: &str = "engine = \"unix:///a\"\nreachable = true\n\n[tags]\nring = \"early\" # soon\n\
        location = { country = \"de\", floor = 12, deep = { x = true } }\n[reported]\ncpus = 4\n";

    /// Tags and reported properties, and the numbers of its own scalars.
    fn says(draft: &Draft<'_>) -> (Option<Table>, Option<Table>) {
        (draft.tags.clone(), draft.reported.clone())
    }

    fn learnt(text: &str) -> Patterns {
        let (mut patterns, mut words) = (Patterns::default(), Words::default());
        learn(&mut patterns, text, &mut words);
        patterns
    }

    fn learn(patterns: &mut Patterns, text: &str, words: &mut Words) {
        let Drafts { all, scalars, .. } = Drafts::read(text, words).unwrap();
        patterns.learn(text, &all[0], &scalars, words);
    }

    #[test]
    fn a_file_with_other_values_is_read_by_it_as_without() {
        let mut patterns = learnt(FILE);
        for (old, new) in [
            ("early", "early"),
            ("early", "late"),
            ("early", ""),
            ("\"early\"", "7"),
            ("\"early\"", "false"),
            ("12", "\"13\""),
            ("12", "0"),
            ("\"de\"", "\"é }\""),
            ("unix:///a", "ssh://a@b.example"),
            ("reachable = true", "reachable = false"),
            ("4", "\"4\""),
        ] {
            let text = FILE.replacen(old, new, 1);
            let mut words = Words::default();
            let read = patterns.read(&text, &mut words).expect(new);
            let expected = Drafts::read(&text, &mut words).unwrap();
            assert_eq!(says(&read), says(&expected.all[0]), "{new}");
        }
    }

    #[test]
    fn whatever_else_differs_it_does_not_read() {
        let mut patterns = learnt(FILE);
        for (old, new) in [
            ("early", "ear\tly"),
            ("early", "ear\\u0041ly"),
            ("\"early\"", "\"\"\"early\"\"\""),
            ("\"early\"", "01"),
            ("\"early\"", "{}"),
            ("unix:///a", "nothing"),
            ("unix:///a", "unix:///a\tb"),
            ("reachable = true", "reachable = \"true\""),
            ("ring", "rang"),
            ("# soon", "# late"),
            ("cpus = 4\n", "cpus = 4"),
            ("cpus = 4\n", "cpus = 4\nmore = 1\n"),
            ("[reported]\ncpus = 4\n", ""),
        ] {
            let text = FILE.replacen(old, new, 1);
            assert!(patterns.read(&text, &mut Words::default()).is_none(), "{new}");
        }
    }

    #[test]
    fn where_files_are_not_alike_it_soon_learns_no_more() {
        let (mut patterns, mut words) = (Patterns::default(), Words::default());
        let alike = |n: usize| format!("[tags]\nof-{n} = 1\n");
        let is_read =
            |patterns: &mut Patterns, n| patterns.read(&alike(n), &mut Words::default()).is_some();
        for n in 0..100 {
            assert!(!is_read(&mut patterns, n));
            learn(&mut patterns, &alike(n), &mut words);
        }
        assert!(!is_read(&mut patterns, 99));
        let last = (0..100).find(|n| is_read(&mut patterns, *n)).expect("the one learnt last");
        for _ in 0..WORTH_LEARNING {
            assert!(is_read(&mut patterns, last));
        }
        learn(&mut patterns, &alike(100), &mut words);
        assert!(is_read(&mut patterns, 100), "it has been of use");
    }
}

//! Changes of devices by pairs of cohorts: the one that a device was in and the one that it is in.
//!
//! Enters: a device's states on both sides. Leaves: what was found for it, or for one like it before. What two
//! cohorts have in common is compared once; what they don't, once for all devices on which it shows in the same
//! words. Of a device only those texts are filled that may show in a change. Not here: the comparison itself.

use super::fields::{Text, shown_text};
use super::side::State;
use crate::model::{Device, Module, Template, TextUse};
use crate::resolve::ResolvedCohort;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ptr;

/// A device on both sides.
#[derive(Clone, Copy)]
pub(super) struct BothStates<'a> {
    pub(super) before: State<'a>,
    pub(super) after: State<'a>,
    pub(super) renamed: bool,
}

/// What was found for pairs of cohorts.
#[derive(Default)]
pub(super) struct Pairs(BTreeMap<(Stance, Stance, bool), Pair>);

/// What a state says to all devices that it holds for alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stance {
    Absent,
    Untargeted,
    Held,
    Empty,
    Targeted(usize),
}

impl Stance {
    /// `None` where a device has a manifest of its own.
    fn of(state: &State<'_>) -> Option<Self> {
        Some(match state {
            State::Absent => Self::Absent,
            State::Untargeted => Self::Untargeted,
            State::Held => Self::Held,
            State::Empty => Self::Empty,
            State::Targeted { index, .. } => Self::Targeted(*index),
            State::Recorded(_) | State::Kept(_) => return None,
        })
    }
}

impl Pairs {
    /// What `compare` finds for a device, which is asked only if nobody has for a device like this one.
    pub(super) fn found<'a>(
        &mut self,
        states: BothStates<'a>,
        compare: impl FnOnce(BothStates<'a>) -> Option<usize>,
    ) -> Option<usize> {
        let BothStates { before, after, renamed } = states;
        let Some(stances) = Stance::of(&before).zip(Stance::of(&after)) else {
            return compare(states);
        };
        let (old, new) = (targeted(&before), targeted(&after));
        let pair = self.0.entry((stances.0, stances.1, renamed)).or_insert_with(|| {
            Pair::of(old.map(|(cohort, _)| cohort), new.map(|(cohort, _)| cohort))
        });
        let words = pair.words(old, new);
        if let Some(found) = pair.found.get(&words) {
            return *found;
        }
        let found = compare(states);
        pair.found.insert(words, found);
        found
    }
}

fn targeted<'a>(state: &State<'a>) -> Option<(&'a ResolvedCohort, &'a Device)> {
    match state {
        State::Targeted { cohort, device, .. } => Some((cohort, device)),
        _ => None,
    }
}

/// Which pairs of cohorts say the same, as far as it was asked.
#[derive(Default)]
pub(crate) struct EqualCohorts(BTreeMap<(usize, usize), bool>);

impl EqualCohorts {
    /// Whether devices of these cohorts have the same manifest where they have the same facts.
    pub(crate) fn are_equal(
        &mut self,
        (i, before): (usize, &ResolvedCohort),
        (j, after): (usize, &ResolvedCohort),
    ) -> bool {
        let compare = || before.modules == after.modules && before.routes == after.routes;
        ptr::eq(before, after) || *self.0.entry((i, j)).or_insert_with(compare)
    }
}

/// Whether two states of a device give the same facts to the texts of a cohort.
pub(crate) fn have_equal_facts(cohort: &ResolvedCohort, old: &Device, new: &Device) -> bool {
    ptr::eq(old, new) || cohort.facts.iter().all(|fact| fact.value(old) == fact.value(new))
}

/// A pair of cohorts; on a side that targets nothing there is none.
struct Pair {
    /// Texts of modules that are others on both sides.
    changed: Vec<TextPair>,
    /// Texts of modules that are the same on both sides but for what is filled in.
    kept: Vec<TextPair>,
    /// What was found, by all words in which devices of the pair differ in it.
    found: BTreeMap<String, Option<usize>>,
}

/// One text of a module before and after, at least one of which is filled.
struct TextPair {
    usage: TextUse,
    path: String,
    before: Option<Unfilled>,
    after: Option<Unfilled>,
}

/// A text as the cohort says it.
struct Unfilled {
    text: String,
    template: Option<Template>,
}

impl Unfilled {
    fn filled(&self, device: Option<&Device>) -> String {
        let filled = self.template.as_ref().zip(device).and_then(|(t, d)| t.fill(d).ok());
        filled.unwrap_or_else(|| self.text.clone())
    }
}

impl Pair {
    fn of(before: Option<&ResolvedCohort>, after: Option<&ResolvedCohort>) -> Self {
        let mut pair = Self { changed: Vec::new(), kept: Vec::new(), found: BTreeMap::new() };
        let cohorts = [before, after];
        let names: BTreeSet<_> = cohorts.iter().flatten().flat_map(|c| c.modules.keys()).collect();
        for name in names {
            let [old, new] = cohorts.map(|cohort| cohort?.modules.get(name));
            let texts = if old == new { &mut pair.kept } else { &mut pair.changed };
            texts.extend(text_pairs(old, new));
        }
        pair
    }

    /// Devices with equal words have the same changes.
    fn words(
        &self,
        before: Option<(&ResolvedCohort, &Device)>,
        after: Option<(&ResolvedCohort, &Device)>,
    ) -> String {
        let (old, new) = (before.map(|(_, device)| device), after.map(|(_, device)| device));
        let facts_differ = match (before, old.zip(new)) {
            (Some((cohort, _)), Some((old, new))) => !have_equal_facts(cohort, old, new),
            _ => false,
        };
        let mut words = String::new();
        let kept = self.kept.iter().filter(|_| facts_differ);
        for text in self.changed.iter().chain(kept) {
            text.write_words(old, new, &mut words);
        }
        words
    }
}

impl TextPair {
    /// All that a comparison may see of this text: what it shows, and whether it differs; a text that gives
    /// power, in full.
    fn write_words(&self, old: Option<&Device>, new: Option<&Device>, words: &mut String) {
        let Self { usage, path, before, after } = self;
        let filled =
            [before.as_ref().map(|t| t.filled(old)), after.as_ref().map(|t| t.filled(new))];
        let [before, after] = [(before, &filled[0]), (after, &filled[1])].map(|(text, filled)| {
            let (text, filled) = text.as_ref().zip(filled.as_ref())?;
            Some(Text { filled, template: &text.text })
        });
        let differs = filled[0] != filled[1];
        let _ = write!(words, "{}", u8::from(differs));
        for (own, other) in [(before, after), (after, before)] {
            let Some(own) = own else { continue };
            let shown = match usage {
                TextUse::Data => shown_text(*usage, path, own, other, "(masked, changed)"),
                TextUse::Power => own.filled,
            };
            let _ = write!(words, " {}:{shown}", shown.len());
        }
    }
}

/// The texts of a module that are filled on at least one side, each with the one in its place on the other.
fn text_pairs(before: Option<&Module>, after: Option<&Module>) -> Vec<TextPair> {
    let mut pairs: BTreeMap<(String, usize), TextPair> = BTreeMap::new();
    for (module, is_after) in [(before, false), (after, true)] {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let Some(mut module) = module.cloned() else { continue };
        module.for_each_text(&mut |usage, path, text| {
            let n = seen.entry(path.to_owned()).and_modify(|n| *n += 1).or_insert(0);
            let template = Template::is_needed(text).then(|| Template::parse(text).ok()).flatten();
            let unfilled = Some(Unfilled { text: text.clone(), template });
            let pair = pairs.entry((path.to_owned(), *n)).or_insert_with(|| TextPair {
                usage,
                path: path.to_owned(),
                before: None,
                after: None,
            });
            *(if is_after { &mut pair.after } else { &mut pair.before }) = unfilled;
        });
    }
    let is_filled = |text: &Option<Unfilled>| text.as_ref().is_some_and(|t| t.template.is_some());
    pairs.into_values().filter(|pair| is_filled(&pair.before) || is_filled(&pair.after)).collect()
}

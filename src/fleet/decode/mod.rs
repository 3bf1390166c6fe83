//! The collecting decoder: one file's text in, its meaning and all of its mistakes out.
//!
//! [`File`] holds the text and collects; [`reader`] walks toml's spanned tree; the other files know the keys
//! of one kind of table each. Not here: anything that needs a second file.

mod create_options;
mod deployment_file;
mod device_file;
mod draft;
mod entry;
mod fleet_file;
mod homes;
mod item;
mod module;
mod offsets;
mod pattern;
mod plain_device;
mod plain_text;
mod reader;
mod rollout;
mod syntax;
mod values;
mod words;

pub(super) use deployment_file::deployment;
pub(super) use deployment_file::route;
pub(super) use device_file::{devices, only_tags};
pub(super) use entry::finished_module;
pub(super) use fleet_file::{fleet, lint_levels};
pub(super) use homes::DEFAULT_KEYS;
pub(super) use plain_device::Lately;
pub(super) use reader::TableReader;
#[cfg(test)]
pub(super) use reader::known;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Level, Place, Source, Span};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How deep tables and lists may nest.
const DEEPEST: usize = 32;

/// So many problems of one file are shown; who has more does not read them all at once.
const MOST_SHOWN: usize = 200;

/// Whether texts are templates, as in deployments, or filled ones with `${` escaped, as in manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    /// They may name facts of the device.
    Templates,
    /// They name none any more.
    Filled,
}

/// One file that is being decoded.
pub(super) struct File {
    /// Its path and text.
    pub(super) source: Arc<Source>,
    /// Whether its texts are templates.
    pub(super) texts: Texts,
    found: RefCell<Diagnostics>,
    errors: Cell<usize>,
    doubtful: RefCell<Vec<Span>>,
    broken: Cell<bool>,
    not_shown: Cell<usize>,
}

impl File {
    /// A file with nothing found in it yet.
    pub(super) fn new(source: Arc<Source>, texts: Texts) -> Self {
        Self {
            source,
            texts,
            found: RefCell::default(),
            errors: Cell::new(0),
            doubtful: RefCell::default(),
            broken: Cell::new(false),
            not_shown: Cell::new(0),
        }
    }

    /// A place in it.
    pub(super) fn place(&self, span: impl Into<Span>) -> Place {
        Place::new(&self.source, span)
    }

    /// Adds what was found. In a file that is not TOML as a whole, what only follows from that is dropped.
    pub(super) fn report(&self, diagnostic: Diagnostic) {
        if diagnostic.level == Level::Error {
            self.errors.set(self.errors.get() + 1);
        }
        if self.broken.get() {
            let at = diagnostic.place.as_ref().map_or(0, |place| place.span().start);
            let doubtful =
                self.doubtful.borrow().iter().any(|span| span.start <= at && at < span.end);
            if doubtful || diagnostic.code == Code::MissingKey {
                return;
            }
        }
        let mut found = self.found.borrow_mut();
        if found.len() < MOST_SHOWN {
            found.push(diagnostic);
        } else {
            self.not_shown.set(self.not_shown.get() + 1);
        }
    }

    /// Whether it is not TOML as a whole, so that any key may be lost.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// How many errors there are so far; to tell whether decoding something added one.
    pub(super) fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Everything that was found.
    pub(super) fn into_diagnostics(self) -> Diagnostics {
        let more = self.not_shown.get();
        if more > 0 {
            let message = format!("{more} more problems of this file are not shown");
            let end = self.source.text.len();
            self.found.borrow_mut().push(
                Diagnostic::new(Code::TooLarge, message)
                    .at(self.place(end..end))
                    .help("correct those above first"),
            );
        }
        self.found.into_inner()
    }

    /// The tree of the text, as much of it as can be read. `None` if that is nothing to go on with.
    pub(super) fn parse<'a>(&self, text: &'a str) -> Option<Spanned<DeTable<'a>>> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let (problems, doubtful) = syntax::explain(text, &errors);
        for (span, message, help) in problems {
            self.report(
                Diagnostic::new(Code::Syntax, message).at(self.place(span)).help_option(help),
            );
        }
        if !errors.is_empty() {
            *self.doubtful.borrow_mut() = doubtful;
            self.broken.set(true);
        }
        if let Some(span) = tree.get_ref().values().find_map(|value| too_deep(value, 1)) {
            self.report(
                Diagnostic::new(
                    Code::TooLarge,
                    format!("tables and lists nest deeper than {DEEPEST} levels"),
                )
                .at(self.place(span)),
            );
            return None;
        }
        Some(tree)
    }
}

fn too_deep(value: &Spanned<DeValue<'_>>, depth: usize) -> Option<Span> {
    if depth > DEEPEST {
        return Some(value.span().into());
    }
    match value.get_ref() {
        DeValue::Table(table) => table.values().find_map(|value| too_deep(value, depth + 1)),
        DeValue::Array(items) => items.iter().find_map(|value| too_deep(value, depth + 1)),
        _ => None,
    }
}

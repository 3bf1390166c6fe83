//! What can be wrong with a text of one of the languages.

use crate::diagnostic::Span;
use std::fmt;

/// What is wrong with the text of a condition, query or route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguageError {
    /// The bytes of the text that it is about.
    pub span: Span,
    /// One sentence in the user's words.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl LanguageError {
    /// An error without advice.
    pub(super) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// The same with advice.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Errors in the order of the text, each once.
pub(super) fn in_order(mut errors: Vec<LanguageError>) -> Vec<LanguageError> {
    errors.sort_by_key(|error| error.span);
    errors.dedup();
    errors
}

impl fmt::Display for LanguageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LanguageError {}

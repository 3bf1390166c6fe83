//! Where in which file something stands.

use std::fmt;
use std::sync::Arc;

/// The text of one file, shared by all places in it.
#[derive(PartialEq, Eq)]
pub struct Source {
    /// Path from the fleet folder, with `/`.
    pub path: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

impl Source {
    /// A shared source.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.path)
    }
}

/// A half-open range of bytes in a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From byte offsets; files are far below 4 GiB.
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    /// The same, moved to the right.
    #[must_use]
    pub fn shifted(self, by: usize) -> Self {
        Self::new(self.start as usize + by, self.end as usize + by)
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self::new(range.start, range.end)
    }
}

/// A span in a source.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    span: Span,
}

impl Place {
    /// A place in a source.
    pub fn new(source: &Arc<Source>, span: impl Into<Span>) -> Self {
        Self { source: Arc::clone(source), span: span.into() }
    }

    /// The file's path from the fleet folder.
    pub fn file(&self) -> &str {
        &self.source.path
    }

    /// The bytes.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The source it is in.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The text that the span covers.
    pub fn text(&self) -> &str {
        let end = self.floor(self.span.end as usize);
        let start = self.floor(self.span.start as usize).min(end);
        &self.source.text[start..end]
    }

    /// Another span in the same file.
    #[must_use]
    pub fn with_span(&self, span: impl Into<Span>) -> Self {
        Self { source: Arc::clone(&self.source), span: span.into() }
    }

    /// Line and column, both from 1; the column counts characters.
    pub fn line_and_column(&self) -> (usize, usize) {
        let start = self.floor(self.span.start as usize);
        let before = &self.source.text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The line's text without its end.
    pub fn line_text(&self) -> &str {
        let start = self.floor(self.span.start as usize);
        let text = &self.source.text;
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        text[line_start..line_end].trim_end_matches('\r')
    }

    /// How many characters of its first line the span covers, at least 1.
    pub fn width(&self) -> usize {
        let start = self.floor(self.span.start as usize);
        let end = self.floor(self.span.end as usize).max(start);
        let first = self.source.text[start..end].split('\n').next().unwrap_or_default();
        first.trim_end_matches('\r').chars().count().max(1)
    }

    fn floor(&self, mut at: usize) -> usize {
        at = at.min(self.source.text.len());
        while !self.source.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.file())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file(), self.line_and_column().0)
    }
}

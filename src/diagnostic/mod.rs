//! Errors and warnings about files that people write.
//!
//! A problem in a fleet file is never an `Err` that stops the run: it is a [`Diagnostic`], collected with
//! all the others, sorted by path and position, and printed at the edge ([`render`]). Each carries a stable
//! [`Code`], a [`Place`] (file and bytes), a message in the user's words and, where one is known, the fix.
//!
//! Not here: errors of engines, git and the store. They belong to the layer that makes them.

mod code;
mod place;
pub mod render;
mod suggest;

pub use code::{Code, Level};
pub use place::{Place, Source, Span};
pub use suggest::{closest, did_you_mean};

/// What a diagnostic is about, apart from where it stands: two warnings with equal code and subject are
/// the same warning, even when lines have moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The deployment id, if it is about one.
    pub deployment: Option<String>,
    /// The device id, if it is about one.
    pub device: Option<String>,
    /// The module name, if it is about one.
    pub module: Option<String>,
    /// A dotted path, key or name within that.
    pub path: Option<String>,
}

/// One error or warning about a fleet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable kebab-case name of the problem.
    pub code: Code,
    /// Whether it refuses the revision.
    pub level: Level,
    /// One sentence without a final full stop, in the user's words.
    pub message: String,
    /// Where; absent only for problems of a whole fleet (no `fleet.toml`, say).
    pub place: Option<Place>,
    /// What to do instead.
    pub help: Option<String>,
    /// How many devices it concerns, where that is a sensible question.
    pub devices: Option<usize>,
    /// What it is about.
    pub subject: Subject,
}

impl Diagnostic {
    /// A diagnostic at the code's built-in level.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            level: code.default_level(),
            message: message.into(),
            place: None,
            help: None,
            devices: None,
            subject: Subject::default(),
        }
    }

    /// The same with a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same with a place, if there is one.
    #[must_use]
    pub fn at_option(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with advice, if there is any.
    #[must_use]
    pub fn help_option(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// The same with a number of devices.
    #[must_use]
    pub fn devices(mut self, devices: usize) -> Self {
        self.devices = Some(devices);
        self
    }

    /// The same, about a deployment.
    #[must_use]
    pub fn of_deployment(mut self, id: impl ToString) -> Self {
        self.subject.deployment = Some(id.to_string());
        self
    }

    /// The same, about a device.
    #[must_use]
    pub fn of_device(mut self, id: impl ToString) -> Self {
        self.subject.device = Some(id.to_string());
        self
    }

    /// The same, about a module.
    #[must_use]
    pub fn of_module(mut self, name: impl ToString) -> Self {
        self.subject.module = Some(name.to_string());
        self
    }

    /// The same, about a path or key.
    #[must_use]
    pub fn of_path(mut self, path: impl ToString) -> Self {
        self.subject.path = Some(path.to_string());
        self
    }

    /// Where it comes among others.
    fn rank(&self) -> impl Ord {
        let place = self.place.as_ref().map(|place| (place.file(), place.span()));
        (place, self.code, self.message.as_str())
    }

    /// File, line and column (both from 1; columns count characters), where it has a place.
    pub fn position(&self) -> Option<(&str, usize, usize)> {
        self.place.as_ref().map(|place| {
            let (line, column) = place.line_and_column();
            (place.file(), line, column)
        })
    }
}

/// A collector of diagnostics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// No diagnostics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether any of them refuses the revision.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.level == Level::Error)
    }

    /// All of them, in the order they have.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorted by path and position, then code and message; exact repetitions are dropped.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.0.dedup();
        self
    }

    /// Gives every diagnostic the level that `level_of` says; `None` drops it.
    #[must_use]
    pub fn with_levels(self, level_of: impl Fn(Code, Level) -> Option<Level>) -> Self {
        Self(
            self.0
                .into_iter()
                .filter_map(|mut d| {
                    d.level = level_of(d.code, d.level)?;
                    Some(d)
                })
                .collect(),
        )
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

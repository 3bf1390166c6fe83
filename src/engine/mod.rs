//! The engine port: the one way in which Hoist talks to a container engine.
//!
//! Two implementations: `docker` (a real engine, over its API) and `simulated` (in memory, kept in a
//! file). Both pass the same contract suite. Nothing of an engine's own types shows above this layer, and
//! nothing here decides: a step holds everything that an engine call needs.

pub mod docker;
pub mod simulated;

use crate::model::{EngineReport, Observation, SecretName};
use crate::plan::{Step, StepOutput};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A future that a port's method returns.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// A container engine of one device.
pub trait Engine: Send + Sync {
    /// What the engine says of itself. Asked once a connection.
    fn facts(&self) -> EngineFuture<'_, EngineReport>;

    /// All containers, by one list call; then what `wanted` asks for besides.
    fn observe<'a>(&'a self, wanted: &'a Wanted) -> EngineFuture<'a, Observation>;

    /// Runs one step. Repeating a step that was done is done again, without harm.
    fn execute<'a>(
        &'a self,
        step: &'a Step,
        secrets: &'a SecretValues,
    ) -> EngineFuture<'a, StepOutput>;

    /// What lies at a path of a container, without reading it; `None` if nothing does. A link is a link.
    fn look_at<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
    ) -> EngineFuture<'a, Option<FileSeen>>;

    /// A file of at most `limit` bytes in a container; `None` if there is no such plain file, or it is larger.
    fn read_file<'a>(
        &'a self,
        container: &'a str,
        path: &'a str,
        limit: usize,
    ) -> EngineFuture<'a, Option<Vec<u8>>>;
}

/// What lies at a path of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeen {
    /// What it is.
    pub form: FileForm,
    /// Its bytes, if it is a file.
    pub size: u64,
    /// Changes whenever the file does, as far as the engine can tell.
    pub stamp: String,
}

/// What something in a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FileForm {
    Plain,
    Link,
    Folder,
    Pipe,
    Device,
    /// A socket, or what the engine has no word for.
    Other,
}

/// What an observation should hold beyond the list.
pub struct Wanted<'a> {
    /// Of which listed containers (labels, id) the details are wanted: one inspect, one look at the
    /// image's labels and one read of `desired.json` each.
    pub details: &'a (dyn Fn(&crate::model::ObservedContainer) -> bool + Send + Sync),
    /// Whether networks with this `hoist.fleet` label are wanted.
    pub networks_of: Option<&'a str>,
    /// Images of which it is wanted whether the engine has them.
    pub images: &'a [String],
    /// Whether the ids of all networks are wanted.
    pub network_ids: bool,
}

impl Wanted<'_> {
    /// The list call and nothing else.
    pub fn list_only() -> Self {
        Self { details: &|_| false, networks_of: None, images: &[], network_ids: false }
    }
}

/// A part of a secret that is shorter would blot out words that have nothing to do with it.
const SHORTEST_MASKED: usize = 4;

/// Values of secrets for one step, by name. Never printed.
#[derive(Default, Clone)]
pub struct SecretValues(pub BTreeMap<String, String>);

impl SecretValues {
    /// A text without any value, or any line of a value: a module or an engine may repeat what it was given,
    /// and not always whole.
    pub fn masked(&self, text: &str) -> String {
        let lines = self.0.values().flat_map(|value| {
            std::iter::once(value.as_str()).chain(value.lines()).chain(value.split(':').skip(1))
        });
        let mut parts: Vec<&str> =
            lines.map(str::trim).filter(|part| part.len() >= SHORTEST_MASKED).collect();
        parts.extend(self.0.values().map(String::as_str).filter(|value| !value.is_empty()));
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        parts.iter().fold(text.to_owned(), |text, part| text.replace(part, "…"))
    }

    /// User and password of a registry: a secret of the form `username:password`.
    ///
    /// # Errors
    /// Words that name the secret, never its value.
    pub fn registry_credentials(&self, name: &SecretName) -> Result<(&str, &str), String> {
        let value = self.0.get(name.as_str()).ok_or_else(|| {
            format!(
                "the registry credentials `{name}` are not known to this control host, \
                 or not for this device"
            )
        })?;
        value.split_once(':').ok_or_else(|| {
            format!("the registry credentials `{name}` are not of the form username:password")
        })
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValues({} hidden)", self.0.len())
    }
}

/// Why an engine did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    /// What class of trouble.
    pub kind: EngineErrorKind,
    /// The words, without secrets.
    pub message: String,
}

/// Classes of trouble; each has its status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineErrorKind {
    /// The engine does not answer, or answers nonsense: 406.
    Unreachable,
    /// Something foreign is in the way (name, port): 409.
    Conflict,
    /// The engine refuses what was asked (bad options, bad command): 422.
    Refused,
    /// The image can't be had: 424.
    NoImage,
    /// The container ended, or is unhealthy, where it should run: 500.
    ModuleFailed,
    /// It took longer than its limit: 504.
    TimedOut,
    /// The container or network is not there.
    NotFound,
}

impl EngineErrorKind {
    /// The status code that it means for a module.
    pub fn code(self) -> u16 {
        match self {
            Self::Unreachable => 406,
            Self::Conflict => 409,
            Self::Refused | Self::NotFound => 422,
            Self::NoImage => 424,
            Self::ModuleFailed => 500,
            Self::TimedOut => 504,
        }
    }
}

impl EngineError {
    /// An error of a class with its words.
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EngineError {}

//! What comes from an engine without end: events and logs.

use super::EngineError;
use crate::model::{Health, Timestamp};
use futures_util::stream::Stream;
use std::collections::BTreeMap;
use std::pin::Pin;

/// Events, one after the other. Dropping it ends the connection.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<EngineEvent, EngineError>> + Send>>;

/// What a module wrote, piece by piece. Dropping it ends the connection.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogPiece, EngineError>> + Send>>;

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// What.
    pub kind: EventKind,
    /// The container's id.
    pub container: String,
    /// Its name, where the engine tells it.
    pub name: String,
    /// Its `hoist.*` labels; none for [`EventKind::Connected`] and [`EventKind::Disconnected`], of which
    /// engines tell only the id.
    pub labels: BTreeMap<String, String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// It was made.
    Created,
    /// It was started, by whomever.
    Started,
    /// Its process ended.
    Died {
        /// With this code.
        code: i64,
    },
    /// A process of it was killed for memory.
    OutOfMemory,
    /// Its health check has a new verdict.
    Health(Health),
    /// It was frozen.
    Paused,
    /// It goes on.
    Unpaused,
    /// It has another name now.
    Renamed,
    /// Its limits or policy were changed.
    Updated,
    /// It was put on a network. Of any container, ours or not.
    Connected {
        /// The network's name.
        network: String,
    },
    /// It was taken off a network, which also a stop does. Of any container, ours or not.
    Disconnected {
        /// The network's name.
        network: String,
    },
    /// It was removed.
    Destroyed,
}

/// Which part of the logs is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogsWanted {
    /// Whether to wait for more until the container ends.
    pub follow: bool,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
}

/// Where a module wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// Standard output; all output of a module that has a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of what a module wrote; not always a whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// To where.
    pub source: LogSource,
    /// What, byte by byte.
    pub bytes: Vec<u8>,
}

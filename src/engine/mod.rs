//! The engine port: the one way in which Hoist talks to a container engine.
//!
//! Two implementations: `docker` (a real engine, over its API) and `simulated` (in memory, kept in a
//! file). Both pass the same contract suite. Nothing of an engine's own types shows above this layer, and
//! nothing here decides: a step holds everything that an engine call needs.

pub mod docker;
mod listen;
mod secret_values;
pub mod simulated;

pub use listen::{EngineEvent, EventKind, EventStream, LogPiece, LogSource, LogStream, LogsWanted};
pub use secret_values::{Mask, SecretValues};

use crate::model::{EngineReport, Observation, Timestamp};
use crate::plan::{Step, StepOutput};
use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A future that a port's method returns.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// A container engine of one device.
pub trait Engine: Send + Sync {
    /// What the engine says of itself. Asked once a connection.
    fn facts(&self) -> EngineFuture<'_, EngineReport>;

    /// How the engine and its machine fare, for somebody who looks for trouble. What an engine can't tell is left out.
    fn health(&self) -> EngineFuture<'_, EngineHealth> {
        Box::pin(async { Ok(EngineHealth::default()) })
    }

    /// Whether it answers at all, asked in a few words and with little patience.
    fn answers(&self) -> EngineFuture<'_, ()>;

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

    /// What happens from now on to containers of these fleets, until the stream is dropped or breaks. Whoever
    /// listens looks at everything once the stream stands, and again when a new one does: events can be lost.
    /// And now and then without any: a machine that vanishes without a word leaves a tcp stream silent.
    fn events<'a>(&'a self, fleets: &'a [String]) -> EngineFuture<'a, EventStream>;

    /// What a module wrote. With `follow` the stream ends when the container does.
    fn logs<'a>(
        &'a self,
        container: &'a str,
        wanted: &'a LogsWanted,
    ) -> EngineFuture<'a, LogStream>;
}

/// How an engine and its machine fare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineHealth {
    /// What its clock says.
    pub time: Option<Timestamp>,
    /// Where it keeps everything, on its machine.
    pub folder: Option<String>,
    /// Bytes that its images take.
    pub images: Option<u64>,
    /// What it warns of itself.
    pub warnings: Vec<String>,
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
    /// Of which listed containers (labels, id) the details are wanted: one inspect and one look at the
    /// image's labels each.
    pub details: &'a (dyn Fn(&crate::model::ObservedContainer) -> bool + Send + Sync),
    /// Whether what stands in their `desired.json` is wanted as well: a read of a container's files holds its engine up
    /// longer than everything else here.
    pub twins: bool,
    /// Networks with one of these as their `hoist.fleet` label are wanted; none: not asked for.
    pub networks_of: &'a [String],
    /// Images of which it is wanted whether the engine has them.
    pub images: &'a [String],
    /// Whether the ids of all networks are wanted.
    pub network_ids: bool,
}

impl Wanted<'_> {
    /// The list call and nothing else.
    pub fn list_only() -> Self {
        Self {
            details: &|_| false,
            twins: false,
            networks_of: &[],
            images: &[],
            network_ids: false,
        }
    }
}

/// Why an engine did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    /// What class of trouble.
    pub kind: EngineErrorKind,
    /// What exactly, where that is known.
    pub cause: Option<Cause>,
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

/// What exactly stood in the way, for those who want to tell one trouble from another without reading words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The socket is not there.
    NoSocket,
    /// Nothing listens at that port or socket.
    NothingListens,
    /// This user may not use the socket.
    NotPermitted,
    /// The host's name has no address.
    NameUnknown,
    /// The host does not answer in time.
    NoAnswer,
    /// A file of a client certificate can't be read, or is not what it should be.
    ClientFiles,
    /// The private key belongs to another certificate.
    KeyMismatch,
    /// Our client certificate is out of date.
    ClientExpired,
    /// The engine does not accept our client certificate.
    ClientRefused,
    /// The engine's certificate is of another authority.
    EngineUntrusted,
    /// The engine's certificate is out of date.
    EngineExpired,
    /// The engine's certificate is not yet valid, or a clock is wrong.
    EngineNotYetValid,
    /// The engine's certificate is for another name.
    EngineNameMismatch,
    /// There is no TLS at that port.
    NotTls,
    /// What listens there speaks TLS, and the device's file names none.
    WantsTls,
    /// There is no ssh program, or its settings are wrong.
    SshUnusable,
    /// The ssh server's key is not known here.
    HostKeyUnknown,
    /// The ssh server has another key than before.
    HostKeyChanged,
    /// The ssh server lets us not in.
    LoginRefused,
    /// The ssh server does not forward sockets for us.
    ForwardingRefused,
    /// The device that ssh reached has no engine's socket.
    NoEngineThere,
    /// The registry wants credentials, or others.
    RegistryCredentials,
    /// The registry has no such image, tag or digest.
    NoSuchImage,
    /// The device does not reach the registry.
    RegistryUnreachable,
    /// What the registry gave is not what it should be.
    RegistryContentBroken,
    /// The engine failed at something of its own.
    EngineItself,
    /// Another control host works on the device at the same time.
    AnotherControlHost,
    /// Somebody else stopped a container that had just begun to run.
    StoppedByAnother,
    /// Somebody else removed a container before it had come up.
    RemovedByAnother,
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
        Self { kind, cause: None, message: message.into() }
    }

    /// The port of the device that the engine says another container publishes.
    pub fn allocated_port(&self) -> Option<u16> {
        let (before, _) = self.message.split_once(" failed: port is already allocated")?;
        before.rsplit(':').next()?.parse().ok()
    }

    /// The same with what exactly stood in the way.
    pub fn because(mut self, cause: impl Into<Option<Cause>>) -> Self {
        self.cause = cause.into();
        self
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EngineError {}

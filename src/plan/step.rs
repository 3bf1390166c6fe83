//! Steps: one engine call or one wait each, with everything it needs, safe to repeat.

use super::ownership::module_in;
use crate::model::{Duration, ImageReference, SecretName};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A container by its name or its id; an engine takes either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerRef {
    /// By name: one that the plan makes, or one whose name the plan just gave it.
    Name(String),
    /// By id: one that was observed.
    Id(String),
    /// By id: one that a run made or renamed. Words call it by the name that the plan has for it, as it may be
    /// gone when somebody reads them.
    Made {
        /// The plan's name for it.
        name: String,
        /// The engine's id.
        id: String,
    },
}

impl ContainerRef {
    /// The name or id, as the engine takes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Name(text) | Self::Id(text) | Self::Made { id: text, .. } => text,
        }
    }
}

impl fmt::Display for ContainerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) | Self::Made { name, .. } => f.write_str(&in_words(name)),
            Self::Id(id) => f.write_str(id.get(..12).unwrap_or(id)),
        }
    }
}

/// A container's name for words: the module's, and beside it the one that it has only for a while.
fn in_words(name: &str) -> Cow<'_, str> {
    match module_in(name) {
        module if module == name => Cow::Borrowed(name),
        module => Cow::Owned(format!("{module} (as {name})")),
    }
}

/// A file or a folder to put into `/run/hoist` of a container, in one archive, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEntry {
    /// A file of mode 0644, owned by root.
    File {
        /// Path below `/run/hoist`.
        path: String,
        /// Content.
        content: Vec<u8>,
    },
    /// A relative symbolic link.
    Link {
        /// Path below `/run/hoist`.
        path: String,
        /// What it points to.
        target: String,
    },
    /// A folder of mode 1777.
    SharedFolder {
        /// Path below `/run/hoist`.
        path: String,
    },
}

/// One engine call, or one wait.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Pull an image.
    Pull {
        /// Which.
        image: ImageReference,
        /// The registry credentials to send.
        credentials: Option<SecretName>,
        /// A failed pull is only a warning if the image is there (`image-pull-policy = "always"`).
        if_present_is_enough: bool,
    },
    /// Make a bridge network of ours; one of that name that exists is fine.
    CreateNetwork {
        /// Its name.
        name: String,
        /// Its subnet, if the fleet says one.
        subnet: Option<String>,
        /// Its labels.
        labels: BTreeMap<String, String>,
    },
    /// Remove the network that bears exactly these labels, if nothing is on it.
    RemoveNetwork {
        /// Its name, for the words.
        name: String,
        /// Labels that it must have.
        labels: BTreeMap<String, String>,
    },
    /// Make a container.
    Create {
        /// Its name.
        name: String,
        /// Body of the engine's *create* call, whole, but for secrets.
        body: Json,
        /// Variables whose values the control host puts in: variable → secret.
        secrets: BTreeMap<String, SecretName>,
    },
    /// Join a container to one more network; one that it is already on is fine.
    Connect {
        /// Which container.
        container: ContainerRef,
        /// Which network.
        network: String,
        /// The names that it has there.
        aliases: Vec<String>,
    },
    /// Put files into `/run/hoist`.
    WriteFiles {
        /// Which container.
        container: ContainerRef,
        /// What, in order; entries that exist are replaced.
        entries: Vec<FileEntry>,
    },
    /// Set restart policy and limits in place.
    Update {
        /// Which container.
        container: ContainerRef,
        /// The engine's word: `no`, `always`, `on-failure`.
        restart_policy: Option<String>,
        /// Bytes; swap is set to twice that.
        memory: Option<u64>,
        /// Billionths of a processor.
        nano_cpus: Option<u64>,
    },
    /// Start; one that runs is fine.
    Start {
        /// Which container.
        container: ContainerRef,
    },
    /// Stop; one that is down is fine.
    Stop {
        /// Which container.
        container: ContainerRef,
        /// After this the engine kills; `None` leaves it to what the container was made with.
        timeout: Option<Duration>,
    },
    /// Restart.
    Restart {
        /// Which container.
        container: ContainerRef,
        /// After this the engine kills.
        timeout: Duration,
    },
    /// Thaw a paused one; one that isn't is fine.
    Unpause {
        /// Which container.
        container: ContainerRef,
    },
    /// Rename; one that already has the name is fine.
    Rename {
        /// Which container.
        container: ContainerRef,
        /// To what.
        name: String,
    },
    /// Remove with its anonymous volumes, killing it if it runs; one that is gone is fine.
    Remove {
        /// Which container.
        container: ContainerRef,
    },
    /// Wait until it runs, and is healthy where it has a check. Fails if it ends or the deadline passes.
    WaitRunning {
        /// Which container.
        container: ContainerRef,
        /// How long it must have run without ending. With a health check only health counts.
        steady: Duration,
        /// From the beginning of the wait.
        deadline: Duration,
        /// Whether ending with code 0 is as good as running (policies `never` and `on-failure`).
        may_end: bool,
    },
}

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutput {
    /// It is done.
    Done,
    /// It is done, and the plan can go on, but somebody should know.
    DoneWithWarning(String),
    /// A container was made.
    Created {
        /// The engine's id.
        id: String,
    },
}

/// What a step does, in one word, for events and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum StepKind {
    Pull,
    CreateNetwork,
    RemoveNetwork,
    Create,
    Connect,
    WriteFiles,
    Update,
    Start,
    Stop,
    Restart,
    Unpause,
    Rename,
    Remove,
    Wait,
}

impl StepKind {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::CreateNetwork => "create_network",
            Self::RemoveNetwork => "remove_network",
            Self::Create => "create",
            Self::Connect => "connect",
            Self::WriteFiles => "write_files",
            Self::Update => "update",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Unpause => "unpause",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Wait => "wait",
        }
    }
}

impl Step {
    /// Its kind.
    pub fn kind(&self) -> StepKind {
        match self {
            Self::Pull { .. } => StepKind::Pull,
            Self::CreateNetwork { .. } => StepKind::CreateNetwork,
            Self::RemoveNetwork { .. } => StepKind::RemoveNetwork,
            Self::Create { .. } => StepKind::Create,
            Self::Connect { .. } => StepKind::Connect,
            Self::WriteFiles { .. } => StepKind::WriteFiles,
            Self::Update { .. } => StepKind::Update,
            Self::Start { .. } => StepKind::Start,
            Self::Stop { .. } => StepKind::Stop,
            Self::Restart { .. } => StepKind::Restart,
            Self::Unpause { .. } => StepKind::Unpause,
            Self::Rename { .. } => StepKind::Rename,
            Self::Remove { .. } => StepKind::Remove,
            Self::WaitRunning { .. } => StepKind::Wait,
        }
    }
}

impl Step {
    /// The container that it acts on, if it acts on one that exists.
    pub fn container(&self) -> Option<&ContainerRef> {
        match self {
            Self::Connect { container, .. }
            | Self::WriteFiles { container, .. }
            | Self::Update { container, .. }
            | Self::Start { container }
            | Self::Stop { container, .. }
            | Self::Restart { container, .. }
            | Self::Unpause { container }
            | Self::Rename { container, .. }
            | Self::Remove { container }
            | Self::WaitRunning { container, .. } => Some(container),
            Self::Pull { .. }
            | Self::CreateNetwork { .. }
            | Self::RemoveNetwork { .. }
            | Self::Create { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn container_mut(&mut self) -> Option<&mut ContainerRef> {
        match self {
            Self::Connect { container, .. }
            | Self::WriteFiles { container, .. }
            | Self::Update { container, .. }
            | Self::Start { container }
            | Self::Stop { container, .. }
            | Self::Restart { container, .. }
            | Self::Unpause { container }
            | Self::Rename { container, .. }
            | Self::Remove { container }
            | Self::WaitRunning { container, .. } => Some(container),
            Self::Pull { .. }
            | Self::CreateNetwork { .. }
            | Self::RemoveNetwork { .. }
            | Self::Create { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { image, .. } => write!(f, "pull {image}"),
            Self::CreateNetwork { name, .. } => write!(f, "create network {name}"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::Create { name, .. } => write!(f, "create {}", in_words(name)),
            Self::Connect { container, network, .. } => {
                write!(f, "connect {container} to {network}")
            }
            Self::WriteFiles { container, entries } => {
                let names: Vec<&str> = entries
                    .iter()
                    .filter_map(|entry| match entry {
                        FileEntry::Link { path, .. } => Some(path.as_str()),
                        FileEntry::File { .. } | FileEntry::SharedFolder { .. } => None,
                    })
                    .collect();
                write!(f, "write {} into {container}", names.join(", "))
            }
            Self::Update { container, restart_policy, memory, nano_cpus } => {
                write!(f, "update {container}:")?;
                if let Some(policy) = restart_policy {
                    write!(f, " restart policy {policy}")?;
                }
                if let Some(memory) = memory {
                    write!(f, " memory {}", crate::model::format_bytes(*memory))?;
                }
                if let Some(nano) = nano_cpus {
                    write!(f, " cpus {}", crate::model::format_cpus(*nano))?;
                }
                Ok(())
            }
            Self::Start { container } => write!(f, "start {container}"),
            Self::Stop { container, timeout } => match timeout {
                Some(timeout) => write!(f, "stop {container} (at most {timeout})"),
                None => write!(f, "stop {container}"),
            },
            Self::Restart { container, .. } => write!(f, "restart {container}"),
            Self::Unpause { container } => write!(f, "unpause {container}"),
            Self::Rename { container, name } => write!(f, "rename {container} to {name}"),
            Self::Remove { container } => write!(f, "remove {container}"),
            Self::WaitRunning { container, steady, deadline, .. } => {
                write!(f, "wait until {container} has run {steady} (at most {deadline})")
            }
        }
    }
}

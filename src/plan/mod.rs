//! Plans: what differs between manifests and observations, and the steps that remove the difference.
//!
//! Enters: a manifest, an [`Observation`](crate::model::Observation), what the store remembers. Leaves: a
//! [`DevicePlan`]: works with their steps, their undo steps and what each waits for, made once, shown and
//! run as it is. Pure; time, secrets' digests and ids are arguments. Not here: engine calls, and any
//! decision while a plan runs.

mod adoption;
mod body;
mod control;
mod device;
mod differs;
mod early;
mod going;
mod going_back;
mod image_check;
mod joint;
mod json;
mod memory;
mod moments;
mod module;
mod networks;
mod original;
mod ownership;
mod place;
mod ports;
mod reason;
mod remembering;
mod repair;
mod room;
mod spec_label;
mod standing;
mod step;
mod stops;
mod successors;
mod text;
mod twin;
mod whose_engine;
mod works;

pub use adoption::TakenOver;
pub use control::{ControlMemory, MadeLast};
pub use device::{Consent, PlanInput, Questions, plan_device, plan_or_ask};
pub use image_check::checked_at;
pub use json::{plan_json, work_json};
pub use memory::{DeviceMemory, Exits, FailedChange, ModuleMemory, RememberedContainer, Starts};
pub use module::settings_to_remember;
use moments::NOT_AGAIN;
pub use moments::without_moment;
pub use ownership::{
    Role, carries_our_labels, fingerprint, is_ours, module_in, new_name, old_name,
};
pub use ports::port_conflict;
pub use reason::PlanReason;
pub use repair::restart_steps;
pub use room::{HalfDone, MadeRoom};
pub use spec_label::spec_label;
pub use standing::{Repair, Verdict, judge};
pub use step::{ContainerRef, FileEntry, Step, StepKind, StepOutput};
pub use stops::{Stopped, Stops, running};
pub use text::{plan_text, short_revision, work_line, work_subject};
pub use whose_engine::KnownEngine;

use crate::model::{DeviceId, Hash, HashedManifest, ModuleName};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What is to be done on every device, for one revision.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The fleet's name.
    pub fleet: String,
    /// The revision that it is made for.
    pub revision: String,
    /// The digest of that revision's manifests.
    pub digest: Hash,
    /// Whether devices were left out on request.
    pub narrowed: bool,
    /// By device.
    pub devices: BTreeMap<DeviceId, DevicePlan>,
}

/// What is to be done on one device.
#[derive(Debug, Clone)]
pub struct DevicePlan {
    /// Which device.
    pub device: DeviceId,
    /// Whether anything can be done at all.
    pub state: DeviceState,
    /// What is to be in force; `None` where nothing is known.
    pub manifest: Option<Arc<HashedManifest>>,
    /// Whether no deployment targets it, so that what it has stays in force.
    pub retained: bool,
    /// What is to be done; each names only works before it.
    pub works: Vec<Work>,
    /// Modules that something foreign is in the way of, or that lack something only people can give.
    pub blocked: BTreeMap<ModuleName, Block>,
    /// The specification label that each module's container bears once it is as wanted.
    pub specs: BTreeMap<ModuleName, Hash>,
    /// Foreign containers that are taken over, by the modules that they are named as.
    pub adopts: BTreeMap<ModuleName, String>,
    /// Modules that should go, and stay until nothing is blocked or goes back: one of those may be their successor.
    pub held_back: Vec<ModuleName>,
    /// Of those, the ones that are down, and that nothing here starts.
    pub held_back_down: Vec<ModuleName>,
    /// What the observation looked like; a saved plan runs only on the same.
    pub fingerprint: Option<Hash>,
    /// What is remembered of containers that are not touched, and of what was tried with modules.
    pub kept_memory: DeviceMemory,
    /// The earliest moment at which something that waits here may go on, in seconds since 1970.
    pub due: Option<i64>,
    /// Why what git says now can't be in force, while what was in force before is kept.
    pub held: Option<String>,
    /// The revision that it is planned at, where somebody pinned it to another than the plan's.
    pub pinned: Option<PinnedTo>,
}

/// To which revision somebody pinned a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedTo {
    /// The revision.
    pub revision: String,
    /// Who did.
    pub who: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for PinnedTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, who, reason } = self;
        write!(f, "pinned by {who} ({reason}) to {}", short_revision(revision))
    }
}

/// Whether anything can be done on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceState {
    /// It was observed.
    Observed,
    /// It can't be reached now, or has no engine address; the words say why.
    Pending(String),
    /// Somebody paused it; the words say who and why.
    Paused(String),
    /// It is not touched until somebody looks at it; the words say why.
    Held {
        /// The status code that it means: 400 for what git says, 409 for what the engine runs.
        code: u16,
        /// Why.
        words: String,
    },
}

/// A unit that passes, fails or is skipped as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Its number in the device's plan.
    pub id: usize,
    /// What it is for.
    pub purpose: Purpose,
    /// Why.
    pub reasons: Vec<PlanReason>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What takes it back when a step fails; see [`Undo`].
    pub undo: Vec<Undo>,
    /// When it runs.
    pub when: When,
    /// Works that must have ended before, however they ended.
    pub after: Vec<usize>,
    /// What the store remembers of containers once it has passed.
    pub remember: Vec<(ContainerRef, RememberedContainer)>,
    /// The specifications that it puts in place of others, by module.
    pub tries: Vec<(ModuleName, Hash)>,
    /// Whether it starts what was down or unhealthy: that is counted.
    pub is_revival: bool,
    /// Whether that is what a try left down, for the pause before the next one.
    pub is_for_pause: bool,
    /// Without these it does not run, whatever else says that it should: what it brings would stand beside what they take away.
    pub needs: Vec<usize>,
    /// The work that it takes back: where that did not begin there is nothing to do.
    pub undoes: Option<usize>,
}

/// When a work runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// When all of these passed; else it is skipped because of the first that did not.
    AllPassed(Vec<usize>),
    /// When one of these failed or was skipped; else there is nothing to do.
    AnyFailed(Vec<usize>),
    /// When none of these passed; else there is nothing to do.
    NonePassed(Vec<usize>),
}

/// A step that takes a work back. When step number `i` of the work fails, all undo steps whose `since` is at
/// most `i` and whose `until` is above it run, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// The first step whose failure needs it.
    pub since: usize,
    /// The first step from which on it would be wrong.
    pub until: usize,
    /// Undo steps before it, by their numbers, without which it must not run: what it brings back may not
    /// stand beside what is still there.
    pub needs: Vec<usize>,
    /// What is done.
    pub step: Step,
}

/// What a work is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To have an image there.
    Image(String),
    /// To have a network, or not.
    Network(String),
    /// To bring a module to its manifest.
    Module {
        /// Which.
        name: ModuleName,
        /// What happens to it.
        action: PlanAction,
    },
}

/// What happens to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanAction {
    /// A container is made.
    Create,
    /// A new container takes the place of the old one.
    Replace,
    /// Settings, networks or twin change; nothing restarts.
    Update,
    /// It is started, restarted or thawed.
    Start,
    /// It is stopped.
    Stop,
    /// It is removed.
    Remove,
    /// The container that it had before takes its place again.
    GoBack,
    /// It is started again, because what it made room for failed.
    StartAgain,
    /// Something that a crash left behind is cleared away.
    Tidy,
}

impl PlanAction {
    /// Its name in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Update => "update",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Remove => "remove",
            Self::GoBack => "go back",
            Self::StartAgain => "start again",
            Self::Tidy => "tidy",
        }
    }

    /// Its sign in text.
    pub fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Replace => '±',
            Self::Update => '~',
            Self::Start | Self::StartAgain => '▶',
            Self::Stop => '■',
            Self::GoBack => '↩',
            Self::Remove | Self::Tidy => '-',
        }
    }
}

/// Why a module is not touched although it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A container that is not ours has its name.
    ForeignName {
        /// The name.
        name: String,
        /// The foreign container's id.
        id: String,
        /// The fleet and device that its labels name, if they do.
        owner: Option<(String, String)>,
    },
    /// The same, while a container of ours waits for that name under another one.
    NameTaken {
        /// Why it can't have the name.
        by: Box<Self>,
        /// The name that ours has.
        ours: String,
        /// What else it lacks, if anything.
        lacks: Option<Box<Self>>,
    },
    /// A container bears the module's labels, but neither its name nor the store says that it is ours: it
    /// may be the module's own, renamed, so a second one is not made beside it.
    Doubtful {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
    },
    /// A container that is not ours publishes its port.
    ForeignPort {
        /// The port.
        port: String,
        /// The foreign container's name.
        name: String,
    },
    /// Another module of the manifest publishes its port, and keeps it for now.
    PortOfModule {
        /// The port.
        port: String,
        /// The other module.
        holder: ModuleName,
    },
    /// The control host has no such secret, or may not give it to this device.
    NoSecret(String),
    /// The image is not there, and may not be pulled.
    NoImage(String),
    /// It failed before, and its pause is not over.
    FailedBefore(FailedChange),
    /// It is down beside others that go, or what it went back from is still there, and it waits for the end of a pause.
    InPause {
        /// Its status code.
        code: u16,
        /// Why it is down, and until when.
        words: String,
    },
}

impl Block {
    /// Its status code.
    pub fn code(&self) -> u16 {
        match self {
            Self::NameTaken { by, .. } => by.code(),
            Self::ForeignName { .. } | Self::Doubtful { .. } | Self::ForeignPort { .. } => 409,
            Self::PortOfModule { .. } => 400,
            Self::NoSecret(_) => 422,
            Self::NoImage(_) => 424,
            Self::FailedBefore(failed) => failed.code_in_pause(),
            Self::InPause { code, .. } => *code,
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignName { name, id, owner } => {
                let id = id.get(..12).unwrap_or(id);
                match owner {
                    Some((fleet, device)) => write!(
                        f,
                        "container {name} ({id}) has the name and belongs to device \"{device}\" of fleet \
                         \"{fleet}\"; it is not touched"
                    ),
                    // Under a name that only Hoist gives it can't be taken over.
                    None if name.starts_with("hoist-") => write!(
                        f,
                        "container {name} ({id}) is not Hoist's and has the name; it is not touched"
                    ),
                    None => write!(
                        f,
                        "container {name} ({id}) is not Hoist's and has the name; only `hoist adopt` touches it"
                    ),
                }
            }
            Self::NameTaken { by, ours, lacks } => {
                write!(f, "{by}; the module's own is kept up as {ours} until the name is free")?;
                lacks.iter().try_for_each(|lacks| write!(f, "; besides, {lacks}"))
            }
            Self::Doubtful { name, id } => write!(
                f,
                "container {name} ({}) bears this module's labels under another name; rename or remove it",
                id.get(..12).unwrap_or(id)
            ),
            Self::ForeignPort { port, name } => {
                write!(
                    f,
                    "container {name} publishes port {port} and is none of this device's modules; it is not touched"
                )
            }
            Self::PortOfModule { port, holder } => {
                write!(f, "module {holder} publishes port {port}, and keeps it for now")
            }
            Self::NoSecret(words) | Self::InPause { words, .. } => f.write_str(words),
            Self::NoImage(image) => {
                write!(f, "the engine lacks image {image}, and image-pull-policy is never")
            }
            Self::FailedBefore(failed) if failed.given_up => {
                write!(
                    f,
                    "{NOT_AGAIN} until `hoist rollout retry`, or it changes: {}",
                    failed.reason
                )
            }
            Self::FailedBefore(failed) => {
                write!(f, "{}: {}", failed.when_again(), failed.reason)
            }
        }
    }
}

impl DevicePlan {
    /// A plan that does nothing.
    pub fn idle(device: DeviceId, state: DeviceState) -> Self {
        Self {
            device,
            state,
            manifest: None,
            retained: false,
            works: Vec::new(),
            blocked: BTreeMap::new(),
            specs: BTreeMap::new(),
            adopts: BTreeMap::new(),
            held_back: Vec::new(),
            held_back_down: Vec::new(),
            fingerprint: None,
            kept_memory: DeviceMemory::default(),
            due: None,
            held: None,
            pinned: None,
        }
    }
}

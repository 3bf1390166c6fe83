//! What a change of the fleet repository would change on devices.
//!
//! Enters: two fleets with their resolutions. Leaves: a [`FleetDiff`]: groups of devices whose changes are
//! equal, with causes, guards and notices. It compares *manifests*, never files: what reaches no device is
//! no difference. Views turn it into text, Markdown and JSON. Not here: engines, git, the clock.

mod causes;
mod diff;
mod digest;
mod edits;
mod escape;
mod fields;
mod guards;
mod json;
mod markdown;
mod missing;
mod notices;
mod pairs;
mod phases;
mod setters;
mod side;
mod state;
mod text;
mod words;

pub use causes::Cause;
pub use diff::diff;
pub use digest::fleet_digest;
pub use escape::shown;
pub use fields::{
    Action, Compared, FieldChange, ModuleChange, Reason, compare_modules, fields_of, lifts_a_limit,
};
pub use guards::{Allowance, GuardVerdict, Loosened, judge_numbers};
pub use json::{json, warning_json};
pub use markdown::{LONGEST_COMMENT, markdown};
pub(crate) use pairs::{EqualCohorts, have_equal_facts};
pub use phases::{edited_deployment, goes_at_once};
pub use side::Side;
pub use state::{DeviceState, FleetState, InForceState, StateError, decode_state};
pub use text::{Tone, causes_line, names, text};
pub use words::summary_line;

use crate::diagnostic::Diagnostic;
use crate::language::Condition;
use crate::model::{Cohort, DeploymentId, DeviceId, Hash};
use std::collections::{BTreeMap, BTreeSet};

/// What to compare, and within which limits.
#[derive(Default)]
pub struct DiffOptions<'a> {
    /// Only these devices; everything says so.
    pub only: Option<BTreeSet<DeviceId>>,
    /// The condition by which they were chosen, if they were: it may ask for facts that are missing.
    pub wanted: Option<&'a Condition>,
    /// Numbers up to which commits between the sides lift guards.
    pub allowances: Vec<Allowance>,
}

/// What would change on devices.
#[derive(Debug, Clone)]
pub struct FleetDiff {
    /// The head's fleet name.
    pub fleet: String,
    /// Whether devices were left out on request.
    pub narrowed: bool,
    /// Base: name and digest.
    pub base: (String, Hash),
    /// Head: name and digest.
    pub head: (String, Hash),
    /// The numbers.
    pub summary: Summary,
    /// What guards say.
    pub guards: Vec<GuardVerdict>,
    /// Groups of devices, the most delicate first.
    pub groups: Vec<Group>,
    /// Facts that a reviewer should see although no module changes.
    pub notices: Vec<Notice>,
    /// Warnings of the head, with whether the base lacks them.
    pub warnings: Vec<(Diagnostic, bool)>,
    /// Devices of which a condition reads a reported property that nobody gives.
    pub facts_missing: BTreeSet<DeviceId>,
    /// What the deployments are that set changed fields.
    pub ranks: Ranks,
}

/// What deployments are on each side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranks {
    /// At the base.
    pub base: BTreeMap<DeploymentId, Rank>,
    /// At the head.
    pub head: BTreeMap<DeploymentId, Rank>,
}

/// What a deployment is, and its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// `base`, `layer` or `device`.
    pub word: &'static str,
    /// Larger wins; a `device` deployment has none.
    pub priority: Option<i32>,
}

/// The numbers of a diff.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Devices looked at: of both sides together.
    pub devices: usize,
    /// Devices on which something changes.
    pub changed: usize,
    /// Groups.
    pub groups: usize,
    /// Devices that only the head has.
    pub joined: usize,
    /// Devices that only the base has.
    pub left: usize,
    /// Devices that no deployment targets any more.
    pub retained: usize,
    /// Devices with another id than before.
    pub renamed: usize,
    /// Devices whose manifest can't be filled.
    pub held: usize,
    /// Module changes by action; routes are not counted.
    pub modules: BTreeMap<Action, usize>,
    /// Devices whose routes change.
    pub routes: usize,
    /// Engine addresses that are new or others.
    pub engines: usize,
    /// Devices of which a condition reads a reported property that nobody gives.
    pub facts_missing: usize,
}

/// What happens to a device besides its modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Membership {
    /// It is there on both sides.
    Stays,
    /// Only the head has it.
    Joined,
    /// Only the base has it: nothing is touched, it becomes departed.
    Left,
    /// It has another id and says so.
    Renamed,
    /// No deployment targets it any more: its last manifest stays in force.
    Retained,
    /// A template of its manifest can't be filled with its live facts: what it has stays in force.
    Held,
    /// It was retained at the base, so what runs there is not known from files; the head targets it.
    WasRetained,
}

/// Devices whose changes are equal.
#[derive(Debug, Clone)]
pub struct Group {
    /// They, in order.
    pub devices: Vec<DeviceId>,
    /// What happens to them besides their modules.
    pub membership: Membership,
    /// Which combinations of base and layers they span, with the number of devices.
    pub cohorts: BTreeMap<(Option<Cohort>, Option<Cohort>), usize>,
    /// Why, each with the number of devices that it holds for.
    pub causes: BTreeMap<Cause, usize>,
    /// What changes, by module; routes last.
    pub changes: Vec<ModuleChange>,
    /// The same as a text diff of the manifests.
    pub diff: String,
    /// In which phase of the rollout how many of them are, by name; empty where the fleet has no phases.
    pub phases: Vec<(String, usize)>,
}

/// Something to see although no module changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// On which device, or of which guard or lint.
    pub subject: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// Kinds of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// A device's engine address is another one, or new.
    EngineChanged,
    /// A device has another id.
    DeviceRenamed,
    /// The fleet has another name, and says its former one.
    FleetRenamed,
    /// The fleet has another name and does not say its former one: containers that bear it are not its own.
    FleetForgotten,
    /// A guard allows more than before.
    GuardLoosened,
    /// A lint is less strict than before.
    LintLoosened,
}

impl NoticeKind {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EngineChanged => "engine-changed",
            Self::DeviceRenamed => "device-renamed",
            Self::FleetRenamed => "fleet-renamed",
            Self::FleetForgotten => "fleet-forgotten",
            Self::GuardLoosened => "guard-loosened",
            Self::LintLoosened => "lint-loosened",
        }
    }
}

impl FleetDiff {
    /// Whether anything changes on a device, or the engine that is taken for it, or whose its containers are.
    pub fn has_changes(&self) -> bool {
        self.summary.changed > 0 || self.summary.engines > 0 || self.forgets_the_fleet()
    }

    /// Whether the fleet is renamed so that what runs now is not its own any more.
    pub fn forgets_the_fleet(&self) -> bool {
        self.notices.iter().any(|notice| notice.kind == NoticeKind::FleetForgotten)
    }

    /// Whether a guard asks for consent.
    pub fn needs_consent(&self) -> bool {
        self.guards.iter().any(|guard| guard.exceeded)
    }
}

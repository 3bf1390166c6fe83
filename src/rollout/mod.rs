//! A fleet's way from one revision to the next, in growing sets of devices: a state machine.
//!
//! Enters: the settings of `[rollout]`, the devices whose manifest changes, and at each [`Rollout::step`] what was seen of
//! them and how much time passed in which they were watched. Leaves: [`Decision`]s (who goes to the new revision, who goes
//! back), and a reason for every wait. Pure: it knows no clock, and is written down whole between steps, so that whoever
//! takes it up again goes on where it was. Not here: which manifest a revision means for a device, engines, the store.
//!
//! Rules that hold at every step, whatever happens:
//! - no device of a phase goes before the phases in front of it have passed;
//! - nobody is let in while as many devices as `max-unavailable` are away from their work by our doing: on their way, or
//!   failed and down, also those of a rollout before this one, whether they answer or not;
//! - a phase never passes on nobody's success, nor on a report from before the device was let in;
//! - what made a rollout fail is not tried on another device until it changes or somebody says `retry`.

mod away;
mod begin;
mod member;
mod orders;
mod rules;
mod seen;
mod shares;
mod step;
mod tally;
mod words;

#[cfg(test)]
mod tests;

pub use begin::{Candidate, Plan, TakesPart};
pub use member::{Mark, Member, Place};
pub use orders::{Order, OrderError};
pub use rules::{DEFAULT_MAX_UNAVAILABLE, DEFAULT_SOAK, DEFAULT_TIMEOUT, Rules};
pub use seen::{Contact, Decision, Report, Seen};
pub use shares::phases_of;
pub use words::{PhaseStanding, Standing};

use crate::model::{DeploymentId, DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A rollout, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The last revision that had gone through, with all digits.
    pub from: String,
    /// The revision that it leads to.
    pub to: String,
    /// How it stands.
    pub stage: Stage,
    /// Its phases; the last is the rest.
    pub phases: Vec<PhaseState>,
    /// Index of the phase that is open; as many as there are phases once all have passed.
    pub open: usize,
    /// Devices whose manifest changes.
    #[serde(skip)]
    pub members: BTreeMap<DeviceId, Member>,
    /// What failed, and is not tried again as it is.
    pub marks: Vec<Mark>,
    /// Devices that are away from their work by the doing of what came before, until they are seen at it.
    #[serde(default)]
    pub disturbed: BTreeSet<DeviceId>,
    /// Of those that are away from their work by our doing: for how many milliseconds they have not answered.
    #[serde(default)]
    pub unheard: BTreeMap<DeviceId, u64>,
    /// Devices that changed at once, because their deployments say so.
    #[serde(default)]
    pub unphased: BTreeSet<DeviceId>,
    /// Devices that wait although a deployment says that it goes at once: something comes with it that nobody has proven.
    #[serde(default)]
    pub withheld: BTreeSet<DeviceId>,
    /// Deployments by which devices change: what these say of phases themselves counts too. `None`: a version began it that did
    /// not keep them.
    #[serde(default)]
    pub changed: Option<BTreeSet<DeploymentId>>,
    /// What it waits for.
    pub wait: Wait,
    /// For how many milliseconds it has stood still for one reason without a break, as far as that matters.
    #[serde(default)]
    pub stuck: u64,
    /// The wall's clock at the last step: for words alone.
    pub at: Timestamp,
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It goes on by itself.
    Running,
    /// Somebody stopped it: nobody else is let in.
    Paused {
        /// Who, and why.
        words: String,
    },
    /// It failed, and stays as it is.
    Halted {
        /// Why.
        words: String,
    },
    /// It failed, or somebody gave it up: devices are where they were.
    RolledBack {
        /// Why.
        words: String,
    },
    /// All phases have passed.
    Done,
}

/// One phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseState {
    /// Its name.
    pub name: String,
    /// Who is in it.
    pub who: Who,
    /// Its settings.
    pub rules: Rules,
    /// How long it has been good, in milliseconds of observed time.
    pub soaked: u64,
    /// Whether it was opened: then its devices are fixed.
    pub opened: bool,
    /// Whether it has soaked, and its devices are looked at once more before it passes.
    pub confirming: bool,
    /// Whether it passes as soon as all have been let in: somebody said so, and no phase comes after it.
    #[serde(default)]
    pub promoted: bool,
}

/// Who is in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// Those who meet its condition.
    Target,
    /// So much of all that take part, in hundredths of a percent.
    Share(u32),
    /// Everybody else.
    Rest,
}

/// What a rollout waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// For nothing.
    #[default]
    Nothing,
    /// Devices that were let in have not reported success yet.
    Reports {
        /// How many.
        missing: usize,
        /// Of so many.
        of: usize,
        /// What one of them says instead, if anything.
        #[serde(default)]
        because: String,
    },
    /// All have succeeded, and some are looked at again: nobody says that they are still good before that has ended.
    Looks {
        /// Whether the phase has soaked, and this is the last look before it passes.
        has_soaked: bool,
        /// How many are being looked at.
        missing: usize,
        /// Of so many.
        of: usize,
        /// Which, in words.
        who: String,
    },
    /// The phase has to stay good for so many milliseconds more.
    Soak {
        /// Milliseconds.
        left: u64,
    },
    /// Too few have succeeded, and nobody is on the way.
    TooFew {
        /// So many have.
        have: usize,
        /// So many are needed.
        need: usize,
        /// Why some have not.
        because: String,
        /// The same by kinds.
        #[serde(default)]
        causes: BTreeSet<Cause>,
    },
    /// No device of the phase can be let in now; why.
    Nobody {
        /// In words.
        because: String,
        /// The same by kinds.
        #[serde(default)]
        causes: BTreeSet<Cause>,
    },
    /// No engine of the fleet answers: no time counts.
    CutOff,
    /// As many as may be are away from their work, and none of them is on its way.
    Full {
        /// Who, in words.
        because: String,
    },
    /// Devices that were moved back have not all arrived.
    Back {
        /// How many.
        missing: usize,
        /// Which, in words.
        #[serde(default)]
        who: String,
    },
}

/// Why devices are not let in, or have not succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// They do not answer.
    Away,
    /// Somebody paused or pinned them, or nothing can be done on them.
    Held,
    /// It failed on them.
    Failed,
}

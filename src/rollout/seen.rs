//! What a step takes in of each device, and what it decides.

use crate::model::{DeviceId, Timestamp};

/// What is seen of a device now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether its engine answered when it was looked at last.
    pub reachable: bool,
    /// When it answered last, if that is known.
    pub last: Option<Timestamp>,
    /// How sure it is that it does so still.
    pub contact: Contact,
    /// Why nothing is to be done on it: somebody paused or pinned it.
    pub held: Option<String>,
    /// What it says of the revision that it should be at now, if that was asked after it was moved there.
    pub report: Option<Report>,
    /// Whether all of its modules were seen at work since it was moved last, whichever revision they are of.
    pub works: bool,
}

/// When an engine answered last: one that hangs says nothing, and nobody notices before it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Contact {
    /// A moment ago.
    #[default]
    Lately,
    /// Longer ago; it has to be asked.
    Before,
    /// It was asked, and has not answered; since when, in words.
    Asked(String),
    /// No look at it has ended since the daemon began, so that nobody knows; what is being done on it, in words.
    NotYet(String),
}

/// How a device is at the revision that it should be at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// As that wants it.
    Good,
    /// Failed; why.
    Bad(String),
    /// Not there yet; why.
    OnTheWay(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The device goes to the new revision.
    Admit(DeviceId),
    /// The device tries again what failed there.
    Again(DeviceId),
    /// The device goes back.
    Back(DeviceId),
    /// The device is asked whether it answers: it could be let in.
    Ask(DeviceId),
    /// The device is looked at now: its phase passes only if it is still good.
    Look(DeviceId),
    /// A device failed; why.
    Failed(DeviceId, String),
    /// A phase has opened, by name.
    Opened(String),
    /// A phase has passed, by name, with how many that succeeded.
    Passed(String, usize),
    /// The rollout stops; why.
    Stopped(String),
    /// It is over: devices that were away are let in when they come back.
    Done,
}

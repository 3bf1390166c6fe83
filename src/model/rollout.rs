//! Settings of a rollout, as the fleet, a phase or a deployment gives them.

use super::duration::Duration;
use serde::{Deserialize, Serialize};

/// The phase of whoever is in no other.
pub const REST: &str = "rest";
/// What a diff calls what shares take, and the rest, where nobody can know who that is: a share takes devices by the hash of
/// their ids and the commit's, out of all that change.
pub const LATER_PHASES: &str = "later phases";
/// What a diff calls those that wait for no phase, because of `phased = false`.
pub const AT_ONCE: &str = "at once";
/// The names of phases that nobody writes.
pub const UNWRITTEN_PHASES: [&str; 3] = [REST, LATER_PHASES, AT_ONCE];

/// A number or a share of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// So many.
    Count(u64),
    /// Hundredths of a percent.
    Share(u32),
}

/// Settings of a rollout or of one of its phases; `None` is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the keys are those of fleet.toml, described there")]
pub struct PhaseSettings {
    pub on_failure: Option<OnFailure>,
    pub max_failures: Option<Amount>,
    pub min_success: Option<Amount>,
    pub max_unavailable: Option<Amount>,
    pub soak: Option<Duration>,
    pub timeout: Option<Duration>,
}

/// What a failing rollout does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// Goes back.
    Rollback,
    /// Stays where it is.
    Halt,
}

//! Settings of a rollout, as the fleet, a phase or a deployment gives them.

use super::duration::Duration;
use serde::{Deserialize, Serialize};

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

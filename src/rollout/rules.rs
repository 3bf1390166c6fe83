//! The settings of a phase, made of what the fleet, the phase and deployments say.

use crate::model::{Amount, Duration, OnFailure, PhaseSettings};
use serde::{Deserialize, Serialize};

/// Of the devices of a phase, where nothing is said.
pub const DEFAULT_MAX_UNAVAILABLE: Amount = Amount::Share(10_00);
/// Where nothing is said.
pub const DEFAULT_SOAK: Duration = Duration::seconds(600);
/// Where nothing is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::seconds(3600);

/// A phase of up to so many devices passes when all have succeeded, unless it says otherwise.
const FEW: usize = 10;
/// A larger one with this share of them.
const MOST: Amount = Amount::Share(90_00);

/// Settings of a phase. Of amounts the strictest counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What becomes of a failing one.
    pub on_failure: OnFailure,
    /// More failures stop it; empty is none.
    pub max_failures: Vec<Amount>,
    /// So many must succeed; empty is the rule for those who say nothing.
    pub min_success: Vec<Amount>,
    /// So many may be changing at once.
    pub max_unavailable: Vec<Amount>,
    /// How long it must stay good, in milliseconds of observed time.
    pub soak: u64,
    /// After so many milliseconds of observed time a device that has not succeeded has failed.
    pub timeout: u64,
}

impl Rules {
    /// What a phase says goes before what the fleet says; deployments can only be stricter than both.
    pub fn new(fleet: &PhaseSettings, phase: &PhaseSettings, tighter: &[&PhaseSettings]) -> Self {
        let said = |of: fn(&PhaseSettings) -> Option<Amount>| -> Vec<Amount> {
            let base = of(phase).or(of(fleet));
            base.into_iter().chain(tighter.iter().filter_map(|settings| of(settings))).collect()
        };
        let mut max_unavailable = said(|s| s.max_unavailable);
        if phase.max_unavailable.or(fleet.max_unavailable).is_none() {
            max_unavailable.push(DEFAULT_MAX_UNAVAILABLE);
        }
        let mut max_failures = said(|s| s.max_failures);
        if phase.max_failures.or(fleet.max_failures).is_none() {
            max_failures.push(Amount::Count(0));
        }
        let soak = phase.soak.or(fleet.soak).unwrap_or(DEFAULT_SOAK);
        let timeout = phase.timeout.or(fleet.timeout).unwrap_or(DEFAULT_TIMEOUT);
        let own = phase.on_failure.or(fleet.on_failure);
        let wants_rollback = tighter.iter().any(|s| s.on_failure == Some(OnFailure::Rollback));
        let first_of_tighter = tighter.iter().find_map(|settings| settings.on_failure);
        Self {
            on_failure: match own {
                _ if wants_rollback => OnFailure::Rollback,
                Some(own) => own,
                None => first_of_tighter.unwrap_or(OnFailure::Rollback),
            },
            max_failures,
            min_success: said(|s| s.min_success),
            max_unavailable,
            soak: tighter.iter().filter_map(|s| s.soak).fold(soak, Duration::max).millis,
            timeout: tighter.iter().filter_map(|s| s.timeout).fold(timeout, Duration::min).millis,
        }
    }

    /// How many of so many devices may fail.
    pub fn failures_allowed(&self, of: usize) -> usize {
        self.max_failures.iter().map(|amount| rounded_down(*amount, of)).min().unwrap_or(0)
    }

    /// How many of so many devices must succeed: at least one. Where nothing is said, those whose failure is put up with are
    /// not waited for.
    pub fn success_needed(&self, of: usize, tolerated: usize) -> usize {
        let expected = of.saturating_sub(tolerated);
        let by_rule = if expected <= FEW { expected } else { rounded_up(MOST, expected) };
        let said = self.min_success.iter().map(|amount| rounded_up(*amount, of)).max();
        said.unwrap_or(by_rule).max(1)
    }

    /// How many of so many devices may be changing at once: at least one.
    pub fn unavailable_allowed(&self, of: usize) -> usize {
        let amounts = self.max_unavailable.iter().map(|amount| rounded_down(*amount, of));
        amounts.min().unwrap_or(1).max(1)
    }
}

fn rounded_down(amount: Amount, of: usize) -> usize {
    match amount {
        Amount::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
        Amount::Share(share) => of.saturating_mul(share as usize) / 10_000,
    }
}

/// The same, rounded up.
pub(super) fn rounded_up(amount: Amount, of: usize) -> usize {
    match amount {
        Amount::Count(_) => rounded_down(amount, of),
        Amount::Share(share) => of.saturating_mul(share as usize).div_ceil(10_000),
    }
}

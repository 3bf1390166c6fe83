//! Trouble by a seed: which calls go wrong, and how. The same seed brings the same trouble.
//!
//! Enters: a seed, how much, the calls as they come. Leaves: a fault for some of them.

use super::control::{CallKind, Fault};
use crate::engine::{EngineError, EngineErrorKind};
use crate::plan::StepKind;

/// Faults that come by themselves.
pub(super) struct Trouble {
    state: u64,
    per_mille: u64,
}

impl Trouble {
    pub(super) fn new(seed: u64, per_mille: u64) -> Self {
        Self { state: seed, per_mille }
    }

    /// The next number of the seed's row.
    fn next(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    /// What becomes of a call, if anything.
    pub(super) fn draw(&mut self, kind: CallKind) -> Option<Fault> {
        if self.next(1000) >= self.per_mille {
            return None;
        }
        let done = self.next(2) == 1;
        let fail = |kind, words: &str| Fault::Fail(EngineError::new(kind, words));
        Some(match (self.next(6), kind) {
            (0, _) => Fault::Unreachable,
            (1, _) => Fault::Cut { done },
            (2, _) => Fault::TimeOut { done },
            (3, _) => Fault::Restart { done },
            (_, CallKind::Step(StepKind::Pull)) => fail(
                EngineErrorKind::NoImage,
                "the device does not reach the registry (unexpected EOF after 3 of 5 layers)",
            ),
            (4, CallKind::Step(StepKind::Create | StepKind::WriteFiles | StepKind::Start)) => {
                fail(EngineErrorKind::Refused, "no space left on device")
            }
            (_, CallKind::Step(_)) => fail(EngineErrorKind::Refused, "server error"),
            _ => fail(EngineErrorKind::Unreachable, "the engine answers 503 without a word"),
        })
    }
}

//! Engines that hang: whether one that let a call go beyond its limit answers at all.
//!
//! A call that takes too long says nothing of its engine: a disk may be slow, a module long in stopping. An engine that does
//! not answer a ping either is not reached, whatever it was asked for, and each further call would wait for its own limit.

use crate::engine::{Engine, EngineError, EngineErrorKind};

/// An error, and what it says of the engine.
pub(super) struct Judged {
    pub(super) error: EngineError,
    /// Whether the engine hangs.
    pub(super) is_silent: bool,
}

/// What an error says of its engine, which is asked for a sign of life where the error alone does not tell.
pub(super) async fn judged(engine: &dyn Engine, error: EngineError) -> Judged {
    if error.kind != EngineErrorKind::TimedOut || engine.answers().await.is_ok() {
        return Judged { error, is_silent: false };
    }
    let words = format!("{}, and the engine does not answer any more", error.message);
    Judged { error: EngineError::new(EngineErrorKind::Unreachable, words), is_silent: true }
}

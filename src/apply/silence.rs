//! Engines that hang or go down: whether one that did not do what it was asked answers at all.
//!
//! A call that takes too long says nothing of its engine: a disk may be slow, a module long in stopping. An engine that does
//! not answer a ping either is not reached, whatever it was asked for, and each further call would wait for its own limit.
//! One that is being ended or restarted fails at what it is asked before it falls silent: that is no word on what it was
//! asked for either.

use crate::engine::{Cause, Engine, EngineError, EngineErrorKind};
use std::time::Duration;

/// An engine that failed at something of its own is asked so often whether it goes down, with a pause before each but the first.
const TIMES: u32 = 9;
const BETWEEN: Duration = Duration::from_millis(250);
/// Whoever has failed and says nothing for so long goes down: a socket that systemd holds takes calls meanwhile.
const SOON: Duration = Duration::from_secs(1);

/// An error, and what it says of the engine.
pub(super) struct Judged {
    pub(super) error: EngineError,
    /// Whether the engine hangs.
    pub(super) is_silent: bool,
}

/// What an error says of its engine, which is asked for a sign of life where the error alone does not tell.
pub(super) async fn judged(engine: &dyn Engine, error: EngineError) -> Judged {
    let answers = match (error.kind, error.cause) {
        (EngineErrorKind::TimedOut, _) => engine.answers().await.is_ok(),
        (_, Some(Cause::EngineItself)) => goes_on(engine).await,
        _ => true,
    };
    if answers {
        return Judged { error, is_silent: false };
    }
    let words = format!("{}, and the engine does not answer any more", error.message);
    Judged { error: EngineError::new(EngineErrorKind::Unreachable, words), is_silent: true }
}

/// Whether an engine is there for a while.
async fn goes_on(engine: &dyn Engine) -> bool {
    for time in 0..TIMES {
        if time > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        if !matches!(tokio::time::timeout(SOON, engine.answers()).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}

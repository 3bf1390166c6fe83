//! What somebody else does to a container while a run brings it up.

use crate::engine::{Cause, EngineError, EngineErrorKind};
use crate::plan::{ContainerRef, Step};

/// What is said of a container that was removed before it had come up.
pub const REMOVED: &str = "was removed by somebody else before it had come up";

/// A container that this run made, and that is gone: that is no fault of the step that would go on with it.
pub(super) fn explained(step: &Step, error: EngineError) -> EngineError {
    // An engine also says it of another container, whose network this one should share.
    let is_of = |id: &str| error.message.contains(id) || matches!(step, Step::WaitRunning { .. });
    match step.container() {
        Some(made @ ContainerRef::Made { id, .. })
            if error.kind == EngineErrorKind::NotFound && is_of(&id[..id.len().min(12)]) =>
        {
            EngineError::new(EngineErrorKind::Conflict, format!("{made} {REMOVED}"))
                .because(Cause::RemovedByAnother)
        }
        _ => error,
    }
}

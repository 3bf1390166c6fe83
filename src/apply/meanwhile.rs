//! What somebody else does to a container while a run brings it up.

use crate::engine::{Cause, EngineError, EngineErrorKind};
use crate::plan::{ContainerRef, Step};

/// A container that this run made, and that is gone: that is no fault of the step that would go on with it.
pub(super) fn explained(step: &Step, error: EngineError) -> EngineError {
    let is_its_own =
        matches!(step, Step::WaitRunning { .. }) || error.message.contains("No such container");
    let is_gone = error.kind == EngineErrorKind::NotFound && is_its_own;
    match step.container() {
        Some(made @ ContainerRef::Made { .. }) if is_gone => {
            let message = format!("{made} was removed by somebody else before it had come up");
            EngineError::new(EngineErrorKind::Conflict, message).because(Cause::RemovedByAnother)
        }
        _ => error,
    }
}

//! How fast devices are brought along, and whether they still are.
//!
//! Whoever asked for a run may call it off: what is half done is then finished or taken back, and nothing
//! new begins. And pulls may take turns, where devices share a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Tells all devices of a run that it is called off.
#[derive(Debug, Clone, Default)]
pub struct CallOff(Arc<AtomicBool>);

impl CallOff {
    /// Calls the run off.
    pub fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is called off.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The pace of one device.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Whether it goes on at all.
    pub call_off: CallOff,
    /// Turns for pulls, shared with other devices; `None` without a limit.
    pub pulls: Option<Arc<Semaphore>>,
    /// After such pauses what could not be taken back, as the engine was not reached, is tried again.
    pub pauses_of_undo: &'static [Duration],
}

impl Pace {
    /// Waits for a turn to pull.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        match &self.pulls {
            // It is never closed.
            Some(pulls) => pulls.acquire().await.ok(),
            None => None,
        }
    }
}

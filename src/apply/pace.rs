//! How fast devices are brought along, and whether they still are.
//!
//! Whoever asked for a run may call it off: what is half done is then finished or taken back, nothing new begins, and
//! nobody waits for a module any longer. And pulls may take turns, where devices share a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Tells all devices of a run that it is called off.
#[derive(Debug, Clone, Default)]
pub struct CallOff(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    is_on: AtomicBool,
    news: Notify,
}

impl CallOff {
    /// Calls the run off.
    pub fn now(&self) {
        self.0.is_on.store(true, Ordering::SeqCst);
        self.0.news.notify_waiters();
    }

    /// Whether it is called off.
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::SeqCst)
    }

    /// Ends when it is called off.
    pub(super) async fn told(&self) {
        // Whoever calls it off after the look wakes this up, as it listens before.
        let news = self.0.news.notified();
        if !self.is_on() {
            news.await;
        }
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

//! Wrong tokens cost time: each keeps one of a few places for a while, and who finds none is sent away unheard.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// So many wrong tokens are heard in each [`COST`].
const PLACES: usize = 8;
const COST: Duration = Duration::from_secs(1);

/// Places for tries.
#[derive(Clone)]
pub(super) struct Tries(Arc<Semaphore>);

impl Default for Tries {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Tries {
    /// Whether a try is right; `None` if there are too many to look. A wrong one is answered late, and its place stays
    /// taken also if nobody waits for the answer any more.
    pub(super) async fn hear(&self, is_right: impl FnOnce() -> bool) -> Option<bool> {
        let place = Arc::clone(&self.0).try_acquire_owned().ok()?;
        if is_right() {
            return Some(true);
        }
        let cost = tokio::spawn(async move {
            tokio::time::sleep(COST).await;
            drop(place);
        });
        let _ = cost.await;
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wrong_tries_are_few_and_a_right_one_is_quick() {
        let tries = Tries::default();
        let began = tokio::time::Instant::now();
        for _ in 0..3 * PLACES {
            assert_eq!(tries.hear(|| true).await, Some(true));
        }
        assert!(began.elapsed() < COST);
        let wrong = (0..PLACES).map(|_| {
            let tries = tries.clone();
            tokio::spawn(async move { tries.hear(|| false).await })
        });
        let wrong: Vec<_> = wrong.collect();
        tokio::task::yield_now().await;
        assert_eq!(tries.hear(|| true).await, None, "also a right one is not heard");
        wrong[0].abort();
        tokio::task::yield_now().await;
        assert_eq!(tries.hear(|| true).await, None, "who leaves pays too");
        for one in wrong.into_iter().skip(1) {
            assert_eq!(one.await.unwrap(), Some(false));
        }
        assert_eq!(tries.hear(|| true).await, Some(true));
    }
}

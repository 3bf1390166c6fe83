//! Work on many things at once, where each is independent of the others: the one place in the core with threads.

use std::thread;

/// What `work` makes of each thing, in their order, whatever the number of threads. Fewer than `worth_it` things are
/// not worth a thread.
pub(crate) fn side_by_side<T: Send, R: Send>(
    mut things: Vec<T>,
    worth_it: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = things.len().div_ceil(threads).max(worth_it);
    if things.len() <= share {
        return things.into_iter().map(work).collect();
    }
    let mut shares = Vec::new();
    while things.len() > share {
        shares.push(things.split_off(things.len() - share));
    }
    shares.push(things);
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .rev()
            .map(|share| scope.spawn(move || share.into_iter().map(work).collect::<Vec<R>>()))
            .collect();
        let done = running.into_iter().map(thread::ScopedJoinHandle::join);
        done.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::side_by_side;

    #[test]
    fn the_order_is_kept() {
        for n in [0, 1, 7, 8, 9, 100] {
            let things: Vec<usize> = (0..n).collect();
            assert_eq!(side_by_side(things.clone(), 4, |n| n * 2).len(), n);
            assert_eq!(side_by_side(things.clone(), 4, |n| n), things);
        }
    }
}

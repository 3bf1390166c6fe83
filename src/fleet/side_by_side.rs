//! Work on many things at once, where each is independent of the others: the one place in the core with threads.

use std::thread;

/// What `work` makes of each thing, in their order, whatever the number of threads. Fewer than `worth_it` things are
/// not worth a thread.
pub(crate) fn side_by_side<T: Send, R: Send>(
    things: Vec<T>,
    worth_it: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    side_by_side_with(things, worth_it, |(), thing| work(thing))
}

/// The same where each thread has something of its own that helps it along.
pub(super) fn side_by_side_with<S: Default, T: Send, R: Send>(
    mut things: Vec<T>,
    worth_it: usize,
    work: impl Fn(&mut S, T) -> R + Sync,
) -> Vec<R> {
    let all = |things: Vec<T>| -> Vec<R> {
        let mut own = S::default();
        things.into_iter().map(|thing| work(&mut own, thing)).collect()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = things.len().div_ceil(threads).max(worth_it);
    if things.len() <= share {
        return all(things);
    }
    let mut shares = Vec::new();
    while things.len() > share {
        shares.push(things.split_off(things.len() - share));
    }
    shares.push(things);
    let all = &all;
    thread::scope(|scope| {
        let running: Vec<_> =
            shares.into_iter().rev().map(|share| scope.spawn(move || all(share))).collect();
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

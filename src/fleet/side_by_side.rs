//! Work on many things at once, where each is independent of the others: the one place in the core with threads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError, mpsc};
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
    let share = things.len().div_ceil(threads()).max(worth_it);
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

/// What `work` makes of the things that `give` hands over, in their order, done while `give` goes on; and what `give`
/// returns. Each thing is worth a thread; a thread has an `own` to help it along.
pub(crate) fn while_given<S, T: Send, R: Send, G>(
    give: impl FnOnce(&mut dyn FnMut(T)) -> G,
    own: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) -> R + Sync,
) -> (G, Vec<R>) {
    let (sender, receiver) = mpsc::channel::<(usize, T)>();
    let receiver = Mutex::new(receiver);
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let work_off = || {
        let mut own = own();
        let mut done: Vec<(usize, R)> = Vec::new();
        while let Ok((number, thing)) = next() {
            done.push((number, work(&mut own, thing)));
        }
        done
    };
    let work_off = &work_off;
    let others = threads() - 1;
    thread::scope(|scope| {
        let (mut count, mut running) = (0, Vec::new());
        let given = give(&mut |thing| {
            // The receiver is there until all is done.
            let _ = sender.send((count, thing));
            count += 1;
            // One thing alone is left to this thread.
            if count == 2 {
                running.extend((0..others).map(|_| scope.spawn(work_off)));
            }
        });
        drop(sender);
        let mut done = work_off();
        for worker in running {
            done.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done.sort_unstable_by_key(|(number, _)| *number);
        (given, done.into_iter().map(|(_, made)| made).collect())
    })
}

/// What two works make, done at the same time.
pub(crate) fn both<A: Send, B>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    })
}

/// All numbers below a length, in a share for each thread. Each but the last has a multiple of 64; fewer than 4096 are not
/// worth a thread.
pub(crate) fn shares(len: usize) -> Vec<Range<usize>> {
    let share = len.div_ceil(threads()).next_multiple_of(64).max(4096);
    (0..len.max(1)).step_by(share).map(|start| start..len.min(start + share)).collect()
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::{shares, side_by_side, while_given};

    #[test]
    fn shares_are_all_numbers_and_only_the_last_is_no_multiple_of_64() {
        for len in [0, 1, 4095, 4096, 4097, 100_000] {
            let shares = shares(len);
            let all: Vec<usize> = shares.iter().cloned().flatten().collect();
            assert!(all.iter().copied().eq(0..len));
            let (_, others) = shares.split_last().expect("at least one");
            assert!(others.iter().all(|share| share.len().is_multiple_of(64)));
        }
    }

    #[test]
    fn the_order_is_kept() {
        for n in [0, 1, 7, 8, 9, 100] {
            let things: Vec<usize> = (0..n).collect();
            assert_eq!(side_by_side(things.clone(), 4, |n| n * 2).len(), n);
            assert_eq!(side_by_side(things.clone(), 4, |n| n), things);
        }
    }

    #[test]
    fn the_order_is_kept_where_things_are_given_one_by_one() {
        for n in [0, 1, 2, 5, 1000] {
            let give = |hand: &mut dyn FnMut(usize)| {
                (0..n).for_each(hand);
                "given"
            };
            let (given, made) = while_given(give, || 2, |two, thing| thing * *two);
            assert_eq!((given, made), ("given", (0..n).map(|n| n * 2).collect()));
        }
    }
}

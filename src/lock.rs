//! A mutex that a panic does not poison.
//!
//! A panic in one request is caught and fences one handle; it must not make every later request panic at the lock.
//! Critical sections are short, never span an await, and leave their data consistent at every call that may panic.
//!
//! Locks that are held together are taken in the order of their ranks. One thread that does otherwise shows that two could wait
//! for each other, so builds with debug assertions panic at it, in the simulator as well, which has one thread only.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which lock is taken first: the lower rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Drafts,
    Handles,
    Tree,
    /// Any other: none of those above is taken while it is held.
    #[default]
    Last,
}

#[derive(Debug, Default)]
pub struct Lock<T> {
    mutex: Mutex<T>,
    rank: Rank,
}

impl<T> Lock<T> {
    pub fn new(value: T) -> Self {
        Self::ranked(Rank::Last, value)
    }

    pub fn ranked(rank: Rank, value: T) -> Self {
        Self { mutex: Mutex::new(value), rank }
    }

    pub fn lock(&self) -> Guard<'_, T> {
        let held = order::Held::new(self.rank);
        Guard { data: self.mutex.lock().unwrap_or_else(PoisonError::into_inner), _held: held }
    }
}

pub struct Guard<'a, T> {
    data: MutexGuard<'a, T>,
    _held: order::Held,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

#[cfg(debug_assertions)]
mod order {
    use std::cell::Cell;

    use super::Rank;

    thread_local! {
        /// How many locks of each rank are held here.
        static HELD: Cell<[u32; 4]> = const { Cell::new([0; 4]) };
    }

    pub struct Held(Rank);

    impl Held {
        pub fn new(rank: Rank) -> Self {
            let mut held = HELD.get();
            let above = if rank == Rank::Last { 4 } else { rank as usize };
            let wrong = held.iter().skip(above).any(|held| *held > 0);
            assert!(!wrong, "a lock of rank {rank:?} is taken while others are held: {held:?}");
            held[rank as usize] += 1;
            HELD.set(held);
            Self(rank)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let mut held = HELD.get();
            held[self.0 as usize] -= 1;
            HELD.set(held);
        }
    }
}

#[cfg(not(debug_assertions))]
mod order {
    use super::Rank;

    pub struct Held;

    impl Held {
        pub fn new(_: Rank) -> Self {
            Self
        }
    }
}

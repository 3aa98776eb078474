//! The budget for object data in memory, shared by all inodes.
//!
//! Room is taken before an extent is filled and comes back when the last reader lets go of it. When the budget is used
//! up, extents are swept in the order they were made, with a second chance for those that were read again. What a reader
//! is waiting for right now is always granted, beyond the budget if need be: otherwise two streams could each hold what
//! the other waits for. Prefetch is not.
//!
//! Never called with a content's lock held: sweeping takes those locks one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::data::extent::Buffer;
use crate::lock::Lock;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

/// Rooms of one extent kept for reuse: fresh ones cost a page fault for every 4 KiB.
const POOL_ROOMS_MAX: usize = 8;

/// Candidates for sweeping that are kept without looking whether their owners live.
const CANDIDATES_MIN: usize = 1024;

/// Whoever owns extents that may be swept.
pub trait Sweep: Send + Sync {
    /// Gives up the extent at `start` if it can do without it.
    fn sweep(&self, start: u64) -> Swept;
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// Gone, or will be once readers let go.
    Gone,
    /// In use or wanted: ask again later.
    Kept,
}

pub struct Memory {
    max: u64,
    extent_bytes: u64,
    used: AtomicU64,
    queue: Lock<VecDeque<(Weak<dyn Sweep>, u64)>>,
    /// Length of the queue at which the places of owners that are gone are cleared away.
    tidy_at: AtomicUsize,
    pool: Lock<Vec<Buffer>>,
}

/// Room that was taken from the budget; returned on drop.
pub struct Permit {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    /// A budget of `max` bytes, spent mostly on extents of `extent_bytes`.
    pub fn new(max: u64, extent_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            max,
            extent_bytes,
            used: AtomicU64::new(0),
            queue: Lock::new(VecDeque::new()),
            tidy_at: AtomicUsize::new(CANDIDATES_MIN),
            pool: Lock::new(Vec::new()),
        })
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether `bytes` more would go beyond the budget, even after sweeping.
    pub fn is_short_of(&self, bytes: u64) -> bool {
        if self.used() + bytes > self.max {
            self.sweep_for(bytes);
        }
        self.used() + bytes > self.max
    }

    /// Room for `bytes`, after sweeping for it; beyond the budget if that was not enough.
    pub fn allocate_anyway(self: &Arc<Self>, bytes: u64) -> (Buffer, Permit) {
        if self.used() + bytes > self.max {
            self.sweep_for(bytes);
        }
        if self.used() + bytes > self.max {
            sometimes!(MemoryOverdrawn);
        }
        self.used.fetch_add(bytes, Ordering::Relaxed);
        let pooled = if bytes == self.extent_bytes { self.pool.lock().pop() } else { None };
        let room = pooled.unwrap_or_else(|| Buffer::new(bytes as usize));
        (room, Permit { memory: self.clone(), bytes })
    }

    /// Counts `bytes` that are held elsewhere already.
    pub fn count(self: &Arc<Self>, bytes: u64) -> Permit {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Permit { memory: self.clone(), bytes }
    }

    /// Makes the extent at `start` of `owner` a candidate for sweeping.
    pub fn enrol(&self, owner: Weak<dyn Sweep>, start: u64) {
        let mut queue = self.queue.lock();
        queue.push_back((owner, start));
        // Owners that are gone leave their place behind, which a mount that never runs short would keep for ever.
        if queue.len() >= self.tidy_at.load(Ordering::Relaxed) {
            queue.retain(|(owner, _)| owner.strong_count() > 0);
            self.tidy_at.store((2 * queue.len()).max(CANDIDATES_MIN), Ordering::Relaxed);
        }
    }

    /// Extents that may be swept, or whose owner is gone.
    pub fn candidates(&self) -> usize {
        self.queue.lock().len()
    }

    /// One round over the candidates at most, oldest first.
    fn sweep_for(&self, bytes: u64) {
        let candidates = self.queue.lock().len();
        if zoo::has(Bug::MemoryNeverSwept) {
            return;
        }
        if zoo::has(Bug::SweptInOrderOfAddresses) {
            // As a map that hashes addresses would give them.
            let place = |owner: &Weak<dyn Sweep>| owner.as_ptr().addr().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.queue.lock().make_contiguous().sort_by_key(|(owner, start)| (place(owner), *start));
        }
        for _ in 0..candidates {
            if self.used() + bytes <= self.max {
                return;
            }
            let Some((owner, start)) = self.queue.lock().pop_front() else { return };
            let swept = match owner.upgrade() {
                Some(owner) => owner.sweep(start),
                None => Swept::Gone,
            };
            if swept == Swept::Kept {
                self.queue.lock().push_back((owner, start));
            }
        }
    }
}

impl Permit {
    /// Keeps a standard-sized room for the next extent.
    pub fn recycle(&self, room: Buffer) {
        if room.len() as u64 == self.memory.extent_bytes {
            let mut pool = self.memory.pool.lock();
            if pool.len() < POOL_ROOMS_MAX {
                pool.push(room);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if zoo::has(Bug::PermitOfSmallRoomLost) && self.bytes < self.memory.extent_bytes {
            return;
        }
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} of {} bytes)", self.used(), self.max)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Memory, Permit, Sweep, Swept};
    use crate::lock::Lock;

    struct Owner(Lock<Vec<(u64, Permit)>>);

    impl Sweep for Owner {
        fn sweep(&self, start: u64) -> Swept {
            self.0.lock().retain(|(at, _)| *at != start);
            Swept::Gone
        }
    }

    #[test]
    fn the_oldest_extent_makes_room_for_a_new_one() {
        let memory = Memory::new(100, 40);
        let owner = Arc::new(Owner(Lock::new(Vec::new())));
        for start in [0, 40] {
            owner.0.lock().push((start, memory.allocate_anyway(40).1));
            let weak: std::sync::Weak<Owner> = Arc::downgrade(&owner);
            memory.enrol(weak, start);
        }
        let _third = memory.allocate_anyway(40);
        assert_eq!(memory.used(), 80);
        assert_eq!(owner.0.lock().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [40]);
    }

    #[test]
    fn owners_that_are_gone_are_forgotten_though_memory_never_runs_short() {
        let memory = Memory::new(u64::MAX, 40);
        for start in 0..100_000 {
            let owner = Arc::new(Owner(Lock::new(Vec::new())));
            let weak: std::sync::Weak<Owner> = Arc::downgrade(&owner);
            memory.enrol(weak, start);
        }
        assert!(memory.candidates() <= 2048, "{}", memory.candidates());
    }

    #[test]
    fn what_is_waited_for_is_granted_beyond_the_budget() {
        let memory = Memory::new(100, 40);
        let _a = memory.allocate_anyway(90);
        assert!(memory.is_short_of(20));
        let _b = memory.allocate_anyway(20);
        assert_eq!(memory.used(), 110);
    }
}

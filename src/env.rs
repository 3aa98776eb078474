//! The seams between the core and the world.
//!
//! Owns the five traits through which the core reaches anything outside itself, and their contracts. The core names
//! no clock, thread, socket, file or random source but these. Production implements them in `real`, the simulator in
//! `holdfast-sim`; both must keep every sentence written here, because the core relies on them.
//!
//! Rules for every async method of every seam:
//! - dropping the future cancels the caller's *interest*, never more: a request that had been sent may still be applied;
//! - a method never blocks the thread that polls it, and may be polled first on one thread and later on another;
//! - nothing panics because of what the other side answered.

pub mod disk;
pub mod store;

use std::future::Future;
use std::time::Duration;

pub use disk::{Disk, DiskError, DiskSpace, Kept, NoteId, Spool};
pub use store::Store;

/// The whole world, as one type: the core is generic over `E: Env` and dispatches statically.
pub trait Env: Send + Sync + 'static {
    type Store: Store;
    type Clock: Clock;
    type Spawn: Spawn;
    type Disk: Disk;
    type Rng: Rng;

    fn store(&self) -> &Self::Store;
    fn clock(&self) -> &Self::Clock;
    fn spawn(&self) -> &Self::Spawn;
    fn disk(&self) -> &Self::Disk;
    fn rng(&self) -> &Self::Rng;
}

/// A point in monotonic time: the duration since the environment began. Never decreases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub Duration);

impl Time {
    pub const ZERO: Time = Time(Duration::ZERO);

    /// `self - earlier`, or zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `after` later; saturates, so "indefinite" may be spelt `Duration::MAX`.
    pub fn plus(self, after: Duration) -> Time {
        Time(self.0.saturating_add(after))
    }
}

/// A point in wall-clock time, for attributes only: never for order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime {
    /// Since 1970.
    pub seconds: i64,
    /// Below 1 000 000 000.
    pub nanos: u32,
}

impl UnixTime {
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }
}

/// Time as the core sees it.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic now.
    fn now(&self) -> Time;
    /// Wall-clock now. For attributes and reports only: never for order.
    fn unix_time(&self) -> UnixTime;
    /// The same in whole seconds.
    fn unix_seconds(&self) -> i64 {
        self.unix_time().seconds
    }
    /// Completes once `now() >= start + duration`. Never early. Dropping it costs nothing.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static;
}

/// Background tasks.
pub trait Spawn: Send + Sync + 'static {
    /// Starts `task`. It runs at the earliest after this call returns, concurrently with everything else, and is never
    /// cancelled from outside while the process lives: a task that should end early watches for that itself. A panic in
    /// it ends that task only. `name` names it in traces and in deadlock reports.
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static);
}

/// Randomness, for jitter only: no correctness may rest on it.
pub trait Rng: Send + Sync + 'static {
    /// A uniformly distributed number.
    fn next_u64(&self) -> u64;
}

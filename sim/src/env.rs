//! `holdfast::env::Env` for simulation: one mount's view of the simulated world.
//!
//! Several mounts of one bucket share a [`SimStore`], and each has its own disk and random stream.

use std::future::Future;
use std::time::Duration;

use holdfast::env::{Clock, Env, Spawn, Time, UnixTime};

use crate::disk::SimDisk;
use crate::executor::{SimHandle, Sleep};
use crate::rng::SimRng;
use crate::store::SimStore;

/// Wall-clock time at the beginning of every run: 2026-01-01T00:00:00Z.
pub const EPOCH_UNIX_SECONDS: i64 = 1_767_225_600;

pub struct SimEnv {
    store: SimStore,
    clock: SimClock,
    spawn: SimHandle,
    disk: SimDisk,
    rng: SimRng,
}

impl SimEnv {
    /// `label` tells this mount's random stream from other mounts'.
    pub fn new(handle: SimHandle, store: SimStore, disk: SimDisk, seed: u64, label: &str) -> Self {
        Self { store, clock: SimClock::new(handle.clone()), spawn: handle, disk, rng: SimRng::new(seed, label) }
    }
}

impl Env for SimEnv {
    type Store = SimStore;
    type Clock = SimClock;
    type Spawn = SimHandle;
    type Disk = SimDisk;
    type Rng = SimRng;

    fn store(&self) -> &SimStore {
        &self.store
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }

    fn spawn(&self) -> &SimHandle {
        &self.spawn
    }

    fn disk(&self) -> &SimDisk {
        &self.disk
    }

    fn rng(&self) -> &SimRng {
        &self.rng
    }
}

/// Virtual time, monotonic and wall clock in step.
#[derive(Clone)]
pub struct SimClock {
    handle: SimHandle,
}

impl SimClock {
    pub fn new(handle: SimHandle) -> Self {
        Self { handle }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Time {
        self.handle.now()
    }

    fn unix_time(&self) -> UnixTime {
        let now = self.handle.now();
        UnixTime { seconds: unix_seconds_at(now), nanos: now.0.subsec_nanos() }
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let sleep: Sleep = self.handle.sleep(duration);
        sleep
    }
}

/// The wall clock at a point of virtual time.
pub fn unix_seconds_at(now: Time) -> i64 {
    EPOCH_UNIX_SECONDS.saturating_add(i64::try_from(now.0.as_secs()).unwrap_or(i64::MAX))
}

impl Spawn for SimHandle {
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        SimHandle::spawn(self, name, task);
    }
}

//! The world as it is: S3, tokio, the disk, the system's clock and random source.
//!
//! Owns every implementation of the seams in [`crate::env`] that production runs on, and is the only part of the crate
//! that names a network, a clock, a thread or a file. It decides nothing: what to ask for, when to ask again and what an
//! answer means for a reader belong to the core.
//!
//! The core's futures are often polled first on a thread that belongs to the kernel adapter and knows no tokio. So each
//! implementation keeps a [`Handle`] and enters the runtime by itself ([`in_runtime::InRuntime`]); callers never must.

// This is the world that the core may not name.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod clock;
mod descriptors;
mod folder;
mod in_runtime;
mod journal;
pub mod kept;
mod local_disk;
pub mod mountpoint;
pub mod notes;
mod random;
pub mod s3;
mod spawn;

use tokio::runtime::Handle;

use crate::env::Env;

pub use clock::TokioClock;
pub use descriptors::Descriptors;
pub use journal::Journal;
pub use kept::LocalKept;
pub use local_disk::{LocalDisk, LocalSpool};
pub use notes::Notes;
pub use random::OsRng;
pub use s3::{
    ChecksumKind, ConnectError, CustomerKey, Encryption, KeyFileError, Protection, S3Body, S3Options, S3Store,
    StaticCredentials,
};
pub use spawn::TokioSpawn;

/// The whole of production's world. Generic over the store, so that a mount can also run on the in-memory bucket.
pub struct RealEnv<S = S3Store> {
    store: S,
    clock: TokioClock,
    spawn: TokioSpawn,
    disk: LocalDisk,
    rng: OsRng,
}

impl<S> RealEnv<S> {
    /// `handle` is the runtime that everything runs on; it must have its timer and I/O drivers enabled and must outlive
    /// this environment. The clock starts here.
    pub fn new(store: S, disk: LocalDisk, handle: Handle) -> Self {
        Self { store, clock: TokioClock::new(handle.clone()), spawn: TokioSpawn::new(handle), disk, rng: OsRng }
    }
}

impl<S: crate::env::Store> Env for RealEnv<S> {
    type Store = S;
    type Clock = TokioClock;
    type Spawn = TokioSpawn;
    type Disk = LocalDisk;
    type Rng = OsRng;

    fn store(&self) -> &S {
        &self.store
    }

    fn clock(&self) -> &TokioClock {
        &self.clock
    }

    fn spawn(&self) -> &TokioSpawn {
        &self.spawn
    }

    fn disk(&self) -> &LocalDisk {
        &self.disk
    }

    fn rng(&self) -> &OsRng {
        &self.rng
    }
}

//! The simulator: runs the unchanged core of Holdfast under a simulated S3, disk, clock and scheduler.
//!
//! Everything in a run follows from its seed: the order in which ready tasks run, every latency, every random number.
//! Virtual time jumps, so an hour of pause costs nothing; a rolling hash of all events tells whether two runs were the
//! same run.
//!
//! Where to start: [`world::World`] is what a test holds. It joins
//! - [`executor`]: tasks and virtual time;
//! - [`env`]: the seams of `holdfast::env`, from [`store`] (S3 with faults), [`disk`] and [`rng`];
//! - [`content`]: object bytes that name their own key, version and offset.
//!
//! Invariant: nothing here reads a real clock, a thread's identity, an address or a randomly seeded map.

pub mod content;
pub mod disk;
// pub mod env;
pub mod executor;
pub mod rng;

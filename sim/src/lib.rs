//! The simulator: runs the unchanged core of Holdfast under a simulated S3, disk, clock and scheduler.
//!
//! Everything in a run follows from its seed: the order in which ready tasks run, every latency, every random number.
//! Virtual time jumps, so an hour of pause costs nothing; a rolling hash of all events tells whether two runs were the
//! same run.
//!
//! Where to start: [`world::World`] is what a test holds. It joins
//! - [`executor`]: tasks and virtual time;
//! - [`env`]: the seams of `holdfast::env`, made of [`store`] (S3 with faults), [`disk`] and [`rng`];
//! - [`kernel`]: a small Linux in front of the core, and [`app`]: the applications on it, with their oracles;
//! - [`content`]: object bytes that name their own key, version and offset;
//! - [`mutation`] and [`history`]: what other clients do to the bucket, and what each key held when;
//! - [`ledger`]: what applications did to files, by which the oracles of writing judge.
//! - [`coverage`], beside it: which lines of the core a run reached.
//! - [`recording`]: on demand, all that happened, as data and as text, which [`report`] draws.
//!
//! Invariant: nothing here reads a real clock, a thread's identity, an address or a randomly seeded map.

pub mod app;
pub mod content;
pub mod court;
pub mod coverage;
pub mod disk;
pub mod env;
pub mod executor;
pub mod history;
pub mod kernel;
pub mod ledger;
pub mod mutation;
pub mod oracles;
pub mod recording;
pub mod report;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod store;
pub mod world;
pub mod zoo;

pub use app::{App, File, Mapping, Process};
pub use content::{Version, version};
pub use court::{Finding, Seat};
pub use kernel::KernelConfig;
pub use mutation::Mutation;
pub use store::{Event, Fault, FaultKind, Kind, Matcher, get, head, list};
pub use world::{World, WorldConfig};

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

//! The promise over a real kernel: the binary mounts a bucket of a real server, and applications are real processes.
//!
//! One binary, so that it links once. [`world::World`] is what a test holds; the other modules without `#[test]`s are
//! [`require`] (what is skipped when), [`mounted`] (one mount), [`remote`] (who serves the bucket), [`reader`] (what an
//! application does), [`shell`] (programs that work on a mount), [`agreement`] (of a mount and its bucket), [`dice`], [`proxy`] (answers that are wrong on the wire) and
//! [`watchdog`] (a stuck test ends).
//!
//! No test measures time. Time-outs only end a test that hangs.

// This is the world that the core is kept from: clocks, threads, processes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod agreement;
mod bad_answers;
mod bad_mounts;
mod bad_writes;
mod calibration;
mod care;
mod churn;
mod conflicts;
mod contention;
mod dice;
mod fresh;
mod gigabyte;
mod killed;
mod life;
mod listing;
mod mirror;
mod moto;
mod mounted;
mod names;
mod outage;
mod posix;
mod programs;
mod protection;
mod proxy;
mod publishing;
mod random;
mod reader;
mod remote;
mod replaced;
mod requests;
mod require;
mod shell;
mod suites;
mod watchdog;
mod world;
mod writing;

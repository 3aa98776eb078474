//! Holdfast: an S3 file system in which an open file holds one version of its object until it is closed.
//!
//! Requests flow one way, kernel → [`fuse`] → [`fs`] → [`env::Store`], and answers back. [`fs::Fs`] has one method that
//! matters, [`fs::Fs::handle`]: an [`op::Op`] in, an [`op::Reply`] or an [`error::FsError`] out. It joins two halves:
//! [`state`] decides what names and inodes mean, without async or a clock; [`data`] performs: it fetches, holds and gives
//! out bytes.
//!
//! All of that, the *core*, is generic over [`env::Env`]: store, clock, tasks, disk and randomness. [`real`] implements
//! the seams over S3, tokio and the local disk; the crate `holdfast-sim` implements them over [`bucket`], an S3 bucket in
//! memory, with virtual time and faults. [`server`] puts that same bucket behind HTTP. [`command`] is the command line.
//!
//! What always holds:
//! - an inode number stands for one Version of one object, and is never used again;
//! - whatever a [`data::content::Content`] gives out belongs to its Version;
//! - a read is answered whole or with an error;
//! - the core names nothing of the world but through `env` (`tests/tidy.rs` sees to it).
//!
//! [`marks`] and [`zoo`] serve the simulator: points that it must reach, and deliberate bugs that it must find.
//!
//! Start reading at [`fs::Fs::handle`], then `fs/open.rs` for how a Version is pinned, and [`data::content`] for how it is
//! held. The rules that users rely on are in `docs/semantics.md`.

pub mod bucket;
#[cfg(feature = "mount")]
pub mod command;
pub mod config;
pub mod data;
pub mod env;
pub mod error;
pub mod fs;
#[cfg(feature = "mount")]
pub mod fuse;
pub mod lock;
pub mod marks;
pub mod op;
#[cfg(feature = "mount")]
pub mod real;
#[cfg(feature = "mount")]
pub mod server;
pub mod state;
pub mod units;
pub mod zoo;

//! Holdfast: an S3 file system in which an open file holds one version of its object until it is closed.

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
pub mod op;
#[cfg(feature = "mount")]
pub mod real;
#[cfg(feature = "mount")]
pub mod server;
pub mod state;
pub mod units;

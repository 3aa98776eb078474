//! Holdfast: an S3 file system in which an open file holds one version of its object until it is closed.

pub mod bucket;
#[cfg(feature = "mount")]
pub mod command;
pub mod env;
#[cfg(feature = "mount")]
pub mod real;
#[cfg(feature = "mount")]
pub mod server;
pub mod units;

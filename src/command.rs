//! The subcommands of the binary, one file each.

// This is the world that the core may not name.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod demo;
pub mod doctor;
mod folders;
pub mod logging;
pub mod mount;
pub mod recover;
pub mod serve;
pub mod status;
pub mod unmount;

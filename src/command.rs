//! The subcommands of the binary, one file each.

// This is the world that the core may not name.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod demo;
mod folders;
pub mod logging;
pub mod mount;
pub mod recover;
pub mod serve;
pub mod unmount;

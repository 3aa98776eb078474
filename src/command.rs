//! The subcommands of the binary, one file each.

pub mod demo;
pub mod logging;
pub mod mount;
pub mod serve;
pub mod unmount;

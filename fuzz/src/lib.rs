//! What the fuzz targets share. Each target in `fuzz_targets/` is one question about the core; here nothing is judged.

pub mod input;
pub mod locks;
pub mod pages;

pub use input::{Input, choices};

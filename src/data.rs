//! Bytes: fetching them, holding them, giving them out.
//!
//! `state` decides what a name means; this module performs. One [`content::Content`] per inode holds what is at hand of
//! its Version and runs the streams that fetch more. Policies (`retry`, `pace`, `runs`, `ranges`) are plain values with
//! plain functions of (state, event, now).

mod ahead;
pub mod content;
pub mod context;
pub mod draft;
pub(crate) mod etag;
pub mod extent;
mod feeding;
mod holdings;
pub mod journal;
mod keep;
pub mod lifeboat;
pub mod line;
mod log;
mod manifest;
pub mod memory;
pub mod mutations;
pub mod notes;
pub mod overlay;
pub mod pace;
pub mod patience;
mod plan;
pub mod publish;
pub mod ranges;
mod relay;
pub mod requests;
pub mod retry;
pub mod runs;
pub mod stored;
pub mod stream;
mod upload;

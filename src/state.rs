//! What names and inodes mean: pure data and rules.
//!
//! No async, no clock: `now` is an argument. What must be done in consequence is returned, for `fs` to have it done.

pub mod listing;
pub mod media;
pub mod posix;
pub mod tree;
pub mod version;
pub mod xattrs;

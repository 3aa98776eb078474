//! Deliberate bugs, to measure the simulator by: one that it does not find is a defect of the simulator.
//!
//! Each is a line at its real place in the core, `if zoo::has(Bug::ReadWithoutIfMatch) { … }`. Without the feature `zoo`,
//! which cannot be had together with `mount`, `has` is a constant and nothing of them is compiled. What each is, where it
//! comes from and who found it stands in the simulator's table.

#[cfg(all(feature = "zoo", feature = "mount"))]
compile_error!("the zoo's bugs are for the simulator: no build that can mount may contain them");

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// GETs of a held Version carry no condition.
    ReadWithoutIfMatch,
}

#[cfg(not(feature = "zoo"))]
#[inline(always)]
pub const fn has(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "zoo")]
pub use released::{has, release};

#[cfg(feature = "zoo")]
mod released {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static RELEASED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is in the core that runs on this thread.
    #[inline]
    pub fn has(bug: Bug) -> bool {
        RELEASED.get() == Some(bug)
    }

    /// From now on this bug, or none, is in the core on this thread.
    pub fn release(bug: Option<Bug>) {
        RELEASED.set(bug);
    }
}

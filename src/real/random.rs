//! Randomness from the operating system.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::env::Rng;

/// The operating system's random source: one system call a number, which is cheap beside the requests it spreads.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRng;

impl Rng for OsRng {
    fn next_u64(&self) -> u64 {
        // The source can fail only on systems that lack it altogether. Jitter must not end a mount: the hasher's seed is
        // random enough for it.
        SysRng.try_next_u64().unwrap_or_else(|_| RandomState::new().hash_one(0u8))
    }
}

#[cfg(test)]
mod tests {
    use super::OsRng;
    use crate::env::Rng;

    #[test]
    fn numbers_differ() {
        assert_ne!((OsRng.next_u64(), OsRng.next_u64()), (OsRng.next_u64(), OsRng.next_u64()));
    }
}

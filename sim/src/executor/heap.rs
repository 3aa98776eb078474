//! Another heap for the second run of a seed.
//!
//! A run must not depend on addresses. Two runs in one process often see the same ones, and would hide that they do.

use crate::rng::SimRng;

/// Enough blocks to move what a small world allocates, few enough to cost microseconds.
const BLOCKS: u64 = 512;
const BLOCK_BYTES_MAX: u64 = 4096;

/// Blocks that stay taken as long as this lives.
#[must_use = "the blocks are freed, and may come together again, when this is dropped"]
pub struct PerturbedHeap {
    held: Vec<Vec<u8>>,
}

impl PerturbedHeap {
    /// What is held, for a message.
    pub fn held_bytes(&self) -> usize {
        self.held.iter().map(Vec::capacity).sum()
    }
}

/// Takes a random set of blocks of random sizes and frees a random half of them in random order: what is allocated next
/// lands in the holes, elsewhere for every seed.
pub fn perturb_heap(seed: u64) -> PerturbedHeap {
    let rng = SimRng::new(seed, "heap");
    let mut held: Vec<Vec<u8>> = (0..BLOCKS)
        .map(|_| {
            // Small blocks are the ones that futures and map nodes use: half of all are below 256 bytes.
            let bytes_max = if rng.below(2) == 0 { 256 } else { BLOCK_BYTES_MAX };
            Vec::with_capacity(1 + rng.below(bytes_max) as usize)
        })
        .collect();
    for _ in 0..BLOCKS / 2 {
        let index = rng.below(held.len() as u64) as usize;
        drop(held.swap_remove(index));
    }
    PerturbedHeap { held }
}

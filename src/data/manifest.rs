//! What a lifeboat holds, and how it is known again: a seal for every saved fragment.
//!
//! Disks flip bits, acknowledge writes that they tear, and put bytes elsewhere than they were told. So what comes back is
//! compared with a checksum that was taken before it went, and that never leaves memory. Invariant: the fragments under
//! seal are disjoint, none spans a block's boundary, and together they are exactly what is saved. Pure bookkeeping:
//! nothing here waits or touches a disk.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::data::ranges::Ranges;

/// A fragment of at most one block, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    start: u64,
    len: u32,
    checksum: u32,
}

impl Seal {
    fn of(start: u64, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("a block is far below 4 GiB");
        Self { start, len, checksum: crc32fast::hash(bytes) }
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + u64::from(self.len)
    }

    /// Whether these are the bytes that were saved.
    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == u64::from(self.len) && crc32fast::hash(bytes) == self.checksum
    }
}

/// Seals for `bytes` at `offset`, cut where blocks end. Kept apart from [`Manifest::add`], which is under a lock: this is
/// where the time goes.
pub(super) fn seal(offset: u64, bytes: &[u8], block_bytes: u64) -> Vec<Seal> {
    let end = offset + bytes.len() as u64;
    let mut seals = Vec::with_capacity((end.div_ceil(block_bytes) - offset / block_bytes) as usize);
    let mut at = offset;
    while at < end {
        let until = ((at / block_bytes + 1) * block_bytes).min(end);
        seals.push(Seal::of(at, &bytes[(at - offset) as usize..(until - offset) as usize]));
        at = until;
    }
    seals
}

#[derive(Debug, Default)]
pub(super) struct Manifest {
    saved: Ranges,
    /// By start: length and checksum.
    seals: BTreeMap<u64, (u32, u32)>,
}

impl Manifest {
    pub(super) fn saved(&self) -> &Ranges {
        &self.saved
    }

    /// `bytes` at `offset`, of which `seals` are the seals, are saved. What two anchors brought keeps its first seal.
    pub(super) fn add(&mut self, offset: u64, bytes: &[u8], seals: &[Seal]) {
        for seal in seals {
            let missing = self.saved.missing(seal.range());
            self.saved.insert(seal.range());
            for gap in missing {
                // Mostly the whole fragment. Where it is not, two pieces met inside a block.
                let part = || &bytes[(gap.start - offset) as usize..(gap.end - offset) as usize];
                let seal = if gap == seal.range() { *seal } else { Seal::of(gap.start, part()) };
                self.seals.insert(seal.start, (seal.len, seal.checksum));
            }
        }
    }

    /// The fragments that hold `range`, ascending and without a gap; `None` if part of it is not saved, or no longer.
    pub(super) fn covering(&self, range: Range<u64>) -> Option<Vec<Seal>> {
        if range.is_empty() || !self.saved.contains(range.clone()) {
            return None;
        }
        let first = *self.seals.range(..=range.start).next_back()?.0;
        let fragments = self.seals.range(first..range.end);
        Some(fragments.map(|(&start, &(len, checksum))| Seal { start, len, checksum }).collect())
    }

    /// What is under `seal` counts as saved no longer. False if it did not before.
    pub(super) fn remove(&mut self, seal: &Seal) -> bool {
        let known = self.seals.get(&seal.start) == Some(&(seal.len, seal.checksum));
        if known {
            self.seals.remove(&seal.start);
            self.saved.remove(seal.range());
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::{prop, proptest};

    use super::{Manifest, Seal, seal};
    use crate::config::Sizes;

    const BLOCK: u64 = 8;

    proptest! {
        #[test]
        fn whatever_pieces_were_saved_or_dropped_every_saved_byte_is_under_one_seal_that_fits(
            pieces in prop::collection::vec((0u64..60, 0u64..30, 0u8..4), 0..20),
        ) {
            let content: Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(37)).collect();
            let mut manifest = Manifest::default();
            let mut naive = [false; 100];
            for (offset, len, drop) in pieces {
                let bytes = &content[offset as usize..(offset + len) as usize];
                manifest.add(offset, bytes, &seal(offset, bytes, BLOCK));
                naive[offset as usize..(offset + len) as usize].fill(true);
                if drop == 0 && let Some(seals) = manifest.covering(offset..offset + len) {
                    assert!(manifest.remove(&seals[0]) && !manifest.remove(&seals[0]));
                    let gone = seals[0].range();
                    naive[gone.start as usize..gone.end as usize].fill(false);
                }
            }
            let mut sealed = [false; 100];
            for (&start, &(len, checksum)) in &manifest.seals {
                let range = start as usize..start as usize + len as usize;
                assert_eq!(start / BLOCK, (start + u64::from(len) - 1) / BLOCK, "within a block");
                assert!(Seal { start, len, checksum }.fits(&content[range.clone()]));
                assert!(sealed[range.clone()].iter().all(|under| !under), "under one seal only");
                sealed[range].fill(true);
            }
            assert_eq!(sealed, naive);
            for at in 0..99u64 {
                assert_eq!(manifest.saved().contains(at..at + 1), naive[at as usize]);
                let whole = naive[at as usize..(at as usize + 9).min(100)].iter().all(|held| *held);
                assert_eq!(manifest.covering(at..(at + 9).min(100)).is_some(), whole);
            }
        }
    }

    #[test]
    fn one_flipped_bit_breaks_the_seal() {
        let mut bytes = vec![7; 1000];
        let sealed = Seal::of(0, &bytes);
        assert!(sealed.fits(&bytes));
        bytes[999] ^= 1;
        assert!(!sealed.fits(&bytes) && !sealed.fits(&bytes[..999]));
    }

    /// A measurement: `cargo test --release -- --ignored --nocapture sealing`.
    #[test]
    #[ignore = "a measurement, for a quiet machine and an optimised build"]
    fn sealing_is_far_faster_than_any_disk_or_connection() {
        let bytes: Vec<u8> = (0..64 << 20).map(|n: u32| n.wrapping_mul(0x9e37_79b9) as u8).collect();
        let began = Instant::now();
        let mut seals = 0;
        for _ in 0..16 {
            seals += seal(0, &bytes, Sizes::PRODUCTION.lifeboat_block_bytes).len();
        }
        let rate = 16.0 * bytes.len() as f64 / began.elapsed().as_secs_f64() / 1e9;
        println!("{seals} seals, {rate:.1} GB/s");
        assert!(rate > 2.0, "{rate:.1} GB/s");
    }
}

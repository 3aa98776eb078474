//! Memory for the segments of contents that arrive piecemeal, used again when an object goes.
//!
//! Fresh memory costs a page fault for every 4 KiB, on virtual machines more than all else that a server does with an
//! upload. What is kept for reuse is only ever whole segments, and bounded; no behaviour depends on it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of a full segment: large enough for big frames, small enough to allocate piecemeal.
pub(super) const SEGMENT_BYTES: usize = 1 << 20;

/// Most segments kept for reuse: half a gibibyte.
const SPARE_SEGMENTS_MAX: usize = 512;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Room for bytes. [`Segment::freeze`] makes them immutable and shareable.
#[derive(Debug, Default)]
pub(super) struct Segment(Vec<u8>);

impl Segment {
    /// Room for `expected_bytes`, but at most for a full segment.
    pub(super) fn with_room_for(expected_bytes: usize) -> Self {
        if expected_bytes < SEGMENT_BYTES {
            return Self(Vec::with_capacity(expected_bytes));
        }
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self(spare.unwrap_or_else(|| Vec::with_capacity(SEGMENT_BYTES)))
    }

    /// Takes as many of `bytes` as there is room for; answers how many.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.0.capacity() - self.0.len());
        self.0.extend_from_slice(&bytes[..taken]);
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.0.capacity() != SEGMENT_BYTES {
            return;
        }
        let mut memory = std::mem::take(&mut self.0);
        memory.clear();
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_SEGMENTS_MAX {
            spare.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SEGMENT_BYTES, Segment};

    #[test]
    fn memory_that_is_used_again_carries_nothing_over() {
        for byte in 0..4 {
            let mut segment = Segment::with_room_for(SEGMENT_BYTES * 2);
            assert!(segment.is_empty());
            assert_eq!(segment.fill(&[byte; 10]), 10);
            assert_eq!(segment.freeze().as_ref(), [byte; 10]);
        }
    }

    #[test]
    fn a_segment_takes_no_more_than_it_has_room_for() {
        let mut segment = Segment::with_room_for(SEGMENT_BYTES);
        assert_eq!(segment.fill(&vec![1; SEGMENT_BYTES + 5]), SEGMENT_BYTES);
        assert_eq!(segment.fill(&[1]), 0);
    }
}

//! Random numbers that follow from (seed, label) alone, on every platform and with every version of every crate.
//!
//! Each consumer has its own label and hence its own stream: one more draw in one place shifts nothing elsewhere, which
//! keeps shrunk scenarios close to the one they came from.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The golden ratio's fraction, made odd: the states visit every word once before one comes back.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes BigCrush, and stays the same for ever.
#[derive(Debug)]
pub struct SimRng {
    state: AtomicU64,
}

impl SimRng {
    pub fn new(seed: u64, label: &str) -> Self {
        Self { state: AtomicU64::new(mix(seed ^ hash_text(label))) }
    }

    pub fn next_u64(&self) -> u64 {
        mix(self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        // The product's high half: no modulo, and its bias is out of any simulation's reach.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A duration within `span`, in whole nanoseconds. Draws also when there is no choice, so that narrowing a span
    /// leaves the rest of the stream alone.
    pub fn within(&self, span: &RangeInclusive<Duration>) -> Duration {
        let width = span.end().saturating_sub(*span.start());
        let width_ns = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX);
        *span.start() + Duration::from_nanos(self.below(width_ns.saturating_add(1)))
    }
}

impl holdfast::env::Rng for SimRng {
    fn next_u64(&self) -> u64 {
        SimRng::next_u64(self)
    }
}

/// A bijection of `u64` in which each input bit flips about half of the output bits.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a, finished with [`mix`].
pub(crate) fn hash_text(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    mix(fnv)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SimRng;

    #[test]
    fn a_seed_and_a_label_give_one_stream() {
        let draw = |seed, label| {
            let rng = SimRng::new(seed, label);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(1, "store"), draw(1, "store"));
        assert_ne!(draw(1, "store"), draw(1, "disk"));
        assert_ne!(draw(1, "store"), draw(2, "store"));
    }

    #[test]
    fn durations_stay_within_their_span() {
        let rng = SimRng::new(7, "span");
        let span = Duration::from_millis(2)..=Duration::from_millis(5);
        for _ in 0..1000 {
            assert!(span.contains(&rng.within(&span)));
        }
        let point = Duration::from_millis(3);
        assert_eq!(rng.within(&(point..=point)), point);
    }
}

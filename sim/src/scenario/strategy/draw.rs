//! Draws from proptest's random stream.

use proptest::prelude::Rng;
use proptest::test_runner::TestRng;

pub(super) struct Draw<'a> {
    rng: &'a mut TestRng,
}

impl<'a> Draw<'a> {
    pub(super) fn new(rng: &'a mut TestRng) -> Self {
        Self { rng }
    }

    pub(super) fn any(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number below `bound`; 0 when that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product; 32 bits of randomness are plenty, and spare a fuzzer's bytes.
        ((u128::from(self.rng.next_u32()) * u128::from(bound)) >> 32) as u64
    }

    /// Within `from..=to`.
    pub(super) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in `times` of `of` cases.
    pub(super) fn chance(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    /// One of `from`, each as likely as its weight says.
    pub(super) fn weigh<T: Copy>(&mut self, from: &[(u64, T)]) -> T {
        let total: u64 = from.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(total);
        for (weight, value) in from {
            if at < *weight {
                return *value;
            }
            at -= weight;
        }
        from[from.len() - 1].1
    }

    /// Each of `from` with this chance, but at least one of them.
    pub(super) fn some<T: Copy>(&mut self, from: &[T], times: u64, of: u64) -> Vec<T> {
        let mut some: Vec<T> = from.iter().copied().filter(|_| self.chance(times, of)).collect();
        if some.is_empty() {
            some.push(self.pick(from));
        }
        some
    }
}

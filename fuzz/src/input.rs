//! Decisions out of arbitrary bytes, front to back, so that a byte's meaning does not depend on what follows it.
//!
//! A hand-written reader rather than `Arbitrary`: seeds can then be typed, and a byte inserted by the fuzzer shifts a
//! story instead of making another one. After its end everything is zero, so choice 0 should be the dull one.

pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                *byte
            }
            None => 0,
        }
    }

    /// Whatever has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A number less than `bound`, which is at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 1
    }

    pub fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }

    /// Up to three bytes' worth, small ones above all.
    pub fn number(&mut self) -> u64 {
        let first = u64::from(self.byte());
        match first {
            0..=199 => first,
            200..=239 => 200 + (first - 200) * 256 + u64::from(self.byte()),
            _ => 10_000 + ((first - 240) << 16) + (u64::from(self.byte()) << 8) + u64::from(self.byte()),
        }
    }

    /// Bytes up to the next `end`, which is swallowed.
    pub fn until(&mut self, end: u8) -> &'a [u8] {
        let at = self.rest.iter().position(|byte| *byte == end).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest.get(1..).unwrap_or_default();
        taken
    }
}

/// Bytes as `strategy::of_bytes` takes them: it spends four on a choice, of which only the last counts when the choice is
/// small. With each of ours repeated, one byte is one choice, inserting one shifts the rest by one, and 0 and 255 are the
/// ends of any range.
pub fn choices(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [*byte; 4]).collect()
}

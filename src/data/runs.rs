//! Which reads belong together: the sequential runs of one inode.
//!
//! Kept per inode, not per handle: the kernel's readahead uses the handle that triggered it, whoever reads. A run
//! tolerates reads that arrive a little out of order, as readahead sends them.

use std::ops::Range;

use crate::config::RUNS_MAX;

#[derive(Clone, Debug)]
pub struct Runs {
    slack_bytes: u64,
    /// Most recently used last.
    runs: Vec<Run>,
    /// Reads in a row that continued no run.
    strays: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where the next read is expected.
    next: u64,
    /// Bytes read so far.
    bytes: u64,
}

impl Runs {
    /// A read within `slack_bytes` of a run's end continues it.
    pub fn new(slack_bytes: u64) -> Self {
        Self { slack_bytes, runs: Vec::new(), strays: 0 }
    }

    /// Notes a read of `len` bytes at `offset`; answers how many bytes its run had before it (0: it starts one).
    pub fn note(&mut self, offset: u64, len: u64) -> u64 {
        let slack_bytes = self.slack_bytes;
        let near = |run: &Run| run.next.abs_diff(offset) <= slack_bytes.min(run.bytes);
        if let Some(at) = self.runs.iter().rposition(near) {
            let mut run = self.runs.remove(at);
            let before = run.bytes;
            run.next = run.next.max(offset + len);
            run.bytes += len;
            self.runs.push(run);
            self.strays = 0;
            return before;
        }
        if self.runs.len() == RUNS_MAX {
            self.runs.remove(0);
        }
        self.runs.push(Run { next: offset + len, bytes: len });
        self.strays += 1;
        0
    }

    /// Whether a run of at least `long_bytes`, or one from the first byte on, will come to a byte of `range` within its next
    /// `reach_bytes`. Whoever has read nothing yet is expected at the first byte.
    pub fn lead_to(&self, range: Range<u64>, long_bytes: u64, reach_bytes: u64) -> bool {
        let leads = |run: &Run| {
            let long = run.bytes >= long_bytes || run.bytes == run.next;
            long && run.next < range.end && range.start < run.next + reach_bytes
        };
        self.runs.iter().any(leads) || (self.runs.is_empty() && range.start < reach_bytes)
    }

    /// Reads in a row that continued no run, this one included.
    pub fn strays(&self) -> u32 {
        self.strays
    }
}

#[cfg(test)]
mod tests {
    use super::Runs;
    use crate::config::{KIB, MIB};

    #[test]
    fn two_interleaved_readers_are_two_runs() {
        let mut runs = Runs::new(4 * MIB);
        for step in 0..8 {
            assert_eq!(runs.note(step * 128 * KIB, 128 * KIB), step * 128 * KIB);
            assert_eq!(runs.note(500 * MIB + step * 128 * KIB, 128 * KIB), step * 128 * KIB);
        }
    }

    #[test]
    fn readahead_out_of_order_stays_one_run() {
        let mut runs = Runs::new(4 * MIB);
        runs.note(0, MIB);
        assert_eq!(runs.note(2 * MIB, MIB), MIB);
        assert_eq!(runs.note(MIB, MIB), 2 * MIB);
        assert_eq!(runs.note(3 * MIB, MIB), 3 * MIB);
    }

    #[test]
    fn scattered_reads_are_strays() {
        let mut runs = Runs::new(4 * MIB);
        for i in 1..=5u64 {
            assert_eq!(runs.note(i * 100 * MIB, 4 * KIB), 0);
            assert_eq!(runs.strays(), i as u32);
        }
    }
}

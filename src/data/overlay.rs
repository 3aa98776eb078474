//! What was written over a file's base: which bytes are ours, which are zeros, and where the base shows through.
//!
//! Pure data. A piece never changes, it is only covered or cut; so a clone is a snapshot, whatever is written afterwards.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::zoo::{self, Bug};

/// Where the bytes of a piece are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the log, from this offset on.
    Log(u64),
    Zeros,
    /// In the base, at the same offset as in the file.
    Base,
}

impl Source {
    /// Of what lies `bytes` after what this is the source of.
    fn further(self, bytes: u64) -> Self {
        match self {
            Self::Log(at) => Self::Log(at + bytes),
            other => other,
        }
    }
}

/// A stretch of the file that has one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Bytes of the file.
    pub range: Range<u64>,
    pub source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    end: u64,
    /// Never [`Source::Base`]: the base is what no piece covers.
    source: Source,
}

#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// By where they start; they do not overlap, and end within the size.
    pieces: BTreeMap<u64, Piece>,
    /// The base shows through below this.
    base_end: u64,
    size: u64,
}

impl Overlay {
    /// Over a base of so many bytes, nothing written yet.
    pub fn over(base_bytes: u64) -> Self {
        Self { pieces: BTreeMap::new(), base_end: base_bytes, size: base_bytes }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// `range` is from now on what the log holds from `at` on.
    pub fn write(&mut self, range: Range<u64>, at: u64) {
        self.cover(range, Source::Log(at));
    }

    /// `range` is zeros from now on.
    pub fn zero(&mut self, range: Range<u64>) {
        self.cover(range, Source::Zeros);
    }

    /// Cuts the file, or lets it grow by zeros.
    pub fn resize(&mut self, size: u64) {
        if size < self.size {
            self.clear(size..self.size);
            if !zoo::has(Bug::CutBytesComeBack) {
                self.base_end = self.base_end.min(size);
            }
        }
        self.size = size;
    }

    /// More of the base shows through at the end, which it has reached so far and nothing covers.
    pub fn extend_base(&mut self, end: u64) {
        (self.base_end, self.size) = (end, end);
    }

    /// Whether it is nothing but the base, from the start on.
    pub fn is_bare(&self) -> bool {
        self.pieces.is_empty() && self.base_end == self.size
    }

    /// The stretches of `range`, cut at the end of the file, in order and without gaps.
    pub fn runs(&self, range: Range<u64>) -> Vec<Run> {
        let end = range.end.min(self.size);
        let mut runs = Vec::new();
        let mut at = range.start;
        let first = self.pieces.range(..=at).next_back().map_or(at, |(start, _)| *start);
        for (start, piece) in self.pieces.range(first..end.max(first)) {
            if piece.end <= at {
                continue;
            }
            self.uncovered(at..(*start).max(at), &mut runs);
            at = at.max(*start);
            let stop = piece.end.min(end);
            if stop > at {
                runs.push(Run { range: at..stop, source: piece.source.further(at - start) });
                at = stop;
            }
        }
        self.uncovered(at..end.max(at), &mut runs);
        runs
    }

    /// The stretches of all of it, where what `standing` has at the same place counts as the base's: for a file that was
    /// published as `standing` since, and whose log was kept.
    pub fn runs_since(&self, standing: &Self) -> Vec<Run> {
        let before = standing.runs(0..self.size);
        let mut before = before.iter().peekable();
        let mut runs: Vec<Run> = Vec::new();
        for run in self.runs(0..self.size) {
            let mut at = run.range.start;
            while at < run.range.end {
                while before.next_if(|old| old.range.end <= at).is_some() {}
                let old = before.peek();
                let end = old.map_or(run.range.end, |old| old.range.end.min(run.range.end));
                let source = run.source.further(at - run.range.start);
                let same = old.is_some_and(|old| old.source.further(at - old.range.start) == source);
                let source = if same { Source::Base } else { source };
                match runs.last_mut() {
                    Some(last) if last.source.further(last.range.end - last.range.start) == source => {
                        last.range.end = end
                    }
                    _ => runs.push(Run { range: at..end, source }),
                }
                at = end;
            }
        }
        runs
    }

    /// Bytes of the log that some piece still needs.
    pub fn logged_bytes(&self) -> u64 {
        let logged = self.pieces.iter().filter(|(_, piece)| matches!(piece.source, Source::Log(_)));
        logged.map(|(start, piece)| piece.end - start).sum()
    }

    /// What no piece covers: base, and zeros beyond it.
    fn uncovered(&self, gap: Range<u64>, runs: &mut Vec<Run>) {
        let middle = self.base_end.clamp(gap.start, gap.end);
        if gap.start < middle {
            runs.push(Run { range: gap.start..middle, source: Source::Base });
        }
        if middle < gap.end {
            runs.push(Run { range: middle..gap.end, source: Source::Zeros });
        }
    }

    fn cover(&mut self, range: Range<u64>, source: Source) {
        if range.is_empty() {
            return;
        }
        self.clear(range.clone());
        self.size = self.size.max(range.end);
        // What follows on in the file and in the log is one piece.
        if let Some((start, before)) = self.pieces.range_mut(..range.start).next_back()
            && before.end == range.start
        {
            let follows = match (before.source, source) {
                (Source::Log(a), Source::Log(b)) => a + (range.start - start) == b,
                (Source::Zeros, Source::Zeros) => true,
                _ => false,
            };
            if follows {
                before.end = range.end;
                return;
            }
        }
        self.pieces.insert(range.start, Piece { end: range.end, source });
    }

    /// Removes pieces, and parts of pieces, in `range`.
    fn clear(&mut self, range: Range<u64>) {
        let from = self.pieces.range(..range.start).next_back().map_or(range.start, |(start, _)| *start);
        let touched: Vec<(u64, Piece)> =
            self.pieces.range(from..range.end).filter(|(_, p)| p.end > range.start).map(|(s, p)| (*s, *p)).collect();
        for (start, piece) in touched {
            self.pieces.remove(&start);
            if start < range.start {
                self.pieces.insert(start, Piece { end: range.start, source: piece.source });
            }
            if piece.end > range.end {
                let source = match piece.source {
                    Source::Log(at) => Source::Log(at + (range.end - start)),
                    other => other,
                };
                self.pieces.insert(range.end, Piece { end: piece.end, source });
            }
        }
    }
}

/// The stretches whose source is such a one, in pieces of at most `bytes_max`.
pub fn pieces(runs: &[Run], is: impl Fn(Source) -> bool + Copy, bytes_max: u64) -> impl Iterator<Item = Range<u64>> {
    runs.iter().filter(move |run| is(run.source)).flat_map(move |run| {
        let (start, end) = (run.range.start, run.range.end);
        (start..end).step_by(bytes_max as usize).map(move |at| at..end.min(at + bytes_max))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::{Overlay, Run, Source};

    #[derive(Clone, Debug)]
    enum Change {
        Write(u64, u64),
        Zero(u64, u64),
        Resize(u64),
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = prop_oneof![
            (0u64..60, 1u64..20).prop_map(|(at, len)| Change::Write(at, len)),
            (0u64..60, 1u64..20).prop_map(|(at, len)| Change::Zero(at, len)),
            (0u64..80).prop_map(Change::Resize),
        ];
        proptest::collection::vec(change, 0..20)
    }

    proptest! {
        #[test]
        fn it_reads_as_an_array_of_bytes_would(base in 0u64..50, changes in changes(), from in 0u64..90, len in 0u64..40, _seed in any::<u8>()) {
            // Each byte says where it comes from: the base's from 1000 on, the log's from 100 000 on.
            let mut model: Vec<u64> = (0..base).map(|at| 1000 + at).collect();
            let mut overlay = Overlay::over(base);
            let mut log = 0;
            for change in changes {
                match change {
                    Change::Write(at, len) => {
                        model.resize(model.len().max((at + len) as usize), 0);
                        (0..len).for_each(|i| model[(at + i) as usize] = 100_000 + log + i);
                        overlay.write(at..at + len, log);
                        log += len;
                    }
                    Change::Zero(at, len) => {
                        model.resize(model.len().max((at + len) as usize), 0);
                        (at..at + len).for_each(|i| model[i as usize] = 0);
                        overlay.zero(at..at + len);
                    }
                    Change::Resize(size) => {
                        model.resize(size as usize, 0);
                        overlay.resize(size);
                    }
                }
            }
            assert_eq!(overlay.size(), model.len() as u64);
            let mut at = from;
            for run in overlay.runs(from..from + len) {
                assert_eq!(run.range.start, at);
                for i in run.range.clone() {
                    let byte = match run.source {
                        Source::Log(log) => 100_000 + log + (i - run.range.start),
                        Source::Zeros => 0,
                        Source::Base => 1000 + i,
                    };
                    assert_eq!(byte, model[i as usize], "byte {i}");
                }
                at = run.range.end;
            }
            assert_eq!(at, (from + len).min(model.len() as u64).max(from));
        }
    }

    #[test]
    fn what_was_published_counts_as_the_bases_until_it_is_changed() {
        let mut overlay = Overlay::over(0);
        overlay.write(0..100, 0);
        overlay.zero(100..150);
        let standing = overlay.clone();
        let all = |end| vec![Run { range: 0..end, source: Source::Base }];
        assert_eq!(overlay.runs_since(&standing), all(150));
        overlay.resize(120);
        assert_eq!(overlay.runs_since(&standing), all(120));
        overlay.write(120..130, 100);
        overlay.write(10..20, 110);
        let expected = [
            Run { range: 0..10, source: Source::Base },
            Run { range: 10..20, source: Source::Log(110) },
            Run { range: 20..120, source: Source::Base },
            Run { range: 120..130, source: Source::Log(100) },
        ];
        assert_eq!(overlay.runs_since(&standing), expected);
        overlay.resize(200);
        assert_eq!(overlay.runs_since(&standing).last(), Some(&Run { range: 150..200, source: Source::Zeros }));
    }

    #[test]
    fn a_stream_is_one_piece() {
        let mut overlay = Overlay::over(0);
        (0..100).for_each(|i| overlay.write(i * 10..(i + 1) * 10, i * 10));
        assert_eq!(overlay.runs(0..1000).len(), 1);
        assert_eq!(overlay.logged_bytes(), 1000);
    }
}

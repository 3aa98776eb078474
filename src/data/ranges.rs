//! A set of byte offsets, kept as disjoint ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Disjoint, non-touching, non-empty ranges by their start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many separate ranges there are.
    pub fn pieces(&self) -> usize {
        self.0.len()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// How many bytes of `range` are not in the set.
    pub fn missing_bytes(&self, range: Range<u64>) -> u64 {
        let before = self.0.range(..range.start).next_back();
        let held: u64 = before
            .into_iter()
            .chain(self.0.range(range.clone()))
            .map(|(&start, &end)| end.min(range.end).saturating_sub(start.max(range.start)))
            .sum();
        range.end - range.start - held
    }

    /// The parts of `range` that are not in the set, ascending.
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        while at < range.end {
            if let Some(end) = self.end_of(at) {
                at = end;
                continue;
            }
            let next = self.0.range(at..range.end).next().map_or(range.end, |(&start, _)| start);
            gaps.push(at..next);
            at = next;
        }
        gaps
    }

    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if let Some((&before, &until)) = self.0.range(..range.start).next_back()
            && until > range.start
        {
            self.0.insert(before, range.start);
            if until > range.end {
                self.0.insert(range.end, until);
            }
        }
        while let Some((&next, &until)) = self.0.range(range.clone()).next() {
            self.0.remove(&next);
            if until > range.end {
                self.0.insert(range.end, until);
            }
        }
    }

    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((&before, &until)) = self.0.range(..=start).next_back()
            && until >= start
        {
            if until >= end {
                return;
            }
            start = before;
        }
        while let Some((&next, &until)) = self.0.range(start..=end).next() {
            end = end.max(until);
            self.0.remove(&next);
        }
        self.0.insert(start, end);
    }

    /// The end of the range that holds `offset`, if one does.
    pub fn end_of(&self, offset: u64) -> Option<u64> {
        let (_, &end) = self.0.range(..=offset).next_back()?;
        (end > offset).then_some(end)
    }

    pub fn contains(&self, range: Range<u64>) -> bool {
        range.is_empty() || self.end_of(range.start).is_some_and(|end| end >= range.end)
    }

    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::Ranges;

    proptest! {
        #[test]
        fn a_set_of_ranges_is_a_set_of_offsets(changes in prop::collection::vec((0u64..60, 0u64..12, 0u8..4), 0..20)) {
            let mut ranges = Ranges::new();
            let mut naive = [false; 80];
            for (start, len, kind) in changes {
                let removed = kind == 0;
                if removed {
                    ranges.remove(start..start + len);
                } else {
                    ranges.insert(start..start + len);
                }
                naive[start as usize..(start + len) as usize].fill(!removed);
            }
            for offset in 0..79u64 {
                let run = naive[offset as usize..].iter().take_while(|held| **held).count() as u64;
                assert_eq!(ranges.end_of(offset), (run > 0).then_some(offset + run));
            }
            for range in [0..79, 5..6, 10..40, 30..30, 59..79] {
                let held = naive[range.start as usize..range.end as usize].iter().filter(|held| !**held).count();
                assert_eq!(ranges.missing_bytes(range.clone()), held as u64);
                let mut missing = vec![];
                for gap in ranges.missing(range.clone()) {
                    assert!(!gap.is_empty() && missing.last().is_none_or(|last| last + 1 < gap.start));
                    missing.extend(gap);
                }
                assert_eq!(missing, range.filter(|at| !naive[*at as usize]).collect::<Vec<u64>>());
            }
            assert_eq!(ranges.bytes(), naive.iter().filter(|held| **held).count() as u64);
        }
    }
}

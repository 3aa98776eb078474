//! How a file's bytes become an object: one PUT, or parts of which some are copied S3-side. A plain function.

use std::ops::Range;

use crate::config::{COPY_BYTES_MAX, PARTS_MAX, Sizes};
use crate::data::overlay::{Run, Source};
use crate::env::store::ETag;
use crate::zoo::{self, Bug};

/// What one part of an upload is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes of the file travel.
    Upload(Range<u64>),
    /// These bytes of the base, which are at the same place in the file, are copied where they are.
    Copy(Range<u64>),
}

impl Part {
    pub fn range(&self) -> &Range<u64> {
        match self {
            Self::Upload(range) | Self::Copy(range) => range,
        }
    }
}

/// A part of an upload with its number, from 1 on, and its ETag if it is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    pub number: u32,
    pub part: Part,
    pub sent: Option<ETag>,
}

pub fn numbered(parts: Vec<Part>) -> Vec<Numbered> {
    parts.into_iter().zip(1..).map(|(part, number)| Numbered { number, part, sent: None }).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Put,
    Parts(Vec<Part>),
}

/// A file has at most this many stretches of either kind, each cut into parts as long as it takes.
const STRETCHES_MAX: u64 = 4000;

const _: () = assert!(2 * STRETCHES_MAX < PARTS_MAX, "uploads, copies and their rests are parts");

/// How a file that still grows is cut: after a prefix that is copied from its base, into parts that are the same however
/// long it becomes.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    origin: u64,
    copies: u32,
    unit: u64,
}

/// The first parts are of one unit each, then come longer ones: with the default unit the largest object has room. Each is in
/// memory while it is sent, so they grow no faster than the file.
const STEPS: [(u64, u64); 4] = [(2000, 1), (2000, 4), (2000, 16), (2000, 64)];
const LAST_STEP: u64 = 256;

impl Grid {
    /// For a file of `size` bytes of which the first `copied` are the base's. `None`: nothing is worth sending yet.
    pub fn after(copied: u64, size: u64, sizes: &Sizes) -> Option<Self> {
        // A shorter prefix cannot be copied.
        let origin = if copied >= sizes.part_bytes_min { copied } else { 0 };
        let copies = u32::try_from(origin.div_ceil(COPY_BYTES_MAX)).ok()?;
        let grid = Self { origin, copies, unit: sizes.part_bytes };
        (grid.part(0).end < size).then_some(grid)
    }

    /// The bytes of its prefix.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// The bytes of the n-th part after the prefix, from 0 on.
    pub fn part(&self, n: u64) -> Range<u64> {
        let mut start = self.origin;
        let mut first = 0;
        for (parts, units) in STEPS {
            let bytes = (units * self.unit).min(COPY_BYTES_MAX);
            if n < first + parts {
                let start = start + (n - first) * bytes;
                return start..start + bytes;
            }
            (start, first) = (start + parts * bytes, first + parts);
        }
        let bytes = (LAST_STEP * self.unit).min(COPY_BYTES_MAX);
        let start = start + (n - first) * bytes;
        start..start + bytes
    }

    /// Its number in the upload.
    pub fn number(&self, n: u64) -> u32 {
        self.copies + n as u32 + 1
    }

    /// All parts of a file of `size` bytes. `None`: it is shorter than the prefix, fits one part, or has too many.
    pub fn cut(&self, size: u64) -> Option<Vec<Numbered>> {
        if size <= self.origin || size <= self.unit {
            return None;
        }
        let mut parts = Vec::new();
        copies(0..self.origin, &mut parts);
        for n in 0.. {
            let range = self.part(n);
            if range.start >= size {
                break;
            }
            if parts.len() as u64 == PARTS_MAX {
                return None;
            }
            parts.push(Part::Upload(range.start..range.end.min(size)));
        }
        Some(numbered(parts))
    }
}

/// The plan for a file of `size` bytes made of `runs`, which cover it in order.
pub fn plan(size: u64, runs: &[Run], sizes: &Sizes) -> Plan {
    if size <= sizes.part_bytes {
        return Plan::Put;
    }
    // Shorter stretches of the base are not worth, or not allowed, a part of their own.
    let unit = sizes.part_bytes_min.max(size.div_ceil(STRETCHES_MAX));
    let mut parts = Vec::new();
    let mut at = 0;
    for travels in stretches_to_upload(size, runs, unit) {
        copies(at..travels.start, &mut parts);
        let part_bytes = sizes.part_bytes.max(size.div_ceil(STRETCHES_MAX));
        uploads(travels.clone(), part_bytes, if travels.end == size { 1 } else { unit }, &mut parts);
        at = travels.end;
    }
    copies(at..size, &mut parts);
    Plan::Parts(parts)
}

/// What has to travel: everything that is not the base's, and so much of the base beside it that each part is long enough.
fn stretches_to_upload(size: u64, runs: &[Run], unit: u64) -> Vec<Range<u64>> {
    let mut stretches: Vec<Range<u64>> = Vec::new();
    for run in runs.iter().filter(|run| run.source != Source::Base) {
        let range = run.range.clone();
        match stretches.last_mut() {
            // Too little base between it and the one before.
            Some(last) if range.start < last.end.saturating_add(unit) => last.end = last.end.max(range.end),
            _ if range.start < unit => stretches.push(0..range.end),
            _ => stretches.push(range),
        }
        let last = stretches.last_mut().expect("pushed, or there");
        if last.end - last.start < unit {
            last.end = (last.start + unit).min(size);
        }
    }
    stretches
}

/// Parts of `part_bytes`; what is left over is a part of its own unless it is shorter than `rest_min`.
fn uploads(range: Range<u64>, part_bytes: u64, rest_min: u64, parts: &mut Vec<Part>) {
    let mut at = range.start;
    while at < range.end {
        let end = at + part_bytes;
        let end = if end + rest_min > range.end { range.end } else { end };
        // What fits one part, and what is too little for another, is one.
        let end = if range.end - at <= part_bytes { range.end } else { end };
        let early = u64::from(at > range.start && zoo::has(Bug::PartsOverlap));
        parts.push(Part::Upload(at - early..end));
        at = end;
    }
}

fn copies(range: Range<u64>, parts: &mut Vec<Part>) {
    even(range, COPY_BYTES_MAX).for_each(|range| parts.push(Part::Copy(range)));
}

/// Cut into as few pieces as may be of at most `max` bytes, all about as long.
fn even(range: Range<u64>, max: u64) -> impl Iterator<Item = Range<u64>> {
    let bytes = range.end - range.start;
    let pieces = bytes.div_ceil(max);
    let cut = move |n: u64| range.start + (u128::from(bytes) * u128::from(n) / u128::from(pieces.max(1))) as u64;
    (0..pieces).map(move |n| cut(n)..cut(n + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{Grid, Part, Plan, plan};
    use crate::config::{COPY_BYTES_MAX, MIB, PARTS_MAX, Sizes};
    use crate::data::overlay::Overlay;

    const GIB: u64 = 1 << 30;

    fn planned(overlay: &Overlay) -> Vec<Part> {
        match plan(overlay.size(), &overlay.runs(0..overlay.size()), &Sizes::PRODUCTION) {
            Plan::Put => panic!("one PUT"),
            Plan::Parts(parts) => parts,
        }
    }

    #[test]
    fn what_fits_one_part_is_put() {
        let overlay = Overlay::over(8 * MIB);
        assert_eq!(plan(8 * MIB, &overlay.runs(0..8 * MIB), &Sizes::PRODUCTION), Plan::Put);
    }

    #[test]
    fn a_new_file_is_cut_into_parts_and_a_rest() {
        let mut overlay = Overlay::over(0);
        overlay.write(0..9 * MIB + 7, 0);
        assert_eq!(planned(&overlay), [Part::Upload(0..8 * MIB), Part::Upload(8 * MIB..9 * MIB + 7)]);
    }

    #[test]
    fn an_append_to_a_large_object_copies_it_and_uploads_the_rest() {
        let mut overlay = Overlay::over(GIB);
        overlay.write(GIB..GIB + 6, 0);
        assert_eq!(planned(&overlay), [Part::Copy(0..GIB), Part::Upload(GIB..GIB + 6)]);
    }

    #[test]
    fn an_edit_in_the_middle_of_a_large_object_uploads_one_part() {
        let mut overlay = Overlay::over(GIB);
        overlay.write(GIB / 2..GIB / 2 + 4096, 0);
        let uploaded = GIB / 2..GIB / 2 + 5 * MIB;
        let expected = [Part::Copy(0..GIB / 2), Part::Upload(uploaded.clone()), Part::Copy(uploaded.end..GIB)];
        assert_eq!(planned(&overlay), expected);
    }

    #[test]
    fn the_largest_object_is_copied_by_as_few_parts_as_may_be() {
        let overlay = Overlay::over(crate::config::OBJECT_BYTES_MAX);
        assert_eq!(planned(&overlay).len() as u64, crate::config::OBJECT_BYTES_MAX / COPY_BYTES_MAX);
    }

    #[test]
    fn what_grows_is_cut_the_same_whatever_it_becomes() {
        assert!(Grid::after(0, 8 * MIB, &Sizes::PRODUCTION).is_none(), "it may stay one PUT");
        let grid = Grid::after(7 * GIB, 8 * GIB, &Sizes::PRODUCTION).expect("a part is whole");
        let parts = grid.cut(7 * GIB + 9 * MIB).expect("few parts");
        let ranges: Vec<_> = parts.iter().map(|part| (part.number, part.part.clone())).collect();
        let expected = [
            (1, Part::Copy(0..7 * GIB / 2)),
            (2, Part::Copy(7 * GIB / 2..7 * GIB)),
            (3, Part::Upload(7 * GIB..7 * GIB + 8 * MIB)),
            (4, Part::Upload(7 * GIB + 8 * MIB..7 * GIB + 9 * MIB)),
        ];
        assert_eq!(ranges, expected);
        assert_eq!((grid.number(0), grid.part(0)), (3, 7 * GIB..7 * GIB + 8 * MIB));
        assert_eq!(grid.cut(7 * GIB), None);
    }

    #[test]
    fn the_largest_object_has_room_on_the_grid() {
        let grid = Grid::after(0, GIB, &Sizes::PRODUCTION).expect("a part is whole");
        let parts = grid.cut(crate::config::OBJECT_BYTES_MAX).expect("few enough parts");
        assert!(parts.len() as u64 <= PARTS_MAX);
        let mut at = 0;
        for (n, part) in parts.iter().enumerate() {
            assert_eq!((part.part.range().start, part.number), (at, n as u32 + 1));
            at = part.part.range().end;
            assert!(at - part.part.range().start <= COPY_BYTES_MAX);
        }
        assert_eq!(at, crate::config::OBJECT_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn every_plan_is_one_that_s3_takes(
            base in 0u64..1 << 42,
            writes in proptest::collection::vec((0u64..1 << 42, 1u64..64 * MIB), 1..40),
            shift in 0u32..42,
        ) {
            // Of every magnitude, or all would be huge.
            let mut overlay = Overlay::over(base >> shift);
            let writes: Vec<(u64, u64)> = writes.into_iter().map(|(at, len)| (at >> shift, len)).collect();
            for (at, len) in writes {
                overlay.write(at..at + len, 0);
            }
            let size = overlay.size();
            if let Plan::Parts(parts) = plan(size, &overlay.runs(0..size), &Sizes::PRODUCTION) {
                prop_assert!(parts.len() as u64 <= PARTS_MAX);
                let mut at = 0;
                for (n, part) in parts.iter().enumerate() {
                    let range = part.range();
                    prop_assert_eq!(range.start, at);
                    let bytes = range.end - range.start;
                    prop_assert!(bytes >= 5 * MIB || n + 1 == parts.len(), "part {} of {} bytes", n + 1, bytes);
                    prop_assert!(bytes <= COPY_BYTES_MAX);
                    if let Part::Copy(range) = part {
                        let from_base = overlay.runs(range.clone()).iter().all(|run| run.source == super::Source::Base);
                        prop_assert!(from_base);
                    }
                    at = range.end;
                }
                prop_assert_eq!(at, size);
            }
        }
    }
}

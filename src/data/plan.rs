//! How a file's bytes become an object: one PUT, or parts of which some are copied S3-side. A plain function.

use std::ops::Range;

use crate::config::{COPY_BYTES_MAX, PARTS_MAX, Sizes};
use crate::data::overlay::{Run, Source};
use crate::zoo::{self, Bug};

/// One part of an upload; its number is its place in the list, from 1 on.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Put,
    Parts(Vec<Part>),
}

/// A file has at most this many stretches of either kind, each cut into parts as long as it takes.
const STRETCHES_MAX: u64 = 4000;

const _: () = assert!(2 * STRETCHES_MAX < PARTS_MAX, "uploads, copies and their rests are parts");

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

    use super::{Part, Plan, plan};
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

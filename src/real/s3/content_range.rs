//! `Content-Range`: which bytes an answer to a GET holds, and of how many.

use std::ops::Range;

/// The bytes of the object that the body holds, and the object's size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) range: Range<u64>,
    pub(super) size: u64,
}

/// Reads `bytes first-last/size` (RFC 9110 §14.4). `None` if it is anything else, an unknown size (`*`) included, or
/// contradicts itself: no use can be made of an answer that does not say which bytes it holds.
pub(super) fn parse(header: &str) -> Option<ContentRange> {
    let rest = header.trim().strip_prefix("bytes")?.trim_start_matches([' ', '=']);
    let (range, size) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size) = (number(first)?, number(last)?, number(size)?);
    (first <= last && last < size).then(|| ContentRange { range: first..last + 1, size })
}

fn number(digits: &str) -> Option<u64> {
    let digits = digits.trim();
    // `parse` alone would also take a sign.
    (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{ContentRange, parse};

    #[test]
    fn first_and_last_become_a_half_open_range() {
        assert_eq!(parse("bytes 0-9/10"), Some(ContentRange { range: 0..10, size: 10 }));
        assert_eq!(parse("bytes 5-5/18446744073709551615"), Some(ContentRange { range: 5..6, size: u64::MAX }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for header in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes 0-9/*",
            "bytes */10",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes -1-2/10",
            "bytes +1-2/10",
            "items 0-9/10",
            "bytes 0-18446744073709551616/18446744073709551617",
            "bytes a-b/c",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
    }
}

//! Whose bytes an application was given, in the order of their offsets.

use crate::content::{self, Found, GRANULE_BYTES, Version};

/// Bytes of one origin in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub origin: Origin,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// This version of the key, in its place.
    Version(Version),
    /// Bytes of this version that belong elsewhere.
    Misplaced(Version),
    OtherKey,
    Zeros,
    /// Nobody's.
    Foreign,
}

/// Rows that are told apart; the rest counts to the last.
const PIECES_MAX: usize = 256;

/// The rows of `bytes`, read at `offset`, in whole granules: what is cut off at either end counts to its neighbour.
pub(super) fn pieces(key: &str, bytes: &[u8], offset: u64) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let here = offset + at as u64;
        let to_next = (here + 1).next_multiple_of(GRANULE_BYTES) - here;
        let len = (to_next as usize).min(bytes.len() - at);
        let seen = content::versions_seen(key, &bytes[at..at + len], here);
        let origin = seen.keys().next().and_then(|found| origin(*found));
        at += len;
        let full = pieces.len() == PIECES_MAX;
        match (pieces.last_mut(), origin) {
            (Some(last), None) => last.bytes += len as u64,
            (Some(last), Some(origin)) if last.origin == origin || full => last.bytes += len as u64,
            (_, origin) => pieces.push(Piece { origin: origin.unwrap_or(Origin::Foreign), bytes: len as u64 }),
        }
    }
    join_ragged_head(&mut pieces, offset);
    pieces
}

/// A head of less than a granule cannot name its version, so it was taken for nobody's.
fn join_ragged_head(pieces: &mut Vec<Piece>, offset: u64) {
    if offset.is_multiple_of(GRANULE_BYTES) || pieces.len() < 2 || pieces[0].origin != Origin::Foreign {
        return;
    }
    let head = pieces.remove(0);
    pieces[0].bytes += head.bytes;
}

fn origin(found: Found) -> Option<Origin> {
    match found {
        Found::Version(version) => Some(Origin::Version(version)),
        Found::Misplaced { version, .. } => Some(Origin::Misplaced(version)),
        Found::OtherKey => Some(Origin::OtherKey),
        Found::Zeros => Some(Origin::Zeros),
        Found::Foreign => Some(Origin::Foreign),
        Found::Ragged | Found::TooShort => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, Piece, pieces};
    use crate::content::{piece, version};

    #[test]
    fn a_torn_buffer_is_told_row_by_row() {
        let mut bytes = piece("film", version(1), 5..4096).to_vec();
        bytes.extend(piece("film", version(2), 4096..5008));
        bytes.extend([0; 32]);
        let told = pieces("film", &bytes, 5);
        let expected = [(Origin::Version(version(1)), 4091), (Origin::Version(version(2)), 912), (Origin::Zeros, 32)];
        let [first, second, third] = told[..] else { panic!("{told:?}") };
        // The tail of the second row is no whole granule: it may count to its neighbour.
        assert_eq!((first.origin, first.bytes), expected[0]);
        assert_eq!((second.origin, third.origin), (expected[1].0, expected[2].0));
        assert_eq!(second.bytes + third.bytes, 944);
        assert_eq!(
            pieces("film", &piece("film", version(3), 0..64), 0),
            [Piece { origin: Origin::Version(version(3)), bytes: 64 }]
        );
    }
}

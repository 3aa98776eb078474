//! Object bytes that tell where they belong.
//!
//! Each aligned granule of 16 bytes names the key, the version and its own offset, so every piece that an application
//! reads can be judged by itself: the right version, another version, another object, another place, or nobody's bytes.
//!
//! ```text
//! bytes 0..8   little endian: offset / 16 (40 bits) | magic (24 bits)
//! bytes 8..16  little endian: hash of the key (32 bits) | version (32 bits)
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::rng::hash_text;

pub const GRANULE_BYTES: u64 = 16;
const GRANULE: usize = GRANULE_BYTES as usize;
const OFFSET_BITS: u32 = 40;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
const MAGIC: u64 = 0x0048_0F57;
/// What 40 bits of granules can address; more than S3 stores in one object.
pub const SIZE_BYTES_MAX: u64 = GRANULE_BYTES << OFFSET_BITS;

/// Which of the contents that a key ever had. Has nothing to do with S3's version ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

/// Reads well in a story: `put("film", version(2), 64 * MIB)`.
pub fn version(number: u32) -> Version {
    Version(number)
}

/// All bytes of one version.
pub fn version_bytes(key: &str, version: Version, size: u64) -> Bytes {
    piece(key, version, 0..size)
}

/// The bytes of one version within `range`.
pub fn piece(key: &str, version: Version, range: Range<u64>) -> Bytes {
    assert!(range.end <= SIZE_BYTES_MAX, "offsets of {range:?} do not fit into a granule");
    let name = name_word(key, version);
    let first = range.start / GRANULE_BYTES;
    let last = range.end.div_ceil(GRANULE_BYTES);
    let granules = last.saturating_sub(first) as usize;
    let mut bytes = vec![0; granules * GRANULE];
    for (granule, index) in bytes.as_chunks_mut::<GRANULE>().0.iter_mut().zip(first..) {
        *granule = spell(index, name);
    }
    let skip = (range.start - first * GRANULE_BYTES) as usize;
    let len = range.end.saturating_sub(range.start) as usize;
    Bytes::from(bytes).slice(skip..skip + len)
}

/// Which one version of `key` the bytes read at `offset` belong to, every one of them.
///
/// A piece that covers no whole granule may not name its version ([`Found::TooShort`]): ask [`check`] instead.
pub fn identify(key: &str, bytes: &[u8], offset: u64) -> Result<Version, Mismatch> {
    let head = head_len(offset).min(bytes.len());
    let Some(granule) = bytes[head..].first_chunk::<GRANULE>() else {
        return Err(Mismatch { at: offset, found: Found::TooShort });
    };
    let version = match read(key_hash(key), *granule, offset + head as u64) {
        Found::Version(version) => version,
        found => return Err(Mismatch { at: offset + head as u64, found }),
    };
    check(key, version, bytes, offset).map(|()| version)
}

/// Whether the bytes read at `offset` are those of this very version.
pub fn check(key: &str, version: Version, bytes: &[u8], offset: u64) -> Result<(), Mismatch> {
    let name = name_word(key, version);
    let head = head_len(offset).min(bytes.len());
    let (head, rest) = bytes.split_at(head);
    let (granules, tail) = rest.as_chunks::<GRANULE>();
    let first = offset.div_ceil(GRANULE_BYTES);
    let ragged = |bytes: &[u8], at: u64| {
        let wanted = piece(key, version, at..at + bytes.len() as u64);
        let differs = bytes.iter().zip(&wanted).position(|(a, b)| a != b);
        differs.map_or(Ok(()), |index| Err(Mismatch { at: at + index as u64, found: Found::Ragged }))
    };
    ragged(head, offset)?;
    for (granule, index) in granules.iter().zip(first..) {
        if *granule != spell(index, name) {
            let at = index * GRANULE_BYTES;
            return Err(Mismatch { at, found: read(key_hash(key), *granule, at) });
        }
    }
    ragged(tail, (first + granules.len() as u64) * GRANULE_BYTES)
}

/// How many bytes of which version, or of what else, a buffer holds, by whole granules.
pub fn versions_seen(key: &str, bytes: &[u8], offset: u64) -> BTreeMap<Found, u64> {
    let head = head_len(offset).min(bytes.len());
    let key = key_hash(key);
    let mut seen = BTreeMap::new();
    for (granule, index) in bytes[head..].as_chunks::<GRANULE>().0.iter().zip(offset.div_ceil(GRANULE_BYTES)..) {
        *seen.entry(read(key, *granule, index * GRANULE_BYTES)).or_default() += GRANULE_BYTES;
    }
    seen
}

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Offset within the object.
    pub at: u64,
    pub found: Found,
}

/// What a granule says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// This key's bytes of this version, in their place.
    Version(Version),
    /// This key's bytes of this version, which belong at another offset.
    Misplaced {
        version: Version,
        belongs_at: u64,
    },
    /// Bytes of another key.
    OtherKey,
    Zeros,
    /// No bytes of any version.
    Foreign,
    /// A wrong byte in a piece of less than a granule, which cannot say more.
    Ragged,
    /// Too few bytes to tell.
    TooShort,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {:?}", self.at, self.found)
    }
}

impl std::error::Error for Mismatch {}

fn read(key_hash: u64, granule: [u8; GRANULE], at: u64) -> Found {
    let [place, name] = words(granule);
    let version = Version((name >> 32) as u32);
    let belongs_at = (place & OFFSET_MASK) * GRANULE_BYTES;
    if place == 0 && name == 0 {
        Found::Zeros
    } else if place >> OFFSET_BITS != MAGIC {
        Found::Foreign
    } else if name & u64::from(u32::MAX) != key_hash {
        Found::OtherKey
    } else if belongs_at != at {
        Found::Misplaced { version, belongs_at }
    } else {
        Found::Version(version)
    }
}

fn spell(index: u64, name: u64) -> [u8; GRANULE] {
    let place = index | (MAGIC << OFFSET_BITS);
    (u128::from(place) | (u128::from(name) << 64)).to_le_bytes()
}

fn words(granule: [u8; GRANULE]) -> [u64; 2] {
    let both = u128::from_le_bytes(granule);
    [both as u64, (both >> 64) as u64]
}

fn name_word(key: &str, version: Version) -> u64 {
    key_hash(key) | (u64::from(version.0) << 32)
}

fn key_hash(key: &str) -> u64 {
    hash_text(key) & u64::from(u32::MAX)
}

/// Bytes from `offset` to the next granule.
fn head_len(offset: u64) -> usize {
    (offset.next_multiple_of(GRANULE_BYTES) - offset) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Found, Mismatch, check, identify, piece, version, version_bytes, versions_seen};

    #[test]
    fn every_piece_names_its_version() {
        let all = version_bytes("film", version(3), 10_000);
        for range in [0..10_000, 0..16, 5..300, 4096..8192, 9_950..10_000, 7..38] {
            let cut = &all[range.start as usize..range.end as usize];
            assert_eq!(cut, piece("film", version(3), range.clone()));
            assert_eq!(identify("film", cut, range.start), Ok(version(3)), "{range:?}");
        }
        assert!(version_bytes("film", version(3), 0).is_empty());
    }

    #[test]
    fn a_torn_piece_is_found_where_it_is_torn() {
        let mut bytes = version_bytes("film", version(1), 8192).to_vec();
        bytes[4096..].copy_from_slice(&piece("film", version(2), 4096..8192));
        let torn = Mismatch { at: 4096, found: Found::Version(version(2)) };
        assert_eq!(identify("film", &bytes, 0), Err(torn));
        let both = BTreeMap::from([(Found::Version(version(1)), 4096), (Found::Version(version(2)), 4096)]);
        assert_eq!(versions_seen("film", &bytes, 0), both);
    }

    #[test]
    fn what_does_not_belong_is_named() {
        let bytes = version_bytes("film", version(1), 4096);
        let found = |key, bytes: &[u8], offset| identify(key, bytes, offset).map_err(|mismatch| mismatch.found);
        assert_eq!(found("book", &bytes, 0), Err(Found::OtherKey));
        let misplaced = Found::Misplaced { version: version(1), belongs_at: 0 };
        assert_eq!(found("film", &bytes, 4096), Err(misplaced));
        assert_eq!(found("film", &[0; 64], 4096), Err(Found::Zeros));
        assert_eq!(found("film", &[7; 64], 4096), Err(Found::Foreign));
        assert_eq!(found("film", &bytes[..9], 0), Err(Found::TooShort));
    }

    #[test]
    fn a_wrong_byte_in_a_ragged_end_is_found() {
        let mut bytes = version_bytes("film", version(1), 100).to_vec();
        bytes[98] ^= 1;
        assert_eq!(identify("film", &bytes, 0), Err(Mismatch { at: 98, found: Found::Ragged }));
        let short = piece("film", version(1), 33..37);
        assert_eq!(check("film", version(1), &short, 33), Ok(()));
        assert_eq!(check("film", version(2), &piece("film", version(1), 40..47), 40).map_err(|m| m.at), Err(44));
    }
}

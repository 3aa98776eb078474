//! The bytes of one object or part: reference-counted segments, never copied, never changed.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};

use super::digest::{Digest, DigestKind, Hasher};
use super::segment::Segment;

/// Immutable bytes in segments. Cloning is cheap; digests are computed at most once.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

struct Inner {
    /// In order and without gaps; none is empty.
    segments: Vec<Placed>,
    size: u64,
    md5: OnceLock<Digest>,
    quick: OnceLock<Digest>,
}

struct Placed {
    start: u64,
    bytes: Bytes,
}

impl Content {
    /// These segments, one after another.
    pub fn new(segments: impl IntoIterator<Item = Bytes>) -> Self {
        let mut size = 0;
        let segments = segments
            .into_iter()
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| {
                let start = size;
                size += bytes.len() as u64;
                Placed { start, bytes }
            })
            .collect();
        Self(Arc::new(Inner { segments, size, md5: OnceLock::new(), quick: OnceLock::new() }))
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The bytes of `range`, sharing memory. The range must lie within the content.
    pub fn slice(&self, range: Range<u64>) -> Content {
        if range == (0..self.size()) {
            return self.clone();
        }
        let mut at = range.start;
        Content::new(std::iter::from_fn(|| {
            let bytes = self.chunk(at..range.end)?;
            at += bytes.len() as u64;
            Some(bytes)
        }))
    }

    /// These contents, one after another, sharing memory.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Content>) -> Content {
        Content::new(parts.into_iter().flat_map(|part| part.0.segments.iter().map(|segment| segment.bytes.clone())))
    }

    /// The bytes of `range` that lie in one segment, from its start on; `None` when there are none.
    pub fn chunk(&self, range: Range<u64>) -> Option<Bytes> {
        if range.start >= range.end.min(self.size()) {
            return None;
        }
        let index = self.0.segments.partition_point(|segment| segment.start <= range.start) - 1;
        let segment = &self.0.segments[index];
        let from = (range.start - segment.start) as usize;
        let to = segment.bytes.len().min((range.end - segment.start).try_into().unwrap_or(usize::MAX));
        Some(segment.bytes.slice(from..to))
    }

    /// All the bytes in one piece; copies them unless they are already.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0.segments[..] {
            [] => Bytes::new(),
            [only] => only.bytes.clone(),
            several => {
                let mut all = BytesMut::with_capacity(self.size() as usize);
                several.iter().for_each(|segment| all.extend_from_slice(&segment.bytes));
                all.freeze()
            }
        }
    }

    /// The digest of all the bytes. The first call reads them; a server makes it before it takes the bucket's lock.
    pub(crate) fn digest(&self, kind: DigestKind) -> Digest {
        *self.digest_cell(kind).get_or_init(|| {
            let mut hasher = Hasher::new(kind);
            self.0.segments.iter().for_each(|segment| hasher.update(&segment.bytes));
            hasher.finish()
        })
    }

    /// Computes what [`super::Bucket`] would compute under its lock.
    pub fn prepare(&self, kind: DigestKind) {
        self.digest(kind);
    }

    fn digest_cell(&self, kind: DigestKind) -> &OnceLock<Digest> {
        match kind {
            DigestKind::Md5 => &self.0.md5,
            DigestKind::Quick => &self.0.quick,
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::new([bytes])
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes in {} segments)", self.size(), self.0.segments.len())
    }
}

/// Collects bytes as they arrive into segments of a good size, hashing on the way.
#[derive(Debug)]
pub struct ContentBuilder {
    segments: Vec<Bytes>,
    open: Segment,
    /// Bytes still expected, for the size of the next segment.
    expected: u64,
    received: u64,
    kind: DigestKind,
    hasher: Hasher,
}

impl ContentBuilder {
    /// `expected_bytes` is a hint.
    pub fn new(kind: DigestKind, expected_bytes: u64) -> Self {
        Self {
            segments: Vec::new(),
            open: Segment::default(),
            expected: expected_bytes,
            received: 0,
            kind,
            hasher: Hasher::new(kind),
        }
    }

    pub fn push(&mut self, mut bytes: &[u8]) {
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let taken = self.open.fill(bytes);
            if taken == 0 {
                self.close_segment();
                // Without a hint the next segment doubles what there is.
                let more = self.expected.max(self.received).max(bytes.len() as u64);
                self.open = Segment::with_room_for(usize::try_from(more).unwrap_or(usize::MAX));
            }
            self.expected = self.expected.saturating_sub(taken as u64);
            self.received += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    pub fn finish(mut self) -> Content {
        self.close_segment();
        let content = Content::new(self.segments);
        let digest = self.hasher.finish();
        let known = content.digest_cell(self.kind).set(digest);
        debug_assert!(known.is_ok(), "a new content has no digest yet");
        content
    }

    fn close_segment(&mut self) {
        if !self.open.is_empty() {
            self.segments.push(std::mem::take(&mut self.open).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Content, ContentBuilder};
    use crate::bucket::DigestKind;
    use crate::bucket::segment::SEGMENT_BYTES;

    #[test]
    fn slices_cross_segments_and_share_their_memory() {
        let content = Content::new(["abc", "", "defg", "h"].map(Bytes::from));
        assert_eq!(content.size(), 8);
        for start in 0..=8u64 {
            for end in start..=8 {
                let want = &b"abcdefgh"[start as usize..end as usize];
                assert_eq!(content.slice(start..end).to_bytes(), want);
            }
        }
        assert_eq!(content.chunk(4..100).as_deref(), Some(&b"efg"[..]));
        assert_eq!(content.chunk(8..9), None);
    }

    #[test]
    fn a_builder_without_a_hint_makes_few_segments() {
        let mut builder = ContentBuilder::new(DigestKind::Quick, 0);
        (0..1000u32).for_each(|piece| builder.push(&[piece as u8; 100]));
        let built = builder.finish();
        assert!(built.0.segments.len() < 15, "{built:?}");
        assert_eq!(built.size(), 100_000);
    }

    #[test]
    fn a_builder_cuts_segments_and_knows_the_digest() {
        let bytes: Vec<u8> = (0..SEGMENT_BYTES * 2 + 77).map(|i| (i % 251) as u8).collect();
        let mut builder = ContentBuilder::new(DigestKind::Md5, bytes.len() as u64);
        bytes.chunks(10_007).for_each(|piece| builder.push(piece));
        let built = builder.finish();
        assert_eq!(built.0.segments.len(), 3);
        assert_eq!(built.to_bytes(), bytes);
        assert_eq!(built.digest(DigestKind::Md5), Content::from(Bytes::from(bytes)).digest(DigestKind::Md5));
    }
}

//! The body of a GET: slices of one version's bytes, whatever happens to the key meanwhile.

use std::ops::Range;

use bytes::Bytes;

use super::content::Content;
use crate::env::store::{Body, StoreError};

/// Delivers `range` of one version, at most `chunk_bytes` at a time. Holds the bytes alive until dropped.
#[derive(Clone, Debug)]
pub struct BucketBody {
    content: Content,
    range: Range<u64>,
    chunk_bytes: u64,
}

impl BucketBody {
    pub(super) fn new(content: Content, range: Range<u64>, chunk_bytes: usize) -> Self {
        Self { content, range, chunk_bytes: chunk_bytes.max(1) as u64 }
    }

    /// Delivers at most this many bytes at a time from now on.
    pub fn with_chunk_bytes(mut self, chunk_bytes: usize) -> Self {
        self.chunk_bytes = chunk_bytes.max(1) as u64;
        self
    }

    /// Bytes not yet delivered.
    pub fn remaining_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Iterator for BucketBody {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let end = self.range.end.min(self.range.start.saturating_add(self.chunk_bytes));
        let bytes = self.content.chunk(self.range.start..end)?;
        self.range.start += bytes.len() as u64;
        Some(bytes)
    }
}

impl Body for BucketBody {
    async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        Iterator::next(self).map(Ok)
    }
}

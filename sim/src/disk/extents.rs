//! A sparse file in memory: the written ranges, without a copy of what was written.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Extents by their offset; they never overlap and are never empty.
#[derive(Debug, Default)]
pub(super) struct Extents {
    map: BTreeMap<u64, Bytes>,
}

impl Extents {
    pub(super) fn write(&mut self, offset: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        self.clear(offset, end);
        // A copy: a disk keeps nobody's memory alive.
        self.map.insert(offset, Bytes::copy_from_slice(&bytes));
    }

    /// `None` unless every byte was written.
    pub(super) fn read(&self, offset: u64, len: usize) -> Option<Bytes> {
        let mut parts = self.touching(offset, offset + len as u64).peekable();
        let mut joined = BytesMut::new();
        let mut at = offset;
        while joined.len() < len {
            let (start, bytes) = parts.next()?;
            if start > at {
                return None;
            }
            let skip = (at - start) as usize;
            let take = (bytes.len() - skip).min(len - joined.len());
            let part = bytes.slice(skip..skip + take);
            if part.len() == len {
                return Some(part);
            }
            joined.extend_from_slice(&part);
            at += take as u64;
        }
        Some(joined.freeze())
    }

    /// Bytes of this range that nobody has written.
    pub(super) fn missing(&self, offset: u64, len: u64) -> u64 {
        let end = offset + len;
        let held = |(start, bytes): (u64, &Bytes)| (start + bytes.len() as u64).min(end) - start.max(offset);
        len - self.touching(offset, end).map(held).sum::<u64>()
    }

    /// Where in this range nobody has written.
    pub(super) fn holes(&self, offset: u64, len: u64) -> Vec<Range<u64>> {
        let end = offset + len;
        let mut holes = Vec::new();
        let mut at = offset;
        for (start, bytes) in self.touching(offset, end) {
            if start > at {
                holes.push(at..start);
            }
            at = start + bytes.len() as u64;
        }
        if at < end {
            holes.push(at..end);
        }
        holes
    }

    /// Copies what was written to its place in `target`, as far as that reaches.
    pub(super) fn copy_to(&self, target: &mut [u8]) {
        for (start, bytes) in self.touching(0, target.len() as u64) {
            let start = start as usize;
            let len = bytes.len().min(target.len() - start);
            target[start..start + len].copy_from_slice(&bytes[..len]);
        }
    }

    /// Bytes held.
    pub(super) fn len(&self) -> u64 {
        self.map.values().map(|bytes| bytes.len() as u64).sum()
    }

    fn touching(&self, offset: u64, end: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let before = self.map.range(..offset).next_back().filter(move |(start, b)| *start + b.len() as u64 > offset);
        let from = self.map.range(offset..end.max(offset));
        before.into_iter().chain(from).map(|(&start, bytes)| (start, bytes))
    }

    fn clear(&mut self, offset: u64, end: u64) {
        let touched: Vec<(u64, Bytes)> = self.touching(offset, end).map(|(start, b)| (start, b.clone())).collect();
        for (start, bytes) in touched {
            self.map.remove(&start);
            let bytes_end = start + bytes.len() as u64;
            if start < offset {
                self.map.insert(start, bytes.slice(..(offset - start) as usize));
            }
            if bytes_end > end {
                self.map.insert(end, bytes.slice((end - start) as usize..));
            }
        }
    }
}

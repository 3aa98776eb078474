//! The content of a file as applications wrote it, piece by piece, over the version that it began from.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast::bucket::Content;
use holdfast::op::Allocation;

/// Where there is no piece there are zeros. Pieces are not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileContent {
    size: u64,
    /// By their offset; they do not overlap, and end where the file does at the latest.
    pieces: BTreeMap<u64, Bytes>,
}

impl FileContent {
    pub fn of(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        let mut content = Self { size, pieces: BTreeMap::new() };
        if size > 0 {
            content.pieces.insert(0, bytes);
        }
        content
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn write(&mut self, offset: u64, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        self.clear(offset, end);
        self.pieces.insert(offset, bytes);
        self.size = self.size.max(end);
    }

    pub fn resize(&mut self, size: u64) {
        self.clear(size, u64::MAX);
        self.size = size;
    }

    /// fallocate(2)
    pub fn allocate(&mut self, offset: u64, len: u64, how: Allocation) {
        let end = offset.saturating_add(len);
        match how {
            Allocation::Allocate { keep_size: true } => {}
            Allocation::Allocate { keep_size: false } => self.size = self.size.max(end),
            Allocation::Punch | Allocation::Zero { keep_size: true } => self.clear(offset, end),
            Allocation::Zero { keep_size: false } => {
                self.clear(offset, end);
                self.size = self.size.max(end);
            }
        }
    }

    /// What a read of so many bytes at `offset` gives.
    pub fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let end = offset.saturating_add(len).min(self.size);
        let mut read = vec![0; end.saturating_sub(offset) as usize];
        for (start, bytes) in self.touching(offset, end) {
            let from = start.max(offset);
            let to = (start + bytes.len() as u64).min(end);
            read[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
        }
        read
    }

    /// Whether an object holds just this.
    pub fn is(&self, object: &Content) -> bool {
        const STEP: u64 = 64 << 10;
        if object.size() != self.size {
            return false;
        }
        let mut starts = (0..self.size).step_by(STEP as usize);
        starts.all(|at| {
            let end = (at + STEP).min(self.size);
            object.slice(at..end).to_bytes() == self.read(at, STEP)
        })
    }

    fn touching(&self, offset: u64, end: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let before = self.pieces.range(..offset).next_back().filter(move |(start, b)| *start + b.len() as u64 > offset);
        let from = self.pieces.range(offset..end.max(offset));
        before.into_iter().chain(from).map(|(start, bytes)| (*start, bytes))
    }

    fn clear(&mut self, offset: u64, end: u64) {
        let touched: Vec<(u64, Bytes)> = self.touching(offset, end).map(|(start, b)| (start, b.clone())).collect();
        for (start, bytes) in touched {
            self.pieces.remove(&start);
            let bytes_end = start + bytes.len() as u64;
            if start < offset {
                self.pieces.insert(start, bytes.slice(..(offset - start) as usize));
            }
            if bytes_end > end {
                self.pieces.insert(end, bytes.slice((end - start) as usize..));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use holdfast::bucket::Content;

    use super::FileContent;

    #[test]
    fn a_file_is_what_was_written_over_what_it_was() {
        let mut content = FileContent::of(Bytes::from_static(b"abcdefgh"));
        content.write(2, Bytes::from_static(b"XY"));
        content.write(10, Bytes::from_static(b"!"));
        assert_eq!(content.read(0, 100), b"abXYefgh\0\0!");
        content.resize(5);
        content.resize(7);
        assert_eq!(content.read(1, 100), b"bXYe\0\0");
        assert!(content.is(&Content::from(Bytes::from_static(b"abXYe\0\0"))));
        assert!(!content.is(&Content::from(Bytes::from_static(b"abXYe\0\0\0"))));
    }
}

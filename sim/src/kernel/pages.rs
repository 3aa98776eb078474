//! The page cache, and reads through it.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use futures_util::future::join_all;
use holdfast::error::Errno;
use holdfast::op::{Ino, Op, Reply};

use super::{Kernel, OpenFile};
use crate::executor::locked;
use crate::{KIB, MIB};

const PAGE_BYTES: u64 = 4 * KIB;
/// fs.fuse.max_pages_limit
const REQUEST_BYTES_MAX: u64 = MIB;
/// Linux's readahead window as it comes.
const READAHEAD_BYTES: u64 = 128 * KIB;
/// Requests that run ahead of a read.
const READAHEAD_REQUESTS: u64 = 4;

/// Of one inode. Only the last page is short.
#[derive(Default)]
pub(super) struct Pages(BTreeMap<u64, Bytes>);

impl Pages {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert(&mut self, offset: u64, bytes: Bytes) {
        for at in (0..bytes.len()).step_by(PAGE_BYTES as usize) {
            let page = bytes.slice(at..bytes.len().min(at + PAGE_BYTES as usize));
            self.0.insert((offset + at as u64) / PAGE_BYTES, page);
        }
    }

    /// The start and end of the first run of pages within `range` that are missing.
    fn missing(&self, range: Range<u64>) -> Option<Range<u64>> {
        let mut wanted = range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES);
        let first = wanted.find(|page| !self.0.contains_key(page))?;
        let end = wanted.find(|page| self.0.contains_key(page)).unwrap_or(range.end.div_ceil(PAGE_BYTES));
        Some(first * PAGE_BYTES..end * PAGE_BYTES)
    }
}

impl Kernel {
    /// pread(2): up to `len` bytes, fewer only at the end of the file or before a failure.
    pub async fn pread(&self, file: &OpenFile, offset: u64, len: u64) -> Result<Vec<u8>, Errno> {
        let size = self.attributes(file.ino()).await?.size;
        let end = offset.saturating_add(len).min(size);
        let mut read = Vec::new();
        let mut at = offset;
        while at < end {
            match self.page(file, at, end, size).await {
                Ok(page) => {
                    let from = (at % PAGE_BYTES) as usize;
                    let to = page.len().min((end - at / PAGE_BYTES * PAGE_BYTES) as usize);
                    read.extend_from_slice(&page[from..to]);
                    at = offset + read.len() as u64;
                }
                Err(_) if !read.is_empty() => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(read)
    }

    /// The page that holds `at`; what is missing up to `end` is fetched with it.
    async fn page(&self, file: &OpenFile, at: u64, end: u64, size: u64) -> Result<Bytes, Errno> {
        loop {
            let missing = {
                let state = locked(&self.shared.state);
                let pages = &state.inodes[&file.ino()].pages;
                if let Some(page) = pages.0.get(&(at / PAGE_BYTES)) {
                    return Ok(page.clone());
                }
                pages.missing(at..end).expect("the first page is")
            };
            if self.shared.config.readahead {
                self.read_ahead(file, missing, size).await?;
            } else {
                let request = missing.start..missing.end.min(missing.start + REQUEST_BYTES_MAX);
                self.fetch(file, request, size).await?;
            }
        }
    }

    async fn read_ahead(&self, file: &OpenFile, missing: Range<u64>, size: u64) -> Result<(), Errno> {
        let mut requests: Vec<_> = (0..READAHEAD_REQUESTS)
            .map(|n| missing.start + n * READAHEAD_BYTES)
            .filter(|start| *start < size)
            .map(|start| start..(start + READAHEAD_BYTES).min(size.next_multiple_of(PAGE_BYTES)))
            .collect();
        for at in (1..requests.len()).rev() {
            requests.swap(at, self.shared.rng.below(at as u64 + 1) as usize);
        }
        let first = requests.iter().position(|request| request.start == missing.start).expect("it is one of them");
        let mut outcomes = join_all(requests.into_iter().map(|request| self.fetch(file, request, size))).await;
        outcomes.swap_remove(first)
    }

    async fn fetch(&self, file: &OpenFile, range: Range<u64>, size: u64) -> Result<(), Errno> {
        let (ino, offset) = (file.ino(), range.start);
        let len = u32::try_from(range.end - range.start).expect("at most a mebibyte");
        let Reply::Data(data) = self.call(Op::Read { ino, fh: file.fh, offset, len }).await? else {
            panic!("READ was answered with something else")
        };
        let expected = range.end.min(size) - offset;
        assert!(
            data.len() as u64 >= expected,
            "short read before the end: asked for {range:?} of {size}, was given {} bytes",
            data.len()
        );
        assert!(data.len() as u64 == expected, "a read past the end: asked for {range:?} of {size}");
        let bytes = Bytes::copy_from_slice(&data);
        let mut state = locked(&self.shared.state);
        state.inodes.get_mut(&ino).expect("the file refers to it").pages.insert(offset, bytes);
        Ok(())
    }

    /// Drops every page, as memory pressure may at any time.
    pub fn drop_pages(&self) {
        for inode in locked(&self.shared.state).inodes.values_mut() {
            inode.pages = Pages::default();
        }
    }

    /// Drops the pages of one inode.
    pub fn drop_pages_of(&self, ino: Ino) {
        if let Some(inode) = locked(&self.shared.state).inodes.get_mut(&ino) {
            inode.pages = Pages::default();
        }
    }
}

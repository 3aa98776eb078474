//! Reading files: through the page cache (filemap_read, fuse_readahead, fuse_read_folio), and past it (O_DIRECT).
//!
//! A read needs only its own pages. Whatever else is read ahead for it goes on in the background after it has returned,
//! in requests that are answered in any order.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures_util::future::join_all;
use holdfast::error::Errno;
use holdfast::op::{Caller, Ino, Op, Reply};

use super::pages::{Found, PAGE_BYTES, Pages};
use super::readahead::{Limits, Window};
use super::system_call::{SystemCall, Thread};
use super::{EINTR, Kernel, OpenFile};
use crate::executor::locked;

/// What a read gave: slices of the page cache, in order, none of them copied.
#[derive(Clone, Debug, Default)]
pub struct Pieces(Vec<Bytes>);

impl Pieces {
    /// Bytes in all.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with its distance from the start of the read.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        self.0.iter().scan(0, |at, piece| {
            let begins = *at;
            *at += piece.len() as u64;
            Some((begins, piece))
        })
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.0.concat()
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        self.0.push(piece);
    }
}

impl Kernel {
    /// pread(2): up to `len` bytes, fewer only at the end of the file or before a failure.
    pub fn pread_pieces(&self, file: &Arc<OpenFile>, offset: u64, len: u64) -> SystemCall<Result<Pieces, Errno>> {
        if !file.reads {
            return SystemCall::ready(Err(Errno::EBADF));
        }
        if !file.direct
            && let Some(read) = self.read_cached(file, offset, len)
        {
            return SystemCall::ready(Ok(read));
        }
        let file = file.clone();
        self.enter(move |thread| async move { thread.read(&file, offset, len).await })
    }

    /// The same in one piece, by a copy.
    pub async fn pread(&self, file: &Arc<OpenFile>, offset: u64, len: u64) -> Result<Vec<u8>, Errno> {
        self.pread_pieces(file, offset, len).await.map(|read| read.to_vec())
    }

    /// read(2), at the position that all descriptors of the file share.
    pub fn read(&self, file: &Arc<OpenFile>, len: u64) -> SystemCall<Result<Pieces, Errno>> {
        let file = file.clone();
        self.enter(move |thread| async move {
            if !file.reads {
                return Err(Errno::EBADF);
            }
            let offset = *locked(&file.position);
            let read = thread.read(&file, offset, len).await?;
            *locked(&file.position) = offset + read.len();
            Ok(read)
        })
    }

    /// A read that needs neither a request nor readahead.
    fn read_cached(&self, file: &OpenFile, offset: u64, len: u64) -> Option<Pieces> {
        if self.shared.config.page_eviction_one_in > 0 {
            return None;
        }
        let (ino, asked, now) = (file.ino(), offset.checked_add(len)?, self.now());
        self.with(|state| {
            if state.violation.is_some() {
                return None;
            }
            let inode = state.names.inode(ino);
            let size = inode.attr.size;
            let end = asked.min(size);
            if offset >= end || (asked > size && !inode.size_is_fresh(now)) {
                return None;
            }
            let first = offset / PAGE_BYTES;
            let Found::UpToDate { bytes, mark: None } = inode.pages.find(first, end.div_ceil(PAGE_BYTES)) else {
                return None;
            };
            let from = (offset - first * PAGE_BYTES) as usize;
            let to = (end - first * PAGE_BYTES) as usize;
            (to <= bytes.len()).then(|| {
                locked(&file.readahead).read_to(end);
                Pieces(vec![bytes.slice(from..to)])
            })
        })
    }

    /// Reads what of the window is absent, in the background.
    pub(super) fn read_window(&self, file: &Arc<OpenFile>, window: Option<Window>) {
        let Some(Window { pages, mark }) = window else { return };
        let ino = file.ino();
        let most = self.shared.config.read_bytes_max / PAGE_BYTES;
        let mut at = pages.start;
        loop {
            let request = self.with(|state| {
                let inode = state.names.inode_mut(ino).expect("the file refers to it");
                let absent = inode.pages.first_absent(at..pages.end)?;
                let request = absent.start..absent.end.min(absent.start + most);
                inode.pages.lock(request.clone());
                if let Some(mark) = mark.filter(|mark| request.contains(mark)) {
                    inode.pages.mark(mark);
                }
                Some(request)
            });
            let Some(request) = request else { return };
            at = request.end;
            let changes = self.with(|state| state.names.changes);
            let read = Read { kernel: self.clone(), file: file.clone(), pages: request, changes, ended: false };
            self.run_in_background(async move {
                let op = read.op();
                read.kernel.linger().await;
                let outcome = read.kernel.carry(Caller::UNKNOWN, op).await;
                // Whoever wanted these pages meets the error again when it asks for them one by one.
                let _ = read.end(outcome);
            });
        }
    }

    pub(super) fn limits(&self, ino: Ino) -> Limits {
        let config = &self.shared.config;
        let size = self.with(|state| state.names.inode(ino).attr.size);
        Limits { readahead: config.readahead_bytes / PAGE_BYTES, file: size.div_ceil(PAGE_BYTES) }
    }
}

impl Thread {
    pub(super) async fn read(&self, file: &Arc<OpenFile>, offset: u64, len: u64) -> Result<Pieces, Errno> {
        let asked = offset.saturating_add(len);
        let mut size = self.kernel.with(|state| state.names.inode(file.ino()).attr.size);
        if asked > size {
            // fuse_cache_read_iter: past the end it wants to know where that is by now.
            size = self.size(file.ino()).await?;
        }
        if file.direct {
            return self.read_direct(file, offset, len, size).await;
        }
        if self.kernel.one_in(self.kernel.shared.config.page_eviction_one_in) {
            let draw = self.kernel.shared.rng.next_u64();
            self.kernel.with(|state| {
                // A page that is being written stays (its folio is locked).
                let inode = state.names.inode_mut(file.ino()).filter(|inode| inode.changing == 0)?;
                inode.pages.evict_some(draw);
                Some(())
            });
        }
        let (mut end, before) = (asked.min(size), asked.div_ceil(PAGE_BYTES));
        let mut pieces = Vec::new();
        let mut at = offset;
        while at < end {
            match self.pages(file, at / PAGE_BYTES, before).await {
                Ok(bytes) => {
                    // Others may have made it longer or shorter meanwhile.
                    end = asked.min(self.kernel.with(|state| state.names.inode(file.ino()).attr.size));
                    let from = (at % PAGE_BYTES) as usize;
                    let to = bytes.len().min(from + end.saturating_sub(at) as usize);
                    if to <= from {
                        break;
                    }
                    pieces.push(bytes.slice(from..to));
                    at += (to - from) as u64;
                }
                Err(_) if !pieces.is_empty() => break,
                Err(errno) => return Err(errno),
            }
        }
        locked(&file.readahead).read_to(at);
        Ok(Pieces(pieces))
    }

    /// Bytes from the start of page `index` on, as far as they are here in one piece (filemap_get_pages). `before` is
    /// where the read ends.
    async fn pages(&self, file: &Arc<OpenFile>, index: u64, before: u64) -> Result<Bytes, Errno> {
        loop {
            if self.is_beyond(file, index) {
                return Ok(Bytes::new());
            }
            match self.find(file, index, before) {
                Found::UpToDate { bytes, mark } => {
                    if let Some(mark) = mark {
                        self.go_on_at(file, mark, before - mark);
                    }
                    return Ok(bytes);
                }
                Found::Locked { marked } => {
                    if marked {
                        self.go_on_at(file, index, before - index);
                    }
                    self.wait_for(file, index).await?;
                }
                Found::Failed => self.read_page(file, index).await?,
                Found::Absent if !self.kernel.shared.config.readahead => {
                    self.read_absent(file, index, before).await?;
                }
                Found::Absent => {
                    let limits = self.kernel.limits(file.ino());
                    let window = self.kernel.with(|state| {
                        let pages = &state.names.inode(file.ino()).pages;
                        locked(&file.readahead).on_miss(index, before - index, limits, pages)
                    });
                    self.kernel.read_window(file, window);
                    // Under pressure it may be gone again, or never have been read.
                    if self.find(file, index, before) == Found::Absent {
                        self.read_page(file, index).await?;
                    }
                }
            }
        }
    }

    /// Whether the file, which others may cut meanwhile, ends before this page.
    pub(super) fn is_beyond(&self, file: &OpenFile, index: u64) -> bool {
        self.kernel.with(|state| state.names.inode(file.ino()).attr.size) <= index * PAGE_BYTES
    }

    pub(super) fn find(&self, file: &OpenFile, index: u64, before: u64) -> Found {
        self.kernel.with(|state| {
            if let Some(violation) = &state.violation {
                panic!("{violation}");
            }
            state.names.inode(file.ino()).pages.find(index, before)
        })
    }

    /// A reader has come to a mark.
    pub(super) fn go_on_at(&self, file: &Arc<OpenFile>, mark: u64, wanted: u64) {
        let limits = self.kernel.limits(file.ino());
        let window = self.kernel.with(|state| {
            let pages = &mut state.names.inode_mut(file.ino()).expect("the file refers to it").pages;
            pages.take_mark(mark).then(|| locked(&file.readahead).on_mark(mark, wanted, limits, pages)).flatten()
        });
        self.kernel.read_window(file, window);
    }

    /// Until a READ of the page has ended. Who is killed does not wait.
    pub(super) async fn wait_for(&self, file: &OpenFile, index: u64) -> Result<(), Errno> {
        poll_fn(|context| {
            if self.is_killed() {
                return Poll::Ready(Err(EINTR));
            }
            self.kernel.with(|state| {
                let pages = &mut state.names.inode_mut(file.ino()).expect("the file refers to it").pages;
                if !pages.is_locked(index) || state.violation.is_some() {
                    return Poll::Ready(Ok(()));
                }
                pages.wait(context.waker());
                Poll::Pending
            })
        })
        .await
    }

    /// Reads one page for this thread itself, which is told when that fails (read_folio).
    pub(super) async fn read_page(&self, file: &Arc<OpenFile>, index: u64) -> Result<(), Errno> {
        self.read_now(file, true, |pages| {
            matches!(pages.find(index, index + 1), Found::Failed | Found::Absent).then_some(index..index + 1)
        })
        .await
    }

    /// Without readahead: all that the reader wants and that is absent, in one request.
    pub(super) async fn read_absent(&self, file: &Arc<OpenFile>, index: u64, before: u64) -> Result<(), Errno> {
        let limits = self.kernel.limits(file.ino());
        let end = before.min(limits.file).min(index + self.kernel.shared.config.read_bytes_max / PAGE_BYTES);
        self.read_now(file, false, |pages| pages.first_absent(index..end).filter(|absent| absent.start == index)).await
    }

    /// Reads what `choose` chooses, and waits. `failed`: whether pages that could not be had are remembered as such.
    async fn read_now(
        &self,
        file: &Arc<OpenFile>,
        failed: bool,
        choose: impl FnOnce(&Pages) -> Option<Range<u64>>,
    ) -> Result<(), Errno> {
        let chosen = self.kernel.with(|state| {
            let cache = &mut state.names.inode_mut(file.ino()).expect("the file refers to it").pages;
            let pages = choose(cache)?;
            cache.lock(pages.clone());
            Some(pages)
        });
        let Some(pages) = chosen else { return Ok(()) };
        let changes = self.kernel.with(|state| state.names.changes);
        let read = Read { kernel: self.kernel.clone(), file: file.clone(), pages, changes, ended: false };
        let outcome = self.request(read.op()).await;
        let pages = read.pages.clone();
        let ended = read.end(outcome);
        if ended.is_err() && !failed {
            self.kernel.with(|state| {
                if let Some(inode) = state.names.inode_mut(file.ino()) {
                    inode.pages.forget_failure(pages);
                }
            });
        }
        ended
    }

    /// All requests at a time (FUSE_ASYNC_DIO); what one of them fails with, the read fails with.
    async fn read_direct(&self, file: &OpenFile, offset: u64, len: u64, size: u64) -> Result<Pieces, Errno> {
        let most = self.kernel.shared.config.read_bytes_max;
        self.write_back(file.ino()).await;
        if offset >= size {
            return Ok(Pieces::default());
        }
        let len = if offset.saturating_add(len) > size { len.min((size - offset).next_multiple_of(most)) } else { len };
        let starts = (offset..offset + len).step_by(most as usize);
        let requests = starts.map(|start| async move {
            let len = (offset + len - start).min(most) as u32;
            let (ino, fh) = (file.ino(), file.fh);
            let changes = self.kernel.with(|state| state.names.changes);
            match self.request(Op::Read { ino, fh, offset: start, len }).await? {
                Reply::Data(data) => {
                    if !self.kernel.is_unsettled(ino, changes) {
                        self.kernel.judge_read(start..start + u64::from(len), size, data.len());
                    }
                    Ok(data)
                }
                other => self.kernel.violated(format!("READ was answered with {other:?}")),
            }
        });
        let read: Result<Vec<Bytes>, Errno> = join_all(requests).await.into_iter().collect();
        self.kernel.note_read(file.ino());
        Ok(Pieces(read?.into_iter().filter(|piece| !piece.is_empty()).collect()))
    }
}

/// A READ under way into the page cache. Dropped before its end, it failed.
struct Read {
    kernel: Kernel,
    file: Arc<OpenFile>,
    pages: Range<u64>,
    /// [`super::names::Names::changes`] when it was sent.
    changes: u64,
    ended: bool,
}

impl Read {
    fn op(&self) -> Op {
        let len = u32::try_from((self.pages.end - self.pages.start) * PAGE_BYTES).expect("read_bytes_max is an u32");
        Op::Read { ino: self.file.ino(), fh: self.file.fh, offset: self.pages.start * PAGE_BYTES, len }
    }

    fn end(mut self, outcome: Result<Reply, Errno>) -> Result<(), Errno> {
        let bytes = match outcome {
            Ok(Reply::Data(data)) => {
                let range = self.pages.start * PAGE_BYTES..self.pages.end * PAGE_BYTES;
                // Linux copies too; and what the core keeps in memory must not depend on what is kept here.
                Ok(Bytes::from(self.kernel.settle_read(self.file.ino(), range, self.changes, data.to_vec())))
            }
            Ok(other) => self.kernel.violated(format!("READ was answered with {other:?}")),
            Err(errno) => Err(errno),
        };
        self.ended = true;
        self.kernel.note_read(self.file.ino());
        let failed = bytes.as_ref().err().copied();
        self.unlock(bytes.ok());
        failed.map_or(Ok(()), Err)
    }

    fn unlock(&self, bytes: Option<Bytes>) {
        let wakers = self.kernel.with(|state| {
            let inode = state.names.inode_mut(self.file.ino()).expect("the file refers to it");
            inode.pages.unlock(&self.pages, bytes)
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            // Whoever waits would wait for ever.
            self.kernel.with(|state| {
                state.violation.get_or_insert_with(|| "a READ ended in a panic".to_string());
            });
        }
        self.unlock(None);
    }
}

impl Kernel {
    /// Whether the size of an inode may have been another since there had been so many changes.
    pub(super) fn is_unsettled(&self, ino: Ino, changes: u64) -> bool {
        self.with(|state| {
            let inode = state.names.inode(ino);
            inode.changing > 0 || inode.contested || inode.changed > changes
        })
    }

    /// Of a mount that may be written to, when a file was read last is for the server to say (fuse_invalidate_atime).
    pub(super) fn note_read(&self, ino: Ino) {
        if !self.shared.config.read_only {
            self.with(|state| state.names.doubt_times(ino));
        }
    }

    /// What a READ brought, as it goes into the cache. An answer that is short while an open truncates the file shows where
    /// it ends now; after the size was changed, or while it is set or grows, what is missing is zeros (fuse_short_read).
    fn settle_read(&self, ino: Ino, range: Range<u64>, changes: u64, mut data: Vec<u8>) -> Vec<u8> {
        let (size, changed, changing, unstable) = self.with(|state| {
            let inode = state.names.inode(ino);
            (inode.attr.size, inode.changed > changes, inode.changing > 0 || inode.contested, inode.unstable > 0)
        });
        if !changed && !changing {
            self.judge_read(range, size, data.len());
            return data;
        }
        let expected = range.end.min(size).saturating_sub(range.start) as usize;
        if data.len() < expected && !changed && !unstable {
            self.with(|state| state.names.resize(ino, range.start + data.len() as u64));
            return data;
        }
        data.resize(expected, 0);
        data
    }

    fn judge_read(&self, range: Range<u64>, size: u64, bytes: usize) {
        let expected = range.end.min(size).saturating_sub(range.start);
        if (bytes as u64) < expected {
            self.violated(format!("short read before the end: asked for {range:?} of {size}, was given {bytes} bytes"));
        }
        if bytes as u64 > expected {
            self.violated(format!("a read past the end: asked for {range:?} of {size}, was given {bytes} bytes"));
        }
    }
}

//! Memory mappings: page faults (filemap_fault), and that a mapping outlives the descriptor it was made of. What is
//! written through one goes back as [`super::write_back`] says.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use holdfast::error::Errno;

use super::pages::{Found, PAGE_BYTES};
use super::reading::Pieces;
use super::system_call::{SystemCall, Thread};
use super::{EINTR, Kernel, OpenFile};
use crate::executor::locked;

/// A mapping of a whole file, MAP_SHARED.
#[derive(Clone)]
pub struct Mapping(Arc<OpenFile>);

impl Mapping {
    pub fn file(&self) -> &Arc<OpenFile> {
        &self.0
    }
}

impl Kernel {
    pub fn map(&self, file: &Arc<OpenFile>) -> Mapping {
        if file.writes {
            // Whose handle its pages are written back by (fuse_link_write_file).
            self.with(|state| {
                let inode = state.names.inode_mut(file.ino()).expect("the file refers to it");
                inode.writers.retain(|other| other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(file));
                inode.writers.push(Arc::downgrade(file));
            });
        }
        Mapping(file.clone())
    }

    /// munmap(2): what was written through it goes back at once, and nobody is told whether that failed (fuse_vma_close).
    /// It sends no FLUSH.
    pub fn unmap(&self, mapping: Mapping) -> SystemCall<()> {
        self.enter(|thread| async move { thread.write_back(mapping.0.ino()).await })
    }

    /// The same, of a process that ends.
    pub fn unmap_in_background(&self, mapping: Mapping) {
        let dirty = self.with(|state| state.names.inode(mapping.0.ino()).pages.is_dirty());
        if dirty {
            let unmapped = self.unmap(mapping);
            self.run_in_background(unmapped);
        }
    }

    /// msync(2) with MS_SYNC: an fsync of the file.
    pub fn msync(&self, mapping: &Mapping) -> SystemCall<Result<(), Errno>> {
        self.fsync(&mapping.0)
    }

    /// Writes through the mapping, as far as the file has anything; answers how many bytes. A page that cannot be had, or is
    /// none of the file's, is an error, for which see [`Kernel::fault_in`].
    pub fn store(&self, mapping: &Mapping, offset: u64, data: Bytes) -> SystemCall<Result<u64, Errno>> {
        let file = mapping.0.clone();
        self.enter(move |thread| async move { thread.store(&file, offset, &data).await })
    }

    /// Reads `len` bytes through the mapping, as far as the file has any. A page that cannot be had, or is none of the
    /// file's, is [`SIGBUS`].
    pub fn touch(&self, mapping: &Mapping, offset: u64, len: u64) -> SystemCall<Result<Pieces, Errno>> {
        let file = mapping.0.clone();
        let signalled = |errno| if errno == EINTR { EINTR } else { SIGBUS };
        self.enter(move |thread| async move { thread.touch(&file, offset, len).await.map_err(signalled) })
    }

    /// The same, and why a page could not be had, which Linux tells nobody.
    pub fn fault_in(&self, mapping: &Mapping, offset: u64, len: u64) -> SystemCall<Result<Pieces, Errno>> {
        let file = mapping.0.clone();
        self.enter(move |thread| async move { thread.touch(&file, offset, len).await })
    }
}

/// What stands for SIGBUS: EFAULT, as a system call answers that is given the address.
pub const SIGBUS: Errno = Errno(14);

impl Thread {
    async fn touch(&self, file: &Arc<OpenFile>, offset: u64, len: u64) -> Result<Pieces, Errno> {
        let size = self.kernel.with(|state| state.names.inode(file.ino()).attr.size);
        let end = offset + len;
        if end > size.next_multiple_of(PAGE_BYTES) {
            return Err(SIGBUS);
        }
        let end = end.min(size);
        let mut pieces = Pieces::default();
        let mut at = offset;
        while at < end {
            let bytes = self.fault(file, at / PAGE_BYTES, end.div_ceil(PAGE_BYTES)).await?;
            let from = (at % PAGE_BYTES) as usize;
            let to = bytes.len().min(from + (end - at) as usize);
            if to <= from {
                // The file was cut meanwhile.
                return Err(SIGBUS);
            }
            pieces.push(bytes.slice(from..to));
            at += (to - from) as u64;
        }
        Ok(pieces)
    }

    async fn store(&self, file: &Arc<OpenFile>, offset: u64, data: &Bytes) -> Result<u64, Errno> {
        let end = offset + data.len() as u64;
        let (mut at, mut stored) = (offset, 0);
        while at < end {
            let page = at / PAGE_BYTES;
            let next = (page + 1) * PAGE_BYTES;
            if self.fault(file, page, page + 1).await?.is_empty() {
                return Err(SIGBUS);
            }
            // Beyond the end within the last page there is memory, and no file.
            let Some(to) = self.make_writable(file, page).await else { continue };
            // Who is killed at a fault does not come back to what he was to write.
            if self.is_killed() {
                return Err(EINTR);
            }
            let to = to.min(end);
            if at < to {
                let piece = data.slice((at - offset) as usize..(to - offset) as usize);
                self.kernel.with(|state| {
                    state.names.inode_mut(file.ino()).expect("the file refers to it").pages.store(at, &piece);
                });
                self.kernel.tell_stored(file.ino(), at, &piece);
                stored += to - at;
            }
            at = next.min(end);
        }
        Ok(stored)
    }

    /// Waits while the page is being written back (fuse_page_mkwrite). Where in it the file ends; `None`: it is gone by now.
    async fn make_writable(&self, file: &OpenFile, page: u64) -> Option<u64> {
        poll_fn(|context| {
            self.kernel.with(|state| {
                let broken = state.violation.is_some();
                let inode = state.names.inode_mut(file.ino()).expect("the file refers to it");
                if inode.pages.is_being_written(page) && !broken {
                    inode.pages.wait(context.waker());
                    return Poll::Pending;
                }
                let size = inode.attr.size;
                let here = matches!(inode.pages.find(page, page + 1), Found::UpToDate { .. });
                Poll::Ready(here.then_some(size.min((page + 1) * PAGE_BYTES)))
            })
        })
        .await
    }

    /// Bytes from the start of page `index` on that are mapped without a further request: Linux maps what is here around
    /// a fault, as far as the next mark.
    async fn fault(&self, file: &Arc<OpenFile>, index: u64, before: u64) -> Result<Bytes, Errno> {
        let mut ran_ahead = false;
        // What fails is tried once more: the first try had let go of the address space (VM_FAULT_RETRY).
        let mut tried = false;
        let mut failed = move |outcome: Result<(), Errno>| match outcome {
            Err(EINTR) => Err(EINTR),
            Err(errno) if std::mem::replace(&mut tried, true) => Err(errno),
            Ok(()) | Err(_) => Ok(()),
        };
        loop {
            if self.is_beyond(file, index) {
                return Ok(Bytes::new());
            }
            let found = self.find(file, index, before);
            let marked = match &found {
                Found::UpToDate { mark, .. } => *mark == Some(index),
                Found::Locked { marked } => *marked,
                Found::Failed | Found::Absent => false,
            };
            let limits = self.kernel.limits(file.ino());
            if marked {
                self.go_on_at(file, index, limits.readahead);
            }
            match found {
                Found::UpToDate { bytes, mark: None } => return Ok(bytes),
                Found::UpToDate { bytes, mark: Some(mark) } => {
                    locked(&file.readahead).on_hit();
                    // Up to the mark, at which the next fault comes; past it when this fault was the one at it.
                    let pages = (mark - index).max(1);
                    return Ok(bytes.slice(..bytes.len().min((pages * PAGE_BYTES) as usize)));
                }
                Found::Locked { .. } => self.wait_for(file, index).await?,
                Found::Failed => failed(self.read_page(file, index).await)?,
                Found::Absent if !self.kernel.shared.config.readahead => {
                    self.read_absent(file, index, before).await?;
                }
                Found::Absent if !ran_ahead => {
                    ran_ahead = true;
                    let window = locked(&file.readahead).on_fault(index, limits);
                    self.kernel.read_window(file, window);
                }
                Found::Absent => failed(self.read_page(file, index).await)?,
            }
        }
    }
}

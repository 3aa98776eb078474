//! Memory mappings: page faults (filemap_fault), and that a mapping outlives the descriptor it was made of.

use std::sync::Arc;

use bytes::Bytes;
use holdfast::error::Errno;

use super::pages::{Found, PAGE_BYTES};
use super::reading::Pieces;
use super::system_call::{SystemCall, Thread};
use super::{EINTR, Kernel, OpenFile};
use crate::executor::locked;

/// A mapping of a whole file. munmap(2) is a drop, and sends no FLUSH.
#[derive(Clone)]
pub struct Mapping(Arc<OpenFile>);

impl Mapping {
    pub fn file(&self) -> &Arc<OpenFile> {
        &self.0
    }
}

impl Kernel {
    pub fn map(&self, file: &Arc<OpenFile>) -> Mapping {
        Mapping(file.clone())
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

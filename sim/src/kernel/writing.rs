//! Writing files: write(2), truncate(2), as Linux does without a write-back cache (fuse_perform_write, fuse_do_setattr).
//!
//! Each WRITE is answered before the call returns, so an error is that call's own; the page cache follows the answers. Who
//! changes a file does so alone: its size is the kernel's, and O_APPEND is an offset by the time that the core sees it.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use holdfast::error::Errno;
use holdfast::op::{Changes, Fh, Ino, Kind, Op, Reply};

use super::locks::Locked;
use super::names::{DentryId, Held};
use super::pages::{Found, PAGE_BYTES};
use super::system_call::{SystemCall, Thread};
use super::{Kernel, OpenFile};
use crate::MIB;
use crate::executor::locked;

/// The largest WRITE (max_write).
pub(super) const WRITE_BYTES_MAX: u64 = MIB;

/// Where write(2) writes, unless the file was opened with O_APPEND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the position that all descriptors share, which moves on.
    Position,
    Offset(u64),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub offset: u64,
    /// Fewer than asked when what came after failed.
    pub bytes: u64,
}

/// For as long as a request is under way that changes an inode's size.
pub(super) struct Resizing {
    kernel: Kernel,
    ino: Ino,
    unstable: bool,
}

impl Kernel {
    /// `make` says what is written, once it is known where.
    pub fn write(
        &self,
        file: &Arc<OpenFile>,
        at: At,
        make: impl FnOnce(u64) -> Bytes + Send + 'static,
    ) -> SystemCall<Result<Written, Errno>> {
        let file = file.clone();
        self.enter(move |thread| async move { thread.write(&file, at, make).await })
    }

    pub fn ftruncate(&self, file: &Arc<OpenFile>, size: u64) -> SystemCall<Result<(), Errno>> {
        let file = file.clone();
        self.enter(move |thread| async move {
            if !file.writes {
                return Err(Errno::EINVAL);
            }
            thread.set_size(file.ino(), Some(file.fh), size, None).await
        })
    }

    pub fn truncate(&self, path: &str, size: u64) -> SystemCall<Result<(), Errno>> {
        let set = |thread: Thread, held: Held, size| async move {
            const WRITE: u32 = 2;
            match thread.kind(held.ino()) {
                Kind::Directory => return Err(Errno::EISDIR),
                Kind::Fifo | Kind::Socket => return Err(Errno::EINVAL),
                Kind::File | Kind::Symlink => {}
            }
            if thread.kernel.shared.config.read_only {
                return Err(Errno::EROFS);
            }
            thread.permit(held.ino(), WRITE).await?;
            thread.set_size(held.ino(), None, size, Some(held.dentry)).await
        };
        self.at_path(path, true, set, size)
    }
}

impl Thread {
    /// Of a file that may be changed.
    pub(super) async fn lock_for_change(&self, ino: Ino) -> Option<Locked> {
        if self.kernel.shared.config.read_only {
            return None;
        }
        Some(self.lock(ino, true).await)
    }

    pub(super) async fn write(
        &self,
        file: &Arc<OpenFile>,
        at: At,
        make: impl FnOnce(u64) -> Bytes + Send,
    ) -> Result<Written, Errno> {
        if !file.writes {
            return Err(Errno::EBADF);
        }
        let ino = file.ino();
        let locked_by_us = self.lock(ino, true).await;
        if file.direct {
            self.write_back(ino).await;
        }
        let offset = match at {
            _ if file.appends => self.kernel.with(|state| state.names.inode(ino).attr.size),
            At::Position => *locked(&file.position),
            At::Offset(offset) => offset,
        };
        self.ask_privileges(ino).await;
        let data = make(offset);
        let mut written = 0;
        while written < data.len() as u64 {
            let from = offset + written;
            let to = (written + self.room(file, from).await).min(data.len() as u64);
            let chunk = data.slice(written as usize..to as usize);
            match self.write_chunk(file, from, chunk).await {
                Ok(()) => written = to,
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        if at == At::Position {
            *locked(&file.position) = offset + written;
        }
        drop(locked_by_us);
        if file.syncs && written > 0 {
            // generic_write_sync
            self.fsync(file).await?;
        }
        Ok(Written { offset, bytes: written })
    }

    /// How many bytes the next WRITE takes: as many whole pages as one request has room for; of a page that is not here and
    /// of which the start is not written, no more than that (fuse_fill_write_pages).
    async fn room(&self, file: &OpenFile, from: u64) -> u64 {
        let (within, first) = (from % PAGE_BYTES, from / PAGE_BYTES);
        if within > 0 && !file.direct {
            self.wait_for_pages(file.ino(), first..first + 1).await;
            if !matches!(self.find(file, first, first + 1), Found::UpToDate { .. }) {
                return PAGE_BYTES - within;
            }
        }
        WRITE_BYTES_MAX - within
    }

    async fn write_chunk(&self, file: &Arc<OpenFile>, offset: u64, data: Bytes) -> Result<(), Errno> {
        let ino = file.ino();
        let end = offset + data.len() as u64;
        let pages = offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES);
        let held = if file.direct { Vec::new() } else { self.lock_pages(ino, pages.clone()).await };
        let grows = self.kernel.with(|state| state.names.inode(ino).attr.size) < end;
        let resizing = self.resizing(ino, grows).await;
        let len = data.len() as u32;
        let op = Op::Write { ino, fh: file.fh, offset, data: data.clone() };
        let outcome = self.change(op, Vec::new()).await;
        drop(resizing);
        if file.direct {
            if outcome.is_ok() {
                self.kernel.with(|state| {
                    let size = state.names.inode(ino).attr.size;
                    state.names.resize(ino, size.max(end));
                });
            }
            // READs under way bring what is no longer so (invalidate_inode_pages2_range).
            self.wait_for_pages(ino, pages.clone()).await;
        }
        if let Ok(reply) = &outcome
            && !matches!(reply, Reply::Written(taken) if *taken == len)
        {
            self.kernel.violated(format!("a WRITE of {len} bytes was answered with {reply:?}"));
        }
        let wakers = self.kernel.with(|state| {
            let size = state.names.inode(ino).attr.size;
            if outcome.is_ok() && !file.direct {
                state.names.resize(ino, size.max(end));
            }
            let inode = state.names.inode_mut(ino).expect("the file refers to it");
            let mut wakers: Vec<Waker> = held.iter().flat_map(|range| inode.pages.unlock_absent(range)).collect();
            if outcome.is_ok() && !file.direct {
                inode.pages.resize(size.max(end));
                inode.pages.write(offset, &data);
            } else {
                // What was copied there is not what the file has.
                inode.pages.remove(pages);
                inode.pages.resize(inode.attr.size);
            }
            wakers.append(&mut inode.pages.take_waiters());
            wakers
        });
        wakers.into_iter().for_each(Waker::wake);
        outcome.map(drop)
    }

    /// Waits for READs of these pages, and keeps others from reading those that are absent.
    async fn lock_pages(&self, ino: Ino, pages: Range<u64>) -> Vec<Range<u64>> {
        self.wait_for_pages(ino, pages.clone()).await;
        self.kernel.with(|state| {
            let cache = &mut state.names.inode_mut(ino).expect("the file refers to it").pages;
            cache.forget_failure(pages.clone());
            let mut held = Vec::new();
            let mut at = pages.start;
            while let Some(absent) = cache.first_absent(at..pages.end) {
                cache.lock(absent.clone());
                at = absent.end;
                held.push(absent);
            }
            held
        })
    }

    /// Bytes that the core has put there by itself: what is cached of their pages goes, also what READs under way bring
    /// (truncate_inode_pages_range).
    pub(super) async fn drop_pages(&self, ino: Ino, bytes: Range<u64>) {
        let pages = bytes.start / PAGE_BYTES..bytes.end.div_ceil(PAGE_BYTES);
        self.wait_for_pages(ino, pages.clone()).await;
        self.kernel.with(|state| state.names.inode_mut(ino).map(|inode| inode.pages.remove(pages)));
    }

    /// Bytes that the core has made zeros (truncate_pagecache_range).
    pub(super) async fn zero_pages(&self, ino: Ino, bytes: Range<u64>) {
        let pages = bytes.start / PAGE_BYTES..bytes.end.div_ceil(PAGE_BYTES);
        self.wait_for_pages(ino, pages).await;
        self.kernel.with(|state| {
            let inode = state.names.inode_mut(ino)?;
            inode.pages.zero(bytes.start..bytes.end.min(inode.attr.size));
            Some(())
        });
    }

    pub(super) async fn wait_for_pages(&self, ino: Ino, pages: Range<u64>) {
        poll_fn(|context| {
            self.kernel.with(|state| {
                let broken = state.violation.is_some();
                let Some(inode) = state.names.inode_mut(ino) else { return Poll::Ready(()) };
                if broken || !inode.pages.is_any_locked(pages.clone()) {
                    return Poll::Ready(());
                }
                inode.pages.wait(context.waker());
                Poll::Pending
            })
        })
        .await;
    }

    async fn set_size(&self, ino: Ino, fh: Option<Fh>, size: u64, dentry: Option<DentryId>) -> Result<(), Errno> {
        if i64::try_from(size).is_err() {
            return Err(Errno::EINVAL);
        }
        self.ask_privileges(ino).await;
        let _locked = self.lock_for_change(ino).await;
        let resizing = self.resizing(ino, true).await;
        // It may have been renamed while the lock was waited for.
        let names = dentry.into_iter().map(|dentry| self.kernel.path_of(dentry)).collect();
        let changes = Changes { size: Some(size), ..Changes::default() };
        let before = self.kernel.with(|state| state.names.changes);
        let answer = self.change(Op::Setattr { ino, fh, changes }, names).await;
        drop(resizing);
        let answer = answer.inspect_err(|_| {
            // Whether it was done and then not published, the next answer shows.
            self.kernel.with(|state| {
                state.names.doubt_attributes(ino);
                if let Some(inode) = state.names.inode_mut(ino) {
                    inode.contested = true;
                }
            });
        })?;
        let Reply::Attr { attr, ttl } = answer else {
            self.kernel.violated(format!("SETATTR was answered with {answer:?}"))
        };
        // An open with O_TRUNC does not wait for the lock.
        if attr.size != size && !self.kernel.is_unsettled(ino, before) {
            self.kernel.violated(format!("a SETATTR of the size {size} was answered with {attr:?}"));
        }
        let before = self.kernel.with(|state| {
            state.names.resize(ino, attr.size);
            state.names.changes
        });
        self.cut(ino, attr.size).await;
        self.attributes_set(ino, &attr, ttl, before);
        // invalidate_inode_pages2
        self.write_back(ino).await;
        self.kernel.with(|state| state.names.inode_mut(ino).map(|inode| inode.pages.drop_all()));
        Ok(())
    }

    /// A request that may change the size is about to be sent. `unstable`: until it is answered, short READs do not change
    /// it (FUSE_I_SIZE_UNSTABLE). Waits for what is being written back.
    pub(super) async fn resizing(&self, ino: Ino, unstable: bool) -> Resizing {
        self.wait_for_write_back(ino).await;
        self.kernel.with(|state| {
            if let Some(inode) = state.names.inode_mut(ino) {
                inode.contested |= inode.changing > 0;
                inode.changing += 1;
                inode.unstable += u32::from(unstable);
            }
        });
        Resizing { kernel: self.kernel.clone(), ino, unstable }
    }

    /// The core made the file end there.
    pub(super) async fn resized(&self, ino: Ino, size: u64) {
        self.kernel.with(|state| state.names.resize(ino, size));
        self.cut(ino, size).await;
    }

    /// Pages beyond go, those of READs under way once these are answered.
    async fn cut(&self, ino: Ino, size: u64) {
        let pages = size / PAGE_BYTES..u64::MAX;
        let cut = || {
            self.kernel.with(|state| {
                if let Some(inode) = state.names.inode_mut(ino) {
                    inode.pages.resize(size);
                }
            });
        };
        cut();
        self.wait_for_pages(ino, pages).await;
        cut();
    }
}

impl Drop for Resizing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let wakers = self.kernel.with(|state| {
            let Some(inode) = state.names.inode_mut(self.ino) else { return Vec::new() };
            inode.changing = inode.changing.saturating_sub(1);
            inode.unstable = inode.unstable.saturating_sub(u32::from(self.unstable));
            // Whoever wants to write back, though a truncation may have left nothing.
            inode.pages.take_waiters()
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

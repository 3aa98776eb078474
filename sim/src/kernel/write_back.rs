//! How pages that were written to through mappings go back to the core, as Linux does without a write-back cache
//! (fuse_page_mkwrite, fuse_writepages, write_inode_now).
//!
//! They go back before each FLUSH and FSYNC, at munmap(2), and when memory is short, all that an inode has at once, by the
//! handle of the latest mapping. A WRITE that fails loses them: whoever asks next by close(2), fsync(2) or msync(2) is told
//! EIO, once, and his FLUSH or FSYNC is not sent. Who changes the size, or writes by write(2), waits for WRITEs under way, and
//! none begins meanwhile (fuse_set_nowrite, folio_wait_writeback).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures_util::future::join_all;
use holdfast::error::Errno;
use holdfast::op::{Caller, Ino, Op, Reply};

use super::pages::PAGE_BYTES;
use super::system_call::Thread;
use super::writing::WRITE_BYTES_MAX;
use super::{Kernel, OpenFile};

impl Thread {
    /// All that is dirty of an inode; and what another writes back already.
    pub(super) async fn write_back(&self, ino: Ino) {
        let runs = poll_fn(|context| {
            self.kernel.with(|state| {
                let broken = state.violation.is_some();
                let Some(inode) = state.names.inode_mut(ino) else { return Poll::Ready(Vec::new()) };
                let busy = inode.pages.is_any_being_written() || (inode.pages.is_dirty() && inode.changing > 0);
                if busy && !broken {
                    inode.pages.wait(context.waker());
                    return Poll::Pending;
                }
                Poll::Ready(inode.pages.begin_write_back(WRITE_BYTES_MAX / PAGE_BYTES))
            })
        })
        .await;
        if runs.is_empty() {
            return;
        }
        // The core may show the new time before it answers.
        let writer = self.kernel.with(|state| {
            state.names.touch(ino);
            let inode = state.names.inode_mut(ino).expect("it has pages that are being written");
            inode.writers.iter().rev().find_map(std::sync::Weak::upgrade)
        });
        join_all(runs.into_iter().map(|(first, run)| self.write_run(ino, writer.clone(), first, run))).await;
        self.kernel.with(|state| state.names.touch(ino));
    }

    /// The same before a FLUSH or an FSYNC, which is not sent where pages were lost.
    pub(super) async fn write_back_all(&self, ino: Ino) -> Result<(), Errno> {
        self.write_back(ino).await;
        let lost = self.kernel.with(|state| state.names.inode_mut(ino).and_then(|inode| inode.lost.take()));
        lost.map_or(Ok(()), Err)
    }

    async fn write_run(&self, ino: Ino, writer: Option<Arc<OpenFile>>, first: u64, run: Bytes) {
        let outcome = match &writer {
            None => Err(Errno::EIO),
            Some(writer) => {
                let (offset, data) = (first * PAGE_BYTES, run.clone());
                self.kernel.linger().await;
                let op = Op::Write { ino, fh: writer.fh, offset, data };
                self.kernel.carry_watched((Caller::UNKNOWN, self.kernel.now()), op, &[]).await
            }
        };
        match &outcome {
            Ok(Reply::Written(taken)) if u64::from(*taken) == run.len() as u64 => {}
            Ok(reply) => {
                self.kernel.violated(format!("a WRITE of {} bytes was answered with {reply:?}", run.len()));
            }
            Err(errno) => self.kernel.tell_lost(ino, *errno),
        }
        let wakers = self.kernel.with(|state| {
            let Some(inode) = state.names.inode_mut(ino) else { return Vec::new() };
            if let Err(errno) = outcome {
                // mapping_set_error
                inode.lost = Some(if errno == Errno::ENOSPC { Errno::ENOSPC } else { Errno::EIO });
            }
            inode.pages.end_write_back(first, &run)
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Until no page of the inode is being written back.
    pub(super) async fn wait_for_write_back(&self, ino: Ino) {
        poll_fn(|context| {
            self.kernel.with(|state| {
                let broken = state.violation.is_some();
                let Some(inode) = state.names.inode_mut(ino) else { return Poll::Ready(()) };
                if inode.pages.is_any_being_written() && !broken {
                    inode.pages.wait(context.waker());
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
        })
        .await;
    }
}

impl Kernel {
    /// Memory is short: what is dirty goes back, so that it may be dropped the next time.
    pub(super) fn write_back_some(&self) {
        let dirty: Vec<Ino> = self.with(|state| {
            let dirty = state.names.inodes_mut().filter(|inode| inode.pages.is_dirty());
            dirty.map(|inode| inode.attr.ino).collect()
        });
        for ino in dirty {
            let written = self.enter(move |thread| async move { thread.write_back(ino).await });
            self.run_in_background(written);
        }
    }
}

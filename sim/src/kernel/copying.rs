//! copy_file_range(2) between two files of the mount (fs/read_write.c, fuse_copy_file_range): one request, or what Linux does
//! where that is refused, which is reading and writing.

use std::ops::Range;
use std::sync::Arc;

use holdfast::error::Errno;
use holdfast::op::{Ino, Op, Reply};

use super::system_call::{SystemCall, Thread};
use super::writing::At;
use super::{Kernel, OpenFile};
use crate::KIB;

/// What a pipe holds, through which Linux copies by itself.
const PIPE_BYTES: u64 = 64 * KIB;

/// Why nothing was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// So many bytes of the source could not be read.
    Source {
        offset: u64,
        len: u64,
        errno: Errno,
    },
    Target(Errno),
}

impl Kernel {
    /// Answers how many bytes were copied: fewer than asked where the source ends, and where what came after failed.
    pub fn copy_range(
        &self,
        from: (&Arc<OpenFile>, u64),
        to: (&Arc<OpenFile>, u64),
        len: u64,
    ) -> SystemCall<Result<u64, CopyError>> {
        let (from, to) = ((from.0.clone(), from.1), (to.0.clone(), to.1));
        self.enter(move |thread| async move { thread.copy_range((&from.0, from.1), (&to.0, to.1), len).await })
    }
}

impl Thread {
    async fn copy_range(
        &self,
        (source, from): (&Arc<OpenFile>, u64),
        (target, to): (&Arc<OpenFile>, u64),
        len: u64,
    ) -> Result<u64, CopyError> {
        if !source.reads || !target.writes || target.appends {
            return Err(CopyError::Target(Errno::EBADF));
        }
        // generic_copy_file_checks
        let size = self.kernel.with(|state| state.names.inode(source.ino()).attr.size);
        let len = len.min(size.saturating_sub(from));
        let overlap = from < to.saturating_add(len) && to < from.saturating_add(len);
        if source.ino() == target.ino() && overlap {
            return Err(CopyError::Target(Errno::EINVAL));
        }
        if len == 0 {
            return Ok(0);
        }
        match self.copy_within((source, from), (target, to), len).await {
            Err(Errno::EOPNOTSUPP) => self.copy_through((source, from), (target, to), len).await,
            outcome => outcome.map_err(CopyError::Target),
        }
    }

    async fn copy_within(
        &self,
        (source, from_offset): (&Arc<OpenFile>, u64),
        (target, to_offset): (&Arc<OpenFile>, u64),
        len: u64,
    ) -> Result<u64, Errno> {
        let locked = self.lock(source.ino(), true).await;
        self.write_back(source.ino()).await;
        drop(locked);
        let ino = target.ino();
        let _locked = self.lock(ino, true).await;
        self.ask_privileges(ino).await;
        self.write_back(ino).await;
        let resizing = self.resizing(ino, true).await;
        let (from, to) = ((source.ino(), source.fh), (ino, target.fh));
        let op = Op::CopyRange { from, from_offset, to, to_offset, len };
        let (watched, outcome) = self.change_bytes(op, &[]).await?;
        drop(resizing);
        match &outcome {
            Ok(Reply::Written(0)) => {}
            Ok(Reply::Written(bytes)) if u64::from(*bytes) <= len => {
                self.copied(ino, to_offset..to_offset + u64::from(*bytes)).await;
            }
            Ok(other) => self.kernel.violated(format!("a COPY_FILE_RANGE of {len} bytes was answered with {other:?}")),
            Err(_) => self.kernel.with(|state| state.names.doubt_attributes(ino)),
        }
        self.kernel.change_ends(watched, Some(outcome.as_ref().map_err(|errno| *errno)));
        outcome.map(|reply| if let Reply::Written(bytes) = reply { bytes.into() } else { 0 })
    }

    /// What the kernel makes of a success.
    async fn copied(&self, ino: Ino, bytes: Range<u64>) {
        let size = self.kernel.with(|state| state.names.inode(ino).attr.size);
        if bytes.end > size {
            self.resized(ino, bytes.end).await;
        } else {
            self.kernel.with(|state| state.names.allocated(ino));
        }
        self.drop_pages(ino, bytes).await;
    }

    /// By reading and writing (splice_copy_file_range).
    async fn copy_through(
        &self,
        (source, from): (&Arc<OpenFile>, u64),
        (target, to): (&Arc<OpenFile>, u64),
        len: u64,
    ) -> Result<u64, CopyError> {
        let mut copied = 0;
        while copied < len {
            let (offset, len) = (from + copied, PIPE_BYTES.min(len - copied));
            let outcome = match self.read(source, offset, len).await {
                Ok(read) if read.is_empty() => break,
                Ok(read) => {
                    let bytes = read.to_vec().into();
                    self.write(target, At::Offset(to + copied), |_| bytes).await.map_err(CopyError::Target)
                }
                Err(errno) => Err(CopyError::Source { offset, len, errno }),
            };
            match outcome {
                Ok(written) => copied += written.bytes,
                Err(error) if copied == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(copied)
    }
}

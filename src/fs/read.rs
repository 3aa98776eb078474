//! Reading a handle: the bytes of its Version, whole or not at all.

use std::sync::Arc;

use crate::env::Env;
use crate::error::FsError;
use crate::fs::Fs;
use crate::op::{Fh, Ino, Reply, Whence};

impl<E: Env> Fs<E> {
    pub(super) async fn read(self: &Arc<Self>, ino: Ino, fh: Fh, offset: u64, len: u32) -> Result<Reply, FsError> {
        let (content, kept) = self.handles.lock().content_of(ino, fh)?;
        // The kernel's page cache belongs to the inode and may use any of its handles: all hold the same Version.
        debug_assert!(self.tree.lock().file(ino).is_ok_and(|file| file.version.etag == content.version().etag));
        content.read(offset, len.into(), kept).await.map(Reply::Data)
    }

    /// Nothing is ever dirty.
    pub(super) fn flush(&self, fh: Fh) -> Result<Reply, FsError> {
        self.handles.lock().content(fh).map(|_| Reply::Done)
    }

    /// An object is all data; its only hole is the one that every file has at its end (lseek(2)).
    pub(super) fn lseek(&self, ino: Ino, offset: i64, whence: Whence) -> Result<Reply, FsError> {
        let size = self.tree.lock().file(ino)?.version.size;
        let offset = u64::try_from(offset).map_err(|_| FsError::PastEnd)?;
        if offset >= size {
            return Err(FsError::PastEnd);
        }
        Ok(Reply::Offset(match whence {
            Whence::Data => offset,
            Whence::Hole => size,
        }))
    }
}

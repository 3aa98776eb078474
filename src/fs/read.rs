//! Reading a handle: the bytes of its Version, whole or not at all.

use std::sync::Arc;

use crate::env::Env;
use crate::error::FsError;
use crate::fs::Fs;
use crate::marks::sometimes;
use crate::op::{Fh, Ino, Reply, Whence};
use crate::zoo::{self, Bug};

impl<E: Env> Fs<E> {
    pub(super) async fn read(self: &Arc<Self>, ino: Ino, fh: Fh, offset: u64, len: u32) -> Result<Reply, FsError> {
        let (content, kept) = self.handles.lock().content_of(ino, fh)?;
        let mut content = content;
        loop {
            let blind = zoo::has(Bug::ReadersSeeOnlyTheBase) && !self.handles.lock().writes(fh);
            if let Some(draft) = self.draft_of(ino).filter(|_| !blind) {
                return draft.read(offset, len.into(), kept).await.map(Reply::Data);
            }
            // The kernel's page cache belongs to the inode and may use any of its handles: all hold the same Version.
            let outcome = content.read(offset, len.into(), kept).await;
            let Err(FsError::LostHold { .. }) = &outcome else { return outcome.map(Reply::Data) };
            // Renamed by this mount meanwhile: the same bytes are to be had at another key.
            let now = self.handles.lock().content_of(ino, fh)?.0;
            if Arc::ptr_eq(&now, &content) {
                return outcome.map(Reply::Data);
            }
            sometimes!(ReadFollowedRename);
            content = now;
        }
    }

    /// A file is all data; its only hole is the one that every file has at its end (lseek(2)).
    pub(super) fn lseek(&self, ino: Ino, offset: i64, whence: Whence) -> Result<Reply, FsError> {
        let tree = self.tree.lock();
        tree.file(ino)?;
        let size = tree.attr(ino)?.size;
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

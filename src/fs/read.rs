//! Reading a handle: the bytes of its Version, whole or not at all.

use std::sync::Arc;

use crate::env::Env;
use crate::env::store::Key;
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
            let draft = self.draft_of(ino).filter(|_| !blind);
            let written_at = draft.as_ref().map(|draft| draft.key());
            // The kernel's page cache belongs to the inode and may use any of its handles: all hold the same Version.
            let outcome = match &draft {
                Some(draft) => draft.read(offset, len.into(), kept).await,
                None => content.read(offset, len.into(), kept).await,
            };
            let Err(FsError::LostHold { .. }) = &outcome else { return outcome.map(Reply::Data) };
            // Renamed by this mount meanwhile, or just now: the same bytes are to be had at another key.
            self.renamed_or_not(ino, written_at.as_ref().unwrap_or(&content.version().key)).await;
            let now = self.handles.lock().content_of(ino, fh)?.0;
            let elsewhere = match &draft {
                Some(draft) => Some(draft.key()) != written_at,
                None => !Arc::ptr_eq(&now, &content),
            };
            if !elsewhere {
                return outcome.map(Reply::Data);
            }
            sometimes!(ReadFollowedRename);
            content = now;
        }
    }

    /// Waits for renames under way of the file, or of a directory above it.
    async fn renamed_or_not(&self, ino: Ino, key: &Key) {
        drop(self.beginnings.of(ino).lock().await);
        drop(self.paths.enter(std::slice::from_ref(key)).await);
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

//! Writing to an open file: into its draft, which every handle of the inode reads.

use bytes::Bytes;

use crate::env::Env;
use crate::error::FsError;
use crate::fs::Fs;
use crate::op::{Allocation, Fh, Ino, Reply};
use crate::zoo::{self, Bug};

impl<E: Env> Fs<E> {
    pub(super) async fn write(&self, ino: Ino, fh: Fh, offset: u64, data: Bytes) -> Result<Reply, FsError> {
        let content = self.handles.lock().written_through(ino, fh)?;
        let draft = self.draft_for_change(ino, content).await?;
        let len = data.len() as u32;
        let appended = draft.write(offset, data).await?;
        self.note_change(ino, &draft)?;
        if appended {
            draft.send_ahead(|object| self.with_attributes(ino, object).ok());
        }
        Ok(Reply::Written(len))
    }

    pub(super) async fn fallocate(
        &self,
        ino: Ino,
        fh: Fh,
        offset: u64,
        len: u64,
        how: Allocation,
    ) -> Result<Reply, FsError> {
        let content = self.handles.lock().written_through(ino, fh)?;
        let draft = self.draft_for_change(ino, content).await?;
        let end = offset.saturating_add(len);
        let size = draft.size();
        match how {
            Allocation::Allocate { keep_size: true } => return Ok(Reply::Done),
            Allocation::Allocate { keep_size: false } if end <= size => return Ok(Reply::Done),
            Allocation::Allocate { keep_size: false } => draft.resize(end).await?,
            Allocation::Punch if zoo::has(Bug::PunchedHoleKeepsItsBytes) => return Ok(Reply::Done),
            Allocation::Punch | Allocation::Zero { keep_size: true } if offset >= size => return Ok(Reply::Done),
            Allocation::Punch | Allocation::Zero { keep_size: true } => draft.zero(offset..end.min(size)).await?,
            Allocation::Zero { keep_size: false } => draft.zero(offset..end).await?,
        };
        self.note_change(ino, &draft)?;
        Ok(Reply::Done)
    }
}

//! Writing to an open file: into its draft, which every handle of the inode reads.

use std::sync::Arc;

use bytes::Bytes;

use crate::data::draft::{Draft, Fate};
use crate::env::Env;
use crate::error::FsError;
use crate::fs::Fs;
use crate::marks::sometimes;
use crate::op::{Allocation, Fh, Ino, Reply};
use crate::zoo::{self, Bug};

/// What one copy_file_range(2) takes at most, as Linux' own (MAX_RW_COUNT).
const COPIED_BYTES_MAX: u64 = (1 << 31) - 4096;

impl<E: Env> Fs<E> {
    pub(super) async fn write(&self, ino: Ino, fh: Fh, offset: u64, data: Bytes) -> Result<Reply, FsError> {
        let content = self.handles.lock().written_through(ino, fh)?;
        let draft = self.draft_for_change(ino, content).await?;
        let len = data.len() as u32;
        let appended = draft.write(offset, data).await?;
        self.note_change(ino, &draft)?;
        if appended {
            draft.send_ahead(len.into(), |object| self.with_attributes(ino, object).ok());
        }
        Ok(Reply::Written(len))
    }

    /// The beginning of a file as that of another, or more of it where that was done before: it will be copied where it is.
    ///
    /// Errors: [`FsError::Unsupported`] for everything else, which Linux then copies by reading and writing.
    pub(super) async fn copy_range(
        &self,
        from: (Ino, Fh),
        from_offset: u64,
        to: (Ino, Fh),
        to_offset: u64,
        len: u64,
    ) -> Result<Reply, FsError> {
        let source = self.handles.lock().content_of(from.0, from.1)?.0;
        let content = self.handles.lock().written_through(to.0, to.1)?;
        // What is not in the bucket, or never will be, is not copied there.
        let elsewhere = |draft: &Arc<Draft<E>>| {
            draft.fate() != Fate::Living || (draft.is_dirty() && !draft.changes_attributes_only())
        };
        let dirty =
            self.draft_of(from.0).is_some_and(|draft| elsewhere(&draft)) && !zoo::has(Bug::CopyOverlooksTheDraft);
        if from.0 == to.0 || dirty || from_offset != to_offset || source.is_superseded() {
            return Err(FsError::Unsupported);
        }
        let draft = self.draft_for_change(to.0, content).await?;
        // The kernel is answered in 32 bits.
        let end = source.version().size.min(to_offset.saturating_add(len.min(COPIED_BYTES_MAX)));
        if end <= to_offset {
            return Ok(Reply::Written(0));
        }
        // It gets another base, which what is just being published would take for its own.
        let _turn = draft.gate.lock().await;
        if !draft.continues_as(&source, to_offset..end).await? {
            return Err(FsError::Unsupported);
        }
        sometimes!(RangeCopied);
        self.note_change(to.0, &draft)?;
        Ok(Reply::Written((end - to_offset) as u32))
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

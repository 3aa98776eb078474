//! The local disk as the core sees it: nameless spool files, and files that are kept.
//!
//! A spool is private to this process and to its run: it has no name, nobody else can open it, and it is gone with its
//! last reference or with the process, however either ends. What must survive a crash is kept: it has a name in the recovery
//! folder, and stays until somebody restores or discards it; or it is an entry of the journal, and stays until it is
//! published.

use std::future::Future;

use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Size of the file system that holds the spools, in bytes.
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("the spool disk is full")]
    Full,
    #[error("spool disk: {0}")]
    Failed(String),
}

/// A note that this mount has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteId(pub u64);

pub trait Disk: Send + Sync + 'static {
    type Spool: Spool;
    type Kept: Kept;

    /// A new, empty file in the recovery folder. Until it is finished it is no more than a spool: a crash may lose it.
    fn create_kept(&self) -> impl Future<Output = Result<Self::Kept, DiskError>> + Send;

    /// A new, empty spool.
    fn create_spool(&self) -> impl Future<Output = Result<Self::Spool, DiskError>> + Send;

    /// Leaves a note to whoever mounts the bucket next, for the case that this mount ends before it is taken back. Notes are
    /// a courtesy: an implementation that keeps none costs tidiness, never data.
    fn leave_note(&self, text: String) -> impl Future<Output = Result<NoteId, DiskError>> + Send {
        drop(text);
        async { Ok(NoteId(0)) }
    }

    /// What it was left for is done.
    fn take_back_note(&self, note: NoteId) -> impl Future<Output = ()> + Send {
        let _ = note;
        async {}
    }

    /// The notes of mounts of this bucket that are gone, and not those of others that live. Each is told once.
    fn notes_left(&self) -> impl Future<Output = Vec<String>> + Send {
        async { Vec::new() }
    }

    /// A new, empty file of the journal: what must be found by the next mount of this bucket if this one ends first. Until it
    /// is finished it is no more than a spool; once it is, it outlives the process and the machine. The answer of
    /// [`Kept::finish`] names it.
    ///
    /// Errors: also where there is no journal, which is what an implementation that keeps none says.
    fn create_entry(&self) -> impl Future<Output = Result<Self::Kept, DiskError>> + Send {
        async { Err(DiskError::Failed("there is no journal".to_string())) }
    }

    /// Replaces what is known of an entry, durably, at one instant.
    fn amend_entry(&self, entry: &str, text: String) -> impl Future<Output = Result<(), DiskError>> + Send {
        let _ = (entry, text);
        async { Err(DiskError::Failed("there is no journal".to_string())) }
    }

    /// Removes an entry, durably.
    fn discard_entry(&self, entry: &str) -> impl Future<Output = Result<(), DiskError>> + Send {
        let _ = entry;
        async { Ok(()) }
    }

    /// The entries of mounts of this bucket that are gone, with what is known of each. They are this mount's from now on.
    fn entries_left(&self) -> impl Future<Output = Vec<(String, String)>> + Send {
        async { Vec::new() }
    }

    /// The bytes of an entry, to be read.
    fn open_entry(&self, entry: &str) -> impl Future<Output = Result<Self::Spool, DiskError>> + Send {
        let _ = entry;
        async { Err(DiskError::Failed("there is no journal".to_string())) }
    }

    /// Room where spools live.
    fn space(&self) -> impl Future<Output = Result<DiskSpace, DiskError>> + Send;
}

pub trait Spool: Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`. On `Err` any part of it may have been written. A completed write is seen by
    /// every later `read_at`. Dropped: any part may be written, at any later time; do not reuse that range.
    fn write_at(&self, offset: u64, bytes: Bytes) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Exactly `len` bytes at `offset`, all of which must have been written.
    fn read_at(&self, offset: u64, len: usize) -> impl Future<Output = Result<Bytes, DiskError>> + Send;
}

/// A file that is being put into the recovery folder, or into the journal. Dropped before it is finished, it is removed.
pub trait Kept: Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`; what no write covers reads as zeros.
    fn write_at(&self, offset: u64, bytes: Bytes) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Makes it durable, `len` bytes long, with its sidecar, and answers where it is, for a person to read. `name`: what it
    /// was called, for a file name that tells; an implementation makes it unique. `sidecar`: what is known of it, as text.
    fn finish(self, name: String, len: u64, sidecar: String) -> impl Future<Output = Result<String, DiskError>> + Send;
}

//! The local disk as the core sees it: nameless spool files.
//!
//! A spool is private to this process and to its run: it has no name, nobody else can open it, and it is gone with its
//! last reference or with the process, however either ends. What must survive a crash does not belong here.

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

pub trait Disk: Send + Sync + 'static {
    type Spool: Spool;

    /// A new, empty spool.
    fn create_spool(&self) -> impl Future<Output = Result<Self::Spool, DiskError>> + Send;

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

//! Writing through mappings.

use bytes::Bytes;
use holdfast::error::Errno;

use super::writing::written_version;
use super::{Mapping, Process};
use crate::content;
use crate::court::{On, What};

impl Process {
    /// Writes through a mapping, as far as the file has anything. Where the file may not be both read and written there is
    /// nothing to write through. An error stands for SIGBUS, and says why.
    pub async fn store(&self, mapping: Mapping, at: u64, bytes: Bytes) -> Result<u64, Errno> {
        let open = self.get(mapping.0);
        let mapping = open.mapping.as_ref().expect("it is a mapping");
        if !open.file.is_for_both() {
            return Ok(0);
        }
        let began = self.court.now();
        let on = On::File { file: open.id, offset: at, len: bytes.len() as u64 };
        let stored = open.kernel.store(mapping, at, bytes).await;
        let stored = self.check("store", began, on, stored)?;
        self.see(began, What::Done { call: "store" });
        Ok(stored)
    }

    /// `len` bytes that name this process, its operation and their offset.
    pub async fn store_named(&self, mapping: Mapping, at: u64, len: u64) -> Result<u64, Errno> {
        let key = self.get(mapping.0).key.clone();
        let version = written_version(self.seat.app, self.op.unwrap_or_default());
        self.store(mapping, at, content::piece(&key, version, at..at.saturating_add(len))).await
    }

    /// msync(2) with MS_SYNC.
    pub async fn msync(&self, mapping: Mapping) -> Result<(), Errno> {
        let open = self.get(mapping.0);
        let mapping = open.mapping.as_ref().expect("it is a mapping");
        let began = self.court.now();
        let synced = open.kernel.msync(mapping).await;
        self.check("msync", began, On::File { file: open.id, offset: 0, len: 0 }, synced)?;
        self.see(began, What::Done { call: "msync" });
        Ok(())
    }
}

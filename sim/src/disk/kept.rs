//! Files of the recovery folder: they outlive the process that wrote them, once they are finished.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use holdfast::env::{DiskError, Kept};

use super::extents::Extents;
use super::{DiskOp, Inner};
use crate::executor::locked;

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Where it is said to be.
    pub place: String,
    /// What it was called.
    pub name: String,
    pub bytes: Bytes,
    /// One JSON object.
    pub sidecar: String,
}

/// Where a file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    Recovery,
    Journal,
}

/// A file that is being put into the recovery folder, or the journal. Dropped before it is finished, it is gone.
pub struct SimKept {
    disk: Arc<Inner>,
    folder: Folder,
    extents: Mutex<Extents>,
}

impl SimKept {
    pub(super) fn new(disk: Arc<Inner>, folder: Folder) -> Self {
        Self { disk, folder, extents: Mutex::default() }
    }

    /// `bytes` more bytes of the disk are in use.
    fn take(&self, bytes: u64) -> Result<(), DiskError> {
        let mut state = locked(&self.disk.state);
        if state.used.saturating_add(bytes) > state.capacity {
            return Err(DiskError::Full);
        }
        state.used += bytes;
        Ok(())
    }
}

impl Kept for SimKept {
    async fn write_at(&self, offset: u64, bytes: Bytes) -> Result<(), DiskError> {
        self.disk.pause().await;
        self.disk.meet_fault(DiskOp::Write)?;
        let mut extents = locked(&self.extents);
        self.take(extents.missing(offset, bytes.len() as u64))?;
        extents.write(offset, bytes);
        Ok(())
    }

    async fn finish(self, name: String, len: u64, sidecar: String) -> Result<String, DiskError> {
        self.disk.pause().await;
        self.disk.meet_fault(DiskOp::Write)?;
        let bytes = {
            let extents = locked(&self.extents);
            let mut bytes = BytesMut::zeroed(len as usize);
            extents.copy_to(&mut bytes);
            bytes.freeze()
        };
        let mut state = locked(&self.disk.state);
        if self.folder == Folder::Journal {
            return Ok(state.journal.add(bytes, sidecar));
        }
        let place = format!("recovery/{}-{name}", state.kept.len() + 1);
        state.kept.push(KeptFile { place: place.clone(), name, bytes, sidecar });
        Ok(place)
    }
}

impl Drop for SimKept {
    /// What was kept is another budget's than that of spools.
    fn drop(&mut self) {
        let held = locked(&self.extents).len();
        locked(&self.disk.state).used -= held;
    }
}

//! The lifeboat: a bounded spool on the local disk for the rest of a replaced object.
//!
//! Once an object has been replaced, only GETs that had begun still deliver the version that readers hold. What they
//! deliver is saved here, at its own offset, so that a pause, a seek or a dying connection no longer loses it. All
//! lifeboats together stay within `--hold-max`, and leave a share of the disk free.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::config::DISK_FREE_PERCENT_MIN;
use crate::data::ranges::Ranges;
use crate::env::{Disk, DiskError, Spool};
use crate::lock::Lock;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

/// The allowance that all lifeboats of a mount share.
#[derive(Debug)]
pub struct Lifeboats {
    bytes_max: u64,
    used: AtomicU64,
}

impl Lifeboats {
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: AtomicU64::new(0) })
    }

    /// Bytes of disk in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: u64) -> bool {
        let max = if zoo::has(Bug::AllowanceIgnored) { u64::MAX } else { self.bytes_max };
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// Why bytes could not be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("--hold-max ({0} bytes) is used up")]
    HoldMax(u64),
    #[error("less than {DISK_FREE_PERCENT_MIN} % of the disk would stay free")]
    DiskShare,
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// One Version's saved bytes; its disk space is freed when it is dropped.
pub struct Lifeboat<S> {
    spool: S,
    fleet: Arc<Lifeboats>,
    saved: Lock<Ranges>,
    /// What disk space was reserved for: saved, being saved, or failed to be.
    reserved: Lock<Ranges>,
}

impl<S: Spool> Lifeboat<S> {
    pub async fn launch<D: Disk<Spool = S>>(disk: &D, fleet: Arc<Lifeboats>) -> Result<Self, Refused> {
        let spool = disk.create_spool().await?;
        Ok(Self { spool, fleet, saved: Lock::default(), reserved: Lock::default() })
    }

    /// Saves the object's bytes at `offset`. After `Ok` they are held until the lifeboat is dropped.
    pub async fn save<D: Disk<Spool = S>>(&self, disk: &D, offset: u64, bytes: Bytes) -> Result<(), Refused> {
        let len = bytes.len() as u64;
        {
            // Two anchors may bring the same bytes; they take disk space once.
            let mut reserved = self.reserved.lock();
            let range = offset..offset + len;
            let wanted = if zoo::has(Bug::AllowanceTakenTwice) { len } else { reserved.missing_bytes(range.clone()) };
            if wanted < len {
                sometimes!(SavedTwice);
            }
            if !self.fleet.reserve(wanted) {
                sometimes!(HoldMaxUsedUp);
                return Err(Refused::HoldMax(self.fleet.bytes_max));
            }
            // From here on the reservation belongs to this lifeboat, also if the write fails half-way.
            reserved.insert(range);
        }
        let space = disk.space().await?;
        if space.free.saturating_sub(len) < space.total / 100 * DISK_FREE_PERCENT_MIN {
            sometimes!(DiskShareUsedUp);
            if !zoo::has(Bug::DiskShareIgnored) {
                return Err(Refused::DiskShare);
            }
        }
        if zoo::has(Bug::SavedBeforeWritten) {
            self.saved.lock().insert(offset..offset + len);
        }
        let written = self.spool.write_at(offset, bytes).await;
        if !zoo::has(Bug::WriteErrorIgnored) {
            written?;
        }
        sometimes!(IntoLifeboat);
        self.saved.lock().insert(offset..offset + len);
        Ok(())
    }

    /// The end of the saved bytes from `offset` on, if there are any.
    pub fn end_of(&self, offset: u64) -> Option<u64> {
        self.saved.lock().end_of(offset)
    }

    pub fn bytes_saved(&self) -> u64 {
        self.saved.lock().bytes()
    }

    /// Saved ranges, ascending.
    pub fn saved(&self) -> Vec<Range<u64>> {
        self.saved.lock().iter().collect()
    }

    /// Saved bytes; the range must have been saved whole.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, DiskError> {
        self.spool.read_at(range.start, (range.end - range.start) as usize).await
    }
}

impl<S> Drop for Lifeboat<S> {
    fn drop(&mut self) {
        let reserved = self.reserved.lock().bytes();
        if zoo::has(Bug::AllowanceNotReturned) {
            return;
        }
        self.fleet.used.fetch_sub(reserved, Ordering::Relaxed);
    }
}

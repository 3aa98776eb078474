//! The lifeboat: a bounded spool on the local disk for the rest of a replaced object.
//!
//! Once an object has been replaced, only GETs that had begun still deliver the version that readers hold. What they
//! deliver is saved here, at its own offset, so that a pause, a seek or a dying connection no longer loses it. All
//! lifeboats together stay within `--hold-max`, and leave a share of the disk free.
//!
//! The disk is not believed: what it gives back is compared with what it was given (see [`crate::data::manifest`]), and
//! what does not fit is given to nobody.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::config::DISK_FREE_PERCENT_MIN;
use crate::data::manifest::{Manifest, seal};
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

/// Why saved bytes could not be had back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// These are not the bytes that were saved, and are saved no longer. Told once, to whoever found it.
    #[error("what the disk gave back is not what was saved")]
    Rotten(Vec<Range<u64>>),
    /// Not saved, or not any more: others found it rotten meanwhile.
    #[error("it is not saved")]
    Missing,
}

/// One Version's saved bytes; its disk space is freed when it is dropped.
pub struct Lifeboat<S> {
    spool: S,
    fleet: Arc<Lifeboats>,
    /// Bytes under one checksum, at most.
    block_bytes: u64,
    manifest: Lock<Manifest>,
    /// What disk space was reserved for: saved, being saved, or failed to be.
    reserved: Lock<Ranges>,
}

impl<S: Spool> Lifeboat<S> {
    pub async fn launch<D: Disk<Spool = S>>(
        disk: &D,
        fleet: Arc<Lifeboats>,
        block_bytes: u64,
    ) -> Result<Self, Refused> {
        let spool = disk.create_spool().await?;
        Ok(Self { spool, fleet, block_bytes, manifest: Lock::default(), reserved: Lock::default() })
    }

    /// Saves the object's bytes at `offset`. After `Ok` they are held until the lifeboat is dropped, or
    /// until the disk is found to have lost them.
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
        let seals = seal(offset, &bytes, self.block_bytes);
        if zoo::has(Bug::SavedBeforeWritten) {
            self.manifest.lock().add(offset, &bytes, &seals);
        }
        let written = self.spool.write_at(offset, bytes.clone()).await;
        if !zoo::has(Bug::WriteErrorIgnored) {
            written?;
        }
        sometimes!(IntoLifeboat);
        self.manifest.lock().add(offset, &bytes, &seals);
        Ok(())
    }

    /// The end of the saved bytes from `offset` on, if there are any.
    pub fn end_of(&self, offset: u64) -> Option<u64> {
        self.manifest.lock().saved().end_of(offset)
    }

    pub fn bytes_saved(&self) -> u64 {
        self.manifest.lock().saved().bytes()
    }

    /// Saved ranges, ascending.
    pub fn saved(&self) -> Vec<Range<u64>> {
        self.manifest.lock().saved().iter().collect()
    }

    /// Saved bytes. Whole fragments are read and compared, so rot beside the range, in its first or last block, counts.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, Unreadable> {
        let seals = self.manifest.lock().covering(range.clone()).ok_or(Unreadable::Missing)?;
        let (Some(first), Some(last)) = (seals.first(), seals.last()) else { return Err(Unreadable::Missing) };
        let wide = first.range().start..last.range().end;
        let within = |part: &Range<u64>| (part.start - wide.start) as usize..(part.end - wide.start) as usize;
        let read = self.spool.read_at(wide.start, (wide.end - wide.start) as usize).await?;
        let mut broken = seals.iter().filter(|seal| !seal.fits(&read[within(&seal.range())])).peekable();
        if broken.peek().is_none() || zoo::has(Bug::SpoolBelieved) {
            return Ok(read.slice(within(&range)));
        }
        // While the disk was busy, another reader may have found the same.
        let mut rotten = Ranges::new();
        for seal in broken {
            if self.manifest.lock().remove(seal) {
                rotten.insert(seal.range());
            }
        }
        sometimes!(RottenLifeboat);
        if rotten.pieces() == 0 { Err(Unreadable::Missing) } else { Err(Unreadable::Rotten(rotten.iter().collect())) }
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

//! A local disk in memory: spools with a capacity, a latency, faults and silent rot on request.
//!
//! Reading what was never written is a bug of the core: it is answered with an error that says so, and counted.

mod extents;
mod journal;
mod kept;
mod notes;

use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use holdfast::env::{Disk, DiskError, DiskSpace, NoteId, Spool};
pub use journal::JournalEntry;
pub use kept::{KeptFile, SimKept};

use crate::executor::{SimHandle, locked};
use crate::rng::SimRng;
use extents::Extents;
use notes::Notes;

/// Neighbouring bytes that rot together, at most.
const FLIPPED_MAX: u64 = 512;

#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Bytes that all spools together may hold.
    pub capacity: u64,
    /// How long each operation takes.
    pub latency: RangeInclusive<Duration>,
}

impl Default for DiskConfig {
    fn default() -> Self {
        let latency = Duration::from_micros(100);
        Self { capacity: 16 << 30, latency: latency..=latency }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    Create,
    Write,
    Read,
    Space,
}

/// The `nth` operation of this kind from now on (from 1; `None`: each of them) fails.
#[derive(Clone, Debug)]
pub struct DiskFault {
    pub op: DiskOp,
    pub nth: Option<u64>,
    pub error: DiskError,
}

/// How a disk harms what it holds while it says that all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rot {
    /// A read answers with some bytes flipped.
    Rots,
    /// Of a write only a prefix arrives; the rest of its range is what was there before, or zeros.
    TornWrite,
    /// A write lands at another offset; its range is what was there before, or zeros.
    MisplacedWrite,
}

impl Rot {
    /// The operation that it befalls.
    pub fn op(self) -> DiskOp {
        match self {
            Self::Rots => DiskOp::Read,
            Self::TornWrite | Self::MisplacedWrite => DiskOp::Write,
        }
    }
}

/// Befalls the `nth` such operation from now on (from 1; `None`: each of them).
#[derive(Clone, Copy, Debug)]
pub struct SilentFault {
    pub what: Rot,
    pub nth: Option<u64>,
}

#[derive(Clone)]
pub struct SimDisk {
    inner: Arc<Inner>,
}

struct Inner {
    handle: SimHandle,
    latency: RangeInclusive<Duration>,
    rng: SimRng,
    state: Mutex<State>,
}

struct State {
    capacity: u64,
    used: u64,
    spools: u64,
    unwritten_reads: u64,
    /// The recovery folder.
    kept: Vec<KeptFile>,
    journal: journal::Journal,
    notes: Notes,
    /// Each with how many operations of its kind it has seen.
    faults: Vec<(DiskFault, u64)>,
    silent: Vec<(SilentFault, u64)>,
}

impl SimDisk {
    pub fn new(handle: SimHandle, config: DiskConfig, seed: u64, label: &str) -> Self {
        let (faults, silent) = (Vec::new(), Vec::new());
        let state = State {
            capacity: config.capacity,
            used: 0,
            spools: 0,
            unwritten_reads: 0,
            kept: Vec::new(),
            journal: journal::Journal::default(),
            notes: Notes::default(),
            faults,
            silent,
        };
        let rng = SimRng::new(seed, label);
        Self { inner: Arc::new(Inner { handle, latency: config.latency, rng, state: Mutex::new(state) }) }
    }

    /// May be less than what is in use: then nothing more can be written.
    pub fn set_capacity(&self, bytes: u64) {
        locked(&self.inner.state).capacity = bytes;
    }

    pub fn fault(&self, fault: DiskFault) {
        locked(&self.inner.state).faults.push((fault, 0));
    }

    pub fn rot(&self, fault: SilentFault) {
        locked(&self.inner.state).silent.push((fault, 0));
    }

    /// What has rotted stays so.
    pub fn clear_faults(&self) {
        let mut state = locked(&self.inner.state);
        state.faults.clear();
        state.silent.clear();
    }

    /// Bytes that all spools together may hold.
    pub fn capacity(&self) -> u64 {
        locked(&self.inner.state).capacity
    }

    /// Bytes in spools now.
    pub fn used_bytes(&self) -> u64 {
        locked(&self.inner.state).used
    }

    /// Spools that exist now.
    pub fn spools(&self) -> u64 {
        locked(&self.inner.state).spools
    }

    /// What is in the recovery folder, oldest first.
    pub fn kept(&self) -> Vec<KeptFile> {
        locked(&self.inner.state).kept.clone()
    }

    /// The mount's process died: what it has left word of is the next one's to finish.
    pub fn orphan_notes(&self) {
        locked(&self.inner.state).notes.orphan();
    }

    /// Notes that are there now.
    pub fn notes(&self) -> Vec<String> {
        locked(&self.inner.state).notes.left()
    }

    /// Whether a note that `fits` was ever left.
    pub fn was_noted(&self, fits: impl Fn(&str) -> bool) -> bool {
        locked(&self.inner.state).notes.ever().iter().any(|text| fits(text))
    }

    /// Reads that touched bytes which nobody had written.
    pub fn unwritten_reads(&self) -> u64 {
        locked(&self.inner.state).unwritten_reads
    }
}

impl Disk for SimDisk {
    type Kept = SimKept;
    type Spool = SimSpool;

    async fn create_kept(&self) -> Result<SimKept, DiskError> {
        self.inner.pause().await;
        self.inner.meet_fault(DiskOp::Create)?;
        Ok(SimKept::new(self.inner.clone(), kept::Folder::Recovery))
    }

    async fn create_entry(&self) -> Result<SimKept, DiskError> {
        self.inner.pause().await;
        self.inner.meet_fault(DiskOp::Create)?;
        Ok(SimKept::new(self.inner.clone(), kept::Folder::Journal))
    }

    async fn amend_entry(&self, entry: &str, text: String) -> Result<(), DiskError> {
        self.inner.pause().await;
        self.inner.meet_fault(DiskOp::Write)?;
        self.amend(entry, text)
    }

    async fn discard_entry(&self, entry: &str) -> Result<(), DiskError> {
        self.inner.pause().await;
        self.discard(entry);
        Ok(())
    }

    async fn entries_left(&self) -> Vec<(String, String)> {
        self.inner.pause().await;
        self.journal().into_iter().map(|entry| (entry.name, entry.text)).collect()
    }

    async fn open_entry(&self, entry: &str) -> Result<SimSpool, DiskError> {
        self.inner.pause().await;
        self.inner.meet_fault(DiskOp::Read)?;
        self.open(entry)
    }

    async fn create_spool(&self) -> Result<SimSpool, DiskError> {
        self.inner.pause().await;
        self.inner.meet_fault(DiskOp::Create)?;
        locked(&self.inner.state).spools += 1;
        Ok(SimSpool { content: Arc::new(SpoolContent { disk: self.inner.clone(), extents: Mutex::default() }) })
    }

    async fn leave_note(&self, text: String) -> Result<NoteId, DiskError> {
        self.inner.pause().await;
        self.inner.meet_fault(DiskOp::Create)?;
        Ok(locked(&self.inner.state).notes.leave(text))
    }

    async fn take_back_note(&self, note: NoteId) {
        self.inner.pause().await;
        locked(&self.inner.state).notes.take_back(note);
    }

    async fn notes_left(&self) -> Vec<String> {
        self.inner.pause().await;
        locked(&self.inner.state).notes.tell()
    }

    async fn space(&self) -> Result<DiskSpace, DiskError> {
        self.inner.pause().await;
        self.inner.meet_fault(DiskOp::Space)?;
        let state = locked(&self.inner.state);
        Ok(DiskSpace { free: state.capacity.saturating_sub(state.used), total: state.capacity })
    }
}

pub struct SimSpool {
    content: Arc<SpoolContent>,
}

struct SpoolContent {
    disk: Arc<Inner>,
    extents: Mutex<Extents>,
}

impl Spool for SimSpool {
    fn write_at(&self, offset: u64, bytes: Bytes) -> impl Future<Output = Result<(), DiskError>> + Send {
        let mut write = PendingWrite { content: &self.content, offset, bytes: Some(bytes) };
        async move {
            write.content.disk.pause().await;
            let rot = write.content.disk.meet_fault(DiskOp::Write)?;
            let bytes = write.bytes.take().expect("taken here only, or by the destructor");
            match rot.filter(|_| !bytes.is_empty()) {
                None => write.content.write(offset, bytes),
                Some(rot) => write.content.write_badly(offset, bytes, rot),
            }
        }
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, DiskError> {
        let disk = &self.content.disk;
        disk.pause().await;
        let rot = disk.meet_fault(DiskOp::Read)?;
        let read = locked(&self.content.extents).read(offset, len);
        let read = read.ok_or_else(|| {
            locked(&disk.state).unwritten_reads += 1;
            DiskError::Failed(format!("bug: {len} bytes at {offset} were not all written"))
        })?;
        Ok(if rot.is_some() { disk.flipped(&read) } else { read })
    }
}

impl SpoolContent {
    fn write(&self, offset: u64, bytes: Bytes) -> Result<(), DiskError> {
        let mut extents = locked(&self.extents);
        let mut state = locked(&self.disk.state);
        let growth = extents.missing(offset, bytes.len() as u64);
        if growth > state.capacity.saturating_sub(state.used) {
            return Err(DiskError::Full);
        }
        state.used += growth;
        extents.write(offset, bytes);
        Ok(())
    }

    /// As [`SpoolContent::write`], as far as anybody is told. Its whole range counts as written: of a file that another
    /// write made long enough, a hole is read as zeros.
    fn write_badly(&self, offset: u64, bytes: Bytes, rot: Rot) -> Result<(), DiskError> {
        let len = bytes.len() as u64;
        let holes = locked(&self.extents).holes(offset, len);
        for hole in holes {
            self.write(hole.start, Bytes::from(vec![0; (hole.end - hole.start) as usize]))?;
        }
        match rot {
            Rot::Rots => self.write(offset, bytes),
            Rot::TornWrite => self.write(offset, bytes.slice(..self.disk.rng.below(len) as usize)),
            Rot::MisplacedWrite => {
                // Anywhere before its end: most likely on something else that was saved.
                let astray = self.disk.rng.below(offset + len);
                self.write(if astray == offset { offset + len } else { astray }, bytes)
            }
        }
    }
}

impl Drop for SpoolContent {
    fn drop(&mut self) {
        let held = locked(&self.extents).len();
        let mut state = locked(&self.disk.state);
        state.used -= held;
        state.spools -= 1;
    }
}

/// A write under way. Dropped before its end, or failed, any part of it may be written at any later time: some prefix is,
/// a little later.
struct PendingWrite<'a> {
    content: &'a Arc<SpoolContent>,
    offset: u64,
    bytes: Option<Bytes>,
}

impl Drop for PendingWrite<'_> {
    fn drop(&mut self) {
        let Some(bytes) = self.bytes.take() else { return };
        let disk = &self.content.disk;
        let prefix = disk.rng.below(bytes.len() as u64 + 1) as usize;
        let delay = Duration::from_micros(disk.rng.below(100_000));
        if prefix == 0 {
            return;
        }
        let (content, offset, handle) = (self.content.clone(), self.offset, disk.handle.clone());
        disk.handle.spawn("disk: rest of an abandoned write", async move {
            handle.sleep(delay).await;
            // A full disk is nobody's concern any more.
            let _ = content.write(offset, bytes.slice(..prefix));
        });
    }
}

impl Inner {
    fn pause(&self) -> impl Future<Output = ()> + Send + use<> {
        self.handle.sleep(self.rng.within(&self.latency))
    }

    /// `Ok`: it succeeds, or seems to.
    fn meet_fault(&self, op: DiskOp) -> Result<Option<Rot>, DiskError> {
        self.handle.note("disk operation", op as u64);
        let mut state = locked(&self.state);
        let mut rot = None;
        for (fault, seen) in state.silent.iter_mut().filter(|(fault, _)| fault.what.op() == op) {
            *seen += 1;
            if fault.nth.is_none_or(|nth| nth == *seen) {
                rot = rot.or(Some(fault.what));
            }
        }
        let mut error = None;
        for (fault, seen) in state.faults.iter_mut().filter(|(fault, _)| fault.op == op) {
            *seen += 1;
            if fault.nth.is_none_or(|nth| nth == *seen) {
                error = error.or_else(|| Some(fault.error.clone()));
            }
        }
        error.map_or(Ok(rot), Err)
    }

    /// One byte of it at least is another.
    fn flipped(&self, bytes: &Bytes) -> Bytes {
        let mut bytes = bytes.to_vec();
        if bytes.is_empty() {
            return bytes.into();
        }
        let at = self.rng.below(bytes.len() as u64) as usize;
        let end = (at + 1 + self.rng.below(FLIPPED_MAX) as usize).min(bytes.len());
        for byte in &mut bytes[at..end] {
            *byte ^= 1 + self.rng.below(255) as u8;
        }
        bytes.into()
    }
}

#[cfg(test)]
mod tests;

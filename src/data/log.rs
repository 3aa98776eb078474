//! The bytes that were written to one file, in the order of writing: append only, so what was given out never changes.
//!
//! They are kept in records. A record stays in memory until the budget is short, and then moves to a spool under a checksum:
//! what the disk gives back otherwise is given to nobody. Offsets are those of the log, not of the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::data::context::Context;
use crate::data::memory::Permit;
use crate::env::{Disk, DiskError, Env, Spool};
use crate::error::FsError;
use crate::lock::Lock;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

/// One file's share of the memory budget, as a divisor: the rest is for readers and for other files.
const MEMORY_SHARE: u64 = 4;

pub struct Log<E: Env> {
    context: Arc<Context<E>>,
    inner: Lock<Inner<SpoolOf<E>>>,
    /// Moving records to the disk, one at a time.
    moving: futures_util::lock::Mutex<()>,
}

type SpoolOf<E> = <<E as Env>::Disk as Disk>::Spool;

struct Inner<S> {
    records: BTreeMap<u64, Record>,
    /// What is not a whole record yet, and where it starts.
    tail: BytesMut,
    tail_at: u64,
    tail_permit: Option<Permit>,
    spool: Option<Arc<S>>,
    spool_end: u64,
    memory_bytes: u64,
}

struct Record {
    len: u64,
    place: Place,
}

enum Place {
    Memory(Bytes, #[expect(dead_code, reason = "gives the memory back when it is dropped")] Permit),
    Spool { at: u64, crc: u32 },
}

/// How a stretch of the log is had.
enum Step {
    Here(Bytes),
    OnDisk { at: u64, len: u64, crc: u32, within: Range<u64> },
}

impl<E: Env> Log<E> {
    pub fn new(context: Arc<Context<E>>) -> Self {
        let inner = Inner {
            records: BTreeMap::new(),
            tail: BytesMut::new(),
            tail_at: 0,
            tail_permit: None,
            spool: None,
            spool_end: 0,
            memory_bytes: 0,
        };
        Self { context, inner: Lock::new(inner), moving: futures_util::lock::Mutex::new(()) }
    }

    /// Bytes written so far.
    pub fn end(&self) -> u64 {
        let inner = self.inner.lock();
        inner.tail_at + inner.tail.len() as u64
    }

    /// Whether it is longer than what may stay in memory.
    pub fn is_long(&self) -> bool {
        self.end() > self.context.config.memory_max / MEMORY_SHARE
    }

    /// Makes room for `bytes` more, by moving records to the disk where memory is short.
    ///
    /// Errors: [`FsError::Disk`] when the disk takes no more; then nothing is lost, and nothing may be appended.
    pub async fn make_room(&self, bytes: u64) -> Result<(), FsError> {
        let share = self.context.config.memory_max / MEMORY_SHARE;
        if self.inner.lock().memory_bytes + bytes <= share && !self.context.memory.is_short_of(bytes) {
            return Ok(());
        }
        let _turn = self.moving.lock().await;
        while self.inner.lock().memory_bytes + bytes > share || self.context.memory.is_short_of(bytes) {
            let oldest = {
                let mut inner = self.inner.lock();
                // A tail that is long enough to be worth a record of its own goes as well.
                if inner.records.values().all(|record| matches!(record.place, Place::Spool { .. })) {
                    inner.seal(&self.context);
                }
                inner.records.iter().find_map(|(at, record)| match &record.place {
                    Place::Memory(bytes, _) => Some((*at, bytes.clone())),
                    Place::Spool { .. } => None,
                })
            };
            let Some((at, bytes)) = oldest else { break };
            self.move_to_disk(at, bytes).await.map_err(FsError::Disk)?;
            sometimes!(WrittenToSpool);
        }
        Ok(())
    }

    async fn move_to_disk(&self, record: u64, bytes: Bytes) -> Result<(), DiskError> {
        let (spool, at) = {
            let inner = self.inner.lock();
            (inner.spool.clone(), inner.spool_end)
        };
        let spool = match spool {
            Some(spool) => spool,
            None => Arc::new(self.context.env.disk().create_spool().await?),
        };
        let (len, crc) = (bytes.len() as u64, crc32fast::hash(&bytes));
        {
            // Whatever becomes of this write, nothing else is ever written there.
            let mut inner = self.inner.lock();
            inner.spool = Some(spool.clone());
            inner.spool_end = at + len;
        }
        spool.write_at(at, bytes).await?;
        let mut inner = self.inner.lock();
        if let Some(moved) = inner.records.get_mut(&record) {
            moved.place = Place::Spool { at, crc };
            inner.memory_bytes -= len;
        }
        Ok(())
    }

    /// Appends `data`, and answers where it is. Never waits; room was made before.
    pub fn append(&self, data: Bytes) -> u64 {
        let mut inner = self.inner.lock();
        let record_bytes = self.context.config.sizes.record_bytes;
        let at = inner.tail_at + inner.tail.len() as u64;
        let len = data.len() as u64;
        // Long writes are records as they are; short ones are gathered.
        if len >= record_bytes / 4 {
            inner.seal(&self.context);
            let permit = self.context.memory.count(len);
            inner.records.insert(at, Record { len, place: Place::Memory(data, permit) });
            inner.tail_at = at + len;
            inner.memory_bytes += len;
            return at;
        }
        inner.tail.extend_from_slice(&data);
        inner.memory_bytes += len;
        if inner.tail_permit.is_none() {
            inner.tail_permit = Some(self.context.memory.count(record_bytes));
        }
        if inner.tail.len() as u64 >= record_bytes {
            inner.seal(&self.context);
        }
        at
    }

    /// The bytes `range` of the log, all of which were appended.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, FsError> {
        let steps = self.inner.lock().steps(range.clone());
        let spool = self.inner.lock().spool.clone();
        let mut joined = BytesMut::new();
        let only_one = steps.len() == 1;
        for step in steps {
            let bytes = match step {
                Step::Here(bytes) => bytes,
                Step::OnDisk { at, len, crc, within } => {
                    let spool = spool.as_ref().ok_or_else(|| gone("its spool is gone"))?;
                    let record = spool.read_at(at, len as usize).await.map_err(FsError::Disk)?;
                    if crc32fast::hash(&record) != crc && !zoo::has(Bug::RottenSpoolBelieved) {
                        sometimes!(RottenSpool);
                        return Err(gone("it gave back other bytes than were written to it"));
                    }
                    record.slice(within.start as usize..within.end as usize)
                }
            };
            if only_one {
                return Ok(bytes);
            }
            joined.extend_from_slice(&bytes);
        }
        Ok(joined.freeze())
    }
}

fn gone(what: &str) -> FsError {
    FsError::Disk(DiskError::Failed(what.to_string()))
}

impl<S> Inner<S> {
    /// What was gathered becomes a record.
    fn seal<E: Env>(&mut self, context: &Context<E>) {
        if self.tail.is_empty() {
            return;
        }
        let bytes = self.tail.split().freeze();
        self.tail_permit = None;
        let (at, len) = (self.tail_at, bytes.len() as u64);
        self.tail_at += len;
        let permit = context.memory.count(len);
        self.records.insert(at, Record { len, place: Place::Memory(bytes, permit) });
    }

    fn steps(&self, range: Range<u64>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = range.start;
        while at < range.end {
            if at >= self.tail_at {
                let from = (at - self.tail_at) as usize;
                let to = (range.end - self.tail_at) as usize;
                steps.push(Step::Here(Bytes::copy_from_slice(&self.tail[from..to])));
                break;
            }
            let (start, record) = self.records.range(..=at).next_back().expect("what was appended is in a record");
            let within = at - start..range.end.min(start + record.len) - start;
            at = start + within.end;
            steps.push(match &record.place {
                Place::Memory(bytes, _) => Step::Here(bytes.slice(within.start as usize..within.end as usize)),
                Place::Spool { at, crc } => Step::OnDisk { at: *at, len: record.len, crc: *crc, within },
            });
        }
        steps
    }
}

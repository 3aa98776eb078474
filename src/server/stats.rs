//! Counters of what was asked and what was sent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Stats {
    counts: Mutex<Counts>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    connections_open: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    requests: BTreeMap<String, u64>,
    statuses: BTreeMap<u16, u64>,
    connections: u64,
}

/// The counters at one moment, since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Requests with a good signature, by S3 operation, e.g. `GetObject`.
    pub requests: BTreeMap<String, u64>,
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes of request bodies received, framing of signed chunks included.
    pub bytes_in: u64,
    /// Bytes of answers' bodies handed to the socket.
    pub bytes_out: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
}

impl StatsSnapshot {
    /// Requests of one kind.
    pub fn count(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or(0)
    }

    /// Requests of all kinds.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::json!({
            "requests": self.requests,
            "statuses": self.statuses,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "connections": self.connections,
            "connections_open": self.connections_open,
        })
        .to_string()
    }
}

impl Stats {
    pub(super) fn request(&self, operation: &str) {
        let mut counts = self.lock();
        match counts.requests.get_mut(operation) {
            Some(count) => *count += 1,
            None => drop(counts.requests.insert(operation.to_owned(), 1)),
        }
    }

    pub(super) fn answer(&self, status: u16) {
        *self.lock().statuses.entry(status).or_default() += 1;
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn snapshot(&self) -> StatsSnapshot {
        let Counts { requests, statuses, connections } = self.lock().clone();
        StatsSnapshot {
            requests,
            statuses,
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            connections,
            connections_open: self.connections_open.load(Relaxed),
        }
    }

    /// Everything to zero but the connections that are open.
    pub(super) fn reset(&self) {
        *self.lock() = Counts::default();
        self.bytes_in.store(0, Relaxed);
        self.bytes_out.store(0, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, counted as open until this is dropped.
pub(super) struct Counted(Arc<Stats>);

impl Counted {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        stats.lock().connections += 1;
        stats.connections_open.fetch_add(1, Relaxed);
        Self(stats)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Relaxed);
    }
}

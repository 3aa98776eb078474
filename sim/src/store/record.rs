//! What the server was asked and what it delivered, for assertions and reports.

use std::collections::BTreeMap;

use holdfast::env::Time;
use holdfast::env::store::{ETag, ErrorKind, Key};

use super::fault::FaultKind;
use super::request::{Asked, Kind};

/// One request, in the order of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub sent_at: Time,
    pub asked: Asked,
    /// `None`: not yet, or never, answered.
    pub outcome: Option<Result<(), ErrorKind>>,
}

/// A snapshot of the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    by_kind: BTreeMap<Kind, u64>,
    /// Of bodies of GETs, as far as somebody took them.
    pub bytes_delivered: u64,
}

impl Requests {
    pub fn of(&self, kind: Kind) -> u64 {
        self.by_kind.get(&kind).copied().unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.by_kind.values().sum()
    }
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Suffered {
    Fault(FaultKind),
    Outage,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    requests: Requests,
    log: Vec<LogEntry>,
    /// In the order of time.
    suffered: Vec<(Time, Suffered)>,
    /// Bodies that are being read, by key.
    pub(super) in_flight: BTreeMap<Key, u64>,
    pub(super) bodies_open: u64,
    /// Bytes of each content that clients were given.
    delivered: BTreeMap<Key, Vec<(ETag, u64)>>,
}

/// An entry's place in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogIndex(usize);

impl Record {
    pub(super) fn sent(&mut self, asked: Asked, sent_at: Time) -> LogIndex {
        *self.requests.by_kind.entry(asked.kind).or_default() += 1;
        self.log.push(LogEntry { sent_at, asked, outcome: None });
        LogIndex(self.log.len() - 1)
    }

    pub(super) fn suffered(&mut self, at: Time, what: impl Iterator<Item = FaultKind>) {
        self.suffered.extend(what.map(|what| (at, Suffered::Fault(what))));
    }

    pub(super) fn has_suffered(&self, since: Time, until: Time, fits: &dyn Fn(&Suffered) -> bool) -> bool {
        let first = self.suffered.partition_point(|(at, _)| *at < since);
        self.suffered[first..].iter().take_while(|(at, _)| *at <= until).any(|(_, what)| fits(what))
    }

    pub(super) fn each(&self, from: usize, look: impl FnMut(&LogEntry)) -> usize {
        self.log[from.min(self.log.len())..].iter().for_each(look);
        self.log.len()
    }

    pub(super) fn answered(&mut self, index: LogIndex, outcome: Result<(), ErrorKind>) {
        if let Some(entry) = self.log.get_mut(index.0) {
            entry.outcome = Some(outcome);
        }
    }

    pub(super) fn delivered(&mut self, key: &Key, etag: &ETag, bytes: u64) {
        self.requests.bytes_delivered += bytes;
        if !self.delivered.contains_key(key) {
            self.delivered.insert(key.clone(), Vec::new());
        }
        let Some(contents) = self.delivered.get_mut(key) else { return };
        match contents.iter_mut().rev().find(|(of, _)| of == etag) {
            Some((_, sum)) => *sum += bytes,
            None => contents.push((etag.clone(), bytes)),
        }
    }

    pub(super) fn delivered_of(&self, key: &str, etag: &ETag) -> u64 {
        let contents = self.delivered.get(&Key::from(key)).into_iter().flatten();
        contents.filter(|(of, _)| of == etag).map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    pub(super) fn log(&self) -> Vec<LogEntry> {
        self.log.clone()
    }
}

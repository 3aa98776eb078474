//! What the server was asked and what it delivered, for assertions and reports.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast::env::Time;
use holdfast::env::store::{ETag, ErrorKind, Key, StoreError};

use super::fault::FaultKind;
use super::request::{Asked, Kind};

/// One request, in the order of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub sent_at: Time,
    pub asked: Asked,
    /// `None`: not yet, or never, answered.
    pub outcome: Option<Result<(), ErrorKind>>,
    /// When whoever asked learnt the outcome.
    pub answered_at: Option<Time>,
    /// What a refusal asked for.
    pub retry_after: Option<Duration>,
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

/// Something that went wrong with a request, and with which.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// When the request was sent; a body's trouble may come long after.
    pub at: Time,
    pub kind: Kind,
    /// As in [`Asked`].
    pub keys: Vec<Key>,
    pub what: FaultKind,
}

impl Hit {
    /// Whether what is said of `key` may rest on that request.
    pub fn concerns(&self, key: &str) -> bool {
        self.keys.iter().any(|asked| {
            let asked = asked.as_str();
            match self.kind {
                // Of the directory that the key is in, or of what is beneath the key.
                Kind::List => key.starts_with(asked) || asked.starts_with(key),
                _ => asked == key,
            }
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Record {
    requests: Requests,
    log: Vec<LogEntry>,
    /// In the order of time.
    hits: Vec<Hit>,
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
        self.log.push(LogEntry { sent_at, asked, outcome: None, answered_at: None, retry_after: None });
        LogIndex(self.log.len() - 1)
    }

    pub(super) fn suffered<'a>(&mut self, at: Time, asked: &Asked, what: impl Iterator<Item = &'a FaultKind>) {
        let hit = |what: &FaultKind| Hit { at, kind: asked.kind, keys: asked.keys.clone(), what: what.clone() };
        self.hits.extend(what.map(hit));
    }

    pub(super) fn has_suffered(&self, since: Time, until: Time, fits: &dyn Fn(&Suffered) -> bool) -> bool {
        let first = self.hits.partition_point(|hit| hit.at < since);
        let within = self.hits[first..].iter().take_while(|hit| hit.at <= until);
        within.map(|hit| Suffered::Fault(hit.what.clone())).any(|what| fits(&what))
    }

    pub(super) fn each_hit(&self, look: impl FnMut(&Hit)) {
        self.hits.iter().for_each(look);
    }

    pub(super) fn each(&self, from: usize, look: impl FnMut(&LogEntry)) -> usize {
        self.log[from.min(self.log.len())..].iter().for_each(look);
        self.log.len()
    }

    pub(super) fn answered(&mut self, index: LogIndex, at: Time, outcome: Result<(), &StoreError>) {
        if let Some(entry) = self.log.get_mut(index.0) {
            entry.outcome = Some(outcome.map_err(|error| error.kind));
            entry.answered_at = Some(at);
            entry.retry_after = outcome.err().and_then(|error| error.retry_after);
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

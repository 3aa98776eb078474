//! A record of one run: who called what when and whose bytes came back, what was asked of S3 and what it delivered, what
//! others changed meanwhile, and what was found.
//!
//! A [`Recording`] is plain data that outlives its world. [`crate::run::record`] makes one; a plain run makes none and
//! pays one check an event. It records what happened, of the core only what it says to its log, and judges nothing. [`trace`] prints
//! it as lines of text, [`crate::report`] as a picture.
//!
//! Invariants: lists are in the order in which things began; equal scenarios give equal recordings.

mod log;
mod pieces;
mod recorder;
pub mod trace;
pub mod words;

use std::ops::Range;

use holdfast::env::Time;
use holdfast::env::store::ErrorKind;
use holdfast::error::Errno;

use crate::content::Version;
use crate::court::{FileId, Finding, Seat};
use crate::scenario::{Call, OpId};
use crate::store::{Asked, FaultKind};

pub(crate) use log::Scribe;
pub use pieces::{Origin, Piece};
pub(crate) use recorder::{Recorder, RequestId};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    pub ops: Vec<OpRecord>,
    /// In the order in which they were answered.
    pub calls: Vec<CallRecord>,
    pub files: Vec<FileRecord>,
    pub requests: Vec<RequestRecord>,
    pub mutations: Vec<MutationRecord>,
    pub outages: Vec<Range<Time>>,
    /// What the core logged.
    pub sayings: Vec<LogRecord>,
    /// When the scenario's faults, mutations and applications were over and every mount was looked at.
    pub calm_at: Option<Time>,
    pub findings: Vec<Finding>,
    pub ended: Time,
}

/// One operation of the scenario. It may make several system calls, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpRecord {
    pub id: OpId,
    pub seat: Seat,
    pub call: Call,
    pub began: Time,
    /// `None`: the run was over before.
    pub ended: Option<Time>,
    /// Requests that had been sent when it began: what counts "since" it counts from this one.
    pub requests_before: usize,
}

/// One system call, or a piece of one, as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    pub seat: Seat,
    pub op: Option<OpId>,
    pub call: &'static str,
    pub key: Option<String>,
    pub file: Option<FileId>,
    /// The bytes asked for.
    pub range: Option<Range<u64>>,
    pub began: Time,
    pub ended: Time,
    pub result: Result<Seen, Errno>,
}

/// What a call that succeeded brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    /// `None`: a version that nobody published.
    Opened(Option<Version>),
    /// In the order of their offsets.
    Bytes(Vec<Piece>),
    /// `None`: those of no version of the key.
    Attributes {
        size: u64,
        version: Option<Version>,
    },
    Names(Vec<String>),
    Offset(u64),
    Target(String),
}

/// An open file from its open to its last close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord {
    pub file: FileId,
    pub seat: Seat,
    pub op: Option<OpId>,
    pub key: String,
    /// What its open pinned; `None`: nobody published it.
    pub version: Option<Version>,
    pub opened: Time,
    /// `None`: nobody closed it.
    pub closed: Option<Time>,
}

/// A request to S3.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRecord {
    /// `None`: not of a mount.
    pub mount: Option<u8>,
    pub asked: Asked,
    pub faults: Vec<FaultKind>,
    pub sent: Time,
    /// `None`: the server never did, or refused.
    pub applied: Option<Time>,
    pub outcome: Answer,
    /// The version that a GET or a HEAD was answered with.
    pub version: Option<Version>,
    /// The keys and prefixes of a page.
    pub listed: Vec<String>,
    pub body: Option<BodyRecord>,
}

/// How a request ended for who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The run was over before.
    Pending,
    GivenUp(Time),
    Came(Time, Result<(), ErrorKind>),
}

/// What came of a GET's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyRecord {
    /// Of the object, as the header said.
    pub range: Range<u64>,
    pub chunks: Vec<Chunk>,
    /// When the reader let go of it; `None`: never.
    pub closed: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub at: Time,
    pub bytes: u64,
}

/// A change of the bucket by somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutationRecord {
    pub at: Time,
    pub key: String,
    /// Version and size; `None`: the key was deleted.
    pub now: Option<(Version, u64)>,
    /// Which of the scenario's; `None`: one of the objects that it began with.
    pub number: Option<usize>,
    /// The request that it was tied to.
    pub request: Option<usize>,
}

/// A line of the core's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    pub at: Time,
    /// As in `WARN`.
    pub level: &'static str,
    pub message: String,
}

impl RequestRecord {
    /// When nothing more of it came.
    pub fn over(&self, run_ended: Time) -> Time {
        let answered = match self.outcome {
            Answer::Pending => run_ended,
            Answer::GivenUp(at) | Answer::Came(at, _) => at,
        };
        let Some(body) = &self.body else { return answered };
        let last = body.chunks.last().map_or(answered, |chunk| chunk.at);
        match self.outcome {
            Answer::Came(..) => body.closed.unwrap_or(run_ended).max(last).max(answered),
            Answer::Pending | Answer::GivenUp(_) => answered,
        }
    }

    pub fn bytes_delivered(&self) -> u64 {
        self.body.iter().flat_map(|body| &body.chunks).map(|chunk| chunk.bytes).sum()
    }
}

impl OpRecord {
    pub fn over(&self, run_ended: Time) -> Time {
        self.ended.unwrap_or(run_ended)
    }
}

#[cfg(test)]
pub(crate) mod tests;

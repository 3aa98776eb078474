//! The pen of a [`Recording`]: what the court, the store and the history of one world write to while it runs.
//!
//! Writes only. It takes no other lock, so that it may be called with any held; and it holds nothing of the world.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use holdfast::env::Time;
use holdfast::env::store::{ErrorKind, Key};
use holdfast::op::Attr;

use super::pieces::{Origin, Piece, pieces};
use super::{
    Answer, BodyRecord, CallRecord, Chunk, FileRecord, LogRecord, MutationRecord, OpRecord, Recording, RequestRecord,
    Seen,
};
use crate::content::Version;
use crate::court::{Described, FileId, Finding, Held, On, Seat, Sight, Truth, What};
use crate::executor::locked;
use crate::history::Change;
use crate::scenario::{AppOp, OpId};
use crate::store::{Asked, FaultKind};

/// Clones write the same recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    book: Arc<Mutex<Book>>,
}

/// A request's place in the recording.
pub(crate) type RequestId = usize;

#[derive(Debug, Default)]
struct Book {
    recording: Recording,
    /// Every content that a key ever had, by its ETag.
    contents: Vec<Content>,
    /// The scenario's mutation that is being applied, and the request that it is tied to.
    mutation: Option<usize>,
    request: Option<RequestId>,
    over: bool,
}

#[derive(Debug)]
struct Content {
    key: Key,
    etag: String,
    last_modified: i64,
    version: Version,
    size: u64,
}

impl Recorder {
    pub(crate) fn finish(&self, findings: Vec<Finding>, ended: Time) -> Recording {
        let mut recording = locked(&self.book).recording.clone();
        // Whoever waits when the run ends does not give up: the run lets go of him.
        for request in recording.requests.iter_mut().filter(|request| request.outcome == Answer::GivenUp(ended)) {
            request.outcome = Answer::Pending;
        }
        Recording { findings, ended, ..recording }
    }

    /// Nothing that happens from now on is written down: the world is being torn down.
    pub(crate) fn stop(&self) {
        locked(&self.book).over = true;
    }

    pub(crate) fn calm(&self, at: Time) {
        locked(&self.book).recording.calm_at = Some(at);
    }

    pub(crate) fn said(&self, at: Time, level: &'static str, message: String) {
        let mut book = locked(&self.book);
        if !book.over {
            book.recording.sayings.push(LogRecord { at, level, message });
        }
    }

    // Applications.

    pub(crate) fn op_began(&self, seat: Seat, op: &AppOp, began: Time) {
        let recording = &mut locked(&self.book).recording;
        let requests_before = recording.requests.len();
        let call = op.call.clone();
        recording.ops.push(OpRecord { id: op.id, seat, call, began, ended: None, requests_before });
    }

    pub(crate) fn op_ended(&self, id: OpId, ended: Time) {
        let recording = &mut locked(&self.book).recording;
        if let Some(op) = recording.ops.iter_mut().rfind(|op| op.id == id) {
            op.ended = Some(ended);
        }
    }

    pub(crate) fn opened(&self, file: FileId, op: Option<OpId>, held: &Held) {
        let version = held.published.as_ref().map(|published| published.version);
        let (seat, key, opened) = (held.seat, held.key.clone(), held.opened_at);
        locked(&self.book).recording.files.push(FileRecord { file, seat, op, key, version, opened, closed: None });
    }

    pub(crate) fn saw(&self, truth: &Truth, sight: &Sight<'_>) {
        let mut book = locked(&self.book);
        let Some(call) = book.call(truth, sight) else { return };
        if let What::Closed { file } = sight.what
            && let Some(record) = book.recording.files.iter_mut().rfind(|record| record.file == file)
        {
            record.closed = Some(sight.ended);
        }
        book.recording.calls.push(call);
    }

    // The store.

    pub(crate) fn sent(&self, mount: Option<u8>, asked: &Asked, faults: Vec<FaultKind>, sent: Time) -> RequestId {
        let requests = &mut locked(&self.book).recording.requests;
        let asked = asked.clone();
        requests.push(RequestRecord {
            mount,
            asked,
            faults,
            sent,
            applied: None,
            outcome: Answer::Pending,
            version: None,
            listed: Vec::new(),
            body: None,
        });
        requests.len() - 1
    }

    pub(crate) fn applied(&self, id: RequestId, at: Time) {
        self.request(id, |request| request.applied = Some(at));
    }

    pub(crate) fn answered(&self, id: RequestId, at: Time, outcome: Result<(), ErrorKind>) {
        self.request(id, |request| request.outcome = Answer::Came(at, outcome));
    }

    pub(crate) fn given_up(&self, id: RequestId, at: Time) {
        self.request(id, |request| request.outcome = Answer::GivenUp(at));
    }

    /// A GET or a HEAD was answered with this content.
    pub(crate) fn gives(&self, id: RequestId, key: &Key, etag: &str) {
        let mut book = locked(&self.book);
        let version = book.contents.iter().rfind(|content| content.key == *key && content.etag == etag);
        let version = version.map(|content| content.version);
        book.recording.requests[id].version = version;
    }

    pub(crate) fn listed(&self, id: RequestId, names: Vec<String>) {
        self.request(id, |request| request.listed = names);
    }

    pub(crate) fn body_begins(&self, id: RequestId, range: Range<u64>) {
        self.request(id, |request| request.body = Some(BodyRecord { range, chunks: Vec::new(), closed: None }));
    }

    pub(crate) fn delivered(&self, id: RequestId, at: Time, bytes: u64) {
        self.request(id, |request| {
            if let Some(body) = &mut request.body {
                body.chunks.push(Chunk { at, bytes });
            }
        });
    }

    pub(crate) fn body_closed(&self, id: RequestId, at: Time) {
        self.request(id, |request| {
            if let Some(body) = &mut request.body {
                body.closed = Some(at);
            }
        });
    }

    pub(crate) fn outage(&self, span: Range<Time>) {
        locked(&self.book).recording.outages.push(span);
    }

    // Others.

    /// What changes until [`Recorder::acts_for`] is told otherwise happens because of this request.
    pub(crate) fn acts_for(&self, request: Option<RequestId>) {
        locked(&self.book).request = request;
    }

    /// The next change is this mutation of the scenario.
    pub(crate) fn mutates(&self, number: usize) {
        locked(&self.book).mutation = Some(number);
    }

    pub(crate) fn changed(&self, key: &Key, change: &Change) {
        let mut book = locked(&self.book);
        if let Some(now) = &change.now {
            let (etag, last_modified) = (now.etag.as_str().to_owned(), now.last_modified);
            let content = Content { key: key.clone(), etag, last_modified, version: now.version, size: now.size };
            book.contents.push(content);
        }
        let (number, request) = (book.mutation.take(), book.request);
        let now = change.now.as_ref().map(|now| (now.version, now.size));
        let key = key.as_str().to_owned();
        book.recording.mutations.push(MutationRecord { at: change.at, key, now, number, request });
    }

    fn request(&self, id: RequestId, change: impl FnOnce(&mut RequestRecord)) {
        let mut book = locked(&self.book);
        if !book.over {
            change(&mut book.recording.requests[id]);
        }
    }
}

impl Book {
    /// `None`: nothing that an application did.
    fn call(&self, truth: &Truth, sight: &Sight<'_>) -> Option<CallRecord> {
        let of = |file: &FileId| truth.files.get(file).map(|held| held.key.clone());
        let name = |key: &&str| Some((*key).to_owned());
        let (call, key, file, range, result) = match &sight.what {
            What::Opened { file, .. } => {
                let version = truth.published(*file).map(|(_, published)| published.version);
                ("open", of(file), Some(*file), None, Ok(Seen::Opened(version)))
            }
            What::Bytes { file, offset, asked, bytes, mismatch } => {
                let rows = match truth.published(*file) {
                    Some((_, published)) if mismatch.is_none() => {
                        let row = Piece { origin: Origin::Version(published.version), bytes: bytes.len() as u64 };
                        if bytes.is_empty() { Vec::new() } else { vec![row] }
                    }
                    _ => pieces(&of(file).unwrap_or_default(), bytes, *offset),
                };
                ("read", of(file), Some(*file), Some(*offset..offset + asked), Ok(Seen::Bytes(rows)))
            }
            What::Fstat { file, attr } => {
                let key = of(file);
                let seen = self.attributes(key.as_deref(), attr);
                ("fstat", key, Some(*file), None, Ok(seen))
            }
            What::Stat { key, attr } => ("stat", name(key), None, None, Ok(self.attributes(Some(key), attr))),
            What::Link { key, target } => {
                let target = String::from_utf8_lossy(target).into_owned();
                ("readlink", name(key), None, None, Ok(Seen::Target(target)))
            }
            What::Listed { key, entries, .. } => {
                let names = entries.iter().map(|entry| entry.name.clone()).collect();
                ("readdir", name(key), None, None, Ok(Seen::Names(names)))
            }
            What::Closed { file } => ("close", of(file), Some(*file), None, Ok(Seen::Nothing)),
            What::Sought { file, to, .. } => ("lseek", of(file), Some(*file), None, Ok(Seen::Offset(*to))),
            What::Done { call } => (*call, None, None, None, Ok(Seen::Nothing)),
            What::Failed { call, on, errno } => match on {
                On::Key(key) | On::Rename { from: key, .. } => (*call, name(key), None, None, Err(*errno)),
                On::File { file, offset, len } => {
                    let range = (*len > 0).then(|| *offset..offset.saturating_add(*len));
                    (*call, of(file), Some(*file), range, Err(*errno))
                }
                On::Nothing => (*call, None, None, None, Err(*errno)),
            },
            What::Attribute { of: Described::File(file), .. } => {
                ("getxattr", of(file), Some(*file), None, Ok(Seen::Nothing))
            }
            What::Attribute { of: Described::Path { key, .. }, .. } => {
                ("getxattr", name(key), None, None, Ok(Seen::Nothing))
            }
            What::AttributeNames { key, .. } => ("listxattr", name(key), None, None, Ok(Seen::Nothing)),
            What::Crashed => ("crash of the mount", None, None, None, Ok(Seen::Nothing)),
            What::Named { .. }
            | What::Altered(_)
            | What::Broken { .. }
            | What::Rest(_)
            | What::Stuck(_)
            | What::Panicked(_) => {
                return None;
            }
        };
        let began = sight.began.max(self.last_end_of(sight)).min(sight.ended);
        let Sight { seat, op, ended, .. } = *sight;
        Some(CallRecord { seat, op, call, key, file, range, began, ended, result })
    }

    /// An open may be told to have begun with an earlier one whose answer it shares. Its caller made no call before the
    /// one before was over.
    fn last_end_of(&self, sight: &Sight<'_>) -> Time {
        let op = self.recording.ops.iter().rfind(|op| Some(op.id) == sight.op).map(|op| op.began);
        let call = self.recording.calls.iter().rfind(|call| call.seat == sight.seat && call.op == sight.op);
        op.max(call.map(|call| call.ended)).unwrap_or_default()
    }

    fn attributes(&self, key: Option<&str>, attr: &Attr) -> Seen {
        let fits = |content: &&Content| {
            Some(content.key.as_str()) == key && content.size == attr.size && content.last_modified == attr.mtime
        };
        let version = self.contents.iter().rev().find(fits).map(|content| content.version);
        Seen::Attributes { size: attr.size, version }
    }
}

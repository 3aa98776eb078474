//! An upload that is begun while its file is still being written, so that little is left to be sent when it is closed.
//!
//! What is appended is sent as soon as it fills a part. Nothing that was sent is believed: when the file is published, a part
//! counts only if the file is still made of the very pieces of the log that were sent as that part. A write into the middle
//! or a truncation therefore costs sending those parts again, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use event_listener::Event;

use crate::config::PARTS_AT_ONCE;
use crate::data::context::Context;
use crate::data::draft::Draft;
use crate::data::log::Log;
use crate::data::overlay::Run;
use crate::data::plan::{Grid, Numbered};
use crate::data::publish::Snapshot;
use crate::data::requests::Work;
use crate::data::upload::Upload;
use crate::env::store::{ETag, Key, NewObject, Store, UploadPart};
use crate::env::{Env, Spawn};
use crate::lock::Lock;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

pub(super) struct Ahead<E: Env> {
    context: Arc<Context<E>>,
    key: Key,
    /// The attributes with which it is begun.
    object: NewObject,
    /// How often the user had set some by then.
    attributes: u64,
    log: Arc<Log<E>>,
    grid: Grid,
    inner: Lock<Inner>,
    worker_left: Event,
}

struct Inner {
    begun: Begun,
    /// No further part is begun.
    closed: bool,
    workers: usize,
    /// Of the grid: the first part that nobody has begun to send.
    next: u64,
    sent: BTreeMap<u64, Sent>,
}

enum Begun {
    NotYet,
    Open(Upload),
    /// It could not be, or somebody else has it by now.
    Over,
}

/// A part in the bucket, and what it is made of.
struct Sent {
    runs: Vec<Run>,
    etag: ETag,
}

/// An upload for a publication to go on with.
pub(super) struct Taken {
    pub upload: Upload,
    /// All parts of the file.
    pub parts: Vec<Numbered>,
    /// How often the user had set attributes when it was begun.
    pub attributes: u64,
}

impl<E: Env> Ahead<E> {
    /// `None`: there is too little of the file yet.
    pub fn new(snapshot: &Snapshot<E>, object: impl FnOnce() -> Option<NewObject>) -> Option<Arc<Self>> {
        let grid = Grid::after(snapshot.copied_prefix(), snapshot.overlay.size(), &snapshot.context.config.sizes)?;
        Some(Arc::new(Self {
            context: snapshot.context.clone(),
            key: snapshot.key.clone(),
            object: object()?,
            attributes: snapshot.attributes,
            log: snapshot.log.clone(),
            grid,
            inner: Lock::new(Inner { begun: Begun::NotYet, closed: false, workers: 0, next: 0, sent: BTreeMap::new() }),
            worker_left: Event::new(),
        }))
    }

    /// Whether it is of what the draft is now. One that failed still is: no other is begun until the file is published, or each
    /// write would try.
    pub fn serves(&self, key: &Key, log: &Arc<Log<E>>) -> bool {
        self.key == *key && Arc::ptr_eq(&self.log, log)
    }

    /// Sends what is whole by now of a file of `size` bytes, beside the caller.
    pub fn employ(self: &Arc<Self>, draft: &Arc<Draft<E>>, size: u64) {
        let spawned = {
            let mut inner = self.inner.lock();
            let whole = (0..PARTS_AT_ONCE as u64).take_while(|n| self.grid.part(inner.next + n).end <= size).count();
            // The first one begins the upload for all.
            let wanted = if matches!(inner.begun, Begun::Open(_)) { whole } else { whole.min(1) };
            let wanted = if inner.closed { 0 } else { wanted };
            let spawned = wanted.saturating_sub(inner.workers);
            inner.workers += spawned;
            spawned
        };
        for _ in 0..spawned {
            let (ahead, draft) = (self.clone(), Arc::downgrade(draft));
            self.context.env.spawn().spawn("send a part ahead", async move {
                let _here = Worker(&ahead);
                if ahead.begin(&draft).await {
                    while ahead.send_next(&draft).await {}
                }
            });
        }
    }

    /// Whether there is an upload to send parts to.
    async fn begin(self: &Arc<Self>, draft: &Weak<Draft<E>>) -> bool {
        if !matches!(self.inner.lock().begun, Begun::NotYet) {
            return true;
        }
        let begun = self.context.begin_upload(&self.key, &self.object).await;
        let mut inner = self.inner.lock();
        match begun {
            Ok(upload) => inner.begun = Begun::Open(upload),
            Err(error) => {
                // Who publishes the file tries again, and is told.
                tracing::debug!("{:?}: no upload could be begun ahead of its close: {error}", self.key);
                (inner.begun, inner.closed) = (Begun::Over, true);
                return false;
            }
        }
        drop(inner);
        sometimes!(UploadBegunAhead);
        if let Some(draft) = draft.upgrade() {
            self.employ(&draft, draft.size());
        }
        true
    }

    /// False: there is nothing to be sent now.
    async fn send_next(&self, draft: &Weak<Draft<E>>) -> bool {
        let Some(draft) = draft.upgrade() else { return false };
        let snapshot = draft.snapshot();
        drop(draft);
        let (n, range, upload) = {
            let mut inner = self.inner.lock();
            let range = self.grid.part(inner.next);
            let Begun::Open(upload) = &inner.begun else { return false };
            let usable = !inner.closed && Arc::ptr_eq(&snapshot.log, &self.log) && snapshot.overlay.size() >= range.end;
            // It would be in memory twice.
            if !usable || self.context.memory.is_short_of(range.end - range.start) {
                return false;
            }
            let upload = upload.id.clone();
            let n = inner.next;
            inner.next += 1;
            (n, range, upload)
        };
        let _place = self.context.sends.join(range.end - range.start).await;
        let Ok(body) = snapshot.body(range.clone()).await else { return false };
        let _counted = self.context.memory.count(body.len() as u64);
        let runs = snapshot.overlay.runs(range);
        drop(snapshot);
        let request = UploadPart { key: self.key.clone(), upload, number: self.grid.number(n), body };
        // Once somebody waits for the upload, what fails is his to send.
        let wanted = || !self.inner.lock().closed;
        let store = self.context.env.store();
        let work = Work::Sending(request.body.len() as u64);
        match self.context.persist_while(work, wanted, || store.upload_part(request.clone())).await {
            Ok(etag) => {
                sometimes!(PartSentAhead);
                self.inner.lock().sent.insert(n, Sent { runs, etag });
                true
            }
            Err(error) => {
                tracing::debug!("{:?}: a part could not be sent ahead of its close: {error}", self.key);
                self.inner.lock().closed = true;
                false
            }
        }
    }

    /// The upload, for `snapshot` to be published by. `None`: it is of no use to it.
    pub async fn take_over(&self, snapshot: &Snapshot<E>) -> Option<Taken> {
        loop {
            let left = {
                let mut inner = self.inner.lock();
                inner.closed = true;
                if inner.workers == 0 {
                    break;
                }
                self.worker_left.listen()
            };
            left.await;
        }
        let mut inner = self.inner.lock();
        if !self.serves(&snapshot.key, &snapshot.log) || snapshot.copied_prefix() < self.grid.origin() {
            return None;
        }
        let mut parts = self.grid.cut(snapshot.overlay.size())?;
        let Begun::Open(upload) = std::mem::replace(&mut inner.begun, Begun::Over) else { return None };
        let counts = |n: u64, sent: &Sent| {
            sent.runs == snapshot.overlay.runs(self.grid.part(n)) || zoo::has(Bug::StalePartCompleted)
        };
        for (n, sent) in &inner.sent {
            let number = self.grid.number(*n);
            let there = parts.iter_mut().find(|part| part.number == number);
            match there.filter(|_| counts(*n, sent)) {
                Some(part) => part.sent = Some(sent.etag.clone()),
                None => sometimes!(PartSentInVain),
            }
        }
        Some(Taken { upload, parts, attributes: self.attributes })
    }
}

impl<E: Env> Drop for Ahead<E> {
    fn drop(&mut self) {
        if let Begun::Open(upload) = std::mem::replace(&mut self.inner.lock().begun, Begun::Over) {
            self.context.forsake(&self.key, upload);
        }
    }
}

/// A worker, until it is dropped.
struct Worker<'a, E: Env>(&'a Ahead<E>);

impl<E: Env> Drop for Worker<'_, E> {
    fn drop(&mut self) {
        self.0.inner.lock().workers -= 1;
        self.0.worker_left.notify(usize::MAX);
    }
}

//! Faults and mutations of a scenario, each tied to its cause: armed when the operation begins that they count from.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast::bucket::Bucket;
use holdfast::env::Time;
use holdfast::env::store::{ErrorKind, Key, StoreError};

use crate::content::Version;
use crate::court::Seat;
use crate::executor::{SimHandle, locked};
use crate::history::History;
use crate::mutation::Mutation;
use crate::recording::Recorder;
use crate::run::BEFORE;
use crate::scenario::{
    AppOp, Cause, Change, ErrorName, FaultAt, FaultSpec, MutationAt, OpId, Point, RequestCause, RequestKind, Scenario,
};
use crate::store::{Event, Fault, FaultKind, Kind, Matcher, SimStore};
use crate::world::{Machines, World};

/// Clones are the same.
#[derive(Clone)]
pub(super) struct Causes {
    inner: Arc<Inner>,
}

struct Inner {
    store: SimStore,
    history: History,
    handle: SimHandle,
    machines: Machines,
    /// What counts from an operation that has not begun.
    waiting: Mutex<Waiting>,
    recorder: Option<Recorder>,
    mutations: AtomicU64,
    mutations_in_flight: AtomicU64,
    over: AtomicBool,
}

/// Mutations with their place in the scenario.
#[derive(Default)]
struct Waiting {
    faults: Vec<FaultAt>,
    mutations: Vec<(usize, MutationAt)>,
}

impl Causes {
    pub(super) fn new(world: &World) -> Self {
        let inner = Inner {
            store: world.store().clone(),
            history: world.history().clone(),
            handle: world.handle(),
            machines: world.machines().clone(),
            waiting: Mutex::default(),
            recorder: world.court().recorder(),
            mutations: AtomicU64::new(0),
            mutations_in_flight: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The run begins: arms what counts from its beginning.
    pub(super) fn begin(&self, scenario: &Scenario) {
        let mutations = scenario.mutations.iter().cloned().enumerate().collect();
        *locked(&self.inner.waiting) = Waiting { faults: scenario.faults.clone(), mutations };
        self.arm(None);
    }

    /// An operation begins: arms what counts from it.
    pub(super) fn op_begins(&self, op: &AppOp, seat: Seat) {
        if let Some(recorder) = &self.inner.recorder {
            recorder.op_began(seat, op, self.inner.handle.now());
        }
        self.arm(Some(op.id));
    }

    pub(super) fn op_ended(&self, id: OpId) {
        if let Some(recorder) = &self.inner.recorder {
            recorder.op_ended(id, self.inner.handle.now());
        }
    }

    /// Nothing more happens.
    pub(super) fn end(&self) {
        self.inner.over.store(true, Ordering::Relaxed);
        *locked(&self.inner.waiting) = Waiting::default();
        self.inner.store.clear_hooks();
    }

    pub(super) fn mutations(&self) -> u64 {
        self.inner.mutations.load(Ordering::Relaxed)
    }

    pub(super) fn mutations_in_flight(&self) -> u64 {
        self.inner.mutations_in_flight.load(Ordering::Relaxed)
    }

    fn arm(&self, since: Option<OpId>) {
        let due = |when: &Cause| match when {
            Cause::AtMs(_) => since.is_none(),
            Cause::Request(cause) => cause.since == since,
        };
        let (faults, mutations): (Vec<_>, Vec<_>) = {
            let mut waiting = locked(&self.inner.waiting);
            let faults = waiting.faults.extract_if(.., |fault| due(&fault.when)).collect();
            (faults, waiting.mutations.extract_if(.., |(_, mutation)| due(&mutation.when)).collect())
        };
        for FaultAt { when, what } in faults {
            match when {
                Cause::AtMs(ms) => self.outage(ms, &what),
                Cause::Request(cause) => {
                    if let Some(what) = fault_kind(&what) {
                        self.inner.store.fault(Fault { when: matcher(&cause), what });
                    }
                }
            }
        }
        for (number, MutationAt { when, change }) in mutations {
            let this = self.clone();
            match when {
                Cause::AtMs(ms) => self.inner.handle.spawn("another client", async move {
                    this.inner.handle.sleep_until(Time(BEFORE + Duration::from_millis(ms))).await;
                    if !this.inner.over.load(Ordering::Relaxed) {
                        let now = this.inner.handle.now();
                        // Not under the bucket's lock: what a dying mount drops may look at it.
                        match change {
                            Change::Crash { mount } => this.inner.machines.crash(mount),
                            change => this.apply(number, change, &mut this.inner.store.bucket(), now),
                        }
                    }
                }),
                // Not under the bucket's lock, nor by a task of the mount that dies.
                Cause::Request(cause) if let Change::Crash { mount } = change => {
                    self.inner.store.on(event(&cause), move |_, _| {
                        let inner = this.inner.clone();
                        this.inner.handle.spawn("another client", async move {
                            if !inner.over.load(Ordering::Relaxed) {
                                inner.machines.crash(mount);
                            }
                        });
                    });
                }
                Cause::Request(cause) => {
                    self.inner.store.on(event(&cause), move |bucket, now| this.apply(number, change, bucket, now));
                }
            }
        }
    }

    fn outage(&self, at_ms: u64, what: &FaultSpec) {
        let FaultSpec::Outage { ms } = what else { return };
        let from = Time(BEFORE + Duration::from_millis(at_ms));
        self.inner.store.down_within(from..from.plus(Duration::from_millis(*ms)));
    }

    fn apply(&self, number: usize, change: Change, bucket: &mut Bucket, now: Time) {
        let in_flight = self.inner.store.keys_in_flight();
        let mutation = match change {
            Change::Put { key, version, size } => Mutation::put(key, Version(version), size),
            Change::PutInFlight { otherwise, pick, version, size } => {
                // Of a key that the file system does not know to have been given this version before.
                let key = match in_flight.len() {
                    0 => Key::from(otherwise),
                    n => in_flight[usize::from(pick) % n].clone(),
                };
                Mutation::put(key, Version(version), size)
            }
            Change::PutAgain { key } => match self.inner.history.current(&key) {
                Some(current) => Mutation::put(key, current.version, current.size),
                None => return,
            },
            Change::AbortUploads { key } => {
                let uploads = bucket.list_uploads(&key).into_iter().filter(|upload| upload.key.as_str() == key);
                for upload in uploads {
                    // It is there.
                    let _ = bucket.abort_upload(upload.key, upload.upload);
                }
                return;
            }
            Change::Delete { key } => Mutation::delete(key),
            Change::Purge { key } => Mutation::purge(key),
            // Not a change of the bucket.
            Change::Crash { .. } => return,
        };
        self.inner.mutations.fetch_add(1, Ordering::Relaxed);
        if in_flight.contains(mutation.key()) {
            self.inner.mutations_in_flight.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(recorder) = &self.inner.recorder {
            recorder.mutates(number);
        }
        mutation.apply(bucket, &self.inner.history, now);
    }
}

pub(crate) fn matcher(cause: &RequestCause) -> Matcher {
    let kind = cause.kind.map(|kind| match kind {
        RequestKind::Get => Kind::Get,
        RequestKind::Head => Kind::Head,
        RequestKind::List => Kind::List,
        RequestKind::Put => Kind::Put,
        RequestKind::Delete => Kind::Delete,
        RequestKind::Copy => Kind::Copy,
        RequestKind::CreateUpload => Kind::CreateUpload,
        RequestKind::UploadPart => Kind::UploadPart,
        RequestKind::UploadPartCopy => Kind::UploadPartCopy,
        RequestKind::CompleteUpload => Kind::CompleteUpload,
        RequestKind::AbortUpload => Kind::AbortUpload,
    });
    Matcher { kind, key: cause.key.as_deref().map(Key::from), nth: cause.nth }
}

fn event(cause: &RequestCause) -> Event {
    let matcher = matcher(cause);
    match cause.point.unwrap_or(Point::Before) {
        Point::Before => Event::Before(matcher),
        Point::After => Event::After(matcher),
        Point::Chunk(chunk) => Event::Chunk { body: matcher, chunk },
    }
}

/// `None`: no fault of a request.
pub(crate) fn fault_kind(what: &FaultSpec) -> Option<FaultKind> {
    let millis = |ms: &u64| Duration::from_millis(*ms);
    Some(match what {
        FaultSpec::Refused { error, retry_after_ms } => {
            let error = StoreError::new(error_kind(*error), "as the scenario says");
            FaultKind::Refused(StoreError { retry_after: retry_after_ms.as_ref().map(millis), ..error })
        }
        FaultSpec::Delayed { ms } => FaultKind::Delayed(millis(ms)),
        FaultSpec::AnswerSlow { ms } => FaultKind::AnswerSlow(millis(ms)),
        FaultSpec::AnswerLost => FaultKind::AnswerLost,
        FaultSpec::AppliedLate { ms } => FaultKind::AppliedLate(millis(ms)),
        FaultSpec::Hangs => FaultKind::Hangs,
        FaultSpec::HangsApplied => FaultKind::HangsApplied,
        FaultSpec::ConditionsIgnored => FaultKind::ConditionsIgnored,
        FaultSpec::RangeShifted { by } => FaultKind::RangeShifted(*by),
        FaultSpec::RangeIgnored => FaultKind::RangeIgnored,
        FaultSpec::EtagWrong => FaultKind::EtagWrong,
        FaultSpec::SizeWrong { by } => FaultKind::SizeWrong(*by),
        FaultSpec::ModifiedSkewed { seconds } => FaultKind::ModifiedSkewed(*seconds),
        FaultSpec::BodyBreaks { after } => FaultKind::BodyBreaks { after: *after },
        FaultSpec::BodyEnds { after } => FaultKind::BodyEnds { after: *after },
        FaultSpec::BodyOverflows { by } => FaultKind::BodyOverflows { by: *by },
        FaultSpec::BodyStalls { after } => FaultKind::BodyStalls { after: *after },
        FaultSpec::BodyDiesPaused { longer_than_ms } => {
            FaultKind::BodyDiesPaused { longer_than: millis(longer_than_ms) }
        }
        FaultSpec::BodySlow { chunk_ms } => FaultKind::BodySlow { chunk: millis(chunk_ms) },
        FaultSpec::PageRepeats => FaultKind::PageRepeats,
        FaultSpec::PageGoesBack => FaultKind::PageGoesBack,
        FaultSpec::PageTokenDropped => FaultKind::PageTokenDropped,
        FaultSpec::PageTokenLoops => FaultKind::PageTokenLoops,
        FaultSpec::Outage { .. } => return None,
    })
}

fn error_kind(error: ErrorName) -> ErrorKind {
    match error {
        ErrorName::NotFound => ErrorKind::NotFound,
        ErrorName::PreconditionFailed => ErrorKind::PreconditionFailed,
        ErrorName::Conflict => ErrorKind::Conflict,
        ErrorName::AccessDenied => ErrorKind::AccessDenied,
        ErrorName::Archived => ErrorKind::Archived,
        ErrorName::InvalidRange => ErrorKind::InvalidRange,
        ErrorName::Throttled => ErrorKind::Throttled,
        ErrorName::Unavailable => ErrorKind::Unavailable,
        ErrorName::Unreachable => ErrorKind::Unreachable,
        ErrorName::NoAnswer => ErrorKind::NoAnswer,
        ErrorName::InvalidAnswer => ErrorKind::InvalidAnswer,
    }
}

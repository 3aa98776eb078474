//! The simulated server: one bucket, its weather, and what is recorded of it. Every client of the bucket shares it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use holdfast::bucket::Bucket;
use holdfast::env::Time;
use holdfast::env::store::{ETag, ErrorKind, Key, StoreError};

use super::StoreConfig;
use super::fault::{FaultKind, FaultRules, Suffering};
use super::hook::{Hooks, Point, RequestHooks};
use super::listing::Served;
use super::outage::Outages;
use super::record::{LogIndex, Record};
use super::request::{Asked, Kind};
use crate::env::unix_seconds_at;
use crate::executor::{SimHandle, Sleep, Slot, locked};
use crate::history::{History, Made};
use crate::recording::{Recorder, RequestId};
use crate::rng::SimRng;

pub(super) struct Server {
    handle: SimHandle,
    config: StoreConfig,
    rng: SimRng,
    bucket: Arc<Mutex<Bucket>>,
    pub(super) faults: Mutex<FaultRules>,
    pub(super) hooks: Mutex<Hooks>,
    pub(super) outages: Mutex<Outages>,
    pub(super) record: Mutex<Record>,
    /// The last page answered for each (prefix, delimiter).
    pub(super) pages: Mutex<BTreeMap<(String, Option<String>), Served>>,
    recorder: OnceLock<Recorder>,
    history: OnceLock<History>,
}

/// Where a request is written down, and as which; nothing unless the run is recorded.
pub(super) type Recorded = (Recorder, RequestId);

/// What is decided about a request when it is sent.
struct Admitted {
    suffering: Suffering,
    hooks: RequestHooks,
    log: LogIndex,
    recorded: Option<Recorded>,
    sent_at: Time,
    before: Duration,
    after: Duration,
}

/// What a request is applied with.
pub(super) struct Applying<'a> {
    pub(super) bucket: &'a mut Bucket,
    pub(super) unix_seconds: i64,
    pub(super) suffering: &'a Suffering,
    /// Those of the body's chunks.
    pub(super) hooks: RequestHooks,
    pub(super) server: &'a Arc<Server>,
    pub(super) recorded: Option<Recorded>,
    pub(super) sent_at: Time,
}

impl Applying<'_> {
    /// A client has changed a key by this request.
    pub(super) fn made(&self, mount: Option<u8>, kind: Kind, key: &Key) {
        let (Some(mount), Some(history)) = (mount, self.server.history.get()) else { return };
        let (sent_at, at, key) = (self.sent_at, self.server.now(), key.clone());
        let object = self.bucket.current(key.as_str());
        history.record_made(Made { mount, kind, key: key.clone(), sent_at, at, replaced: None, now: None }, object);
    }
}

/// Writes down that who sent a request no longer waits for its answer, unless it came.
struct Waiter<'a> {
    server: &'a Server,
    recorded: Option<Recorded>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some((recorder, id)) = self.recorded.take() {
            recorder.given_up(id, self.server.now());
        }
    }
}

impl Server {
    pub(super) fn new(handle: SimHandle, bucket: Arc<Mutex<Bucket>>, config: StoreConfig, seed: u64) -> Self {
        Self {
            handle,
            config,
            rng: SimRng::new(seed, "store"),
            bucket,
            faults: Mutex::default(),
            hooks: Mutex::default(),
            outages: Mutex::default(),
            record: Mutex::default(),
            pages: Mutex::default(),
            recorder: OnceLock::new(),
            history: OnceLock::new(),
        }
    }

    pub(super) fn record_to(&self, recorder: Recorder) {
        // A second recorder would miss what the first was told: the first stays.
        let _ = self.recorder.set(recorder);
    }

    pub(super) fn write_down(&self, history: History) {
        // The first stays, as above.
        let _ = self.history.set(history);
    }

    pub(super) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.get()
    }

    pub(super) fn config(&self) -> &StoreConfig {
        &self.config
    }

    pub(super) fn now(&self) -> Time {
        self.handle.now()
    }

    pub(super) fn bucket(&self) -> MutexGuard<'_, Bucket> {
        locked(&self.bucket)
    }

    // The life of a request, in its order.

    /// Carries the request out in a task of its own: who gives up waiting does not take the request back.
    pub(super) async fn serve<T: Send + 'static>(
        self: &Arc<Self>,
        mount: Option<u8>,
        asked: Asked,
        apply: impl FnOnce(Applying<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let name = asked.kind.name();
        let admitted = self.admit(mount, asked);
        let mut waiter = Waiter { server: self, recorded: admitted.recorded.clone() };
        let answer = Slot::empty();
        let (server, slot, log) = (self.clone(), answer.clone(), admitted.log);
        self.handle.spawn(name, async move { server.carry_out(name, admitted, apply, slot).await });
        let answer: Result<T, StoreError> = answer.take().await;
        let outcome = answer.as_ref().map(drop).map_err(|error| error.kind);
        if let Some((recorder, id)) = waiter.recorded.take() {
            recorder.answered(id, self.now(), outcome);
        }
        locked(&self.record).answered(log, self.now(), answer.as_ref().map(drop));
        answer
    }

    fn admit(&self, mount: Option<u8>, asked: Asked) -> Admitted {
        let suffering = locked(&self.faults).meet(&asked);
        let hooks = locked(&self.hooks).take(&asked);
        let before = self.rng.within(&self.config.before).saturating_add(suffering.delay());
        let after = self.rng.within(&self.config.after).saturating_add(suffering.answer_delay());
        let sent_at = self.now();
        let recorded = self.recorder.get().map(|recorder| {
            let id = recorder.sent(mount, &asked, suffering.iter().cloned().collect(), sent_at);
            (recorder.clone(), id)
        });
        let mut record = locked(&self.record);
        record.suffered(sent_at, &asked, suffering.iter());
        let log = record.sent(asked, sent_at);
        drop(record);
        Admitted { suffering, hooks, log, recorded, sent_at, before, after }
    }

    async fn carry_out<T>(
        self: Arc<Self>,
        name: &'static str,
        admitted: Admitted,
        apply: impl FnOnce(Applying<'_>) -> Result<T, StoreError>,
        slot: Slot<Result<T, StoreError>>,
    ) {
        let Admitted { suffering, hooks, recorded, sent_at, before, after, .. } = admitted;
        let refused = locked(&self.outages).is_down(sent_at);
        self.handle.sleep(before).await;
        if refused {
            return slot.fill(Err(StoreError::new(ErrorKind::Unreachable, "connection refused")));
        }
        if self.has_been_down(sent_at) {
            return slot.fill(Err(StoreError::new(ErrorKind::NoAnswer, "the connection was reset")));
        }
        if let Some(error) = suffering.refusal() {
            self.handle.sleep(after).await;
            return slot.fill(Err(error));
        }
        if suffering.has(&FaultKind::Hangs) {
            return std::future::pending().await;
        }
        let late = suffering.applied_late();
        if let Some(delay) = late {
            slot.fill(Err(StoreError::new(ErrorKind::NoAnswer, "the connection broke, the request lives on")));
            self.handle.sleep(delay).await;
        }

        let result = self.apply((&suffering, sent_at), hooks, recorded, apply);
        self.handle.note(name, result.as_ref().map_or_else(|error| 1 + error.kind as u64, |_| 0));

        if late.is_some() {
            return;
        }
        if suffering.has(&FaultKind::HangsApplied) {
            drop(result);
            return std::future::pending().await;
        }
        self.handle.sleep(after).await;
        if suffering.has(&FaultKind::AnswerLost) || self.has_been_down(sent_at) {
            return slot.fill(Err(StoreError::new(ErrorKind::NoAnswer, "the connection broke before the answer")));
        }
        slot.fill(result);
    }

    /// The one instant at which the request takes effect, and what was hooked to it.
    fn apply<T>(
        self: &Arc<Self>,
        (suffering, sent_at): (&Suffering, Time),
        mut hooks: RequestHooks,
        recorded: Option<Recorded>,
        apply: impl FnOnce(Applying<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = self.now();
        let mut bucket = self.bucket();
        let request = recorded.clone();
        if let Some((recorder, id)) = &request {
            recorder.applied(*id, now);
            recorder.acts_for(Some(*id));
        }
        hooks.run(Point::Before, &mut bucket, now);
        let mut hooks_after = hooks.split_off(Point::After);
        let strict = !bucket.options().preconditions_ignored;
        if strict && suffering.has(&FaultKind::ConditionsIgnored) {
            bucket.set_preconditions_ignored(true);
        }
        let unix_seconds = unix_seconds_at(now);
        let with = Applying { bucket: &mut bucket, unix_seconds, suffering, hooks, server: self, recorded, sent_at };
        let result = apply(with);
        if strict {
            bucket.set_preconditions_ignored(false);
        }
        hooks_after.run(Point::After, &mut bucket, now);
        if let Some((recorder, _)) = &request {
            recorder.acts_for(None);
        }
        result
    }

    pub(super) fn run_hooks(&self, hooks: &mut RequestHooks, point: Point, recorded: Option<&Recorded>) {
        let now = self.now();
        if let Some((recorder, id)) = recorded {
            recorder.acts_for(Some(*id));
        }
        hooks.run(point, &mut self.bucket(), now);
        if let Some((recorder, _)) = recorded {
            recorder.acts_for(None);
        }
    }

    pub(super) fn has_been_down(&self, since: Time) -> bool {
        locked(&self.outages).has_hit(since, self.now())
    }

    // What bodies need.

    pub(super) fn chunk_delay(&self) -> Duration {
        self.rng.within(&self.config.chunk)
    }

    pub(super) fn sleep_until(&self, at: Time) -> Sleep {
        self.handle.sleep_until(at)
    }

    pub(super) fn body_opened(&self, key: &Key) {
        let mut record = locked(&self.record);
        record.bodies_open += 1;
        *record.in_flight.entry(key.clone()).or_default() += 1;
    }

    pub(super) fn body_closed(&self, key: &Key) {
        let mut record = locked(&self.record);
        record.bodies_open -= 1;
        if let Some(bodies) = record.in_flight.get_mut(key) {
            *bodies -= 1;
            if *bodies == 0 {
                record.in_flight.remove(key);
            }
        }
    }

    pub(super) fn delivered(&self, key: &Key, etag: &ETag, bytes: u64) {
        locked(&self.record).delivered(key, etag, bytes);
        self.handle.note("s3 body", bytes);
    }
}

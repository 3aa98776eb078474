//! One GET that feeds a content, from a position to an end, and survives what can be survived.
//!
//! A stream waits at its limit while its reader is far behind (paused, it is an anchor), resumes a broken body at the
//! byte where it broke under the same condition, and drains into the lifeboat once the object was replaced. It delivers
//! bytes of its content's Version only.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use event_listener::EventListener;

use crate::config::{ATTR_TTL, RENEW_EVERY, STALL_MAX, TRICKLE_EVERY};
use crate::data::content::{BodyOf, Content};
use crate::data::extent::ExtentWriter;
use crate::data::patience::{or_interrupted, or_timeout};
use crate::data::relay::Busy;
use crate::data::retry::{Retry, Verdict};
use crate::env::store::{Body, ByteRange, ErrorKind, StoreError};
use crate::env::{Clock, Env, Rng, Time};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::state::version::Successor;
use crate::zoo::{self, Bug};

/// Of a bug of the zoo.
const RESUME_BLOCK_BYTES: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId(pub(super) u64);

/// A stream as its content sees it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    /// Where it began.
    pub(super) origin: u64,
    /// The next byte it will deliver.
    pub(super) pos: u64,
    pub(super) end: u64,
    /// Reaches to the object's end, and can therefore serve as its anchor.
    pub(super) open_ended: bool,
    /// Stays at its offset while the Version is current.
    pub(super) keep: bool,
    /// The furthest byte that a reader asked for.
    pub(super) demand: u64,
    /// Bytes beyond `demand` that it may run ahead.
    pub(super) window: u64,
    /// A paused stream may read on to here all the same, so that it does not look dead.
    pub(super) trickle_to: u64,
    /// It waits for its limit to move.
    pub(super) paused: bool,
    /// What it brought since it last had to wait for its reader, and since when that is.
    pub(super) busy: Busy,
    /// Readers wait for `pos` to reach this.
    pub(super) wake_at: u64,
    /// The content's read count when it was last of use.
    pub(super) used_at_read: u64,
}

impl Stream {
    pub(super) fn new(id: StreamId, range: Range<u64>, open_ended: bool, window: u64, reads: u64) -> Self {
        Self {
            id,
            origin: range.start,
            pos: range.start,
            end: range.end,
            open_ended,
            keep: false,
            demand: range.start,
            window,
            trickle_to: 0,
            paused: false,
            busy: (0, Time::ZERO),
            wake_at: u64::MAX,
            used_at_read: reads,
        }
    }
}

/// What a stream may do next.
pub(super) enum Permission {
    /// Its content has no more use for it.
    Stop,
    /// Wait until `go`, and keep the GET alive meanwhile.
    Pause { go: EventListener, upkeep: Upkeep },
    /// Read on.
    Run { pos: u64, end: u64, wake_at: u64, into_lifeboat: bool },
}

/// What keeps a paused GET from being taken for dead.
pub(super) enum Upkeep {
    /// It reads on a little.
    Trickle,
    /// It has read ahead enough, or is to stay where it is: a new GET of the same range takes its place.
    Renew { pos: u64, end: u64 },
    /// It has read ahead enough, and no new GET would bring these bytes.
    None,
}

/// Runs until the stream is finished, failed, or no longer wanted.
pub(super) async fn run<E: Env>(content: Arc<Content<E>>, id: StreamId, body: Option<BodyOf<E>>) {
    // Dropped on every way out, a panic included: readers must never wait on a stream that is gone.
    let mut ending = Ending { content: content.clone(), id, error: None, done: false };
    let retry = Retry::new(content.context.config.deadline);
    let body_end = content.end_of(id);
    let mut flow = Flow { content, id, body, body_end, retry, writer: None, streamed: 0, packed: BytesMut::new() };
    ending.error = flow.run().await.err();
    ending.done = true;
}

struct Ending<E: Env> {
    content: Arc<Content<E>>,
    id: StreamId,
    error: Option<FsError>,
    done: bool,
}

impl<E: Env> Drop for Ending<E> {
    fn drop(&mut self) {
        let error = match (self.done, self.error.take()) {
            (true, error) => error,
            (false, _) => {
                let cause = StoreError::new(ErrorKind::InvalidAnswer, "internal error in its stream");
                Some(FsError::Nonsense { key: self.content.version().key.clone(), cause })
            }
        };
        self.content.end_stream(self.id, error);
    }
}

struct Flow<E: Env> {
    content: Arc<Content<E>>,
    id: StreamId,
    body: Option<BodyOf<E>>,
    /// Where the body ends: beyond the stream's own end once that was cut.
    body_end: u64,
    retry: Retry,
    writer: Option<ExtentWriter>,
    /// Bytes delivered so far.
    streamed: u64,
    /// Bytes that wait to be written to the lifeboat, up to the stream's position plus their length.
    packed: BytesMut,
}

impl<E: Env> Flow<E> {
    /// `Ok`: finished, not wanted, or lost for good, which readers find out from the content.
    async fn run(&mut self) -> Result<(), FsError> {
        loop {
            let (pos, end, wake_at, into_lifeboat) = match self.content.permission(self.id) {
                Permission::Stop => return Ok(()),
                Permission::Pause { go, upkeep } => {
                    self.pause(go, upkeep).await;
                    continue;
                }
                Permission::Run { pos, end, wake_at, into_lifeboat } => (pos, end, wake_at, into_lifeboat),
            };
            let at = pos + self.packed.len() as u64;
            let packed_enough = self.packed.len() as u64 >= self.content.sizes().lifeboat_write_bytes;
            let pack_is_due = packed_enough || at >= wake_at || at == end || !into_lifeboat;
            if !self.packed.is_empty() && pack_is_due {
                self.unpack(pos, end).await;
                continue;
            }
            if pos == end {
                if self.body_end == end {
                    self.expect_end().await;
                }
                return Ok(());
            }
            let outcome = match self.body.take() {
                None => Self::connect(&self.content, at, end).await.map(|body| {
                    (self.body, self.body_end) = (Some(body), end);
                    self.content.connected(self.id);
                }),
                Some(body) => match self.next_chunk(body, self.body_end - at).await {
                    None => continue,
                    Some(Ok(chunk)) if zoo::has(Bug::OverflowAppended) => {
                        self.retry.progressed();
                        self.hold(at, u64::MAX, chunk);
                        Ok(())
                    }
                    Some(Ok(mut chunk)) => {
                        self.retry.progressed();
                        chunk.truncate((end - at) as usize);
                        if into_lifeboat {
                            self.packed.extend_from_slice(&chunk);
                        } else {
                            self.hold(at, end, chunk);
                        }
                        Ok(())
                    }
                    // It stalls, and may yet go on: that it is broken is known once another GET has taken its place.
                    Some(Err(_)) if self.body.is_some() && self.reconnect(at, end).await => Ok(()),
                    Some(Err(error)) if zoo::has(Bug::ShortBodyIsEndOfFile) && error.kind == ErrorKind::BrokenBody => {
                        return Ok(());
                    }
                    Some(Err(error)) => Err(error),
                },
            };
            if let Err(error) = outcome
                && !self.recover(error, pos, end).await?
            {
                return Ok(());
            }
        }
    }

    /// Asks for the rest of the stream's range.
    async fn connect(content: &Content<E>, at: u64, end: u64) -> Result<BodyOf<E>, StoreError> {
        let version = content.version();
        let resumes = || at > 0 && content.inner.lock().held_until(at - 1).is_some();
        let at = if zoo::has(Bug::ResumedAtItsBlock) && resumes() {
            at / RESUME_BLOCK_BYTES * RESUME_BLOCK_BYTES
        } else {
            at
        };
        let range = if end == version.size { ByteRange::From(at) } else { ByteRange::Within { start: at, end } };
        // All of an object, an empty one included, is asked for without a range.
        let range = (at > 0 || end < version.size).then_some(range);
        let lost = zoo::has(Bug::LostRefetchedWithoutCondition) && content.is_past_fetching();
        if lost || (zoo::has(Bug::ConditionDroppedOnResume) && resumes()) {
            return content.context.get_current(&version.key, range).await.map(|reply| reply.body);
        }
        content.context.get_version_once(version, range).await.map(|reply| reply.body)
    }

    /// Make before break: a new GET of the same bytes takes the old one's place, if there is one to be had. If the
    /// Version is gone, the old GET is what still has it.
    async fn reconnect(&mut self, at: u64, end: u64) -> bool {
        if self.content.is_past_fetching() {
            return false;
        }
        if zoo::has(Bug::BreakBeforeMake) {
            self.body = None;
        }
        match Self::connect(&self.content, at, end).await {
            Ok(body) => {
                sometimes!(Renewed);
                (self.body, self.body_end) = (Some(body), end);
                true
            }
            Err(error) => {
                self.note_if_gone(&error);
                false
            }
        }
    }

    /// The next bytes of the body, which is put back; `None` when the content has news for this stream.
    async fn next_chunk(&mut self, mut body: BodyOf<E>, left: u64) -> Option<Result<Bytes, StoreError>> {
        let go = self.content.go.listen();
        if !self.content.wants(self.id) {
            return None;
        }
        let clock = self.content.context.env.clock();
        let stall_max = if zoo::has(Bug::StallNeverNoticed) { ATTR_TTL } else { STALL_MAX };
        let patient = or_timeout(clock, stall_max, or_interrupted(body.next(), go));
        let chunk = match patient.await {
            None => {
                sometimes!(StreamStalled);
                self.body = Some(body);
                let what = format!("no byte came within {} s", STALL_MAX.as_secs());
                return Some(Err(StoreError::new(ErrorKind::NoAnswer, what)));
            }
            Some(None) => {
                self.body = Some(body);
                return None;
            }
            Some(Some(chunk)) => chunk,
        };
        Some(match chunk {
            None => {
                sometimes!(BodyTooShort);
                Err(StoreError::new(ErrorKind::BrokenBody, format!("it ended {left} bytes early")))
            }
            Some(Err(error)) => Err(error),
            Some(Ok(chunk)) if chunk.len() as u64 > left && !zoo::has(Bug::OverflowAppended) => {
                sometimes!(BodyTooLong);
                Err(StoreError::new(ErrorKind::InvalidAnswer, "the body is longer than its range"))
            }
            Some(Ok(chunk)) => {
                self.body = Some(body);
                Ok(chunk)
            }
        })
    }

    /// Copies the chunk into extents, skipping what is held already.
    fn hold(&mut self, mut at: u64, end: u64, mut chunk: Bytes) {
        while !chunk.is_empty() {
            let n = match self.writer.as_mut().filter(|writer| writer.room_left() > 0) {
                Some(writer) => writer.append(&chunk),
                None => match self.content.room_at(at, end, self.streamed) {
                    Ok(writer) => {
                        self.writer = Some(writer);
                        continue;
                    }
                    Err(held) => {
                        self.writer = None;
                        (held as usize).min(chunk.len())
                    }
                },
            };
            chunk.advance(n);
            at += n as u64;
            self.streamed += n as u64;
            self.content.advance(self.id, n as u64);
        }
    }

    /// Moves the packed bytes into the lifeboat, or into memory where it is refused.
    async fn unpack(&mut self, pos: u64, end: u64) {
        if !zoo::has(Bug::QueuedBytesOvertaken) {
            self.writer = None;
        }
        let packed = self.packed.split().freeze();
        if let Some(boat) = self.content.lifeboat().await {
            match boat.save(self.content.context.env.disk(), pos, packed.clone()).await {
                Ok(()) => {
                    self.streamed += packed.len() as u64;
                    self.content.advance(self.id, packed.len() as u64);
                    return;
                }
                Err(refused) => self.content.refuse_lifeboat(&refused),
            }
        }
        self.hold(pos, end, packed);
    }

    async fn pause(&mut self, go: EventListener, upkeep: Upkeep) {
        let wait = match upkeep {
            Upkeep::Trickle | Upkeep::None => TRICKLE_EVERY,
            Upkeep::Renew { .. } => RENEW_EVERY,
        };
        if or_timeout(self.content.context.env.clock(), wait, go).await.is_some() {
            return;
        }
        if zoo::has(Bug::PausedStreamDropped) {
            self.body = None;
        }
        match upkeep {
            Upkeep::Trickle => self.content.trickle(self.id, self.content.sizes().trickle_bytes),
            Upkeep::Renew { pos, end } => {
                self.reconnect(pos, end).await;
            }
            Upkeep::None => {}
        }
    }

    /// After a failure: true to go on, false when the Version's rest is lost, the error when it is time to give up.
    async fn recover(&mut self, error: StoreError, pos: u64, end: u64) -> Result<bool, FsError> {
        if !self.packed.is_empty() {
            // The connection is gone; what it brought is not.
            sometimes!(BrokeWhilePacking);
            self.unpack(pos, end).await;
        }
        self.note_if_gone(&error);
        let version = self.content.version();
        let context = &self.content.context;
        let verdict = self.retry.failed(&error, context.env.clock().now(), context.env.rng().next_u64());
        // A GET that merely stalls is all there is of a replaced version: it may take until the deadline.
        let lost = self.content.is_past_fetching() && (self.body.is_none() || verdict == Verdict::GiveUp);
        match verdict {
            _ if lost => {
                sometimes!(StreamLost);
                tracing::warn!(
                    "{:?}: the rest of the replaced version from byte {pos} is lost ({error}); reads of it fail with \
                     ESTALE",
                    version.key
                );
                Ok(false)
            }
            Verdict::Again(delay) => {
                sometimes!(StreamResumed);
                tracing::debug!("{:?}: {error} at byte {pos}; going on in {delay:?}", version.key);
                context.back_off(delay).await;
                Ok(true)
            }
            Verdict::GiveUp => {
                sometimes!(StreamGaveUp);
                Err(FsError::from_store(&version.key, error))
            }
        }
    }

    fn note_if_gone(&self, error: &StoreError) {
        if error.kind.is_gone() {
            sometimes!(StreamRefused);
            self.content.gone();
            self.content.supersede(Successor::Unknown);
        }
    }

    /// Reads the end of the body, so that its connection can be used again.
    async fn expect_end(&mut self) {
        let Some(mut body) = self.body.take() else { return };
        let clock = self.content.context.env.clock();
        if let Some(Some(Ok(surplus))) = or_timeout(clock, STALL_MAX, body.next()).await {
            sometimes!(BodyTooLong);
            if zoo::has(Bug::OverflowAppended) {
                return self.hold(self.body_end, u64::MAX, surplus);
            }
            tracing::warn!("{:?}: a body went on past its range; the surplus was dropped", self.content.version().key);
        }
    }
}

//! What is at hand of one Version's bytes, and how more of them are had: one `Content` per inode that was opened.
//!
//! Owns the extents in memory, the streams that fill them, the lifeboat, and the knowledge whether the Version has been
//! superseded in the bucket. Invariants:
//! - every byte that is given out belongs to `version`: streams ask under its condition, and nothing else writes here;
//! - a read is answered whole or with an error, never short of the Version's end;
//! - once superseded on a bucket without versions, no new GET is tried: what is not held or still arriving is lost, now
//!   and on every later try.
//!
//! The lock is held for moments; no await and no call into the memory budget happens under it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, MutexGuard, Weak};

use bytes::{Bytes, BytesMut};
use event_listener::{Event, EventListener};

use crate::config::{
    BOUNDED_FETCH_BYTES, EXTENT_BYTES, Hold, MIB, RANDOM_FETCH_BYTES_MAX, RANDOM_FETCH_BYTES_MIN, RANDOM_READS_MAX,
    SEQUENTIAL_BYTES_MIN, STREAMS_MAX, TRICKLE_AHEAD_BYTES_MAX, WHOLE_FETCH_BYTES, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN,
};
use crate::data::context::Context;
use crate::data::extent::{Extent, ExtentWriter};
use crate::data::lifeboat::{Lifeboat, Refused};
use crate::data::memory::{Sweep, Swept};
use crate::data::patience::or_timeout;
use crate::data::ranges::Ranges;
use crate::data::relay::Relay;
use crate::data::runs::Runs;
use crate::data::stream::{self, Permission, Stream, StreamId, Upkeep};
use crate::env::store::{ErrorKind, Store, StoreError};
use crate::env::{Clock, Disk, Env, Spawn};
use crate::error::FsError;
use crate::lock::Lock;
use crate::op::Fh;
use crate::state::version::{Holds, Successor, Version};

pub(crate) type BodyOf<E> = <<E as Env>::Store as Store>::Body;
pub(super) type BoatOf<E> = Lifeboat<<<E as Env>::Disk as Disk>::Spool>;

/// What keeps a Version's bytes within reach, as `user.holdfast.hold` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is the current version.
    Current,
    /// GETs name its version id.
    VersionId,
    /// All of it is in memory, in the lifeboat, or has been given to the kernel.
    Whole,
    /// A GET that began in time still delivers it, from this offset on.
    Anchor { from: u64 },
    /// Only what was cached.
    Cached,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Current => write!(f, "current"),
            Self::VersionId => write!(f, "version-id"),
            Self::Whole => write!(f, "whole"),
            Self::Anchor { from } => write!(f, "anchor from byte {from}"),
            Self::Cached => write!(f, "cached ranges only"),
        }
    }
}

pub struct Content<E: Env> {
    pub(super) context: Arc<Context<E>>,
    version: Version,
    pub(super) inner: Lock<Inner<BoatOf<E>>>,
    /// Wakes streams: more may be read, or they are to stop.
    pub(super) go: Event,
    /// Wakes readers: bytes arrived, or a stream ended.
    news: Event,
    this: Weak<Self>,
}

pub(super) struct Inner<B> {
    handles: BTreeSet<Fh>,
    /// Opens under way.
    opening: u32,
    extents: BTreeMap<u64, Arc<Extent>>,
    pub(super) streams: Vec<Stream>,
    next_stream: u64,
    /// Streams that ended in an error, and it; the last few.
    failed: Vec<(StreamId, FsError)>,
    runs: Runs,
    /// Reads so far.
    reads: u64,
    /// Bytes that the kernel has been given; its page cache may still have them.
    served: Ranges,
    pub(super) superseded: Option<Successor>,
    pub(super) relay: Option<Relay>,
    /// The version id that would still name it names nothing any more.
    gone: bool,
    boat: Option<Arc<B>>,
    boat_refused: bool,
}

/// How a read goes on.
enum Step {
    Serve(Bytes),
    /// All of it is held, part of it in the lifeboat.
    Load(Vec<Piece>),
    Wait(EventListener, StreamId),
    Start(StreamId),
    Lost,
}

enum Piece {
    Memory(crate::data::extent::ExtentSlice),
    Boat(Range<u64>),
}

/// Failed streams that are remembered for the readers that wait on them.
const FAILED_KEPT: usize = 16;
/// Separate served ranges that are remembered; a reader more scattered than this is simply not called complete.
const SERVED_PIECES_MAX: usize = 4096;

impl<E: Env> Content<E> {
    /// Of `version`, with nothing at hand yet.
    pub fn new(context: Arc<Context<E>>, version: Version) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            context,
            version,
            inner: Lock::new(Inner {
                handles: BTreeSet::new(),
                opening: 0,
                extents: BTreeMap::new(),
                streams: Vec::new(),
                next_stream: 0,
                failed: Vec::new(),
                runs: Runs::default(),
                reads: 0,
                served: Ranges::new(),
                superseded: None,
                relay: None,
                gone: false,
                boat: None,
                boat_refused: false,
            }),
            go: Event::new(),
            news: Event::new(),
            this: this.clone(),
        })
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Feeds this content from `body`, which delivers those bytes of the Version.
    pub fn feed(self: &Arc<Self>, range: Range<u64>, body: BodyOf<E>) {
        if range.is_empty() {
            return;
        }
        let open_ended = range.end == self.version.size && self.context.config.hold != Hold::Off;
        let id = self.inner.lock().add_stream(range, open_ended);
        self.start_stream(id, Some(body));
    }

    /// Besides, an anchor at offset 0 that no reader moves while the Version is current (`--hold=full`).
    pub fn keep_anchor(self: &Arc<Self>, body: BodyOf<E>) {
        let id = {
            let mut inner = self.inner.lock();
            let id = inner.add_stream(0..self.version.size, true);
            inner.stream(id).expect("added just now").keep = true;
            id
        };
        self.start_stream(id, Some(body));
    }

    /// Whether an anchor at offset 0 is missing and would add anything.
    pub fn wants_kept_anchor(&self) -> bool {
        let inner = self.inner.lock();
        self.context.config.hold == Hold::Full
            && self.version.version_id.is_none()
            && self.version.size > WHOLE_FETCH_BYTES
            && inner.superseded.is_none()
            && !inner.streams.iter().any(|stream| stream.keep)
    }

    /// An open is under way: what is at hand must not be let go meanwhile.
    pub fn opening(&self) {
        self.inner.lock().opening += 1;
    }

    /// It has succeeded, and `opened` was called, or failed.
    pub fn opening_ended(&self) {
        let mut inner = self.inner.lock();
        inner.opening -= 1;
        self.let_go_unless_open(inner);
    }

    pub fn opened(&self, fh: Fh) {
        self.inner.lock().handles.insert(fh);
    }

    /// The last close lets go of streams and lifeboat; extents stay as a cache while the Version is current.
    pub fn closed(&self, fh: Fh) {
        let mut inner = self.inner.lock();
        inner.handles.remove(&fh);
        self.let_go_unless_open(inner);
    }

    /// Whether the bucket is known to have moved on.
    pub fn is_superseded(&self) -> bool {
        self.inner.lock().superseded.is_some()
    }

    /// Whether any byte was given out: then pages may live in the kernel.
    pub fn has_served(&self) -> bool {
        self.inner.lock().served.pieces() > 0
    }

    /// Whether every byte is at hand, has been given to the kernel, or is on its way without being waited for: an open
    /// then has nothing to fetch.
    pub fn is_complete(&self) -> bool {
        self.inner.lock().first_missing(self.version.size).is_none()
    }

    /// The first byte that is neither at hand nor served, if an open has to fetch: `None` also when a stream lives.
    pub fn anchor_wanted_at(&self) -> Option<u64> {
        let inner = self.inner.lock();
        let fed = inner.streams.iter().any(|stream| stream.open_ended && !stream.keep);
        if fed { None } else { inner.first_missing(self.version.size) }
    }

    pub fn held(&self) -> Held {
        let inner = self.inner.lock();
        if inner.superseded.is_none() { Held::Current } else { self.held_after(&inner) }
    }

    /// Bytes `offset..offset + len`, cut at the Version's end.
    ///
    /// Errors: [`FsError::LostHold`] when they can no longer be had; [`FsError::Exhausted`] past the deadline.
    pub async fn read(self: &Arc<Self>, offset: u64, len: u64) -> Result<Bytes, FsError> {
        let end = offset.saturating_add(len).min(self.version.size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let run_bytes = self.note_read(offset, end - offset);
        loop {
            let step = self.step(offset..end, run_bytes);
            self.hop_if_outrun(end);
            match step {
                Step::Serve(data) => return Ok(data),
                Step::Load(pieces) => return self.load(pieces, (end - offset) as usize).await,
                Step::Start(id) => self.start_stream(id, None),
                Step::Lost => {
                    return Err(FsError::LostHold { key: self.version.key.clone(), start: offset, end });
                }
                Step::Wait(news, id) => {
                    // Streams give up at the deadline by themselves; this bound only guards against one that died.
                    let limit = self.context.config.deadline * 2;
                    if or_timeout(self.context.env.clock(), limit, news).await.is_none() {
                        let cause = StoreError::new(ErrorKind::NoAnswer, "no byte came");
                        return Err(FsError::Exhausted { key: self.version.key.clone(), cause });
                    }
                    if let Some(error) = self.inner.lock().failure_of(id) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The bucket holds another object at the key, or none. Anchors take over at once; one line a handle says so.
    pub fn supersede(&self, successor: Successor) {
        if successor == Successor::Replaced(self.version.etag.clone()) {
            // Put again with the same bytes, or only its metadata changed: GETs under its condition go on.
            return;
        }
        let handles: Vec<Fh>;
        let held;
        {
            let mut inner = self.inner.lock();
            let news = match (&inner.superseded, &successor) {
                (None, _) => true,
                // Only the name of the successor was missing, and whoever asked for it reports it.
                (Some(Successor::Unknown), Successor::Replaced(_) | Successor::Deleted) => {
                    inner.superseded = Some(successor.clone());
                    false
                }
                (Some(_), _) => false,
            };
            if !news {
                return;
            }
            inner.superseded = Some(successor.clone());
            handles = inner.handles.iter().copied().collect();
            if !inner.is_open() {
                inner.let_go();
            }
            held = self.held_after(&inner);
        }
        self.wake_all();
        if handles.is_empty() {
            return;
        }
        match (successor, self.this.upgrade()) {
            (Successor::Unknown, Some(this)) => {
                let inquiry = async move { this.report(handles, this.ask_successor().await, held) };
                self.context.env.spawn().spawn("ask what replaced a held version", inquiry);
            }
            (successor, _) => self.report(handles, successor, held),
        }
    }

    async fn ask_successor(&self) -> Successor {
        match self.context.head(&self.version.key).await {
            Ok(meta) => Successor::Replaced(meta.etag),
            Err(error) if error.kind == ErrorKind::NotFound => Successor::Deleted,
            Err(_) => Successor::Unknown,
        }
    }

    fn report(&self, handles: Vec<Fh>, successor: Successor, held: Held) {
        let now = match successor {
            Successor::Replaced(etag) => format!("ETag {etag}"),
            Successor::Deleted => "deleted".to_string(),
            Successor::Unknown => "an unknown version".to_string(),
        };
        for fh in handles {
            tracing::warn!(
                "{:?} was replaced while open: handle {} holds ETag {}, the bucket now has {now}; held from now on by: {held}",
                self.version.key,
                fh.0,
                self.version.etag,
            );
        }
    }

    /// What serves a superseded Version.
    fn held_after(&self, inner: &Inner<BoatOf<E>>) -> Held {
        if self.is_refetchable(inner) {
            return Held::VersionId;
        }
        if inner.first_missing(self.version.size).is_none() {
            return Held::Whole;
        }
        let anchors = inner.streams.iter().filter(|stream| stream.open_ended);
        match anchors.map(|stream| stream.pos).min() {
            Some(from) => Held::Anchor { from },
            None => Held::Cached,
        }
    }

    /// Whether a new GET can still bring its bytes.
    fn is_refetchable(&self, inner: &Inner<BoatOf<E>>) -> bool {
        inner.superseded.is_none() || (self.version.version_id.is_some() && !inner.gone)
    }

    fn note_read(&self, offset: u64, len: u64) -> u64 {
        let mut inner = self.inner.lock();
        inner.reads += 1;
        let run_bytes = inner.runs.note(offset, len);
        if inner.runs.strays() >= RANDOM_READS_MAX && self.context.config.hold == Hold::Auto {
            let reads = inner.reads;
            let superseded = inner.superseded.is_some();
            // What fed a sequential reader is his anchor, though others of the same file read here and there.
            let idle = |stream: &Stream| {
                let sequential = stream.demand - stream.origin >= SEQUENTIAL_BYTES_MIN;
                let unused = reads - stream.used_at_read >= RANDOM_READS_MAX.into();
                stream.open_ended && !superseded && unused && !sequential
            };
            if self.version.size > WHOLE_FETCH_BYTES && inner.streams.iter().any(idle) {
                inner.streams.retain(|stream| !idle(stream));
                self.go.notify(usize::MAX);
            }
        }
        run_bytes
    }

    fn step(&self, range: Range<u64>, run_bytes: u64) -> Step {
        let mut inner = self.inner.lock();
        let missing = match inner.gather(range.clone()) {
            Ok(pieces) => {
                let resumed = inner.serve(range, run_bytes);
                drop(inner);
                if resumed {
                    self.go.notify(usize::MAX);
                }
                return match pieces {
                    Gathered::One(slice) => Step::Serve(Bytes::from_owner(slice)),
                    Gathered::Many(pieces) => Step::Load(pieces),
                };
            }
            Err(missing) => missing,
        };
        let refetchable = self.is_refetchable(&inner);
        let reads = inner.reads;
        if let Some(stream) = inner.stream_to_wait_for(missing, refetchable) {
            stream.demand = stream.demand.max(range.end);
            stream.wake_at = stream.wake_at.min(range.end.min(stream.end));
            let id = stream.id;
            stream.used_at_read = reads;
            let paused = inner.stream(id).is_some_and(|stream| stream.paused);
            let news = self.news.listen();
            drop(inner);
            if paused {
                self.go.notify(usize::MAX);
            }
            return Step::Wait(news, id);
        }
        if !refetchable {
            return Step::Lost;
        }
        let (mut fetch, open_ended) = self.fetch_for(missing, range.end, run_bytes);
        if let Some((next, _)) = inner.extents.range(missing + 1..).next()
            && !open_ended
        {
            fetch.end = fetch.end.min(*next);
        }
        if inner.make_room_for_stream() {
            self.go.notify(usize::MAX);
        }
        let id = inner.add_stream(fetch, open_ended);
        Step::Start(id)
    }

    /// What to ask S3 for when the byte at `missing` is wanted by a read that ends at `end`.
    fn fetch_for(&self, missing: u64, end: u64, run_bytes: u64) -> (Range<u64>, bool) {
        let size = self.version.size;
        let sequential = missing == 0 || run_bytes + (end - missing) >= SEQUENTIAL_BYTES_MIN;
        if sequential && self.context.config.hold != Hold::Off {
            return (missing..size, true);
        }
        let wanted = if sequential {
            BOUNDED_FETCH_BYTES
        } else {
            (2 * run_bytes).clamp(RANDOM_FETCH_BYTES_MIN, RANDOM_FETCH_BYTES_MAX)
        };
        (missing..(missing + wanted).max(end).min(size), false)
    }

    async fn load(&self, pieces: Vec<Piece>, bytes: usize) -> Result<Bytes, FsError> {
        let boat = self.inner.lock().boat.clone();
        let mut joined = BytesMut::with_capacity(bytes);
        for piece in pieces {
            match (piece, &boat) {
                (Piece::Memory(slice), _) => joined.extend_from_slice(&slice),
                (Piece::Boat(range), Some(boat)) => {
                    let read = boat.read(range).await.map_err(FsError::Disk)?;
                    if joined.is_empty() && read.len() == bytes {
                        return Ok(read);
                    }
                    joined.extend_from_slice(&read);
                }
                (Piece::Boat(range), None) => {
                    let key = self.version.key.clone();
                    return Err(FsError::LostHold { key, start: range.start, end: range.end });
                }
            }
        }
        Ok(joined.freeze())
    }

    pub(super) fn start_stream(self: &Arc<Self>, id: StreamId, body: Option<BodyOf<E>>) {
        self.context.env.spawn().spawn("stream", stream::run(self.clone(), id, body));
    }

    fn let_go_unless_open(&self, mut inner: MutexGuard<'_, Inner<BoatOf<E>>>) {
        if inner.is_open() {
            return;
        }
        inner.let_go();
        drop(inner);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.go.notify(usize::MAX);
        self.news.notify(usize::MAX);
    }

    // What streams call.

    /// Whether what has not been begun can no longer be fetched.
    pub(super) fn is_past_fetching(&self) -> bool {
        !self.is_refetchable(&self.inner.lock())
    }

    /// A GET that named this very Version was told that it does not exist.
    pub(super) fn gone(&self) {
        self.inner.lock().gone = true;
    }

    /// Whether the stream still has a purpose.
    pub(super) fn wants(&self, id: StreamId) -> bool {
        self.inner.lock().stream(id).is_some()
    }

    /// Where the stream is to end.
    pub(super) fn end_of(&self, id: StreamId) -> u64 {
        self.inner.lock().stream(id).map_or(0, |stream| stream.end)
    }

    /// Whether the stream may read on.
    pub(super) fn permission(&self, id: StreamId) -> Permission {
        let memory_short = self.context.memory.is_short_of(MIB);
        let now = self.context.env.clock().now();
        let mut inner = self.inner.lock();
        let lost = !self.is_refetchable(&inner);
        let drains = lost && !inner.boat_refused && self.context.config.hold != Hold::Off;
        let Some(stream) = inner.stream(id) else { return Permission::Stop };
        let whole = stream.open_ended && self.version.size <= WHOLE_FETCH_BYTES;
        let limit = if stream.pos == stream.end || whole || !stream.open_ended || drains {
            stream.end
        } else if stream.keep && !lost {
            0
        } else if memory_short {
            stream.demand.max(stream.trickle_to)
        } else {
            (stream.demand + stream.window).max(stream.trickle_to)
        };
        stream.paused = stream.pos >= limit && stream.pos < stream.end;
        if stream.paused || stream.busy.0 == 0 {
            stream.busy = (0, now);
        }
        if !stream.paused {
            return Permission::Run {
                pos: stream.pos,
                end: stream.end,
                wake_at: stream.wake_at,
                into_lifeboat: drains && stream.open_ended && !whole,
            };
        }
        let far_ahead = stream.pos >= stream.demand + stream.window + TRICKLE_AHEAD_BYTES_MAX;
        let upkeep = match (lost, stream.keep, far_ahead) {
            (false, true, _) | (false, false, true) => Upkeep::Renew { pos: stream.pos, end: stream.end },
            (true, _, true) => Upkeep::None,
            (true, _, false) | (false, false, false) => Upkeep::Trickle,
        };
        Permission::Pause { go: self.go.listen(), upkeep }
    }

    /// Lets a paused stream read a little, so that it does not look dead.
    pub(super) fn trickle(&self, id: StreamId, bytes: u64) {
        if let Some(stream) = self.inner.lock().stream(id) {
            stream.trickle_to = stream.pos + bytes;
        }
    }

    /// Where the stream's next bytes go: `Err(n)`: nowhere, n bytes are held already.
    pub(super) fn room_at(&self, pos: u64, end: u64, streamed: u64) -> Result<ExtentWriter, u64> {
        let bytes = {
            let inner = self.inner.lock();
            if let Some(held) = inner.held_until(pos) {
                return Err(held.min(end) - pos);
            }
            let next = inner.extents.range(pos + 1..).next().map_or(end, |(at, _)| *at);
            let grown = streamed.next_power_of_two().clamp(WINDOW_BYTES_MIN, EXTENT_BYTES);
            grown.min(end - pos).min(next - pos)
        };
        // Not under the lock: this may sweep other contents, and this one.
        let (room, permit) = self.context.memory.allocate_anyway(bytes);
        let (extent, writer) = Extent::new(pos, room, permit);
        self.inner.lock().extents.insert(pos, extent);
        let this: Weak<Self> = self.this.clone();
        self.context.memory.enrol(this, pos);
        Ok(writer)
    }

    /// `bytes` more of the stream are held.
    pub(super) fn advance(&self, id: StreamId, bytes: u64) {
        let mut inner = self.inner.lock();
        let Some(stream) = inner.stream(id) else { return };
        stream.pos += bytes;
        // It may have been cut while these were under way.
        stream.end = stream.end.max(stream.pos);
        stream.busy.0 += bytes;
        if stream.pos >= stream.wake_at {
            stream.wake_at = u64::MAX;
            drop(inner);
            self.news.notify(usize::MAX);
        }
    }

    /// The stream is over, for good or ill; readers that waited on it learn why.
    pub(super) fn end_stream(&self, id: StreamId, error: Option<FsError>) {
        let mut inner = self.inner.lock();
        inner.streams.retain(|stream| stream.id != id);
        inner.relay_lost(id);
        if let Some(error) = error {
            if inner.failed.len() == FAILED_KEPT {
                inner.failed.remove(0);
            }
            inner.failed.push((id, error));
        }
        drop(inner);
        self.news.notify(usize::MAX);
    }

    /// The lifeboat of this Version, launched when first needed; `None` when it was refused.
    pub(super) async fn lifeboat(&self) -> Option<Arc<BoatOf<E>>> {
        if let Some(boat) = &self.inner.lock().boat {
            return Some(boat.clone());
        }
        let launched = Lifeboat::launch(self.context.env.disk(), self.context.lifeboats.clone()).await;
        match launched {
            Ok(boat) => {
                // Another stream may have launched one while this one waited for the disk: one serves both.
                Some(self.inner.lock().boat.get_or_insert(Arc::new(boat)).clone())
            }
            Err(refused) => {
                self.refuse_lifeboat(&refused);
                None
            }
        }
    }

    /// From now on streams hold what they can in memory and wait for their readers.
    pub(super) fn refuse_lifeboat(&self, refused: &Refused) {
        self.inner.lock().boat_refused = true;
        tracing::warn!(
            "{:?}: the rest of the replaced version is not saved locally ({refused}); readers are served as long as its GET lives",
            self.version.key
        );
    }
}

enum Gathered {
    One(crate::data::extent::ExtentSlice),
    Many(Vec<Piece>),
}

impl<S: crate::env::Spool> Inner<Lifeboat<S>> {
    /// All pieces of `range`, or the first offset that is not at hand.
    fn gather(&self, range: Range<u64>) -> Result<Gathered, u64> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let extent = self.extents.range(..=at).next_back().map(|(_, extent)| extent);
            let slice = extent.and_then(|extent| extent.slice(at..range.end.min(extent.end_filled()).max(at)));
            if let Some(slice) = slice.filter(|slice| !slice.is_empty()) {
                at += slice.len() as u64;
                if pieces.is_empty() && at == range.end {
                    return Ok(Gathered::One(slice));
                }
                pieces.push(Piece::Memory(slice));
            } else if let Some(end) = self.boat.as_ref().and_then(|boat| boat.end_of(at)) {
                pieces.push(Piece::Boat(at..end.min(range.end)));
                at = end.min(range.end);
            } else {
                return Err(at);
            }
        }
        Ok(Gathered::Many(pieces))
    }

    /// The end of what is held without a gap from `offset` on in one place.
    fn held_until(&self, offset: u64) -> Option<u64> {
        let extent = self.extents.range(..=offset).next_back().map(|(_, extent)| extent.end_filled());
        let boat = self.boat.as_ref().and_then(|boat| boat.end_of(offset));
        extent.filter(|end| *end > offset).max(boat)
    }

    /// The first byte neither held nor served nor on its way to be fetched whole.
    fn first_missing(&self, size: u64) -> Option<u64> {
        let mut at = 0;
        while at < size {
            match self.held_until(at).max(self.served.end_of(at)) {
                Some(end) => at = end,
                None if size <= WHOLE_FETCH_BYTES && self.streams.iter().any(|s| s.pos <= at && s.end == size) => {
                    return None;
                }
                None => return Some(at),
            }
        }
        None
    }
}

impl<B> Inner<B> {
    fn is_open(&self) -> bool {
        self.opening > 0 || !self.handles.is_empty()
    }

    pub(super) fn add_stream(&mut self, range: Range<u64>, open_ended: bool) -> StreamId {
        self.next_stream += 1;
        let id = StreamId(self.next_stream);
        self.streams.push(Stream::new(id, range, open_ended, self.reads));
        id
    }

    pub(super) fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    fn failure_of(&self, id: StreamId) -> Option<FsError> {
        self.failed.iter().find(|(failed, _)| *failed == id).map(|(_, error)| error.clone())
    }

    /// The stream that will bring the byte at `missing` soonest. Where nothing can be fetched again, any that will.
    fn stream_to_wait_for(&mut self, missing: u64, refetchable: bool) -> Option<&mut Stream> {
        let serves = |stream: &&mut Stream| {
            let ahead = stream.pos <= missing && missing < stream.end;
            let near = missing - stream.pos.min(missing) <= WINDOW_BYTES_MAX;
            ahead && (!refetchable || (near && !stream.keep))
        };
        self.streams.iter_mut().filter(serves).max_by_key(|stream| stream.pos)
    }

    /// The stream unused for longest makes room for another, and must be told.
    fn make_room_for_stream(&mut self) -> bool {
        if self.streams.len() < STREAMS_MAX {
            return false;
        }
        let idle = self.streams.iter().filter(|stream| stream.open_ended && !stream.keep && stream.wake_at == u64::MAX);
        let idle = idle.min_by_key(|stream| stream.used_at_read).map(|stream| stream.id);
        self.streams.retain(|stream| Some(stream.id) != idle);
        idle.is_some()
    }

    /// Notes that the kernel gets `range`, and lets the streams behind it run on. True if one may have been waiting.
    fn serve(&mut self, range: Range<u64>, run_bytes: u64) -> bool {
        if self.served.contains(range.clone()) {
            if let Some((_, extent)) = self.extents.range(..=range.start).next_back() {
                extent.touch();
            }
        } else if self.served.pieces() < SERVED_PIECES_MAX
            || self.served.end_of(range.start.saturating_sub(1)).is_some()
        {
            self.served.insert(range.clone());
        }
        let window = (run_bytes + range.end - range.start).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        let mut resumed = false;
        for stream in &mut self.streams {
            let follows = stream.origin <= range.end && range.end <= stream.pos + WINDOW_BYTES_MIN;
            let near = stream.pos - stream.pos.min(range.end) <= 2 * WINDOW_BYTES_MAX;
            if !stream.open_ended || stream.keep || !follows || !near {
                continue;
            }
            stream.used_at_read = self.reads;
            stream.window = stream.window.max(window);
            if range.end > stream.demand {
                resumed |= stream.paused;
                stream.demand = range.end;
            }
        }
        resumed
    }

    /// Nobody has the file open: stop fetching, free the disk, and of a superseded Version keep nothing.
    fn let_go(&mut self) {
        self.streams.clear();
        self.relay = None;
        self.boat = None;
        self.boat_refused = false;
        if self.superseded.is_some() {
            self.extents.clear();
        }
    }
}

impl<E: Env> Holds for Content<E> {
    fn is_superseded(&self) -> bool {
        self.inner.lock().superseded.is_some()
    }
}

impl<E: Env> Sweep for Content<E> {
    fn sweep(&self, start: u64) -> Swept {
        let mut inner = self.inner.lock();
        let Some(extent) = inner.extents.get(&start) else { return Swept::Gone };
        let (filled, room) = (extent.end_filled(), extent.end_room());
        let open = inner.is_open();
        let filling = inner.streams.iter().any(|stream| start <= stream.pos && stream.pos < room);
        // Without a lifeboat all the rest comes through memory, however much it is: then what was served may go.
        let irreplaceable = open && !self.is_refetchable(&inner) && !inner.boat_refused;
        let unread = open && !inner.served.contains(start..filled) && inner.streams.iter().any(|s| s.origin <= start);
        if filling || irreplaceable || unread || extent.take_touched() {
            return Swept::Kept;
        }
        inner.extents.remove(&start);
        Swept::Gone
    }
}

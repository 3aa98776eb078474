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
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use event_listener::{Event, EventListener};

use crate::config::{ATTR_TTL, Hold, RANDOM_READS_MAX, Sizes};
use crate::data::context::Context;
use crate::data::holdings::{Gathered, Inner, Piece};
use crate::data::lifeboat::{Lifeboat, Unreadable};
use crate::data::patience::or_timeout;
use crate::data::ranges::Ranges;
use crate::data::runs::Runs;
use crate::data::stream::{self, Stream, StreamId};
use crate::env::store::{ErrorKind, Store, StoreError};
use crate::env::{Disk, Env, Spawn};
use crate::error::FsError;
use crate::lock::{Guard, Lock};
use crate::marks::sometimes;
use crate::op::Fh;
use crate::state::version::{Holds, Successor, Version};
use crate::zoo::{self, Bug};

pub(crate) type BodyOf<E> = <<E as Env>::Store as Store>::Body;
pub(super) type BoatOf<E> = Lifeboat<<<E as Env>::Disk as Disk>::Spool>;

/// What keeps a Version's bytes within reach, as `user.holdfast.hold` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is the current version.
    Current,
    /// GETs name its version id.
    VersionId,
    /// All of it is in memory or in the lifeboat.
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
    pub(super) news: Event,
    pub(super) this: Weak<Self>,
}

/// Whether the kernel keeps what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    InPageCache,
    /// O_DIRECT: straight to the caller.
    Nowhere,
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

impl<E: Env> Content<E> {
    /// Of `version`, with nothing at hand yet.
    pub fn new(context: Arc<Context<E>>, version: Version) -> Arc<Self> {
        let sizes = context.config.sizes;
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
                runs: Runs::new(sizes.run_slack_bytes),
                sizes,
                reads: 0,
                served: Ranges::new(),
                superseded: None,
                relay: None,
                gone: false,
                boat: None,
                boat_refused: false,
                spilling: false,
            }),
            go: Event::new(),
            news: Event::new(),
            this: this.clone(),
        })
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.context.config.sizes
    }

    /// Whether the GET that opens it fetches it whole.
    pub(super) fn is_small(&self) -> bool {
        self.version.size <= self.sizes().whole_fetch_bytes
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
            // Closed while it was asked for.
            if !inner.is_open() {
                sometimes!(AnchorForNobody);
                return;
            }
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
            && !self.is_small()
            && inner.superseded.is_none()
            && !inner.streams.iter().any(|stream| stream.keep)
    }

    /// Whether somebody has it open whose bytes would be out of reach once its object is replaced or deleted. `needed`: or
    /// needs them without having it open.
    pub fn wants_holding(&self, needed: bool) -> bool {
        let inner = self.inner.lock();
        let kept = inner.streams.iter().any(|stream| stream.keep);
        (needed || inner.is_open()) && self.would_miss(&inner).is_some() && !kept
    }

    /// The first byte that who has it open would miss once its object is replaced or deleted, and nothing but GETs under way
    /// held it.
    pub fn first_to_hold(&self) -> Option<u64> {
        let inner = self.inner.lock();
        if inner.handles.is_empty() { None } else { self.would_miss(&inner) }
    }

    /// Whether GETs of it are under way.
    pub fn is_streamed(&self) -> bool {
        !self.inner.lock().streams.is_empty()
    }

    fn would_miss(&self, inner: &Inner<BoatOf<E>>) -> Option<u64> {
        let holds = self.context.config.hold != Hold::Off
            && self.version.version_id.is_none()
            && inner.superseded.is_none()
            && !inner.is_whole(self.version.size);
        // What the kernel has been given it may have dropped since; but that it asks for again later, if at all.
        let first = inner.first_missing(self.version.size);
        if holds { first.or((self.version.size > 0).then_some(0)) } else { None }
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
        if zoo::has(Bug::FirstCloseLetsGo) {
            inner.let_go();
        }
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

    /// Whether nobody has it open, nothing is at hand of it or on its way, and not even its version id is known: an open for
    /// reading had better begin afresh.
    pub fn knows_nothing(&self) -> bool {
        let inner = self.inner.lock();
        let idle = inner.handles.is_empty() && inner.opening == 0 && inner.streams.is_empty();
        let empty = inner.extents.is_empty() && inner.boat.is_none() && self.version.size > 0;
        idle && empty && self.version.version_id.is_none() && inner.superseded.is_none()
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
    pub async fn read(self: &Arc<Self>, offset: u64, len: u64, kept: Kept) -> Result<Bytes, FsError> {
        let end = offset.saturating_add(len).min(self.version.size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let outcome = self.read_within(offset, end, kept).await;
        // Its last handle may have been closed, or moved on to a renamed file's content, while this read had begun a stream.
        self.let_go_unless_open(self.inner.lock());
        outcome
    }

    async fn read_within(self: &Arc<Self>, offset: u64, end: u64, kept: Kept) -> Result<Bytes, FsError> {
        let run_bytes = self.note_read(offset, end - offset);
        let mut waited_for = None;
        loop {
            if zoo::has(Bug::FailedPrefetchUsedAgain)
                && let Some((_, error)) = self.inner.lock().failed.last()
            {
                return Err(error.clone());
            }
            let step = self.step(offset..end, run_bytes, kept);
            self.hop_if_outrun(end);
            match step {
                Step::Serve(data) => return Ok(data),
                Step::Load(pieces) => match self.load(pieces, (end - offset) as usize).await? {
                    Some(data) => return Ok(data),
                    // What did not come back is held no longer: each time round, less is on the disk.
                    None => continue,
                },
                Step::Start(id) => self.start_stream(id, None),
                Step::Lost if zoo::has(Bug::ZerosWhereLost) => return Ok(vec![0; (end - offset) as usize].into()),
                Step::Lost if zoo::has(Bug::EndOfFileWhereLost) => return Ok(Bytes::new()),
                Step::Lost if zoo::has(Bug::ReplacedIsAnInputOutputError) => {
                    let cause = StoreError::new(ErrorKind::BrokenBody, "the object changed");
                    return Err(FsError::Exhausted { key: self.version.key.clone(), cause });
                }
                Step::Lost => {
                    sometimes!(ReadLost);
                    return Err(FsError::LostHold { key: self.version.key.clone(), start: offset, end });
                }
                Step::Wait(news, id) => {
                    // Streams give up at the deadline by themselves; this bound only guards against one that died. A
                    // slow one may take its time.
                    let never = zoo::has(Bug::StallNeverNoticed);
                    let limit = if never { ATTR_TTL } else { self.context.config.deadline * 2 };
                    let at = self.inner.lock().stream(id).map(|stream| (id, stream.pos));
                    if or_timeout(self.context.env.clock(), limit, news).await.is_none() && at == waited_for {
                        let cause = StoreError::new(ErrorKind::NoAnswer, "no byte came");
                        return Err(FsError::Exhausted { key: self.version.key.clone(), cause });
                    }
                    waited_for = at;
                    if let Some(error) = self.inner.lock().failure_of(id) {
                        sometimes!(ReaderToldOfFailure);
                        return Err(error);
                    }
                    if zoo::has(Bug::ShortBodyIsEndOfFile) && self.inner.lock().stream(id).is_none() {
                        let inner = self.inner.lock();
                        let Err(missing) = inner.gather(offset..end) else { continue };
                        return Ok(match inner.gather(offset..missing) {
                            Ok(Gathered::One(slice)) => Bytes::from_owner(slice),
                            Ok(Gathered::Many(_)) | Err(_) => Bytes::new(),
                        });
                    }
                }
            }
        }
    }

    /// The bucket holds another object at the key, or none. Anchors take over at once; one line a handle says so.
    pub fn supersede(&self, successor: Successor) {
        self.moves_on(successor, true);
    }

    /// The same, by this mount's own doing, of which nobody need be told.
    pub fn supersede_by_us(&self, successor: Successor) {
        self.moves_on(successor, false);
    }

    fn moves_on(&self, successor: Successor, tell: bool) {
        if successor == Successor::Replaced(self.version.etag.clone()) {
            // Put again with the same bytes, or only its metadata changed: GETs under its condition go on.
            sometimes!(SameBytesAgain);
            if !zoo::has(Bug::SameBytesSupersede) {
                return;
            }
        }
        if successor == Successor::Shadowed && !zoo::has(Bug::ShadowedIsReplaced) {
            sometimes!(ShadowedWhileHeld);
            return self.inquire();
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
            if zoo::has(Bug::HeldDroppedOnReplacement) {
                inner.extents.clear();
            }
            if zoo::has(Bug::AnchorDroppedOnReplacement) {
                inner.streams.clear();
            }
            held = self.held_after(&inner);
        }
        self.wake_all();
        if handles.is_empty() || !tell {
            return;
        }
        sometimes!(SupersededWhileOpen);
        match (successor, self.this.upgrade()) {
            (Successor::Unknown, Some(this)) => {
                sometimes!(SupersededByInquiry);
                let inquiry = async move { this.report(handles, this.ask_successor().await, held) };
                self.context.env.spawn().spawn("ask what replaced a held version", inquiry);
            }
            (successor, _) => self.report(handles, successor, held),
        }
    }

    /// Finds out what became of the object, and is told.
    pub fn inquire(&self) {
        let Some(this) = self.this.upgrade() else { return };
        self.context.env.spawn().spawn("ask for a shadowed object", async move {
            match this.ask_successor().await {
                Successor::Unknown | Successor::Shadowed => {}
                known => this.supersede(known),
            }
        });
    }

    async fn ask_successor(&self) -> Successor {
        match self.context.head(&self.version.key).await {
            Ok(meta) => Successor::Replaced(meta.etag),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::NoSuchBucket) => Successor::Deleted,
            Err(_) => Successor::Unknown,
        }
    }

    fn report(&self, handles: Vec<Fh>, successor: Successor, held: Held) {
        let now = match successor {
            Successor::Replaced(etag) => format!("ETag {etag}"),
            Successor::Deleted => "deleted".to_string(),
            Successor::Unknown | Successor::Shadowed => "an unknown version".to_string(),
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
        if inner.is_whole(self.version.size) {
            return Held::Whole;
        }
        let whole = self.is_small();
        let anchors = inner.streams.iter().filter(|stream| stream.open_ended || whole);
        match anchors.map(|stream| stream.pos).min() {
            Some(from) => Held::Anchor { from },
            None => Held::Cached,
        }
    }

    /// Whether a new GET can still bring its bytes.
    pub(super) fn is_refetchable(&self, inner: &Inner<BoatOf<E>>) -> bool {
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
            let waits_ahead = inner.relay_anchors();
            let sizes = self.sizes();
            let idle = |stream: &Stream| {
                // A stray that lay within its reach moved its demand, but only a run widens its window.
                let careless = zoo::has(Bug::AnchorTakenByStray);
                let sequential = stream.window >= sizes.sequential_bytes_min && !careless;
                let unused = reads - stream.used_at_read >= RANDOM_READS_MAX.into();
                let relayed = waits_ahead.contains(&stream.id) && !careless;
                stream.open_ended && !superseded && unused && !sequential && !relayed
            };
            if !self.is_small() && inner.streams.iter().any(idle) {
                sometimes!(RandomReader);
                inner.streams.retain(|stream| !idle(stream));
                self.go.notify(usize::MAX);
            }
        }
        run_bytes
    }

    fn step(&self, range: Range<u64>, run_bytes: u64, kept: Kept) -> Step {
        let mut inner = self.inner.lock();
        let missing = match inner.gather(range.clone()) {
            Ok(pieces) => {
                let resumed = inner.serve(range, run_bytes, kept);
                drop(inner);
                if resumed && !zoo::has(Bug::WakeUpLost) {
                    self.go.notify(usize::MAX);
                }
                return match pieces {
                    Gathered::One(slice) => Step::Serve(Bytes::from_owner(slice)),
                    Gathered::Many(pieces) => Step::Load(pieces),
                };
            }
            Err(missing) => missing,
        };
        if inner.served.end_of(missing).is_some() {
            // The kernel asks again for what it was given: its page cache is letting go of this file.
            sometimes!(PagesAskedForAgain);
            inner.served = Ranges::new();
        }
        let refetchable = self.is_refetchable(&inner) || zoo::has(Bug::LostRefetchedWithoutCondition);
        let reads = inner.reads;
        if let Some(stream) = inner.stream_to_wait_for(missing, run_bytes, refetchable) {
            if !zoo::has(Bug::WindowIncrementLost) {
                stream.demand = stream.demand.max(range.end);
            }
            stream.wake_at = stream.wake_at.min(range.end.min(stream.end));
            let id = stream.id;
            stream.used_at_read = reads;
            let paused = inner.stream(id).is_some_and(|stream| stream.paused);
            let news = self.news.listen();
            drop(inner);
            if paused && !zoo::has(Bug::WakeUpLost) {
                sometimes!(PausedStreamWanted);
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
        let sequential = missing == 0 || run_bytes + (end - missing) >= self.sizes().sequential_bytes_min;
        if sequential && self.context.config.hold != Hold::Off {
            return (missing..size, true);
        }
        let wanted = if sequential {
            self.sizes().extent_bytes
        } else {
            (2 * run_bytes).clamp(self.sizes().random_fetch_bytes_min, self.sizes().random_fetch_bytes_max)
        };
        sometimes!(BoundedFetch);
        (missing..(missing + wanted).max(end).min(size), false)
    }

    /// Joins the pieces; `None` when part of what was on the disk is not there any more, and is to be looked for anew.
    async fn load(&self, pieces: Vec<Piece>, bytes: usize) -> Result<Option<Bytes>, FsError> {
        let boat = self.inner.lock().boat.clone();
        let mut joined = BytesMut::with_capacity(bytes);
        for piece in pieces {
            match (piece, &boat) {
                (Piece::Memory(slice), _) if zoo::has(Bug::SeamOffByOne) && !joined.is_empty() => {
                    joined.extend_from_slice(&slice[1..]);
                    joined.extend_from_slice(&slice[slice.len() - 1..]);
                }
                (Piece::Memory(slice), _) => joined.extend_from_slice(&slice),
                (Piece::Boat(range), Some(boat)) => {
                    let read = match boat.read(range).await {
                        Ok(read) => read,
                        Err(Unreadable::Disk(error)) => return Err(FsError::Disk(error)),
                        Err(Unreadable::Missing) => return Ok(None),
                        Err(Unreadable::Rotten(ranges)) => {
                            self.report_rot(&ranges);
                            return Ok(None);
                        }
                    };
                    if joined.is_empty() && read.len() == bytes {
                        return Ok(Some(read));
                    }
                    joined.extend_from_slice(&read);
                }
                (Piece::Boat(range), None) => {
                    let key = self.version.key.clone();
                    return Err(FsError::LostHold { key, start: range.start, end: range.end });
                }
            }
        }
        Ok(Some(joined.freeze()))
    }

    fn report_rot(&self, ranges: &[Range<u64>]) {
        tracing::warn!(
            "{:?}: the local disk gave back other bytes than were saved there of ETag {}, at {ranges:?}: they are given to \
             nobody, and reads of them fail with ESTALE unless they can be had elsewhere; check the disk of the cache \
             directory",
            self.version.key,
            self.version.etag,
        );
    }

    pub(super) fn start_stream(self: &Arc<Self>, id: StreamId, body: Option<BodyOf<E>>) {
        self.context.env.spawn().spawn("stream", stream::run(self.clone(), id, body));
    }

    fn let_go_unless_open(&self, mut inner: Guard<'_, Inner<BoatOf<E>>>) {
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
}

impl<E: Env> Holds for Content<E> {
    fn is_superseded(&self) -> bool {
        self.inner.lock().superseded.is_some()
    }
}

//! What streams and the memory budget ask of a content: where bytes go, and what may be given up.

use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::config::{Hold, LANES};
use crate::data::content::{BoatOf, Content};
use crate::data::extent::{Extent, ExtentSlice, ExtentWriter};
use crate::data::holdings::{FAILED_KEPT, Inner};
use crate::data::lifeboat::{Lifeboat, Refused};
use crate::data::memory::{Sweep, Swept};
use crate::data::stream::{Permission, StreamId, Upkeep};
use crate::env::{Clock, Env, Spawn};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

impl<E: Env> Content<E> {
    /// Whether what has not been begun can no longer be fetched.
    pub(super) fn is_past_fetching(&self) -> bool {
        !self.is_refetchable(&self.inner.lock())
    }

    /// A GET that named this very Version was told that it does not exist.
    pub(super) fn gone(&self) {
        if !zoo::has(Bug::PurgeUnnoticed) {
            self.inner.lock().gone = true;
        }
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
        let memory_short = self.context.memory.is_short_of(self.sizes().window_bytes_min);
        let now = self.context.env.clock().now();
        let mut inner = self.inner.lock();
        let lost = !self.is_refetchable(&inner);
        let drains = lost && !inner.boat_refused && self.context.config.hold != Hold::Off;
        let Some(stream) = inner.stream(id) else { return Permission::Stop };
        let whole = stream.open_ended && self.is_small();
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
        sometimes!(StreamPaused);
        let far_ahead = stream.pos >= stream.demand + stream.window + self.sizes().window_bytes_max;
        let far_ahead = far_ahead && !zoo::has(Bug::TrickleWithoutEnd);
        let upkeep = match (lost, stream.keep, far_ahead) {
            (false, true, _) | (false, false, true) => Upkeep::Renew { pos: stream.pos, end: stream.end },
            (true, _, true) => Upkeep::None,
            (true, _, false) | (false, false, false) => Upkeep::Trickle,
        };
        let upkeep = if zoo::has(Bug::PausedStreamLeftIdle) { Upkeep::None } else { upkeep };
        Permission::Pause { go: self.go.listen(), upkeep }
    }

    /// Lets a paused stream read a little, so that it does not look dead.
    pub(super) fn trickle(&self, id: StreamId, bytes: u64) {
        if let Some(stream) = self.inner.lock().stream(id) {
            sometimes!(Trickled);
            stream.trickle_to = stream.pos + bytes;
        }
    }

    /// Where the stream's next bytes go: `Err(n)`: nowhere, n bytes are held already.
    pub(super) fn room_at(&self, pos: u64, end: u64, streamed: u64) -> Result<ExtentWriter, u64> {
        let bytes = {
            let inner = self.inner.lock();
            if let Some(held) = inner.held_until(pos) {
                sometimes!(BytesHeldAlready);
                return Err(held.min(end) - pos);
            }
            let next = inner.extents.range(pos + 1..).next().map_or(end, |(at, _)| *at);
            let grown = streamed.next_power_of_two().clamp(self.sizes().window_bytes_min, self.sizes().extent_bytes);
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

    /// All of the Version's bytes, which this mount has just published: kept as a cache, unless memory is short.
    pub fn seed(&self, bytes: &[u8]) {
        let len = bytes.len() as u64;
        if len != self.version().size || len == 0 || !self.is_small() || self.context.memory.is_short_of(len) {
            return;
        }
        let (room, permit) = self.context.memory.allocate_anyway(len);
        let (extent, mut writer) = Extent::new(0, room, permit);
        writer.append(bytes);
        self.inner.lock().extents.insert(0, extent);
        let this: Weak<Self> = self.this.clone();
        self.context.memory.enrol(this, 0);
        sometimes!(Seeded);
    }

    /// What is in memory of the same bytes, which stood at another key or under another ETag.
    pub fn inherit(&self, old: &Self) {
        let (extents, boat) = {
            let old = old.inner.lock();
            (old.extents.clone(), old.boat.clone())
        };
        let starts: Vec<u64> = extents.keys().copied().collect();
        {
            let mut inner = self.inner.lock();
            (inner.extents, inner.boat) = (extents, boat);
        }
        for start in starts {
            let this: Weak<Self> = self.this.clone();
            self.context.memory.enrol(this, start);
        }
    }

    /// `bytes` more of the stream are held.
    pub(super) fn advance(&self, id: StreamId, bytes: u64) {
        let mut inner = self.inner.lock();
        let Some(stream) = inner.stream(id) else {
            sometimes!(BytesForStoppedStream);
            assert!(!zoo::has(Bug::BytesOfStoppedStreamUnexpected), "bytes of a stream that is not there");
            return;
        };
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
        let (disk, fleet) = (self.context.env.disk(), self.context.lifeboats.clone());
        let launched = Lifeboat::launch(disk, fleet, self.sizes().lifeboat_block_bytes).await;
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
        sometimes!(LifeboatRefused);
        self.inner.lock().boat_refused = true;
        tracing::warn!(
            "{:?}: the rest of the replaced version is not saved locally ({refused}); readers are served as long as its GET lives",
            self.version().key
        );
    }

    /// Whether its bytes could not be had again, so that memory must not be freed of them while the file is open: those
    /// of a superseded Version, and those of a small object, whose hold was complete when it was opened.
    fn is_precious(&self, inner: &Inner<BoatOf<E>>) -> bool {
        let small = self.is_small();
        let fickle = self.version().version_id.is_none() && self.context.config.hold != Hold::Off;
        inner.is_open() && !zoo::has(Bug::PreciousSwept) && (!self.is_refetchable(inner) || (small && fickle))
    }

    /// Whether these bytes, none of them precious by itself, were fetched ahead of a sequential reader who has not come to
    /// them: the GET that brought them is over, and no later one need bring them again.
    fn is_awaited(&self, inner: &Inner<BoatOf<E>>, range: Range<u64>) -> bool {
        let fickle = self.version().version_id.is_none() && self.context.config.hold != Hold::Off;
        let reach_bytes = 2 * (LANES + 1) * self.sizes().extent_bytes;
        inner.is_open()
            && fickle
            && !zoo::has(Bug::PreciousSwept)
            && !inner.served.contains(range.clone())
            && inner.runs.lead_to(range, self.sizes().sequential_bytes_min, reach_bytes)
    }

    /// Has the extents moved into the lifeboat, so that their memory becomes free.
    fn start_spilling(&self, inner: &mut Inner<BoatOf<E>>) {
        if inner.spilling {
            return;
        }
        let Some(this) = self.this.upgrade() else { return };
        inner.spilling = true;
        self.context.env.spawn().spawn("spill", async move {
            this.spill().await;
            this.inner.lock().spilling = false;
        });
    }

    async fn spill(&self) {
        while let Some((start, bytes)) = self.next_to_spill() {
            let Some(boat) = self.lifeboat().await else { return };
            let bytes = Bytes::from_owner(bytes);
            if zoo::has(Bug::SpillDropsBeforeSaved) {
                self.inner.lock().extents.remove(&start);
            }
            if let Err(refused) = boat.save(self.context.env.disk(), start, bytes).await {
                self.refuse_lifeboat(&refused);
                return;
            }
            let mut inner = self.inner.lock();
            // The file may have been closed while the disk was busy: then there is no lifeboat to have moved to.
            if inner.boat.as_ref().is_some_and(|current| Arc::ptr_eq(current, &boat)) {
                sometimes!(Spilled);
                inner.extents.remove(&start);
            } else {
                sometimes!(ClosedWhileSpilling);
            }
        }
    }

    /// An extent that is no longer being filled.
    fn next_to_spill(&self) -> Option<(u64, ExtentSlice)> {
        let inner = self.inner.lock();
        let precious = self.is_precious(&inner);
        inner.extents.iter().find_map(|(start, extent)| {
            if !precious && !self.is_awaited(&inner, *start..extent.end_filled()) {
                return None;
            }
            let filling = inner.streams.iter().any(|s| *start <= s.pos && s.pos < extent.end_room());
            let slice = extent.slice(*start..extent.end_filled()).filter(|slice| !slice.is_empty() && !filling);
            slice.map(|slice| (*start, slice))
        })
    }
}

impl<E: Env> Sweep for Content<E> {
    fn sweep(&self, start: u64) -> Swept {
        let mut inner = self.inner.lock();
        let Some(extent) = inner.extents.get(&start) else { return Swept::Gone };
        let (filled, room) = (extent.end_filled(), extent.end_room());
        let touched = extent.take_touched();
        let open = inner.is_open();
        let filling = inner.streams.iter().any(|stream| start <= stream.pos && stream.pos < room);
        let served = inner.served.contains(start..filled);
        let unread = open && !served && inner.streams.iter().any(|stream| stream.origin <= start);
        let awaited = !unread && self.is_awaited(&inner, start..filled);
        if (self.is_precious(&inner) || awaited) && !filling {
            if !inner.boat_refused {
                self.start_spilling(&mut inner);
                return Swept::Kept;
            }
            // Without a lifeboat all the rest comes through memory, however much it is: then what was served may go.
            if !served {
                return Swept::Kept;
            }
        }
        if filling || unread || touched {
            return Swept::Kept;
        }
        sometimes!(Swept);
        inner.extents.remove(&start);
        Swept::Gone
    }
}

//! When one connection is too slow for a sequential reader: several at a time, and an anchor that goes ahead of them.
//!
//! The reader's open-ended GET is its anchor, and one connection's speed is all it gives. A *hop* sets up the next
//! stretch: ranged GETs, the lanes, for what follows the anchor, and beyond them a new open-ended GET that waits there,
//! paused. Only once S3 has begun to answer every one of them under the Version's condition does the old anchor become
//! a lane too and end. So at every moment each byte from the reader to the object's end is either here or being delivered
//! by a GET that began in time: wherever the replacement falls, nothing is lost. The old anchor is read, not thrown away,
//! up to where the first lane begins; what is wasted is what was under way when it was cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Hold, LANES, OUTRUN_BYTES_PER_SECOND, Sizes};
use crate::data::content::Content;
use crate::data::holdings::Inner;
use crate::data::stream::StreamId;
use crate::env::{Clock, Env, Time};
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

/// The relay of one sequential reader.
#[derive(Debug)]
pub(super) struct Relay {
    /// Reaches to the object's end; the lanes before it are under way.
    anchor: StreamId,
    hop: Option<Hop>,
}

/// A stretch that is being set up.
#[derive(Debug)]
struct Hop {
    /// Where the old anchor ends once all have begun.
    cut_at: u64,
    /// The anchor after it; `None` when the lanes reach the object's end.
    anchor: Option<StreamId>,
    /// GETs that S3 has not begun to answer.
    waiting: BTreeSet<StreamId>,
}

impl<E: Env> Content<E> {
    /// Sets up the next stretch if the reader, who now wants the bytes up to `end`, needs one.
    pub(super) fn hop_if_outrun(self: &Arc<Self>, end: u64) {
        if self.context.config.hold == Hold::Off || self.hop_wanted(end).is_none() {
            return;
        }
        // Asked outside of the lock, because it may sweep; lanes are prefetch, so they must fit.
        if self.context.memory.is_short_of(LANES * self.sizes().extent_bytes) {
            sometimes!(HopWithoutMemory);
            return;
        }
        let started = {
            let mut inner = self.inner.lock();
            // While memory was asked, another read may have hopped.
            match self.hop_wanted_of(&mut inner, end) {
                Some(from) => {
                    sometimes!(HopBegun);
                    inner.hop(from, self.version().size)
                }
                None => return,
            }
        };
        self.go.notify(usize::MAX);
        for id in started {
            self.start_stream(id, None);
        }
    }

    fn hop_wanted(&self, end: u64) -> Option<StreamId> {
        self.hop_wanted_of(&mut self.inner.lock(), end)
    }

    /// The anchor to hop from.
    fn hop_wanted_of<B>(&self, inner: &mut Inner<B>, end: u64) -> Option<StreamId> {
        if inner.superseded.is_some() {
            return None;
        }
        let Sizes { extent_bytes: lane_bytes, outrun_bytes, .. } = self.sizes();
        if let Some(relay) = &inner.relay {
            let (anchor, busy) = (relay.anchor, relay.hop.is_some());
            let Some(stream) = inner.stream(anchor) else {
                inner.relay = None;
                return None;
            };
            // Half of the lanes are behind: time to set up those beyond the anchor.
            let due = stream.origin.saturating_sub(LANES / 2 * lane_bytes);
            return (!busy && end >= due && end <= stream.pos + lane_bytes).then_some(anchor);
        }
        let now = self.context.env.clock().now();
        let size = self.version().size;
        let outrun = inner.streams.iter().find(|stream| {
            let worth = size - stream.pos >= 2 * lane_bytes;
            stream.open_ended
                && !stream.keep
                && worth
                && stream.wake_at != u64::MAX
                && is_outrun(stream.busy, now, outrun_bytes)
        });
        outrun.map(|stream| stream.id)
    }

    /// S3 has begun to answer the stream's GET.
    pub(super) fn connected(&self, id: StreamId) {
        let mut inner = self.inner.lock();
        let superseded = inner.superseded.is_some();
        let Some(relay) = &mut inner.relay else { return };
        let Some(hop) = &mut relay.hop else { return };
        if !hop.waiting.remove(&id) {
            return;
        }
        // Once the Version was superseded, the old anchor is needed to its end.
        if superseded {
            sometimes!(HopCutShort);
            return;
        }
        if !hop.waiting.is_empty() {
            return;
        }
        sometimes!(HopDone);
        let (cut_at, anchor, next) = (hop.cut_at, relay.anchor, hop.anchor);
        inner.relay = next.map(|anchor| Relay { anchor, hop: None });
        if let Some(stream) = inner.stream(anchor) {
            stream.end = cut_at.max(stream.pos);
            stream.open_ended = false;
        }
        drop(inner);
        self.go.notify(usize::MAX);
    }
}

impl<B> Inner<B> {
    /// Adds the streams of the stretch after the anchor `from`; answers which, to be started.
    fn hop(&mut self, from: StreamId, size: u64) -> Vec<StreamId> {
        // As long as an extent: long beside what is under way on a connection, which is wasted when an anchor is cut.
        let lane_bytes = self.sizes.extent_bytes;
        let Some(anchor) = self.stream(from) else { return Vec::new() };
        let cut_at = (anchor.pos + lane_bytes).min(size);
        anchor.demand = anchor.demand.max(cut_at);
        if zoo::has(Bug::AnchorCutBeforeLanesBegan) {
            (anchor.end, anchor.open_ended) = (cut_at, false);
        }
        let end = (cut_at + (LANES - 1) * lane_bytes).min(size);
        let mut waiting = BTreeSet::new();
        let mut started = Vec::new();
        let mut at = cut_at;
        while at < end {
            let until = (at + lane_bytes).min(end);
            let id = self.add_stream(at..until, false);
            waiting.insert(id);
            started.push(id);
            at = until;
        }
        let next = (end < size).then(|| self.add_stream(end..size, true));
        waiting.extend(next);
        started.extend(next);
        self.relay = Some(Relay { anchor: from, hop: Some(Hop { cut_at, anchor: next, waiting }) });
        started
    }

    /// The anchors of the relay: one may wait unused for long, and is needed all the same.
    pub(super) fn relay_anchors(&self) -> Vec<StreamId> {
        let relay = self.relay.iter();
        relay.flat_map(|relay| [Some(relay.anchor), relay.hop.as_ref().and_then(|hop| hop.anchor)]).flatten().collect()
    }

    /// A stream ended. If it never began, its hop is off: the old anchor stays what it is.
    pub(super) fn relay_lost(&mut self, id: StreamId) {
        let Some(relay) = &mut self.relay else { return };
        if relay.anchor == id {
            self.relay = None;
            return;
        }
        if relay.hop.as_ref().is_some_and(|hop| hop.waiting.contains(&id)) {
            sometimes!(HopLost);
            if zoo::has(Bug::FailedHopDropsAnchor) {
                let old = relay.anchor;
                self.streams.retain(|stream| stream.id != old);
                self.relay = None;
                return;
            }
            let old = relay.anchor;
            let next = relay.hop.take().and_then(|hop| hop.anchor);
            self.relay = None;
            // The next hop is due once the reader outruns it anew: what is refused for good is not asked for without end.
            if let Some(stream) = self.stream(old) {
                stream.busy = (0, Time::ZERO);
            }
            if self.superseded.is_none() {
                self.streams.retain(|stream| Some(stream.id) != next);
            }
        }
    }
}

/// Bytes that a stream brought without ever having to wait for its reader, and since when.
pub(super) type Busy = (u64, Time);

/// Whether it brought many, and slowly.
fn is_outrun((bytes, since): Busy, now: Time, outrun_bytes: u64) -> bool {
    bytes >= outrun_bytes && bytes as f64 / now.since(since).as_secs_f64() < OUTRUN_BYTES_PER_SECOND as f64
}

//! What a content has at hand, and how it looks for it: the state behind its lock.
//!
//! Pure bookkeeping: nothing here waits, spawns or asks. Extents may overlap where two streams met; all bytes are those
//! of one Version, so it does not matter which one serves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::config::{STREAMS_MAX, Sizes};
use crate::data::content::Kept;
use crate::data::extent::{Extent, ExtentSlice};
use crate::data::lifeboat::Lifeboat;
use crate::data::ranges::Ranges;
use crate::data::relay::Relay;
use crate::data::runs::Runs;
use crate::data::stream::{Stream, StreamId};
use crate::env::Spool;
use crate::error::FsError;
use crate::marks::sometimes;
use crate::op::Fh;
use crate::state::version::Successor;
use crate::zoo::{self, Bug};

pub(super) struct Inner<B> {
    pub(super) handles: BTreeSet<Fh>,
    /// Opens under way.
    pub(super) opening: u32,
    pub(super) extents: BTreeMap<u64, Arc<Extent>>,
    pub(super) streams: Vec<Stream>,
    pub(super) next_stream: u64,
    /// Streams that ended in an error, and it; the last few.
    pub(super) failed: Vec<(StreamId, FsError)>,
    pub(super) runs: Runs,
    pub(super) sizes: Sizes,
    /// Reads so far.
    pub(super) reads: u64,
    /// Bytes that the kernel has been given; its page cache may still have them.
    pub(super) served: Ranges,
    pub(super) superseded: Option<Successor>,
    pub(super) relay: Option<Relay>,
    /// The version id that would still name it names nothing any more.
    pub(super) gone: bool,
    pub(super) boat: Option<Arc<B>>,
    pub(super) boat_refused: bool,
    /// A task is moving extents into the lifeboat.
    pub(super) spilling: bool,
}

pub(super) enum Piece {
    Memory(ExtentSlice),
    Boat(Range<u64>),
}

/// Failed streams that are remembered for the readers that wait on them.
pub(super) const FAILED_KEPT: usize = 16;
/// Separate served ranges that are remembered; a reader more scattered than this is simply not called complete.
const SERVED_PIECES_MAX: usize = 4096;

pub(super) enum Gathered {
    One(ExtentSlice),
    Many(Vec<Piece>),
}

impl<S: Spool> Inner<Lifeboat<S>> {
    /// All pieces of `range`, or the first offset that is not at hand.
    pub(super) fn gather(&self, range: Range<u64>) -> Result<Gathered, u64> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let slice = self.extents_around(at).find_map(|extent| {
                extent.slice(at..range.end.min(extent.end_filled()).max(at)).filter(|slice| !slice.is_empty())
            });
            if let Some(slice) = slice {
                at += slice.len() as u64;
                if pieces.is_empty() && at == range.end {
                    return Ok(Gathered::One(slice));
                }
                pieces.push(Piece::Memory(slice));
            } else if let Some(end) = self.boat.as_ref().and_then(|boat| boat.end_of(at)) {
                sometimes!(FromLifeboat);
                pieces.push(Piece::Boat(at..end.min(range.end)));
                at = end.min(range.end);
            } else {
                return Err(at);
            }
        }
        sometimes!(ReadAcrossPieces);
        Ok(Gathered::Many(pieces))
    }

    /// Extents that may reach over `offset`, the last to begin first. It need not be the one that does: where a stream goes
    /// on through what another has fetched meanwhile, a short extent lies upon a long one.
    fn extents_around(&self, offset: u64) -> impl Iterator<Item = &Arc<Extent>> {
        let first = (offset + 1).saturating_sub(self.sizes.extent_bytes);
        self.extents.range(first..=offset).rev().map(|(_, extent)| extent)
    }

    /// The end of what is held without a gap from `offset` on in one place.
    pub(super) fn held_until(&self, offset: u64) -> Option<u64> {
        let claimed = zoo::has(Bug::ClaimedLengthBelieved);
        let end = |extent: &Extent| if claimed { extent.end_room() } else { extent.end_filled() };
        let extent = self.extents_around(offset).map(|extent| end(extent)).find(|end| *end > offset);
        let boat = self.boat.as_ref().and_then(|boat| boat.end_of(offset));
        extent.max(boat)
    }

    /// The first byte that an open would have to fetch: neither held, nor given to the kernel, nor on its way to be
    /// fetched whole.
    pub(super) fn first_missing(&self, size: u64) -> Option<u64> {
        let mut at = 0;
        while at < size {
            match self.held_until(at).max(self.served.end_of(at)) {
                Some(end) => at = end,
                None if size <= self.sizes.whole_fetch_bytes
                    && self.streams.iter().any(|s| s.pos <= at && s.end == size) =>
                {
                    return None;
                }
                None => return Some(at),
            }
        }
        None
    }

    /// Whether every byte is here: what the kernel was given it may have dropped.
    pub(super) fn is_whole(&self, size: u64) -> bool {
        let mut at = 0;
        while at < size {
            match self.held_until(at) {
                Some(end) => at = end,
                None => return false,
            }
        }
        true
    }
}

impl<B> Inner<B> {
    pub(super) fn is_open(&self) -> bool {
        self.opening > 0 || !self.handles.is_empty()
    }

    pub(super) fn add_stream(&mut self, range: Range<u64>, open_ended: bool) -> StreamId {
        self.next_stream += 1;
        let id = StreamId(self.next_stream);
        self.streams.push(Stream::new(id, range, open_ended, self.sizes.window_bytes_min, self.reads));
        id
    }

    pub(super) fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    pub(super) fn failure_of(&self, id: StreamId) -> Option<FsError> {
        self.failed.iter().find(|(failed, _)| *failed == id).map(|(_, error)| error.clone())
    }

    /// The stream that will bring the byte at `missing` soonest; for a reader who is not on a run, only one that is
    /// nearly there. Where nothing can be fetched again, any that will.
    pub(super) fn stream_to_wait_for(
        &mut self,
        missing: u64,
        run_bytes: u64,
        refetchable: bool,
    ) -> Option<&mut Stream> {
        let near_bytes = if run_bytes > 0 { self.sizes.window_bytes_max } else { self.sizes.window_bytes_min };
        let serves = |stream: &&mut Stream| {
            let behind = zoo::has(Bug::WaitsForAPassedStream) && stream.origin > missing;
            let ahead = (stream.pos <= missing || behind) && missing < stream.end;
            let near = missing - stream.pos.min(missing) <= near_bytes;
            ahead && (!refetchable || (near && !stream.keep))
        };
        self.streams.iter_mut().filter(serves).max_by_key(|stream| stream.pos)
    }

    /// The stream unused for longest makes room for another, and must be told.
    pub(super) fn make_room_for_stream(&mut self) -> bool {
        if self.streams.len() < STREAMS_MAX {
            return false;
        }
        let idle = self.streams.iter().filter(|stream| stream.open_ended && !stream.keep && stream.wake_at == u64::MAX);
        let idle = idle.min_by_key(|stream| stream.used_at_read).map(|stream| stream.id);
        if idle.is_some() {
            sometimes!(StreamMadeRoom);
        }
        self.streams.retain(|stream| Some(stream.id) != idle);
        idle.is_some()
    }

    /// Notes that the kernel gets `range`, and lets the streams behind it run on. True if one may have been waiting.
    pub(super) fn serve(&mut self, range: Range<u64>, run_bytes: u64, kept: Kept) -> bool {
        if self.served.contains(range.clone()) {
            if let Some((_, extent)) = self.extents.range(..=range.start).next_back() {
                extent.touch();
            }
        } else if kept == Kept::InPageCache
            && (self.served.pieces() < SERVED_PIECES_MAX || self.served.end_of(range.start.saturating_sub(1)).is_some())
        {
            self.served.insert(range.clone());
        }
        let window =
            (run_bytes + range.end - range.start).clamp(self.sizes.window_bytes_min, self.sizes.window_bytes_max);
        let mut resumed = false;
        for stream in &mut self.streams {
            let follows = stream.origin <= range.end && range.end <= stream.pos + self.sizes.window_bytes_min;
            let near = stream.pos - stream.pos.min(range.end) <= 2 * self.sizes.window_bytes_max;
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
    pub(super) fn let_go(&mut self) {
        if self.superseded.is_some() && !self.streams.is_empty() {
            sometimes!(ClosedWhileDraining);
        }
        self.streams.clear();
        self.relay = None;
        self.boat = None;
        self.boat_refused = false;
        if self.superseded.is_some() {
            self.extents.clear();
        }
    }
}

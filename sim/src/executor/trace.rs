//! What happened: a rolling hash, the last few events, and on demand all of them.
//!
//! Two runs are the same run if their hashes are equal. An event's value must therefore follow from the seed alone: no
//! address, no real time, no order of a seeded map. Of unlike runs, the checkpoints tell within about a thousand events
//! where they part ([`first_unlike_stretch`]), and a recording tells exactly ([`first_divergence`]).

mod divergence;

use std::fmt;
use std::ops::Range;

use holdfast::env::Time;

use super::state::TaskId;
use crate::rng::mix;

pub use divergence::{Divergence, first_divergence, first_unlike_stretch};

/// Enough to see what led up to a deadlock, little enough to read.
const RECENT_EVENTS_MAX: usize = 40;
/// How many events one checkpoint of the hash stands for.
pub const EVENTS_PER_CHECKPOINT: u64 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Time,
    /// The task that was running; `None`: the executor itself, or the test between two runs.
    pub task: Option<TaskId>,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Spawned(TaskId, &'static str),
    Polled,
    Ended,
    Panicked,
    /// Time jumped to `at`, and so many timers fired.
    Advanced(u64),
    /// Something that the world did: a request applied, a chunk delivered.
    Noted(&'static str, u64),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.at.0)?;
        if let Some(task) = self.task {
            write!(f, "task {} ", task.0)?;
        }
        match self.what {
            What::Spawned(id, name) => write!(f, "spawned {name}({})", id.0),
            What::Polled => write!(f, "polled"),
            What::Ended => write!(f, "ended"),
            What::Panicked => write!(f, "panicked"),
            What::Advanced(timers) => write!(f, "time advanced, {timers} timers"),
            What::Noted(label, value) => write!(f, "{label} {value:#x}"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    count: u64,
    checkpoints: Vec<u64>,
    /// A ring, once it is full: event `n` is at `n % RECENT_EVENTS_MAX`.
    recent: Vec<Event>,
    /// Which events to keep, by number.
    wanted: Range<u64>,
    recorded: Vec<Event>,
}

impl Trace {
    pub(super) fn record(&mut self, event: Event) {
        self.hash = mix(self.hash.rotate_left(5) ^ word_of(&event));
        let place = (self.count % RECENT_EVENTS_MAX as u64) as usize;
        match self.recent.get_mut(place) {
            Some(old) => *old = event,
            None => self.recent.push(event),
        }
        if self.wanted.contains(&self.count) {
            self.recorded.push(event);
        }
        self.count += 1;
        if self.count.is_multiple_of(EVENTS_PER_CHECKPOINT) {
            self.checkpoints.push(self.hash);
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn checkpoints(&self) -> Vec<u64> {
        self.checkpoints.clone()
    }

    pub(super) fn recent(&self) -> Vec<Event> {
        let oldest = if self.recent.len() < RECENT_EVENTS_MAX { 0 } else { self.count as usize % RECENT_EVENTS_MAX };
        let (newer, older) = self.recent.split_at(oldest);
        [older, newer].concat()
    }

    /// Forgets what is recorded and keeps the events with these numbers.
    pub(super) fn want(&mut self, wanted: Range<u64>) {
        self.wanted = wanted;
        self.recorded.clear();
    }

    pub(super) fn take_recorded(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.recorded)
    }
}

/// One word for an event. Each part has its own odd factor: parts that trade their values make another word.
fn word_of(event: &Event) -> u64 {
    let (code, label, value) = match event.what {
        What::Spawned(id, name) => (1, hash_of_label(name), id.0),
        What::Polled => (2, 0, 0),
        What::Ended => (3, 0, 0),
        What::Panicked => (4, 0, 0),
        What::Advanced(timers) => (5, 0, timers),
        What::Noted(label, value) => (6, hash_of_label(label), value),
    };
    let at = event.at.0;
    let at_ns = at.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(at.subsec_nanos()));
    let task = event.task.map_or(u64::MAX, |id| id.0);
    at_ns.wrapping_mul(0xd6e8_feb8_6659_fd93)
        ^ task.wrapping_mul(0xa076_1d64_78bd_642f).rotate_left(13)
        ^ value.wrapping_mul(0xe703_7ed1_a0b4_28db).rotate_left(29)
        ^ (label ^ code).wrapping_mul(0x8ebc_6af0_9c88_c6e3).rotate_left(43)
}

/// By content, eight bytes at a time: labels are hashed at every event that has one.
fn hash_of_label(label: &str) -> u64 {
    let bytes = label.as_bytes();
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash
}

//! What happened, as a rolling hash and as the last few events.
//!
//! Two runs are the same run if their hashes are equal. An event's value must therefore follow from the seed alone: no
//! address, no real time, no order of a seeded map.

use std::collections::VecDeque;
use std::fmt;

use holdfast::env::Time;

use super::state::TaskId;
use crate::rng::{hash_text, mix};

/// Enough to see what led up to a deadlock, little enough to read.
const RECENT_EVENTS_MAX: usize = 40;

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
    recent: VecDeque<Event>,
}

impl Trace {
    pub(super) fn record(&mut self, event: Event) {
        let (code, text, value) = match event.what {
            What::Spawned(id, name) => (1, name, id.0),
            What::Polled => (2, "", 0),
            What::Ended => (3, "", 0),
            What::Panicked => (4, "", 0),
            What::Advanced(timers) => (5, "", timers),
            What::Noted(label, value) => (6, label, value),
        };
        let at_ns = event.at.0.as_nanos() as u64;
        let task = event.task.map_or(u64::MAX, |id| id.0);
        for word in [at_ns, task, code, if text.is_empty() { 0 } else { hash_text(text) }, value] {
            self.hash = mix(self.hash.rotate_left(5) ^ word);
        }
        if self.recent.len() == RECENT_EVENTS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn recent(&self) -> Vec<Event> {
        self.recent.iter().copied().collect()
    }
}

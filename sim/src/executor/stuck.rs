//! The report of a run that does not end: who is pending, and for what.

use std::borrow::Cow;
use std::fmt;

use holdfast::env::Time;

use super::state::TaskId;
use super::trace::Event;

/// Why a future did not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub why: StuckWhy,
    pub at: Time,
    /// Every task that has not ended, the awaited one included, by id.
    pub pending: Vec<PendingTask>,
    /// The last events before, oldest first.
    pub recent: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StuckWhy {
    /// Nothing is ready and no timer runs: nothing will ever happen again.
    Deadlock,
    /// [`super::Limits::polls_max`]
    TooManyPolls,
    /// [`super::Limits::time_max`]
    TooMuchTime,
}

/// A task that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingTask {
    pub id: TaskId,
    pub name: &'static str,
    /// Only its turn is missing.
    pub is_ready: bool,
    /// What it says that it waits for, the oldest statement first: see [`super::SimHandle::waiting_for`].
    pub waiting_for: Vec<Cow<'static, str>>,
    /// When the first of its timers fires.
    pub timer: Option<Time>,
}

impl fmt::Display for PendingTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.id.0)?;
        let labels = self.waiting_for.join(", ");
        match (labels.is_empty(), self.is_ready) {
            (false, _) => write!(f, " waits for {labels}")?,
            (true, false) => write!(f, " does not say what it waits for")?,
            (true, true) => {}
        }
        if self.is_ready {
            write!(f, "; is ready")?;
        }
        match self.timer {
            Some(at) => write!(f, "; has a timer at {:?}", at.0),
            None => write!(f, "; has no timer"),
        }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            StuckWhy::Deadlock => "deadlock: nothing is ready and no timer runs",
            StuckWhy::TooManyPolls => "livelock: too many polls",
            StuckWhy::TooMuchTime => "still pending after the longest wait allowed",
        };
        write!(f, "{why} at {:?}; pending:", self.at.0)?;
        for task in &self.pending {
            write!(f, "\n  {task}")?;
        }
        write!(f, "\nlast events:")?;
        for event in &self.recent {
            write!(f, "\n  {event}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Stuck {}

//! A single-threaded executor with virtual time.
//!
//! Owns the tasks, the clock and the order in which ready tasks run. Time stands still while anything is ready and then
//! jumps to the next timer. Two executors with the same seed that are given the same futures do the same things in the
//! same order, and end with the same [`Executor::hash`].
//!
//! Never runs foreign code (a poll, a drop of a future, a wake) while it holds its own lock: such code may call back.

mod handle;
mod schedule;
mod state;
mod trace;

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use holdfast::env::Time;

pub use handle::{SimHandle, Sleep, Slot, Yield};
pub use schedule::Policy;
pub use state::{TaskId, TaskPanic};
pub use trace::{Event, What};

use state::{Shared, TaskFuture};

/// What one call may use up before it counts as stuck: tasks that tick for ever would otherwise hide a deadlock.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Polls within one `block_on`.
    pub polls_max: u64,
    /// How far one `block_on` may move virtual time.
    pub time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // A month outlasts every deadline of the core; 50 million polls take a minute of real time.
        Self { polls_max: 50_000_000, time_max: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// Why a future did not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub why: StuckWhy,
    pub at: Time,
    /// Every task that has not ended, the awaited one included, by id.
    pub pending: Vec<(TaskId, &'static str)>,
    /// The last events before, oldest first.
    pub recent: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StuckWhy {
    /// Nothing is ready and no timer runs: nothing will ever happen again.
    Deadlock,
    /// [`Limits::polls_max`]
    TooManyPolls,
    /// [`Limits::time_max`]
    TooMuchTime,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            StuckWhy::Deadlock => "deadlock: nothing is ready and no timer runs",
            StuckWhy::TooManyPolls => "livelock: too many polls",
            StuckWhy::TooMuchTime => "still pending after the longest wait allowed",
        };
        write!(f, "{why} at {:?}; pending:", self.at.0)?;
        for (id, name) in &self.pending {
            write!(f, " {name}({})", id.0)?;
        }
        write!(f, "; last events:")?;
        for event in &self.recent {
            write!(f, "\n  {event}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Stuck {}

/// See the module. To spawn and to sleep, take a [`SimHandle`].
pub struct Executor {
    shared: Arc<Shared>,
    limits: Limits,
}

impl Executor {
    /// Picks among ready tasks at random, as the seed says.
    pub fn new(seed: u64) -> Self {
        Self::with_policy(seed, Policy::RandomWalk)
    }

    pub fn with_policy(seed: u64, policy: Policy) -> Self {
        Self { shared: Arc::new(Shared::new(seed, policy)), limits: Limits::default() }
    }

    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub fn handle(&self) -> SimHandle {
        SimHandle::new(self.shared.clone())
    }

    /// Runs everything until `future` is done. A panic in `future` itself unwinds to the caller.
    pub fn block_on<F: Future>(&mut self, future: F) -> Result<F::Output, Stuck> {
        let mut future = pin!(future);
        let root = RootTask { shared: &self.shared, id: self.shared.add_root() };
        let waker = self.shared.waker(root.id);
        let began = self.shared.now();
        for _ in 0..self.limits.polls_max {
            match self.shared.pick() {
                Some(id) if id == root.id => {
                    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Ok(output);
                    }
                }
                Some(id) => self.poll_task(id),
                None => {
                    if !self.shared.advance(Time(Duration::MAX)) {
                        return Err(self.stuck(StuckWhy::Deadlock));
                    }
                    if self.shared.now().since(began) > self.limits.time_max {
                        return Err(self.stuck(StuckWhy::TooMuchTime));
                    }
                }
            }
        }
        Err(self.stuck(StuckWhy::TooManyPolls))
    }

    /// Runs until nothing is ready. Does not move time.
    pub fn run_until_idle(&mut self) -> Result<(), Stuck> {
        for _ in 0..self.limits.polls_max {
            match self.shared.pick() {
                Some(id) => self.poll_task(id),
                None => return Ok(()),
            }
        }
        Err(self.stuck(StuckWhy::TooManyPolls))
    }

    /// Runs everything that is due within `duration`, and leaves the clock exactly that much later.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Stuck> {
        let until = self.shared.now().plus(duration);
        loop {
            self.run_until_idle()?;
            if !self.shared.advance(until) {
                return Ok(());
            }
        }
    }

    pub fn now(&self) -> Time {
        self.shared.now()
    }

    /// Of all events so far. Equal for equal runs.
    pub fn hash(&self) -> u64 {
        self.shared.hash()
    }

    /// Takes the panics recorded so far.
    pub fn take_panics(&mut self) -> Vec<TaskPanic> {
        self.shared.take_panics()
    }

    /// Tasks that have not ended.
    pub fn pending(&self) -> Vec<(TaskId, &'static str)> {
        self.shared.pending()
    }

    fn poll_task(&self, id: TaskId) {
        let Some(mut future) = self.shared.take_future(id) else { return };
        let waker = self.shared.waker(id);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        match polled {
            Ok(Poll::Pending) => self.shared.put_future_back(id, future),
            Ok(Poll::Ready(())) => {
                self.shared.end(id, None);
                self.drop_future(id, future);
            }
            Err(payload) => {
                self.shared.end(id, Some(payload.as_ref()));
                self.drop_future(id, future);
            }
        }
    }

    /// A destructor that panics is that task's panic too.
    fn drop_future(&self, id: TaskId, future: TaskFuture) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            self.shared.end(id, Some(payload.as_ref()));
        }
    }

    fn stuck(&self, why: StuckWhy) -> Stuck {
        Stuck { why, at: self.shared.now(), pending: self.shared.pending(), recent: self.shared.recent() }
    }
}

impl Drop for Executor {
    /// Tasks hold handles and handles hold the tasks: break that circle.
    fn drop(&mut self) {
        while let Some(future) = self.shared.take_any_future() {
            drop(future);
        }
        drop(self.shared.take_advance_hooks());
    }
}

/// Takes the awaited task off the list however `block_on` ends.
struct RootTask<'a> {
    shared: &'a Shared,
    id: TaskId,
}

impl Drop for RootTask<'_> {
    fn drop(&mut self) {
        self.shared.end(self.id, None);
    }
}

/// Locks, whoever panicked before while holding it: state is changed in steps that leave it whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

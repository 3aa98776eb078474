//! A single-threaded executor with virtual time.
//!
//! Owns the tasks, the clock and the order in which ready tasks run. Time stands still while anything is ready and then
//! jumps to the next timer. Two executors with the same seed that are given the same futures do the same things in the
//! same order, and end with the same [`Executor::hash`].
//!
//! A [`Policy`] says which ready task runs; an [`Explorer`] goes through all orders of a small scenario. Of two runs that
//! should have been one, [`trace`] says where they part. Of a run that gets stuck, [`Stuck`] says who waits for what.
//!
//! Never runs foreign code (a poll, a drop of a future, a wake) while it holds its own lock: such code may call back.

mod explorer;
mod handle;
mod heap;
mod schedule;
mod state;
mod stuck;
mod tasks;
mod timers;
pub mod trace;
mod waiting;

use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use holdfast::env::Time;

pub use explorer::{Explorer, ExplorerBounds, ScriptNotFollowed};
pub use handle::{SimHandle, Sleep, Slot, Yield};
pub use heap::{PerturbedHeap, perturb_heap};
pub use schedule::{Choice, Policy};
pub use state::{TaskId, TaskPanic};
pub use stuck::{PendingTask, Stuck, StuckWhy};
pub use tasks::Group;
pub use trace::{Event, What};
pub use waiting::WaitingFor;

use state::Shared;
use tasks::{SlotIndex, Turn};

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
        let (slot, id) = self.shared.add("root", Group::default(), None);
        let _root = RootTask { shared: &self.shared, slot, id };
        let began = self.shared.now();
        let mut last = None;
        for _ in 0..self.limits.polls_max {
            match self.shared.next_turn(last.take()) {
                Some(turn) if turn.future.is_some() => last = self.take_turn(turn),
                Some(root) => {
                    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&root.waker)) {
                        return Ok(output);
                    }
                    last = Some(root);
                }
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
        self.put_back(last);
        Err(self.stuck(StuckWhy::TooManyPolls))
    }

    /// Runs until nothing is ready. Does not move time.
    pub fn run_until_idle(&mut self) -> Result<(), Stuck> {
        let mut last = None;
        for _ in 0..self.limits.polls_max {
            match self.shared.next_turn(last.take()) {
                Some(turn) => last = self.take_turn(turn),
                None => return Ok(()),
            }
        }
        self.put_back(last);
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

    /// From now on chooses by `policy`, whatever it did before: a story's beginning may be calm and its middle not.
    pub fn set_policy(&mut self, policy: Policy) {
        self.shared.set_policy(policy);
    }

    /// From now on each pick among several ready tasks is the next of `script`: 0 is the one that has been ready
    /// longest, and a number too large is the last one. After the script's end always 0. Small scenarios are explored
    /// exhaustively this way: see [`Explorer`].
    pub fn follow_script(&mut self, script: Vec<u32>) {
        self.shared.follow_script(script);
    }

    /// Takes the record of all choices since [`Executor::follow_script`], and ends the script. Empty under a policy.
    pub fn take_choices(&mut self) -> Vec<Choice> {
        self.shared.take_choices()
    }

    /// Picks with an alternative since the policy or the script was set.
    pub fn choice_count(&self) -> u64 {
        self.shared.choice_count()
    }

    /// Tells [`Policy::Pct`] how many choices will come, as [`Executor::choice_count`] of a run alike says: it spreads its
    /// change points over those, and over a guess otherwise.
    pub fn expect_choices(&mut self, count: u64) {
        self.shared.expect_choices(count);
    }

    pub fn poll_count(&self) -> u64 {
        self.shared.poll_count()
    }

    /// Of all events so far. Equal for equal runs.
    pub fn hash(&self) -> u64 {
        self.shared.hash()
    }

    /// The hash after each [`trace::EVENTS_PER_CHECKPOINT`] events: see [`trace::first_unlike_stretch`].
    pub fn checkpoints(&self) -> Vec<u64> {
        self.shared.checkpoints()
    }

    pub fn event_count(&self) -> u64 {
        self.shared.event_count()
    }

    /// Keeps the next `max` events, for [`trace::first_divergence`].
    pub fn record_events(&mut self, max: u64) {
        let next = self.shared.event_count();
        self.record_events_within(next..next.saturating_add(max));
    }

    /// Keeps the events with these numbers, the executor's first event being 0.
    pub fn record_events_within(&mut self, numbers: Range<u64>) {
        self.shared.record_events(numbers);
    }

    /// Takes the events kept so far.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.shared.take_recorded()
    }

    /// Takes the panics recorded so far.
    pub fn take_panics(&mut self) -> Vec<TaskPanic> {
        self.shared.take_panics()
    }

    /// Tasks that have not ended, by id.
    pub fn pending(&self) -> Vec<PendingTask> {
        self.shared.pending()
    }

    /// Polls a background task; gives its turn back if it is pending.
    fn take_turn(&self, mut turn: Turn) -> Option<Turn> {
        let future = turn.future.as_mut()?;
        let mut context = Context::from_waker(&turn.waker);
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
            Ok(Poll::Pending) => return Some(turn),
            Ok(Poll::Ready(())) => {}
            Err(payload) => self.shared.note_panic(payload.as_ref()),
        }
        self.shared.end(turn.slot, turn.id);
        // A destructor that panics is that task's panic too.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(turn))) {
            self.shared.note_panic(payload.as_ref());
        }
        None
    }

    fn put_back(&self, last: Option<Turn>) {
        if let Some(turn) = last {
            self.shared.put_back(turn);
        }
    }

    fn stuck(&self, why: StuckWhy) -> Stuck {
        Stuck { why, at: self.shared.now(), pending: self.shared.pending(), recent: self.shared.recent() }
    }
}

impl Drop for Executor {
    /// Tasks hold handles and handles hold the tasks: break that circle.
    fn drop(&mut self) {
        drop(self.shared.close());
        drop(self.shared.take_advance_hooks());
    }
}

/// Takes the awaited task off the list however `block_on` ends.
struct RootTask<'a> {
    shared: &'a Shared,
    slot: SlotIndex,
    id: TaskId,
}

impl Drop for RootTask<'_> {
    fn drop(&mut self) {
        self.shared.end(self.slot, self.id);
    }
}

/// Locks, whoever panicked before while holding it: state is changed in steps that leave it whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

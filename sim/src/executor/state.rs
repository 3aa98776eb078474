//! The executor's state behind its one lock: tasks, ready queue, timers, clock, trace.
//!
//! Each method takes the lock for itself and gives it back before any foreign code runs; futures and wakers leave through
//! return values and are dropped outside.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use holdfast::env::Time;

use super::locked;
use super::schedule::{Policy, ReadyQueue};
use super::trace::{Event, Trace, What};

pub(super) type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Deadline first: the map's order is the order of firing; then the order of registration.
pub(super) type TimerId = (Time, u64);

/// Counts from 1 in the order of spawning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// A panic that ended a background task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPanic {
    pub task: &'static str,
    pub at: Time,
    pub message: String,
}

struct Task {
    name: &'static str,
    /// `None` while it is polled, and always for the task that `block_on` awaits.
    future: Option<TaskFuture>,
}

pub(super) type AdvanceHook = Box<dyn FnMut(Time) + Send>;

struct State {
    now: Time,
    ready: ReadyQueue,
    tasks: BTreeMap<TaskId, Task>,
    timers: BTreeMap<TimerId, Waker>,
    task_count: u64,
    timer_count: u64,
    running: Option<(TaskId, &'static str)>,
    trace: Trace,
    panics: Vec<TaskPanic>,
    advance_hooks: Vec<AdvanceHook>,
}

impl State {
    fn record(&mut self, what: What) {
        let event = Event { at: self.now, task: self.running.map(|(id, _)| id), what };
        self.trace.record(event);
    }

    fn add(&mut self, name: &'static str, future: Option<TaskFuture>) -> TaskId {
        self.task_count += 1;
        let id = TaskId(self.task_count);
        self.record(What::Spawned(id, name));
        self.tasks.insert(id, Task { name, future });
        self.ready.push(id);
        id
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(seed: u64, policy: Policy) -> Self {
        Self {
            state: Mutex::new(State {
                now: Time::ZERO,
                ready: ReadyQueue::new(seed, policy),
                tasks: BTreeMap::new(),
                timers: BTreeMap::new(),
                task_count: 0,
                timer_count: 0,
                running: None,
                trace: Trace::default(),
                panics: Vec::new(),
                advance_hooks: Vec::new(),
            }),
        }
    }

    // Tasks, in the order of their life.

    pub(super) fn add_task(&self, name: &'static str, future: TaskFuture) {
        locked(&self.state).add(name, Some(future));
    }

    pub(super) fn add_root(&self) -> TaskId {
        locked(&self.state).add("root", None)
    }

    pub(super) fn waker(self: &Arc<Self>, id: TaskId) -> Waker {
        Waker::from(Arc::new(TaskWaker { shared: Arc::downgrade(self), id }))
    }

    /// The task to poll next.
    pub(super) fn pick(&self) -> Option<TaskId> {
        let mut state = locked(&self.state);
        state.running = None;
        let id = state.ready.pick()?;
        state.running = state.tasks.get(&id).map(|task| (id, task.name));
        state.record(What::Polled);
        Some(id)
    }

    pub(super) fn take_future(&self, id: TaskId) -> Option<TaskFuture> {
        locked(&self.state).tasks.get_mut(&id)?.future.take()
    }

    pub(super) fn put_future_back(&self, id: TaskId, future: TaskFuture) {
        if let Some(task) = locked(&self.state).tasks.get_mut(&id) {
            task.future = Some(future);
        }
    }

    /// `panic`: what it ended with, unless it ended well. May be called again for a panic in the future's destructor.
    pub(super) fn end(&self, id: TaskId, panic: Option<&(dyn Any + Send)>) {
        let mut state = locked(&self.state);
        if let Some(payload) = panic {
            let task = state.running.map_or("a task", |(_, name)| name);
            let at = state.now;
            state.panics.push(TaskPanic { task, at, message: panic_message(payload) });
            state.record(What::Panicked);
        } else {
            state.record(What::Ended);
        }
        state.ready.remove(id);
        let task = state.tasks.remove(&id);
        drop(state);
        drop(task);
    }

    pub(super) fn take_any_future(&self) -> Option<TaskFuture> {
        let mut state = locked(&self.state);
        loop {
            let (_, task) = state.tasks.pop_first()?;
            if task.future.is_some() {
                return task.future;
            }
        }
    }

    fn wake(&self, id: TaskId) {
        let mut state = locked(&self.state);
        if state.tasks.contains_key(&id) {
            state.ready.push(id);
        }
    }

    // Time.

    pub(super) fn now(&self) -> Time {
        locked(&self.state).now
    }

    /// Jumps to the earliest timer that is due by `until` and fires all that are due then. Without one, goes to `until`
    /// if that is finite and answers false.
    pub(super) fn advance(&self, until: Time) -> bool {
        let mut state = locked(&self.state);
        let next = state.timers.first_key_value().map(|(&(deadline, _), _)| deadline);
        let Some(now) = next.filter(|&deadline| deadline <= until) else {
            if until.0 != Duration::MAX {
                state.now = state.now.max(until);
            }
            return false;
        };
        state.now = state.now.max(now);
        let later = state.timers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut state.timers, later);
        state.record(What::Advanced(due.len() as u64));
        let mut hooks = std::mem::take(&mut state.advance_hooks);
        drop(state);
        for hook in &mut hooks {
            hook(now);
        }
        // A hook may have added another: those come after.
        let mut state = locked(&self.state);
        hooks.append(&mut state.advance_hooks);
        state.advance_hooks = hooks;
        drop(state);
        for waker in due.into_values() {
            waker.wake();
        }
        true
    }

    pub(super) fn add_advance_hook(&self, hook: AdvanceHook) {
        locked(&self.state).advance_hooks.push(hook);
    }

    pub(super) fn take_advance_hooks(&self) -> Vec<AdvanceHook> {
        std::mem::take(&mut locked(&self.state).advance_hooks)
    }

    pub(super) fn add_timer(&self, deadline: Time, waker: Waker) -> TimerId {
        let mut state = locked(&self.state);
        state.timer_count += 1;
        let id = (deadline, state.timer_count);
        state.timers.insert(id, waker);
        id
    }

    /// False: it has fired.
    pub(super) fn set_timer_waker(&self, id: TimerId, waker: &Waker) -> bool {
        let mut state = locked(&self.state);
        let Some(slot) = state.timers.get_mut(&id) else { return false };
        if !slot.will_wake(waker) {
            let old = std::mem::replace(slot, waker.clone());
            drop(state);
            drop(old);
        }
        true
    }

    pub(super) fn remove_timer(&self, id: TimerId) {
        let waker = locked(&self.state).timers.remove(&id);
        drop(waker);
    }

    // Records.

    pub(super) fn note(&self, label: &'static str, value: u64) {
        locked(&self.state).record(What::Noted(label, value));
    }

    pub(super) fn hash(&self) -> u64 {
        locked(&self.state).trace.hash()
    }

    pub(super) fn recent(&self) -> Vec<Event> {
        locked(&self.state).trace.recent()
    }

    pub(super) fn take_panics(&self) -> Vec<TaskPanic> {
        std::mem::take(&mut locked(&self.state).panics)
    }

    pub(super) fn pending(&self) -> Vec<(TaskId, &'static str)> {
        locked(&self.state).tasks.iter().map(|(&id, task)| (id, task.name)).collect()
    }
}

struct TaskWaker {
    /// Weak: a waker kept somewhere must not keep a finished world alive.
    shared: Weak<Shared>,
    id: TaskId,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.wake(self.id);
        }
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

//! The executor's state behind its one lock: tasks, ready queue, timers, clock, trace.
//!
//! Each method takes the lock for itself and gives it back before any foreign code runs; futures and wakers leave through
//! return values and are dropped outside. A turn takes the lock once: to put back the task that ran and pick the next.

use std::any::Any;
use std::borrow::Cow;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use holdfast::env::Time;

use super::locked;
use super::schedule::{Choice, Policy, ReadyQueue};
use super::stuck::PendingTask;
use super::tasks::{Group, SlotIndex, Status, Task, Tasks, Turn};
use super::timers::{TimerId, Timers};
use super::trace::{Event, Trace, What};

pub(super) type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

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

/// One statement of what a task waits for.
#[derive(Clone, Copy)]
pub(super) struct LabelId {
    slot: SlotIndex,
    task: TaskId,
    number: u64,
}

pub(super) type AdvanceHook = Box<dyn FnMut(Time) + Send>;

#[derive(Clone, Copy)]
struct Running {
    slot: SlotIndex,
    id: TaskId,
    name: &'static str,
}

struct State {
    seed: u64,
    now: Time,
    ready: ReadyQueue,
    tasks: Tasks,
    timers: Timers,
    /// Empty between two jumps of time; keeps its memory.
    due: Vec<Waker>,
    task_count: u64,
    label_count: u64,
    poll_count: u64,
    /// Stays while the task that ended is dropped.
    running: Option<Running>,
    trace: Trace,
    panics: Vec<TaskPanic>,
    advance_hooks: Vec<AdvanceHook>,
    /// The executor is gone.
    closed: bool,
}

impl State {
    fn record(&mut self, what: What) {
        let event = Event { at: self.now, task: self.running.map(|running| running.id), what };
        self.trace.record(event);
    }

    /// The task of `turn` has been polled and is pending.
    fn rest(&mut self, turn: Turn) {
        let task = self.tasks.get_mut(turn.slot, turn.id).expect("a task that is polled ends by its own poll only");
        task.waker = Some(turn.waker);
        task.future = turn.future;
        if task.status == Status::RunningAndWoken {
            task.status = Status::Ready;
            self.ready.push(turn.slot);
        } else {
            task.status = Status::Waiting;
        }
    }

    /// Hands the ready tasks over to another way of choosing, in the order in which this one would have picked them.
    fn choose_by(&mut self, mut ready: ReadyQueue) {
        for (slot, task) in self.tasks.by_id() {
            ready.spawned(slot, task.name);
        }
        while let Some(slot) = self.ready.pick() {
            ready.push(slot);
        }
        self.ready = ready;
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(seed: u64, policy: Policy) -> Self {
        Self {
            state: Mutex::new(State {
                seed,
                now: Time::ZERO,
                ready: ReadyQueue::new(seed, policy),
                tasks: Tasks::default(),
                timers: Timers::default(),
                due: Vec::new(),
                task_count: 0,
                label_count: 0,
                poll_count: 0,
                running: None,
                trace: Trace::default(),
                panics: Vec::new(),
                advance_hooks: Vec::new(),
                closed: false,
            }),
        }
    }

    // Tasks, in the order of their life.

    /// `future`: `None` for the one that `block_on` awaits.
    pub(super) fn add(
        self: &Arc<Self>,
        name: &'static str,
        group: Group,
        future: Option<TaskFuture>,
    ) -> (SlotIndex, TaskId) {
        let mut state = locked(&self.state);
        state.task_count += 1;
        let id = TaskId(state.task_count);
        if state.closed {
            drop(state);
            drop(future);
            return (SlotIndex::MAX, id);
        }
        state.record(What::Spawned(id, name));
        let slot = state.tasks.next_slot();
        let waker = Waker::from(Arc::new(TaskWaker { shared: Arc::downgrade(self), slot, id }));
        let task = Task { id, name, group, status: Status::Ready, waker: Some(waker), future, labels: Vec::new() };
        state.tasks.insert(task);
        state.ready.spawned(slot, name);
        state.ready.push(slot);
        (slot, id)
    }

    /// Puts the task of the last turn back, if it is pending, and answers the one to poll next.
    pub(super) fn next_turn(&self, last: Option<Turn>) -> Option<Turn> {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        if let Some(last) = last {
            state.rest(last);
        }
        state.running = None;
        let slot = state.ready.pick()?;
        let task = state.tasks.at_mut(slot).expect("a task leaves the ready queue before its slot");
        task.status = Status::Running;
        let waker = task.waker.take().expect("a task that does not run has its waker");
        let turn = Turn { slot, id: task.id, waker, future: task.future.take() };
        state.running = Some(Running { slot, id: task.id, name: task.name });
        state.poll_count += 1;
        state.record(What::Polled);
        Some(turn)
    }

    /// Ends every task of the group that does not run just now; their futures are dropped by the caller.
    pub(super) fn end_group(&self, group: Group) -> Vec<Task> {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        let mut ended = Vec::new();
        for (slot, task) in state.tasks.take_group(group) {
            if task.status == Status::Ready {
                state.ready.remove(slot);
            }
            ended.push(task);
        }
        state.record(What::Noted("a group of tasks ended", ended.len() as u64));
        ended
    }

    pub(super) fn put_back(&self, turn: Turn) {
        locked(&self.state).rest(turn);
    }

    pub(super) fn end(&self, slot: SlotIndex, id: TaskId) {
        let mut state = locked(&self.state);
        let Some(task) = state.tasks.remove(slot, id) else { return };
        state.record(What::Ended);
        if task.status == Status::Ready {
            state.ready.remove(slot);
        }
        drop(state);
        drop(task);
    }

    /// The running task panicked, in its poll or in its future's destructor.
    pub(super) fn note_panic(&self, payload: &(dyn Any + Send)) {
        let mut state = locked(&self.state);
        let task = state.running.map_or("a task", |running| running.name);
        let at = state.now;
        state.panics.push(TaskPanic { task, at, message: panic_message(payload) });
        state.record(What::Panicked);
    }

    /// From now on nothing runs and nothing is spawned. The tasks that have not ended, by id.
    pub(super) fn close(&self) -> Vec<Task> {
        let mut state = locked(&self.state);
        state.closed = true;
        state.tasks.take_all()
    }

    fn wake(&self, slot: SlotIndex, id: TaskId) {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        let Some(task) = state.tasks.get_mut(slot, id) else { return };
        match task.status {
            Status::Ready | Status::RunningAndWoken => {}
            Status::Running => task.status = Status::RunningAndWoken,
            Status::Waiting => {
                task.status = Status::Ready;
                state.ready.push(slot);
            }
        }
    }

    // The order of turns.

    pub(super) fn set_policy(&self, policy: Policy) {
        let mut state = locked(&self.state);
        let ready = ReadyQueue::new(state.seed, policy);
        state.choose_by(ready);
    }

    pub(super) fn follow_script(&self, script: Vec<u32>) {
        locked(&self.state).choose_by(ReadyQueue::scripted(script));
    }

    pub(super) fn take_choices(&self) -> Vec<Choice> {
        locked(&self.state).ready.take_choices()
    }

    pub(super) fn choice_count(&self) -> u64 {
        locked(&self.state).ready.choice_count()
    }

    pub(super) fn expect_choices(&self, count: u64) {
        locked(&self.state).ready.expect_choices(count);
    }

    // Time.

    pub(super) fn now(&self) -> Time {
        locked(&self.state).now
    }

    /// Jumps to the earliest timer that is due by `until` and fires all that are due then. Without one, goes to `until`
    /// if that is finite and answers false.
    pub(super) fn advance(&self, until: Time) -> bool {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        let Some(next) = state.timers.next().filter(|&deadline| deadline <= until) else {
            if until.0 != Duration::MAX {
                state.now = state.now.max(until);
            }
            return false;
        };
        state.now = state.now.max(next);
        let now = state.now;
        let mut due = std::mem::take(&mut state.due);
        state.timers.take_due(now, &mut due);
        state.record(What::Advanced(due.len() as u64));
        let hooks = std::mem::take(&mut state.advance_hooks);
        drop(guard);
        if !hooks.is_empty() {
            self.call_hooks(hooks, now);
        }
        for waker in due.drain(..) {
            waker.wake();
        }
        locked(&self.state).due = due;
        true
    }

    /// A hook may add another: those come after.
    fn call_hooks(&self, mut hooks: Vec<AdvanceHook>, now: Time) {
        for hook in &mut hooks {
            hook(now);
        }
        let mut state = locked(&self.state);
        hooks.append(&mut state.advance_hooks);
        state.advance_hooks = hooks;
    }

    pub(super) fn add_advance_hook(&self, hook: AdvanceHook) {
        locked(&self.state).advance_hooks.push(hook);
    }

    pub(super) fn take_advance_hooks(&self) -> Vec<AdvanceHook> {
        std::mem::take(&mut locked(&self.state).advance_hooks)
    }

    /// Ready once it is `deadline`; before, sees to it that a timer wakes `waker` then.
    pub(super) fn poll_sleep(&self, deadline: Time, timer: &mut Option<TimerId>, waker: &Waker) -> Poll<()> {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        if state.now >= deadline {
            // Whatever is due has fired: nothing is left to cancel.
            *timer = None;
            return Poll::Ready(());
        }
        if deadline.0 == Duration::MAX {
            return Poll::Pending;
        }
        match timer.and_then(|id| state.timers.waker_mut(id)) {
            None => {
                let task = state.running.map(|running| running.id);
                *timer = Some(state.timers.add(deadline, waker.clone(), task));
            }
            Some(old) if !old.will_wake(waker) => {
                let old = std::mem::replace(old, waker.clone());
                drop(guard);
                drop(old);
            }
            Some(_) => {}
        }
        Poll::Pending
    }

    pub(super) fn remove_timer(&self, id: TimerId) {
        let waker = locked(&self.state).timers.remove(id);
        drop(waker);
    }

    // Statements of what a task waits for.

    /// `None`: no task is running.
    pub(super) fn add_label(&self, label: Cow<'static, str>) -> Option<LabelId> {
        let mut guard = locked(&self.state);
        let state = &mut *guard;
        let Running { slot, id, .. } = state.running?;
        let task = state.tasks.get_mut(slot, id)?;
        state.label_count += 1;
        task.labels.push((state.label_count, label));
        Some(LabelId { slot, task: id, number: state.label_count })
    }

    pub(super) fn remove_label(&self, label: LabelId) {
        if let Some(task) = locked(&self.state).tasks.get_mut(label.slot, label.task) {
            task.labels.retain(|&(number, _)| number != label.number);
        }
    }

    // Records.

    pub(super) fn note(&self, label: &'static str, value: u64) {
        locked(&self.state).record(What::Noted(label, value));
    }

    pub(super) fn hash(&self) -> u64 {
        locked(&self.state).trace.hash()
    }

    pub(super) fn poll_count(&self) -> u64 {
        locked(&self.state).poll_count
    }

    pub(super) fn event_count(&self) -> u64 {
        locked(&self.state).trace.count()
    }

    pub(super) fn checkpoints(&self) -> Vec<u64> {
        locked(&self.state).trace.checkpoints()
    }

    pub(super) fn recent(&self) -> Vec<Event> {
        locked(&self.state).trace.recent()
    }

    pub(super) fn record_events(&self, numbers: Range<u64>) {
        locked(&self.state).trace.want(numbers);
    }

    pub(super) fn take_recorded(&self) -> Vec<Event> {
        locked(&self.state).trace.take_recorded()
    }

    pub(super) fn take_panics(&self) -> Vec<TaskPanic> {
        std::mem::take(&mut locked(&self.state).panics)
    }

    pub(super) fn pending(&self) -> Vec<PendingTask> {
        let state = locked(&self.state);
        let report = |task: &Task| PendingTask {
            id: task.id,
            name: task.name,
            is_ready: matches!(task.status, Status::Ready | Status::RunningAndWoken),
            waiting_for: task.labels.iter().map(|(_, label)| label.clone()).collect(),
            timer: state.timers.earliest_of(task.id),
        };
        state.tasks.by_id().into_iter().map(|(_, task)| report(task)).collect()
    }
}

struct TaskWaker {
    /// Weak: a waker kept somewhere must not keep a finished world alive.
    shared: Weak<Shared>,
    slot: SlotIndex,
    id: TaskId,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.wake(self.slot, self.id);
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

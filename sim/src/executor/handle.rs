//! What tasks hold of the executor: spawning, sleeping, the clock, a slot to hand one value over.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use holdfast::env::Time;

use super::locked;
use super::state::Shared;
use super::tasks::Group;
use super::timers::TimerId;
use super::waiting::{WaitingFor, labelled};

/// Cheap to clone. After its executor is gone, nothing that was spawned runs and no sleep ends.
#[derive(Clone)]
pub struct SimHandle {
    shared: Arc<Shared>,
    group: Group,
}

impl SimHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, group: Group::default() }
    }

    /// A handle whose tasks are of this group.
    pub fn of_group(&self, group: Group) -> Self {
        Self { shared: self.shared.clone(), group }
    }

    /// Ends the tasks of a group, as the death of a process does: they are dropped where they wait. Not for a task of
    /// that group to call.
    pub fn end_group(&self, group: Group) {
        drop(self.shared.end_group(group));
    }

    /// Starts `task`. A panic in it ends that task only and is recorded.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.add(name, self.group, Some(Box::pin(task)));
    }

    pub fn now(&self) -> Time {
        self.shared.now()
    }

    /// Counts from this call, not from the first poll.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().plus(duration))
    }

    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep { shared: self.shared.clone(), deadline, timer: None }
    }

    /// Lets every other ready task have its turn at being picked.
    pub fn yield_now(&self) -> Yield {
        Yield { yielded: false }
    }

    /// Calls `hook` at every jump of the clock, with the new time, before what is due then runs.
    pub fn on_advance(&self, hook: impl FnMut(Time) + Send + 'static) {
        self.shared.add_advance_hook(Box::new(hook));
    }

    /// The running task says what it waits for, until the guard is dropped: for the report of a run that gets stuck. Tasks
    /// may say several things at a time. Without a running task says nothing.
    pub fn waiting_for(&self, label: impl Into<Cow<'static, str>>) -> WaitingFor {
        WaitingFor::new(self.shared.clone(), label.into())
    }

    /// The same for as long as `future` is pending. Costs nothing if it never is.
    pub fn labelled<L, F>(&self, label: L, future: F) -> impl Future<Output = F::Output> + use<L, F>
    where
        L: Into<Cow<'static, str>>,
        F: Future,
    {
        labelled(self.shared.clone(), label.into(), future)
    }

    /// Adds to the rolling hash. `value` must follow from the seed alone.
    pub fn note(&self, label: &'static str, value: u64) {
        self.shared.note(label, value);
    }
}

/// Completes at its deadline, never early. A deadline of `Duration::MAX` is never.
pub struct Sleep {
    shared: Arc<Shared>,
    deadline: Time,
    timer: Option<TimerId>,
}

impl Sleep {
    pub fn deadline(&self) -> Time {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.poll_sleep(this.deadline, &mut this.timer, cx.waker())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.shared.remove_timer(timer);
        }
    }
}

pub struct Yield {
    yielded: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A place for one value, filled once by one task and taken by another.
pub struct Slot<T> {
    inner: Arc<Mutex<SlotState<T>>>,
}

struct SlotState<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    pub fn empty() -> Self {
        Self { inner: Arc::new(Mutex::new(SlotState { value: None, waker: None })) }
    }

    /// A later value replaces one that nobody took.
    pub fn fill(&self, value: T) {
        let mut state = locked(&self.inner);
        let old = state.value.replace(value);
        let waker = state.waker.take();
        drop(state);
        drop(old);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the value. One taker at a time.
    pub fn take(&self) -> impl Future<Output = T> + use<T> {
        let inner = self.inner.clone();
        std::future::poll_fn(move |cx| {
            let mut state = locked(&inner);
            match state.value.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    let old = state.waker.replace(cx.waker().clone());
                    drop(state);
                    drop(old);
                    Poll::Pending
                }
            }
        })
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

//! What tasks hold of the executor: spawning, sleeping, the clock, a slot to hand one value over.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use holdfast::env::Time;

use super::locked;
use super::state::{Shared, TimerId};

/// Cheap to clone. After its executor is gone, nothing that was spawned runs and no sleep ends.
#[derive(Clone)]
pub struct SimHandle {
    shared: Arc<Shared>,
}

impl SimHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Starts `task`. A panic in it ends that task only and is recorded.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.add_task(name, Box::pin(task));
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
        if self.shared.now() >= self.deadline {
            return Poll::Ready(());
        }
        if self.deadline.0 == Duration::MAX {
            return Poll::Pending;
        }
        let armed = self.timer.is_some_and(|timer| self.shared.set_timer_waker(timer, cx.waker()));
        if !armed {
            self.timer = Some(self.shared.add_timer(self.deadline, cx.waker().clone()));
        }
        Poll::Pending
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

//! A system call, and what becomes of it when its caller is killed.
//!
//! A [`SystemCall`] that is dropped before its end was killed (SIGKILL). Linux sends INTERRUPT, which the core does not
//! know, and waits for the answer of the request under way all the same; so what is left of the call goes on without its
//! caller, begins no further request, gives back what it was given, and ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use holdfast::env::Time;
use holdfast::op::Caller;

use super::Kernel;
use super::names::Seen;

/// A thread of an application while it makes one system call.
#[derive(Clone)]
pub(super) struct Thread {
    pub(super) kernel: Kernel,
    pub(super) caller: Caller,
    /// When the call began.
    pub(super) began: Time,
    killed: Arc<AtomicBool>,
    /// How many changes of the kernel's own there had been when it sent its last request.
    pub(super) changes: Arc<AtomicU64>,
}

impl Thread {
    /// That its last request was answered now. `evictions`: from before it was sent.
    pub(super) fn seen(&self, evictions: u64) -> Seen {
        Seen { now: self.kernel.now(), evictions, changes: self.changes.load(Ordering::Relaxed) }
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }
}

/// A system call under way. Does nothing until it is polled; dropped before its end, it was killed.
#[must_use = "a system call does nothing until it is awaited"]
pub struct SystemCall<T: Send + 'static>(Call<T>);

type Body<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Call<T> {
    /// Needed no request.
    Ready(T),
    UnderWay {
        body: Body<T>,
        thread: Thread,
        begun: bool,
    },
    Over,
}

/// The body is pinned in its box; a value that is ready is only ever moved.
impl<T: Send + 'static> Unpin for SystemCall<T> {}

impl<T: Send + 'static> SystemCall<T> {
    pub(super) fn ready(value: T) -> Self {
        Self(Call::Ready(value))
    }
}

impl Kernel {
    /// A system call of a thread that makes no other meanwhile.
    pub(super) fn enter<T, F>(&self, body: impl FnOnce(Thread) -> F) -> SystemCall<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let one_in = self.shared.config.name_eviction_one_in;
        let evicted = self.one_in(one_in).then(|| self.shared.rng.next_u64());
        let caller = self.with(|state| {
            state.names.pressed = false;
            if let Some(draw) = evicted {
                state.names.evict_one(draw);
            }
            state.threads += 1;
            Caller(state.threads)
        });
        let thread =
            Thread { kernel: self.clone(), caller, began: self.now(), killed: Arc::default(), changes: Arc::default() };
        SystemCall(Call::UnderWay { body: Box::pin(body(thread.clone())), thread, begun: false })
    }
}

impl<T: Send + 'static> Future for SystemCall<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Call::UnderWay { body, begun, .. } = &mut self.0 {
            *begun = true;
            let polled = body.as_mut().poll(context);
            if polled.is_ready() {
                self.0 = Call::Over;
            }
            return polled;
        }
        match std::mem::replace(&mut self.0, Call::Over) {
            Call::Ready(value) => Poll::Ready(value),
            Call::UnderWay { .. } | Call::Over => panic!("a system call was awaited after its end"),
        }
    }
}

impl<T: Send + 'static> Drop for SystemCall<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Call::UnderWay { body, thread, begun: true } = std::mem::replace(&mut self.0, Call::Over) {
            thread.killed.store(true, Ordering::Relaxed);
            let kernel = thread.kernel;
            kernel.with(|state| state.interrupts += 1);
            kernel.shared.handle.spawn("killed call", async move { drop(body.await) });
        }
    }
}

//! How requests reach the core: those that a thread waits for, those that nobody waits for, and those that have no answer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use holdfast::env::Time;
use holdfast::error::{Errno, FsError};
use holdfast::op::{Caller, Ino, Op, Reply};

use super::names::Held;
use super::system_call::{SystemCall, Thread};
use super::{EINTR, ENOTCONN, Kernel};

/// Forgets that the core is handed in one go at most (fuse_dev_do_read takes 8 after each request, 16 at first).
const FORGET_BATCH_MAX: u64 = 8;

impl Thread {
    /// Sends one request and waits for its answer. A thread that has been killed sends none.
    pub(super) async fn request(&self, op: Op) -> Result<Reply, Errno> {
        self.sends_one().await?;
        self.kernel.carry(self.caller, op).await
    }

    /// A request is about to be sent, unless the thread is killed before the core takes it up: then it is taken back.
    async fn sends_one(&self) -> Result<(), Errno> {
        if self.is_killed() {
            return Err(EINTR);
        }
        self.kernel.linger().await;
        if self.is_killed() {
            return Err(EINTR);
        }
        self.note_changes();
        Ok(())
    }

    /// A request that changes something, under the eyes of whoever watches. `names`: the paths that it is about.
    pub(super) async fn change(&self, op: Op, names: Vec<String>) -> Result<Reply, Errno> {
        self.sends_one().await?;
        self.kernel.carry_watched((self.caller, self.began), op, &names).await
    }

    /// A request by which the core changes bytes of a file by itself. Whoever watches is told of its end with
    /// [`Kernel::change_ends`], once the page cache has them no more: until then they may be read as they were.
    pub(super) async fn change_bytes(
        &self,
        op: Op,
        names: &[String],
    ) -> Result<(Option<u64>, Result<Reply, Errno>), Errno> {
        self.sends_one().await?;
        let at = self.kernel.change_begins(&op, names, self.began);
        Ok((at, self.kernel.carry(self.caller, op).await))
    }

    /// As [`Thread::change`], whatever has become of the thread.
    pub(super) async fn change_by_force(&self, op: Op) -> Result<Reply, Errno> {
        self.kernel.linger().await;
        self.kernel.carry_watched((self.caller, self.began), op, &[]).await
    }

    fn note_changes(&self) {
        let changes = self.kernel.with_state(|state| state.names.changes);
        self.changes.store(changes, std::sync::atomic::Ordering::Relaxed);
    }

    /// The same, whatever has become of the thread: requests by which something is given back.
    pub(super) async fn request_by_force(&self, op: Op) -> Result<Reply, Errno> {
        self.kernel.linger().await;
        self.kernel.carry(self.caller, op).await
    }
}

impl Kernel {
    /// Sends one request past all caches. Of a caller who is killed, what the answer gives is given back.
    pub fn call(&self, op: Op) -> SystemCall<Result<Reply, Errno>> {
        self.enter(|thread| async move {
            let outcome = thread.request(op.clone()).await;
            if let Ok(reply) = &outcome
                && thread.is_killed()
            {
                thread.give_back(&op, reply).await;
                return Err(EINTR);
            }
            outcome
        })
    }

    pub(super) async fn carry(&self, caller: Caller, op: Op) -> Result<Reply, Errno> {
        let traced = self.with(|state| {
            state.requests += 1;
            state.reads.asked(&op);
            state.trace.as_mut().map(|trace| trace.asked(&op))
        });
        let opens = match op {
            Op::Open { ino, .. } => Some(ino),
            _ => None,
        };
        let Some(outcome) = self.while_it_lives(self.shared.fs.handle_for(caller, op)).await else {
            return Err(ENOTCONN);
        };
        if let Some(ino) = opens.filter(|_| outcome.is_err()) {
            self.with(|state| state.reads.let_go(ino));
        }
        if let Some(at) = traced {
            self.with(|state| state.trace.as_mut().map(|trace| trace.answered(at, &outcome)));
        }
        self.linger().await;
        outcome.map_err(|error| {
            if let FsError::UnknownInode(ino) = error
                && self.with_state(|state| state.names.knows(Ino(ino)))
            {
                crate::court::broken(
                    "inode-hygiene",
                    format!("inode {ino} is unknown to the core, and the kernel knows it"),
                );
            }
            self.with(|state| state.last_error = Some(error.to_string()));
            error.errno()
        })
    }

    pub(super) async fn carry_watched(
        &self,
        (caller, called): (Caller, Time),
        op: Op,
        names: &[String],
    ) -> Result<Reply, Errno> {
        let at = self.change_begins(&op, names, called);
        let outcome = self.carry(caller, op).await;
        self.change_ends(at, Some(outcome.as_ref().map_err(|errno| *errno)));
        outcome
    }

    /// `None`: the file system's process died before. What it was at is dropped where it was.
    async fn while_it_lives<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        poll_fn(|context| {
            if self.with_state(|state| state.dead) {
                return Poll::Ready(None);
            }
            let polled = answer.as_mut().poll(context).map(Some);
            if polled.is_pending() {
                self.with_state(|state| {
                    if !state.bereaved.iter().any(|waker| waker.will_wake(context.waker())) {
                        state.bereaved.push(context.waker().clone());
                    }
                });
            }
            polled
        })
        .await
    }

    /// Runs a request that nobody waits for: at once as far as it goes without waiting, as the threads that read from the
    /// kernel do, and the rest as a task.
    pub(super) fn run_in_background(&self, request: impl Future<Output = ()> + Send + 'static) {
        let mut request: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(request);
        if !self.shared.config.unhurried && request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        // Polled again at once by the task, which leaves its waker where that poll left none.
        self.shared.handle.spawn("kernel", request);
    }

    /// Gives a handle back. Its inode is not forgotten before.
    pub(super) fn release(&self, op: Op, held: Held) {
        self.with(|state| state.trace.as_mut().map(|trace| trace.told(&op)));
        if !self.shared.config.read_only {
            return self.release_written(op, held);
        }
        if !self.shared.config.unhurried {
            self.tell(op);
            return drop(held);
        }
        let kernel = self.clone();
        self.shared.handle.spawn("kernel", async move {
            kernel.linger().await;
            if kernel.with_state(|state| state.dead) {
                return drop(held);
            }
            kernel.with_state(|state| state.reads.asked(&op));
            let released = kernel.shared.fs.handle(op).await;
            assert!(released.is_ok(), "a handle could not be given back: {released:?}");
            drop(held);
        });
    }

    /// The last handle of a file may have something to publish, which takes its time; that it fails is told to nobody.
    fn release_written(&self, op: Op, held: Held) {
        let kernel = self.clone();
        self.run_in_background(async move {
            kernel.linger().await;
            if kernel.with_state(|state| state.dead) {
                return drop(held);
            }
            kernel.with_state(|state| state.reads.asked(&op));
            let at = kernel.change_begins(&op, &[], kernel.now());
            let released = kernel.shared.fs.handle(op).await;
            kernel.change_ends(at, Some(released.as_ref().map_err(holdfast::error::FsError::errno)));
            drop(held);
        });
    }

    /// Tells the core what has been forgotten: after whatever the thread sends next, in batches, and where nothing
    /// hurries, in any order of batches.
    pub(super) fn tell_forgets(&self) {
        if self.with_state(|state| std::mem::replace(&mut state.forgetting, true)) {
            return;
        }
        let kernel = self.clone();
        self.shared.handle.spawn("kernel", async move {
            kernel.linger().await;
            let calm = !kernel.shared.config.unhurried;
            let most = if calm { usize::MAX } else { 1 + kernel.shared.rng.below(FORGET_BATCH_MAX) as usize };
            let batch: Vec<_> = kernel.with_state(|state| {
                state.forgetting = false;
                let waiting = state.names.forgets.len();
                state.names.forgets.drain(..waiting.min(most)).collect()
            });
            if kernel.with_forgets(|forgets| !forgets.is_empty()) {
                kernel.tell_forgets();
            }
            kernel.linger().await;
            for (ino, count) in batch {
                kernel.forget(ino, count);
            }
        });
    }

    fn forget(&self, ino: holdfast::op::Ino, count: u64) {
        let op = Op::Forget { ino, count };
        self.with_state(|state| state.trace.as_mut().map(|trace| trace.told(&op)));
        self.tell(op);
    }

    /// Sends a request that the core answers without waiting and that no application waits for.
    fn tell(&self, op: Op) {
        if self.with_state(|state| state.dead) {
            return;
        }
        self.with_state(|state| state.reads.asked(&op));
        let answered = pin!(self.shared.fs.handle(op)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answered, Poll::Ready(Ok(_))), "told the core something, was answered {answered:?}");
    }

    pub(super) async fn linger(&self) {
        if self.shared.config.unhurried {
            for _ in 0..self.shared.rng.below(3) {
                self.shared.handle.yield_now().await;
            }
        }
    }

    /// As `with`, for those who tell forgets themselves.
    fn with_state<T>(&self, change: impl FnOnce(&mut super::State) -> T) -> T {
        change(&mut crate::executor::locked(&self.shared.state))
    }

    fn with_forgets<T>(&self, change: impl FnOnce(&mut super::names::Forgets) -> T) -> T {
        self.with_state(|state| change(&mut state.names.forgets))
    }
}

impl Thread {
    async fn give_back(&self, op: &Op, reply: &Reply) {
        match (op, reply) {
            (Op::Lookup { .. }, Reply::Entry(entry)) => {
                if let Some(attr) = &entry.attr {
                    self.kernel.with(|state| state.names.forgets.push_back((attr.ino, 1)));
                }
            }
            (Op::Open { ino, .. }, Reply::Opened { fh }) => {
                let _ = self.request_by_force(Op::Release { ino: *ino, fh: *fh }).await;
            }
            (Op::Opendir { ino }, Reply::Opened { fh }) => {
                let _ = self.request_by_force(Op::Releasedir { ino: *ino, fh: *fh }).await;
            }
            _ => {}
        }
    }
}

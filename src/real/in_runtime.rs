//! A future that carries its tokio runtime with it.
//!
//! The SDK, hyper and tokio's timers look for a runtime in a thread-local at the moment they are polled. The core's
//! futures are polled on threads that have none; [`InRuntime`] sets it for the length of each poll, and of the drop,
//! since dropping may also hand work to the runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// `F`, with `handle` entered whenever `F` runs. Polling on a thread of the runtime itself is fine too.
pub(crate) struct InRuntime<F> {
    handle: Handle,
    /// `Some` until the drop.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> InRuntime<F> {
    /// Does not run anything yet. If making `F` already needs the runtime, make it inside an `async` block.
    pub(crate) fn new(handle: Handle, future: F) -> Self {
        Self { handle, future: Some(Box::pin(future)) }
    }
}

impl<F: Future> Future for InRuntime<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _entered = this.handle.enter();
        match &mut this.future {
            Some(future) => future.as_mut().poll(context),
            // Only `drop` takes the future out, and nothing polls after that.
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for InRuntime<F> {
    fn drop(&mut self) {
        let _entered = self.handle.enter();
        self.future = None;
    }
}

#[cfg(test)]
mod tests {
    use super::InRuntime;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    #[test]
    fn a_future_that_needs_tokio_may_be_polled_first_outside_and_finish_on_a_task() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut waits = Box::pin(InRuntime::new(runtime.handle().clone(), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            tokio::spawn(async { 7 }).await.unwrap()
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(&mut waits).poll(&mut context).is_pending());
        assert_eq!(runtime.block_on(async { tokio::spawn(waits).await.unwrap() }), 7);
    }

    #[test]
    fn dropping_it_outside_the_runtime_still_enters_the_runtime() {
        struct SpawnsWhenDropped;
        impl Drop for SpawnsWhenDropped {
            fn drop(&mut self) {
                tokio::spawn(async {});
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut future = InRuntime::new(runtime.handle().clone(), async {
            let _held = SpawnsWhenDropped;
            std::future::pending::<()>().await;
        });
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(&mut future).poll(&mut context), Poll::Pending);
    }
}

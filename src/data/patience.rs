//! Waiting, but not for ever.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::env::Clock;

/// `future`, or `None` when it takes longer than `limit`. The timer is made only if `future` is not ready at once, and
/// `future` is always polled first, so the outcome does not depend on anything but the order of events.
pub async fn or_timeout<C: Clock, T>(clock: &C, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(clock.sleep(limit)));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// `future`, or `None` when `interrupt` completes before it.
pub async fn or_interrupted<T>(future: impl Future<Output = T>, interrupt: impl Future) -> Option<T> {
    let (mut future, mut interrupt) = (pin!(future), pin!(interrupt));
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        interrupt.as_mut().poll(context).map(|_| None)
    })
    .await
}

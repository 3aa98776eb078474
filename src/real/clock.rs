//! Time: the system's monotonic clock, and tokio's timers.

use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;

use crate::env::{Clock, Time, UnixTime};

/// Monotonic time since it was made. Its timers have tokio's resolution of one millisecond and are never early.
#[derive(Clone, Debug)]
pub struct TokioClock {
    handle: Handle,
    began: Instant,
}

impl TokioClock {
    pub fn new(handle: Handle) -> Self {
        Self { handle, began: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Time {
        Time(self.began.elapsed())
    }

    fn unix_time(&self) -> UnixTime {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => {
                UnixTime { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
            }
            Err(before) => {
                UnixTime::from_seconds(i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds))
            }
        }
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        // The timer registers with the runtime that is current when it is made; it needs none afterwards.
        let _entered = self.handle.enter();
        tokio::time::sleep(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::TokioClock;
    use crate::env::Clock;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    #[test]
    fn sleep_starts_outside_the_runtime_and_is_never_early() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = TokioClock::new(runtime.handle().clone());
        let start = clock.now();
        let mut sleep = Box::pin(clock.sleep(Duration::from_millis(20)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(&mut sleep).poll(&mut context).is_pending());
        runtime.block_on(sleep);
        assert!(clock.now().since(start) >= Duration::from_millis(20));
    }

    #[test]
    fn an_endless_sleep_is_no_error() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = TokioClock::new(runtime.handle().clone());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(clock.sleep(Duration::MAX)).poll(&mut context).is_pending());
    }

    #[test]
    fn the_wall_clock_is_past_the_year_2020() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(TokioClock::new(runtime.handle().clone()).unix_seconds() > 1_577_836_800);
    }
}

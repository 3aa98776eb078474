//! How fast the whole mount may ask: one answer of "slow down" slows every request, and retries live on a budget.
//!
//! A throttled answer puts a moment before which nobody sends, and doubles the distance of the next one; each success
//! halves it. Retries draw from a bucket of tokens that refills with time, so that a failing service sees a bounded
//! rate of them however many readers wait; an empty bucket delays a retry, it never fails one.

use std::time::Duration;

use crate::env::Time;
use crate::zoo::{self, Bug};

const PENALTY_FIRST: Duration = Duration::from_millis(100);
const PENALTY_MAX: Duration = Duration::from_secs(5);
/// The distance is at most this share of an operation's deadline, so that each operation gets to ask.
const PENALTY_PER_DEADLINE: u32 = 8;
const RETRIES_SAVED_MAX: u64 = 100;
/// One retry token comes back in this time.
const RETRY_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub struct Pace {
    not_before: Time,
    penalty: Duration,
    penalty_max: Duration,
    /// The moment at which the bucket, emptied one token per retry and refilled one per `RETRY_EVERY`, is full again.
    full_at: Time,
}

impl Pace {
    /// `deadline`: of one operation.
    pub fn new(deadline: Duration) -> Self {
        let penalty_max = PENALTY_MAX.min(deadline / PENALTY_PER_DEADLINE);
        Self { not_before: Time::ZERO, penalty: Duration::ZERO, penalty_max, full_at: Time::ZERO }
    }

    /// How long a request must wait before it is sent.
    pub fn wait(&self, now: Time) -> Duration {
        self.not_before.since(now)
    }

    /// Takes a token for a retry; answers how long to wait for it.
    pub fn take_retry(&mut self, now: Time) -> Duration {
        self.full_at = self.full_at.max(now).plus(RETRY_EVERY);
        let empty_after = RETRY_EVERY * RETRIES_SAVED_MAX as u32;
        self.full_at.since(now).saturating_sub(empty_after)
    }

    pub fn throttled(&mut self, now: Time) {
        self.penalty = (self.penalty * 2).max(PENALTY_FIRST).min(self.penalty_max);
        if zoo::has(Bug::PenaltyOfMinutes) {
            self.penalty = PENALTY_MAX * 60;
        }
        self.not_before = self.not_before.max(now.plus(self.penalty));
    }

    pub fn succeeded(&mut self) {
        self.penalty /= 2;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;
    use crate::env::Time;

    #[test]
    fn one_throttled_answer_delays_everybody_and_success_forgives() {
        let mut pace = Pace::new(Duration::from_secs(60));
        assert_eq!(pace.wait(Time::ZERO), Duration::ZERO);
        pace.throttled(Time::ZERO);
        assert_eq!(pace.wait(Time::ZERO), Duration::from_millis(100));
        pace.throttled(Time::ZERO);
        assert_eq!(pace.wait(Time::ZERO), Duration::from_millis(200));
        for _ in 0..64 {
            pace.succeeded();
        }
        let later = Time(Duration::from_secs(1));
        pace.throttled(later);
        assert_eq!(pace.wait(later), Duration::from_millis(100));
    }

    #[test]
    fn a_service_that_only_says_slow_down_is_still_asked_within_the_deadline() {
        for (deadline_ms, most_ms) in [(60_000, 5_000), (2_000, 250), (80, 10)] {
            let mut pace = Pace::new(Duration::from_millis(deadline_ms));
            for _ in 0..64 {
                pace.throttled(Time::ZERO);
            }
            assert_eq!(pace.wait(Time::ZERO), Duration::from_millis(most_ms));
        }
    }

    #[test]
    fn retries_beyond_the_budget_wait_for_it_to_refill() {
        let mut pace = Pace::new(Duration::from_secs(60));
        let now = Time(Duration::from_secs(9));
        for _ in 0..100 {
            assert_eq!(pace.take_retry(now), Duration::ZERO);
        }
        assert_eq!(pace.take_retry(now), Duration::from_millis(20));
        assert_eq!(pace.take_retry(now), Duration::from_millis(40));
        assert_eq!(pace.take_retry(now.plus(Duration::from_secs(60))), Duration::ZERO);
    }
}

//! When one request is tried again: a plain function of what failed, when, and a random number.
//!
//! Exponential back-off with full jitter (the delay is uniform between zero and the bound), until the deadline that
//! counts from the first failure since progress was last made.

use std::time::Duration;

use crate::env::Time;
use crate::env::store::{ErrorKind, StoreError};
use crate::zoo::{self, Bug};

const DELAY_FIRST: Duration = Duration::from_millis(50);
const DELAY_MAX: Duration = Duration::from_secs(2);
/// Nonsense is asked again this often: a proxy may have hiccuped; more would only delay the error.
const NONSENSE_MAX: u32 = 2;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Again(Duration),
    GiveUp,
}

/// The attempts of one request so far.
#[derive(Clone, Debug)]
pub struct Retry {
    deadline: Duration,
    first_failure: Option<Time>,
    attempts: u32,
    nonsense: u32,
}

impl Retry {
    pub fn new(deadline: Duration) -> Self {
        Self { deadline, first_failure: None, attempts: 0, nonsense: 0 }
    }

    /// Bytes or an answer arrived: what fails from now on is a new failure.
    pub fn progressed(&mut self) {
        if !zoo::has(Bug::ProgressNotCounted) {
            *self = Self::new(self.deadline);
        }
    }

    /// `random` is uniform over all u64.
    pub fn failed(&mut self, error: &StoreError, now: Time, random: u64) -> Verdict {
        if !is_transient(error.kind) {
            return Verdict::GiveUp;
        }
        if error.kind == ErrorKind::InvalidAnswer {
            self.nonsense += 1;
            if self.nonsense > NONSENSE_MAX {
                return Verdict::GiveUp;
            }
        }
        let since = *self.first_failure.get_or_insert(now);
        let bound = DELAY_FIRST.saturating_mul(1 << self.attempts.min(16)).min(DELAY_MAX);
        self.attempts += 1;
        let random = if zoo::has(Bug::JitterFromOutside) { zoo::from_outside() } else { random };
        let mut jittered = bound.mul_f64(random as f64 / u64::MAX as f64);
        if zoo::has(Bug::RetryWithoutDelay) {
            jittered = Duration::ZERO;
        }
        let asked_for = error.retry_after.filter(|_| !zoo::has(Bug::RetryAfterIgnored));
        let delay = jittered.max(asked_for.unwrap_or_default());
        let mut left = self.deadline.saturating_sub(now.since(since));
        if zoo::has(Bug::RetriesNeverEnd) {
            left = self.deadline;
        }
        // Whatever the service asks for, it is tried once more before the deadline.
        if left.is_zero() { Verdict::GiveUp } else { Verdict::Again(delay.min(left)) }
    }
}

/// Whether the same request may succeed later.
pub(super) fn is_transient(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Unavailable if zoo::has(Bug::TransientIsFatal) => false,
        ErrorKind::AccessDenied if zoo::has(Bug::DenialRetried) => true,
        ErrorKind::Conflict
        | ErrorKind::Throttled
        | ErrorKind::Unavailable
        | ErrorKind::Unreachable
        | ErrorKind::NoAnswer
        | ErrorKind::BrokenBody
        | ErrorKind::InvalidAnswer => true,
        ErrorKind::NotFound
        | ErrorKind::NoSuchBucket
        | ErrorKind::NoSuchUpload
        | ErrorKind::NotModified
        | ErrorKind::PreconditionFailed
        | ErrorKind::InvalidRange
        | ErrorKind::AccessDenied
        | ErrorKind::Archived
        | ErrorKind::BadCredentials
        | ErrorKind::WrongRegion
        | ErrorKind::InvalidRequest
        | ErrorKind::Unsupported => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Retry, Verdict};
    use crate::env::Time;
    use crate::env::store::{ErrorKind, StoreError};

    #[test]
    fn delays_grow_to_a_bound_and_end_at_the_deadline() {
        let mut retry = Retry::new(Duration::from_secs(10));
        let mut now = Time::ZERO;
        let mut delays = Vec::new();
        while let Verdict::Again(delay) = retry.failed(&ErrorKind::Unavailable.into(), now, u64::MAX) {
            delays.push(delay.as_millis());
            now = now.plus(delay);
        }
        assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000, 850], "the last try is at the deadline");
    }

    #[test]
    fn a_service_that_asks_for_more_time_than_there_is_is_tried_once_more_at_the_deadline() {
        let mut retry = Retry::new(Duration::from_secs(10));
        let error = StoreError { retry_after: Some(Duration::from_secs(61)), ..ErrorKind::Throttled.into() };
        assert_eq!(retry.failed(&error, Time::ZERO, 0), Verdict::Again(Duration::from_secs(10)));
        assert_eq!(retry.failed(&error, Time(Duration::from_secs(10)), 0), Verdict::GiveUp);
    }

    #[test]
    fn progress_starts_the_deadline_afresh() {
        let mut retry = Retry::new(Duration::from_secs(1));
        let error = StoreError::from(ErrorKind::NoAnswer);
        assert_ne!(retry.failed(&error, Time::ZERO, 0), Verdict::GiveUp);
        assert_eq!(retry.failed(&error, Time(Duration::from_secs(5)), 0), Verdict::GiveUp);
        retry.progressed();
        assert_ne!(retry.failed(&error, Time(Duration::from_secs(5)), 0), Verdict::GiveUp);
    }

    #[test]
    fn an_answer_that_will_not_change_is_not_asked_again() {
        let mut retry = Retry::new(Duration::from_secs(10));
        for kind in [ErrorKind::NotFound, ErrorKind::PreconditionFailed, ErrorKind::AccessDenied] {
            assert_eq!(retry.failed(&kind.into(), Time::ZERO, 0), Verdict::GiveUp);
        }
    }

    #[test]
    fn nonsense_is_asked_again_twice() {
        let mut retry = Retry::new(Duration::from_secs(10));
        let error = StoreError::from(ErrorKind::InvalidAnswer);
        assert_ne!(retry.failed(&error, Time::ZERO, 0), Verdict::GiveUp);
        assert_ne!(retry.failed(&error, Time::ZERO, 0), Verdict::GiveUp);
        assert_eq!(retry.failed(&error, Time::ZERO, 0), Verdict::GiveUp);
    }
}

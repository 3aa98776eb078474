//! How long what went wrong may hold up whoever asked: the arithmetic behind "in time" and "until the deadline".
//!
//! Every moment that an operation loses is lost to some request that failed, or to the wait after it. So all that it may
//! lose is the sum over what failed, however requests share, overlap or follow one another.

use std::time::Duration;

use holdfast::config::STALL_MAX;
use holdfast::env::Time;
use holdfast::env::store::ErrorKind;

use super::freshness::before;
use crate::court::Truth;
use crate::store::FaultKind;

/// The longest wait before a retry, unless the service asks for more (the core's back-off).
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// The longest that one "slow down" silences a mount.
const PENALTY_MAX: Duration = Duration::from_secs(5);
/// More failures than this may use up what retries the mount may make at once.
const RETRIES_SAVED: u32 = 90;

/// What all that went wrong comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delays {
    /// What passing troubles may cost whoever asks again until he is answered.
    pub(super) passing: Duration,
    /// Something that no retry need overcome: an answer that is refused for good, or nonsense.
    pub(super) lasting: bool,
    /// Something whose cost has no bound that could be named.
    pub(super) unbounded: bool,
}

impl Delays {
    /// Of what may have an effect on a call of `began..=ended`.
    pub(super) fn within(truth: &Truth, began: Time, ended: Time) -> Self {
        let since = before(began, truth.config.deadline * 3 + truth.config.metadata_ttl);
        let down = truth.was_down(since, ended);
        let mut sum = Self { passing: Duration::ZERO, lasting: down, unbounded: down };
        let mut hits = 0;
        truth.each_hit(since, ended, &mut |hit| {
            hits += u32::from(!is_denial(&hit.what));
            sum.add(&hit.what, truth);
        });
        sum.unbounded |= hits > RETRIES_SAVED;
        sum
    }

    fn add(&mut self, what: &FaultKind, truth: &Truth) {
        let config = &truth.config;
        let again = BACK_OFF_MAX + truth.step_max;
        let attempt = |by: Duration| again + by.min(config.attempt_timeout);
        self.passing += match what {
            FaultKind::Refused(error) => {
                let asked = error.retry_after.unwrap_or_default();
                match error.kind {
                    ErrorKind::Throttled => again + asked + PENALTY_MAX.min(config.deadline / 8),
                    ErrorKind::Conflict | ErrorKind::Unavailable | ErrorKind::Unreachable | ErrorKind::NoAnswer => {
                        again + asked
                    }
                    // Asked again twice, and given up.
                    ErrorKind::InvalidAnswer | ErrorKind::NotFound | ErrorKind::PreconditionFailed => {
                        self.lasting = true;
                        again + asked
                    }
                    // An answer that will not change is not asked again, and is told as what it is.
                    ErrorKind::AccessDenied | ErrorKind::Archived => truth.step_max,
                    _ => {
                        self.lasting = true;
                        truth.step_max
                    }
                }
            }
            FaultKind::Delayed(by) | FaultKind::AnswerSlow(by) => attempt(*by),
            FaultKind::AnswerLost | FaultKind::AppliedLate(_) => again,
            FaultKind::Hangs | FaultKind::HangsApplied => attempt(config.attempt_timeout),
            FaultKind::BodyBreaks { .. } | FaultKind::BodyEnds { .. } | FaultKind::BodyDiesPaused { .. } => again,
            // Of a replaced version, a GET that stalls is all there is, until the deadline.
            FaultKind::BodyStalls { .. } => again + STALL_MAX * 2 + config.deadline,
            FaultKind::BodySlow { .. } => {
                self.unbounded = true;
                Duration::ZERO
            }
            FaultKind::ModifiedSkewed(_) => again,
            FaultKind::PageRepeats
            | FaultKind::PageGoesBack
            | FaultKind::PageTokenDropped
            | FaultKind::PageTokenLoops
            | FaultKind::PageTokenCircles => {
                self.unbounded = true;
                self.lasting = true;
                again
            }
            FaultKind::ConditionsIgnored
            | FaultKind::RangeShifted(_)
            | FaultKind::RangeIgnored
            | FaultKind::EtagWrong
            | FaultKind::SizeWrong(_)
            | FaultKind::BodyOverflows { .. } => {
                self.lasting = true;
                again
            }
        };
    }

    /// Whether a read or another operation may have failed for good because of it.
    pub(super) fn explain_failure(&self, truth: &Truth) -> bool {
        // A stall is worth as much as it lasts.
        self.lasting || self.unbounded && self.passing > Duration::ZERO || self.passing >= truth.config.deadline
    }
}

/// Whether it is an answer that will not change, and is not asked again.
fn is_denial(what: &FaultKind) -> bool {
    match what {
        FaultKind::Refused(error) => matches!(error.kind, ErrorKind::AccessDenied | ErrorKind::Archived),
        _ => false,
    }
}

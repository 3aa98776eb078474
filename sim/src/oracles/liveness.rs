//! Every call ends, and in time.

use std::time::Duration;

use holdfast::config::STALL_MAX;
use holdfast::env::Time;
use holdfast::env::store::ErrorKind;
use holdfast::error::Errno;

use super::{Oracle, OracleId};
use crate::court::{On, Sight, Truth, What};
use crate::store::{FaultKind, Suffered};

pub struct Liveness;

impl Oracle for Liveness {
    fn id(&self) -> OracleId {
        "liveness"
    }

    fn sentence(&self) -> &'static str {
        "Every call ends: within a few steps of the store where nothing fails, within a few deadlines where something does."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let call = match &sight.what {
            What::Opened { .. } => "open",
            What::Bytes { .. } => "read",
            What::Stat { .. } => "stat",
            What::Listed { .. } => "readdir",
            What::Done { call } | What::Failed { call, .. } => call,
            _ => return,
        };
        let took = Duration::from_nanos(sight.ended.0.saturating_sub(sight.began.0).as_nanos() as u64);
        let denied = matches!(sight.what, What::Failed { errno: Errno::EACCES, .. });
        // What others began before may be shared.
        let since = Time(sight.began.0.saturating_sub(truth.config.deadline));
        let only_denied = denied && !truth.has_suffered(since, sight.ended, &|suffered| !is_denial(suffered));
        let bound = if only_denied {
            // It will not change, and is not asked again.
            truth.step_max * 60 + Duration::from_secs(2)
        } else if truth.faulty {
            // Look-up, open and read may each spend a deadline on each of several requests.
            truth.config.deadline * 16 + truth.step_max * 50
        } else {
            // Streams that began while something failed may yet have to find out that they stall.
            let stalls = if truth.weathered { 2 * STALL_MAX } else { Duration::ZERO };
            truth.step_max * 60 + Duration::from_secs(2) + stalls
        };
        if took > bound {
            let on = match &sight.what {
                What::Failed { on: On::Key(key), .. } => (*key).to_owned(),
                _ => String::new(),
            };
            verdict(format!("{call} {on} took {took:?}, more than {bound:?}"));
        }
    }
}

fn is_denial(suffered: &Suffered) -> bool {
    match suffered {
        Suffered::Fault(FaultKind::Refused(error)) => {
            matches!(error.kind, ErrorKind::AccessDenied | ErrorKind::Archived)
        }
        _ => false,
    }
}

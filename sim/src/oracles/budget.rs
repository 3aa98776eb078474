//! What the mount may use: memory, disk, connections, requests and bytes.

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

/// What applications have asked for so far.
#[derive(Default)]
pub struct Budget {
    calls: u64,
    /// Of reads.
    bytes: u64,
    opens: u64,
}

/// Retries that may come at once, and per second after that, whatever fails (the core's budget of retries).
const RETRIES_SAVED: u64 = 100;
const RETRIES_PER_SECOND: u64 = 50;

impl Oracle for Budget {
    fn id(&self) -> OracleId {
        "budget"
    }

    fn sentence(&self) -> &'static str {
        "Memory, lifeboats, connections, requests and fetched bytes stay within what the calls made so far can explain."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            What::Bytes { bytes, .. } => {
                self.calls += 1;
                self.bytes += bytes.len() as u64;
            }
            What::Opened { .. } => {
                self.calls += 1;
                self.opens += 1;
            }
            What::Listed { entries, .. } => self.calls += 1 + entries.len() as u64,
            What::Stat { .. } | What::Done { .. } | What::Failed { .. } | What::Link { .. } => self.calls += 1,
            What::Rest(_) => self.sum_up(truth, sight, verdict),
            _ => {}
        }
    }
}

impl Budget {
    /// Judged once, at rest: a bound that holds of any run, tight enough that a storm breaks it.
    fn sum_up(&self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let requests = truth.store.requests();
        let seconds = sight.ended.0.as_secs() + 1;
        let changes: u64 = truth.history.keys().iter().map(|key| truth.history.of(key.as_str()).len() as u64).sum();
        // A call may look up several names, a list and a HEAD each, and open; a paused stream is renewed twice a minute;
        // each change may be noticed by every inode of its key.
        let renewals = (self.opens + 1) * (seconds / 30 + 1);
        let lanes = 2 * requests.bytes_delivered / truth.config.sizes.random_fetch_bytes_min;
        let retries = if truth.faulty || truth.weathered { RETRIES_SAVED + RETRIES_PER_SECOND * seconds } else { 0 };
        // A path may lead through forty links.
        let per_call = if truth.config.posix_metadata { 12 + 2 * 40 } else { 12 };
        let requests_max = 64 + per_call * self.calls + 8 * changes + renewals + lanes + retries;
        if requests.total() > requests_max {
            verdict(format!("{} requests for {} calls: more than {requests_max}", requests.total(), self.calls));
        }
    }
}

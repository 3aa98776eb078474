//! Every call ends, and in time.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast::config::STALL_MAX;
use holdfast::env::Time;

use super::delays::Delays;
use super::{Oracle, OracleId};
use crate::court::{On, Sight, Truth, What};
use crate::kernel::ELOOP;
use crate::store::FaultKind;

/// Calls that took long, by mount: when each ended, and how long it took.
#[derive(Default)]
pub struct Liveness(BTreeMap<u8, Vec<(Time, Duration)>>);

impl Oracle for Liveness {
    fn id(&self) -> OracleId {
        "liveness"
    }

    fn sentence(&self) -> &'static str {
        "Every call ends: within a few steps of the store where nothing fails, and what fails delays it by no more than \
         finding out and asking again takes, up to a few deadlines."
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
        let took = sight.ended.since(sight.began);
        // Who goes round in a circle of links asks for each of its names forty times.
        let circle = matches!(sight.what, What::Failed { errno: ELOOP, .. });
        let fair = truth.step_max * if circle { 60 + 40 * 6 } else { 60 } + Duration::from_secs(2);
        let slow = self.0.entry(sight.seat.mount).or_default();
        if took <= fair {
            if took > truth.config.deadline / 2 {
                slow.push((sight.ended, took));
            }
            return;
        }
        // Of those who look one name up Linux lets one ask at a time, and each finds out by himself that there is no answer;
        // as does whoever has the lock of a directory that others wait for.
        let before_it: Duration = slow.iter().filter(|(ended, _)| *ended >= sight.began).map(|(_, took)| *took).sum();
        slow.push((sight.ended, took));
        let bound = if truth.faulty {
            let delays = Delays::within(truth, sight.began, sight.ended);
            // Look-up, open and read may each spend a deadline on each of several requests.
            let most = truth.config.deadline * 16 + truth.step_max * 50;
            // A connection that died of being idle is found out when it is read from again.
            let idle = if truth.body_idle_max.is_some() { Duration::from_secs(10) } else { Duration::ZERO };
            let bound = if delays.unbounded { most } else { most.min(fair + delays.passing + idle) };
            bound + before_it
        } else {
            // Streams that began while something failed may yet have to find out that they stall.
            let stalls = if truth.weathered { 2 * STALL_MAX } else { Duration::ZERO };
            fair + stalls + slow_bodies(truth, &sight.what)
        };
        if took > bound {
            let on = match &sight.what {
                What::Failed { on: On::Key(key) | On::Rename { from: key, .. }, .. } => (*key).to_owned(),
                _ => String::new(),
            };
            verdict(format!("{call} {on} took {took:?}, more than {bound:?}"));
        }
    }
}

/// How long bodies that began to be slow while something failed may take to bring all of the file that is read.
fn slow_bodies(truth: &Truth, what: &What<'_>) -> Duration {
    let (What::Bytes { file, .. } | What::Failed { on: On::File { file, .. }, .. }) = what else {
        return Duration::ZERO;
    };
    let Some((held, published)) = truth.published(*file) else { return Duration::ZERO };
    let chunks = u32::try_from(published.size / truth.chunk_bytes + 1).unwrap_or(u32::MAX);
    let mut slow = Duration::ZERO;
    truth.store.each_hit(|hit| {
        if let FaultKind::BodySlow { chunk } = &hit.what
            && hit.concerns(&held.key)
        {
            slow += chunk.saturating_mul(chunks);
        }
    });
    slow
}

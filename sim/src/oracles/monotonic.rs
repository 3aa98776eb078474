//! A process that has seen a version never finds an older one at that path.

use std::collections::BTreeMap;

use holdfast::env::Time;

use super::{Oracle, OracleId};
use crate::court::{Seat, Sight, Truth, What};
use crate::history::Published;

/// For each process and key: when a call ended, and the earliest change that what it saw can have come from. Both rise.
#[derive(Default)]
pub struct Monotonic(BTreeMap<(Seat, String), Vec<(Time, usize)>>);

impl Oracle for Monotonic {
    fn id(&self) -> OracleId {
        "monotonic"
    }

    fn sentence(&self) -> &'static str {
        "Once a process has opened or seen a version at a path, it never finds an older one there."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            What::Opened { file, .. } => {
                let Some((held, published)) = truth.published(*file) else { return };
                if held.linked {
                    return;
                }
                let key = held.key.clone();
                self.judge(truth, sight, &key, |now| now.etag == published.etag, verdict);
            }
            What::Stat { key, attr } if attr.kind == holdfast::op::Kind::File && !truth.clock_lies => {
                let same = |now: &Published| now.size == attr.size && now.last_modified == attr.mtime;
                if !truth.config.posix_metadata && !truth.is_linked(key) {
                    self.judge(truth, sight, key, same, verdict);
                }
            }
            _ => {}
        }
    }
}

impl Monotonic {
    fn judge(
        &mut self,
        truth: &Truth,
        sight: &Sight<'_>,
        key: &str,
        seen: impl Fn(&Published) -> bool,
        verdict: &mut dyn FnMut(String),
    ) {
        let lows = self.0.entry((sight.seat, key.to_owned())).or_default();
        // Calls that overlap see things in either order.
        let before = lows.iter().rev().find(|(ended, _)| *ended <= sight.began);
        let low = before.map_or(0, |(_, low)| *low);
        truth.history.look(key, |changes| {
            let fits = |at: &usize| changes[*at].now.as_ref().is_some_and(&seen);
            match (low..changes.len()).find(fits) {
                Some(at) => {
                    let highest = lows.last().map_or(0, |(_, highest)| *highest);
                    lows.push((sight.ended, at.max(highest)));
                }
                None if (0..low).any(|at| fits(&at)) => {
                    verdict(format!("process {} found an older version of {key} than it had seen", sight.seat.app));
                }
                // Of no version that ever was: other oracles see to that.
                None => {}
            }
        });
    }
}

//! Who has seen a version never finds an older one at that path, nor that it is not yet there.

use std::collections::BTreeMap;

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Attr, Kind};

use super::freshness::before;
use super::{Oracle, OracleId};
use crate::court::{On, Seat, Sight, Truth, What};
use crate::history::Published;

/// For each who sees and each key: when a call ended, and the earliest state of the key that what it saw can have been.
/// Both rise.
#[derive(Default)]
pub struct Monotonic {
    seen: BTreeMap<(Who, String), Vec<(Time, usize)>>,
    /// Names that Linux took from a listing, over a look-up that may have known better, and until when it has them.
    overridden: BTreeMap<(u8, String), Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Process(Seat),
    /// What a mount is told of names, it is told for all who use it.
    Kernel(u8),
}

impl Oracle for Monotonic {
    fn id(&self) -> OracleId {
        "monotonic"
    }

    fn sentence(&self) -> &'static str {
        "Once a process, or the kernel of a mount, has seen a version at a path, it never finds an older one there, nor that \
         there is nothing yet."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let process = Who::Process(sight.seat);
        if let What::Stat { key, .. } | What::Failed { on: On::Key(key), .. } = &sight.what
            && self.overridden.get(&(sight.seat.mount, (*key).to_owned())).is_some_and(|until| sight.began <= *until)
        {
            return;
        }
        match &sight.what {
            What::Opened { file, .. } => {
                let Some((held, published)) = truth.published(*file) else { return };
                if !held.linked {
                    let key = held.key.clone();
                    let seen = |now: Option<&Published>| now.is_some_and(|now| now.etag == published.etag);
                    self.judge(truth, sight, (process, &key), seen, verdict);
                }
            }
            What::Stat { key, attr } => self.judge_file(truth, sight, (process, key), attr, verdict),
            // It may be the other name.
            What::Failed { call: "rename", .. } => {}
            What::Failed { call, on: On::Key(key), errno: Errno::ENOENT } => {
                // Of a directory that was missing a moment ago Linux remembers that, whatever is seen beneath it by those who
                // had walked through it before.
                let from = before(sight.began, truth.config.negative_metadata_ttl);
                let beneath = truth.config.prefix.len();
                let mut above = key.match_indices('/').filter(|(at, _)| *at >= beneath).map(|(at, _)| &key[..at]);
                if above.any(|directory| truth.was_nothing(directory, from, sight.ended)) {
                    return;
                }
                let place = (process, (*key).to_owned());
                let known = self.seen.get(&place).map_or(0, Vec::len);
                self.judge_missing(truth, sight, (process, key), verdict);
                // Linux keeps the name of what an OPEN was told is missing: stat(2) shows it for a TTL yet.
                if *call == "open"
                    && let Some(lows) = self.seen.get_mut(&place)
                {
                    lows.truncate(known);
                }
            }
            What::Named { key, entry, late: true, .. } => {
                let until = sight.ended.plus(entry.entry_ttl);
                self.overridden.insert((sight.seat.mount, (*key).to_owned()), until);
            }
            // Told as what its page said, not to be relied on.
            What::Named { entry, listed: true, .. } if entry.entry_ttl.is_zero() => {}
            What::Named { key, entry, .. } => {
                let kernel = Who::Kernel(sight.seat.mount);
                match &entry.attr {
                    Some(attr) => self.judge_file(truth, sight, (kernel, key), attr, verdict),
                    None => self.judge_missing(truth, sight, (kernel, key), verdict),
                }
            }
            _ => {}
        }
    }
}

impl Monotonic {
    fn judge_file(
        &mut self,
        truth: &Truth,
        sight: &Sight<'_>,
        (who, key): (Who, &str),
        attr: &Attr,
        verdict: &mut dyn FnMut(String),
    ) {
        if attr.kind != Kind::File || truth.clock_lies || truth.config.posix_metadata || truth.is_linked(key) {
            return;
        }
        let same = |now: Option<&Published>| {
            now.is_some_and(|now| now.size == attr.size && truth.may_show(key, now, attr.mtime))
        };
        self.judge(truth, sight, (who, key), same, verdict);
    }

    fn judge_missing(
        &mut self,
        truth: &Truth,
        sight: &Sight<'_>,
        (who, key): (Who, &str),
        verdict: &mut dyn FnMut(String),
    ) {
        if !truth.lies && !truth.is_linked(key) {
            self.judge(truth, sight, (who, key), |now| now.is_none(), verdict);
        }
    }

    fn judge(
        &mut self,
        truth: &Truth,
        sight: &Sight<'_>,
        (who, key): (Who, &str),
        seen: impl Fn(Option<&Published>) -> bool,
        verdict: &mut dyn FnMut(String),
    ) {
        // What is not published has no place in the bucket's history.
        if truth.is_local_beneath(sight.seat.mount, key, sight.began, sight.ended) {
            return;
        }
        let lows = self.seen.entry((who, key.to_owned())).or_default();
        // Calls that overlap see things in either order. Those of one process do not; at one instant, those of others may.
        let past = |ended: Time| match who {
            Who::Process(_) => ended <= sight.began,
            Who::Kernel(_) => ended < sight.began,
        };
        let before = lows.iter().rev().find(|(ended, _)| past(*ended));
        let (seen_at, low) = before.copied().unwrap_or((Time::ZERO, 0));
        truth.history.look(key, |changes| {
            // State 0 is before the first change.
            let fits = |at: &usize| seen(at.checked_sub(1).and_then(|at| changes[at].now.as_ref()));
            match (low..=changes.len()).find(fits) {
                Some(at) => {
                    let highest = lows.last().map_or(0, |(_, highest)| *highest);
                    lows.push((sight.ended, at.max(highest)));
                }
                None if (0..low).any(|at| fits(&at)) => {
                    let who = match who {
                        Who::Process(seat) => format!("process {}", seat.app),
                        Who::Kernel(mount) => format!("the kernel of mount {mount}"),
                    };
                    let since = low.checked_sub(1).map_or(Time::ZERO, |at| changes[at].at);
                    verdict(format!(
                        "{who} found an older state of {key} between {:?} and {:?} than it had seen at {:?}, which came at \
                         {:?}",
                        sight.began.0, sight.ended.0, seen_at.0, since.0
                    ));
                }
                // Of no version that ever was: other oracles see to that.
                None => {}
            }
        });
    }
}

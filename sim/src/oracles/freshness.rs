//! What an open or a stat finds was true a moment ago.

mod named;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use holdfast::env::Time;
use holdfast::op::{Ino, Kind};

use super::{Oracle, OracleId};
use crate::court::{FileId, Seat, Sight, Truth, What};
use crate::history::Published;
use crate::kernel::Listed;

/// For each mount and key, the latest number that a listing showed.
#[derive(Default)]
pub struct Freshness(BTreeMap<(u8, String), Shown>);

struct Shown {
    to: Seat,
    ino: Ino,
    since: Time,
    at: Time,
}

/// What libfuse shows for a name whose number is not known.
pub(super) const UNKNOWN_INO: Ino = Ino(0xffff_ffff);

impl Oracle for Freshness {
    fn id(&self) -> OracleId {
        "freshness"
    }

    fn sentence(&self) -> &'static str {
        "What an open, a stat or a look-up shows was current at some instant between the call, less the metadata TTL, and \
         its return; what an open shows of a file that is not wholly at hand, or known to be replaced, during the call."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            // Another one, whose numbers begin anew.
            What::Crashed => return self.0.retain(|(mount, _), _| *mount != sight.seat.mount),
            What::Listed { .. } if truth.is_of_the_dead(sight) => return,
            What::Listed { key, entries, since, .. } => return self.remember(sight, key, entries, *since),
            What::Named { late: true, .. } => return,
            What::Named { key, entry, listed, .. } => {
                return named::judge(truth, sight, (key, entry, *listed), verdict);
            }
            _ => {}
        }
        if truth.was_lied_to(sight.began, sight.ended) {
            return;
        }
        let ttl = truth.config.metadata_ttl;
        // What a mount changed and has not yet published is its own: `read-your-writes` knows of it.
        let is_local = |key: &str| truth.is_local_beneath(sight.seat.mount, key, before(sight.began, ttl), sight.ended);
        match &sight.what {
            What::Opened { file, .. } => {
                let Some((held, published)) = truth.published(*file) else { return };
                if is_local(&held.key) {
                    return;
                }
                if held.linked {
                    // Which of the keys that ever had these bytes the link led to is a guess.
                    return;
                }
                let was_current = |from| {
                    truth
                        .history
                        .was(&held.key, from, sight.ended, |now| now.is_some_and(|now| now.etag == published.etag))
                };
                if let Some(because) = self.must_have_asked(truth, sight, *file)
                    && !was_current(sight.began)
                {
                    verdict(format!(
                        "version {} of {} was opened, which was not current while it was: {because}",
                        published.version.0, held.key
                    ));
                    return;
                }
                if !was_current(before(sight.began, ttl)) {
                    let (key, version) = (&held.key, published.version.0);
                    let changes = truth.history.of(key);
                    let last = changes.iter().rfind(|change| {
                        change.now.as_ref().is_some_and(|content| content.version == published.version)
                    });
                    verdict(format!(
                        "version {version} of {key} was opened between {:?} and {:?}, but had not been current within \
                         {ttl:?} before (put at {:?})",
                        sight.began.0,
                        sight.ended.0,
                        last.map(|change| change.at.0)
                    ));
                }
            }
            What::Stat { key, .. } if truth.is_linked(key) || is_local(key) => {}
            What::Stat { key, attr } if attr.kind == Kind::File => {
                let current = truth.history.was(key, before(sight.began, ttl), sight.ended, |now| {
                    now.is_some_and(|now| {
                        let on_time =
                            truth.may_show(now, attr.mtime) || truth.clock_lies || truth.config.posix_metadata;
                        now.size == attr.size && on_time
                    })
                });
                if !current {
                    verdict(format!(
                        "{key} was shown with {} bytes, which it had not within {ttl:?} before",
                        attr.size
                    ));
                }
            }
            What::Stat { key, attr }
                if attr.kind == Kind::Directory && !truth.was_directory(key, before(sight.began, ttl), sight.ended) =>
            {
                verdict(format!("{key} was called a directory, but nothing was beneath it within {ttl:?} before"));
            }
            _ => {}
        }
    }
}

impl Freshness {
    fn remember(&mut self, sight: &Sight<'_>, directory: &str, entries: &[Listed], since: Time) {
        for entry in entries.iter().filter(|entry| entry.kind != Kind::Directory && entry.ino != UNKNOWN_INO) {
            let slash = if directory.is_empty() || directory.ends_with('/') { "" } else { "/" };
            let key = format!("{directory}{slash}{}", entry.name);
            let shown = Shown { to: sight.seat, ino: entry.ino, since, at: sight.ended };
            match self.0.entry((sight.seat.mount, key)) {
                Entry::Vacant(place) => drop(place.insert(shown)),
                Entry::Occupied(mut place) if place.get().ino < entry.ino => drop(place.insert(shown)),
                Entry::Occupied(_) => {}
            }
        }
    }

    /// Why the open cannot have taken its version for granted.
    fn must_have_asked(&self, truth: &Truth, sight: &Sight<'_>, file: FileId) -> Option<&'static str> {
        let (held, published) = truth.published(file)?;
        let key = (sight.seat.mount, held.key.clone());
        // The same bytes put again are another version, but take nothing from the one that is open.
        let replaced = |shown: &Shown| {
            let from = before(shown.since, truth.under_way_max());
            let same = |now: Option<&Published>| now.is_some_and(|now| now.etag == published.etag);
            !truth.history.was(&held.key, from, sight.began, same)
        };
        let listed = self.0.get(&key).filter(|_| !held.dead);
        // At one instant the calls of others may come in either order.
        let earlier = |shown: &Shown| shown.at < sight.began || (shown.at == sight.began && shown.to == sight.seat);
        if listed.is_some_and(|shown| shown.ino > held.ino && earlier(shown) && replaced(shown)) {
            return Some("a listing had shown the number of a newer one");
        }
        // What is on its way counts as being at hand only of an object that is fetched whole.
        let at_hand = truth.store.delivered_of(&held.key, &published.etag);
        let large = published.size > truth.config.sizes.whole_fetch_bytes;
        (large && at_hand < published.size).then_some("not all of it was at hand")
    }
}

pub(super) fn before(time: Time, by: Duration) -> Time {
    Time(time.0.saturating_sub(by))
}

//! What the core tells the kernel of a name, and for how long the name may be taken for granted: from the two follows when
//! the request was sent that learnt it, and between then and now the name was so.

use holdfast::env::Time;
use holdfast::op::{Attr, Entry, Kind};

use super::before;
use crate::court::{Sight, Truth};
use crate::history::Published;

pub(super) fn judge(
    truth: &Truth,
    sight: &Sight<'_>,
    (key, entry, listed): (&str, &Entry, bool),
    verdict: &mut dyn FnMut(String),
) {
    let ttl = match &entry.attr {
        Some(_) => truth.config.metadata_ttl,
        None => truth.config.negative_metadata_ttl,
    };
    let from = match entry.entry_ttl.is_zero() {
        false => before(sight.ended.plus(entry.entry_ttl), ttl),
        // A listing says what was there when its page was fetched, however long ago.
        true if listed => return,
        true => sight.began,
    };
    if truth.was_lied_to(from, sight.ended) || truth.is_local_beneath(sight.seat.mount, key, from, sight.ended) {
        return;
    }
    let (left, until) = (entry.entry_ttl, sight.ended);
    let so = match &entry.attr {
        None => truth.was_nothing(key, from, until),
        Some(attr) if attr.kind == Kind::Directory => truth.was_directory(key, from, until),
        Some(attr) => was_so(truth, key, attr, from, until),
    };
    if so {
        return;
    }
    let what = match &entry.attr {
        None => "absent".to_owned(),
        Some(attr) if attr.kind == Kind::Directory => "a directory".to_owned(),
        Some(attr) => format!("a file of {} bytes of {}", attr.size, attr.mtime),
    };
    verdict(format!("{key} was called {what} for {left:?} yet, but was not that since {:?}", from.0));
}

fn was_so(truth: &Truth, key: &str, attr: &Attr, from: Time, until: Time) -> bool {
    truth.history.was(key, from, until, |now| {
        let on_time =
            |now: &Published| truth.may_show(key, now, attr.mtime) || truth.clock_lies || truth.config.posix_metadata;
        now.is_some_and(|now| now.size == attr.size && on_time(now))
    })
}

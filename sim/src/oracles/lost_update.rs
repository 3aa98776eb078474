//! Nobody's version is replaced by somebody who had not seen it.

use holdfast::bucket::Content;
use holdfast::config::OnConflict;
use holdfast::env::Time;

use super::{Oracle, OracleId};
use crate::court::{Sight, Truth};
use crate::history::{Made, Published};
use crate::ledger::LocalFile;
use crate::store::{FaultKind, Kind};

/// Changes by mounts that were looked at.
#[derive(Default)]
pub struct LostUpdate(usize);

impl Oracle for LostUpdate {
    fn id(&self) -> OracleId {
        "lost-update"
    }

    fn sentence(&self) -> &'static str {
        "A commit replaces the version that its file began from, or one that the same mount had published, and no other; and \
         a rename removes nothing that it has not copied."
    }

    fn see(&mut self, truth: &Truth, _sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        // Of requests past the kernel nobody knows what they were about.
        if truth.ledger.is_empty() {
            return;
        }
        self.0 = truth.history.each_made(self.0, |made| {
            judge(truth, made, verdict);
            judge_removed(truth, made, verdict);
        });
    }
}

/// What a mount deletes, an application removes, or it was copied to where it was renamed to.
fn judge_removed(truth: &Truth, made: &Made, verdict: &mut dyn FnMut(String)) {
    let key = made.key.as_str();
    let Some(removed) = made.replaced.as_ref().filter(|_| made.kind == Kind::Delete && !key.ends_with('/')) else {
        return;
    };
    let ignored =
        truth.config.preconditions_ignored || truth.was_hit(key, &|what| *what == FaultKind::ConditionsIgnored);
    if ignored || truth.ledger.was_unlinking(made.mount, key, made.sent_at) {
        return;
    }
    let content = removed.content(key);
    let mut copied = content.is_none();
    truth.history.each_made(0, |other| {
        let copies =
            other.kind == Kind::Copy && other.mount == made.mount && other.at <= made.at && other.key != made.key;
        copied |= copies && same(other, content.as_ref());
    });
    // Or what stands elsewhere is the same: an equal one of somebody else is taken for the copy whose answer was lost.
    let stands = || {
        let keys = truth.history.keys();
        let others = keys.iter().filter(|other| **other != made.key);
        others.into_iter().any(|other| {
            truth.history.was(other.as_str(), made.sent_at, made.at, |now| {
                let body = now.and_then(|now| now.content(other.as_str()));
                body.is_some_and(|body| content.as_ref().is_some_and(|content| is_same(&body, content)))
            })
        })
    };
    if !copied && !stands() {
        verdict(format!(
            "mount {} removed {key} at {:?}, which nobody had asked it to and which it had copied nowhere",
            made.mount, made.at.0
        ));
    }
}

fn same(made: &Made, content: Option<&Content>) -> bool {
    let now = made.now.as_ref().and_then(|now| now.content(made.key.as_str()));
    now.is_some_and(|now| content.is_some_and(|content| is_same(&now, content)))
}

pub(super) fn is_same(a: &Content, b: &Content) -> bool {
    a.size() == b.size() && a.to_bytes() == b.to_bytes()
}

fn judge(truth: &Truth, made: &Made, verdict: &mut dyn FnMut(String)) {
    let key = made.key.as_str();
    let put = matches!(made.kind, Kind::Put | Kind::CompleteUpload | Kind::Copy) && !key.ends_with('/');
    let (Some(replaced), Some(_)) = (&made.replaced, made.now.as_ref().filter(|_| put)) else { return };
    let ignored =
        truth.config.preconditions_ignored || truth.was_hit(key, &|what| *what == FaultKind::ConditionsIgnored);
    if ignored || truth.config.on_conflict == OnConflict::Overwrite {
        return;
    }
    // Since when it was there. The same bytes put again are the same version to whoever asks by ETag.
    let since = truth.history.look(key, |changes| {
        let same = changes.iter().filter(|change| change.now.as_ref().is_some_and(|now| now.etag == replaced.etag));
        same.map(|change| change.at).min()
    });
    let Some(since) = since else { return };
    // Bytes that it had itself, it takes for its own: an answer that was lost.
    let same = replaced.content(key);
    let knew = |file: &LocalFile| {
        let had = |body| file.states.iter().any(|state| state.content.as_ref().is_some_and(|content| content.is(body)));
        since <= file.opened || same.as_ref().is_some_and(had)
    };
    let own = truth.history.was_made_by(made.mount, key, &replaced.etag);
    if made.kind == Kind::Copy && is_replaced_by_a_rename(truth, made, same.as_ref(), since) {
        return;
    }
    // What somebody else has copied there, a rename takes for its own copy.
    let moved = |file: &LocalFile| {
        let olds = file.keys.iter().filter(|old| *old != key);
        olds.into_iter().any(|old| {
            let had = |now: Option<&Published>| {
                now.and_then(|now| now.content(old))
                    .is_some_and(|had| same.as_ref().is_some_and(|same| is_same(&had, same)))
            };
            truth.history.was(old, file.called, made.at, had)
        })
    };
    let mut files = truth.ledger.named(made.mount, key);
    if !own && !files.any(|file| knew(file) || moved(file)) {
        verdict(format!(
            "mount {} replaced {key} at {:?} as it was put at {:?}, which no file of that name began from",
            made.mount, made.at.0, since.0
        ));
    }
}

/// Whether a copy replaces what it may: a rename what is at its target, as rename(2) does, but nothing that came there after it was
/// answered, or while a directory was moved there, or by a mount that had died meanwhile. A file that is copied onto itself is
/// given other attributes.
fn is_replaced_by_a_rename(truth: &Truth, made: &Made, replaced: Option<&Content>, since: Time) -> bool {
    same(made, replaced) || truth.ledger.was_renaming(made.mount, made.key.as_str(), since)
}

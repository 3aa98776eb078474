//! What explains the failure of a call that changes something.

use holdfast::error::Errno;

use super::super::freshness::before;
use crate::court::{On, Sight, Truth, is_untrue};
use crate::kernel::EBUSY;
use crate::store::FaultKind;

/// `None`: what explains any other call explains this one.
pub(super) fn explained(
    truth: &Truth,
    sight: &Sight<'_>,
    call: &str,
    on: On<'_>,
    errno: Errno,
) -> Option<Result<(), &'static str>> {
    if truth.config.read_only {
        return None;
    }
    match on {
        On::File { file, .. } => of_file(truth, sight, file, call, errno),
        On::Key(key) => of_key(truth, sight, key, call, errno),
        On::Nothing => None,
    }
}

fn of_file(
    truth: &Truth,
    sight: &Sight<'_>,
    file: crate::court::FileId,
    call: &str,
    errno: Errno,
) -> Option<Result<(), &'static str>> {
    match (call, errno) {
        // The kernel's own answers to those who did not open it for writing.
        ("write" | "fallocate", Errno::EBADF) | ("ftruncate", Errno::EINVAL) => Some(Ok(())),
        ("write" | "fsync" | "ftruncate" | "fallocate" | "close", Errno::ESTALE) => {
            let Some((held, local)) = truth.local_file(file) else { return Some(Ok(())) };
            let mount = held.seat.mount;
            let ttl = truth.config.metadata_ttl.max(truth.config.negative_metadata_ttl);
            let from = before(local.called.min(held.opened_at), ttl + truth.under_way_max());
            let changed = |key: &String| {
                // A mount that died in the middle of a directory's rename has the next one finish it, which nobody asked that to.
                (truth.crashes && truth.history.changes_within(key, from, sight.ended) > 0)
                    || truth.history.others_changed(mount, key, from, sight.ended)
                    || truth.was_hit(key, &|what| is_untrue(what) || *what == FaultKind::ConditionsIgnored)
            };
            // A rename over it, or its own removal, takes the condition away as well.
            // An open with O_TRUNC of a file that others have open gives its name another inode, of the same mount.
            let mut siblings = local.keys.iter().flat_map(|key| truth.ledger.named(mount, key));
            let lost = local.doubtful
                || siblings.any(|other| other.ino != local.ino && other.states.len() > 1)
                || local.keys.iter().any(changed);
            Some(if lost { Ok(()) } else { Err("and nobody else changed it") })
        }
        // A file that is being written is read through what it began from, which may be lost.
        ("read", Errno::ESTALE) if truth.local_file(file).is_some() => {
            let (held, local) = truth.local_file(file)?;
            let from = before(local.opened, truth.config.metadata_ttl + truth.under_way_max());
            let changed = |key: &String| truth.history.changes_within(key, from, sight.ended) > 0;
            let lost = local.keys.iter().any(changed) || truth.was_hit(&held.key, &|_| true);
            Some(if lost { Ok(()) } else { Err("and nobody changed it") })
        }
        _ => None,
    }
}

fn of_key(truth: &Truth, sight: &Sight<'_>, key: &str, call: &str, errno: Errno) -> Option<Result<(), &'static str>> {
    let from = before(sight.began, truth.config.metadata_ttl + holdfast::config::PIN_KEPT);
    match (call, errno) {
        // What was in the way may be gone again; whether it was there at all the oracles of names do not ask.
        ("mkdir" | "symlink" | "open" | "rename", Errno::EEXIST) | ("rmdir" | "rename", Errno::ENOTEMPTY) => {
            Some(Ok(()))
        }
        ("rmdir" | "rename", EBUSY) | ("rename", Errno::EINVAL | Errno::EISDIR | Errno::ENOTDIR) => Some(Ok(())),
        ("symlink", Errno::EPERM) if !truth.config.posix_metadata => Some(Ok(())),
        // Of the other name the message tells nothing.
        ("rename", Errno::ESTALE) => Some(Ok(())),
        // An inode that lost its condition costs the one walk that Linux makes again.
        ("open", Errno::ESTALE)
            if truth.is_local(sight.seat.mount, key, from, sight.ended)
                && truth.history.changes_within(key, from, sight.ended) > 0 =>
        {
            Some(Ok(()))
        }
        ("unlink" | "truncate" | "chmod" | "utimens", Errno::ESTALE) => {
            // What is being written here may have begun from what somebody replaced long ago.
            let ttl = truth.config.metadata_ttl.max(truth.config.negative_metadata_ttl);
            let locals = truth.ledger.named(sight.seat.mount, key);
            let began = locals.map(|local| before(local.called, ttl + truth.under_way_max())).min();
            let from = began.map_or(from, |began| began.min(from));
            let changed = truth.history.changes_within(key, from, sight.ended) > 0;
            let lied = truth.was_hit(key, &|_| true);
            Some(if changed || lied { Ok(()) } else { Err("and nobody changed it meanwhile") })
        }
        (_, Errno::EISDIR | Errno::ENOTDIR) if truth.is_local_beneath(sight.seat.mount, key, from, sight.ended) => {
            Some(Ok(()))
        }
        _ => None,
    }
}

//! What explains the failure of a call that changes something.

use std::collections::BTreeSet;

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::Ino;

use super::super::freshness::before;
use super::super::hold::tears;
use crate::court::{Held, On, Sight, Truth, is_untrue};
use crate::kernel::{EBUSY, SIGBUS};
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
        On::Rename { from, to } => of_rename(truth, sight, (from, to), errno),
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
        ("write" | "fallocate" | "copy_range", Errno::EBADF) | ("ftruncate" | "copy_range", Errno::EINVAL) => {
            Some(Ok(()))
        }
        // Nor for reading.
        ("read", Errno::EBADF) => {
            let writes_only = truth.files.get(&file).is_some_and(|held| !held.reads);
            Some(if writes_only { Ok(()) } else { Err("and it was opened to be read") })
        }
        // XATTR_CREATE, XATTR_REPLACE, and what is none.
        ("fsetxattr", Errno::EEXIST | Errno::ENODATA) | ("fremovexattr", Errno::ENODATA) => Some(Ok(())),
        // Beyond the end, which others may have moved, there is nothing to see nor to write through.
        ("store", SIGBUS) => Some(Ok(())),
        ("page fault", SIGBUS) => {
            let held = truth.files.get(&file)?;
            (held.dead || truth.ledger.was_changed(held.seat.mount, held.ino)).then_some(Ok(()))
        }
        // What was written through a mapping could not be given back: Linux makes EIO of whatever the reason was, and tells
        // whoever closes the file next, however long after.
        ("fsync" | "msync" | "write" | "close", Errno::EIO | Errno::ENOSPC) => {
            let held = truth.files.get(&file)?;
            let told_later = truth.calm_since.is_some() && truth.ledger.has_lost(held.seat.mount, held.ino);
            if held.dead || told_later {
                return Some(Ok(()));
            }
            let local = truth.ledger.latest(held.seat.mount, held.ino)?;
            of_file(truth, sight, file, call, local.lost.filter(|lost| *lost == Errno::ESTALE)?)
        }
        (
            "write" | "fsync" | "msync" | "ftruncate" | "fallocate" | "copy_range" | "fsetxattr" | "fremovexattr"
            | "close",
            Errno::ESTALE,
        ) => {
            // Of a last close the file is let go of by now.
            let latest = |held: &Held| truth.ledger.latest(held.seat.mount, held.ino).filter(|_| !held.dead);
            let found = truth.files.get(&file).and_then(|held| Some((held, latest(held)?)));
            let Some((held, local)) = found else { return Some(Ok(())) };
            let mount = held.seat.mount;
            let ttl = truth.config.metadata_ttl.max(truth.config.negative_metadata_ttl);
            let from = before(local.called.min(held.called_at), ttl + truth.under_way_max());
            let changed = |key: &String| was_changed(truth, mount, key, (from, sight.ended), sight.began);
            // A rename over it, or its own removal, takes the condition away as well.
            // An open with O_TRUNC of a file that others have open gives its name another inode, of the same mount.
            // Bytes of another file that were not copied yet go with that, unless something holds them.
            let took = |key: &String| {
                may_be_unheld(truth, key, from, sight.ended) && truth.history.changes_within(key, from, sight.ended) > 0
            };
            let mut siblings = local.keys.iter().flat_map(|key| truth.ledger.named(mount, key));
            // What is no more what the name means can be given no attributes.
            let described = matches!(call, "fsetxattr" | "fremovexattr");
            // What the network delivered late, such as a DELETE of what had the name before, nobody can take back.
            let late = |key: &String| truth.history.was_late(mount, key, (from, local.called), sight.ended);
            let lost = local.doubtful
                || !local.is_named()
                || local.keys.iter().any(late)
                || siblings.any(|other| other.ino != local.ino && (described || other.states.len() > 1))
                || (described && local.keys.iter().any(|key| truth.ledger.was_truncated(mount, key)))
                || (described && truth.ledger.was_moving_within(mount, &held.key, held.called_at, held.opened_at))
                || local.sources.iter().any(took)
                || local.keys.iter().chain(&local.sources).chain([&held.key]).any(changed);
            Some(if lost { Ok(()) } else { Err("and nobody else changed it") })
        }
        // A file that is being written is read through what it began from, which may be lost.
        ("read" | "store" | "page fault", Errno::ESTALE) if truth.local_file(file).is_some() => {
            let (held, local) = truth.local_file(file)?;
            let from = before(local.called.min(held.called_at), truth.config.metadata_ttl + truth.under_way_max());
            // What its own mount removes is out of reach, too, unless something holds it; so is what it replaces.
            let changed = |key: &String| {
                truth.history.was(key, from, sight.ended, |now| now.is_none())
                    || (truth.history.changes_within(key, from, sight.ended) > 0
                        && may_be_unheld(truth, key, from, sight.ended))
                    || was_changed(truth, held.seat.mount, key, (from, sight.ended), sight.began)
            };
            let lost = local.keys.iter().chain(&local.sources).chain([&held.key]).any(changed);
            Some(if lost { Ok(()) } else { Err("and nobody changed it") })
        }
        _ => None,
    }
}

/// Whether what its own mount replaces may be held by nothing: nothing is held, the connection that held it was lost, or the
/// disk spoilt what had been saved of it (R7, R11).
fn may_be_unheld(truth: &Truth, key: &str, from: Time, until: Time) -> bool {
    truth.config.hold == holdfast::config::Hold::Off
        || truth.disk_faulty
        || truth.was_hit(key, &tears)
        || truth.store.was_down(from, until)
}

/// Whether somebody else changed a key, or a rename of this mount that was not over at `began`; or whether an answer of it was not
/// true. Who has a file open that was renamed before is told nothing of that, also where the rename failed (R40).
fn was_changed(truth: &Truth, mount: u8, key: &str, (from, until): (Time, Time), began: Time) -> bool {
    // A mount that died in the middle of a directory's rename has the next one finish it, which nobody asked that to.
    let moved = truth.ledger.is_finished_later(mount, key) || truth.ledger.was_moving(mount, key, began);
    (moved && truth.history.changes_within(key, from, until) > 0)
        || truth.history.others_changed(mount, key, from, until)
        || truth.was_hit(key, &|what| is_untrue(what) || *what == FaultKind::ConditionsIgnored)
}

fn of_key(truth: &Truth, sight: &Sight<'_>, key: &str, call: &str, errno: Errno) -> Option<Result<(), &'static str>> {
    let from = before(sight.began, truth.config.metadata_ttl + holdfast::config::PIN_KEPT);
    match (call, errno) {
        ("rmdir", EBUSY) => Some(Ok(())),
        // What was in the way may be gone again.
        ("mkdir" | "symlink" | "mknod" | "open", Errno::EEXIST) => {
            let there = was_anything(truth, sight, key);
            Some(if there { Ok(()) } else { Err("and nothing was there") })
        }
        ("rmdir", Errno::ENOTEMPTY) => {
            let there = was_anything(truth, sight, &format!("{}/", key.trim_end_matches('/')));
            Some(if there { Ok(()) } else { Err("and nothing was in it") })
        }
        ("symlink" | "mknod", Errno::EPERM) if !truth.config.posix_metadata => Some(Ok(())),
        // Of a FIFO, which nobody has opened at its other end; and none of which is a file to be cut.
        ("open", Errno::ENXIO) | ("truncate", Errno::EINVAL) if truth.config.posix_metadata => Some(Ok(())),
        // XATTR_CREATE, XATTR_REPLACE, and what is none; the mount's own directory has none.
        ("setxattr", Errno::EEXIST | Errno::ENODATA | Errno::EOPNOTSUPP) => Some(Ok(())),
        ("removexattr", Errno::ENODATA | Errno::EOPNOTSUPP) => Some(Ok(())),
        // An inode that lost its condition costs the one walk that Linux makes again.
        ("open", Errno::ESTALE)
            if truth.is_local(sight.seat.mount, key, from, sight.ended)
                && truth.history.changes_within(key, from, sight.ended) > 0 =>
        {
            Some(Ok(()))
        }
        ("unlink" | "truncate" | "chmod" | "utimens" | "setxattr" | "removexattr", Errno::ESTALE) => {
            // What is being written here may have begun from what somebody replaced long ago.
            let ttl = truth.config.metadata_ttl.max(truth.config.negative_metadata_ttl);
            let locals = truth.ledger.named(sight.seat.mount, key);
            let began = locals.map(|local| before(local.called, ttl + truth.under_way_max())).min();
            let from = began.map_or(from, |began| began.min(from));
            // Linux asks once more by itself, so that one change of its own does not do. What was never published is removed
            // without a trace in the bucket; and an open with O_TRUNC of what others read gives the name another inode.
            let removals = truth.ledger.removals_within(sight.seat.mount, key, from, sight.ended);
            let inodes: BTreeSet<Ino> = truth
                .ledger
                .named(sight.seat.mount, key)
                .filter(|file| file.called >= from && file.called <= sight.ended)
                .map(|file| file.ino)
                .collect();
            let twice = truth.history.changes_within(key, from, sight.ended) > 1
                || removals > 1
                || (removals > 0 && inodes.len() > 1)
                // What could not be published when it was closed for the last time is in the recovery folder, and its name gone.
                || (inodes.len() > 1 && truth.has_suffered(from, sight.ended, &|_| true));
            let changed = twice || was_changed(truth, sight.seat.mount, key, (from, sight.ended), from);
            Some(if changed { Ok(()) } else { Err("and nobody changed it meanwhile") })
        }
        (_, Errno::EISDIR | Errno::ENOTDIR) if truth.is_local_beneath(sight.seat.mount, key, from, sight.ended) => {
            Some(Ok(()))
        }
        _ => None,
    }
}

/// Whether there may have been anything of this name, or beneath it; of a name that ends in a slash, beneath it alone.
fn was_anything(truth: &Truth, sight: &Sight<'_>, name: &str) -> bool {
    let from = before(sight.began, truth.config.metadata_ttl + holdfast::config::PIN_KEPT);
    let key = name.trim_end_matches('/');
    let there = |now: Option<&crate::history::Published>| now.is_some();
    truth.is_local_beneath(sight.seat.mount, key, from, sight.ended)
        || truth.is_linked(key)
        || truth.was_lied_to(sight.began, sight.ended)
        || truth.was_directory(key, from, sight.ended)
        || (key == name && truth.history.was(key, from, sight.ended, there))
}

/// Of both names, and of what is beneath them.
fn of_rename(
    truth: &Truth,
    sight: &Sight<'_>,
    (from, to): (&str, &str),
    errno: Errno,
) -> Option<Result<(), &'static str>> {
    match errno {
        // Of the key itself, or of one beneath it, as it would be then.
        Errno::ENAMETOOLONG => {
            let grown = |key: &str| to.len() + key.len() - from.len();
            let beneath = format!("{}/", from.trim_end_matches('/'));
            let mut longest = grown(from);
            truth.history.any_under(&beneath, |key, _| {
                longest = longest.max(grown(key.as_str()));
                false
            });
            let local = truth.ledger.beneath(sight.seat.mount, from).flat_map(|file| &file.keys);
            longest = local
                .filter(|key| key.len() >= from.len())
                .map(|key| grown(key.as_str()))
                .max()
                .unwrap_or(0)
                .max(longest);
            (longest > holdfast::config::KEY_BYTES_MAX).then_some(Ok(()))
        }
        EBUSY | Errno::EINVAL | Errno::EISDIR | Errno::ENOTDIR => Some(Ok(())),
        Errno::EEXIST | Errno::ENOTEMPTY => {
            let there = was_anything(truth, sight, to);
            Some(if there { Ok(()) } else { Err("and nothing was there") })
        }
        Errno::ESTALE => {
            let ttl = truth.config.metadata_ttl.max(truth.config.negative_metadata_ttl);
            // What is being written here may have begun from what somebody replaced long ago.
            let locals = [from, to].into_iter().flat_map(|name| truth.ledger.beneath(sight.seat.mount, name));
            let began = locals.map(|local| local.called).min().unwrap_or(sight.began).min(sight.began);
            let since = before(began, ttl + holdfast::config::PIN_KEPT + truth.under_way_max());
            let changed = [from, to].iter().any(|name| {
                let beneath = format!("{}/", name.trim_end_matches('/'));
                truth.history.changes_within(name, since, sight.ended) > 0
                    || truth.history.any_under(&beneath, |_, changes| {
                        changes.iter().any(|change| change.at >= since && change.at <= sight.ended)
                    })
            });
            let lied = truth.was_lied_to(sight.began, sight.ended);
            Some(if changed || lied { Ok(()) } else { Err("and nobody changed either name") })
        }
        _ => None,
    }
}

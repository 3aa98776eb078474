//! Every failure is explained by something that happened. EIO without a fault is a bug.

mod writing;

use holdfast::config::KEY_BYTES_MAX;
use holdfast::env::Time;
use holdfast::env::store::Key;
use holdfast::error::Errno;

use super::delays::Delays;
use super::freshness::before;
use super::{Oracle, OracleId};
use crate::court::{FileId, On, Sight, Truth, What};
use crate::history::Published;
use crate::store::{FaultKind, Suffered};

const EINTR: Errno = Errno(4);
const ELOOP: Errno = Errno(40);
const ENOTCONN: Errno = Errno(107);

pub struct ErrnoIsExplained;

impl Oracle for ErrnoIsExplained {
    fn id(&self) -> OracleId {
        "errno"
    }

    fn sentence(&self) -> &'static str {
        "Each errno is explained by what happened to the bucket, the network or the disk: EIO without a fault is a bug."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let What::Failed { call, on, errno } = &sight.what else { return };
        if let Err(because) = explained(truth, sight, call, *on, *errno) {
            verdict(format!("{call} of {}: {errno:?}, {because}", named(truth, *on)));
        }
    }
}

fn named(truth: &Truth, on: On<'_>) -> String {
    match on {
        On::Key(key) => format!("{key:?}"),
        On::Rename { from, to } => format!("{from:?} to {to:?}"),
        On::File { file, offset, len } => {
            let key = truth.files.get(&file).map_or("a closed file", |held| held.key.as_str());
            format!("{key:?} at {offset}, {len} bytes")
        }
        On::Nothing => "nothing".into(),
    }
}

fn explained(truth: &Truth, sight: &Sight<'_>, call: &str, on: On<'_>, errno: Errno) -> Result<(), &'static str> {
    let config = &truth.config;
    // A stream that others share may have begun to fail long before this call.
    let since = before(sight.began, config.deadline * 3 + config.metadata_ttl);
    if let On::Key(key) = on
        && truth.is_linked(key)
        && matches!(errno, Errno::ENOTDIR | Errno::EISDIR | Errno::ESTALE | ELOOP)
    {
        return Ok(());
    }
    if let Some(judged) = writing::explained(truth, sight, call, on, errno) {
        return judged;
    }
    if let (Errno::ENAMETOOLONG, On::Rename { from, to }) = (errno, on)
        && moved_is_too_long(truth, from, to)
    {
        return Ok(());
    }
    let on = match on {
        On::Rename { from, .. } => On::Key(from),
        on => on,
    };
    let hit = |fits: &dyn Fn(&Suffered) -> bool| truth.has_suffered(since, sight.ended, fits);
    let of_file = match on {
        On::File { file, .. } => truth.files.get(&file).map(|held| held.key.as_str()),
        _ => None,
    };
    match errno {
        // Judged elsewhere: absence and hold know more.
        Errno::ENOENT => match of_file {
            Some(_) => Err("and an open file cannot be missing"),
            None => Ok(()),
        },
        Errno::ESTALE => match on {
            On::File { len: 1.., .. } => Ok(()),
            On::File { file, .. } if call == "getxattr" && is_lost_to_a_listing(truth, sight, file) => Ok(()),
            On::File { .. } => Err("and attributes of an open file are always at hand"),
            On::Key(key) => {
                let from = before(sight.began, config.metadata_ttl + holdfast::config::PIN_KEPT);
                let races = truth.history.changes_within(key, from, sight.ended) >= 2;
                if hit(&|_| true) {
                    Ok(())
                } else if !races {
                    Err("and the path did not change twice meanwhile")
                } else if call == "open" && was_always_a_file(truth, key, from, sight.ended) {
                    Err("and a file that is replaced without pause can be opened all the same (R16)")
                } else {
                    Ok(())
                }
            }
            On::Rename { .. } | On::Nothing => Err("and it names nothing"),
        },
        Errno::EIO => {
            // What publishes a file by its path reads what was written to it, too.
            let disk = truth.disk_faulty
                && (of_file.is_some()
                    || matches!(call, "truncate" | "rename" | "chmod" | "utimens" | "setxattr" | "removexattr"));
            // So does an open with O_TRUNC of what others here read and that is not published yet: they go on reading it (R39).
            let emptied = |key| call == "open" && truth.ledger.was_truncated(sight.seat.mount, key);
            let disk = disk || (truth.disk_faulty && matches!(on, On::Key(key) if emptied(key)));
            let delays = Delays::within(truth, sight.began, sight.ended);
            if disk || delays.explain_failure(truth) { Ok(()) } else { Err("and no fault explains it") }
        }
        Errno::ENOSPC if truth.poor_disk => Ok(()),
        Errno::EACCES if truth.archives || hit(&explains_eacces) => Ok(()),
        Errno::EACCES => Err("and nothing was denied"),
        Errno::EROFS if config.read_only => Ok(()),
        EINTR => Ok(()),
        ENOTCONN if truth.has_died(sight.seat.mount) => Ok(()),
        Errno::ENXIO if call == "lseek" => Ok(()),
        Errno::ENODATA if call == "getxattr" => Ok(()),
        Errno::EINVAL if call == "readlink" => Ok(()),
        Errno::ENAMETOOLONG => match on {
            On::Key(key) if key.len() > 255 => Ok(()),
            _ => Err("and no name is long"),
        },
        Errno::EISDIR => match on {
            On::Key(key) if truth.was_directory(key, before(sight.began, config.metadata_ttl), sight.ended) => Ok(()),
            _ => Err("and it is no directory"),
        },
        Errno::ENOTDIR => match on {
            On::Key(key) => {
                let from = before(sight.began, config.metadata_ttl + holdfast::config::PIN_KEPT);
                let file = |name: &str| truth.history.was(name, from, sight.ended, |now| now.is_some());
                let whole = matches!(call, "readdir" | "opendir" | "rmdir").then_some(key);
                let mut names = key.match_indices('/').map(|(at, _)| &key[..at]).chain(whole);
                if names.any(file) { Ok(()) } else { Err("and no file is in the way") }
            }
            _ => Err("and it names no directory"),
        },
        ELOOP if config.posix_metadata => Ok(()),
        _ => Err("which nothing here explains"),
    }
}

/// Whether an open file was replaced of which its open fetched nothing, because it is empty or was opened to be written to: what
/// a listing does not tell of it, such as extended attributes, nobody ever asked for.
fn is_lost_to_a_listing(truth: &Truth, sight: &Sight<'_>, file: FileId) -> bool {
    let Some(held) = truth.files.get(&file) else { return false };
    let from = before(held.called_at, truth.config.metadata_ttl + truth.under_way_max());
    let is_empty = held.published.as_ref().is_some_and(|held| held.size == 0);
    (is_empty || truth.ledger.was_changed(held.seat.mount, held.ino))
        && truth.history.changes_within(&held.key, from, sight.ended) > 0
}

/// Whether the key was a file with something in it at every moment, and never a directory's name, nor its parents a file's.
fn was_always_a_file(truth: &Truth, key: &str, from: Time, until: Time) -> bool {
    let other = |now: Option<&Published>| now.is_none_or(|now| now.size == 0);
    let beneath = format!("{key}/");
    let mut parents = key.match_indices('/').map(|(at, _)| &key[..at]);
    !truth.history.was(key, from, until, other)
        && !truth.history.any_under(&beneath, |_, changes| !changes.is_empty())
        && parents.all(|parent| truth.history.look(parent, <[_]>::is_empty))
}

fn moved_is_too_long(truth: &Truth, from: &str, to: &str) -> bool {
    let is_too_long = |key: &Key| key.as_str().len() + to.len() > KEY_BYTES_MAX + from.len();
    truth.history.any_under(&format!("{from}/"), |key, changes| is_too_long(key) && !changes.is_empty())
}

fn explains_eacces(suffered: &Suffered) -> bool {
    use holdfast::env::store::ErrorKind::{AccessDenied, Archived, BadCredentials, WrongRegion};
    match suffered {
        Suffered::Fault(FaultKind::Refused(error)) => {
            matches!(error.kind, AccessDenied | Archived | BadCredentials | WrongRegion)
        }
        _ => false,
    }
}

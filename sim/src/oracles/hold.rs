//! What must be within reach is within reach: when a read may be told ESTALE, and what holds a file.
//!
//! A loss is explained by what happened to that very object: it was replaced, and something that the promise depends on
//! failed, or was too small, or the readers gave it up themselves by reading here and there (R13).

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast::config::{Hold as Holding, PIN_KEPT};
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Ino, Kind};

use super::freshness::before;
use super::lost_update::is_same;
use super::{Oracle, OracleId};
use crate::court::{Described, FileId, Held, Machine, On, Sight, Truth, What, is_of_body, is_untrue};
use crate::history::{Change, Published};
use crate::store::{FaultKind, Kind as Request};

#[derive(Default)]
pub struct Hold {
    /// What look-ups have shown, by mount and key.
    seen: BTreeMap<(u8, String), Vec<Seen>>,
    /// How each inode of each mount was read so far.
    watched: BTreeMap<(u8, Ino), Watched>,
}

#[derive(Default)]
struct Watched {
    /// Everything before was read, from the first byte on and in order.
    next: u64,
    /// Somebody read elsewhere, too.
    strayed: bool,
}

struct Seen {
    began: Time,
    ended: Time,
    size: u64,
    mtime: i64,
}

/// Services begin to reset idle connections after a minute; until then a paused GET is kept alive.
const IDLE_MIN: Duration = Duration::from_secs(60);
/// One write to the disk of a lifeboat, at most, here.
const WRITE_MAX: Duration = Duration::from_millis(50);

impl Oracle for Hold {
    fn id(&self) -> OracleId {
        "hold"
    }

    fn sentence(&self) -> &'static str {
        "A read of an open file is told ESTALE only if the object was replaced and what held it failed, was too small or \
         was given up by random readers; and user.holdfast.hold tells of a replacement if and only if there was one."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            What::Crashed => {
                self.seen.retain(|(mount, _), _| *mount != sight.seat.mount);
                self.watched.retain(|(mount, _), _| *mount != sight.seat.mount);
            }
            What::Bytes { file, offset, bytes, .. } => {
                if let Some(held) = truth.files.get(file) {
                    self.read(held, *offset, bytes.len() as u64);
                }
            }
            What::Stat { key, attr } if attr.kind == Kind::File && !truth.is_linked(key) => {
                let seen = Seen { began: sight.began, ended: sight.ended, size: attr.size, mtime: attr.mtime };
                self.seen.entry((sight.seat.mount, (*key).to_owned())).or_default().push(seen);
            }
            What::Attribute { of: Described::File(file), name: "user.holdfast.hold", value: Some(value) } => {
                let Some((held, published)) = truth.published(*file).filter(|(held, _)| !held.linked) else { return };
                if let Err(because) = self.judge_attribute(truth, sight, held, published, value) {
                    verdict(format!("{} is said to be held by {value:?}, {because}", held.key));
                }
            }
            What::Failed { call, on: On::File { file, offset, len: 1.. }, errno: Errno::ESTALE } => {
                if let Err(because) = self.judge_loss(truth, sight, *file, *offset) {
                    let key = truth.files.get(file).map_or("", |held| held.key.as_str());
                    verdict(format!("{call} of {key} at {offset}: ESTALE, {because}"));
                }
            }
            _ => {}
        }
    }
}

impl Hold {
    fn read(&mut self, held: &Held, offset: u64, len: u64) {
        let watched = self.watched.entry((held.seat.mount, held.ino)).or_default();
        if offset == watched.next {
            watched.next += len;
        } else if offset + len > watched.next {
            watched.strayed = true;
        }
    }

    /// Whether an inode was only ever read from the first byte on and in order, and now at `offset`.
    fn is_read_in_order(&self, held: &Held, offset: u64) -> bool {
        match self.watched.get(&(held.seat.mount, held.ino)) {
            Some(watched) => !watched.strayed && offset == watched.next,
            None => offset == 0,
        }
    }

    fn judge_attribute(
        &self,
        truth: &Truth,
        sight: &Sight<'_>,
        held: &Held,
        published: &Published,
        value: &str,
    ) -> Result<(), &'static str> {
        if truth.was_hit(&held.key, &is_untrue) {
            return Ok(());
        }
        if value != "current" {
            // The same bytes put again are another version, too: it is dated.
            let from = before(held.called_at, truth.config.metadata_ttl + truth.under_way_max());
            let again = truth.history.changes_within(&held.key, from, sight.ended) > 0;
            let replaced = again || was_replaced(truth, held, published, sight.ended);
            return if replaced { Ok(()) } else { Err("but nobody replaced it") };
        }
        match self.told_at(truth, held, published, sight.began) {
            // Where answers overlapped, the mount asks which was the newer one.
            Some(at) if at.plus(truth.under_way_max() * 2) < sight.began => {
                Err("though a look-up has shown another version of it")
            }
            Some(_) | None => Ok(()),
        }
    }

    fn judge_loss(&self, truth: &Truth, sight: &Sight<'_>, file: FileId, offset: u64) -> Result<(), &'static str> {
        let Some((held, published)) = truth.published(file) else { return Ok(()) };
        let (key, config) = (held.key.as_str(), &truth.config);
        if truth.was_hit(key, &is_untrue) {
            return Ok(());
        }
        if !was_replaced(truth, held, published, sight.ended) {
            return Err("but nobody replaced it");
        }
        if was_only_moved(truth, held, published, sight.began, sight.ended) {
            return Err("but it was only renamed here, and stands where it is now (R40)");
        }
        if published.version_id.is_some() {
            return if truth.purges { Ok(()) } else { Err("but the bucket keeps its versions") };
        }
        if config.hold == Holding::Off || self.was_cut_off(truth, sight, held, published) {
            return Ok(());
        }
        let torn = truth.was_hit(key, &tears);
        let machine = truth.machines.get(usize::from(held.seat.mount));
        let Some(kernel) = machine.and_then(Machine::kernel) else { return Ok(()) };
        let manner = kernel.manner_of(held.ino);
        // Who opens a file again may have to do with what the kernel was given before, and with what is fetched from there
        // on: that is all of it unless memory was short.
        let somewhere = truth.memory_plenty || (truth.disk_plenty && !manner.closed_once);
        // What a faulty disk was given may be lost there.
        let torn =
            torn || (truth.disk_faulty && !(truth.memory_plenty && published.size <= config.sizes.whole_fetch_bytes));
        if published.size <= config.sizes.whole_fetch_bytes {
            return if torn || !somewhere { Ok(()) } else { Err("but so small an object is held whole") };
        }
        // Until the paused GET of a large one is renewed, a request that fails may leave it alone for too long.
        let idle = truth
            .body_idle_max
            .is_some_and(|max| max < IDLE_MIN || !truth.disk_plenty || truth.was_hit(key, &|_| true));
        if torn || idle {
            return Ok(());
        }
        if self.is_read_in_order(held, offset) && truth.disk_plenty && truth.pages_are_kept && !held.dead {
            return Err("but all its bytes so far were read in order (R7)");
        }
        if config.hold == Holding::Full {
            // Where memory is short, what an open had in hand may have been let go before the anchor began.
            let lately = before(held.opened_at, config.deadline + config.metadata_ttl);
            let other = |now: Option<&Published>| now.is_none_or(|now| now.etag != published.etag);
            let in_time = truth.memory_plenty || !truth.history.was(key, lately, held.opened_at, other);
            return if somewhere && in_time { Err("but all of it is held (R10)") } else { Ok(()) };
        }
        let viewed = manner.from_start_bytes >= 2 * config.sizes.sequential_bytes_min;
        if !truth.memory_plenty || (manner.random && (!viewed || truth.was_hit(key, &|_| true))) {
            return Ok(());
        }
        Err("but its readers are sequential and nothing failed (R7)")
    }

    /// Whether the server was down at a moment that mattered: before the rest of the version was on the local disk.
    fn was_cut_off(&self, truth: &Truth, sight: &Sight<'_>, held: &Held, published: &Published) -> bool {
        let sizes = truth.config.sizes;
        let writes = (published.size / sizes.lifeboat_write_bytes.min(truth.chunk_bytes) + 2) as u32;
        let drain = truth.step_max * 2 + WRITE_MAX * writes + Duration::from_secs(1);
        let safe_at = match self.told_at(truth, held, published, sight.began) {
            Some(told_at) if truth.disk_plenty => told_at.plus(drain),
            _ => sight.ended,
        };
        truth.store.was_down(Time::ZERO, safe_at.min(sight.ended))
    }

    /// When the mount had seen that there is another version than the one held.
    fn told_at(&self, truth: &Truth, held: &Held, published: &Published, until: Time) -> Option<Time> {
        let key = held.key.as_str();
        // Whom a name stands for is only known while it goes from one file to the next.
        let beneath = format!("{key}/");
        if truth.history.any_under(&beneath, |_, changes| !changes.is_empty()) {
            return None;
        }
        let seen = self.seen.get(&(held.seat.mount, held.key.clone()))?;
        let told = seen.iter().find(|seen| {
            let other = (seen.size, seen.mtime) != (published.size, published.last_modified);
            let from = before(seen.began, truth.config.metadata_ttl + PIN_KEPT);
            let same = |now: Option<&Published>| now.is_some_and(|now| now.etag == published.etag);
            let news = || truth.history.look(key, |changes| is_later(changes, seen, published));
            other && seen.ended <= until && (news() || !truth.history.was(key, from, until, same))
        })?;
        // Another inode of the same bytes may stand between this one and the news.
        let again = truth.history.look(key, |changes| {
            let same =
                changes.iter().filter(|change| change.now.as_ref().is_some_and(|now| now.etag == published.etag));
            same.count() > 1
        });
        (!again).then(|| told.ended.max(held.opened_at))
    }
}

/// Whether what was seen can only have come after the version.
fn is_later(changes: &[Change], seen: &Seen, published: &Published) -> bool {
    let held = changes.iter().rposition(|change| change.now.as_ref().is_some_and(|now| now.etag == published.etag));
    let seen = changes
        .iter()
        .position(|change| change.now.as_ref().is_some_and(|now| now.size == seen.size && now.may_show(seen.mtime)));
    held.is_some_and(|held| seen.is_some_and(|seen| seen > held))
}

/// Whether the key was ever anything else while the file was open, or while the requests were under way that opened it; but
/// not before it was first what is held.
fn was_replaced(truth: &Truth, held: &Held, published: &Published, until: Time) -> bool {
    let since = before(held.opened_at, 2 * truth.config.attempt_timeout + PIN_KEPT);
    truth.history.look(&held.key, |changes| {
        let same = |change: &Change| change.now.as_ref().is_some_and(|now| now.etag == published.etag);
        let first = changes.iter().position(same).unwrap_or_default();
        let since_then = &changes[first..];
        since_then.iter().enumerate().any(|(at, change)| {
            let next = since_then.get(at + 1).map_or(Time(Duration::MAX), |next| next.at);
            !same(change) && change.at <= until && next >= since
        })
    })
}

/// Whether what became of a key is nothing but renames by the mount itself, all of them over, which have the same bytes stand
/// elsewhere.
fn was_only_moved(truth: &Truth, held: &Held, published: &Published, began: Time, until: Time) -> bool {
    let mount = held.seat.mount;
    let mut key = held.key.clone();
    let Some(content) = published.content(&key) else { return false };
    let mut since = Time::ZERO;
    // No more renames than that.
    for _ in 0..8 {
        // It was there from a moment on, and then it went.
        let same = |now: &Published| now.content(&key).is_some_and(|now| is_same(&now, &content));
        let (stands, gone) = truth.history.look(&key, |changes| {
            let changes: Vec<&Change> = changes.iter().filter(|change| change.at <= until).collect();
            match changes[..] {
                [.., last] if last.now.as_ref().is_some_and(same) => (true, None),
                [.., before, last] if last.now.is_none() && before.now.as_ref().is_some_and(same) => {
                    (false, Some(last.at))
                }
                _ => (false, None),
            }
        });
        if stands {
            return key != held.key && !truth.ledger.was_moving(mount, &key, began);
        }
        let Some(gone) = gone.filter(|_| !truth.ledger.was_moving(mount, &key, began)) else { return false };
        // The copy was made before, by the mount that then deleted it here.
        let (mut deleted, mut copied) = (false, None);
        truth.history.each_made(0, |made| {
            if made.mount != mount {
                return;
            }
            deleted |= made.kind == Request::Delete && made.key.as_str() == key && made.at == gone;
            let copy = made.kind == Request::Copy && made.at >= since && made.at <= gone && made.key.as_str() != key;
            if copy
                && made
                    .now
                    .as_ref()
                    .and_then(|now| now.content(made.key.as_str()))
                    .is_some_and(|now| is_same(&now, &content))
            {
                copied = Some((made.key.as_str().to_owned(), made.at));
            }
        });
        let Some((to, at)) = copied.filter(|_| deleted && !truth.ledger.was_unlinking(mount, &key, gone)) else {
            return false;
        };
        (key, since) = (to, at);
    }
    false
}

/// Whether it may end a GET that was to deliver the rest of a replaced version. A request that is refused, lost or late
/// does not: it is asked again, or what was to be renewed goes on.
pub(super) fn tears(what: &FaultKind) -> bool {
    match what {
        FaultKind::BodySlow { .. } => false,
        FaultKind::ConditionsIgnored | FaultKind::RangeShifted(_) | FaultKind::RangeIgnored => true,
        what => is_of_body(what) || is_untrue(what),
    }
}

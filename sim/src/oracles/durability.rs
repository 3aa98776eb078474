//! What was acknowledged is in the bucket.

use holdfast::config::OnConflict;
use holdfast::env::Time;

use super::recovery::is_kept;
use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What, has_journaled};
use crate::history::{Body, Published};
use crate::ledger::{Alteration, LocalFile};

#[derive(Default)]
pub struct Durability {
    /// Closes that left to the journal what they acknowledged.
    owed: Vec<Owed>,
}

struct Owed {
    mount: u8,
    /// [`LocalFile::id`]
    file: u64,
    /// The request that had made it what it was.
    reached: u64,
    at: Time,
}

impl Oracle for Durability {
    fn id(&self) -> OracleId {
        "durability"
    }

    fn sentence(&self) -> &'static str {
        "When fsync, msync, a close of what was written, or truncate(2) of what nobody has open succeeds, the file as it was \
         then, or later, is or was in the bucket whole, and so is the empty one that mknod(2) made. With `--write-back` a close may leave it to the journal, from which it comes there."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if let What::Rest(_) = &sight.what {
            let owed = self.owed.iter().filter(|owed| owed.mount == sight.seat.mount && !truth.disk_faulty);
            owed.for_each(|owed| owed.judge(truth, verdict));
        }
        let What::Altered(altered) = &sight.what else { return };
        if let (Alteration::Node { keys }, Ok(())) = (&altered.what, &altered.outcome) {
            let empty = |now: Option<&Published>| now.is_some_and(|now| now.size == 0);
            let made = keys.iter().any(|key| truth.history.was(key, altered.began, sight.ended, empty));
            if !made {
                verdict(format!("a mknod of {keys:?} by mount {} succeeded, but nothing was made", sight.seat.mount));
            }
        }
        let (Alteration::Commit { ino, reached, closes }, Ok(())) = (&altered.what, &altered.outcome) else { return };
        let Some(file) = truth.ledger.file(sight.seat.mount, *ino) else { return };
        // What has no name is published no more. What another replaced was refused: to whom, was said then.
        let removed = !file.is_named() || truth.ledger.is_being_removed(file.mount, file.key());
        if file.uncertain || file.doubtful || removed || file.abandoned {
            return;
        }
        let (request, reached) = (*reached, file.made_by(*reached));
        if *closes && has_journaled(&truth.machines, file) {
            self.owed.push(Owed { mount: file.mount, file: file.id, reached: request, at: sight.ended });
            return;
        }
        let known = file.states[reached..].iter().all(|state| state.content.is_some());
        if known && committed(truth, file, reached, sight.ended).is_none() {
            let sizes: Vec<_> = file.states[reached..]
                .iter()
                .map(|state| state.content.as_ref()?.size().into())
                .collect::<Vec<Option<u64>>>();
            verdict(format!(
                "a commit of {} by mount {} between {:?} and {:?} succeeded, but the bucket never held what the file was \
                 ({sizes:?} bytes)",
                file.key(),
                sight.seat.mount,
                altered.began.0,
                sight.ended.0
            ));
        }
    }
}

impl Owed {
    /// At rest the journal has nothing any more: the bucket had it, or what it became; or somebody else was faster.
    fn judge(&self, truth: &Truth, verdict: &mut dyn FnMut(String)) {
        let Some(file) = truth.ledger.with_id(self.file) else { return };
        let end = Time(std::time::Duration::MAX);
        let start = Time::ZERO.plus(std::time::Duration::from_nanos(1));
        // What became of its name since its mount died, the ledger does not know.
        let lost_sight = |key: &String| {
            truth.has_died(file.mount)
                && (truth.ledger.was_local(file.mount, key, self.at.plus(std::time::Duration::from_nanos(1)), end)
                    || truth.ledger.was_renamed(file.mount, key)
                    || truth.ledger.is_finished_later(file.mount, key))
        };
        let reached = file.made_by(self.reached);
        let known = file.states[reached..].iter().all(|state| state.content.is_some());
        // Its descriptor may have gone before the call ended that took its name away.
        let removed = |key: &String| {
            truth.ledger.removals_within(file.mount, key, self.at, end) > 0
                || (file.closed_at.is_some() && truth.ledger.was_moving_within(file.mount, key, self.at, end))
        };
        if !known
            || file.uncertain
            || file.doubtful
            || file.abandoned
            || !file.is_named()
            || file.keys.iter().any(removed)
            || file.keys.iter().any(lost_sight)
            || committed(truth, file, reached, end).is_some()
        {
            return;
        }
        let changed =
            |key: &String| truth.history.others_changed(file.mount, key, start, end) || truth.was_lied_to(start, end);
        if !(file.keys.iter().any(changed) && is_kept(truth, file, reached)) {
            verdict(format!(
                "a close of {} by mount {} at {:?} left it to the journal, and the bucket never held what it was ({:?} bytes)",
                file.key(),
                file.mount,
                self.at.0,
                file.states[reached].content.as_ref().map(|content| content.size())
            ));
        }
    }
}

/// What the file is called of which this key is a copy that met a conflict (`--on-conflict=keep-both`); of any other, the key.
pub(super) fn of_conflict<'a>(truth: &Truth, key: &'a str) -> &'a str {
    let keeps = truth.config.on_conflict == OnConflict::KeepBoth;
    keeps.then(|| key.rfind(CONFLICT)).flatten().map_or(key, |at| &key[..at])
}

/// What follows a file's name in that of such a copy (R36).
const CONFLICT: &str = ".conflict-";

/// When the bucket first held a file as it was at one of its states from `from` on, under any of its names, or beside them; and
/// at which place in the history of that name.
pub(super) fn committed(truth: &Truth, file: &LocalFile, from: usize, until: Time) -> Option<(String, usize)> {
    let holds = |now: &Published, key: &str| {
        let states = file.states[from..].iter().rev().filter(|state| state.began <= until);
        let mut contents = states.filter_map(|state| state.content.as_ref());
        match &now.body {
            Some(Body(body)) => contents.any(|content| content.is(body)),
            None => {
                let like = contents.any(|content| content.size() == now.size);
                like && now.content(key).is_some_and(|body| {
                    file.states[from..].iter().filter_map(|state| state.content.as_ref()).any(|c| c.is(&body))
                })
            }
        }
    };
    let held_as = |key: &str| {
        truth.history.look(key, |changes| {
            let at = changes
                .iter()
                .rposition(|change| change.at <= until && change.now.as_ref().is_some_and(|now| holds(now, key)));
            at.map(|at| (key.to_owned(), at))
        })
    };
    let under_its_name = file.keys.iter().rev().find_map(|key| held_as(key));
    under_its_name.or_else(|| copies_of_conflict(truth, file).iter().find_map(|key| held_as(key)))
}

/// The keys beside a file at which what met a conflict was published.
fn copies_of_conflict(truth: &Truth, file: &LocalFile) -> Vec<String> {
    let mut beside = Vec::new();
    if truth.config.on_conflict == OnConflict::KeepBoth {
        for key in &file.keys {
            truth.history.any_under(&format!("{key}{CONFLICT}"), |key, _| {
                beside.push(key.to_string());
                false
            });
        }
    }
    beside
}

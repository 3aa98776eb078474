//! What could not be published is kept, and what a mount that died left to do, the next one does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use holdfast::env::Time;
use holdfast::env::store::{ETag, Key};
use holdfast::op::Ino;
use serde::Deserialize;

use super::durability::committed;
use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What, has_journaled, is_untrue};
use crate::disk::KeptFile;
use crate::ledger::{Alteration, FileContent, LocalFile};
use crate::store::FaultKind;

#[derive(Default)]
pub struct Recovery {
    /// Objects that were left to be moved when a mount died in the middle of a directory's rename.
    left: Vec<Left>,
    /// Of each key, the last entry of the journal of a mount that died.
    journaled: Vec<Journaled>,
}

struct Journaled {
    mount: u8,
    key: String,
    content: FileContent,
    /// When its mount died.
    at: Time,
}

struct Left {
    mount: u8,
    key: Key,
    /// Where it was to go.
    to: String,
    etag: ETag,
    /// When its mount died.
    at: Time,
}

/// What the recovery folder says of a file.
#[derive(Deserialize)]
struct Sidecar {
    key: String,
    reason: String,
    missing: Vec<(u64, u64)>,
}

impl Oracle for Recovery {
    fn id(&self) -> OracleId {
        "recovery"
    }

    fn sentence(&self) -> &'static str {
        "What a file was when its last descriptor went is in the bucket or in the recovery folder, whatever its closes \
         were told; and what a mount that died left word of, the next one finishes. Nothing is kept for somebody else's \
         change where nobody else changed anything."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        let mount = sight.seat.mount;
        match &sight.what {
            What::Altered(altered) => {
                if let Alteration::Closed { ino } = altered.what
                    && truth.ledger.file(mount, ino).is_none()
                {
                    judge_kept(truth, sight, ino, verdict);
                }
            }
            What::Crashed => {
                self.left.extend(left_behind(truth, mount, sight.ended));
                self.journaled.retain(|journaled| journaled.mount != mount);
                self.journaled.extend(last_journaled(truth, mount, sight.ended));
            }
            What::Rest(_) if !truth.disk_faulty => {
                if !truth.faulty && !truth.weathered {
                    self.judge_rest(truth, mount, verdict);
                }
                judge_conflicts(truth, mount, verdict);
            }
            _ => {}
        }
    }
}

impl Recovery {
    fn judge_rest(&self, truth: &Truth, mount: u8, verdict: &mut dyn FnMut(String)) {
        if let Some(machine) = truth.machines.get(usize::from(mount)) {
            for note in machine.disk.notes() {
                verdict(format!("a note is left of mount {mount} at rest: {note:?}"));
            }
        }
        for Left { key, to, etag, at, .. } in self.left.iter().filter(|left| left.mount == mount) {
            let key = key.as_str();
            let stands = truth.history.current(key).is_some_and(|now| now.etag == *etag);
            // What somebody else has put at its new key since stays, and so does this (R40).
            let in_the_way = truth.history.others_changed(mount, to, Time::ZERO, Time(std::time::Duration::MAX));
            if stands && !in_the_way && truth.history.changes_within(key, *at, Time(std::time::Duration::MAX)) == 0 {
                verdict(format!(
                    "{key} is still where it was when mount {mount} died at {:?} in the middle of moving it",
                    at.0
                ));
            }
        }
        for journaled in self.journaled.iter().filter(|journaled| journaled.mount == mount) {
            journaled.judge(truth, verdict);
        }
    }
}

impl Journaled {
    /// At rest its bytes are what its key has, unless somebody has changed that: others at any time, or this mount since.
    fn judge(&self, truth: &Truth, verdict: &mut dyn FnMut(String)) {
        let Self { mount, key, content, at } = self;
        let end = Time(std::time::Duration::MAX);
        let since = at.plus(std::time::Duration::from_nanos(1));
        let changed =
            truth.history.others_changed(*mount, key, Time::ZERO.plus(std::time::Duration::from_nanos(1)), end)
                || truth.ledger.was_local(*mount, key, since, end)
                || truth.ledger.was_unlinking(*mount, key, *at)
                || truth.ledger.is_finished_later(*mount, key)
                || truth.ledger.was_renamed(*mount, key)
                || truth.is_linked(key)
                || truth.history.any_under(&format!("{key}/"), |_, changes| !changes.is_empty());
        if changed {
            return;
        }
        // What was published later, and what is not known, may be there instead.
        let when = |is: &dyn Fn(&FileContent) -> bool| {
            let states = truth.ledger.named(*mount, key).flat_map(|file| &file.states);
            states.filter(|state| state.content.as_ref().is_some_and(is)).map(|state| state.began).max()
        };
        let Some(written) = when(&|state| state.read(0, state.size()) == content.read(0, content.size())) else {
            return;
        };
        let now = truth.history.current(key).and_then(|now| now.content(key));
        let later = now.as_ref().and_then(|now| when(&|state| state.is(now))).is_some_and(|shown| shown >= written);
        let uncertain = truth.ledger.named(*mount, key).any(|file| file.uncertain || file.doubtful);
        if !later && !uncertain {
            verdict(format!(
                "mount {mount} died at {:?} with {key} in its journal, {} bytes in its last entry, and at rest the bucket has \
                 {:?} bytes there",
                at.0,
                content.size(),
                now.map(|now| now.size())
            ));
        }
    }
}

/// Of each key in the journal of a mount that died, the last entry, if all its bytes are its own.
fn last_journaled(truth: &Truth, mount: u8, at: Time) -> Vec<Journaled> {
    let Some(machine) = truth.machines.get(usize::from(mount)) else { return Vec::new() };
    let mut last: BTreeMap<String, (i128, Option<FileContent>)> = BTreeMap::new();
    for entry in machine.disk.journal() {
        let fields = fields(&entry.text);
        let [_, key, _, _, size, _, _, order, ..] = fields[..] else { continue };
        let (Ok(size), Ok(order)) = (size.parse::<u64>(), order.parse::<i128>()) else { continue };
        if last.get(key).is_some_and(|(later, _)| *later > order) {
            continue;
        }
        let is_of_the_base = |field: &&str| field.ends_with(" base");
        let content = (!fields.iter().any(is_of_the_base)).then(|| {
            let mut content = FileContent::of(entry.bytes);
            content.resize(size);
            content
        });
        last.insert(key.to_owned(), (order, content));
    }
    let journaled = last.into_iter().filter_map(|(key, (_, content))| Some((key, content?)));
    journaled.map(|(key, content)| Journaled { mount, key, content, at }).collect()
}

/// Of what is known of an entry: each field has its length before it.
fn fields(mut text: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    while let Some((len, rest)) = text.split_once(':')
        && let Some(field) = len.parse().ok().and_then(|len: usize| rest.get(..len))
    {
        fields.push(field);
        text = rest.get(field.len() + 1..).unwrap_or_default();
    }
    fields
}

/// What stands beneath a directory whose rename a dead mount has left word of, and stood there before that began.
fn left_behind(truth: &Truth, mount: u8, at: Time) -> Vec<Left> {
    let Some(machine) = truth.machines.get(usize::from(mount)) else { return Vec::new() };
    let mut left = Vec::new();
    for note in machine.disk.notes() {
        let Some((prefix, to, began)) = renamed(&note) else { continue };
        truth.history.any_under(&prefix, |key, changes| {
            if let Some(now) = changes.last().and_then(|change| change.now.as_ref())
                && now.last_modified < began
            {
                let to = format!("{to}{}", &key.as_str()[prefix.len()..]);
                left.push(Left { mount, key: key.clone(), to, etag: now.etag.clone(), at });
            }
            false
        });
    }
    left
}

/// Of the note of a directory's rename: the prefix that it was to leave, where to, and when it began, in seconds since 1970.
fn renamed(note: &str) -> Option<(String, String, i64)> {
    let (head, rest) = note.split_once('\n')?;
    let mut words = head.strip_prefix("rename ")?.split(' ');
    let (len, began) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((rest.get(..len)?.to_owned(), rest.get(len..)?.to_owned(), began))
}

/// What is kept because somebody else changed it, somebody else did.
fn judge_conflicts(truth: &Truth, mount: u8, verdict: &mut dyn FnMut(String)) {
    let Some(machine) = truth.machines.get(usize::from(mount)) else { return };
    for kept in machine.disk.kept() {
        let Ok(Sidecar { key, reason, .. }) = serde_json::from_str(&kept.sidecar) else { continue };
        if reason.starts_with("somebody else changed") && !may_conflict(truth, mount, &key) {
            verdict(format!("{key} of mount {mount} is kept because {reason}, but nobody else did"));
        }
    }
}

/// Whether what is written to a key may meet what the mount itself did not put there; or it is not known which file that was.
fn may_conflict(truth: &Truth, mount: u8, key: &str) -> bool {
    let end = Time(std::time::Duration::MAX);
    let start = Time::ZERO.plus(std::time::Duration::from_nanos(1));
    let files: Vec<&LocalFile> = truth.ledger.named(mount, key).collect();
    let told = |file: &&LocalFile| !file.doubtful && !file.uncertain && file.is_named() && file.sources.is_empty();
    let keys: BTreeSet<&str> =
        files.iter().flat_map(|file| file.keys.iter().chain(&file.perhaps)).map(String::as_str).collect();
    let changed = |key: &str| {
        truth.history.others_changed(mount, key, start, end)
            || truth.history.was_late(mount, key, (start, start), end)
            || truth.ledger.is_finished_later(mount, key)
            || truth.ledger.is_finished_later(mount, &format!("{key}/"))
            || truth.is_linked(key)
            || truth.was_hit(key, &|what| is_untrue(what) || *what == FaultKind::ConditionsIgnored)
    };
    truth.config.preconditions_ignored || files.len() != 1 || !files.iter().all(told) || keys.into_iter().any(changed)
}

fn judge_kept(truth: &Truth, sight: &Sight<'_>, ino: Ino, verdict: &mut dyn FnMut(String)) {
    let mount = sight.seat.mount;
    let Some(file) = truth.ledger.latest(mount, ino).filter(|file| file.closed_at == Some(sight.ended)) else { return };
    // What has no name is nobody's any more; the first state is what was there before.
    let removed = !file.is_named() || truth.ledger.is_being_removed(mount, file.key());
    let changed = file.states.len() > 1 || file.states[0].ended.is_none_or(|ended| ended > Time::ZERO);
    let journaled = has_journaled(&truth.machines, file);
    if file.uncertain || file.doubtful || removed || !changed || journaled || !truth.disk_plenty {
        return;
    }
    let last = file.states.len() - 1;
    // Of nothing there is nothing to keep.
    let Some(content) = file.states[last].content.as_ref().filter(|content| content.size() > 0) else { return };
    let kept = || {
        let kept = truth.machines.get(usize::from(mount)).map(|machine| machine.disk.kept());
        kept.unwrap_or_default().iter().any(|kept| holds(kept, content))
    };
    if committed(truth, file, last, sight.ended).is_none() && !kept() {
        verdict(format!(
            "{} of mount {mount} was closed for the last time, and what it was ({} bytes) is neither in the bucket nor in \
             the recovery folder",
            file.key(),
            content.size()
        ));
    }
}

/// Whether the recovery folder has a file as it was at one of its states from `from` on.
pub(super) fn is_kept(truth: &Truth, file: &LocalFile, from: usize) -> bool {
    let Some(machine) = truth.machines.get(usize::from(file.mount)) else { return false };
    let kept = machine.disk.kept();
    let mut contents = file.states[from..].iter().filter_map(|state| state.content.as_ref());
    contents.any(|content| kept.iter().any(|kept| holds(kept, content)))
}

/// Whether it is this, but for what its sidecar says is missing.
fn holds(kept: &KeptFile, content: &FileContent) -> bool {
    if kept.bytes.len() as u64 != content.size() {
        return false;
    }
    let Ok(Sidecar { missing, .. }) = serde_json::from_str(&kept.sidecar) else { return false };
    let missing: Vec<Range<u64>> = missing.into_iter().map(|(from, to)| from..to).collect();
    let wanted = content.read(0, content.size());
    let same = |(at, (a, b)): (usize, (&u8, &u8))| a == b || missing.iter().any(|range| range.contains(&(at as u64)));
    kept.bytes.iter().zip(&wanted).enumerate().all(same)
}

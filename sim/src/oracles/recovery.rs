//! What could not be published is kept, and what a mount that died left to do, the next one does.

use std::ops::Range;

use holdfast::env::Time;
use holdfast::env::store::{ETag, Key};
use holdfast::op::Ino;
use serde::Deserialize;

use super::durability::committed;
use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What, has_journaled};
use crate::disk::KeptFile;
use crate::ledger::{Alteration, FileContent};

#[derive(Default)]
pub struct Recovery {
    /// Objects that were left to be moved when a mount died in the middle of a directory's rename.
    left: Vec<Left>,
}

struct Left {
    mount: u8,
    key: Key,
    etag: ETag,
    /// When its mount died.
    at: Time,
}

/// What the recovery folder says of a file.
#[derive(Deserialize)]
struct Sidecar {
    missing: Vec<(u64, u64)>,
}

impl Oracle for Recovery {
    fn id(&self) -> OracleId {
        "recovery"
    }

    fn sentence(&self) -> &'static str {
        "What a file was when its last descriptor went is in the bucket or in the recovery folder, whatever its closes \
         were told; and what a mount that died left word of, the next one finishes."
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
            What::Crashed => self.left.extend(left_behind(truth, mount, sight.ended)),
            What::Rest(_) if !truth.faulty && !truth.weathered && !truth.disk_faulty => {
                self.judge_rest(truth, mount, verdict);
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
        for Left { key, etag, at, .. } in self.left.iter().filter(|left| left.mount == mount) {
            let key = key.as_str();
            let stands = truth.history.current(key).is_some_and(|now| now.etag == *etag);
            if stands && truth.history.changes_within(key, *at, Time(std::time::Duration::MAX)) == 0 {
                verdict(format!(
                    "{key} is still where it was when mount {mount} died at {:?} in the middle of moving it",
                    at.0
                ));
            }
        }
    }
}

/// What stands beneath a directory whose rename a dead mount has left word of, and stood there before that began.
fn left_behind(truth: &Truth, mount: u8, at: Time) -> Vec<Left> {
    let Some(machine) = truth.machines.get(usize::from(mount)) else { return Vec::new() };
    let mut left = Vec::new();
    for note in machine.disk.notes() {
        let Some((prefix, began)) = renamed(&note) else { continue };
        truth.history.any_under(&prefix, |key, changes| {
            if let Some(now) = changes.last().and_then(|change| change.now.as_ref())
                && now.last_modified < began
            {
                left.push(Left { mount, key: key.clone(), etag: now.etag.clone(), at });
            }
            false
        });
    }
    left
}

/// Of the note of a directory's rename: the prefix that it was to leave, and when it began, in seconds since 1970.
fn renamed(note: &str) -> Option<(String, i64)> {
    let (head, rest) = note.split_once('\n')?;
    let mut words = head.strip_prefix("rename ")?.split(' ');
    let (len, began) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((rest.get(..len)?.to_owned(), began))
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

/// Whether it is this, but for what its sidecar says is missing.
fn holds(kept: &KeptFile, content: &FileContent) -> bool {
    if kept.bytes.len() as u64 != content.size() {
        return false;
    }
    let Ok(Sidecar { missing }) = serde_json::from_str(&kept.sidecar) else { return false };
    let missing: Vec<Range<u64>> = missing.into_iter().map(|(from, to)| from..to).collect();
    let wanted = content.read(0, content.size());
    let same = |(at, (a, b)): (usize, (&u8, &u8))| a == b || missing.iter().any(|range| range.contains(&(at as u64)));
    kept.bytes.iter().zip(&wanted).enumerate().all(same)
}

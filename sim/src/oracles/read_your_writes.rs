//! Processes of one mount see each other's writes as on a local file system.

use std::collections::BTreeMap;

use holdfast::config::OnConflict;
use holdfast::env::Time;
use holdfast::op::{Attr, Ino};

use super::durability::committed;
use super::{Oracle, OracleId};
use crate::court::{Described, FileId, Sight, Truth, What};
use crate::ledger::{Alteration, State};

/// Of each mount and key, what an application was last told is in the bucket: when it was told, and the place in the
/// key's history.
#[derive(Default)]
pub struct ReadYourWrites(BTreeMap<(u8, String), (Time, usize)>);

impl Oracle for ReadYourWrites {
    fn id(&self) -> OracleId {
        "read-your-writes"
    }

    fn sentence(&self) -> &'static str {
        "A file gives the bytes, the size and the extended attributes that processes of its mount last made it have; and what is opened after a \
         commit was acknowledged is that or something newer."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        match &sight.what {
            What::Bytes { file, offset, asked, bytes, .. } => {
                judge_bytes(truth, sight, *file, (*offset, *asked), bytes, verdict);
            }
            What::Attribute { of, name, value } if is_a_users(name) => {
                judge_attribute(truth, sight, *of, name, *value, verdict);
            }
            What::AttributeNames { key, attr, names } => judge_names(truth, sight, key, attr, names, verdict),
            What::Fstat { file, attr } => judge_size(truth, sight, *file, attr, verdict),
            What::Opened { file, attr, .. } => {
                judge_size(truth, sight, *file, attr, verdict);
                self.judge_opened(truth, sight, *file, verdict);
            }
            What::Altered(altered) => {
                let (Alteration::Commit { ino, reached, closes: _ }, Ok(())) = (&altered.what, &altered.outcome) else {
                    return;
                };
                let Some(local) = truth.ledger.file(sight.seat.mount, *ino) else { return };
                let removed = !local.is_named() || truth.ledger.is_being_removed(local.mount, local.key());
                if local.uncertain || local.doubtful || removed || local.abandoned {
                    return;
                }
                if let Some((key, at)) = committed(truth, local, local.made_by(*reached), sight.ended) {
                    let told = self.0.entry((sight.seat.mount, key)).or_default();
                    *told = (sight.ended, at.max(told.1));
                }
            }
            // Another one, which remembers nothing.
            What::Crashed => self.0.retain(|(mount, _), _| *mount != sight.seat.mount),
            _ => {}
        }
    }
}

impl ReadYourWrites {
    fn judge_opened(&self, truth: &Truth, sight: &Sight<'_>, file: FileId, verdict: &mut dyn FnMut(String)) {
        let Some((held, published)) = truth.published(file) else { return };
        let Some((told, at)) = self.0.get(&(sight.seat.mount, held.key.clone())) else { return };
        if held.linked || *told >= sight.began || truth.was_lied_to(sight.began, sight.ended) {
            return;
        }
        let newest = truth.history.look(&held.key, |changes| {
            changes.iter().rposition(|change| change.now.as_ref().is_some_and(|now| now.etag == published.etag))
        });
        if newest.is_some_and(|newest| newest < *at) {
            verdict(format!(
                "{} was opened on mount {} as it was before a commit that had been acknowledged there at {:?}",
                held.key, sight.seat.mount, told.0
            ));
        }
    }
}

/// Whether users may set it.
fn is_a_users(name: &str) -> bool {
    name.starts_with("user.") && !name.starts_with("user.s3.") && !name.starts_with("user.holdfast.")
}

fn judge_attribute(
    truth: &Truth,
    sight: &Sight<'_>,
    of: Described<'_>,
    name: &str,
    value: Option<&str>,
    verdict: &mut dyn FnMut(String),
) {
    let mount = sight.seat.mount;
    let (ino, key) = match of {
        Described::File(file) => match truth.files.get(&file).filter(|held| !held.dead) {
            Some(held) => (held.ino, held.key.as_str()),
            None => return,
        },
        Described::Path { key, attr } => (attr.ino, key),
    };
    let Err(since) = truth.ledger.may_have_xattr((mount, ino), name, value, (sight.began, sight.ended)) else { return };
    if is_certain(truth, sight, (key, ino), since) {
        verdict(format!("{name} of {key} is {value:?} on mount {mount}, where it was set to something else"));
    }
}

fn judge_names(
    truth: &Truth,
    sight: &Sight<'_>,
    key: &str,
    attr: &Attr,
    names: &[String],
    verdict: &mut dyn FnMut(String),
) {
    let mount = sight.seat.mount;
    for (name, since) in truth.ledger.wrongly_listed((mount, attr.ino), names, (sight.began, sight.ended)) {
        if is_certain(truth, sight, (key, attr.ino), since) {
            let (is, was) = if names.contains(&name) { ("listed", "removed") } else { ("not listed", "set") };
            verdict(format!("{name} of {key} is {is} on mount {mount}, where it was {was}"));
        }
    }
}

/// Whether what a mount's applications made of an inode's attributes since then is what they are.
fn is_certain(truth: &Truth, sight: &Sight<'_>, (key, ino): (&str, Ino), since: Time) -> bool {
    let mount = sight.seat.mount;
    // An inode that nobody has open may come to stand for what others put.
    let mut slack = Time(since.0.saturating_sub(truth.under_way_max()));
    // Where whoever closes is not told of a conflict, what was set goes with the rest to a copy, or to the recovery folder; and the
    // name is what others have put since the file was opened.
    let untold = truth.config.on_conflict == OnConflict::KeepBoth || truth.config.write_back_max > 0;
    if let Some(file) = truth.ledger.latest(mount, ino).filter(|_| untold) {
        slack = slack.min(Time(file.called.0.saturating_sub(truth.config.metadata_ttl + truth.under_way_max())));
    }
    // A directory's are its marker's.
    let marker = format!("{key}/");
    if truth.ledger.was_removing_directory(mount, key, since, sight.ended) {
        return false;
    }
    let changed = |key: &str| truth.history.others_changed(mount, key, slack, sight.ended);
    let others = changed(key) || changed(&marker) || truth.ledger.was_renamed(mount, key);
    !others && !truth.is_linked(key) && !truth.ledger.is_doubted(mount, ino)
}

fn judge_size(truth: &Truth, sight: &Sight<'_>, file: FileId, attr: &Attr, verdict: &mut dyn FnMut(String)) {
    let Some((held, local)) = truth.local_file(file) else { return };
    if local.uncertain || local.was_tried(sight.began, sight.ended) {
        return;
    }
    let states = local.admissible(sight.began, sight.ended);
    let sizes: Option<Vec<u64>> = states.iter().map(|state| Some(state.content.as_ref()?.size())).collect();
    // While somebody cuts the file, a read that ends early leaves the kernel with the size at which it ended (fuse_short_read).
    let within = |sizes: &[u64]| sizes.windows(2).any(|two| two[1] < attr.size && attr.size < two[0]);
    if let Some(sizes) = sizes.filter(|sizes| !sizes.contains(&attr.size) && !within(sizes)) {
        verdict(format!("{} was shown with {} bytes where it had {sizes:?}", held.key, attr.size));
    }
}

fn judge_bytes(
    truth: &Truth,
    sight: &Sight<'_>,
    file: FileId,
    (offset, asked): (u64, u64),
    bytes: &[u8],
    verdict: &mut dyn FnMut(String),
) {
    let Some((held, local)) = truth.local_file(file) else { return };
    let states = local.admissible(sight.began, sight.ended);
    let tried = local.was_tried(sight.began, sight.ended);
    if local.uncertain || tried || states.iter().any(|state| state.content.is_none()) {
        return;
    }
    let key = &held.key;
    let reads: Vec<Vec<u8>> = states.iter().filter_map(|state| read(state, offset, asked)).collect();
    let (shortest, longest) = reads
        .iter()
        .fold((u64::MAX, 0), |(least, most), read| (least.min(read.len() as u64), most.max(read.len() as u64)));
    let got = bytes.len() as u64;
    // A failure cuts a read short without being seen, but an empty one says "end of file".
    if got > longest || (got == 0 && shortest > 0) {
        verdict(format!(
            "a read of {asked} bytes at {offset} of {key}, which is being written, gave {got}, not {shortest} to {longest}"
        ));
        return;
    }
    // While somebody writes, each byte may be of before or after. While somebody cuts the file, Linux has zeros where it ends
    // already, up to the size it had (fuse_short_read).
    let cut = |at: usize| bytes[at] == 0 && at as u64 >= shortest;
    let known = |at: usize| {
        reads.iter().any(|read| read.get(at) == Some(&bytes[at]))
            || local.may_have_stored(offset + at as u64, bytes[at], sight.began, sight.ended)
    };
    let wrong = (0..bytes.len()).find(|at| !cut(*at) && !known(*at));
    if let Some(wrong) = wrong {
        let seen = crate::content::versions_seen(key, bytes, offset);
        verdict(format!(
            "a read at {offset} of {key} gave at {} what nobody on mount {} had made it hold (of {} states); in all \
             {seen:?}",
            offset + wrong as u64,
            sight.seat.mount,
            states.len()
        ));
    }
}

fn read(state: &State, offset: u64, len: u64) -> Option<Vec<u8>> {
    Some(state.content.as_ref()?.read(offset, len))
}

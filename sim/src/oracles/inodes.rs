//! Inode numbers: one version each, never used again.

use std::collections::BTreeMap;

use holdfast::op::{Attr, Ino, Kind};

use super::freshness::UNKNOWN_INO;
use super::{Oracle, OracleId};
use crate::court::{Sight, Truth, What};

/// What each inode of each mount is.
#[derive(Default)]
pub struct Inodes(BTreeMap<(u8, Ino), Identity>);

/// As far as it was told yet. A number that only a listing has shown may still come to stand for a newer version.
struct Identity {
    key: String,
    /// Kind, size and time.
    shown: Option<(Kind, u64, i64)>,
    /// It was opened.
    etag: Option<String>,
}

impl Oracle for Inodes {
    fn id(&self) -> OracleId {
        "inode-hygiene"
    }

    fn sentence(&self) -> &'static str {
        "An inode that the kernel was given stands for one version of one key for the whole life of the mount, and is known \
         for as long as the kernel knows it."
    }

    fn see(&mut self, truth: &Truth, sight: &Sight<'_>, verdict: &mut dyn FnMut(String)) {
        if truth.is_of_the_dead(sight) && !matches!(sight.what, What::Crashed) {
            return;
        }
        match &sight.what {
            What::Opened { file, attr, etag } => {
                let Some(held) = truth.files.get(file).filter(|held| !held.linked && !held.dead) else { return };
                let mut told = |text| verdict(text);
                // What the mount itself writes to an inode is another version of the same file.
                if truth.ledger.was_changed(sight.seat.mount, held.ino) {
                    return;
                }
                if truth.ledger.was_renamed(sight.seat.mount, &held.key) {
                    return;
                }
                // What an open with O_TRUNC has made, and whoever made it has not come back for yet, is not published.
                if etag.is_empty() {
                    return;
                }
                let Some(identity) = self.of(sight, held.ino, &held.key, &mut told) else { return };
                let was = identity.etag.get_or_insert_with(|| (*etag).to_owned());
                if was != etag {
                    verdict(format!("{:?} of {} was opened with ETag {was} and with {etag}", held.ino, held.key));
                    return;
                }
                self.show(truth, sight, &held.key, attr, verdict);
            }
            What::Stat { key, attr } if !truth.is_linked(key) => self.show(truth, sight, key, attr, verdict),
            What::Named { key, entry, late: false, .. } => {
                if let Some(attr) = &entry.attr {
                    self.show(truth, sight, key, attr, verdict);
                }
            }
            // Numbers are of one mount, and it is another.
            What::Crashed => self.0.retain(|(mount, _), _| *mount != sight.seat.mount),
            What::Listed { key, entries, .. } if !truth.is_linked(key) => {
                let directory =
                    if key.is_empty() || key.ends_with('/') { (*key).to_owned() } else { format!("{key}/") };
                for entry in entries.iter().filter(|entry| entry.ino != UNKNOWN_INO) {
                    let name = format!("{directory}{}", entry.name);
                    // A file that is renamed takes its number along.
                    if !truth.ledger.was_renamed(sight.seat.mount, &name) {
                        self.of(sight, entry.ino, &name, verdict);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Inodes {
    /// `None`: the number is another key's, which was said.
    fn of(&mut self, sight: &Sight<'_>, ino: Ino, key: &str, verdict: &mut dyn FnMut(String)) -> Option<&mut Identity> {
        let new = || Identity { key: key.to_owned(), shown: None, etag: None };
        let identity = self.0.entry((sight.seat.mount, ino)).or_insert_with(new);
        if identity.key != key {
            verdict(format!("{ino:?} was {} and is {key}", identity.key));
            return None;
        }
        Some(identity)
    }

    fn show(&mut self, truth: &Truth, sight: &Sight<'_>, key: &str, attr: &Attr, verdict: &mut dyn FnMut(String)) {
        let ledger = &truth.ledger;
        if ledger.was_renamed(sight.seat.mount, key) || ledger.was_changed(sight.seat.mount, attr.ino) {
            return;
        }
        let Some(identity) = self.of(sight, attr.ino, key, verdict) else { return };
        // What metadata says may become known later.
        if truth.lies || truth.config.posix_metadata {
            return;
        }
        // A directory shows when this mount last changed something in it.
        let told = attr.kind == Kind::Directory && !truth.config.read_only;
        let is = (attr.kind, attr.size, if told { 0 } else { attr.mtime });
        let was = *identity.shown.get_or_insert(is);
        if was != is {
            verdict(format!("{:?} of {key} was {was:?} and is {is:?}", attr.ino));
        }
    }
}

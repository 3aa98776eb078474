//! Requests by which a mount is asked to publish a file, or by which one may be published (R33): a file that is only opened,
//! written to and read is not.

use holdfast::env::Time;
use holdfast::op::Ino;

use super::{Ledger, LocalFile, Request, UnderWay};

/// One that has ended.
#[derive(Debug)]
pub(super) struct Asked {
    mount: u8,
    /// All names that it was about, and those that these became or had been; and all of its file.
    keys: Vec<String>,
    renames: bool,
    began: Time,
    ended: Time,
}

impl Ledger {
    pub(super) fn note_asked(&mut self, request: &UnderWay, now: Time) {
        if asks(request) {
            // Numbers begin anew when a mount dies, names do not.
            let file = of_file(request).and_then(|ino| self.latest(request.mount, ino));
            let of_file = file.iter().flat_map(|file| &file.keys);
            let keys = names(request).chain(of_file).cloned().collect();
            let renames = matches!(request.what, Request::Rename);
            self.asked.push(Asked { mount: request.mount, keys, renames, began: request.began, ended: now });
        }
    }

    /// Whether a mount was asked to publish this file, or may have been, at some moment of `from..=until`.
    pub fn was_asked_to_publish(&self, file: &LocalFile, from: Time, until: Time) -> bool {
        let named = |key: &String| file.keys.contains(key) || file.perhaps.contains(key);
        let ended = self.asked.iter().any(|asked| {
            asked.mount == file.mount && asked.began <= until && asked.ended >= from && asked.keys.iter().any(named)
        });
        ended
            || self.under_way.values().any(|request| {
                let of_it = of_file(request) == Some(file.ino) || names(request).any(named);
                request.mount == file.mount && asks(request) && request.began <= until && of_it
            })
    }

    /// The same of this name, or of a directory above it.
    pub fn was_moving(&self, mount: u8, key: &str, since: Time) -> bool {
        super::with_parents(key).any(|name| self.was_renaming(mount, name, since))
    }

    /// Whether one was under way at some moment of `from..=until`.
    pub fn was_moving_within(&self, mount: u8, key: &str, from: Time, until: Time) -> bool {
        let above = |name: &String| super::with_parents(key).any(|above| above == name);
        let ended = self.asked.iter().any(|asked| {
            let within = asked.began <= until && asked.ended >= from;
            asked.mount == mount && asked.renames && within && asked.keys.iter().any(above)
        });
        ended
            || self.under_way.values().any(|request| {
                let renames = matches!(request.what, Request::Rename) && request.began <= until;
                renames && request.mount == mount && names(request).any(above)
            })
    }

    /// Whether a rename to this name, or away from it, was asked of a mount that was not answered before `since`.
    pub fn was_renaming(&self, mount: u8, key: &str, since: Time) -> bool {
        let ended = self.asked.iter().any(|asked| {
            asked.mount == mount && asked.renames && asked.ended >= since && asked.keys.iter().any(|name| name == key)
        });
        ended
            || self.under_way.values().any(|request| {
                let renames = matches!(request.what, Request::Rename);
                renames && request.mount == mount && names(request).any(|name| name == key)
            })
    }
}

fn asks(request: &UnderWay) -> bool {
    match request.what {
        Request::Commit { .. }
        | Request::Flush { .. }
        | Request::Release { .. }
        | Request::Rename
        | Request::Copy { .. } => true,
        // By path it publishes; of a descriptor it does not.
        Request::Change { sets_attributes, .. } => sets_attributes,
        // Of what nobody has open, at once.
        Request::Attributes { .. } | Request::Xattr { .. } | Request::Link | Request::Node { .. } => true,
        Request::Open { .. } | Request::Create { .. } => false,
        Request::Unlink | Request::Rmdir | Request::Mkdir | Request::Other => false,
    }
}

fn of_file(request: &UnderWay) -> Option<Ino> {
    match request.what {
        Request::Commit { ino, .. }
        | Request::Flush { ino }
        | Request::Release { ino, .. }
        | Request::Change { ino, .. }
        | Request::Copy { ino, .. }
        | Request::Attributes { ino }
        | Request::Xattr { ino } => Some(ino),
        _ => None,
    }
}

fn names(request: &UnderWay) -> impl Iterator<Item = &String> {
    request.keys.iter().chain(&request.earlier).chain(&request.perhaps)
}

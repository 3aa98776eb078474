//! Requests by which a mount is asked to publish a file, or by which one may be published (R33): a file that is only opened,
//! written to and read is not.

use holdfast::env::Time;
use holdfast::op::Ino;

use super::{Ledger, LocalFile, Request, UnderWay};

/// One that has ended.
#[derive(Debug)]
pub(super) struct Asked {
    mount: u8,
    ino: Option<Ino>,
    /// All names that it was about, and those that these became or had been.
    keys: Vec<String>,
    began: Time,
    ended: Time,
}

impl Ledger {
    pub(super) fn note_asked(&mut self, request: &UnderWay, now: Time) {
        if asks(request) {
            self.asked.push(Asked {
                mount: request.mount,
                ino: of_file(request),
                keys: names(request).cloned().collect(),
                began: request.began,
                ended: now,
            });
        }
    }

    /// Whether a mount was asked to publish this file, or may have been, at some moment of `from..=until`.
    pub fn was_asked_to_publish(&self, file: &LocalFile, from: Time, until: Time) -> bool {
        let same = |mount: u8, ino: Option<Ino>, mut keys: Box<dyn Iterator<Item = &String> + '_>| {
            // Numbers begin anew when a mount dies.
            mount == file.mount
                && ((ino == Some(file.ino)) || keys.any(|key| file.keys.contains(key) || file.perhaps.contains(key)))
        };
        let ended = self.asked.iter().any(|asked| {
            let touches = asked.began <= until && asked.ended >= from;
            touches && same(asked.mount, asked.ino, Box::new(asked.keys.iter()))
        });
        ended
            || self.under_way.values().any(|request| {
                let touches = asks(request) && request.began <= until;
                touches && same(request.mount, of_file(request), Box::new(names(request)))
            })
    }
}

fn asks(request: &UnderWay) -> bool {
    match request.what {
        Request::Commit { .. } | Request::Release { .. } | Request::Rename | Request::Copy { .. } => true,
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
        | Request::Release { ino }
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

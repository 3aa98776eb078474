//! Who has files open.

use std::collections::BTreeSet;

use holdfast::env::Time;
use holdfast::op::{Fh, Ino};

use super::{Ledger, LocalFile, NOBODY, Request, UnderWay};

impl Ledger {
    /// Whether an open with O_TRUNC emptied a file under those who had it open all the while, though nobody here was writing to
    /// it. `writers`: how often it had been opened for that before.
    pub(super) fn has_emptied(&self, (mount, ino): (u8, Ino), at: u64, viewers: &BTreeSet<Fh>, writers: u32) -> bool {
        // Of what somebody else changes meanwhile, everybody sees the truncation, too; or of what somebody has opened meanwhile to
        // write to it.
        let opens = |request: &UnderWay| {
            matches!(request.what, Request::Open { ino: of, changes: true, .. } if of == ino) && request.mount == mount
        };
        let Some(file) = self.files.get(&(mount, ino)) else { return false };
        let place = file.made_by(at);
        let alone = file.writers == writers
            && !self.under_way.values().any(opens)
            && file.states.len() == place + 1
            && file.states[..place]
                .iter()
                .all(|state| state.ended.is_some_and(|ended| ended <= file.states[place].began));
        let had_bytes = place
            .checked_sub(1)
            .is_some_and(|before| file.states[before].content.as_ref().is_some_and(|before| before.size() > 0));
        let told = !file.uncertain && !file.doubtful && !file.abandoned;
        told && alone && had_bytes && !self.viewers(mount, ino).is_disjoint(viewers)
    }

    /// An open with O_TRUNC of what others read is told to look again, and is given another inode: theirs is as it was, and what was
    /// entered for it is of no inode.
    pub(super) fn take_back(&mut self, mount: u8, ino: Ino) {
        let changes = |request: &UnderWay| match request.what {
            Request::Open { ino: of, changes: true, .. }
            | Request::Change { ino: of, .. }
            | Request::Attributes { ino: of }
            | Request::Xattr { ino: of }
            | Request::Copy { ino: of, .. } => request.mount == mount && of == ino,
            _ => false,
        };
        let untouched = |file: &LocalFile| {
            file.states.len() == 1
                && file.writers == 0
                && !file.entered_again
                && !file.uncertain
                && !file.doubtful
                && file.is_named()
        };
        let has_xattrs = self.xattrs.keys().any(|(of, which, _)| (*of, *which) == (mount, ino));
        if self.files.get(&(mount, ino)).is_some_and(untouched) && !has_xattrs && !self.under_way.values().any(changes)
        {
            let entered = self.files.remove(&(mount, ino));
            self.past.extend(entered.map(|file| LocalFile { ino: NOBODY, ..file }));
            self.changed.remove(&(mount, ino));
        }
    }

    /// How often a file was opened to be written to. `None`: somebody has it open, or is opening it to write to it.
    pub(super) fn opened_to_write(&self, mount: u8, ino: Ino) -> Option<u32> {
        let opens = |request: &UnderWay| {
            matches!(request.what, Request::Open { ino: of, changes: true, .. } if of == ino) && request.mount == mount
        };
        let open = self.handles.contains_key(&(mount, ino)) || self.under_way.values().any(opens);
        (!open).then(|| self.files.get(&(mount, ino)).map_or(0, |file| file.writers))
    }

    /// Those who have it open and are not just letting go of it; nobody where somebody may write to it.
    pub(super) fn viewers(&self, mount: u8, ino: Ino) -> BTreeSet<Fh> {
        let mut viewers = self.handles.get(&(mount, ino)).cloned().unwrap_or_default();
        if viewers.iter().any(|fh| self.writers.contains(&(mount, *fh))) {
            return BTreeSet::new();
        }
        for request in self.under_way.values().filter(|request| request.mount == mount) {
            if let Request::Release { ino: of, fh } = &request.what
                && *of == ino
            {
                viewers.remove(fh);
            }
        }
        viewers
    }

    pub(super) fn may_be(&mut self, mount: u8, ino: Ino, perhaps: Vec<String>) {
        if let Some(file) = self.files.get_mut(&(mount, ino)) {
            file.perhaps.extend(perhaps);
        }
    }

    pub(super) fn opened(&mut self, mount: u8, ino: Ino, (at, called, now): (u64, Time, Time), fh: Fh, writes: bool) {
        self.writers.extend(writes.then_some((mount, fh)));
        if let Some(file) = self.files.get_mut(&(mount, ino)) {
            file.writers += u32::from(writes);
        }
        let handles = self.handles.entry((mount, ino)).or_default();
        handles.insert(fh);
        if writes
            && handles.len() == 1
            && let Some(file) = self.files.get_mut(&(mount, ino))
            // What is in the journal began from an older one.
            && file.states.iter().all(|state| [0, at].contains(&state.made_by))
        {
            (file.opened, file.called) = (now, called);
        }
    }

    /// Whether others still have it open.
    pub(super) fn released(&mut self, mount: u8, ino: Ino, fh: Fh) -> bool {
        let Some(handles) = self.handles.get_mut(&(mount, ino)) else { return false };
        handles.remove(&fh);
        let left = !handles.is_empty();
        if !left {
            self.handles.remove(&(mount, ino));
        }
        left
    }
}

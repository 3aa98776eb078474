//! How each inode has been read: in sequence or here and there, as far as the core was asked.
//!
//! Independent of what the core makes of it, and stricter: only a read that begins exactly where another ended goes on
//! with a run, and what was read at random stays so. Whoever is sequential here is so by anybody's measure.

use std::collections::BTreeMap;

use holdfast::config::{RANDOM_READS_MAX, RUNS_MAX};
use holdfast::op::{Ino, Op};

/// How an inode has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// As many reads as make a reader random continued no run, be they in a row or not.
    pub random: bool,
    /// The longest run from its first byte on that began before any random read, while it was open for the first time.
    pub from_start_bytes: u64,
    /// Runs ever begun.
    pub runs: u64,
    /// Where the furthest read ended.
    pub end: u64,
    /// It was closed by everybody, and then opened again perhaps.
    pub closed_once: bool,
}

#[derive(Debug, Default)]
pub(super) struct Reads {
    inodes: BTreeMap<Ino, Inode>,
}

#[derive(Debug, Default)]
struct Inode {
    manner: Manner,
    /// Handles, and opens under way.
    opens: u32,
    /// First byte and next byte of each, the most recently used last.
    runs: Vec<(u64, u64)>,
}

impl Reads {
    pub(super) fn of(&self, ino: Ino) -> Manner {
        self.inodes.get(&ino).map_or_else(Manner::default, |inode| inode.manner)
    }

    /// A request is handed to the core.
    pub(super) fn asked(&mut self, op: &Op) {
        match op {
            Op::Open { ino, .. } => self.inodes.entry(*ino).or_default().opens += 1,
            Op::Release { ino, .. } => self.let_go(*ino),
            Op::Read { ino, offset, len, .. } => {
                self.inodes.entry(*ino).or_default().read(*offset, offset.saturating_add((*len).into()));
            }
            _ => {}
        }
    }

    /// A handle was released, or an open has failed.
    pub(super) fn let_go(&mut self, ino: Ino) {
        let Some(inode) = self.inodes.get_mut(&ino) else { return };
        inode.opens = inode.opens.saturating_sub(1);
        if inode.opens == 0 {
            // The next open begins anew.
            inode.manner.closed_once = true;
            inode.manner.from_start_bytes = 0;
        }
    }
}

impl Inode {
    fn read(&mut self, from: u64, to: u64) {
        self.manner.end = self.manner.end.max(to);
        let Some(at) = self.runs.iter().rposition(|(_, next)| *next == from) else {
            if self.runs.len() == RUNS_MAX {
                self.runs.remove(0);
            }
            self.runs.push((from, to));
            self.manner.runs += 1;
            self.manner.random = self.manner.runs >= RANDOM_READS_MAX.into();
            return;
        };
        let (first, _) = self.runs.remove(at);
        self.runs.push((first, to));
        if first == 0 && !self.manner.random && !self.manner.closed_once {
            self.manner.from_start_bytes = self.manner.from_start_bytes.max(to);
        }
    }
}

//! Whoever watches what the core tells the kernel of names: what it is held to is more than applications come to see.

use bytes::Bytes;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Attr, Entry, Ino, Op, Reply};

use super::Kernel;
use super::names::{DentryId, Names};
use crate::executor::locked;

/// An answer to a look-up, or an entry of a directory that was read with attributes.
pub struct Naming<'a> {
    /// From the root of the mount, symbolic links resolved.
    pub path: String,
    pub entry: &'a Entry,
    /// When whoever asked began to: its system call, or the request for a piece of a directory.
    pub began: Time,
    pub listed: bool,
    /// It was told before, and taken in only when a look-up of its name, or of one before it, had ended: what others have
    /// learnt meanwhile is overridden.
    pub late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    LookedUp,
    Listed,
    ListedLate,
}

/// Whoever watches what this kernel changes, and what comes of it.
pub trait Watcher: Send + Sync {
    /// A request that changes something, opens, commits or gives a handle back is about to be sent. `names`: the paths that
    /// it is about; `called`: when the system call began that sends it. Answers what to name to [`Watcher::ends`].
    fn begins(&self, op: &Op, names: &[String], called: Time) -> u64;

    /// It was answered; `None`: it was not sent after all.
    fn ends(&self, at: u64, outcome: Option<Result<&Reply, Errno>>);

    /// These bytes are in the page cache, written through a mapping.
    fn stored(&self, ino: Ino, offset: u64, bytes: &Bytes);

    /// Such bytes could not be written back.
    fn lost(&self, ino: Ino, errno: Errno);
}

pub type Witness = Box<dyn Fn(&Naming<'_>) + Send + Sync>;

impl Kernel {
    /// Once.
    pub fn watch(&self, witness: Witness) {
        let set = self.shared.witness.set(witness);
        assert!(set.is_ok(), "one witness is enough");
    }

    /// Once.
    pub fn watch_changes(&self, watcher: Box<dyn Watcher>) {
        let set = self.shared.watcher.set(watcher);
        assert!(set.is_ok(), "one watcher is enough");
    }

    pub(super) fn change_begins(&self, op: &Op, names: &[String], called: Time) -> Option<u64> {
        // What is asked of a process that is gone changes nothing; its numbers are another's by now.
        let watcher = self.shared.watcher.get().filter(|_| !locked(&self.shared.state).dead);
        watcher.map(|watcher| watcher.begins(op, names, called))
    }

    pub(super) fn change_ends(&self, at: Option<u64>, outcome: Option<Result<&Reply, Errno>>) {
        if let (Some(watcher), Some(at)) = (self.shared.watcher.get(), at) {
            watcher.ends(at, outcome);
        }
    }

    pub(super) fn tell_stored(&self, ino: Ino, offset: u64, bytes: &Bytes) {
        if let Some(watcher) = self.shared.watcher.get().filter(|_| !locked(&self.shared.state).dead) {
            watcher.stored(ino, offset, bytes);
        }
    }

    pub(super) fn tell_lost(&self, ino: Ino, errno: Errno) {
        if let Some(watcher) = self.shared.watcher.get().filter(|_| !locked(&self.shared.state).dead) {
            watcher.lost(ino, errno);
        }
    }

    /// From the root of the mount.
    pub(super) fn path_of(&self, dentry: DentryId) -> String {
        path_of(&locked(&self.shared.state).names, dentry)
    }

    pub(super) fn witness(&self, parent: DentryId, name: &[u8], entry: &Entry, began: Time, how: How) {
        let Some(witness) = self.shared.witness.get() else { return };
        let Ok(name) = std::str::from_utf8(name) else { return };
        let mut path = path_of(&locked(&self.shared.state).names, parent);
        path.push('/');
        path.push_str(name);
        witness(&Naming { path, entry, began, listed: how != How::LookedUp, late: how == How::ListedLate });
    }

    /// The attributes that the kernel has of an inode in use.
    pub(super) fn known_attributes(&self, ino: Ino) -> Attr {
        locked(&self.shared.state).names.inode(ino).attr.clone()
    }
}

fn path_of(names: &Names, id: DentryId) -> String {
    if id == DentryId::ROOT {
        return String::new();
    }
    let mut path = path_of(names, names.parent(id));
    path.push('/');
    path.push_str(&String::from_utf8_lossy(names.name(id)));
    path
}

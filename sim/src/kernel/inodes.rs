//! Inodes, names and references: who keeps what, and when an inode is forgotten.

use holdfast::env::Time;
use holdfast::op::{Attr, Entry, Ino, Kind, Op};
use std::time::Duration;

use super::pages::Pages;
use super::{Kernel, State};
use crate::executor::locked;

pub(super) struct Inode {
    /// Look-ups that the core has counted for it.
    lookups: u64,
    /// Names that stand for it, names cached beneath it, walks and files.
    refs: u64,
    pub(super) attr: Attr,
    pub(super) attr_until: Time,
    pub(super) pages: Pages,
}

impl Inode {
    pub(super) fn root() -> Self {
        let attr = Attr { ino: Ino::ROOT, kind: Kind::Directory, size: 0, mtime: 0, perm: 0, uid: 0, gid: 0, nlink: 0 };
        Self { lookups: 1, refs: 1, attr, attr_until: Time::ZERO, pages: Pages::default() }
    }
}

/// A cached name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dentry {
    /// `None`: a negative one.
    pub(super) target: Option<Ino>,
    pub(super) until: Time,
}

/// References to the inodes along a path, the last of which is meant.
pub(super) struct Held {
    kernel: Kernel,
    chain: Vec<Ino>,
}

impl Held {
    pub(super) fn ino(&self) -> Ino {
        self.chain.last().copied().unwrap_or(Ino::ROOT)
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        let mut state = locked(&self.kernel.shared.state);
        for ino in &self.chain {
            state.reference(*ino);
        }
        Self { kernel: self.kernel.clone(), chain: self.chain.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            for ino in self.chain.drain(..).rev() {
                self.kernel.unreference(ino);
            }
        }
    }
}

impl State {
    fn reference(&mut self, ino: Ino) {
        self.inodes.get_mut(&ino).expect("only what is referenced is referenced again").refs += 1;
    }
}

impl Kernel {
    /// The root, referenced.
    pub(super) fn hold_root(&self) -> Held {
        locked(&self.shared.state).reference(Ino::ROOT);
        Held { kernel: self.clone(), chain: vec![Ino::ROOT] }
    }

    pub(super) fn kind(&self, ino: Ino) -> Kind {
        locked(&self.shared.state).inodes[&ino].attr.kind
    }

    pub(super) fn dentry(&self, parent: Ino, name: &[u8]) -> Option<Dentry> {
        locked(&self.shared.state).dentries.get(&(parent, name.to_vec())).copied()
    }

    /// Takes the held walk one step on, if the cached name still stands for `target`.
    pub(super) fn step_to_cached(&self, held: &mut Held, name: &[u8], target: Ino) -> bool {
        let mut state = locked(&self.shared.state);
        let dentry = state.dentries.get(&(held.ino(), name.to_vec()));
        if dentry.is_none_or(|dentry| dentry.target != Some(target)) {
            return false;
        }
        state.reference(target);
        held.chain.push(target);
        true
    }

    /// An answer names the inode that the cached name stands for: counts it and prolongs both. False: it has changed
    /// meanwhile.
    pub(super) fn prolong(&self, parent: Ino, name: &[u8], attr: &Attr, entry: &Entry) -> bool {
        let now = self.now();
        {
            let mut state = locked(&self.shared.state);
            let Some(dentry) = state.dentries.get_mut(&(parent, name.to_vec())) else { return false };
            if dentry.target != Some(attr.ino) {
                return false;
            }
            dentry.until = now.plus(entry.entry_ttl);
            state.inodes.get_mut(&attr.ino).expect("a name refers to it").lookups += 1;
        }
        self.note_attributes(attr, entry.attr_ttl);
        true
    }

    /// A fresh answer to a look-up: makes or counts the inode and gives it the name.
    pub(super) fn link(&self, parent: Ino, name: &[u8], attr: &Attr, entry: &Entry) {
        let now = self.now();
        {
            let mut state = locked(&self.shared.state);
            let inode = state.inodes.entry(attr.ino).or_insert_with(|| Inode {
                lookups: 0,
                refs: 0,
                attr: attr.clone(),
                attr_until: Time::ZERO,
                pages: Pages::default(),
            });
            inode.lookups += 1;
            // The name's.
            inode.refs += 1;
        }
        self.note_attributes(attr, entry.attr_ttl);
        self.drop_dentry(parent, name);
        let dentry = Dentry { target: Some(attr.ino), until: now.plus(entry.entry_ttl) };
        self.insert_dentry(parent, name, dentry);
    }

    /// The name does not exist, for `ttl`.
    pub(super) fn link_negative(&self, parent: Ino, name: &[u8], ttl: Duration) {
        self.drop_dentry(parent, name);
        if !ttl.is_zero() {
            self.insert_dentry(parent, name, Dentry { target: None, until: self.now().plus(ttl) });
        }
    }

    fn insert_dentry(&self, parent: Ino, name: &[u8], dentry: Dentry) {
        let mut state = locked(&self.shared.state);
        state.reference(parent);
        state.dentries.insert((parent, name.to_vec()), dentry);
    }

    /// Forgets a cached name, and of a directory those beneath it.
    pub(super) fn drop_dentry(&self, parent: Ino, name: &[u8]) {
        let Some(dentry) = locked(&self.shared.state).dentries.remove(&(parent, name.to_vec())) else { return };
        if let Some(target) = dentry.target {
            let beneath: Vec<Vec<u8>> = {
                let state = locked(&self.shared.state);
                let from = state.dentries.range((target, Vec::new())..);
                from.take_while(|((at, _), _)| *at == target).map(|((_, name), _)| name.clone()).collect()
            };
            for name in beneath {
                self.drop_dentry(target, &name);
            }
            self.unreference(target);
        }
        self.unreference(parent);
    }

    pub(super) fn note_attributes(&self, attr: &Attr, ttl: Duration) {
        let now = self.now();
        let mut state = locked(&self.shared.state);
        let Some(inode) = state.inodes.get_mut(&attr.ino) else { return };
        if attr.ino != Ino::ROOT {
            assert!(
                inode.attr == *attr || (inode.pages.is_empty() && inode.refs <= 1),
                "the attributes of an inode in use changed from {:?} to {attr:?}",
                inode.attr
            );
        }
        inode.attr = attr.clone();
        inode.attr_until = now.plus(ttl);
    }

    pub(super) fn unreference(&self, ino: Ino) {
        let lookups = {
            let mut state = locked(&self.shared.state);
            let inode = state.inodes.get_mut(&ino).expect("it was referenced");
            inode.refs -= 1;
            if inode.refs > 0 {
                return;
            }
            let lookups = inode.lookups;
            state.inodes.remove(&ino);
            lookups
        };
        self.forget(ino, lookups);
    }

    pub(super) fn forget(&self, ino: Ino, count: u64) {
        self.tell(Op::Forget { ino, count });
    }

    /// Tells the core something about an inode that must not be forgotten before.
    pub(super) fn tell_with(&self, op: Op, held: &Held) {
        if !self.shared.config.unhurried {
            return self.tell(op);
        }
        let (kernel, held) = (self.clone(), held.clone());
        self.shared.handle.spawn("kernel", async move {
            kernel.linger().await;
            let _ = kernel.shared.fs.handle(op).await;
            drop(held);
        });
    }
}

//! Names and inodes: the dentry cache, who uses what, and when an inode is forgotten.
//!
//! Pure data and rules. A dentry is used by walks, files, and the dentries beneath it. Unused, it stays for the next
//! walk while its name still leads to it (hashed), and dies otherwise; an inode dies with the last dentry that names it,
//! and is then to be forgotten with exactly as many look-ups as the core has counted for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Attr, Entry, Ino, Kind};

use super::locks::Lock;
use super::pages::Pages;
use super::{Kernel, OpenFile};

/// Inodes that the core is yet to be told about, with their look-ups.
pub(super) type Forgets = VecDeque<(Ino, u64)>;

/// An inode that is in use or cached.
pub(super) struct Inode {
    /// Look-ups that the core has counted for it.
    lookups: u64,
    /// Dentries that name it.
    named_by: u32,
    /// `struct file`s of it.
    pub(super) open: u32,
    pub(super) attr: Attr,
    attr_until: Time,
    doubt: Doubt,
    pub(super) pages: Pages,
    /// What a symbolic link points to, once read (FUSE_CACHE_SYMLINKS).
    pub(super) link: Option<Arc<[u8]>>,
    /// Of a directory: the next read of it should be a READDIRPLUS (FUSE_I_ADVISE_RDPLUS).
    pub(super) advised_plus: bool,
    /// It came by a READDIRPLUS and has not been walked to since (FUSE_I_INIT_RDPLUS).
    came_by_plus: bool,
    /// i_rwsem
    pub(super) lock: Lock,
    /// Requests under way that change its size.
    pub(super) changing: u32,
    /// Such requests overlapped: which came last, only the core knows.
    pub(super) contested: bool,
    /// Of those under way, the ones meanwhile a short answer to a READ says nothing of the size (FUSE_I_SIZE_UNSTABLE).
    pub(super) unstable: u32,
    /// Those that were mapped and may be written to, the latest last.
    pub(super) writers: Vec<Weak<OpenFile>>,
    /// What became of pages that could not be written back, if nobody was told yet.
    pub(super) lost: Option<Errno>,
    /// When it was last changed from here, on the clock of [`Names::changes`] (fi->attr_version).
    pub(super) changed: u64,
}

/// Which attributes are asked for again by whoever wants them, though they have not expired (fi->inval_mask).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    Nothing,
    Times,
    SizeToo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DentryId(usize);

impl DentryId {
    pub(super) const ROOT: DentryId = DentryId(0);
}

struct Dentry {
    parent: DentryId,
    name: Arc<[u8]>,
    /// `None`: the name is known not to exist.
    ino: Option<Ino>,
    until: Time,
    /// Walks, files, and dentries beneath it.
    users: u32,
    /// The name leads here.
    hashed: bool,
    children: BTreeMap<Arc<[u8]>, DentryId>,
}

/// A name that somebody is looking up right now.
struct LookedUp {
    parent: DentryId,
    name: Arc<[u8]>,
    wakers: Vec<Waker>,
}

/// What the cache knows of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) dentry: DentryId,
    pub(super) ino: Option<Ino>,
    pub(super) until: Time,
}

/// When an answer came, and how many inodes had been forgotten when it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) now: Time,
    pub(super) evictions: u64,
    /// How many changes of this kernel's own there had been.
    pub(super) changes: u64,
}

pub(super) struct Names {
    inodes: BTreeMap<Ino, Inode>,
    dentries: Vec<Option<Dentry>>,
    free: Vec<DentryId>,
    looked_up: Vec<LookedUp>,
    pub(super) forgets: Forgets,
    /// Inodes forgotten so far (fc->evict_ctr).
    evictions: u64,
    /// Changes that inodes had from here so far (fc->attr_version).
    pub(super) changes: u64,
    /// Nothing that is unused stays.
    pub(super) pressed: bool,
    /// Times are of metadata.
    pub(super) metadata_shown: bool,
}

impl Default for Names {
    fn default() -> Self {
        let attr = Attr::blank(Ino::ROOT, Kind::Directory);
        let root = Dentry {
            parent: DentryId::ROOT,
            name: Arc::default(),
            ino: Some(Ino::ROOT),
            until: Time(Duration::MAX),
            // The mount's.
            users: 1,
            hashed: true,
            children: BTreeMap::new(),
        };
        let inode = Inode { lookups: 1, named_by: 1, ..Inode::new(attr) };
        Self {
            inodes: BTreeMap::from([(Ino::ROOT, inode)]),
            dentries: vec![Some(root)],
            free: Vec::new(),
            looked_up: Vec::new(),
            forgets: Forgets::new(),
            evictions: 0,
            changes: 0,
            pressed: false,
            metadata_shown: false,
        }
    }
}

impl Inode {
    fn new(attr: Attr) -> Self {
        Self {
            lookups: 0,
            named_by: 0,
            open: 0,
            attr,
            attr_until: Time::ZERO,
            doubt: Doubt::Nothing,
            pages: Pages::default(),
            link: None,
            advised_plus: false,
            came_by_plus: false,
            lock: Lock::default(),
            changing: 0,
            contested: false,
            unstable: 0,
            writers: Vec::new(),
            lost: None,
            changed: 0,
        }
    }

    pub(super) fn attributes_are_fresh(&self, now: Time) -> bool {
        self.mode_is_fresh(now) && self.doubt == Doubt::Nothing
    }

    pub(super) fn size_is_fresh(&self, now: Time) -> bool {
        self.mode_is_fresh(now) && self.doubt < Doubt::SizeToo
    }

    pub(super) fn mode_is_fresh(&self, now: Time) -> bool {
        now < self.attr_until
    }
}

impl Names {
    /// Whether it was given this inode and has not forgotten it.
    pub(super) fn knows(&self, ino: Ino) -> bool {
        self.inodes.contains_key(&ino)
    }

    pub(super) fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[&ino]
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> Option<&mut Inode> {
        self.inodes.get_mut(&ino)
    }

    pub(super) fn inodes_mut(&mut self) -> impl Iterator<Item = &mut Inode> {
        self.inodes.values_mut()
    }

    pub(super) fn parent(&self, id: DentryId) -> DentryId {
        self.dentry(id).parent
    }

    pub(super) fn name(&self, id: DentryId) -> &[u8] {
        &self.dentry(id).name
    }

    pub(super) fn ino(&self, id: DentryId) -> Ino {
        self.dentry(id).ino.expect("only names that exist are walked to")
    }

    fn dentry(&self, id: DentryId) -> &Dentry {
        self.dentries[id.0].as_ref().expect("it is in use or cached")
    }

    fn dentry_mut(&mut self, id: DentryId) -> &mut Dentry {
        self.dentries[id.0].as_mut().expect("it is in use or cached")
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    // Looking up.

    pub(super) fn find(&self, parent: DentryId, name: &[u8]) -> Option<Known> {
        let id = *self.dentry(parent).children.get(name)?;
        let dentry = self.dentry(id);
        Some(Known { dentry: id, ino: dentry.ino, until: dentry.until })
    }

    /// A walk that comes by a name that is taken for granted: it may be worth while to have the next listing of its
    /// directory bring attributes along.
    pub(super) fn walked_by(&mut self, parent: DentryId, ino: Ino) {
        let inode = self.inodes.get_mut(&ino).expect("a name refers to it");
        if std::mem::take(&mut inode.came_by_plus) {
            self.advise_plus(parent);
        }
    }

    fn advise_plus(&mut self, directory: DentryId) {
        let ino = self.ino(directory);
        self.inodes.get_mut(&ino).expect("its dentry refers to it").advised_plus = true;
    }

    /// An answer names the inode that the name stands for: counts it and prolongs both.
    pub(super) fn prolong(&mut self, id: DentryId, attr: &Attr, entry: &Entry, seen: Seen) {
        self.dentry_mut(id).until = seen.now.plus(entry.entry_ttl);
        self.inodes.get_mut(&attr.ino).expect("a name refers to it").lookups += 1;
        self.set_attributes(attr, entry.attr_ttl, seen);
    }

    /// A fresh answer for a name that the cache does not have: makes or counts the inode and gives it the name.
    fn link(&mut self, parent: DentryId, name: &Arc<[u8]>, attr: &Attr, entry: &Entry, seen: Seen) -> DentryId {
        let now = seen.now;
        let new = !self.inodes.contains_key(&attr.ino);
        let inode = self.inodes.entry(attr.ino).or_insert_with(|| Inode::new(attr.clone()));
        inode.lookups += 1;
        // The answer to a request during which an inode was forgotten may be older than what that inode knew: the
        // attributes that it brings a new inode are not relied on (fuse_change_attributes_common).
        let doubtful = new && seen.evictions != self.evictions;
        self.set_attributes(attr, if doubtful { Duration::ZERO } else { entry.attr_ttl }, seen);
        let until = now.plus(entry.entry_ttl);
        // A directory has one dentry, which is found again though its name had been dropped (d_splice_alias).
        if attr.kind == Kind::Directory
            && let Some(id) = self.lost_directory(parent, name, attr.ino)
        {
            let dentry = self.dentry_mut(id);
            (dentry.hashed, dentry.until) = (true, until);
            self.dentry_mut(parent).children.insert(name.clone(), id);
            return id;
        }
        self.inodes.get_mut(&attr.ino).expect("just now").named_by += 1;
        self.add(parent, name, Some(attr.ino), until)
    }

    /// A look-up found it, rather than a listing.
    pub(super) fn link_looked_up(
        &mut self,
        parent: DentryId,
        name: &Arc<[u8]>,
        attr: &Attr,
        entry: &Entry,
        seen: Seen,
    ) -> DentryId {
        self.advise_plus(parent);
        self.link(parent, name, attr, entry, seen)
    }

    /// It was made just now, under a name that stood for nothing.
    pub(super) fn link_made(
        &mut self,
        parent: DentryId,
        name: &Arc<[u8]>,
        attr: &Attr,
        entry: &Entry,
        seen: Seen,
    ) -> DentryId {
        if let Some(known) = self.find(parent, name) {
            self.invalidate(known.dentry);
        }
        let dentry = self.link(parent, name, attr, entry, seen);
        self.note_change(attr.ino);
        dentry
    }

    /// One entry of a READDIRPLUS (fuse_direntplus_link). The name is not being looked up.
    pub(super) fn link_listed(&mut self, parent: DentryId, name: &[u8], attr: &Attr, entry: &Entry, seen: Seen) {
        match self.find(parent, name) {
            Some(known) if known.ino == Some(attr.ino) => self.prolong(known.dentry, attr, entry, seen),
            known => {
                if let Some(known) = known {
                    self.invalidate(known.dentry);
                }
                self.link(parent, &Arc::from(name), attr, entry, seen);
            }
        }
        self.inodes.get_mut(&attr.ino).expect("linked just now").came_by_plus = true;
    }

    /// The name does not exist, for `ttl`.
    pub(super) fn link_negative(&mut self, parent: DentryId, name: &Arc<[u8]>, ttl: Duration, now: Time) {
        if !ttl.is_zero() {
            self.add(parent, name, None, now.plus(ttl));
        }
    }

    fn add(&mut self, parent: DentryId, name: &Arc<[u8]>, ino: Option<Ino>, until: Time) -> DentryId {
        let dentry =
            Dentry { parent, name: name.clone(), ino, until, users: 0, hashed: true, children: BTreeMap::new() };
        let id = self.free.pop().unwrap_or_else(|| {
            self.dentries.push(None);
            DentryId(self.dentries.len() - 1)
        });
        self.dentries[id.0] = Some(dentry);
        let above = self.dentry_mut(parent);
        above.users += 1;
        let before = above.children.insert(name.clone(), id);
        assert!(before.is_none(), "a name was cached twice");
        id
    }

    fn lost_directory(&self, parent: DentryId, name: &Arc<[u8]>, ino: Ino) -> Option<DentryId> {
        if self.inodes[&ino].named_by == 0 {
            return None;
        }
        let lost = |dentry: &Dentry| {
            !dentry.hashed && dentry.ino == Some(ino) && dentry.parent == parent && dentry.name == *name
        };
        self.dentries.iter().position(|dentry| dentry.as_ref().is_some_and(lost)).map(DentryId)
    }

    // Attributes.

    pub(super) fn set_attributes(&mut self, attr: &Attr, ttl: Duration, seen: Seen) {
        let Some(inode) = self.inodes.get_mut(&attr.ino) else { return };
        // Asked for before it was changed from here: what the kernel knows is newer (fuse_change_attributes).
        if inode.changed > seen.changes {
            inode.attr_until = Time::ZERO;
            return;
        }
        if inode.attr != *attr {
            let in_use = attr.ino != Ino::ROOT && (!inode.pages.is_empty() || inode.open > 0);
            // What was written to it lost its condition, and nobody has it open any more.
            let given_up = inode.open == 0 && inode.changed > 0;
            if (inode.contested || given_up) && inode.attr.size != attr.size {
                // As if another had changed it (truncate_pagecache).
                inode.pages.drop_all();
                inode.attr.size = attr.size;
            }
            // Where anything is changed from here, the server tells new times; the size it has from the kernel.
            let told = (self.changes > 0 || inode.contested) && inode.attr.kind == attr.kind;
            // A chmod elsewhere within the second of the last write leaves ETag and time as they were: the same Version.
            let Attr { perm, uid, gid, atime, ctime, .. } = inode.attr;
            // So do touch(1), and the same bytes put anew without their metadata, where times are of that.
            let Attr { mtime, mtime_nanos, .. } = if self.metadata_shown { inode.attr.clone() } else { attr.clone() };
            let same = Attr { perm, uid, gid, atime, ctime, mtime, mtime_nanos, ..attr.clone() } == inode.attr;
            assert!(
                !in_use || (told && inode.attr.size == attr.size) || inode.changing > 0 || same,
                "the attributes of an inode in use changed from {:?} to {attr:?}",
                inode.attr
            );
            let size = inode.attr.size;
            inode.attr = attr.clone();
            if inode.changing > 0 {
                // Which of the two is newer, the answer under way will tell.
                inode.attr.size = size;
            }
        }
        (inode.attr_until, inode.doubt) = (seen.now.plus(ttl), Doubt::Nothing);
    }

    /// What a SETATTR made of them, as its answer says (fuse_change_attributes_common).
    pub(super) fn attributes_set(&mut self, attr: &Attr, ttl: Duration, now: Time) {
        self.note_change(attr.ino);
        if let Some(inode) = self.inodes.get_mut(&attr.ino) {
            inode.attr = attr.clone();
            (inode.attr_until, inode.doubt) = (now.plus(ttl), Doubt::Nothing);
        }
    }

    /// The file ends elsewhere from now on, by a change from here that was answered.
    pub(super) fn resize(&mut self, ino: Ino, size: u64) {
        self.note_change(ino);
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.attr.size = size;
            inode.doubt = Doubt::SizeToo;
        }
    }

    /// It was read, listed, or changed from here in another way than in its size: when, the server knows.
    pub(super) fn doubt_times(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.doubt = inode.doubt.max(Doubt::Times);
        }
    }

    /// It is changed from here: a new time is no surprise.
    pub(super) fn note_change(&mut self, ino: Ino) {
        self.changes += 1;
        let changes = self.changes;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.changed = changes;
        }
    }

    /// It was changed from here in another way than in its size.
    pub(super) fn touch(&mut self, ino: Ino) {
        self.note_change(ino);
        self.doubt_times(ino);
    }

    /// Of an allocation that leaves the size as it is.
    pub(super) fn allocated(&mut self, ino: Ino) {
        if let Some(size) = self.inodes.get(&ino).map(|inode| inode.attr.size) {
            self.resize(ino, size);
        }
    }

    /// Attributes that the kernel no longer relies on.
    pub(super) fn doubt_attributes(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.attr_until = Time::ZERO;
        }
    }

    /// What `from` names has the name of `to` from now on, which stands for something else or for nothing (d_move).
    pub(super) fn rename(&mut self, from: DentryId, parent: DentryId, name: &Arc<[u8]>) {
        if let Some(known) = self.find(parent, name) {
            self.invalidate(known.dentry);
        }
        self.unhash(from);
        let before = self.dentry(from).parent;
        let dentry = self.dentry_mut(from);
        (dentry.parent, dentry.name, dentry.hashed) = (parent, name.clone(), true);
        let above = self.dentry_mut(parent);
        above.users += 1;
        above.children.insert(name.clone(), from);
        self.let_go(before);
    }

    /// Whether the name of a dentry leads to it.
    pub(super) fn leads_to(&self, id: DentryId) -> bool {
        self.dentry(id).hashed
    }

    // References.

    pub(super) fn hold(&mut self, id: DentryId) {
        self.dentry_mut(id).users += 1;
    }

    pub(super) fn let_go(&mut self, id: DentryId) {
        let pressed = self.pressed;
        let dentry = self.dentry_mut(id);
        dentry.users -= 1;
        if dentry.users == 0 && (pressed || !dentry.hashed) {
            self.kill(id);
        }
    }

    /// The name no longer leads here. What is in use lives on without it (d_invalidate).
    pub(super) fn invalidate(&mut self, id: DentryId) {
        self.prune_beneath(id);
        self.unhash(id);
        if self.dentry(id).users == 0 {
            self.kill(id);
        }
    }

    /// Forgets every name that nobody uses.
    pub(super) fn prune(&mut self) {
        for at in 1..self.dentries.len() {
            if self.dentries[at].as_ref().is_some_and(|dentry| dentry.users == 0) {
                // Takes those above along that are unused then.
                let pressed = std::mem::replace(&mut self.pressed, true);
                self.kill(DentryId(at));
                self.pressed = pressed;
            }
        }
    }

    /// Forgets one name that nobody uses, if there is one; `draw` says which.
    pub(super) fn evict_one(&mut self, draw: u64) {
        let count = self.dentries.len();
        let from = (draw % count as u64) as usize;
        let unused = |at: &usize| self.dentries[*at].as_ref().is_some_and(|dentry| dentry.users == 0);
        let found = (from..count).chain(0..from).find(unused);
        if let Some(at) = found {
            self.kill(DentryId(at));
        }
    }

    fn prune_beneath(&mut self, id: DentryId) {
        let children: Vec<DentryId> = self.dentry(id).children.values().copied().collect();
        for child in children {
            self.prune_beneath(child);
            if self.dentry(child).users == 0 {
                self.kill(child);
            }
        }
    }

    fn unhash(&mut self, id: DentryId) {
        let dentry = self.dentry_mut(id);
        if std::mem::take(&mut dentry.hashed) {
            let (parent, name) = (dentry.parent, dentry.name.clone());
            self.dentry_mut(parent).children.remove(&name);
        }
    }

    fn kill(&mut self, id: DentryId) {
        self.unhash(id);
        let dentry = self.dentries[id.0].take().expect("it is in use or cached");
        self.free.push(id);
        if let Some(ino) = dentry.ino {
            let inode = self.inodes.get_mut(&ino).expect("a dentry named it");
            inode.named_by -= 1;
            if inode.named_by == 0 {
                let lookups = inode.lookups;
                self.inodes.remove(&ino);
                self.forgets.push_back((ino, lookups));
                self.evictions += 1;
            }
        }
        self.let_go(dentry.parent);
    }

    // Names that are being looked up: the second who comes waits for the first (d_alloc_parallel).

    pub(super) fn is_looked_up(&mut self, parent: DentryId, name: &[u8], waker: &Waker) -> bool {
        let found = self.looked_up.iter_mut().find(|under_way| under_way.parent == parent && *under_way.name == *name);
        let Some(under_way) = found else { return false };
        if !under_way.wakers.iter().any(|other| other.will_wake(waker)) {
            under_way.wakers.push(waker.clone());
        }
        true
    }

    pub(super) fn look_up_begins(&mut self, parent: DentryId, name: &Arc<[u8]>) {
        self.looked_up.push(LookedUp { parent, name: name.clone(), wakers: Vec::new() });
    }

    pub(super) fn look_up_ends(&mut self, parent: DentryId, name: &[u8]) -> Vec<Waker> {
        let at = self.looked_up.iter().position(|under_way| under_way.parent == parent && *under_way.name == *name);
        at.map(|at| self.looked_up.swap_remove(at).wakers).unwrap_or_default()
    }
}

/// A used dentry: where a walk is, or what a file was opened by.
pub(super) struct Held {
    kernel: Kernel,
    pub(super) dentry: DentryId,
    ino: Ino,
}

impl Held {
    /// Of a dentry that is in use or cached.
    pub(super) fn new(kernel: &Kernel, names: &mut Names, dentry: DentryId) -> Self {
        names.hold(dentry);
        Self { kernel: kernel.clone(), dentry, ino: names.ino(dentry) }
    }

    pub(super) fn ino(&self) -> Ino {
        self.ino
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kernel.with(|state| state.names.let_go(self.dentry));
        }
    }
}

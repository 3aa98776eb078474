//! Names and inodes: which Version a path means, and for how long that may be taken for granted.
//!
//! Everything learnt from the bucket arrives as an *observation*: what a name was, seen by a request that began at one
//! stamp and ended at another. Invariants:
//! - an inode number stands for one Version (or one directory) for ever, and is never used again;
//! - an observation never undoes one that began after it ended, and two that overlap and disagree settle nothing: the
//!   caller asks again;
//! - freshness counts from when a request *began*: an answer that took long is not fresh for longer;
//! - an inode lives while the kernel knows it or a handle is open.

mod attributes;
mod local;
mod pins;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ATTR_TTL, Config};
use crate::env::Time;
use crate::env::store::{Key, ObjectMeta};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::op::{Attr, Caller, Entry, Ino, Kind, Name};
use crate::state::posix::Posix;
use crate::state::version::{Holds, Successor, UNDATED, Version};
use crate::zoo::{self, Bug};

pub use local::{Moved, Publication, Rekeyed};

/// When a request began, in order and in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    order: u64,
    at: Time,
}

#[cfg(test)]
impl Stamp {
    /// For tests of what only carries stamps.
    pub fn nth(order: u64) -> Self {
        Self { order, at: Time::ZERO }
    }
}

/// The span of the request that saw something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    began: u64,
    ended: u64,
    /// When it began.
    at: Time,
}

/// What a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Absent,
    Directory,
    File(Version),
}

impl Target {
    /// To those who held what the name was before.
    fn as_successor(&self) -> Successor {
        match self {
            Self::File(version) => Successor::Replaced(version.etag.clone()),
            Self::Absent => Successor::Deleted,
            Self::Directory => Successor::Shadowed,
        }
    }

    fn is_same(&self, other: &Target) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) | (Self::Directory, Self::Directory) => true,
            (Self::File(a), Self::File(b)) => a.is_same(b),
            (Self::Absent | Self::Directory | Self::File(_), _) => false,
        }
    }
}

/// A name whose metadata no listing told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undescribed {
    File(Version),
    /// The key of its marker, if there is one.
    Directory(Key),
}

impl Undescribed {
    /// What a HEAD asks for.
    pub fn key(&self) -> &Key {
        match self {
            Self::File(version) => &version.key,
            Self::Directory(marker) => marker,
        }
    }
}

/// Two answers that overlapped in time disagree: neither can be called the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction;

#[derive(Debug)]
struct NameEntry {
    target: Target,
    /// The number the name has, or is going to have: handed out by listings before an inode exists.
    ino: Option<Ino>,
    seen: Seen,
    /// Up to then an answer was under way that disagreed with what stands: only what was asked for later is fresh.
    doubted: u64,
    /// What a HEAD or GET told of a file beyond its Version, or of a directory's marker.
    meta: Option<Arc<ObjectMeta>>,
    /// `ino` has changes that are not published: here it is what the name stands for, whatever the bucket says.
    local: bool,
    /// Inodes that were pinned to the name while it was taken for another Version, and when: they, too, must learn what
    /// becomes of it.
    strays: Vec<(Ino, u64)>,
    /// The directory that it was until nothing was found beneath it any more: somebody may be in it.
    vanished: Option<Ino>,
}

impl NameEntry {
    fn new(target: Target, seen: Seen) -> Self {
        Self { target, ino: None, seen, doubted: 0, meta: None, local: false, strays: Vec::new(), vanished: None }
    }

    /// The same name, which stands for something else by now.
    fn moves_on(&mut self, target: Target, ino: Option<Ino>, seen: Seen) {
        (self.target, self.ino, self.seen, self.meta, self.vanished) = (target, ino, seen, None, None);
    }
}

#[derive(Debug)]
pub struct Directory {
    /// Keys beneath it start with this: empty, or ending in `/`.
    pub prefix: String,
    names: BTreeMap<Name, NameEntry>,
    prune_at: usize,
    /// What was asked before this says nothing certain of a name that is not here: it may have been known better, and let go.
    pruned: u64,
    /// Open listings, which may yet have to tell of any name.
    listings: u32,
    /// What its marker's metadata says, or was made here.
    posix: Posix,
}

#[derive(Debug)]
pub struct File<C> {
    pub version: Version,
    /// What a GET or HEAD told beyond the Version.
    pub meta: Option<Arc<ObjectMeta>>,
    pub content: Option<Arc<C>>,
    /// Opens under way, open handles and pins.
    pub opens: u32,
    verified: Time,
    /// From the first change by this mount on.
    pub own: Option<Own>,
    /// Its name was removed, or given to another file, by this mount.
    pub unlinked: bool,
    /// What was written could not be published, and the name is somebody else's.
    pub abandoned: bool,
    /// Changes of it are gone, of which the kernel knows: it is not to be opened as what it was before.
    pub spoilt: bool,
}

/// What this mount made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Bytes, unpublished ones included.
    pub size: u64,
    /// Each of its fields is set.
    pub posix: Posix,
}

#[derive(Debug)]
pub enum Node<C> {
    Directory(Directory),
    File(File<C>),
}

#[derive(Debug)]
struct Inode<C> {
    parent: Ino,
    name: Name,
    /// The kernel's lookup count.
    lookups: u64,
    node: Node<C>,
}

/// An `open` was answered ESTALE, and the newer Version waits, with its GET, for the same thread to come back.
struct Pin<C> {
    id: PinId,
    caller: Caller,
    parent: Ino,
    name: Name,
    ino: Ino,
    content: Arc<C>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinId(u64);

pub struct Tree<C> {
    inodes: BTreeMap<Ino, Inode<C>>,
    /// Few: each lives for one system call, or until it expires.
    pins: Vec<Pin<C>>,
    /// Names that are local.
    locals: u32,
    next_ino: u64,
    next_order: u64,
    metadata_ttl: Duration,
    negative_metadata_ttl: Duration,
    idle_names_min: usize,
    uid: u32,
    gid: u32,
    file_mode: u16,
    dir_mode: u16,
    posix_metadata: bool,
    /// Directories have no time of their own; they show when the mount began.
    mounted_at: i64,
}

/// Contents that a new observation made obsolete.
pub type Obsolete<C> = Vec<(Arc<C>, Successor)>;

impl<C: Holds> Tree<C> {
    pub fn new(config: &Config, mounted_at: i64) -> Self {
        let root = Inode {
            parent: Ino::ROOT,
            name: Name::new("root").expect("a valid name"),
            lookups: 1,
            node: Node::Directory(Directory::new(config.prefix.clone())),
        };
        Self {
            inodes: BTreeMap::from([(Ino::ROOT, root)]),
            pins: Vec::new(),
            locals: 0,
            next_ino: Ino::ROOT.0 + 1,
            next_order: 1,
            metadata_ttl: config.metadata_ttl,
            negative_metadata_ttl: config.negative_metadata_ttl,
            idle_names_min: config.sizes.idle_names_min,
            uid: config.uid,
            gid: config.gid,
            file_mode: config.file_mode,
            dir_mode: config.dir_mode,
            posix_metadata: config.posix_metadata,
            mounted_at,
        }
    }

    /// To be taken before a request is sent whose answer will be observed.
    pub fn stamp(&mut self, now: Time) -> Stamp {
        Stamp { order: self.next_order(), at: now }
    }

    /// Inodes alive, the root included.
    pub fn inodes(&self) -> usize {
        self.inodes.len()
    }

    pub fn directory(&self, ino: Ino) -> Result<&Directory, FsError> {
        match &self.inode(ino)?.node {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(FsError::NotDirectory),
        }
    }

    pub fn file(&self, ino: Ino) -> Result<&File<C>, FsError> {
        match &self.inode(ino)?.node {
            Node::File(file) => Ok(file),
            Node::Directory(_) => Err(FsError::IsDirectory),
        }
    }

    pub fn file_mut(&mut self, ino: Ino) -> Result<&mut File<C>, FsError> {
        match &mut self.inodes.get_mut(&ino).ok_or(FsError::UnknownInode(ino.0))?.node {
            Node::File(file) => Ok(file),
            Node::Directory(_) => Err(FsError::IsDirectory),
        }
    }

    /// Where the inode hangs: its directory and its name there.
    pub fn place(&self, ino: Ino) -> Result<(Ino, Name), FsError> {
        let inode = self.inode(ino)?;
        Ok((inode.parent, inode.name.clone()))
    }

    pub fn attr(&self, ino: Ino) -> Result<Attr, FsError> {
        let mut attr = self.attr_of(ino, &self.inode(ino)?.node);
        if zoo::has(Bug::FstatFollowsTheName)
            && let (parent, name) = self.place(ino)?
            && let Some(Target::File(version)) = self.directory(parent)?.names.get(&name).map(|entry| &entry.target)
        {
            (attr.size, attr.mtime) = (version.size, version.last_modified);
        }
        Ok(attr)
    }

    /// What the inode's name is known to stand for by now, when that is something else. Which of two Versions is the
    /// newer one nobody can tell: `Unknown`.
    pub fn moved_on_to(&self, ino: Ino) -> Option<Successor> {
        let file = self.file(ino).ok()?;
        let (parent, name) = self.place(ino).ok()?;
        let target = &self.directory(parent).ok()?.names.get(&name)?.target;
        match target {
            Target::Directory => Some(Successor::Shadowed),
            // Put again, the same bytes are no others: a GET under its condition brings them still.
            Target::File(version) if version.has_same_bytes(&file.version) => None,
            Target::File(_) | Target::Absent => Some(Successor::Unknown),
        }
    }

    /// Whether an open of this inode may take it for the current version without asking.
    pub fn is_verified(&self, ino: Ino, now: Time) -> Result<bool, FsError> {
        let file = self.file(ino)?;
        let trusting = zoo::has(Bug::OpenIgnoresSupersession);
        Ok(file.content.as_ref().is_none_or(|content| trusting || !content.is_superseded())
            && now < file.verified.plus(self.metadata_ttl))
    }

    /// The answer for a name that is known well enough, with one more lookup counted; `None`: the bucket must be asked.
    pub fn known(&mut self, caller: Caller, parent: Ino, name: &Name, now: Time) -> Result<Option<Entry>, FsError> {
        let anybody = zoo::has(Bug::PinForAnybody);
        let waits = |pin: &&Pin<C>| (pin.parent, &pin.name) == (parent, name) && (anybody || pin.caller == caller);
        let pinned = self.pins.iter().rev().find(waits).filter(|_| !zoo::has(Bug::PinIgnored));
        let meant = |ino: &Ino| self.local_of(parent, name).is_none_or(|local| local == *ino);
        if let Some(ino) = pinned.map(|pin| pin.ino).filter(meant) {
            // What was pinned was current while this very open ran, whatever has come since: it alone may have it.
            let names_it = self.directory(parent)?.names.get(name).filter(|entry| entry.ino == Some(ino));
            let entry_ttl = names_it.map_or(Duration::ZERO, |entry| self.fresh_until(entry).since(now));
            return self.grant_inode(ino, entry_ttl).map(Some);
        }
        let obsolete = self.is_superseded(parent, name)?;
        let Some(entry) = self.directory(parent)?.names.get(name) else { return Ok(None) };
        if entry.local {
            return self.grant(parent, name, now).map(Some);
        }
        let fresh =
            now < self.fresh_until(entry) || (zoo::has(Bug::NegativeOutlivesCreate) && entry.target == Target::Absent);
        if obsolete || !fresh || self.wants_meta(entry) || self.wants_date(entry) {
            return Ok(None);
        }
        let granted = self.grant(parent, name, now)?;
        if zoo::has(Bug::KnownNameNotCounted)
            && let Some(attr) = &granted.attr
            && let Some(inode) = self.inodes.get_mut(&attr.ino)
        {
            inode.lookups = (inode.lookups - 1).max(1);
        }
        Ok(Some(granted))
    }

    /// Applies what a request that began at `stamp` saw of a name.
    pub fn observe(
        &mut self,
        parent: Ino,
        name: &Name,
        stamp: Stamp,
        target: Target,
    ) -> Result<Obsolete<C>, ObserveError> {
        let seen = Seen { began: stamp.order, ended: self.next_order(), at: stamp.at };
        let superseded = self.is_superseded(parent, name)?;
        if !self.directory(parent)?.names.contains_key(name) {
            // Before it is there itself: whoever asked is yet to look at it.
            self.prune(parent, stamp.at);
        }
        let stays = target != Target::Directory && self.is_directory_of_locals(parent, name);
        let target = if stays { Target::Directory } else { target };
        let directory = self.directory_mut(parent)?;
        let Some(entry) = directory.names.get_mut(name) else {
            let mut entry = NameEntry::new(target, seen);
            if seen.began < directory.pruned {
                sometimes!(AskedBeforeItWasLetGo);
                entry.doubted = seen.ended;
            }
            directory.names.insert(name.clone(), entry);
            return Ok(Vec::new());
        };
        if entry.local {
            return Ok(self.observe_beneath_local(parent, name, seen, target));
        }
        if entry.target.is_same(&target) {
            if seen.at >= entry.seen.at {
                entry.seen = Seen { ended: seen.ended.max(entry.seen.ended), ..seen };
            }
            if let (Target::File(known), Target::File(told)) = (&mut entry.target, &target) {
                if known.version_id.is_none() {
                    known.version_id = told.version_id.clone();
                }
                if known.last_modified == UNDATED {
                    known.last_modified = told.last_modified;
                }
            }
            let strays = match target {
                // Shadowed as before: they were told.
                Target::Directory => Vec::new(),
                Target::Absent | Target::File(_) => self.obsolete_strays(parent, name, seen, &target),
            };
            let Some(entry) = self.directory_mut(parent)?.names.get_mut(name) else { return Ok(strays) };
            if superseded {
                // It went and came back: what was lost meanwhile stays lost for that inode, so the name gets another.
                sometimes!(CameBack);
                entry.ino = None;
                return Ok(strays);
            }
            let at = entry.seen.at;
            if entry.seen.began >= entry.doubted
                && let Some(ino) = entry.ino
                && let Ok(file) = self.file_mut(ino)
            {
                file.verified = file.verified.max(at);
            }
            return Ok(strays);
        }
        let believed =
            zoo::has(Bug::StaleAnswerOverwrites) || (zoo::has(Bug::LateNotFoundOverwrites) && target == Target::Absent);
        if entry.seen.ended > seen.began && !believed {
            return Err(ObserveError::Contradiction);
        }
        let old = entry.ino;
        if zoo::has(Bug::InodeReusedAcrossEtags)
            && let (Some(ino), Target::File(version)) = (old, &target)
        {
            let version = version.clone();
            entry.moves_on(target, old, seen);
            if let Ok(file) = self.file_mut(ino) {
                (file.version, file.content, file.meta) = (version, None, None);
            }
            return Ok(Vec::new());
        }
        let (was_directory, vanished) = (entry.target == Target::Directory, entry.vanished);
        entry.moves_on(target.clone(), None, seen);
        match target {
            Target::Absent if was_directory => entry.vanished = old,
            Target::Directory => self.reappears(parent, name, vanished),
            Target::Absent | Target::File(_) => {}
        }
        let mut obsolete = self.obsolete_strays(parent, name, seen, &target);
        if target == Target::Directory
            && let Some(file) = old.filter(|old| self.file(*old).is_ok())
        {
            // Its object may stand as ever. Once the directory is gone, what the name stands for then concerns it again.
            sometimes!(ShadowedKeepsItsName);
            self.entry_mut(parent, name)?.strays.push((file, seen.ended));
        }
        match old {
            // Only a name so far: the kernel has never heard of the number, so it may stand for the new Version.
            Some(number) if !self.inodes.contains_key(&number) => {
                sometimes!(Repinned);
                self.entry_mut(parent, name)?.ino = Some(number);
            }
            Some(_) if zoo::has(Bug::SupersessionNotTold) => {}
            Some(ino) => {
                let content = self.file(ino).ok().and_then(|file| file.content.clone());
                obsolete.extend(content.map(|content| (content, target.as_successor())));
            }
            None => {}
        }
        Ok(obsolete)
    }

    /// The same for a page of a directory: what contradicts a newer answer is left out.
    pub fn observe_listed(
        &mut self,
        parent: Ino,
        listed: Vec<(Name, Target, Stamp)>,
    ) -> Result<Vec<(Arc<C>, Successor)>, FsError> {
        let mut obsolete = Vec::new();
        for (name, target, stamp) in listed {
            match self.observe(parent, &name, stamp, target) {
                Ok(content) => obsolete.extend(content),
                Err(ObserveError::Contradiction) => sometimes!(ListingContradicted),
                Err(ObserveError::Fs(error)) => return Err(error),
            }
        }
        Ok(obsolete)
    }

    /// The name as it is known now, with one more lookup counted if it exists.
    pub fn grant(&mut self, parent: Ino, name: &Name, now: Time) -> Result<Entry, FsError> {
        let entry = self.directory(parent)?.names.get(name).ok_or(FsError::NotFound)?;
        let entry_ttl = self.fresh_until(entry).since(now);
        let entry_ttl = if zoo::has(Bug::TtlFromTheUse) { self.metadata_ttl } else { entry_ttl };
        // What becomes of it is decided here: the kernel is to ask.
        let entry_ttl = if entry.local { Duration::ZERO } else { entry_ttl };
        if entry.target == Target::Absent && !entry.local {
            sometimes!(LookupNegative);
            return Ok(Entry { attr: None, entry_ttl, attr_ttl: Duration::ZERO });
        }
        let ino = self.number(parent, name)?;
        self.materialise(parent, name, ino)?;
        self.grant_inode(ino, entry_ttl)
    }

    fn grant_inode(&mut self, ino: Ino, entry_ttl: Duration) -> Result<Entry, FsError> {
        let inode = self.inodes.get_mut(&ino).ok_or(FsError::UnknownInode(ino.0))?;
        inode.lookups += 1;
        let brief = zoo::has(Bug::FstatFollowsTheName) || zoo::has(Bug::FstatOfReplacedFails);
        let attr_ttl = if brief { entry_ttl } else { ATTR_TTL };
        Ok(Entry { attr: Some(self.attr(ino)?), entry_ttl, attr_ttl })
    }

    /// Keeps what a HEAD or GET told of this Version of the name.
    pub fn describe(&mut self, parent: Ino, name: &Name, version: &Version, meta: &Arc<ObjectMeta>) {
        let Ok(entry) = self.entry_mut(parent, name) else { return };
        if entry.local || !matches!(&entry.target, Target::File(known) if known.is_same(version)) {
            return;
        }
        entry.meta = Some(meta.clone());
        if let Some(ino) = entry.ino
            && let Ok(file) = self.file_mut(ino)
        {
            file.meta.get_or_insert(meta.clone());
        }
    }

    /// Keeps what a HEAD told of a directory's marker.
    pub fn describe_directory(&mut self, parent: Ino, name: &Name, marker: &Arc<ObjectMeta>) {
        let Ok(entry) = self.entry_mut(parent, name) else { return };
        if entry.target != Target::Directory || entry.local {
            return;
        }
        entry.meta = Some(marker.clone());
    }

    /// Whether the name must be described before it can be shown.
    pub fn is_undescribed(&self, parent: Ino, name: &Name) -> bool {
        let entry = self.directory(parent).ok().and_then(|directory| directory.names.get(name));
        entry.is_some_and(|entry| self.wants_meta(entry))
    }

    /// What of a listed name must be described before it can be shown.
    pub fn undescribed(&self, parent: Ino, name: &Name) -> Option<Undescribed> {
        let directory = self.directory(parent).ok()?;
        let entry = directory.names.get(name).filter(|entry| self.wants_meta(entry))?;
        match &entry.target {
            Target::File(version) => Some(Undescribed::File(version.clone())),
            Target::Directory => Some(Undescribed::Directory(Key::from(format!("{}/", directory.key(name))))),
            Target::Absent => None,
        }
    }

    /// What the name is shown as, as far as is known.
    pub fn kind(&self, parent: Ino, name: &Name) -> Option<Kind> {
        let entry = self.directory(parent).ok()?.names.get(name)?;
        if entry.local {
            return self.attr(entry.ino?).ok().map(|attr| attr.kind);
        }
        match &entry.target {
            Target::Absent => None,
            Target::Directory => Some(Kind::Directory),
            Target::File(_) => Some(self.posix(entry.meta.as_deref()).kind.unwrap_or(Kind::File)),
        }
    }

    /// A listing begins: until its end, names that it has taken in are remembered however old they get.
    pub fn listing_begins(&mut self, ino: Ino) -> Result<(), FsError> {
        self.directory_mut(ino)?.listings += 1;
        Ok(())
    }

    pub fn listing_ended(&mut self, ino: Ino) {
        if let Ok(directory) = self.directory_mut(ino) {
            directory.listings -= 1;
        }
    }

    /// The inode number that a name has or will have; listings show it before any look-up.
    pub fn number(&mut self, parent: Ino, name: &Name) -> Result<Ino, FsError> {
        if let Some(ino) = self.entry_mut(parent, name)?.ino {
            return Ok(ino);
        }
        let ino = self.fresh_number();
        self.entry_mut(parent, name)?.ino = Some(ino);
        Ok(ino)
    }

    fn fresh_number(&mut self) -> Ino {
        let mut ino = Ino(self.next_ino);
        if zoo::has(Bug::InodeNumberRecycled) {
            while ino > Ino(2) && !self.inodes.contains_key(&Ino(ino.0 - 1)) {
                ino.0 -= 1;
            }
        }
        self.next_ino = ino.0 + 1;
        ino
    }

    /// Whether the bucket was seen to have nothing of the name, and nobody has put anything there since, as far as is known.
    pub fn is_known_absent(&self, parent: Ino, name: &Name) -> bool {
        let entry = self.directory(parent).ok().and_then(|directory| directory.names.get(name));
        entry.is_none_or(|entry| entry.target == Target::Absent && entry.seen.began >= entry.doubted)
    }

    /// Whether the name stands for something, as far as is known.
    pub fn exists(&self, parent: Ino, name: &Name) -> bool {
        let entry = self.directory(parent).ok().and_then(|directory| directory.names.get(name));
        entry.is_some_and(|entry| entry.local || entry.target != Target::Absent)
    }

    /// A request that began at `stamp` saw the inode's Version to be the current one.
    pub fn verified(&mut self, ino: Ino, stamp: Stamp) {
        let Ok((parent, name)) = self.place(ino) else { return };
        let doubted = self.entry_mut(parent, &name).is_ok_and(|entry| stamp.order < entry.doubted);
        if !doubted && let Ok(file) = self.file_mut(ino) {
            file.verified = file.verified.max(stamp.at);
        }
    }

    /// What stands of this name is taken for granted no longer, though it is not known to be wrong: the bucket is asked. It
    /// is kept, so that what was asked for before it is still known to be no newer.
    pub fn doubt(&mut self, parent: Ino, name: &Name) {
        let now = self.next_order();
        let Ok(entry) = self.entry_mut(parent, name) else { return };
        entry.doubted = now;
        if let Some(ino) = entry.ino
            && let Ok(file) = self.file_mut(ino)
        {
            file.verified = Time::ZERO;
        }
    }

    /// Takes `count` off the kernel's lookup count; an inode nobody knows is dropped.
    pub fn forget(&mut self, ino: Ino, count: u64) {
        if let Some(inode) = self.inodes.get_mut(&ino)
            && ino != Ino::ROOT
        {
            let count = if zoo::has(Bug::ForgetCountIgnored) { 1 } else { count };
            inode.lookups = inode.lookups.saturating_sub(count);
            if zoo::has(Bug::ForgetDropsWhatWasJustCounted) {
                inode.lookups = 0;
            }
            if inode.lookups > 0 {
                sometimes!(ForgetOvertaken);
            }
            self.drop_if_unknown(ino);
        }
    }

    /// Drops an inode that neither the kernel nor a handle knows.
    pub fn drop_if_unknown(&mut self, ino: Ino) {
        let Some(inode) = self.inodes.get(&ino).filter(|inode| inode.lookups == 0) else { return };
        let in_use = match &inode.node {
            Node::File(file) => file.opens > 0,
            // Linux may forget it, too, between the two walks of an open.
            Node::Directory(_) => ino == Ino::ROOT || self.leads_to_a_pin(ino) || self.has_locals(ino),
        };
        if in_use {
            return;
        }
        let (parent, name) = (inode.parent, inode.name.clone());
        self.inodes.remove(&ino);
        if let Ok(entry) = self.entry_mut(parent, &name) {
            entry.strays.retain(|(stray, _)| *stray != ino);
            if entry.ino == Some(ino) && !zoo::has(Bug::NumberSurvivesForget) {
                entry.ino = None;
            }
        }
        // Forgotten before, it may have been kept for what was local in it.
        self.drop_if_unknown(parent);
    }

    fn next_order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    fn inode(&self, ino: Ino) -> Result<&Inode<C>, FsError> {
        self.inodes.get(&ino).ok_or(FsError::UnknownInode(ino.0))
    }

    fn directory_mut(&mut self, ino: Ino) -> Result<&mut Directory, FsError> {
        match &mut self.inodes.get_mut(&ino).ok_or(FsError::UnknownInode(ino.0))?.node {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(FsError::NotDirectory),
        }
    }

    fn entry_mut(&mut self, parent: Ino, name: &Name) -> Result<&mut NameEntry, FsError> {
        self.directory_mut(parent)?.names.get_mut(name).ok_or(FsError::NotFound)
    }

    /// Makes sure that the name's inode exists.
    fn materialise(&mut self, parent: Ino, name: &Name, ino: Ino) -> Result<(), FsError> {
        if self.inodes.contains_key(&ino) {
            return Ok(());
        }
        let directory = self.directory(parent)?;
        let entry = directory.names.get(name).ok_or(FsError::NotFound)?;
        let node = match &entry.target {
            Target::Absent => return Err(FsError::NotFound),
            Target::Directory => Node::Directory(Directory {
                posix: entry.meta.as_deref().map(Posix::of).unwrap_or_default(),
                ..Directory::new(format!("{}{}/", directory.prefix, name.as_str()))
            }),
            Target::File(version) => {
                Node::File(File { meta: entry.meta.clone(), verified: entry.seen.at, ..File::of(version.clone()) })
            }
        };
        self.inodes.insert(ino, Inode { parent, name: name.clone(), lookups: 0, node });
        Ok(())
    }

    /// Listings do not tell what `--posix-metadata` is to show.
    fn wants_meta(&self, entry: &NameEntry) -> bool {
        self.posix_metadata && !entry.local && entry.meta.is_none() && entry.target != Target::Absent
    }

    /// Nobody has asked for the date of what this mount published there, and no inode shows another.
    fn wants_date(&self, entry: &NameEntry) -> bool {
        let undated = matches!(&entry.target, Target::File(version) if version.last_modified == UNDATED);
        undated && entry.ino.is_none_or(|ino| !self.inodes.contains_key(&ino))
    }

    /// Whether the bucket is known to have moved on from what the name's inode stands for.
    fn is_superseded(&self, parent: Ino, name: &Name) -> Result<bool, FsError> {
        let entry = self.directory(parent)?.names.get(name);
        let file = entry.and_then(|entry| entry.ino).and_then(|ino| self.file(ino).ok());
        Ok(file.and_then(|file| file.content.as_ref()).is_some_and(|content| content.is_superseded()))
    }

    fn fresh_until(&self, entry: &NameEntry) -> Time {
        let ttl = match entry.target {
            Target::Absent => self.negative_metadata_ttl,
            Target::Directory | Target::File(_) => self.metadata_ttl,
        };
        if entry.seen.began < entry.doubted { Time::ZERO } else { entry.seen.at.plus(ttl) }
    }

    /// Drops names that are out of date and that the kernel does not know, once there are many; but none that a listing
    /// under way may have taken in and not told of yet.
    fn prune(&mut self, ino: Ino, now: Time) {
        let (positive, negative, idle_names_min) = (self.metadata_ttl, self.negative_metadata_ttl, self.idle_names_min);
        let Some(inode) = self.inodes.get(&ino) else { return };
        let Node::Directory(directory) = &inode.node else { return };
        if directory.names.len() < directory.prune_at || directory.listings > 0 {
            return;
        }
        let idle = |entry: &NameEntry| {
            let ttl = if entry.target == Target::Absent { negative } else { positive };
            let known = entry.ino.is_some_and(|ino| self.inodes.contains_key(&ino)) || !entry.strays.is_empty();
            now >= entry.seen.at.plus(ttl) && !known
        };
        let dropped: Vec<Name> =
            directory.names.iter().filter(|(_, entry)| idle(entry)).map(|(name, _)| name.clone()).collect();
        let Ok(directory) = self.directory_mut(ino) else { return };
        for name in dropped {
            sometimes!(NamesPruned);
            let ended = directory.names.remove(&name).map_or(0, |entry| entry.seen.ended);
            directory.pruned = directory.pruned.max(ended);
        }
        directory.prune_at = (2 * directory.names.len()).max(idle_names_min);
    }
}

impl<C> File<C> {
    fn of(version: Version) -> Self {
        Self {
            version,
            meta: None,
            content: None,
            opens: 0,
            verified: Time::ZERO,
            own: None,
            unlinked: false,
            abandoned: false,
            spoilt: false,
        }
    }
}

impl Directory {
    fn new(prefix: String) -> Self {
        Self { prefix, names: BTreeMap::new(), prune_at: 0, pruned: 0, listings: 0, posix: Posix::default() }
    }

    /// The key of a file of that name here.
    pub fn key(&self, name: &Name) -> Key {
        Key::from(format!("{}{}", self.prefix, name.as_str()))
    }
}

/// Why an observation was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObserveError {
    Contradiction,
    Fs(FsError),
}

impl From<FsError> for ObserveError {
    fn from(error: FsError) -> Self {
        Self::Fs(error)
    }
}

#[cfg(test)]
mod tests;

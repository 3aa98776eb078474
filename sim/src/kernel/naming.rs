//! Making, removing and moving names: open(2) with O_CREAT, mkdir, unlink, rmdir, rename (fs/namei.c, fs/fuse/dir.c).
//!
//! A directory is locked while a name of it is made, removed or moved, so nobody looks a name of it up meanwhile; and a
//! file while it is removed or moved, so nobody writes to it.

use std::future::Future;
use std::sync::Arc;

use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Entry, Ino, Kind, NewNode, Op, Reply};

use super::files::{OpenHow, Reached};
use super::names::{DentryId, Held};
use super::system_call::{SystemCall, Thread};
use super::walk::{Cached, How};
use super::{EBUSY, EINTR, Kernel};

/// Mode bits.
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;

/// A name in a directory.
struct Place {
    directory: Held,
    name: Arc<[u8]>,
    /// A slash follows.
    slash: bool,
}

impl Kernel {
    pub fn mkdir(&self, path: &str) -> SystemCall<Result<(), Errno>> {
        let path: Arc<[u8]> = Arc::from(path.as_bytes());
        self.retrying(move |thread, revalidate| {
            let path = path.clone();
            async move { thread.mkdir(&path, revalidate).await }
        })
    }

    pub fn symlink(&self, target: &str, path: &str) -> SystemCall<Result<(), Errno>> {
        let (path, target): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(path.as_bytes()), Arc::from(target.as_bytes()));
        self.retrying(move |thread, revalidate| {
            let (path, target) = (path.clone(), target.clone());
            async move { thread.symlink(&target, &path, revalidate).await }
        })
    }

    /// A file that nobody opens yet, a FIFO or a socket.
    pub fn mknod(&self, path: &str, kind: Kind) -> SystemCall<Result<(), Errno>> {
        let path: Arc<[u8]> = Arc::from(path.as_bytes());
        self.retrying(move |thread, revalidate| {
            let path = path.clone();
            async move { thread.mknod(&path, kind, revalidate).await }
        })
    }

    pub fn unlink(&self, path: &str) -> SystemCall<Result<(), Errno>> {
        let path: Arc<[u8]> = Arc::from(path.as_bytes());
        self.retrying(move |thread, revalidate| {
            let path = path.clone();
            async move { thread.remove(&path, false, revalidate).await }
        })
    }

    pub fn rmdir(&self, path: &str) -> SystemCall<Result<(), Errno>> {
        let path: Arc<[u8]> = Arc::from(path.as_bytes());
        self.retrying(move |thread, revalidate| {
            let path = path.clone();
            async move { thread.remove(&path, true, revalidate).await }
        })
    }

    /// `no_replace`: RENAME_NOREPLACE.
    pub fn rename(&self, from: &str, to: &str, no_replace: bool) -> SystemCall<Result<(), Errno>> {
        let (from, to): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(from.as_bytes()), Arc::from(to.as_bytes()));
        self.retrying(move |thread, revalidate| {
            let (from, to) = (from.clone(), to.clone());
            async move { thread.rename(&from, &to, no_replace, revalidate).await }
        })
    }

    /// Told that something on the way is stale, Linux goes that way again, once, past every entry TTL (retry_estale).
    fn retrying<F>(&self, act: impl Fn(Thread, bool) -> F + Send + 'static) -> SystemCall<Result<(), Errno>>
    where
        F: Future<Output = Result<(), Errno>> + Send + 'static,
    {
        self.enter(|thread| async move {
            match act(thread.clone(), false).await {
                Err(Errno::ESTALE) => act(thread, true).await,
                outcome => outcome,
            }
        })
    }
}

impl Thread {
    /// The directory that the last name of a path is in. Errors: `root` for the root itself.
    async fn place(&self, path: &[u8], revalidate: bool, root: Errno) -> Result<Place, Errno> {
        let len = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
        let slash = len < path.len();
        let path = &path[..len];
        let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (above, name) = path.split_at(start);
        if name.is_empty() || name == b"." || name == b".." {
            return Err(root);
        }
        let directory = self.walk(above, How { follow: true, revalidate }).await?;
        if self.kind(directory.ino()) != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.permit(directory.ino(), EXECUTE).await?;
        Ok(Place { directory, name: Arc::from(name), slash })
    }

    /// What has the name now. The directory is locked.
    async fn find_locked(&self, place: &Place, revalidate: bool) -> Result<Option<Held>, Errno> {
        let (directory, name) = (&place.directory, &place.name);
        loop {
            match self.cached(directory.dentry, name, revalidate) {
                Cached::Fresh(held) => return Ok(Some(held)),
                Cached::Absent => return Ok(None),
                Cached::Stale(held, target) => {
                    if self.revalidate(directory.ino(), &held, target, name).await? {
                        return Ok(Some(held));
                    }
                    self.kernel.with(|state| state.names.invalidate(held.dentry));
                }
                Cached::Unknown => {}
            }
            match self.look_up_new(directory, name).await {
                Ok(Some(held)) => return Ok(Some(held)),
                Ok(None) => {}
                Err(Errno::ENOENT) => return Ok(None),
                Err(errno) => return Err(errno),
            }
        }
    }

    async fn may_change(&self, directory: Ino) -> Result<(), Errno> {
        if self.kernel.shared.config.read_only {
            return Err(Errno::EROFS);
        }
        self.permit(directory, WRITE | EXECUTE).await
    }

    fn path_of(&self, place: &Place) -> String {
        let above = self.kernel.path_of(place.directory.dentry);
        format!("{above}/{}", String::from_utf8_lossy(&place.name))
    }

    fn new_node(&self, perm: u16) -> NewNode {
        let config = &self.kernel.shared.config;
        NewNode { perm, uid: config.uid, gid: config.gid }
    }

    /// Gives a name to what the core has made for it.
    fn link_made(&self, place: &Place, entry: &Entry, evictions: u64, kind: Kind) -> Held {
        let Some(attr) = &entry.attr else { self.kernel.violated("what was made is not there".to_string()) };
        if attr.kind != kind {
            self.kernel.violated(format!("a {kind:?} was made, and is {attr:?}"));
        }
        let seen = self.seen(evictions);
        let directory = place.directory.dentry;
        self.kernel.with(|state| {
            let dentry = state.names.link_made(directory, &place.name, attr, entry, seen);
            Held::new(&self.kernel, &mut state.names, dentry)
        })
    }

    // The calls.

    /// open(2) with O_CREAT (lookup_open, fuse_create_open).
    pub(super) async fn walk_or_create(
        &self,
        path: &[u8],
        how: OpenHow,
        revalidate: bool,
        began: Time,
    ) -> Result<Reached, Errno> {
        let place = self.place(path, revalidate, Errno::EISDIR).await?;
        if place.slash {
            return Err(Errno::EISDIR);
        }
        if !how.exclusive
            && let Cached::Fresh(held) = self.cached(place.directory.dentry, &place.name, revalidate)
        {
            return self.follow_found(path, held, how, revalidate).await;
        }
        let locked = self.lock_for_change(place.directory.ino()).await;
        // What must not be there is looked for past every entry TTL (LOOKUP_EXCL).
        if let Some(held) = self.find_locked(&place, revalidate || how.exclusive).await? {
            drop(locked);
            return self.follow_found(path, held, how, revalidate).await;
        }
        self.may_change(place.directory.ino()).await?;
        let evictions = self.kernel.with(|state| state.names.evictions());
        let (parent, name) = (place.directory.ino(), place.name.to_vec());
        let node = self.new_node(0o644);
        let op = Op::Create { parent, name, mode: how.mode, exclusive: how.exclusive, node };
        let outcome = self.change(op, vec![self.path_of(&place)]).await;
        self.note_stale(outcome.as_ref().err(), began);
        let (entry, fh) = match outcome? {
            Reply::Created { entry, fh } => (entry, fh),
            other => self.kernel.violated(format!("CREATE was answered with {other:?}")),
        };
        // Of a file that is made and opened at once, the mount tells one TTL for both.
        let entry = Entry { attr_ttl: entry.attr_ttl.min(entry.entry_ttl), ..entry };
        let held = self.link_made(&place, &entry, evictions, Kind::File);
        let ino = held.ino();
        let file = self.kernel.file(held, fh, how);
        if how.mode.truncate {
            self.resized(ino, 0).await;
        }
        self.kernel.with(|state| state.names.doubt_attributes(parent));
        // may_open, for which no mode is needed.
        self.permit(ino, 0).await?;
        self.opened(file).await.map(Reached::Created)
    }

    async fn follow_found(&self, path: &[u8], held: Held, how: OpenHow, revalidate: bool) -> Result<Reached, Errno> {
        if how.exclusive {
            return Err(Errno::EEXIST);
        }
        if self.kind(held.ino()) == Kind::Symlink {
            // What a dangling link points to is not made here.
            drop(held);
            return self.walk(path, How { follow: true, revalidate }).await.map(Reached::Found);
        }
        Ok(Reached::Found(held))
    }

    async fn mkdir(&self, path: &[u8], revalidate: bool) -> Result<(), Errno> {
        let node = self.new_node(0o755);
        self.make(path, Kind::Directory, revalidate, |parent, name| Op::Mkdir { parent, name, node }).await
    }

    async fn symlink(&self, target: &[u8], path: &[u8], revalidate: bool) -> Result<(), Errno> {
        let (target, node) = (target.to_vec(), self.new_node(0o777));
        self.make(path, Kind::Symlink, revalidate, |parent, name| Op::Symlink { parent, name, target, node }).await
    }

    async fn mknod(&self, path: &[u8], kind: Kind, revalidate: bool) -> Result<(), Errno> {
        let node = self.new_node(0o644);
        self.make(path, kind, revalidate, |parent, name| Op::Mknod { parent, name, kind, node }).await
    }

    /// A new name for what the request makes.
    async fn make(
        &self,
        path: &[u8],
        kind: Kind,
        revalidate: bool,
        request: impl FnOnce(Ino, Vec<u8>) -> Op,
    ) -> Result<(), Errno> {
        let place = self.place(path, revalidate, Errno::EEXIST).await?;
        let directory = place.directory.ino();
        let _locked = self.lock_for_change(directory).await;
        // LOOKUP_EXCL
        if self.find_locked(&place, true).await?.is_some() {
            return Err(Errno::EEXIST);
        }
        // mkdir(2) alone takes a path that ends in a slash.
        if place.slash && kind != Kind::Directory {
            return Err(Errno::ENOENT);
        }
        self.may_change(directory).await?;
        let evictions = self.kernel.with(|state| state.names.evictions());
        match self.change(request(directory, place.name.to_vec()), vec![self.path_of(&place)]).await? {
            Reply::Entry(entry) => drop(self.link_made(&place, &entry, evictions, kind)),
            other => self.kernel.violated(format!("what makes a {kind:?} was answered with {other:?}")),
        }
        self.kernel.with(|state| state.names.doubt_attributes(directory));
        Ok(())
    }

    /// unlink(2), or rmdir(2).
    async fn remove(&self, path: &[u8], is_directory: bool, revalidate: bool) -> Result<(), Errno> {
        let place = self.place(path, revalidate, if is_directory { EBUSY } else { Errno::EISDIR }).await?;
        let parent = place.directory.ino();
        let _locked = self.lock_for_change(parent).await;
        let found = self.find_locked(&place, revalidate).await?.ok_or(Errno::ENOENT)?;
        match (self.kind(found.ino()) == Kind::Directory, is_directory) {
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            (false, false) if place.slash => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.may_change(parent).await?;
        let _victim = self.lock_for_change(found.ino()).await;
        let name = place.name.to_vec();
        let op = if is_directory { Op::Rmdir { parent, name } } else { Op::Unlink { parent, name } };
        let outcome = self.change(op, vec![self.path_of(&place)]).await;
        let gone = matches!(outcome, Ok(_) | Err(Errno::ENOENT | EINTR));
        self.kernel.with(|state| {
            if gone {
                state.names.invalidate(found.dentry);
                state.names.touch(found.ino());
                state.names.doubt_attributes(parent);
            }
        });
        outcome.map(drop)
    }

    async fn rename(&self, from: &[u8], to: &[u8], no_replace: bool, revalidate: bool) -> Result<(), Errno> {
        let from = self.place(from, revalidate, EBUSY).await?;
        let to = self.place(to, revalidate, EBUSY).await?;
        let (parent, new_parent) = (from.directory.ino(), to.directory.ino());
        if self.kernel.shared.config.read_only {
            return Err(Errno::EROFS);
        }
        // The directory above first (lock_rename).
        let renaming = if parent == new_parent { None } else { Some(self.lock_renames().await) };
        let below = self.is_beneath(from.directory.dentry, to.directory.dentry);
        let (first, second) = if below { (new_parent, parent) } else { (parent, new_parent) };
        let _first = self.lock(first, true).await;
        let _second = if renaming.is_some() { Some(self.lock(second, true).await) } else { None };
        let source = self.find_locked(&from, revalidate).await?.ok_or(Errno::ENOENT)?;
        // LOOKUP_RENAME_TARGET
        let target = self.find_locked(&to, true).await?;
        let is_directory = self.kind(source.ino()) == Kind::Directory;
        if !is_directory && (from.slash || to.slash) {
            return Err(Errno::ENOTDIR);
        }
        if is_directory && self.is_beneath(to.directory.dentry, source.dentry) {
            return Err(Errno::EINVAL);
        }
        if let Some(target) = &target {
            if no_replace {
                return Err(Errno::EEXIST);
            }
            if target.ino() == source.ino() {
                return Ok(());
            }
            match (is_directory, self.kind(target.ino()) == Kind::Directory) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                _ => {}
            }
        }
        self.may_change(parent).await?;
        self.may_change(new_parent).await?;
        // A directory that stays in its own is not locked itself (lock_old_subdir).
        let locked_source = Some(&source).filter(|_| !is_directory || parent != new_parent);
        let files = [locked_source, target.as_ref()].into_iter().flatten();
        let files: Vec<Ino> = files.map(Held::ino).filter(|ino| ![parent, new_parent].contains(ino)).collect();
        let _files = self.lock_all(files).await;
        let op = Op::Rename { parent, name: from.name.to_vec(), new_parent, new_name: to.name.to_vec(), no_replace };
        let outcome = self.change(op, vec![self.path_of(&from), self.path_of(&to)]).await;
        self.kernel.with(|state| match outcome {
            Ok(_) => {
                state.names.touch(source.ino());
                if let Some(target) = &target {
                    state.names.touch(target.ino());
                }
                state.names.rename(source.dentry, to.directory.dentry, &to.name);
                state.names.doubt_attributes(parent);
                state.names.doubt_attributes(new_parent);
            }
            Err(Errno::ENOENT | EINTR) => {
                state.names.invalidate(source.dentry);
                if let Some(target) = &target {
                    state.names.invalidate(target.dentry);
                }
            }
            Err(_) => {}
        });
        outcome.map(drop)
    }

    fn is_beneath(&self, dentry: DentryId, above: DentryId) -> bool {
        self.kernel.with(|state| {
            let mut at = dentry;
            while at != above && at != DentryId::ROOT {
                at = state.names.parent(at);
            }
            at == above
        })
    }
}

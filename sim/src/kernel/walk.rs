//! Path walks: names from the dentry cache while they are fresh, else by LOOKUP; symbolic links on the way (fs/namei.c,
//! fs/fuse/dir.c).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use holdfast::error::Errno;
use holdfast::op::{Entry, Ino, Kind, Op, Reply};

use super::ELOOP;
use super::names::{DentryId, Held, Known};
use super::system_call::Thread;
use super::witness::How as Told;

/// MAXSYMLINKS
const LINKS_MAX: usize = 40;

/// Where a path leads, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct How {
    /// A symbolic link at the end stands for what it points to.
    pub(super) follow: bool,
    /// Every name is asked for, whatever its TTL (LOOKUP_REVAL).
    pub(super) revalidate: bool,
}

/// Mode bits.
const EXECUTE: u32 = 1;

impl Thread {
    /// The inode at a path, absolute within the mount.
    pub(super) async fn walk(&self, path: &[u8], how: How) -> Result<Held, Errno> {
        let mut at = self.root();
        // The path, and on top of it the targets of links that are being followed, each with how far it was read.
        let mut rest: Vec<(Arc<[u8]>, usize)> = vec![(Arc::from(path), 0)];
        let mut links = 0;
        while let Some(name) = next_name(&mut rest) {
            // A name that nothing follows is the last, and a slash after it makes it a directory.
            let (last, slash) = is_last(&rest);
            if self.kind(at.ino()) != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            self.permit(at.ino(), EXECUTE).await?;
            match &*name {
                b"." => {}
                b".." => at = self.parent(&at),
                _ => {
                    let next = self.step(&at, &name, how.revalidate).await?;
                    if self.kind(next.ino()) == Kind::Symlink && (!last || slash || how.follow) {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err(ELOOP);
                        }
                        let target = self.link_target(next.ino()).await?;
                        if target.starts_with(b"/") {
                            at = self.root();
                        }
                        rest.push((target, 0));
                        continue;
                    }
                    at = next;
                }
            }
            if last && slash && self.kind(at.ino()) != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
        }
        Ok(at)
    }

    fn root(&self) -> Held {
        self.kernel.with(|state| Held::new(&self.kernel, &mut state.names, DentryId::ROOT))
    }

    fn parent(&self, at: &Held) -> Held {
        self.kernel.with(|state| {
            let parent = state.names.parent(at.dentry);
            Held::new(&self.kernel, &mut state.names, parent)
        })
    }

    pub(super) fn kind(&self, ino: Ino) -> Kind {
        self.kernel.with(|state| state.names.inode(ino).attr.kind)
    }

    pub(super) async fn step(&self, at: &Held, name: &Arc<[u8]>, revalidate: bool) -> Result<Held, Errno> {
        let parent = at.dentry;
        loop {
            match self.cached(parent, name, revalidate) {
                Cached::Fresh(held) => return Ok(held),
                Cached::Absent => return Err(Errno::ENOENT),
                Cached::Stale(held, target) => {
                    if self.revalidate(at.ino(), &held, target, name).await? {
                        return Ok(held);
                    }
                    self.kernel.with(|state| state.names.invalidate(held.dentry));
                }
                Cached::Unknown => {}
            }
            let _shared = match self.kernel.shared.config.read_only {
                true => None,
                false => Some(self.lock(at.ino(), false).await),
            };
            // Whoever comes second waits, and then looks at what the first has found as at any cached name.
            let waited = self.wait_for_look_up(parent, name).await;
            if waited {
                continue;
            }
            if let Some(looked_up) = self.look_up_new(at, name).await? {
                return Ok(looked_up);
            }
        }
    }

    pub(super) fn cached(&self, parent: DentryId, name: &[u8], revalidate: bool) -> Cached {
        let now = self.kernel.now();
        self.kernel.with(|state| {
            let names = &mut state.names;
            let Some(Known { dentry, ino, until }) = names.find(parent, name) else { return Cached::Unknown };
            let fresh = now < until && !revalidate;
            match ino {
                None if fresh => Cached::Absent,
                // A missing name is not asked about; it is looked up like any other.
                None => {
                    names.invalidate(dentry);
                    Cached::Unknown
                }
                Some(target) => {
                    let held = Held::new(&self.kernel, names, dentry);
                    if fresh {
                        names.walked_by(parent, target);
                        Cached::Fresh(held)
                    } else {
                        Cached::Stale(held, target)
                    }
                }
            }
        })
    }

    /// Whether the name still stands for the inode: any answer but that one drops the name and is itself forgotten
    /// (fuse_dentry_revalidate). Those who ask about one name at a time do not wait for each other.
    pub(super) async fn revalidate(&self, parent: Ino, held: &Held, target: Ino, name: &[u8]) -> Result<bool, Errno> {
        let above = self.kernel.with(|state| state.names.parent(held.dentry));
        let answer = match self.look_up(above, parent, name).await {
            Err(super::EINTR) => return Err(super::EINTR),
            answer => answer,
        };
        let seen = self.seen(0);
        let Ok(entry) = answer else { return Ok(false) };
        let Some(attr) = &entry.attr else { return Ok(false) };
        Ok(self.kernel.with(|state| {
            let same = attr.ino == target;
            if same {
                state.names.prolong(held.dentry, attr, &entry, seen);
            } else {
                state.names.forgets.push_back((attr.ino, 1));
            }
            same
        }))
    }

    /// Looks a name up that the cache does not have. `None`: meanwhile a listing has brought it.
    pub(super) async fn look_up_new(&self, at: &Held, name: &Arc<[u8]>) -> Result<Option<Held>, Errno> {
        let parent = at.dentry;
        let begins = self.kernel.with(|state| {
            let unknown = state.names.find(parent, name).is_none();
            if unknown {
                state.names.look_up_begins(parent, name);
            }
            unknown
        });
        if !begins {
            return Ok(None);
        }
        let ending = LookUp { thread: self, parent, name };
        let evictions = self.kernel.with(|state| state.names.evictions());
        let entry = self.look_up(parent, at.ino(), name).await?;
        let seen = self.seen(evictions);
        let found = self.kernel.with(|state| match &entry.attr {
            Some(attr) => {
                let dentry = state.names.link_looked_up(parent, name, attr, &entry, seen);
                Ok(Some(Held::new(&self.kernel, &mut state.names, dentry)))
            }
            None => {
                state.names.link_negative(parent, name, entry.entry_ttl, seen.now);
                Err(Errno::ENOENT)
            }
        });
        drop(ending);
        found
    }

    /// Waits until nobody looks the name up. Whether anybody did.
    pub(super) async fn wait_for_look_up(&self, parent: DentryId, name: &[u8]) -> bool {
        let mut waited = false;
        poll_fn(|context| {
            if self.kernel.with(|state| state.names.is_looked_up(parent, name, context.waker())) {
                waited = true;
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        waited
    }

    async fn look_up(&self, above: DentryId, parent: Ino, name: &[u8]) -> Result<Entry, Errno> {
        match self.request(Op::Lookup { parent, name: name.to_vec() }).await? {
            Reply::Entry(entry) => {
                self.kernel.witness(above, name, &entry, self.began, Told::LookedUp);
                Ok(entry)
            }
            other => self.kernel.violated(format!("LOOKUP was answered with {other:?}")),
        }
    }
}

pub(super) enum Cached {
    Fresh(Held),
    Stale(Held, Ino),
    /// Known not to exist.
    Absent,
    Unknown,
}

/// A look-up under way, for as long as others must wait for it.
struct LookUp<'a> {
    thread: &'a Thread,
    parent: DentryId,
    name: &'a [u8],
}

impl Drop for LookUp<'_> {
    fn drop(&mut self) {
        let wakers = self.thread.kernel.with(|state| state.names.look_up_ends(self.parent, self.name));
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Takes the next component off the innermost of the paths; those that are read to their end are dropped.
fn next_name(rest: &mut Vec<(Arc<[u8]>, usize)>) -> Option<Arc<[u8]>> {
    loop {
        let (path, at) = rest.last_mut()?;
        let left = &path[*at..];
        let skipped = left.iter().take_while(|byte| **byte == b'/').count();
        let name = left[skipped..].split(|byte| *byte == b'/').next().unwrap_or_default();
        if name.is_empty() {
            rest.pop();
            continue;
        }
        let name: Arc<[u8]> = Arc::from(name);
        *at += skipped + name.len();
        return Some(name);
    }
}

/// Whether no component is left, and whether slashes are.
fn is_last(rest: &[(Arc<[u8]>, usize)]) -> (bool, bool) {
    let mut left = rest.iter().flat_map(|(path, at)| &path[*at..]);
    (left.clone().all(|byte| *byte == b'/'), left.next().is_some())
}

//! What is asked about an inode: attributes, permission, link targets, extended attributes, the file system.

use std::future::Future;
use std::sync::Arc;

use holdfast::error::Errno;
use holdfast::op::{Attr, Ino, Kind, Op, Reply, Statfs};

use super::names::Held;
use super::system_call::{SystemCall, Thread};
use super::walk::How;
use super::{Kernel, OpenFile};

/// What stat(2) shows of an inode, and an attribute of it, if it has that.
pub type Beside = (Attr, Option<Vec<u8>>);

impl Kernel {
    pub fn stat(&self, path: &str) -> SystemCall<Result<Attr, Errno>> {
        self.stat_by(path, true)
    }

    /// Of a symbolic link itself.
    pub fn lstat(&self, path: &str) -> SystemCall<Result<Attr, Errno>> {
        self.stat_by(path, false)
    }

    fn stat_by(&self, path: &str, follow: bool) -> SystemCall<Result<Attr, Errno>> {
        self.at_path(path, follow, |thread, held, ()| async move { thread.attributes(held.ino()).await }, ())
    }

    pub fn fstat(&self, file: &Arc<OpenFile>) -> SystemCall<Result<Attr, Errno>> {
        if let Some(attr) = self.fresh_attributes(file.ino()) {
            return SystemCall::ready(Ok(attr));
        }
        let file = file.clone();
        self.enter(|thread| async move { thread.attributes(file.ino()).await })
    }

    /// access(2). `mask`: 4 read, 2 write, 1 execute, 0 existence.
    pub fn access(&self, path: &str, mask: u32) -> SystemCall<Result<(), Errno>> {
        self.at_path(path, true, |thread, held, mask| async move { thread.access(held.ino(), mask).await }, mask)
    }

    pub fn readlink(&self, path: &str) -> SystemCall<Result<Vec<u8>, Errno>> {
        let read = |thread: Thread, held: Held, ()| async move {
            if thread.kind(held.ino()) != Kind::Symlink {
                return Err(Errno::EINVAL);
            }
            thread.link_target(held.ino()).await.map(|target| target.to_vec())
        };
        self.at_path(path, false, read, ())
    }

    pub fn statfs(&self, path: &str) -> SystemCall<Result<Statfs, Errno>> {
        let ask = |thread: Thread, held: Held, ()| async move {
            match thread.request(Op::Statfs { ino: held.ino() }).await? {
                Reply::Statfs(statfs) => Ok(statfs),
                other => thread.kernel.violated(format!("STATFS was answered with {other:?}")),
            }
        };
        self.at_path(path, true, ask, ())
    }

    pub fn getxattr(&self, file: &Arc<OpenFile>, name: &str) -> SystemCall<Result<Vec<u8>, Errno>> {
        let (file, name) = (file.clone(), name.as_bytes().to_vec());
        self.enter(|thread| async move { thread.getxattr(file.ino(), name).await })
    }

    pub fn getxattr_at(&self, path: &str, name: &str) -> SystemCall<Result<Vec<u8>, Errno>> {
        let name = name.as_bytes().to_vec();
        self.at_path(path, true, |thread, held, name| async move { thread.getxattr(held.ino(), name).await }, name)
    }

    /// An attribute of what is at a path, `None` if it has none of that name, beside what stat(2) shows of the same inode: as
    /// of a descriptor opened with O_PATH.
    pub fn getxattr_beside(&self, path: &str, name: &str) -> SystemCall<Result<Beside, Errno>> {
        let name = name.as_bytes().to_vec();
        let ask = |thread: Thread, held: Held, name| async move {
            let attr = thread.kernel.known_attributes(held.ino());
            match thread.getxattr(held.ino(), name).await {
                Ok(value) => Ok((attr, Some(value))),
                Err(Errno::ENODATA) => Ok((attr, None)),
                Err(errno) => Err(errno),
            }
        };
        self.at_path(path, true, ask, name)
    }

    /// Names, each ended by NUL.
    pub fn listxattr(&self, path: &str) -> SystemCall<Result<Vec<u8>, Errno>> {
        self.at_path(path, true, |thread, held, ()| async move { thread.listxattr(held.ino()).await }, ())
    }

    /// The same, beside what stat(2) shows of the same inode.
    pub fn listxattr_beside(&self, path: &str) -> SystemCall<Result<(Attr, Vec<u8>), Errno>> {
        let ask = |thread: Thread, held: Held, ()| async move {
            let attr = thread.kernel.known_attributes(held.ino());
            Ok((attr, thread.listxattr(held.ino()).await?))
        };
        self.at_path(path, true, ask, ())
    }

    /// A call on what a path leads to. Told that something on the way is stale, Linux walks again, past every entry TTL,
    /// once (retry_estale).
    pub(super) fn at_path<T, A, F>(
        &self,
        path: &str,
        follow: bool,
        act: impl Fn(Thread, Held, A) -> F + Send + 'static,
        argument: A,
    ) -> SystemCall<Result<T, Errno>>
    where
        T: Send + 'static,
        A: Clone + Send + 'static,
        F: Future<Output = Result<T, Errno>> + Send + 'static,
    {
        let path: Arc<[u8]> = Arc::from(path.as_bytes());
        self.enter(|thread| async move {
            let mut how = How { follow, revalidate: false };
            loop {
                let outcome = match thread.walk(&path, how).await {
                    Ok(held) => act(thread.clone(), held, argument.clone()).await,
                    Err(errno) => Err(errno),
                };
                match outcome {
                    Err(Errno::ESTALE) if !how.revalidate => how.revalidate = true,
                    outcome => return outcome,
                }
            }
        })
    }

    pub(super) fn fresh_attributes(&self, ino: Ino) -> Option<Attr> {
        let now = self.now();
        self.with(|state| {
            let inode = state.names.inode(ino);
            inode.attributes_are_fresh(now).then(|| inode.attr.clone())
        })
    }
}

impl Thread {
    pub(super) async fn attributes(&self, ino: Ino) -> Result<Attr, Errno> {
        if let Some(attr) = self.kernel.fresh_attributes(ino) {
            return Ok(attr);
        }
        self.ask_attributes(ino).await
    }

    /// For who reads beyond the end.
    pub(super) async fn size(&self, ino: Ino) -> Result<u64, Errno> {
        let now = self.kernel.now();
        let fresh = self.kernel.with(|state| {
            let inode = state.names.inode(ino);
            inode.size_is_fresh(now).then_some(inode.attr.size)
        });
        match fresh {
            Some(size) => Ok(size),
            None => Ok(self.ask_attributes(ino).await?.size),
        }
    }

    async fn ask_attributes(&self, ino: Ino) -> Result<Attr, Errno> {
        match self.request(Op::Getattr { ino }).await? {
            Reply::Attr { attr, ttl } => {
                let seen = self.seen(0);
                // What was changed from here meanwhile is shown as it is by now.
                Ok(self.kernel.with(|state| {
                    state.names.set_attributes(&attr, ttl, seen);
                    let size = state.names.inode(ino).attr.size;
                    if state.names.inode(ino).attr.kind == Kind::Directory { attr } else { Attr { size, ..attr } }
                }))
            }
            other => self.kernel.violated(format!("GETATTR was answered with {other:?}")),
        }
    }

    /// Whether the mode bits let this thread use the inode so. Attributes that have expired are asked for first, and
    /// asked for once more before anybody is refused (fuse_permission).
    pub(super) async fn permit(&self, ino: Ino, mask: u32) -> Result<(), Errno> {
        if !self.kernel.shared.config.default_permissions {
            return Ok(());
        }
        let now = self.kernel.now();
        let (uid, gid) = (self.kernel.shared.config.uid, self.kernel.shared.config.gid);
        let cached = self.kernel.with(|state| {
            let inode = state.names.inode(ino);
            inode.mode_is_fresh(now).then(|| grants(&inode.attr, mask, uid, gid))
        });
        let granted = match cached {
            Some(true) => true,
            Some(false) | None => grants(&self.ask_attributes(ino).await?, mask, uid, gid),
        };
        if granted { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// What Linux asks before it changes a file's bytes: whether it has privileges that go with that (file_remove_privs). What
    /// is answered makes no difference here.
    pub(super) async fn ask_privileges(&self, ino: Ino) {
        let _ = self.request(Op::Getxattr { ino, name: b"security.capability".to_vec() }).await;
    }

    async fn access(&self, ino: Ino, mask: u32) -> Result<(), Errno> {
        const WRITE: u32 = 2;
        let config = &self.kernel.shared.config;
        if config.read_only && mask & WRITE != 0 {
            return Err(Errno::EROFS);
        }
        if config.default_permissions {
            return self.permit(ino, mask).await;
        }
        self.request(Op::Access { ino, mask, uid: config.uid, gid: config.gid }).await.map(drop)
    }

    /// Read once, then kept with the inode's pages.
    pub(super) async fn link_target(&self, ino: Ino) -> Result<Arc<[u8]>, Errno> {
        if let Some(target) = self.kernel.with(|state| state.names.inode(ino).link.clone()) {
            return Ok(target);
        }
        match self.request(Op::Readlink { ino }).await? {
            Reply::Link(target) => {
                let target: Arc<[u8]> = target.into();
                self.kernel.with(|state| {
                    if let Some(inode) = state.names.inode_mut(ino) {
                        inode.link = Some(target.clone());
                    }
                });
                Ok(target)
            }
            other => self.kernel.violated(format!("READLINK was answered with {other:?}")),
        }
    }

    async fn listxattr(&self, ino: Ino) -> Result<Vec<u8>, Errno> {
        match self.request(Op::Listxattr { ino }).await? {
            Reply::Xattr(names) => Ok(names),
            other => self.kernel.violated(format!("LISTXATTR was answered with {other:?}")),
        }
    }

    async fn getxattr(&self, ino: Ino, name: Vec<u8>) -> Result<Vec<u8>, Errno> {
        match self.request(Op::Getxattr { ino, name }).await? {
            Reply::Xattr(value) => Ok(value),
            other => self.kernel.violated(format!("GETXATTR was answered with {other:?}")),
        }
    }
}

/// generic_permission, of a user who is nobody's group member but `gid`'s.
fn grants(attr: &Attr, mask: u32, uid: u32, gid: u32) -> bool {
    const EXECUTE: u32 = 1;
    let mode = u32::from(attr.perm);
    let bits = if uid == 0 {
        // Root reads everything, searches every directory, and executes what anybody may.
        if attr.kind == Kind::Directory || mode & 0o111 != 0 { 7 } else { 7 & !EXECUTE }
    } else if uid == attr.uid {
        mode >> 6
    } else if gid == attr.gid {
        mode >> 3
    } else {
        mode
    };
    mask & !bits & 7 == 0
}

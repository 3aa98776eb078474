//! Attributes of inodes and of the file system: always at hand, never a request; and what symbolic links point to.

use crate::config::{ATTR_TTL, LINK_BYTES_MAX, MIB};
use crate::data::patience::or_timeout;
use crate::env::Env;
use crate::env::store::{Body, ErrorKind, StoreError};
use crate::error::FsError;
use crate::fs::Fs;
use crate::op::{Ino, Kind, Name, Reply, Statfs};
use crate::zoo::{self, Bug};

/// statfs(2) of a bucket: large, constant, and small enough for 32-bit block counts at this block size.
const STATFS: Statfs =
    Statfs { blocks: 1 << 32, files: 1 << 32, block_bytes: MIB as u32, name_bytes_max: Name::BYTES_MAX as u32 };

impl<E: Env> Fs<E> {
    /// The attributes of the Version that the inode stands for, whatever the bucket holds by now.
    pub(super) fn getattr(&self, ino: Ino) -> Result<Reply, FsError> {
        let tree = self.tree.lock();
        let attr = tree.attr(ino)?;
        if zoo::has(Bug::FstatOfReplacedFails) && tree.moved_on_to(ino).is_some() {
            return Err(FsError::UnknownInode(ino.0));
        }
        Ok(Reply::Attr { attr, ttl: ATTR_TTL })
    }

    /// The target of a symbolic link: the bytes of its object.
    pub(super) async fn readlink(&self, ino: Ino) -> Result<Reply, FsError> {
        let version = {
            let tree = self.tree.lock();
            if tree.attr(ino)?.kind != Kind::Symlink {
                return Err(FsError::InvalidArgument);
            }
            tree.file(ino)?.version.clone()
        };
        let key = &version.key;
        if version.size == 0 || version.size > LINK_BYTES_MAX {
            let cause = StoreError::new(ErrorKind::InvalidAnswer, format!("a link of {} bytes", version.size));
            return Err(FsError::Nonsense { key: key.clone(), cause });
        }
        // A body that breaks is asked for again, as a request is.
        let fetched = self.context.persist(|| async {
            let mut body = self.context.get_version(&version, None).await?.body;
            let mut target = Vec::new();
            let patience = self.context.config.attempt_timeout;
            while target.len() as u64 <= version.size {
                let chunk = or_timeout(self.context.env.clock(), patience, body.next()).await;
                match chunk.unwrap_or(Some(Err(ErrorKind::NoAnswer.into()))) {
                    Some(chunk) => target.extend_from_slice(&chunk?),
                    None => break,
                }
            }
            Ok(target)
        });
        let target = fetched.await.map_err(|error| FsError::from_store(key, error))?;
        if target.len() as u64 != version.size {
            let what = format!("{} bytes of a link of {}", target.len(), version.size);
            let cause = StoreError::new(ErrorKind::InvalidAnswer, what);
            return Err(FsError::Nonsense { key: key.clone(), cause });
        }
        Ok(Reply::Link(target))
    }

    pub(super) fn statfs(&self) -> Reply {
        Reply::Statfs(STATFS)
    }

    /// access(2) by the mode bits, as `default_permissions` has the kernel do it.
    pub(super) fn access(&self, ino: Ino, mask: u32, uid: u32, gid: u32) -> Result<Reply, FsError> {
        const WRITE: u32 = 2;
        const EXECUTE: u32 = 1;
        let attr = self.tree.lock().attr(ino)?;
        if mask & WRITE != 0 {
            self.may_change("access for writing")?;
        }
        let mode = u32::from(attr.perm);
        let granted = if uid == 0 {
            // Root reads everything, and executes what anybody may.
            if mode & 0o111 != 0 { 7 } else { 7 & !EXECUTE }
        } else if uid == attr.uid {
            mode >> 6
        } else if gid == attr.gid {
            mode >> 3
        } else {
            mode
        };
        if mask & !granted & 7 == 0 { Ok(Reply::Done) } else { Err(FsError::PermissionDenied) }
    }
}

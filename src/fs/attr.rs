//! Attributes of inodes and of the file system: always at hand, never a request.

use crate::config::{ATTR_TTL, MIB};
use crate::env::Env;
use crate::error::FsError;
use crate::fs::Fs;
use crate::op::{Ino, Name, Reply, Statfs};

/// statfs(2) of a bucket: large, constant, and small enough for 32-bit block counts at this block size.
const STATFS: Statfs =
    Statfs { blocks: 1 << 32, files: 1 << 32, block_bytes: MIB as u32, name_bytes_max: Name::BYTES_MAX as u32 };

impl<E: Env> Fs<E> {
    /// The attributes of the Version that the inode stands for, whatever the bucket holds by now.
    pub(super) fn getattr(&self, ino: Ino) -> Result<Reply, FsError> {
        let attr = self.tree.lock().attr(ino)?;
        Ok(Reply::Attr { attr, ttl: ATTR_TTL })
    }

    pub(super) fn readlink(&self, ino: Ino) -> Result<Reply, FsError> {
        self.tree.lock().attr(ino)?;
        Err(FsError::InvalidArgument)
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
            return Err(FsError::ReadOnly("access for writing"));
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

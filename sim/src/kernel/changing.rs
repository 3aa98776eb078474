//! What changes a file besides write(2) and truncate(2): chmod(2), utimensat(2), setxattr(2), fallocate(2) (fuse_do_setattr,
//! fuse_setxattr, fuse_file_fallocate).

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use holdfast::env::UnixTime;
use holdfast::error::Errno;
use holdfast::op::{Allocation, Attr, Changes, Ino, Op, Reply, SetTime, SetXattr};

use super::names::{DentryId, Held};
use super::system_call::{SystemCall, Thread};
use super::{Kernel, OpenFile};

impl Kernel {
    pub fn chmod(&self, path: &str, perm: u16) -> SystemCall<Result<(), Errno>> {
        self.change_attributes(path, Changes { perm: Some(perm), ..Changes::default() })
    }

    /// Sets the time of the last write, in seconds since 1970.
    pub fn utimens(&self, path: &str, seconds: i64) -> SystemCall<Result<(), Errno>> {
        let mtime = Some(SetTime::To(UnixTime { seconds, nanos: 0 }));
        self.change_attributes(path, Changes { mtime, ..Changes::default() })
    }

    pub fn setxattr(&self, path: &str, name: &str, value: &str, how: SetXattr) -> SystemCall<Result<(), Errno>> {
        let (name, value) = (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        self.change_xattr(path, move |ino| Op::Setxattr { ino, name: name.clone(), value: value.clone(), how })
    }

    pub fn removexattr(&self, path: &str, name: &str) -> SystemCall<Result<(), Errno>> {
        let name = name.as_bytes().to_vec();
        self.change_xattr(path, move |ino| Op::Removexattr { ino, name: name.clone() })
    }

    /// Whatever the descriptor is for: permission is asked of the file.
    pub fn fsetxattr(
        &self,
        file: &Arc<OpenFile>,
        name: &str,
        value: &str,
        how: SetXattr,
    ) -> SystemCall<Result<(), Errno>> {
        let (ino, name, value) = (file.ino(), name.as_bytes().to_vec(), value.as_bytes().to_vec());
        self.change_xattr_of(file, Op::Setxattr { ino, name, value, how })
    }

    pub fn fremovexattr(&self, file: &Arc<OpenFile>, name: &str) -> SystemCall<Result<(), Errno>> {
        self.change_xattr_of(file, Op::Removexattr { ino: file.ino(), name: name.as_bytes().to_vec() })
    }

    fn change_xattr_of(&self, file: &Arc<OpenFile>, op: Op) -> SystemCall<Result<(), Errno>> {
        let file = file.clone();
        self.enter(move |thread| async move {
            const WRITE: u32 = 2;
            if thread.kernel.shared.config.read_only {
                return Err(Errno::EROFS);
            }
            thread.permit(file.ino(), WRITE).await?;
            thread.set_xattr(file.ino(), op, || file.names()).await
        })
    }

    fn change_xattr(
        &self,
        path: &str,
        op: impl Fn(Ino) -> Op + Send + Sync + 'static,
    ) -> SystemCall<Result<(), Errno>> {
        let set = |thread: Thread, held: Held, op: Arc<dyn Fn(Ino) -> Op + Send + Sync>| async move {
            const WRITE: u32 = 2;
            if thread.kernel.shared.config.read_only {
                return Err(Errno::EROFS);
            }
            thread.permit(held.ino(), WRITE).await?;
            thread.set_xattr(held.ino(), op(held.ino()), || vec![thread.kernel.path_of(held.dentry)]).await
        };
        self.at_path(path, true, set, Arc::new(op) as Arc<dyn Fn(Ino) -> Op + Send + Sync>)
    }

    fn change_attributes(&self, path: &str, changes: Changes) -> SystemCall<Result<(), Errno>> {
        let set = |thread: Thread, held: Held, changes| async move {
            if thread.kernel.shared.config.read_only {
                return Err(Errno::EROFS);
            }
            thread.set_attributes(held.ino(), changes, held.dentry).await
        };
        self.at_path(path, true, set, changes)
    }

    pub fn fallocate(
        &self,
        file: &Arc<OpenFile>,
        offset: u64,
        len: u64,
        how: Allocation,
    ) -> SystemCall<Result<(), Errno>> {
        let file = file.clone();
        self.enter(move |thread| async move { thread.fallocate(&file, offset, len, how).await })
    }
}

impl Thread {
    async fn set_attributes(&self, ino: Ino, changes: Changes, dentry: DentryId) -> Result<(), Errno> {
        let _locked = self.lock_for_change(ino).await;
        // It may have been renamed while the lock was waited for.
        let names = vec![self.kernel.path_of(dentry)];
        // The server may show it before it answers.
        let before = self.kernel.with(|state| {
            state.names.note_change(ino);
            state.names.changes
        });
        match self.change(Op::Setattr { ino, fh: None, changes }, names).await? {
            Reply::Attr { attr, ttl } => self.attributes_set(ino, &attr, ttl, before),
            other => self.kernel.violated(format!("SETATTR was answered with {other:?}")),
        }
        Ok(())
    }

    /// What a SETATTR was answered with. An open with O_TRUNC, which does not wait for the lock, may have changed the file since
    /// there had been so many changes: then the next who asks is told.
    pub(super) fn attributes_set(&self, ino: Ino, attr: &Attr, ttl: Duration, changes: u64) {
        let (now, unsettled) = (self.kernel.now(), self.kernel.is_unsettled(ino, changes));
        self.kernel.with(|state| {
            if unsettled {
                state.names.touch(ino);
                state.names.doubt_attributes(ino);
            } else {
                state.names.attributes_set(attr, ttl, now);
            }
        });
    }

    /// `names`: the paths that it is about, once nobody else changes it.
    async fn set_xattr(&self, ino: Ino, op: Op, names: impl FnOnce() -> Vec<String>) -> Result<(), Errno> {
        let _locked = self.lock_for_change(ino).await;
        let names = names();
        self.kernel.with(|state| state.names.note_change(ino));
        match self.change(op, names).await? {
            Reply::Done => {}
            other => self.kernel.violated(format!("SETXATTR was answered with {other:?}")),
        }
        self.kernel.with(|state| state.names.touch(ino));
        Ok(())
    }

    async fn fallocate(&self, file: &Arc<OpenFile>, offset: u64, len: u64, how: Allocation) -> Result<(), Errno> {
        if !file.writes {
            return Err(Errno::EBADF);
        }
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        let ino = file.ino();
        let _locked = self.lock(ino, true).await;
        let end = offset + len;
        self.ask_privileges(ino).await;
        if !matches!(how, Allocation::Allocate { .. }) {
            self.write_back(ino).await;
        }
        let resizing = self.resizing(ino, !keeps_size(how)).await;
        let (watched, outcome) = self.change_bytes(Op::Fallocate { ino, fh: file.fh, offset, len, how }, &[]).await?;
        drop(resizing);
        if outcome.is_err() {
            // Whether it was done, the next answer shows.
            self.kernel.with(|state| {
                state.names.doubt_attributes(ino);
                if let Some(inode) = state.names.inode_mut(ino) {
                    inode.contested = true;
                }
            });
        } else {
            self.allocated(ino, offset..end, how).await;
        }
        self.kernel.change_ends(watched, Some(outcome.as_ref().map_err(|errno| *errno)));
        outcome.map(drop)
    }

    /// What the kernel makes of a success.
    async fn allocated(&self, ino: Ino, bytes: Range<u64>, how: Allocation) {
        let size = self.kernel.with(|state| state.names.inode(ino).attr.size);
        if !keeps_size(how) && bytes.end > size {
            self.resized(ino, bytes.end).await;
        } else {
            self.kernel.with(|state| state.names.allocated(ino));
        }
        if !matches!(how, Allocation::Allocate { .. }) {
            self.zero_pages(ino, bytes).await;
        }
    }
}

fn keeps_size(how: Allocation) -> bool {
    match how {
        Allocation::Punch => true,
        Allocation::Allocate { keep_size } | Allocation::Zero { keep_size } => keep_size,
    }
}

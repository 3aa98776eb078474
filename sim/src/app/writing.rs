//! What applications change: files, their names and their sizes.

use std::ops::Range;

use bytes::Bytes;
use holdfast::error::Errno;
use holdfast::op::{Allocation, Ino, Kind, NewNode, Op, OpenMode, SetXattr};

use super::{File, Process};
use crate::content::{self, Version};
use crate::court::{On, What};
use crate::executor::locked;
use crate::kernel::{At, CopyError, OpenHow};
use crate::{KIB, MIB};

/// O_RDWR, and what else is asked of an open.
pub fn to_write() -> OpenHow {
    OpenHow { mode: OpenMode { write: true, ..OpenMode::default() }, ..OpenHow::default() }
}

/// O_RDWR | O_CREAT
pub fn to_create() -> OpenHow {
    OpenHow { create: true, ..to_write() }
}

/// O_WRONLY | O_CREAT | O_TRUNC, as a shell's `>`.
pub fn to_replace() -> OpenHow {
    let mode = OpenMode { write: true, write_only: true, truncate: true, ..OpenMode::default() };
    OpenHow { mode, create: true, ..OpenHow::default() }
}

/// O_RDWR | O_CREAT | O_APPEND
pub fn to_append() -> OpenHow {
    OpenHow { append: true, ..to_create() }
}

/// Writes of applications count from here, versions of others below: bytes tell whose they are.
pub const WRITES_FIRST: u32 = 1 << 30;

/// What the bytes of a write are called: by application and operation.
pub fn written_version(app: u8, op: u32) -> Version {
    Version(WRITES_FIRST | u32::from(app) << 22 | (op & 0x3f_ffff))
}

/// As open(2) with O_CREAT would ask, of a file in the root.
fn create(path: &str) -> Op {
    let name = path.rsplit('/').next().unwrap_or_default().as_bytes().to_vec();
    let mode = OpenMode { write: true, ..OpenMode::default() };
    Op::Create { parent: Ino::ROOT, name, mode, exclusive: false, node: NewNode { perm: 0o644, uid: 0, gid: 0 } }
}

impl Process {
    /// Tries to make a file past the kernel, which lets nobody write to a mount that is read-only.
    pub async fn try_create(&self, path: &str) {
        let began = self.court.now();
        let key = self.court.key(path);
        let answered = self.kernel().call(create(path)).await;
        if self.check("write", began, On::Key(&key), answered).is_ok() {
            self.see(began, What::Done { call: "write" });
        }
    }

    /// write(2), from the position on, or at the end where the file was opened with O_APPEND.
    pub async fn write(&self, file: File, bytes: Bytes) -> Result<u64, Errno> {
        self.write_made(file, None, move |_| bytes).await
    }

    /// pwrite(2)
    pub async fn pwrite(&self, file: File, at: u64, bytes: Bytes) -> Result<u64, Errno> {
        self.write_made(file, Some(at), move |_| bytes).await
    }

    /// `len` bytes that name this process, its operation and their offset.
    pub async fn write_named(&self, file: File, at: Option<u64>, len: u64) -> Result<u64, Errno> {
        let key = self.get(file).key.clone();
        let version = written_version(self.seat.app, self.op.unwrap_or_default());
        let make = move |offset: u64| content::piece(&key, version, offset..offset + len);
        self.write_made(file, at, make).await
    }

    async fn write_made(
        &self,
        file: File,
        at: Option<u64>,
        make: impl FnOnce(u64) -> Bytes + Send + 'static,
    ) -> Result<u64, Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let place = At::Offset(at.unwrap_or_else(|| *locked(&open.position)));
        let written = open.kernel.write(&open.file, place, make).await;
        let written = self.check("write", began, On::File { file: open.id, offset: 0, len: 0 }, written)?;
        self.see(began, What::Done { call: "write" });
        if at.is_none() {
            self.seek(file, written.offset + written.bytes);
        }
        Ok(written.bytes)
    }

    pub async fn fsync(&self, file: File) -> Result<(), Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let synced = open.kernel.fsync(&open.file).await;
        self.check("fsync", began, On::File { file: open.id, offset: 0, len: 0 }, synced)?;
        self.see(began, What::Done { call: "fsync" });
        Ok(())
    }

    pub async fn ftruncate(&self, file: File, size: u64) -> Result<(), Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let cut = open.kernel.ftruncate(&open.file, size).await;
        self.check("ftruncate", began, On::File { file: open.id, offset: 0, len: 0 }, cut)?;
        self.see(began, What::Done { call: "ftruncate" });
        Ok(())
    }

    pub async fn fallocate(&self, file: File, at: u64, len: u64, how: Allocation) -> Result<(), Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let done = open.kernel.fallocate(&open.file, at, len, how).await;
        self.check("fallocate", began, On::File { file: open.id, offset: 0, len: 0 }, done)?;
        self.see(began, What::Done { call: "fallocate" });
        Ok(())
    }

    pub async fn chmod(&self, path: &str, perm: u16) -> Result<(), Errno> {
        let call = self.kernel().chmod(path, perm);
        self.change("chmod", path, call).await
    }

    /// Sets the time of the last write, in seconds since 1970.
    pub async fn utimens(&self, path: &str, seconds: i64) -> Result<(), Errno> {
        let call = self.kernel().utimens(path, seconds);
        self.change("utimens", path, call).await
    }

    /// setxattr(2)
    pub async fn setxattr(&self, path: &str, name: &str, value: &str, how: SetXattr) -> Result<(), Errno> {
        let call = self.kernel().setxattr(path, name, value, how);
        self.change("setxattr", path, call).await
    }

    pub async fn removexattr(&self, path: &str, name: &str) -> Result<(), Errno> {
        let call = self.kernel().removexattr(path, name);
        self.change("removexattr", path, call).await
    }

    /// fsetxattr(2)
    pub async fn fsetxattr(&self, file: File, name: &str, value: &str, how: SetXattr) -> Result<(), Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let set = open.kernel.fsetxattr(&open.file, name, value, how).await;
        self.check("fsetxattr", began, On::File { file: open.id, offset: 0, len: 0 }, set)?;
        self.see(began, What::Done { call: "fsetxattr" });
        Ok(())
    }

    pub async fn fremovexattr(&self, file: File, name: &str) -> Result<(), Errno> {
        let open = self.get(file);
        let began = self.court.now();
        let removed = open.kernel.fremovexattr(&open.file, name).await;
        self.check("fremovexattr", began, On::File { file: open.id, offset: 0, len: 0 }, removed)?;
        self.see(began, What::Done { call: "fremovexattr" });
        Ok(())
    }

    /// copy_file_range(2), until all is copied or nothing more comes.
    pub async fn copy_range(&self, from: (File, u64), to: (File, u64), len: u64) -> Result<u64, Errno> {
        let (source, target) = (self.get(from.0), self.get(to.0));
        // One of them was opened before the mount died.
        if !source.kernel.is(&target.kernel) {
            return Ok(0);
        }
        let began = self.court.now();
        let copied = source.kernel.copy_range((&source.file, from.1), (&target.file, to.1), len).await;
        let copied = match copied {
            Ok(copied) => copied,
            Err(CopyError::Source { offset, len, errno }) => {
                return self.check("read", began, On::File { file: source.id, offset, len }, Err(errno));
            }
            Err(CopyError::Target(errno)) => {
                let on = On::File { file: target.id, offset: 0, len: 0 };
                return self.check("copy_range", began, on, Err(errno));
            }
        };
        self.see(began, What::Done { call: "copy_range" });
        Ok(copied)
    }

    /// mknod(2): a file that nobody opens yet, or a FIFO.
    pub async fn mknod(&self, path: &str, kind: Kind) -> Result<(), Errno> {
        let call = self.kernel().mknod(path, kind);
        self.change("mknod", path, call).await
    }

    pub async fn symlink(&self, target: &str, path: &str) -> Result<(), Errno> {
        let call = self.kernel().symlink(target, path);
        self.change("symlink", path, call).await
    }

    pub async fn truncate(&self, path: &str, size: u64) -> Result<(), Errno> {
        let call = self.kernel().truncate(path, size);
        self.change("truncate", path, call).await
    }

    pub async fn unlink(&self, path: &str) -> Result<(), Errno> {
        let call = self.kernel().unlink(path);
        self.change("unlink", path, call).await
    }

    pub async fn mkdir(&self, path: &str) -> Result<(), Errno> {
        let call = self.kernel().mkdir(path);
        self.change("mkdir", path, call).await
    }

    pub async fn rmdir(&self, path: &str) -> Result<(), Errno> {
        let call = self.kernel().rmdir(path);
        self.change("rmdir", path, call).await
    }

    /// `no_replace`: RENAME_NOREPLACE.
    pub async fn rename(&self, from: &str, to: &str, no_replace: bool) -> Result<(), Errno> {
        let began = self.court.now();
        let call = self.kernel().rename(from, to, no_replace);
        let (from, to) = (self.court.key(from), self.court.key(to));
        let renamed = call.await;
        self.check("rename", began, On::Rename { from: &from, to: &to }, renamed)?;
        self.see(began, What::Done { call: "rename" });
        Ok(())
    }

    async fn change(
        &self,
        name: &'static str,
        path: &str,
        call: impl Future<Output = Result<(), Errno>>,
    ) -> Result<(), Errno> {
        let began = self.court.now();
        let key = self.court.key(path);
        let outcome = call.await;
        self.check(name, began, On::Key(&key), outcome)?;
        self.see(began, What::Done { call: name });
        Ok(())
    }

    /// What read(2) gives, in pieces as programs read.
    pub async fn read_bytes(&self, file: File, range: Range<u64>) -> Result<Vec<u8>, Errno> {
        let open = self.get(file);
        let mut all = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let began = self.court.now();
            let asked = (range.end - at).min(MIB);
            let read = open.kernel.pread(&open.file, at, asked).await;
            let bytes = self.check("read", began, On::File { file: open.id, offset: at, len: asked }, read)?;
            self.see_bytes(&open, began, at, asked, &bytes);
            if bytes.is_empty() {
                break;
            }
            at += bytes.len() as u64;
            all.extend(bytes);
        }
        Ok(all)
    }

    /// A program that writes a whole file: open with O_CREAT and O_TRUNC, write, close.
    pub async fn save(&self, path: &str, len: u64) -> Result<(), Errno> {
        let file = self.open_how(path, to_replace()).await?;
        let mut left = len;
        let mut outcome = Ok(());
        while left > 0 && outcome.is_ok() {
            let piece = left.min(32 * KIB);
            outcome = self.write_named(file, None, piece).await.map(drop);
            left -= piece;
        }
        outcome.and(self.close(file).await)
    }
}

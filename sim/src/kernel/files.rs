//! Open files: open, close, dup, fsync, lseek.

use std::sync::{Arc, Mutex};

use holdfast::error::Errno;
use holdfast::op::{Fh, Ino, Kind, Op, OpenMode, Reply, Whence};

use super::names::Held;
use super::readahead::Readahead;
use super::system_call::{SystemCall, Thread};
use super::walk::How;
use super::{EINTR, Kernel};
use crate::executor::locked;

/// A `struct file`: open until its last holder lets go, which may be a descriptor, a mapping or a read under way. Clones
/// of the `Arc` are descriptors made by dup(2) or fork(2): each is closed, and the last gives the handle back.
pub struct OpenFile {
    kernel: Kernel,
    pub(super) fh: Fh,
    ino: Ino,
    pub(super) direct: bool,
    /// Of read(2) and lseek(2).
    pub(super) position: Mutex<u64>,
    pub(super) readahead: Mutex<Readahead>,
    /// `None` once released.
    held: Option<Held>,
}

/// What lseek(2) counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekFrom {
    Start(u64),
    Current(i64),
    End(i64),
    Data(u64),
    Hole(u64),
}

impl Kernel {
    pub fn open(&self, path: &str) -> SystemCall<Result<Arc<OpenFile>, Errno>> {
        self.open_with(path, OpenMode::default())
    }

    pub fn open_with(&self, path: &str, mode: OpenMode) -> SystemCall<Result<Arc<OpenFile>, Errno>> {
        let path: Arc<[u8]> = Arc::from(path.as_bytes());
        self.enter(|thread| async move {
            match thread.open_once(&path, mode, false).await {
                // do_filp_open: once more, and past every entry TTL.
                Err(Errno::ESTALE) => thread.open_once(&path, mode, true).await,
                outcome => outcome,
            }
        })
    }

    /// close(2) of one descriptor: its FLUSH. The handle is given back when nobody holds the file any more.
    pub fn close(&self, file: Arc<OpenFile>) -> SystemCall<Result<(), Errno>> {
        self.enter(|thread| async move { thread.flush(&file).await })
    }

    pub fn fsync(&self, file: &Arc<OpenFile>) -> SystemCall<Result<(), Errno>> {
        let file = file.clone();
        self.enter(|thread| async move { thread.request(Op::Fsync { ino: file.ino, fh: file.fh }).await.map(drop) })
    }

    /// Moves the position of all descriptors of the file. Data and holes are the core's to tell.
    pub fn lseek(&self, file: &Arc<OpenFile>, to: SeekFrom) -> SystemCall<Result<u64, Errno>> {
        let file = file.clone();
        self.enter(|thread| async move {
            let target = match to {
                SeekFrom::Start(at) => Some(at),
                SeekFrom::Current(by) => locked(&file.position).checked_add_signed(by),
                SeekFrom::End(by) => thread.attributes(file.ino).await?.size.checked_add_signed(by),
                SeekFrom::Data(at) => Some(thread.seek(&file, at, Whence::Data).await?),
                SeekFrom::Hole(at) => Some(thread.seek(&file, at, Whence::Hole).await?),
            };
            let target = target.filter(|at| i64::try_from(*at).is_ok()).ok_or(Errno::EINVAL)?;
            *locked(&file.position) = target;
            Ok(target)
        })
    }
}

impl Thread {
    async fn open_once(&self, path: &[u8], mode: OpenMode, revalidate: bool) -> Result<Arc<OpenFile>, Errno> {
        const READ: u32 = 4;
        let began = self.kernel.now();
        let held = self.walk(path, How { follow: true, revalidate }).await?;
        let ino = held.ino();
        if self.kind(ino) == Kind::Directory {
            return Err(Errno::EISDIR);
        }
        if (mode.write || mode.truncate) && self.kernel.shared.config.read_only {
            return Err(Errno::EROFS);
        }
        self.permit(ino, READ).await?;
        let opened = self.request(Op::Open { ino, mode }).await;
        if opened.as_ref().err() == Some(&Errno::ESTALE) {
            let told = self.kernel.now();
            self.kernel.with(|state| state.stale_opens.push((began, told)));
        }
        let fh = match opened? {
            Reply::Opened { fh } => fh,
            other => self.kernel.violated(format!("OPEN was answered with {other:?}")),
        };
        let kernel = self.kernel.clone();
        kernel.with(|state| state.names.inode_mut(ino).expect("the walk refers to it").open += 1);
        let readahead = Mutex::default();
        let position = Mutex::default();
        let file = Arc::new(OpenFile { kernel, fh, ino, direct: mode.direct, position, readahead, held: Some(held) });
        if self.is_killed() {
            // The dying process closes what it has been given.
            self.flush(&file).await?;
            return Err(EINTR);
        }
        Ok(file)
    }

    async fn flush(&self, file: &OpenFile) -> Result<(), Errno> {
        self.request_by_force(Op::Flush { ino: file.ino, fh: file.fh, still_open: false }).await.map(drop)
    }

    async fn seek(&self, file: &OpenFile, offset: u64, whence: Whence) -> Result<u64, Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        match self.request(Op::Lseek { ino: file.ino, fh: file.fh, offset, whence }).await? {
            Reply::Offset(at) => Ok(at),
            other => self.kernel.violated(format!("LSEEK was answered with {other:?}")),
        }
    }
}

impl OpenFile {
    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// POSIX_FADV_RANDOM, or POSIX_FADV_NORMAL again.
    pub fn advise_random(&self, random: bool) {
        locked(&self.readahead).random = random;
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Some(held) = self.held.take()
        {
            self.kernel.with(|state| state.names.inode_mut(self.ino).expect("it is held").open -= 1);
            self.kernel.release(Op::Release { ino: self.ino, fh: self.fh }, held);
        }
    }
}

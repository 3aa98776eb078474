//! Open files: open, close, dup, fsync, lseek.

use std::sync::{Arc, Mutex};

use holdfast::env::Time;
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
    /// O_WRONLY or O_RDWR
    pub(super) writes: bool,
    /// Not O_WRONLY
    pub(super) reads: bool,
    /// O_APPEND
    pub(super) appends: bool,
    /// O_SYNC or O_DSYNC
    pub(super) syncs: bool,
    /// Of read(2) and lseek(2).
    pub(super) position: Mutex<u64>,
    pub(super) readahead: Mutex<Readahead>,
    /// `None` once released.
    held: Option<Held>,
}

/// The flags of open(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenHow {
    pub mode: OpenMode,
    /// O_CREAT
    pub create: bool,
    /// O_EXCL
    pub exclusive: bool,
    /// O_APPEND
    pub append: bool,
    /// O_SYNC, or O_DSYNC: of which it is, the core is not told.
    pub sync: bool,
}

/// Where open(2) with O_CREAT has come.
pub(super) enum Reached {
    Found(Held),
    Created(Arc<OpenFile>),
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
        self.open_how(path, OpenHow { mode, ..OpenHow::default() })
    }

    pub fn open_how(&self, path: &str, how: OpenHow) -> SystemCall<Result<Arc<OpenFile>, Errno>> {
        let path: Arc<[u8]> = Arc::from(path.as_bytes());
        self.enter(move |thread| async move {
            match thread.open_once(&path, how, false).await {
                // do_filp_open: once more, and past every entry TTL.
                Err(Errno::ESTALE) => thread.open_once(&path, how, true).await,
                outcome => outcome,
            }
        })
    }

    /// close(2) of one descriptor: its FLUSH. The handle is given back when nobody holds the file any more.
    pub fn close(&self, file: Arc<OpenFile>) -> SystemCall<Result<(), Errno>> {
        self.close_one(file, false)
    }

    /// `still_open`: the closing process has another descriptor of the file.
    pub fn close_one(&self, file: Arc<OpenFile>, still_open: bool) -> SystemCall<Result<(), Errno>> {
        self.enter(move |thread| async move { thread.flush(&file, still_open).await })
    }

    /// Alone with the file (fuse_fsync).
    pub fn fsync(&self, file: &Arc<OpenFile>) -> SystemCall<Result<(), Errno>> {
        let file = file.clone();
        self.enter(|thread| async move { thread.fsync(&file).await })
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
    async fn open_once(&self, path: &[u8], how: OpenHow, revalidate: bool) -> Result<Arc<OpenFile>, Errno> {
        let began = self.kernel.now();
        let held = match how.create {
            true => match self.walk_or_create(path, how, revalidate, began).await? {
                Reached::Created(file) => return Ok(file),
                Reached::Found(held) => held,
            },
            false => self.walk(path, How { follow: true, revalidate }).await?,
        };
        self.open_found(held, how, began).await
    }

    async fn open_found(&self, held: Held, how: OpenHow, began: Time) -> Result<Arc<OpenFile>, Errno> {
        const READ: u32 = 4;
        const WRITE: u32 = 2;
        let (ino, mode) = (held.ino(), how.mode);
        match self.kind(ino) {
            Kind::Directory => return Err(Errno::EISDIR),
            // Pipes and sockets are none of the file system's; as opened without waiting for the other end.
            Kind::Fifo | Kind::Socket => return Err(Errno::ENXIO),
            Kind::File | Kind::Symlink => {}
        }
        if (mode.write || mode.truncate) && self.kernel.shared.config.read_only {
            return Err(Errno::EROFS);
        }
        let mask = if mode.write_only { 0 } else { READ } | if mode.write { WRITE } else { 0 };
        self.permit(ino, mask).await?;
        let resizing = if mode.truncate { Some(self.resizing(ino, false).await) } else { None };
        let op = Op::Open { ino, mode };
        let names = vec![self.kernel.path_of(held.dentry)];
        let (watched, opened) = match self.kernel.shared.config.read_only {
            true => (None, self.request(op).await),
            false => self.change_bytes(op, &names).await?,
        };
        self.note_stale(opened.as_ref().err(), began);
        let file = match &opened {
            Ok(Reply::Opened { fh }) => Some(self.kernel.file(held, *fh, how)),
            Ok(other) => self.kernel.violated(format!("OPEN was answered with {other:?}")),
            Err(_) => None,
        };
        if mode.truncate && file.is_some() {
            // fuse_finish_open, where the server truncates by itself.
            self.resized(ino, 0).await;
        }
        self.kernel.change_ends(watched, Some(opened.as_ref().map_err(|errno| *errno)));
        drop(resizing);
        let Some(file) = file else { return Err(opened.err().unwrap_or(Errno::EIO)) };
        if mode.truncate {
            self.ask_privileges(ino).await;
        }
        self.opened(file).await
    }

    /// A file that was opened for this thread, if it still lives.
    pub(super) async fn opened(&self, file: Arc<OpenFile>) -> Result<Arc<OpenFile>, Errno> {
        if self.is_killed() {
            // The dying process closes what it has been given.
            self.flush(&file, false).await?;
            return Err(EINTR);
        }
        Ok(file)
    }

    pub(super) fn note_stale(&self, errno: Option<&Errno>, began: Time) {
        if errno == Some(&Errno::ESTALE) {
            let told = self.kernel.now();
            self.kernel.with(|state| state.stale_opens.push((began, told)));
        }
    }

    pub(super) async fn fsync(&self, file: &OpenFile) -> Result<(), Errno> {
        let _locked = self.lock_for_change(file.ino).await;
        self.write_back_all(file.ino).await?;
        self.change(Op::Fsync { ino: file.ino, fh: file.fh }, Vec::new()).await.map(drop)
    }

    async fn flush(&self, file: &OpenFile, still_open: bool) -> Result<(), Errno> {
        self.write_back_all(file.ino).await?;
        let op = Op::Flush { ino: file.ino, fh: file.fh, still_open };
        self.change_by_force(op).await.map(drop)
    }

    async fn seek(&self, file: &OpenFile, offset: u64, whence: Whence) -> Result<u64, Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        match self.request(Op::Lseek { ino: file.ino, fh: file.fh, offset, whence }).await? {
            Reply::Offset(at) => Ok(at),
            other => self.kernel.violated(format!("LSEEK was answered with {other:?}")),
        }
    }
}

impl Kernel {
    /// A `struct file` of a handle.
    pub(super) fn file(&self, held: Held, fh: Fh, how: OpenHow) -> Arc<OpenFile> {
        let ino = held.ino();
        self.with(|state| state.names.inode_mut(ino).expect("the walk refers to it").open += 1);
        let OpenHow { mode, append: appends, sync: syncs, .. } = how;
        let (readahead, position, reads) = (Mutex::default(), Mutex::default(), !mode.write_only);
        let (kernel, direct, writes, held) = (self.clone(), mode.direct, mode.write, Some(held));
        Arc::new(OpenFile { kernel, fh, ino, direct, writes, reads, appends, syncs, position, readahead, held })
    }
}

impl OpenFile {
    /// The path that leads to it; none where its name is gone.
    pub(super) fn names(&self) -> Vec<String> {
        let dentry = self.held.as_ref().map(|held| held.dentry);
        let named = dentry.filter(|dentry| self.kernel.with(|state| state.names.leads_to(*dentry)));
        named.map(|dentry| self.kernel.path_of(dentry)).into_iter().collect()
    }

    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// Not O_WRONLY
    pub fn is_for_reading(&self) -> bool {
        self.reads
    }

    /// O_RDWR
    pub fn is_for_both(&self) -> bool {
        self.writes && self.reads
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

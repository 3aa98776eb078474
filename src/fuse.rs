//! fuser's callbacks to [`Op`] and back. The only file that names fuser, and it decides nothing.
//!
//! A request is polled once on the thread that read it from the kernel: what is in memory is answered right there. Only
//! what must wait becomes a task. A panic in a request is caught: its caller gets EIO, its handle is fenced, the mount
//! lives on.

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, MountOption, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, Session, SessionACL, SessionUnmounter, TimeOrNow, WriteFlags,
};
use futures_util::FutureExt;

use crate::config::READ_BYTES_MAX;
use crate::env::{Env, Spawn};
use crate::error::FsError;
use crate::fs::Fs;
use crate::op::{Attr, Caller, DirEntry, Entry, Fh, Ino, Kind, Op, OpenMode, Reply, UnixTime, Whence};

/// The generation of every inode: numbers are never used again, so there is only one.
const GENERATION: Generation = Generation(0);
/// Requests that the kernel may have under way in the background, readahead above all.
const BACKGROUND_REQUESTS_MAX: u16 = 64;
/// The kernel offers at least a page for directory entries; fuser does not tell how much more.
const DIRECTORY_BYTES: usize = 4096;
/// Threads that read requests. Two keep answering inline while a third prepares a request that must wait.
const THREADS: usize = 3;
/// What an object store's file shows as its preferred block size.
const BLOCK_BYTES: u32 = 4096;

/// Who may use the mount besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Owner,
    Root,
    Everybody,
}

/// A file system that is mounted and answers; unmounted when dropped.
pub struct Mounted<E: Env> {
    session: Session<Adapter<E>>,
}

/// Sees every request and its outcome: for recordings of what a real kernel asks for. Called on the threads that read
/// from the kernel, so it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// Answers a number by which [`Observer::answered`] is told of the outcome.
    fn asked(&self, op: &Op) -> usize;
    fn answered(&self, number: usize, outcome: &Result<Reply, FsError>);
}

/// Unmounts from another thread.
pub struct Unmounter(SessionUnmounter);

impl<E: Env> Mounted<E> {
    /// Mounts `fs` at `directory`; `source` is what the mount table shows for it.
    pub fn new(fs: Arc<Fs<E>>, directory: &Path, source: &str, access: Access) -> io::Result<Self> {
        Self::observed(fs, directory, source, access, None)
    }

    /// The same, under the eyes of an observer.
    pub fn observed(
        fs: Arc<Fs<E>>,
        directory: &Path,
        source: &str,
        access: Access,
        observer: Option<Arc<dyn Observer>>,
    ) -> io::Result<Self> {
        let mut config = fuser::Config::default();
        config.mount_options = vec![
            MountOption::FSName(source.to_string()),
            MountOption::Subtype("holdfast".to_string()),
            MountOption::DefaultPermissions,
            MountOption::RO,
            MountOption::NoAtime,
            MountOption::NoSuid,
            MountOption::NoDev,
        ];
        config.acl = match access {
            Access::Owner => SessionACL::Owner,
            Access::Root => SessionACL::RootAndOwner,
            Access::Everybody => SessionACL::All,
        };
        config.n_threads = Some(THREADS);
        config.clone_fd = true;
        Session::new(Adapter { fs, observer }, directory, &config).map(|session| Self { session })
    }

    pub fn unmounter(&mut self) -> Unmounter {
        Unmounter(self.session.unmount_callable())
    }

    /// Answers requests until the file system is unmounted.
    pub fn run(self) -> io::Result<()> {
        match self.session.run() {
            // The kernel took the mount down while a thread was taking a request from it: an end like any other.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
            outcome => outcome,
        }
    }
}

impl Unmounter {
    /// Fails with EBUSY while files are open.
    pub fn unmount(&mut self) -> io::Result<()> {
        self.0.unmount()
    }
}

struct Adapter<E: Env> {
    fs: Arc<Fs<E>>,
    observer: Option<Arc<dyn Observer>>,
}

type Outcome = Result<Reply, FsError>;

impl<E: Env> Adapter<E> {
    fn run(&self, fh: Option<FileHandle>, op: Op, answer: impl FnOnce(Outcome) + Send + 'static) {
        self.run_for(Caller::UNKNOWN, fh, op, answer);
    }

    /// Runs `op` and hands the outcome to `answer`, on this thread if it is ready at once.
    fn run_for(&self, caller: Caller, fh: Option<FileHandle>, op: Op, answer: impl FnOnce(Outcome) + Send + 'static) {
        let seen = self.observer.clone().map(|observer| (observer.asked(&op), observer));
        let answer = move |outcome: Outcome| {
            if let Some((number, observer)) = seen {
                observer.answered(number, &outcome);
            }
            answer(outcome);
        };
        let fs = self.fs.clone();
        let fence = self.fs.clone();
        let request = async move {
            match AssertUnwindSafe(fs.handle_for(caller, op)).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let fh = Fh(fh.map_or(0, |fh| fh.0));
                    tracing::error!("internal error in a request on handle {}; that handle is fenced", fh.0);
                    fence.fence(fh);
                    Err(FsError::Fenced(fh.0))
                }
            }
        };
        let mut request: Pin<Box<dyn Future<Output = Outcome> + Send>> = Box::pin(request);
        match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => answer(outcome),
            // Polled again at once by the task, which leaves its waker where this poll left none.
            Poll::Pending => self.fs.env().spawn().spawn("request", async move { answer(request.await) }),
        }
    }

    /// For requests that nothing answers: FORGET.
    fn tell(&self, op: Op) {
        let seen = self.observer.as_ref().map(|observer| (observer.asked(&op), observer));
        let told = catch_unwind(AssertUnwindSafe(|| {
            let mut request = Box::pin(self.fs.handle(op));
            if let Poll::Ready(outcome) = request.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                && let Some((number, observer)) = seen
            {
                observer.answered(number, &outcome);
            }
        }));
        if told.is_err() {
            tracing::error!("internal error in a request that expects no answer");
        }
    }

    fn refuse(&self, ino: INodeNo, what: &'static str, answer: impl FnOnce(Errno) + Send + 'static) {
        self.run(None, Op::Mutate { ino: Ino(ino.0), what }, move |outcome| answer(errno(outcome)));
    }
}

impl<E: Env> Filesystem for Adapter<E> {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each is an improvement where the kernel knows it; none is needed.
        for capability in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ] {
            let _ = config.add_capabilities(capability);
        }
        let _ = config.set_max_write(READ_BYTES_MAX as u32);
        let _ = config.set_max_background(BACKGROUND_REQUESTS_MAX);
        if let Err(nearest) = config.set_max_readahead(READ_BYTES_MAX as u32) {
            let _ = config.set_max_readahead(nearest);
        }
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let op = Op::Lookup { parent: Ino(parent.0), name: name.as_bytes().to_vec() };
        self.run_for(Caller(req.pid()), None, op, move |outcome| match outcome {
            Ok(Reply::Entry(Entry { attr: Some(attr), entry_ttl, attr_ttl })) => {
                reply.entry_with_ttls(&attr_ttl, &entry_ttl, &file_attr(&attr), GENERATION);
            }
            Ok(Reply::Entry(Entry { attr: None, entry_ttl, .. })) if !entry_ttl.is_zero() => {
                reply.entry_with_ttls(&Duration::ZERO, &entry_ttl, &no_attr(), GENERATION);
            }
            Ok(Reply::Entry(_)) => reply.error(Errno::ENOENT),
            other => reply.error(errno(other)),
        });
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.tell(Op::Forget { ino: Ino(ino.0), count: nlookup });
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        self.run(fh, Op::Getattr { ino: Ino(ino.0) }, move |outcome| match outcome {
            Ok(Reply::Attr { attr, ttl }) => reply.attr(&ttl, &file_attr(&attr)),
            other => reply.error(errno(other)),
        });
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        self.run(None, Op::Readlink { ino: Ino(ino.0) }, move |outcome| match outcome {
            Ok(Reply::Link(target)) => reply.data(&target),
            other => reply.error(errno(other)),
        });
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let write = match flags.acc_mode() {
            OpenAccMode::O_RDONLY => false,
            OpenAccMode::O_WRONLY | OpenAccMode::O_RDWR => true,
        };
        let has = |flag| flags.0 & flag != 0;
        let mode = OpenMode { write, truncate: has(nix::libc::O_TRUNC), direct: has(nix::libc::O_DIRECT) };
        self.run_for(Caller(req.pid()), None, Op::Open { ino: Ino(ino.0), mode }, move |outcome| match outcome {
            // Pages belong to the inode, and the inode to one Version: they are good for every open of it.
            Ok(Reply::Opened { fh }) => reply.opened(FileHandle(fh.0), FopenFlags::FOPEN_KEEP_CACHE),
            other => reply.error(errno(other)),
        });
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let op = Op::Read { ino: Ino(ino.0), fh: Fh(fh.0), offset, len: size };
        self.run(Some(fh), op, move |outcome| match outcome {
            Ok(Reply::Data(data)) => reply.data(&data),
            other => reply.error(errno(other)),
        });
    }

    fn flush(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        self.run(Some(fh), Op::Flush { ino: Ino(ino.0), fh: Fh(fh.0) }, move |outcome| done(outcome, reply));
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.run(Some(fh), Op::Release { ino: Ino(ino.0), fh: Fh(fh.0) }, move |outcome| done(outcome, reply));
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.run(Some(fh), Op::Fsync { ino: Ino(ino.0), fh: Fh(fh.0) }, move |outcome| done(outcome, reply));
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.run(None, Op::Opendir { ino: Ino(ino.0) }, move |outcome| match outcome {
            Ok(Reply::Opened { fh }) => reply.opened(FileHandle(fh.0), FopenFlags::empty()),
            other => reply.error(errno(other)),
        });
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let op = Op::Readdir { ino: Ino(ino.0), fh: Fh(fh.0), offset, max_bytes: DIRECTORY_BYTES, plus: false };
        self.run(Some(fh), op, move |outcome| match outcome {
            Ok(Reply::Directory(entries)) => {
                for entry in entries {
                    if reply.add(INodeNo(entry.ino.0), entry.offset, file_type(entry.kind), &*entry.name) {
                        break;
                    }
                }
                reply.ok();
            }
            other => reply.error(errno(other)),
        });
    }

    fn readdirplus(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let op = Op::Readdir { ino: Ino(ino.0), fh: Fh(fh.0), offset, max_bytes: DIRECTORY_BYTES, plus: true };
        self.run(Some(fh), op, move |outcome| match outcome {
            Ok(Reply::Directory(entries)) => {
                for entry in &entries {
                    if add_plus(&mut reply, entry) {
                        tracing::error!("the kernel offered less than a page for directory entries");
                        break;
                    }
                }
                reply.ok();
            }
            other => reply.error(errno(other)),
        });
    }

    fn releasedir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.run(Some(fh), Op::Releasedir { ino: Ino(ino.0), fh: Fh(fh.0) }, move |outcome| done(outcome, reply));
    }

    fn fsyncdir(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        self.run(None, Op::Statfs { ino: Ino(ino.0) }, move |outcome| match outcome {
            Ok(Reply::Statfs(s)) => {
                let (blocks, files) = (s.blocks, s.files);
                reply.statfs(blocks, blocks, blocks, files, files, s.block_bytes, s.name_bytes_max, s.block_bytes);
            }
            other => reply.error(errno(other)),
        });
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let op = Op::Access { ino: Ino(ino.0), mask: mask.bits() as u32, uid: req.uid(), gid: req.gid() };
        self.run(None, op, move |outcome| done(outcome, reply));
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let op = Op::Getxattr { ino: Ino(ino.0), name: name.as_bytes().to_vec() };
        self.run(None, op, move |outcome| xattr(outcome, size, reply));
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.run(None, Op::Listxattr { ino: Ino(ino.0) }, move |outcome| xattr(outcome, size, reply));
    }

    fn lseek(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let whence = match whence {
            nix::libc::SEEK_DATA => Whence::Data,
            nix::libc::SEEK_HOLE => Whence::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let op = Op::Lseek { ino: Ino(ino.0), fh: Fh(fh.0), offset, whence };
        self.run(Some(fh), op, move |outcome| match outcome {
            Ok(Reply::Offset(offset)) => reply.offset(offset as i64),
            other => reply.error(errno(other)),
        });
    }

    // Whatever would change something.

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.refuse(ino, "set attributes", |errno| reply.error(errno));
    }

    fn mknod(
        &self,
        _req: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        self.refuse(parent, "create a node", |errno| reply.error(errno));
    }

    fn mkdir(&self, _req: &Request, parent: INodeNo, _name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        self.refuse(parent, "create a directory", |errno| reply.error(errno));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        self.refuse(parent, "unlink", |errno| reply.error(errno));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        self.refuse(parent, "remove a directory", |errno| reply.error(errno));
    }

    fn symlink(&self, _req: &Request, parent: INodeNo, _name: &OsStr, _target: &Path, reply: ReplyEntry) {
        self.refuse(parent, "create a symbolic link", |errno| reply.error(errno));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _newparent: INodeNo,
        _newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        self.refuse(parent, "rename", |errno| reply.error(errno));
    }

    fn link(&self, _req: &Request, ino: INodeNo, _newparent: INodeNo, _newname: &OsStr, reply: ReplyEntry) {
        self.refuse(ino, "create a hard link", |errno| reply.error(errno));
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.refuse(ino, "write", |errno| reply.error(errno));
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        self.refuse(ino, "set an attribute", |errno| reply.error(errno));
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        self.refuse(ino, "remove an attribute", |errno| reply.error(errno));
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        self.refuse(parent, "create a file", |errno| reply.error(errno));
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        self.refuse(ino, "allocate", |errno| reply.error(errno));
    }
}

fn add_plus(reply: &mut ReplyDirectoryPlus, entry: &DirEntry) -> bool {
    match &entry.entry {
        Some(Entry { attr: Some(attr), entry_ttl, .. }) => {
            reply.add(INodeNo(attr.ino.0), entry.offset, &*entry.name, entry_ttl, &file_attr(attr), GENERATION)
        }
        // A nodeid of zero tells the kernel to look the name up when it needs to; fuser takes it from the attributes,
        // and it is the number that readdir(3) sees too, which leaves out entries numbered zero. So `.` and `..` get
        // theirs; the kernel does not count them as look-ups.
        Some(Entry { attr: None, .. }) | None => {
            let dots = matches!(&*entry.name, "." | "..");
            let ino = INodeNo(if dots { entry.ino.0 } else { 0 });
            let attr = FileAttr { ino, kind: file_type(entry.kind), ..no_attr() };
            reply.add(ino, entry.offset, &*entry.name, &Duration::ZERO, &attr, GENERATION)
        }
    }
}

fn done(outcome: Outcome, reply: ReplyEmpty) {
    match outcome {
        Ok(Reply::Done) => reply.ok(),
        other => reply.error(errno(other)),
    }
}

/// `size` zero asks for the size only.
fn xattr(outcome: Outcome, size: u32, reply: ReplyXattr) {
    match outcome {
        Ok(Reply::Xattr(value)) if size == 0 => reply.size(value.len() as u32),
        Ok(Reply::Xattr(value)) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(Reply::Xattr(value)) => reply.data(&value),
        other => reply.error(errno(other)),
    }
}

/// The errno of a failure. A reply of another kind than the request wants is a bug here, and EIO.
fn errno(outcome: Outcome) -> Errno {
    match outcome {
        Err(error) => Errno::from_i32(error.errno().0),
        Ok(reply) => {
            tracing::error!("a request was answered with {reply:?}");
            Errno::EIO
        }
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
    }
}

fn file_attr(attr: &Attr) -> FileAttr {
    let mtime = match u64::try_from(attr.mtime) {
        Ok(after) => UNIX_EPOCH + Duration::from_secs(after),
        Err(_) => UNIX_EPOCH - Duration::from_secs(attr.mtime.unsigned_abs()),
    };
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.size.div_ceil(512),
        atime: mtime,
        mtime,
        ctime: mtime,
        crtime: mtime,
        kind: file_type(attr.kind),
        perm: attr.perm,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

fn no_attr() -> FileAttr {
    let nothing = Attr {
        ino: Ino(0),
        kind: Kind::File,
        size: 0,
        mtime: 0,
        mtime_nanos: 0,
        atime: UnixTime::default(),
        ctime: UnixTime::default(),
        perm: 0,
        uid: 0,
        gid: 0,
        nlink: 0,
    };
    file_attr(&nothing)
}

//! Each callback as one [`Op`], and its answer.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};
use nix::libc;

use super::convert::{
    add_plus, allocation, attributes, done, errno, file_attr, file_type, looked_up, made, node_kind, open_mode,
    permissions, set_time, set_xattr, xattr,
};
use super::{Adapter, BACKGROUND_REQUESTS_MAX, GENERATION, STATUS};
use crate::config::READ_BYTES_MAX;
use crate::env::Env;
use crate::op::{Caller, Changes, Entry, Fh, Ino, NewNode, Op, Reply, Whence};

/// Bytes of one read or write.
const REQUEST_BYTES_MAX: u32 = READ_BYTES_MAX as u32;
/// The kernel offers at least a page for directory entries; fuser does not tell how much more.
const DIRECTORY_BYTES: usize = 4096;
/// Symbolic links have no permissions of their own.
const LINK_MODE: u32 = 0o777;

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
        // Without it O_TRUNC would arrive as a SETATTR after the OPEN, which cannot be told from truncate(2).
        if config.add_capabilities(InitFlags::FUSE_ATOMIC_O_TRUNC).is_err() {
            return Err(io::Error::other("the kernel does not hand O_TRUNC to FUSE file systems"));
        }
        let _ = config.set_max_write(REQUEST_BYTES_MAX);
        let _ = config.set_max_background(BACKGROUND_REQUESTS_MAX);
        if let Err(nearest) = config.set_max_readahead(REQUEST_BYTES_MAX) {
            let _ = config.set_max_readahead(nearest);
        }
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let op = Op::Lookup { parent: Ino(parent.0), name: bytes_of(name) };
        self.run_for(Caller(req.pid()), None, op, move |outcome| looked_up(outcome, reply));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.tell(Op::Forget { ino: Ino(ino.0), count: nlookup });
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        self.run(fh, Op::Getattr { ino: Ino(ino.0) }, move |outcome| attributes(outcome, reply));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        self.run(None, Op::Readlink { ino: Ino(ino.0) }, move |outcome| match outcome {
            Ok(Reply::Link(target)) => reply.data(&target),
            other => reply.error(errno(other)),
        });
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mode = open_mode(flags);
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

    fn flush(&self, req: &Request, ino: INodeNo, fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        self.flush_for(Caller(req.pid()), fh, Ino(ino.0), move |outcome| done(outcome, reply));
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
        // Linux does not look at the answer, and has only so many of these under way, readahead among them: none of that is to wait
        // for a publication.
        self.run(Some(fh), Op::Release { ino: Ino(ino.0), fh: Fh(fh.0) }, |_| {});
        reply.ok();
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
        // It is of the mount, not of a file, so the core has no say in it.
        if let Some(status) = self.status.as_ref().filter(|_| ino == INodeNo::ROOT && name == STATUS) {
            return xattr(Ok(Reply::Xattr(status().into_bytes())), size, reply);
        }
        let op = Op::Getxattr { ino: Ino(ino.0), name: bytes_of(name) };
        self.run(None, op, move |outcome| xattr(outcome, size, reply));
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.run(None, Op::Listxattr { ino: Ino(ino.0) }, move |outcome| xattr(outcome, size, reply));
    }

    fn lseek(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let whence = match whence {
            libc::SEEK_DATA => Whence::Data,
            libc::SEEK_HOLE => Whence::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let op = Op::Lseek { ino: Ino(ino.0), fh: Fh(fh.0), offset, whence };
        self.run(Some(fh), op, move |outcome| match outcome {
            Ok(Reply::Offset(offset)) => reply.offset(offset as i64),
            other => reply.error(errno(other)),
        });
    }

    // What changes something. The kernel has applied the umask to every mode, because FUSE_DONT_MASK is not asked for.

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let op = Op::Create {
            parent: Ino(parent.0),
            name: bytes_of(name),
            mode: open_mode(OpenFlags(flags)),
            exclusive: flags & libc::O_EXCL != 0,
            node: new_node(req, mode),
        };
        self.run_for(Caller(req.pid()), None, op, move |outcome| match outcome {
            Ok(Reply::Created { entry: Entry { attr: Some(attr), entry_ttl, attr_ttl }, fh }) => {
                // fuser has one TTL for both here.
                let ttl = entry_ttl.min(attr_ttl);
                let (fh, flags) = (FileHandle(fh.0), FopenFlags::FOPEN_KEEP_CACHE);
                reply.created(&ttl, &file_attr(&attr), GENERATION, fh, flags);
            }
            other => reply.error(errno(other)),
        });
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        let parent = Ino(parent.0);
        let op = match node_kind(mode) {
            Some(kind) => Op::Mknod { parent, name: bytes_of(name), kind, node: new_node(req, mode) },
            None => Op::Unsupported { ino: parent, what: "create a device" },
        };
        self.run_for(Caller(req.pid()), None, op, move |outcome| made(outcome, reply));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let op = Op::Mkdir { parent: Ino(parent.0), name: bytes_of(name), node: new_node(req, mode) };
        self.run_for(Caller(req.pid()), None, op, move |outcome| made(outcome, reply));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let op = Op::Symlink {
            parent: Ino(parent.0),
            name: bytes_of(name),
            target: bytes_of(target.as_os_str()),
            node: new_node(req, LINK_MODE),
        };
        self.run_for(Caller(req.pid()), None, op, move |outcome| made(outcome, reply));
    }

    fn link(&self, _req: &Request, ino: INodeNo, _newparent: INodeNo, _newname: &OsStr, reply: ReplyEntry) {
        let op = Op::Unsupported { ino: Ino(ino.0), what: "create a hard link" };
        self.run(None, op, move |outcome| made(outcome, reply));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let op = Op::Unlink { parent: Ino(parent.0), name: bytes_of(name) };
        self.run_for(Caller(req.pid()), None, op, move |outcome| done(outcome, reply));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let op = Op::Rmdir { parent: Ino(parent.0), name: bytes_of(name) };
        self.run_for(Caller(req.pid()), None, op, move |outcome| done(outcome, reply));
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // S3 cannot exchange two objects at one instant.
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let op = Op::Rename {
            parent: Ino(parent.0),
            name: bytes_of(name),
            new_parent: Ino(newparent.0),
            new_name: bytes_of(newname),
            no_replace: flags.contains(RenameFlags::RENAME_NOREPLACE),
        };
        self.run_for(Caller(req.pid()), None, op, move |outcome| done(outcome, reply));
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // The one copy: fuser's buffer is the next request's.
        let data = Bytes::copy_from_slice(data);
        let op = Op::Write { ino: Ino(ino.0), fh: Fh(fh.0), offset, data };
        self.run(Some(fh), op, move |outcome| match outcome {
            Ok(Reply::Written(bytes)) => reply.written(bytes),
            other => reply.error(errno(other)),
        });
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes {
            size,
            perm: mode.map(permissions),
            uid,
            gid,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
        };
        let op = Op::Setattr { ino: Ino(ino.0), fh: fh.map(|fh| Fh(fh.0)), changes };
        self.run_for(Caller(req.pid()), fh, op, move |outcome| attributes(outcome, reply));
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let op = Op::CopyRange {
            from: (Ino(ino_in.0), Fh(fh_in.0)),
            from_offset: offset_in,
            to: (Ino(ino_out.0), Fh(fh_out.0)),
            to_offset: offset_out,
            len,
        };
        self.run(Some(fh_out), op, move |outcome| match outcome {
            Ok(Reply::Written(bytes)) => reply.written(bytes),
            other => reply.error(errno(other)),
        });
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let Some(how) = allocation(mode) else { return reply.error(Errno::EOPNOTSUPP) };
        let op = Op::Fallocate { ino: Ino(ino.0), fh: Fh(fh.0), offset, len: length, how };
        self.run(Some(fh), op, move |outcome| done(outcome, reply));
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let Some(how) = set_xattr(flags) else { return reply.error(Errno::EINVAL) };
        let op = Op::Setxattr { ino: Ino(ino.0), name: bytes_of(name), value: value.to_vec(), how };
        self.run(None, op, move |outcome| done(outcome, reply));
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let op = Op::Removexattr { ino: Ino(ino.0), name: bytes_of(name) };
        self.run(None, op, move |outcome| done(outcome, reply));
    }
}

fn bytes_of(name: &OsStr) -> Vec<u8> {
    name.as_bytes().to_vec()
}

fn new_node(req: &Request, mode: u32) -> NewNode {
    NewNode { perm: permissions(mode), uid: req.uid(), gid: req.gid() }
}

//! The vocabulary of file system requests and answers.
//!
//! The kernel adapter, the core, the simulator, fuzzers and traces all speak in these types. Nothing here decides.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use crate::env::UnixTime;

/// An inode number, the kernel's nodeid: names one Version of one object, or one directory, and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the mount, as FUSE fixes it.
    pub const ROOT: Ino = Ino(1);
}

/// A file or directory handle: unique over the life of the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fh(pub u64);

/// The thread that makes a system call, as the kernel names it in each of the call's requests. An `open` that is answered
/// ESTALE comes back as a LOOKUP and an OPEN of the same thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub u32);

impl Caller {
    /// A thread outside of the server's pid namespace.
    pub const UNKNOWN: Caller = Caller(0);
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
}

/// The attributes of an inode. They belong to its Version, so the bucket never changes them while it lives. What this mount
/// itself writes does, and then by an answer to the request that wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attr {
    pub ino: Ino,
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970: the object's Last-Modified, or what was set.
    pub mtime: i64,
    pub mtime_nanos: u32,
    pub atime: UnixTime,
    pub ctime: UnixTime,
    /// Permission bits, 0o7777.
    pub perm: u16,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
}

impl Attr {
    /// Of nothing yet: all zeros.
    pub fn blank(ino: Ino, kind: Kind) -> Self {
        let never = UnixTime::default();
        Self {
            ino,
            kind,
            size: 0,
            mtime: 0,
            mtime_nanos: 0,
            atime: never,
            ctime: never,
            perm: 0,
            uid: 0,
            gid: 0,
            nlink: 0,
        }
    }
}

/// How a file is to be opened, as far as the core cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OpenMode {
    pub write: bool,
    /// O_WRONLY, so that nothing need be fetched. Only with `write`.
    pub write_only: bool,
    /// O_TRUNC. Only with `write`.
    pub truncate: bool,
    /// O_DIRECT: past the kernel's page cache.
    pub direct: bool,
}

/// What a new file, directory or link is given. `perm`: permission bits, the umask already taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewNode {
    pub perm: u16,
    pub uid: u32,
    pub gid: u32,
}

/// A time that utimensat(2) sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    Now,
    To(UnixTime),
}

/// What SETATTR changes; `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Bytes: truncate(2), both ways.
    pub size: Option<u64>,
    pub perm: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub atime: Option<SetTime>,
    pub mtime: Option<SetTime>,
}

/// The modes of fallocate(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Grows the file with zeros where it ends before the range does, unless `keep_size`.
    Allocate { keep_size: bool },
    /// FALLOC_FL_PUNCH_HOLE: zeros within the file.
    Punch,
    /// FALLOC_FL_ZERO_RANGE.
    Zero { keep_size: bool },
}

/// The flags of setxattr(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetXattr {
    Either,
    /// XATTR_CREATE
    Create,
    /// XATTR_REPLACE
    Replace,
}

/// One request, as the kernel states it. Names are raw bytes: the kernel promises no encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Adds one to the inode's lookup count when it succeeds.
    Lookup {
        parent: Ino,
        name: Vec<u8>,
    },
    /// Takes `count` off the lookup count.
    Forget {
        ino: Ino,
        count: u64,
    },
    Getattr {
        ino: Ino,
    },
    Readlink {
        ino: Ino,
    },
    Open {
        ino: Ino,
        mode: OpenMode,
    },
    /// Bytes `offset..offset + len` of the handle's Version.
    Read {
        ino: Ino,
        fh: Fh,
        offset: u64,
        len: u32,
    },
    /// close(2) of one descriptor of the handle: what was written is committed, and the answer is what `close` returns.
    /// `still_open`: the closing process is known to have another descriptor of the handle, so nothing need be committed.
    Flush {
        ino: Ino,
        fh: Fh,
        still_open: bool,
    },
    Fsync {
        ino: Ino,
        fh: Fh,
    },
    Release {
        ino: Ino,
        fh: Fh,
    },
    Lseek {
        ino: Ino,
        fh: Fh,
        offset: i64,
        whence: Whence,
    },
    Opendir {
        ino: Ino,
    },
    /// Entries after the cookie `offset` (0: from the start, afresh) that fit `max_bytes` of the kernel's format; with
    /// `plus` each entry but `.` and `..` adds one to its inode's lookup count.
    Readdir {
        ino: Ino,
        fh: Fh,
        offset: u64,
        max_bytes: usize,
        plus: bool,
    },
    Releasedir {
        ino: Ino,
        fh: Fh,
    },
    Statfs {
        ino: Ino,
    },
    /// `mask`: 4 read, 2 write, 1 execute, 0 existence, for `uid` and `gid`.
    Access {
        ino: Ino,
        mask: u32,
        uid: u32,
        gid: u32,
    },
    Getxattr {
        ino: Ino,
        name: Vec<u8>,
    },
    Listxattr {
        ino: Ino,
    },
    Setxattr {
        ino: Ino,
        name: Vec<u8>,
        value: Vec<u8>,
        how: SetXattr,
    },
    Removexattr {
        ino: Ino,
        name: Vec<u8>,
    },
    /// open(2) with O_CREAT of a name that the kernel takes for missing. Counts one look-up when it succeeds.
    Create {
        parent: Ino,
        name: Vec<u8>,
        mode: OpenMode,
        /// O_EXCL
        exclusive: bool,
        node: NewNode,
    },
    /// A file that nobody opens yet, a FIFO or a socket. Counts one look-up, as do the next two.
    Mknod {
        parent: Ino,
        name: Vec<u8>,
        kind: Kind,
        node: NewNode,
    },
    Mkdir {
        parent: Ino,
        name: Vec<u8>,
        node: NewNode,
    },
    Symlink {
        parent: Ino,
        name: Vec<u8>,
        target: Vec<u8>,
        node: NewNode,
    },
    Unlink {
        parent: Ino,
        name: Vec<u8>,
    },
    Rmdir {
        parent: Ino,
        name: Vec<u8>,
    },
    Rename {
        parent: Ino,
        name: Vec<u8>,
        new_parent: Ino,
        new_name: Vec<u8>,
        /// RENAME_NOREPLACE
        no_replace: bool,
    },
    /// All of `data` at `offset` of the file; O_APPEND has become an offset in the kernel.
    Write {
        ino: Ino,
        fh: Fh,
        offset: u64,
        data: Bytes,
    },
    Setattr {
        ino: Ino,
        /// The handle that ftruncate(2) came by.
        fh: Option<Fh>,
        changes: Changes,
    },
    /// copy_file_range(2) between two files of the mount.
    CopyRange {
        from: (Ino, Fh),
        from_offset: u64,
        to: (Ino, Fh),
        to_offset: u64,
        /// Bytes.
        len: u64,
    },
    Fallocate {
        ino: Ino,
        fh: Fh,
        offset: u64,
        len: u64,
        how: Allocation,
    },
    /// A request for what S3 cannot carry, such as a hard link; the word names it for the log. EPERM.
    Unsupported {
        ino: Ino,
        what: &'static str,
    },
}

/// SEEK_DATA and SEEK_HOLE of lseek(2); the kernel answers the other three by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    Data,
    Hole,
}

/// A successful answer.
#[derive(Debug)]
pub enum Reply {
    Done,
    Entry(Entry),
    Attr {
        attr: Attr,
        ttl: Duration,
    },
    Link(Vec<u8>),
    Opened {
        fh: Fh,
    },
    /// The answer to CREATE.
    Created {
        entry: Entry,
        fh: Fh,
    },
    /// Bytes taken: always all of them.
    Written(u32),
    /// The bytes of a read, contiguous: where they are held in one piece, that piece itself.
    Data(Bytes),
    Offset(u64),
    Directory(Vec<DirEntry>),
    Statfs(Statfs),
    /// The value of one attribute, or names each ended by NUL.
    Xattr(Vec<u8>),
}

/// The answer to a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `None`: the name does not exist, and the kernel may remember that for `entry_ttl`.
    pub attr: Option<Attr>,
    /// How long the kernel may take the name for granted: what is left of the metadata TTL.
    pub entry_ttl: Duration,
    /// How long it may take the attributes for granted: they belong to the inode, so practically for ever.
    pub attr_ttl: Duration,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Cookie of the position after this entry.
    pub offset: u64,
    pub ino: Ino,
    pub kind: Kind,
    pub name: Box<str>,
    /// Only asked for by `plus`; `None` there: the kernel looks the name up when it needs to.
    pub entry: Option<Entry>,
}

impl DirEntry {
    /// Bytes that this entry takes in the kernel's buffer: `struct fuse_dirent` or `fuse_direntplus` (include/uapi/
    /// linux/fuse.h) with its name, padded to eight.
    pub fn wire_bytes(name: &str, plus: bool) -> usize {
        let header = if plus { 152 } else { 24 };
        (header + name.len()).next_multiple_of(8)
    }
}

/// What statfs(2) answers. A bucket has no size; the figures are large and constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statfs {
    pub blocks: u64,
    pub files: u64,
    pub block_bytes: u32,
    pub name_bytes_max: u32,
}

/// A name in a directory as the core keeps it: valid UTF-8, 1 to 255 bytes, no `/`, no NUL, neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Linux's NAME_MAX.
    pub const BYTES_MAX: usize = 255;

    /// `None` when no path component can be spelt so.
    pub fn new(text: &str) -> Option<Self> {
        let shown = !text.is_empty()
            && text.len() <= Self::BYTES_MAX
            && text != "."
            && text != ".."
            && !text.bytes().any(|b| b == b'/' || b == 0);
        shown.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

//! What crosses the border, from fuser's types to the core's and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileType, INodeNo, OpenAccMode, OpenFlags, ReplyAttr, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyXattr, TimeOrNow,
};
use nix::libc;

use super::{GENERATION, Outcome};
use crate::op::{Allocation, Attr, DirEntry, Entry, Ino, Kind, OpenMode, Reply, SetTime, SetXattr, UnixTime};

/// What an object store's file shows as its preferred block size.
const BLOCK_BYTES: u32 = 4096;
/// The bits of a mode that chmod(2) sets.
const PERMISSION_BITS: u32 = 0o7777;

/// How open(2) or creat(2) ask for a file.
pub(super) fn open_mode(flags: OpenFlags) -> OpenMode {
    let has = |flag| flags.0 & flag != 0;
    let truncate = has(libc::O_TRUNC);
    let (write, write_only) = match flags.acc_mode() {
        // Linux truncates also a file that is opened for reading only, once it has checked that it may be written.
        OpenAccMode::O_RDONLY => (truncate, false),
        OpenAccMode::O_WRONLY => (true, true),
        OpenAccMode::O_RDWR => (true, false),
    };
    OpenMode { write, write_only, truncate, direct: has(libc::O_DIRECT) }
}

pub(super) fn permissions(mode: u32) -> u16 {
    (mode & PERMISSION_BITS) as u16
}

/// The kind of a node that mknod(2) makes; `None` for devices.
pub(super) fn node_kind(mode: u32) -> Option<Kind> {
    match mode & libc::S_IFMT {
        0 | libc::S_IFREG => Some(Kind::File),
        libc::S_IFIFO => Some(Kind::Fifo),
        libc::S_IFSOCK => Some(Kind::Socket),
        _ => None,
    }
}

/// `None` for what fallocate(2) asks for and nobody can do here, such as taking a range out.
pub(super) fn allocation(mode: i32) -> Option<Allocation> {
    let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
    match mode & !libc::FALLOC_FL_KEEP_SIZE {
        0 => Some(Allocation::Allocate { keep_size }),
        libc::FALLOC_FL_PUNCH_HOLE if keep_size => Some(Allocation::Punch),
        libc::FALLOC_FL_ZERO_RANGE => Some(Allocation::Zero { keep_size }),
        _ => None,
    }
}

pub(super) fn set_xattr(flags: i32) -> Option<SetXattr> {
    match flags {
        0 => Some(SetXattr::Either),
        libc::XATTR_CREATE => Some(SetXattr::Create),
        libc::XATTR_REPLACE => Some(SetXattr::Replace),
        _ => None,
    }
}

pub(super) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::To(unix_time(time)),
    }
}

/// A time as fuser hands it in. Of one before 1970 it subtracts the nanoseconds, which count upwards (fuser 0.18, time.rs):
/// what it took apart is put together again.
fn unix_time(time: SystemTime) -> UnixTime {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => UnixTime { seconds: seconds(after), nanos: after.subsec_nanos() },
        Err(before) => UnixTime { seconds: -seconds(before.duration()), nanos: before.duration().subsec_nanos() },
    }
}

/// The same moment as `std` has it.
fn system_time(time: UnixTime) -> SystemTime {
    let nanos = Duration::from_nanos(time.nanos.into());
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let seconds = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    seconds.and_then(|seconds| seconds.checked_add(nanos)).unwrap_or(UNIX_EPOCH)
}

/// Answers LOOKUP.
pub(super) fn looked_up(outcome: Outcome, reply: ReplyEntry) {
    match outcome {
        Ok(Reply::Entry(Entry { attr: None, entry_ttl, .. })) if !entry_ttl.is_zero() => {
            reply.entry_with_ttls(&Duration::ZERO, &entry_ttl, &no_attr(), GENERATION);
        }
        other => made(other, reply),
    }
}

/// Answers what makes a node.
pub(super) fn made(outcome: Outcome, reply: ReplyEntry) {
    match outcome {
        Ok(Reply::Entry(Entry { attr: Some(attr), entry_ttl, attr_ttl })) => {
            reply.entry_with_ttls(&attr_ttl, &entry_ttl, &file_attr(&attr), GENERATION);
        }
        Ok(Reply::Entry(_)) => reply.error(Errno::ENOENT),
        other => reply.error(errno(other)),
    }
}

pub(super) fn attributes(outcome: Outcome, reply: ReplyAttr) {
    match outcome {
        Ok(Reply::Attr { attr, ttl }) => reply.attr(&ttl, &file_attr(&attr)),
        other => reply.error(errno(other)),
    }
}

pub(super) fn done(outcome: Outcome, reply: ReplyEmpty) {
    match outcome {
        Ok(Reply::Done) => reply.ok(),
        other => reply.error(errno(other)),
    }
}

/// `size` zero asks for the size only.
pub(super) fn xattr(outcome: Outcome, size: u32, reply: ReplyXattr) {
    match outcome {
        Ok(Reply::Xattr(value)) if size == 0 => reply.size(value.len() as u32),
        Ok(Reply::Xattr(value)) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(Reply::Xattr(value)) => reply.data(&value),
        other => reply.error(errno(other)),
    }
}

/// Adds one entry, and answers whether it did not fit.
pub(super) fn add_plus(reply: &mut ReplyDirectoryPlus, entry: &DirEntry) -> bool {
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

/// The errno of a failure. A reply of another kind than the request wants is a bug here, and EIO.
pub(super) fn errno(outcome: Outcome) -> Errno {
    match outcome {
        Err(error) => Errno::from_i32(error.errno().0),
        Ok(reply) => {
            tracing::error!("a request was answered with {reply:?}");
            Errno::EIO
        }
    }
}

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
    }
}

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    let mtime = system_time(UnixTime { seconds: attr.mtime, nanos: attr.mtime_nanos });
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.size.div_ceil(512),
        atime: system_time(attr.atime),
        mtime,
        ctime: system_time(attr.ctime),
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
    file_attr(&Attr::blank(Ino(0), Kind::File))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use fuser::OpenFlags;
    use nix::libc;

    use super::{allocation, node_kind, open_mode, set_xattr, system_time, unix_time};
    use crate::op::{Allocation, Kind, OpenMode, SetXattr, UnixTime};

    #[test]
    fn times_keep_their_nanoseconds_on_both_sides_of_1970() {
        let after = UnixTime { seconds: 5, nanos: 7 };
        assert_eq!(system_time(after), UNIX_EPOCH + Duration::new(5, 7));
        assert_eq!(unix_time(system_time(after)), after);
        let before = UnixTime { seconds: -5, nanos: 7 };
        assert_eq!(system_time(before), UNIX_EPOCH - Duration::from_secs(5) + Duration::from_nanos(7));
        // As fuser builds it.
        assert_eq!(unix_time(UNIX_EPOCH - Duration::new(5, 7)), before);
    }

    #[test]
    fn truncating_counts_as_writing() {
        let mode = |flags| open_mode(OpenFlags(flags));
        assert_eq!(mode(libc::O_RDONLY), OpenMode::default());
        let truncating = OpenMode { write: true, truncate: true, ..OpenMode::default() };
        assert_eq!(mode(libc::O_RDONLY | libc::O_TRUNC), truncating);
        assert_eq!(mode(libc::O_RDWR | libc::O_TRUNC), truncating);
        assert_eq!(mode(libc::O_WRONLY), OpenMode { write: true, write_only: true, ..OpenMode::default() });
    }

    #[test]
    fn only_what_can_be_done_is_asked_of_the_core() {
        let keep = libc::FALLOC_FL_KEEP_SIZE;
        assert_eq!(allocation(0), Some(Allocation::Allocate { keep_size: false }));
        assert_eq!(allocation(libc::FALLOC_FL_PUNCH_HOLE | keep), Some(Allocation::Punch));
        assert_eq!(allocation(libc::FALLOC_FL_ZERO_RANGE | keep), Some(Allocation::Zero { keep_size: true }));
        for not in [libc::FALLOC_FL_PUNCH_HOLE, libc::FALLOC_FL_COLLAPSE_RANGE, libc::FALLOC_FL_INSERT_RANGE] {
            assert_eq!(allocation(not), None, "{not}");
        }
        assert_eq!((node_kind(libc::S_IFIFO | 0o644), node_kind(libc::S_IFBLK)), (Some(Kind::Fifo), None));
        assert_eq!((set_xattr(libc::XATTR_REPLACE), set_xattr(3)), (Some(SetXattr::Replace), None));
    }
}

//! How a run's things are called, in traces and reports alike.

use std::ops::Range;

use holdfast::env::Time;
use holdfast::env::store::{ByteRange, ErrorKind};
use holdfast::error::Errno;
use holdfast::op::{Op, Reply};

use super::{Origin, Piece, Seen};
use crate::content::Version;
use crate::scenario::Call;
use crate::store::{FaultKind, Kind};

/// `12.345 ms`, always in milliseconds, so that times can be compared by eye.
pub fn time(time: Time) -> String {
    let us = time.0.as_micros();
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

/// A request to the core, as far as one line has room.
pub fn op(op: &Op) -> String {
    shortened(format!("{op:?}"))
}

/// `None`: it was not sent.
pub fn outcome(outcome: Option<Result<&Reply, Errno>>) -> String {
    match outcome {
        None => "not sent".to_owned(),
        Some(Ok(reply)) => shortened(format!("{reply:?}")),
        Some(Err(code)) => errno(code),
    }
}

fn shortened(text: String) -> String {
    text.chars().take(160).collect()
}

/// `64 KiB`, where that is exact; else with one digit.
pub fn size(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit {
            let tenths = bytes.saturating_mul(10) / unit;
            return if bytes.is_multiple_of(unit) || tenths.is_multiple_of(10) {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            };
        }
    }
    format!("{bytes} B")
}

/// `64 KiB at 128 KiB`
pub fn span(range: &Range<u64>) -> String {
    match range.end {
        u64::MAX => format!("all from {}", size(range.start)),
        end => format!("{} at {}", size(end.saturating_sub(range.start)), size(range.start)),
    }
}

pub fn version(version: Option<Version>) -> String {
    match version {
        None => "an unknown version".into(),
        // Links have no numbered versions.
        Some(Version(u32::MAX)) => "a link".into(),
        Some(Version(number)) => format!("v{number}"),
    }
}

pub fn origin(origin: Origin) -> String {
    match origin {
        Origin::Version(number) => version(Some(number)),
        Origin::Misplaced(number) => format!("{} of another place", version(Some(number))),
        Origin::OtherKey => "another key".into(),
        Origin::Zeros => "zeros".into(),
        Origin::Foreign => "nobody's".into(),
    }
}

/// Rows that are written out.
const PIECES_TOLD: usize = 6;

/// `64 KiB of v1, then 64 KiB of v2`
pub fn pieces(pieces: &[Piece]) -> String {
    if pieces.is_empty() {
        return "end of file".into();
    }
    let told = pieces.iter().take(PIECES_TOLD);
    let mut text: Vec<String> =
        told.map(|piece| format!("{} of {}", size(piece.bytes), origin(piece.origin))).collect();
    if pieces.len() > PIECES_TOLD {
        text.push(format!("{} more pieces", pieces.len() - PIECES_TOLD));
    }
    text.join(", then ")
}

/// Names that are written out.
const NAMES_TOLD: usize = 12;

pub fn names(names: &[String]) -> String {
    let told: Vec<&str> = names.iter().take(NAMES_TOLD).map(String::as_str).collect();
    let rest = names.len() - told.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{} names: {}{more}", names.len(), told.join(" "))
}

pub fn seen(seen: &Seen) -> String {
    match seen {
        Seen::Nothing => "ok".into(),
        Seen::Opened(number) => version(*number),
        Seen::Bytes(rows) => pieces(rows),
        Seen::Attributes { size: bytes, version: Some(number) } => {
            format!("{} ({bytes} bytes)", version(Some(*number)))
        }
        Seen::Attributes { size: bytes, version: None } => format!("{bytes} bytes"),
        Seen::Names(all) => names(all),
        Seen::Offset(to) => format!("offset {to}"),
        Seen::Target(target) => format!("-> {target}"),
    }
}

/// Names of errnos; numbers of those that the core never answers with.
pub fn errno(errno: Errno) -> String {
    let name = match errno {
        Errno::ENOENT => "ENOENT",
        Errno::EIO => "EIO",
        Errno::ENXIO => "ENXIO",
        Errno::EBADF => "EBADF",
        Errno::EACCES => "EACCES",
        Errno::ENOTDIR => "ENOTDIR",
        Errno::EISDIR => "EISDIR",
        Errno::EINVAL => "EINVAL",
        Errno::ENOSPC => "ENOSPC",
        Errno::EROFS => "EROFS",
        Errno::ENAMETOOLONG => "ENAMETOOLONG",
        Errno::ENODATA => "ENODATA",
        Errno::EOPNOTSUPP => "EOPNOTSUPP",
        Errno::ESTALE => "ESTALE",
        Errno(number) => return format!("errno {number}"),
    };
    name.into()
}

pub fn error(kind: ErrorKind) -> String {
    format!("{kind:?}")
}

pub fn fault(fault: &FaultKind) -> String {
    match fault {
        FaultKind::Refused(refused) => format!("refused: {:?}", refused.kind),
        other => format!("{other:?}"),
    }
}

/// `GET`
pub fn kind(kind: Kind) -> &'static str {
    kind.name().trim_start_matches("s3 ")
}

/// `bytes 0-65535`, or nothing where a request asks for all.
pub fn byte_range(range: Option<ByteRange>) -> String {
    match range {
        None => String::new(),
        Some(ByteRange::From(start)) => format!(" from {}", size(start)),
        Some(ByteRange::Within { start, end }) => format!(" {}", span(&(start..end))),
        Some(ByteRange::Last(bytes)) => format!(" last {}", size(bytes)),
    }
}

/// `pread #0 64 KiB at 128 KiB`
pub fn call(call: &Call) -> String {
    match call {
        Call::Open { file, path, direct } => {
            format!("open {path} as #{file}{}", if *direct { " O_DIRECT" } else { "" })
        }
        Call::Read { file, len } => format!("read #{file} {}", size(*len)),
        Call::Pread { file, at, len } => format!("pread #{file} {}", span(&(*at..at.saturating_add(*len)))),
        Call::ReadToEnd { file } => format!("read #{file} to its end"),
        Call::Seek { file, to } => format!("seek #{file} to {}", size(*to)),
        Call::SeekData { file, from } => format!("seek #{file} to data from {}", size(*from)),
        Call::SeekHole { file, from } => format!("seek #{file} to a hole from {}", size(*from)),
        Call::Fstat { file } => format!("fstat #{file}"),
        Call::Xattr { file, name } => format!("getxattr #{file} {name}"),
        Call::Dup { file, to } => format!("dup #{file} as #{to}"),
        Call::Close { file } => format!("close #{file}"),
        Call::Map { file, to } => format!("mmap #{file} as #{to}"),
        Call::Touch { map, at, len } => format!("touch #{map} {}", span(&(*at..at.saturating_add(*len)))),
        Call::Store { map, at, len } => format!("store #{map} {}", span(&(*at..at.saturating_add(*len)))),
        Call::Msync { map } => format!("msync #{map}"),
        Call::Unmap { map } => format!("munmap #{map}"),
        Call::Stat { path } => format!("stat {path}"),
        Call::Access { path } => format!("access {path}"),
        Call::Readlink { path } => format!("readlink {path}"),
        Call::Readdir { path } => format!("readdir {path}"),
        Call::Opendir { dir, path } => format!("opendir {path} as #{dir}"),
        Call::Getdents { dir } => format!("getdents #{dir}"),
        Call::Rewinddir { dir } => format!("rewinddir #{dir}"),
        Call::Seekdir { dir, nth } => format!("seekdir #{dir} to place {nth}"),
        Call::ListLong { path } => format!("ls -l {path}"),
        Call::Lstat { path } => format!("lstat {path}"),
        Call::ListXattr { path } => format!("listxattr {path}"),
        Call::XattrAt { path, name } => format!("getxattr {path} {name}"),
        Call::Cat { path } => format!("cat {path}"),
        Call::Statfs => "statfs".into(),
        Call::Write { path } => format!("write {path}"),
        Call::OpenWrite { file, path, create, exclusive, truncate, append, write_only, direct, sync, dsync } => {
            let flags = [
                (*write_only, " O_WRONLY"),
                (!*write_only, " O_RDWR"),
                (*create, " O_CREAT"),
                (*exclusive, " O_EXCL"),
                (*truncate, " O_TRUNC"),
                (*append, " O_APPEND"),
                (*direct, " O_DIRECT"),
                (*sync, " O_SYNC"),
                (*dsync, " O_DSYNC"),
            ];
            let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            format!("open {path} as #{file}{flags}")
        }
        Call::WriteOn { file, len } => format!("write #{file} {}", size(*len)),
        Call::Pwrite { file, at, len } => format!("pwrite #{file} {}", span(&(*at..at.saturating_add(*len)))),
        Call::Fsync { file } => format!("fsync #{file}"),
        Call::Ftruncate { file, size: to } => format!("ftruncate #{file} to {}", size(*to)),
        Call::Truncate { path, size: to } => format!("truncate {path} to {}", size(*to)),
        Call::Fallocate { file, at, len, how } => {
            format!("fallocate #{file} {how:?} {}", span(&(*at..at.saturating_add(*len))))
        }
        Call::CopyRange { file, at, to, to_at, len } => {
            format!("copy #{file} {} to #{to} at {}", span(&(*at..at.saturating_add(*len))), size(*to_at))
        }
        Call::Setxattr { path, name, value, how } => format!("setxattr {path} {name}={value} {how:?}"),
        Call::Removexattr { path, name } => format!("removexattr {path} {name}"),
        Call::Fsetxattr { file, name, value, how } => format!("fsetxattr #{file} {name}={value} {how:?}"),
        Call::Fremovexattr { file, name } => format!("fremovexattr #{file} {name}"),
        Call::Mknod { path, fifo } => format!("mknod {path}{}", if *fifo { " S_IFIFO" } else { "" }),
        Call::Chmod { path, perm } => format!("chmod {path} {perm:o}"),
        Call::Utimens { path, seconds } => format!("touch {path} at {seconds} s"),
        Call::Symlink { target, path } => format!("symlink {path} -> {target}"),
        Call::Unlink { path } => format!("unlink {path}"),
        Call::Mkdir { path } => format!("mkdir {path}"),
        Call::Rmdir { path } => format!("rmdir {path}"),
        Call::Rename { path, to, no_replace } => {
            format!("rename {path} to {to}{}", if *no_replace { " RENAME_NOREPLACE" } else { "" })
        }
        Call::Save { path, len } => format!("save {path}, {}", size(*len)),
        Call::SaveBeside { path, len } => format!("save {path} beside it, {}", size(*len)),
        Call::DropPages => "drop pages".into(),
        Call::DropCaches => "drop caches".into(),
        Call::Sleep => "sleep".into(),
    }
}

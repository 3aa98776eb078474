//! What may go wrong for a user, and the one table that says which errno it is.
//!
//! Every error knows its key and its cause, so that one log line can say what happened, to what, and what to do.

use crate::env::DiskError;
use crate::env::store::{ErrorKind, Key, StoreError};

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FsError {
    #[error("no such file or directory")]
    NotFound,
    #[error("access to {key:?} denied by the bucket ({cause}); check the policy of the credentials in use")]
    AccessDenied { key: Key, cause: StoreError },
    #[error("the bucket of {key:?} does not exist any more; unmount, or create it again")]
    NoBucket { key: Key },
    #[error("{key:?} is in an archive storage class; restore it first")]
    Archived { key: Key },
    /// The Version can no longer be had, as far as this request needs it.
    #[error(
        "{key:?} was replaced or deleted, and bytes {start}..{end} of the version held were out of reach; reopen it for the current version"
    )]
    LostHold { key: Key, start: u64, end: u64 },
    /// The path names another Version by now: the kernel is to look it up again.
    #[error("{key:?} has a newer version; the path must be looked up again")]
    Superseded { key: Key },
    #[error("inode {0} is not known")]
    UnknownInode(u64),
    #[error("handle {0} is not open")]
    BadHandle(u64),
    #[error("handle {0} is fenced after an internal error; close it and open the file again")]
    Fenced(u64),
    #[error("not a directory")]
    NotDirectory,
    #[error("is a directory")]
    IsDirectory,
    #[error("no such attribute")]
    NoAttribute,
    #[error("all attributes together are more than the 2 KiB that S3 takes")]
    NoRoomForAttribute,
    #[error("name too long")]
    NameTooLong,
    #[error("offset is past the end")]
    PastEnd,
    #[error("invalid argument")]
    InvalidArgument,
    #[error("permission denied")]
    PermissionDenied,
    #[error("the mount is read-only ({0})")]
    ReadOnly(&'static str),
    #[error("not supported")]
    Unsupported,
    #[error("exists already")]
    Exists,
    #[error("directory not empty")]
    NotEmpty,
    /// Something that S3 cannot carry, or that an option of the mount forbids.
    #[error("not permitted: {0}")]
    NotPermitted(&'static str),
    #[error("{key:?} would have {bytes} bytes, more than an object may have")]
    TooLarge { key: Key, bytes: u64 },
    /// What was written could not be published because somebody else published in between.
    #[error(
        "{key:?} was changed by somebody else since it was opened here; what was written here was not published, and is kept {}",
        kept.as_ref().map_or("in this mount until the file is closed".to_string(), |at| format!("as {at:?}; see `holdfast recover`"))
    )]
    LostUpdate { key: Key, kept: Option<String> },
    /// The same, to whoever asks again.
    #[error("{key:?} was changed by somebody else, and what is written here is not published any more")]
    Abandoned { key: Key },
    #[error(
        "the service failed for {key:?} until the deadline ({cause}); the operation may be repeated once it answers"
    )]
    Exhausted { key: Key, cause: StoreError },
    #[error("the service answered nonsense for {key:?} ({cause}); nothing of it was kept")]
    Nonsense { key: Key, cause: StoreError },
    #[error("local disk: {0}; check the cache directory")]
    Disk(DiskError),
}

/// Linux errno values (include/uapi/asm-generic/errno*.h), so that the core needs no libc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const EPERM: Errno = Errno(1);
    pub const ENOENT: Errno = Errno(2);
    pub const EIO: Errno = Errno(5);
    pub const ENXIO: Errno = Errno(6);
    pub const EBADF: Errno = Errno(9);
    pub const EACCES: Errno = Errno(13);
    pub const EEXIST: Errno = Errno(17);
    pub const ENOTDIR: Errno = Errno(20);
    pub const EISDIR: Errno = Errno(21);
    pub const EINVAL: Errno = Errno(22);
    pub const EFBIG: Errno = Errno(27);
    pub const ENOSPC: Errno = Errno(28);
    pub const EROFS: Errno = Errno(30);
    pub const ENAMETOOLONG: Errno = Errno(36);
    pub const ENOTEMPTY: Errno = Errno(39);
    pub const ENODATA: Errno = Errno(61);
    pub const EOPNOTSUPP: Errno = Errno(95);
    pub const ESTALE: Errno = Errno(116);
}

/// Whether an error is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// An ordinary answer, such as ENOENT.
    Answer,
    /// The user will want to know why.
    Problem,
}

impl FsError {
    /// The errno table.
    pub fn errno(&self) -> Errno {
        match self {
            Self::NotFound => Errno::ENOENT,
            Self::AccessDenied { .. } | Self::Archived { .. } | Self::PermissionDenied => Errno::EACCES,
            Self::LostHold { .. }
            | Self::Superseded { .. }
            | Self::UnknownInode(_)
            | Self::LostUpdate { .. }
            | Self::Abandoned { .. } => Errno::ESTALE,
            Self::Exists => Errno::EEXIST,
            Self::NotEmpty => Errno::ENOTEMPTY,
            Self::NotPermitted(_) => Errno::EPERM,
            Self::TooLarge { .. } => Errno::EFBIG,
            Self::BadHandle(_) => Errno::EBADF,
            Self::NotDirectory => Errno::ENOTDIR,
            Self::IsDirectory => Errno::EISDIR,
            Self::NoAttribute => Errno::ENODATA,
            Self::NoRoomForAttribute => Errno::ENOSPC,
            Self::NameTooLong => Errno::ENAMETOOLONG,
            Self::PastEnd => Errno::ENXIO,
            Self::InvalidArgument => Errno::EINVAL,
            Self::ReadOnly(_) => Errno::EROFS,
            Self::Unsupported => Errno::EOPNOTSUPP,
            Self::Disk(DiskError::Full) => Errno::ENOSPC,
            Self::Disk(DiskError::Failed(_))
            | Self::Fenced(_)
            | Self::NoBucket { .. }
            | Self::Exhausted { .. }
            | Self::Nonsense { .. } => Errno::EIO,
        }
    }

    pub fn severity(&self) -> Severity {
        match self {
            Self::AccessDenied { .. }
            | Self::Archived { .. }
            | Self::LostHold { .. }
            | Self::LostUpdate { .. }
            | Self::TooLarge { .. }
            | Self::NoBucket { .. }
            | Self::Fenced(_)
            | Self::Exhausted { .. }
            | Self::Nonsense { .. }
            | Self::Disk(_) => Severity::Problem,
            Self::NotFound
            | Self::Superseded { .. }
            | Self::UnknownInode(_)
            | Self::BadHandle(_)
            | Self::NotDirectory
            | Self::IsDirectory
            | Self::NoAttribute
            | Self::NoRoomForAttribute
            | Self::NameTooLong
            | Self::PastEnd
            | Self::InvalidArgument
            | Self::PermissionDenied
            | Self::ReadOnly(_)
            | Self::Exists
            | Self::NotEmpty
            | Self::Abandoned { .. }
            | Self::NotPermitted(_)
            | Self::Unsupported => Severity::Answer,
        }
    }

    /// What a failed request for `key` means to the user, once nothing more will be tried. Callers that have a better
    /// meaning for [`ErrorKind::NotFound`] or [`ErrorKind::PreconditionFailed`] handle those first.
    pub fn from_store(key: &Key, cause: StoreError) -> Self {
        let key = key.clone();
        match cause.kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::NoSuchBucket => Self::NoBucket { key },
            ErrorKind::Archived => Self::Archived { key },
            ErrorKind::AccessDenied | ErrorKind::BadCredentials | ErrorKind::WrongRegion => {
                Self::AccessDenied { key, cause }
            }
            ErrorKind::PreconditionFailed | ErrorKind::NotModified => Self::Superseded { key },
            ErrorKind::InvalidAnswer | ErrorKind::InvalidRange | ErrorKind::InvalidRequest => {
                Self::Nonsense { key, cause }
            }
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::NoSuchUpload
            | ErrorKind::Conflict
            | ErrorKind::Throttled
            | ErrorKind::Unavailable
            | ErrorKind::Unreachable
            | ErrorKind::NoAnswer
            | ErrorKind::BrokenBody => Self::Exhausted { key, cause },
        }
    }
}

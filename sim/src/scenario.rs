//! A concurrent-mutation scenario as data: what the world is like, what applications do, what goes wrong and what other
//! clients change meanwhile.
//!
//! A scenario and nothing else decides a run: the same scenario always runs the same. Whatever happens around the
//! applications is tied to a cause, "the second GET of `film` since operation 3, after its first chunk", rather than to a
//! time, so that it still happens when the rest is shrunk. Files of scenarios are read and written by [`format`] and
//! described in `docs/simulation.md`.

pub mod check;
pub mod config;
pub mod format;
pub mod shrink;
pub mod strategy;

use serde::{Deserialize, Serialize};

pub use config::{Disk, Kernel, MountOptions, Object, ScenarioConfig, Schedule, Weather};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scenario {
    pub config: ScenarioConfig,
    /// In the order of each application; operations of different applications overlap.
    pub ops: Vec<AppOp>,
    pub faults: Vec<FaultAt>,
    pub mutations: Vec<MutationAt>,
}

/// A number that an operation keeps while others around it are shrunk away.
pub type OpId = u32;

/// One system call, or a pause, of one application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppOp {
    pub id: OpId,
    #[serde(default)]
    pub app: u8,
    /// The application waits so long before.
    #[serde(default)]
    pub pause_ms: u64,
    pub call: Call,
    /// The calling thread is killed when the call has lasted so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed_after_ms: Option<u64>,
}

/// A place in an application's table of descriptors. Operations on an empty one do nothing.
pub type Slot = u8;

/// Descriptors of one application.
pub const SLOTS: Slot = 8;

/// What an application does. Offsets and lengths are bytes; what reaches beyond the file's end is cut there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Into `file`, which is closed before if it is in use.
    Open {
        file: Slot,
        path: String,
        #[serde(default)]
        direct: bool,
    },
    /// read(2) from the descriptor's position.
    Read {
        file: Slot,
        len: u64,
    },
    Pread {
        file: Slot,
        at: u64,
        len: u64,
    },
    /// From the descriptor's position to the end, in pieces of 128 KiB.
    ReadToEnd {
        file: Slot,
    },
    /// lseek(2) with SEEK_SET.
    Seek {
        file: Slot,
        to: u64,
    },
    /// lseek(2) with SEEK_DATA, or with SEEK_HOLE.
    SeekData {
        file: Slot,
        from: u64,
    },
    SeekHole {
        file: Slot,
        from: u64,
    },
    Fstat {
        file: Slot,
    },
    /// fgetxattr(2).
    Xattr {
        file: Slot,
        name: String,
    },
    /// dup(2), as after a fork: both descriptors share position and `struct file`.
    Dup {
        file: Slot,
        to: Slot,
    },
    Close {
        file: Slot,
    },
    /// mmap(2) of all of the file, which may be closed afterwards.
    Map {
        file: Slot,
        to: Slot,
    },
    /// Reads through the mapping.
    Touch {
        map: Slot,
        at: u64,
        len: u64,
    },
    /// Writes through the mapping.
    Store {
        map: Slot,
        at: u64,
        len: u64,
    },
    /// msync(2) with MS_SYNC.
    Msync {
        map: Slot,
    },
    Unmap {
        map: Slot,
    },
    Stat {
        path: String,
    },
    Access {
        path: String,
    },
    Readlink {
        path: String,
    },
    Readdir {
        path: String,
    },
    /// A directory stream, into `dir`.
    Opendir {
        dir: Slot,
        path: String,
    },
    /// The next entries of a directory stream.
    Getdents {
        dir: Slot,
    },
    Rewinddir {
        dir: Slot,
    },
    /// Back to the `nth` of the places where the stream was since it was opened or rewound.
    Seekdir {
        dir: Slot,
        nth: u64,
    },
    /// `ls -l`: readdir, and an lstat of each name.
    ListLong {
        path: String,
    },
    Lstat {
        path: String,
    },
    /// getxattr(2).
    XattrAt {
        path: String,
        name: String,
    },
    /// listxattr(2).
    ListXattr {
        path: String,
    },
    /// A program that reads the whole file: open, read to the end, close.
    Cat {
        path: String,
    },
    Statfs,
    /// Makes a file past the kernel; a mount that is read-only refuses.
    Write {
        path: String,
    },
    /// open(2) with O_RDWR, into `file`, which is closed before if it is in use.
    OpenWrite {
        file: Slot,
        path: String,
        /// O_CREAT
        #[serde(default)]
        create: bool,
        /// O_EXCL
        #[serde(default)]
        exclusive: bool,
        /// O_TRUNC
        #[serde(default)]
        truncate: bool,
        /// O_APPEND
        #[serde(default)]
        append: bool,
        /// O_WRONLY in place of O_RDWR.
        #[serde(default)]
        write_only: bool,
        #[serde(default)]
        direct: bool,
        /// O_SYNC
        #[serde(default, skip_serializing_if = "is_false")]
        sync: bool,
        /// O_DSYNC
        #[serde(default, skip_serializing_if = "is_false")]
        dsync: bool,
    },
    /// write(2), from the descriptor's position; at the end if it was opened with `append`.
    WriteOn {
        file: Slot,
        len: u64,
    },
    Pwrite {
        file: Slot,
        at: u64,
        len: u64,
    },
    Fsync {
        file: Slot,
    },
    Ftruncate {
        file: Slot,
        size: u64,
    },
    Truncate {
        path: String,
        size: u64,
    },
    /// fallocate(2).
    Fallocate {
        file: Slot,
        at: u64,
        len: u64,
        how: AllocationName,
    },
    /// copy_file_range(2) between two descriptors.
    CopyRange {
        file: Slot,
        at: u64,
        to: Slot,
        to_at: u64,
        len: u64,
    },
    /// setxattr(2).
    Setxattr {
        path: String,
        name: String,
        value: String,
        #[serde(default)]
        how: SetXattrName,
    },
    Removexattr {
        path: String,
        name: String,
    },
    /// fsetxattr(2), also of a descriptor that is not for writing.
    Fsetxattr {
        file: Slot,
        name: String,
        value: String,
        #[serde(default)]
        how: SetXattrName,
    },
    Fremovexattr {
        file: Slot,
        name: String,
    },
    /// mknod(2): a file that nobody opens yet.
    Mknod {
        path: String,
        /// A FIFO in place of a file.
        #[serde(default)]
        fifo: bool,
    },
    /// chmod(2).
    Chmod {
        path: String,
        perm: u16,
    },
    /// utimensat(2): the time of the last write.
    Utimens {
        path: String,
        /// Since 1970.
        seconds: i64,
    },
    /// symlink(2): a link at `path`.
    Symlink {
        target: String,
        path: String,
    },
    Unlink {
        path: String,
    },
    Mkdir {
        path: String,
    },
    Rmdir {
        path: String,
    },
    Rename {
        path: String,
        to: String,
        /// RENAME_NOREPLACE
        #[serde(default)]
        no_replace: bool,
    },
    /// A program that writes a whole file: open with O_CREAT and O_TRUNC, write, close.
    Save {
        path: String,
        len: u64,
    },
    /// As editors save: a whole file beside it, then a rename over it.
    SaveBeside {
        path: String,
        len: u64,
    },
    /// The kernel lets go of pages, or of pages, names and inodes, of this machine.
    DropPages,
    DropCaches,
    /// Nothing but its pause.
    Sleep,
}

/// The flags of setxattr(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetXattrName {
    #[default]
    Either,
    /// XATTR_CREATE
    Create,
    /// XATTR_REPLACE
    Replace,
}

/// The modes of fallocate(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllocationName {
    /// The file reaches to the range's end at least.
    Allocate,
    /// FALLOC_FL_KEEP_SIZE: nothing is to be seen of it.
    AllocateKeepingSize,
    /// FALLOC_FL_PUNCH_HOLE: zeros within the file.
    Punch,
    /// FALLOC_FL_ZERO_RANGE: zeros, also beyond the end.
    Zero,
    /// With FALLOC_FL_KEEP_SIZE.
    ZeroKeepingSize,
}

/// When something happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cause {
    /// So long after the applications have begun.
    AtMs(u64),
    Request(RequestCause),
}

/// A point in the life of one request, or of each of several.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestCause {
    /// Left out: of any kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<RequestKind>,
    /// Left out: of any key. Of a listing: its prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// From 1, among those that fit. Left out: each of them (a mutation: the first).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Counted from when this operation began. Left out: from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<OpId>,
    /// For mutations. Left out: before the server applies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    Get,
    Head,
    List,
    Put,
    Delete,
    Copy,
    CreateUpload,
    UploadPart,
    UploadPartCopy,
    CompleteUpload,
    AbortUpload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The server is about to apply it.
    Before,
    /// It was applied and is not yet answered.
    After,
    /// This chunk of its body, from 1, has just been handed out.
    Chunk(u64),
}

/// What goes wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultAt {
    pub when: Cause,
    pub what: FaultSpec,
}

/// See [`crate::store::FaultKind`], which says what each does. Bytes count from a body's first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultSpec {
    Refused {
        error: ErrorName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    Delayed {
        ms: u64,
    },
    AnswerSlow {
        ms: u64,
    },
    AnswerLost,
    AppliedLate {
        ms: u64,
    },
    Hangs,
    HangsApplied,
    ConditionsIgnored,
    RangeShifted {
        by: u64,
    },
    RangeIgnored,
    EtagWrong,
    /// The header claims another size of the object.
    SizeWrong {
        by: u64,
    },
    /// Last-Modified is off by so many seconds.
    ModifiedSkewed {
        seconds: i64,
    },
    BodyBreaks {
        after: u64,
    },
    BodyEnds {
        after: u64,
    },
    BodyOverflows {
        by: u64,
    },
    BodyStalls {
        after: u64,
    },
    BodyDiesPaused {
        longer_than_ms: u64,
    },
    BodySlow {
        chunk_ms: u64,
    },
    PageRepeats,
    PageGoesBack,
    PageTokenDropped,
    PageTokenLoops,
    /// Nothing connects and everything in flight breaks. Only at a time.
    Outage {
        ms: u64,
    },
}

/// What S3 refuses a request with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorName {
    /// 404
    NotFound,
    /// 412
    PreconditionFailed,
    /// 409
    Conflict,
    /// 403
    AccessDenied,
    /// 403 InvalidObjectState
    Archived,
    /// 416
    InvalidRange,
    /// 429, 503 SlowDown
    Throttled,
    /// 500, 503
    Unavailable,
    Unreachable,
    NoAnswer,
    /// 200 with nonsense or an error inside.
    InvalidAnswer,
}

/// What others do meanwhile, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutationAt {
    pub when: Cause,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// The key's content becomes `version`, a number that is new for this key.
    Put {
        key: String,
        version: u32,
        size: u64,
    },
    /// The same bytes once more, as a new version; nothing where there is no object.
    PutAgain {
        key: String,
    },
    Delete {
        key: String,
    },
    /// On a bucket with versions: the current version is gone for good.
    Purge {
        key: String,
    },
    /// Multipart uploads of the key that are not completed are gone, as lifecycle rules have it.
    AbortUploads {
        key: String,
    },
    /// [`Change::Put`] of a key that has a GET in flight; without one, of `otherwise`.
    PutInFlight {
        otherwise: String,
        pick: u8,
        version: u32,
        size: u64,
    },
    /// The mount dies and starts again on the disk as it was left.
    Crash {
        mount: u8,
    },
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Scenario {
    /// Takes out whatever refers to operations that are gone.
    pub fn tidied(mut self) -> Self {
        let ids: std::collections::BTreeSet<OpId> = self.ops.iter().map(|op| op.id).collect();
        let lives = |when: &Cause| match when {
            Cause::AtMs(_) => true,
            Cause::Request(cause) => cause.since.is_none_or(|id| ids.contains(&id)),
        };
        self.faults.retain(|fault| lives(&fault.when));
        self.mutations.retain(|mutation| lives(&mutation.when));
        self
    }
}

//! The object store as the core sees it: one bucket of S3.
//!
//! Contract, beyond what each method says:
//! - **Atomicity.** Each mutation is applied whole or not at all, at one instant between call and answer; its condition is
//!   decided at that same instant.
//! - **A GET keeps its version.** A reply's body delivers bytes of the one version that `meta` describes, however late
//!   it is read and whatever happens to the key meanwhile; or it fails. It never switches.
//! - **Ambiguity.** After [`ErrorKind::is_ambiguous`] a mutation may have been applied, may be applied later, or never.
//!   Whoever needs to know looks.
//! - **No retries.** An implementation makes one attempt. Retry, deadline and resume are the core's (`data::retry`), where
//!   the simulator sees them. Healing that cannot fail differently (clock skew, an expired token, a redirect to another
//!   region) is the implementation's.
//! - **Distrust.** An implementation reports what the server said; the core checks that it is what was asked for.
//!
//! Names are those of the S3 API reference (docs.aws.amazon.com/AmazonS3/latest/API).

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

macro_rules! string_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }
    };
}

string_newtype! {
    /// An object's full key: 1 to 1024 bytes of UTF-8, also called prefix where it names many.
    Key
}
string_newtype! {
    /// An entity tag without its quotes: opaque, equal for equal bytes of one upload.
    ETag
}
string_newtype! {
    /// A version id of a versioned bucket. The id `null` names whatever was put while versioning was off, can be
    /// overwritten, and therefore never appears here: implementations answer `None` for it.
    VersionId
}
string_newtype! {
    /// The id of a multipart upload.
    UploadId
}

/// What S3 knows of one version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    pub etag: ETag,
    /// `None` on a bucket without versions.
    pub version_id: Option<VersionId>,
    /// Bytes of the whole object, also in the answer to a ranged GET.
    pub size: u64,
    /// Seconds since 1970.
    pub last_modified: i64,
    pub content_type: Option<String>,
    /// `None` means STANDARD, as in the S3 API.
    pub storage_class: Option<String>,
    /// `x-amz-meta-*`, names in lower case without that prefix.
    pub user: BTreeMap<String, String>,
}

/// What counts against S3's limit of user metadata: bytes of names and values together.
pub fn user_metadata_bytes(user: &BTreeMap<String, String>) -> usize {
    user.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// The attributes a new object is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewObject {
    pub content_type: Option<String>,
    pub storage_class: Option<String>,
    pub user: BTreeMap<String, String>,
}

/// `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `*`: any object at all.
    Any,
    ETag(ETag),
}

/// The conditions of GET and HEAD, and those of a copy's source. RFC 9110 §13 with S3's exceptions: a true If-Match
/// overrides a false If-Unmodified-Since; a false If-None-Match overrides a true If-Modified-Since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// False: [`ErrorKind::PreconditionFailed`].
    pub if_match: Option<Match>,
    /// False: [`ErrorKind::NotModified`].
    pub if_none_match: Option<Match>,
    /// Seconds since 1970. False: [`ErrorKind::NotModified`].
    pub if_modified_since: Option<i64>,
    /// Seconds since 1970. False: [`ErrorKind::PreconditionFailed`].
    pub if_unmodified_since: Option<i64>,
}

impl ReadConditions {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn if_match(etag: &ETag) -> Self {
        Self { if_match: Some(Match::ETag(etag.clone())), ..Self::default() }
    }
}

/// The condition of PUT, COPY's target, CompleteMultipartUpload and DELETE. `None`: unconditional. False:
/// [`ErrorKind::PreconditionFailed`], or [`ErrorKind::NotFound`] for an If-Match on a key that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteCondition {
    /// `If-Match: <etag>`
    IfMatch(ETag),
    /// `If-None-Match: *`; not for DELETE.
    IfAbsent,
}

/// The `Range` of a GET, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=start-`: to the end, whatever it is.
    From(u64),
    /// `bytes=start-(end-1)`; `start < end`. S3 cuts it at the object's end.
    Within { start: u64, end: u64 },
    /// `bytes=-n`: the last n.
    Last(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    pub key: Key,
    pub version_id: Option<VersionId>,
    /// `None`: all of it. A range that starts at or past the end, so any range of an empty object, is
    /// [`ErrorKind::InvalidRange`].
    pub range: Option<ByteRange>,
    pub conditions: ReadConditions,
}

/// The answer to a GET once its header has arrived.
#[derive(Debug)]
pub struct GetReply<B> {
    pub meta: ObjectMeta,
    /// The bytes of the object that `body` delivers, as the server said: the core checks it against what it asked.
    pub range: Range<u64>,
    pub body: B,
}

/// The bytes of a GET, as they arrive.
pub trait Body: Send + 'static {
    /// The next bytes: never empty; `None` after the last. After an `Err` nothing more comes. Cancel safe: dropping the
    /// future loses no byte. A body that is not polled makes the sender wait; it does not buffer without bound.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, StoreError>>> + Send;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub key: Key,
    pub version_id: Option<VersionId>,
    pub conditions: ReadConditions,
}

/// ListObjectsV2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Only keys that start with this.
    pub prefix: String,
    /// Keys that contain this after the prefix are rolled up into one common prefix that ends with it.
    pub delimiter: Option<String>,
    /// Only keys after this one, in UTF-8 byte order. Ignored when `continuation` is given.
    pub start_after: Option<String>,
    /// `next` of the page before.
    pub continuation: Option<String>,
    /// 1 to 1000.
    pub max_keys: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: Key,
    pub etag: ETag,
    pub size: u64,
    /// Seconds since 1970.
    pub last_modified: i64,
    pub storage_class: Option<String>,
}

/// One page. Objects and prefixes each ascend in UTF-8 byte order (but not on directory buckets).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    pub objects: Vec<ListedObject>,
    /// Common prefixes, each with its trailing delimiter.
    pub prefixes: Vec<Key>,
    /// Token of the next page; `None` on the last.
    pub next: Option<String>,
}

/// ListObjectVersions, all versions and delete markers, by key, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListVersions {
    pub prefix: String,
    /// `next` of the page before.
    pub after: Option<(Key, VersionId)>,
    /// 1 to 1000.
    pub max_keys: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    pub key: Key,
    /// `null` is spelt out here.
    pub version_id: String,
    pub is_latest: bool,
    /// `None`: a delete marker.
    pub object: Option<ListedObject>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    pub versions: Vec<ListedVersion>,
    pub next: Option<(Key, VersionId)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub key: Key,
    pub body: Bytes,
    pub object: NewObject,
    pub condition: Option<WriteCondition>,
}

/// What a mutation created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub etag: ETag,
    pub version_id: Option<VersionId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    pub key: Key,
    /// Removes exactly this version for good. `None` on a versioned bucket adds a delete marker.
    pub version_id: Option<VersionId>,
    pub condition: Option<WriteCondition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    pub key: Key,
    pub version_id: Option<VersionId>,
    pub conditions: ReadConditions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub source: CopySource,
    pub key: Key,
    /// `None`: the source's content type and user metadata, in the class STANDARD (S3 does not carry the class over).
    /// A copy of the current version onto itself must give some.
    pub replace: Option<NewObject>,
    pub condition: Option<WriteCondition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateUpload {
    pub key: Key,
    pub object: NewObject,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPart {
    pub key: Key,
    pub upload: UploadId,
    /// 1 to 10 000.
    pub number: u32,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPartCopy {
    pub key: Key,
    pub upload: UploadId,
    /// 1 to 10 000.
    pub number: u32,
    pub source: CopySource,
    /// Which bytes of the source; `None`: all.
    pub range: Option<Range<u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteUpload {
    pub key: Key,
    pub upload: UploadId,
    /// Numbers ascend. Each but the last holds at least 5 MiB.
    pub parts: Vec<(u32, ETag)>,
    pub condition: Option<WriteCondition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub key: Key,
    pub upload: UploadId,
    /// Seconds since 1970.
    pub initiated: i64,
}

/// One bucket.
pub trait Store: Send + Sync + 'static {
    type Body: Body;

    fn get(&self, request: Get) -> impl Future<Output = Result<GetReply<Self::Body>, StoreError>> + Send;
    fn head(&self, request: Head) -> impl Future<Output = Result<ObjectMeta, StoreError>> + Send;
    fn list(&self, request: List) -> impl Future<Output = Result<ListPage, StoreError>> + Send;
    fn list_versions(&self, request: ListVersions) -> impl Future<Output = Result<VersionPage, StoreError>> + Send;

    fn put(&self, request: Put) -> impl Future<Output = Result<Written, StoreError>> + Send;
    /// Deleting what is not there succeeds. `Some` is the version id of the delete marker that was added.
    fn delete(&self, request: Delete) -> impl Future<Output = Result<Option<VersionId>, StoreError>> + Send;
    /// Up to 1000 keys, each on its own: answers those that could not be deleted.
    fn delete_many(&self, keys: Vec<Key>) -> impl Future<Output = Result<Vec<(Key, StoreError)>, StoreError>> + Send;
    fn copy(&self, request: Copy) -> impl Future<Output = Result<Written, StoreError>> + Send;

    fn create_upload(&self, request: CreateUpload) -> impl Future<Output = Result<UploadId, StoreError>> + Send;
    fn upload_part(&self, request: UploadPart) -> impl Future<Output = Result<ETag, StoreError>> + Send;
    fn upload_part_copy(&self, request: UploadPartCopy) -> impl Future<Output = Result<ETag, StoreError>> + Send;
    fn complete_upload(&self, request: CompleteUpload) -> impl Future<Output = Result<Written, StoreError>> + Send;
    fn abort_upload(&self, key: Key, upload: UploadId) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// All uploads in progress whose key starts with `prefix`, by key.
    fn list_uploads(&self, prefix: String) -> impl Future<Output = Result<Vec<Upload>, StoreError>> + Send;
    /// Whether anything was sent into an upload that is in progress.
    fn has_parts(&self, key: Key, upload: UploadId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// False where ETags of what is written are no MD5s of the bytes, as with encryption by KMS or by a customer's key: then
    /// they do not tell whether what stands is what was sent.
    fn etags_tell_bytes(&self) -> bool {
        true
    }

    /// False for directory buckets, whose listings come in no order and know no `start_after`.
    fn lists_in_order(&self) -> bool {
        true
    }
}

/// One failed attempt: what kind, and the server's or the client's own words, without any credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}{message}", if message.is_empty() { "" } else { ": " })]
pub struct StoreError {
    pub kind: ErrorKind,
    pub message: String,
    /// `Retry-After`, where the server gave one.
    pub retry_after: Option<Duration>,
}

impl StoreError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// A page of a listing cannot be what it should be.
    pub fn nonsense_page(what: String) -> Self {
        Self::new(ErrorKind::InvalidAnswer, format!("a page of the listing: {what}"))
    }
}

impl From<ErrorKind> for StoreError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind, "")
    }
}

/// What may go wrong with one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ErrorKind {
    /// 404 NoSuchKey or NoSuchVersion, 405 on a delete marker, and a HEAD's bare 404.
    #[error("no such object")]
    NotFound,
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("no such upload")]
    NoSuchUpload,
    /// 304
    #[error("not modified")]
    NotModified,
    /// 412
    #[error("precondition failed")]
    PreconditionFailed,
    /// 409 ConditionalRequestConflict, OperationAborted: another mutation of the key was under way. Try again.
    #[error("conflicting operation")]
    Conflict,
    /// 416
    #[error("range not satisfiable")]
    InvalidRange,
    /// 403
    #[error("access denied")]
    AccessDenied,
    /// 403 InvalidObjectState: in an archive class and not restored.
    #[error("archived object")]
    Archived,
    /// No usable credentials at all, or the service does not know them.
    #[error("credentials refused")]
    BadCredentials,
    /// 301, 307 or 400 that name another region, and following it did not help.
    #[error("bucket is in another region")]
    WrongRegion,
    /// 429, 503 SlowDown: everybody should slow down.
    #[error("slow down")]
    Throttled,
    /// 500, 502, 503, 504.
    #[error("service unavailable")]
    Unavailable,
    /// Could not connect: certainly not applied.
    #[error("cannot connect")]
    Unreachable,
    /// The connection broke, or no answer came in time.
    #[error("no answer")]
    NoAnswer,
    /// A body ended, or broke, before its last byte.
    #[error("body broke off")]
    BrokenBody,
    /// An answer that does not fit the question, or cannot be understood.
    #[error("unusable answer")]
    InvalidAnswer,
    /// 400: we asked something wrong.
    #[error("bad request")]
    InvalidRequest,
    /// 501, or a store that cannot do this.
    #[error("not supported by the store")]
    Unsupported,
}

impl ErrorKind {
    /// Whether a GET or HEAD that named a Version was told that it is not, or no longer, to be had.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::PreconditionFailed | Self::NotFound | Self::NoSuchBucket)
    }

    /// Whether a mutation that ended so may nevertheless have been applied.
    pub fn is_ambiguous(self) -> bool {
        match self {
            Self::NoAnswer | Self::BrokenBody | Self::Unavailable | Self::InvalidAnswer => true,
            Self::NotFound
            | Self::NoSuchBucket
            | Self::NoSuchUpload
            | Self::NotModified
            | Self::PreconditionFailed
            | Self::Conflict
            | Self::InvalidRange
            | Self::AccessDenied
            | Self::Archived
            | Self::BadCredentials
            | Self::WrongRegion
            | Self::Throttled
            | Self::Unreachable
            | Self::InvalidRequest
            | Self::Unsupported => false,
        }
    }
}

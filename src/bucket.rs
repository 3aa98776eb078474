//! An S3 bucket in memory: the one model of S3 that the simulator, the embedded server and the tests share.
//!
//! It is synchronous and deterministic: no clock (`now` is an argument, Unix seconds), no randomness (ids come from
//! counters), no seeded maps. Every method is one atomic step; whoever shares a [`Bucket`] puts a mutex around it.
//! Requests and answers are the vocabulary of [`crate::env::store`]. The `message` of each [`StoreError`] begins with
//! S3's own code for it (`NoSuchKey: …`), which the server puts on the wire.
//!
//! What it models, after the S3 API reference: versions, delete markers and the `null` version; conditions of reads and
//! writes; listings in UTF-8 order with paging; multipart uploads, whose objects are dated when the upload began; archive
//! classes; of encryption, access lists and checksums only what was said ([`Protection`]). What it does not: access control, tags,
//! lifecycle.
//!
//! Bytes are never copied: objects hold reference-counted segments and a GET's body hands out slices of them, so a
//! body that has begun goes on delivering its version whatever happens to the key.

mod body;
mod conditions;
mod content;
mod digest;
mod keyspace;
mod listing;
mod protection;
mod read;
mod segment;
mod store;
mod upload;
mod write;

use std::collections::BTreeMap;

use crate::env::store::{ETag, ErrorKind, Key, NewObject, ObjectMeta, StoreError, UploadId, VersionId};

pub use body::BucketBody;
pub use content::{Content, ContentBuilder};
pub use digest::DigestKind;
pub use keyspace::{Entry, EntryKind, Object};
pub use listing::{Listing, ListingFrom, VersionListing};
pub use protection::{Checksum, Protection};
pub use store::MemoryStore;
pub use upload::Part;
pub use write::Deleted;

use keyspace::Keyspace;
use upload::Uploads;

/// Longest key, in bytes of UTF-8 (S3 user guide, "Naming Amazon S3 objects").
pub const KEY_BYTES_MAX: usize = 1024;

/// One bucket: its objects, their versions and its uploads in progress.
#[derive(Debug)]
pub struct Bucket {
    options: BucketOptions,
    versioning: Versioning,
    keys: Keyspace,
    uploads: Uploads,
    /// Version ids given so far.
    versions_named: u64,
}

/// Whether a bucket keeps what is replaced or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versioning {
    /// Never switched on: a PUT replaces, a DELETE removes.
    #[default]
    Off,
    /// A PUT adds a version, a DELETE adds a marker.
    Enabled,
    /// Switched off again: PUT and DELETE replace the `null` version; older versions stay.
    Suspended,
}

/// How a bucket behaves, beyond its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketOptions {
    pub versioning: Versioning,
    pub limits: Limits,
    /// How ETags are computed.
    pub digest: DigestKind,
    /// Most bytes a GET's body delivers at once.
    pub chunk_bytes: usize,
    /// Silently ignore the conditions of PUT, COPY's target, CompleteMultipartUpload and DELETE, as some stores do.
    pub preconditions_ignored: bool,
    /// Answer a repeated CompleteMultipartUpload like the first, as S3 does, instead of NoSuchUpload.
    pub complete_repeatable: bool,
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self {
            versioning: Versioning::Off,
            limits: Limits::default(),
            digest: DigestKind::Md5,
            chunk_bytes: 256 << 10,
            preconditions_ignored: false,
            complete_repeatable: true,
        }
    }
}

/// S3's limits ("Amazon S3 multipart upload limits"); a simulation may make them small to reach them cheaply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Least bytes of a part that is not the last.
    pub part_bytes_min: u64,
    /// Most bytes of one PUT, one part, or the source of one copy.
    pub put_bytes_max: u64,
    /// A source of at most this many bytes cannot be copied from by range.
    pub range_copy_source_bytes_min: u64,
    /// Most bytes of one object.
    pub object_bytes_max: u64,
    /// Greatest part number.
    pub parts_max: u32,
    /// Most entries of one page of a listing.
    pub page_max: u32,
    /// Most bytes of user metadata, names and values together.
    pub user_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            part_bytes_min: 5 << 20,
            put_bytes_max: 5 << 30,
            range_copy_source_bytes_min: 5 << 20,
            object_bytes_max: 50_000_000_000_000,
            parts_max: 10_000,
            page_max: 1000,
            user_bytes_max: 2 << 10,
        }
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self::new(BucketOptions::default())
    }
}

impl Bucket {
    /// An empty bucket.
    pub fn new(options: BucketOptions) -> Self {
        Self {
            versioning: options.versioning,
            options,
            keys: Keyspace::default(),
            uploads: Uploads::default(),
            versions_named: 0,
        }
    }

    pub fn options(&self) -> &BucketOptions {
        &self.options
    }

    /// Changes whether write conditions are ignored from now on.
    pub fn set_preconditions_ignored(&mut self, ignored: bool) {
        self.options.preconditions_ignored = ignored;
    }

    pub fn versioning(&self) -> Versioning {
        self.versioning
    }

    /// Switches versions on or suspends them.
    ///
    /// # Errors
    /// `InvalidRequest`: a bucket that has had versions can be suspended, but never `Off` again.
    pub fn set_versioning(&mut self, versioning: Versioning) -> Result<(), StoreError> {
        if versioning == Versioning::Off && self.versioning != Versioning::Off {
            return Err(refused(
                ErrorKind::InvalidRequest,
                "IllegalVersioningConfigurationException",
                "versioning can be suspended only",
            ));
        }
        self.versioning = versioning;
        Ok(())
    }

    /// No version of anything, not even a delete marker.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that a listing would show.
    pub fn object_count(&self) -> usize {
        self.keys.current_count()
    }

    /// The current version of a key, unless it is absent or deleted.
    pub fn current(&self, key: &str) -> Option<&Object> {
        self.keys.current(key).map(|object| &**object)
    }

    /// All versions and delete markers of a key, newest first.
    pub fn versions(&self, key: &str) -> impl Iterator<Item = &Entry> {
        self.keys.chain(key).iter().rev()
    }

    /// One version or delete marker of a key; `None` asks for the newest.
    pub fn version(&self, key: &str, id: Option<&VersionId>) -> Option<&Entry> {
        match id {
            None => self.keys.chain(key).last(),
            Some(id) => self.keys.chain(key).iter().find(|entry| entry.is_named(id)),
        }
    }

    /// The current objects, by key.
    pub fn objects(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.keys.currents().map(|(key, object)| (key, &**object))
    }

    fn name_version(&mut self) -> Option<VersionId> {
        if self.versioning != Versioning::Enabled {
            return None;
        }
        self.versions_named += 1;
        Some(VersionId::from(format!("v{:011}", self.versions_named)))
    }

    fn check_new_object(&self, object: &NewObject) -> Result<(), StoreError> {
        let bytes: usize = object.user.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > self.options.limits.user_bytes_max {
            let message = format!("{bytes} bytes of user metadata");
            return Err(refused(ErrorKind::InvalidRequest, "MetadataTooLarge", &message));
        }
        Ok(())
    }
}

/// An error that says S3's code for it before anything else.
fn refused(kind: ErrorKind, code: &str, message: &str) -> StoreError {
    StoreError::new(kind, format!("{code}: {message}"))
}

fn check_key(key: &Key) -> Result<(), StoreError> {
    match key.as_str().len() {
        0 => Err(refused(ErrorKind::InvalidRequest, "InvalidArgument", "the key is empty")),
        1..=KEY_BYTES_MAX => Ok(()),
        long => Err(refused(ErrorKind::InvalidRequest, "KeyTooLongError", &format!("{long} bytes of key"))),
    }
}

/// What the API answers for an object of this shape.
fn meta(etag: ETag, size: u64, last_modified: i64, object: NewObject) -> ObjectMeta {
    let NewObject { content_type, storage_class, user } = object;
    let storage_class = storage_class.filter(|class| class != "STANDARD");
    let user: BTreeMap<_, _> = user.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    ObjectMeta { etag, version_id: None, size, last_modified, content_type, storage_class, user }
}

fn no_such_upload(upload: &UploadId) -> StoreError {
    refused(ErrorKind::NoSuchUpload, "NoSuchUpload", upload.as_str())
}

#[cfg(test)]
mod tests;

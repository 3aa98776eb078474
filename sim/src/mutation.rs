//! What other clients do to the bucket: changes as data, so that a scenario can hold, print and shrink them.

use holdfast::bucket::Bucket;
use holdfast::env::Time;
use holdfast::env::store::{Delete, Key, NewObject, Put, Written};

use crate::content::{Version, version_bytes};
use crate::env::unix_seconds_at;
use crate::history::{Change, History, Published};

/// One change by somebody who is not under test. Takes effect whole, at one instant, and never fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The key's content becomes this version: `version_bytes(key, version, size)`.
    Put { key: Key, version: Version, size: u64, object: NewObject },
    /// The key becomes a symbolic link to `target`, as `object` says.
    Link { key: Key, target: String, object: NewObject },
    /// The key is deleted; on a versioned bucket a delete marker is added.
    Delete { key: Key },
    /// The key's current version is removed for good, on a versioned bucket too.
    Purge { key: Key },
}

/// The version of every link: its bytes do not name one.
pub const LINK: Version = Version(u32::MAX);

/// Tells the versions of a key apart.
pub fn content_type(version: Version) -> String {
    format!("application/x-version-{}", version.0)
}

impl Mutation {
    pub fn put(key: impl Into<Key>, version: Version, size: u64) -> Self {
        let mut object = NewObject { content_type: Some(content_type(version)), ..NewObject::default() };
        object.user.insert("version".into(), version.0.to_string());
        Self::Put { key: key.into(), version, size, object }
    }

    pub fn delete(key: impl Into<Key>) -> Self {
        Self::Delete { key: key.into() }
    }

    pub fn purge(key: impl Into<Key>) -> Self {
        Self::Purge { key: key.into() }
    }

    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Link { key, .. } | Self::Delete { key } | Self::Purge { key } => key,
        }
    }

    /// Applies it at `now` and writes it down.
    pub fn apply(self, bucket: &mut Bucket, history: &History, now: Time) {
        let unix_seconds = unix_seconds_at(now);
        let (key, published) = match self {
            Self::Put { key, version, size, object } => {
                let body = version_bytes(key.as_str(), version, size);
                let put = Put { key: key.clone(), body, object, condition: None };
                let written = bucket.put(put, unix_seconds).expect("a test puts what S3 accepts");
                let published = Published {
                    version,
                    size,
                    etag: written.etag,
                    version_id: written.version_id,
                    last_modified: unix_seconds,
                    body: None,
                };
                (key, Some(published))
            }
            Self::Link { key, target, object } => {
                let size = target.len() as u64;
                let put = Put { key: key.clone(), body: target.into_bytes().into(), object, condition: None };
                let written = bucket.put(put, unix_seconds).expect("a test puts what S3 accepts");
                let Written { etag, version_id } = written;
                let version = LINK;
                let last_modified = unix_seconds;
                (key, Some(Published { version, size, etag, version_id, last_modified, body: None }))
            }
            Self::Delete { key } => {
                delete(bucket, &key, None, unix_seconds);
                (key, None)
            }
            Self::Purge { key } => {
                let id = bucket.current(key.as_str()).and_then(|object| object.meta.version_id.clone());
                delete(bucket, &key, id, unix_seconds);
                let before = history.of(key.as_str()).into_iter().rev().filter_map(|change| change.now);
                // The same bytes put again have the same ETag, and an id of their own.
                let left = bucket.current(key.as_str()).map(|object| (&object.meta.etag, &object.meta.version_id));
                let published =
                    before.into_iter().find(|published| Some((&published.etag, &published.version_id)) == left);
                (key, published)
            }
        };
        history.record(&key, Change { at: now, now: published });
    }
}

fn delete(bucket: &mut Bucket, key: &Key, version_id: Option<holdfast::env::store::VersionId>, unix_seconds: i64) {
    let request = Delete { key: key.clone(), version_id, condition: None };
    bucket.delete(request, unix_seconds).expect("an unconditional delete succeeds");
}

//! One version of one object: what an inode stands for, and what may become of it in the bucket.

use crate::env::store::{ETag, Key, ListedObject, ObjectMeta, VersionId, Written};
use crate::zoo::{self, Bug};

/// The date of a version that this mount published and that nobody has asked for yet: S3 does not tell it in its answer.
pub const UNDATED: i64 = i64::MIN;

/// The bytes of a Version never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub key: Key,
    pub etag: ETag,
    /// `None`: the bucket has no versions, or only a listing told of this one.
    pub version_id: Option<VersionId>,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970, or [`UNDATED`].
    pub last_modified: i64,
}

impl Version {
    /// Of a file that was never published: no object has this ETag.
    pub fn unborn(key: Key) -> Self {
        Self { key, etag: ETag::from(""), version_id: None, size: 0, last_modified: UNDATED }
    }

    /// That this mount published.
    pub fn written(key: Key, written: Written, size: u64) -> Self {
        Self { key, etag: written.etag, version_id: written.version_id, size, last_modified: UNDATED }
    }

    pub fn of(key: &Key, meta: &ObjectMeta) -> Self {
        Self {
            key: key.clone(),
            etag: meta.etag.clone(),
            version_id: meta.version_id.clone(),
            size: meta.size,
            last_modified: meta.last_modified,
        }
    }

    pub fn listed(object: &ListedObject) -> Self {
        Self {
            key: object.key.clone(),
            etag: object.etag.clone(),
            version_id: None,
            size: object.size,
            last_modified: object.last_modified,
        }
    }

    /// Whether both describe the same Version. Listings do not tell version ids, and answers to writes no dates, so those
    /// count only where both have one.
    pub fn is_same(&self, other: &Version) -> bool {
        let undated = self.last_modified == UNDATED || other.last_modified == UNDATED;
        self.ids_agree(other)
            && self.key == other.key
            && (self.etag == other.etag || zoo::has(Bug::DateIsTheVersion))
            && self.size == other.size
            && (undated || self.last_modified == other.last_modified)
    }

    /// Whether a GET of one, under its ETag, brings the bytes of the other: put again, they have another date.
    pub fn has_same_bytes(&self, other: &Version) -> bool {
        self.ids_agree(other) && (&self.key, &self.etag, self.size) == (&other.key, &other.etag, other.size)
    }

    fn ids_agree(&self, other: &Version) -> bool {
        match (&self.version_id, &other.version_id) {
            (Some(a), Some(b)) => a == b,
            (None, _) | (_, None) => true,
        }
    }
}

/// What became of a Version in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Successor {
    Replaced(ETag),
    Deleted,
    /// A directory took the name; what became of the object was not said.
    Shadowed,
    /// A condition failed; what is there now was not said.
    Unknown,
}

/// What `state` must know of an inode's data.
pub trait Holds {
    /// The bucket is known to have moved on from this Version.
    fn is_superseded(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::Version;

    fn version(etag: &str, id: Option<&str>) -> Version {
        Version { key: "film".into(), etag: etag.into(), version_id: id.map(Into::into), size: 3, last_modified: 7 }
    }

    #[test]
    fn a_listing_that_tells_no_version_id_describes_the_same_version() {
        assert!(version("a", Some("1")).is_same(&version("a", None)));
        assert!(!version("a", Some("1")).is_same(&version("a", Some("2"))));
        assert!(!version("a", None).is_same(&version("b", None)));
    }
}

//! One version of one object: what an inode stands for, and what may become of it in the bucket.

use crate::env::store::{ETag, Key, ListedObject, ObjectMeta, VersionId};
use crate::zoo::{self, Bug};

/// The bytes of a Version never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub key: Key,
    pub etag: ETag,
    /// `None`: the bucket has no versions, or only a listing told of this one.
    pub version_id: Option<VersionId>,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub last_modified: i64,
}

impl Version {
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

    /// Whether both describe the same Version. Listings do not tell version ids, so those count only where both have
    /// one.
    pub fn is_same(&self, other: &Version) -> bool {
        let ids_agree = match (&self.version_id, &other.version_id) {
            (Some(a), Some(b)) => a == b,
            (None, _) | (_, None) => true,
        };
        ids_agree
            && self.key == other.key
            && (self.etag == other.etag || zoo::has(Bug::DateIsTheVersion))
            && self.size == other.size
            && self.last_modified == other.last_modified
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

//! GET and HEAD.

use std::ops::Range;
use std::sync::Arc;

use super::body::BucketBody;
use super::keyspace::{EntryKind, Object};
use super::{Bucket, check_key, conditions, refused};
use crate::env::store::{
    ByteRange, CopySource, ErrorKind, Get, GetReply, Head, Key, ObjectMeta, StoreError, VersionId,
};

impl Bucket {
    /// GetObject. The body goes on delivering this version after any change of the key.
    ///
    /// # Errors
    /// `NotFound`, `PreconditionFailed`, `NotModified`, `Archived`, `InvalidRange`, `InvalidRequest`.
    pub fn get(&self, request: Get) -> Result<GetReply<BucketBody>, StoreError> {
        let object = self.find(&request.key, request.version_id.as_ref())?;
        conditions::check_read(&request.conditions, &object.meta)?;
        check_readable(object)?;
        let range = match request.range {
            None => 0..object.meta.size,
            Some(asked) => resolve(asked, object.meta.size)?,
        };
        let body = BucketBody::new(object.content.clone(), range.clone(), self.options.chunk_bytes);
        Ok(GetReply { meta: object.meta.clone(), range, body })
    }

    /// HeadObject.
    ///
    /// # Errors
    /// `NotFound`, `PreconditionFailed`, `NotModified`, `InvalidRequest`.
    pub fn head(&self, request: Head) -> Result<ObjectMeta, StoreError> {
        let object = self.find(&request.key, request.version_id.as_ref())?;
        conditions::check_read(&request.conditions, &object.meta)?;
        Ok(object.meta.clone())
    }

    /// The version that a copy would read, its conditions decided.
    ///
    /// # Errors
    /// `NotFound`, `PreconditionFailed`, `Archived`, `InvalidRequest`.
    pub fn copy_source(&self, source: &CopySource) -> Result<Arc<Object>, StoreError> {
        let object = self.find(&source.key, source.version_id.as_ref())?;
        conditions::check_copy_source(&source.conditions, &object.meta)?;
        check_readable(object)?;
        Ok(object.clone())
    }

    fn find(&self, key: &Key, version: Option<&VersionId>) -> Result<&Arc<Object>, StoreError> {
        check_key(key)?;
        let entry = self.version(key.as_str(), version);
        match (entry.map(|entry| &entry.kind), version) {
            (Some(EntryKind::Object(object)), _) => Ok(object),
            (Some(EntryKind::DeleteMarker) | None, None) => {
                Err(refused(ErrorKind::NotFound, "NoSuchKey", key.as_str()))
            }
            (Some(EntryKind::DeleteMarker), Some(_)) => {
                Err(refused(ErrorKind::NotFound, "MethodNotAllowed", "this version is a delete marker"))
            }
            (None, Some(version)) => Err(refused(ErrorKind::NotFound, "NoSuchVersion", version.as_str())),
        }
    }
}

fn check_readable(object: &Object) -> Result<(), StoreError> {
    match object.meta.storage_class.as_deref() {
        Some(class @ ("GLACIER" | "DEEP_ARCHIVE")) => Err(refused(ErrorKind::Archived, "InvalidObjectState", class)),
        Some(_) | None => Ok(()),
    }
}

/// The bytes that a range names in an object of this size.
fn resolve(asked: ByteRange, size: u64) -> Result<Range<u64>, StoreError> {
    let range = match asked {
        ByteRange::From(start) => start..size,
        ByteRange::Within { start, end } => start..end.min(size),
        ByteRange::Last(bytes) => size.saturating_sub(bytes)..size,
    };
    if range.is_empty() {
        let message = format!("{asked:?} of {size} bytes");
        return Err(refused(ErrorKind::InvalidRange, "InvalidRange", &message));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use crate::env::store::ByteRange::{From, Last, Within};
    use crate::env::store::ErrorKind;

    #[test]
    fn ranges_are_cut_at_the_end_and_refused_past_it() {
        let bytes = |asked, size| resolve(asked, size).map_err(|error| error.kind);
        assert_eq!(bytes(From(3), 10), Ok(3..10));
        assert_eq!(bytes(Within { start: 3, end: 5 }, 10), Ok(3..5));
        assert_eq!(bytes(Within { start: 3, end: 50 }, 10), Ok(3..10));
        assert_eq!(bytes(Last(4), 10), Ok(6..10));
        assert_eq!(bytes(Last(40), 10), Ok(0..10));
        for refused in [From(10), From(11), Within { start: 10, end: 12 }, Last(0)] {
            assert_eq!(bytes(refused, 10), Err(ErrorKind::InvalidRange));
        }
        for refused in [From(0), Within { start: 0, end: 1 }, Last(1)] {
            assert_eq!(bytes(refused, 0), Err(ErrorKind::InvalidRange));
        }
    }
}

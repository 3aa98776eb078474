//! PUT, DELETE and COPY. Each decides its condition and takes effect in one step.

use super::content::Content;
use super::digest::etag_of;
use super::keyspace::{Entry, EntryKind, Object};
use super::protection::Protection;
use super::{Bucket, Versioning, check_key, conditions, meta, refused};
use crate::env::store::{
    Copy, Delete, ETag, ErrorKind, Key, NewObject, Put, StoreError, VersionId, WriteCondition, Written,
};

/// What a DELETE did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// A delete marker was added, or the version that was removed was one.
    pub marker: bool,
    /// The version that was removed or added, spelt as the API does (`null`). `None` where no version was named.
    pub version: Option<String>,
}

impl Bucket {
    /// PutObject.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NotFound` for an If-Match on nothing; `InvalidRequest` for a bad key, too large a body or
    /// too much metadata.
    pub fn put(&mut self, request: Put, now: i64) -> Result<Written, StoreError> {
        let Put { key, body, object, condition } = request;
        self.put_content(&key, Content::from(body), object, condition.as_ref(), now)
    }

    /// [`Bucket::put`] of bytes in segments.
    ///
    /// # Errors
    /// As [`Bucket::put`].
    pub fn put_content(
        &mut self,
        key: &Key,
        content: Content,
        object: NewObject,
        condition: Option<&WriteCondition>,
        now: i64,
    ) -> Result<Written, StoreError> {
        check_key(key)?;
        self.check_new_object(&object)?;
        if content.size() > self.options.limits.put_bytes_max {
            return Err(refused(ErrorKind::InvalidRequest, "EntityTooLarge", &format!("{} bytes", content.size())));
        }
        self.check_write(key, condition)?;
        let etag = etag_of(content.digest(self.options.digest));
        Ok(self.add_version(key, etag, content, object, now))
    }

    /// DeleteObject. `Some` is the version id of the delete marker that was added.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NotFound` for an If-Match on nothing; `InvalidRequest`.
    pub fn delete(&mut self, request: Delete, now: i64) -> Result<Option<VersionId>, StoreError> {
        let adds = request.version_id.is_none();
        let deleted = self.remove(request, now)?;
        Ok(deleted.version.filter(|id| adds && id != "null").map(VersionId::from))
    }

    /// [`Bucket::delete`] that tells all.
    ///
    /// # Errors
    /// As [`Bucket::delete`].
    pub fn remove(&mut self, request: Delete, now: i64) -> Result<Deleted, StoreError> {
        let Delete { key, version_id, condition } = request;
        check_key(&key)?;
        if condition == Some(WriteCondition::IfAbsent) {
            return Err(refused(ErrorKind::InvalidRequest, "NotImplemented", "If-None-Match on a DELETE"));
        }
        if !self.options.preconditions_ignored {
            let found = self.version(key.as_str(), version_id.as_ref()).and_then(Entry::object);
            conditions::check_write(condition.as_ref(), found.map(|object| &object.meta.etag))?;
        }
        match (version_id, self.versioning) {
            (Some(id), _) => {
                let marker = self.keys.remove(&key, &id).is_some_and(|entry| entry.object().is_none());
                Ok(Deleted { marker, version: Some(id.as_str().to_owned()) })
            }
            (None, Versioning::Off) => {
                self.keys.remove(&key, &VersionId::from("null"));
                Ok(Deleted::default())
            }
            (None, Versioning::Enabled | Versioning::Suspended) => {
                let marker =
                    Entry { version_id: self.name_version(), last_modified: now, kind: EntryKind::DeleteMarker };
                let version = marker.id().to_owned();
                self.keys.push(&key, marker);
                Ok(Deleted { marker: true, version: Some(version) })
            }
        }
    }

    /// DeleteObjects, without conditions: answers the keys that could not be deleted.
    ///
    /// # Errors
    /// `InvalidRequest` for more than a page of keys; then none was deleted.
    pub fn delete_many(&mut self, keys: Vec<Key>, now: i64) -> Result<Vec<(Key, StoreError)>, StoreError> {
        if keys.len() > self.options.limits.page_max as usize {
            return Err(refused(ErrorKind::InvalidRequest, "MalformedXML", &format!("{} keys", keys.len())));
        }
        let mut failed = Vec::new();
        for key in keys {
            let request = Delete { key: key.clone(), version_id: None, condition: None };
            if let Err(error) = self.remove(request, now) {
                failed.push((key, error));
            }
        }
        Ok(failed)
    }

    /// CopyObject within the bucket. Without `replace` the copy has the source's content type and user metadata, and
    /// the class STANDARD, as on S3.
    ///
    /// # Errors
    /// Those of [`Bucket::copy_source`] and [`Bucket::put`]; `InvalidRequest` for a copy of the current version onto itself
    /// that changes nothing.
    pub fn copy(&mut self, request: Copy, now: i64) -> Result<Written, StoreError> {
        let Copy { source, key, replace, condition } = request;
        if source.key == key && source.version_id.is_none() && replace.is_none() {
            return Err(refused(
                ErrorKind::InvalidRequest,
                "InvalidRequest",
                "a copy onto itself that changes nothing",
            ));
        }
        let object = self.copy_source(&source)?;
        self.put_copy(&object, &key, replace, condition.as_ref(), now)
    }

    /// The second half of [`Bucket::copy`]: the source may be of another bucket.
    ///
    /// # Errors
    /// As [`Bucket::put`].
    pub fn put_copy(
        &mut self,
        source: &Object,
        key: &Key,
        replace: Option<NewObject>,
        condition: Option<&WriteCondition>,
        now: i64,
    ) -> Result<Written, StoreError> {
        let attributes = replace.unwrap_or_else(|| NewObject {
            content_type: source.meta.content_type.clone(),
            storage_class: None,
            user: source.meta.user.clone(),
        });
        self.put_content(key, source.content.clone(), attributes, condition, now)
    }

    pub(super) fn check_write(&self, key: &Key, condition: Option<&WriteCondition>) -> Result<(), StoreError> {
        if self.options.preconditions_ignored {
            return Ok(());
        }
        conditions::check_write(condition, self.keys.current(key.as_str()).map(|object| &object.meta.etag))
    }

    pub(super) fn add_version(
        &mut self,
        key: &Key,
        etag: ETag,
        content: Content,
        object: NewObject,
        last_modified: i64,
    ) -> Written {
        let version_id = self.name_version();
        let mut meta = meta(etag.clone(), content.size(), last_modified, object);
        meta.version_id = version_id.clone();
        let kind = EntryKind::Object(Object { meta, content, protection: Protection::default() }.into());
        self.keys.push(key, Entry { version_id: version_id.clone(), last_modified, kind });
        Written { etag, version_id }
    }
}

//! A bucket as a [`Store`]: answers at once, on the calling thread. For the contract suite and for tests.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Bucket;
use super::body::BucketBody;
use crate::env::store::{
    CompleteUpload, Copy, CreateUpload, Delete, ETag, Get, GetReply, Head, Key, List, ListPage, ListVersions,
    ObjectMeta, Put, Store, StoreError, Upload, UploadId, UploadPart, UploadPartCopy, VersionId, VersionPage, Written,
};

/// A shared bucket and the clock by which its objects are dated.
#[derive(Clone)]
pub struct MemoryStore {
    bucket: Arc<Mutex<Bucket>>,
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl MemoryStore {
    /// `now` answers seconds since 1970.
    pub fn new(bucket: Arc<Mutex<Bucket>>, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { bucket, now: Arc::new(now) }
    }

    pub fn bucket(&self) -> &Arc<Mutex<Bucket>> {
        &self.bucket
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        // Each step of a bucket leaves it whole before it can panic.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        (self.now)()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    type Body = BucketBody;

    async fn get(&self, request: Get) -> Result<GetReply<BucketBody>, StoreError> {
        self.lock().get(request)
    }

    async fn head(&self, request: Head) -> Result<ObjectMeta, StoreError> {
        self.lock().head(request)
    }

    async fn list(&self, request: List) -> Result<ListPage, StoreError> {
        self.lock().list(&request)
    }

    async fn list_versions(&self, request: ListVersions) -> Result<VersionPage, StoreError> {
        Ok(self.lock().list_versions(&request))
    }

    async fn put(&self, request: Put) -> Result<Written, StoreError> {
        self.lock().put(request, self.now())
    }

    async fn delete(&self, request: Delete) -> Result<Option<VersionId>, StoreError> {
        self.lock().delete(request, self.now())
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Result<Vec<(Key, StoreError)>, StoreError> {
        self.lock().delete_many(keys, self.now())
    }

    async fn copy(&self, request: Copy) -> Result<Written, StoreError> {
        self.lock().copy(request, self.now())
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<UploadId, StoreError> {
        self.lock().create_upload(request, self.now())
    }

    async fn upload_part(&self, request: UploadPart) -> Result<ETag, StoreError> {
        self.lock().upload_part(request, self.now())
    }

    async fn upload_part_copy(&self, request: UploadPartCopy) -> Result<ETag, StoreError> {
        self.lock().upload_part_copy(request, self.now())
    }

    async fn complete_upload(&self, request: CompleteUpload) -> Result<Written, StoreError> {
        self.lock().complete_upload(request)
    }

    async fn abort_upload(&self, key: Key, upload: UploadId) -> Result<(), StoreError> {
        self.lock().abort_upload(key, upload)
    }

    async fn list_uploads(&self, prefix: String) -> Result<Vec<Upload>, StoreError> {
        Ok(self.lock().list_uploads(&prefix))
    }

    async fn has_parts(&self, key: Key, upload: UploadId) -> Result<bool, StoreError> {
        Ok(!self.lock().parts(&key, &upload)?.is_empty())
    }
}

//! One bucket of S3, over AWS's SDK.
//!
//! Owns the [`Store`] that production reads and writes through. One call is one attempt, but for the healing that
//! [`heal`] names. No SDK type and no HTTP header leaves this module, and no credential gets into a message.

mod body;
mod connect;
mod connection;
mod content_range;
mod delete_many;
mod failure;
mod heal;
mod http_client;
mod interceptor;
mod list;
mod names;
mod options;
mod protection;
mod read;
#[cfg(test)]
mod tests;
mod upload;
mod write;

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::env::Store;
use crate::env::store::{
    CompleteUpload, Copy, CreateUpload, Delete, ETag, Get, GetReply, Head, Key, List, ListPage, ListVersions,
    ObjectMeta, Put, StoreError, Upload, UploadId, UploadPart, UploadPartCopy, VersionId, VersionPage, Written,
};
use connection::Connection;

pub use body::S3Body;
pub use connect::ConnectError;
pub use options::{S3Options, StaticCredentials};
pub use protection::{ChecksumKind, CustomerKey, Encryption, KeyFileError, Protection};

/// One bucket, reached over the network. Cheap to clone: clones share the connection pool and the credentials.
#[derive(Clone)]
pub struct S3Store {
    connection: Arc<Connection>,
}

impl S3Store {
    /// Finds credentials and region, and tries with one listing of at most one key that the bucket can be used. May be
    /// called anywhere; the work is done on `handle`'s runtime, which must outlive the store.
    ///
    /// # Errors
    /// One sentence that says what to put right.
    pub async fn connect(options: S3Options, handle: Handle) -> Result<Self, ConnectError> {
        let connection = connect::connect(options, handle).await?;
        Ok(Self { connection: Arc::new(connection) })
    }

    /// The region that requests are signed for, by now.
    pub fn region(&self) -> String {
        self.connection.current().region.clone()
    }

    /// Whether TLS hides what is sent.
    pub fn is_private(&self) -> bool {
        self.connection.current().is_private()
    }

    /// The bucket, as it was given.
    pub fn bucket(&self) -> &str {
        &self.connection.options().bucket
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("bucket", &self.bucket()).finish_non_exhaustive()
    }
}

impl Store for S3Store {
    type Body = S3Body;

    async fn get(&self, request: Get) -> Result<GetReply<S3Body>, StoreError> {
        read::get(&self.connection, &request).await
    }

    async fn head(&self, request: Head) -> Result<ObjectMeta, StoreError> {
        read::head(&self.connection, &request).await
    }

    async fn list(&self, request: List) -> Result<ListPage, StoreError> {
        list::list(&self.connection, &request).await
    }

    async fn list_versions(&self, request: ListVersions) -> Result<VersionPage, StoreError> {
        list::list_versions(&self.connection, &request).await
    }

    async fn put(&self, request: Put) -> Result<Written, StoreError> {
        write::put(&self.connection, &request).await
    }

    async fn delete(&self, request: Delete) -> Result<Option<VersionId>, StoreError> {
        write::delete(&self.connection, &request).await
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Result<Vec<(Key, StoreError)>, StoreError> {
        delete_many::delete_many(&self.connection, keys).await
    }

    async fn copy(&self, request: Copy) -> Result<Written, StoreError> {
        write::copy(&self.connection, &request).await
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<UploadId, StoreError> {
        upload::create(&self.connection, &request).await
    }

    async fn upload_part(&self, request: UploadPart) -> Result<ETag, StoreError> {
        upload::part(&self.connection, &request).await
    }

    async fn upload_part_copy(&self, request: UploadPartCopy) -> Result<ETag, StoreError> {
        upload::part_copy(&self.connection, &request).await
    }

    async fn complete_upload(&self, request: CompleteUpload) -> Result<Written, StoreError> {
        upload::complete(&self.connection, &request).await
    }

    async fn abort_upload(&self, key: Key, upload: UploadId) -> Result<(), StoreError> {
        upload::abort(&self.connection, &key, &upload).await
    }

    async fn list_uploads(&self, prefix: String) -> Result<Vec<Upload>, StoreError> {
        list::list_uploads(&self.connection, &prefix).await
    }

    async fn has_parts(&self, key: Key, upload: UploadId) -> Result<bool, StoreError> {
        upload::has_parts(&self.connection, &key, &upload).await
    }

    fn etags_tell_bytes(&self) -> bool {
        self.connection.options().protection.keeps_md5_etags()
    }

    fn lists_in_order(&self) -> bool {
        !self.connection.options().is_directory_bucket()
    }
}

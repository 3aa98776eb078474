//! GetObject, HeadObject, PutObject, DeleteObject, DeleteObjects, CopyObject.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETagCondition, Error as DeleteError, GetObjectInput, GetObjectOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput, MetadataDirective,
    ObjectIdentifier, PutObjectInput, PutObjectOutput, StorageClass, StreamingBlob,
};
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3Request, S3Response, S3Result, StdError, s3_error};

use super::buckets::lock;
use super::convert::{
    byte_range, copy_source, etag, http_etag, http_version, new_object, read_conditions, read_refusal, s3_error,
    timestamp, write_condition,
};
use super::receive::{Declared, receive};
use super::{Shared, protection, unix_seconds};
use crate::bucket::{Bucket, BucketBody, Deleted, Entry, Protection};
use crate::env::store::{Delete, Get, Head, Key, ObjectMeta, ReadConditions, VersionId, WriteCondition};

/// What S3 reports for an object that was put without a content type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

pub(super) fn get(shared: &Shared, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let (input, headers) = (request.input, request.headers);
    check_part_number(input.part_number)?;
    let get = Get {
        key: Key::from(input.key),
        version_id: input.version_id.map(VersionId::from),
        range: input.range.as_ref().map(byte_range),
        conditions: read_conditions(
            input.if_match,
            input.if_none_match,
            input.if_modified_since,
            input.if_unmodified_since,
        ),
    };
    let bucket = shared.buckets.find(&input.bucket)?;
    let bucket = lock(&bucket);
    let (key, version) = (get.key.clone(), get.version_id.clone());
    let ranged = get.range.is_some();
    let reply = bucket.get(get).map_err(|error| read_refusal(&bucket, &key, version.as_ref(), error))?;
    let meta = reply.meta;
    let protection = protection_of(&bucket, &key, version.as_ref());
    protection::admit(&protection, &headers)?;
    let told = protection::told(&protection, !ranged && protection::asks_for_checksum(&headers));
    let content_range = ranged.then(|| format!("bytes {}-{}/{}", reply.range.start, reply.range.end - 1, meta.size));
    let output = GetObjectOutput {
        accept_ranges: Some(String::from("bytes")),
        content_length: Some((reply.range.end - reply.range.start) as i64),
        content_range,
        body: Some(StreamingBlob::new(ObjectStream(reply.body))),
        content_type: Some(content_type(&meta)),
        e_tag: Some(http_etag(&meta.etag)),
        last_modified: Some(timestamp(meta.last_modified)),
        storage_class: storage_class(&meta),
        version_id: http_version(&bucket, meta.version_id.as_ref()),
        metadata: Some(meta.user.into_iter().collect()),
        ..GetObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, told))
}

pub(super) fn head(shared: &Shared, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
    let (input, headers) = (request.input, request.headers);
    check_part_number(input.part_number)?;
    let head = Head {
        key: Key::from(input.key),
        version_id: input.version_id.map(VersionId::from),
        conditions: read_conditions(
            input.if_match,
            input.if_none_match,
            input.if_modified_since,
            input.if_unmodified_since,
        ),
    };
    let bucket = shared.buckets.find(&input.bucket)?;
    let bucket = lock(&bucket);
    let (key, version) = (head.key.clone(), head.version_id.clone());
    let meta = bucket.head(head).map_err(|error| read_refusal(&bucket, &key, version.as_ref(), error))?;
    let protection = protection_of(&bucket, &key, version.as_ref());
    protection::admit(&protection, &headers)?;
    let output = HeadObjectOutput {
        accept_ranges: Some(String::from("bytes")),
        content_length: Some(meta.size as i64),
        content_type: Some(content_type(&meta)),
        e_tag: Some(http_etag(&meta.etag)),
        last_modified: Some(timestamp(meta.last_modified)),
        storage_class: storage_class(&meta),
        version_id: http_version(&bucket, meta.version_id.as_ref()),
        metadata: Some(meta.user.into_iter().collect()),
        ..HeadObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, protection::told(&protection, protection::asks_for_checksum(&headers))))
}

pub(super) async fn put(
    shared: &Shared,
    mut request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let bucket = shared.buckets.find(&request.input.bucket)?;
    let body = request.input.body.take();
    let declared = Declared::by(&request, request.input.content_length, request.input.content_md5.clone());
    let asked = protection::asked(&request.headers)?;
    let input = request.input;
    let condition = write_condition(input.if_match, input.if_none_match)?;
    let object = new_object(input.content_type, input.storage_class, input.metadata);
    let digest = lock(&bucket).options().digest;
    let (content, checksum) = receive(body, declared, digest).await?;
    let (key, protection) = (Key::from(input.key), Protection { checksum, ..asked });
    // The bucket may have changed while the body came; the condition is decided now.
    let mut bucket = lock(&bucket);
    let written = bucket.put_content(&key, content, object, condition.as_ref(), unix_seconds()).map_err(s3_error)?;
    let told = protection::told(&protection, true);
    let etag = bucket.protect(&key, protection).unwrap_or(written.etag);
    let output = PutObjectOutput {
        e_tag: Some(http_etag(&etag)),
        version_id: http_version(&bucket, written.version_id.as_ref()),
        ..PutObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, told))
}

pub(super) fn delete(
    shared: &Shared,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
        return Err(s3_error!(NotImplemented));
    }
    let bucket = shared.buckets.find(&input.bucket)?;
    let mut bucket = lock(&bucket);
    let condition = match input.if_match {
        None => None,
        Some(ETagCondition::ETag(tag)) => Some(WriteCondition::IfMatch(etag(&tag))),
        Some(ETagCondition::Any) if bucket.current(&input.key).is_some() => None,
        Some(ETagCondition::Any) => return Err(s3_error!(PreconditionFailed)),
    };
    let request = Delete { key: Key::from(input.key), version_id: input.version_id.map(VersionId::from), condition };
    let deleted = bucket.remove(request, unix_seconds()).map_err(s3_error)?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: deleted.marker.then_some(true),
        version_id: deleted.version,
        ..DeleteObjectOutput::default()
    }))
}

pub(super) fn delete_many(
    shared: &Shared,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let input = request.input;
    let bucket = shared.buckets.find(&input.bucket)?;
    let mut bucket = lock(&bucket);
    if input.delete.objects.len() > bucket.options().limits.page_max as usize {
        return Err(s3_error!(MalformedXML, "too many keys"));
    }
    let (mut done, mut errors) = (Vec::new(), Vec::new());
    for object in input.delete.objects {
        match delete_one(&mut bucket, &object) {
            Ok(deleted) => {
                let added = object.version_id.is_none();
                done.push(DeletedObject {
                    delete_marker: deleted.marker.then_some(true),
                    delete_marker_version_id: deleted.version.clone().filter(|_| deleted.marker),
                    version_id: deleted.version.filter(|_| !added),
                    key: Some(object.key),
                });
            }
            Err(error) => errors.push(DeleteError {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(object.key),
                version_id: object.version_id,
            }),
        }
    }
    let deleted = if input.delete.quiet == Some(true) { None } else { Some(done) };
    Ok(S3Response::new(DeleteObjectsOutput { deleted, errors: Some(errors), ..DeleteObjectsOutput::default() }))
}

fn delete_one(bucket: &mut Bucket, object: &ObjectIdentifier) -> Result<Deleted, S3Error> {
    let request = Delete {
        key: Key::from(object.key.as_str()),
        version_id: object.version_id.as_deref().map(VersionId::from),
        condition: object.e_tag.as_ref().map(|tag| WriteCondition::IfMatch(etag(tag))),
    };
    bucket.remove(request, unix_seconds()).map_err(s3_error)
}

pub(super) fn copy(shared: &Shared, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
    let input = request.input;
    let conditions = read_conditions(
        input.copy_source_if_match,
        input.copy_source_if_none_match,
        input.copy_source_if_modified_since,
        input.copy_source_if_unmodified_since,
    );
    let condition = write_condition(
        etag_condition(&request.headers, "if-match")?,
        etag_condition(&request.headers, "if-none-match")?,
    )?;
    let mut protection = protection::asked(&request.headers)?;
    let (source_bucket, source) = copy_source(input.copy_source, conditions)?;
    let replaces = input.metadata_directive.is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let same = source_bucket == input.bucket && source.key.as_str() == input.key && source.version_id.is_none();
    if same && !replaces && input.storage_class.is_none() {
        return Err(s3_error!(InvalidRequest, "a copy onto itself that changes nothing"));
    }
    let found = shared.buckets.find(&source_bucket)?;
    let (object, source_version, digest) = {
        let bucket = lock(&found);
        let object = bucket.copy_source(&source).map_err(s3_error)?;
        let version = http_version(&bucket, object.meta.version_id.as_ref());
        (object, version, bucket.options().digest)
    };
    protection::admit_copy(&object.protection, &request.headers)?;
    // The version that was found cannot change: the copy takes effect below, and reads what was there just now.
    object.content.prepare(digest);
    let asked_checksum = protection::asked_checksum(&request.headers)?;
    let header = asked_checksum.or(object.protection.checksum.clone()).map(|checksum| checksum.header);
    protection.checksum = header.map(|header| protection::checksum_of(&object.content, header));
    let attributes = if replaces {
        new_object(input.content_type, input.storage_class, input.metadata)
    } else {
        let user = object.meta.user.clone().into_iter().collect();
        new_object(object.meta.content_type.clone(), input.storage_class, Some(user))
    };
    let target = shared.buckets.find(&input.bucket)?;
    let mut bucket = lock(&target);
    let now = unix_seconds();
    let key = Key::from(input.key);
    let written = bucket.put_copy(&object, &key, Some(attributes), condition.as_ref(), now).map_err(s3_error)?;
    let told = protection::told(&protection, false);
    let etag = bucket.protect(&key, protection).unwrap_or(written.etag);
    let output = CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            e_tag: Some(http_etag(&etag)),
            last_modified: Some(timestamp(now)),
            ..CopyObjectResult::default()
        }),
        copy_source_version_id: source_version,
        version_id: http_version(&bucket, written.version_id.as_ref()),
        ..CopyObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, told))
}

/// Nothing has tags here; `aws s3 cp` asks.
pub(super) fn tagging(
    shared: &Shared,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let bucket = shared.buckets.find(&input.bucket)?;
    let (key, version) = (Key::from(input.key), input.version_id.map(VersionId::from));
    let head = Head { key, version_id: version, conditions: ReadConditions::none() };
    lock(&bucket).head(head).map_err(s3_error)?;
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: Vec::new(), version_id: None }))
}

fn protection_of(bucket: &Bucket, key: &Key, version: Option<&VersionId>) -> Protection {
    let object = bucket.version(key.as_str(), version).and_then(Entry::object);
    object.map(|object| object.protection.clone()).unwrap_or_default()
}

/// s3s knows no conditions on a copy's target; S3 does.
fn etag_condition(headers: &http::HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = ETagCondition::parse_http_header(value.as_bytes());
    parsed.map(Some).map_err(|error| s3_error!(InvalidArgument, "{name}: {error}"))
}

fn check_part_number(number: Option<i32>) -> S3Result<()> {
    match number {
        None => Ok(()),
        Some(_) => Err(s3_error!(NotImplemented, "partNumber")),
    }
}

fn content_type(meta: &ObjectMeta) -> String {
    meta.content_type.clone().unwrap_or_else(|| String::from(DEFAULT_CONTENT_TYPE))
}

fn storage_class(meta: &ObjectMeta) -> Option<StorageClass> {
    meta.storage_class.clone().map(StorageClass::from)
}

/// A GET's body as s3s takes it.
struct ObjectStream(BucketBody);

impl Stream for ObjectStream {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Iterator::next(&mut self.0).map(Ok))
    }
}

impl ByteStream for ObjectStream {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.0.remaining_bytes() as usize)
    }
}

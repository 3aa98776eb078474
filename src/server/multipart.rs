//! Multipart uploads over HTTP.

use http::HeaderMap;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CopyPartResult, CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::buckets::lock;
use super::convert::{
    copy_range, copy_source, etag, http_etag, http_version, new_object, read_conditions, s3_error, timestamp,
    write_condition,
};
use super::receive::{Declared, receive};
use super::{Shared, protection, unix_seconds};
use crate::bucket::{Bucket, Entry, Protection};
use crate::env::store::{CompleteUpload, CreateUpload, ETag, Key, UploadId};

/// What is asked for when nothing is said, and the most that is answered.
const MAX_ENTRIES: usize = 1000;

pub(super) fn create(
    shared: &Shared,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let checksum = protection::asked_checksum(&request.headers)?;
    let protection = Protection { checksum, ..protection::asked(&request.headers)? };
    let told = protection::told(&protection, false);
    let input = request.input;
    let object = new_object(input.content_type, input.storage_class, input.metadata);
    let bucket = shared.buckets.find(&input.bucket)?;
    let key = Key::from(input.key.as_str());
    let create = CreateUpload { key: key.clone(), object };
    let mut bucket = lock(&bucket);
    let upload = bucket.create_upload(create, unix_seconds()).map_err(s3_error)?;
    bucket.protect_upload(&key, &upload, protection);
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.to_string()),
        ..CreateMultipartUploadOutput::default()
    };
    Ok(S3Response::with_headers(output, told))
}

pub(super) async fn upload_part(
    shared: &Shared,
    mut request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let bucket = shared.buckets.find(&request.input.bucket)?;
    let body = request.input.body.take();
    let declared = Declared::by(&request, request.input.content_length, request.input.content_md5.clone());
    let digest = lock(&bucket).options().digest;
    let (content, checksum) = receive(body, declared, digest).await?;
    let (input, headers) = (request.input, request.headers);
    let number = part_number(input.part_number)?;
    let (key, upload) = (Key::from(input.key), UploadId::from(input.upload_id));
    let mut bucket = lock(&bucket);
    admit_part(&bucket, &key, &upload, &headers)?;
    // The upload may have ended while the body came: this finds out.
    let etag = bucket.put_part(key, upload, number, content, unix_seconds()).map_err(s3_error)?;
    let output = UploadPartOutput { e_tag: Some(http_etag(&etag)), ..UploadPartOutput::default() };
    Ok(S3Response::with_headers(output, protection::told(&Protection { checksum, ..Protection::default() }, true)))
}

pub(super) fn upload_part_copy(
    shared: &Shared,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let (input, headers) = (request.input, request.headers);
    let conditions = read_conditions(
        input.copy_source_if_match,
        input.copy_source_if_none_match,
        input.copy_source_if_modified_since,
        input.copy_source_if_unmodified_since,
    );
    let (source_bucket, source) = copy_source(input.copy_source, conditions)?;
    let range = input.copy_source_range.as_deref().map(copy_range).transpose()?;
    let found = shared.buckets.find(&source_bucket)?;
    let (content, source_version, digest) = {
        let bucket = lock(&found);
        let content = bucket.part_source(&source, range).map_err(s3_error)?;
        let version = bucket.version(source.key.as_str(), source.version_id.as_ref());
        if let Some(object) = version.and_then(Entry::object) {
            protection::admit_copy(&object.protection, &headers)?;
        }
        let version = version.and_then(|entry| http_version(&bucket, entry.version_id.as_ref()));
        (content, version, bucket.options().digest)
    };
    // What was found cannot change; the digest needs no lock.
    content.prepare(digest);
    let target = shared.buckets.find(&input.bucket)?;
    let (number, now) = (part_number(input.part_number)?, unix_seconds());
    let (key, upload) = (Key::from(input.key), UploadId::from(input.upload_id));
    let mut target = lock(&target);
    admit_part(&target, &key, &upload, &headers)?;
    let etag = target.put_part(key, upload, number, content, now).map_err(s3_error)?;
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            e_tag: Some(http_etag(&etag)),
            last_modified: Some(timestamp(now)),
            ..CopyPartResult::default()
        }),
        copy_source_version_id: source_version,
        ..UploadPartCopyOutput::default()
    }))
}

pub(super) fn complete(
    shared: &Shared,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = request.input;
    let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let complete = CompleteUpload {
        key: Key::from(input.key.as_str()),
        upload: UploadId::from(input.upload_id),
        parts: parts.iter().map(completed_part).collect::<S3Result<_>>()?,
        condition: write_condition(input.if_match, input.if_none_match)?,
    };
    let bucket = shared.buckets.find(&input.bucket)?;
    let mut bucket = lock(&bucket);
    let key = complete.key.clone();
    let written = bucket.complete_upload(complete).map_err(s3_error)?;
    sum(&mut bucket, &key);
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(http_etag(&written.etag)),
        version_id: http_version(&bucket, written.version_id.as_ref()),
        ..CompleteMultipartUploadOutput::default()
    }))
}

pub(super) fn abort(
    shared: &Shared,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let bucket = shared.buckets.find(&input.bucket)?;
    lock(&bucket).abort_upload(Key::from(input.key), UploadId::from(input.upload_id)).map_err(s3_error)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) fn list_parts(shared: &Shared, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let bucket = shared.buckets.find(&input.bucket)?;
    let bucket = lock(&bucket);
    let (key, upload) = (Key::from(input.key.as_str()), UploadId::from(input.upload_id.as_str()));
    let parts = bucket.parts(&key, &upload).map_err(s3_error)?;
    let after = part_number(input.part_number_marker.unwrap_or(0))?;
    let max = entries(input.max_parts)?;
    let mut rest = parts.range(after.saturating_add(1)..);
    let page: Vec<Part> = rest
        .by_ref()
        .take(max)
        .map(|(number, part)| Part {
            part_number: Some(*number as i32),
            e_tag: Some(http_etag(&part.etag)),
            size: Some(part.content.size() as i64),
            last_modified: Some(timestamp(part.last_modified)),
            ..Part::default()
        })
        .collect();
    let truncated = rest.next().is_some() && max > 0;
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(max as i32),
        is_truncated: Some(truncated),
        next_part_number_marker: page.last().and_then(|part| part.part_number).filter(|_| truncated),
        part_number_marker: input.part_number_marker,
        parts: Some(page),
        ..ListPartsOutput::default()
    }))
}

pub(super) fn list_uploads(
    shared: &Shared,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let bucket = shared.buckets.find(&input.bucket)?;
    let all = lock(&bucket).list_uploads(input.prefix.as_deref().unwrap_or_default());
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let id_marker = input.upload_id_marker.as_deref().unwrap_or_default();
    let is_after =
        |key: &str, id: &str| key > key_marker || (key == key_marker && !id_marker.is_empty() && id > id_marker);
    let max = entries(input.max_uploads)?;
    let mut rest = all.iter().filter(|upload| is_after(upload.key.as_str(), upload.upload.as_str()));
    let page: Vec<MultipartUpload> = rest
        .by_ref()
        .take(max)
        .map(|upload| MultipartUpload {
            key: Some(upload.key.to_string()),
            upload_id: Some(upload.upload.to_string()),
            initiated: Some(timestamp(upload.initiated)),
            ..MultipartUpload::default()
        })
        .collect();
    let truncated = rest.next().is_some() && max > 0;
    let last = page.last().filter(|_| truncated);
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        next_key_marker: last.and_then(|upload| upload.key.clone()),
        next_upload_id_marker: last.and_then(|upload| upload.upload_id.clone()),
        max_uploads: Some(max as i32),
        is_truncated: Some(truncated),
        uploads: Some(page),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        ..ListMultipartUploadsOutput::default()
    }))
}

/// Parts are encrypted with the key that their upload was begun with.
fn admit_part(bucket: &Bucket, key: &Key, upload: &UploadId, headers: &HeaderMap) -> S3Result<()> {
    bucket.upload_protection(key, upload).map_or(Ok(()), |protection| protection::admit(protection, headers))
}

/// Computes the checksum that the upload which became the current version of `key` was begun with.
fn sum(bucket: &mut Bucket, key: &Key) {
    let Some(object) = bucket.current(key.as_str()) else { return };
    let Some(header) = object.protection.checksum.as_ref().map(|checksum| checksum.header) else { return };
    let checksum = Some(protection::checksum_of(&object.content, header));
    let protection = Protection { checksum, ..object.protection.clone() };
    bucket.protect(key, protection);
}

fn completed_part(part: &CompletedPart) -> S3Result<(u32, ETag)> {
    match (part.part_number, &part.e_tag) {
        (Some(number), Some(tag)) => Ok((part_number(number)?, etag(tag))),
        (Some(_) | None, _) => Err(s3_error!(MalformedXML, "a part needs its number and its ETag")),
    }
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number).map_err(|_| s3_error!(InvalidArgument, "part number {number}"))
}

fn entries(asked: Option<i32>) -> S3Result<usize> {
    let asked = asked.map_or(Ok(MAX_ENTRIES), usize::try_from);
    Ok(asked.map_err(|_| s3_error!(InvalidArgument, "a negative number of entries"))?.min(MAX_ENTRIES))
}

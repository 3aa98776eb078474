//! Multipart uploads.

use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::byte_stream::ByteStream;

use super::connection::Connection;
use super::names::{copy_source_header, quoted, sent_key, unquoted, version};
use super::protection::{ChecksumKind, Touches};
use super::read::Conditions;
use super::write::{Attributes, TargetCondition};
use crate::env::store::{
    CompleteUpload, CreateUpload, ETag, ErrorKind, Key, StoreError, UploadId, UploadPart, UploadPartCopy, Written,
};

pub(super) async fn create(connection: &Connection, request: &CreateUpload) -> Result<UploadId, StoreError> {
    let protection = &connection.options().protection;
    let answer = connection
        .call(|current| {
            let attributes = Attributes::of(&request.object);
            current
                .client
                .create_multipart_upload()
                .bucket(&connection.options().bucket)
                .key(sent_key(&request.key))
                .set_content_type(attributes.content_type)
                .set_storage_class(attributes.storage_class)
                .set_metadata(attributes.metadata)
                .set_checksum_algorithm(protection.checksum.map(ChecksumKind::algorithm))
                // Of all of the object: then the parts' own need not be told when it is completed.
                .set_checksum_type(protection.checksum.map(|_| ChecksumType::FullObject))
                .customize()
                .mutate_request(protection.adding(Touches::New))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
    let id = answer.upload_id().filter(|id| !id.is_empty());
    id.map(UploadId::from).ok_or_else(|| StoreError::new(ErrorKind::InvalidAnswer, "a new upload without an id"))
}

pub(super) async fn part(connection: &Connection, request: &UploadPart) -> Result<ETag, StoreError> {
    let number = part_number(request.number)?;
    let protection = &connection.options().protection;
    let answer = connection
        .call(|current| {
            let part = current
                .client
                .upload_part()
                .bucket(&connection.options().bucket)
                .key(sent_key(&request.key))
                .upload_id(request.upload.as_str())
                .part_number(number)
                .set_checksum_algorithm(protection.checksum.map(ChecksumKind::algorithm))
                .body(ByteStream::from(request.body.clone()))
                .customize()
                .mutate_request(protection.adding(Touches::Bytes));
            if current.sign_payloads { part } else { part.disable_payload_signing() }.send()
        })
        .await
        .map_err(|failure| failure.error)?;
    unquoted(answer.e_tag())
}

pub(super) async fn part_copy(connection: &Connection, request: &UploadPartCopy) -> Result<ETag, StoreError> {
    let number = part_number(request.number)?;
    let range = match &request.range {
        None => None,
        Some(range) if range.start < range.end => Some(format!("bytes={}-{}", range.start, range.end - 1)),
        Some(_) => return Err(StoreError::new(ErrorKind::InvalidRequest, "a copied part cannot be empty")),
    };
    let range = &range;
    let bucket = &connection.options().bucket;
    let protection = &connection.options().protection;
    let answer = connection
        .call(|current| {
            let source = Conditions::of(&request.source.conditions);
            current
                .client
                .upload_part_copy()
                .bucket(bucket)
                .key(sent_key(&request.key))
                .upload_id(request.upload.as_str())
                .part_number(number)
                .copy_source(copy_source_header(bucket, &request.source))
                .set_copy_source_range(range.clone())
                .set_copy_source_if_match(source.if_match)
                .set_copy_source_if_none_match(source.if_none_match)
                .set_copy_source_if_modified_since(source.if_modified_since)
                .set_copy_source_if_unmodified_since(source.if_unmodified_since)
                .customize()
                .mutate_request(protection.adding(Touches::PartCopy))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
    unquoted(answer.copy_part_result().and_then(|result| result.e_tag()))
}

pub(super) async fn complete(connection: &Connection, request: &CompleteUpload) -> Result<Written, StoreError> {
    let mut parts = Vec::with_capacity(request.parts.len());
    for (number, etag) in &request.parts {
        parts.push(CompletedPart::builder().part_number(part_number(*number)?).e_tag(quoted(etag)).build());
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let parts = &parts;
    let protection = &connection.options().protection;
    let answer = connection
        .call(|current| {
            let condition = TargetCondition::of(request.condition.as_ref());
            current
                .client
                .complete_multipart_upload()
                .bucket(&connection.options().bucket)
                .key(sent_key(&request.key))
                .upload_id(request.upload.as_str())
                .multipart_upload(parts.clone())
                .set_if_match(condition.if_match)
                .set_if_none_match(condition.if_none_match)
                .customize()
                .mutate_request(protection.adding(Touches::Bytes))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
    Ok(Written { etag: unquoted(answer.e_tag())?, version_id: version(answer.version_id()) })
}

pub(super) async fn abort(connection: &Connection, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
    connection
        .call(|current| {
            current
                .client
                .abort_multipart_upload()
                .bucket(&connection.options().bucket)
                .key(sent_key(key))
                .upload_id(upload.as_str())
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
    Ok(())
}

/// The first page tells.
pub(super) async fn has_parts(connection: &Connection, key: &Key, upload: &UploadId) -> Result<bool, StoreError> {
    let answer = connection
        .call(|current| {
            current
                .client
                .list_parts()
                .bucket(&connection.options().bucket)
                .key(sent_key(key))
                .upload_id(upload.as_str())
                .max_parts(1)
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
    Ok(!answer.parts().is_empty())
}

fn part_number(number: u32) -> Result<i32, StoreError> {
    i32::try_from(number)
        .map_err(|_| StoreError::new(ErrorKind::InvalidRequest, format!("there is no part number {number}")))
}

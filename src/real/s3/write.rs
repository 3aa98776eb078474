//! PUT, DELETE and COPY of one object.

use std::collections::HashMap;

use aws_sdk_s3::types::{MetadataDirective, StorageClass};
use aws_smithy_types::byte_stream::ByteStream;

use super::connection::Connection;
use super::names::{copy_source_header, quoted, sent_key, unquoted, version};
use super::protection::{ChecksumKind, Touches};
use super::read::{Conditions, version_parameter};
use crate::env::store::{Copy, Delete, ErrorKind, NewObject, Put, StoreError, VersionId, WriteCondition, Written};

pub(super) async fn put(connection: &Connection, request: &Put) -> Result<Written, StoreError> {
    let protection = &connection.options().protection;
    let answer = connection
        .call(|current| {
            let attributes = Attributes::of(&request.object);
            let condition = TargetCondition::of(request.condition.as_ref());
            let put = current
                .client
                .put_object()
                .bucket(&connection.options().bucket)
                .key(sent_key(&request.key))
                .set_content_type(attributes.content_type)
                .set_storage_class(attributes.storage_class)
                .set_metadata(attributes.metadata)
                .set_if_match(condition.if_match)
                .set_if_none_match(condition.if_none_match)
                .set_checksum_algorithm(protection.checksum.map(ChecksumKind::algorithm))
                .body(ByteStream::from(request.body.clone()))
                .customize()
                .mutate_request(protection.adding(Touches::New));
            // Over TLS the connection guards the bytes already; hashing them again costs as much as sending them.
            if current.sign_payloads { put } else { put.disable_payload_signing() }.send()
        })
        .await
        .map_err(|failure| failure.error)?;
    Ok(Written { etag: unquoted(answer.e_tag())?, version_id: version(answer.version_id()) })
}

pub(super) async fn delete(connection: &Connection, request: &Delete) -> Result<Option<VersionId>, StoreError> {
    let if_match = match &request.condition {
        None => None,
        Some(WriteCondition::IfMatch(etag)) => Some(quoted(etag)),
        Some(WriteCondition::IfAbsent) => {
            return Err(StoreError::new(ErrorKind::InvalidRequest, "a DELETE cannot ask for absence"));
        }
    };
    let if_match = &if_match;
    let answer = connection
        .call(|current| {
            current
                .client
                .delete_object()
                .bucket(&connection.options().bucket)
                .key(sent_key(&request.key))
                .set_version_id(version_parameter(request.version_id.as_ref()))
                .set_if_match(if_match.clone())
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
    // With a version id the answer echoes that id, and says by the other field whether that was a marker: none was added.
    let added = answer.delete_marker() == Some(true) && request.version_id.is_none();
    Ok(if added { version(answer.version_id()) } else { None })
}

pub(super) async fn copy(connection: &Connection, request: &Copy) -> Result<Written, StoreError> {
    let protection = &connection.options().protection;
    let bucket = &connection.options().bucket;
    let answer = connection
        .call(|current| {
            let source = Conditions::of(&request.source.conditions);
            let target = TargetCondition::of(request.condition.as_ref());
            let mut copy = current
                .client
                .copy_object()
                .bucket(bucket)
                .key(sent_key(&request.key))
                .copy_source(copy_source_header(bucket, &request.source))
                .set_copy_source_if_match(source.if_match)
                .set_copy_source_if_none_match(source.if_none_match)
                .set_copy_source_if_modified_since(source.if_modified_since)
                .set_copy_source_if_unmodified_since(source.if_unmodified_since)
                .set_if_match(target.if_match)
                .set_if_none_match(target.if_none_match)
                .set_checksum_algorithm(protection.checksum.map(ChecksumKind::algorithm));
            if let Some(object) = &request.replace {
                let attributes = Attributes::of(object);
                copy = copy
                    .metadata_directive(MetadataDirective::Replace)
                    .set_content_type(attributes.content_type)
                    .set_storage_class(attributes.storage_class)
                    .set_metadata(attributes.metadata);
            }
            copy.customize().mutate_request(protection.adding(Touches::Copy)).send()
        })
        .await
        .map_err(|failure| failure.error)?;
    let etag = answer.copy_object_result().and_then(|result| result.e_tag());
    Ok(Written { etag: unquoted(etag)?, version_id: version(answer.version_id()) })
}

/// A new object's attributes as requests carry them.
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) storage_class: Option<StorageClass>,
    pub(super) metadata: Option<HashMap<String, String>>,
}

impl Attributes {
    pub(super) fn of(object: &NewObject) -> Self {
        Self {
            content_type: object.content_type.clone(),
            storage_class: object.storage_class.as_deref().map(StorageClass::from),
            metadata: (!object.user.is_empty())
                .then(|| object.user.iter().map(|(name, value)| (name.clone(), value.clone())).collect()),
        }
    }
}

/// [`WriteCondition`] as headers.
pub(super) struct TargetCondition {
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
}

impl TargetCondition {
    pub(super) fn of(condition: Option<&WriteCondition>) -> Self {
        match condition {
            None => Self { if_match: None, if_none_match: None },
            Some(WriteCondition::IfMatch(etag)) => Self { if_match: Some(quoted(etag)), if_none_match: None },
            Some(WriteCondition::IfAbsent) => Self { if_match: None, if_none_match: Some("*".to_owned()) },
        }
    }
}

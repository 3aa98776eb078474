//! The vocabulary of `env::store` ⇄ that of s3s.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use s3s::dto::{self, CopySource as HttpCopySource, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::bucket::{Bucket, EntryKind, Versioning};
use crate::env::store::{
    ByteRange, CopySource, ETag, ErrorKind, Key, Match, NewObject, ReadConditions, StoreError, VersionId,
    WriteCondition,
};

/// Seconds since 1970 as the API's timestamps.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64))
}

/// Whole seconds since 1970.
pub(super) fn seconds(timestamp: &Timestamp) -> Option<i64> {
    let mut text = Vec::new();
    timestamp.format(TimestampFormat::EpochSeconds, &mut text).ok()?;
    let seconds: f64 = std::str::from_utf8(&text).ok()?.parse().ok()?;
    Some(seconds.floor() as i64)
}

pub(super) fn http_etag(etag: &ETag) -> dto::ETag {
    dto::ETag::Strong(etag.as_str().to_owned())
}

pub(super) fn etag(etag: &dto::ETag) -> ETag {
    ETag::from(etag.value())
}

/// The version id to report: `null` is spelt out where the bucket has versions, and absent where it never had.
pub(super) fn http_version(bucket: &Bucket, version: Option<&VersionId>) -> Option<String> {
    match (bucket.versioning(), version) {
        (_, Some(id)) => Some(id.as_str().to_owned()),
        (Versioning::Off, None) => None,
        (Versioning::Enabled | Versioning::Suspended, None) => Some(String::from("null")),
    }
}

pub(super) fn byte_range(range: &dto::Range) -> ByteRange {
    match *range {
        dto::Range::Int { first, last: None } => ByteRange::From(first),
        dto::Range::Int { first, last: Some(last) } => ByteRange::Within { start: first, end: last.saturating_add(1) },
        dto::Range::Suffix { length } => ByteRange::Last(length),
    }
}

/// `bytes=first-last`, the one form that UploadPartCopy knows.
pub(super) fn copy_range(text: &str) -> S3Result<std::ops::Range<u64>> {
    match dto::Range::parse(text) {
        Ok(dto::Range::Int { first, last: Some(last) }) => Ok(first..last.saturating_add(1)),
        Ok(_) | Err(_) => Err(s3_error!(InvalidArgument, "x-amz-copy-source-range must be bytes=first-last")),
    }
}

pub(super) fn read_conditions(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
) -> ReadConditions {
    let entity = |condition: ETagCondition| match condition {
        ETagCondition::Any => Match::Any,
        ETagCondition::ETag(tag) => Match::ETag(etag(&tag)),
    };
    ReadConditions {
        if_match: if_match.map(entity),
        if_none_match: if_none_match.map(entity),
        if_modified_since: if_modified_since.as_ref().and_then(seconds),
        if_unmodified_since: if_unmodified_since.as_ref().and_then(seconds),
    }
}

/// S3 knows `If-Match: <etag>` and `If-None-Match: *` on writes, one of them at a time.
pub(super) fn write_condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Option<WriteCondition>> {
    match (if_match, if_none_match) {
        (None, None) => Ok(None),
        (Some(ETagCondition::ETag(tag)), None) => Ok(Some(WriteCondition::IfMatch(etag(&tag)))),
        (None, Some(ETagCondition::Any)) => Ok(Some(WriteCondition::IfAbsent)),
        (Some(_), _) | (None, Some(ETagCondition::ETag(_))) => {
            Err(s3_error!(NotImplemented, "writes know If-Match with an ETag, or If-None-Match: *"))
        }
    }
}

/// The bucket and the version that a copy reads.
pub(super) fn copy_source(source: HttpCopySource, conditions: ReadConditions) -> S3Result<(String, CopySource)> {
    match source {
        HttpCopySource::Bucket { bucket, key, version_id } => {
            let version_id = version_id.map(|id| VersionId::from(String::from(id)));
            let source = CopySource { key: Key::from(String::from(key)), version_id, conditions };
            Ok((String::from(bucket), source))
        }
        HttpCopySource::AccessPoint { .. } | HttpCopySource::Outpost { .. } => Err(s3_error!(NotImplemented)),
    }
}

pub(super) fn new_object(
    content_type: Option<String>,
    storage_class: Option<dto::StorageClass>,
    metadata: Option<dto::Metadata>,
) -> NewObject {
    NewObject {
        content_type,
        storage_class: storage_class.map(|class| class.as_str().to_owned()),
        user: metadata.unwrap_or_default().into_iter().collect(),
    }
}

/// What the bucket answered, as S3 would put it: the code leads the message.
pub(super) fn s3_error(error: StoreError) -> S3Error {
    let (code, message) = error.message.split_once(": ").unwrap_or(("InternalError", &error.message));
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    S3Error::with_message(code, message.to_owned())
}

/// [`s3_error`] with the headers that S3 adds where a GET or HEAD is refused.
pub(super) fn read_refusal(bucket: &Bucket, key: &Key, version: Option<&VersionId>, error: StoreError) -> S3Error {
    let kind = error.kind;
    let mut refusal = s3_error(error);
    let Some(entry) = bucket.version(key.as_str(), version) else { return refusal };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    match &entry.kind {
        EntryKind::DeleteMarker => {
            add(HeaderName::from_static("x-amz-delete-marker"), "true");
            add(HeaderName::from_static("x-amz-version-id"), entry.id());
        }
        EntryKind::Object(object) if kind == ErrorKind::NotModified => {
            add(header::ETAG, &format!("\"{}\"", object.meta.etag));
            let mut date = Vec::new();
            if timestamp(object.meta.last_modified).format(TimestampFormat::HttpDate, &mut date).is_ok() {
                add(header::LAST_MODIFIED, &String::from_utf8_lossy(&date));
            }
            if let Some(id) = http_version(bucket, object.meta.version_id.as_ref()) {
                add(HeaderName::from_static("x-amz-version-id"), &id);
            }
        }
        EntryKind::Object(object) if kind == ErrorKind::InvalidRange => {
            add(header::CONTENT_RANGE, &format!("bytes */{}", object.meta.size));
        }
        EntryKind::Object(_) => {}
    }
    refusal.set_headers(headers);
    refusal
}

//! GET and HEAD.

use std::collections::{BTreeMap, HashMap};

use aws_smithy_types::DateTime;

use super::body::S3Body;
use super::connection::Connection;
use super::content_range;
use super::names::{quoted, sent_key, unquoted, version};
use super::protection::Touches;
use crate::env::store::{
    ByteRange, ErrorKind, Get, GetReply, Head, Match, ObjectMeta, ReadConditions, StoreError, VersionId,
};

pub(super) async fn get(connection: &Connection, request: &Get) -> Result<GetReply<S3Body>, StoreError> {
    let conditions = Conditions::of(&request.conditions);
    let conditions = &conditions;
    let protection = &connection.options().protection;
    let answer = connection
        .call(|current| {
            let conditions = conditions.clone();
            current
                .client
                .get_object()
                .bucket(&connection.options().bucket)
                .key(sent_key(&request.key))
                .set_version_id(version_parameter(request.version_id.as_ref()))
                .set_range(request.range.map(range_header))
                .set_if_match(conditions.if_match)
                .set_if_none_match(conditions.if_none_match)
                .set_if_modified_since(conditions.if_modified_since)
                .set_if_unmodified_since(conditions.if_unmodified_since)
                .customize()
                .mutate_request(protection.adding(Touches::Bytes))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;

    let range;
    let size;
    match answer.content_range() {
        Some(header) => {
            let parsed = content_range::parse(header).ok_or_else(|| {
                StoreError::new(ErrorKind::InvalidAnswer, format!("unusable Content-Range: {header:?}"))
            })?;
            (range, size) = (parsed.range, parsed.size);
            let promised = answer.content_length().map_or(Some(range.end - range.start), |len| u64::try_from(len).ok());
            if promised != Some(range.end - range.start) {
                return Err(StoreError::new(
                    ErrorKind::InvalidAnswer,
                    format!("Content-Length {promised:?} does not fit Content-Range {header:?}"),
                ));
            }
        }
        // The whole object, asked for or not: the core sees by the range that its own was ignored.
        None => {
            size = length(answer.content_length())?;
            range = 0..size;
        }
    }
    let meta = ObjectMeta {
        etag: unquoted(answer.e_tag())?,
        version_id: version(answer.version_id()),
        size,
        last_modified: answer.last_modified().map_or(0, DateTime::secs),
        content_type: answer.content_type,
        storage_class: storage_class(answer.storage_class.as_ref().map(|class| class.as_str())),
        user: user_metadata(answer.metadata),
    };
    let body = S3Body::new(answer.body, range.end - range.start, connection.handle().clone());
    Ok(GetReply { meta, range, body })
}

pub(super) async fn head(connection: &Connection, request: &Head) -> Result<ObjectMeta, StoreError> {
    let conditions = Conditions::of(&request.conditions);
    let conditions = &conditions;
    let protection = &connection.options().protection;
    let answer = connection
        .call(|current| {
            let conditions = conditions.clone();
            current
                .client
                .head_object()
                .bucket(&connection.options().bucket)
                .key(sent_key(&request.key))
                .set_version_id(version_parameter(request.version_id.as_ref()))
                .set_if_match(conditions.if_match)
                .set_if_none_match(conditions.if_none_match)
                .set_if_modified_since(conditions.if_modified_since)
                .set_if_unmodified_since(conditions.if_unmodified_since)
                .customize()
                .mutate_request(protection.adding(Touches::Bytes))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
    Ok(ObjectMeta {
        etag: unquoted(answer.e_tag())?,
        version_id: version(answer.version_id()),
        size: length(answer.content_length())?,
        last_modified: answer.last_modified().map_or(0, DateTime::secs),
        content_type: answer.content_type,
        storage_class: storage_class(answer.storage_class.as_ref().map(|class| class.as_str())),
        user: user_metadata(answer.metadata),
    })
}

/// [`ReadConditions`] as headers.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) if_modified_since: Option<DateTime>,
    pub(super) if_unmodified_since: Option<DateTime>,
}

impl Conditions {
    pub(super) fn of(conditions: &ReadConditions) -> Self {
        Self {
            if_match: conditions.if_match.as_ref().map(match_header),
            if_none_match: conditions.if_none_match.as_ref().map(match_header),
            if_modified_since: conditions.if_modified_since.map(DateTime::from_secs),
            if_unmodified_since: conditions.if_unmodified_since.map(DateTime::from_secs),
        }
    }
}

fn match_header(condition: &Match) -> String {
    match condition {
        Match::Any => "*".to_owned(),
        Match::ETag(etag) => quoted(etag),
    }
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::From(start) => format!("bytes={start}-"),
        // `start < end` by contract; an empty range asks for its first byte, which the core then refuses.
        ByteRange::Within { start, end } => format!("bytes={start}-{}", end.saturating_sub(1).max(start)),
        ByteRange::Last(count) => format!("bytes=-{count}"),
    }
}

fn length(content_length: Option<i64>) -> Result<u64, StoreError> {
    content_length
        .and_then(|len| u64::try_from(len).ok())
        .ok_or_else(|| StoreError::new(ErrorKind::InvalidAnswer, "the answer does not say how long the object is"))
}

/// STANDARD is spelt out by some services and left out by others.
pub(super) fn storage_class(class: Option<&str>) -> Option<String> {
    class.filter(|class| !class.is_empty() && *class != "STANDARD").map(str::to_owned)
}

fn user_metadata(metadata: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    metadata.unwrap_or_default().into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// A version id as a request carries it.
pub(super) fn version_parameter(id: Option<&VersionId>) -> Option<String> {
    id.map(|id| id.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{range_header, storage_class};
    use crate::env::store::ByteRange;

    #[test]
    fn ranges_are_written_with_both_ends_included() {
        assert_eq!(range_header(ByteRange::From(5)), "bytes=5-");
        assert_eq!(range_header(ByteRange::Within { start: 5, end: 10 }), "bytes=5-9");
        assert_eq!(range_header(ByteRange::Last(3)), "bytes=-3");
    }

    #[test]
    fn standard_is_no_class_of_its_own() {
        assert_eq!(storage_class(Some("STANDARD")), None);
        assert_eq!(storage_class(Some("GLACIER")).as_deref(), Some("GLACIER"));
    }
}

//! Listings: keys, versions, uploads.
//!
//! Names are asked for percent-encoded, since XML cannot carry every key, and decoded if the answer says that it did so.

use std::cmp::Ordering;

use aws_sdk_s3::types::{DeleteMarkerEntry, EncodingType, ObjectVersion};
use aws_smithy_types::DateTime;

use super::connection::Connection;
use super::names::{decode_listed, unquoted};
use super::read::storage_class;
use crate::env::store::{
    ErrorKind, Key, List, ListPage, ListVersions, ListedObject, ListedVersion, StoreError, Upload, UploadId, VersionId,
    VersionPage,
};

pub(super) async fn list(connection: &Connection, request: &List) -> Result<ListPage, StoreError> {
    let answer = connection
        .call(|current| {
            // The token carries the place by itself.
            let start_after = request.start_after.clone().filter(|_| request.continuation.is_none());
            current
                .client
                .list_objects_v2()
                .bucket(&connection.options().bucket)
                .set_prefix(given(&request.prefix))
                .set_delimiter(request.delimiter.clone())
                .set_start_after(start_after)
                .set_continuation_token(request.continuation.clone())
                .max_keys(page_size(request.max_keys))
                .encoding_type(EncodingType::Url)
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;

    let name = Names::of(answer.encoding_type.as_ref());
    let mut page = ListPage {
        objects: Vec::with_capacity(answer.contents().len()),
        prefixes: Vec::with_capacity(answer.common_prefixes().len()),
        next: None,
    };
    for object in answer.contents() {
        page.objects.push(ListedObject {
            key: name.decode(object.key())?,
            etag: unquoted(object.e_tag())?,
            size: size(object.size())?,
            last_modified: object.last_modified().map_or(0, DateTime::secs),
            storage_class: storage_class(object.storage_class().map(|class| class.as_str())),
        });
    }
    for prefix in answer.common_prefixes() {
        page.prefixes.push(name.decode(prefix.prefix())?);
    }
    if answer.is_truncated == Some(true) {
        let token = answer.next_continuation_token.filter(|token| !token.is_empty());
        page.next = Some(token.ok_or_else(|| invalid("a truncated listing without a continuation token"))?);
    }
    Ok(page)
}

pub(super) async fn list_versions(connection: &Connection, request: &ListVersions) -> Result<VersionPage, StoreError> {
    let answer = connection
        .call(|current| {
            let (key_marker, version_marker) = match &request.after {
                None => (None, None),
                Some((key, version)) => (Some(key.as_str().to_owned()), given(version.as_str())),
            };
            current
                .client
                .list_object_versions()
                .bucket(&connection.options().bucket)
                .set_prefix(given(&request.prefix))
                .set_key_marker(key_marker)
                .set_version_id_marker(version_marker)
                .max_keys(page_size(request.max_keys))
                .encoding_type(EncodingType::Url)
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;

    let name = Names::of(answer.encoding_type.as_ref());
    let versions = answer.versions().iter().map(|entry| listed_version(&name, entry)).collect::<Result<Vec<_>, _>>()?;
    let markers =
        answer.delete_markers().iter().map(|entry| listed_marker(&name, entry)).collect::<Result<Vec<_>, _>>()?;
    let next = if answer.is_truncated == Some(true) {
        let key = name.decode(answer.next_key_marker())?;
        Some((key, VersionId::from(answer.next_version_id_marker().unwrap_or_default())))
    } else {
        None
    };
    Ok(VersionPage { versions: merge(versions, markers), next })
}

/// Every page, as nobody needs them one by one.
pub(super) async fn list_uploads(connection: &Connection, prefix: &str) -> Result<Vec<Upload>, StoreError> {
    let mut uploads = Vec::new();
    let mut after: Option<(String, Option<String>)> = None;
    loop {
        let marker = &after;
        let answer = connection
            .call(|current| {
                let (key_marker, upload_marker) = marker.clone().unzip();
                current
                    .client
                    .list_multipart_uploads()
                    .bucket(&connection.options().bucket)
                    .set_prefix(given(prefix))
                    .set_key_marker(key_marker)
                    .set_upload_id_marker(upload_marker.flatten())
                    .encoding_type(EncodingType::Url)
                    .send()
            })
            .await
            .map_err(|failure| failure.error)?;
        let name = Names::of(answer.encoding_type.as_ref());
        for entry in answer.uploads() {
            uploads.push(Upload {
                key: name.decode(entry.key())?,
                upload: UploadId::from(entry.upload_id().ok_or_else(|| invalid("a listed upload without an id"))?),
                initiated: entry.initiated().map_or(0, DateTime::secs),
            });
        }
        if answer.is_truncated != Some(true) {
            // Directory buckets, and some other services, list in an order of their own.
            uploads.sort_by(|a, b| a.key.cmp(&b.key));
            return Ok(uploads);
        }
        let next = (
            name.decode(answer.next_key_marker())?.as_str().to_owned(),
            answer.next_upload_id_marker().filter(|id| !id.is_empty()).map(str::to_owned),
        );
        // A server that answers the same page again would keep us here for ever.
        if after.as_ref() == Some(&next) {
            return Err(invalid("a listing of uploads that does not advance"));
        }
        after = Some(next);
    }
}

/// How names of one answer are spelt.
struct Names {
    encoded: bool,
}

impl Names {
    fn of(encoding: Option<&EncodingType>) -> Self {
        Self { encoded: encoding == Some(&EncodingType::Url) }
    }

    fn decode(&self, name: Option<&str>) -> Result<Key, StoreError> {
        match name {
            None | Some("") => Err(invalid("a listed entry without a name")),
            Some(name) if self.encoded => decode_listed(name).map(Key::from),
            Some(name) => Ok(Key::from(name)),
        }
    }
}

/// A version, with what is needed to put versions and markers back into one order.
struct Entry {
    listed: ListedVersion,
    modified: Option<DateTime>,
}

fn listed_version(name: &Names, entry: &ObjectVersion) -> Result<Entry, StoreError> {
    let key = name.decode(entry.key())?;
    let object = ListedObject {
        key: key.clone(),
        etag: unquoted(entry.e_tag())?,
        size: size(entry.size())?,
        last_modified: entry.last_modified().map_or(0, DateTime::secs),
        storage_class: storage_class(entry.storage_class().map(|class| class.as_str())),
    };
    Ok(Entry {
        listed: ListedVersion {
            key,
            version_id: entry.version_id().unwrap_or("null").to_owned(),
            is_latest: entry.is_latest() == Some(true),
            object: Some(object),
        },
        modified: entry.last_modified().copied(),
    })
}

fn listed_marker(name: &Names, entry: &DeleteMarkerEntry) -> Result<Entry, StoreError> {
    Ok(Entry {
        listed: ListedVersion {
            key: name.decode(entry.key())?,
            version_id: entry.version_id().unwrap_or("null").to_owned(),
            is_latest: entry.is_latest() == Some(true),
            object: None,
        },
        modified: entry.last_modified().copied(),
    })
}

/// Versions and markers come apart though the answer mixes them. Each comes in order, so merging keeps what the server
/// said of either; between them the latest goes first, then the younger. Of equal times nothing more is known.
fn merge(versions: Vec<Entry>, markers: Vec<Entry>) -> Vec<ListedVersion> {
    let mut merged = Vec::with_capacity(versions.len() + markers.len());
    let mut versions = versions.into_iter().peekable();
    let mut markers = markers.into_iter().peekable();
    loop {
        let take_marker = match (versions.peek(), markers.peek()) {
            (Some(version), Some(marker)) => goes_first(marker, version),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let next = if take_marker { markers.next() } else { versions.next() };
        match next {
            Some(entry) => merged.push(entry.listed),
            None => return merged,
        }
    }
}

fn goes_first(marker: &Entry, version: &Entry) -> bool {
    match marker.listed.key.cmp(&version.listed.key) {
        Ordering::Less => true,
        Ordering::Greater => false,
        Ordering::Equal => {
            (marker.listed.is_latest, marker.modified.map(nanos))
                > (version.listed.is_latest, version.modified.map(nanos))
        }
    }
}

fn nanos(time: DateTime) -> i128 {
    time.as_nanos()
}

/// Nothing rather than an empty parameter.
fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn page_size(max_keys: u32) -> i32 {
    // 1000 is S3's own limit.
    i32::try_from(max_keys.clamp(1, 1000)).unwrap_or(1000)
}

fn size(size: Option<i64>) -> Result<u64, StoreError> {
    size.and_then(|size| u64::try_from(size).ok()).ok_or_else(|| invalid("a listed object without a size"))
}

fn invalid(message: &str) -> StoreError {
    StoreError::new(ErrorKind::InvalidAnswer, message)
}

#[cfg(test)]
mod tests {
    use super::{Entry, merge};
    use crate::env::store::ListedVersion;
    use aws_smithy_types::DateTime;

    fn entry(key: &str, version_id: &str, is_latest: bool, modified: i64) -> Entry {
        Entry {
            listed: ListedVersion { key: key.into(), version_id: version_id.into(), is_latest, object: None },
            modified: Some(DateTime::from_secs(modified)),
        }
    }

    #[test]
    fn versions_and_markers_are_put_back_into_one_order() {
        let versions = vec![entry("a", "3", false, 30), entry("a", "1", false, 10), entry("c", "1", true, 10)];
        let markers = vec![entry("a", "4", true, 30), entry("a", "2", false, 20), entry("b", "9", true, 1)];
        let order: Vec<_> =
            merge(versions, markers).into_iter().map(|v| format!("{}{}", v.key, v.version_id)).collect();
        assert_eq!(order, ["a4", "a3", "a2", "a1", "b9", "c1"]);
    }
}

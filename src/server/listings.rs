//! ListObjects, ListObjectsV2, ListObjectVersions.

use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, EncodingType, ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object, ObjectStorageClass, ObjectVersion,
    ObjectVersionStorageClass,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::Shared;
use super::buckets::lock;
use super::convert::{http_etag, s3_error, timestamp};
use crate::bucket::{Listing, ListingFrom};
use crate::env::store::{Key, List, ListedObject, ListedVersion, VersionId};

/// What is asked for when nothing is said, and the most that is answered.
const MAX_KEYS: u32 = 1000;

/// How the keys of an answer are spelt.
#[derive(Clone, Copy)]
struct Spelling {
    url: bool,
}

impl Spelling {
    fn asked(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some(EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(s3_error!(InvalidArgument, "encoding-type")),
        }
    }

    fn answer(self) -> Option<EncodingType> {
        self.url.then(|| EncodingType::from_static(EncodingType::URL))
    }

    fn spell(self, text: &str) -> String {
        if !self.url {
            return text.to_owned();
        }
        let mut spelt = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    spelt.push(char::from(byte))
                }
                other => spelt.push_str(&format!("%{other:02X}")),
            }
        }
        spelt
    }

    fn option(self, text: Option<String>) -> Option<String> {
        text.map(|text| self.spell(&text))
    }

    fn objects(self, objects: Vec<ListedObject>) -> Vec<Object> {
        let listed = |object: ListedObject| Object {
            key: Some(self.spell(object.key.as_str())),
            e_tag: Some(http_etag(&object.etag)),
            size: Some(object.size as i64),
            last_modified: Some(timestamp(object.last_modified)),
            storage_class: Some(ObjectStorageClass::from(class(object.storage_class))),
            ..Object::default()
        };
        objects.into_iter().map(listed).collect()
    }

    fn prefixes(self, prefixes: &[Key]) -> Vec<CommonPrefix> {
        prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(self.spell(prefix.as_str())) }).collect()
    }
}

pub(super) fn v2(shared: &Shared, request: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let spelling = Spelling::asked(input.encoding_type.as_ref())?;
    let max_keys = max_keys(input.max_keys)?;
    let list = List {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        start_after: input.start_after.clone(),
        continuation: input.continuation_token.clone(),
        max_keys,
    };
    let bucket = shared.buckets.find(&input.bucket)?;
    let page = lock(&bucket).list(&list).map_err(s3_error)?;
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        key_count: Some((page.objects.len() + page.prefixes.len()) as i32),
        max_keys: Some(max_keys as i32),
        is_truncated: Some(page.next.is_some()),
        continuation_token: input.continuation_token,
        next_continuation_token: page.next,
        contents: Some(spelling.objects(page.objects)),
        common_prefixes: Some(spelling.prefixes(&page.prefixes)),
        prefix: Some(spelling.spell(&list.prefix)),
        delimiter: spelling.option(input.delimiter),
        start_after: spelling.option(input.start_after),
        encoding_type: spelling.answer(),
        ..ListObjectsV2Output::default()
    }))
}

pub(super) fn v1(shared: &Shared, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let spelling = Spelling::asked(input.encoding_type.as_ref())?;
    let max_keys = max_keys(input.max_keys)?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let from = after_marker(input.marker.as_deref(), &prefix, delimiter);
    let bucket = shared.buckets.find(&input.bucket)?;
    let page = lock(&bucket).list_page(Listing { prefix: &prefix, delimiter, from: &from, max_keys });
    let last_object = page.objects.last().map(|object| object.key.as_str());
    let last = last_object.max(page.prefixes.last().map(Key::as_str)).filter(|_| page.next.is_some());
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        next_marker: last.map(|last| spelling.spell(last)),
        max_keys: Some(max_keys as i32),
        is_truncated: Some(page.next.is_some()),
        common_prefixes: Some(spelling.prefixes(&page.prefixes)),
        contents: Some(spelling.objects(page.objects)),
        prefix: Some(spelling.spell(&prefix)),
        marker: Some(spelling.spell(&input.marker.unwrap_or_default())),
        delimiter: spelling.option(input.delimiter),
        encoding_type: spelling.answer(),
        ..ListObjectsOutput::default()
    }))
}

pub(super) fn versions(
    shared: &Shared,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let spelling = Spelling::asked(input.encoding_type.as_ref())?;
    let max_keys = max_keys(input.max_keys)?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let from = match (&input.key_marker, &input.version_id_marker) {
        (Some(key), Some(id)) if !id.is_empty() => ListingFrom::AfterVersion(key.clone(), id.clone()),
        (key, _) => after_marker(key.as_deref(), &prefix, delimiter),
    };
    let bucket = shared.buckets.find(&input.bucket)?;
    let bucket = lock(&bucket);
    let page = bucket.list_versions_page(Listing { prefix: &prefix, delimiter, from: &from, max_keys });
    let dated = |listed: &ListedVersion| {
        let id = VersionId::from(listed.version_id.as_str());
        Some(timestamp(bucket.version(listed.key.as_str(), Some(&id))?.last_modified))
    };
    let (next_key, next_id) = match page.next.clone() {
        None | Some(ListingFrom::Start) => (None, None),
        Some(ListingFrom::After(key) | ListingFrom::AfterPrefix(key)) => (Some(key), None),
        Some(ListingFrom::AfterVersion(key, id)) => (Some(key), Some(id)),
    };
    let (mut versions, mut delete_markers) = (Vec::new(), Vec::new());
    for listed in page.versions {
        let last_modified = dated(&listed);
        let key = Some(spelling.spell(listed.key.as_str()));
        let (version_id, is_latest) = (Some(listed.version_id), Some(listed.is_latest));
        match listed.object {
            Some(object) => versions.push(ObjectVersion {
                key,
                version_id,
                is_latest,
                e_tag: Some(http_etag(&object.etag)),
                size: Some(object.size as i64),
                last_modified,
                storage_class: Some(ObjectVersionStorageClass::from(class(object.storage_class))),
                ..ObjectVersion::default()
            }),
            None => {
                delete_markers.push(DeleteMarkerEntry { key, version_id, is_latest, ..DeleteMarkerEntry::default() })
            }
        }
    }
    Ok(S3Response::new(ListObjectVersionsOutput {
        name: Some(input.bucket),
        versions: Some(versions),
        delete_markers: Some(delete_markers),
        common_prefixes: Some(spelling.prefixes(&page.prefixes)),
        is_truncated: Some(page.next.is_some()),
        next_key_marker: spelling.option(next_key),
        next_version_id_marker: next_id,
        max_keys: Some(max_keys as i32),
        prefix: Some(spelling.spell(&prefix)),
        key_marker: spelling.option(input.key_marker),
        version_id_marker: input.version_id_marker,
        delimiter: spelling.option(input.delimiter),
        encoding_type: spelling.answer(),
        ..ListObjectVersionsOutput::default()
    }))
}

/// A marker that is a common prefix of this listing leaves all of it out: that is how NextMarker works.
fn after_marker(marker: Option<&str>, prefix: &str, delimiter: Option<&str>) -> ListingFrom {
    let Some(marker) = marker.filter(|marker| !marker.is_empty()) else { return ListingFrom::Start };
    let rolled = marker.strip_prefix(prefix).zip(delimiter).is_some_and(|(rest, delimiter)| rest.ends_with(delimiter));
    if rolled { ListingFrom::AfterPrefix(marker.to_owned()) } else { ListingFrom::After(marker.to_owned()) }
}

fn max_keys(asked: Option<i32>) -> S3Result<u32> {
    let asked = asked.map_or(Ok(MAX_KEYS), u32::try_from);
    Ok(asked.map_err(|_| s3_error!(InvalidArgument, "max-keys"))?.min(MAX_KEYS))
}

fn class(class: Option<String>) -> String {
    class.unwrap_or_else(|| String::from("STANDARD"))
}

//! Multipart uploads.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast::env::Store;
use holdfast::env::store::{
    CompleteUpload, CopySource, CreateUpload, ETag, ErrorKind, NewObject, ReadConditions, UploadId, UploadPart,
    UploadPartCopy, WriteCondition, Written,
};

use super::{bytes, kind};
use crate::suite::Bucket;

/// Least length of a part that is not the last.
const PART: usize = 5 << 20;

async fn create(bucket: &Bucket<impl Store>, key: &str) -> UploadId {
    let request = CreateUpload { key: key.into(), object: NewObject::default() };
    bucket.store.create_upload(request).await.expect("CreateMultipartUpload")
}

fn part(key: &str, upload: &UploadId, number: u32, body: impl Into<Bytes>) -> UploadPart {
    UploadPart { key: key.into(), upload: upload.clone(), number, body: body.into() }
}

async fn send(bucket: &Bucket<impl Store>, upload: &UploadId, number: u32, body: impl Into<Bytes>) -> (u32, ETag) {
    let etag = bucket.store.upload_part(part("key", upload, number, body)).await.expect("UploadPart");
    (number, etag)
}

fn source(key: &str) -> CopySource {
    CopySource { key: key.into(), version_id: None, conditions: ReadConditions::none() }
}

async fn complete(
    bucket: &Bucket<impl Store>,
    upload: &UploadId,
    parts: Vec<(u32, ETag)>,
    condition: Option<WriteCondition>,
) -> Result<Written, ErrorKind> {
    match answer_to_completion(bucket, upload, parts, condition).await {
        Err(ErrorKind::InvalidAnswer) if bucket.completions_unreadable => {
            let meta = bucket.head("key").await?;
            Ok(Written { etag: meta.etag, version_id: meta.version_id })
        }
        answer => answer,
    }
}

async fn answer_to_completion(
    bucket: &Bucket<impl Store>,
    upload: &UploadId,
    parts: Vec<(u32, ETag)>,
    condition: Option<WriteCondition>,
) -> Result<Written, ErrorKind> {
    let request = CompleteUpload { key: "key".into(), upload: upload.clone(), parts, condition };
    kind(bucket.store.complete_upload(request).await)
}

/// An upload of one part that waits for its completion.
async fn ready(bucket: &Bucket<impl Store>, body: &'static str) -> (UploadId, Vec<(u32, ETag)>) {
    let upload = create(bucket, "key").await;
    let parts = vec![send(bucket, &upload, 1, body).await];
    (upload, parts)
}

pub async fn an_upload_becomes_an_object_when_it_is_completed(bucket: &Bucket<impl Store>) {
    let user = BTreeMap::from([("mode".to_owned(), "1".to_owned())]);
    let object = NewObject { content_type: Some("video/mp4".into()), storage_class: None, user: user.clone() };
    let upload = bucket.store.create_upload(CreateUpload { key: "key".into(), object }).await.unwrap();
    let (first, second) = (bytes(1, PART), bytes(2, 1000));
    // Out of order, and with a gap between the numbers.
    let late = send(bucket, &upload, 7, second.clone()).await;
    let early = send(bucket, &upload, 2, first.clone()).await;
    assert_eq!(bucket.read("key").await.unwrap_err(), ErrorKind::NotFound, "not before it is completed");
    let written = complete(bucket, &upload, vec![early, late], None).await.unwrap();
    let meta = bucket.head("key").await.unwrap();
    assert_eq!((&meta.etag, &meta.version_id), (&written.etag, &written.version_id));
    assert_eq!(written.version_id.is_some(), bucket.versioned);
    assert_eq!((meta.content_type.as_deref(), meta.user), (Some("video/mp4"), user));
    assert_eq!(meta.size, (PART + 1000) as u64);
    assert!(bucket.read("key").await.unwrap() == [first, second].concat(), "the parts in the order of their numbers");
    assert_eq!(bucket.store.list_uploads(String::new()).await.unwrap(), []);
}

pub async fn the_answer_to_a_completion_tells_what_it_created(bucket: &Bucket<impl Store>) {
    let (upload, parts) = ready(bucket, "bytes").await;
    let written = answer_to_completion(bucket, &upload, parts, None).await.unwrap();
    let meta = bucket.head("key").await.unwrap();
    assert_eq!((meta.etag, meta.version_id), (written.etag, written.version_id));
}

pub async fn a_part_sent_again_replaces_the_first(bucket: &Bucket<impl Store>) {
    let (upload, _) = ready(bucket, "first").await;
    let again = send(bucket, &upload, 1, "second").await;
    complete(bucket, &upload, vec![again], None).await.unwrap();
    assert_eq!(bucket.read("key").await.unwrap(), "second");
}

pub async fn parts_may_be_copied_from_an_object(bucket: &Bucket<impl Store>) {
    let old = bytes(1, 3 * PART);
    bucket.put("old +%", old.clone()).await;
    let upload = create(bucket, "key").await;
    let copy = |number, range| UploadPartCopy {
        key: "key".into(),
        upload: upload.clone(),
        number,
        source: source("old +%"),
        range,
    };
    let first = bucket.store.upload_part_copy(copy(1, Some(100..100 + PART as u64))).await.unwrap();
    let second = bucket.store.upload_part_copy(copy(2, None)).await.unwrap();
    let tail = send(bucket, &upload, 3, "tail").await;
    complete(bucket, &upload, vec![(1, first), (2, second), tail], None).await.unwrap();
    let expected = [&old[100..100 + PART], &old[..], b"tail"].concat();
    assert!(bucket.read("key").await.unwrap() == expected, "the copied bytes in their places");
}

pub async fn parts_may_be_copied_from_an_old_version(bucket: &Bucket<impl Store>) {
    let version_id = bucket.put("old", "old bytes").await.version_id;
    bucket.put("old", "new bytes").await;
    let upload = create(bucket, "key").await;
    let source = CopySource { version_id, ..source("old") };
    let copy = UploadPartCopy { key: "key".into(), upload: upload.clone(), number: 1, source, range: None };
    let etag = bucket.store.upload_part_copy(copy).await.unwrap();
    complete(bucket, &upload, vec![(1, etag)], None).await.unwrap();
    assert_eq!(bucket.read("key").await.unwrap(), "old bytes");
}

pub async fn a_copied_part_obeys_the_conditions_on_its_source(bucket: &Bucket<impl Store>) {
    let old = bucket.put("old", "old bytes").await.etag;
    let new = bucket.put("old", "new bytes").await.etag;
    let upload = create(bucket, "key").await;
    let copy = |etag| UploadPartCopy {
        key: "key".into(),
        upload: upload.clone(),
        number: 1,
        source: CopySource { conditions: ReadConditions::if_match(etag), ..source("old") },
        range: None,
    };
    let answer = kind(bucket.store.upload_part_copy(copy(&old)).await);
    assert_eq!(answer.unwrap_err(), ErrorKind::PreconditionFailed);
    kind(bucket.store.upload_part_copy(copy(&new)).await).unwrap();
}

pub async fn an_aborted_upload_leaves_nothing(bucket: &Bucket<impl Store>) {
    let (upload, parts) = ready(bucket, "bytes").await;
    bucket.store.abort_upload("key".into(), upload.clone()).await.unwrap();
    assert_eq!(bucket.store.list_uploads(String::new()).await.unwrap(), []);
    assert_eq!(complete(bucket, &upload, parts, None).await.unwrap_err(), ErrorKind::NoSuchUpload);
    assert_eq!(bucket.read("key").await.unwrap_err(), ErrorKind::NotFound);
}

pub async fn an_unknown_upload_is_no_such_upload(bucket: &Bucket<impl Store>) {
    let upload = create(bucket, "key").await;
    bucket.store.abort_upload("key".into(), upload.clone()).await.unwrap();
    let answer = kind(bucket.store.upload_part(part("key", &upload, 1, "bytes")).await);
    assert_eq!(answer.unwrap_err(), ErrorKind::NoSuchUpload);
    let answer = kind(bucket.store.abort_upload("key".into(), upload).await);
    assert_eq!(answer.unwrap_err(), ErrorKind::NoSuchUpload);
}

pub async fn a_completion_if_absent_never_replaces(bucket: &Bucket<impl Store>) {
    let (first, first_parts) = ready(bucket, "first").await;
    let (second, second_parts) = ready(bucket, "second").await;
    complete(bucket, &first, first_parts, Some(WriteCondition::IfAbsent)).await.unwrap();
    let answer = complete(bucket, &second, second_parts, Some(WriteCondition::IfAbsent)).await;
    assert_eq!(answer.unwrap_err(), ErrorKind::PreconditionFailed);
    assert_eq!(bucket.read("key").await.unwrap(), "first");
}

pub async fn a_completion_if_match_replaces_only_that_etag(bucket: &Bucket<impl Store>) {
    let old = bucket.put("key", "old").await.etag;
    let (first, first_parts) = ready(bucket, "first").await;
    let (second, second_parts) = ready(bucket, "second").await;
    complete(bucket, &first, first_parts, Some(WriteCondition::IfMatch(old.clone()))).await.unwrap();
    let answer = complete(bucket, &second, second_parts, Some(WriteCondition::IfMatch(old))).await;
    assert_eq!(answer.unwrap_err(), ErrorKind::PreconditionFailed);
    assert_eq!(bucket.read("key").await.unwrap(), "first");
}

pub async fn uploads_in_progress_are_listed_under_their_prefix(bucket: &Bucket<impl Store>) {
    let b = create(bucket, "dir/b").await;
    let a = create(bucket, "dir/a").await;
    create(bucket, "elsewhere").await;
    let listed = bucket.store.list_uploads("dir/".into()).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|upload| (upload.key.to_string(), upload.upload)).collect();
    assert_eq!(listed, [("dir/a".to_owned(), a), ("dir/b".to_owned(), b)]);
    assert_eq!(bucket.store.list_uploads(String::new()).await.unwrap().len(), 3);
}

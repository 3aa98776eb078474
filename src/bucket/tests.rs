//! What a bucket does, as short stories.

use bytes::Bytes;

use super::{Bucket, BucketOptions, Content, DigestKind, Entry, EntryKind, Limits, Versioning, refused};
use crate::env::store::{
    ByteRange, CompleteUpload, Copy, CopySource, CreateUpload, Delete, ETag, ErrorKind, Get, Head, Key, Match,
    NewObject, Put, ReadConditions, StoreError, UploadId, UploadPart, UploadPartCopy, VersionId, WriteCondition,
    Written,
};

/// A bucket whose clock ticks once a write, and which speaks in strings.
struct Story {
    bucket: Bucket,
    now: i64,
}

impl Story {
    fn with(options: BucketOptions) -> Self {
        Self { bucket: Bucket::new(options), now: 1000 }
    }

    fn plain() -> Self {
        Self::with(BucketOptions::default())
    }

    fn versioned() -> Self {
        Self::with(BucketOptions { versioning: Versioning::Enabled, ..BucketOptions::default() })
    }

    /// Parts of four bytes will do.
    fn small_parts() -> Self {
        let limits = Limits { part_bytes_min: 4, range_copy_source_bytes_min: 4, ..Limits::default() };
        Self::with(BucketOptions { limits, ..BucketOptions::default() })
    }

    fn tick(&mut self) -> i64 {
        self.now += 1;
        self.now
    }

    fn put_if(&mut self, key: &str, text: &str, condition: Option<WriteCondition>) -> Result<Written, ErrorKind> {
        let body = Bytes::from(text.to_owned());
        let now = self.tick();
        let put = Put { key: key.into(), body, object: NewObject::default(), condition };
        self.bucket.put(put, now).map_err(|error| error.kind)
    }

    fn put(&mut self, key: &str, text: &str) -> Written {
        self.put_if(key, text, None).expect("an unconditional PUT")
    }

    fn delete(&mut self, key: &str, version: Option<&str>) -> Option<VersionId> {
        let now = self.tick();
        let delete = Delete { key: key.into(), version_id: version.map(VersionId::from), condition: None };
        self.bucket.delete(delete, now).expect("an unconditional DELETE")
    }

    fn read(&self, key: &str, version: Option<&VersionId>) -> Result<String, ErrorKind> {
        let get =
            Get { key: key.into(), version_id: version.cloned(), range: None, conditions: ReadConditions::none() };
        let reply = self.bucket.get(get).map_err(|error| error.kind)?;
        Ok(text(reply.body))
    }

    fn begin(&mut self, key: &str) -> UploadId {
        let now = self.tick();
        let create = CreateUpload { key: key.into(), object: NewObject::default() };
        self.bucket.create_upload(create, now).expect("an upload")
    }

    fn part(&mut self, key: &str, upload: &UploadId, number: u32, text: &str) -> (u32, ETag) {
        let now = self.tick();
        let body = Bytes::from(text.to_owned());
        let part = UploadPart { key: key.into(), upload: upload.clone(), number, body };
        (number, self.bucket.upload_part(part, now).expect("a part"))
    }

    fn complete(&mut self, key: &str, upload: &UploadId, parts: &[&(u32, ETag)]) -> Result<Written, StoreError> {
        let parts = parts.iter().map(|part| (*part).clone()).collect();
        self.bucket.complete_upload(CompleteUpload { key: key.into(), upload: upload.clone(), parts, condition: None })
    }
}

fn text(body: impl Iterator<Item = Bytes>) -> String {
    body.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text")).collect()
}

fn source(key: &str) -> CopySource {
    CopySource { key: key.into(), version_id: None, conditions: ReadConditions::none() }
}

fn code(error: StoreError) -> String {
    error.message.split(':').next().unwrap_or_default().to_owned()
}

#[test]
fn a_body_goes_on_delivering_its_version_after_the_key_is_replaced_and_deleted() {
    let mut story = Story::with(BucketOptions { chunk_bytes: 3, ..BucketOptions::default() });
    story.put("film", "version one");
    let range = Some(ByteRange::Within { start: 1, end: 9 });
    let get = Get { key: "film".into(), version_id: None, range, conditions: ReadConditions::none() };
    let mut reply = story.bucket.get(get).expect("a GET");
    assert_eq!((reply.range.clone(), reply.meta.size), (1..9, 11));
    assert_eq!(reply.body.next().as_deref(), Some(&b"ers"[..]));
    story.put("film", "another version altogether");
    story.delete("film", None);
    assert_eq!(text(reply.body), "ion o");
    assert_eq!(story.read("film", None), Err(ErrorKind::NotFound));
}

#[test]
fn meta_says_what_was_put() {
    let mut story = Story::plain();
    let user = [(String::from("Mode"), String::from("33188"))].into();
    let object = NewObject { content_type: Some("text/plain".into()), storage_class: Some("STANDARD_IA".into()), user };
    let put = Put { key: "a".into(), body: Bytes::from("abc"), object, condition: None };
    let written = story.bucket.put(put, 5).expect("a PUT");
    let head = Head { key: "a".into(), version_id: None, conditions: ReadConditions::none() };
    let meta = story.bucket.head(head).expect("a HEAD");
    assert_eq!(meta.etag, written.etag);
    assert_eq!((meta.size, meta.last_modified, meta.version_id), (3, 5, None));
    assert_eq!(meta.content_type.as_deref(), Some("text/plain"));
    assert_eq!(meta.storage_class.as_deref(), Some("STANDARD_IA"));
    assert_eq!(meta.user.get("mode").map(String::as_str), Some("33188"));
}

#[test]
fn of_two_conditional_creators_one_is_told_that_it_lost() {
    let mut story = Story::plain();
    let first = story.put_if("a", "first", Some(WriteCondition::IfAbsent)).expect("nothing was there");
    assert_eq!(story.put_if("a", "second", Some(WriteCondition::IfAbsent)), Err(ErrorKind::PreconditionFailed));
    let overwrite = Some(WriteCondition::IfMatch(first.etag));
    story.put_if("a", "third", overwrite.clone()).expect("it was what it was");
    assert_eq!(story.put_if("a", "fourth", overwrite.clone()), Err(ErrorKind::PreconditionFailed));
    story.delete("a", None);
    assert_eq!(story.put_if("a", "fifth", overwrite), Err(ErrorKind::NotFound));
    story.put_if("a", "sixth", Some(WriteCondition::IfAbsent)).expect("nothing is there again");
}

#[test]
fn a_store_may_ignore_the_conditions_of_writes() {
    let mut story = Story::with(BucketOptions { preconditions_ignored: true, ..BucketOptions::default() });
    story.put("a", "first");
    story.put_if("a", "second", Some(WriteCondition::IfAbsent)).expect("ignored");
    story.put_if("a", "third", Some(WriteCondition::IfMatch("other".into()))).expect("ignored");
    let delete = Delete { key: "a".into(), version_id: None, condition: Some(WriteCondition::IfMatch("other".into())) };
    story.bucket.delete(delete, 1).expect("ignored");
    assert!(story.bucket.is_empty());
}

#[test]
fn a_conditional_delete_removes_only_what_it_names() {
    let mut story = Story::versioned();
    let written = story.put("a", "one");
    let delete = |etag: &ETag| Delete {
        key: "a".into(),
        version_id: None,
        condition: Some(WriteCondition::IfMatch(etag.clone())),
    };
    let refused = story.bucket.delete(delete(&"other".into()), 1).map_err(|error| error.kind);
    assert_eq!(refused, Err(ErrorKind::PreconditionFailed));
    assert!(story.bucket.delete(delete(&written.etag), 1).expect("it matches").is_some());
    let refused = story.bucket.delete(delete(&written.etag), 1).map_err(|error| error.kind);
    assert_eq!(refused, Err(ErrorKind::NotFound));
}

#[test]
fn every_version_stays_until_it_is_removed_by_its_id() {
    let mut story = Story::versioned();
    let one = story.put("a", "one").version_id.expect("a version id");
    let two = story.put("a", "two").version_id.expect("a version id");
    let marker = story.delete("a", None).expect("a delete marker");
    assert_eq!(story.read("a", None), Err(ErrorKind::NotFound));
    assert_eq!(story.read("a", Some(&marker)), Err(ErrorKind::NotFound));
    assert_eq!(story.read("a", Some(&one)).as_deref(), Ok("one"));
    assert_eq!(story.read("a", Some(&two)).as_deref(), Ok("two"));

    assert_eq!(story.delete("a", Some(marker.as_str())), None);
    assert_eq!(story.read("a", None).as_deref(), Ok("two"));
    story.delete("a", Some(two.as_str()));
    assert_eq!(story.read("a", None).as_deref(), Ok("one"));
    assert_eq!(story.read("a", Some(&two)), Err(ErrorKind::NotFound));
    story.delete("a", Some(one.as_str()));
    assert!(story.bucket.is_empty());
}

#[test]
fn the_null_version_is_replaced_while_versions_are_suspended() {
    let mut story = Story::plain();
    story.put("a", "null one");
    story.bucket.set_versioning(Versioning::Enabled).expect("off to enabled");
    let kept = story.put("a", "kept").version_id.expect("a version id");
    story.bucket.set_versioning(Versioning::Suspended).expect("enabled to suspended");
    assert_eq!(story.put("a", "null two").version_id, None);
    let ids = |story: &Story| story.bucket.versions("a").map(|entry| entry.id().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&story), ["null", kept.as_str()]);
    assert_eq!(story.read("a", Some(&"null".into())).as_deref(), Ok("null two"));
    assert_eq!(story.delete("a", None), None);
    assert_eq!(ids(&story), ["null", kept.as_str()]);
    let newest: Option<&Entry> = story.bucket.versions("a").next();
    assert!(matches!(newest.map(|entry| &entry.kind), Some(EntryKind::DeleteMarker)));
    assert!(story.bucket.set_versioning(Versioning::Off).is_err());
}

#[test]
fn deleting_what_is_not_there_succeeds() {
    let mut story = Story::plain();
    assert_eq!(story.delete("never", None), None);
    assert_eq!(story.delete("never", Some("v1")), None);
    let failed = story.bucket.delete_many(vec!["never".into(), "".into()], 1).expect("a DeleteObjects");
    assert_eq!(failed.len(), 1);
    assert!(story.bucket.delete_many(vec![Key::from("a"); 1001], 1).is_err());
}

#[test]
fn keys_have_1_to_1024_bytes() {
    let mut story = Story::plain();
    story.put(&"\u{fc}".repeat(512), "longest");
    for key in [String::new(), "\u{fc}".repeat(513)] {
        assert_eq!(story.put_if(&key, "", None), Err(ErrorKind::InvalidRequest));
        assert_eq!(story.read(&key, None), Err(ErrorKind::InvalidRequest));
    }
}

#[test]
fn metadata_is_bounded() {
    let mut story = Story::plain();
    let user = [(String::from("a"), "b".repeat(2048))].into();
    let object = NewObject { user, ..NewObject::default() };
    let put = Put { key: "a".into(), body: Bytes::new(), object, condition: None };
    assert_eq!(story.bucket.put(put, 1).map_err(code), Err(String::from("MetadataTooLarge")));
}

#[test]
fn archived_objects_have_a_head_and_no_body() {
    let mut story = Story::plain();
    let object = NewObject { storage_class: Some("GLACIER".into()), ..NewObject::default() };
    let put = Put { key: "old".into(), body: Bytes::from("x"), object, condition: None };
    story.bucket.put(put, 1).expect("a PUT");
    assert_eq!(story.read("old", None), Err(ErrorKind::Archived));
    let head = Head { key: "old".into(), version_id: None, conditions: ReadConditions::none() };
    assert_eq!(story.bucket.head(head).expect("a HEAD").storage_class.as_deref(), Some("GLACIER"));
    let copy = Copy { source: source("old"), key: "new".into(), replace: None, condition: None };
    assert_eq!(story.bucket.copy(copy, 1).map_err(|error| error.kind), Err(ErrorKind::Archived));
}

#[test]
fn a_copy_takes_bytes_and_metadata_but_neither_class_nor_multipart_etag() {
    let mut story = Story::small_parts();
    let upload = story.begin("a");
    let parts = [story.part("a", &upload, 1, "abcd"), story.part("a", &upload, 2, "e")];
    let multipart = story.complete("a", &upload, &[&parts[0], &parts[1]]).expect("completed");
    let copy = Copy { source: source("a"), key: "b".into(), replace: None, condition: Some(WriteCondition::IfAbsent) };
    let copied = story.bucket.copy(copy.clone(), 9).expect("a copy");
    let plain = story.put("c", "abcde");
    assert_eq!(copied.etag, plain.etag);
    assert_ne!(copied.etag, multipart.etag);
    assert_eq!(story.read("b", None).as_deref(), Ok("abcde"));
    assert_eq!(story.bucket.copy(copy, 9).map_err(|error| error.kind), Err(ErrorKind::PreconditionFailed));
}

#[test]
fn a_copy_onto_itself_must_change_something() {
    let mut story = Story::plain();
    story.put("a", "one");
    let copy = |replace| Copy { source: source("a"), key: "a".into(), replace, condition: None };
    assert_eq!(story.bucket.copy(copy(None), 1).map_err(|error| error.kind), Err(ErrorKind::InvalidRequest));
    story.bucket.copy(copy(Some(NewObject::default())), 1).expect("new attributes");
}

#[test]
fn a_copy_reads_only_the_version_its_condition_names() {
    let mut story = Story::plain();
    let one = story.put("a", "one");
    let mut from = source("a");
    from.conditions = ReadConditions::if_match(&one.etag);
    let copy = Copy { source: from, key: "b".into(), replace: None, condition: None };
    story.bucket.copy(copy.clone(), 1).expect("still that version");
    story.put("a", "two");
    assert_eq!(story.bucket.copy(copy.clone(), 1).map_err(|error| error.kind), Err(ErrorKind::PreconditionFailed));
    let mut unless = copy;
    unless.source.conditions = ReadConditions { if_none_match: Some(Match::Any), ..ReadConditions::none() };
    assert_eq!(story.bucket.copy(unless, 1).map_err(|error| error.kind), Err(ErrorKind::PreconditionFailed));
}

#[test]
fn parts_become_an_object_in_the_order_of_their_numbers_dated_when_the_upload_began() {
    let mut story = Story::small_parts();
    let upload = story.begin("a");
    let began = story.now;
    let last = story.part("a", &upload, 7, "z");
    story.part("a", &upload, 3, "lost");
    let first = story.part("a", &upload, 3, "first");
    story.part("a", &upload, 5, "left out");
    assert_eq!(story.read("a", None), Err(ErrorKind::NotFound));
    let written = story.complete("a", &upload, &[&first, &last]).expect("completed");
    assert_eq!(story.read("a", None).as_deref(), Ok("firstz"));
    assert!(written.etag.as_str().ends_with("-2"));
    assert_eq!(story.bucket.current("a").map(|object| object.meta.last_modified), Some(began));
    assert!(story.bucket.list_uploads("").is_empty());
    assert_eq!(story.complete("a", &upload, &[&first, &last]), Ok(written));
}

#[test]
fn a_repeated_complete_may_find_no_upload() {
    let mut story = Story::with(BucketOptions { complete_repeatable: false, ..BucketOptions::default() });
    let upload = story.begin("a");
    let part = story.part("a", &upload, 1, "x");
    story.complete("a", &upload, &[&part]).expect("completed");
    assert_eq!(story.complete("a", &upload, &[&part]).map_err(code), Err(String::from("NoSuchUpload")));
}

#[test]
fn a_bad_list_of_parts_is_refused_and_leaves_the_upload_as_it_was() {
    let mut story = Story::plain();
    let upload = story.begin("a");
    let (one, two) = (story.part("a", &upload, 1, "small"), story.part("a", &upload, 2, "x"));
    let unknown = (3, two.1.clone());
    let wrong = (1, two.1.clone());
    let tries: [(&[&(u32, ETag)], &str); 6] = [
        (&[], "MalformedXML"),
        (&[&two, &one], "InvalidPartOrder"),
        (&[&one, &one], "InvalidPartOrder"),
        (&[&unknown], "InvalidPart"),
        (&[&wrong], "InvalidPart"),
        (&[&one, &two], "EntityTooSmall"),
    ];
    for (parts, want) in tries {
        assert_eq!(story.complete("a", &upload, parts).map_err(code), Err(want.to_owned()), "{parts:?}");
    }
    story.complete("a", &upload, &[&one]).expect("one part may be small");
}

#[test]
fn a_lost_condition_at_completion_leaves_the_upload_as_it_was() {
    let mut story = Story::plain();
    let upload = story.begin("a");
    let part = story.part("a", &upload, 1, "mine");
    story.put("a", "theirs");
    let complete =
        |condition| CompleteUpload { key: "a".into(), upload: upload.clone(), parts: vec![part.clone()], condition };
    let lost = story.bucket.complete_upload(complete(Some(WriteCondition::IfAbsent)));
    assert_eq!(lost.map_err(|error| error.kind), Err(ErrorKind::PreconditionFailed));
    assert_eq!(story.read("a", None).as_deref(), Ok("theirs"));
    story.bucket.complete_upload(complete(None)).expect("without a condition");
    assert_eq!(story.read("a", None).as_deref(), Ok("mine"));
}

#[test]
fn an_aborted_upload_is_gone() {
    let mut story = Story::plain();
    let (first, second) = (story.begin("b"), story.begin("a"));
    let uploads = story.bucket.list_uploads("");
    assert_eq!(uploads.iter().map(|upload| upload.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(story.bucket.list_uploads("b").len(), 1);
    story.bucket.abort_upload("b".into(), first.clone()).expect("an abort");
    assert_eq!(story.bucket.abort_upload("b".into(), first.clone()).map_err(code), Err(String::from("NoSuchUpload")));
    let late = UploadPart { key: "b".into(), upload: first, number: 1, body: Bytes::new() };
    assert_eq!(story.bucket.upload_part(late, 1).map_err(|error| error.kind), Err(ErrorKind::NoSuchUpload));
    let elsewhere = UploadPart { key: "b".into(), upload: second, number: 1, body: Bytes::new() };
    assert_eq!(story.bucket.upload_part(elsewhere, 1).map_err(|error| error.kind), Err(ErrorKind::NoSuchUpload));
}

#[test]
fn a_part_can_be_a_range_of_a_large_enough_object() {
    let mut story = Story::small_parts();
    story.put("old", "abcdefgh");
    story.put("small", "abcd");
    let upload = story.begin("new");
    let copy = |key: &str, number, range| UploadPartCopy {
        key: "new".into(),
        upload: upload.clone(),
        number,
        source: source(key),
        range,
    };
    let head = story.bucket.upload_part_copy(copy("old", 1, Some(2..7)), 1).expect("a range");
    let tail = story.bucket.upload_part_copy(copy("small", 2, None), 1).expect("a whole small object");
    let too_small = story.bucket.upload_part_copy(copy("small", 3, Some(0..2)), 1);
    assert_eq!(too_small.map_err(code), Err(String::from("InvalidRequest")));
    let outside = story.bucket.upload_part_copy(copy("old", 3, Some(2..9)), 1);
    assert_eq!(outside.map_err(code), Err(String::from("InvalidArgument")));
    story.complete("new", &upload, &[&(1, head), &(2, tail)]).expect("completed");
    assert_eq!(story.read("new", None).as_deref(), Ok("cdefgabcd"));
}

#[test]
fn part_numbers_end_at_10_000() {
    let mut story = Story::plain();
    let upload = story.begin("a");
    for number in [0, 10_001] {
        let part = UploadPart { key: "a".into(), upload: upload.clone(), number, body: Bytes::new() };
        assert_eq!(story.bucket.upload_part(part, 1).map_err(|error| error.kind), Err(ErrorKind::InvalidRequest));
    }
    story.part("a", &upload, 10_000, "x");
}

#[test]
fn equal_stories_give_equal_buckets() {
    let tell = || {
        let mut story = Story::with(BucketOptions {
            versioning: Versioning::Enabled,
            digest: DigestKind::Quick,
            ..BucketOptions::default()
        });
        for number in 0..50 {
            story.put(&format!("k{}", number % 7), &format!("{number}"));
            story.delete(&format!("k{}", number % 3), None);
        }
        format!("{:?}", story.bucket)
    };
    assert_eq!(tell(), tell());
}

#[test]
fn errors_lead_with_the_code_that_s3_gives_them() {
    let error = refused(ErrorKind::NotFound, "NoSuchKey", "film");
    assert_eq!(error.to_string(), "no such object: NoSuchKey: film");
    assert_eq!(Content::from(Bytes::from("ab")).size(), 2);
}

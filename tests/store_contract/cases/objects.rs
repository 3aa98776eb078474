//! PUT, GET and HEAD of whole objects.

use std::collections::BTreeMap;

use holdfast::env::Store;
use holdfast::env::store::{ErrorKind, NewObject, Put};

use super::{bytes, get, put};
use crate::suite::Bucket;

pub async fn what_was_put_is_got_and_headed(bucket: &Bucket<impl Store>) {
    let written = bucket.put("film", "some bytes").await;
    let (reply, body) = bucket.try_read(get("film")).await.unwrap();
    assert_eq!(body, "some bytes");
    assert_eq!(reply.range, 0..10);
    assert_eq!(reply.meta.size, 10);
    assert_eq!(reply.meta.etag, written.etag);
    assert_eq!(reply.meta.version_id, written.version_id);
    assert_eq!(written.version_id.is_some(), bucket.versioned);
    assert!(reply.meta.last_modified > 1_577_836_800, "objects are dated");
    assert_eq!(reply.meta.storage_class, None, "STANDARD goes without saying");
    assert_eq!(bucket.head("film").await.unwrap(), reply.meta);
}

pub async fn an_empty_object_is_an_object(bucket: &Bucket<impl Store>) {
    bucket.put("empty", "").await;
    let (reply, body) = bucket.try_read(get("empty")).await.unwrap();
    assert_eq!((reply.meta.size, reply.range, body.len()), (0, 0..0, 0));
    assert_eq!(bucket.head("empty").await.unwrap().size, 0);
}

pub async fn a_missing_object_is_not_found(bucket: &Bucket<impl Store>) {
    assert_eq!(bucket.read("nothing").await.unwrap_err(), ErrorKind::NotFound);
    assert_eq!(bucket.head("nothing").await.unwrap_err(), ErrorKind::NotFound);
}

pub async fn attributes_come_back_as_they_were_given(bucket: &Bucket<impl Store>) {
    let user = BTreeMap::from([
        ("mode".to_owned(), "33188".to_owned()),
        ("mtime".to_owned(), "1700000000.123456789".to_owned()),
        ("xattr".to_owned(), "{\"user.name\":\"YWJj+/==\"} , ; = %41".to_owned()),
    ]);
    let object = NewObject { content_type: Some("video/x-matroska".into()), storage_class: None, user: user.clone() };
    bucket.store.put(Put { object, ..put("film", "bytes") }).await.unwrap();
    let meta = bucket.head("film").await.unwrap();
    assert_eq!(meta.content_type.as_deref(), Some("video/x-matroska"));
    assert_eq!(meta.user, user);
    assert_eq!(bucket.try_read(get("film")).await.unwrap().0.meta, meta);
}

pub async fn an_overwrite_replaces_bytes_and_attributes(bucket: &Bucket<impl Store>) {
    let user = BTreeMap::from([("mode".to_owned(), "1".to_owned())]);
    let object = NewObject { content_type: Some("text/plain".into()), storage_class: None, user };
    bucket.store.put(Put { object, ..put("key", "first") }).await.unwrap();
    let second = bucket.put("key", "second, longer").await;
    assert_eq!(bucket.read("key").await.unwrap(), "second, longer");
    let meta = bucket.head("key").await.unwrap();
    assert_eq!((meta.etag, meta.size), (second.etag, 14));
    assert!(meta.user.is_empty());
    assert_ne!(meta.content_type.as_deref(), Some("text/plain"));
}

pub async fn equal_bytes_keep_the_etag_and_other_bytes_change_it(bucket: &Bucket<impl Store>) {
    let first = bucket.put("key", "same").await.etag;
    assert_eq!(bucket.put("key", "same").await.etag, first);
    assert_ne!(bucket.put("key", "else").await.etag, first);
}

pub async fn a_large_object_arrives_whole(bucket: &Bucket<impl Store>) {
    let content = bytes(1, (24 << 20) + 7);
    bucket.put("large", content.clone()).await;
    assert!(bucket.read("large").await.unwrap() == content, "every byte is in its place");
}

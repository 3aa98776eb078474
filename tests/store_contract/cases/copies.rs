//! CopyObject.

use std::collections::BTreeMap;

use holdfast::env::Store;
use holdfast::env::store::{
    Copy, CopySource, ErrorKind, Match, NewObject, Put, ReadConditions, WriteCondition, Written,
};

use super::{kind, put};
use crate::suite::Bucket;

fn copy(from: &str, to: &str) -> Copy {
    let source = CopySource { key: from.into(), version_id: None, conditions: ReadConditions::none() };
    Copy { source, key: to.into(), replace: None, condition: None }
}

fn attributes(content_type: &str, mode: &str) -> NewObject {
    let user = BTreeMap::from([("mode".to_owned(), mode.to_owned())]);
    NewObject { content_type: Some(content_type.into()), storage_class: None, user }
}

async fn attempt(bucket: &Bucket<impl Store>, copy: Copy) -> Result<Written, ErrorKind> {
    kind(bucket.store.copy(copy).await)
}

pub async fn a_copy_has_the_bytes_and_attributes_of_its_source(bucket: &Bucket<impl Store>) {
    let object = attributes("text/plain", "1");
    bucket.store.put(Put { object, ..put("from", "bytes") }).await.unwrap();
    let written = attempt(bucket, copy("from", "to")).await.unwrap();
    assert_eq!(bucket.read("to").await.unwrap(), "bytes");
    let meta = bucket.head("to").await.unwrap();
    assert_eq!((&meta.etag, &meta.version_id), (&written.etag, &written.version_id));
    assert_eq!((meta.content_type.as_deref(), meta.user["mode"].as_str()), (Some("text/plain"), "1"));
    assert_eq!(bucket.read("from").await.unwrap(), "bytes", "the source stays");
}

pub async fn a_copy_may_replace_the_attributes(bucket: &Bucket<impl Store>) {
    let object = attributes("text/plain", "1");
    bucket.store.put(Put { object, ..put("from", "bytes") }).await.unwrap();
    attempt(bucket, Copy { replace: Some(attributes("text/html", "2")), ..copy("from", "to") }).await.unwrap();
    let meta = bucket.head("to").await.unwrap();
    assert_eq!((meta.content_type.as_deref(), meta.user["mode"].as_str()), (Some("text/html"), "2"));
}

pub async fn a_copy_onto_itself_replaces_the_attributes(bucket: &Bucket<impl Store>) {
    bucket.put("key", "bytes").await;
    attempt(bucket, Copy { replace: Some(attributes("text/html", "2")), ..copy("key", "key") }).await.unwrap();
    let meta = bucket.head("key").await.unwrap();
    assert_eq!((meta.content_type.as_deref(), meta.user["mode"].as_str()), (Some("text/html"), "2"));
    assert_eq!(bucket.read("key").await.unwrap(), "bytes");
}

pub async fn a_copy_of_a_missing_object_is_not_found(bucket: &Bucket<impl Store>) {
    assert_eq!(attempt(bucket, copy("nothing", "to")).await.unwrap_err(), ErrorKind::NotFound);
    assert_eq!(bucket.read("to").await.unwrap_err(), ErrorKind::NotFound);
}

pub async fn a_copy_obeys_the_conditions_on_its_source(bucket: &Bucket<impl Store>) {
    let old = bucket.put("from", "old").await.etag;
    let etag = bucket.put("from", "bytes").await.etag;
    let dated = bucket.head("from").await.unwrap().last_modified;
    let conditional = |conditions| {
        let plain = copy("from", "to");
        Copy { source: CopySource { conditions, ..plain.source }, ..plain }
    };
    let none = ReadConditions::none;
    for conditions in [
        ReadConditions::if_match(&old),
        ReadConditions { if_none_match: Some(Match::ETag(etag.clone())), ..none() },
        ReadConditions { if_unmodified_since: Some(dated - 60), ..none() },
        ReadConditions { if_modified_since: Some(dated), ..none() },
    ] {
        let answer = attempt(bucket, conditional(conditions.clone())).await;
        assert_eq!(answer.unwrap_err(), ErrorKind::PreconditionFailed, "{conditions:?}");
        assert_eq!(bucket.read("to").await.unwrap_err(), ErrorKind::NotFound);
    }
    for conditions in [
        ReadConditions::if_match(&etag),
        ReadConditions { if_none_match: Some(Match::ETag(old)), ..none() },
        ReadConditions { if_unmodified_since: Some(dated), ..none() },
        ReadConditions { if_modified_since: Some(dated - 60), ..none() },
    ] {
        attempt(bucket, conditional(conditions.clone())).await.unwrap_or_else(|kind| panic!("{conditions:?}: {kind}"));
    }
    assert_eq!(bucket.read("to").await.unwrap(), "bytes");
}

pub async fn a_copy_obeys_the_conditions_on_its_target(bucket: &Bucket<impl Store>) {
    bucket.put("from", "bytes").await;
    let absent = || Copy { condition: Some(WriteCondition::IfAbsent), ..copy("from", "to") };
    let first = attempt(bucket, absent()).await.unwrap().etag;
    assert_eq!(attempt(bucket, absent()).await.unwrap_err(), ErrorKind::PreconditionFailed);
    let second = bucket.put("to", "changed").await.etag;
    let matching = |etag| Copy { condition: Some(WriteCondition::IfMatch(etag)), ..copy("from", "to") };
    assert_eq!(attempt(bucket, matching(first)).await.unwrap_err(), ErrorKind::PreconditionFailed);
    assert_eq!(bucket.read("to").await.unwrap(), "changed");
    attempt(bucket, matching(second)).await.unwrap();
    assert_eq!(bucket.read("to").await.unwrap(), "bytes");
}

pub async fn a_copy_of_an_old_version_has_the_old_bytes(bucket: &Bucket<impl Store>) {
    let old = bucket.put("from +%", "old").await.version_id;
    bucket.put("from +%", "new").await;
    let plain = copy("from +%", "to");
    let by_id = Copy { source: CopySource { version_id: old, ..plain.source }, ..plain };
    attempt(bucket, by_id).await.unwrap();
    assert_eq!(bucket.read("to").await.unwrap(), "old");
}

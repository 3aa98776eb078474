//! Conditional PUT, and DELETE.

use holdfast::env::Store;
use holdfast::env::store::{Delete, ErrorKind, Key, WriteCondition};

use super::{kind, list};
use crate::suite::Bucket;

pub async fn a_put_if_absent_creates_but_never_replaces(bucket: &Bucket<impl Store>) {
    bucket.put_if("key", "first", WriteCondition::IfAbsent).await.unwrap();
    let answer = bucket.put_if("key", "second", WriteCondition::IfAbsent).await;
    assert_eq!(answer.unwrap_err(), ErrorKind::PreconditionFailed);
    assert_eq!(bucket.read("key").await.unwrap(), "first");
    bucket.delete("key").await;
    bucket.put_if("key", "third", WriteCondition::IfAbsent).await.unwrap();
    assert_eq!(bucket.read("key").await.unwrap(), "third");
}

pub async fn a_put_if_match_replaces_only_that_etag(bucket: &Bucket<impl Store>) {
    let first = bucket.put("key", "first").await.etag;
    let second = bucket.put_if("key", "second", WriteCondition::IfMatch(first.clone())).await.unwrap().etag;
    let answer = bucket.put_if("key", "third", WriteCondition::IfMatch(first)).await;
    assert_eq!(answer.unwrap_err(), ErrorKind::PreconditionFailed);
    assert_eq!(bucket.read("key").await.unwrap(), "second");
    bucket.put_if("key", "third", WriteCondition::IfMatch(second)).await.unwrap();
    assert_eq!(bucket.read("key").await.unwrap(), "third");
}

pub async fn a_put_if_match_of_a_missing_object_is_not_found(bucket: &Bucket<impl Store>) {
    let etag = bucket.put("other", "bytes").await.etag;
    let answer = bucket.put_if("key", "bytes", WriteCondition::IfMatch(etag)).await;
    assert_eq!(answer.unwrap_err(), ErrorKind::NotFound);
    assert_eq!(bucket.read("key").await.unwrap_err(), ErrorKind::NotFound);
}

pub async fn a_deleted_object_is_gone(bucket: &Bucket<impl Store>) {
    bucket.put("key", "bytes").await;
    bucket.put("other", "bytes").await;
    bucket.delete("key").await;
    assert_eq!(bucket.read("key").await.unwrap_err(), ErrorKind::NotFound);
    assert_eq!(bucket.head("key").await.unwrap_err(), ErrorKind::NotFound);
    assert_eq!(bucket.keys(list()).await, ["other"]);
}

pub async fn deleting_what_is_not_there_succeeds(bucket: &Bucket<impl Store>) {
    bucket.delete("key").await;
    bucket.put("key", "bytes").await;
    bucket.delete("key").await;
    bucket.delete("key").await;
    assert_eq!(bucket.keys(list()).await, [""; 0]);
}

pub async fn a_delete_if_match_deletes_only_that_etag(bucket: &Bucket<impl Store>) {
    let first = bucket.put("key", "first").await.etag;
    let second = bucket.put("key", "second").await.etag;
    let delete = |etag| Delete { key: "key".into(), version_id: None, condition: Some(WriteCondition::IfMatch(etag)) };
    assert_eq!(kind(bucket.store.delete(delete(first)).await), Err(ErrorKind::PreconditionFailed));
    assert_eq!(bucket.read("key").await.unwrap(), "second");
    kind(bucket.store.delete(delete(second)).await).unwrap();
    assert_eq!(bucket.read("key").await.unwrap_err(), ErrorKind::NotFound);
}

pub async fn many_deletes_delete_all_and_do_not_mind_missing_ones(bucket: &Bucket<impl Store>) {
    for key in ["a", "b", "c"] {
        bucket.put(key, "bytes").await;
    }
    let keys = ["a", "missing", "c"].map(Key::from).to_vec();
    assert_eq!(bucket.store.delete_many(keys).await, Ok(vec![]));
    assert_eq!(bucket.keys(list()).await, ["b"]);
}

pub async fn many_deletes_delete_odd_keys_too(bucket: &Bucket<impl Store>) {
    let keys = ["a&b<c>", "a b", " a ", "quote\"'", "re\rturn\t", "bell\u{7}", "ü€😀", "100%+"];
    for key in keys {
        bucket.put(key, "bytes").await;
    }
    assert_eq!(bucket.store.delete_many(keys.map(Key::from).to_vec()).await, Ok(vec![]));
    assert_eq!(bucket.keys(list()).await, [""; 0]);
}

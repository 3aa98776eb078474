//! The conditions of GET and HEAD.

use holdfast::env::Store;
use holdfast::env::store::{ByteRange, ETag, ErrorKind, Get, Head, Match, ReadConditions};

use super::{get, head, kind};
use crate::suite::Bucket;

const PASSES: Result<(), ErrorKind> = Ok(());
const FAILS: Result<(), ErrorKind> = Err(ErrorKind::PreconditionFailed);
const NOT_MODIFIED: Result<(), ErrorKind> = Err(ErrorKind::NotModified);

fn other() -> Option<Match> {
    Some(Match::ETag("00000000000000000000000000000000".into()))
}

fn that(etag: &ETag) -> Option<Match> {
    Some(Match::ETag(etag.clone()))
}

/// GET and HEAD of `key` both answer `expected`.
async fn expect(bucket: &Bucket<impl Store>, conditions: ReadConditions, expected: Result<(), ErrorKind>) {
    let answer = kind(bucket.store.get(Get { conditions: conditions.clone(), ..get("key") }).await).map(drop);
    assert_eq!(answer, expected, "GET {conditions:?}");
    let answer = kind(bucket.store.head(Head { conditions: conditions.clone(), ..head("key") }).await).map(drop);
    assert_eq!(answer, expected, "HEAD {conditions:?}");
}

pub async fn if_match_lets_only_that_etag_through(bucket: &Bucket<impl Store>) {
    let etag = bucket.put("key", "bytes").await.etag;
    expect(bucket, ReadConditions { if_match: that(&etag), ..ReadConditions::none() }, PASSES).await;
    expect(bucket, ReadConditions { if_match: other(), ..ReadConditions::none() }, FAILS).await;
    bucket.put("key", "other bytes").await;
    expect(bucket, ReadConditions { if_match: that(&etag), ..ReadConditions::none() }, FAILS).await;
}

pub async fn if_match_of_anything_lets_any_object_through(bucket: &Bucket<impl Store>) {
    bucket.put("key", "bytes").await;
    expect(bucket, ReadConditions { if_match: Some(Match::Any), ..ReadConditions::none() }, PASSES).await;
}

pub async fn if_none_match_lets_only_other_etags_through(bucket: &Bucket<impl Store>) {
    let etag = bucket.put("key", "bytes").await.etag;
    expect(bucket, ReadConditions { if_none_match: that(&etag), ..ReadConditions::none() }, NOT_MODIFIED).await;
    expect(bucket, ReadConditions { if_none_match: other(), ..ReadConditions::none() }, PASSES).await;
}

pub async fn if_modified_since_lets_only_younger_objects_through(bucket: &Bucket<impl Store>) {
    bucket.put("key", "bytes").await;
    let dated = bucket.head("key").await.unwrap().last_modified;
    for (since, expected) in [(dated - 60, PASSES), (dated, NOT_MODIFIED)] {
        expect(bucket, ReadConditions { if_modified_since: Some(since), ..ReadConditions::none() }, expected).await;
    }
}

pub async fn if_unmodified_since_lets_only_older_objects_through(bucket: &Bucket<impl Store>) {
    bucket.put("key", "bytes").await;
    let dated = bucket.head("key").await.unwrap().last_modified;
    for (since, expected) in [(dated - 60, FAILS), (dated, PASSES), (dated + 60, PASSES)] {
        expect(bucket, ReadConditions { if_unmodified_since: Some(since), ..ReadConditions::none() }, expected).await;
    }
}

pub async fn if_match_overrides_if_unmodified_since(bucket: &Bucket<impl Store>) {
    let etag = bucket.put("key", "bytes").await.etag;
    let dated = bucket.head("key").await.unwrap().last_modified;
    let conditions =
        ReadConditions { if_match: that(&etag), if_unmodified_since: Some(dated - 60), ..ReadConditions::none() };
    expect(bucket, conditions, PASSES).await;
}

pub async fn if_none_match_overrides_if_modified_since(bucket: &Bucket<impl Store>) {
    let etag = bucket.put("key", "bytes").await.etag;
    let dated = bucket.head("key").await.unwrap().last_modified;
    let conditions =
        ReadConditions { if_none_match: that(&etag), if_modified_since: Some(dated - 60), ..ReadConditions::none() };
    expect(bucket, conditions, NOT_MODIFIED).await;
}

pub async fn conditions_hold_for_ranges_too(bucket: &Bucket<impl Store>) {
    let etag = bucket.put("key", "0123456789").await.etag;
    let range = Some(ByteRange::Within { start: 2, end: 4 });
    let ranged = |conditions| Get { range, conditions, ..get("key") };
    assert_eq!(bucket.try_read(ranged(ReadConditions::if_match(&etag))).await.unwrap().1, "23");
    bucket.put("key", "abcdefghij").await;
    let answer = bucket.try_read(ranged(ReadConditions::if_match(&etag))).await;
    assert_eq!(answer.unwrap_err(), ErrorKind::PreconditionFailed);
}

pub async fn a_condition_on_a_missing_object_is_not_found(bucket: &Bucket<impl Store>) {
    let conditions = ReadConditions { if_match: other(), ..ReadConditions::none() };
    expect(bucket, conditions, Err(ErrorKind::NotFound)).await;
}

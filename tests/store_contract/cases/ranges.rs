//! Ranged GETs.

use holdfast::env::Store;
use holdfast::env::store::{ByteRange, ErrorKind};

use crate::suite::Bucket;

pub async fn a_range_within_delivers_its_bytes(bucket: &Bucket<impl Store>) {
    let written = bucket.put("key", "0123456789").await;
    let (reply, body) = bucket.read_range("key", ByteRange::Within { start: 2, end: 5 }).await.unwrap();
    assert_eq!((reply.range, body), (2..5, "234".into()));
    assert_eq!((reply.meta.size, reply.meta.etag), (10, written.etag), "meta is of the whole object");
    let (reply, body) = bucket.read_range("key", ByteRange::Within { start: 0, end: 10 }).await.unwrap();
    assert_eq!((reply.range, body), (0..10, "0123456789".into()));
    let (reply, body) = bucket.read_range("key", ByteRange::Within { start: 9, end: 10 }).await.unwrap();
    assert_eq!((reply.range, body), (9..10, "9".into()));
}

pub async fn a_range_is_cut_at_the_end(bucket: &Bucket<impl Store>) {
    bucket.put("key", "0123456789").await;
    let (reply, body) = bucket.read_range("key", ByteRange::Within { start: 7, end: 1 << 40 }).await.unwrap();
    assert_eq!((reply.range, reply.meta.size, body), (7..10, 10, "789".into()));
}

pub async fn a_range_from_delivers_the_rest(bucket: &Bucket<impl Store>) {
    bucket.put("key", "0123456789").await;
    for (start, rest) in [(0, "0123456789"), (4, "456789"), (9, "9")] {
        let (reply, body) = bucket.read_range("key", ByteRange::From(start)).await.unwrap();
        assert_eq!((reply.range, reply.meta.size, body), (start..10, 10, rest.into()));
    }
}

pub async fn a_range_of_the_last_bytes_delivers_them(bucket: &Bucket<impl Store>) {
    bucket.put("key", "0123456789").await;
    for (count, range, last) in [(3, 7..10, "789"), (10, 0..10, "0123456789"), (99, 0..10, "0123456789")] {
        let (reply, body) = bucket.read_range("key", ByteRange::Last(count)).await.unwrap();
        assert_eq!((reply.range, reply.meta.size, body), (range, 10, last.into()));
    }
}

pub async fn a_range_past_the_end_is_not_satisfiable(bucket: &Bucket<impl Store>) {
    bucket.put("key", "0123456789").await;
    for range in [ByteRange::From(10), ByteRange::Within { start: 10, end: 11 }, ByteRange::From(1 << 40)] {
        assert_eq!(bucket.read_range("key", range).await.unwrap_err(), ErrorKind::InvalidRange, "{range:?}");
    }
}

pub async fn any_range_of_an_empty_object_is_not_satisfiable(bucket: &Bucket<impl Store>) {
    bucket.put("empty", "").await;
    for range in [ByteRange::From(0), ByteRange::Within { start: 0, end: 1 }, ByteRange::Last(1)] {
        assert_eq!(bucket.read_range("empty", range).await.unwrap_err(), ErrorKind::InvalidRange, "{range:?}");
    }
}

//! Bodies that are being read while the bucket changes: the promise that Holdfast stands on.

use bytes::Bytes;
use holdfast::env::Store;
use holdfast::env::store::{Body, ErrorKind};

use super::{bytes, get};
use crate::suite::Bucket;

/// More than sockets buffer on the way, so that most of it is still the server's to send.
const LEN: usize = 24 << 20;

/// A body of which the first frame has been read, and that frame.
async fn begun<S: Store>(bucket: &Bucket<S>) -> (S::Body, Vec<u8>) {
    let mut body = bucket.store.get(get("film")).await.unwrap().body;
    let first = body.next().await.expect("there are bytes").unwrap();
    assert!(first.len() < LEN, "most is still to come");
    (body, first.to_vec())
}

async fn rest(mut body: impl Body, mut read: Vec<u8>) -> Bytes {
    while let Some(frame) = body.next().await {
        read.extend_from_slice(&frame.unwrap());
    }
    read.into()
}

pub async fn a_get_in_flight_keeps_its_version_over_an_overwrite(bucket: &Bucket<impl Store>) {
    let (old, new) = (bytes(1, LEN), bytes(2, LEN));
    bucket.put("film", old.clone()).await;
    let (body, first) = begun(bucket).await;
    bucket.put("film", new.clone()).await;
    assert!(bucket.read("film").await.unwrap() == new, "a new GET sees the new version");
    assert!(rest(body, first).await == old, "the GET in flight delivers the old one to its end");
}

pub async fn a_get_in_flight_keeps_its_version_over_a_delete(bucket: &Bucket<impl Store>) {
    let old = bytes(1, LEN);
    bucket.put("film", old.clone()).await;
    let (body, first) = begun(bucket).await;
    bucket.delete("film").await;
    assert_eq!(bucket.read("film").await.unwrap_err(), ErrorKind::NotFound);
    assert!(rest(body, first).await == old, "the GET in flight delivers the old version to its end");
}

pub async fn a_body_may_be_dropped_half_read(bucket: &Bucket<impl Store>) {
    bucket.put("film", bytes(1, LEN)).await;
    for _ in 0..10 {
        drop(begun(bucket).await);
    }
    assert_eq!(bucket.head("film").await.unwrap().size, LEN as u64);
}

//! Versions and delete markers.

use holdfast::env::Store;
use holdfast::env::store::{ErrorKind, Get, Head, ListVersions, ListedVersion, VersionId};

use super::{get, head, kind, list};
use crate::suite::Bucket;

async fn version(bucket: &Bucket<impl Store>, key: &str, body: &'static str) -> VersionId {
    bucket.put(key, body).await.version_id.expect("a versioned bucket names its versions")
}

async fn versions(bucket: &Bucket<impl Store>, prefix: &str, max_keys: u32) -> Vec<ListedVersion> {
    let (mut versions, mut after) = (Vec::new(), None);
    loop {
        let request = ListVersions { prefix: prefix.into(), after, max_keys };
        let page = bucket.store.list_versions(request).await.expect("LIST of versions");
        assert!(page.versions.len() <= max_keys as usize, "a page keeps its size");
        versions.extend(page.versions);
        after = page.next;
        if after.is_none() {
            return versions;
        }
    }
}

pub async fn every_write_has_a_version_of_its_own(bucket: &Bucket<impl Store>) {
    let first = version(bucket, "key", "same").await;
    let second = version(bucket, "key", "same").await;
    assert_ne!(first, second);
    assert_eq!(bucket.head("key").await.unwrap().version_id, Some(second));
}

pub async fn a_version_is_got_by_its_id_after_an_overwrite(bucket: &Bucket<impl Store>) {
    let first = version(bucket, "key", "first").await;
    let second = version(bucket, "key", "second").await;
    assert_eq!(bucket.read_version("key", &first).await.unwrap(), "first");
    assert_eq!(bucket.read_version("key", &second).await.unwrap(), "second");
    let reply = bucket.store.get(Get { version_id: Some(first.clone()), ..get("key") }).await.unwrap();
    let meta = bucket.store.head(Head { version_id: Some(first.clone()), ..head("key") }).await.unwrap();
    assert_eq!(reply.meta, meta);
    assert_eq!((meta.version_id, meta.size), (Some(first), 5));
}

pub async fn a_version_is_got_by_its_id_after_a_delete(bucket: &Bucket<impl Store>) {
    let first = version(bucket, "key", "first").await;
    bucket.delete("key").await;
    assert_eq!(bucket.read("key").await.unwrap_err(), ErrorKind::NotFound);
    assert_eq!(bucket.read_version("key", &first).await.unwrap(), "first");
}

pub async fn a_delete_adds_a_marker(bucket: &Bucket<impl Store>) {
    version(bucket, "key", "first").await;
    let marker = bucket.delete("key").await.expect("the marker has a version id");
    assert_eq!(bucket.read_version("key", &marker).await.unwrap_err(), ErrorKind::NotFound);
    let by_id = Head { version_id: Some(marker), ..head("key") };
    assert_eq!(kind(bucket.store.head(by_id).await).unwrap_err(), ErrorKind::NotFound);
    assert_eq!(bucket.keys(list()).await, [""; 0]);
}

pub async fn deleting_a_marker_brings_the_object_back(bucket: &Bucket<impl Store>) {
    version(bucket, "key", "first").await;
    let marker = bucket.delete("key").await.unwrap();
    assert_eq!(bucket.delete_version("key", &marker).await, None, "no marker was added");
    assert_eq!(bucket.read("key").await.unwrap(), "first");
}

pub async fn deleting_a_version_leaves_the_others(bucket: &Bucket<impl Store>) {
    let first = version(bucket, "key", "first").await;
    let second = version(bucket, "key", "second").await;
    assert_eq!(bucket.delete_version("key", &second).await, None);
    assert_eq!(bucket.read("key").await.unwrap(), "first");
    assert_eq!(bucket.read_version("key", &first).await.unwrap(), "first");
    assert_eq!(bucket.read_version("key", &second).await.unwrap_err(), ErrorKind::NotFound);
}

pub async fn an_unknown_version_is_not_found(bucket: &Bucket<impl Store>) {
    let first = version(bucket, "key", "first").await;
    version(bucket, "key", "second").await;
    bucket.delete_version("key", &first).await;
    assert_eq!(bucket.read_version("key", &first).await.unwrap_err(), ErrorKind::NotFound);
}

pub async fn versions_are_listed_by_key_and_newest_first(bucket: &Bucket<impl Store>) {
    let b1 = version(bucket, "b", "1").await;
    let a1 = version(bucket, "a", "1").await;
    let a2 = version(bucket, "a", "22").await;
    let marker = bucket.delete("b").await.unwrap();
    version(bucket, "elsewhere", "1").await;
    let listed: Vec<_> = versions(bucket, "", 1000)
        .await
        .into_iter()
        .filter(|version| version.key.as_str() != "elsewhere")
        .map(|version| {
            let size = version.object.map(|object| object.size);
            (version.key.to_string(), version.version_id, version.is_latest, size)
        })
        .collect();
    let expected = [
        ("a", a2.as_str(), true, Some(2)),
        ("a", a1.as_str(), false, Some(1)),
        ("b", marker.as_str(), true, None),
        ("b", b1.as_str(), false, Some(1)),
    ];
    assert_eq!(listed, expected.map(|(key, id, latest, size)| (key.to_owned(), id.to_owned(), latest, size)));
    assert_eq!(versions(bucket, "else", 1000).await.len(), 1, "a prefix limits the listing");
}

pub async fn versions_are_listed_in_pages(bucket: &Bucket<impl Store>) {
    let mut expected = Vec::new();
    for key in ["a b", "a+b", "c"] {
        let mut of_key = Vec::new();
        for body in ["1", "2", "3"] {
            of_key.push((key.to_owned(), version(bucket, key, body).await.to_string()));
        }
        expected.extend(of_key.into_iter().rev());
    }
    let listed = versions(bucket, "", 2).await;
    let listed: Vec<_> = listed.into_iter().map(|version| (version.key.to_string(), version.version_id)).collect();
    assert_eq!(listed, expected);
}

pub async fn without_versions_there_are_no_version_ids(bucket: &Bucket<impl Store>) {
    assert_eq!(bucket.put("key", "bytes").await.version_id, None);
    assert_eq!(bucket.head("key").await.unwrap().version_id, None);
    assert_eq!(bucket.store.get(get("key")).await.unwrap().meta.version_id, None);
    assert_eq!(bucket.delete("key").await, None);
}

pub async fn without_versions_the_listing_calls_every_version_null(bucket: &Bucket<impl Store>) {
    bucket.put("key", "first").await;
    bucket.put("key", "second").await;
    let listed = versions(bucket, "", 1000).await;
    let listed: Vec<_> = listed.iter().map(|v| (v.key.as_str(), &*v.version_id, v.is_latest)).collect();
    assert_eq!(listed, [("key", "null", true)]);
}

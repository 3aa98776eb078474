//! ListObjectsV2.

use futures_util::stream::{StreamExt, iter};
use holdfast::env::Store;
use holdfast::env::store::List;

use super::list;
use crate::suite::Bucket;

async fn put_all(bucket: &Bucket<impl Store>, keys: &[&str]) {
    for key in keys {
        bucket.put(key, key.to_string()).await;
    }
}

fn texts<T: ToString>(names: impl IntoIterator<Item = T>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

/// Keys and prefixes.
async fn listed(bucket: &Bucket<impl Store>, list: List) -> (Vec<String>, Vec<String>) {
    let (objects, prefixes) = bucket.list_all(list).await;
    (texts(objects.iter().map(|object| &object.key)), texts(prefixes))
}

fn delimited(prefix: &str) -> List {
    List { prefix: prefix.into(), delimiter: Some("/".into()), ..list() }
}

pub async fn an_empty_bucket_lists_nothing(bucket: &Bucket<impl Store>) {
    let page = bucket.store.list(list()).await.unwrap();
    assert_eq!((page.objects.len(), page.prefixes.len(), page.next), (0, 0, None));
}

pub async fn a_listing_tells_what_head_tells(bucket: &Bucket<impl Store>) {
    bucket.put("key", "some bytes").await;
    let meta = bucket.head("key").await.unwrap();
    let (objects, _) = bucket.list_all(list()).await;
    assert_eq!(objects.len(), 1);
    let object = &objects[0];
    assert_eq!((object.key.as_str(), &object.etag, object.size), ("key", &meta.etag, meta.size));
    assert!(object.last_modified.abs_diff(meta.last_modified) <= 1, "the same date, but for rounding");
    assert_eq!(object.storage_class, None);
}

pub async fn a_prefix_limits_the_listing(bucket: &Bucket<impl Store>) {
    put_all(bucket, &["a", "ab", "abc", "b", "A"]).await;
    assert_eq!(bucket.keys(List { prefix: "ab".into(), ..list() }).await, ["ab", "abc"]);
    assert_eq!(bucket.keys(List { prefix: "c".into(), ..list() }).await, [""; 0]);
}

pub async fn a_delimiter_rolls_up(bucket: &Bucket<impl Store>) {
    put_all(bucket, &["a", "dir/", "dir/x", "dir/y", "dir2/z", "z"]).await;
    assert_eq!(listed(bucket, delimited("")).await, (texts(["a", "z"]), texts(["dir/", "dir2/"])));
}

pub async fn a_delimiter_after_a_prefix_rolls_up_the_rest(bucket: &Bucket<impl Store>) {
    put_all(bucket, &["dir/", "dir/sub/x", "dir/sub/y", "dir/x", "dir//odd", "dirt"]).await;
    let expected = (texts(["dir/", "dir/x"]), texts(["dir//", "dir/sub/"]));
    assert_eq!(listed(bucket, delimited("dir/")).await, expected);
    assert_eq!(listed(bucket, delimited("dir")).await, (texts(["dirt"]), texts(["dir/"])));
}

pub async fn start_after_skips_it_and_all_before(bucket: &Bucket<impl Store>) {
    put_all(bucket, &["a", "b", "b1", "c"]).await;
    assert_eq!(bucket.keys(List { start_after: Some("b".into()), ..list() }).await, ["b1", "c"]);
    assert_eq!(bucket.keys(List { start_after: Some("b0".into()), ..list() }).await, ["b1", "c"]);
    assert_eq!(bucket.keys(List { start_after: Some("c".into()), ..list() }).await, [""; 0]);
    let paged = List { start_after: Some("a".into()), max_keys: 1, ..list() };
    assert_eq!(bucket.keys(paged).await, ["b", "b1", "c"]);
}

pub async fn odd_prefixes_and_delimiters_work(bucket: &Bucket<impl Store>) {
    put_all(bucket, &["a b/x", "a+b/x", "100%/x", "ü/x", "q?&#/x", "//x"]).await;
    let expected = ["//", "100%/", "a b/", "a+b/", "q?&#/", "ü/"].map(|prefix| match prefix {
        "//" => "/",
        other => other,
    });
    assert_eq!(listed(bucket, delimited("")).await, (vec![], texts(expected)));
    for prefix in ["a b/", "a+b/", "100%/", "ü/", "q?&#/", "//"] {
        assert_eq!(listed(bucket, delimited(prefix)).await, (vec![format!("{prefix}x")], vec![]), "{prefix}");
    }
    assert_eq!(bucket.keys(List { start_after: Some("a b/x".into()), prefix: "a".into(), ..list() }).await, ["a+b/x"]);
}

pub async fn keys_come_in_byte_order(bucket: &Bucket<impl Store>) {
    // U+FF5E sorts after U+1F600 in UTF-16, but before it in UTF-8.
    let mut keys = ["Z", "a", "a-", "a/", "a/b", "a0", "ü", "\u{ff5e}", "\u{1f600}", "~", "A"];
    put_all(bucket, &keys).await;
    keys.sort_unstable();
    assert_eq!(bucket.keys(list()).await, keys);
    assert_eq!(bucket.keys(List { max_keys: 2, ..list() }).await, keys);
}

pub async fn a_listing_of_2500_keys_comes_in_pages(bucket: &Bucket<impl Store>) {
    let keys: Vec<_> = (0..2500).map(|number| format!("dir/file {number:05}")).collect();
    iter(&keys).for_each_concurrent(8, async |key| drop(bucket.put(key, "").await)).await;
    let first = bucket.store.list(list()).await.unwrap();
    assert_eq!(first.objects.len(), 1000);
    assert!(first.next.is_some());
    assert_eq!(bucket.keys(list()).await, keys);
    assert_eq!(bucket.keys(List { max_keys: 700, start_after: Some(keys[99].clone()), ..list() }).await, keys[100..]);
}

pub async fn rolled_up_prefixes_come_once_across_pages(bucket: &Bucket<impl Store>) {
    put_all(bucket, &["a/1", "a/2", "a/3", "b", "c/1", "c/2", "d/1", "e"]).await;
    for max_keys in 1..=5 {
        let answer = listed(bucket, List { max_keys, ..delimited("") }).await;
        assert_eq!(answer, (texts(["b", "e"]), texts(["a/", "c/", "d/"])), "pages of {max_keys}");
    }
}

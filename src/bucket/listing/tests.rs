//! Listings against a naive model, and what a page costs.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::btree_set;
use proptest::prelude::{any, prop};
use proptest::{prop_assert_eq, proptest};

use super::{Listing, ListingFrom, first_after_prefix, parse_token};
use crate::bucket::{Bucket, BucketOptions, Versioning};
use crate::env::store::{Delete, Key, List, ListVersions, NewObject, Put};

fn put(bucket: &mut Bucket, key: &str) {
    let body = Bytes::from(key.to_owned());
    let put = Put { key: key.into(), body, object: NewObject::default(), condition: None };
    bucket.put(put, 7).expect("an unconditional PUT");
}

fn delete(bucket: &mut Bucket, key: &str) {
    bucket.delete(Delete { key: key.into(), version_id: None, condition: None }, 8).expect("an unconditional DELETE");
}

fn bucket_of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Bucket {
    let mut bucket = Bucket::default();
    keys.into_iter().for_each(|key| put(&mut bucket, key));
    bucket
}

/// All pages of a listing, one after another: objects and common prefixes.
fn list_all(bucket: &Bucket, mut request: List) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    loop {
        let page = bucket.list(&request).expect("a listing");
        assert!(page.objects.len() + page.prefixes.len() <= request.max_keys as usize);
        objects.extend(page.objects.iter().map(|object| object.key.to_string()));
        prefixes.extend(page.prefixes.iter().map(Key::to_string));
        match page.next {
            None => return (objects, prefixes),
            Some(_) if page.objects.is_empty() && page.prefixes.is_empty() => {
                panic!("an empty page that is not the last")
            }
            next => request.continuation = next,
        }
    }
}

/// What a listing should say, by looking at every key.
fn naive(keys: &BTreeSet<String>, request: &List) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::<String>::new());
    for key in keys {
        let Some(rest) = key.strip_prefix(&request.prefix) else { continue };
        if request.start_after.as_ref().is_some_and(|after| key <= after) {
            continue;
        }
        let rolled = request.delimiter.as_ref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        match rolled.map(|end| key[..request.prefix.len() + end].to_owned()) {
            None => objects.push(key.clone()),
            Some(prefix) if prefixes.last() == Some(&prefix) => {}
            Some(prefix) => prefixes.push(prefix),
        }
    }
    (objects, prefixes)
}

proptest! {
    #[test]
    fn a_listing_says_what_the_naive_model_says_whatever_the_page_size(
        keys in btree_set("[ab/~\u{e9}\u{10ffff}]{1,5}", 0..40),
        prefix in "[ab/]{0,2}",
        delimiter in prop::option::of("/|a|b/"),
        start_after in prop::option::of("[ab/~]{0,3}"),
        max_keys in 1u32..6,
    ) {
        let bucket = bucket_of(keys.iter().map(String::as_str));
        let request = List { prefix, delimiter, start_after, continuation: None, max_keys };
        prop_assert_eq!(list_all(&bucket, request.clone()), naive(&keys, &request));
    }

    #[test]
    fn what_comes_after_a_prefix_is_after_all_its_keys_and_nothing_lies_between(
        prefix in "\\PC{0,3}", tail in "\\PC{0,3}", other in any::<String>(),
    ) {
        let after = first_after_prefix(&prefix);
        let key = format!("{prefix}{tail}");
        prop_assert_eq!(after.as_ref().is_none_or(|after| *after > key), true);
        if let Some(after) = after {
            prop_assert_eq!(other >= after, other > prefix && !other.starts_with(&prefix));
        }
    }
}

#[test]
fn deleted_keys_are_not_listed_and_cost_nothing() {
    let mut bucket = Bucket::new(BucketOptions { versioning: Versioning::Enabled, ..BucketOptions::default() });
    for key in ["a", "b", "c"] {
        put(&mut bucket, key);
    }
    delete(&mut bucket, "b");
    let (objects, _) = list_all(&bucket, List { max_keys: 10, ..List::default() });
    assert_eq!(objects, ["a", "c"]);
    put(&mut bucket, "b");
    assert_eq!(bucket.object_count(), 3);
}

#[test]
fn a_page_past_a_prefix_of_very_many_keys_is_found_by_a_jump() {
    let mut bucket = Bucket::default();
    for number in 0..100_000 {
        put(&mut bucket, &format!("big/{number:06}"));
    }
    put(&mut bucket, "after");
    put(&mut bucket, "zebra");
    // Each of these pages would take a second in total if it walked over the keys beneath `big/`.
    for _ in 0..20_000 {
        let page =
            bucket.list_page(Listing { prefix: "", delimiter: Some("/"), from: &ListingFrom::Start, max_keys: 1000 });
        assert_eq!((page.objects.len(), page.prefixes.len()), (2, 1));
    }
    let page =
        bucket.list_page(Listing { prefix: "big/", delimiter: Some("/"), from: &ListingFrom::Start, max_keys: 5000 });
    assert_eq!(page.objects.len(), 1000);
}

#[test]
fn a_page_of_no_keys_is_the_last() {
    let bucket = bucket_of(["a"]);
    let page = bucket.list(&List { max_keys: 0, ..List::default() }).expect("a listing");
    assert_eq!((page.objects.len(), page.next), (0, None));
}

#[test]
fn a_marker_that_is_a_common_prefix_leaves_all_of_it_out() {
    let bucket = bucket_of(["a/1", "a/2", "b"]);
    let from = ListingFrom::AfterPrefix(String::from("a/"));
    let page = bucket.list_page(Listing { prefix: "", delimiter: Some("/"), from: &from, max_keys: 10 });
    assert_eq!((page.prefixes.len(), page.objects[0].key.as_str()), (0, "b"));
}

#[test]
fn a_foreign_token_is_refused() {
    for token in ["", "x", "k1", "kzz", "kff", "\u{e9}"] {
        assert!(parse_token(token).is_err(), "{token}");
    }
}

#[test]
fn versions_are_listed_newest_first_across_pages_of_any_size() {
    let mut bucket = Bucket::new(BucketOptions::default());
    put(&mut bucket, "a");
    bucket.set_versioning(Versioning::Enabled).expect("off to enabled");
    put(&mut bucket, "a");
    delete(&mut bucket, "a");
    put(&mut bucket, "b");
    let want = ["a v00000000002 marker latest", "a v00000000001", "a null", "b v00000000003 latest"];
    for max_keys in 1..=5 {
        let mut request = ListVersions { max_keys, ..ListVersions::default() };
        let mut got = Vec::new();
        loop {
            let page = bucket.list_versions(&request);
            got.extend(page.versions.iter().map(|version| {
                let marker = if version.object.is_none() { " marker" } else { "" };
                let latest = if version.is_latest { " latest" } else { "" };
                format!("{} {}{marker}{latest}", version.key, version.version_id)
            }));
            if page.next.is_none() {
                break;
            }
            request.after = page.next;
        }
        assert_eq!(got, want);
    }
}

//! Keys that URLs, headers and XML would rather not carry.

use holdfast::env::Store;
use holdfast::env::store::{
    CompleteUpload, Copy, CopySource, CreateUpload, NewObject, ReadConditions, UploadPart, UploadPartCopy,
};

use super::list;
use crate::suite::Bucket;

/// Each key holds bytes of its own, is found under exactly its name, and can be deleted.
async fn stored_and_listed(bucket: &Bucket<impl Store>, keys: &[&str]) {
    for key in keys {
        bucket.put(key, format!("the bytes of {key:?}")).await;
    }
    for key in keys {
        assert_eq!(bucket.read(key).await.unwrap_or_default(), format!("the bytes of {key:?}"), "{key:?}");
        let size = bucket.head(key).await.map(|meta| meta.size);
        assert_eq!(size, Ok(format!("the bytes of {key:?}").len() as u64), "{key:?}");
    }
    let mut expected: Vec<_> = keys.iter().map(|key| key.to_string()).collect();
    expected.sort();
    assert_eq!(bucket.keys(list()).await, expected);
    for key in keys {
        bucket.delete(key).await;
    }
    assert_eq!(bucket.keys(list()).await, [""; 0]);
}

pub async fn odd_keys_are_stored_and_listed_under_their_own_name(bucket: &Bucket<impl Store>) {
    let keys = [
        "with space",
        "with  two spaces",
        " ",
        "  ",
        "\u{2003}",
        " leading",
        "trailing ",
        "plus+plus",
        "space and+plus",
        "100%",
        "%41",
        "%2F",
        "%",
        "question?mark=1",
        "hash#tag",
        "a&b",
        "a=b",
        "semi;colon",
        "com,ma",
        "at@",
        "dollar$",
        "quote\"double",
        "quote'single",
        "<xml>",
        "back\\slash",
        "colon:",
        "star*",
        "bra[ck]et",
        "cur{l}y",
        "pi|pe",
        "ca^ret",
        "back`tick",
        "tilde~",
        "ümläut",
        "u\u{308}mlaut",
        "日本語",
        "😀",
        "\u{feff}bom",
        "\u{200b}zero width",
        "\u{10ffff}",
    ];
    stored_and_listed(bucket, &keys).await;
}

pub async fn keys_with_control_characters_are_stored_and_listed(bucket: &Bucket<impl Store>) {
    stored_and_listed(bucket, &["re\rturn", "tab\t", "\t", "\u{1}start", "esc\u{1b}ape", "del\u{7f}", "\u{85}"]).await;
}

pub async fn keys_with_line_feeds_are_stored_and_listed(bucket: &Bucket<impl Store>) {
    stored_and_listed(bucket, &["new\nline", "\n", "last\n", "both\r\n"]).await;
}

pub async fn keys_with_slashes_at_odd_places_are_stored_and_listed(bucket: &Bucket<impl Store>) {
    stored_and_listed(bucket, &["/leading", "//two", "trailing/", "in//the middle", "///", "/", "a/b/c", "a/b//"])
        .await;
}

pub async fn dot_keys_are_stored_and_listed(bucket: &Bucket<impl Store>) {
    stored_and_listed(bucket, &["./here", "a/./b", "a/../b", "..a", "a/..b", "...", "a/...", "x/.", "x/..", ".x"])
        .await;
}

pub async fn a_key_of_1024_bytes_is_stored_and_listed(bucket: &Bucket<impl Store>) {
    let plain = "k".repeat(1024);
    let deep = "directory/".repeat(102) + "file";
    let wide = "ü".repeat(512);
    assert_eq!((deep.len(), wide.len()), (1024, 1024));
    stored_and_listed(bucket, &[&plain, &deep, &wide]).await;
}

pub async fn odd_keys_are_copied(bucket: &Bucket<impl Store>) {
    let keys =
        ["a b", "a+b", "100%", "%41", "what?versionId=1", "hash#", "ü", "re\rturn", "in//the middle", "a&b=\"c\""];
    for key in keys {
        bucket.put(key, format!("the bytes of {key:?}")).await;
        let source = CopySource { key: key.into(), version_id: None, conditions: ReadConditions::none() };
        let target = format!("copy of {key}");
        let copy = Copy { source, key: target.as_str().into(), replace: None, condition: None };
        bucket.store.copy(copy).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
        assert_eq!(bucket.read(&target).await.unwrap(), format!("the bytes of {key:?}"), "{key:?}");
    }
}

pub async fn odd_keys_are_uploaded_in_parts(bucket: &Bucket<impl Store>) {
    for key in ["a b+c", "100%?#&", "ü/日本", "re\rturn"] {
        let key = holdfast::env::store::Key::from(key);
        let object = NewObject::default();
        let upload = bucket.store.create_upload(CreateUpload { key: key.clone(), object }).await.unwrap();
        let listed = bucket.store.list_uploads(String::new()).await.unwrap();
        assert_eq!(listed.iter().map(|upload| &upload.key).collect::<Vec<_>>(), [&key]);
        let body = "bytes".into();
        let part = UploadPart { key: key.clone(), upload: upload.clone(), number: 1, body };
        bucket.store.upload_part(part).await.unwrap();
        bucket.put(key.as_str(), "copied").await;
        let source = CopySource { key: key.clone(), version_id: None, conditions: ReadConditions::none() };
        let part = UploadPartCopy { key: key.clone(), upload: upload.clone(), number: 1, source, range: None };
        let etag = bucket.store.upload_part_copy(part).await.unwrap();
        let complete = CompleteUpload { key: key.clone(), upload, parts: vec![(1, etag)], condition: None };
        let answer = bucket.store.complete_upload(complete).await;
        assert!(answer.is_ok() || bucket.completions_unreadable, "{key}: {answer:?}");
        assert_eq!(bucket.read(key.as_str()).await.unwrap(), "copied");
    }
}

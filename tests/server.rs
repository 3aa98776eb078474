//! The embedded server, asked by aws-sdk-s3.

#![allow(clippy::disallowed_methods)]
#![cfg(feature = "mount")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, Delete, EncodingType, MetadataDirective,
    ObjectIdentifier, VersioningConfiguration,
};
use aws_sdk_s3::{Client, Config};
use holdfast::bucket::{BucketOptions, Limits, Versioning};
use holdfast::server::{ServeOptions, Server};

const BUCKET: &str = "holdfast";
const MIB: usize = 1 << 20;

fn server() -> Server {
    server_with(ServeOptions::default())
}

fn versioned() -> Server {
    let bucket_options = BucketOptions { versioning: Versioning::Enabled, ..BucketOptions::default() };
    server_with(ServeOptions { bucket_options, ..ServeOptions::default() })
}

fn server_with(options: ServeOptions) -> Server {
    Server::start(options).expect("a server on a free port")
}

fn client(server: &Server) -> Client {
    client_as(server, "holdfast-secret")
}

fn client_as(server: &Server, secret: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(server.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("holdfast", secret, None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31) / 7 + at / 4096 + seed) as u8).collect()
}

async fn put(client: &Client, key: &str, body: Vec<u8>) -> String {
    let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body)).send().await.expect("a PUT");
    put.e_tag.expect("an ETag")
}

async fn read(client: &Client, key: &str) -> Vec<u8> {
    let get = client.get_object().bucket(BUCKET).key(key).send().await.expect("a GET");
    get.body.collect().await.expect("a body").to_vec()
}

/// The HTTP status and S3's code of a request that fails.
fn refusal<T: std::fmt::Debug, E: ProvideErrorMetadata>(answer: Result<T, SdkError<E>>) -> (u16, String) {
    let error = answer.expect_err("a refusal");
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
}

/// A GET as somebody without an SDK makes it: the whole answer as text.
fn raw(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).expect("a connection");
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let server = server();
    let client = client(&server);
    let body = bytes(1, 3 * MIB + 17);
    let put = client.put_object().bucket(BUCKET).key("film").body(ByteStream::from(body.clone()));
    let put = put.content_type("video/mp4").metadata("mode", "33188").metadata("name", "d\u{fc}ne").send().await;
    let etag = put.expect("a PUT").e_tag.expect("an ETag");

    let got = client.get_object().bucket(BUCKET).key("film").send().await.expect("a GET");
    assert_eq!(got.e_tag(), Some(etag.as_str()));
    assert_eq!(got.content_length(), Some(body.len() as i64));
    assert_eq!(got.content_type(), Some("video/mp4"));
    let metadata = got.metadata().expect("metadata");
    assert_eq!(metadata.get("mode").map(String::as_str), Some("33188"));
    assert!(metadata.get("name").is_some_and(|name| name == "d\u{fc}ne" || name.starts_with("=?UTF-8?")));
    assert_eq!(got.version_id(), None);
    assert_eq!(got.body.collect().await.expect("a body").to_vec(), body);

    let head = client.head_object().bucket(BUCKET).key("film").send().await.expect("a HEAD");
    assert_eq!((head.e_tag(), head.content_length()), (Some(etag.as_str()), Some(body.len() as i64)));
}

#[tokio::test]
async fn ranges_are_answered_with_what_was_asked() {
    let server = server();
    let client = client(&server);
    let body = bytes(2, 100_000);
    put(&client, "a", body.clone()).await;
    put(&client, "empty", Vec::new()).await;
    let get = |range: &str| client.get_object().bucket(BUCKET).key("a").range(range).send();
    for (range, want) in [
        ("bytes=0-0", 0..1),
        ("bytes=99999-", 99_999..100_000),
        ("bytes=500-1000000", 500..100_000),
        ("bytes=-10", 99_990..100_000),
    ] {
        let got = get(range).await.expect("a range");
        let content_range = format!("bytes {}-{}/100000", want.start, want.end - 1);
        assert_eq!(got.content_range(), Some(content_range.as_str()));
        assert_eq!(got.body.collect().await.expect("a body").to_vec(), body[want]);
    }
    assert_eq!(refusal(get("bytes=100000-").await), (416, "InvalidRange".into()));
    let empty = client.get_object().bucket(BUCKET).key("empty").range("bytes=0-").send().await;
    assert_eq!(refusal(empty), (416, "InvalidRange".into()));
    assert!(read(&client, "empty").await.is_empty());
}

#[tokio::test]
async fn conditions_of_reads_answer_304_and_412() {
    let server = server();
    let client = client(&server);
    let etag = put(&client, "a", bytes(3, 10)).await;
    let get = || client.get_object().bucket(BUCKET).key("a");
    let head = || client.head_object().bucket(BUCKET).key("a");
    let (past, future) = (DateTime::from_secs(1_000_000_000), DateTime::from_secs(4_000_000_000));

    get().if_match(&etag).send().await.expect("it matches");
    get().if_match(&etag).if_unmodified_since(past).send().await.expect("a true If-Match overrides");
    get().if_none_match("\"other\"").if_modified_since(future).send().await.expect("a true If-None-Match overrides");
    assert_eq!(refusal(get().if_match("\"other\"").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refusal(get().if_unmodified_since(past).send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refusal(get().if_none_match(&etag).send().await).0, 304);
    assert_eq!(refusal(get().if_modified_since(future).send().await).0, 304);
    assert_eq!(refusal(head().if_match("\"other\"").send().await).0, 412);
    assert_eq!(refusal(head().if_none_match(&etag).send().await).0, 304);
    head().if_match(&etag).send().await.expect("it matches");
    assert_eq!(
        refusal(client.get_object().bucket(BUCKET).key("b").if_match(&etag).send().await),
        (404, "NoSuchKey".into())
    );
    assert_eq!(refusal(client.head_object().bucket(BUCKET).key("b").send().await).0, 404);
}

#[tokio::test]
async fn conditions_of_writes_are_decided_when_the_body_has_come() {
    let server = server();
    let client = client(&server);
    let put = |key: &str, text: &'static str| {
        client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(text.as_bytes()))
    };
    let first = put("a", "1").if_none_match("*").send().await.expect("nothing was there").e_tag.expect("an ETag");
    assert_eq!(refusal(put("a", "2").if_none_match("*").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refusal(put("b", "2").if_match(&first).send().await), (404, "NoSuchKey".into()));
    put("a", "3").if_match(&first).send().await.expect("it is what it was");
    assert_eq!(refusal(put("a", "4").if_match(&first).send().await), (412, "PreconditionFailed".into()));
    let delete = client.delete_object().bucket(BUCKET).key("a");
    assert_eq!(refusal(delete.if_match(&first).send().await), (412, "PreconditionFailed".into()));
    assert_eq!(read(&client, "a").await, b"3");
}

#[tokio::test]
async fn a_store_without_preconditions_ignores_them_silently() {
    let bucket_options = BucketOptions { preconditions_ignored: true, ..BucketOptions::default() };
    let server = server_with(ServeOptions { bucket_options, ..ServeOptions::default() });
    let client = client(&server);
    let first = put(&client, "a", bytes(1, 3)).await;
    let second = client.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(b"2")).if_none_match("*");
    second.send().await.expect("ignored");
    let get = client.get_object().bucket(BUCKET).key("a").if_match(first).send().await;
    assert_eq!(refusal(get).0, 412);
}

#[tokio::test]
async fn versions_are_kept_listed_read_and_removed() {
    let server = versioned();
    let client = client(&server);
    let put =
        |text: &'static str| client.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(text.as_bytes()));
    let one = put("one").send().await.expect("a PUT").version_id.expect("a version");
    let two = put("two").send().await.expect("a PUT").version_id.expect("a version");
    let get = |version: &str| client.get_object().bucket(BUCKET).key("a").version_id(version).send();
    let old = get(&one).await.expect("the old version");
    assert_eq!(old.version_id(), Some(one.as_str()));
    assert_eq!(old.body.collect().await.expect("a body").to_vec(), b"one");

    let deleted = client.delete_object().bucket(BUCKET).key("a").send().await.expect("a DELETE");
    assert_eq!(deleted.delete_marker(), Some(true));
    let marker = deleted.version_id.expect("a marker");
    let gone = client.get_object().bucket(BUCKET).key("a").send().await.expect_err("deleted");
    let headers = gone.raw_response().expect("an answer").headers();
    assert_eq!(headers.get("x-amz-delete-marker"), Some("true"));
    assert_eq!(headers.get("x-amz-version-id"), Some(marker.as_str()));
    assert_eq!(refusal(get(&marker).await), (405, "MethodNotAllowed".into()));
    assert_eq!(refusal(get("nonsense").await), (404, "NoSuchVersion".into()));

    let listed = client.list_object_versions().bucket(BUCKET).send().await.expect("a listing");
    let ids: Vec<_> = listed.versions().iter().map(|version| version.version_id().unwrap_or_default()).collect();
    assert_eq!(ids, [two.as_str(), one.as_str()]);
    assert_eq!(listed.delete_markers()[0].is_latest(), Some(true));

    client.delete_object().bucket(BUCKET).key("a").version_id(&marker).send().await.expect("a marker removed");
    assert_eq!(read(&client, "a").await, b"two");
}

#[tokio::test]
async fn all_versions_come_across_pages() {
    let server = versioned();
    let client = client(&server);
    for round in 0..3 {
        for key in ["a", "b c", "d/\u{e9}"] {
            put(&client, key, bytes(round, 4)).await;
        }
    }
    for max_keys in [1, 2, 4, 100] {
        let (mut key, mut id, mut count) = (None, None, 0);
        loop {
            let list = client.list_object_versions().bucket(BUCKET).max_keys(max_keys);
            let page = list.set_key_marker(key).set_version_id_marker(id).send().await.expect("a page");
            count += page.versions().len();
            if page.is_truncated() != Some(true) {
                break;
            }
            (key, id) = (page.next_key_marker, page.next_version_id_marker);
        }
        assert_eq!(count, 9);
    }
}

#[tokio::test]
async fn versioning_is_switched_on_and_suspended() {
    let server = server();
    let client = client(&server);
    put(&client, "a", bytes(1, 1)).await;
    let status = || client.get_bucket_versioning().bucket(BUCKET).send();
    assert_eq!(status().await.expect("a status").status(), None);
    for wanted in [BucketVersioningStatus::Enabled, BucketVersioningStatus::Suspended] {
        let configuration = VersioningConfiguration::builder().status(wanted.clone()).build();
        let set = client.put_bucket_versioning().bucket(BUCKET).versioning_configuration(configuration);
        set.send().await.expect("switched");
        assert_eq!(status().await.expect("a status").status(), Some(&wanted));
    }
    let head = client.head_object().bucket(BUCKET).key("a").send().await.expect("a HEAD");
    assert_eq!(head.version_id(), Some("null"));
}

#[tokio::test]
async fn odd_keys_survive_every_operation() {
    let server = server();
    let client = client(&server);
    let keys = [
        "space and+plus",
        "per%20cent",
        "//double//slash//",
        "/leading",
        "trailing/",
        ".",
        "..",
        "a/../b",
        "a?b#c&d=e",
        "\u{e4}\u{f6}\u{1f3ac}",
        "quote\"'<>&",
        "tab\tnewline\nreturn\r",
        "back\\slash",
        "control\u{1}",
        "~*()!",
        "=",
    ];
    for (seed, key) in keys.iter().enumerate() {
        put(&client, key, bytes(seed, 50)).await;
        assert_eq!(read(&client, key).await, bytes(seed, 50), "{key:?}");
        client.head_object().bucket(BUCKET).key(*key).send().await.expect("a HEAD");
        assert!(server.bucket(BUCKET).expect("the bucket").lock().expect("its lock").current(key).is_some(), "{key:?}");
    }
    let list =
        client.list_objects_v2().bucket(BUCKET).encoding_type(EncodingType::Url).send().await.expect("a listing");
    let mut listed: Vec<String> =
        list.contents().iter().map(|object| decoded(object.key().unwrap_or_default())).collect();
    let mut wanted: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    listed.sort();
    wanted.sort();
    assert_eq!(listed, wanted);
    assert_eq!(list.encoding_type(), Some(&EncodingType::Url));
    for key in keys {
        client.delete_object().bucket(BUCKET).key(key).send().await.expect("a DELETE");
    }
    assert!(server.bucket(BUCKET).expect("the bucket").lock().expect("its lock").is_empty());
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
            }
            plain => bytes.push(plain),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[tokio::test]
async fn a_listing_pages_through_directories() {
    let server = server();
    let client = client(&server);
    for key in ["a", "b/1", "b/2", "b/c/3", "d e/1", "f"] {
        put(&client, key, bytes(1, 5)).await;
    }
    for max_keys in 1..=5 {
        let (mut keys, mut prefixes, mut token) = (Vec::new(), Vec::new(), None);
        loop {
            let list = client.list_objects_v2().bucket(BUCKET).delimiter("/").max_keys(max_keys);
            let page = list.set_continuation_token(token).send().await.expect("a page");
            assert_eq!(page.key_count(), Some((page.contents().len() + page.common_prefixes().len()) as i32));
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
            prefixes.extend(page.common_prefixes().iter().filter_map(|prefix| prefix.prefix().map(str::to_owned)));
            token = page.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!((keys, prefixes), (vec!["a".into(), "f".into()], vec!["b/".to_owned(), "d e/".into()]));
    }
    let beneath = client.list_objects_v2().bucket(BUCKET).prefix("b/").delimiter("/").start_after("b/1").send().await;
    let beneath = beneath.expect("a listing");
    assert_eq!(beneath.contents()[0].key(), Some("b/2"));
    assert_eq!(beneath.common_prefixes()[0].prefix(), Some("b/c/"));

    let (mut marker, mut seen) = (None, Vec::new());
    loop {
        let page = client.list_objects().bucket(BUCKET).delimiter("/").max_keys(1).set_marker(marker).send().await;
        let page = page.expect("a page");
        seen.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        seen.extend(page.common_prefixes().iter().filter_map(|prefix| prefix.prefix().map(str::to_owned)));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a", "b/", "d e/", "f"]);
}

#[tokio::test]
async fn many_keys_are_deleted_at_once() {
    let server = server();
    let client = client(&server);
    put(&client, "a", bytes(1, 1)).await;
    put(&client, "b", bytes(1, 1)).await;
    let named = |key: &str| ObjectIdentifier::builder().key(key).build().expect("a key");
    let delete = Delete::builder().objects(named("a")).objects(named("never")).build().expect("keys");
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.expect("a DeleteObjects");
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (2, 0));
    let list = client.list_objects_v2().bucket(BUCKET).send().await.expect("a listing");
    assert_eq!(list.contents().len(), 1);
}

#[tokio::test]
async fn copies_carry_conditions_and_replace_attributes() {
    let server = server();
    let client = client(&server);
    let etag = put(&client, "a b", bytes(5, 1000)).await;
    let copy = |to: &str| client.copy_object().bucket(BUCKET).key(to).copy_source(format!("{BUCKET}/a%20b"));
    let copied = copy("c").copy_source_if_match(&etag).send().await.expect("a copy");
    assert_eq!(copied.copy_object_result().and_then(|result| result.e_tag()), Some(etag.as_str()));
    assert_eq!(refusal(copy("c").copy_source_if_match("\"other\"").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refusal(copy("c").if_none_match("*").send().await), (412, "PreconditionFailed".into()));
    assert_eq!(refusal(copy("a b").send().await), (400, "InvalidRequest".into()));
    let replaced = copy("a b").metadata_directive(MetadataDirective::Replace).metadata("uid", "1000").send().await;
    replaced.expect("new attributes");
    let head = client.head_object().bucket(BUCKET).key("a b").send().await.expect("a HEAD");
    assert_eq!(head.metadata().and_then(|metadata| metadata.get("uid")).map(String::as_str), Some("1000"));
    let missing = client.copy_object().bucket(BUCKET).key("c").copy_source(format!("{BUCKET}/none")).send().await;
    assert_eq!(refusal(missing), (404, "NoSuchKey".into()));
}

#[tokio::test]
async fn a_multipart_upload_joins_parts_and_copied_ranges() {
    let server = server();
    let client = client(&server);
    let old = bytes(1, 6 * MIB);
    let old_etag = put(&client, "old", old.clone()).await;
    let create = client.create_multipart_upload().bucket(BUCKET).key("new").metadata("k", "v").send().await;
    let upload = create.expect("an upload").upload_id.expect("its id");

    let copy = client.upload_part_copy().bucket(BUCKET).key("new").upload_id(&upload).part_number(1);
    let copy = copy.copy_source(format!("{BUCKET}/old")).copy_source_range("bytes=0-5242879");
    let copied = copy.clone().copy_source_if_match(&old_etag).send().await.expect("a part copy");
    assert_eq!(refusal(copy.copy_source_if_match("\"other\"").send().await), (412, "PreconditionFailed".into()));
    let part = client.upload_part().bucket(BUCKET).key("new").upload_id(&upload).part_number(2);
    let part = part.body(ByteStream::from(bytes(2, MIB))).send().await.expect("a part");

    let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await.expect("uploads");
    assert_eq!(uploads.uploads()[0].upload_id(), Some(upload.as_str()));
    let parts = client.list_parts().bucket(BUCKET).key("new").upload_id(&upload).max_parts(1).send().await;
    let parts = parts.expect("parts");
    assert_eq!((parts.parts().len(), parts.is_truncated()), (1, Some(true)));

    let first = copied.copy_part_result.and_then(|result| result.e_tag).expect("an ETag");
    let completed = |number: i32, etag: &str| CompletedPart::builder().part_number(number).e_tag(etag).build();
    let all = CompletedMultipartUpload::builder()
        .parts(completed(1, &first))
        .parts(completed(2, &part.e_tag.expect("an ETag")))
        .build();
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("new").upload_id(&upload);
    let complete = complete.multipart_upload(all);
    let done = complete.clone().if_none_match("*").send().await.expect("completed");
    assert!(done.e_tag().is_some_and(|etag| etag.ends_with("-2\"")));
    assert_eq!(read(&client, "new").await, [&old[..5 * MIB], &bytes(2, MIB)].concat());
    complete.send().await.expect("a repetition is answered alike");

    let abort = client.abort_multipart_upload().bucket(BUCKET).key("new").upload_id(&upload).send().await;
    assert_eq!(refusal(abort), (404, "NoSuchUpload".into()));
}

#[tokio::test]
async fn parts_that_are_too_small_are_refused_unless_the_limits_say_otherwise() {
    async fn try_two_small_parts(server: &Server) -> Result<(), (u16, String)> {
        let client = client(server);
        let create = client.create_multipart_upload().bucket(BUCKET).key("a").send().await;
        let upload = create.expect("an upload").upload_id.expect("its id");
        let mut all = CompletedMultipartUpload::builder();
        for number in 1..=2 {
            let part = client.upload_part().bucket(BUCKET).key("a").upload_id(&upload).part_number(number);
            let part = part.body(ByteStream::from_static(b"small")).send().await.expect("a part");
            all = all.parts(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
        }
        let complete = client.complete_multipart_upload().bucket(BUCKET).key("a").upload_id(&upload);
        let done = complete.multipart_upload(all.build()).send().await;
        if done.is_ok() { Ok(()) } else { Err(refusal(done)) }
    }
    assert_eq!(try_two_small_parts(&server()).await, Err((400, "EntityTooSmall".into())));
    let limits = Limits { part_bytes_min: 1, ..Limits::default() };
    let bucket_options = BucketOptions { limits, ..BucketOptions::default() };
    let lenient = server_with(ServeOptions { bucket_options, ..ServeOptions::default() });
    assert_eq!(try_two_small_parts(&lenient).await, Ok(()));
}

#[tokio::test]
async fn a_get_in_flight_keeps_its_version_when_the_object_is_replaced_and_deleted() {
    let server = server();
    let client = client(&server);
    let old = bytes(1, 64 * MIB);
    put(&client, "film", old.clone()).await;
    let mut got = client.get_object().bucket(BUCKET).key("film").send().await.expect("a GET");
    let mut received = got.body.next().await.expect("bytes").expect("bytes").to_vec();
    put(&client, "film", bytes(9, 1000)).await;
    client.delete_object().bucket(BUCKET).key("film").send().await.expect("a DELETE");
    while let Some(chunk) = got.body.next().await {
        received.extend_from_slice(&chunk.expect("bytes of the old version"));
    }
    assert!(received == old);
}

#[tokio::test]
async fn a_stopped_server_breaks_bodies_off_and_serves_the_same_buckets_after_a_restart() {
    let mut server = server();
    let client = client(&server);
    put(&client, "film", bytes(1, 64 * MIB)).await;
    let mut got = client.get_object().bucket(BUCKET).key("film").send().await.expect("a GET");
    let mut received = got.body.next().await.expect("bytes").expect("bytes").len();
    server.stop();
    let broken = loop {
        match got.body.next().await {
            Some(Ok(chunk)) => received += chunk.len(),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken && received < 64 * MIB, "{received} bytes came");
    assert!(client.head_object().bucket(BUCKET).key("film").send().await.is_err());
    assert!(TcpStream::connect(server.addr()).is_err());

    server.restart().expect("the same port");
    assert_eq!(read(&client, "film").await.len(), 64 * MIB);
    assert_eq!(server.stats().connections_open, 1);
}

#[tokio::test]
async fn statistics_count_requests_and_the_bytes_of_bodies() {
    let server = server();
    let client = client(&server);
    put(&client, "a", bytes(1, MIB)).await;
    server.reset_stats();
    read(&client, "a").await;
    read(&client, "a").await;
    client.head_object().bucket(BUCKET).key("a").send().await.expect("a HEAD");
    let stats = server.stats();
    assert_eq!((stats.count("GetObject"), stats.count("HeadObject"), stats.total()), (2, 1, 3));
    assert_eq!((stats.bytes_out, stats.bytes_in), (2 * MIB as u64, 0));
    assert_eq!(stats.statuses.get(&200), Some(&3));

    let page = raw(&server, "GET /-/stats HTTP/1.1\r\nhost: x");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("\"GetObject\":2"), "{page}");
    assert!(raw(&server, "POST /-/stats/reset HTTP/1.1\r\nhost: x").starts_with("HTTP/1.1 204"));
    assert_eq!(server.stats().total(), 0);
}

#[tokio::test]
async fn only_good_signatures_get_in_unless_anybody_may() {
    let server = server();
    let client = client(&server);
    put(&client, "a", b"hello".to_vec()).await;
    let stranger = client_as(&server, "guessed").get_object().bucket(BUCKET).key("a").send().await;
    assert_eq!(refusal(stranger), (403, "SignatureDoesNotMatch".into()));
    assert!(raw(&server, "GET /holdfast/a HTTP/1.1\r\nhost: x").starts_with("HTTP/1.1 403"));

    let open = server_with(ServeOptions { anonymous: true, ..ServeOptions::default() });
    put(&client_as(&open, "holdfast-secret"), "a", b"hello".to_vec()).await;
    assert!(raw(&open, "GET /holdfast/a HTTP/1.1\r\nhost: x").ends_with("hello"));
    assert!(raw(&open, "GET /a HTTP/1.1\r\nhost: holdfast.localhost:9000").ends_with("hello"));
}

#[tokio::test]
async fn a_body_that_does_not_fit_its_checksum_is_refused() {
    let server = server();
    let client = client(&server);
    let put = || client.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(b"hello"));
    let wrong = put().checksum_crc32("AAAAAA==").send().await;
    assert_eq!(refusal(wrong), (400, "BadDigest".into()));
    let wrong = put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await;
    assert_eq!(refusal(wrong), (400, "BadDigest".into()));
    assert!(server.bucket(BUCKET).expect("the bucket").lock().expect("its lock").is_empty());
}

#[tokio::test]
async fn buckets_come_and_go() {
    let server = server();
    let client = client(&server);
    client.create_bucket().bucket("second").send().await.expect("a bucket");
    assert_eq!(refusal(client.create_bucket().bucket("second").send().await), (409, "BucketAlreadyOwnedByYou".into()));
    let names = client.list_buckets().send().await.expect("buckets");
    let names: Vec<_> = names.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, [BUCKET, "second"]);
    client.head_bucket().bucket("second").send().await.expect("it is there");
    client.get_bucket_location().bucket("second").send().await.expect("it is somewhere");
    put(&client, "a", b"x".to_vec()).await;
    assert_eq!(refusal(client.delete_bucket().bucket(BUCKET).send().await), (409, "BucketNotEmpty".into()));
    client.delete_bucket().bucket("second").send().await.expect("it was empty");
    assert_eq!(refusal(client.head_bucket().bucket("second").send().await).0, 404);
    assert_eq!(refusal(client.get_object().bucket("second").key("a").send().await), (404, "NoSuchBucket".into()));
}

#[tokio::test]
async fn latency_and_bandwidth_are_as_slow_as_asked() {
    let server = server_with(ServeOptions {
        latency: Duration::from_millis(60),
        bandwidth_per_connection: Some(10 * MIB as u64),
        ..ServeOptions::default()
    });
    let client = client(&server);
    put(&client, "a", bytes(1, 2 * MIB)).await;
    let begun = Instant::now();
    client.head_object().bucket(BUCKET).key("a").send().await.expect("a HEAD");
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let begun = Instant::now();
    assert_eq!(read(&client, "a").await, bytes(1, 2 * MIB));
    assert!(begun.elapsed() >= Duration::from_millis(240), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_directory_is_imported_with_its_dates() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(directory.path().join("films/old")).expect("a directory");
    let body = bytes(4, 3 * MIB + 5);
    std::fs::write(directory.path().join("films/old/a.mp4"), &body).expect("a file");
    std::fs::write(directory.path().join("b"), b"").expect("a file");
    let import = Some(directory.path().to_path_buf());
    let server = server_with(ServeOptions { import, ..ServeOptions::default() });
    let client = client(&server);
    assert_eq!(read(&client, "films/old/a.mp4").await, body);
    let list = client.list_objects_v2().bucket(BUCKET).send().await.expect("a listing");
    assert_eq!(list.contents().len(), 2);
    let modified = list.contents()[0].last_modified().map(DateTime::secs);
    assert!(modified.is_some_and(|seconds| seconds > 1_600_000_000));
}

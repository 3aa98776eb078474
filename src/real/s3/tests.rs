//! The S3 store against servers that answer what no healthy one would.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use tokio::runtime::Runtime;

use super::{ConnectError, S3Options, S3Store, StaticCredentials};
use crate::env::Store as _;
use crate::env::store::{
    Body as _, ByteRange, CompleteUpload, Copy, CopySource, ErrorKind, Get, Head, List, NewObject, Put, ReadConditions,
    StoreError,
};

const SECRET: &str = "the-secret-access-key";

/// Which server a child process is to use, and where it finds what the test prepared.
const CHILD_URL: &str = "HOLDFAST_TEST_URL";

/// Runs one of the tests below that are marked as a child's, in a process with nothing of AWS in its environment but
/// `environment`: setting variables in this process could disturb other tests.
fn in_child(test: &str, environment: &[(&str, &str)]) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        child.env_remove(name);
    }
    child.args(["--exact", &format!("real::s3::tests::{test}"), "--ignored", "--nocapture"]);
    child.envs([
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
        ("HOME", "/nonexistent"),
    ]);
    let output = child.envs(environment.iter().copied()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
}

/// Answers each request with the next of its answers, then closes the connection; remembers the requests' heads.
struct Script {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
    runtime: Runtime,
}

impl Script {
    fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        // Said aloud, or the client might send its next request into the connection that is just being closed.
        let closing = |answer: &&str| answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let answers: Vec<_> = answers.iter().map(closing).collect();
        let seen = heads.clone();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    let len = stream.read(&mut buffer).unwrap();
                    assert_ne!(len, 0, "the client hung up");
                    request.extend_from_slice(&buffer[..len]);
                }
                seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                stream.write_all(answer.as_bytes()).unwrap();
                // Whatever is left of a request's body must be read, or closing resets the connection.
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                while stream.read(&mut buffer).is_ok_and(|len| len > 0) {}
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { url, heads, runtime }
    }

    fn options(&self) -> S3Options {
        S3Options {
            region: Some("us-east-1".into()),
            endpoint_url: Some(self.url.clone()),
            credentials: Some(StaticCredentials {
                access_key_id: "the-key-id".into(),
                secret_access_key: SECRET.into(),
            }),
            ..S3Options::new("films")
        }
    }

    fn connect_with(&self, options: S3Options) -> Result<S3Store, ConnectError> {
        self.runtime.block_on(S3Store::connect(options, self.runtime.handle().clone()))
    }

    fn connect(&self) -> Result<S3Store, ConnectError> {
        self.connect_with(self.options())
    }

    /// A store whose probe was answered by `EMPTY_LISTING`, the script's first answer.
    fn store(answers: &[&str]) -> (Self, S3Store) {
        let script = Self::answering(&[&[EMPTY_LISTING], answers].concat());
        let store = script.connect().unwrap();
        (script, store)
    }

    /// A GET's meta and bytes.
    fn get(&self, store: &S3Store, range: Option<ByteRange>) -> Result<(std::ops::Range<u64>, Vec<u8>), StoreError> {
        let request = Get { key: "film".into(), version_id: None, range, conditions: ReadConditions::none() };
        self.runtime.block_on(async {
            let mut reply = store.get(request).await?;
            let mut read = Vec::new();
            while let Some(frame) = reply.body.next().await {
                read.extend_from_slice(&frame?);
            }
            Ok((reply.range, read))
        })
    }

    fn get_fails(answer: &str) -> StoreError {
        let (script, store) = Self::store(&[answer]);
        script.get(&store, Some(ByteRange::Within { start: 0, end: 4 })).unwrap_err()
    }

    fn head(&self, store: &S3Store) -> Result<(), StoreError> {
        let request = Head { key: "film".into(), version_id: None, conditions: ReadConditions::none() };
        self.runtime.block_on(store.head(request)).map(drop)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

const EMPTY_LISTING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 87\r\n\r\n\
    <ListBucketResult><Name>films</Name><IsTruncated>false</IsTruncated></ListBucketResult>";

const FOUND: &str = "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 4\r\n\r\n";

fn error(status: u16, headers: &str, code: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Message>words of the server</Message></Error>");
    format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn http_date(time: SystemTime) -> String {
    DateTime::from(time).fmt(Format::HttpDate).unwrap()
}

#[test]
fn a_server_that_ignores_the_range_is_reported_as_it_answered() {
    let (script, store) = Script::store(&["HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 10\r\n\r\n0123456789"]);
    let (range, read) = script.get(&store, Some(ByteRange::From(5))).unwrap();
    assert_eq!((range, read), (0..10, b"0123456789".to_vec()));
}

#[test]
fn a_partial_answer_must_say_which_part_it_is() {
    for header in ["", "Content-Range: bytes */10\r\n", "Content-Range: bytes 0-9/10\r\n"] {
        let answer = format!("HTTP/1.1 206 Partial\r\nETag: \"abc\"\r\n{header}Content-Length: 4\r\n\r\n0123");
        assert_eq!(Script::get_fails(&answer).kind, ErrorKind::InvalidAnswer, "{header}");
    }
}

#[test]
fn an_answer_without_an_etag_names_no_version() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n0123";
    assert_eq!(Script::get_fails(answer).kind, ErrorKind::InvalidAnswer);
}

#[test]
fn a_body_that_ends_early_is_broken() {
    for answer in [
        "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 4\r\n\r\n012",
        // No length at all: the range says how long it should be.
        "HTTP/1.1 206 OK\r\nETag: \"abc\"\r\nContent-Range: bytes 0-3/4\r\n\r\n012",
    ] {
        assert_eq!(Script::get_fails(answer).kind, ErrorKind::BrokenBody);
    }
}

#[test]
fn a_body_that_goes_on_too_long_is_no_answer_to_the_question() {
    let answer = "HTTP/1.1 206 OK\r\nETag: \"abc\"\r\nContent-Range: bytes 0-3/4\r\n\r\n01234567";
    assert_eq!(Script::get_fails(answer).kind, ErrorKind::InvalidAnswer);
}

#[test]
fn errors_keep_the_words_and_the_pause_that_the_server_asked_for() {
    let failure = Script::get_fails(&error(503, "Retry-After: 7\r\n", "SlowDown"));
    assert_eq!(failure.kind, ErrorKind::Throttled);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert!(failure.message.contains("SlowDown") && failure.message.contains("words of the server"), "{failure}");
}

#[test]
fn an_error_page_of_a_proxy_is_told_by_its_status() {
    let page = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n<html>no<br>no</";
    assert_eq!(Script::get_fails(page).kind, ErrorKind::Unavailable);
}

#[test]
fn a_not_found_page_that_is_not_s3s_says_nothing_about_the_object() {
    for status in ["404 Not Found", "412 Precondition Failed"] {
        let page =
            format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 17\r\n\r\n<html>no backend<");
        assert_eq!(Script::get_fails(&page).kind, ErrorKind::InvalidAnswer);
    }
    assert_eq!(Script::get_fails(&error(404, "", "NoSuchKey")).kind, ErrorKind::NotFound);
    assert_eq!(Script::get_fails("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").kind, ErrorKind::NotFound);
}

#[test]
fn a_delete_marker_is_nothing_found() {
    let marker = "HTTP/1.1 405 No\r\nx-amz-delete-marker: true\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(Script::get_fails(marker).kind, ErrorKind::NotFound);
}

#[test]
fn a_connection_that_breaks_before_the_answer_is_ambiguous() {
    let failure = Script::get_fails("HTTP/1.1 200");
    assert_eq!(failure.kind, ErrorKind::NoAnswer);
    assert!(failure.kind.is_ambiguous());
}

#[test]
fn a_server_that_is_gone_is_unreachable_and_nothing_was_sent() {
    let (script, store) = Script::store(&[]);
    // The script's thread ends with its last answer and closes the listener.
    let kind = (0..100).find_map(|_| match script.head(&store) {
        Err(StoreError { kind: ErrorKind::Unreachable, .. }) => Some(ErrorKind::Unreachable),
        _ => {
            thread::sleep(Duration::from_millis(10));
            None
        }
    });
    assert_eq!(kind, Some(ErrorKind::Unreachable));
}

#[test]
fn a_success_that_holds_an_error_is_an_error() {
    let inside = ok("<Error><Code>InternalError</Code><Message>later</Message></Error>");
    let (script, store) = Script::store(&[&inside, &inside]);
    let source = CopySource { key: "a".into(), version_id: None, conditions: ReadConditions::none() };
    let copy = Copy { source, key: "b".into(), replace: None, condition: None };
    let answer = script.runtime.block_on(store.copy(copy));
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Unavailable);
    let complete =
        CompleteUpload { key: "b".into(), upload: "u".into(), parts: vec![(1, "e".into())], condition: None };
    let answer = script.runtime.block_on(store.complete_upload(complete));
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Unavailable);
}

#[test]
fn a_truncated_listing_without_a_token_is_not_taken_for_the_whole() {
    let (script, store) = Script::store(&[&ok("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")]);
    let answer = script.runtime.block_on(store.list(List { max_keys: 10, ..List::default() }));
    assert_eq!(answer.unwrap_err().kind, ErrorKind::InvalidAnswer);
}

#[test]
fn listed_names_are_decoded_only_if_the_server_says_that_it_encoded_them() {
    let listing = |encoding: &str| {
        ok(&format!(
            "<ListBucketResult>{encoding}<IsTruncated>false</IsTruncated><Contents><Key>a+%2B</Key>\
             <ETag>&quot;e&quot;</ETag><Size>1</Size></Contents></ListBucketResult>"
        ))
    };
    let encoded = listing("<EncodingType>url</EncodingType>");
    let (script, store) = Script::store(&[&encoded, &listing("")]);
    for key in ["a +", "a+%2B"] {
        let page = script.runtime.block_on(store.list(List { max_keys: 10, ..List::default() })).unwrap();
        assert_eq!(page.objects[0].key.as_str(), key);
    }
    assert!(script.heads()[1].contains("encoding-type=url"));
}

#[test]
fn a_bucket_in_another_region_is_followed_there() {
    let elsewhere = error(301, "x-amz-bucket-region: eu-west-1\r\n", "PermanentRedirect");
    let script = Script::answering(&[&elsewhere, EMPTY_LISTING, FOUND]);
    let store = script.connect().unwrap();
    assert_eq!(store.region(), "eu-west-1");
    script.head(&store).unwrap();
    let heads = script.heads();
    assert!(heads[0].contains("/us-east-1/s3/aws4_request"));
    assert!(heads[1..].iter().all(|head| head.contains("/eu-west-1/s3/aws4_request")));
}

#[test]
fn a_region_that_only_the_words_name_is_followed_too() {
    let words = "the region 'us-east-1' is wrong; expecting 'eu-central-1'";
    let body = format!("<Error><Code>AuthorizationHeaderMalformed</Code><Message>{words}</Message></Error>");
    let elsewhere = format!("HTTP/1.1 400 Bad\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let script = Script::answering(&[&elsewhere, EMPTY_LISTING]);
    assert_eq!(script.connect().unwrap().region(), "eu-central-1");
}

#[test]
fn a_wrong_clock_is_corrected_by_the_servers_date() {
    let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
    let date = format!("Date: {}\r\n", http_date(in_an_hour));
    let script = Script::answering(&[&error(403, &date, "RequestTimeTooSkewed"), EMPTY_LISTING]);
    script.connect().unwrap();
    let signed_at: Vec<_> = script
        .heads()
        .iter()
        .map(|head| {
            let head = head.to_ascii_lowercase();
            let (_, rest) = head.split_once("x-amz-date: ").unwrap();
            let compact = rest.split("\r\n").next().unwrap().to_ascii_uppercase();
            let (day, time) = (&compact[..8], &compact[9..15]);
            format!("{}-{}-{}T{}:{}:{}Z", &day[..4], &day[4..6], &day[6..], &time[..2], &time[2..4], &time[4..])
        })
        .map(|text| DateTime::from_str(&text, Format::DateTime).unwrap().secs())
        .collect();
    assert!((3595..3605).contains(&(signed_at[1] - signed_at[0])), "{signed_at:?}");
}

#[test]
fn a_failure_that_cannot_be_healed_is_tried_once() {
    let (script, store) = Script::store(&[&error(403, "", "AccessDenied"), FOUND]);
    assert_eq!(script.get(&store, None).unwrap_err().kind, ErrorKind::AccessDenied);
    assert_eq!(script.heads().len(), 2, "the probe and one attempt");
}

#[test]
fn connecting_fails_with_a_sentence_that_says_why() {
    for (answer, expected) in [
        (error(404, "", "NoSuchBucket"), "bucket \"films\" does not exist at http://"),
        (error(403, "", "AccessDenied"), "may not list bucket \"films\" under prefix \"\""),
        (error(403, "", "InvalidAccessKeyId"), "refused the credentials for bucket \"films\""),
        (error(403, "", "SignatureDoesNotMatch"), "refused the credentials"),
        (error(501, "", "NotImplemented"), "cannot be used (not supported by the store: "),
    ] {
        let script = Script::answering(&[&answer]);
        let sentence = script.connect().unwrap_err().to_string();
        assert!(sentence.contains(expected), "{sentence}");
        assert!(!sentence.contains(SECRET) && !sentence.contains("Signature="), "{sentence}");
    }
    let script = Script::answering(&[]);
    let nowhere = S3Options { endpoint_url: Some("http://127.0.0.1:1".into()), ..script.options() };
    let sentence = script.connect_with(nowhere).unwrap_err().to_string();
    assert!(sentence.starts_with("cannot reach http://127.0.0.1:1"), "{sentence}");
    let unnamed = S3Options { bucket: String::new(), ..script.options() };
    assert!(matches!(script.connect_with(unnamed), Err(ConnectError::NoBucketNamed)));
}

#[test]
fn anonymous_requests_are_not_signed() {
    let script = Script::answering(&[EMPTY_LISTING]);
    script.connect_with(S3Options { anonymous: true, credentials: None, ..script.options() }).unwrap();
    assert!(!script.heads()[0].to_ascii_lowercase().contains("authorization"));
}

#[test]
fn what_concerns_the_bucket_as_such_is_sent_with_every_request_and_signed() {
    let script = Script::answering(&[EMPTY_LISTING]);
    let expected_bucket_owner = Some("123456789012".into());
    let options = S3Options { requester_pays: true, expected_bucket_owner, ..script.options() };
    script.connect_with(options).unwrap();
    let head = script.heads()[0].to_ascii_lowercase();
    for header in ["x-amz-request-payer: requester", "x-amz-expected-bucket-owner: 123456789012"] {
        assert!(head.contains(header), "{head}");
    }
    let (_, signed) = head.split_once("signedheaders=").unwrap();
    let signed = signed.split(',').next().unwrap();
    assert!(signed.contains("x-amz-request-payer") && signed.contains("x-amz-expected-bucket-owner"), "{signed}");
}

#[test]
fn uploads_are_sent_plainly_with_their_length() {
    let written = "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 0\r\n\r\n";
    let (script, store) = Script::store(&[written]);
    let object = NewObject::default();
    let put = Put { key: "film".into(), body: "bytes".into(), object, condition: None };
    script.runtime.block_on(store.put(put)).unwrap();
    let head = script.heads()[1].to_ascii_lowercase();
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    for unwanted in ["aws-chunked", "transfer-encoding", "expect:", "x-amz-checksum", "x-amz-sdk-checksum"] {
        assert!(!head.contains(unwanted), "{unwanted} in {head}");
    }
}

#[test]
fn without_credentials_anywhere_connecting_says_so() {
    in_child("child_without_credentials", &[]);
}

#[test]
#[ignore = "run by without_credentials_anywhere_connecting_says_so"]
fn child_without_credentials() {
    let script = Script::answering(&[]);
    let sentence = script.connect_with(S3Options { credentials: None, ..script.options() }).unwrap_err().to_string();
    assert!(sentence.starts_with("found no AWS credentials"), "{sentence}");
}

#[test]
fn endpoint_region_and_keys_come_from_the_environment() {
    let script = Script::answering(&[EMPTY_LISTING]);
    in_child(
        "child_with_everything_in_the_environment",
        &[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_S3", &script.url),
            ("AWS_REGION", "eu-west-3"),
            ("AWS_ACCESS_KEY_ID", "key-of-environment"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ],
    );
    let head = &script.heads()[0];
    assert!(head.starts_with("GET /films") && head.contains("Credential=key-of-environment/"), "{head}");
    assert!(head.contains("/eu-west-3/s3/aws4_request"), "{head}");
}

#[test]
#[ignore = "run by endpoint_region_and_keys_come_from_the_environment"]
fn child_with_everything_in_the_environment() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(S3Store::connect(S3Options::new("films"), runtime.handle().clone())).unwrap();
}

#[test]
fn an_expired_token_is_replaced_by_what_the_credentials_file_says_now() {
    let expired = error(400, "", "ExpiredToken");
    let bare = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let script = Script::answering(&[EMPTY_LISTING, &expired, EMPTY_LISTING, bare]);
    let directory = tempfile::tempdir().unwrap();
    let credentials = directory.path().join("credentials");
    let path = credentials.to_str().unwrap();
    in_child(
        "child_whose_token_expires",
        &[(CHILD_URL, &script.url), ("AWS_SHARED_CREDENTIALS_FILE", path), ("AWS_REGION", "us-east-1")],
    );
    let keys: Vec<_> = script.heads().iter().map(|head| head.contains("Credential=key-of-tomorrow/")).collect();
    assert_eq!(keys, [false, false, true, true], "and no second refresh so soon after the first");
}

#[test]
#[ignore = "run by an_expired_token_is_replaced_by_what_the_credentials_file_says_now"]
fn child_whose_token_expires() {
    let path = std::env::var("AWS_SHARED_CREDENTIALS_FILE").unwrap();
    let keys = |id: &str| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = secret\n");
    std::fs::write(&path, keys("key-of-today")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = S3Options { endpoint_url: std::env::var(CHILD_URL).ok(), ..S3Options::new("films") };
    let store = runtime.block_on(S3Store::connect(options, runtime.handle().clone())).unwrap();
    std::fs::write(&path, keys("key-of-tomorrow")).unwrap();
    runtime.block_on(store.list(List { max_keys: 1, ..List::default() })).unwrap();
    let head = Head { key: "film".into(), version_id: None, conditions: ReadConditions::none() };
    assert_eq!(runtime.block_on(store.head(head)).unwrap_err().kind, ErrorKind::InvalidRequest);
}

//! moto, an S3 server that nobody here wrote, reached over HTTP through the S3 store.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use holdfast::real::{S3Options, S3Store, StaticCredentials};
use tokio::runtime::Runtime;

use super::Backend;

/// Ends by itself when its standard input closes, so also when this process is killed.
const PROGRAM: &str = "
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(['-H', '127.0.0.1', '-p', sys.argv[1]])
";

const START_MAX: Duration = Duration::from_secs(60);

/// One moto server; ends with this value.
pub struct Moto {
    child: Child,
    endpoint_url: String,
    runtime: Runtime,
    buckets: AtomicU32,
}

impl Moto {
    /// `None`, with one line that says so, if moto is not installed.
    pub fn start() -> Option<Self> {
        let installed =
            Command::new("python3").args(["-c", "import moto.server, flask"]).stderr(Stdio::null()).status();
        if !installed.is_ok_and(|status| status.success()) {
            let line = "moto is not installed (pip install 'moto[server,s3]')";
            assert_ne!(std::env::var("HOLDFAST_REQUIRE").as_deref(), Ok("all"), "{line}");
            println!("SKIP: {line}");
            return None;
        }
        let port = free_port();
        let child = Command::new("python3")
            .args(["-c", PROGRAM, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 has just been run");
        let moto = Self {
            child,
            endpoint_url: format!("http://127.0.0.1:{port}"),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            buckets: AtomicU32::new(0),
        };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < START_MAX, "moto does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    async fn create_bucket(&self, bucket: &str, versioned: bool) {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(&self.endpoint_url)
            .force_path_style(true)
            .build();
        let client = aws_sdk_s3::Client::from_conf(config);
        client.create_bucket().bucket(bucket).send().await.expect("moto makes a bucket");
        if versioned {
            let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let answer = client.put_bucket_versioning().bucket(bucket).versioning_configuration(enabled).send().await;
            answer.expect("moto switches versions on");
        }
    }
}

impl Backend for Moto {
    type Store = S3Store;

    const NAME: &'static str = "moto";

    const DEVIATIONS: &'static [(&'static str, &'static str)] = &[
        ("any_range_of_an_empty_object_is_not_satisfiable", "answers 200 with the empty whole"),
        ("if_match_of_anything_lets_any_object_through", "takes * for an ETag"),
        ("if_match_overrides_if_unmodified_since", "asks for both"),
        ("keys_with_line_feeds_are_stored_and_listed", "its URL patterns end at a line feed"),
        ("a_copy_obeys_the_conditions_on_its_source", "ignores them"),
        ("a_copy_obeys_the_conditions_on_its_target", "ignores them"),
        ("a_copied_part_obeys_the_conditions_on_its_source", "ignores them"),
        ("the_answer_to_a_completion_tells_what_it_created", "its XML root has another name than S3's"),
        ("a_completion_if_match_replaces_only_that_etag", "ignores the condition"),
        ("an_aborted_upload_leaves_nothing", "answers 500 to the completion of an unknown upload"),
        ("an_unknown_upload_is_no_such_upload", "answers 500"),
    ];

    fn bucket(&self, versioned: bool) -> S3Store {
        let bucket = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.runtime.block_on(self.create_bucket(&bucket, versioned));
        let options = S3Options {
            region: Some("us-east-1".into()),
            endpoint_url: Some(self.endpoint_url.clone()),
            credentials: Some(StaticCredentials { access_key_id: "test".into(), secret_access_key: "test".into() }),
            ..S3Options::new(bucket)
        };
        // Not `block_on` of the runtime: connecting must work from anywhere, as everything else must.
        crate::suite::block_on(S3Store::connect(options, self.runtime.handle().clone())).expect("moto can be used")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself; that it is gone afterwards is all that matters.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

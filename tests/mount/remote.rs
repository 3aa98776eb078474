//! Who serves the bucket, and how other clients change it behind the mount's back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use holdfast::bucket::{Bucket, BucketOptions, Content, DigestKind, Versioning};
use holdfast::env::store::{Delete, Key, NewObject};
use holdfast::server::{ServeOptions, Server};
use holdfast_sim::Version;
use holdfast_sim::content::version_bytes;

use crate::mounted::Endpoint;

/// A bucket that somebody serves.
pub trait Remote {
    fn endpoint(&self) -> Endpoint;
    fn bucket(&self) -> &str;
    fn put_bytes(&self, key: &str, bytes: Bytes);
    fn delete(&self, key: &str);

    /// Uploads a version as somebody elsewhere would.
    fn put(&self, key: &str, version: Version, size: u64) {
        self.put_bytes(key, version_bytes(key, version, size));
    }
}

/// The embedded server, in this process.
pub struct Embedded {
    pub server: Mutex<Server>,
    bucket: Arc<Mutex<Bucket>>,
    endpoint: Endpoint,
}

const BUCKET: &str = "holdfast";

impl Embedded {
    pub fn start(versioning: Versioning) -> Self {
        Self::start_far_away(versioning, Duration::ZERO)
    }

    /// A bucket that behaves so.
    pub fn with(bucket_options: BucketOptions) -> Self {
        Self::serving(bucket_options, Duration::ZERO)
    }

    /// Each answer takes so long to begin.
    pub fn start_far_away(versioning: Versioning, latency: Duration) -> Self {
        Self::serving(BucketOptions { versioning, ..BucketOptions::default() }, latency)
    }

    fn serving(bucket_options: BucketOptions, latency: Duration) -> Self {
        let server = Server::start(ServeOptions { bucket_options, latency, ..ServeOptions::default() });
        let server = server.expect("a free port of the loopback interface");
        let options = server.options();
        let endpoint = Endpoint {
            url: server.url().to_string(),
            access_key: options.access_key.clone(),
            secret_key: options.secret_key.clone(),
        };
        let bucket = server.bucket(BUCKET).expect("it exists from the start");
        Self { server: Mutex::new(server), bucket, endpoint }
    }

    /// The model, for a thread of its own.
    pub fn shared(&self) -> Arc<Mutex<Bucket>> {
        self.bucket.clone()
    }

    /// The model itself.
    pub fn model(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the bucket has under a key now.
    pub fn object(&self, key: &str) -> Option<Bytes> {
        // Not under the lock: requests wait for it.
        let content = self.model().current(key)?.content.clone();
        Some(content.to_bytes())
    }

    /// The same of small texts.
    pub fn text(&self, key: &str) -> Option<String> {
        self.object(key).map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"))
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.model().objects().map(|(key, _)| key.to_string()).collect()
    }

    /// An object with more than bytes.
    pub fn put_object(&self, key: &str, bytes: Bytes, object: NewObject) {
        let content = Content::from(bytes);
        // Not under the lock: requests wait for it.
        content.prepare(DigestKind::Md5);
        self.model().put_content(&Key::from(key), content, object, None, now()).expect("a valid object");
    }
}

impl Remote for Embedded {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn bucket(&self) -> &str {
        BUCKET
    }

    fn put_bytes(&self, key: &str, bytes: Bytes) {
        self.put_object(key, bytes, NewObject::default());
    }

    fn delete(&self, key: &str) {
        let request = Delete { key: Key::from(key), version_id: None, condition: None };
        self.model().delete(request, now()).expect("a valid key");
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

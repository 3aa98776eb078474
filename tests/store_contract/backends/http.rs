//! The bucket in memory behind the embedded server, reached over HTTP through the S3 store: what the difference between
//! this and the bucket called directly shows is a fault of the server or of the S3 store.

use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast::bucket::Versioning;
use holdfast::real::{Protection, S3Options, S3Store, StaticCredentials};
use holdfast::server::{ServeOptions, Server};
use tokio::runtime::Runtime;

use super::Backend;

/// As many as the suite may ask for.
const BUCKETS: usize = 500;

pub struct Http {
    server: Server,
    runtime: Runtime,
    used: AtomicUsize,
    protection: Protection,
}

impl Http {
    pub fn start() -> Self {
        Self::protecting(Protection::default())
    }

    /// Objects are given this.
    pub fn protecting(protection: Protection) -> Self {
        let buckets = (0..BUCKETS).map(name).collect();
        Self {
            server: Server::start(ServeOptions { buckets, ..ServeOptions::default() })
                .expect("loopback has a free port"),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            used: AtomicUsize::new(0),
            protection,
        }
    }
}

fn name(number: usize) -> String {
    format!("bucket-{number}")
}

impl Backend for Http {
    type Store = S3Store;

    const NAME: &'static str = "embedded server over HTTP";

    fn bucket(&self, versioned: bool) -> S3Store {
        let name = name(self.used.fetch_add(1, Ordering::Relaxed));
        let bucket = self.server.bucket(&name).expect("there are buckets enough");
        if versioned {
            bucket.lock().unwrap().set_versioning(Versioning::Enabled).unwrap();
        }
        let served = self.server.options();
        let options = S3Options {
            region: Some(served.region.clone()),
            endpoint_url: Some(self.server.url().into()),
            credentials: Some(StaticCredentials {
                access_key_id: served.access_key.clone(),
                secret_access_key: served.secret_key.clone(),
            }),
            protection: self.protection.clone(),
            ..S3Options::new(name)
        };
        crate::suite::block_on(S3Store::connect(options, self.runtime.handle().clone()))
            .expect("the server can be used")
    }
}

//! The bucket in memory, called directly.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast::bucket::{Bucket, BucketOptions, MemoryStore, Versioning};

use super::Backend;

pub struct Memory;

impl Backend for Memory {
    type Store = MemoryStore;

    const NAME: &'static str = "memory";

    fn bucket(&self, versioned: bool) -> MemoryStore {
        let versioning = if versioned { Versioning::Enabled } else { Versioning::Off };
        let bucket = Bucket::new(BucketOptions { versioning, ..BucketOptions::default() });
        MemoryStore::new(Arc::new(Mutex::new(bucket)), || {
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
        })
    }
}

//! The buckets of a server, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::path::check_bucket_name;
use s3s::{S3Result, s3_error};

use crate::bucket::{Bucket, BucketOptions};

#[derive(Debug)]
pub(super) struct Buckets {
    options: BucketOptions,
    by_name: Mutex<BTreeMap<String, Slot>>,
}

#[derive(Debug)]
struct Slot {
    bucket: Arc<Mutex<Bucket>>,
    /// Seconds since 1970.
    created: i64,
}

impl Buckets {
    /// `options` are those of every bucket created here.
    pub(super) fn new(options: BucketOptions) -> Self {
        Self { options, by_name: Mutex::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Mutex<Bucket>>> {
        self.slots().get(name).map(|slot| slot.bucket.clone())
    }

    /// The bucket that a request names.
    pub(super) fn find(&self, name: &str) -> S3Result<Arc<Mutex<Bucket>>> {
        self.get(name).ok_or_else(|| s3_error!(NoSuchBucket))
    }

    /// Names and dates of creation.
    pub(super) fn list(&self) -> Vec<(String, i64)> {
        self.slots().iter().map(|(name, slot)| (name.clone(), slot.created)).collect()
    }

    pub(super) fn create(&self, name: &str, now: i64) -> S3Result<()> {
        if !check_bucket_name(name) {
            return Err(s3_error!(InvalidBucketName));
        }
        let mut slots = self.slots();
        if slots.contains_key(name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        let bucket = Arc::new(Mutex::new(Bucket::new(self.options.clone())));
        slots.insert(name.to_owned(), Slot { bucket, created: now });
        Ok(())
    }

    pub(super) fn delete(&self, name: &str) -> S3Result<()> {
        let mut slots = self.slots();
        let slot = slots.get(name).ok_or_else(|| s3_error!(NoSuchBucket))?;
        if !lock(&slot.bucket).is_empty() {
            return Err(s3_error!(BucketNotEmpty));
        }
        slots.remove(name);
        Ok(())
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locks a bucket. A panic of another holder does not matter: each step leaves a bucket whole before it can panic.
pub(super) fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

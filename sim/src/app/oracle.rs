//! What an application may see, judged by the history of the bucket.
//!
//! - A handle gives bytes, size and attributes of one version only: the one that its ETag names.
//! - What an open, a stat or a listing shows was true at some moment between its beginning, less the metadata TTL, and
//!   its end.
//! - ENOENT means that the key was absent at some such moment.

use std::time::Duration;

use holdfast::config::Config;
use holdfast::env::Time;
use holdfast::error::Errno;
use holdfast::op::{Attr, Kind};

use super::Began;
use crate::content::{self, Version};
use crate::executor::SimHandle;
use crate::history::{History, Published};
use crate::kernel::Listed;

#[derive(Clone)]
pub struct Oracle {
    history: History,
    handle: SimHandle,
    prefix: String,
    metadata_ttl: Duration,
    negative_metadata_ttl: Duration,
}

/// What a handle must give.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    key: String,
    published: Published,
}

impl Oracle {
    /// `config` as the mount has it.
    pub fn new(history: History, handle: SimHandle, config: &Config) -> Self {
        Self {
            history,
            handle,
            prefix: config.prefix.clone(),
            metadata_ttl: config.metadata_ttl,
            negative_metadata_ttl: config.negative_metadata_ttl,
        }
    }

    pub(super) fn now(&self) -> Began {
        self.handle.now()
    }

    fn key(&self, path: &str) -> String {
        format!("{}{}", self.prefix, path.trim_start_matches('/'))
    }

    /// What the handle promises by its ETag.
    pub(super) fn expect(&self, path: &str, etag: &[u8], attr: &Attr) -> Expected {
        let key = self.key(path);
        let contents = self.history.of(&key).into_iter().rev().filter_map(|change| change.now);
        let named: Vec<Published> = contents.filter(|published| published.etag.as_str().as_bytes() == etag).collect();
        let Some(published) = named.into_iter().next() else {
            panic!("{key} was opened with an ETag that it never had: {}", String::from_utf8_lossy(etag));
        };
        let expected = Expected { key, published };
        expected.judge_attributes(attr);
        expected
    }

    pub(super) fn judge_freshness(&self, expected: &Expected, began: Began) {
        let etag = &expected.published.etag;
        let seen = |now: &Option<Published>| now.as_ref().is_some_and(|published| published.etag == *etag);
        assert!(
            self.was(&expected.key, began, self.metadata_ttl, seen),
            "{} was opened as {:?}, which had not been current within {:?} before; history: {:#?}",
            expected.key,
            expected.published.version,
            self.metadata_ttl,
            self.history.of(&expected.key)
        );
    }

    pub(super) fn judge_size(&self, path: &str, size: u64, began: Began) {
        let key = self.key(path);
        let seen = |now: &Option<Published>| now.as_ref().is_some_and(|published| published.size == size);
        assert!(
            self.was(&key, began, self.metadata_ttl, seen),
            "{key} was shown with {size} bytes, which it had not within {:?} before",
            self.metadata_ttl
        );
    }

    pub(super) fn judge_absence(&self, path: &str, began: Began, errno: Errno) {
        let key = self.key(path);
        if errno == Errno::ENOENT {
            assert!(
                self.was(&key, began, self.negative_metadata_ttl, Option::is_none),
                "{key} was called absent, but was there all the time"
            );
        }
    }

    /// Names that were there throughout are listed once, names that were absent throughout never. Of files only, and
    /// unless a directory shadows them.
    pub(super) fn judge_listing(&self, path: &str, listed: &[Listed], began: Began) {
        let mut directory = self.key(path);
        if !directory.is_empty() && !directory.ends_with('/') {
            directory.push('/');
        }
        for key in self.history.keys() {
            let Some(name) = key.as_str().strip_prefix(&directory) else { continue };
            if name.is_empty() || name.contains('/') {
                continue;
            }
            let times = listed.iter().filter(|entry| entry.name == name && entry.kind == Kind::File).count();
            let shadowed = listed.iter().any(|entry| entry.name == name && entry.kind == Kind::Directory);
            let ever = |seen: fn(&Option<Published>) -> bool| self.was(key.as_str(), began, Duration::ZERO, seen);
            let (present, absent) = (ever(Option::is_some), ever(Option::is_none));
            assert!(times <= 1, "{name} was listed {times} times");
            assert!(times == 0 || present, "{name} was listed, but was absent throughout");
            assert!(times == 1 || absent || shadowed, "{name} was not listed, but was there throughout");
        }
    }

    /// Whether the key was so at some moment from `slack` before `began` until now.
    fn was(&self, key: &str, began: Began, slack: Duration, seen: impl Fn(&Option<Published>) -> bool) -> bool {
        let from = Time(began.0.saturating_sub(slack));
        let changes = self.history.of(key);
        let first = changes.first().map_or(Time(Duration::MAX), |change| change.at);
        // Before its first change a key is absent. A change at this very instant may have come before or after.
        if first >= from && seen(&None) {
            return true;
        }
        changes.iter().enumerate().any(|(at, change)| {
            let until = changes.get(at + 1).map_or(Time(Duration::MAX), |next| next.at);
            until >= from && seen(&change.now)
        })
    }
}

impl Expected {
    pub(super) fn version(&self) -> Version {
        self.published.version
    }

    pub(super) fn size(&self) -> u64 {
        self.published.size
    }

    pub(super) fn judge_bytes(&self, offset: u64, bytes: &[u8]) {
        if let Err(mismatch) = content::check(&self.key, self.version(), bytes, offset) {
            let seen = content::versions_seen(&self.key, bytes, offset);
            panic!("a handle of {} {:?} gave other bytes: {mismatch}; in all {seen:?}", self.key, self.version());
        }
    }

    pub(super) fn judge_end(&self, at: u64) {
        assert!(at >= self.size(), "{} ended at {at}, but has {} bytes", self.key, self.size());
    }

    pub(super) fn judge_attributes(&self, attr: &Attr) {
        assert_eq!(attr.size, self.size(), "the size of a handle of {} {:?}", self.key, self.version());
    }
}

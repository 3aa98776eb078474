//! What each key held, from when on: the truth that oracles judge by.
//!
//! Knows what was published through [`crate::mutation::Mutation`]. Clones share one history. A change is recorded in the
//! instant in which it takes effect.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use holdfast::env::Time;
use holdfast::env::store::{ETag, Key, VersionId};

use crate::content::Version;
use crate::executor::locked;
use crate::recording::Recorder;

/// One content of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub version: Version,
    /// In bytes.
    pub size: u64,
    pub etag: ETag,
    pub version_id: Option<VersionId>,
    /// Seconds since 1970.
    pub last_modified: i64,
}

/// A key's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub at: Time,
    /// `None`: it was deleted.
    pub now: Option<Published>,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    changes: Arc<Mutex<BTreeMap<Key, Vec<Change>>>>,
    recorder: Arc<OnceLock<Recorder>>,
}

impl History {
    pub(crate) fn record(&self, key: &Key, change: Change) {
        if let Some(recorder) = self.recorder.get() {
            recorder.changed(key, &change);
        }
        locked(&self.changes).entry(key.clone()).or_default().push(change);
    }

    /// From now on changes are also written there.
    pub(crate) fn record_to(&self, recorder: Recorder) {
        // A second recorder would miss what the first was told: the first stays.
        let _ = self.recorder.set(recorder);
    }

    /// Looks at a key's changes, oldest first.
    pub fn look<T>(&self, key: &str, at: impl FnOnce(&[Change]) -> T) -> T {
        at(locked(&self.changes).get(&Key::from(key)).map_or(&[], Vec::as_slice))
    }

    /// Oldest first.
    pub fn of(&self, key: &str) -> Vec<Change> {
        self.look(key, <[Change]>::to_vec)
    }

    /// What the key holds now.
    pub fn current(&self, key: &str) -> Option<Published> {
        self.look(key, |changes| changes.last()?.now.clone())
    }

    /// The latest content of a key with this ETag.
    pub fn with_etag(&self, key: &str, etag: &str) -> Option<Published> {
        self.look(key, |changes| {
            let contents = changes.iter().rev().filter_map(|change| change.now.as_ref());
            contents.clone().find(|content| content.etag.as_str() == etag).cloned()
        })
    }

    /// Whether the key was so at some moment of `from..=until`.
    pub fn was(&self, key: &str, from: Time, until: Time, seen: impl Fn(Option<&Published>) -> bool) -> bool {
        self.look(key, |changes| was(changes, from, until, seen))
    }

    /// Changes of a key within `from..=until`.
    pub fn changes_within(&self, key: &str, from: Time, until: Time) -> usize {
        self.look(key, |changes| changes.iter().filter(|change| change.at >= from && change.at <= until).count())
    }

    /// The size that a version of a key has, or last had.
    pub fn size_of(&self, key: &str, version: Version) -> Option<u64> {
        self.look(key, |changes| {
            let mut contents = changes.iter().rev().filter_map(|change| change.now.as_ref());
            contents.find(|content| content.version == version).map(|content| content.size)
        })
    }

    /// Every key that was ever published.
    pub fn keys(&self) -> Vec<Key> {
        locked(&self.changes).keys().cloned().collect()
    }

    /// Looks at every key beneath a prefix, and the prefix itself, in order; stops at the first `true` and answers it.
    pub fn any_under(&self, prefix: &str, mut seen: impl FnMut(&Key, &[Change]) -> bool) -> bool {
        let changes = locked(&self.changes);
        let from = changes.range(Key::from(prefix)..);
        from.take_while(|(key, _)| key.as_str().starts_with(prefix)).any(|(key, changes)| seen(key, changes))
    }
}

/// Whether a key with these changes was so at some moment of `from..=until`.
pub fn was(changes: &[Change], from: Time, until: Time, seen: impl Fn(Option<&Published>) -> bool) -> bool {
    // Before its first change a key is absent. A change at this very instant may have come before or after.
    let first = changes.first().map_or(Time(Duration::MAX), |change| change.at);
    if first >= from && seen(None) {
        return true;
    }
    changes.iter().enumerate().any(|(at, change)| {
        let next = changes.get(at + 1).map_or(Time(Duration::MAX), |next| next.at);
        next >= from && change.at <= until && seen(change.now.as_ref())
    })
}

//! What each key held, from when on: the truth that oracles judge by.
//!
//! Knows what was published through [`crate::mutation::Mutation`]. Clones share one history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use holdfast::env::Time;
use holdfast::env::store::{ETag, Key, VersionId};

use crate::content::Version;
use crate::executor::locked;

/// One content of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub version: Version,
    /// In bytes.
    pub size: u64,
    pub etag: ETag,
    pub version_id: Option<VersionId>,
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
}

impl History {
    pub(crate) fn record(&self, key: &Key, change: Change) {
        locked(&self.changes).entry(key.clone()).or_default().push(change);
    }

    /// Oldest first.
    pub fn of(&self, key: &str) -> Vec<Change> {
        locked(&self.changes).get(&Key::from(key)).cloned().unwrap_or_default()
    }

    /// What the key holds now.
    pub fn current(&self, key: &str) -> Option<Published> {
        self.of(key).pop()?.now
    }

    /// The size that a version of a key has, or last had.
    pub fn size_of(&self, key: &str, version: Version) -> Option<u64> {
        let contents = self.of(key).into_iter().rev().filter_map(|change| change.now);
        contents.filter(|content| content.version == version).map(|content| content.size).next()
    }

    /// Every key that was ever published.
    pub fn keys(&self) -> Vec<Key> {
        locked(&self.changes).keys().cloned().collect()
    }
}

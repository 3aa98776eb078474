//! The keys of a bucket and the versions of each, and an index of the current ones.
//!
//! Invariants: a chain is never empty; at most one of its entries is the `null` version; its last entry is the newest;
//! `current` holds a key exactly if its newest entry is an object, and then that object. So a listing never walks
//! over deleted keys.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::content::Content;
use super::protection::Protection;
use crate::env::store::{Key, ObjectMeta, VersionId};

/// One version of an object: what S3 knows of it, and its bytes.
#[derive(Clone, Debug)]
pub struct Object {
    pub meta: ObjectMeta,
    pub content: Content,
    pub protection: Protection,
}

/// One version or delete marker of a key.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `None`: the `null` version.
    pub version_id: Option<VersionId>,
    /// Seconds since 1970.
    pub last_modified: i64,
    pub kind: EntryKind,
}

#[derive(Clone, Debug)]
pub enum EntryKind {
    Object(Arc<Object>),
    DeleteMarker,
}

impl Entry {
    pub fn object(&self) -> Option<&Arc<Object>> {
        match &self.kind {
            EntryKind::Object(object) => Some(object),
            EntryKind::DeleteMarker => None,
        }
    }

    /// The version id as the API spells it: `null` for the null version.
    pub fn id(&self) -> &str {
        self.version_id.as_ref().map_or("null", VersionId::as_str)
    }

    pub fn is_named(&self, id: &VersionId) -> bool {
        self.id() == id.as_str()
    }
}

#[derive(Debug, Default)]
pub(super) struct Keyspace {
    chains: BTreeMap<Key, Vec<Entry>>,
    current: BTreeMap<Key, Arc<Object>>,
}

impl Keyspace {
    pub(super) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    pub(super) fn current_count(&self) -> usize {
        self.current.len()
    }

    pub(super) fn current(&self, key: &str) -> Option<&Arc<Object>> {
        self.current.get(&Key::from(key))
    }

    pub(super) fn currents(&self) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        self.current.iter()
    }

    pub(super) fn currents_from(&self, from: Bound<Key>) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        self.current.range((from, Bound::Unbounded))
    }

    /// All versions of a key, oldest first.
    pub(super) fn chain(&self, key: &str) -> &[Entry] {
        self.chains.get(&Key::from(key)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn chains_from(&self, from: Bound<Key>) -> impl Iterator<Item = (&Key, &Vec<Entry>)> {
        self.chains.range((from, Bound::Unbounded))
    }

    /// Makes `entry` the newest of its key. A `null` version takes the place of an older one.
    pub(super) fn push(&mut self, key: &Key, entry: Entry) {
        let chain = self.chains.entry(key.clone()).or_default();
        if entry.version_id.is_none() {
            chain.retain(|old| old.version_id.is_some());
        }
        chain.push(entry);
        self.index(key);
    }

    /// Another object in place of the newest version, which must be one.
    pub(super) fn replace_newest(&mut self, key: &Key, object: Object) {
        if let Some(newest) = self.chains.get_mut(key).and_then(|chain| chain.last_mut()) {
            newest.kind = EntryKind::Object(object.into());
        }
        self.index(key);
    }

    /// Removes one version for good.
    pub(super) fn remove(&mut self, key: &Key, id: &VersionId) -> Option<Entry> {
        let chain = self.chains.get_mut(key)?;
        let removed = chain.remove(chain.iter().position(|entry| entry.is_named(id))?);
        if chain.is_empty() {
            self.chains.remove(key);
        }
        self.index(key);
        Some(removed)
    }

    fn index(&mut self, key: &Key) {
        match self.chains.get(key).and_then(|chain| chain.last()).and_then(Entry::object) {
            Some(object) => drop(self.current.insert(key.clone(), object.clone())),
            None => drop(self.current.remove(key)),
        }
    }
}

//! The bucket in a story: what its other clients and its operators do to it, and what it tells.

use std::sync::MutexGuard;
use std::time::Duration;

use holdfast::bucket::Bucket;
use holdfast::env::Time;
use holdfast::env::store::{ETag, Key};

use super::World;
use crate::content::Version;
use crate::mutation::Mutation;
use crate::store::{Event, Fault, FaultKind, LogEntry, Matcher, Requests};

pub struct S3<'w> {
    world: &'w World,
}

impl<'w> S3<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        Self { world }
    }

    // Other clients.

    /// The key's content is this version from now on.
    pub fn put(&self, key: impl Into<Key>, version: Version, size: u64) -> ETag {
        let key = key.into();
        self.apply(Mutation::put(key.clone(), version, size));
        let current = self.world.history.current(key.as_str());
        current.map(|published| published.etag).expect("it has just been put")
    }

    /// [`S3::put`] over something.
    pub fn replace(&self, key: impl Into<Key>, version: Version, size: u64) -> ETag {
        let key = key.into();
        assert!(self.bucket().current(key.as_str()).is_some(), "there is no {key} to replace");
        self.put(key, version, size)
    }

    pub fn delete(&self, key: impl Into<Key>) {
        self.apply(Mutation::delete(key));
    }

    pub fn apply(&self, mutation: Mutation) {
        mutation.apply(&mut self.bucket(), &self.world.history, self.world.now());
    }

    /// Applies `mutation` when `event` first happens.
    pub fn on(&self, event: Event, mutation: Mutation) {
        let history = self.world.history.clone();
        self.world.store.on(event, move |bucket, now| mutation.apply(bucket, &history, now));
    }

    /// Just before the server carries out the request that `matcher` means.
    pub fn before(&self, matcher: Matcher, mutation: Mutation) {
        self.on(Event::Before(matcher), mutation);
    }

    /// Between carrying it out and answering.
    pub fn after(&self, matcher: Matcher, mutation: Mutation) {
        self.on(Event::After(matcher), mutation);
    }

    /// When the `chunk`-th chunk (from 1) of that GET's body has been handed out.
    pub fn at_chunk(&self, body: Matcher, chunk: u64, mutation: Mutation) {
        self.on(Event::Chunk { body, chunk }, mutation);
    }

    // Weather.

    pub fn fault(&self, when: Matcher, what: FaultKind) {
        self.world.store.fault(Fault { when, what });
    }

    pub fn clear_faults(&self) {
        self.world.store.clear_faults();
    }

    /// Nothing connects and everything in flight breaks, until [`S3::up`].
    pub fn down(&self) {
        self.world.store.down_within(self.world.now()..Time(Duration::MAX));
    }

    pub fn down_for(&self, duration: Duration) {
        self.world.store.down_within(self.world.now()..self.world.now().plus(duration));
    }

    pub fn up(&self) {
        self.world.store.up();
    }

    // What it tells.

    pub fn requests(&self) -> Requests {
        self.world.store.requests()
    }

    /// All requests in the order of sending.
    pub fn log(&self) -> Vec<LogEntry> {
        self.world.store.log()
    }

    /// Bodies of GETs that the mount still holds.
    pub fn bodies_open(&self) -> u64 {
        self.world.store.bodies_open()
    }

    /// Hooks whose request never came.
    pub fn hooks_waiting(&self) -> usize {
        self.world.store.hooks_waiting()
    }

    pub fn bucket(&self) -> MutexGuard<'w, Bucket> {
        self.world.store.bucket()
    }
}

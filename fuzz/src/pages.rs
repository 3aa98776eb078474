//! A store that has nothing but pages of a listing: a table from continuation tokens to pages, right or wrong.
//!
//! Answers every other request that the store does not support it, and HEAD that there is no such object. Judges one
//! thing: that nobody goes on asking for ever.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use holdfast::env::Env;
use holdfast::env::store::{
    Body, CompleteUpload, Copy, CreateUpload, Delete, ETag, ErrorKind, Get, GetReply, Head, Key, List, ListPage,
    ListVersions, ListedObject, ObjectMeta, Put, Store, StoreError, Upload, UploadId, UploadPart, UploadPartCopy,
    VersionId, VersionPage, Written,
};
use holdfast_sim::disk::{DiskConfig, SimDisk};
use holdfast_sim::env::SimClock;
use holdfast_sim::executor::SimHandle;
use holdfast_sim::rng::SimRng;

use crate::Input;

const PAGES_MAX: usize = 24;
/// Of one directory, read over and over from a few cookies: some attempts at each page, and then some.
const REQUESTS_MAX: u64 = 5000;

/// Pages by their token, which is their number. The first has none.
pub struct Table {
    pages: Vec<ListPage>,
}

impl Table {
    /// A line is an entry: `o` an object, `p` a common prefix, and what its key has beneath `prefix`; `O` and `P` the same
    /// with the whole key. Any other line ends the page; the byte after it is the token, 0 for none.
    pub fn read(input: &mut Input<'_>, prefix: &str) -> Self {
        let mut pages = Vec::new();
        while !input.is_empty() && pages.len() < PAGES_MAX {
            let mut page = ListPage::default();
            loop {
                let line = String::from_utf8_lossy(input.until(b'\n')).into_owned();
                let rest = line.get(1..).unwrap_or_default();
                match line.as_bytes().first() {
                    Some(b'o') => page.objects.push(object(format!("{prefix}{rest}"))),
                    Some(b'O') => page.objects.push(object(rest.into())),
                    Some(b'p') => page.prefixes.push(format!("{prefix}{rest}").into()),
                    Some(b'P') => page.prefixes.push(rest.into()),
                    _ => break,
                }
            }
            let next = input.byte();
            page.next = (next != 0).then(|| next.to_string());
            pages.push(page);
        }
        Self { pages }
    }

    fn page(&self, token: Option<&str>) -> ListPage {
        let number = token.map_or(0, |token| token.parse().expect("it is one of ours"));
        if self.pages.is_empty() { ListPage::default() } else { self.pages[number % self.pages.len()].clone() }
    }
}

fn object(key: String) -> ListedObject {
    ListedObject { key: key.into(), etag: "e".into(), size: 1, last_modified: 0, storage_class: None }
}

pub struct Pages {
    table: Table,
    ordered: bool,
    requests: AtomicU64,
}

/// There are no objects, so there are no bodies.
pub enum NoBody {}

impl Body for NoBody {
    async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        match *self {}
    }
}

fn unsupported<T>() -> Result<T, StoreError> {
    Err(ErrorKind::Unsupported.into())
}

impl Store for Pages {
    type Body = NoBody;

    async fn list(&self, request: List) -> Result<ListPage, StoreError> {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        assert!(requests < REQUESTS_MAX, "a directory of {} pages is asked for without end", self.table.pages.len());
        Ok(self.table.page(request.continuation.as_deref()))
    }

    fn lists_in_order(&self) -> bool {
        self.ordered
    }

    async fn head(&self, _: Head) -> Result<ObjectMeta, StoreError> {
        Err(ErrorKind::NotFound.into())
    }

    async fn get(&self, _: Get) -> Result<GetReply<NoBody>, StoreError> {
        Err(ErrorKind::NotFound.into())
    }

    async fn list_versions(&self, _: ListVersions) -> Result<VersionPage, StoreError> {
        unsupported()
    }

    async fn put(&self, _: Put) -> Result<Written, StoreError> {
        unsupported()
    }

    async fn delete(&self, _: Delete) -> Result<Option<VersionId>, StoreError> {
        unsupported()
    }

    async fn delete_many(&self, _: Vec<Key>) -> Result<Vec<(Key, StoreError)>, StoreError> {
        unsupported()
    }

    async fn copy(&self, _: Copy) -> Result<Written, StoreError> {
        unsupported()
    }

    async fn create_upload(&self, _: CreateUpload) -> Result<UploadId, StoreError> {
        unsupported()
    }

    async fn upload_part(&self, _: UploadPart) -> Result<ETag, StoreError> {
        unsupported()
    }

    async fn upload_part_copy(&self, _: UploadPartCopy) -> Result<ETag, StoreError> {
        unsupported()
    }

    async fn complete_upload(&self, _: CompleteUpload) -> Result<Written, StoreError> {
        unsupported()
    }

    async fn abort_upload(&self, _: Key, _: UploadId) -> Result<(), StoreError> {
        unsupported()
    }

    async fn list_uploads(&self, _: String) -> Result<Vec<Upload>, StoreError> {
        unsupported()
    }

    async fn has_parts(&self, _: Key, _: UploadId) -> Result<bool, StoreError> {
        unsupported()
    }
}

/// The simulated world with that store in it.
pub struct PagesEnv {
    store: Pages,
    clock: SimClock,
    spawn: SimHandle,
    disk: SimDisk,
    rng: SimRng,
}

impl PagesEnv {
    /// `ordered`: whether the store says that it lists in order.
    pub fn new(handle: SimHandle, table: Table, ordered: bool) -> Self {
        Self {
            store: Pages { table, ordered, requests: AtomicU64::new(0) },
            clock: SimClock::new(handle.clone()),
            disk: SimDisk::new(handle.clone(), DiskConfig::default(), 0, "pages"),
            rng: SimRng::new(0, "pages"),
            spawn: handle,
        }
    }
}

impl Env for PagesEnv {
    type Store = Pages;
    type Clock = SimClock;
    type Spawn = SimHandle;
    type Disk = SimDisk;
    type Rng = SimRng;

    fn store(&self) -> &Pages {
        &self.store
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }

    fn spawn(&self) -> &SimHandle {
        &self.spawn
    }

    fn disk(&self) -> &SimDisk {
        &self.disk
    }

    fn rng(&self) -> &SimRng {
        &self.rng
    }
}

//! `holdfast::env::Store` for simulation: a client of a simulated S3 with latency and faults.
//!
//! A request's life, each step at its own virtual time: sent (counted, its faults and hooks decided), applied to the
//! [`Bucket`] at one instant, answered; then a body's chunks, one by one. Giving up waiting takes no request back.
//! Clones are clients of the same server.

mod body;
mod fault;
mod hook;
mod listing;
mod outage;
mod record;
mod request;
mod server;

use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use holdfast::bucket::Bucket;
use holdfast::env::Time;
use holdfast::env::store::{
    CompleteUpload, Copy, CreateUpload, Delete, ETag, Get, GetReply, Head, Key, List, ListPage, ListVersions,
    ObjectMeta, Put, Store, StoreError, Upload, UploadId, UploadPart, UploadPartCopy, VersionId, VersionPage, Written,
};

pub use body::SimBody;
pub use fault::{Fault, FaultKind};
pub use hook::Event;
pub use record::{Hit, LogEntry, Requests, Suffered};
pub use request::{Asked, Kind, Matcher, get, head, list};

use crate::executor::{SimHandle, locked};
use crate::history::History;
use crate::recording::Recorder;
use server::{Applying, Server};

/// How a good day looks: the weather without faults.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// From sending to applying.
    pub before: RangeInclusive<Duration>,
    /// From applying to the answer, or to the header of a GET.
    pub after: RangeInclusive<Duration>,
    /// Between chunks of a body.
    pub chunk: RangeInclusive<Duration>,
    /// Most bytes of one chunk.
    pub chunk_bytes: usize,
    /// The server closes connections on which nobody has asked for bytes for longer than this. `None`: never.
    pub body_idle_max: Option<Duration>,
    /// False: like a directory bucket, whose listings come in no order and know no `start_after`.
    pub lists_in_order: bool,
}

impl Default for StoreConfig {
    /// Ten milliseconds to the first byte, 640 MB/s after it, no weather.
    fn default() -> Self {
        let always = |duration| duration..=duration;
        Self {
            before: always(Duration::from_millis(5)),
            after: always(Duration::from_millis(5)),
            chunk: always(Duration::from_micros(100)),
            chunk_bytes: 64 << 10,
            body_idle_max: None,
            lists_in_order: true,
        }
    }
}

#[derive(Clone)]
pub struct SimStore {
    server: Arc<Server>,
    /// Whose client it is, for recordings.
    mount: Option<u8>,
}

impl SimStore {
    pub fn new(handle: SimHandle, bucket: Arc<Mutex<Bucket>>, config: StoreConfig, seed: u64) -> Self {
        Self { server: Arc::new(Server::new(handle, bucket, config, seed)), mount: None }
    }

    /// The client of this mount.
    pub fn of_mount(&self, mount: u8) -> Self {
        Self { mount: Some(mount), ..self.clone() }
    }

    /// From now on requests are also written there.
    pub(crate) fn record_to(&self, recorder: Recorder) {
        self.server.record_to(recorder);
    }

    /// From now on what mounts change is written there.
    pub(crate) fn write_down(&self, history: History) {
        self.server.write_down(history);
    }

    async fn serve<T: Send + 'static>(
        &self,
        asked: Asked,
        apply: impl FnOnce(Applying<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.server.serve(self.mount, asked, apply).await
    }

    /// The bucket itself, past all latency and faults: do not hold it across an `.await`.
    pub fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.server.bucket()
    }

    // What the world does to it.

    pub fn fault(&self, fault: Fault) {
        locked(&self.server.faults).add(fault);
    }

    /// Requests already sent keep what they met.
    pub fn clear_faults(&self) {
        locked(&self.server.faults).clear();
    }

    /// Does `hook` to the bucket at `event`, the first time that it happens.
    pub fn on(&self, event: Event, hook: impl FnOnce(&mut Bucket, Time) + Send + 'static) {
        locked(&self.server.hooks).add(event, Box::new(hook));
    }

    /// Those whose request has not been sent.
    pub fn clear_hooks(&self) {
        locked(&self.server.hooks).clear();
    }

    /// Hooks whose request has not been sent.
    pub fn hooks_waiting(&self) -> usize {
        locked(&self.server.hooks).len()
    }

    /// The server is down within `span`: see the rules of an outage in this module's `outage`.
    pub fn down_within(&self, span: Range<Time>) {
        if let Some(recorder) = self.server.recorder() {
            recorder.outage(span.clone());
        }
        locked(&self.server.outages).add(span);
    }

    /// Ends every outage and cancels those to come.
    pub fn up(&self) {
        locked(&self.server.outages).end(self.server.now());
    }

    // What it tells.

    pub fn requests(&self) -> Requests {
        locked(&self.server.record).requests()
    }

    /// All requests in the order of sending.
    pub fn log(&self) -> Vec<LogEntry> {
        locked(&self.server.record).log()
    }

    /// Looks at every request from the `from`-th on; answers how many there are.
    pub fn each_logged(&self, from: usize, look: impl FnMut(&LogEntry)) -> usize {
        locked(&self.server.record).each(from, look)
    }

    /// Whether something that `fits` hit a request, or all of them, within `since..=until`.
    pub fn has_suffered(&self, since: Time, until: Time, fits: &dyn Fn(&Suffered) -> bool) -> bool {
        let outage = locked(&self.server.outages).has_hit(since, until) && fits(&Suffered::Outage);
        outage || locked(&self.server.record).has_suffered(since, until, fits)
    }

    /// Looks at every fault that hit a request, in the order of sending.
    pub fn each_hit(&self, look: impl FnMut(&Hit)) {
        locked(&self.server.record).each_hit(look);
    }

    /// Whether the server was down at some moment of `since..=until`.
    pub fn was_down(&self, since: Time, until: Time) -> bool {
        locked(&self.server.outages).has_hit(since, until)
    }

    /// Keys of GETs whose bodies somebody still reads, each once, in order.
    pub fn keys_in_flight(&self) -> Vec<Key> {
        locked(&self.server.record).in_flight.keys().cloned().collect()
    }

    /// Bytes of one content of a key that clients were given so far, those given twice counted twice.
    pub fn delivered_of(&self, key: &str, etag: &ETag) -> u64 {
        locked(&self.server.record).delivered_of(key, etag)
    }

    /// Bodies of GETs that somebody still holds.
    pub fn bodies_open(&self) -> u64 {
        locked(&self.server.record).bodies_open
    }
}

impl Store for SimStore {
    type Body = SimBody;

    async fn get(&self, request: Get) -> Result<GetReply<SimBody>, StoreError> {
        let names_version = request.version_id.is_some() || request.conditions.if_match.is_some();
        let asked = Asked { range: request.range, names_version, ..Asked::new(Kind::Get, &request.key) };
        let apply = move |with: Applying<'_>| {
            let key = request.key.clone();
            let reply = with.bucket.get(with.suffering.misread(request))?;
            let mut meta = reply.meta;
            if let Some((recorder, id)) = &with.recorded {
                recorder.gives(*id, &key, meta.etag.as_str());
                recorder.body_begins(*id, reply.range.clone());
            }
            let etag = meta.etag.clone();
            if with.suffering.has(&FaultKind::EtagWrong) {
                meta.etag = ETag::from(format!("not-{}", meta.etag));
            }
            with.suffering.misdescribe(&mut meta);
            let body = SimBody::new((key, etag), reply.body, with);
            Ok(GetReply { meta, range: reply.range, body })
        };
        let mut reply = self.serve(asked, apply).await?;
        reply.body.answered();
        Ok(reply)
    }

    async fn head(&self, request: Head) -> Result<ObjectMeta, StoreError> {
        let asked = Asked::new(Kind::Head, &request.key);
        let apply = move |with: Applying<'_>| {
            let conditions = with.suffering.conditions(request.conditions);
            let key = request.key.clone();
            let mut meta = with.bucket.head(Head { conditions, ..request })?;
            if let Some((recorder, id)) = &with.recorded {
                recorder.gives(*id, &key, meta.etag.as_str());
            }
            with.suffering.misdescribe(&mut meta);
            Ok(meta)
        };
        self.serve(asked, apply).await
    }

    async fn list(&self, request: List) -> Result<ListPage, StoreError> {
        let asked = Asked::under(Kind::List, &request.prefix);
        self.serve(asked, move |with| listing::page(with, request)).await
    }

    async fn list_versions(&self, request: ListVersions) -> Result<VersionPage, StoreError> {
        let asked = Asked::under(Kind::ListVersions, &request.prefix);
        self.serve(asked, move |with| Ok(with.bucket.list_versions(&request))).await
    }

    async fn put(&self, request: Put) -> Result<Written, StoreError> {
        let asked = Asked::new(Kind::Put, &request.key);
        let (mount, key) = (self.mount, request.key.clone());
        let apply = move |with: Applying<'_>| {
            let written = with.bucket.put(request, with.unix_seconds)?;
            with.made(mount, Kind::Put, &key);
            Ok(written)
        };
        self.serve(asked, apply).await
    }

    async fn delete(&self, request: Delete) -> Result<Option<VersionId>, StoreError> {
        let asked = Asked::new(Kind::Delete, &request.key);
        let (mount, key) = (self.mount, request.key.clone());
        let apply = move |with: Applying<'_>| {
            let deleted = with.bucket.delete(request, with.unix_seconds)?;
            with.made(mount, Kind::Delete, &key);
            Ok(deleted)
        };
        self.serve(asked, apply).await
    }

    async fn delete_many(&self, keys: Vec<Key>) -> Result<Vec<(Key, StoreError)>, StoreError> {
        let asked = Asked { kind: Kind::DeleteMany, keys: keys.clone(), range: None, names_version: false };
        let mount = self.mount;
        let apply = move |with: Applying<'_>| {
            let failed = with.bucket.delete_many(keys.clone(), with.unix_seconds)?;
            for key in keys.iter().filter(|key| !failed.iter().any(|(other, _)| other == *key)) {
                with.made(mount, Kind::DeleteMany, key);
            }
            Ok(failed)
        };
        self.serve(asked, apply).await
    }

    async fn copy(&self, request: Copy) -> Result<Written, StoreError> {
        let asked = Asked::new(Kind::Copy, &request.key);
        let (mount, key) = (self.mount, request.key.clone());
        let apply = move |with: Applying<'_>| {
            let mut request = request;
            request.source.conditions = with.suffering.conditions(request.source.conditions);
            let written = with.bucket.copy(request, with.unix_seconds)?;
            with.made(mount, Kind::Copy, &key);
            Ok(written)
        };
        self.serve(asked, apply).await
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<UploadId, StoreError> {
        let asked = Asked::new(Kind::CreateUpload, &request.key);
        self.serve(asked, move |with| with.bucket.create_upload(request, with.unix_seconds)).await
    }

    async fn upload_part(&self, request: UploadPart) -> Result<ETag, StoreError> {
        let asked = Asked::new(Kind::UploadPart, &request.key);
        self.serve(asked, move |with| with.bucket.upload_part(request, with.unix_seconds)).await
    }

    async fn upload_part_copy(&self, request: UploadPartCopy) -> Result<ETag, StoreError> {
        let asked = Asked::new(Kind::UploadPartCopy, &request.key);
        let apply = move |with: Applying<'_>| {
            let mut request = request;
            request.source.conditions = with.suffering.conditions(request.source.conditions);
            with.bucket.upload_part_copy(request, with.unix_seconds)
        };
        self.serve(asked, apply).await
    }

    async fn complete_upload(&self, request: CompleteUpload) -> Result<Written, StoreError> {
        let asked = Asked::new(Kind::CompleteUpload, &request.key);
        let (mount, key) = (self.mount, request.key.clone());
        let apply = move |with: Applying<'_>| {
            // Asked for once more, it is answered once more, and changes nothing.
            let uploads = with.bucket.list_uploads(key.as_str());
            let first = uploads.iter().any(|upload| upload.upload == request.upload);
            let written = with.bucket.complete_upload(request)?;
            if first {
                with.made(mount, Kind::CompleteUpload, &key);
            }
            Ok(written)
        };
        self.serve(asked, apply).await
    }

    async fn abort_upload(&self, key: Key, upload: UploadId) -> Result<(), StoreError> {
        let asked = Asked::new(Kind::AbortUpload, &key);
        self.serve(asked, move |with| with.bucket.abort_upload(key, upload)).await
    }

    async fn list_uploads(&self, prefix: String) -> Result<Vec<Upload>, StoreError> {
        let asked = Asked::under(Kind::ListUploads, &prefix);
        self.serve(asked, move |with| Ok(with.bucket.list_uploads(&prefix))).await
    }

    async fn has_parts(&self, key: Key, upload: UploadId) -> Result<bool, StoreError> {
        let asked = Asked::new(Kind::ListParts, &key);
        self.serve(asked, move |with| Ok(!with.bucket.parts(&key, &upload)?.is_empty())).await
    }

    fn lists_in_order(&self) -> bool {
        self.server.config().lists_in_order
    }
}

#[cfg(test)]
mod tests;

//! The body of a simulated GET: the bytes of one version, as a slow and unreliable connection delivers them.
//!
//! The sender prepares one chunk ahead while nobody asks and then waits. A reader that drops its wait loses nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::bucket::BucketBody;
use holdfast::env::Time;
use holdfast::env::store::{Body, ETag, ErrorKind, Key, StoreError};

use super::fault::{FaultKind, Suffering};
use super::hook::{Point, RequestHooks};
use super::server::{Applying, Recorded, Server};

pub struct SimBody {
    server: Arc<Server>,
    key: Key,
    /// Of the bytes, whatever the answer claims.
    etag: ETag,
    source: BucketBody,
    script: Script,
    hooks: RequestHooks,
    recorded: Option<Recorded>,
    opened_at: Time,
    /// When the next chunk arrives.
    due: Time,
    /// When somebody last asked or was last served.
    attended_at: Time,
    delivered: u64,
    chunks: u64,
    over: bool,
}

/// How this body departs from a good one.
#[derive(Clone, Debug, Default)]
struct Script {
    /// After this many bytes.
    end: Option<(u64, End)>,
    overflow: u64,
    idle_max: Option<Duration>,
    chunk: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Break,
    Close,
    Stall,
}

impl Script {
    fn new(suffering: &Suffering, idle_max: Option<Duration>) -> Self {
        let mut script = Self { idle_max, ..Self::default() };
        for fault in suffering.iter() {
            match *fault {
                FaultKind::BodyBreaks { after } => script.end_at(after, End::Break),
                FaultKind::BodyEnds { after } => script.end_at(after, End::Close),
                FaultKind::BodyStalls { after } => script.end_at(after, End::Stall),
                FaultKind::BodyOverflows { by } => script.overflow += by,
                FaultKind::BodyDiesPaused { longer_than } => script.idle_max = Some(longer_than),
                FaultKind::BodySlow { chunk } => script.chunk = Some(chunk),
                _ => {}
            }
        }
        script
    }

    /// The earliest end is the one that happens.
    fn end_at(&mut self, after: u64, end: End) {
        if self.end.is_none_or(|(earlier, _)| after < earlier) {
            self.end = Some((after, end));
        }
    }
}

impl SimBody {
    pub(super) fn new((key, etag): (Key, ETag), source: BucketBody, with: Applying<'_>) -> Self {
        let Applying { suffering, hooks, recorded, .. } = with;
        let server = with.server.clone();
        let now = server.now();
        let script = Script::new(suffering, server.config().body_idle_max);
        let source = source.with_chunk_bytes(server.config().chunk_bytes);
        server.body_opened(&key);
        let mut body = Self {
            server,
            key,
            etag,
            source,
            script,
            hooks,
            recorded,
            opened_at: now,
            due: now,
            attended_at: now,
            delivered: 0,
            chunks: 0,
            over: false,
        };
        body.due = now.plus(body.chunk_delay());
        body
    }

    /// Nobody can have read from it before.
    pub(super) fn answered(&mut self) {
        self.attended_at = self.server.now();
    }

    fn chunk_delay(&self) -> Duration {
        let usual = self.server.chunk_delay();
        self.script.chunk.unwrap_or(usual)
    }

    fn broken(&mut self, message: &str) -> Option<Result<Bytes, StoreError>> {
        self.over = true;
        Some(Err(StoreError::new(ErrorKind::BrokenBody, message)))
    }

    /// The next bytes of the version, cut at the script's end; `None` where the version or the script ends.
    fn chunk(&mut self) -> Option<Bytes> {
        let room = self.script.end.map_or(u64::MAX, |(after, _)| after.saturating_sub(self.delivered));
        if room == 0 {
            return None;
        }
        let chunk = Iterator::next(&mut self.source).or_else(|| {
            let extra = std::mem::take(&mut self.script.overflow);
            (extra > 0).then(|| Bytes::from(vec![0xee; extra as usize]))
        })?;
        Some(chunk.slice(..chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX))))
    }
}

impl Body for SimBody {
    async fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        if self.over {
            return None;
        }
        let now = self.server.now();
        // Idle is a connection only while a chunk is ready and nobody takes it.
        let paused = now.since(self.attended_at.max(self.due));
        self.attended_at = now;
        if self.script.idle_max.is_some_and(|max| paused > max) {
            return self.broken("the server closed an idle connection");
        }
        self.server.sleep_until(self.due).await;
        self.attended_at = self.server.now();
        if self.server.has_been_down(self.opened_at) {
            return self.broken("the connection was reset");
        }
        let Some(bytes) = self.chunk() else {
            return match self.script.end {
                Some((after, End::Break)) if after == self.delivered => self.broken("the connection broke"),
                Some((after, End::Stall)) if after == self.delivered => std::future::pending().await,
                _ => {
                    self.over = true;
                    None
                }
            };
        };
        self.due = self.attended_at.plus(self.chunk_delay());
        self.delivered += bytes.len() as u64;
        self.chunks += 1;
        self.server.delivered(&self.key, &self.etag, bytes.len() as u64);
        if let Some((recorder, id)) = &self.recorded {
            recorder.delivered(*id, self.attended_at, bytes.len() as u64);
        }
        let point = Point::Chunk(self.chunks);
        if self.hooks.has(point) {
            self.server.run_hooks(&mut self.hooks, point, self.recorded.as_ref());
        }
        Some(Ok(bytes))
    }
}

impl Drop for SimBody {
    fn drop(&mut self) {
        self.server.body_closed(&self.key);
        if let Some((recorder, id)) = &self.recorded {
            recorder.body_closed(*id, self.server.now());
        }
    }
}

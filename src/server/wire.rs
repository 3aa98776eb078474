//! Bodies on their way in and out: counted, and paced where a bandwidth is set.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use s3s::StdError;
use tokio::time::{Instant, Sleep, sleep_until};

use super::stats::Stats;

/// Bytes of a frame where a bandwidth is set: about a millisecond at 64 MB/s.
const PACED_FRAME_BYTES: usize = 64 << 10;

/// How far a connection may fall behind its schedule (timers are late) and still catch up.
const LATENESS_MAX: Duration = Duration::from_millis(10);

/// A request's body, counted.
pub(super) struct ReceivedBody {
    pub(super) inner: Incoming,
    pub(super) stats: Arc<Stats>,
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            self.stats.received(data.map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// When a connection may send its next bytes.
#[derive(Debug)]
pub(super) struct Pacer {
    bytes_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Pacer {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Takes the time that `bytes` need; answers when they may be sent.
    fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = now.checked_sub(LATENESS_MAX).map_or(*free_at, |earliest| earliest.max(*free_at));
        *free_at = start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        start
    }
}

/// An answer's body, counted and paced.
pub(super) struct SentBody {
    inner: s3s::Body,
    stats: Arc<Stats>,
    pace: Option<Pace>,
}

struct Pace {
    pacer: Arc<Pacer>,
    /// Taken from the body, not yet due.
    held: Bytes,
    due: Option<Pin<Box<Sleep>>>,
}

impl SentBody {
    pub(super) fn new(inner: s3s::Body, stats: Arc<Stats>, pacer: Option<Arc<Pacer>>) -> Self {
        let pace = pacer.map(|pacer| Pace { pacer, held: Bytes::new(), due: None });
        Self { inner, stats, pace }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        let frame = match &mut this.pace {
            None => ready!(Pin::new(&mut this.inner).poll_frame(cx)),
            Some(pace) => ready!(pace.poll_frame(&mut this.inner, cx)),
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            this.stats.sent(data.map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.pace.as_ref().is_none_or(|pace| pace.held.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.pace.as_ref().map_or(0, |pace| pace.held.len() as u64);
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + held);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

impl Pace {
    fn poll_frame(
        &mut self,
        inner: &mut s3s::Body,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.held.is_empty() {
            match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.held = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let bytes = self.held.len().min(PACED_FRAME_BYTES);
        let due = self.due.get_or_insert_with(|| Box::pin(sleep_until(self.pacer.reserve(bytes, Instant::now()))));
        ready!(due.as_mut().poll(cx));
        self.due = None;
        Poll::Ready(Some(Ok(Frame::data(self.held.split_to(bytes)))))
    }
}

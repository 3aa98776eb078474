//! Requests to the store that wait their turn, time out, are tried again, and are not believed unless they fit.
//!
//! Nothing that this module returns as `Ok` disagrees with what was asked: another range, another ETag, another version
//! or keys outside the prefix are [`ErrorKind::InvalidAnswer`], and nothing of such an answer is used.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use crate::config::{COMPLETE_TIME_PER_PART, COPY_RATE_MIN, SEND_RATE_MIN, SENDS_SHARING_MAX};
use crate::data::context::Context;
use crate::data::patience::or_timeout;
use crate::data::retry::{Retry, Verdict, is_transient};
use crate::env::store::{
    ByteRange, ErrorKind, Get, GetReply, Head, Key, List, ListPage, ObjectMeta, ReadConditions, Store, StoreError,
    VersionId,
};
use crate::env::{Clock, Env, Rng};
use crate::marks::sometimes;
use crate::state::version::Version;
use crate::zoo::{self, Bug};

type BodyOf<E> = <<E as Env>::Store as Store>::Body;

impl<E: Env> Context<E> {
    /// The current object at `key`.
    pub async fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.persist(|| {
            let request = Head { key: key.clone(), version_id: None, conditions: ReadConditions::none() };
            self.env.store().head(request)
        })
        .await
    }

    /// One page of a listing whose keys all start with the prefix asked for.
    pub async fn list(&self, request: List) -> Result<ListPage, StoreError> {
        self.persist(|| async {
            let page = self.env.store().list(request.clone()).await.map_err(never_of_a_listing)?;
            check_page(&request, &page)?;
            Ok(page)
        })
        .await
    }

    /// Whether any key starts with `prefix`.
    pub async fn any_key_under(&self, prefix: &str) -> Result<bool, StoreError> {
        if zoo::has(Bug::SiblingHidesDirectory) {
            // Without the slash, `film-2` comes before `film/`.
            let request = List { prefix: prefix.trim_end_matches('/').to_string(), max_keys: 2, ..List::default() };
            return Ok(self.list(request).await?.objects.iter().any(|object| object.key.as_str().starts_with(prefix)));
        }
        let request = List { prefix: prefix.to_string(), max_keys: 1, ..List::default() };
        let page = self.list(request).await?;
        Ok(!page.objects.is_empty() || !page.prefixes.is_empty())
    }

    /// A page of a directory: what is directly beneath `prefix`.
    pub async fn list_directory(&self, prefix: &str, continuation: Option<String>) -> Result<ListPage, StoreError> {
        self.list(List {
            prefix: prefix.to_string(),
            delimiter: Some("/".to_string()),
            start_after: None,
            continuation,
            max_keys: self.config.sizes.list_page_keys,
        })
        .await
    }

    /// A GET of whatever is current at `key`, all of it.
    pub async fn get_current(&self, key: &Key, range: Option<ByteRange>) -> Result<GetReply<BodyOf<E>>, StoreError> {
        self.persist(|| async {
            let request = Get { key: key.clone(), version_id: None, range, conditions: ReadConditions::none() };
            let reply = self.env.store().get(request).await?;
            check_range(range, &reply)?;
            Ok(reply)
        })
        .await
    }

    /// A GET of bytes of `version` if it is the current one. [`ErrorKind::PreconditionFailed`] or
    /// [`ErrorKind::NotFound`]: it is not, though on a bucket with versions it may still be had.
    pub async fn get_if_current(
        &self,
        version: &Version,
        range: Option<ByteRange>,
    ) -> Result<GetReply<BodyOf<E>>, StoreError> {
        let version_id = if zoo::has(Bug::OpenByVersionId) { version.version_id.clone() } else { None };
        self.persist(|| self.ask_version(version, version_id.clone(), range)).await
    }

    /// A GET of bytes of exactly `version`. [`ErrorKind::PreconditionFailed`] or [`ErrorKind::NotFound`]: it cannot be
    /// had any more.
    pub async fn get_version(
        &self,
        version: &Version,
        range: Option<ByteRange>,
    ) -> Result<GetReply<BodyOf<E>>, StoreError> {
        self.persist(|| self.ask_version(version, version.version_id.clone(), range)).await
    }

    /// The same, one attempt: for streams, which count their failures across the breaks of a body. Where its id is gone,
    /// the same bytes may be current under another. [`ErrorKind::PreconditionFailed`] or [`ErrorKind::NotFound`]: it cannot
    /// be had any more.
    pub async fn get_version_once(
        &self,
        version: &Version,
        range: Option<ByteRange>,
    ) -> Result<GetReply<BodyOf<E>>, StoreError> {
        match self.attempt(self.ask_version(version, version.version_id.clone(), range)).await {
            Err(error) if error.kind == ErrorKind::NotFound && version.version_id.is_some() => {
                sometimes!(AskedWithoutItsId);
                self.attempt(self.ask_version(version, None, range)).await
            }
            outcome => outcome,
        }
    }

    async fn ask_version(
        &self,
        version: &Version,
        version_id: Option<VersionId>,
        range: Option<ByteRange>,
    ) -> Result<GetReply<BodyOf<E>>, StoreError> {
        let version_id = version_id.filter(|_| !zoo::has(Bug::ReadByNameThoughVersioned));
        let conditions = match zoo::has(Bug::ReadWithoutIfMatch) {
            true => ReadConditions::none(),
            false => ReadConditions::if_match(&version.etag),
        };
        let reply = self.env.store().get(Get { key: version.key.clone(), version_id, range, conditions }).await?;
        check_range(range, &reply)?;
        if zoo::has(Bug::EtagOfAnswerIgnored) || zoo::has(Bug::ReadWithoutIfMatch) {
            return Ok(reply);
        }
        if reply.meta.etag != version.etag || reply.meta.size != version.size {
            let what = format!(
                "asked for ETag {} of {} bytes, was answered ETag {} of {} bytes",
                version.etag, version.size, reply.meta.etag, reply.meta.size
            );
            sometimes!(NonsenseRefused);
            return Err(StoreError::new(ErrorKind::InvalidAnswer, what));
        }
        Ok(reply)
    }

    /// Waits before a retry: its own back-off and whatever the whole mount owes.
    pub async fn back_off(&self, delay: std::time::Duration) {
        let owed = self.pace.lock().take_retry(self.env.clock().now());
        if !owed.is_zero() {
            sometimes!(RetriesShort);
        }
        self.env.clock().sleep(delay.max(owed)).await;
    }

    /// One attempt with its time-out, at the pace of the mount.
    pub(super) async fn attempt<T>(&self, once: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.attempt_of(Work::Asking, once).await
    }

    /// The same of more work than asking.
    pub(super) async fn attempt_of<T>(
        &self,
        work: Work,
        once: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        loop {
            let wait = self.pace.lock().wait(self.env.clock().now());
            if wait.is_zero() {
                break;
            }
            self.env.clock().sleep(wait).await;
        }
        if zoo::has(Bug::AttemptNeverTimesOut) {
            return once.await;
        }
        let began = self.env.clock().now();
        let mut once = pin!(once);
        let mut limit = Duration::ZERO;
        let outcome = loop {
            // Others may have begun to send since, which makes this slower.
            limit = limit.max(self.config.attempt_timeout.saturating_add(work.time(self.sends.count())));
            let left = limit.saturating_sub(self.env.clock().now().since(began));
            if left.is_zero() {
                let what = format!("nothing came within {} s", limit.as_secs_f32());
                break Err(StoreError::new(ErrorKind::NoAnswer, what));
            }
            if let Some(outcome) = or_timeout(self.env.clock(), left, once.as_mut()).await {
                break outcome;
            }
        };
        match &outcome {
            Ok(_) => self.pace.lock().succeeded(),
            Err(error) if error.kind == ErrorKind::Throttled => {
                sometimes!(Throttled);
                if !zoo::has(Bug::ThrottlingForgotten) {
                    self.pace.lock().throttled(self.env.clock().now());
                }
            }
            Err(_) => {}
        }
        outcome
    }

    /// Attempts until one succeeds, fails for good, or the deadline has passed.
    pub async fn persist<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        once: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        self.persist_with(Work::Asking, once).await
    }

    /// The same of more work than asking.
    pub(super) async fn persist_with<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        work: Work,
        once: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        self.persist_while(work, || true, once).await
    }

    /// The same; what fails when it is not `wanted` any more is not tried again.
    pub(super) async fn persist_while<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        work: Work,
        wanted: impl Fn() -> bool,
        mut once: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        let mut retry = Retry::new(self.config.deadline);
        loop {
            let error = match self.attempt_of(work, once()).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match retry.failed(&error, self.env.clock().now(), self.env.rng().next_u64()) {
                Verdict::Again(delay) if wanted() => self.back_off(delay).await,
                Verdict::Again(_) => return Err(error),
                Verdict::GiveUp => {
                    if is_transient(error.kind) {
                        sometimes!(GaveUp);
                    }
                    return Err(error);
                }
            }
        }
    }
}

/// What an attempt has to do before it can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Asking,
    /// So many bytes are sent.
    Sending(u64),
    /// S3 copies so many bytes.
    Copying(u64),
    /// So many parts are made one object.
    Completing(usize),
}

impl Work {
    /// On top of an attempt's time-out, where so many send.
    fn time(self, sends: usize) -> Duration {
        let of_bytes = |bytes: u64, rate| Duration::from_millis(bytes.saturating_mul(1000) / rate);
        match self {
            Self::Asking => Duration::ZERO,
            Self::Sending(bytes) => {
                of_bytes(bytes.saturating_mul(sends.clamp(1, SENDS_SHARING_MAX) as u64), SEND_RATE_MIN)
            }
            Self::Copying(bytes) => of_bytes(bytes, COPY_RATE_MIN),
            Self::Completing(parts) => COMPLETE_TIME_PER_PART * u32::try_from(parts).unwrap_or(u32::MAX),
        }
    }
}

/// Whether a reply delivers the bytes that `asked` names, of an object as large as it says.
fn check_range<B>(asked: Option<ByteRange>, reply: &GetReply<B>) -> Result<(), StoreError> {
    let size = reply.meta.size;
    let expected = match asked {
        None => 0..size,
        Some(ByteRange::From(start)) => start..size,
        Some(ByteRange::Within { start, end }) => start..end.min(size),
        Some(ByteRange::Last(n)) => size.saturating_sub(n)..size,
    };
    if reply.range == expected || zoo::has(Bug::WrongRangeAccepted) {
        return Ok(());
    }
    sometimes!(NonsenseRefused);
    let what = format!("asked for bytes {expected:?} of {size}, was answered {:?}", reply.range);
    Err(StoreError::new(ErrorKind::InvalidAnswer, what))
}

/// A listing finds nothing by being empty. A "not found" that reached readdir(3) would look like the directory's end.
fn never_of_a_listing(error: StoreError) -> StoreError {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::PreconditionFailed | ErrorKind::NotModified => {
            StoreError { kind: ErrorKind::InvalidAnswer, ..error }
        }
        _ => error,
    }
}

fn check_page(asked: &List, page: &ListPage) -> Result<(), StoreError> {
    let mut keys = page.objects.iter().map(|object| &object.key).chain(&page.prefixes);
    match keys.find(|key| !key.as_str().starts_with(&asked.prefix)) {
        None => Ok(()),
        Some(stranger) => {
            let what = format!("a listing of {:?} named {stranger:?}", asked.prefix);
            Err(StoreError::new(ErrorKind::InvalidAnswer, what))
        }
    }
}

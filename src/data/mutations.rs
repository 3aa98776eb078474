//! Requests that change the bucket, tried until it is known what became of them.
//!
//! An answer that got lost is never guessed at: the key is looked at, and the mutation counts as applied when what stands
//! there can only be ours.

use std::collections::BTreeMap;
use std::future::Future;

use crate::data::context::Context;
use crate::data::requests::Work;
use crate::data::retry::{Retry, Verdict};
use crate::env::store::{
    Copy, CopySource, Delete, ETag, ErrorKind, Key, NewObject, ObjectMeta, Put, ReadConditions, Store, StoreError,
    WriteCondition, Written,
};
use crate::env::{Clock, Env, Rng};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::state::version::Version;
use crate::zoo::{self, Bug};

/// What a publication sends, as far as it can be told from what others send. The user metadata have the time of the change in
/// them, so that they alone tell where ETags say nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `None`: not known beforehand.
    pub etag: Option<ETag>,
    /// Bytes.
    pub size: u64,
    pub user: BTreeMap<String, String>,
}

impl Sent {
    pub fn is(&self, meta: &ObjectMeta) -> bool {
        self.size == meta.size && self.user == meta.user && self.etag.as_ref().is_none_or(|etag| *etag == meta.etag)
    }
}

/// Why a mutation was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its condition did not hold: what stands there, if anything does, is somebody else's.
    Condition(Option<Box<ObjectMeta>>),
    /// `in_doubt`: it may have been applied all the same, or may be yet.
    Store { error: StoreError, in_doubt: bool },
    /// What was to be sent could not be had.
    Source(FsError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store { error, in_doubt: false }
    }
}

impl Refusal {
    /// What it means to a user who asked for a change of `key`, where a lost condition has no better meaning.
    pub fn into_error(self, key: &Key) -> FsError {
        match self {
            Self::Condition(_) => FsError::LostUpdate { key: key.clone(), kept: None },
            Self::Store { error, .. } => FsError::from_store(key, error),
            Self::Source(error) => error,
        }
    }
}

impl<E: Env> Context<E> {
    /// Sends a conditional mutation of `key` until it is decided. `is_ours` tells whether what stands there is what was sent,
    /// of which an attempt may be in doubt.
    pub(super) async fn decide<F: Future<Output = Result<Written, StoreError>>>(
        &self,
        key: &Key,
        work: Work,
        is_ours: impl Fn(&ObjectMeta, bool) -> bool,
        mut send: impl FnMut() -> F,
    ) -> Result<Written, Refusal> {
        let mut retry = Retry::new(self.config.deadline);
        let mut in_doubt = false;
        loop {
            let error = match self.attempt_of(work, send()).await {
                Ok(written) => return Ok(written),
                Err(error) => error,
            };
            if matches!(error.kind, ErrorKind::PreconditionFailed | ErrorKind::NotFound) {
                return self.look(key, in_doubt, is_ours).await;
            }
            in_doubt |= error.kind.is_ambiguous();
            match retry.failed(&error, self.env.clock().now(), self.env.rng().next_u64()) {
                Verdict::Again(delay) => self.back_off(delay).await,
                Verdict::GiveUp => return Err(Refusal::Store { error, in_doubt }),
            }
        }
    }

    /// What stands at `key` after a condition failed.
    pub(super) async fn look(
        &self,
        key: &Key,
        in_doubt: bool,
        is_ours: impl Fn(&ObjectMeta, bool) -> bool,
    ) -> Result<Written, Refusal> {
        match self.head(key).await {
            // Without a doubt, too: a proxy between us and S3 may have repeated the request.
            Ok(meta) if is_ours(&meta, in_doubt) && !zoo::has(Bug::LostAnswerIsAConflict) => {
                sometimes!(LostAnswerFound);
                Ok(Written { etag: meta.etag, version_id: meta.version_id })
            }
            Ok(meta) => Err(Refusal::Condition(Some(Box::new(meta)))),
            Err(error) if error.kind == ErrorKind::NotFound => Err(Refusal::Condition(None)),
            Err(error) => Err(Refusal::Store { error, in_doubt }),
        }
    }

    /// What a PUT of `body` sends.
    pub(super) fn sent(&self, body: &bytes::Bytes, object: &NewObject) -> Sent {
        let etag = self.env.store().etags_tell_bytes().then(|| super::etag::of_put(body));
        Sent { etag, size: body.len() as u64, user: object.user.clone() }
    }

    /// An object of one part, under a condition.
    pub async fn put_object(
        &self,
        key: &Key,
        body: bytes::Bytes,
        object: &NewObject,
        condition: Option<WriteCondition>,
    ) -> Result<Written, Refusal> {
        let send = || {
            let (body, object) = (body.clone(), object.clone());
            self.env.store().put(Put { key: key.clone(), body, object, condition: condition.clone() })
        };
        // The digest is made only where the bytes must be told from others'.
        let is_ours = |meta: &ObjectMeta, _: bool| meta.user == object.user && self.sent(&body, object).is(meta);
        self.decide(key, Work::Sending(body.len() as u64), is_ours, send).await
    }

    /// The bytes of `source`, if it is still the current version, at `key`. `replace`: other attributes than it has.
    ///
    /// Errors: [`Refusal::Condition`] also when `source` is not current any more.
    pub(super) async fn copy_version(
        &self,
        source: &Version,
        key: &Key,
        replace: Option<NewObject>,
        condition: Option<WriteCondition>,
    ) -> Result<Written, Refusal> {
        let request = Copy {
            source: CopySource {
                key: source.key.clone(),
                version_id: None,
                conditions: match zoo::has(Bug::CopyOfWhateverIsThere) {
                    true => ReadConditions::default(),
                    false => ReadConditions::if_match(&source.etag),
                },
            },
            key: key.clone(),
            replace,
            condition,
        };
        let given = request.replace.as_ref().map(|object| object.user.clone());
        // A copy of one part has the ETag of its bytes, so that onto itself it is simply made again; one of many parts gets
        // another, and is told by the attributes that it was given, of which the time of the change is one.
        // In doubt only: of equal bytes another mount may have made the very same copy.
        let is_ours = |meta: &ObjectMeta, in_doubt: bool| {
            let ours = given.as_ref().map_or(meta.etag == source.etag, |given| *given == meta.user);
            in_doubt && ours && meta.size == source.size
        };
        self.decide(key, Work::Copying(source.size), is_ours, || self.env.store().copy(request.clone())).await
    }

    /// Deletes what is at `key`, under a condition if one is given. What is not there any more is deleted.
    ///
    /// Errors: [`Refusal::Condition`] when something else stands there by now.
    pub async fn delete(&self, key: &Key, condition: Option<WriteCondition>) -> Result<(), Refusal> {
        let mut retry = Retry::new(self.config.deadline);
        let mut condition = condition;
        let mut in_doubt = false;
        loop {
            let request = Delete { key: key.clone(), version_id: None, condition: condition.clone() };
            let error = match self.attempt(self.env.store().delete(request)).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.kind {
                ErrorKind::NotFound => return Ok(()),
                ErrorKind::PreconditionFailed => return Err(Refusal::Condition(None)),
                // Stores that know no conditional delete say so.
                ErrorKind::Unsupported if condition.is_some() => {
                    condition = None;
                    continue;
                }
                _ => {}
            }
            in_doubt |= error.kind.is_ambiguous();
            match retry.failed(&error, self.env.clock().now(), self.env.rng().next_u64()) {
                Verdict::Again(delay) => self.back_off(delay).await,
                Verdict::GiveUp => return Err(Refusal::Store { error, in_doubt }),
            }
        }
    }
}

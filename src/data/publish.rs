//! Publishing a snapshot of a file: atomically, under its precondition, and with as few bytes as may be.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::config::{COPY_BYTES_MAX, OBJECT_BYTES_MAX, PARTS_AT_ONCE, READ_BYTES_MAX};
use crate::data::content::{Content, Kept};
use crate::data::context::Context;
use crate::data::log::Log;
use crate::data::mutations::Refusal;
use crate::data::notes::Note;
use crate::data::overlay::{Overlay, Run, Source};
use crate::data::plan::{Part, Plan, plan};
use crate::env::store::{
    CompleteUpload, CopySource, CreateUpload, ETag, ErrorKind, Key, NewObject, ObjectMeta, Put, ReadConditions, Store,
    UploadId, UploadPart, UploadPartCopy, WriteCondition, Written,
};
use crate::env::{Disk, Env, NoteId, Spawn};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::state::version::Version;
use crate::zoo::{self, Bug};

/// What must stand at a key for a publication to replace it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expects {
    Absent,
    ETag(ETag),
    /// `--on-conflict=overwrite`, once there was a conflict.
    Anything,
}

impl Expects {
    fn of(condition: Option<WriteCondition>) -> Self {
        match condition {
            Some(WriteCondition::IfAbsent) => Self::Absent,
            Some(WriteCondition::IfMatch(etag)) => Self::ETag(etag),
            None => Self::Anything,
        }
    }

    fn condition(&self) -> Option<WriteCondition> {
        match self {
            _ if zoo::has(Bug::CommitWithoutCondition) || zoo::has(Bug::PartCopiedWithoutCondition) => None,
            Self::Absent => Some(WriteCondition::IfAbsent),
            Self::ETag(etag) => Some(WriteCondition::IfMatch(etag.clone())),
            Self::Anything => None,
        }
    }
}

/// The version that a file was begun from. What is at hand of it, and what is on its way, is not let go while this lives,
/// whether or not anybody has it open.
pub struct Base<E: Env>(Arc<Content<E>>);

impl<E: Env> Base<E> {
    pub fn new(content: Arc<Content<E>>) -> Arc<Self> {
        content.opening();
        Arc::new(Self(content))
    }

    pub fn content(&self) -> &Arc<Content<E>> {
        &self.0
    }
}

impl<E: Env> Drop for Base<E> {
    fn drop(&mut self) {
        self.0.opening_ended();
    }
}

/// A file as it was at one instant.
pub struct Snapshot<E: Env> {
    pub context: Arc<Context<E>>,
    pub key: Key,
    pub object: NewObject,
    pub expects: Expects,
    pub overlay: Overlay,
    pub log: Arc<Log<E>>,
    pub base: Option<Arc<Base<E>>>,
    pub generation: u64,
    /// ETags of publications before this one of which nobody knows what became of them.
    pub in_doubt: Vec<ETag>,
}

/// Why a snapshot was not published.
#[derive(Debug)]
pub enum Unpublished {
    /// Somebody else's version stands there.
    Conflict,
    /// An earlier publication of ours, which was in doubt, stands there.
    Landed(Box<ObjectMeta>),
    /// `maybe`: what may have been published all the same.
    Failed { error: FsError, maybe: Option<ETag> },
}

impl From<FsError> for Unpublished {
    fn from(error: FsError) -> Self {
        Self::Failed { error, maybe: None }
    }
}

/// How often an upload that somebody aborted under us is begun afresh.
const UPLOADS_MAX: u32 = 3;

impl<E: Env> Snapshot<E> {
    /// Bytes `range` of the file, cut at its end.
    pub async fn bytes(&self, range: Range<u64>, kept: Kept) -> Result<Bytes, FsError> {
        assemble(self.overlay.runs(range), &self.log, self.base.as_deref(), kept).await
    }

    /// The same, for a request: not a piece of the cache, whose memory would count for as long as somebody keeps the request.
    async fn body(&self, range: Range<u64>) -> Result<Bytes, FsError> {
        let cached = self.overlay.runs(range.clone()).iter().all(|run| run.source == Source::Base);
        let bytes = self.bytes(range, Kept::Nowhere).await?;
        Ok(if cached { Bytes::copy_from_slice(&bytes) } else { bytes })
    }

    /// Makes it the current version at its key, whole or not at all. What was sent in one piece is answered with it.
    pub async fn publish(&self) -> Result<(Written, Option<Bytes>), Unpublished> {
        let size = self.overlay.size();
        if size > OBJECT_BYTES_MAX {
            return Err(FsError::TooLarge { key: self.key.clone(), bytes: size }.into());
        }
        if self.context.config.preconditions_ignored {
            self.expect_by_looking().await?;
        }
        let outcome = match plan(size, &self.overlay.runs(0..size), &self.context.config.sizes) {
            Plan::Put => self.put().await.map(|(written, body)| (written, Some(body))),
            Plan::Parts(parts) => self.upload(&parts).await.map(|written| (written, None)),
        };
        let (written, body) = outcome?;
        if self.context.config.preconditions_ignored {
            self.verify_by_looking(&written).await?;
        }
        Ok((written, body))
    }

    async fn put(&self) -> Result<(Written, Bytes), Unpublished> {
        let body = self.body(0..self.overlay.size()).await?;
        let (store, condition) = (self.context.env.store(), self.expects.condition());
        // Only where it must be told from others'.
        let etag = || super::etag::of_put(&body);
        let send = || {
            let (key, body, object) = (self.key.clone(), body.clone(), self.object.clone());
            store.put(Put { key, body, object, condition: condition.clone() })
        };
        let is_ours = |meta: &ObjectMeta| meta.user == self.object.user && meta.etag == etag();
        match self.context.decide(&self.key, is_ours, send).await {
            Ok(written) => Ok((written, body)),
            Err(refusal @ Refusal::Store { in_doubt: true, .. }) => Err(self.unpublished(refusal, Some(&etag()))),
            Err(refusal) => Err(self.unpublished(refusal, None)),
        }
    }

    async fn upload(&self, parts: &[Part]) -> Result<Written, Unpublished> {
        let mut uploads = 0;
        loop {
            uploads += 1;
            let request = CreateUpload { key: self.key.clone(), object: self.object.clone() };
            let created = self.context.persist(|| self.context.env.store().create_upload(request.clone())).await;
            let id = created.map_err(|error| FsError::from_store(&self.key, error))?;
            let note = Note::Upload { key: self.key.clone(), id: id.clone() };
            let note = self.context.env.disk().leave_note(note.text()).await.ok();
            let outcome = match self.send_parts(&id, parts).await {
                Ok(etags) => self.complete(&id, etags).await,
                Err(refusal) => Err(self.unpublished(refusal, None)),
            };
            match outcome {
                Ok(written) => {
                    self.context.take_back_note(note).await;
                    return Ok(written);
                }
                // By a lifecycle rule, or by somebody who tidied up.
                Err(Unpublished::Failed { error: FsError::Exhausted { cause, .. }, maybe: None })
                    if cause.kind == ErrorKind::NoSuchUpload && uploads < UPLOADS_MAX =>
                {
                    sometimes!(UploadVanished);
                    self.context.take_back_note(note).await;
                }
                Err(unpublished) => {
                    self.abort(id, note);
                    return Err(unpublished);
                }
            }
        }
    }

    async fn send_parts(&self, id: &UploadId, parts: &[Part]) -> Result<Vec<(u32, ETag)>, Refusal> {
        let longest = parts.iter().filter(|part| matches!(part, Part::Upload(_))).map(|part| part.range());
        let longest = longest.map(|range| range.end - range.start).max().unwrap_or(1).max(1);
        let at_once = (self.context.config.memory_max / 2 / longest).clamp(1, PARTS_AT_ONCE as u64) as usize;
        let mut waiting = parts.iter().zip(1u32..);
        let mut under_way = FuturesUnordered::new();
        let mut sent = Vec::with_capacity(parts.len());
        loop {
            let room = at_once - under_way.len();
            for (part, number) in waiting.by_ref().take(room) {
                under_way.push(self.send_part(id, number, part));
            }
            match under_way.next().await {
                Some(part) => sent.push(part?),
                None => break,
            }
        }
        sent.sort_unstable_by_key(|(number, _)| *number);
        Ok(sent)
    }

    async fn send_part(&self, id: &UploadId, number: u32, part: &Part) -> Result<(u32, ETag), Refusal> {
        let store = self.context.env.store();
        let (key, upload) = (self.key.clone(), id.clone());
        match part {
            Part::Upload(range) => {
                let body = match self.body(range.clone()).await {
                    Ok(body) => body,
                    Err(error) => return Err(Refusal::Source(error)),
                };
                let request = UploadPart { key, upload, number, body };
                let etag = self.context.persist(|| store.upload_part(request.clone())).await?;
                Ok((number, etag))
            }
            Part::Copy(range) => {
                sometimes!(PartCopied);
                let base = self.base.as_ref().expect("only what has a base copies it").content().version();
                // S3 copies no range of a source that is no longer than the shortest part.
                let part_of_it = Some(range.clone()).filter(|range| *range != (0..base.size));
                let careless = zoo::has(Bug::PartCopiedWithoutCondition);
                let conditions = ReadConditions::if_match(&base.etag);
                let source = CopySource {
                    key: base.key.clone(),
                    version_id: base.version_id.clone().filter(|_| !careless),
                    conditions: if careless { ReadConditions::none() } else { conditions },
                };
                let request = UploadPartCopy { key, upload, number, source, range: part_of_it };
                match self.context.persist(|| store.upload_part_copy(request.clone())).await {
                    Ok(etag) => Ok((number, etag)),
                    Err(error) if error.kind.is_gone() => Err(Refusal::Condition(None)),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    async fn complete(&self, id: &UploadId, parts: Vec<(u32, ETag)>) -> Result<Written, Unpublished> {
        let etag = super::etag::of_upload(&parts);
        let condition = self.expects.condition();
        let request = CompleteUpload { key: self.key.clone(), upload: id.clone(), parts, condition };
        let is_ours = |meta: &ObjectMeta| {
            etag.as_ref().is_some_and(|etag| *etag == meta.etag)
                && meta.size == self.overlay.size()
                && meta.user == self.object.user
        };
        let send = || async {
            match self.context.env.store().complete_upload(request.clone()).await {
                // Completed by an attempt before, or aborted: looking tells.
                Err(error) if error.kind == ErrorKind::NoSuchUpload => match self.context.head(&self.key).await {
                    Ok(meta) if is_ours(&meta) => Ok(Written { etag: meta.etag, version_id: meta.version_id }),
                    Ok(_) | Err(_) => Err(error),
                },
                outcome => outcome,
            }
        };
        let outcome = self.context.decide(&self.key, is_ours, send).await;
        outcome.map_err(|refusal| self.unpublished(refusal, etag.as_ref()))
    }

    /// In the background: nobody waits for it, and what it leaves behind harms nobody but the bill.
    fn abort(&self, id: UploadId, note: Option<NoteId>) {
        if zoo::has(Bug::UploadLeftBehind) {
            return;
        }
        let (context, key) = (self.context.clone(), self.key.clone());
        self.context.env.spawn().spawn("abort an upload", async move {
            if context.abort_upload(&key, &id).await {
                context.take_back_note(note).await;
            }
        });
    }

    fn unpublished(&self, refusal: Refusal, ours: Option<&ETag>) -> Unpublished {
        match refusal {
            Refusal::Condition(Some(meta)) if self.in_doubt.contains(&meta.etag) => Unpublished::Landed(meta),
            Refusal::Condition(_) => Unpublished::Conflict,
            Refusal::Source(FsError::LostHold { .. }) => Unpublished::Conflict,
            Refusal::Source(error) => error.into(),
            Refusal::Store { error, in_doubt } => Unpublished::Failed {
                error: FsError::from_store(&self.key, error),
                maybe: ours.filter(|_| in_doubt).cloned(),
            },
        }
    }

    /// For stores that ignore preconditions.
    async fn expect_by_looking(&self) -> Result<(), Unpublished> {
        let stands = match self.context.head(&self.key).await {
            Ok(meta) => Some(meta),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(FsError::from_store(&self.key, error).into()),
        };
        match (&self.expects, stands) {
            (Expects::Anything, _) | (Expects::Absent, None) => Ok(()),
            (Expects::ETag(etag), Some(meta)) if *etag == meta.etag => Ok(()),
            (_, Some(meta)) if self.in_doubt.contains(&meta.etag) => Err(Unpublished::Landed(Box::new(meta))),
            (Expects::Absent | Expects::ETag(_), _) => Err(Unpublished::Conflict),
        }
    }

    async fn verify_by_looking(&self, written: &Written) -> Result<(), Unpublished> {
        match self.context.head(&self.key).await {
            Ok(meta) if meta.etag == written.etag => Ok(()),
            Ok(_) => Err(Unpublished::Conflict),
            Err(error) if error.kind == ErrorKind::NotFound => Err(Unpublished::Conflict),
            Err(error) => {
                let maybe = Some(written.etag.clone());
                Err(Unpublished::Failed { error: FsError::from_store(&self.key, error), maybe })
            }
        }
    }
}

/// The bytes of these runs of a file.
pub(super) async fn assemble<E: Env>(
    runs: Vec<Run>,
    log: &Log<E>,
    base: Option<&Base<E>>,
    kept: Kept,
) -> Result<Bytes, FsError> {
    let only_one = runs.len() == 1;
    let mut joined = BytesMut::new();
    for run in runs {
        let bytes = match run.source {
            Source::Log(at) => log.read(at..at + (run.range.end - run.range.start)).await?,
            Source::Zeros => Bytes::from(vec![0; (run.range.end - run.range.start) as usize]),
            Source::Base => {
                let base = base.expect("only what has a base shows it").content();
                base_bytes(base, run.range, kept).await?
            }
        };
        if only_one {
            return Ok(bytes);
        }
        joined.extend_from_slice(&bytes);
    }
    Ok(joined.freeze())
}

async fn base_bytes<E: Env>(base: &Arc<Content<E>>, range: Range<u64>, kept: Kept) -> Result<Bytes, FsError> {
    if range.end - range.start <= READ_BYTES_MAX {
        return base.read(range.start, range.end - range.start, kept).await;
    }
    let mut joined = BytesMut::with_capacity((range.end - range.start) as usize);
    let mut at = range.start;
    while at < range.end {
        let piece = base.read(at, READ_BYTES_MAX.min(range.end - at), kept).await?;
        at += piece.len() as u64;
        joined.extend_from_slice(&piece);
    }
    Ok(joined.freeze())
}

impl<E: Env> Context<E> {
    /// Removes the parts of an upload that will not be completed. False: they may still be there.
    pub async fn abort_upload(&self, key: &Key, id: &UploadId) -> bool {
        match self.persist(|| self.env.store().abort_upload(key.clone(), id.clone())).await {
            Ok(()) => true,
            Err(error) if error.kind == ErrorKind::NoSuchUpload => true,
            Err(error) => {
                tracing::warn!("{key:?}: upload {id} could not be aborted ({error}); its parts stay until it is");
                false
            }
        }
    }

    /// What an object is given that takes the place of one with this metadata.
    pub fn as_new(&self, meta: &ObjectMeta) -> NewObject {
        NewObject {
            content_type: meta.content_type.clone(),
            storage_class: self.config.storage_class.clone().or_else(|| meta.storage_class.clone()),
            user: meta.user.clone(),
        }
    }

    /// All of `version`, if it is still the current one, at `key`: by one copy, or by as many parts as it takes. `replace`:
    /// other attributes than it has.
    ///
    /// Errors: [`Refusal::Condition`], with what stands at `key`, also when `version` is not current any more.
    pub async fn copy_object(
        self: &Arc<Self>,
        version: &Version,
        key: &Key,
        replace: Option<NewObject>,
        condition: Option<WriteCondition>,
    ) -> Result<Written, Refusal> {
        if version.size <= COPY_BYTES_MAX {
            return self.copy_version(version, key, replace, condition).await;
        }
        let object = match replace {
            Some(object) => object,
            None => self.as_new(&self.head(&version.key).await?),
        };
        let snapshot = Snapshot {
            context: self.clone(),
            key: key.clone(),
            object,
            expects: Expects::of(condition),
            overlay: Overlay::over(version.size),
            log: Arc::new(Log::new(self.clone())),
            base: Some(Base::new(Content::new(self.clone(), version.clone()))),
            generation: 0,
            in_doubt: Vec::new(),
        };
        match snapshot.publish().await {
            Ok((written, _)) => Ok(written),
            Err(Unpublished::Failed { error, .. }) => Err(Refusal::Source(error)),
            Err(Unpublished::Conflict | Unpublished::Landed(_)) => self.look(key, false, |_| false).await,
        }
    }

    pub async fn take_back_note(&self, note: Option<NoteId>) {
        if let Some(note) = note {
            self.env.disk().take_back_note(note).await;
        }
    }
}

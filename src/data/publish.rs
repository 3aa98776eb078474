//! Publishing a snapshot of a file: atomically, under its precondition, and with as few bytes as may be.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::config::{COPY_BYTES_MAX, OBJECT_BYTES_MAX, READ_BYTES_MAX};
use crate::data::ahead::Ahead;
use crate::data::content::{Content, Kept};
use crate::data::context::Context;
use crate::data::log::Log;
use crate::data::mutations::{Refusal, Sent};
use crate::data::overlay::{Overlay, Run, Source};
use crate::data::plan::{Plan, plan};
use crate::env::store::{ETag, ErrorKind, Key, NewObject, ObjectMeta, WriteCondition, Written};
use crate::env::{Disk, Env, NoteId};
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

    pub fn condition(&self) -> Option<WriteCondition> {
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
    /// What the base has of this log: it was published as that.
    pub(super) standing: Option<Overlay>,
    pub(super) ahead: Option<Arc<Ahead<E>>>,
    pub generation: u64,
    /// How often the user has set attributes.
    pub(super) attributes: u64,
    /// That is all that was changed since it was published.
    pub only_attributes: bool,
    /// Publications before this one of which nobody knows what became of them.
    pub in_doubt: Vec<Sent>,
}

/// Why a snapshot was not published.
#[derive(Debug)]
pub enum Unpublished {
    /// Somebody else's version stands there.
    Conflict,
    /// An earlier publication of ours, which was in doubt, stands there.
    Landed(Box<ObjectMeta>),
    /// `maybe`: what may have been published all the same.
    Failed { error: FsError, maybe: Option<Sent> },
}

impl From<FsError> for Unpublished {
    fn from(error: FsError) -> Self {
        Self::Failed { error, maybe: None }
    }
}

/// What a publication made.
pub struct Published {
    pub written: Written,
    /// What was sent in one piece.
    pub body: Option<Bytes>,
    /// Its bytes are those of the base.
    pub copied: bool,
    /// The attributes that it has.
    pub object: NewObject,
    /// They are not those that the user has set meanwhile: the upload was begun before.
    pub attributes_behind: bool,
}

impl<E: Env> Snapshot<E> {
    /// Whether all of its bytes are here.
    pub fn is_whole(&self) -> bool {
        self.overlay.runs(0..self.overlay.size()).iter().all(|run| run.source != Source::Base)
    }

    /// Whether some of its bytes are those of another file.
    pub(super) fn is_based_elsewhere(&self) -> bool {
        let key = |base: &Arc<Base<E>>| base.content().version().key != self.key;
        self.base.as_ref().is_some_and(key) && !self.is_whole()
    }

    /// The version that some of its bytes may be of, and that one's size in bytes.
    pub(super) fn began_from(&self) -> Option<(ETag, u64)> {
        let version = self.base.as_ref()?.content().version();
        Some((version.etag.clone(), version.size))
    }

    /// The same bytes as a new object under another name.
    pub fn beside(&self, key: Key) -> Self {
        Self {
            context: self.context.clone(),
            key,
            object: self.object.clone(),
            expects: Expects::Absent,
            overlay: self.overlay.clone(),
            log: self.log.clone(),
            base: self.base.clone(),
            standing: self.standing.clone(),
            ahead: None,
            in_doubt: Vec::new(),
            ..*self
        }
    }

    /// Bytes `range` of the file, cut at its end.
    pub async fn bytes(&self, range: Range<u64>, kept: Kept) -> Result<Bytes, FsError> {
        assemble(self.overlay.runs(range), &self.log, self.base.as_deref(), kept).await
    }

    /// The same, for a request: not a piece of the cache, whose memory would count for as long as somebody keeps the request.
    pub(super) async fn body(&self, range: Range<u64>) -> Result<Bytes, FsError> {
        let cached = self.overlay.runs(range.clone()).iter().all(|run| run.source == Source::Base);
        let bytes = self.bytes(range, Kept::Nowhere).await?;
        Ok(if cached { Bytes::copy_from_slice(&bytes) } else { bytes })
    }

    /// What it is made of, where what stands in the bucket already counts as the base's.
    fn runs(&self) -> Vec<Run> {
        let size = self.overlay.size();
        self.standing.as_ref().map_or_else(|| self.overlay.runs(0..size), |standing| self.overlay.runs_since(standing))
    }

    /// So many bytes from the start on are the base's.
    pub(super) fn copied_prefix(&self) -> u64 {
        self.runs().first().filter(|run| run.source == Source::Base).map_or(0, |run| run.range.end)
    }

    /// The base, where only attributes of it are other ones.
    fn unchanged(&self, runs: &[Run]) -> Option<&Version> {
        let version = self.base.as_ref()?.content().version();
        let whole = Run { range: 0..version.size, source: Source::Base };
        let expected = Expects::ETag(version.etag.clone());
        (runs == [whole] && version.key == self.key && self.expects == expected).then_some(version)
    }

    /// Whether it is to replace the version that some of its bytes are of.
    fn expects_its_base(&self) -> bool {
        let etag = |base: &Arc<Base<E>>| Expects::ETag(base.content().version().etag.clone());
        self.base.as_ref().map(etag).as_ref() == Some(&self.expects)
    }

    /// Makes it the current version at its key, whole or not at all.
    pub async fn publish(&self) -> Result<Published, Unpublished> {
        let size = self.overlay.size();
        if size > OBJECT_BYTES_MAX {
            return Err(FsError::TooLarge { key: self.key.clone(), bytes: size }.into());
        }
        if self.context.config.preconditions_ignored {
            self.expect_by_looking().await?;
        }
        let runs = self.runs();
        let published = match (self.copied_whole(&runs), self.unchanged(&runs)) {
            (Some(version), _) => self.copy_of_another(version).await?,
            (None, Some(version)) => Some(self.copy(version).await?),
            (None, None) => self.send(&runs).await?,
        };
        let published = match published {
            Some(published) => published,
            None => {
                sometimes!(CopiedFileReplaced);
                // All of it travels.
                let sent = self.send(&[Run { range: 0..size, source: Source::Zeros }]).await?;
                sent.ok_or(Unpublished::Conflict)?
            }
        };
        if self.context.config.preconditions_ignored {
            self.verify_by_looking(&published.written).await?;
        }
        Ok(published)
    }

    /// In one piece, or in parts of which those of the base among `runs` are copied. `None`: that is another file, and was
    /// replaced; its bytes may be at hand.
    async fn send(&self, runs: &[Run]) -> Result<Option<Published>, Unpublished> {
        match plan(self.overlay.size(), runs, &self.context.config.sizes) {
            Plan::Put => self.put().await.map(Some),
            Plan::Parts(parts) => self.upload(parts).await,
        }
    }

    /// The file at another key whose bytes these are, all of them.
    fn copied_whole(&self, runs: &[Run]) -> Option<&Version> {
        let version = self.base.as_ref()?.content().version();
        let whole = [Run { range: 0..version.size, source: Source::Base }];
        (runs == whole && version.key != self.key).then_some(version)
    }

    /// `None`: it was replaced; its bytes may be at hand.
    async fn copy_of_another(&self, version: &Version) -> Result<Option<Published>, Unpublished> {
        match self.copy(version).await {
            Ok(published) => Ok(Some(published)),
            Err(Unpublished::Conflict) => Ok(None),
            Err(unpublished) => Err(unpublished),
        }
    }

    async fn copy(&self, version: &Version) -> Result<Published, Unpublished> {
        let object = self.object.clone();
        let copied = self.context.copy_object(version, &self.key, Some(object), self.expects.condition()).await;
        match copied {
            Ok(written) => Ok(Published { copied: true, ..self.published(written, None) }),
            Err(refusal) => {
                let sent = Sent { etag: None, size: self.overlay.size(), user: self.object.user.clone() };
                Err(self.unpublished(refusal, Some(sent)))
            }
        }
    }

    fn published(&self, written: Written, body: Option<Bytes>) -> Published {
        Published { written, body, copied: false, object: self.object.clone(), attributes_behind: false }
    }

    async fn put(&self) -> Result<Published, Unpublished> {
        let _place = self.context.sends.join(self.overlay.size()).await;
        let body = match self.body(0..self.overlay.size()).await {
            Ok(body) => body,
            // What it was to replace has been replaced.
            Err(FsError::LostHold { .. }) if self.expects_its_base() => return Err(Unpublished::Conflict),
            Err(error) => return Err(error.into()),
        };
        match self.context.put_object(&self.key, body.clone(), &self.object, self.expects.condition()).await {
            Ok(written) => Ok(self.published(written, Some(body))),
            Err(refusal @ Refusal::Store { in_doubt: true, .. }) => {
                Err(self.unpublished(refusal, Some(self.context.sent(&body, &self.object))))
            }
            Err(refusal) => Err(self.unpublished(refusal, None)),
        }
    }

    pub(super) fn unpublished(&self, refusal: Refusal, ours: Option<Sent>) -> Unpublished {
        match refusal {
            Refusal::Condition(Some(meta)) if self.doubted(&meta) => Unpublished::Landed(meta),
            Refusal::Condition(_) => Unpublished::Conflict,
            Refusal::Source(FsError::LostHold { .. }) => Unpublished::Conflict,
            Refusal::Source(error) => error.into(),
            Refusal::Store { error, in_doubt } => {
                Unpublished::Failed { error: FsError::from_store(&self.key, error), maybe: ours.filter(|_| in_doubt) }
            }
        }
    }

    /// Whether an earlier publication may have made this.
    fn doubted(&self, meta: &ObjectMeta) -> bool {
        self.in_doubt.iter().any(|sent| sent.is(meta))
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
            (_, Some(meta)) if self.doubted(&meta) => Err(Unpublished::Landed(Box::new(meta))),
            (Expects::Absent | Expects::ETag(_), _) => Err(Unpublished::Conflict),
        }
    }

    async fn verify_by_looking(&self, written: &Written) -> Result<(), Unpublished> {
        match self.context.head(&self.key).await {
            Ok(meta) if meta.etag == written.etag => Ok(()),
            Ok(_) => Err(Unpublished::Conflict),
            Err(error) if error.kind == ErrorKind::NotFound => Err(Unpublished::Conflict),
            Err(error) => {
                let (etag, size) = (Some(written.etag.clone()), self.overlay.size());
                let maybe = Some(Sent { etag, size, user: self.object.user.clone() });
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
    // It is shorter than what is made of it believes.
    let ends_at = |at| FsError::LostHold { key: base.version().key.clone(), start: at, end: range.end };
    let len = range.end - range.start;
    if len <= READ_BYTES_MAX {
        let bytes = base.read(range.start, len, kept).await?;
        return if bytes.len() as u64 == len { Ok(bytes) } else { Err(ends_at(range.start)) };
    }
    let mut joined = BytesMut::with_capacity(len as usize);
    let mut at = range.start;
    while at < range.end {
        let piece = base.read(at, READ_BYTES_MAX.min(range.end - at), kept).await?;
        if piece.is_empty() {
            return Err(ends_at(at));
        }
        at += piece.len() as u64;
        joined.extend_from_slice(&piece);
    }
    Ok(joined.freeze())
}

impl<E: Env> Context<E> {
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
            standing: None,
            ahead: None,
            generation: 0,
            attributes: 0,
            only_attributes: true,
            in_doubt: Vec::new(),
        };
        let Plan::Parts(parts) = plan(version.size, &snapshot.runs(), &self.config.sizes) else {
            unreachable!("what is longer than a copy may be is longer than a part may be")
        };
        match snapshot.upload(parts).await {
            Ok(Some(published)) => Ok(published.written),
            Err(Unpublished::Failed { error: FsError::Exhausted { cause, .. }, maybe: Some(_) }) => {
                Err(Refusal::Store { error: cause, in_doubt: true })
            }
            Err(Unpublished::Failed { error, .. }) => Err(Refusal::Source(error)),
            Ok(None) | Err(Unpublished::Conflict | Unpublished::Landed(_)) => self.look(key, false, |_, _| false).await,
        }
    }

    pub async fn take_back_note(&self, note: Option<NoteId>) {
        if let Some(note) = note {
            self.env.disk().take_back_note(note).await;
        }
    }
}

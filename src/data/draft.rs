//! A file that this mount has changed: what was written, over the version it began from, until it is open no more.
//!
//! Invariants:
//! - what was published is a snapshot: the file as it was at one instant;
//! - what was written stays readable here for as long as the draft lives, also after it was published, or could not be;
//! - a draft whose name is gone, or whose condition was lost, is published no more.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use futures_util::lock::{Mutex, MutexGuard};

use crate::config::OBJECT_BYTES_MAX;
use crate::data::ahead::Ahead;
use crate::data::content::{Content, Kept};
use crate::data::context::Context;
use crate::data::log::Log;
use crate::data::mutations::Sent;
use crate::data::overlay::{Overlay, Source};
use crate::data::publish::{Base, Expects, Snapshot, assemble};
use crate::data::stored::{Attempts, Stored};
use crate::env::store::{Key, NewObject, ObjectMeta};
use crate::env::{Env, Rng};
use crate::error::FsError;
use crate::lock::Lock;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

/// What becomes of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is published when it has changes.
    Living,
    /// Its name is gone: nobody will see it any more.
    Unlinked,
    /// Somebody else's version stands in its place. Where the bytes were kept, if they could be.
    Lost(Option<String>),
}

pub struct Draft<E: Env> {
    pub(super) context: Arc<Context<E>>,
    /// What the journal has of it. Held while that changes.
    pub(super) stored: Mutex<Option<Stored<E>>>,
    pub(super) attempts: Lock<Attempts>,
    /// That no other draft has.
    pub(super) number: u64,
    /// What the journal has of it, or is given, replaces only what it expects. Changed by whoever has `stored`.
    pub(super) yielding: AtomicBool,
    /// Held through a commit, and through what must not happen during one.
    pub gate: Mutex<()>,
    /// One change at a time. Whoever takes more than this takes the gate before it, and `stored` after it: a truncation by path
    /// holds both through its commit.
    changes: Mutex<()>,
    inner: Lock<Inner<E>>,
}

struct Inner<E: Env> {
    key: Key,
    object: NewObject,
    expects: Expects,
    overlay: Overlay,
    log: Arc<Log<E>>,
    /// The end of the log when it was last looked at for garbage.
    garbage_looked_for_at: u64,
    base: Option<Arc<Base<E>>>,
    /// The file as it was published, where that was of this log.
    standing: Option<Overlay>,
    ahead: Option<Arc<Ahead<E>>>,
    /// Counts how often the user has set attributes.
    attributes: u64,
    /// Counts changes.
    generation: u64,
    /// The change up to which it was published.
    published: u64,
    /// `attributes` then.
    attributes_published: u64,
    in_doubt: Vec<Doubt<E>>,
    fate: Fate,
    /// Nothing was written since it was created or truncated.
    blank: bool,
    /// Whoever truncated it as he opened it was told to look again, and has not come yet.
    awaited: bool,
    /// Somebody publishes it behind its close.
    publishing: bool,
    /// So many change it without having it open.
    changers: u32,
    /// The change up to which the journal has it.
    stored: u64,
    /// The file at that change.
    closed: Option<Closed<E>>,
    /// The file before a truncation that may yet be taken back.
    before: Option<Closed<E>>,
}

/// A publication of which nobody knows what became of it.
struct Doubt<E: Env> {
    sent: Sent,
    file: Closed<E>,
}

/// A file as it was at one of its changes.
struct Closed<E: Env> {
    overlay: Overlay,
    log: Arc<Log<E>>,
    generation: u64,
    /// How often the user had set attributes.
    attributes: u64,
}

/// A file before it was truncated by its path. Nothing else changes it while this lives.
pub struct Before<'a, E: Env> {
    draft: &'a Draft<E>,
    _turn: MutexGuard<'a, ()>,
    overlay: Overlay,
    base: Option<Arc<Base<E>>>,
    log: Arc<Log<E>>,
    /// The changes with the truncation: attributes may be set beside it.
    generation: u64,
    blank: bool,
    /// All of it was published.
    clean: bool,
}

/// The log is rewritten when so many records of it are needed no more, and it is more than half garbage.
const GARBAGE_RECORDS_MIN: u64 = 64;

impl<E: Env> Draft<E> {
    /// Of a file that does not exist yet, or that is truncated as it is opened. It is a change already.
    pub fn blank(context: Arc<Context<E>>, key: Key, object: NewObject, expects: Expects) -> Arc<Self> {
        Self::new(context, key, object, expects, None, 1)
    }

    /// Over a version that exists. No change yet.
    pub fn over(base: Arc<Content<E>>, context: Arc<Context<E>>, object: NewObject) -> Arc<Self> {
        let (key, expects) = (base.version().key.clone(), Expects::ETag(base.version().etag.clone()));
        Self::new(context, key, object, expects, Some(base), 0)
    }

    fn new(
        context: Arc<Context<E>>,
        key: Key,
        object: NewObject,
        expects: Expects,
        base: Option<Arc<Content<E>>>,
        generation: u64,
    ) -> Arc<Self> {
        let overlay = Overlay::over(base.as_ref().map_or(0, |base| base.version().size));
        let log = Arc::new(Log::new(context.clone()));
        Self::made_of(context, (key, object, expects), overlay, log, base, generation)
    }

    /// What a mount before this one has stored.
    pub(super) fn restored(
        context: Arc<Context<E>>,
        key: Key,
        object: NewObject,
        expects: Expects,
        overlay: Overlay,
        log: Arc<Log<E>>,
        base: Option<Arc<Content<E>>>,
    ) -> Arc<Self> {
        Self::made_of(context, (key, object, expects), overlay, log, base, 1)
    }

    fn made_of(
        context: Arc<Context<E>>,
        (key, object, expects): (Key, NewObject, Expects),
        overlay: Overlay,
        log: Arc<Log<E>>,
        base: Option<Arc<Content<E>>>,
        generation: u64,
    ) -> Arc<Self> {
        let inner = Inner {
            key,
            object,
            expects,
            blank: generation > 0 && overlay.size() == 0,
            overlay,
            log,
            garbage_looked_for_at: 0,
            base: base.map(Base::new),
            standing: None,
            ahead: None,
            attributes: 0,
            generation,
            published: 0,
            attributes_published: 0,
            in_doubt: Vec::new(),
            fate: Fate::Living,
            awaited: false,
            publishing: false,
            changers: 0,
            stored: 0,
            closed: None,
            before: None,
        };
        let number = if context.config.write_back_max > 0 { context.env.rng().next_u64() } else { 0 };
        Arc::new(Self {
            context,
            stored: Mutex::new(None),
            attempts: Lock::default(),
            number,
            yielding: AtomicBool::new(false),
            gate: Mutex::new(()),
            changes: Mutex::new(()),
            inner: Lock::new(inner),
        })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.inner.lock().overlay.size()
    }

    pub fn key(&self) -> Key {
        self.inner.lock().key.clone()
    }

    /// A directory above it was renamed, and nothing of it stands in the bucket yet.
    pub fn moves_to(&self, key: Key) {
        self.inner.lock().key = key;
    }

    /// How many changes were made.
    pub fn generation(&self) -> u64 {
        self.inner.lock().generation
    }

    /// Whether the first so many changes stand in the bucket, and at most one was made since.
    pub fn has_only_one_change_since(&self, generation: u64) -> bool {
        let inner = self.inner.lock();
        inner.published >= generation && inner.generation <= generation + 1
    }

    pub fn fate(&self) -> Fate {
        self.inner.lock().fate.clone()
    }

    pub fn meets(&self, fate: Fate) {
        let mut inner = self.inner.lock();
        inner.fate = fate;
        let ahead = if inner.fate == Fate::Living { None } else { inner.ahead.take() };
        drop(inner);
        drop(ahead);
    }

    pub fn expects(&self) -> Expects {
        self.inner.lock().expects.clone()
    }

    /// Whether anything of it may stand in the bucket: a publication succeeded, or is in doubt.
    pub fn may_stand(&self) -> bool {
        let inner = self.inner.lock();
        inner.expects != Expects::Absent || !inner.in_doubt.is_empty()
    }

    /// Whether it has changes that are not published, and are to be.
    pub fn is_dirty(&self) -> bool {
        self.inner.lock().is_dirty()
    }

    /// Whether all that is to be published of it is attributes that the user has set.
    pub fn changes_attributes_only(&self) -> bool {
        let inner = self.inner.lock();
        inner.is_dirty() && inner.only_attributes()
    }

    /// Whether a publication has anything to do, or to say.
    pub fn is_dirty_or_lost(&self) -> bool {
        self.is_dirty() || matches!(self.fate(), Fate::Lost(_))
    }

    /// Whether it is unpublished and nothing was written to it since it was created or truncated.
    pub fn is_blank(&self) -> bool {
        self.is_dirty() && self.inner.lock().blank
    }

    /// Whether its writer is yet to come.
    pub fn is_awaited(&self) -> bool {
        self.inner.lock().awaited
    }

    pub fn awaits(&self, awaited: bool) {
        self.inner.lock().awaited = awaited;
    }

    /// False: somebody publishes it already, and will go on until nothing is left.
    pub fn begins_publishing(&self) -> bool {
        !std::mem::replace(&mut self.inner.lock().publishing, true)
    }

    /// False: something is in the journal only, and he has to go on.
    pub fn ends_publishing(&self) -> bool {
        let mut inner = self.inner.lock();
        let left = inner.fate == Fate::Living && inner.stored > inner.published;
        inner.publishing &= left;
        !left
    }

    /// What he could not publish is kept elsewhere, or is left to the next mount.
    pub fn stops_publishing(&self) {
        self.inner.lock().publishing = false;
    }

    /// The journal has the file as it was then.
    pub(super) fn was_stored(&self, snapshot: &Snapshot<E>) {
        let mut inner = self.inner.lock();
        if snapshot.generation > inner.stored {
            inner.stored = snapshot.generation;
            inner.closed = Some(Closed::of(snapshot));
        }
    }

    /// The file as the journal has it, which is how it was when it was closed, whatever was written since. `None`: that, or
    /// what came after it, is published.
    pub fn closed(&self) -> Option<Snapshot<E>> {
        let mut inner = self.inner.lock();
        if inner.published >= inner.stored {
            inner.closed = None;
        }
        let closed = inner.closed.as_ref()?;
        Some(closed.of_then(self.snapshot_of(&inner), &inner))
    }

    /// Whether somebody who does not have it open will yet publish it, or let it go.
    pub fn is_in_use(&self) -> bool {
        let inner = self.inner.lock();
        inner.publishing || inner.changers > 0
    }

    /// Somebody begins to change it who does not have it open.
    pub fn changer_comes(&self) {
        self.inner.lock().changers += 1;
    }

    pub fn changer_goes(&self) {
        self.inner.lock().changers -= 1;
    }

    /// Bytes `offset..offset + len`, cut at the end of the file.
    pub async fn read(&self, offset: u64, len: u64, kept: Kept) -> Result<Bytes, FsError> {
        loop {
            // Not a whole snapshot: a file may be of many pieces, and is read often.
            let (runs, log, base) = {
                let inner = self.inner.lock();
                (inner.overlay.runs(offset..offset.saturating_add(len)), inner.log.clone(), inner.base.clone())
            };
            match assemble(runs, &log, base.as_deref(), kept).await {
                // Published meanwhile: the same bytes are to be had elsewhere.
                Err(FsError::LostHold { .. }) if !self.has_base(&base) => {}
                Err(error @ FsError::LostHold { .. }) => {
                    // What replaced it may be the publication that is under way.
                    drop(self.gate.lock().await);
                    if self.has_base(&base) {
                        return Err(error);
                    }
                    sometimes!(ReadWaitedForItsCommit);
                }
                outcome => return outcome,
            }
        }
    }

    fn has_base(&self, base: &Option<Arc<Base<E>>>) -> bool {
        match (&self.inner.lock().base, base) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Puts `data` at `offset`. Returns whether that was at the end.
    ///
    /// Errors: [`FsError::Disk`] when there is no room; [`FsError::TooLarge`]; [`FsError::LostUpdate`] when it can never be
    /// published. Then nothing was written.
    pub async fn write(&self, offset: u64, data: Bytes) -> Result<bool, FsError> {
        let end = offset.saturating_add(data.len() as u64);
        self.check_size(end)?;
        let _turn = self.changes.lock().await;
        let log = self.inner.lock().log.clone();
        log.make_room(data.len() as u64).await?;
        let appended = {
            let mut inner = self.inner.lock();
            inner.may_change()?;
            let appended = offset == inner.overlay.size();
            let at = inner.log.append(data);
            inner.overlay.write(offset..end, at);
            inner.changed();
            appended
        };
        // What was written is written, also where the disk gives back nothing good: whoever publishes it is told.
        if self.compaction_due()
            && let Err(error) = self.compact().await
        {
            tracing::debug!("{:?}: its spool was not rewritten without what it needs no more ({error})", self.key());
        }
        Ok(appended)
    }

    /// Sends what was appended and fills a part, beside the caller: the last `appended` bytes just now. `object`: its attributes
    /// now.
    pub fn send_ahead(self: &Arc<Self>, appended: u64, object: impl FnOnce(NewObject) -> Option<NewObject>) {
        let (config, part_bytes) = (&self.context.config, self.context.config.sizes.part_bytes);
        let (ahead, size) = {
            let inner = self.inner.lock();
            let size = inner.overlay.size();
            // With a journal nobody waits for the upload.
            if inner.fate != Fate::Living || size <= part_bytes || config.write_back_max > 0 {
                return;
            }
            // A file of many pieces is not looked through at each write, but once for each part that it grows by.
            let last_byte = size - 1;
            if inner.ahead.is_none() && last_byte / part_bytes == last_byte.saturating_sub(appended) / part_bytes {
                return;
            }
            (inner.ahead.clone().filter(|ahead| ahead.serves(&inner.key, &inner.log)), size)
        };
        let ahead = match ahead {
            Some(ahead) => ahead,
            None => {
                let snapshot = self.snapshot();
                let Some(ahead) = Ahead::new(&snapshot, || object(snapshot.object.clone())) else { return };
                let mut inner = self.inner.lock();
                if inner.fate != Fate::Living {
                    return;
                }
                let before = inner.ahead.replace(ahead.clone());
                drop(inner);
                drop(before);
                ahead
            }
        };
        ahead.employ(self, size);
    }

    /// Bytes `range`, which begins at its end, are those of `source` at the same place. False: it is not made of that alone, so
    /// nothing was done.
    pub async fn continues_as(&self, source: &Arc<Content<E>>, range: Range<u64>) -> Result<bool, FsError> {
        let _turn = self.changes.lock().await;
        // What is in the journal, or on its way there, is made of what the draft is made of until that is published.
        let _stored = self.stored.lock().await;
        let mut inner = self.inner.lock();
        inner.may_change()?;
        if inner.stored > inner.published {
            return Ok(false);
        }
        let goes_on = inner.base.as_ref().is_some_and(|base| Arc::ptr_eq(base.content(), source));
        let begins = range.start == 0 && inner.generation != inner.published;
        let bare = inner.overlay.is_bare() && inner.overlay.size() == range.start && inner.standing.is_none();
        if !bare || !(goes_on || begins) {
            return Ok(false);
        }
        let mut spent = None;
        if !goes_on {
            inner.base = Some(Base::new(source.clone()));
            // Parts of it may be of what it was made of before.
            spent = inner.ahead.take();
        }
        inner.overlay.extend_base(range.end);
        inner.changed();
        drop(inner);
        drop(spent);
        Ok(true)
    }

    /// Whether it is unpublished and made of this version of another file.
    pub fn is_copy_of(&self, source: &Arc<Content<E>>) -> bool {
        let inner = self.inner.lock();
        let base = inner.base.as_ref().filter(|_| inner.is_dirty() && inner.key != source.version().key);
        base.is_some_and(|base| Arc::ptr_eq(base.content(), source))
    }

    /// Zeros in `range`, which may reach beyond the end. Returns the size then.
    pub async fn zero(&self, range: Range<u64>) -> Result<u64, FsError> {
        self.check_size(range.end)?;
        self.change(|overlay| overlay.zero(range)).await
    }

    /// Cuts it or lets it grow by zeros. Returns the size then.
    pub async fn resize(&self, size: u64) -> Result<u64, FsError> {
        self.check_size(size)?;
        self.change(|overlay| overlay.resize(size)).await
    }

    /// As [`Draft::resize`]; what it answers, [`Draft::restore`] takes.
    pub async fn resize_by_path(&self, size: u64) -> Result<Before<'_, E>, FsError> {
        self.check_size(size)?;
        let turn = self.changes.lock().await;
        let mut inner = self.inner.lock();
        inner.may_change()?;
        let (overlay, base, log) = (inner.overlay.clone(), inner.base.clone(), inner.log.clone());
        let (blank, clean) = (inner.blank, inner.generation == inner.published);
        let (generation, attributes) = (inner.generation, inner.attributes);
        inner.before = Some(Closed { overlay: overlay.clone(), log: log.clone(), generation, attributes });
        inner.overlay.resize(size);
        inner.changed();
        Ok(Before { draft: self, _turn: turn, overlay, base, log, generation: inner.generation, blank, clean })
    }

    /// What was resized could not be published, and whoever asked for it is told so: it is as it was before. False: something
    /// else was made of it since, or it may be published all the same.
    pub fn restore(&self, before: Before<'_, E>) -> bool {
        let same_base = self.has_base(&before.base);
        let mut inner = self.inner.lock();
        let same_log = Arc::ptr_eq(&inner.log, &before.log);
        let untouched = inner.generation == before.generation && same_base && same_log;
        // What may stand in the bucket is what comes after it is made of.
        let in_doubt = inner.in_doubt.iter().any(|doubt| doubt.file.generation >= before.generation);
        if inner.fate != Fate::Living || !untouched || in_doubt {
            return false;
        }
        sometimes!(TruncationTakenBack);
        (inner.overlay, inner.blank) = (before.overlay.clone(), before.blank);
        // What was tried is known by its number of changes.
        inner.generation += 1;
        if before.clean {
            inner.published = inner.generation;
            inner.attributes_published = inner.attributes;
        }
        drop(inner);
        true
    }

    /// The snapshot, but as the file was before what may yet be taken back.
    pub(super) fn but_what_is_tried(&self, snapshot: Snapshot<E>) -> Snapshot<E> {
        let inner = self.inner.lock();
        match &inner.before {
            Some(before) if before.generation < snapshot.generation => before.of_then(snapshot, &inner),
            Some(_) | None => snapshot,
        }
    }

    /// Whether it stands in the bucket.
    pub(super) fn is_published(&self, snapshot: &Snapshot<E>) -> bool {
        let inner = self.inner.lock();
        inner.fate == Fate::Living && inner.published == snapshot.generation
    }

    async fn change(&self, apply: impl FnOnce(&mut Overlay)) -> Result<u64, FsError> {
        let _turn = self.changes.lock().await;
        let mut inner = self.inner.lock();
        inner.may_change()?;
        apply(&mut inner.overlay);
        Ok(inner.changed())
    }

    /// O_TRUNC: as [`Draft::resize`] to nothing, and what was written is not awaited.
    pub async fn truncate(&self) -> Result<(), FsError> {
        self.resize(0).await?;
        self.inner.lock().blank = true;
        Ok(())
    }

    /// Its attributes were set: they travel with the next publication.
    pub fn touch(&self) {
        let mut inner = self.inner.lock();
        inner.generation += 1;
        inner.attributes += 1;
    }

    /// The user metadata that it will have, but for modes, owners and times.
    pub fn user(&self) -> BTreeMap<String, String> {
        self.inner.lock().object.user.clone()
    }

    pub fn set_user(&self, user: BTreeMap<String, String>) {
        self.inner.lock().object.user = user;
    }

    /// They could not be set, and nothing else has changed it since `before`, when it was clean: it is clean again. False: it
    /// is not.
    pub fn untouch(&self, before: u64) -> bool {
        let mut inner = self.inner.lock();
        let only = inner.generation == before + 1 && inner.published == before;
        if only {
            (inner.published, inner.attributes_published) = (inner.generation, inner.attributes);
        }
        only
    }

    fn check_size(&self, bytes: u64) -> Result<(), FsError> {
        if bytes > OBJECT_BYTES_MAX {
            return Err(FsError::TooLarge { key: self.key(), bytes });
        }
        Ok(())
    }

    /// The file as it is now.
    pub fn snapshot(&self) -> Snapshot<E> {
        self.snapshot_of(&self.inner.lock())
    }

    fn snapshot_of(&self, inner: &Inner<E>) -> Snapshot<E> {
        Snapshot {
            context: self.context.clone(),
            key: inner.key.clone(),
            object: inner.object.clone(),
            expects: inner.expects.clone(),
            overlay: inner.overlay.clone(),
            log: inner.log.clone(),
            base: inner.base.clone(),
            standing: inner.standing.clone(),
            ahead: inner.ahead.clone(),
            generation: inner.generation,
            attributes: inner.attributes,
            only_attributes: inner.only_attributes(),
            in_doubt: inner.in_doubt.iter().map(|doubt| doubt.sent.clone()).collect(),
        }
    }

    /// The snapshot stands in the bucket as the version of `base`.
    pub fn published(&self, snapshot: &Snapshot<E>, base: Arc<Content<E>>) {
        let mut inner = self.inner.lock();
        let forgotten = zoo::has(Bug::ChangesDuringCommitForgotten);
        inner.published = if forgotten { inner.generation } else { snapshot.generation };
        inner.attributes_published = snapshot.attributes;
        let size = base.version().size;
        inner.rebase(base);
        let clean = inner.generation == snapshot.generation;
        inner.standing = Some(snapshot.overlay.clone()).filter(|_| Arc::ptr_eq(&inner.log, &snapshot.log));
        // What filled its share of the memory is read from the bucket from now on.
        if clean && inner.log.is_long() {
            sometimes!(LogLetGo);
            inner.overlay = Overlay::over(size);
            inner.log = Arc::new(Log::new(self.context.clone()));
            inner.standing = None;
            inner.garbage_looked_for_at = 0;
        }
        let spent = inner.ahead.take();
        drop(inner);
        drop(spent);
    }

    /// The same bytes stand elsewhere, or under another ETag, by now.
    pub fn rebased(&self, base: Arc<Content<E>>) {
        self.inner.lock().replaces(base);
    }

    /// An earlier publication, of which that was in doubt, stands in the bucket as `base`.
    pub fn landed(&self, meta: &ObjectMeta, base: Arc<Content<E>>) {
        let mut inner = self.inner.lock();
        // What was closed is published over it, unless it is older than that.
        let closed = inner.closed.as_ref().map(|closed| closed.generation);
        if let Some(closed) = closed {
            let doubts = std::mem::take(&mut inner.in_doubt).into_iter();
            let landed = doubts.filter(|doubt| doubt.sent.is(meta) && doubt.file.generation > closed).last();
            if let Some(landed) = landed {
                sometimes!(LandedAfterItsClose);
                inner.closed = Some(landed.file);
            }
        }
        inner.replaces(base);
        inner.standing = None;
    }

    /// A publication of the snapshot failed, and may have been applied all the same.
    pub fn doubts(&self, sent: Sent, snapshot: &Snapshot<E>) {
        let mut inner = self.inner.lock();
        if inner.in_doubt.iter().all(|doubt| doubt.sent != sent) {
            inner.in_doubt.push(Doubt { sent, file: Closed::of(snapshot) });
        }
    }

    /// From now on this must stand for a publication to replace it.
    pub fn expect(&self, expects: Expects) {
        self.inner.lock().expects = expects;
    }

    /// Whether the snapshot is what was closed, and something else was made of the file since.
    pub fn has_changed_since(&self, snapshot: &Snapshot<E>) -> bool {
        let inner = self.inner.lock();
        let closed = inner.closed.as_ref().is_some_and(|closed| closed.generation == snapshot.generation);
        closed && inner.generation != snapshot.generation
    }

    fn compaction_due(&self) -> bool {
        let mut inner = self.inner.lock();
        let garbage_min = GARBAGE_RECORDS_MIN * self.context.config.sizes.record_bytes;
        let end = inner.log.end();
        // Every piece is looked at: not at each write, and not in a log that is short and so has little garbage.
        if end <= 2 * garbage_min || end < inner.garbage_looked_for_at + garbage_min {
            return false;
        }
        inner.garbage_looked_for_at = end;
        inner.overlay.logged_bytes() < end / 2
    }

    /// Writes what is needed of the log into a new one.
    async fn compact(&self) -> Result<(), FsError> {
        let snapshot = self.snapshot();
        let log = Arc::new(Log::new(self.context.clone()));
        let mut overlay = snapshot.overlay.clone();
        for run in snapshot.overlay.runs(0..snapshot.overlay.size()) {
            let Source::Log(at) = run.source else { continue };
            let mut done = 0;
            let len = run.range.end - run.range.start;
            while done < len {
                let piece = self.context.config.sizes.record_bytes.min(len - done);
                let bytes = snapshot.log.read(at + done..at + done + piece).await?;
                log.make_room(piece).await?;
                let to = log.append(bytes);
                overlay.write(run.range.start + done..run.range.start + done + piece, to);
                done += piece;
            }
        }
        sometimes!(LogCompacted);
        // Changes wait for their turn, which the caller has: nothing was written meanwhile.
        let mut inner = self.inner.lock();
        (inner.overlay, inner.log, inner.garbage_looked_for_at) = (overlay, log, 0);
        inner.standing = None;
        Ok(())
    }
}

impl<E: Env> Closed<E> {
    fn of(snapshot: &Snapshot<E>) -> Self {
        let Snapshot { overlay, log, generation, attributes, .. } = snapshot;
        Self { overlay: overlay.clone(), log: log.clone(), generation: *generation, attributes: *attributes }
    }

    /// A snapshot of the file as it was then, of one that was made of it since.
    fn of_then(&self, since: Snapshot<E>, inner: &Inner<E>) -> Snapshot<E> {
        let Self { overlay, log, generation, attributes } = self;
        let (overlay, log, generation, attributes) = (overlay.clone(), log.clone(), *generation, *attributes);
        let only_attributes = generation - inner.published == attributes - inner.attributes_published;
        Snapshot { overlay, log, generation, attributes, only_attributes, ..since }
    }
}

impl<E: Env> Drop for Before<'_, E> {
    fn drop(&mut self) {
        self.draft.inner.lock().before = None;
    }
}

impl<E: Env> Inner<E> {
    fn may_change(&self) -> Result<(), FsError> {
        match &self.fate {
            Fate::Living | Fate::Unlinked => Ok(()),
            Fate::Lost(_) => Err(FsError::Abandoned { key: self.key.clone() }),
        }
    }

    fn changed(&mut self) -> u64 {
        self.generation += 1;
        self.blank = false;
        self.overlay.size()
    }

    fn is_dirty(&self) -> bool {
        self.fate == Fate::Living && self.generation != self.published
    }

    fn only_attributes(&self) -> bool {
        self.generation - self.published == self.attributes - self.attributes_published
    }

    /// This stands where it is to be published, and has the bytes that it had there; what it is made of another file, it still is.
    fn replaces(&mut self, standing: Arc<Content<E>>) {
        let made_of = self.base.take().filter(|base| base.content().version().key != self.key);
        self.rebase(standing);
        if made_of.is_some() {
            sometimes!(MovedWhileMadeOfAnother);
            self.base = made_of;
        }
    }

    fn rebase(&mut self, base: Arc<Content<E>>) {
        self.key = base.version().key.clone();
        self.expects = Expects::ETag(base.version().etag.clone());
        self.in_doubt.clear();
        self.base = Some(Base::new(base));
    }
}

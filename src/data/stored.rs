//! Drafts in the journal: what `--write-back` makes durable here before it is published.
//!
//! Invariant: for as long as a draft is stored and not published, its entry says under which condition it may be published by
//! whoever finds it, and by which attempts it may have been published already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::{OnConflict, USER_METADATA_BYTES_MAX};
use crate::data::content::{Content, Kept};
use crate::data::context::Context;
use crate::data::draft::{Draft, Fate};
use crate::data::journal::{ATTEMPT, Attempt, Entry};
use crate::data::log::Log;
use crate::data::overlay::{Overlay, Run, Source, pieces};
use crate::data::publish::{Expects, Snapshot};
use crate::env::store::{ETag, NewObject, user_metadata_bytes};
use crate::env::{Clock, Disk, DiskError, Env, Kept as _, Spool as _};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::state::version::{UNDATED, Version};
use crate::zoo::{self, Bug};

/// What of a draft the journal has.
pub struct Stored<E: Env> {
    id: String,
    entry: Entry,
    generation: u64,
    _room: Room<E>,
}

/// A share of what the journal may take, until it is dropped.
struct Room<E: Env> {
    context: Arc<Context<E>>,
    bytes: u64,
}

impl<E: Env> Room<E> {
    /// `None`: there is none.
    fn of(context: &Arc<Context<E>>, bytes: u64) -> Option<Self> {
        let max = context.config.write_back_max;
        let taken = context.journal_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= max)
        });
        taken.ok().map(|_| Self { context: context.clone(), bytes })
    }
}

impl<E: Env> Drop for Room<E> {
    fn drop(&mut self) {
        self.context.journal_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<E: Env> Draft<E> {
    /// Puts the file, as `look` sees it when it is its turn, into the journal, with these attributes. Afterwards no crash loses
    /// it. False: there is nothing to store.
    ///
    /// Errors: [`FsError::Disk`] when there is no room; then what was stored before is still there.
    pub async fn store(
        &self,
        look: impl FnOnce() -> Option<Snapshot<E>>,
        attributes: impl FnOnce(NewObject) -> Result<NewObject, FsError>,
    ) -> Result<bool, FsError> {
        let mut stored = self.stored.lock().await;
        if self.fate() == Fate::Living && !self.is_dirty() {
            // Published while the turn was waited for.
            return Ok(false);
        }
        let Some(snapshot) = look().map(|snapshot| self.but_what_is_tried(snapshot)) else { return Ok(false) };
        if self.is_published(&snapshot) {
            return Ok(false);
        }
        if stored.as_ref().is_some_and(|stored| stored.generation == snapshot.generation) {
            self.was_stored(&snapshot);
            return Ok(true);
        }
        if snapshot.is_based_elsewhere() {
            // An entry does not say on what.
            return Err(FsError::Unsupported);
        }
        let mut object = attributes(snapshot.object.clone())?;
        self.sign(&mut object, snapshot.generation);
        let (context, disk) = (&self.context, self.context.env.disk());
        let full = || FsError::Disk(DiskError::Full);
        let room = Room::of(context, snapshot.overlay.logged_bytes()).ok_or_else(full)?;
        let file = disk.create_entry().await.map_err(FsError::Disk)?;
        let runs = snapshot.overlay.runs(0..snapshot.overlay.size());
        let mut crc = crc32fast::Hasher::new();
        let mut end = 0;
        for piece in written(&runs, context.config.sizes.record_bytes) {
            let bytes = snapshot.bytes(piece.clone(), Kept::Nowhere).await?;
            crc.update(&bytes);
            file.write_at(piece.start, bytes).await.map_err(FsError::Disk)?;
            end = piece.end;
        }
        let mut before: Vec<_> = self.attempts.lock().iter().map(|user| Attempt::before(user.clone())).collect();
        // Until the entry before is gone, whoever finds both publishes that one first.
        for attempt in stored.iter().flat_map(|stored| &stored.entry.attempts) {
            let attempt = Attempt::before(attempt.user.clone());
            if !before.contains(&attempt) {
                before.push(attempt);
            }
        }
        let now = context.env.clock().unix_time();
        let mut entry = Entry {
            key: snapshot.key.clone(),
            expects: snapshot.expects.clone(),
            size: snapshot.overlay.size(),
            base: snapshot.began_from(),
            yields: self.yielding.load(Ordering::Relaxed),
            runs,
            crc: crc.finalize(),
            order: i128::from(now.seconds) * 1_000_000_000 + i128::from(now.nanos),
            attempts: before,
            object,
        };
        entry.attempts.push(Attempt { user: entry.object.user.clone(), covers: true });
        let name = snapshot.key.as_str().rsplit('/').next().unwrap_or_default().to_string();
        let id = file.finish(name, end, entry.text()).await.map_err(FsError::Disk)?;
        sometimes!(StoredInJournal);
        let fresh = Stored { id, entry, generation: snapshot.generation, _room: room };
        if let Some(old) = stored.replace(fresh) {
            discard_entry(context, &old.id).await;
        }
        self.was_stored(&snapshot);
        match self.fate() {
            Fate::Living => Ok(true),
            // While it was written down.
            Fate::Unlinked => {
                discard_in(context, &mut stored).await;
                Ok(false)
            }
            Fate::Lost(_) => {
                discard_in(context, &mut stored).await;
                Err(FsError::Abandoned { key: self.key() })
            }
        }
    }

    /// Gives it what the publication of the file after so many changes will be known by, however often that is tried.
    pub fn sign(&self, object: &mut NewObject, generation: u64) {
        if self.context.config.write_back_max == 0 {
            return;
        }
        object.user.insert(ATTEMPT.to_string(), format!("{:016x}-{generation}", self.number));
        // Where others have filled it all, a lost answer is not recognised; better than not to be published.
        if user_metadata_bytes(&object.user) > USER_METADATA_BYTES_MAX {
            object.user.remove(ATTEMPT);
        }
    }

    /// Whether the journal has all changes.
    pub async fn is_stored(&self) -> bool {
        let stored = self.stored.lock().await;
        stored.as_ref().is_some_and(|stored| stored.generation == self.generation())
    }

    /// It is about to be published as this snapshot: whoever finds the entry must know it when it sees it.
    pub async fn will_attempt(&self, snapshot: &Snapshot<E>) {
        if self.context.config.write_back_max == 0 {
            return;
        }
        let mut stored = self.stored.lock().await;
        {
            let mut attempts = self.attempts.lock();
            if !attempts.contains(&snapshot.object.user) {
                attempts.push(snapshot.object.user.clone());
            }
        }
        if let Some(stored) = stored.as_mut() {
            let covers = snapshot.generation >= stored.generation;
            let attempt = Attempt { user: snapshot.object.user.clone(), covers };
            if stored.entry.attempts.contains(&attempt) {
                return;
            }
            stored.entry.attempts.push(attempt);
            amend(&self.context, stored).await;
        }
    }

    /// The snapshot was published as `etag`. What of the journal that covers is not needed any more; what was stored since is
    /// to be published over it.
    pub async fn settle_stored(&self, snapshot: &Snapshot<E>, etag: &ETag) {
        if self.context.config.write_back_max == 0 {
            return;
        }
        let mut stored = self.stored.lock().await;
        self.attempts.lock().clear();
        match stored.as_mut() {
            Some(later) if later.generation > snapshot.generation => {
                later.entry.expects = Expects::ETag(etag.clone());
                later.entry.base = Some((etag.clone(), snapshot.overlay.size()));
                later.entry.attempts.retain(|attempt| attempt.covers && attempt.user == later.entry.object.user);
                amend(&self.context, later).await;
            }
            Some(_) | None => discard_in(&self.context, &mut stored).await,
        }
    }

    /// A directory above it was renamed.
    pub async fn move_stored(&self) {
        let mut stored = self.stored.lock().await;
        if let Some(stored) = stored.as_mut() {
            let snapshot = self.snapshot();
            stored.entry.base = snapshot.began_from();
            (stored.entry.key, stored.entry.expects) = (snapshot.key, snapshot.expects);
            amend(&self.context, stored).await;
        }
    }

    /// Its name is gone, or what it holds is kept elsewhere: nobody is to publish it.
    pub async fn discard_stored(&self) {
        self.discard_stored_up_to(u64::MAX).await;
    }

    /// The same, unless the journal has a change after the first so many.
    pub async fn discard_stored_up_to(&self, generation: u64) {
        let mut stored = self.stored.lock().await;
        if stored.as_ref().is_some_and(|stored| stored.generation <= generation) {
            discard_in(&self.context, &mut stored).await;
        }
    }

    /// What the journal has replaces nothing that is not as it expects, whatever `--on-conflict` says, while a rename puts
    /// another file in its place.
    pub async fn yields(&self, yields: bool) {
        if self.context.config.on_conflict != OnConflict::Overwrite {
            return;
        }
        let mut stored = self.stored.lock().await;
        self.yielding.store(yields, Ordering::Relaxed);
        if let Some(stored) = stored.as_mut() {
            stored.entry.yields = yields;
            amend(&self.context, stored).await;
        }
    }
}

/// A file that a mount before this one has left in the journal.
pub struct Left<E: Env> {
    pub id: String,
    pub entry: Entry,
    context: Arc<Context<E>>,
}

impl<E: Env> Left<E> {
    pub fn new(context: Arc<Context<E>>, id: String, text: &str) -> Option<Self> {
        Entry::parse(text).map(|entry| Self { id, entry, context })
    }

    /// The file, to be published if `expects` holds, over `base`, a version and its size in bytes, which has what is not written
    /// here.
    ///
    /// Errors: [`FsError::Disk`] also when the bytes are not those that were written.
    pub async fn load(&self, expects: Expects, base: Option<(ETag, u64)>) -> Result<Arc<Draft<E>>, FsError> {
        let Entry { key, object, size, runs, crc, .. } = &self.entry;
        let base_bytes = base.as_ref().map_or(0, |(_, bytes)| *bytes);
        if self.entry.base_end() > base_bytes {
            return Err(FsError::Disk(DiskError::Failed("the journal does not say of what the rest of it is".into())));
        }
        let base = base.filter(|_| base_bytes > 0).map(|(etag, size)| {
            let version = Version { key: key.clone(), etag, version_id: None, size, last_modified: UNDATED };
            Content::new(self.context.clone(), version)
        });
        let log = Arc::new(Log::new(self.context.clone()));
        let mut overlay = Overlay::over(base_bytes);
        overlay.resize(*size);
        for run in runs.iter().filter(|run| run.source == Source::Zeros) {
            overlay.zero(run.range.clone());
        }
        let mut hasher = crc32fast::Hasher::new();
        let file = self.context.env.disk().open_entry(&self.id).await.map_err(FsError::Disk)?;
        for piece in written(runs, self.context.config.sizes.record_bytes) {
            let len = piece.end - piece.start;
            let bytes = file.read_at(piece.start, len as usize).await.map_err(FsError::Disk)?;
            hasher.update(&bytes);
            log.make_room(len).await?;
            overlay.write(piece, log.append(bytes));
        }
        if hasher.finalize() != *crc && !zoo::has(Bug::RottenSpoolBelieved) {
            sometimes!(RottenSpool);
            return Err(FsError::Disk(DiskError::Failed("the journal gave back other bytes than were written".into())));
        }
        Ok(Draft::restored(self.context.clone(), key.clone(), object.clone(), expects, overlay, log, base))
    }

    /// It is published, or kept elsewhere.
    pub async fn discard(&self) {
        discard_entry(&self.context, &self.id).await;
    }
}

/// The stretches that are in the log, in pieces of at most `bytes_max`.
fn written(runs: &[Run], bytes_max: u64) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
    pieces(runs, |source| matches!(source, Source::Log(_)), bytes_max)
}

async fn amend<E: Env>(context: &Context<E>, stored: &Stored<E>) {
    if let Err(error) = context.env.disk().amend_entry(&stored.id, stored.entry.text()).await {
        tracing::warn!(
            "{:?}: its entry in the journal could not be brought up to date ({error}); should this mount be killed now, the next \
             one may keep the file for `holdfast recover` instead of publishing it",
            stored.entry.key
        );
    }
}

async fn discard_in<E: Env>(context: &Context<E>, stored: &mut Option<Stored<E>>) {
    if let Some(stored) = stored.take() {
        discard_entry(context, &stored.id).await;
    }
}

async fn discard_entry<E: Env>(context: &Context<E>, id: &str) {
    if zoo::has(Bug::JournalNeverEmptied) {
        return;
    }
    if let Err(error) = context.env.disk().discard_entry(id).await {
        tracing::warn!("{id:?} could not be removed from the journal ({error}); it is not needed any more");
    }
}

/// Attempts of a draft since it was published last, by the user metadata that they give.
pub(super) type Attempts = Vec<BTreeMap<String, String>>;

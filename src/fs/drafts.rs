//! Drafts: which inodes have one, how they come to have it, and how they lose it.
//!
//! Locks are taken in the order of [`crate::lock::Rank`]. An open takes its handle, and a last close takes the draft away, under
//! the lock of the drafts, so that neither misses the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::PIN_KEPT;
use crate::data::content::{Content, Kept};
use crate::data::draft::{Draft, Fate};
use crate::data::publish::Expects;
use crate::env::store::ObjectMeta;
use crate::env::{Clock, Env, Spawn};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::handles::Handle;
use crate::fs::lookup::no_meta;
use crate::marks::sometimes;
use crate::op::{Fh, Ino, Name, OpenMode, Reply};
use crate::state::tree::Own;
use crate::state::version::Version;
use crate::zoo::{self, Bug};

pub(super) type Drafts<E> = BTreeMap<Ino, Arc<Draft<E>>>;

impl<E: Env> Fs<E> {
    pub(super) fn may_change(&self, what: &'static str) -> Result<(), FsError> {
        if self.context.config.read_only { Err(FsError::ReadOnly(what)) } else { Ok(()) }
    }

    pub(super) fn draft_of(&self, ino: Ino) -> Option<Arc<Draft<E>>> {
        self.drafts.lock().get(&ino).cloned()
    }

    /// Whether the handle's file is empty, unpublished, and was not written to since it was created or truncated. Then a
    /// FLUSH of one of several descriptors should publish nothing.
    pub fn is_blank(&self, fh: Fh) -> bool {
        let ino = self.handles.lock().ino_of(fh);
        ino.and_then(|ino| self.draft_of(ino)).is_some_and(|draft| draft.is_blank())
    }

    /// Publishes whatever is not: before the mount ends.
    pub async fn settle(&self) {
        let drafts: Vec<_> = self.drafts.lock().iter().map(|(ino, draft)| (*ino, draft.clone())).collect();
        let mut out_of_reach = false;
        for (ino, draft) in drafts {
            // One deadline is enough to know that nothing gets through, where something else than the recovery folder is left.
            if !(out_of_reach && draft.is_stored().await) {
                let Err(error) = self.commit(ino, &draft).await else { continue };
                out_of_reach = matches!(error, FsError::Exhausted { .. });
                self.complain(&error);
            }
            if draft.is_stored().await {
                tracing::warn!("{:?} is in the journal; the next mount publishes it", draft.key());
            } else if draft.is_dirty() {
                let _gate = draft.gate.lock().await;
                let lost = self.keep(&draft, "the mount ended, and it could not be published").await;
                draft.meets(Fate::Lost(lost));
            }
        }
    }

    /// The draft by which a file is to be changed, over what it is now.
    pub(super) async fn draft_for_change(&self, ino: Ino, base: Arc<Content<E>>) -> Result<Arc<Draft<E>>, FsError> {
        if let Some(draft) = self.draft_of(ino) {
            return Ok(draft);
        }
        // Not while it is renamed: what it is then is decided by what was copied.
        let gate = self.beginnings.of(ino);
        let _turn = gate.lock().await;
        // Its attributes are published anew with it.
        let meta = match self.meta(ino).await {
            Ok(meta) => meta,
            // What is removed and still open is written on.
            Err(error) => match self.tree.lock().file(ino) {
                Ok(file) if file.unlinked => Arc::new(nothing_known(&file.version)),
                Ok(_) | Err(_) => return Err(error),
            },
        };
        let mut drafts = self.drafts.lock();
        if !drafts.contains_key(&ino) && self.tree.lock().file(ino)?.abandoned {
            return Err(FsError::Abandoned { key: base.version().key.clone() });
        }
        let draft = drafts.entry(ino).or_insert_with(|| {
            // Published while its attributes were asked for: then there is a newer base.
            let tree = self.tree.lock();
            let file = tree.file(ino).ok();
            let same = |base: &Arc<Content<E>>| file.is_none_or(|file| base.version().is_same(&file.version));
            let base = match (file.and_then(|file| file.content.clone()), file) {
                (Some(content), _) => content,
                // A directory above it was renamed meanwhile, and nobody has got there yet.
                (None, Some(file)) if !same(&base) => Content::new(self.context.clone(), file.version.clone()),
                (None, _) => base,
            };
            let draft = Draft::over(base, self.context.clone(), self.context.as_new(&meta));
            if file.is_some_and(|file| file.unlinked) {
                draft.meets(Fate::Unlinked);
            }
            draft
        });
        Ok(draft.clone())
    }

    /// After a change of its bytes: the inode shows it, and its name is local while it is not published.
    pub(super) fn note_change(&self, ino: Ino, draft: &Draft<E>) -> Result<(), FsError> {
        let now = self.context.env.clock().unix_time();
        let mut tree = self.tree.lock();
        let mut own = tree.own_of(ino)?;
        own.size = draft.size();
        (own.posix.mtime, own.posix.ctime) = (Some(now), Some(now));
        tree.changed(ino, own, draft.is_dirty())
    }

    /// An open of a file with unpublished changes asks nothing. `None`: it has none.
    ///
    /// Errors: [`FsError::Superseded`] when the path means another inode by now.
    pub(super) async fn open_draft(
        self: &Arc<Self>,
        ino: Ino,
        mode: OpenMode,
        pinned: bool,
    ) -> Result<Option<Reply>, FsError> {
        if !pinned && self.tree.lock().is_displaced(ino) {
            return Err(self.displaced(ino));
        }
        let (draft, fh) = {
            let drafts = self.drafts.lock();
            // One whose bytes stand in the bucket is opened, and held, as any other.
            let written = |draft: &&Arc<Draft<E>>| draft.is_dirty() && !draft.changes_attributes_only();
            let Some(draft) = drafts.get(&ino).filter(written) else { return Ok(None) };
            if mode.write {
                draft.awaits(false);
            }
            if pinned {
                sometimes!(PinOfWhatChanged);
            }
            (draft.clone(), self.add_handle(ino, None, mode)?)
        };
        self.truncate_opened(ino, fh, mode, &draft).await.map(Some)
    }

    /// The rest of an open, with O_TRUNC, of a file that is written here: it counts as open before it is truncated, or a last
    /// close beside it would publish the empty file.
    pub(super) async fn truncate_opened(
        self: &Arc<Self>,
        ino: Ino,
        fh: Fh,
        mode: OpenMode,
        draft: &Draft<E>,
    ) -> Result<Reply, FsError> {
        if mode.truncate {
            if let Err(error) = draft.truncate().await {
                self.release(fh).await?;
                return Err(error);
            }
            self.note_change(ino, draft)?;
        }
        Ok(Reply::Opened { fh })
    }

    /// The path of the inode means another one by now, or none.
    pub(super) fn displaced(&self, ino: Ino) -> FsError {
        let key = self.tree.lock().file(ino).map(|file| file.version.key.clone());
        key.map_or_else(|error| error, |key| FsError::Superseded { key })
    }

    /// A handle of a file, under the lock of the drafts.
    pub(super) fn add_handle(&self, ino: Ino, content: Option<Arc<Content<E>>>, mode: OpenMode) -> Result<Fh, FsError> {
        let kept = if mode.direct { Kept::Nowhere } else { Kept::InPageCache };
        let mut handles = self.handles.lock();
        let content = {
            let mut tree = self.tree.lock();
            let file = tree.file_mut(ino)?;
            file.opens += 1;
            // Where a commit came between, the inode has another content by now.
            let same = |content: &Arc<Content<E>>| content.version().is_same(&file.version);
            let known = file.content.clone().or(content.filter(same));
            known.unwrap_or_else(|| Content::new(self.context.clone(), file.version.clone()))
        };
        let fh = handles.insert(Handle::File { ino, content: content.clone(), kept, writes: mode.write });
        content.opened(fh);
        Ok(fh)
    }

    /// An empty file takes the name. The draft is there before anybody can ask for it.
    pub(super) fn create_blank(
        &self,
        drafts: &mut Drafts<E>,
        (parent, name): (Ino, &Name),
        version: Version,
        expects: Expects,
        meta: ObjectMeta,
        own: Own,
    ) -> Result<Ino, FsError> {
        let object = self.context.as_new(&meta);
        let key = version.key.clone();
        let ino = self.tree.lock().create(parent, name, version, Arc::new(meta), own)?;
        drafts.insert(ino, Draft::blank(self.context.clone(), key, object, expects));
        Ok(ino)
    }

    /// A fresh inode waits for the open that was told to look its path up again; it is given up when none comes.
    pub(super) fn await_reopening(self: &Arc<Self>, ino: Ino) {
        let fs = self.clone();
        self.context.env.spawn().spawn("wait for a reopening", async move {
            fs.context.env.clock().sleep(PIN_KEPT).await;
            let left = {
                let drafts = fs.drafts.lock();
                let awaited = drafts.get(&ino).filter(|draft| draft.is_awaited());
                if let Some(draft) = awaited {
                    draft.awaits(false);
                    // Who reads it meanwhile goes on reading it, and its name is what the bucket has.
                    if draft.is_blank() {
                        draft.meets(Fate::Unlinked);
                        fs.tree.lock().abandon(ino);
                    }
                }
                awaited.is_some() && fs.handles.lock().count_of(ino) == 0
            };
            if left {
                fs.retire(ino).await;
            }
            fs.close_inode(ino);
        });
    }

    /// One share in the inode less.
    pub(super) fn close_inode(&self, ino: Ino) {
        let mut tree = self.tree.lock();
        if let Ok(file) = tree.file_mut(ino) {
            file.opens -= 1;
        }
        let place = tree.place(ino);
        tree.drop_if_unknown(ino);
        // A directory may have been kept for what was unpublished beneath it.
        if let Ok((directory, _)) = place {
            tree.drop_unknown_above(directory);
        }
    }

    /// The last handle is gone: what is unpublished is published, or kept where it can be found; then the draft goes.
    pub(super) async fn retire(self: &Arc<Self>, ino: Ino) {
        // Who opens it from now on closes it, too. What he makes of it, such as an empty file, is not published before.
        let unopened = |draft: &Arc<Draft<E>>| {
            let drafts = self.drafts.lock();
            let present = drafts.get(&ino).is_some_and(|present| Arc::ptr_eq(present, draft));
            (present && self.handles.lock().count_of(ino) == 0).then(|| draft.snapshot())
        };
        let Some(draft) = self.draft_of(ino).filter(|draft| !draft.is_awaited()) else { return };
        if draft.is_dirty() && self.leave_to_journal(ino, &draft, || unopened(&draft)).await {
            return;
        }
        if zoo::has(Bug::WrittenAfterTheCloseForgotten) {
            return self.forget_draft(ino, &draft);
        }
        let outcome = {
            let _turn = draft.gate.lock().await;
            self.commit_looked_at(ino, &draft, || unopened(&draft)).await
        };
        if let Err(error) = &outcome
            && draft.is_dirty()
            && !self.give_up(ino, &draft, error).await
        {
            return;
        }
        self.forget_draft(ino, &draft);
    }

    /// What cannot be published is kept where it can be found, and the name is what the bucket has. False: somebody has the
    /// file open, and is told when he closes it.
    pub(super) async fn give_up(&self, ino: Ino, draft: &Arc<Draft<E>>, error: &FsError) -> bool {
        let _gate = draft.gate.lock().await;
        if self.handles.lock().count_of(ino) > 0 {
            return false;
        }
        sometimes!(GivenUp);
        let kept = self.keep(draft, "it could not be published when it was closed").await;
        let is_kept = kept.is_some();
        {
            let _drafts = self.drafts.lock();
            if self.handles.lock().count_of(ino) > 0 {
                return false;
            }
            tracing::warn!(
                "{:?}: what was written was not published when the file was closed ({error}); {}",
                draft.key(),
                match &kept {
                    Some(at) => format!("it is kept as {at:?}; see `holdfast recover`"),
                    None => "it is lost".to_string(),
                }
            );
            draft.meets(Fate::Lost(kept));
            self.tree.lock().abandon(ino);
        }
        if is_kept {
            draft.discard_stored().await;
        }
        true
    }

    /// A draft that nobody has open, and of which nothing is left to be published, goes.
    pub(super) fn forget_draft(&self, ino: Ino, draft: &Draft<E>) {
        let mut drafts = self.drafts.lock();
        let present = drafts.get(&ino).is_some_and(|present| std::ptr::eq(Arc::as_ptr(present), draft));
        let done = present && !draft.is_dirty() && !draft.is_in_use();
        if self.handles.lock().count_of(ino) == 0 && done && !zoo::has(Bug::DraftLeftBehind) {
            self.remove_draft(&mut drafts, ino);
        }
    }

    /// What was lost with it is shown no more, to those who still come to the inode.
    pub(super) fn remove_draft(&self, drafts: &mut Drafts<E>, ino: Ino) {
        if let Some(draft) = drafts.remove(&ino)
            && draft.fate() != Fate::Living
            && let Ok(file) = self.tree.lock().file_mut(ino)
        {
            file.own = None;
            file.spoilt = true;
        }
    }

    /// Where the draft's bytes were kept, if they could be.
    pub(super) async fn keep(&self, draft: &Draft<E>, why: &str) -> Option<String> {
        if zoo::has(Bug::NothingIsKept) {
            return None;
        }
        match draft.keep(why).await {
            Ok(at) => Some(at),
            Err(error) => {
                tracing::error!(
                    "{:?}: what was written could not be put into the recovery folder: {error}",
                    draft.key()
                );
                None
            }
        }
    }
}

/// What S3 knows of a version of which nobody asked more than what it is.
fn nothing_known(version: &Version) -> ObjectMeta {
    let Version { key: _, etag, version_id, size, last_modified } = version.clone();
    ObjectMeta { etag, version_id, size, last_modified, ..no_meta() }
}

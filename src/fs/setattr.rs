//! Sizes, modes, owners and times.
//!
//! A file with unpublished changes takes new attributes along when it is published. A published one gets a draft that
//! changes nothing else, so that it is copied onto itself, under the condition that it is still the one that is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::ATTR_TTL;
use crate::data::content::Content;
use crate::data::draft::{Draft, Fate};
use crate::data::mutations::Refusal;
use crate::env::store::{ErrorKind, Key, ObjectMeta, WriteCondition};
use crate::env::{Clock, Env};
use crate::error::FsError;
use crate::fs::Fs;
use crate::marks::sometimes;
use crate::op::{Changes, Fh, Ino, Kind, Reply, SetTime};
use crate::state::posix::Posix;
use crate::state::tree::{Own, Tree};
use crate::state::version::Version;

/// How often a marker that others change at the same time is looked at afresh.
const MARKER_TRIES_MAX: u32 = 4;

impl<E: Env> Fs<E> {
    pub(super) async fn setattr(
        self: &Arc<Self>,
        ino: Ino,
        fh: Option<Fh>,
        changes: Changes,
    ) -> Result<Reply, FsError> {
        self.may_change("set attributes")?;
        let kind = self.tree.lock().attr(ino)?.kind;
        if kind == Kind::Directory {
            if changes.size.is_some() {
                return Err(FsError::IsDirectory);
            }
            self.set_directory_attributes(ino, changes).await?;
        } else {
            if let Some(size) = changes.size {
                self.truncate(ino, fh, size).await?;
            }
            self.set_attributes(ino, changes).await?;
        }
        let attr = self.tree.lock().attr(ino)?;
        Ok(Reply::Attr { attr, ttl: ATTR_TTL })
    }

    /// ftruncate(2) by a handle; truncate(2) without, which is published before it returns.
    async fn truncate(self: &Arc<Self>, ino: Ino, fh: Option<Fh>, size: u64) -> Result<(), FsError> {
        let content = match fh {
            Some(fh) => self.handles.lock().written_through(ino, fh)?,
            None if self.context.config.no_overwrite => return Err(FsError::NotPermitted("--no-overwrite")),
            None => {
                let tree = self.tree.lock();
                if tree.is_displaced(ino) {
                    drop(tree);
                    return Err(self.displaced(ino));
                }
                let file = tree.file(ino)?;
                let known = file.content.clone();
                known.unwrap_or_else(|| Content::new(self.context.clone(), file.version.clone()))
            }
        };
        if self.draft_of(ino).is_none() && content.version().size == size {
            return Ok(());
        }
        // A share, so that the inode stays while it is published.
        self.tree.lock().file_mut(ino)?.opens += 1;
        let outcome = self.truncate_draft(ino, content, size, fh.is_none()).await;
        self.close_inode(ino);
        outcome
    }

    async fn truncate_draft(
        &self,
        ino: Ino,
        content: Arc<Content<E>>,
        size: u64,
        by_path: bool,
    ) -> Result<(), FsError> {
        let (draft, before) = self.draft_for_changer(ino, content).await?;
        if by_path && draft.changes_attributes_only() {
            // What is being set is set, whatever becomes of the truncation.
            if let Err(error) = self.commit(ino, &draft).await {
                self.forget_unopened(ino, &draft, false);
                return Err(error);
            }
        }
        // Whoever has it open for writing publishes it: what he writes next goes on from there.
        let publishes = by_path && !self.handles.lock().is_written(ino);
        if by_path && !publishes {
            sometimes!(TruncatedForItsWriter);
        }
        let outcome = if publishes {
            self.truncate_by_path(ino, &draft, size).await
        } else {
            let resized = draft.resize(size).await;
            self.note_change(ino, &draft).and(resized.map(drop))
        };
        // He may have closed it just before.
        let outcome = match outcome {
            Ok(()) if by_path && !publishes && !self.handles.lock().is_written(ino) => self.commit(ino, &draft).await,
            outcome => outcome,
        };
        self.forget_unopened(ino, &draft, outcome.is_err() && draft.has_only_one_change_since(before));
        outcome
    }

    /// Published before it returns, or taken back.
    async fn truncate_by_path(&self, ino: Ino, draft: &Arc<Draft<E>>, size: u64) -> Result<(), FsError> {
        let _turn = draft.gate.lock().await;
        // The path may have come to mean another file, or none, while its turn was waited for.
        if draft.fate() == Fate::Unlinked || self.tree.lock().is_displaced(ino) {
            return Err(self.displaced(ino));
        }
        let own = self.tree.lock().own_of(ino)?;
        let resized = draft.resize_by_path(size).await;
        self.note_change(ino, draft)?;
        let before = resized?;
        let outcome = match self.commit_in_turn(ino, draft).await {
            // Kept beside what somebody else put there: Linux looks again, and cuts that.
            Ok(()) if matches!(draft.fate(), Fate::Lost(_)) => Err(self.displaced(ino)),
            outcome => outcome,
        };
        if outcome.is_err() && draft.restore(before) {
            // Linux goes on showing what there was before.
            let mut tree = self.tree.lock();
            if let Ok((parent, name)) = tree.place(ino) {
                tree.doubt(parent, &name);
            }
            taken_back(&mut tree, ino, own, draft)?;
        }
        outcome
    }

    /// The draft by which a file is changed by somebody who may not have it open, and how many changes it has already. It stays
    /// until [`Self::forget_unopened`].
    async fn draft_for_changer(&self, ino: Ino, base: Arc<Content<E>>) -> Result<(Arc<Draft<E>>, u64), FsError> {
        loop {
            let draft = self.draft_for_change(ino, base.clone()).await?;
            let drafts = self.drafts.lock();
            if drafts.get(&ino).is_some_and(|present| Arc::ptr_eq(present, &draft)) {
                draft.changer_comes();
                let before = draft.generation();
                return Ok((draft, before));
            }
        }
    }

    /// A draft that nobody has open goes. `failed`: its only change could not be published, as whoever asked for it is told. Any
    /// other change is somebody else's to publish.
    fn forget_unopened(&self, ino: Ino, draft: &Draft<E>, failed: bool) {
        let mut drafts = self.drafts.lock();
        draft.changer_goes();
        let others = self.handles.lock().count_of(ino) > 0 || draft.is_in_use();
        if others || (draft.is_dirty() && !failed) {
            return;
        }
        if draft.is_dirty() {
            draft.meets(Fate::Lost(None));
            self.tree.lock().abandon(ino);
        }
        self.remove_draft(&mut drafts, ino);
    }

    /// A file that has unpublished changes, and that somebody will close, takes its attributes along. Of any other they are
    /// published at once: it is copied onto itself, if it is still what is shown.
    async fn set_attributes(self: &Arc<Self>, ino: Ino, changes: Changes) -> Result<(), FsError> {
        if !changes_posix(&changes) {
            return Ok(());
        }
        let apply = |own: &mut Own, _: &Draft<E>| {
            let old = own.posix;
            own.posix = self.changed(old, &changes);
            Ok((Posix { ctime: old.ctime, ..own.posix }) != old)
        };
        self.change_attributes(ino, apply).await
    }

    /// `apply` answers whether it has changed anything.
    pub(super) async fn change_attributes(
        self: &Arc<Self>,
        ino: Ino,
        apply: impl FnOnce(&mut Own, &Draft<E>) -> Result<bool, FsError>,
    ) -> Result<(), FsError> {
        let content = {
            let mut tree = self.tree.lock();
            if tree.is_displaced(ino) && !tree.file(ino)?.unlinked {
                drop(tree);
                return Err(self.displaced(ino));
            }
            // A share, so that the inode stays while it is published.
            let file = tree.file_mut(ino)?;
            file.opens += 1;
            file.content.clone().unwrap_or_else(|| Content::new(self.context.clone(), file.version.clone()))
        };
        let outcome = match self.draft_for_changer(ino, content).await {
            Ok((draft, before)) => {
                let outcome = self.change_attributes_of(ino, &draft, apply).await;
                self.forget_unopened(ino, &draft, outcome.is_err() && draft.has_only_one_change_since(before));
                outcome
            }
            Err(error) => Err(error),
        };
        self.close_inode(ino);
        outcome
    }

    async fn change_attributes_of(
        &self,
        ino: Ino,
        draft: &Arc<Draft<E>>,
        apply: impl FnOnce(&mut Own, &Draft<E>) -> Result<bool, FsError>,
    ) -> Result<(), FsError> {
        let _gate = draft.gate.lock().await;
        let was_dirty = draft.is_dirty();
        let (before, old, user) = {
            let mut tree = self.tree.lock();
            let mut own = tree.own_of(ino)?;
            let (old, user) = (own.clone(), draft.user());
            if !apply(&mut own, draft)? && !was_dirty {
                return Ok(());
            }
            let before = draft.generation();
            draft.touch();
            tree.changed(ino, own, draft.is_dirty())?;
            (before, old, user)
        };
        let somebody_closes_it = self.handles.lock().count_of(ino) > 0;
        if draft.fate() == Fate::Unlinked || (was_dirty && somebody_closes_it) {
            return Ok(());
        }
        let outcome = self.commit_in_turn(ino, draft).await;
        // What could not be set is not what whoever has it open is to fail by, when he closes it.
        if outcome.is_err() && !was_dirty && draft.fate() == Fate::Living && draft.untouch(before) {
            draft.set_user(user);
            taken_back(&mut self.tree.lock(), ino, old, draft)?;
            // Closed meanwhile, with `--write-back`: as what it is not.
            draft.discard_stored_up_to(before + 1).await;
        }
        outcome
    }

    async fn set_directory_attributes(&self, ino: Ino, changes: Changes) -> Result<(), FsError> {
        if !changes_posix(&changes) {
            return Ok(());
        }
        if ino == Ino::ROOT {
            // The mount's own directory has no key.
            let mut tree = self.tree.lock();
            let posix = self.changed(tree.directory_posix(ino)?, &changes);
            return tree.set_directory_posix(ino, posix, None);
        }
        self.change_marker(ino, |shown, user| {
            // What it says is kept, also where it is not shown.
            let said = Posix::of_user(user);
            let (perm, uid, gid) = (said.perm.or(shown.perm), said.uid.or(shown.uid), said.gid.or(shown.gid));
            let posix = self.changed(Posix { perm, uid, gid, ..shown }, &changes);
            posix.write_into(user);
            Ok(posix)
        })
        .await
    }

    /// Gives a directory's marker other metadata, and what it is told by `apply` to show, which is handed what it shows. What
    /// others have put there stays; where there is no marker, there is one afterwards.
    pub(super) async fn change_marker(
        &self,
        ino: Ino,
        apply: impl Fn(Posix, &mut BTreeMap<String, String>) -> Result<Posix, FsError>,
    ) -> Result<(), FsError> {
        let gate = self.setattrs.of(ino);
        let _turn = gate.lock().await;
        let (_path, [key]) = self.enter_where(|tree| Ok([Key::from(tree.directory(ino)?.prefix.as_str())])).await?;
        let mut tries = 0;
        loop {
            tries += 1;
            let stands = match self.context.head(&key).await {
                Ok(meta) => Some(meta),
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => return Err(FsError::from_store(&key, error)),
            };
            let mut object = stands.as_ref().map_or_else(|| self.new_marker(), |meta| self.context.as_new(meta));
            let shown = self.tree.lock().directory_posix(ino)?;
            let posix = apply(shown, &mut object.user)?;
            let outcome = match &stands {
                // Bytes that somebody put there stay, too.
                Some(meta) if meta.size > 0 => {
                    let version = Version::of(&key, meta);
                    let condition = Some(WriteCondition::IfMatch(meta.etag.clone()));
                    let copied = self.context.copy_object(&version, &key, Some(object.clone()), condition).await;
                    copied.map(|written| ObjectMeta { etag: written.etag, user: object.user, ..meta.clone() })
                }
                Some(meta) => self.put_marker(&key, object, WriteCondition::IfMatch(meta.etag.clone())).await,
                None => self.put_marker(&key, object, WriteCondition::IfAbsent).await,
            };
            match outcome {
                Ok(marker) => return self.tree.lock().set_directory_posix(ino, posix, Some(marker)),
                // Made, replaced or removed meanwhile.
                Err(Refusal::Condition(_)) if tries < MARKER_TRIES_MAX => sometimes!(MarkerChangedMeanwhile),
                Err(refusal) => return Err(refusal.into_error(&key)),
            }
        }
    }

    fn changed(&self, posix: Posix, changes: &Changes) -> Posix {
        let now = self.context.env.clock().unix_time();
        let time = |set: Option<SetTime>| {
            set.map(|set| match set {
                SetTime::Now => now,
                SetTime::To(time) => time,
            })
        };
        Posix {
            kind: posix.kind,
            perm: changes.perm.or(posix.perm),
            uid: changes.uid.or(posix.uid),
            gid: changes.gid.or(posix.gid),
            mtime: time(changes.mtime).or(posix.mtime),
            atime: time(changes.atime).or(posix.atime),
            ctime: Some(now),
        }
    }
}

/// A change has come to nothing, by whoever holds the draft's gate: the inode shows `own` again.
fn taken_back<E: Env>(tree: &mut Tree<Content<E>>, ino: Ino, own: Own, draft: &Draft<E>) -> Result<(), FsError> {
    // It may be written to beside this.
    let (own, dirty) = (Own { size: draft.size(), ..own }, draft.is_dirty());
    if dirty { tree.changed(ino, own, dirty) } else { tree.unchanged(ino, own) }
}

fn changes_posix(changes: &Changes) -> bool {
    let Changes { size: _, perm, uid, gid, atime, mtime } = changes;
    perm.is_some() || uid.is_some() || gid.is_some() || atime.is_some() || mtime.is_some()
}

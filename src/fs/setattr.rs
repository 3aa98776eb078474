//! Sizes, modes, owners and times.
//!
//! A file with unpublished changes takes new attributes along when it is published. A published one is copied onto itself,
//! under the condition that it is still the one that is shown.

use std::sync::Arc;

use crate::config::ATTR_TTL;
use crate::data::content::Content;
use crate::data::draft::{Draft, Fate};
use crate::data::mutations::Refusal;
use crate::env::store::{Key, ObjectMeta, WriteCondition};
use crate::env::{Clock, Env};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::lookup::supersede_by_us;
use crate::op::{Changes, Fh, Ino, Kind, Reply, SetTime};
use crate::state::posix::Posix;
use crate::state::tree::Publication;
use crate::state::version::Version;

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
        let draft = self.draft_for_change(ino, content).await?;
        let resized = draft.resize(size).await;
        self.note_change(ino, &draft)?;
        resized?;
        if !by_path {
            return Ok(());
        }
        let outcome = self.commit(ino, &draft).await;
        self.forget_unopened(ino, &draft);
        outcome
    }

    /// A draft that nobody has open goes; what could not be published of it was told to who asked for it.
    fn forget_unopened(&self, ino: Ino, draft: &Draft<E>) {
        let mut drafts = self.drafts.lock();
        if self.handles.lock().count_of(ino) > 0 {
            return;
        }
        if draft.is_dirty() {
            draft.meets(Fate::Lost(None));
            self.tree.lock().abandon(ino);
        }
        drafts.remove(&ino);
    }

    async fn set_attributes(&self, ino: Ino, changes: Changes) -> Result<(), FsError> {
        if !changes_posix(&changes) {
            return Ok(());
        }
        let gate = self.setattrs.of(ino);
        let _turn = gate.lock().await;
        if let Some(draft) = self.draft_of(ino) {
            let _commit = draft.gate.lock().await;
            if draft.is_dirty() || draft.fate() != Fate::Living {
                {
                    let mut tree = self.tree.lock();
                    let mut own = tree.own_of(ino)?;
                    own.posix = self.changed(own.posix, &changes);
                    draft.touch();
                    tree.changed(ino, own, draft.is_dirty())?;
                }
                // Nobody will close it: what the journal has of it has other attributes.
                if draft.is_being_published() && self.handles.lock().count_of(ino) == 0 {
                    self.commit_in_turn(ino, &draft).await?;
                }
                return Ok(());
            }
            return self.copy_onto_itself(ino, &changes, Some(&draft)).await;
        }
        self.copy_onto_itself(ino, &changes, None).await
    }

    async fn copy_onto_itself(&self, ino: Ino, changes: &Changes, draft: Option<&Draft<E>>) -> Result<(), FsError> {
        let meta = self.meta(ino).await?;
        let _path = self.enter_where(|tree| Ok(tree.file(ino)?.version.key.clone())).await?;
        let (version, mut own, stamp) = {
            let mut tree = self.tree.lock();
            if tree.is_displaced(ino) {
                drop(tree);
                return Err(self.displaced(ino));
            }
            (tree.file(ino)?.version.clone(), tree.own_of(ino)?, tree.stamp(self.now()))
        };
        let posix = self.changed(own.posix, changes);
        if (Posix { ctime: own.posix.ctime, ..posix }) == own.posix {
            return Ok(());
        }
        own.posix = posix;
        let mut object = self.context.as_new(&meta);
        own.posix.write_into(&mut object.user);
        let condition = Some(WriteCondition::IfMatch(version.etag.clone()));
        let written = match self.context.copy_object(&version, &version.key, Some(object.clone()), condition).await {
            Ok(written) => written,
            Err(Refusal::Condition(_)) => {
                let mut tree = self.tree.lock();
                let (parent, name) = tree.place(ino)?;
                tree.doubt(parent, &name);
                return Err(FsError::Superseded { key: version.key });
            }
            Err(refusal) => return Err(refusal.into_error(&version.key)),
        };
        let fresh = Version::written(version.key.clone(), written, version.size);
        let meta = ObjectMeta {
            etag: fresh.etag.clone(),
            version_id: fresh.version_id.clone(),
            storage_class: object.storage_class,
            user: object.user,
            ..(*meta).clone()
        };
        // An object that was uploaded by parts gets another ETag by it: GETs must ask for that.
        let content = (fresh.etag != version.etag).then(|| {
            let content = Content::new(self.context.clone(), fresh.clone());
            let mut handles = self.handles.lock();
            handles.content_of_any(ino).into_iter().for_each(|old| content.inherit(&old));
            handles.rebase(ino, &content);
            content
        });
        if let (Some(draft), Some(content)) = (draft, &content) {
            draft.rebased(content.clone());
        }
        let obsolete = {
            let mut tree = self.tree.lock();
            let clean = draft.is_none_or(|draft| !draft.is_dirty());
            tree.file_mut(ino)?.own = Some(own);
            tree.published(ino, Publication { stamp, version: fresh, meta: Arc::new(meta), content, clean })?
        };
        supersede_by_us(obsolete);
        Ok(())
    }

    async fn set_directory_attributes(&self, ino: Ino, changes: Changes) -> Result<(), FsError> {
        if !changes_posix(&changes) {
            return Ok(());
        }
        let gate = self.setattrs.of(ino);
        let _turn = gate.lock().await;
        let (_path, key) = self.enter_where(|tree| Ok(Key::from(tree.directory(ino)?.prefix.as_str()))).await?;
        let posix = self.changed(self.tree.lock().directory_posix(ino)?, &changes);
        // The mount's own directory has no key.
        if ino != Ino::ROOT {
            self.put_marker(&key, posix, None).await.map_err(|refusal: Refusal| refusal.into_error(&key))?;
        }
        self.tree.lock().set_directory_posix(ino, posix)
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

fn changes_posix(changes: &Changes) -> bool {
    let Changes { size: _, perm, uid, gid, atime, mtime } = changes;
    perm.is_some() || uid.is_some() || gid.is_some() || atime.is_some() || mtime.is_some()
}

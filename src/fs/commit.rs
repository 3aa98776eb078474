//! Publishing what was written: fsync, close, and what happens when somebody else published in between.

use std::sync::Arc;

use crate::config::OnConflict;
use crate::data::content::Content;
use crate::data::draft::{Draft, Fate};
use crate::data::publish::{Expects, Published, Snapshot, Unpublished};
use crate::env::store::{Key, NewObject, ObjectMeta};
use crate::env::{Clock, Env, Spawn};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::lookup::supersede_by_us;
use crate::fs::paths::Changing;
use crate::fs::rename::{feed_lead, lead};
use crate::marks::sometimes;
use crate::op::{Fh, Ino, Name, Reply};
use crate::state::tree::{Publication, Stamp};
use crate::state::version::Version;
use crate::state::xattrs::fit;
use crate::zoo::{self, Bug};

/// Why bytes are in the recovery folder.
const WHY: &str = "somebody else changed it since it was opened";

impl<E: Env> Fs<E> {
    /// close(2) of a descriptor: see `docs/decisions/0010`.
    pub(super) async fn flush(self: &Arc<Self>, ino: Ino, fh: Fh, still_open: bool) -> Result<Reply, FsError> {
        let writes = {
            let handles = self.handles.lock();
            handles.content_of(ino, fh)?;
            handles.writes(fh)
        };
        if let Some(draft) = self.draft_of(ino).filter(|_| writes)
            && !(still_open && draft.is_blank())
            && !zoo::has(Bug::CloseDoesNotCommit)
            && draft.is_dirty_or_lost()
            && !self.leave_to_journal(ino, &draft, || Some(draft.snapshot())).await
        {
            self.commit(ino, &draft).await?;
        }
        Ok(Reply::Done)
    }

    pub(super) async fn fsync(&self, ino: Ino, fh: Fh) -> Result<Reply, FsError> {
        self.handles.lock().content_of(ino, fh)?;
        if let Some(draft) = self.draft_of(ino).filter(|_| !zoo::has(Bug::FsyncDoesNotCommit)) {
            self.commit(ino, &draft).await?;
        }
        Ok(Reply::Done)
    }

    /// Publishes all changes that were made before the call.
    pub(super) async fn commit(&self, ino: Ino, draft: &Arc<Draft<E>>) -> Result<(), FsError> {
        let _turn = draft.gate.lock().await;
        self.commit_in_turn(ino, draft).await
    }

    /// The same, by whoever holds the draft's gate.
    pub(super) async fn commit_in_turn(&self, ino: Ino, draft: &Arc<Draft<E>>) -> Result<(), FsError> {
        self.commit_looked_at(ino, draft, || Some(draft.snapshot())).await
    }

    /// The same of the file as `look` sees it: each time anew, with its path entered. `None`: there is nothing to publish.
    pub(super) async fn commit_looked_at(
        &self,
        ino: Ino,
        draft: &Arc<Draft<E>>,
        look: impl Fn() -> Option<Snapshot<E>>,
    ) -> Result<(), FsError> {
        loop {
            match draft.fate() {
                Fate::Living => {}
                Fate::Unlinked => return Ok(()),
                Fate::Lost(_) => return Err(FsError::Abandoned { key: draft.key() }),
            }
            if !draft.is_dirty() {
                return Ok(());
            }
            // `None`: a directory above it was renamed meanwhile.
            let Some(_path) = self.enter_where_it_is(draft).await else { continue };
            let stamp = self.tree.lock().stamp(self.now());
            let Some(mut snapshot) = look() else { return Ok(()) };
            if zoo::has(Bug::ConditionOfWhatIsThereNow)
                && let Ok(meta) = self.context.head(&snapshot.key).await
            {
                snapshot.expects = Expects::ETag(meta.etag);
            }
            snapshot.object = self.with_attributes(ino, snapshot.object)?;
            draft.sign(&mut snapshot.object, snapshot.generation);
            self.hold_what_is_replaced(ino).await;
            draft.will_attempt(&snapshot).await;
            match snapshot.publish().await {
                Ok(published) => {
                    let attributes_behind = published.attributes_behind;
                    let etag = published.written.etag.clone();
                    if attributes_behind {
                        sometimes!(AttributesFollowed);
                        draft.touch();
                    }
                    let holds = self.handles.lock().holds_for_readers(ino);
                    let content = self.adopt(ino, draft, stamp, &snapshot, published);
                    draft.settle_stored(&snapshot, &etag).await;
                    if holds {
                        sometimes!(ReadersLedOn);
                        // Nobody's close waits for that.
                        let context = self.context.clone();
                        self.context.env.spawn().spawn("lead readers on", async move {
                            feed_lead(&content, lead(&context, Some(&content), content.version()).await);
                        });
                    }
                    if !attributes_behind {
                        return Ok(());
                    }
                }
                // Of ours, and older: what was written since goes over it.
                Err(Unpublished::Landed(meta)) => {
                    sometimes!(LostAnswerFound);
                    let version = Version::of(&snapshot.key, &meta);
                    draft.landed(&meta, Content::new(self.context.clone(), version));
                }
                Err(Unpublished::Conflict) => {
                    if self.conflict(ino, draft, &snapshot).await? {
                        return Ok(());
                    }
                }
                Err(Unpublished::Failed { error, maybe }) => {
                    if let Some(sent) = maybe {
                        draft.doubts(sent, &snapshot);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The draft's key, which no rename of a directory moves while the guard lives. `None`: it was moved while that was waited for.
    pub(super) async fn enter_where_it_is(&self, draft: &Draft<E>) -> Option<Changing<'_>> {
        let key = draft.key();
        let path = self.paths.enter(std::slice::from_ref(&key)).await;
        (draft.key() == key).then_some(path)
    }

    /// What the inode's object is given: `object`, and the attributes that the inode shows.
    pub(super) fn with_attributes(&self, ino: Ino, mut object: NewObject) -> Result<NewObject, FsError> {
        self.tree.lock().own_of(ino)?.posix.write_into(&mut object.user);
        fit(&mut object.user);
        Ok(object)
    }

    /// The inode becomes the Version that was published of it.
    fn adopt(
        &self,
        ino: Ino,
        draft: &Draft<E>,
        stamp: Stamp,
        snapshot: &Snapshot<E>,
        published: Published,
    ) -> Arc<Content<E>> {
        let size = snapshot.overlay.size();
        let Published { written, body, copied, object, attributes_behind: _ } = published;
        let meta = ObjectMeta {
            etag: written.etag.clone(),
            version_id: written.version_id.clone(),
            size,
            last_modified: self.context.env.clock().unix_seconds(),
            content_type: object.content_type,
            storage_class: object.storage_class,
            user: object.user,
        };
        let version = Version::written(snapshot.key.clone(), written, size);
        let content = Content::new(self.context.clone(), version.clone());
        if let Some(body) = &body {
            content.seed(body);
        }
        if let Some(base) = snapshot.base.as_ref().filter(|_| copied) {
            content.inherit(base.content());
        }
        draft.published(snapshot, content.clone());
        self.handles.lock().rebase(ino, &content);
        let obsolete = {
            let mut tree = self.tree.lock();
            let clean = !draft.is_dirty();
            let content = Some(content.clone());
            tree.published(ino, Publication { stamp, version, meta: Arc::new(meta), content, clean })
        };
        supersede_by_us(obsolete.unwrap_or_default());
        content
    }

    /// Whoever has open what a publication is about to replace goes on reading it.
    async fn hold_what_is_replaced(&self, ino: Ino) {
        let mut held = self.tree.lock().held_beside(ino);
        // A statement of its own: the drafts are never locked under the tree.
        let own = self.tree.lock().file(ino).ok().and_then(|file| file.content.clone());
        held.extend(own.filter(|content| content.wants_holding(true) && self.is_copied(content)));
        for content in held {
            self.hold_fully(&content).await;
        }
    }

    /// Whether another file that is not published yet is made of it.
    fn is_copied(&self, content: &Arc<Content<E>>) -> bool {
        self.drafts.lock().values().any(|draft| draft.is_copy_of(content))
    }

    /// A GET of all of it begins, for those who have it open, before its object goes.
    pub(super) async fn hold_fully(&self, content: &Arc<Content<E>>) {
        // All drafts are looked through only for what a hold would add anything to.
        let wanted = content.wants_holding(false) || (content.wants_holding(true) && self.is_copied(content));
        if !wanted {
            return;
        }
        if let Ok(reply) = self.context.get_if_current(content.version(), None).await {
            sometimes!(HeldBeforeOwnChange);
            content.keep_anchor(reply.body);
        }
    }

    /// Somebody else's version stands where this one was to be. True: it is settled all the same. False: it is to be tried
    /// again.
    async fn conflict(&self, ino: Ino, draft: &Arc<Draft<E>>, snapshot: &Snapshot<E>) -> Result<bool, FsError> {
        if snapshot.only_attributes && !draft.changes_attributes_only() {
            // Written to meanwhile: whoever publishes that meets the conflict.
            return Err(FsError::Superseded { key: snapshot.key.clone() });
        }
        if snapshot.only_attributes {
            // Of a version that is not the current one any more.
            draft.meets(Fate::Lost(None));
            draft.discard_stored().await;
            self.tree.lock().abandon(ino);
            return Err(FsError::Superseded { key: snapshot.key.clone() });
        }
        sometimes!(LostUpdate);
        if zoo::has(Bug::ConflictSwallowed) {
            draft.meets(Fate::Unlinked);
            self.tree.lock().abandon(ino);
            return Ok(true);
        }
        match self.context.config.on_conflict {
            OnConflict::Overwrite if snapshot.expects != Expects::Anything => {
                tracing::warn!(
                    "{:?} was changed by somebody else; --on-conflict=overwrite replaces that",
                    snapshot.key
                );
                draft.expect(Expects::Anything);
                return Ok(false);
            }
            OnConflict::KeepBoth => {
                // What is written from now on is refused: it would be neither published nor kept.
                draft.meets(Fate::Lost(None));
                if let Some(beside) = self.publish_beside(snapshot).await {
                    draft.meets(Fate::Lost(Some(beside.to_string())));
                    self.tree.lock().abandon(ino);
                    // What was written since the snapshot, whoever writes it is told to find in the recovery folder.
                    if draft.generation() == snapshot.generation || self.keep(draft, WHY).await.is_some() {
                        draft.discard_stored().await;
                    }
                    return Ok(true);
                }
            }
            OnConflict::Fail | OnConflict::Overwrite => {}
        }
        draft.meets(Fate::Lost(None));
        // What was closed, where the file is another by now.
        let closed_is_kept = !draft.has_changed_since(snapshot) || draft.keep_as(snapshot, WHY).await.is_ok();
        let kept = self.keep(draft, WHY).await;
        let is_kept = kept.is_some() && closed_is_kept;
        draft.meets(Fate::Lost(kept.clone()));
        self.tree.lock().abandon(ino);
        if is_kept {
            draft.discard_stored().await;
        }
        Err(FsError::LostUpdate { key: snapshot.key.clone(), kept })
    }

    /// `--on-conflict=keep-both`: what was written here becomes an object of its own. Answers its key; `None`: it could not.
    pub(super) async fn publish_beside(&self, snapshot: &Snapshot<E>) -> Option<Key> {
        let key = snapshot.key.clone();
        let beside = self.name_of_conflict(&key);
        snapshot.beside(beside.clone()).publish().await.ok()?;
        tracing::warn!("{key:?} was changed by somebody else; what was written here is published as {beside:?}");
        Some(beside)
    }

    fn name_of_conflict(&self, key: &Key) -> Key {
        let seconds = self.context.env.clock().unix_seconds();
        let end = format!(".conflict-{}-{seconds}", self.context.config.host);
        // A name that is too long no mount would show.
        let (directory, name) = key.as_str().split_at(key.as_str().rfind('/').map_or(0, |slash| slash + 1));
        let kept = name.floor_char_boundary(Name::BYTES_MAX.saturating_sub(end.len()));
        Key::from(format!("{directory}{}{end}", &name[..kept]))
    }
}

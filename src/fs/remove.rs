//! Removing names: unlink and rmdir. Who has the file open goes on reading it.

use std::sync::Arc;

use crate::data::content::Content;
use crate::data::draft::{Draft, Fate};
use crate::env::Env;
use crate::env::store::{Key, List};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::gates::stand_at;
use crate::fs::lookup::supersede_by_us;
use crate::fs::paths::Changing;
use crate::marks::sometimes;
use crate::op::{Ino, Name, Reply};
use crate::state::tree::{Target, Tree};
use crate::zoo::{self, Bug};

impl<E: Env> Fs<E> {
    pub(super) async fn unlink(&self, parent: Ino, name: &[u8]) -> Result<Reply, FsError> {
        let name = self.name_to_remove(name)?;
        loop {
            match self.resolve(parent, &name).await? {
                Target::Absent => return Err(FsError::NotFound),
                Target::Directory => return Err(FsError::IsDirectory),
                Target::File(_) => {}
            }
            if self.unlink_file(parent, &name).await? {
                return Ok(Reply::Done);
            }
        }
    }

    /// False: the name may mean another file by now.
    async fn unlink_file(&self, parent: Ino, name: &Name) -> Result<bool, FsError> {
        let ino = self.tree.lock().ino_of(parent, name);
        // No draft of it begins meanwhile.
        let beginning = ino.map(|ino| self.beginnings.of(ino));
        let _beginning = stand_at(beginning.as_deref()).await;
        let draft = ino.and_then(|ino| self.draft_of(ino));
        // A commit that is under way ends first, and none begins.
        let _turn = stand_at(draft.as_ref().map(|draft| &draft.gate)).await;
        if self.tree.lock().ino_of(parent, name) != ino {
            sometimes!(UnlinkOfAnother);
            return Ok(false);
        }
        let (_path, key) = self.enter(parent, name).await?;
        let stamp = self.tree.lock().stamp(self.now());
        // Another inode that was opened by the name may have been published there.
        let known_absent = self.tree.lock().is_known_absent(parent, name);
        let never_stood = known_absent && draft.as_ref().is_some_and(|draft| !draft.may_stand());
        if !never_stood {
            self.hold_open(parent, name).await;
            if !zoo::has(Bug::DeleteNotSent)
                && let Err(refusal) = self.context.delete(&key, None).await
            {
                self.tree.lock().doubt(parent, name);
                return Err(refusal.into_error(&key));
            }
        } else {
            sometimes!(RemovedBeforeItStood);
        }
        if let Some(draft) = &draft {
            forsake(draft);
        }
        self.directory_changed(parent);
        let (obsolete, another) = {
            let drafts = self.drafts.lock();
            let mut tree = self.tree.lock();
            // Of an inode that got the name meanwhile.
            let another = tree.ino_of(parent, name).filter(|now| Some(*now) != ino);
            let another = another.and_then(|ino| drafts.get(&ino)).cloned();
            another.iter().for_each(forsake);
            let obsolete = tree.removed(parent, name, stamp);
            if never_stood {
                // Nobody has asked the bucket.
                tree.doubt(parent, name);
            }
            (obsolete, another)
        };
        supersede_by_us(obsolete);
        for draft in draft.iter().chain(&another) {
            draft.discard_stored().await;
        }
        Ok(true)
    }

    pub(super) async fn rmdir(&self, parent: Ino, name: &[u8]) -> Result<Reply, FsError> {
        let name = self.name_to_remove(name)?;
        match self.resolve(parent, &name).await? {
            Target::Absent => return Err(FsError::NotFound),
            Target::File(_) => return Err(FsError::NotDirectory),
            Target::Directory => {}
        }
        let ino = self.tree.lock().ino_of(parent, &name);
        let (_path, key) = self.enter(parent, &name).await?;
        let key = Key::from(format!("{key}/"));
        let stamp = self.tree.lock().stamp(self.now());
        if !self.is_empty(ino, &key).await? {
            return Err(FsError::NotEmpty);
        }
        if let Err(refusal) = self.context.delete(&key, None).await {
            self.tree.lock().doubt(parent, &name);
            return Err(refusal.into_error(&key));
        }
        self.directory_changed(parent);
        let obsolete = self.tree.lock().removed(parent, &name, stamp);
        supersede_by_us(obsolete);
        Ok(Reply::Done)
    }

    /// The key of a name, which no rename of a directory moves while the guard lives.
    pub(super) async fn enter(&self, parent: Ino, name: &Name) -> Result<(Changing<'_>, Key), FsError> {
        let (guard, [key]) = self.enter_where(|tree| Ok([tree.directory(parent)?.key(name)])).await?;
        Ok((guard, key))
    }

    /// The same, of whatever the tree says the keys are.
    pub(super) async fn enter_where<const N: usize>(
        &self,
        keys_in: impl Fn(&Tree<Content<E>>) -> Result<[Key; N], FsError>,
    ) -> Result<(Changing<'_>, [Key; N]), FsError> {
        loop {
            let keys = keys_in(&self.tree.lock())?;
            let guard = self.paths.enter(&keys).await;
            // While it waited, a directory above may have been renamed.
            if keys_in(&self.tree.lock())? == keys {
                return Ok((guard, keys));
            }
        }
    }

    /// Whether nothing is beneath a directory but its marker, as far as one listing tells.
    pub(super) async fn is_empty(&self, ino: Option<Ino>, marker: &Key) -> Result<bool, FsError> {
        if ino.is_some_and(|ino| self.tree.lock().has_locals(ino)) {
            return Ok(false);
        }
        let request = List { prefix: marker.to_string(), max_keys: 2, ..List::default() };
        let page = self.context.list(request).await.map_err(|error| FsError::from_store(marker, error))?;
        Ok(page.objects.iter().all(|object| object.key == *marker) && page.next.is_none())
    }

    /// Whoever has open what the name stands for, or stood for, goes on reading it when its object goes.
    pub(super) async fn hold_open(&self, parent: Ino, name: &Name) {
        let held = self.tree.lock().held_by(parent, name);
        for content in held {
            self.hold_fully(&content).await;
        }
    }

    pub(super) fn name_to_remove(&self, name: &[u8]) -> Result<Name, FsError> {
        self.may_change("remove or rename")?;
        if self.context.config.no_delete {
            return Err(FsError::NotPermitted("--no-delete"));
        }
        if name.len() > Name::BYTES_MAX {
            return Err(FsError::NameTooLong);
        }
        std::str::from_utf8(name).ok().and_then(Name::new).ok_or(FsError::NotFound)
    }
}

/// The draft's name is gone: nobody will see more of it than who has it open.
pub(super) fn forsake<E: Env>(draft: &Arc<Draft<E>>) {
    if draft.fate() == Fate::Living && !zoo::has(Bug::RemovedDraftPublished) {
        draft.meets(Fate::Unlinked);
    }
}

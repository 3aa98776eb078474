//! Write-back: close(2) puts a file into the journal, and it is published behind it.
//!
//! Nothing else waits for less: fsync(2), renames and truncations by path publish before they return.

use std::sync::Arc;

use crate::config::{OnConflict, REPUBLISH_DELAY};
use crate::data::draft::{Draft, Fate};
use crate::data::publish::{Expects, Snapshot, Unpublished};
use crate::data::stored::Left;
use crate::env::store::ErrorKind;
use crate::env::{Clock, Disk, Env, Spawn};
use crate::error::FsError;
use crate::fs::Fs;
use crate::marks::sometimes;
use crate::op::Ino;
use crate::zoo::{self, Bug};

/// How often an entry of the journal whose condition does not hold is looked at afresh.
const TRIES_MAX: u32 = 3;

impl<E: Env> Fs<E> {
    /// Whether the journal has the draft now, and somebody will publish it. False: whoever asked has to publish it.
    /// `look` sees the file as it is to be stored; `None`: there is nothing to store.
    pub(super) async fn leave_to_journal(
        self: &Arc<Self>,
        ino: Ino,
        draft: &Arc<Draft<E>>,
        look: impl FnOnce() -> Option<Snapshot<E>>,
    ) -> bool {
        if self.context.config.write_back_max == 0 || draft.fate() != Fate::Living {
            return false;
        }
        // A directory above it may be being renamed: then it is left where it is by then.
        let _path = loop {
            if let Some(path) = self.enter_where_it_is(draft).await {
                break path;
            }
        };
        match draft.store(look, |object| self.with_attributes(ino, object)).await {
            Ok(stored) => {
                if stored {
                    self.publish_behind(ino, draft.clone());
                }
                stored
            }
            Err(error) => {
                sometimes!(JournalFull);
                tracing::debug!("{:?}: not put into the journal ({error}); its close waits for S3", draft.key());
                false
            }
        }
    }

    /// Until it is published, given up or gone.
    fn publish_behind(self: &Arc<Self>, ino: Ino, draft: Arc<Draft<E>>) {
        if !draft.begins_publishing() {
            return;
        }
        // A share, so that the inode stays until then.
        if let Ok(file) = self.tree.lock().file_mut(ino) {
            file.opens += 1;
        } else {
            return draft.stops_publishing();
        }
        let fs = self.clone();
        self.context.env.spawn().spawn("publish behind a close", async move {
            let (mut delay, longest) = REPUBLISH_DELAY;
            let ended = loop {
                let outcome = {
                    let _place = fs.context.behind.join(0).await;
                    let _turn = draft.gate.lock().await;
                    fs.commit_looked_at(ino, &draft, || draft.closed()).await
                };
                let Err(error) = outcome else {
                    // It may have been closed once more meanwhile.
                    if draft.ends_publishing() {
                        sometimes!(PublishedBehind);
                        break true;
                    }
                    continue;
                };
                fs.complain(&error);
                if draft.fate() != Fate::Living {
                    break false;
                }
                if !may_pass(&error) && fs.give_up(ino, &draft, &error).await {
                    break false;
                }
                fs.context.env.clock().sleep(delay).await;
                delay = (2 * delay).min(longest);
            };
            // Where it has ended by itself, the next one may have begun already.
            if !ended {
                draft.stops_publishing();
            }
            // Whoever changes it without having it open tells what becomes of that. What is left then, and nobody has open, such
            // as a truncation that failed, goes the same way.
            if !draft.is_in_use() && fs.handles.lock().count_of(ino) == 0 {
                fs.retire(ino).await;
            }
            fs.close_inode(ino);
        });
    }

    /// What mounts before this one have left in the journal, the oldest of each file first.
    pub(super) async fn journal_left(&self) -> Vec<Left<E>> {
        let mut left = Vec::new();
        if zoo::has(Bug::JournalNeverRead) {
            return left;
        }
        for (id, text) in self.context.env.disk().entries_left().await {
            match Left::new(self.context.clone(), id.clone(), &text) {
                Some(file) => left.push(file),
                None => tracing::warn!(
                    "{id:?} in the journal is damaged, or of another version of Holdfast; it is left alone"
                ),
            }
        }
        left.sort_by(|a, b| (&a.entry.key, a.entry.order).cmp(&(&b.entry.key, b.entry.order)));
        left
    }

    /// Publishes them. Answers what stays in the journal because it could not be.
    pub(super) async fn publish_left(&self, left: Vec<Left<E>>) -> Vec<Left<E>> {
        let mut staying = Vec::new();
        let mut out_of_reach = false;
        for file in left {
            // One deadline is enough to know that nothing gets through.
            if out_of_reach {
                staying.push(file);
                continue;
            }
            let key = &file.entry.key;
            match self.publish_one_left(&file).await {
                Ok(()) => file.discard().await,
                Err(error) => {
                    out_of_reach = matches!(error, FsError::Exhausted { .. });
                    tracing::warn!(
                        "{key:?}, which a mount before had not published yet, cannot be published now ({error}); it stays in the \
                         journal, and is tried again"
                    );
                    staying.push(file);
                }
            }
        }
        staying
    }

    /// `Ok`: it stands in the bucket, or is kept in the recovery folder.
    async fn publish_one_left(&self, left: &Left<E>) -> Result<(), FsError> {
        let key = &left.entry.key;
        let mut tries = 0;
        loop {
            tries += 1;
            let meta = match self.context.head(key).await {
                Ok(meta) => Some(meta),
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => return Err(FsError::from_store(key, error)),
            };
            let (mut expects, mut base) = (left.entry.expects.clone(), left.entry.base.clone());
            if let Some(meta) = &meta
                && let Some(attempt) = left.entry.attempts.iter().rev().find(|attempt| attempt.made(meta))
            {
                if attempt.covers {
                    sometimes!(FoundPublished);
                    return Ok(());
                }
                sometimes!(FoundOlder);
                // It has what is not written here, too; unless it was cut in vain, as who cut it was told.
                if left.entry.base_end() <= meta.size {
                    (expects, base) = (Expects::ETag(meta.etag.clone()), Some((meta.etag.clone(), meta.size)));
                }
            }
            let draft = left.load(expects, base).await?;
            let overwrites = self.context.config.on_conflict == OnConflict::Overwrite && !left.entry.yields;
            if overwrites && draft.snapshot().is_whole() {
                draft.expect(Expects::Anything);
            }
            match draft.snapshot().publish().await {
                Ok(_) => {
                    sometimes!(PublishedFromJournal);
                    tracing::info!("{key:?}, which a mount before had not published yet, is published");
                    return Ok(());
                }
                // The rest of it is of a version that is gone.
                Err(Unpublished::Failed { error: FsError::LostHold { .. }, .. }) => {
                    return self.keep_left(left, &draft).await;
                }
                Err(Unpublished::Failed { error, .. }) => return Err(error),
                // A request of the mount that is gone may have been applied only now.
                Err(Unpublished::Conflict | Unpublished::Landed(_)) if tries < TRIES_MAX => {}
                Err(Unpublished::Conflict | Unpublished::Landed(_)) => return self.keep_left(left, &draft).await,
            }
        }
    }

    /// Somebody else was faster.
    async fn keep_left(&self, left: &Left<E>, draft: &Draft<E>) -> Result<(), FsError> {
        let key = &left.entry.key;
        if self.context.config.on_conflict == OnConflict::KeepBoth
            && self.publish_beside(&draft.snapshot()).await.is_some()
        {
            return Ok(());
        }
        let at = draft.keep("somebody else changed it before it could be published").await?;
        tracing::warn!(
            "{key:?} was changed by somebody else before what was written here was published; that is kept as {at:?}; see \
             `holdfast recover`"
        );
        Ok(())
    }
}

/// Whether it is worth trying again for as long as the mount lives.
fn may_pass(error: &FsError) -> bool {
    match error {
        FsError::Exhausted { .. } | FsError::Disk(_) => true,
        // What S3 does not take, it will not take tomorrow.
        FsError::Nonsense { cause, .. } => cause.kind != ErrorKind::InvalidRequest,
        _ => false,
    }
}

//! Finishing, or tidying up, what a mount before this one left when it ended in the middle of something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_listener::Event;

use crate::config::REPUBLISH_DELAY;
use crate::data::notes::Note;
use crate::env::store::Key;
use crate::env::{Clock, Disk, Env, Spawn};
use crate::error::FsError;
use crate::fs::Fs;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

/// A request that was under way when its mount died has arrived by then, as a rule.
const BEGINNING_ARRIVES: Duration = Duration::from_secs(3);

/// Whether requests are answered yet.
#[derive(Default)]
pub(super) struct Begun {
    waits: AtomicBool,
    goes: Event,
}

impl Begun {
    pub(super) async fn wait(&self) {
        while self.waits.load(Ordering::Acquire) {
            let goes = self.goes.listen();
            if self.waits.load(Ordering::Acquire) {
                goes.await;
            }
        }
    }
}

impl<E: Env> Fs<E> {
    /// For once, when the mount begins. Requests wait from now on until what is in the journal is published, since who looked
    /// earlier would see the bucket without it, and until renames of directories that were cut short are finished. Then, beside
    /// everything else, uploads that nobody will complete are aborted.
    pub fn begin(self: &Arc<Self>) {
        if self.context.config.read_only {
            return;
        }
        self.begun.waits.store(true, Ordering::Release);
        let fs = self.clone();
        self.context.env.spawn().spawn("take up what a mount before has left", async move {
            let go = Go(&fs.begun);
            let left = fs.journal_left().await;
            let mut staying = fs.publish_left(left).await;
            let notes = fs.notes_left().await;
            let (renames, others) = notes.into_iter().partition(|(note, _)| matches!(note, Note::Rename { .. }));
            // Whoever opened something there earlier would lose it as it moves.
            fs.take_up(renames).await;
            drop(go);
            fs.take_up(others).await;
            while !staying.is_empty() {
                fs.context.env.clock().sleep(REPUBLISH_DELAY.1).await;
                staying = fs.publish_left(staying).await;
            }
        });
    }

    /// What mounts before this one have left word of, and that as it stands.
    async fn notes_left(&self) -> Vec<(Note, String)> {
        let left = self.context.env.disk().notes_left().await.into_iter();
        let mut left: Vec<_> = left.filter_map(|text| Some((Note::parse(&text)?, text))).collect();
        // Last what is waited for.
        left.sort_by_key(|(note, _)| matches!(note, Note::Beginning { .. }));
        left
    }

    async fn take_up(&self, notes: Vec<(Note, String)>) {
        let mut out_of_reach = false;
        for (note, text) in notes {
            // Until it is done it is ours to leave again.
            let again = self.context.env.disk().leave_note(text).await.ok();
            let done = match &note {
                // One deadline is enough to know that nothing gets through: requests wait for this.
                Note::Rename { from, to, .. } if out_of_reach => {
                    tracing::warn!("the rename of {from:?} to {to:?} was cut short; the next mount goes on with it");
                    false
                }
                Note::Upload { key, id } => {
                    sometimes!(OrphanAborted);
                    zoo::has(Bug::OrphansNeverAborted) || self.context.abort_upload(key, id).await
                }
                Note::Beginning { key, began } => self.abort_what_was_begun(key, &note, *began).await,
                Note::Rename { from, to, began } => {
                    let resumed = match zoo::has(Bug::CutShortRenameForgotten) {
                        true => Ok(()),
                        false => self.resume_rename(from, to, *began).await,
                    };
                    out_of_reach = matches!(resumed, Err(FsError::Exhausted { .. }));
                    resumed.is_ok()
                }
            };
            if done {
                self.context.take_back_note(again).await;
            }
        }
    }

    /// An upload whose beginning was not answered is found by its key and its time; nothing can have been sent into it. False: it
    /// may still be there.
    async fn abort_what_was_begun(&self, key: &Key, note: &Note, began: i64) -> bool {
        let age = self.context.env.clock().unix_seconds().saturating_sub(began);
        if let Ok(age) = u64::try_from(age)
            && let Some(left) = BEGINNING_ARRIVES.checked_sub(Duration::from_secs(age))
        {
            self.context.env.clock().sleep(left).await;
        }
        let uploads = match self.context.uploads_of(key).await {
            Ok(uploads) => uploads,
            Err(error) => {
                tracing::warn!(
                    "{key:?}: a mount before this one may have begun an upload and was killed; uploads cannot be listed ({error}): \
                     see `holdfast doctor`"
                );
                // Whoever may not list them may not on the next day either.
                return !error.kind.is_ambiguous();
            }
        };
        let mut done = true;
        for upload in uploads.iter().filter(|upload| note.may_be_of(upload)) {
            match self.context.is_empty_upload(upload).await {
                Ok(true) => {
                    sometimes!(NamelessUploadAborted);
                    done &= self.context.abort_upload(key, &upload.upload).await;
                }
                Ok(false) => {}
                Err(error) => done &= !error.kind.is_ambiguous(),
            }
        }
        done
    }

    /// What is still at the old place goes to the new one, unless it was put there since.
    async fn resume_rename(&self, from: &str, to: &str, began: i64) -> Result<(), FsError> {
        sometimes!(RenameResumed);
        tracing::info!(
            "the rename of {from:?} to {to:?}, which was cut short, goes on; requests wait until it is finished"
        );
        let _closed = self.paths.close([from.to_string(), to.to_string()]).await;
        let outcome = async {
            let mut versions = self.versions_beneath(from).await?;
            versions.retain(|version| version.last_modified <= began);
            let left = versions.len();
            match self.move_keys(versions, [from, to], true).await {
                (_, Some(error)) => Err(error),
                (_, None) => Ok::<_, FsError>(left),
            }
        };
        match outcome.await {
            Ok(0) => Ok(()),
            Ok(left) => {
                tracing::info!(
                    "the rename of {from:?} to {to:?}, which was cut short, is finished: {left} keys were left"
                );
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    "the rename of {from:?} to {to:?} was cut short, and could not be finished ({error}); part of it is at \
                     either place: rename the rest, or mount again"
                );
                Err(error)
            }
        }
    }
}

/// Lets requests go when it is dropped, whatever has happened.
struct Go<'a>(&'a Begun);

impl Drop for Go<'_> {
    fn drop(&mut self) {
        self.0.waits.store(false, Ordering::Release);
        self.0.goes.notify(usize::MAX);
    }
}

//! A file published by parts: an upload is begun, its parts are sent or copied S3-side, and it is completed or aborted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::config::PARTS_AT_ONCE;
use crate::data::context::Context;
use crate::data::mutations::{Refusal, Sent};
use crate::data::notes::Note;
use crate::data::plan::{Numbered, Part, numbered};
use crate::data::publish::{Published, Snapshot, Unpublished};
use crate::data::requests::Work;
use crate::env::store::{
    CompleteUpload, CopySource, CreateUpload, ETag, ErrorKind, Key, NewObject, ObjectMeta, ReadConditions, Store,
    StoreError, Upload as InProgress, UploadId, UploadPart, UploadPartCopy, Written,
};
use crate::env::{Clock, Disk, Env, NoteId, Spawn};
use crate::error::FsError;
use crate::marks::sometimes;
use crate::zoo::{self, Bug};

/// How often an upload that somebody aborted under us is begun afresh.
const UPLOADS_MAX: u32 = 3;

/// An upload that was begun. It is completed, or [forsaken](Context::forsake).
pub(super) struct Upload {
    pub id: UploadId,
    /// The attributes that the object will have.
    pub object: NewObject,
    note: Option<NoteId>,
}

impl<E: Env> Snapshot<E> {
    /// `None`: a file of which parts were to be copied, and which is not the one that is replaced, is another by now.
    pub(super) async fn upload(&self, parts: Vec<Part>) -> Result<Option<Published>, Unpublished> {
        let fresh = numbered(parts);
        let mut begun = match &self.ahead {
            Some(ahead) => ahead.take_over(self).await,
            None => None,
        };
        let mut uploads = 0;
        loop {
            uploads += 1;
            let (upload, parts, attributes) = match begun.take() {
                Some(taken) => (taken.upload, taken.parts, taken.attributes),
                None => (self.context.begin_upload(&self.key, &self.object).await?, fresh.clone(), self.attributes),
            };
            let outcome = match self.send_parts(&upload.id, &parts).await {
                Ok(etags) => self.complete(&upload, etags).await,
                Err(Refusal::Condition(None)) if self.is_based_elsewhere() => {
                    self.context.forsake(&self.key, upload);
                    return Ok(None);
                }
                Err(refusal) => Err(self.unpublished(refusal, None)),
            };
            match outcome {
                Ok(written) => {
                    self.context.take_back_note(upload.note).await;
                    let attributes_behind = attributes != self.attributes;
                    return Ok(Some(Published {
                        written,
                        body: None,
                        copied: false,
                        object: upload.object,
                        attributes_behind,
                    }));
                }
                // By a lifecycle rule, or by somebody who tidied up.
                Err(Unpublished::Failed { error: FsError::Exhausted { cause, .. }, .. })
                    if cause.kind == ErrorKind::NoSuchUpload && uploads < UPLOADS_MAX =>
                {
                    sometimes!(UploadVanished);
                    self.context.take_back_note(upload.note).await;
                }
                Err(unpublished) => {
                    self.context.forsake(&self.key, upload);
                    return Err(unpublished);
                }
            }
        }
    }

    async fn send_parts(&self, id: &UploadId, parts: &[Numbered]) -> Result<Vec<(u32, ETag)>, Refusal> {
        let to_send = parts.iter().filter(|part| part.sent.is_none());
        let longest = to_send.clone().filter(|part| matches!(part.part, Part::Upload(_))).map(|part| part.part.range());
        let longest = longest.map(|range| range.end - range.start).max().unwrap_or(1).max(1);
        let at_once = (self.context.config.memory_max / 2 / longest).clamp(1, PARTS_AT_ONCE as u64) as usize;
        let mut waiting = to_send;
        let mut under_way = FuturesUnordered::new();
        let sent = parts.iter().filter_map(|part| Some((part.number, part.sent.clone()?)));
        let mut sent: Vec<(u32, ETag)> = sent.collect();
        loop {
            let room = at_once - under_way.len();
            for part in waiting.by_ref().take(room) {
                under_way.push(self.send_part(id, part.number, &part.part));
            }
            match under_way.next().await {
                Some(part) => sent.push(part?),
                None => break,
            }
        }
        sent.sort_unstable_by_key(|(number, _)| *number);
        Ok(sent)
    }

    async fn send_part(&self, id: &UploadId, number: u32, part: &Part) -> Result<(u32, ETag), Refusal> {
        let store = self.context.env.store();
        let (key, upload) = (self.key.clone(), id.clone());
        match part {
            Part::Upload(range) => {
                let _place = self.context.sends.join(range.end - range.start).await;
                let body = match self.body(range.clone()).await {
                    Ok(body) => body,
                    Err(error) => return Err(Refusal::Source(error)),
                };
                let request = UploadPart { key, upload, number, body };
                let work = Work::Sending(request.body.len() as u64);
                let etag = self.context.persist_with(work, || store.upload_part(request.clone())).await?;
                Ok((number, etag))
            }
            Part::Copy(range) => {
                sometimes!(PartCopied);
                let base = self.base.as_ref().expect("only what has a base copies it").content().version();
                // S3 copies no range of a source that is no longer than the shortest part.
                let part_of_it = Some(range.clone()).filter(|range| *range != (0..base.size));
                let careless = zoo::has(Bug::PartCopiedWithoutCondition);
                let conditions = ReadConditions::if_match(&base.etag);
                let source = CopySource {
                    key: base.key.clone(),
                    version_id: base.version_id.clone().filter(|_| !careless),
                    conditions: if careless { ReadConditions::none() } else { conditions },
                };
                let request = UploadPartCopy { key, upload, number, source, range: part_of_it };
                let work = Work::Copying(range.end - range.start);
                match self.context.persist_with(work, || store.upload_part_copy(request.clone())).await {
                    Ok(etag) => Ok((number, etag)),
                    Err(error) if error.kind.is_gone() => Err(Refusal::Condition(None)),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    async fn complete(&self, upload: &Upload, parts: Vec<(u32, ETag)>) -> Result<Written, Unpublished> {
        let told = self.context.env.store().etags_tell_bytes();
        let etag = if told { super::etag::of_upload(&parts) } else { None };
        let sent = Sent { etag, size: self.overlay.size(), user: upload.object.user.clone() };
        let condition = self.expects.condition();
        let request = CompleteUpload { key: self.key.clone(), upload: upload.id.clone(), parts, condition };
        let is_ours = |meta: &ObjectMeta| sent.is(meta);
        let send = || async {
            match self.context.env.store().complete_upload(request.clone()).await {
                // Completed by an attempt before, or aborted: looking tells.
                Err(error) if error.kind == ErrorKind::NoSuchUpload => match self.context.head(&self.key).await {
                    Ok(meta) if is_ours(&meta) => Ok(Written { etag: meta.etag, version_id: meta.version_id }),
                    Ok(_) | Err(_) => Err(error),
                },
                outcome => outcome,
            }
        };
        let work = Work::Completing(request.parts.len());
        let outcome = self.context.decide(&self.key, work, |meta, _| is_ours(meta), send).await;
        outcome.map_err(|refusal| self.unpublished(refusal, Some(sent.clone())))
    }
}

impl<E: Env> Context<E> {
    /// The next mount learns of it if this one ends before it does.
    pub(super) async fn begin_upload(&self, key: &Key, object: &NewObject) -> Result<Upload, FsError> {
        let request = CreateUpload { key: key.clone(), object: object.clone() };
        let beginning = Note::Beginning { key: key.clone(), began: self.env.clock().unix_seconds() };
        let beginning = self.env.disk().leave_note(beginning.text()).await.ok();
        let unanswered = AtomicU32::new(0);
        let create = || async {
            unanswered.fetch_add(1, Ordering::Relaxed);
            let created = self.env.store().create_upload(request.clone()).await;
            if !created.as_ref().is_err_and(|error| error.kind.is_ambiguous()) {
                unanswered.fetch_sub(1, Ordering::Relaxed);
            }
            created
        };
        let created = self.persist(create).await;
        let note = match &created {
            Ok(id) => {
                let note = Note::Upload { key: key.clone(), id: id.clone() };
                self.env.disk().leave_note(note.text()).await.ok()
            }
            Err(_) => None,
        };
        // An attempt whose answer was lost may have begun another one, which the next mount looks for.
        if unanswered.into_inner() == 0 {
            self.take_back_note(beginning).await;
        }
        let id = created.map_err(|error| FsError::from_store(key, error))?;
        Ok(Upload { id, object: object.clone(), note })
    }

    /// Aborts it in the background: nobody waits for it, and what it leaves behind harms nobody but the bill.
    pub(super) fn forsake(self: &Arc<Self>, key: &Key, upload: Upload) {
        if zoo::has(Bug::UploadLeftBehind) {
            return;
        }
        let (context, key) = (self.clone(), key.clone());
        self.env.spawn().spawn("abort an upload", async move {
            if context.abort_upload(&key, &upload.id).await {
                context.take_back_note(upload.note).await;
            }
        });
    }

    /// Uploads in progress to this key.
    pub async fn uploads_of(&self, key: &Key) -> Result<Vec<InProgress>, StoreError> {
        let mut uploads = self.persist(|| self.env.store().list_uploads(key.to_string())).await?;
        uploads.retain(|upload| upload.key == *key);
        Ok(uploads)
    }

    /// Whether nothing was sent into it, or it is gone.
    pub async fn is_empty_upload(&self, upload: &InProgress) -> Result<bool, StoreError> {
        let (key, id) = (&upload.key, &upload.upload);
        match self.persist(|| self.env.store().has_parts(key.clone(), id.clone())).await {
            Ok(has_parts) => Ok(!has_parts),
            Err(error) if error.kind == ErrorKind::NoSuchUpload => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Removes the parts of an upload that will not be completed. False: they may still be there.
    pub async fn abort_upload(&self, key: &Key, id: &UploadId) -> bool {
        match self.persist(|| self.env.store().abort_upload(key.clone(), id.clone())).await {
            Ok(()) => true,
            Err(error) if error.kind == ErrorKind::NoSuchUpload => true,
            Err(error) => {
                tracing::warn!("{key:?}: upload {id} could not be aborted ({error}); its parts stay until it is");
                false
            }
        }
    }
}

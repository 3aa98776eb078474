//! What the bucket lets be done, and whether its conditions hold, tried on probes that are removed again.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::report::{Finding, Report};
use crate::env::store::{
    Body, CompleteUpload, Copy, CopySource, CreateUpload, Delete, ETag, ErrorKind, Get, Head, Key, NewObject,
    ObjectMeta, Put, ReadConditions, StoreError, UploadPart, WriteCondition, Written,
};
use crate::env::{Rng as _, Store};
use crate::real::OsRng;

const PATIENCE: Duration = Duration::from_secs(20);
const BYTES: &[u8] = b"holdfast doctor was here, and will remove this";
const NAME_PREFIX: &str = ".holdfast-probe-";
/// AWS refuses requests whose clock is off by more than 900.
const SKEW_SECONDS_MAX: u64 = 300;

/// One request, which may not take for ever.
pub(super) async fn asked<T>(request: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::new(ErrorKind::NoAnswer, format!("nothing for {} s", PATIENCE.as_secs()))),
    }
}

/// The trial, and what it has made.
struct Trial<'a, S: Store> {
    report: &'a mut Report,
    store: &'a S,
    made: Vec<(Key, Written)>,
}

pub(super) async fn try_all(report: &mut Report, store: &impl Store, prefix: &str) {
    let name = |what: &str| Key::from(format!("{prefix}{NAME_PREFIX}{:016x}-{what}", OsRng.next_u64()));
    let mut trial = Trial { report, store, made: Vec::new() };
    let key = name("object");
    if let Some(written) = trial.put(&key).await {
        trial.read(&key, &written).await;
        trial.conditions(&key).await;
        trial.copy(&key, &written, &name("copy")).await;
        trial.upload(&name("upload")).await;
    }
    trial.remove().await;
}

impl<S: Store> Trial<'_, S> {
    async fn put(&mut self, key: &Key) -> Option<Written> {
        match self.create(key).await {
            Ok(written) => {
                self.made.push((key.clone(), written.clone()));
                self.report.add(Finding::ok("PUT", "objects may be made".to_string()));
                self.report.add(match &written.version_id {
                    Some(_) => {
                        Finding::ok("versions", "are kept: an open file can be read to its end, always".to_string())
                    }
                    None => Finding::ok(
                        "versions",
                        "are not kept: what random readers never asked for is gone when it is replaced (--hold=full)"
                            .to_string(),
                    ),
                });
                Some(written)
            }
            Err(error) if error.kind == ErrorKind::AccessDenied => {
                let advice = "allow s3:PutObject under this prefix, or mount with --read-only";
                self.report.add(Finding::warn("PUT", format!("objects may not be made: {error}"), advice));
                None
            }
            Err(error) => {
                self.report.add(Finding::fail("PUT", error.to_string(), "the rest of writing was not tried"));
                None
            }
        }
    }

    async fn create(&self, key: &Key) -> Result<Written, StoreError> {
        let (body, object) = (Bytes::from_static(BYTES), NewObject::default());
        let condition = Some(WriteCondition::IfAbsent);
        asked(self.store.put(Put { key: key.clone(), body, object, condition })).await
    }

    async fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let head = Head { key: key.clone(), version_id: None, conditions: ReadConditions::none() };
        asked(self.store.head(head)).await
    }

    async fn get(&self, key: &Key, conditions: ReadConditions) -> Result<Vec<u8>, StoreError> {
        asked(async {
            let get = Get { key: key.clone(), version_id: None, range: None, conditions };
            let mut reply = self.store.get(get).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = reply.body.next().await {
                bytes.extend_from_slice(&chunk?);
            }
            Ok(bytes)
        })
        .await
    }

    async fn read(&mut self, key: &Key, written: &Written) {
        let advice = "allow s3:GetObject under this prefix";
        let head = self.head(key).await;
        if let Ok(meta) = &head {
            self.clock(meta);
        }
        self.report.add(match head {
            Ok(meta) if meta.size == BYTES.len() as u64 && meta.etag == written.etag => {
                Finding::ok("HEAD", "tells what was put".to_string())
            }
            Ok(meta) => Finding::fail("HEAD", format!("tells of another object: {meta:?}"), "is a cache in between?"),
            Err(error) => Finding::fail("HEAD", error.to_string(), advice),
        });
        self.report.add(match self.get(key, ReadConditions::if_match(&written.etag)).await {
            Ok(bytes) if bytes == BYTES => Finding::ok("GET", "gives what was put".to_string()),
            Ok(_) => Finding::fail("GET", "gives other bytes than were put".to_string(), "is a cache in between?"),
            Err(error) => Finding::fail("GET", error.to_string(), advice),
        });
        let md5: String = Md5::digest(BYTES).iter().map(|byte| format!("{byte:02x}")).collect();
        // Where the options say so, nobody takes them for such.
        if written.etag.as_str() != md5 && self.store.etags_tell_bytes() {
            let words = "are no MD5s of the bytes, as where KMS encrypts by default".to_string();
            let advice = "mount with --sse=aws:kms: else an answer that gets lost may be told as a conflict";
            self.report.add(Finding::warn("ETags", words, advice));
        }
    }

    /// The server has dated the object just now.
    fn clock(&mut self, meta: &ObjectMeta) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let skew = now.abs_diff(meta.last_modified);
        self.report.add(match skew > SKEW_SECONDS_MAX {
            true => Finding::warn(
                "clock",
                format!("this machine's and the server's are {skew} s apart"),
                "set it by NTP: AWS refuses requests beyond 900 s, and times of files will surprise",
            ),
            false => Finding::ok("clock", format!("agrees with the server's within {} s", skew + 1)),
        });
    }

    async fn conditions(&mut self, key: &Key) {
        let other = ETag::from("0123456789abcdef0123456789abcdef");
        let advice = "two that write one file may not notice each other; Holdfast looks before and after instead";
        let again = self.create(key).await;
        let finding = self.refusal("If-None-Match", key, again, advice);
        self.report.add(finding);
        let (body, object) = (Bytes::from_static(BYTES), NewObject::default());
        let condition = Some(WriteCondition::IfMatch(other.clone()));
        let put = asked(self.store.put(Put { key: key.clone(), body, object, condition })).await;
        let finding = self.refusal("If-Match", key, put, advice);
        self.report.add(finding);
        self.report.add(match self.get(key, ReadConditions::if_match(&other)).await {
            Err(error) if error.kind == ErrorKind::PreconditionFailed => {
                Finding::ok("GET If-Match", "is honoured: no read can mix versions".to_string())
            }
            Err(error) => Finding::fail("GET If-Match", error.to_string(), "reads of replaced objects will fail"),
            Ok(_) => Finding::fail(
                "GET If-Match",
                "is ignored".to_string(),
                "do not mount this: a read that is resumed after a replacement could mix versions",
            ),
        });
    }

    /// What the answer to a write says whose condition does not hold.
    fn refusal(
        &mut self,
        what: &'static str,
        key: &Key,
        answer: Result<Written, StoreError>,
        advice: &'static str,
    ) -> Finding {
        match answer {
            Err(error) if matches!(error.kind, ErrorKind::PreconditionFailed | ErrorKind::Conflict) => {
                Finding::ok(what, "is honoured: no update is lost without a word".to_string())
            }
            Err(error) => Finding::warn(what, error.to_string(), advice),
            Ok(written) => {
                self.made.push((key.clone(), written));
                Finding::warn(what, "is ignored".to_string(), advice)
            }
        }
    }

    async fn copy(&mut self, key: &Key, written: &Written, to: &Key) {
        let copy = |etag: &ETag| {
            let conditions = ReadConditions::if_match(etag);
            let source = CopySource { key: key.clone(), version_id: written.version_id.clone(), conditions };
            asked(self.store.copy(Copy { source, key: to.clone(), replace: None, condition: None }))
        };
        let advice = "rename and chmod need it";
        let finding = match copy(&written.etag).await {
            Ok(made) => {
                self.made.push((to.clone(), made));
                Finding::ok("COPY", "works: files can be renamed".to_string())
            }
            Err(error) => Finding::warn("COPY", error.to_string(), advice),
        };
        self.report.add(finding);
        let finding = match copy(&ETag::from("0123456789abcdef0123456789abcdef")).await {
            Err(error) if error.kind == ErrorKind::PreconditionFailed => {
                Finding::ok("COPY If-Match", "is honoured".to_string())
            }
            Err(error) => Finding::warn("COPY If-Match", error.to_string(), advice),
            Ok(made) => {
                self.made.push((to.clone(), made));
                Finding::warn("COPY If-Match", "is ignored".to_string(), "an edit of a large object could mix versions")
            }
        };
        self.report.add(finding);
    }

    async fn upload(&mut self, key: &Key) {
        let advice = "files beyond --part-size cannot be written";
        let created =
            asked(self.store.create_upload(CreateUpload { key: key.clone(), object: NewObject::default() })).await;
        let upload = match created {
            Ok(upload) => upload,
            Err(error) => return self.report.add(Finding::warn("multipart", error.to_string(), advice)),
        };
        let outcome = async {
            let body = Bytes::from_static(BYTES);
            let part = UploadPart { key: key.clone(), upload: upload.clone(), number: 1, body };
            let etag = asked(self.store.upload_part(part)).await?;
            let condition = Some(WriteCondition::IfAbsent);
            let complete =
                CompleteUpload { key: key.clone(), upload: upload.clone(), parts: vec![(1, etag)], condition };
            asked(self.store.complete_upload(complete)).await
        };
        match outcome.await {
            Ok(written) => {
                self.made.push((key.clone(), written));
                self.report.add(Finding::ok("multipart", "uploads work".to_string()));
            }
            Err(error) => {
                let _ = asked(self.store.abort_upload(key.clone(), upload)).await;
                self.report.add(Finding::warn("multipart", error.to_string(), advice));
            }
        }
    }

    /// Each version that was made, so that nothing remains in a bucket that keeps them.
    async fn remove(&mut self) {
        let mut refused = None;
        for (key, written) in std::mem::take(&mut self.made) {
            let delete = Delete { key: key.clone(), version_id: written.version_id, condition: None };
            if let Err(error) = asked(self.store.delete(delete)).await {
                refused = Some((key, error));
            }
        }
        self.report.add(match refused {
            None => Finding::ok("DELETE", "the probes are removed".to_string()),
            Some((key, error)) => Finding::warn(
                "DELETE",
                format!("the probe {key:?} could not be removed: {error}"),
                "allow s3:DeleteObject (and s3:DeleteObjectVersion), or mount with --no-delete; remove the probe",
            ),
        });
    }
}

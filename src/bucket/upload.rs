//! Multipart uploads.

use std::collections::BTreeMap;
use std::ops::Range;

use super::content::Content;
use super::digest::{etag_of, etag_of_parts};
use super::protection::Protection;
use super::{Bucket, check_key, no_such_upload, refused};
use crate::env::store::{
    CompleteUpload, CopySource, CreateUpload, ETag, ErrorKind, Key, NewObject, StoreError, Upload, UploadId,
    UploadPart, UploadPartCopy, Written,
};

/// The uploads of a bucket.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    begun: u64,
    open: BTreeMap<(Key, UploadId), Open>,
    /// What was answered to each upload that was completed, for a repetition.
    completed: BTreeMap<(Key, UploadId), Written>,
}

#[derive(Debug)]
struct Open {
    initiated: i64,
    object: NewObject,
    protection: Protection,
    parts: BTreeMap<u32, Part>,
}

/// One uploaded part.
#[derive(Clone, Debug)]
pub struct Part {
    pub etag: ETag,
    pub content: Content,
    /// Seconds since 1970.
    pub last_modified: i64,
}

impl Uploads {
    pub(super) fn protect(&mut self, key: &Key, upload: &UploadId, protection: Protection) {
        if let Some(open) = self.open.get_mut(&(key.clone(), upload.clone())) {
            open.protection = protection;
        }
    }

    pub(super) fn protection(&self, key: &Key, upload: &UploadId) -> Option<&Protection> {
        self.open.get(&(key.clone(), upload.clone())).map(|open| &open.protection)
    }
}

impl Bucket {
    /// CreateMultipartUpload.
    ///
    /// # Errors
    /// `InvalidRequest` for a bad key or too much metadata.
    pub fn create_upload(&mut self, request: CreateUpload, now: i64) -> Result<UploadId, StoreError> {
        check_key(&request.key)?;
        self.check_new_object(&request.object)?;
        self.uploads.begun += 1;
        let upload = UploadId::from(format!("u{:011}", self.uploads.begun));
        let open =
            Open { initiated: now, object: request.object, protection: Protection::default(), parts: BTreeMap::new() };
        self.uploads.open.insert((request.key, upload.clone()), open);
        Ok(upload)
    }

    /// UploadPart.
    ///
    /// # Errors
    /// `NoSuchUpload`; `InvalidRequest` for a number out of bounds or too large a body.
    pub fn upload_part(&mut self, request: UploadPart, now: i64) -> Result<ETag, StoreError> {
        let UploadPart { key, upload, number, body } = request;
        self.put_part(key, upload, number, Content::from(body), now)
    }

    /// UploadPartCopy within the bucket.
    ///
    /// # Errors
    /// Those of [`Bucket::part_source`] and [`Bucket::upload_part`].
    pub fn upload_part_copy(&mut self, request: UploadPartCopy, now: i64) -> Result<ETag, StoreError> {
        let UploadPartCopy { key, upload, number, source, range } = request;
        self.check_upload(&key, &upload)?;
        let content = self.part_source(&source, range)?;
        self.put_part(key, upload, number, content, now)
    }

    /// The bytes that an UploadPartCopy reads.
    ///
    /// # Errors
    /// Those of [`Bucket::copy_source`]; `InvalidRequest` for a range that does not lie within the source, or of too
    /// small a source (S3: "You can copy a range only if the source object is greater than 5 MB").
    pub fn part_source(&self, source: &CopySource, range: Option<Range<u64>>) -> Result<Content, StoreError> {
        let object = self.copy_source(source)?;
        let size = object.meta.size;
        let Some(range) = range else { return Ok(object.content.clone()) };
        let problem = if range.is_empty() || range.end > size {
            ("InvalidArgument", format!("range {range:?} of {size} bytes"))
        } else if size <= self.options.limits.range_copy_source_bytes_min {
            ("InvalidRequest", format!("{size} bytes are too few for a byte-range copy source"))
        } else {
            return Ok(object.content.slice(range));
        };
        Err(refused(ErrorKind::InvalidRequest, problem.0, &problem.1))
    }

    /// [`Bucket::upload_part`] of bytes in segments.
    ///
    /// # Errors
    /// As [`Bucket::upload_part`].
    pub fn put_part(
        &mut self,
        key: Key,
        upload: UploadId,
        number: u32,
        content: Content,
        now: i64,
    ) -> Result<ETag, StoreError> {
        let limits = self.options.limits;
        if number == 0 || number > limits.parts_max {
            return Err(refused(ErrorKind::InvalidRequest, "InvalidArgument", &format!("part number {number}")));
        }
        if content.size() > limits.put_bytes_max {
            return Err(refused(ErrorKind::InvalidRequest, "EntityTooLarge", &format!("{} bytes", content.size())));
        }
        let digest = self.options.digest;
        let open = self.uploads.open.get_mut(&(key, upload.clone())).ok_or_else(|| no_such_upload(&upload))?;
        let etag = etag_of(content.digest(digest));
        open.parts.insert(number, Part { etag: etag.clone(), content, last_modified: now });
        Ok(etag)
    }

    /// CompleteMultipartUpload. The object is dated when the upload began, as on S3. After a failure the upload is as it
    /// was.
    ///
    /// # Errors
    /// `NoSuchUpload`; `PreconditionFailed`; `NotFound` for an If-Match on nothing; `InvalidRequest`: a part that was not
    /// uploaded or has another ETag, parts out of order or too small, an object too large.
    pub fn complete_upload(&mut self, request: CompleteUpload) -> Result<Written, StoreError> {
        let CompleteUpload { key, upload, parts, condition } = request;
        let name = (key.clone(), upload.clone());
        let Some(open) = self.uploads.open.get(&name) else {
            let before = self.uploads.completed.get(&name).filter(|_| self.options.complete_repeatable);
            return before.cloned().ok_or_else(|| no_such_upload(&upload));
        };
        let contents = self.assemble(open, &parts)?;
        self.check_write(&key, condition.as_ref())?;

        let kind = self.options.digest;
        let digests: Vec<_> = contents.iter().map(|content| content.digest(kind)).collect();
        let content = Content::concat(&contents);
        let open = self.uploads.open.remove(&name).ok_or_else(|| no_such_upload(&upload))?;
        let mut written = self.add_version(&key, etag_of_parts(kind, &digests), content, open.object, open.initiated);
        if let Some(etag) = self.protect(&key, open.protection) {
            written.etag = etag;
        }
        self.uploads.completed.insert(name, written.clone());
        Ok(written)
    }

    /// AbortMultipartUpload.
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub fn abort_upload(&mut self, key: Key, upload: UploadId) -> Result<(), StoreError> {
        self.uploads.open.remove(&(key, upload.clone())).map(drop).ok_or_else(|| no_such_upload(&upload))
    }

    /// ListMultipartUploads: all in progress whose key starts with `prefix`, by key, then in the order they began.
    pub fn list_uploads(&self, prefix: &str) -> Vec<Upload> {
        let first = (Key::from(prefix), UploadId::from(""));
        let starts = self.uploads.open.range(first..).take_while(|((key, _), _)| key.as_str().starts_with(prefix));
        starts
            .map(|((key, upload), open)| Upload { key: key.clone(), upload: upload.clone(), initiated: open.initiated })
            .collect()
    }

    /// ListParts.
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub fn parts(&self, key: &Key, upload: &UploadId) -> Result<&BTreeMap<u32, Part>, StoreError> {
        let open = self.uploads.open.get(&(key.clone(), upload.clone()));
        open.map(|open| &open.parts).ok_or_else(|| no_such_upload(upload))
    }

    fn check_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        self.parts(key, upload).map(drop)
    }

    fn assemble(&self, open: &Open, parts: &[(u32, ETag)]) -> Result<Vec<Content>, StoreError> {
        let limits = &self.options.limits;
        let invalid = |code, message: String| Err(refused(ErrorKind::InvalidRequest, code, &message));
        if parts.is_empty() {
            return invalid("MalformedXML", String::from("no parts"));
        }
        if parts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return invalid("InvalidPartOrder", String::from("part numbers must ascend"));
        }
        let mut contents = Vec::with_capacity(parts.len());
        for (index, (number, etag)) in parts.iter().enumerate() {
            let Some(part) = open.parts.get(number).filter(|part| part.etag == *etag) else {
                return invalid("InvalidPart", format!("part {number}"));
            };
            let size = part.content.size();
            if index + 1 < parts.len() && size < limits.part_bytes_min {
                return invalid("EntityTooSmall", format!("part {number} has {size} bytes"));
            }
            contents.push(part.content.clone());
        }
        let size: u64 = contents.iter().map(Content::size).sum();
        if size > limits.object_bytes_max {
            return invalid("EntityTooLarge", format!("{size} bytes"));
        }
        Ok(contents)
    }
}

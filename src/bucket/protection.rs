//! What an object is stored with besides its bytes and attributes: how it is encrypted, who may use it, its checksum.
//!
//! The model keeps what it is told and enforces nothing: that a key of the customer's own is given again with each request
//! is the server's to ask for.

use super::Bucket;
use super::keyspace::EntryKind;
use crate::env::store::{ETag, Key, UploadId};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`; `None`: as the bucket says.
    pub encryption: Option<String>,
    pub kms_key_id: Option<String>,
    /// Base64 of the MD5 of a key that the customer keeps.
    pub customer_key_md5: Option<String>,
    /// A canned access list.
    pub acl: Option<String>,
    pub checksum: Option<Checksum>,
}

/// One of S3's checksums of all of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// The header that carries it, `x-amz-checksum-crc64nvme` for one.
    pub header: &'static str,
    /// Base64. Empty while an upload is in progress.
    pub value: String,
}

impl Protection {
    /// Whether ETags are no digests of the bytes: S3 says so of all but its own keys.
    fn hides_digests(&self) -> bool {
        self.customer_key_md5.is_some() || self.encryption.as_deref().is_some_and(|how| how.starts_with("aws:kms"))
    }
}

impl Bucket {
    /// The newest version of `key`, which was put in the same step, is stored with `protection`. Answers its ETag, `None` if
    /// there is no such version.
    pub fn protect(&mut self, key: &Key, protection: Protection) -> Option<ETag> {
        let entry = self.keys.chain(key.as_str()).last()?;
        let EntryKind::Object(object) = &entry.kind else { return None };
        let mut object = (**object).clone();
        if protection.hides_digests() && !object.protection.hides_digests() {
            object.meta.etag = opaque(&object.meta.etag);
        }
        object.protection = protection;
        let etag = object.meta.etag.clone();
        self.keys.replace_newest(key, object);
        Some(etag)
    }

    /// The object that this upload becomes is stored with `protection`.
    pub fn protect_upload(&mut self, key: &Key, upload: &UploadId, protection: Protection) {
        self.uploads.protect(key, upload, protection);
    }

    pub fn upload_protection(&self, key: &Key, upload: &UploadId) -> Option<&Protection> {
        self.uploads.protection(key, upload)
    }
}

/// Looks like a digest, and is none of the bytes.
fn opaque(etag: &ETag) -> ETag {
    let (digest, parts) = etag.as_str().split_once('-').map_or((etag.as_str(), None), |(d, parts)| (d, Some(parts)));
    let mut text: String = digest.chars().rev().collect();
    if let Some(parts) = parts {
        text = format!("{text}-{parts}");
    }
    ETag::from(text)
}

#[cfg(test)]
mod tests {
    use super::{Checksum, Protection};
    use crate::bucket::Bucket;
    use crate::env::store::{Key, NewObject, Put};

    #[test]
    fn an_etag_is_no_digest_where_another_key_encrypts_and_stays_as_it_is() {
        let mut bucket = Bucket::default();
        let key = Key::from("film");
        let put = Put { key: key.clone(), body: "bytes".into(), object: NewObject::default(), condition: None };
        let digest = bucket.put(put, 0).expect("put").etag;
        let protection = Protection { encryption: Some("aws:kms".into()), ..Protection::default() };
        let etag = bucket.protect(&key, protection.clone()).expect("it is there");
        assert_ne!(etag, digest);
        let checksum = Some(Checksum { header: "x-amz-checksum-crc32", value: "AAAAAA==".into() });
        assert_eq!(bucket.protect(&key, Protection { checksum, ..protection }), Some(etag.clone()));
        let object = bucket.current("film").expect("it is there");
        assert_eq!((&object.meta.etag, object.protection.checksum.is_some()), (&etag, true));
        assert_eq!(bucket.protect(&Key::from("other"), Protection::default()), None);
    }
}

//! Encryption, access lists and checksums as headers: what a request asks for, what it must show, what an answer says.
//!
//! s3s names these headers one by one in each operation; here they are taken as they come.

use aws_smithy_types::base64;
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::{S3Result, s3_error};

use super::receive::{CHECKSUM_HEADERS, computed_value, hasher, header};
use crate::bucket::{Checksum, Content, Protection};

const ENCRYPTION: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CUSTOMER: &str = "x-amz-server-side-encryption-customer-";
const COPY_SOURCE_CUSTOMER: &str = "x-amz-copy-source-server-side-encryption-customer-";
const CUSTOMER_KEY_BYTES: usize = 32;
const ACL: &str = "x-amz-acl";
/// The name of the algorithm that a new upload will be sent with, or a copy is to be given.
const ALGORITHM: &str = "x-amz-checksum-algorithm";

/// What a new object is to be stored with, but for its checksum.
pub(super) fn asked(headers: &HeaderMap) -> S3Result<Protection> {
    let encryption = header(headers, ENCRYPTION);
    let kms_key_id = header(headers, KMS_KEY);
    let customer_key_md5 = customer_key(headers, CUSTOMER)?;
    match encryption.as_deref() {
        None | Some("AES256" | "aws:kms" | "aws:kms:dsse") => {}
        Some(other) => return Err(s3_error!(InvalidArgument, "encryption {other:?}")),
    }
    if kms_key_id.is_some() && !encryption.as_deref().is_some_and(|how| how.starts_with("aws:kms")) {
        return Err(s3_error!(InvalidArgument, "a KMS key without encryption by KMS"));
    }
    if encryption.is_some() && customer_key_md5.is_some() {
        return Err(s3_error!(InvalidArgument, "encryption by the service and by the customer's key"));
    }
    Ok(Protection { encryption, kms_key_id, customer_key_md5, acl: header(headers, ACL), checksum: None })
}

/// Refuses who asks for an object, or sends a part of one, without the key that it is stored with.
pub(super) fn admit(protection: &Protection, headers: &HeaderMap) -> S3Result<()> {
    fits(protection, customer_key(headers, CUSTOMER)?)
}

/// The same of the source of a copy.
pub(super) fn admit_copy(source: &Protection, headers: &HeaderMap) -> S3Result<()> {
    fits(source, customer_key(headers, COPY_SOURCE_CUSTOMER)?)
}

fn fits(protection: &Protection, given: Option<String>) -> S3Result<()> {
    match (&protection.customer_key_md5, given) {
        (None, None) => Ok(()),
        (Some(stored), Some(given)) if *stored == given => Ok(()),
        (Some(_), Some(_)) => Err(s3_error!(AccessDenied, "this is not the key that the object is encrypted with")),
        (Some(_), None) => Err(s3_error!(
            InvalidRequest,
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve \
             the object."
        )),
        (None, Some(_)) => {
            Err(s3_error!(InvalidRequest, "The encryption parameters are not applicable to this object."))
        }
    }
}

/// The MD5 of the key that the headers beginning with `prefix` carry.
fn customer_key(headers: &HeaderMap, prefix: &str) -> S3Result<Option<String>> {
    let [algorithm, key, md5] = ["algorithm", "key", "key-md5"].map(|name| header(headers, &format!("{prefix}{name}")));
    let (algorithm, key, md5) = match (algorithm, key, md5) {
        (None, None, None) => return Ok(None),
        (Some(algorithm), Some(key), Some(md5)) => (algorithm, key, md5),
        _ => return Err(s3_error!(InvalidArgument, "a customer's key needs its algorithm, itself and its MD5")),
    };
    let bytes = base64::decode(&key).ok().filter(|bytes| bytes.len() == CUSTOMER_KEY_BYTES);
    let is_its_md5 = bytes.is_some_and(|bytes| base64::encode(Md5::digest(bytes)) == md5);
    match algorithm == "AES256" && is_its_md5 {
        true => Ok(Some(md5)),
        false => Err(s3_error!(InvalidArgument, "the customer's key is not one, or its MD5 is another's")),
    }
}

/// Which checksum an upload or a copy is to have.
pub(super) fn asked_checksum(headers: &HeaderMap) -> S3Result<Option<Checksum>> {
    let Some(algorithm) = header(headers, ALGORITHM) else { return Ok(None) };
    let wanted = format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase());
    let known = CHECKSUM_HEADERS.into_iter().find(|known| *known == wanted);
    let header = known.ok_or_else(|| s3_error!(InvalidRequest, "checksum {algorithm:?}"))?;
    Ok(Some(Checksum { header, value: String::new() }))
}

/// The checksum of all of `content`.
pub(super) fn checksum_of(content: &Content, header: &'static str) -> Checksum {
    let mut hasher: ChecksumHasher = hasher(&[header]);
    let mut at = 0;
    while let Some(chunk) = content.chunk(at..content.size()) {
        hasher.update(&chunk);
        at += chunk.len() as u64;
    }
    Checksum { header, value: computed_value(&hasher.finalize(), header).cloned().unwrap_or_default() }
}

/// What an answer says of an object. Its checksum only to those who ask, and of all of it only.
pub(super) fn told(protection: &Protection, checksum: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: Option<&String>| {
        let value = value.and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
            headers.insert(name, value);
        }
    };
    add(ENCRYPTION, protection.encryption.as_ref());
    add(KMS_KEY, protection.kms_key_id.as_ref());
    if let Some(md5) = &protection.customer_key_md5 {
        add(&format!("{CUSTOMER}algorithm"), Some(&"AES256".to_string()));
        add(&format!("{CUSTOMER}key-md5"), Some(md5));
    }
    if let Some(known) = protection.checksum.as_ref().filter(|known| checksum && !known.value.is_empty()) {
        add(known.header, Some(&known.value));
        add("x-amz-checksum-type", Some(&"FULL_OBJECT".to_string()));
    }
    headers
}

/// Whether a GET or HEAD asks for the checksum.
pub(super) fn asks_for_checksum(headers: &HeaderMap) -> bool {
    header(headers, "x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
}

//! What every new object is given besides what the core says: how it is encrypted, who may use it, its checksum.
//!
//! Encryption with a key of the customer's own (SSE-C) needs that key with every request that touches the bytes, reads and the
//! sources of copies included. It is in no log, in no `Debug`, and in memory for as long as the mount.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::types::ChecksumAlgorithm;
use aws_smithy_types::base64;
use md5::{Digest as _, Md5};

const KEY_BYTES: usize = 32;
/// A key in base64, with room for spaces and a line's end.
const KEY_FILE_BYTES_MAX: u64 = 128;

/// Who encrypts what is written, and by which key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket says.
    #[default]
    Bucket,
    /// SSE-S3: by keys of the service's own.
    Service,
    /// SSE-KMS; `None`: the account's own key for S3.
    Kms { key_id: Option<String> },
    /// DSSE-KMS: twice.
    KmsTwice { key_id: Option<String> },
    /// SSE-C.
    Customer(CustomerKey),
}

/// A key that the service is lent with each request. Does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey([u8; KEY_BYTES]);

/// Why a file holds no key. Each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("the key file {0:?} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    #[error("the key file {0:?} can be read by others (mode {1:04o}): chmod 600 it")]
    Open(String, u32),
    #[error(
        "the key file {0:?} does not hold 32 bytes, nor 32 bytes as base64: make one with `head -c 32 /dev/urandom`"
    )]
    NoKey(String),
}

/// A checksum that each PUT and each part is sent with; the service refuses bytes that do not fit it, and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumKind {
    Crc64Nvme,
    Crc32c,
    Crc32,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    pub encryption: Encryption,
    /// A canned access list, like `bucket-owner-full-control`.
    pub acl: Option<String>,
    pub checksum: Option<ChecksumKind>,
}

impl CustomerKey {
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    pub fn from_file(path: &Path) -> Result<Self, KeyFileError> {
        let shown = path.display().to_string();
        let unreadable = |error| KeyFileError::Unreadable(shown.clone(), error);
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 {
            return Err(KeyFileError::Open(shown, mode));
        }
        let mut content = Vec::new();
        file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut content).map_err(unreadable)?;
        let spelt = || base64::decode(std::str::from_utf8(&content).ok()?.trim()).ok()?.try_into().ok();
        let key = content.clone().try_into().ok().or_else(spelt);
        key.map(Self).ok_or(KeyFileError::NoKey(shown))
    }

    fn headers(&self, prefix: &str) -> [(String, String); 3] {
        [
            (format!("{prefix}algorithm"), "AES256".to_owned()),
            (format!("{prefix}key"), base64::encode(self.0)),
            (format!("{prefix}key-MD5"), base64::encode(Md5::digest(self.0))),
        ]
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey")
    }
}

impl ChecksumKind {
    pub(super) fn algorithm(self) -> ChecksumAlgorithm {
        match self {
            Self::Crc64Nvme => ChecksumAlgorithm::Crc64Nvme,
            Self::Crc32c => ChecksumAlgorithm::Crc32C,
            Self::Crc32 => ChecksumAlgorithm::Crc32,
        }
    }
}

/// Which part a request has in an object's life, and so which headers it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touches {
    /// It makes an object, or begins an upload.
    New,
    /// It reads or sends bytes of an object whose encryption was decided when it was begun.
    Bytes,
    /// It makes an object of another's bytes.
    Copy,
    /// It sends bytes of another object as a part.
    PartCopy,
}

impl Protection {
    /// Whether an ETag may be compared with the MD5 of the bytes. S3 says so only of what it encrypts with its own keys; a
    /// bucket whose default is KMS shows by its answers only.
    pub fn keeps_md5_etags(&self) -> bool {
        match self.encryption {
            Encryption::Bucket | Encryption::Service => true,
            Encryption::Kms { .. } | Encryption::KmsTwice { .. } | Encryption::Customer(_) => false,
        }
    }

    /// Adds what such a request needs, before it is signed.
    pub(super) fn adding(&self, touches: Touches) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static {
        let headers = self.headers(touches);
        move |request| {
            for (name, value) in &headers {
                // All are ASCII: the algorithms are words of ours, keys are base64, the rest was checked with the options.
                let _ = request.headers_mut().try_insert(name.clone(), value.clone());
            }
        }
    }

    fn headers(&self, touches: Touches) -> Vec<(String, String)> {
        const ENCRYPTION: &str = "x-amz-server-side-encryption";
        let mut headers = Vec::new();
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        if matches!(touches, Touches::New | Touches::Copy) {
            match &self.encryption {
                Encryption::Bucket | Encryption::Customer(_) => {}
                Encryption::Service => add(ENCRYPTION, "AES256"),
                Encryption::Kms { .. } => add(ENCRYPTION, "aws:kms"),
                Encryption::KmsTwice { .. } => add(ENCRYPTION, "aws:kms:dsse"),
            }
            if let Encryption::Kms { key_id: Some(id) } | Encryption::KmsTwice { key_id: Some(id) } = &self.encryption {
                add("x-amz-server-side-encryption-aws-kms-key-id", id);
            }
            if let Some(acl) = &self.acl {
                add("x-amz-acl", acl);
            }
        }
        if let Encryption::Customer(key) = &self.encryption {
            headers.extend(key.headers("x-amz-server-side-encryption-customer-"));
            if matches!(touches, Touches::Copy | Touches::PartCopy) {
                headers.extend(key.headers("x-amz-copy-source-server-side-encryption-customer-"));
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{CustomerKey, Encryption, KeyFileError, Protection, Touches};

    fn read(content: &[u8], mode: u32) -> Result<CustomerKey, KeyFileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        CustomerKey::from_file(file.path())
    }

    #[test]
    fn a_key_file_holds_32_bytes_raw_or_as_base64() {
        let raw = read(&[7; 32], 0o600).expect("raw");
        assert_eq!(read(b"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n", 0o640).expect("base64"), raw);
        for content in [&b""[..], b"short", &[7; 33], &[7; 31], b"BwcHBw==", &[b'A'; 500]] {
            assert!(matches!(read(content, 0o600), Err(KeyFileError::NoKey(_))), "{content:?}");
        }
        assert!(matches!(read(&[7; 32], 0o604), Err(KeyFileError::Open(_, 0o604))));
        assert!(matches!(CustomerKey::from_file("/nonexistent".as_ref()), Err(KeyFileError::Unreadable(..))));
        assert!(!format!("{:?}", Encryption::Customer(raw)).contains('7'));
    }

    #[test]
    fn a_customers_key_goes_with_all_that_touches_bytes_and_kms_with_new_objects_only() {
        let count = |encryption: Encryption, touches| {
            Protection { encryption, acl: Some("private".into()), checksum: None }.headers(touches).len()
        };
        let customer = || Encryption::Customer(CustomerKey([1; 32]));
        let kms = || Encryption::Kms { key_id: Some("k".into()) };
        let all = [Touches::New, Touches::Bytes, Touches::Copy, Touches::PartCopy];
        assert_eq!(all.map(|touches| count(customer(), touches)), [4, 3, 7, 6]);
        assert_eq!(all.map(|touches| count(kms(), touches)), [3, 0, 3, 0]);
        assert_eq!(all.map(|touches| count(Encryption::Bucket, touches)), [1, 0, 1, 0]);
    }
}

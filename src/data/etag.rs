//! The ETags that S3 gives to bytes, where no key of the user's own encrypts them.
//!
//! Rule: docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: the MD5 of what was PUT; of an upload the MD5 of its parts'
//! MD5s, a dash, and how many there are. They are opaque otherwise, and compared for one thing only: whether what stands
//! after a lost answer is what was sent.

use std::fmt::Write as _;

use md5::{Digest, Md5};

use crate::env::store::ETag;

pub(super) fn of_put(body: &[u8]) -> ETag {
    ETag::from(hex(&Md5::digest(body)))
}

/// `None` where a part's ETag is no MD5.
pub(super) fn of_upload(parts: &[(u32, ETag)]) -> Option<ETag> {
    let mut all = Md5::new();
    for (_, etag) in parts {
        all.update(bytes_of(etag.as_str())?);
    }
    Some(ETag::from(format!("{}-{}", hex(&all.finalize()), parts.len())))
}

/// Whether it is the MD5 of bytes that were sent, or copied, in one piece; where ETags tell that at all.
pub fn is_of_one_piece(etag: &ETag) -> bool {
    bytes_of(etag.as_str()).is_some()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let whole = text.len() == 32 && text.is_ascii();
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    whole.then(|| (0..32).step_by(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::{is_of_one_piece, of_put, of_upload};

    #[test]
    fn an_etag_is_the_md5_of_the_bytes_or_of_the_parts_md5s() {
        assert_eq!(of_put(b"").as_str(), "d41d8cd98f00b204e9800998ecf8427e");
        let part = of_put(b"");
        // printf '' | md5sum, as bytes, through md5sum again.
        assert_eq!(
            of_upload(&[(1, part)]).map(|e| e.to_string()),
            Some("59adb24ef3cdbe0297f05b395827453f-1".to_string())
        );
        assert_eq!(of_upload(&[(1, "no-md5".into())]), None);
        assert!(is_of_one_piece(&of_put(b"")));
        assert!(!is_of_one_piece(&"59adb24ef3cdbe0297f05b395827453f-1".into()));
    }
}

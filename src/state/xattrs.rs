//! Extended attributes that users set: where s3fs keeps them, in one field of an object's user metadata.
//!
//! The field `xattr` is a JSON object of names and values, these in Base64, all of it percent-encoded (s3fs-fuse,
//! doc/man/s3fs.1, and the objects that it writes).

use std::collections::BTreeMap;

use crate::config::USER_METADATA_BYTES_MAX;
use crate::env::store::user_metadata_bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const FIELD: &str = "xattr";

/// What this mount adds when it publishes a file: a mode, owners, times, and what the publication is known by.
const OWN_METADATA_BYTES_MAX: usize = 256;
/// The last of that.
const SIGNATURE_BYTES_MAX: usize = 64;

pub type Xattrs = BTreeMap<String, Vec<u8>>;

/// What cannot be understood counts as none.
pub fn read_from(user: &BTreeMap<String, String>) -> Xattrs {
    let text = user.get(FIELD).and_then(|field| percent_decode_str(field).decode_utf8().ok());
    let encoded: BTreeMap<String, String> = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let decoded = encoded.into_iter().filter_map(|(name, value)| Some((name, STANDARD.decode(value).ok()?)));
    decoded.collect()
}

/// False: they are more than S3 takes, and nothing was written.
pub fn write_into(xattrs: &Xattrs, user: &mut BTreeMap<String, String>) -> bool {
    if xattrs.is_empty() {
        user.remove(FIELD);
        return true;
    }
    let encoded: BTreeMap<&str, String> =
        xattrs.iter().map(|(name, value)| (name.as_str(), STANDARD.encode(value))).collect();
    let text = serde_json::to_string(&encoded).unwrap_or_default();
    let field = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    let others: usize =
        user.iter().filter(|(name, _)| *name != FIELD).map(|(name, value)| name.len() + value.len()).sum();
    if others + FIELD.len() + field.len() > USER_METADATA_BYTES_MAX - OWN_METADATA_BYTES_MAX {
        return false;
    }
    user.insert(FIELD.to_string(), field);
    true
}

/// Leaves out what this mount has added to metadata that others have filled, the least important first, until S3 takes it.
pub fn fit(user: &mut BTreeMap<String, String>) {
    for name in ["atime", "ctime", "uid", "gid", "mode", "mtime"] {
        if user_metadata_bytes(user) <= USER_METADATA_BYTES_MAX - SIGNATURE_BYTES_MAX {
            return;
        }
        user.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{fit, read_from, write_into};
    use crate::config::USER_METADATA_BYTES_MAX;
    use crate::env::store::user_metadata_bytes;

    #[test]
    fn what_others_have_filled_keeps_what_is_theirs() {
        let mut user = BTreeMap::from([("theirs".to_string(), "x".repeat(1940))]);
        for name in ["mode", "uid", "gid", "mtime", "atime", "ctime"] {
            user.insert(name.to_string(), "1700000000".to_string());
        }
        fit(&mut user);
        assert_eq!(user.keys().collect::<Vec<_>>(), ["mode", "mtime", "theirs"]);
        assert!(user_metadata_bytes(&user) <= USER_METADATA_BYTES_MAX);
    }

    #[test]
    fn what_s3fs_wrote_is_read() {
        let field = "%7B%22user.color%22%3A%22cmVk%22%2C%22user.empty%22%3A%22%22%7D";
        let user = [("xattr".to_string(), field.to_string())].into();
        let expected = [("user.color".to_string(), b"red".to_vec()), ("user.empty".to_string(), Vec::new())];
        assert_eq!(read_from(&user), expected.into());
    }

    #[test]
    fn what_is_written_is_read_again_and_the_last_one_leaves_nothing() {
        let mut user: BTreeMap<String, String> = [("mode".to_string(), "33188".to_string())].into();
        let xattrs = [("user.a\"b,c".to_string(), vec![0, 255, 7]), ("user.ü".to_string(), b"x".to_vec())].into();
        assert!(write_into(&xattrs, &mut user));
        assert_eq!(read_from(&user), xattrs);
        assert!(user["xattr"].is_ascii());
        assert!(write_into(&BTreeMap::new(), &mut user));
        assert_eq!(user.keys().collect::<Vec<_>>(), ["mode"]);
    }

    #[test]
    fn more_than_s3_takes_is_refused_and_what_cannot_be_understood_is_nothing() {
        let mut user = BTreeMap::new();
        assert!(!write_into(&[("user.a".to_string(), vec![0; 2000])].into(), &mut user));
        assert!(user.is_empty());
        for field in ["%7B", "{}", "%7B%22a%22%3A7%7D", "%FF"] {
            assert!(read_from(&[("xattr".to_string(), field.to_string())].into()).is_empty(), "{field}");
        }
    }
}

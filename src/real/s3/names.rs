//! How names travel: percent-encoded keys in listings and copy sources, quoted entity tags in headers.

use std::fmt::Write as _;

use crate::env::store::{CopySource, ETag, ErrorKind, Key, StoreError, VersionId};

/// Undoes `encoding-type=url`. Form rules apply, as AWS writes a space as `+`; a server that writes `%20` writes `+` only
/// for itself. Escapes that are none stay as they are; [`ErrorKind::InvalidAnswer`] when the result is not UTF-8.
pub(super) fn decode_listed(encoded: &str) -> Result<String, StoreError> {
    if !encoded.contains(['%', '+']) {
        return Ok(encoded.to_owned());
    }
    let plus_is_space = !encoded.contains("%20");
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = match byte {
            b'%' => bytes.get(at + 1..at + 3).and_then(hex_byte),
            _ => None,
        };
        at += if escaped.is_some() { 3 } else { 1 };
        decoded.push(match (escaped, byte) {
            (Some(value), _) => value,
            (None, b'+') if plus_is_space => b' ',
            (None, _) => byte,
        });
    }
    String::from_utf8(decoded)
        .map_err(|_| StoreError::new(ErrorKind::InvalidAnswer, format!("a listed name is not UTF-8: {encoded:?}")))
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    // from_str_radix would also take a sign.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// `x-amz-copy-source`: `bucket/key?versionId=id`, or `arn…/object/key` for an access point, all of it percent-encoded.
pub(super) fn copy_source_header(bucket: &str, source: &CopySource) -> String {
    let separator = if bucket.starts_with("arn:") { "/object/" } else { "/" };
    let mut header = String::with_capacity(bucket.len() + separator.len() + source.key.as_str().len() + 16);
    percent_encode(bucket, &mut header);
    header.push_str(separator);
    percent_encode(source.key.as_str(), &mut header);
    if let Some(version) = &source.version_id {
        header.push_str("?versionId=");
        percent_encode(version.as_str(), &mut header);
    }
    header
}

/// What stands in for a key that the SDK would refuse to send. No bucket's name can look so.
const STAND_IN: &str = "~holdfast~stands~in~for~";

/// The key to give to the SDK, which takes keys of nothing but white space for missing ones: those go out under a
/// stand-in, which [`real_uri`] takes back. So does any key that could be mistaken for a stand-in.
pub(super) fn sent_key(key: &Key) -> String {
    let text = key.as_str();
    if !text.trim().is_empty() && !text.contains(STAND_IN) {
        return text.to_owned();
    }
    let mut stand_in = STAND_IN.to_owned();
    for byte in text.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(stand_in, "{byte:02x}");
    }
    stand_in
}

/// A request's URI with the key itself, percent-encoded, in the place of its stand-in. `None`: there is no stand-in.
pub(super) fn real_uri(uri: &str) -> Option<String> {
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (uri, None),
    };
    // The key is the last thing in the path, and stand-ins have no slash.
    let (before, last) = path.rsplit_once('/')?;
    let digits = last.strip_prefix(STAND_IN)?;
    let mut real = format!("{before}/");
    for pair in digits.as_bytes().chunks(2) {
        percent_encode_byte(hex_byte(pair)?, &mut real);
    }
    if let Some(query) = query {
        real.push('?');
        real.push_str(query);
    }
    Some(real)
}

/// Leaves RFC 3986's unreserved characters and the slash alone.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        percent_encode_byte(byte, out);
    }
}

fn percent_encode_byte(byte: u8, out: &mut String) {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
        // Writing to a String cannot fail.
        _ => _ = write!(out, "%{byte:02X}"),
    }
}

/// A tag as a header carries it. A weak tag is kept and sent whole, prefix and quotes included.
pub(super) fn quoted(etag: &ETag) -> String {
    match etag.as_str() {
        weak if weak.starts_with("W/") => weak.to_owned(),
        bare => format!("\"{bare}\""),
    }
}

/// The tag without its quotes; [`ErrorKind::InvalidAnswer`] where the server sent none.
pub(super) fn unquoted(etag: Option<&str>) -> Result<ETag, StoreError> {
    let quoted = etag.unwrap_or_default();
    let bare = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    if bare.is_empty() {
        return Err(StoreError::new(ErrorKind::InvalidAnswer, "the answer has no ETag"));
    }
    Ok(ETag::new(bare))
}

/// `null` and nothing both mean: no version that would stay.
pub(super) fn version(id: Option<&str>) -> Option<VersionId> {
    id.filter(|id| !id.is_empty() && *id != "null").map(VersionId::from)
}

#[cfg(test)]
mod tests {
    use super::{
        STAND_IN, copy_source_header, decode_listed, percent_encode, quoted, real_uri, sent_key, unquoted, version,
    };
    use crate::env::store::{CopySource, ETag, ErrorKind, ReadConditions, VersionId};

    #[test]
    fn listed_names_are_decoded_by_form_rules() {
        for (encoded, name) in [
            ("plain/name", "plain/name"),
            ("a+b%2Bc", "a b+c"),
            ("a%20b+c", "a b+c"),
            ("100%25", "100%"),
            ("%C3%BC%0A%01", "ü\n\u{1}"),
            ("%", "%"),
            ("%2", "%2"),
            ("%+1", "% 1"),
            ("%zz%41", "%zzA"),
        ] {
            assert_eq!(decode_listed(encoded).unwrap(), name, "{encoded}");
        }
    }

    #[test]
    fn a_listed_name_that_is_not_utf8_is_refused() {
        assert_eq!(decode_listed("%FF").unwrap_err().kind, ErrorKind::InvalidAnswer);
    }

    #[test]
    fn copy_sources_are_encoded_and_keep_their_slashes() {
        let source = |key: &str, version_id: Option<&str>| CopySource {
            key: key.into(),
            version_id: version_id.map(VersionId::from),
            conditions: ReadConditions::none(),
        };
        assert_eq!(copy_source_header("b", &source("/a//b c+%?#&ü\n", None)), "b//a//b%20c%2B%25%3F%23%26%C3%BC%0A");
        assert_eq!(copy_source_header("b", &source("k", Some("a+/=b"))), "b/k?versionId=a%2B/%3Db");
        assert_eq!(
            copy_source_header("arn:aws:s3:r:1:accesspoint/p", &source("k", None)),
            "arn%3Aaws%3As3%3Ar%3A1%3Aaccesspoint/p/object/k"
        );
    }

    #[test]
    fn keys_that_the_sdk_takes_for_missing_go_out_under_a_stand_in() {
        for key in [" ", "\n", "\u{85}", "~holdfast~stands~in~for~20", "a/~holdfast~stands~in~for~20"] {
            let sent = sent_key(&key.into());
            assert!(sent.starts_with(STAND_IN) && sent != key, "{key:?}");
            let mut encoded = String::new();
            percent_encode(key, &mut encoded);
            let uri = format!("http://host/bucket/{sent}?versionId=1");
            assert_eq!(real_uri(&uri), Some(format!("http://host/bucket/{encoded}?versionId=1")));
        }
        for key in ["a", " a", "~"] {
            assert_eq!(sent_key(&key.into()), key);
        }
        assert_eq!(real_uri("http://host/bucket/key"), None);
    }

    #[test]
    fn entity_tags_lose_and_regain_their_quotes() {
        assert_eq!(unquoted(Some("\"abc-2\"")).unwrap(), ETag::from("abc-2"));
        assert_eq!(unquoted(Some("abc")).unwrap(), ETag::from("abc"));
        assert_eq!(quoted(&ETag::from("abc-2")), "\"abc-2\"");
        assert_eq!(quoted(&unquoted(Some("W/\"abc\"")).unwrap()), "W/\"abc\"");
        for missing in [None, Some(""), Some("\"\"")] {
            assert_eq!(unquoted(missing).unwrap_err().kind, ErrorKind::InvalidAnswer);
        }
    }

    #[test]
    fn the_version_null_is_no_version() {
        assert_eq!((version(None), version(Some("null")), version(Some(""))), (None, None, None));
        assert_eq!(version(Some("v1")), Some(VersionId::from("v1")));
    }
}

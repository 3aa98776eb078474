//! Which conditions of a request hold: RFC 9110 §13 with S3's exceptions. Pure functions.

use super::refused;
use crate::env::store::{ETag, ErrorKind, Match, ObjectMeta, ReadConditions, StoreError, WriteCondition};

/// Decides the conditions of GET and HEAD on the version that was found.
///
/// # Errors
/// `PreconditionFailed` or `NotModified`.
pub(super) fn check_read(conditions: &ReadConditions, meta: &ObjectMeta) -> Result<(), StoreError> {
    let changed_after = |seconds: i64| meta.last_modified > seconds;
    match (&conditions.if_match, conditions.if_unmodified_since) {
        (Some(wanted), _) if !matches(wanted, &meta.etag) => return Err(precondition_failed("If-Match")),
        (None, Some(since)) if changed_after(since) => return Err(precondition_failed("If-Unmodified-Since")),
        (Some(_) | None, _) => {}
    }
    match (&conditions.if_none_match, conditions.if_modified_since) {
        (Some(unwanted), _) if matches(unwanted, &meta.etag) => Err(not_modified("If-None-Match")),
        (None, Some(since)) if !changed_after(since) => Err(not_modified("If-Modified-Since")),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Decides the conditions of a copy's source. S3 answers 412 for all of them.
///
/// # Errors
/// `PreconditionFailed`.
pub(super) fn check_copy_source(conditions: &ReadConditions, meta: &ObjectMeta) -> Result<(), StoreError> {
    check_read(conditions, meta).map_err(|error| {
        if error.kind == ErrorKind::NotModified {
            return precondition_failed("x-amz-copy-source-if-none-match or -if-modified-since");
        }
        error
    })
}

/// Decides the condition of a write, given the ETag of what is there now.
///
/// # Errors
/// `PreconditionFailed`; `NotFound` for an If-Match where there is nothing.
pub(super) fn check_write(condition: Option<&WriteCondition>, current: Option<&ETag>) -> Result<(), StoreError> {
    match (condition, current) {
        (None, _) | (Some(WriteCondition::IfAbsent), None) => Ok(()),
        (Some(WriteCondition::IfAbsent), Some(_)) => Err(precondition_failed("If-None-Match")),
        (Some(WriteCondition::IfMatch(wanted)), Some(found)) if wanted == found => Ok(()),
        (Some(WriteCondition::IfMatch(_)), Some(_)) => Err(precondition_failed("If-Match")),
        (Some(WriteCondition::IfMatch(_)), None) => {
            Err(refused(ErrorKind::NotFound, "NoSuchKey", "If-Match on a key that does not exist"))
        }
    }
}

fn matches(wanted: &Match, etag: &ETag) -> bool {
    match wanted {
        Match::Any => true,
        Match::ETag(wanted) => wanted == etag,
    }
}

fn precondition_failed(which: &str) -> StoreError {
    refused(ErrorKind::PreconditionFailed, "PreconditionFailed", which)
}

fn not_modified(which: &str) -> StoreError {
    refused(ErrorKind::NotModified, "NotModified", which)
}

#[cfg(test)]
mod tests {
    use super::{check_copy_source, check_read, check_write};
    use crate::bucket::meta;
    use crate::env::store::{ETag, ErrorKind, Match, NewObject, ReadConditions, WriteCondition};

    const HIT: Option<&str> = Some("now");
    const MISS: Option<&str> = Some("other");
    const BEFORE: Option<i64> = Some(99);
    const AT: Option<i64> = Some(100);

    /// If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, and what a GET of etag "now", dated 100, answers.
    type Row = (Option<&'static str>, Option<i64>, Option<&'static str>, Option<i64>, Option<ErrorKind>);

    const TABLE: &[Row] = &[
        (None, None, None, None, None),
        (HIT, None, None, None, None),
        (Some("*"), None, None, None, None),
        (MISS, None, None, None, Some(ErrorKind::PreconditionFailed)),
        (None, AT, None, None, None),
        (None, BEFORE, None, None, Some(ErrorKind::PreconditionFailed)),
        (HIT, BEFORE, None, None, None),
        (MISS, AT, None, None, Some(ErrorKind::PreconditionFailed)),
        (None, None, MISS, None, None),
        (None, None, HIT, None, Some(ErrorKind::NotModified)),
        (None, None, Some("*"), None, Some(ErrorKind::NotModified)),
        (None, None, None, BEFORE, None),
        (None, None, None, AT, Some(ErrorKind::NotModified)),
        (None, None, HIT, BEFORE, Some(ErrorKind::NotModified)),
        (None, None, MISS, AT, None),
        (MISS, None, HIT, None, Some(ErrorKind::PreconditionFailed)),
        (HIT, None, HIT, None, Some(ErrorKind::NotModified)),
        (None, BEFORE, None, AT, Some(ErrorKind::PreconditionFailed)),
    ];

    fn conditions(row: &Row) -> ReadConditions {
        let parse = |text: &str| if text == "*" { Match::Any } else { Match::ETag(text.into()) };
        ReadConditions {
            if_match: row.0.map(parse),
            if_unmodified_since: row.1,
            if_none_match: row.2.map(parse),
            if_modified_since: row.3,
        }
    }

    #[test]
    fn read_conditions_follow_the_table() {
        let object = meta("now".into(), 1, 100, NewObject::default());
        for row in TABLE {
            let got = check_read(&conditions(row), &object).err().map(|error| error.kind);
            assert_eq!(got, row.4, "{row:?}");
        }
    }

    #[test]
    fn a_copy_source_answers_412_where_a_get_answers_304() {
        let object = meta("now".into(), 1, 100, NewObject::default());
        for row in TABLE {
            let got = check_copy_source(&conditions(row), &object).err().map(|error| error.kind);
            assert_eq!(got, row.4.map(|_| ErrorKind::PreconditionFailed), "{row:?}");
        }
    }

    #[test]
    fn write_conditions_follow_the_table() {
        let (here, there) = (ETag::from("here"), ETag::from("there"));
        let if_match = WriteCondition::IfMatch(here.clone());
        let check = |condition, current| check_write(condition, current).err().map(|error| error.kind);
        assert_eq!(check(None, None), None);
        assert_eq!(check(None, Some(&here)), None);
        assert_eq!(check(Some(&WriteCondition::IfAbsent), None), None);
        assert_eq!(check(Some(&WriteCondition::IfAbsent), Some(&here)), Some(ErrorKind::PreconditionFailed));
        assert_eq!(check(Some(&if_match), Some(&here)), None);
        assert_eq!(check(Some(&if_match), Some(&there)), Some(ErrorKind::PreconditionFailed));
        assert_eq!(check(Some(&if_match), None), Some(ErrorKind::NotFound));
    }
}

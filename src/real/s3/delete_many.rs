//! Deleting many keys by few requests.

use aws_sdk_s3::types::{Delete as DeleteBatch, ObjectIdentifier};
use futures_util::stream::{StreamExt as _, iter};

use super::connection::Connection;
use super::failure::Failure;
use super::write;
use crate::env::store::{Delete, ErrorKind, Key, StoreError};

/// Single DELETEs that are under way at a time, where batches will not do.
const SINGLE_DELETES_AT_A_TIME: usize = 16;

/// Answers the keys that could not be deleted. Keys that XML cannot carry, and every key on a store that knows no
/// batches, are deleted one by one.
pub(super) async fn delete_many(connection: &Connection, keys: Vec<Key>) -> Result<Vec<(Key, StoreError)>, StoreError> {
    let (batch, mut single): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| xml_can_carry(key.as_str()));
    let mut failed = Vec::new();
    if !batch.is_empty() {
        match delete_batch(connection, &batch).await {
            Ok(refused) => failed = refused,
            Err(failure) if knows_no_batches(&failure) => single.extend(batch),
            Err(failure) => return Err(failure.error),
        }
    }
    let answers = iter(single).map(|key| async {
        let request = Delete { key: key.clone(), version_id: None, condition: None };
        (key, write::delete(connection, &request).await.err())
    });
    let answers: Vec<_> = answers.buffer_unordered(SINGLE_DELETES_AT_A_TIME).collect().await;
    failed.extend(answers.into_iter().filter_map(|(key, error)| Some((key, error?))));
    Ok(failed)
}

async fn delete_batch(connection: &Connection, keys: &[Key]) -> Result<Vec<(Key, StoreError)>, Failure> {
    let identifiers = keys
        .iter()
        .map(|key| ObjectIdentifier::builder().key(key.as_str()).build())
        .collect::<Result<Vec<_>, _>>()
        .and_then(|identifiers| DeleteBatch::builder().set_objects(Some(identifiers)).quiet(true).build());
    let batch = identifiers.map_err(|error| Failure::before_sending(ErrorKind::InvalidRequest, error.to_string()))?;
    let batch = &batch;
    let answer = connection
        .call(|current| {
            current.client.delete_objects().bucket(&connection.options().bucket).delete(batch.clone()).send()
        })
        .await?;
    Ok(answer
        .errors()
        .iter()
        .filter(|error| error.code() != Some("NoSuchKey"))
        .map(|error| (Key::from(error.key().unwrap_or_default()), Failure::of_one_key(error.code(), error.message())))
        .collect())
}

/// Google's, and older servers that want a checksum which the SDK no longer sends.
fn knows_no_batches(failure: &Failure) -> bool {
    failure.error.kind == ErrorKind::Unsupported
        || matches!(failure.code.as_deref(), Some("MissingContentMD5" | "MissingDigest" | "MalformedXML"))
}

/// XML 1.0 §2.2, less what parsers are known to change in passing.
fn xml_can_carry(key: &str) -> bool {
    key.chars().all(|c| c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}') && key.trim() == key
}

#[cfg(test)]
mod tests {
    use super::xml_can_carry;

    #[test]
    fn keys_that_xml_would_change_are_not_put_into_it() {
        assert!(xml_can_carry("films/ü & <co>.mkv"));
        for key in ["a\u{1}", "a\nb", "a\tb", "\r", "a\u{ffff}", " a", "a "] {
            assert!(!xml_can_carry(key), "{key:?}");
        }
    }
}

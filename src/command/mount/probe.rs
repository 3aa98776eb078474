//! Whether the store honours preconditions, tried at mount: some services accept `If-None-Match` and ignore it, and then
//! nothing stops two mounts from publishing over each other.

use std::time::Duration;

use bytes::Bytes;

use crate::env::store::{Delete, ErrorKind, Key, NewObject, Put, StoreError, WriteCondition, Written};
use crate::env::{Rng as _, Store};
use crate::real::OsRng;

/// A store that is slow to answer does not delay the mount by more than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names of probes begin with this; one that cannot be removed should be told from a user's file.
const NAME_PREFIX: &str = ".holdfast-probe-";

/// Creates a fresh key twice under the condition that it does not exist. Says what was found in the log.
pub(super) async fn ignores_preconditions(store: &impl Store, prefix: &str) -> bool {
    let key = Key::from(format!("{prefix}{NAME_PREFIX}{:016x}", OsRng.next_u64()).as_str());
    let outcome = match tokio::time::timeout(PATIENCE, create_twice(store, &key)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreError::new(ErrorKind::NoAnswer, "it took too long")),
    };
    match &outcome {
        Ok(false) => {}
        Ok(true) => tracing::warn!(
            "the service ignores preconditions (If-None-Match): what stands is looked at before and after each publication \
             instead, and two that write one file at the same instant may not notice each other"
        ),
        Err(error) => tracing::info!("whether the service honours preconditions could not be tried: {error}"),
    }
    outcome.unwrap_or(false)
}

async fn create_twice(store: &impl Store, key: &Key) -> Result<bool, StoreError> {
    let first = create(store, key).await?;
    let second = create(store, key).await;
    remove(store, key, &first).await;
    match second {
        Ok(second) => {
            if second.version_id.is_some() {
                remove(store, key, &second).await;
            }
            Ok(true)
        }
        Err(error) if matches!(error.kind, ErrorKind::PreconditionFailed | ErrorKind::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn create(store: &impl Store, key: &Key) -> Result<Written, StoreError> {
    let (body, object) = (Bytes::new(), NewObject::default());
    store.put(Put { key: key.clone(), body, object, condition: Some(WriteCondition::IfAbsent) }).await
}

/// Exactly the version that was made, so that nothing of it remains in a bucket with versions.
async fn remove(store: &impl Store, key: &Key, made: &Written) {
    let request = Delete { key: key.clone(), version_id: made.version_id.clone(), condition: None };
    if let Err(error) = store.delete(request).await {
        tracing::info!("the probe {key:?} could not be removed: {error}");
    }
}

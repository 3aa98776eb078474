//! The cases, by family, and the few words in which they are told.

pub mod conditions;
pub mod copies;
pub mod in_flight;
pub mod keys;
pub mod listing;
pub mod objects;
pub mod ranges;
pub mod uploads;
pub mod versions;
pub mod writes;

use bytes::Bytes;
use holdfast::env::Store;
use holdfast::env::store::{
    Body, ByteRange, Delete, ErrorKind, Get, GetReply, Head, Key, List, ListedObject, NewObject, ObjectMeta, Put,
    ReadConditions, StoreError, VersionId, WriteCondition, Written,
};

use crate::suite::Bucket;

/// `len` bytes that differ from place to place, and from one `seed` to another.
pub fn bytes(seed: u8, len: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(seed) + 1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

pub fn put(key: &str, body: impl Into<Bytes>) -> Put {
    Put { key: key.into(), body: body.into(), object: NewObject::default(), condition: None }
}

pub fn get(key: &str) -> Get {
    Get { key: key.into(), version_id: None, range: None, conditions: ReadConditions::none() }
}

pub fn head(key: &str) -> Head {
    Head { key: key.into(), version_id: None, conditions: ReadConditions::none() }
}

/// The kind of error, as that is what the contract speaks of.
pub fn kind<T>(answer: Result<T, StoreError>) -> Result<T, ErrorKind> {
    answer.map_err(|error| error.kind)
}

/// All bytes of a body.
pub async fn read(mut body: impl Body) -> Result<Bytes, StoreError> {
    let mut read = Vec::new();
    while let Some(frame) = body.next().await {
        let frame = frame?;
        assert!(!frame.is_empty(), "a frame is never empty");
        read.extend_from_slice(&frame);
    }
    Ok(read.into())
}

impl<S: Store> Bucket<S> {
    pub async fn put(&self, key: &str, body: impl Into<Bytes>) -> Written {
        self.store.put(put(key, body)).await.expect("PUT")
    }

    pub async fn put_if(&self, key: &str, body: &str, condition: WriteCondition) -> Result<Written, ErrorKind> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        kind(self.store.put(Put { condition: Some(condition), ..put(key, body) }).await)
    }

    pub async fn try_read(&self, request: Get) -> Result<(GetReply<()>, Bytes), ErrorKind> {
        let reply = kind(self.store.get(request).await)?;
        let bytes = kind(read(reply.body).await)?;
        assert_eq!(reply.range.end - reply.range.start, bytes.len() as u64, "the body is as long as its range");
        Ok((GetReply { meta: reply.meta, range: reply.range, body: () }, bytes))
    }

    /// The whole object, or why not.
    pub async fn read(&self, key: &str) -> Result<Bytes, ErrorKind> {
        Ok(self.try_read(get(key)).await?.1)
    }

    pub async fn read_version(&self, key: &str, version: &VersionId) -> Result<Bytes, ErrorKind> {
        Ok(self.try_read(Get { version_id: Some(version.clone()), ..get(key) }).await?.1)
    }

    pub async fn read_range(&self, key: &str, range: ByteRange) -> Result<(GetReply<()>, Bytes), ErrorKind> {
        self.try_read(Get { range: Some(range), ..get(key) }).await
    }

    pub async fn head(&self, key: &str) -> Result<ObjectMeta, ErrorKind> {
        kind(self.store.head(head(key)).await)
    }

    pub async fn delete(&self, key: &str) -> Option<VersionId> {
        let request = Delete { key: key.into(), version_id: None, condition: None };
        self.store.delete(request).await.expect("DELETE")
    }

    pub async fn delete_version(&self, key: &str, version: &VersionId) -> Option<VersionId> {
        let request = Delete { key: key.into(), version_id: Some(version.clone()), condition: None };
        self.store.delete(request).await.expect("DELETE of a version")
    }

    /// All objects and prefixes that a listing answers, page after page.
    pub async fn list_all(&self, list: List) -> (Vec<ListedObject>, Vec<Key>) {
        let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
        let mut continuation = None;
        loop {
            let page = self.store.list(List { continuation, ..list.clone() }).await.expect("LIST");
            assert!(page.objects.len() + page.prefixes.len() <= list.max_keys as usize, "a page keeps its size");
            objects.extend(page.objects);
            prefixes.extend(page.prefixes);
            continuation = page.next;
            if continuation.is_none() {
                return (objects, prefixes);
            }
        }
    }

    pub async fn keys(&self, list: List) -> Vec<String> {
        self.list_all(list).await.0.into_iter().map(|object| object.key.to_string()).collect()
    }
}

/// Everything.
pub fn list() -> List {
    List { max_keys: 1000, ..List::default() }
}

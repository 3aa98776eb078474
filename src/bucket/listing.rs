//! ListObjects (both kinds) and ListObjectVersions: pages in UTF-8 byte order.
//!
//! A page of p entries out of n keys costs O(p · log n): a common prefix is rolled up by a jump to the first key after
//! it, not by a walk over its keys, and deleted keys are not looked at (see `keyspace`).

use std::ops::Bound;

use super::digest::hex;
use super::keyspace::{Entry, Object};
use super::{Bucket, refused};
use crate::env::store::{
    ErrorKind, Key, List, ListPage, ListVersions, ListedObject, ListedVersion, StoreError, VersionId, VersionPage,
};

/// Where a page of a listing begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListingFrom {
    #[default]
    Start,
    /// After this key; a common prefix that contains it may still come.
    After(String),
    /// After this version of this key. Among objects: after the key.
    AfterVersion(String, String),
    /// After all keys that start with this.
    AfterPrefix(String),
}

/// What to list.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    pub from: &'a ListingFrom,
    /// Entries and common prefixes together.
    pub max_keys: u32,
}

/// One page of versions, common prefixes included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionListing {
    pub versions: Vec<ListedVersion>,
    pub prefixes: Vec<Key>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<ListingFrom>,
}

impl Bucket {
    /// ListObjectsV2. A page counts objects and common prefixes together. `start_after` is a key: a common prefix that
    /// also covers later keys is still listed.
    ///
    /// # Errors
    /// `InvalidRequest`: the continuation token is none of ours.
    pub fn list(&self, request: &List) -> Result<ListPage, StoreError> {
        let from = match (&request.continuation, &request.start_after) {
            (Some(token), _) => parse_token(token)?,
            (None, Some(key)) => ListingFrom::After(key.clone()),
            (None, None) => ListingFrom::Start,
        };
        let delimiter = request.delimiter.as_deref();
        Ok(self.list_page(Listing { prefix: &request.prefix, delimiter, from: &from, max_keys: request.max_keys }))
    }

    /// One page of objects. Its `next` is a token for [`List::continuation`].
    pub fn list_page(&self, listing: Listing<'_>) -> ListPage {
        let mut page = ListPage::default();
        let next = walk(
            listing.clamped(self.options.limits.page_max),
            |bound| self.keys.currents_from(bound),
            |key, object| vec![listed(key, object)],
            |entry| match entry {
                Listed::Entry(object) => page.objects.push(object),
                Listed::Prefix(prefix) => page.prefixes.push(prefix),
            },
            |_| String::new(),
        );
        page.next = next.map(|from| token(&from));
        page
    }

    /// ListObjectVersions without a delimiter.
    pub fn list_versions(&self, request: &ListVersions) -> VersionPage {
        let after = |(key, id): &(Key, VersionId)| ListingFrom::AfterVersion(key.to_string(), id.to_string());
        let from = request.after.as_ref().map(after).unwrap_or_default();
        let listing = Listing { prefix: &request.prefix, delimiter: None, from: &from, max_keys: request.max_keys };
        let page = self.list_versions_page(listing);
        let next = page.next.and_then(|from| match from {
            ListingFrom::AfterVersion(key, id) => Some((Key::from(key), VersionId::from(id))),
            ListingFrom::Start | ListingFrom::After(_) | ListingFrom::AfterPrefix(_) => None,
        });
        VersionPage { versions: page.versions, next }
    }

    /// One page of versions and delete markers, by key, newest first.
    pub fn list_versions_page(&self, listing: Listing<'_>) -> VersionListing {
        let mut page = VersionListing::default();
        page.next = walk(
            listing.clamped(self.options.limits.page_max),
            |bound| self.keys.chains_from(bound),
            |key, chain| listed_versions(key, chain, listing.from),
            |entry| match entry {
                Listed::Entry(version) => page.versions.push(version),
                Listed::Prefix(prefix) => page.prefixes.push(prefix),
            },
            |version| version.version_id.clone(),
        );
        page
    }
}

enum Listed<T> {
    Entry(T),
    Prefix(Key),
}

/// Walks keys from where the page begins, rolls up common prefixes, stops when the page is full. Answers where the next
/// page begins, if there is more.
fn walk<'k, V: 'k, T, I: Iterator<Item = (&'k Key, &'k V)>>(
    listing: Listing<'_>,
    keys_from: impl Fn(Bound<Key>) -> I,
    entries: impl Fn(&Key, &V) -> Vec<T>,
    mut emit: impl FnMut(Listed<T>),
    id: impl Fn(&T) -> String,
) -> Option<ListingFrom> {
    let mut left = listing.max_keys;
    let mut last = None;
    let mut bound = listing.first_bound()?;
    if left == 0 {
        return None;
    }
    'jump: loop {
        for (key, value) in keys_from(bound) {
            // A key without the prefix lies after all that have it.
            let rest = key.as_str().strip_prefix(listing.prefix)?;
            let end = listing.delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
            if let Some(end) = end {
                if left == 0 {
                    return last;
                }
                left -= 1;
                let prefix = &key.as_str()[..listing.prefix.len() + end];
                emit(Listed::Prefix(Key::from(prefix)));
                last = Some(ListingFrom::AfterPrefix(prefix.to_owned()));
                bound = Bound::Included(first_after_prefix(prefix)?.into());
                continue 'jump;
            }
            for entry in entries(key, value) {
                if left == 0 {
                    return last;
                }
                left -= 1;
                last = Some(match id(&entry) {
                    none if none.is_empty() => ListingFrom::After(key.to_string()),
                    id => ListingFrom::AfterVersion(key.to_string(), id),
                });
                emit(Listed::Entry(entry));
            }
        }
        return None;
    }
}

impl Listing<'_> {
    fn clamped(mut self, page_max: u32) -> Self {
        self.max_keys = self.max_keys.min(page_max);
        self
    }

    /// Where the first key of the page lies; `None` when there can be none.
    fn first_bound(&self) -> Option<Bound<Key>> {
        let prefix = Bound::Included(Key::from(self.prefix));
        Some(match self.from {
            ListingFrom::Start => prefix,
            ListingFrom::After(key) | ListingFrom::AfterVersion(key, _) if key.as_str() < self.prefix => prefix,
            ListingFrom::After(key) => Bound::Excluded(Key::from(key.as_str())),
            ListingFrom::AfterVersion(key, _) => Bound::Included(Key::from(key.as_str())),
            ListingFrom::AfterPrefix(passed) => {
                let first = first_after_prefix(passed)?;
                Bound::Included(Key::from(if first.as_str() < self.prefix { self.prefix } else { &first }))
            }
        })
    }
}

/// The least string greater than every string that starts with `prefix`; `None` when there is none.
fn first_after_prefix(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        // Character order is UTF-8 byte order; the range skips the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

fn listed(key: &Key, object: &Object) -> ListedObject {
    ListedObject {
        key: key.clone(),
        etag: object.meta.etag.clone(),
        size: object.meta.size,
        last_modified: object.meta.last_modified,
        storage_class: object.meta.storage_class.clone(),
    }
}

/// The versions of a key, newest first, from where the page begins. If the version it should begin after has been
/// removed since, all of the key's versions come again.
fn listed_versions(key: &Key, chain: &[Entry], from: &ListingFrom) -> Vec<ListedVersion> {
    let newest_first = || chain.iter().rev().enumerate();
    let passed = match from {
        ListingFrom::AfterVersion(after, id) if after == key.as_str() => {
            newest_first().find(|(_, entry)| entry.id() == id).map_or(0, |(index, _)| index + 1)
        }
        ListingFrom::Start | ListingFrom::After(_) | ListingFrom::AfterVersion(..) | ListingFrom::AfterPrefix(_) => 0,
    };
    newest_first()
        .skip(passed)
        .map(|(index, entry)| ListedVersion {
            key: key.clone(),
            version_id: entry.id().to_owned(),
            is_latest: index == 0,
            object: entry.object().map(|object| listed(key, object)),
        })
        .collect()
}

/// Tokens are plain ASCII, so that they pass through XML and queries as they are.
fn token(from: &ListingFrom) -> String {
    match from {
        ListingFrom::Start => String::from("s"),
        ListingFrom::After(key) | ListingFrom::AfterVersion(key, _) => format!("k{}", hex(key.as_bytes())),
        ListingFrom::AfterPrefix(prefix) => format!("p{}", hex(prefix.as_bytes())),
    }
}

fn parse_token(token: &str) -> Result<ListingFrom, StoreError> {
    let bad = || refused(ErrorKind::InvalidRequest, "InvalidArgument", "this continuation token is not ours");
    let (kind, digits) = token.split_at_checked(1).ok_or_else(bad)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|value| value as u8);
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    let text = bytes.filter(|_| odd.is_empty()).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    match kind {
        "s" => Ok(ListingFrom::Start),
        "k" => Ok(ListingFrom::After(text)),
        "p" => Ok(ListingFrom::AfterPrefix(text)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests;

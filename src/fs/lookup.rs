//! Names to inodes: at most one HEAD and one LIST, sent together; none for a name that is known.

use std::sync::Arc;

use futures_util::future::join;

use crate::config::{CONTRADICTIONS_MAX, KEY_BYTES_MAX};
use crate::data::content::Content;
use crate::env::Env;
use crate::env::store::{ErrorKind, Key, ObjectMeta, StoreError};
use crate::error::FsError;
use crate::fs::Fs;
use crate::marks::sometimes;
use crate::op::{Caller, Ino, Name, Reply};
use crate::state::tree::{ObserveError, Target};
use crate::state::version::{Successor, Version};
use crate::zoo::{self, Bug};

impl<E: Env> Fs<E> {
    pub(super) async fn lookup(&self, caller: Caller, parent: Ino, name: &[u8]) -> Result<Reply, FsError> {
        if name.len() > Name::BYTES_MAX {
            return Err(FsError::NameTooLong);
        }
        // Keys are UTF-8, so no key is spelt by other bytes.
        let name = std::str::from_utf8(name).ok().and_then(Name::new).ok_or(FsError::NotFound)?;
        let mut contradictions = 0;
        loop {
            let (stamp, key) = {
                let mut tree = self.tree.lock();
                let now = self.now();
                if let Some(entry) = tree.known(caller, parent, &name, now)? {
                    return Ok(Reply::Entry(entry));
                }
                (tree.stamp(now), tree.directory(parent)?.key(&name))
            };
            if key.as_str().len() > KEY_BYTES_MAX {
                return Err(FsError::NotFound);
            }
            let (target, meta) = self.ask(&key).await?;
            let described = match (&target, meta) {
                (Target::File(version), Some(meta)) => Some((version.clone(), Arc::new(meta))),
                (Target::File(_) | Target::Directory | Target::Absent, _) => None,
            };
            let marker = match &target {
                Target::Directory if self.context.config.posix_metadata => Some(self.marker(&key).await?),
                Target::Directory | Target::File(_) | Target::Absent => None,
            };
            self.paths.pass(&key).await;
            // While it was asked, others may have learnt about the name too: the tree decides what stands.
            let mut tree = self.tree.lock();
            if tree.directory(parent)?.key(&name) != key {
                sometimes!(AnswerOfAnotherKey);
                continue;
            }
            let stamp = if zoo::has(Bug::LookupDatedAtItsAnswer) { tree.stamp(self.now()) } else { stamp };
            match tree.observe(parent, &name, stamp, target) {
                Ok(obsolete) => {
                    if let Some((version, meta)) = described {
                        tree.describe(parent, &name, &version, &meta);
                    }
                    if let Some(marker) = marker {
                        tree.describe_directory(parent, &name, &Arc::new(marker));
                    }
                    let granted = tree.grant(parent, &name, self.now());
                    drop(tree);
                    supersede(obsolete);
                    return granted.map(Reply::Entry);
                }
                Err(ObserveError::Contradiction) if contradictions < CONTRADICTIONS_MAX => {
                    sometimes!(LookupContradicted);
                    contradictions += 1;
                }
                // They keep overlapping: what stands was current while this look-up ran.
                Err(ObserveError::Contradiction) => {
                    sometimes!(LookupUnsettled);
                    return tree.grant(parent, &name, self.now()).map(Reply::Entry);
                }
                Err(ObserveError::Fs(error)) => return Err(error),
            }
        }
    }

    pub(super) fn forget(&self, ino: Ino, count: u64) -> Result<Reply, FsError> {
        self.tree.lock().forget(ino, count);
        Ok(Reply::Done)
    }

    /// What a name is, asked for unless that is fresh.
    pub(super) async fn resolve(&self, parent: Ino, name: &Name) -> Result<Target, FsError> {
        let mut contradictions = 0;
        loop {
            let (stamp, key) = {
                let mut tree = self.tree.lock();
                let now = self.now();
                if let Some(target) = tree.target_if_fresh(parent, name, now)? {
                    return Ok(target);
                }
                (tree.stamp(now), tree.directory(parent)?.key(name))
            };
            let (target, meta) = self.ask(&key).await?;
            self.paths.pass(&key).await;
            let mut tree = self.tree.lock();
            if tree.directory(parent)?.key(name) != key {
                sometimes!(AnswerOfAnotherKey);
                continue;
            }
            match tree.observe(parent, name, stamp, target.clone()) {
                Ok(obsolete) => {
                    if let (Target::File(version), Some(meta)) = (&target, meta) {
                        tree.describe(parent, name, version, &Arc::new(meta));
                    }
                    // A name that has become local meanwhile, or a directory of local names, is known better here.
                    let known = tree.target_if_fresh(parent, name, self.now())?;
                    let known = known.or_else(|| tree.target(parent, name));
                    drop(tree);
                    supersede(obsolete);
                    return Ok(known.unwrap_or(target));
                }
                Err(ObserveError::Contradiction) if contradictions < CONTRADICTIONS_MAX => contradictions += 1,
                Err(ObserveError::Contradiction) => return tree.target(parent, name).ok_or(FsError::NotFound),
                Err(ObserveError::Fs(error)) => return Err(error),
            }
        }
    }

    /// What a directory's marker says; of one that has none, nothing.
    pub(super) async fn marker(&self, key: &Key) -> Result<ObjectMeta, FsError> {
        let key = Key::from(format!("{key}/"));
        match self.context.head(&key).await {
            Ok(meta) => Ok(meta),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::AccessDenied) => Ok(no_meta()),
            Err(error) => Err(FsError::from_store(&key, error)),
        }
    }

    /// What the bucket has at `key`: an object, or keys beneath it, which make it a directory.
    async fn ask(&self, key: &Key) -> Result<(Target, Option<ObjectMeta>), FsError> {
        let beneath = format!("{key}/");
        let (object, any) = join(self.context.head(key), self.context.any_key_under(&beneath)).await;
        let denied = |error: &StoreError| error.kind == ErrorKind::AccessDenied;
        match (object, any) {
            (Err(_), Ok(false)) if zoo::has(Bug::FailureMeansAbsent) => Ok((Target::Absent, None)),
            (Err(error), Err(_)) if zoo::has(Bug::UnlistedMeansAbsent) && error.kind == ErrorKind::NotFound => {
                Ok((Target::Absent, None))
            }
            // A directory shadows a file.
            (_, Ok(true)) => Ok((Target::Directory, None)),
            (Ok(meta), Ok(false)) => Ok((Target::File(Version::of(key, &meta)), Some(meta))),
            // May read, may not list: what can be seen is shown.
            (Ok(meta), Err(error)) if denied(&error) => Ok((Target::File(Version::of(key, &meta)), Some(meta))),
            (Err(error), Ok(false)) if error.kind == ErrorKind::NotFound => Ok((Target::Absent, None)),
            (Err(error), Ok(false)) | (_, Err(error)) => Err(FsError::from_store(key, error)),
        }
    }
}

/// The same, of what this mount itself has done.
pub(super) fn supersede_by_us<E: Env>(obsolete: impl IntoIterator<Item = (Arc<Content<E>>, Successor)>) {
    for (content, successor) in obsolete {
        content.supersede_by_us(successor);
    }
}

/// Of what has no object.
pub(super) fn no_meta() -> ObjectMeta {
    ObjectMeta {
        etag: "".into(),
        version_id: None,
        size: 0,
        last_modified: 0,
        content_type: None,
        storage_class: None,
        user: Default::default(),
    }
}

/// Tells contents that the bucket has moved on from their Versions. Never under the tree's lock.
pub(super) fn supersede<E: Env>(obsolete: impl IntoIterator<Item = (Arc<Content<E>>, Successor)>) {
    for (content, successor) in obsolete {
        content.supersede(successor);
    }
}

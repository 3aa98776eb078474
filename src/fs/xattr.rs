//! Extended attributes: what S3 knows of an object, how it is held, and those that users set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::data::draft::Draft;
use crate::env::Env;
use crate::env::store::{ErrorKind, ObjectMeta};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::lookup::{no_meta, supersede};
use crate::op::{Ino, Reply, SetXattr};
use crate::state::tree::{ObserveError, Own, Target};
use crate::state::version::Version;
use crate::state::xattrs;
use crate::zoo::{self, Bug};

const ETAG: &str = "user.s3.etag";
const VERSION_ID: &str = "user.s3.version-id";
const STORAGE_CLASS: &str = "user.s3.storage-class";
const CONTENT_TYPE: &str = "user.s3.content-type";
const META: &str = "user.s3.meta.";
const HOLD: &str = "user.holdfast.hold";
const USER: &str = "user.";

/// Not for users to set.
fn is_ours(name: &str) -> bool {
    name.starts_with("user.s3.") || name.starts_with("user.holdfast.")
}

impl<E: Env> Fs<E> {
    pub(super) async fn getxattr(&self, ino: Ino, name: &[u8]) -> Result<Reply, FsError> {
        // Others, such as security.capability, are asked for at every turn: they must cost nothing.
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| name.starts_with(USER)) else {
            return Err(FsError::NoAttribute);
        };
        if !is_ours(name) {
            let own = self.user_xattrs(ino).await?.remove(name);
            return own.map(Reply::Xattr).ok_or(FsError::NoAttribute);
        }
        let Ok((version, held)) = self.version_and_hold(ino) else { return Err(FsError::NoAttribute) };
        let value = match name {
            ETAG => Some(version.etag.to_string()),
            HOLD => Some(held),
            _ => {
                let meta = self.meta(ino).await?;
                match name {
                    VERSION_ID => meta.version_id.as_ref().map(ToString::to_string),
                    STORAGE_CLASS => Some(meta.storage_class.clone().unwrap_or_else(|| "STANDARD".to_string())),
                    CONTENT_TYPE => meta.content_type.clone(),
                    _ => name.strip_prefix(META).and_then(|name| meta.user.get(name).cloned()),
                }
            }
        };
        value.map(|value| Reply::Xattr(value.into_bytes())).ok_or(FsError::NoAttribute)
    }

    pub(super) async fn listxattr(&self, ino: Ino) -> Result<Reply, FsError> {
        if self.version_and_hold(ino).is_err() {
            let names = self.user_xattrs(ino).await?.into_keys();
            return Ok(Reply::Xattr(listed(names)));
        }
        let meta = self.meta(ino).await?;
        let mut names = vec![ETAG.to_string(), STORAGE_CLASS.to_string(), HOLD.to_string()];
        names.extend(meta.version_id.as_ref().map(|_| VERSION_ID.to_string()));
        names.extend(meta.content_type.as_ref().map(|_| CONTENT_TYPE.to_string()));
        names.extend(meta.user.keys().map(|name| format!("{META}{name}")));
        names.extend(self.user_xattrs(ino).await?.into_keys());
        Ok(Reply::Xattr(listed(names)))
    }

    /// `value`: `None` removes it.
    pub(super) async fn setxattr(
        self: &Arc<Self>,
        ino: Ino,
        name: &[u8],
        value: Option<Vec<u8>>,
        how: SetXattr,
    ) -> Result<Reply, FsError> {
        self.may_change("set extended attributes")?;
        let name = std::str::from_utf8(name).ok().filter(|name| name.starts_with(USER) && !is_ours(name));
        let Some(name) = name else { return Err(FsError::Unsupported) };
        if self.tree.lock().directory(ino).is_ok() {
            // The mount's own directory has no key.
            if ino == Ino::ROOT {
                return Err(FsError::Unsupported);
            }
            self.change_marker(ino, |shown, user| change(user, name, &value, how).map(|_| shown)).await?;
            return Ok(Reply::Done);
        }
        let apply = |_: &mut Own, draft: &Draft<E>| {
            let mut user = draft.user();
            let changed = change(&mut user, name, &value, how)?;
            draft.set_user(user);
            Ok(changed && !zoo::has(Bug::AttributeIsNotPublished))
        };
        self.change_attributes(ino, apply).await?;
        Ok(Reply::Done)
    }

    /// Those that users set.
    async fn user_xattrs(&self, ino: Ino) -> Result<xattrs::Xattrs, FsError> {
        if self.tree.lock().directory(ino).is_ok() {
            return Ok(xattrs::read_from(&self.marker_meta(ino).await?.user));
        }
        match self.draft_of(ino) {
            Some(draft) => Ok(xattrs::read_from(&draft.user())),
            None => Ok(xattrs::read_from(&self.meta(ino).await?.user)),
        }
    }

    /// What S3 knows of a directory's marker.
    async fn marker_meta(&self, ino: Ino) -> Result<Arc<ObjectMeta>, FsError> {
        let (parent, name) = self.tree.lock().place(ino)?;
        if ino == Ino::ROOT {
            return Ok(Arc::new(no_meta()));
        }
        if let Some(marker) = self.tree.lock().meta_of(parent, &name) {
            return Ok(marker);
        }
        // Not while it is changed here: what was asked for before would be taken for what is there after.
        let gate = self.setattrs.of(ino);
        let _turn = gate.lock().await;
        let (known, key) = {
            let tree = self.tree.lock();
            (tree.meta_of(parent, &name), tree.directory(parent)?.key(&name))
        };
        if let Some(marker) = known {
            return Ok(marker);
        }
        let marker = Arc::new(self.marker(&key).await?);
        self.tree.lock().describe_directory(parent, &name, &marker);
        Ok(marker)
    }

    fn version_and_hold(&self, ino: Ino) -> Result<(Version, String), FsError> {
        let tree = self.tree.lock();
        let file = tree.file(ino)?;
        let held = file.content.as_ref().map_or("current".to_string(), |content| content.held().to_string());
        Ok((file.version.clone(), held))
    }

    /// What a GET or HEAD told of the inode's Version: asked for when only a listing knew it.
    pub(super) async fn meta(&self, ino: Ino) -> Result<Arc<ObjectMeta>, FsError> {
        let (version, stamp, place) = {
            let mut tree = self.tree.lock();
            let file = tree.file(ino)?;
            if let Some(meta) = &file.meta {
                return Ok(meta.clone());
            }
            let version = file.version.clone();
            (version, tree.stamp(self.now()), tree.place(ino)?)
        };
        let key = version.key.clone();
        let answer = self.context.head(&key).await;
        if self.was_moved(ino, &key).await {
            return Err(FsError::Superseded { key });
        }
        let meta = match answer {
            Ok(meta) => meta,
            Err(error) if error.kind == ErrorKind::NotFound => {
                // A directory may have its name: Linux looks it up again.
                self.tree.lock().doubt(place.0, &place.1);
                return Err(FsError::Superseded { key });
            }
            Err(error) => return Err(FsError::from_store(&key, error)),
        };
        let current = Version::of(&key, &meta);
        let mut tree = self.tree.lock();
        if current.is_same(&version) || zoo::has(Bug::AttributesOfTheNewerVersion) {
            let meta = Arc::new(meta);
            tree.file_mut(ino)?.meta = Some(meta.clone());
            return Ok(meta);
        }
        // The inode's Version is history, and nobody kept what S3 knew of it.
        match tree.observe(place.0, &place.1, stamp, Target::File(current)) {
            Ok(obsolete) => {
                drop(tree);
                supersede(obsolete);
            }
            // Linux looks the name up again, and must not be told what contradicts this answer.
            Err(ObserveError::Contradiction) => tree.doubt(place.0, &place.1),
            Err(ObserveError::Fs(_)) => {}
        }
        Err(FsError::Superseded { key })
    }
}

/// Changes what users have set among an object's user metadata. Answers whether it is other than before.
fn change(
    user: &mut BTreeMap<String, String>,
    name: &str,
    value: &Option<Vec<u8>>,
    how: SetXattr,
) -> Result<bool, FsError> {
    let mut xattrs = xattrs::read_from(user);
    match (how, xattrs.contains_key(name)) {
        (SetXattr::Create, true) => return Err(FsError::Exists),
        (SetXattr::Replace, false) => return Err(FsError::NoAttribute),
        (SetXattr::Create | SetXattr::Either | SetXattr::Replace, _) => {}
    }
    let before = match value {
        Some(value) => xattrs.insert(name.to_string(), value.clone()),
        None => xattrs.remove(name),
    };
    if !xattrs::write_into(&xattrs, user) {
        return Err(FsError::NoRoomForAttribute);
    }
    Ok(before != *value)
}

/// Names as listxattr(2) gives them: each ends in a zero.
fn listed(names: impl IntoIterator<Item = String>) -> Vec<u8> {
    names.into_iter().flat_map(|name| name.into_bytes().into_iter().chain([0])).collect()
}

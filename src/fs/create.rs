//! New files, directories and links.
//!
//! A file that is opened as it is created is a draft, and its name is local, until it is published. What nobody opens is put
//! at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::{KEY_BYTES_MAX, LINK_BYTES_MAX};
use crate::data::mutations::Refusal;
use crate::data::publish::Expects;
use crate::env::store::{Key, NewObject, ObjectMeta, WriteCondition};
use crate::env::{Clock, Env};
use crate::error::FsError;
use crate::fs::Fs;
use crate::fs::lookup::no_meta;
use crate::fs::paths::Changing;
use crate::op::{Caller, Ino, Kind, Name, NewNode, OpenMode, Reply};
use crate::state::media::content_type;
use crate::state::posix::Posix;
use crate::state::tree::{Own, Target};
use crate::state::version::Version;
use crate::zoo::{self, Bug};

impl<E: Env> Fs<E> {
    pub(super) async fn create(
        self: &Arc<Self>,
        caller: Caller,
        parent: Ino,
        name: &[u8],
        mode: OpenMode,
        exclusive: bool,
        node: NewNode,
    ) -> Result<Reply, FsError> {
        self.may_change("create a file")?;
        let (name, _) = self.new_name(parent, name, "")?;
        loop {
            match self.resolve(parent, &name).await? {
                Target::File(_) | Target::Directory if exclusive => return Err(FsError::Exists),
                Target::Directory => return Err(FsError::IsDirectory),
                Target::File(_) => return self.open_existing(caller, parent, &name, mode).await,
                Target::Absent => {}
            }
            let posix = self.posix_of(Kind::File, node);
            let meta = self.meta_of_new(&name, posix);
            let mut drafts = self.drafts.lock();
            // A directory above it may have been renamed while it was asked for.
            let key = self.tree.lock().directory(parent)?.key(&name);
            // The kernel creates a name once at a time; whoever learnt of one meanwhile is asked again.
            let still_absent = {
                let tree = self.tree.lock();
                tree.local_of(parent, &name).is_none() && tree.target(parent, &name).is_none_or(|t| t == Target::Absent)
            };
            if !still_absent {
                continue;
            }
            let (version, own) = (Version::unborn(key.clone()), Own { size: 0, posix });
            let ino = self.create_blank(&mut drafts, (parent, &name), version, Expects::Absent, meta, own)?;
            let fh = self.add_handle(ino, None, mode)?;
            self.directory_changed(parent);
            let entry = self.tree.lock().grant(parent, &name, self.now())?;
            return Ok(Reply::Created { entry, fh });
        }
    }

    async fn open_existing(
        self: &Arc<Self>,
        caller: Caller,
        parent: Ino,
        name: &Name,
        mode: OpenMode,
    ) -> Result<Reply, FsError> {
        let mut entry = self.tree.lock().grant(parent, name, self.now())?;
        let Some(attr) = &entry.attr else { return Err(FsError::Superseded { key: Key::from(name.as_str()) }) };
        let ino = attr.ino;
        if attr.kind != Kind::File {
            // A link by now, or the like: Linux looks it up again, and follows it.
            self.tree.lock().forget(ino, 1);
            return Err(FsError::Superseded { key: Key::from(name.as_str()) });
        }
        match self.open(caller, ino, mode).await {
            Ok(Reply::Opened { fh }) => {
                entry.attr = Some(self.tree.lock().attr(ino)?);
                Ok(Reply::Created { entry, fh })
            }
            Ok(other) => Ok(other),
            Err(error) => {
                self.tree.lock().forget(ino, 1);
                Err(error)
            }
        }
    }

    pub(super) async fn mknod(
        self: &Arc<Self>,
        parent: Ino,
        name: &[u8],
        kind: Kind,
        node: NewNode,
    ) -> Result<Reply, FsError> {
        match kind {
            Kind::File => {}
            Kind::Fifo | Kind::Socket if self.context.config.posix_metadata => {}
            Kind::Fifo | Kind::Socket => return Err(FsError::NotPermitted("special files need --posix-metadata")),
            Kind::Directory | Kind::Symlink => return Err(FsError::InvalidArgument),
        }
        self.put_new(parent, name, kind, node, Bytes::new()).await
    }

    pub(super) async fn symlink(
        self: &Arc<Self>,
        parent: Ino,
        name: &[u8],
        target: Vec<u8>,
        node: NewNode,
    ) -> Result<Reply, FsError> {
        self.may_change("create a symbolic link")?;
        if !self.context.config.posix_metadata {
            return Err(FsError::NotPermitted("symbolic links need --posix-metadata"));
        }
        if target.is_empty() || target.len() as u64 > LINK_BYTES_MAX {
            return Err(FsError::NameTooLong);
        }
        self.put_new(parent, name, Kind::Symlink, NewNode { perm: 0o777, ..node }, target.into()).await
    }

    async fn put_new(
        self: &Arc<Self>,
        parent: Ino,
        name: &[u8],
        kind: Kind,
        node: NewNode,
        body: Bytes,
    ) -> Result<Reply, FsError> {
        self.may_change("create a node")?;
        let (name, key) = self.new_name(parent, name, "")?;
        if self.resolve(parent, &name).await? != Target::Absent {
            return Err(FsError::Exists);
        }
        let (_path, key) = self.enter_new(parent, &name, key).await?;
        let size = body.len() as u64;
        let mut meta = self.meta_of_new(&name, self.posix_of(kind, node));
        let object = self.context.as_new(&meta);
        let stamp = self.tree.lock().stamp(self.now());
        let condition = Some(WriteCondition::IfAbsent).filter(|_| !zoo::has(Bug::NodeReplacesWhatIsThere));
        let put = self.context.put_object(&key, body, &object, condition).await;
        let written = match put {
            Ok(written) => written,
            Err(Refusal::Condition(_)) => {
                self.tree.lock().doubt(parent, &name);
                return Err(FsError::Exists);
            }
            Err(refusal) => return Err(refusal.into_error(&key)),
        };
        self.directory_changed(parent);
        (meta.etag, meta.version_id, meta.size) = (written.etag.clone(), written.version_id.clone(), size);
        let mut tree = self.tree.lock();
        tree.file_made(parent, &name, Version::written(key, written, size), Arc::new(meta), stamp);
        tree.grant(parent, &name, self.now()).map(Reply::Entry)
    }

    pub(super) async fn mkdir(self: &Arc<Self>, parent: Ino, name: &[u8], node: NewNode) -> Result<Reply, FsError> {
        self.may_change("create a directory")?;
        let (name, key) = self.new_name(parent, name, "/")?;
        if self.resolve(parent, &name).await? != Target::Absent {
            return Err(FsError::Exists);
        }
        let (_path, key) = self.enter_new(parent, &name, key).await?;
        let stamp = self.tree.lock().stamp(self.now());
        let mut object = self.new_marker();
        self.posix_of(Kind::Directory, node).write_into(&mut object.user);
        let marker = self.put_marker(&key, object, WriteCondition::IfAbsent).await;
        let marker = match marker {
            Ok(marker) => marker,
            Err(Refusal::Condition(_)) => {
                self.tree.lock().doubt(parent, &name);
                return Err(FsError::Exists);
            }
            Err(refusal) => return Err(refusal.into_error(&key)),
        };
        self.directory_changed(parent);
        let mut tree = self.tree.lock();
        tree.directory_made(parent, &name, Arc::new(marker), stamp)?;
        tree.grant(parent, &name, self.now()).map(Reply::Entry)
    }

    /// The object `dir/` that makes a directory exist by itself, and carries its attributes.
    /// What a directory's marker is, where nobody has made one.
    pub(super) fn new_marker(&self) -> NewObject {
        let content_type = Some("application/x-directory".to_string());
        NewObject { content_type, storage_class: self.context.config.storage_class.clone(), user: BTreeMap::new() }
    }

    pub(super) async fn put_marker(
        &self,
        key: &Key,
        object: NewObject,
        condition: WriteCondition,
    ) -> Result<ObjectMeta, Refusal> {
        let written = self.context.put_object(key, Bytes::new(), &object, Some(condition)).await?;
        let NewObject { content_type, storage_class, user } = object;
        Ok(ObjectMeta {
            etag: written.etag,
            version_id: written.version_id,
            content_type,
            storage_class,
            user,
            ..no_meta()
        })
    }

    /// The directory's times show that this mount changed it.
    pub(super) fn directory_changed(&self, ino: Ino) {
        let now = self.context.env.clock().unix_time();
        self.tree.lock().directory_changed(ino, now);
    }

    /// A name that is to come into being, and its key.
    pub(super) fn new_name(&self, parent: Ino, name: &[u8], suffix: &str) -> Result<(Name, Key), FsError> {
        if name.len() > Name::BYTES_MAX {
            return Err(FsError::NameTooLong);
        }
        // Keys are UTF-8: other bytes cannot be stored.
        let name = std::str::from_utf8(name).ok().and_then(Name::new).ok_or(FsError::InvalidArgument)?;
        let key = self.tree.lock().directory(parent)?.key(&name);
        let key = Key::from(format!("{key}{suffix}"));
        if key.as_str().len() > KEY_BYTES_MAX {
            return Err(FsError::NameTooLong);
        }
        Ok((name, key))
    }

    /// The key again, with the same suffix, which no rename moves while the guard lives.
    async fn enter_new(&self, parent: Ino, name: &Name, key: Key) -> Result<(Changing<'_>, Key), FsError> {
        let (guard, now) = self.enter(parent, name).await?;
        let key = if key.as_str().ends_with('/') { Key::from(format!("{now}/")) } else { now };
        Ok((guard, key))
    }

    fn posix_of(&self, kind: Kind, node: NewNode) -> Posix {
        let now = Some(self.context.env.clock().unix_time());
        Posix {
            kind: Some(kind),
            perm: Some(node.perm),
            uid: Some(node.uid),
            gid: Some(node.gid),
            mtime: now,
            atime: now,
            ctime: now,
        }
    }

    fn meta_of_new(&self, name: &Name, posix: Posix) -> ObjectMeta {
        let mut meta = no_meta();
        meta.content_type = Some(content_type(name.as_str()).to_string());
        posix.write_into(&mut meta.user);
        meta
    }
}

//! Open handles.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::data::content::{Content, Kept};
use crate::env::Env;
use crate::error::FsError;
use crate::fs::listing::DirectoryHandle;
use crate::op::{Fh, Ino};

pub(super) enum Handle<E: Env> {
    File {
        ino: Ino,
        content: Arc<Content<E>>,
        kept: Kept,
    },
    Directory(Arc<DirectoryHandle>),
    /// An internal error happened on it. What it was, which is never fenced itself, still has to be let go at release.
    Fenced(Box<Handle<E>>),
}

pub(super) struct Handles<E: Env> {
    next: u64,
    open: BTreeMap<Fh, Handle<E>>,
}

impl<E: Env> Default for Handles<E> {
    fn default() -> Self {
        Self { next: 1, open: BTreeMap::new() }
    }
}

impl<E: Env> Handles<E> {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn insert(&mut self, handle: Handle<E>) -> Fh {
        let fh = Fh(self.next);
        self.next += 1;
        self.open.insert(fh, handle);
        fh
    }

    /// The content of an open file, and whether the kernel keeps what is read through this handle.
    pub(super) fn content(&self, fh: Fh) -> Result<(Arc<Content<E>>, Kept), FsError> {
        match self.open.get(&fh) {
            Some(Handle::File { content, kept, .. }) => Ok((content.clone(), *kept)),
            Some(Handle::Fenced(_)) => Err(FsError::Fenced(fh.0)),
            Some(Handle::Directory(_)) | None => Err(FsError::BadHandle(fh.0)),
        }
    }

    /// The same, of a handle that must be one of `ino`. Linux names them together; whoever does not is refused.
    pub(super) fn content_of(&self, ino: Ino, fh: Fh) -> Result<(Arc<Content<E>>, Kept), FsError> {
        match self.open.get(&fh) {
            Some(Handle::File { ino: own, .. }) if *own != ino => Err(FsError::BadHandle(fh.0)),
            Some(_) | None => self.content(fh),
        }
    }

    /// An open directory, which must be that of `ino`.
    pub(super) fn directory_of(&self, ino: Ino, fh: Fh) -> Result<Arc<DirectoryHandle>, FsError> {
        match self.open.get(&fh) {
            Some(Handle::Directory(directory)) if directory.ino() == ino => Ok(directory.clone()),
            Some(Handle::Fenced(_)) => Err(FsError::Fenced(fh.0)),
            Some(Handle::Directory(_) | Handle::File { .. }) | None => Err(FsError::BadHandle(fh.0)),
        }
    }

    /// Fencing twice is fencing once: several requests on one handle may fail.
    pub(super) fn fence(&mut self, fh: Fh) {
        let fenced = match self.open.remove(&fh) {
            None => return,
            Some(Handle::Fenced(inner)) => inner,
            Some(handle) => Box::new(handle),
        };
        self.open.insert(fh, Handle::Fenced(fenced));
    }

    pub(super) fn remove(&mut self, fh: Fh) -> Option<Handle<E>> {
        match self.open.remove(&fh)? {
            Handle::Fenced(inner) => Some(*inner),
            handle => Some(handle),
        }
    }
}

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
        /// Opened for writing.
        writes: bool,
    },
    Directory(Arc<DirectoryHandle>),
    /// An internal error happened on it. What it was, which is never fenced itself, still has to be let go at release.
    Fenced(Box<Handle<E>>),
}

pub(super) struct Handles<E: Env> {
    next: u64,
    open: BTreeMap<Fh, Handle<E>>,
    /// Handles of each file that has any.
    of_files: BTreeMap<Ino, u32>,
}

impl<E: Env> Default for Handles<E> {
    fn default() -> Self {
        Self { next: 1, open: BTreeMap::new(), of_files: BTreeMap::new() }
    }
}

impl<E: Env> Handles<E> {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn insert(&mut self, handle: Handle<E>) -> Fh {
        let fh = Fh(self.next);
        self.next += 1;
        if let Handle::File { ino, .. } = &handle {
            *self.of_files.entry(*ino).or_default() += 1;
        }
        self.open.insert(fh, handle);
        fh
    }

    /// Handles of a file.
    pub(super) fn count_of(&self, ino: Ino) -> u32 {
        self.of_files.get(&ino).copied().unwrap_or_default()
    }

    /// All handles of a file hold `content` from now on: the same bytes, as another Version.
    pub(super) fn rebase(&mut self, ino: Ino, fresh: &Arc<Content<E>>) {
        if self.count_of(ino) == 0 {
            return;
        }
        for (fh, handle) in &mut self.open {
            let file = if let Handle::Fenced(inner) = handle { inner } else { handle };
            if let Handle::File { ino: own, content, .. } = file
                && *own == ino
                && !Arc::ptr_eq(content, fresh)
            {
                fresh.opened(*fh);
                content.closed(*fh);
                *content = fresh.clone();
            }
        }
    }

    /// The content of a file that is open for writing through this handle.
    pub(super) fn written_through(&self, ino: Ino, fh: Fh) -> Result<Arc<Content<E>>, FsError> {
        let content = self.content_of(ino, fh)?.0;
        match self.open.get(&fh) {
            Some(Handle::File { writes: true, .. }) => Ok(content),
            Some(_) | None => Err(FsError::BadHandle(fh.0)),
        }
    }

    /// What some handle of the file holds.
    pub(super) fn content_of_any(&self, ino: Ino) -> Option<Arc<Content<E>>> {
        self.open.values().find_map(|handle| match handle {
            Handle::File { ino: own, content, .. } if *own == ino => Some(content.clone()),
            Handle::File { .. } | Handle::Directory(_) | Handle::Fenced(_) => None,
        })
    }

    pub(super) fn ino_of(&self, fh: Fh) -> Option<Ino> {
        match self.open.get(&fh)? {
            Handle::File { ino, .. } => Some(*ino),
            Handle::Directory(_) | Handle::Fenced(_) => None,
        }
    }

    /// Whether the file has handles, and none of them is for writing.
    pub(super) fn is_only_read(&self, ino: Ino) -> bool {
        self.count_of(ino) > 0 && !self.is_written(ino)
    }

    /// Whether somebody has the file open for writing.
    pub(super) fn is_written(&self, ino: Ino) -> bool {
        let writes = |handle: &Handle<E>| matches!(handle, Handle::File { ino: own, writes: true, .. } if *own == ino);
        self.open.values().any(writes)
    }

    /// Whether somebody only reads the file, for whom GETs under way hold what he has not read.
    pub(super) fn holds_for_readers(&self, ino: Ino) -> bool {
        let mut handles = self.open.values();
        handles.any(|handle| {
            matches!(handle, Handle::File { ino: own, writes: false, content, .. } if *own == ino && content.is_streamed())
        })
    }

    /// Whether the handle is one for writing.
    pub(super) fn writes(&self, fh: Fh) -> bool {
        matches!(self.open.get(&fh), Some(Handle::File { writes: true, .. }))
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
        let handle = match self.open.remove(&fh)? {
            Handle::Fenced(inner) => *inner,
            handle => handle,
        };
        if let Handle::File { ino, .. } = &handle
            && let Some(count) = self.of_files.get_mut(ino)
        {
            *count -= 1;
            if *count == 0 {
                self.of_files.remove(ino);
            }
        }
        Some(handle)
    }
}

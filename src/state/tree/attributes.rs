//! The attributes that inodes show.

use std::sync::Arc;

use crate::env::store::ObjectMeta;
use crate::error::FsError;
use crate::op::{Attr, Ino, Kind, UnixTime};
use crate::state::posix::Posix;
use crate::state::tree::{Node, Own, Tree};
use crate::state::version::{Holds, UNDATED};

impl<C: Holds> Tree<C> {
    pub(super) fn attr_of(&self, ino: Ino, node: &Node<C>) -> Attr {
        match node {
            Node::Directory(directory) => {
                let mounted_at = UnixTime::from_seconds(self.mounted_at);
                let posix = self.shown(directory.posix);
                let mtime = posix.mtime.unwrap_or(mounted_at);
                Attr {
                    ino,
                    kind: Kind::Directory,
                    size: 0,
                    mtime: mtime.seconds,
                    mtime_nanos: mtime.nanos,
                    atime: posix.atime.unwrap_or(mtime),
                    ctime: posix.ctime.unwrap_or(mtime),
                    perm: posix.perm.unwrap_or(self.dir_mode),
                    uid: posix.uid.unwrap_or(self.uid),
                    gid: posix.gid.unwrap_or(self.gid),
                    // Not the count of subdirectories: 1 tells find(1) not to rely on it.
                    nlink: 1,
                }
            }
            Node::File(file) => {
                let own = file.own.as_ref();
                let posix = own.map_or_else(|| self.posix(file.meta.as_deref()), |own| self.shown(own.posix));
                let dated = match file.version.last_modified {
                    // Published here, and forgotten since: nobody has asked yet.
                    UNDATED => file.meta.as_deref().and_then(|meta| Posix::of(meta).mtime),
                    seconds => Some(UnixTime::from_seconds(seconds)),
                };
                let mtime = posix.mtime.or(dated).unwrap_or(UnixTime::from_seconds(self.mounted_at));
                Attr {
                    ino,
                    kind: posix.kind.unwrap_or(Kind::File),
                    size: own.map_or(file.version.size, |own| own.size),
                    mtime: mtime.seconds,
                    mtime_nanos: mtime.nanos,
                    atime: posix.atime.unwrap_or(mtime),
                    ctime: posix.ctime.unwrap_or(mtime),
                    perm: posix.perm.unwrap_or(self.file_mode),
                    uid: posix.uid.unwrap_or(self.uid),
                    gid: posix.gid.unwrap_or(self.gid),
                    nlink: u32::from(!file.unlinked),
                }
            }
        }
    }

    /// What metadata is shown of an object.
    pub(super) fn posix(&self, meta: Option<&ObjectMeta>) -> Posix {
        meta.filter(|_| self.posix_metadata).map(Posix::of).unwrap_or_default()
    }

    /// What is shown of what was made here: without `posix_metadata` the times only, since the rest would be forgotten with
    /// the inode.
    fn shown(&self, posix: Posix) -> Posix {
        let Posix { mtime, atime, ctime, .. } = posix;
        if self.posix_metadata { posix } else { Posix { mtime, atime, ctime, ..Posix::default() } }
    }

    /// What this mount makes of a file begins as what it shows.
    pub fn own_of(&self, ino: Ino) -> Result<Own, FsError> {
        let file = self.file(ino)?;
        if let Some(own) = &file.own {
            return Ok(own.clone());
        }
        let attr = self.attr(ino)?;
        // What the metadata says is kept, also where it is not shown.
        let meta = file.meta.as_deref().map(Posix::of).unwrap_or_default();
        let posix = Posix {
            kind: Some(meta.kind.unwrap_or(attr.kind)),
            perm: Some(meta.perm.unwrap_or(attr.perm)),
            uid: Some(meta.uid.unwrap_or(attr.uid)),
            gid: Some(meta.gid.unwrap_or(attr.gid)),
            mtime: Some(UnixTime { seconds: attr.mtime, nanos: attr.mtime_nanos }),
            atime: Some(attr.atime),
            ctime: Some(attr.ctime),
        };
        Ok(Own { size: attr.size, posix })
    }

    /// Names came or went beneath a directory by this mount's doing, which its times show for as long as it is remembered.
    pub fn directory_changed(&mut self, ino: Ino, now: UnixTime) {
        if let Ok(directory) = self.directory_mut(ino) {
            (directory.posix.mtime, directory.posix.ctime) = (Some(now), Some(now));
        }
    }

    /// A directory's attributes from now on, and its marker, if it has one.
    pub fn set_directory_posix(&mut self, ino: Ino, posix: Posix, marker: Option<ObjectMeta>) -> Result<(), FsError> {
        self.directory_mut(ino)?.posix = posix;
        let (parent, name) = self.place(ino)?;
        if let Some(marker) = marker {
            self.describe_directory(parent, &name, &Arc::new(marker));
        }
        Ok(())
    }

    pub fn directory_posix(&self, ino: Ino) -> Result<Posix, FsError> {
        let attr = self.attr(ino)?;
        let kept = self.directory(ino)?.posix;
        Ok(Posix {
            kind: Some(Kind::Directory),
            perm: Some(kept.perm.unwrap_or(attr.perm)),
            uid: Some(kept.uid.unwrap_or(attr.uid)),
            gid: Some(kept.gid.unwrap_or(attr.gid)),
            mtime: Some(UnixTime { seconds: attr.mtime, nanos: attr.mtime_nanos }),
            atime: Some(attr.atime),
            ctime: Some(attr.ctime),
        })
    }
}

//! The file system: one request in, one answer out.
//!
//! `Fs` joins `state`, which decides, with `data`, which performs. Each operation is in a file of `fs/`; here is only
//! what they share. No lock is held across an await, so after each one the world may have changed, and what was read
//! before it is checked again.

mod attr;
mod behind;
mod commit;
mod complaints;
mod create;
mod drafts;
mod gates;
mod handles;
mod listing;
mod lookup;
mod open;
mod paths;
mod read;
mod recovery;
mod remove;
mod rename;
mod setattr;
mod write;
mod xattr;

use std::sync::Arc;

use crate::config::Config;
use crate::data::content::Content;
use crate::data::context::Context;
use crate::env::{Clock, Env};
use crate::error::{FsError, Severity};
use crate::fs::complaints::Complaints;
use crate::fs::drafts::Drafts;
use crate::fs::gates::Gates;
use crate::fs::handles::Handles;
use crate::fs::paths::Paths;
use crate::lock::{Lock, Rank};
use crate::op::{Caller, Fh, Op, Reply, SetXattr};
use crate::state::tree::Tree;

pub struct Fs<E: Env> {
    context: Arc<Context<E>>,
    tree: Lock<Tree<Content<E>>>,
    handles: Lock<Handles<E>>,
    drafts: Lock<Drafts<E>>,
    hidden: listing::Hidden,
    complaints: Lock<Complaints>,
    cold_opens: Gates,
    paths: Paths,
    /// One change of a directory's attributes at a time.
    setattrs: Gates,
    /// A file gets its draft, or is renamed: one at a time.
    beginnings: Gates,
    /// Requests wait until what a mount before has left is taken up.
    begun: recovery::Begun,
}

impl<E: Env> Fs<E> {
    /// `config` must have been validated.
    pub fn new(env: E, config: Config) -> Arc<Self> {
        let mounted_at = env.clock().unix_seconds();
        let tree = Lock::ranked(Rank::Tree, Tree::new(&config, mounted_at));
        Arc::new(Self {
            context: Context::new(env, config),
            tree,
            handles: Lock::ranked(Rank::Handles, Handles::default()),
            drafts: Lock::ranked(Rank::Drafts, Drafts::new()),
            hidden: listing::Hidden::default(),
            complaints: Lock::default(),
            cold_opens: Gates::default(),
            setattrs: Gates::default(),
            beginnings: Gates::default(),
            paths: Paths::default(),
            begun: recovery::Begun::default(),
        })
    }

    /// Answers one request of nobody in particular.
    pub async fn handle(self: &Arc<Self>, op: Op) -> Result<Reply, FsError> {
        self.handle_for(Caller::UNKNOWN, op).await
    }

    /// Answers one request. The future may be polled first on one thread and moved to another.
    pub async fn handle_for(self: &Arc<Self>, caller: Caller, op: Op) -> Result<Reply, FsError> {
        self.begun.wait().await;
        let outcome = match op {
            Op::Lookup { parent, name } => self.lookup(caller, parent, &name).await,
            Op::Forget { ino, count } => self.forget(ino, count),
            Op::Getattr { ino } => self.getattr(ino),
            Op::Readlink { ino } => self.readlink(ino).await,
            Op::Open { ino, mode } => self.open(caller, ino, mode).await,
            Op::Read { ino, fh, offset, len } => self.read(ino, fh, offset, len).await,
            Op::Flush { ino, fh, still_open } => self.flush(ino, fh, still_open).await,
            Op::Fsync { ino, fh } => self.fsync(ino, fh).await,
            Op::Release { fh, .. } | Op::Releasedir { fh, .. } => self.release(fh).await,
            Op::Lseek { ino, offset, whence, .. } => self.lseek(ino, offset, whence),
            Op::Opendir { ino } => self.opendir(ino),
            Op::Readdir { ino, fh, offset, max_bytes, plus } => self.readdir(ino, fh, offset, max_bytes, plus).await,
            Op::Statfs { .. } => Ok(self.statfs()),
            Op::Access { ino, mask, uid, gid } => self.access(ino, mask, uid, gid),
            Op::Getxattr { ino, name } => self.getxattr(ino, &name).await,
            Op::Listxattr { ino } => self.listxattr(ino).await,
            Op::Create { parent, name, mode, exclusive, node } => {
                self.create(caller, parent, &name, mode, exclusive, node).await
            }
            Op::Mknod { parent, name, kind, node } => self.mknod(parent, &name, kind, node).await,
            Op::Mkdir { parent, name, node } => self.mkdir(parent, &name, node).await,
            Op::Symlink { parent, name, target, node } => self.symlink(parent, &name, target, node).await,
            Op::Unlink { parent, name } => self.unlink(parent, &name).await,
            Op::Rmdir { parent, name } => self.rmdir(parent, &name).await,
            Op::Rename { parent, name, new_parent, new_name, no_replace } => {
                self.rename((parent, &name), (new_parent, &new_name), no_replace).await
            }
            Op::Write { ino, fh, offset, data } => self.write(ino, fh, offset, data).await,
            Op::Setattr { ino, fh, changes } => self.setattr(ino, fh, changes).await,
            Op::CopyRange { from, from_offset, to, to_offset, len } => {
                self.copy_range(from, from_offset, to, to_offset, len).await
            }
            Op::Fallocate { ino, fh, offset, len, how } => self.fallocate(ino, fh, offset, len, how).await,
            Op::Setxattr { ino, name, value, how } => self.setxattr(ino, &name, Some(value), how).await,
            Op::Removexattr { ino, name } => self.setxattr(ino, &name, None, SetXattr::Replace).await,
            Op::Unsupported { what, .. } => Err(FsError::NotPermitted(what)),
        };
        if let Err(error) = &outcome
            && error.severity() == Severity::Problem
        {
            self.complain(error);
        }
        outcome
    }

    /// After an internal error in a request on it: every further use of the handle fails with EIO.
    pub fn fence(&self, fh: Fh) {
        self.handles.lock().fence(fh);
    }

    /// The seams this file system runs on.
    pub fn env(&self) -> &E {
        &self.context.env
    }

    /// What is alive now, for reports and leak checks.
    pub fn census(&self) -> Census {
        // One after another: in one expression all three would be held to its end.
        let inodes = self.tree.lock().inodes();
        let handles = self.handles.lock().len();
        let drafts = self.drafts.lock().len();
        Census {
            inodes,
            handles,
            drafts,
            memory_bytes: self.context.memory.used(),
            lifeboat_bytes: self.context.lifeboats.used(),
            hidden_keys: self.hidden.count(),
        }
    }

    fn complain(&self, error: &FsError) {
        match self.complaints.lock().admit(self.now()) {
            Some(0) => tracing::warn!("{error}"),
            Some(held_back) => tracing::warn!("{error} (and {held_back} failures before it that were not logged)"),
            None => {}
        }
    }

    fn now(&self) -> crate::env::Time {
        self.context.env.clock().now()
    }
}

/// Counts of what a file system holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// The root included.
    pub inodes: usize,
    pub handles: usize,
    /// Files with changes of this mount's own that are open, or not published.
    pub drafts: usize,
    pub memory_bytes: u64,
    pub lifeboat_bytes: u64,
    /// Keys seen that no path can spell, or that a directory shadows.
    pub hidden_keys: u64,
}

//! What Linux locks while a request is under way: the inodes that it is about (i_rwsem; fs/namei.c, fs/fuse).
//!
//! Whoever changes an inode, or a name in a directory, does so alone; look-ups of new names and listings share. A request waits
//! until all that it wants is free, and takes it at once, so none waits for another in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use holdfast::op::Ino;

/// What one request wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub alone: BTreeSet<Ino>,
    pub shared: BTreeSet<Ino>,
    /// Renames from one directory to another follow one another (s_vfs_rename_mutex).
    pub renames: bool,
}

/// Clones are the same locks.
#[derive(Clone, Debug, Default)]
pub struct Locks(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    alone: BTreeSet<Ino>,
    /// How often each is shared.
    shared: BTreeMap<Ino, u32>,
    renames: bool,
    wakers: Vec<Waker>,
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Held {
    locks: Locks,
    wanted: Wanted,
}

impl Locks {
    pub async fn take(&self, wanted: Wanted) -> Held {
        poll_fn(|context| {
            let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !table.is_free(&wanted) {
                table.wakers.push(context.waker().clone());
                return Poll::Pending;
            }
            table.alone.extend(&wanted.alone);
            for ino in &wanted.shared {
                *table.shared.entry(*ino).or_default() += 1;
            }
            table.renames |= wanted.renames;
            Poll::Ready(())
        })
        .await;
        Held { locks: self.clone(), wanted }
    }
}

impl Table {
    fn is_free(&self, wanted: &Wanted) -> bool {
        let mut alone = wanted.alone.iter();
        alone.all(|ino| !self.alone.contains(ino) && !self.shared.contains_key(ino))
            && wanted.shared.iter().all(|ino| !self.alone.contains(ino))
            && !(wanted.renames && self.renames)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ino in &self.wanted.alone {
            table.alone.remove(ino);
        }
        for ino in &self.wanted.shared {
            if let Some(times) = table.shared.get_mut(ino) {
                *times -= 1;
            }
        }
        table.shared.retain(|_, times| *times > 0);
        table.renames &= !self.wanted.renames;
        let wakers = std::mem::take(&mut table.wakers);
        drop(table);
        wakers.into_iter().for_each(Waker::wake);
    }
}

//! A folder of one mount among those of all mounts of a bucket, by which the next one tells whether it is gone.
//!
//! It has a file in it that its mount holds locked; the lock goes with the process, however that ends. A folder whose lock can
//! be had belongs to a mount that is gone.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::env::Rng as _;
use crate::real::random::OsRng;

pub(super) const LOCK: &str = "lock";

/// The ending of a folder that is not locked yet.
const BEGUN: &str = "begun";

/// Locked for as long as it lives, by its mount or by who has taken it over.
#[derive(Debug)]
pub(super) struct Folder {
    pub path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A new one beneath `shared`, which is made if need be, with directories of this mode.
    pub(super) fn create(shared: &Path, mode: u32) -> io::Result<Self> {
        let path = shared.join(format!("{:016x}", OsRng.next_u64()));
        // Another mount that begins now must not take it for that of one that is gone.
        let begun = path.with_extension(BEGUN);
        DirBuilder::new().recursive(true).mode(mode).create(&begun)?;
        let lock = File::create_new(begun.join(LOCK))?;
        lock.lock()?;
        fs::rename(&begun, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Those of mounts that are gone. Nobody else has them while they live.
    pub(super) fn of_the_gone(shared: &Path) -> impl Iterator<Item = Self> {
        let folders = fs::read_dir(shared).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.filter(|path| path.extension().is_none_or(|end| end != BEGUN)).filter_map(|path| {
            let lock = File::open(path.join(LOCK)).ok()?;
            lock.try_lock().is_ok().then_some(Self { path, _lock: lock })
        })
    }

    /// A mount that ends properly with nothing left to be done leaves nothing.
    pub(super) fn remove_if_empty(&self) {
        let empty = fs::read_dir(&self.path).is_ok_and(|entries| entries.count() <= 1);
        if empty {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

//! Notes that one mount leaves for the next: small files, in a folder that lives as long as the process that wrote them.
//!
//! Each mount has a folder of its own with a file in it that it holds locked; the lock goes with the process, however that
//! ends. A folder whose lock can be had belongs to a mount that is gone, and its notes are there for the taking.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::env::{NoteId, Rng as _};
use crate::real::random::OsRng;

const LOCK: &str = "lock";

/// The folder of this mount.
#[derive(Debug)]
pub struct Notes {
    own: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
    next: AtomicU64,
}

impl Notes {
    /// `shared`: the folder of all mounts of one bucket; it is made if need be.
    pub fn new(shared: &Path) -> io::Result<Self> {
        let own = shared.join(format!("{:016x}", OsRng.next_u64()));
        fs::create_dir_all(&own)?;
        let lock = File::create_new(own.join(LOCK))?;
        lock.lock()?;
        Ok(Self { own, _lock: lock, next: AtomicU64::new(1) })
    }

    pub fn leave(&self, text: &str) -> io::Result<NoteId> {
        let id = NoteId(self.next.fetch_add(1, Ordering::Relaxed));
        fs::write(self.path(id), text)?;
        Ok(id)
    }

    pub fn take_back(&self, id: NoteId) {
        // Gone already, or in a folder that somebody has removed: either way there is no note.
        let _ = fs::remove_file(self.path(id));
    }

    /// The notes of mounts that are gone. Their folders go with this.
    pub fn left(&self) -> Vec<String> {
        let folders = self.own.parent().and_then(|shared| fs::read_dir(shared).ok());
        let folders = folders.into_iter().flatten().flatten().map(|entry| entry.path());
        folders.filter(|folder| *folder != self.own).flat_map(|folder| take(&folder)).collect()
    }

    fn path(&self, id: NoteId) -> PathBuf {
        self.own.join(id.0.to_string())
    }
}

impl Drop for Notes {
    /// A mount that ends properly with nothing left to be done leaves nothing.
    fn drop(&mut self) {
        let empty = fs::read_dir(&self.own).is_ok_and(|entries| entries.count() <= 1);
        if empty {
            let _ = fs::remove_dir_all(&self.own);
        }
    }
}

fn take(folder: &Path) -> Vec<String> {
    let Ok(lock) = File::open(folder.join(LOCK)) else { return Vec::new() };
    if lock.try_lock().is_err() {
        return Vec::new();
    }
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|file| file.file_name().is_some_and(|name| name != LOCK));
    let notes = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    let _ = fs::remove_dir_all(folder);
    notes
}

#[cfg(test)]
mod tests {
    use super::Notes;

    #[test]
    fn the_next_mount_finds_what_was_not_taken_back_and_nothing_of_those_that_live() {
        let shared = tempfile::tempdir().unwrap();
        let dead = Notes::new(shared.path()).unwrap();
        let living = Notes::new(shared.path()).unwrap();
        let done = dead.leave("done").unwrap();
        dead.leave("left").unwrap();
        living.leave("of one that lives").unwrap();
        dead.take_back(done);
        drop(dead);
        let next = Notes::new(shared.path()).unwrap();
        assert_eq!(next.left(), ["left"]);
        assert_eq!(next.left(), Vec::<String>::new());
        drop(next);
        drop(living);
        let last = Notes::new(shared.path()).unwrap();
        assert_eq!(last.left(), ["of one that lives"]);
    }
}
